"""/etc/mailutils.rc of GNU mailutils 0.6: options in a file, a line ``KEY OPTION...`` each.

Source: read_rc() in argp/mu_argp.c (later libmu_argp/compat.c) of mailutils, and pop3d_argp_capa in pop3d/pop3d.c.  KEY
is ``pop3d`` or its beginning, or ``:NAME`` for those programs that have a group of options of that name or beginning;
all other lines are other programs'.  A line that begins with ``#`` is a comment; what follows a ``#`` elsewhere is not.
A backslash at the end of a line joins the next to it, without the blanks that that begins with.

Later versions called a file of their own language so; with that and /etc/mailutils.conf :mod:`.files` is concerned.
"""

import os

from qpopper_py.errors import ConfigurationError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    from qpopper_py.personality.commandline import Layer, Line

RC = "/etc/mailutils.rc"
PROGRAM = "pop3d"
GROUPS = ("daemon", "auth", "tls", "common", "mailbox", "logging", "license")


class Foreign(Exception):
    """An option of another program of mailutils."""


def layers(line: "Line", path: str) -> "list[Layer]":
    """What the file says; its options stand before those of ``line``.  Raises ConfigurationError."""
    from qpopper_py.personality import mailutils, options

    found: list[Layer] = []
    given = []
    for number, key, words in entries(path, line.euid):
        where = f"{path} line {number}"
        own = PROGRAM.startswith(key)
        if not own and not (key[0] == ":" and any(group.startswith(key[1:]) for group in GROUPS)):
            continue

        def explain(spelt: str, _argument: str, where: str = where, own: bool = own) -> str:
            if not own:
                raise Foreign
            return f"{where}: there is no option {spelt}; pop3d --help lists them"

        try:
            one, operands = options.parse(words, mailutils.OPTIONS, explain, options.GNU)
            if operands:
                raise ConfigurationError(f"{operands[0]!r} is no option")
            before = len(line.layers)
            for option in one:
                line.take(option.option, option.value)
        except Foreign:
            line.notes.append(f"{where} has no effect: it has options that pop3d has not")
            continue
        except ConfigurationError as why:
            raise ConfigurationError(f"{where}: {str(why).removeprefix(where + ': ')}") from None
        found += [(where, values) for _, values in line.layers[before:]]
        del line.layers[before:]
        given += one
    line.given = given + line.given
    return found


def holds_options(path: str, euid: int) -> bool:
    """Whether the file is one of 0.6, by the first line that tells: there options follow the first word."""
    for _, row in rows(path, euid):
        words = row.split(None, 2)
        if len(words) > 1:
            return words[1].startswith("-")
        if words[0][-1] in ";{}":
            return False
    return True


def entries(path: str, euid: int) -> "Iterator[tuple[int, str, list[str]]]":
    """(line, key, words) of each line that says something.  Raises ConfigurationError."""
    import shlex

    for number, row in rows(path, euid):
        try:
            words = shlex.split(row)
        except ValueError as why:
            raise ConfigurationError(f"{path} line {number}: {why}") from None
        yield number, words[0], words[1:]


def rows(path: str, euid: int) -> "Iterator[tuple[int, str]]":
    """(line where it begins, text) of what is no comment, lines joined."""
    from qpopper_py.personality.config import contents, opened

    try:
        descriptor = opened(path, euid)
    except FileNotFoundError:
        return
    try:
        text = contents(descriptor, path).decode("utf-8", "surrogateescape")
    finally:
        os.close(descriptor)
    begun, joined = 0, ""
    for number, line in enumerate(text.split("\n"), 1):
        row = line.lstrip()
        if not row or row[0] == "#":
            continue
        begun = begun or number
        joined += row.removesuffix("\\")
        if not row.endswith("\\"):
            yield begun, joined
            begun, joined = 0, ""
    if joined:
        yield begun, joined
