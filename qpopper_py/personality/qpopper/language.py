"""Qpopper's configuration language: lines as :mod:`qpopper_py.qpopper_line` has them, from files.

``set config-file = FILE`` reads another file there, to LEVELS deep.  The first error ends the reading.

Loaded only where there is such a file.
"""

from qpopper_py.errors import ConfigurationError
from qpopper_py.qpopper_line import Said, decoded, statement

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

LEVELS = 100


def read(path: str, euid: int) -> "Iterator[Said]":
    """What the file says, and the files that it names.  Raises ConfigurationError.

    It tells root what to do, so each must be root's own, as pop3d.toml.
    """
    from qpopper_py.personality.qpopper.directives import KINDS

    return statements(path, lambda name: contents(name, euid), KINDS)


def contents(path: str, euid: int) -> bytes:
    """A file of the administrator's.  Raises ConfigurationError."""
    import os

    from qpopper_py.personality import config

    try:
        descriptor = config.opened(path, euid)
    except FileNotFoundError:
        raise ConfigurationError(f"Unable to process config file {path}: there is no such file") from None
    try:
        return config.contents(descriptor, path)
    finally:
        os.close(descriptor)


def statements(
    path: str, load: "Callable[[str], bytes]", kinds: "Mapping[str, str]", level: int = 1
) -> "Iterator[Said]":
    """What the file at ``path`` says, in order.  ``kinds``: the options there are, in lower case, and of what kind.

    What stands before an error was handed out already.
    """
    if level > LEVELS:
        raise ConfigurationError(f"config file {path}: config-file goes more than {LEVELS} files deep; take one out")
    text = load(path)
    for number, raw in enumerate(text.split(b"\n"), 1):
        line = decoded(raw, path, number)
        said = statement(line, path, number, kinds)
        if said is None:
            continue
        if said.name == "config-file":
            yield from statements(str(said.value), load, kinds, level + 1)
        else:
            yield said
