"""mailauth's command line: Tru64's options with one dash, and the words that people type, into a Request.

What is done with a secret on the command line: it is refused, and never repeated, for every user of the machine
can read it there.
"""

from collections.abc import Sequence

from qpopper_py.auth.authdb import TYPES
from qpopper_py.errors import ConfigurationError

USAGE = """\
usage: mailauth [-init] [-convert [FILE]] [-list [-type POP | APOP | IMAP]] [-delete NAME]
                [-user NAME [-type POP | APOP | IMAP]]
       mailauth                              add or change your own entry
       mailauth add USER [--type TYPE]       add an entry, or change its secret
       mailauth passwd [USER] [--type TYPE]  change the secret of an entry that is there
       mailauth delete USER [--type TYPE]    remove the user's entry of that type, or all
       mailauth list [--type TYPE]           who has entries, and of which types
       mailauth init [--force]               make an empty database and its key
       mailauth convert FILE [--overwrite]   take over a popauth, mailauth or mailutils database
       mailauth export [FILE] [--type TYPE] [--secrets | --passwd-file]
       mailauth import FILE [--overwrite]    FILE as export wrote it; - is the standard input
       mailauth hash                         print the hash of a password for an accounts file

TYPE is POP, APOP or IMAP; without it the entry that is there, else APOP.
options: --stdin (read the secret from the standard input, a line), --force, --config FILE, --set KEY=VALUE,
         --help, --version.  See mailauth(8)."""

# action: (least and most operands, flags that go with it)
ACTIONS = {
    "init": (0, 0, {"force"}),
    "convert": (0, 1, {"overwrite"}),
    "list": (0, 0, {"type"}),
    "delete": (1, 1, {"type"}),
    "add": (1, 1, {"type", "stdin", "force"}),
    "passwd": (0, 1, {"type", "stdin"}),
    "own": (0, 0, {"type", "stdin"}),
    "export": (0, 1, {"type", "secrets", "passwd-file"}),
    "import": (1, 1, {"overwrite"}),
    "hash": (0, 0, {"stdin"}),
    "help": (0, 9, set[str]()),
    "version": (0, 9, set[str]()),
}
DASHED = {"init": "init", "convert": "convert", "list": "list", "delete": "delete", "user": "add"}
WORDS = ("add", "passwd", "delete", "list", "init", "convert", "export", "import", "hash")
AT_ONCE = {"help": "help", "h": "help", "version": "version"}
VALUED = ("type", "config", "set")
FLAGS = ("force", "overwrite", "stdin", "secrets", "passwd-file")


class Request:
    """What is asked for: ``operand`` is a user or a file, ``settings`` the arguments for the settings' reader."""

    __slots__ = ("action", "flags", "operand", "settings", "type")

    def __init__(self) -> None:
        self.action = ""
        self.operand = ""
        self.type = ""
        self.flags: set[str] = set()
        self.settings: list[str] = []


def parse(argv: "Sequence[str]") -> Request:
    """The request; ConfigurationError names what is wrong with it."""
    request = Request()
    operands: list[str] = []
    words = list(argv)
    while words:
        word = words.pop(0)
        if word == "--":
            operands += words
            break
        if len(word) > 1 and word.startswith("-"):
            option(request, word, words)
            if request.action in AT_ONCE.values():
                return request
        elif not request.action and not operands and word in WORDS:
            request.action = word
        else:
            operands.append(word)
    return checked(request, operands)


def option(request: Request, word: str, following: "list[str]") -> None:
    """Take one option, and its value from ``following``."""
    name, equals, value = word.lstrip("-").partition("=")
    if name in VALUED:
        if not equals:
            if not following:
                raise ConfigurationError(f"{word} needs a value")
            value = following.pop(0)
        if name == "type":
            request.type = type_of(value)
            request.flags.add("type")
        else:
            request.settings += ["--" + name, value]
    elif equals:
        raise ConfigurationError(f"-{name} takes no value behind =")
    elif name in FLAGS:
        request.flags.add(name)
    elif name in AT_ONCE or name in DASHED:
        action = {**AT_ONCE, **DASHED}[name]
        if request.action:
            raise ConfigurationError(f"{word} and {request.action} exclude each other")
        request.action = action
    else:
        raise ConfigurationError(f"there is no option {word.partition('=')[0]}")


def type_of(word: str) -> str:
    if word.upper() not in TYPES:
        raise ConfigurationError(f"there is no type {word!r}; it is POP, APOP or IMAP")
    return word.upper()


def checked(request: Request, operands: "list[str]") -> Request:
    """The request with its operand; ConfigurationError if the parts do not go together."""
    if not request.action:
        if operands:
            raise ConfigurationError(f"there is no command {operands[0]!r}; it is one of {', '.join(WORDS)}")
        request.action = "own"
    least, most, flags = ACTIONS[request.action]
    told = "mailauth without a name" if request.action == "own" else request.action
    if len(operands) > most and "stdin" in flags:
        raise ConfigurationError(
            "too many words. A secret is never given on the command line, where everybody can read it: "
            "mailauth asks for it, or reads it with --stdin. If that was one, choose another"
        )
    if not least <= len(operands) <= most:
        raise ConfigurationError(f"{told} takes {'nothing' if not most else 'a name' if least else 'one name at most'}")
    for flag in sorted(request.flags - flags):
        raise ConfigurationError(f"--{flag} does not go with {told}")
    request.operand = operands[0] if operands else ""
    if request.action == "passwd" and not request.operand:
        request.action = "own"
    return request
