"""What is printed and then over: --help, --version, --dump-config, --check-config.  Loaded for these alone."""

import os
import sys

from qpopper_py import __version__
from qpopper_py.errors import ConfigurationError
from qpopper_py.events import printable
from qpopper_py.personality import check
from qpopper_py.personality.commandline import CHOICE, chosen, named, ours
from qpopper_py.personality.options import OPERANDS
from qpopper_py.settings import Settings, table

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from qpopper_py.personality.commandline import Invocation, Personality
    from qpopper_py.personality.options import Option

VERSION = f"pop3d (qpopper_py) {__version__}\n"


def answer(invocation: "Invocation") -> int:
    """Print what the invocation's action asks for; the exit status: 1 if --check-config found an error."""
    status = 0
    if invocation.action == "help":
        text = help_text(invocation.personality)
    elif invocation.action == "version":
        text = VERSION
    elif invocation.action == "check-config":
        findings = list(check.findings(invocation, os.geteuid()))
        status = int(any(finding.wrong for finding in findings))
        text = "".join(f"{finding}\n" for finding in findings) + verdict(invocation, status)
    elif invocation.action in (prints := getattr(invocation.personality, "PRINTS", {})):
        text = prints[invocation.action]()
    else:
        text = dump(invocation, everything=invocation.action == "dump-config-all")
    sys.stdout.write(text)
    sys.stdout.flush()
    return status


def verdict(invocation: "Invocation", status: int) -> str:
    """The last line of --check-config."""
    place = invocation.config or "the defaults and the command line"
    return f"{printable(place)}: " + ("mend what is marked error\n" if status else "good to serve\n")


def complaint(why: Exception, argv: "Sequence[str]", called: str) -> str:
    """A ConfigurationError for a person to read, with the synopsis."""
    try:
        personality = named(chosen(argv, os.environ, called)[1] or "tru64", "")
    except ConfigurationError:
        personality = named("tru64", "")
    return f"pop3d: {why}\n{synopsis(personality)}"


def help_text(personality: "Personality") -> str:
    """The synopsis and a line for each option."""
    return (
        f"{synopsis(personality)}\n"
        f"A POP3 server in the place of {personality.title}.  Unless it is to listen, it serves the one\n"
        "connection on descriptor 0, as inetd, xinetd and systemd (Accept=yes) pass it on.\n\n"
        f"Options of {personality.title}; letters cluster, values may be attached:\n"
        f"{listed(personality.OPTIONS)}\n"
        "Options of this server:\n"
        f"{listed((CHOICE, *ours(personality)))}\n"
        "Of a setting's values the later wins: built-in, personality, file, command line.\n"
        "Every setting is in pop3d.toml(5), and in --dump-config=all with its value and where that came from.\n"
    )


def synopsis(personality: "Personality") -> str:
    """How the command is spelt: the old program's options, ours, and what is done and over."""
    letters = [OPERANDS.get(personality.RULES, "").strip(), *(f"[{usage(row)}]" for row in personality.OPTIONS)]
    rows = ours(personality)
    settings = [f"[{usage(row)}]" for row in (CHOICE, *rows) if not row.action]
    actions = " | ".join(usage(row) for row in rows if row.action)
    return f"{folded('usage: pop3d', letters)}{folded(' ' * 12, settings)}       pop3d {actions}\n"


def folded(head: str, words: "Iterable[str]") -> str:
    """``head`` and the words behind it, in lines of up to 100 characters."""
    lines = [head]
    for word in filter(None, words):
        if len(lines[-1]) + len(word) >= 100:
            lines.append(" " * 12)
        lines[-1] += f" {word}"
    return "".join(f"{line}\n" for line in lines)


def usage(row: "Option") -> str:
    """An option with its value."""
    return row.spelt + ("" if row.value.startswith("[") else " " if row.value else "") + row.value


def listed(rows: "Iterable[Option]") -> str:
    """A line for each option."""
    spelt = [(", ".join(row.spellings) + usage(row).removeprefix(row.spelt), row.why) for row in rows]
    return "".join(f"  {words:<20}  {why}\n" for words, why in spelt)


def dump(invocation: "Invocation", *, everything: bool) -> str:
    """The settings as a pop3d.toml, a comment behind each saying where its value came from."""
    what = "every setting" if everything else "what differs from the defaults"
    if "system" in invocation.settings.auth_sources:
        from qpopper_py.auth.order import explained

        what += f"; in auth.sources {explained(invocation.settings)}"
    rows = list(dumped(invocation, everything=everything))
    return f"# {VERSION.strip()}: {what}\n" + "".join(rows or ["# nothing does\n"])


def dumped(invocation: "Invocation", *, everything: bool) -> "Iterator[str]":
    """A line for each setting that is to be shown."""
    settled = Settings([("", invocation.personality.SETTINGS)]).values
    for row in table():
        value = row.value(invocation.settings)
        begun = settled.get(row.name, row.default)  # what was set back to the built-in value differs, too
        if everything or value != row.default or begun != row.default:
            origin = printable(invocation.origins.get(row.name, "built-in"))
            yield f"{row.name} = {toml(row.written(value))}  # {origin}\n"


def toml(value: object) -> str:
    """A checked value as TOML writes it; texts hold no control characters."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, tuple):
        return "[" + ", ".join(map(toml, value)) + "]"
    if isinstance(value, dict):
        return (
            "{" + ", ".join(f"{key if key.isalpha() else toml(key)} = {toml(one)}" for key, one in value.items()) + "}"
        )
    if isinstance(value, (int, float)):
        return str(value)
    return '"' + str(value).replace("\\", "\\\\").replace('"', '\\"') + '"'
