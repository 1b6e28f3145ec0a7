"""The text of pop3d.toml -> raw values by dotted name, each with its line.  Loaded only when no cache has them."""

import re
import tomllib

from qpopper_py import settings
from qpopper_py.errors import ConfigurationError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from qpopper_py.personality.config import Values

TABLE = re.compile(r"\s*\[([^\[\]]+)\]\s*(?:#.*)?$")
ROW = re.compile(r"\s*\[\[([^\[\]]+)\]\]\s*(?:#.*)?$")
KEY = re.compile(r"\s*([A-Za-z0-9_.\-\"' \t]+?)\s*=")


def origin(path: str, line: int) -> str:
    """Where a value came from, for errors and for --dump-config."""
    return f"{path} line {line}" if line else path


def parse(text: bytes, path: str) -> "Values":
    """The settings that ``text`` makes.  ConfigurationError names ``path``, the line and what is wrong there."""
    try:
        decoded = text.decode("utf-8")
        leaves = list(flat(tomllib.loads(decoded)))
    except UnicodeDecodeError as why:
        line = text.count(b"\n", 0, why.start) + 1
        raise ConfigurationError(f"{origin(path, line)}: is not UTF-8, as TOML must be") from None
    except ValueError as why:  # TOMLDecodeError; for a number of thousands of digits its base
        raise ConfigurationError(f'{path}: is not TOML: {why}; a text stands in quotes: spool = "/var/mail"') from None
    except RecursionError:
        raise ConfigurationError(f"{path}: is nested too deeply for a configuration file") from None
    lines = line_numbers(decoded)
    values = {}
    for name, raw in leaves:
        line = lines.get(name, 0)
        settings.parse(name, raw, origin(path, line))
        values[name] = (raw, line)
    return values


def flat(tree: "Mapping[str, object]", prefix: str = "") -> "Iterator[tuple[str, object]]":
    """The leaves by dotted name.  A table is a leaf if it is a setting, or is empty and no settings belong to it."""
    for key, value in tree.items():
        name = prefix + key
        deeper = name not in settings.rows() and (value or any(one.startswith(name + ".") for one in settings.rows()))
        if isinstance(value, dict) and deeper:
            yield from flat(value, name + ".")
        else:
            yield name, value


def line_numbers(text: str) -> dict[str, int]:
    """The line of each name that is set on exactly one: tomllib does not tell, and a text may look like a setting."""
    lines: dict[str, int] = {}
    prefix = ""
    for number, line in enumerate(text.split("\n"), 1):
        if row := ROW.match(line):
            lines.setdefault(plain(row[1]), number)
            prefix = "[[]]."  # its keys are nobody's names
        elif table := TABLE.match(line):
            prefix = plain(table[1]) + "."
            if plain(table[1]) in settings.rows():
                lines.setdefault(plain(table[1]), number)
        elif key := KEY.match(line):
            name = prefix + plain(key[1])
            lines[name] = 0 if name in lines else number
    return lines


def plain(key: str) -> str:
    """A dotted key without the blanks and quotes that TOML allows in it."""
    return ".".join(part.strip().strip("\"'") for part in key.split("."))
