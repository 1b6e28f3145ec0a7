"""A line of Qpopper's configuration language: ``set NAME = VALUE``, ``set NAME`` or ``reset NAME``.

``#`` begins a comment, but not within a text; a text ends at a blank, or has quotes around it (``"``, ``'``, a
backquote), of which one behind a backslash is part of it, with the backslash.  Numbers are C's (10, 012, 0xa), names
are compared without regard to case.  Errors are told in the original's words, with the file and the line (Qpopper
4.0's pop_config.c); of a secret they tell nothing.
"""

from qpopper_py.errors import ConfigurationError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping

LINE = 1022  # octets of a line, without its end
BOOLEAN, INTEGER, STRING, WORD = "Boolean", "Integer", "String", "Mnemonic"
BOOLEANS = {"true": True, "1": True, "false": False, "0": False}
QUOTES = ('"', "'", "`")
HUSHED = "tls-passphrase"  # whose value is a secret


class Said:
    """One option as it was set: ``value`` is a bool, an int or a str, by the option's kind."""

    __slots__ = ("name", "number", "path", "value")

    def __init__(self, name: str, value: "bool | int | str", path: str, number: int) -> None:
        self.name = name
        self.value = value
        self.path = path
        self.number = number

    @property
    def origin(self) -> str:
        return f"{self.path} line {self.number}"


def decoded(raw: bytes, path: str, number: int) -> str:
    """A line as text; ConfigurationError if it is too long, or none."""
    if len(raw) > LINE:
        raise ConfigurationError(f"Config file {path} line {number} too long: {LINE} octets at most")
    try:
        line = raw.decode("utf-8").removesuffix("\r")
    except UnicodeDecodeError:
        raise ConfigurationError(f"config file {path} line {number}: is not UTF-8") from None
    if any(c < " " and c != "\t" for c in line):
        raise ConfigurationError(f"config file {path} line {number}: holds a control character")
    return line


def statement(line: str, path: str, number: int, kinds: "Mapping[str, str]") -> "Said | None":
    """One line; None for an empty one.  Raises ConfigurationError."""
    place = f"scanning line {number} of config file {path}"
    verb, rest = word(line)
    if not verb:
        return None
    if verb.lower() not in ("set", "reset"):
        raise ConfigurationError(f'Expected "set" or "reset", found "{verb}" at line {number} of config file {path}')
    name, rest = word(rest)
    kind = kinds.get(name.lower())
    if kind is None:
        raise ConfigurationError(
            f'Unrecognized option "{name}"; {place}; {near(name, kinds)}valid options are: {", ".join(sorted(kinds))}'
        )
    if verb.lower() == "reset" or (kind == BOOLEAN and not rest.startswith("=")):
        if kind != BOOLEAN:
            raise ConfigurationError(f"Boolean option expected behind reset, found {name}; {place}")
        value: bool | int | str = verb.lower() == "set"
    else:
        if not rest.startswith("="):
            raise ConfigurationError(f'"=" expected behind {name}; {place}')
        value, rest = value_of(rest[1:], kind, name, place)
    if rest:
        found = "more (are quotes missing?)" if name.lower() == HUSHED else f'"{rest}"'
        raise ConfigurationError(f"Expected comment or end of line, found {found}; {place}")
    return Said(name.lower(), value, path, number)


def word(text: str) -> "tuple[str, str]":
    """The first word, and what follows its blanks, comments gone; a = is no part of it."""
    text = text.lstrip()
    end = next((at for at, c in enumerate(text) if c.isspace() or c in "=#"), len(text))
    return text[:end], uncommented(text[end:])


def uncommented(text: str) -> str:
    text = text.strip()
    return "" if text.startswith("#") else text


def value_of(text: str, kind: str, name: str, place: str) -> "tuple[bool | int | str, str]":
    """The value, and what stands behind it."""
    text = text.strip()
    raw, rest = quoted(text, name, place) if text.startswith(QUOTES) else plain(text, kind, name, place)
    if kind == BOOLEAN:
        if raw.lower() not in BOOLEANS:
            raise ConfigurationError(f'Boolean value expected for the {name} option, found "{raw}"; {place}')
        return BOOLEANS[raw.lower()], rest
    if kind == INTEGER:
        return integer(raw, name, place), rest
    return raw, rest


def quoted(text: str, name: str, place: str) -> "tuple[str, str]":
    """What stands between quotes, and what stands behind them."""
    end = text.find(text[0], 1)
    while end > 0 and text[end - 1] == "\\":
        end = text.find(text[0], end + 1)
    if end < 0:
        raise ConfigurationError(f"Bad value for the {name} option: its quote is not closed; {place}")
    return text[1:end], uncommented(text[end + 1 :])


def plain(text: str, kind: str, name: str, place: str) -> "tuple[str, str]":
    """A value without quotes, and what stands behind it."""
    text = uncommented(text)
    ends = "" if kind == STRING else "#"
    end = next((at for at, c in enumerate(text) if c.isspace() or c in ends), len(text))
    if not end:
        raise ConfigurationError(f"{kind} value expected for the {name} option; {place}")
    return text[:end], uncommented(text[end:])


def integer(raw: str, name: str, place: str) -> int:
    """C's strtol with base 0: 10, 0xa, 012."""
    digits = raw.lstrip("+-")
    sign = -1 if raw.startswith("-") else 1
    base = 16 if digits[:2].lower() == "0x" else 8 if digits.startswith("0") else 10
    try:
        if len(raw) > 18 or len(raw) - len(digits) > 1 or "_" in digits or not digits.isascii():
            raise ValueError
        return sign * int(digits, base)
    except ValueError:
        raise ConfigurationError(f'Integer value expected for the {name} option, found "{raw}"; {place}') from None


def near(name: str, kinds: "Mapping[str, str]") -> str:
    import difflib  # on the way out only

    found = difflib.get_close_matches(name.lower(), kinds, 1)
    return f"did you mean {found[0]}? " if found else ""
