"""A getopt: what an argument list says, by a table of options.

The rules are POSIX's (XBD 12.2, guidelines 4 to 10): letters cluster (``-ds``), a value is attached or the next
argument (``-T300``, ``-T 300``, ``-dT300``; one that may be left out is attached or not there: ``-d10``), ``--`` ends
the options, and the first operand does too.  Long options are spelt in full, their value behind a blank or ``=``;
nothing is abbreviated, so a later version's options cannot change what a command line means.

Where the old program read its line by GNU's getopt_long (``GNU``), a long option may be cut short as long as only one
begins so, and options may stand behind operands.
"""

from qpopper_py.errors import ConfigurationError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

    from qpopper_py.personality.commandline import Layer, Line


class Option:
    """One row of a command line.

    ``letter`` and ``long`` are how it is spelt ("p", "port", or "p port"); either may be empty.  ``value`` is its
    value's name, empty for a switch, in brackets where the value may be left out (it is then attached).  It stands for
    a ``setting`` (a switch makes it true), for an ``action``, or for whatever ``sets`` makes of the value: settings by
    dotted name.  With none of them the reader of the table knows it by name.  ``read`` turns the value into the
    setting's raw one; both raise ValueError.
    """

    __slots__ = ("action", "letter", "long", "read", "sets", "setting", "value", "why")

    def __init__(
        self,
        spelling: str,
        value: str,
        why: str,
        *,
        setting: str = "",
        action: str = "",
        read: "Callable[[str], object]" = str,
        sets: "Callable[[str | None], Mapping[str, object]] | None" = None,
    ) -> None:
        words = spelling.split()
        self.letter = words[0] if len(words[0]) == 1 else ""
        self.long = words[-1] if len(words[-1]) > 1 else ""
        self.value = value
        self.setting = setting
        self.action = action
        self.why = why
        self.read = read
        self.sets = sets

    @property
    def spelt(self) -> str:
        """The option as one types it."""
        return "-" + self.letter if self.letter else "--" + self.long

    @property
    def spellings(self) -> "Iterator[str]":
        """Every way to type it."""
        if self.letter:
            yield "-" + self.letter
        if self.long:
            yield "--" + self.long


class Given:
    """An option that was given, with its value; None where it takes none, or was given none."""

    __slots__ = ("option", "value")

    def __init__(self, option: Option, value: "str | None") -> None:
        self.option = option
        self.value = value


GNU = "GNU"
POSIX = "POSIX"
FIRST = "FIRST"  # POSIX, but an operand may stand before the options: where to listen
OPERANDS = {FIRST: "[[ADDRESS][:][PORT]] "}


def parse(
    arguments: "Sequence[str]", table: "Iterable[Option]", explain: "Callable[[str, str], str]", rules: str = POSIX
) -> tuple[list[Given], list[str]]:
    """The options given, in their order, and the operands.

    ``explain(spelt, argument)`` has the words for an option that is not in ``table``.  Raises ConfigurationError.
    """
    rows = {spelt: row for row in table for spelt in row.spellings}
    rest = list(reversed(arguments))
    given: list[Given] = []
    operands: list[str] = []
    while rest:
        argument = rest.pop()
        if argument == "--":
            break
        if argument == "-" or not argument.startswith("-"):
            operands.append(argument)
            if rules == GNU or (rules == FIRST and not given and len(operands) == 1):
                continue
            break
        if argument.startswith("--"):
            given.append(long_option(argument, rest, rows, explain, rules))
        else:
            given.extend(cluster(argument, rest, rows, explain))
    return given, operands + rest[::-1]


def long_option(
    argument: str, rest: list[str], rows: dict[str, Option], explain: "Callable[[str, str], str]", rules: str
) -> Given:
    """``--name``, ``--name=VALUE``, or ``--name`` with its value taken off ``rest``."""
    spelt, attached, value = argument.partition("=")
    row = rows.get(spelt)
    if row is None and rules == GNU:
        meant = sorted(name for name in rows if name.startswith(spelt) and len(spelt) > 2)
        if len({id(rows[name]) for name in meant}) > 1:
            raise ConfigurationError(f"{argument}: that may be {' or '.join(meant)}; write out which")
        row = rows[meant[0]] if meant else None
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
            optional = row.value.startswith("[")
            yield Given(row, argument[at:] or (None if optional else next_value(row, rest)))
            return
        yield Given(row, None)


def next_value(row: Option, rest: list[str]) -> str:
    """The next argument, whatever it looks like: it is the value of ``row``."""
    if not rest:
        raise ConfigurationError(f"{row.spelt} needs a value: {row.spelt} {row.value}")
    return rest.pop()


def no_operands(line: "Line") -> "list[Layer]":
    """``configured`` of a program that has options and nothing else."""
    if line.operands:
        raise ConfigurationError(
            f"{line.operands[0]!r} is no option, and pop3d takes nothing else; an address to listen on is --listen's"
        )
    return []
