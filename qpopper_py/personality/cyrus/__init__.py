"""Cyrus' pop3d(8): ``pop3d [-C FILE] [-U N] [-T SEC] [-D] [-X] [-s] [-k] [-p SSF] [-H]``, and imapd.conf(5).

Run from cyrus.conf's ``cmd=`` by its master(8) or without it.  What imapd.conf says is read by
:mod:`~qpopper_py.personality.cyrus.imapd_conf` and means what :mod:`~.directives` says.
"""

from qpopper_py.errors import ConfigurationError
from qpopper_py.personality.cyrus.dialect import DIALECT
from qpopper_py.personality.options import POSIX, Option, no_operands

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping

    from qpopper_py.personality.commandline import Layer, Line

__all__ = ["DIALECT", "OPTIONS", "RULES", "SETTINGS", "configured", "name", "title"]

name = "cyrus"
title = "Cyrus' pop3d"
RULES = POSIX

# What Cyrus does where imapd.conf says nothing.  APOP is offered where there is a secret that can answer to it.
SETTINGS: "dict[str, object]" = {
    "uidl": "cyrus",
    "last": "off",
    "xmit": "off",
    "second_session": "allowed",
    "limits.sessions_user": 0,
    "limits.line": 8192,
    "auth.cleartext": "tls",
    "auth.lowercase_user": True,
    "auth.refusal_delay": 3,
    "auth.max_failures": 0,
    "login_timeout": 600,
    "log.style": "cyrus",
}
IMAPD_CONF = "/etc/imapd.conf"


def whole(value: str) -> int:
    """As atoi(3) reads the numbers of -U and -T, but for what is no number: Cyrus takes that for 0, and -5 too."""
    if not (value.isascii() and value.isdigit() and len(value) < 10):
        raise ValueError("is not a number")
    return int(value)


def uses(value: "str | None") -> "Mapping[str, object]":
    """-U: 0 served one connection, too."""
    return {"prefork.reuse": max(1, whole(value or ""))}


OPTIONS: "tuple[Option, ...]" = (
    Option("C", "FILE", f"read FILE instead of {IMAPD_CONF}"),
    Option("U", "N", "end a process after N connections", sets=uses),
    Option("T", "SEC", "end a process that had no connection for SEC to twice SEC; 0: never",
           setting="serve.idle", read=whole),
    Option("D", "", "run debug_command of the configuration file at the start"),
    Option("X", "", "serve the connection on descriptor 0, even under master(8)"),
    Option("s", "", "TLS from the first octet (pop3s)", sets=lambda _: {"tls.mode": "implicit"}),
    Option("k", "", "KPOP: a Kerberos ticket before the greeting"),
    Option("p", "SSF", "an outer layer of that strength is there; above 1, passwords may come in the clear",
           setting="outer_layer", read=whole),
    Option("H", "", "every connection begins with a PROXY header"),
)  # fmt: skip
ANYWHERE = ["0.0.0.0/0", "::/0"]


def service(line: "Line") -> str:
    """The service's name in cyrus.conf, with which an option of imapd.conf may begin."""
    if given := line.environ.get("CYRUS_SERVICE", ""):
        return given
    from qpopper_py.personality.cyrus import cyrus_conf

    usual = "pop3s" if line.has("-s") else "kpop" if line.has("-k") else "pop3"
    return cyrus_conf.service(line.has("-s"), line.has("-k")) or usual


def configured(line: "Line") -> "list[Layer]":
    """imapd.conf, and the options that no setting stands for."""
    no_operands(line)
    layers: list[Layer] = []
    path = line.value("-C")
    if path == "":
        raise ConfigurationError("-C names no file")
    if path or present(IMAPD_CONF):
        from qpopper_py.personality.cyrus.imapd_conf import layers_of

        layers += layers_of(path or IMAPD_CONF, service(line), line)
    if line.has("-k"):
        layers.append(("command line, -k", {"kpop": True, "auth.sources": ["kerberos"]}))
    if line.has("-H"):
        layers.append(("command line, -H", {"proxy.networks": ANYWHERE}))
    if line.has("-X"):
        line.inetd = True
    return layers


def present(path: str) -> bool:
    """Whether there may be such a file: whoever opens it tells what is wrong with it."""
    from os import lstat

    try:
        lstat(path)
    except FileNotFoundError:
        return False
    except OSError:
        pass
    return True
