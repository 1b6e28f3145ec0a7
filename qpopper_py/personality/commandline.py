"""An argument list and a configuration file -> Settings, and what to do with them.

Built-in, personality, file, command line: the later wins.  Our own options are long only, so that no letter of
an old program can ever be one of ours.
"""

import os

from qpopper_py.errors import ConfigurationError
from qpopper_py.personality import options
from qpopper_py.personality.options import Option
from qpopper_py.settings import Settings

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from typing import Protocol

    from qpopper_py.personality.config import Values
    from qpopper_py.protocol.dialect import Dialect

    class Personality(Protocol):
        """A module of this room: an old program's options, what it begins with, and how it speaks."""

        name: str
        title: str
        OPTIONS: tuple[Option, ...]
        SETTINGS: dict[str, object]
        DIALECT: Dialect

    Layer = tuple[str, Mapping[str, object]]


DEFAULT = "/etc/pop3d.toml"

OURS = (
    Option("personality", "NAME", "take the command line and manners of NAME; this version serves tru64"),
    Option("config", "FILE", f"read FILE, or none, instead of {DEFAULT}"),
    Option("set", "KEY=VALUE", "change a setting; may be given often"),
    Option("listen", "HOST:PORT", "listen, in the foreground: [::1]:110, *:995,tls=implicit; may be given often"),
    Option("inetd", "", "serve the connection on descriptor 0, whatever the file says of listen"),
    Option("check-config", "", "look at all that is configured, say what is wrong, and end", action="check-config"),
    Option("dump-config", "[=all]", "print what differs from the defaults, or everything", action="dump-config"),
    Option("demo", "", "serve a mailbox made up on the spot, on 127.0.0.1:1110", action="demo"),
    Option("version", "", "print the version", action="version"),
    Option("help", "", "print this", action="help"),
)
AT_ONCE = frozenset(("help", "version"))  # whatever else is asked for, and whatever the file says


class Invocation:
    """What the command line asks for.

    ``action``: serve, check-config, dump-config, dump-config-all, demo, version or help.  ``origins``: where each
    setting that is set came from, by dotted name.  ``inetd``: the one connection is on descriptor 0.
    ``config``: the configuration file that was read, or empty.
    """

    __slots__ = ("action", "config", "inetd", "origins", "personality", "settings")

    def __init__(
        self, action: str, settings: Settings, personality: "Personality", inetd: bool = False, config: str = ""
    ) -> None:
        self.action = action
        self.settings = settings
        self.origins = settings.origins
        self.personality = personality
        self.inetd = inetd
        self.config = config


def read(argv: "Sequence[str]", environ: "Mapping[str, str]", *, euid: int) -> Invocation:
    """What ``argv`` (without the program's name) asks for.

    Raises ConfigurationError, one line that names the option or setting, where it stands and what to do.
    """
    seen = glimpse(argv)
    if seen.keys() & AT_ONCE:
        personality = named(seen.get("personality", "tru64"), "command line")
        line = Line(argv, personality)
        if line.action in AT_ONCE:
            return Invocation(line.action, Settings(), personality)
    path, values = file_values(seen, environ, euid)
    origin, name = path, str(values["personality"][0]) if "personality" in values else "tru64"
    if "personality" in seen:
        origin, name = "command line", seen["personality"]
    personality = named(name, origin)
    line = Line(argv, personality)
    if line.config != seen.get("config", ""):
        raise ConfigurationError("--config cannot be the value of another option")
    layers: list[Layer] = [(f"personality {personality.name}", personality.SETTINGS)]
    layers += [(where(path, number), {name: raw}) for name, (raw, number) in values.items()]
    settings = Settings(layers + line.layers)
    inetd = line.action != "demo" and (line.inetd or not settings.listen)
    return Invocation(line.action, settings, personality, inetd, path)


def named(name: str, origin: str) -> "Personality":
    """The personality of that name; ConfigurationError if this version has none."""
    from qpopper_py.personality import tru64

    served: dict[str, Personality] = {"tru64": tru64}
    if name in served:
        return served[name]
    from qpopper_py.personality import foreign

    why = foreign.unserved(name) or "no program of that name is known"
    raise ConfigurationError(f"{origin}: personality {name!r}: {why}; there is {', '.join(served)}")


