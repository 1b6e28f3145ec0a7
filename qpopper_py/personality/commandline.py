"""An argument list and a configuration file -> Settings, and what to do with them.

Built-in, personality, the old program's own files, pop3d.toml, command line: the later wins.  Our own options are long
only, so that no letter of an old program can ever be one of ours; where it has long ones too, ours begin with --qp-.
"""

import posix

from qpopper_py.errors import ConfigurationError
from qpopper_py.personality import options
from qpopper_py.personality.options import Option
from qpopper_py.settings import Settings

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from typing import Any, Protocol, TypeVar

    from qpopper_py.personality.config import Values
    from qpopper_py.protocol.dialect import Dialect

    class Personality(Protocol):
        """A module of this room: an old program's options, what it begins with, and how it speaks.

        One with PRINTS has actions of its own, by name, and what makes the text of each.
        """

        name: str
        title: str
        RULES: str  # by which its line is read: options.POSIX, GNU or FIRST
        OPTIONS: tuple[Option, ...]
        SETTINGS: dict[str, object]
        DIALECT: Dialect

        def configured(self, line: "Line") -> "list[Layer]":
            """What operands, options that no setting stands for, and the old program's own files amount to.

            Weaker than pop3d.toml.  What is as strong as the line goes to ``line.layers``; what has no effect, with
            the reason, to ``line.notes``.  Raises ConfigurationError.
            """

    Layer = tuple[str, Mapping[str, object]]
    T = TypeVar("T")


DEFAULT = "/etc/pop3d.toml"
PREFIX = "qp-"
SERVED = ("tru64", "mailutils", "popa3d", "qpopper", "cyrus")
# The base name of the program, or of a link on the way to it -> the personality; pop3d and in.pop3d say nothing.
NAMES = {
    "tru64-pop3d": "tru64",
    "mailutils-pop3d": "mailutils",
    "cyrus-pop3d": "cyrus",
    "popa3d": "popa3d",
    "in.popa3d": "popa3d",
    "popper": "qpopper",
    "in.popper": "qpopper",
    "qpopper": "qpopper",
    "in.qpopper": "qpopper",
}
LINKS = 40  # symbolic links that are followed, as many as Linux does

OURS = (
    Option("config", "FILE", f"read FILE, or none, instead of {DEFAULT}"),
    Option("set", "KEY=VALUE", "change a setting; may be given often"),
    Option("listen", "HOST:PORT", "listen, [::1]:110, *:995,tls=implicit; may be given often"),
    Option("inetd", "", "serve the connection on descriptor 0, whatever the file says of listen"),
    Option("check-config", "", "look at all that is configured, say what is wrong, and end", action="check-config"),
    Option("dump-config", "[=all]", "print what differs from the defaults, or everything", action="dump-config"),
    Option("demo", "", "serve a mailbox made up on the spot, on 127.0.0.1:1110", action="demo"),
    Option("version", "", "print the version", action="version"),
    Option("help", "", "print this", action="help"),
)
CHOICE = Option("personality", "NAME", f"as the first word: act as {', '.join(SERVED)}")
# whatever else is asked for, and whatever the file says
AT_ONCE = frozenset(("help", "version", "config-help", "show-config-options", "license"))


class Invocation:
    """What the command line asks for.

    ``action``: serve, check-config, dump-config, dump-config-all, demo, version, help, or one that the personality
    prints.  ``origins``: where each setting that is set came from, by dotted name.  ``inetd``: the one connection is on
    descriptor 0.  ``attached``: that was asked for, so no other descriptor counts.  ``config``: the configuration file
    that was read, or empty.  ``notes``: what --check-config is to say of the old program's options and files, beside
    what is said of the settings.
    """

    __slots__ = ("action", "attached", "config", "inetd", "notes", "origins", "personality", "settings")

    def __init__(
        self, action: str, settings: Settings, personality: "Personality", inetd: bool = False, config: str = ""
    ) -> None:
        self.action = action
        self.settings = settings
        self.origins = settings.origins
        self.personality = personality
        self.inetd = inetd
        self.config = config
        self.attached = False
        self.notes: list[str] = []


def read(argv: "Sequence[str]", environ: "Mapping[str, str]", *, euid: int, called: str = "") -> Invocation:
    """What ``argv`` (without the program's name) asks for; ``called``: the path by which we were executed.

    Raises ConfigurationError, one line that names the option or setting, where it stands and what to do.
    """
    origin, name, argv = chosen(argv, environ, called)
    seen = glimpse(argv, ours(named(name, origin)) if name else OURS)
    if seen.keys() & AT_ONCE:
        personality = named(name or "tru64", origin)
        line = Line(argv, personality, environ, euid)
        if line.action in AT_ONCE:
            return Invocation(line.action, Settings(), personality)
    path, values = file_values(seen, environ, euid)
    said = [(where(path, number), {key: raw}) for key, (raw, number) in values.items()]
    if not name and "personality" in values:
        origin, name = path, str(values["personality"][0])
    elif name:
        said.append((origin, {"personality": name}))
    personality = named(name or "tru64", origin)
    line = Line(argv, personality, environ, euid)
    if line.action not in AT_ONCE and line.config != seen.get("config", ""):
        raise ConfigurationError("--config cannot be the value of another option")
    layers: list[Layer] = [(f"personality {personality.name}", personality.SETTINGS)]
    if line.action not in AT_ONCE:
        layers += personality.configured(line)
    settings = Settings([*layers, *said, *line.layers])
    listens = bool(settings.values.get("listen"))  # by no attribute, for which all tunables would be loaded
    inetd = line.action != "demo" and (line.inetd or not listens)
    invocation = Invocation(line.action, settings, personality, inetd, path)
    invocation.attached = line.inetd
    invocation.notes += line.notes
    return invocation


