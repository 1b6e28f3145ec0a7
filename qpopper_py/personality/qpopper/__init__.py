"""Qpopper 4's popper(8): its flags; its configuration file is read by ``language`` and ``directives``, if -f names one.

Flags are stronger than the file, wherever -f stands among them.  What Qpopper does by default and this does not, for
a reason: DELE counts only after QUIT (update-on-abort is false; RFC 1939 section 6), and EXPIRE is NEVER until it is
said what is true.
"""

from qpopper_py.errors import ConfigurationError
from qpopper_py.personality.options import FIRST, Option
from qpopper_py.personality.qpopper.speech import DIALECT
from qpopper_py.personality.tru64 import trace_file

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from qpopper_py.personality.commandline import Layer, Line

__all__ = ["DIALECT", "OPTIONS", "RULES", "SETTINGS", "configured", "name", "title"]

name = "qpopper"
title = "Qpopper 4"
RULES = FIRST

SETTINGS: "dict[str, object]" = {
    "timeout": 120,
    "uidl": "qpopper4",
    "status_headers": "write",
    "last": "stored",
    "mbox.separator": "strict",
    "mbox.internal": "hidden",
    "auth.minimum_uid": 11,
    "auth.max_failures": 1,
    "pam.service": "pop3",
    "no_mime_suffix": True,
    "log.ident": "popper",
    "log.reverse_lookup": True,
    "log.statistics_client": True,
}

PORT = 110
CLEARTEXT: "dict[str, tuple[str, bool]]" = {  # -p: auth.cleartext, mailauth.exclusive
    "0": ("always", True),
    "1": ("never", True),
    "2": ("always", False),
    "3": ("local", True),
    "4": ("tls", True),
}
TLS = {"0": "no", "1": "starttls", "2": "implicit"}


def traced(value: "str | None") -> "Mapping[str, object]":
    """-t turns debugging on, as it did."""
    return {"trace.file": trace_file(value or ""), "debug": True}


def unresolved(_: "str | None") -> "Mapping[str, object]":
    return {"log.reverse_lookup": False}


def cleartext(value: "str | None") -> "Mapping[str, object]":
    """-p 0 to 4."""
    if value not in CLEARTEXT:
        raise ValueError("is none of 0 default, 1 never, 2 always, 3 local, 4 TLS")
    mode, exclusive = CLEARTEXT[value]
    return {"auth.cleartext": mode, "mailauth.exclusive": exclusive}


def tls(value: "str | None") -> "Mapping[str, object]":
    """-l 0 to 2."""
    if value not in TLS:
        raise ValueError("is none of 0 no TLS, 1 STLS, 2 TLS from the first octet")
    return {"tls.mode": TLS[value]}


def tickets(_: "str | None") -> "Mapping[str, object]":
    """-k: nobody gets in but by a ticket (KPOP)."""
    return {"kpop": True, "auth.sources": "kerberos"}


def announced(value: "str | None") -> "Mapping[str, object]":
    """-e login_delay=N,expire=N: what CAPA says; -1 is never, and nothing."""
    said: dict[str, object] = {}
    for word in (value or "").replace(" ", "").split(","):
        key, equals, number = word.lower().partition("=")
        never = number == "-1"
        if not equals or not (never or (number.isascii() and number.isdigit())):
            raise ValueError("is not login_delay=SECONDS,expire=DAYS")
        if key == "expire":
            said["expire"] = "never" if never else number
        elif key == "login_delay":
            said["login_delay_announced"] = "0" if never else number
        else:
            raise ValueError(f"holds {key!r}, which is neither login_delay nor expire")
    return said


NO_DRAC = (
    "DRAC let whoever had read mail relay it, by a daemon of its own, which is gone; a program that login_hook names "
    "can tell your mailer the client's address"
)
# Flags that are taken and change nothing: why.
NO_EFFECT = {
    "-B": "bulletins that cannot be had never keep anybody from the mail",
    "-D": NO_DRAC,
    "-F": "mail is never copied; a mailbox is rewritten in place, and from the first deletion on only",
    "-L": "locks are held for moments, and refreshed by time",
    "-S": "mail is never copied to a temporary file, for nobody",
}


def refused(why: str) -> "Callable[[str | None], Mapping[str, object]]":
    """An option that must not be passed over."""

    def refuse(_: "str | None") -> "Mapping[str, object]":
        raise ValueError(why)

    return refuse


