"""popauth's command line and the passwords that it takes, as Qpopper's popauth(8) has them."""

import sys
from collections.abc import Sequence

from qpopper_py.errors import ConfigurationError, QpopperError
from qpopper_py.tools.mailauth_secret import LONGEST, Unchanged, prompt

MODES = ("popauth", "apopauth", "scramauth")
USAGE = """\
usage: {name} [-debug | -trace FILE] [ACTION]
       ACTION is one of
         -init [-safe]                 make an empty database; -safe: unless there is one
         -list [USER | ALL] [-only]    who has an entry; without a name, whether you have
         -user USER [PASSWORD] [-only] add the user, or change the password
         -delete USER                  remove the user's entry
         -help | -version
       Without ACTION your own password is changed.
       --config FILE, --set KEY=VALUE: of this server; see popauth(8)."""
AT_ONCE = {"help": "help", "version": "version"}
TRIES = 2  # times that a bad password is argued with, before it is taken


class Line:
    """What is asked for: ``action`` is own, init, list, user, delete, help or version."""

    __slots__ = ("action", "debug", "only", "password", "safe", "settings", "trace", "user")

    def __init__(self) -> None:
        self.action = "own"
        self.user = ""
        self.password: str | None = None
        self.safe = self.only = self.debug = False
        self.trace = ""
        self.settings: list[str] = []


def parse(argv: "Sequence[str]") -> Line:
    """The line as the original took it; ConfigurationError for anything else."""
    line = Line()
    words = list(argv)
    while words:
        word = words.pop(0)
        name, equals, value = word.lstrip("-").partition("=")
        if not word.startswith("-") or word == "-":
            raise ConfigurationError(f"{word!r} stands where an option should")
        if word.startswith("--") and name in ("config", "set"):
            line.settings += ["--" + name, value if equals else taken(words, word)]
        elif name in ("init", "list", "user", "delete", *AT_ONCE):
            if line.action != "own":
                raise ConfigurationError(f"{word} and -{line.action} exclude each other")
            line.action = name
            operands(line, words)
        elif name in ("safe", "only", "debug"):
            setattr(line, name, True)
        elif name == "trace":
            line.trace = taken(words, word)
        else:
            raise ConfigurationError(f"there is no option {word}")
    if line.safe and line.action != "init":
        raise ConfigurationError("-safe goes with -init")
    return line


def operands(line: Line, words: "list[str]") -> None:
    """Take what stands behind an action."""
    if line.action in ("user", "delete"):
        line.user = taken(words, "-" + line.action)
        if line.action == "user" and words and not words[0].startswith("-"):
            line.password = words.pop(0)
    elif line.action == "list" and words and not words[0].startswith("-"):
        line.user = words.pop(0)


def taken(words: "list[str]", option: str) -> str:
    if not words or not words[0]:
        raise ConfigurationError(f"{option} needs a value")
    return words.pop(0)


# ----------------------------------------------------------------------------------------------------------------


def asked(old: bytes | None) -> bytes:
    """A new password, typed twice.  ``old``: the one there is.  Unchanged: it stays."""
    for left in range(TRIES, -1, -1):
        new = prompt("New password:")
        if not new or new == old:
            raise Unchanged("Password unchanged.")
        complaint = weakness(new)
        if not complaint:
            break
        print(complaint, file=sys.stderr)
        if not left:
            break  # whoever insists has it
    if prompt("Retype new password:") != new:
        raise Unchanged("Mismatch -- password unchanged.")
    return usable(new)


def usable(secret: bytes) -> bytes:
    """The secret, if a client can send it."""
    if any(octet < 0x20 or octet == 0x7F for octet in secret):
        raise QpopperError("a password cannot hold control characters; password unchanged")
    if len(secret) > LONGEST:
        raise QpopperError(f"a password has {LONGEST} octets at most; password unchanged")
    return secret


def weakness(secret: bytes) -> str:
    """What is to be said against it, by the original's rule; empty: nothing."""
    text = secret.decode("latin-1")
    lower, upper, digit = (any(test(c) for c in text) for test in (is_lower, is_upper, is_digit))
    other = not all(is_lower(c) or is_upper(c) or is_digit(c) for c in text)
    kinds = lower + upper + digit
    if digit and kinds == 1 and not other:
        return "Please use at least one non-numeric character."
    least = 4 if other or kinds == 3 else 5 if kinds == 2 else 6
    return "" if len(text) >= least else "Please use a longer password."


def is_lower(c: str) -> bool:
    return "a" <= c <= "z"


def is_upper(c: str) -> bool:
    return "A" <= c <= "Z"


def is_digit(c: str) -> bool:
    return "0" <= c <= "9"
