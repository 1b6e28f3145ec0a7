"""popa3d(8) of Openwall, ``popa3d [-D] [-V]``, and of OpenBSD, ``popa3d [-46DV]``.

Neither reads a file: what an administrator chose when building it (params.h) are settings here, with Openwall's values.
Where one listens, and whether in the background, is weaker than pop3d.toml.
"""

from qpopper_py.personality.options import POSIX, Option, no_operands
from qpopper_py.personality.ucb import TEXTS
from qpopper_py.protocol.dialect import Dialect
from qpopper_py.protocol.request import parse_strictly

TYPE_CHECKING = False
if TYPE_CHECKING:
    from qpopper_py.personality.commandline import Layer, Line

__all__ = ["DIALECT", "OPTIONS", "RULES", "SETTINGS", "configured", "name", "title"]

name = "popa3d"
title = "popa3d (Openwall's and OpenBSD's)"
RULES = POSIX

SETTINGS: "dict[str, object]" = {
    "commands": "original",
    "apop.stamp": "never",  # it had no APOP, and its greeting is +OK alone
    "last": "touched",
    "uidl": "popa3d",
    "mbox.separator": "popa3d",
    "mbox.internal": "shown",
    "status_headers": "keep",
    "second_session": "allowed",
    "limits.sessions_user": 0,
    "tempdrop.name": "",
    "xmit": "off",
    "locks.dotlock": "try",  # it took none at all: where there can be none, fcntl has to do, as it had to there
    "timeout": 600,
    "login_timeout": 600,
    "limits.line": 128,
    "limits.argument": 40,
    "limits.sessions": 500,
    "limits.sessions_address": 50,
    "limits.min_delay": 10,
    "auth.max_failures": 1,
    "pam.service": "popa3d",
    "log.facility": "daemon",
    "log.ident": "popa3d",
    "log.style": "popa3d",
}

OPTIONS: "tuple[Option, ...]" = (
    Option("D", "", "listen on 0.0.0.0:110, in the background"),
    Option("V", "", "print the version", action="version"),
    Option("4", "", "with -D: by IPv4 only"),
    Option("6", "", "with -D: by IPv6 only, on [::]:110"),
)
ADDRESSES = {"4": "0.0.0.0:110", "6": "[::]:110"}

WORDLESS = dict.fromkeys(TEXTS, "")
DIALECT = Dialect(
    {
        **WORDLESS,
        "refused": "Authentication failed (bad password?)",
        "refused_sasl": "Authentication failed (bad password?)",
        "stat": TEXTS["stat"],
        "list_one": TEXTS["list_one"],
        "uidl_one": TEXTS["uidl_one"],
        "last": "{number}",
        "language": "{language}",  # RFC 6856 section 3.2, with commands = all
    },
    withheld=frozenset(
        ("apop", "auth", "capa", "lang", "stls", "utf8", "xtnd xlist", "xtnd xlst", "xtnd xmit"),
    ),
    states={"user": ("authorization",)},  # once
    codes=False,
    parse=parse_strictly,
)


def configured(line: "Line") -> "list[Layer]":
    """Standalone, if -D says so; of -4 and -6 the last counts, and alone they mean nothing, as in OpenBSD's."""
    no_operands(line)
    letters = [one.option.letter for one in line.given if one.option.letter]
    if "D" not in letters:
        line.notes += [f"-{one}: without -D there is nothing to listen on, so it has no effect" for one in letters]
        return []
    family = next((letter for letter in reversed(letters) if letter in ADDRESSES), "4")
    return [("command line, -D", {"listen": [ADDRESSES[family]], "serve.background": True})]