OPTIONS: "tuple[Option, ...]" = (
    Option("b", "DIR", "bulletins for everybody lie in DIR", setting="bulletins.source"),
    Option("B", "", "no effect: " + NO_EFFECT["-B"]),
    Option("c", "", "turn user names to lower case", setting="auth.lowercase_user"),
    Option("C", "", "cut the domain off user names", setting="auth.strip_domain"),
    Option("d", "", "log each command and reply", setting="debug"),
    Option("D", "HOST", "no effect: DRAC is gone; see login_hook"),
    Option("e", "login_delay=N,expire=N", "what CAPA announces", sets=announced),
    Option("f", "FILE", "read the configuration FILE, as Qpopper's popper"),
    Option("F", "", "no effect: " + NO_EFFECT["-F"]),
    Option("k", "", "Kerberos: clients show a ticket before the greeting (KPOP)", sets=tickets),
    Option("K", "SERVICE", "the first part of our principal's name", setting="kerberos.service"),
    Option("l", "0|1|2", "TLS: none, when asked for by STLS, from the first octet", sets=tls),
    Option("L", "MESSAGES", "no effect: " + NO_EFFECT["-L"]),
    Option("p", "0|1|2|3|4", "passwords in the clear: default, never, always, local, under TLS", sets=cleartext),
    Option("R", "", "do not look up the names of clients", sets=unresolved),
    Option("s", "", "log one record of statistics at the end of each session", setting="statistics"),
    Option("S", "", "no effect: " + NO_EFFECT["-S"]),
    Option("t", "FILE", "append a trace of the dialogue to FILE, and -d", sets=traced),
    Option("T", "SECONDS", "end a session that has sent no command for SECONDS", setting="timeout"),
    Option("u", "", "heed the users' own ~/.qpopper-options"),
    Option("U", "", "heed .USER.qpopper-options in the spool"),
    Option("v", "", "print the version", action="version"),
    Option("V", "", "print the version", action="version"),
    Option(
        "x",
        "",
        "refused: the last Qpopper 4.0 and 4.1 list it, and what it does is not known here",
        sets=refused("is of Qpopper 4.1, and no text was to be had that says what it does; leave it out"),
    ),
    Option("y", "FACILITY", "the syslog facility: mail, local0 to local7", setting="log.facility", read=str.lower),
)


def configured(line: "Line") -> "list[Layer]":
    """The file of -f, and what no single flag says: where to listen, and whose options count."""
    line.layers[:0] = listening(line.operands)
    for one in line.given:
        if (one.option.spelt) in NO_EFFECT:
            line.notes.append(f"{one.option.spelt}: no effect: {NO_EFFECT[one.option.spelt]}")
    path = line.value("-f")
    layers: list[Layer] = []
    whose = set()
    if path is not None:
        from qpopper_py.personality.qpopper import directives, language

        found = directives.layers(language.read(path, line.euid), line.notes)
        layers, whose = found.layers, found.whose
        if whose:
            layers.append((path, {"user_options": directives.WHOSE[frozenset(whose)]}))
    flags = {one.option.spelt for one in line.given} & {"-u", "-U"}
    if flags:
        whose |= {"home" if flag == "-u" else "spool" for flag in flags}
        both = "both" if len(whose) > 1 else whose.pop()
        line.layers.insert(0, (f"command line, {' '.join(sorted(flags))}", {"user_options": both}))
    return layers


def listening(operands: "list[str]") -> "list[Layer]":
    """The operand [ADDRESS][:][PORT]: listen there, in the background."""
    if not operands:
        return []
    if len(operands) > 1:
        raise ConfigurationError(f"{operands[1]!r} is no option; popper takes one [address][:port], before its options")
    return [(f"command line, {operands[0]}", {"listen": [address(operands[0])], "serve.background": True})]


def address(operand: str) -> str:
    """``[ADDRESS][:][PORT]`` as HOST:PORT; an IPv6 address stands in brackets."""
    if operand.isascii() and operand.isdigit():
        return f":{operand}"
    host, colon, port = operand.rpartition(":")
    if not colon or (operand.startswith("[") and operand.endswith("]")):
        host, port = operand, ""
    return f"{host}:{port or PORT}"
