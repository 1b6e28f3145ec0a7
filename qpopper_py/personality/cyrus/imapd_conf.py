"""imapd.conf(5): ``option: value`` lines, ``\\`` at an end for more, ``@include: FILE``.

An option that begins with the service's name and ``_`` (pop3_tls_server_cert) counts before the plain one; one of
another service's is none of ours.  An option that stands twice, or has no value, is refused, as Cyrus refuses it.
Loaded only where there is such a file.
"""

import os

from qpopper_py.errors import ConfigurationError
from qpopper_py.personality import config

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    from qpopper_py.personality.commandline import Layer, Line

    Values = dict[str, tuple[str, str]]

DEEPEST = 10  # @include in @include
NAME = frozenset("abcdefghijklmnopqrstuvwxyz0123456789_-")


def layers_of(path: str, service: str, line: "Line") -> "list[Layer]":
    """What the file makes of our settings, an origin for each; what has no effect goes to ``line.notes``.

    Raises ConfigurationError.
    """
    from qpopper_py.personality.cyrus import directives

    values = read(path, line.euid)
    return directives.settings_of(values, service, path, line.has("-D"), line.notes)


def read(path: str, euid: int) -> "Values":
    """Every option of the file and of those it includes: {name in lower case: (value, where it stands)}."""
    values: Values = {}
    collect(path, euid, values, 0)
    return values


def collect(path: str, euid: int, values: "Values", depth: int) -> None:
    """Add to ``values`` what ``path`` says."""
    if depth > DEEPEST:
        raise ConfigurationError(f"{path}: is included by itself, or by too many")
    for number, text in whole_lines(text_of(path, euid)):
        origin = f"{path} line {number}"
        name, colon, value = text.partition(":")
        name, value = name.rstrip().lower(), value.strip()
        if name.startswith("@"):
            if name != "@include" or not value:
                raise ConfigurationError(f"{origin}: {name} is no directive; there is @include: FILE")
            collect(os.path.join(os.path.dirname(path), value), euid, values, depth + 1)
            continue
        if not colon or not name or not NAME.issuperset(name):
            raise ConfigurationError(f"{origin}: {text.split()[0]!r} is no option; write NAME: VALUE")
        if not value:
            raise ConfigurationError(f"{origin}: {name} has no value; write one, or remove the line")
        if name in values:
            raise ConfigurationError(f"{origin}: {name} stands in {values[name][1]} already; remove one of them")
        values[name] = value, origin


def text_of(path: str, euid: int) -> str:
    """The file, of bounded size, believed as pop3d.toml is."""
    try:
        descriptor = config.opened(path, euid)
    except FileNotFoundError:
        raise ConfigurationError(f"{path}: there is no such file; name another with -C FILE") from None
    try:
        return config.contents(descriptor, path).decode("utf-8", "surrogateescape")
    finally:
        os.close(descriptor)


def whole_lines(text: str) -> "Iterator[tuple[int, str]]":
    """(number, text) of each line that says something, with those that go on behind a backslash."""
    held, first = "", 0
    for number, line in enumerate(text.split("\n"), 1):
        line = line.strip()
        if not held:
            first = number
            if line.startswith("#"):
                continue
        if line.endswith("\\"):
            held += line[:-1]
            continue
        held += line
        if held.strip():
            yield first, held.strip()
        held = ""
    if held.strip():
        yield first, held.strip()
