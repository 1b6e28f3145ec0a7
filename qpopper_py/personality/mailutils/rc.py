"""/etc/mailutils.rc of GNU mailutils 0.6: options in a file, a line ``KEY OPTION...`` each.

KEY is ``pop3d``, ``mailutils`` for every program, or ``:NAME`` for those that have that group of options; of the latter
two, options that pop3d has not are another program's.  ``#`` begins a comment, a backslash at the end of a line joins
the next to it.
"""

import os

from qpopper_py.errors import ConfigurationError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from qpopper_py.personality.commandline import Layer, Line

RC = "/etc/mailutils.rc"
GROUPS = frozenset((":auth", ":common", ":daemon", ":encryption", ":logging", ":mailbox", ":pam", ":sql", ":tls"))


class Foreign(Exception):
    """An option of another program of mailutils."""


def layers(line: "Line") -> "list[Layer]":
    """What the file says; its options stand before those of ``line``.  Raises ConfigurationError."""
    from qpopper_py.personality import mailutils, options

    found: list[Layer] = []
    given = []
    for number, key, words in entries(RC, line.euid):
        where = f"{RC} line {number}"
        if key not in ("pop3d", "mailutils") and key not in GROUPS:
            continue

        def explain(spelt: str, _argument: str, where: str = where, own: bool = key == "pop3d") -> str:
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


def entries(path: str, euid: int) -> "list[tuple[int, str, list[str]]]":
    """(line, key, words) of each line that says something."""
    from qpopper_py.personality.config import contents, opened

    try:
        descriptor = opened(path, euid)
    except FileNotFoundError:
        return []
    try:
        text = contents(descriptor, path).decode("utf-8", "surrogateescape")
    finally:
        os.close(descriptor)
    import shlex

    found = []
    rows = iter(enumerate(text.split("\n"), 1))
    for number, row in rows:
        while row.endswith("\\"):
            row = row[:-1] + " " + next(rows, (0, ""))[1]
        try:
            words = shlex.split(row, comments=True)
        except ValueError as why:
            raise ConfigurationError(f"{path} line {number}: {why}") from None
        if words:
            found.append((number, words[0], words[1:]))
    return found