def chosen(argv: "Sequence[str]", environ: "Mapping[str, str]", called: str) -> "tuple[str, str, Sequence[str]]":
    """(who says so, the personality, what is left of the line); neither if the configuration file is to say it.

    The first word of the line, exactly; master(8) of Cyrus; the name of the program and of each link to it.
    """
    spelt, equals, name = argv[0].partition("=") if argv else ("", "", "")
    if spelt == "--personality":
        if not equals and len(argv) < 2:
            raise ConfigurationError("--personality needs a value: --personality NAME")
        return "command line, --personality", name if equals else argv[1], argv[1 if equals else 2 :]
    if "CYRUS_SERVICE" in environ:
        return "environment, CYRUS_SERVICE", "cyrus", argv
    for _ in range(LINKS if called else 0):
        base = called.rpartition("/")[2]
        if base in NAMES:
            return f"the name {called}", NAMES[base], argv
        try:
            target = posix.readlink(called)
            called = target if target.startswith("/") else called[: called.rfind("/") + 1] + target
        except OSError:
            break
    return "", "", argv


def named(name: str, origin: str) -> "Personality":
    """The personality of that name; ConfigurationError if there is none."""
    if name in SERVED:
        module: Personality = __import__(f"{__package__}.{name}", fromlist=["name"])
        return module
    raise ConfigurationError(
        f"{origin}: personality {name!r}: no program of that name is known; there is {', '.join(SERVED)}"
    )


def ours(personality: "Personality") -> "tuple[Option, ...]":
    """Our own options, as they are spelt among those of ``personality``."""
    if not any(row.long for row in personality.OPTIONS):
        return OURS
    return tuple(Option(PREFIX + row.long, row.value, row.why, action=row.action) for row in OURS)


def glimpse(argv: "Sequence[str]", rows: "tuple[Option, ...]") -> "dict[str, str]":
    """Our own options on the line, the last value of each, by name.

    They are looked for before the line is read: only the file that they name tells by whose rules it is to be read.
    """
    takes = {row.long: bool(row.value) and not row.value.startswith("[") for row in rows}
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
        seen[name.removeprefix(PREFIX)] = value
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
        posix.lstat(path)
    except FileNotFoundError:
        return True
    except OSError:
        pass  # whoever opens it tells what is wrong
    return False


class Line:
    """An argument list, read by the rows of one personality and our own."""

    def __init__(
        self, argv: "Sequence[str]", personality: "Personality", environ: "Mapping[str, str]", euid: int
    ) -> None:
        self.environ = environ
        self.euid = euid
        self.action = "serve"
        self.config = ""
        self.inetd = False
        self.layers: list[Layer] = []
        self.listen: list[str] = []
        self.notes: list[str] = []
        rows = personality.OPTIONS + ours(personality)
        self.given, self.operands = options.parse(argv, rows, explainer(rows, personality.name), personality.RULES)
        if any(one.option.action in AT_ONCE for one in self.given):
            self.action = next(one.option.action for one in self.given if one.option.action in AT_ONCE)
            return
        for one in self.given:
            self.take(one.option, one.value)
        if self.inetd and self.listen:
            raise ConfigurationError("--inetd and --listen exclude each other; leave one out")

    def take(self, option: Option, value: "str | None") -> None:
        """Do what one option says."""
        origin = f"command line, {option.spelt}"
        if option.action:
            self.act(option, value)
        elif option.setting:
            self.layers.append((origin, {option.setting: self.raw(option, value)}))
        elif option.sets:
            self.layers.append((origin, self.checked(option, value, option.sets)))
        else:
            self.take_ours(option.long.removeprefix(PREFIX), value, origin)

    def take_ours(self, name: str, value: "str | None", origin: str) -> None:
        """Do what an option of our own says; others that get here are ``configured``'s."""
        if name == "config":
            self.config = value or ""
            if not value:
                raise ConfigurationError("--config names no file; --config none reads none")
        elif name == "set":
            key, equals, raw = (value or "").partition("=")
            if not equals:
                raise ConfigurationError(f"--set {value}: there is no = in it; write --set KEY=VALUE")
            if key == "personality":
                raise ConfigurationError("--set personality: write --personality NAME as the first word")
            self.layers.append((origin, {key: raw}))
        elif name == "listen":
            self.listen.append(value or "")
            self.layers.append((origin, {"listen": list(self.listen)}))
        elif name == "inetd":
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
        return True if value is None else self.checked(option, value, option.read)

    def checked(self, option: Option, value: "str | None", read: "Callable[[Any], T]") -> "T":
        try:
            return read(value)
        except ValueError as why:
            shown = "" if value is None else f" {value!r}"
            raise ConfigurationError(f"command line: {option.spelt}{shown} {why}") from None

    def has(self, spelt: str) -> bool:
        """Whether the option spelt so was given."""
        return any(spelt in one.option.spellings for one in self.given)

    def value(self, spelt: str) -> "str | None":
        """The last value given to the option spelt so, or None."""
        return next((one.value for one in reversed(self.given) if spelt in one.option.spellings), None)


def explainer(rows: "tuple[Option, ...]", personality: str) -> "Callable[[str, str], str]":
    """The words for an option that is not among ``rows``; the tables they come from are loaded only then."""

    def explain(spelt: str, argument: str) -> str:
        from qpopper_py.personality import foreign

        return foreign.words(spelt, argument, rows, personality)

    return explain