def glimpse(argv: "Sequence[str]") -> "dict[str, str]":
    """Our own options on the line, the last value of each, by name.

    They are looked for before the line is read: only they tell by whose rules it is to be read.
    """
    takes = {row.long: bool(row.value) and not row.value.startswith("[") for row in OURS}
    seen: dict[str, str] = {}
    words = iter(argv)
    for word in words:
        if word == "--":
            break
        name, attached, value = word[2:].partition("=")
        if not word.startswith("--") or name not in takes:
            continue
        if takes[name] and not attached:
            value = next(words, "")
        if name == "set" and value.startswith("personality="):
            name, value = "personality", value.removeprefix("personality=")
        seen[name] = value
    return seen


def where(path: str, number: int) -> str:
    """The origin of a value that stands in the file ``path``, on line ``number`` if that is known."""
    return f"{path} line {number}" if number else path


def file_values(seen: "Mapping[str, str]", environ: "Mapping[str, str]", euid: int) -> "tuple[str, Values]":
    """The configuration file that counts, and what it sets; "" and nothing if there is none.

    A demonstration reads none but one that is named.  Who asks about the file must see the file, not a cache.
    """
    asked = seen.get("config", "")
    path = asked or ("none" if "demo" in seen else DEFAULT)
    if path == "none" or (not asked and absent(path)):
        return "", {}
    from qpopper_py.personality import config

    fresh = any(row.action and row.long in seen for row in OURS)
    try:
        return path, config.read(path, euid=euid, folder="" if fresh else config.cache_folder(environ, euid))
    except FileNotFoundError:
        if asked:
            raise ConfigurationError(f"--config {path}: there is no such file; --config none reads none") from None
        return "", {}


def absent(path: str) -> bool:
    """Most hosts have no file, and need not wait until what reads one is loaded."""
    try:
        os.lstat(path)
    except FileNotFoundError:
        return True
    except OSError:
        pass  # whoever opens it tells what is wrong
    return False


class Line:
    """An argument list, read by the rows of one personality and our own."""

    def __init__(self, argv: "Sequence[str]", personality: "Personality") -> None:
        self.action = "serve"
        self.config = ""
        self.inetd = False
        self.layers: list[Layer] = []
        self.listen: list[str] = []
        rows = personality.OPTIONS + OURS
        given, operands = options.parse(argv, rows, explainer(rows))
        if any(one.option.action in AT_ONCE for one in given):
            self.action = next(one.option.action for one in given if one.option.action in AT_ONCE)
            return
        for one in given:
            self.take(one.option, one.value)
        if operands:
            raise ConfigurationError(
                f"{operands[0]!r} is no option, and pop3d takes nothing else; an address to listen on is --listen's"
            )
        if self.inetd and self.listen:
            raise ConfigurationError("--inetd and --listen exclude each other; leave one out")

    def take(self, option: Option, value: "str | None") -> None:
        """Do what one option says."""
        origin = f"command line, {option.spelt}"
        if option.action:
            self.act(option, value)
        elif option.setting:
            self.layers.append((origin, {option.setting: self.raw(option, value)}))
        elif option.long == "personality":
            self.layers.append((origin, {"personality": value}))
        elif option.long == "config":
            self.config = value or ""
            if not value:
                raise ConfigurationError("--config names no file; --config none reads none")
        elif option.long == "set":
            name, equals, raw = (value or "").partition("=")
            if not equals:
                raise ConfigurationError(f"--set {value}: there is no = in it; write --set KEY=VALUE")
            self.layers.append((origin, {name: raw}))
        elif option.long == "listen":
            self.listen.append(value or "")
            self.layers.append((origin, {"listen": list(self.listen)}))
        elif option.long == "inetd":
            self.inetd = True

    def act(self, option: Option, value: "str | None") -> None:
        """Take note of an action; only one can be done."""
        if value not in (None, "all"):
            raise ConfigurationError(f"{option.spelt}={value}: it is {option.spelt} or {option.spelt}=all")
        action = option.action + ("-all" if value else "")
        if self.action not in ("serve", action):
            raise ConfigurationError(f"--{self.action} and {option.spelt} exclude each other; leave one out")
        self.action = action

    def raw(self, option: Option, value: "str | None") -> object:
        """The raw value of the option's setting."""
        if value is None:
            return True
        try:
            return option.read(value)
        except ValueError as why:
            raise ConfigurationError(f"command line: {option.spelt} {value!r} {why}") from None


def explainer(rows: "tuple[Option, ...]") -> "Callable[[str, str], str]":
    """The words for an option that is not among ``rows``; the tables they come from are loaded only then."""

    def explain(spelt: str, argument: str) -> str:
        from qpopper_py.personality import foreign

        return foreign.words(spelt, argument, rows)

    return explain
