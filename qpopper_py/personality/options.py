"""A getopt: what an argument list says, by a table of options.

The rules are POSIX's (XBD 12.2, guidelines 4 to 10): letters cluster (``-ds``), a value is attached or the next
argument (``-T300``, ``-T 300``, ``-dT300``), ``--`` ends the options, and the first operand does too.  Long
options are spelt in full, their value behind a blank or ``=``; nothing is abbreviated, so a later version's
options cannot change what a command line means.
"""

from qpopper_py.errors import ConfigurationError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence


class Option:
    """One row of a command line.

    ``letter`` and ``long`` are how it is spelt; either may be empty.  ``value`` is its value's name, empty for a
    switch, in brackets where the value may be left out (it is then attached by ``=`` only).  It stands for a
    ``setting`` (a switch makes it true) or for an ``action``; with neither, the reader of the table knows it by
    name.  ``read`` turns the value into the setting's raw one, raising ValueError.
    """

    __slots__ = ("action", "letter", "long", "read", "setting", "value", "why")

    def __init__(
        self,
        spelling: str,
        value: str,
        why: str,
        *,
        setting: str = "",
        action: str = "",
        read: "Callable[[str], object]" = str,
    ) -> None:
        self.letter = spelling if len(spelling) == 1 else ""
        self.long = "" if len(spelling) == 1 else spelling
        self.value = value
        self.setting = setting
        self.action = action
        self.why = why
        self.read = read

    @property
    def spelt(self) -> str:
        """The option as one types it."""
        return "-" + self.letter if self.letter else "--" + self.long


class Given:
    """An option that was given, with its value; None where it takes none, or was given none."""

    __slots__ = ("option", "value")

    def __init__(self, option: Option, value: "str | None") -> None:
        self.option = option
        self.value = value


def parse(
    arguments: "Sequence[str]", table: "Iterable[Option]", explain: "Callable[[str, str], str]"
) -> tuple[list[Given], list[str]]:
    """The options given, in their order, and the operands behind them.

    ``explain(spelt, argument)`` has the words for an option that is not in ``table``.  Raises ConfigurationError.
    """
    rows = {row.spelt: row for row in table}
    rest = list(reversed(arguments))
    given: list[Given] = []
    while rest and rest[-1].startswith("-") and rest[-1] != "-":
        argument = rest.pop()
        if argument == "--":
            break
        if argument.startswith("--"):
            given.append(long_option(argument, rest, rows, explain))
        else:
            given.extend(cluster(argument, rest, rows, explain))
    return given, rest[::-1]


def long_option(argument: str, rest: list[str], rows: dict[str, Option], explain: "Callable[[str, str], str]") -> Given:
    """``--name``, ``--name=VALUE``, or ``--name`` with its value taken off ``rest``."""
    spelt, attached, value = argument.partition("=")
    row = rows.get(spelt)
    if row is None:
        raise ConfigurationError(explain(spelt, argument))
    if attached:
        if not row.value:
            raise ConfigurationError(f"{argument}: {spelt} takes no value")
        return Given(row, value)
    if not row.value or row.value.startswith("["):
        return Given(row, None)
    return Given(row, next_value(row, rest))


def cluster(
    argument: str, rest: list[str], rows: dict[str, Option], explain: "Callable[[str, str], str]"
) -> "Iterable[Given]":
    """The letters of one argument; the first that takes a value takes what is left, or the next argument."""
    for at, letter in enumerate(argument[1:], 2):
        row = rows.get("-" + letter)
        if row is None:
            raise ConfigurationError(explain("-" + letter, argument))
        if row.value:
            yield Given(row, argument[at:] or next_value(row, rest))
            return
        yield Given(row, None)


def next_value(row: Option, rest: list[str]) -> str:
    """The next argument, whatever it looks like: it is the value of ``row``."""
    if not rest:
        raise ConfigurationError(f"{row.spelt} needs a value: {row.spelt} {row.value}")
    return rest.pop()
