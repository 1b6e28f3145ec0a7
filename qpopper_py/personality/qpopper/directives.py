"""Every option of Qpopper's configuration file: what it is here.  popper(8) has the same table; a test compares them.

An option *works* (it stands for settings), has *no effect* (why, which --check-config tells), or is *refused* (why).
``restriction`` is the original's: U, not in a user's own file; I, not once the client is connected.  ``own`` is ours:
whose own file may hold it, ``home`` (~/.qpopper-options, and what a user may have written), ``spool`` (root's file in
the spool, which may hold those of ``home`` too), or nobody's.  It names what is harmless, so that an option that comes
later is not by accident (CVE-2002-0889, CVE-2005-1151: paths, commands and log files there were a way to root).
"""

import os

from qpopper_py.errors import ConfigurationError
from qpopper_py.personality import qpopper
from qpopper_py.qpopper_line import BOOLEAN, HUSHED, INTEGER, STRING, WORD

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping
    from typing import Any

    from qpopper_py.personality.commandline import Layer
    from qpopper_py.qpopper_line import Said

    Sets = Callable[[Any], Mapping[str, object]]

WORKS, NO_EFFECT, REFUSED = "works", "no effect", "refused"
HOME, SPOOL = "home", "spool"
# Whose own options count -> the setting user_options.
WHOSE = {
    frozenset[str](): "off",
    frozenset([HOME]): "home",
    frozenset([SPOOL]): "spool",
    frozenset([HOME, SPOOL]): "both",
}


class Directive:
    """One row.  ``sets`` raises ValueError for a value that it does not take."""

    __slots__ = ("kind", "name", "own", "restriction", "sets", "verdict", "why")

    def __init__(
        self,
        name: str,
        kind: str,
        restriction: str = "",
        sets: "Sets | None" = None,
        *,
        why: str = "",
        refused: str = "",
        own: str = "",
    ) -> None:
        self.name = name
        self.kind = kind
        self.restriction = restriction
        self.sets = sets
        self.why = why or refused
        self.verdict = REFUSED if refused else WORKS if sets else NO_EFFECT
        self.own = own


def to(setting: str) -> "Sets":
    """The value is the setting's."""
    return lambda value: {setting: value}


def never(setting: str, never_is: str) -> "Sets":
    """A number, of which -1 is never."""
    return lambda value: {setting: never_is if value < 0 else str(value)}


def either(setting: str, if_true: str, if_false: str) -> "Sets":
    return lambda value: {setting: if_true if value else if_false}


def one_of(words: "Mapping[str, Mapping[str, object]]") -> "Sets":
    """A mnemonic, in any case."""

    def read(value: str) -> "Mapping[str, object]":
        if value.lower() not in words:
            raise ValueError("is not one of " + ", ".join(words))
        return words[value.lower()]

    return read


def at_home(value: str) -> "Mapping[str, object]":
    if not value or value.startswith("/") or ".." in value.split("/") or "%" in value:
        raise ValueError("is not a file's name below the home folder")
    return {"maildrop": f"mbox:%h/{value}"}


def traced(value: str) -> "Mapping[str, object]":
    return {"trace.file": value, "debug": True}


def kerberos(value: bool) -> "Mapping[str, object]":
    return qpopper.tickets(None) if value else {}


def facility(value: str) -> "Mapping[str, object]":
    return {"log.facility": value.lower().removeprefix("log_")}


NEVER_COPIED = "mail is never copied to a temporary file, for nobody"
INDEXED = "the index of a mailbox lies in state_dir"
OPENSSL = "OpenSSL of today has its workarounds on, and its protocols' weak spots off"
BROKEN = "SSL of any version is broken (RFC 6176, RFC 7568): say TLSv1, or nothing"
MODERN: "Mapping[str, object]" = {}  # tls.minimum stays
TLS_VERSIONS: "dict[str, Mapping[str, object]]" = {
    "default": MODERN,
    "all": MODERN,
    "sslv23": MODERN,
    "tlsv1": {"tls.minimum": "1.0"},
}
CLEARTEXT = {
    word: qpopper.cleartext(digit)
    for word, digit in (
        ("default", "0"), ("never", "1"), ("always", "2"), ("local", "3"), ("tls", "4"), ("ssl", "4"), ("tls/ssl", "4"),
    )
}  # fmt: skip
SUPPORT = {
    "default": {"tls.mode": "no"},
    "none": {"tls.mode": "no"},
    "stls": {"tls.mode": "starttls"},
    "alternate-port": {"tls.mode": "implicit"},
}

# fmt: off
TABLE = (
    Directive("announce-expire", INTEGER, "", never("expire", "never"), own=HOME),
    Directive("announce-login-delay", INTEGER, "", never("login_delay_announced", "0"), own=HOME),
    Directive("auth-file", STRING, "I", to("auth.auth_file")),
    Directive("auto-delete", BOOLEAN, "U", to("auto_delete"), own=SPOOL),
    Directive("bulldb-max-tries", INTEGER, why="the database of bulletins is read once a user, and never waited for"),
    Directive("bulldb-nonfatal", BOOLEAN, why=qpopper.NO_EFFECT["-B"]),
    Directive("bulldir", STRING, "", to("bulletins.source")),
    Directive("cache-dir", STRING, "U", why=INDEXED),
    Directive("cache-name", STRING, "U", why=INDEXED),
    Directive("check-hash-dir", BOOLEAN, why="who delivers makes the folders; where there is none there is no mail"),
    Directive("check-old-spool-loc", BOOLEAN, why="left-over temp drops are always looked for in the spool as well"),
    Directive("check-password-expired", BOOLEAN, "I", to("auth.password_age")),
    Directive("chunky-writes", WORD, why="what is sent is always gathered"),
    Directive("clear-text-password", WORD, "U", one_of(CLEARTEXT)),
    Directive("config-file", STRING, "", to("config-file")),
    Directive("debug", BOOLEAN, "", to("debug")),
    Directive("downcase-user", BOOLEAN, "U", to("auth.lowercase_user")),
    Directive("drac-host", STRING, why=qpopper.NO_DRAC),
    Directive("fast-update", BOOLEAN, why=qpopper.NO_EFFECT["-F"]),
    Directive("group-bulletins", BOOLEAN, "U", to("bulletins.groups")),
    Directive("group-no-server-mode", STRING, "U", why=NEVER_COPIED),
    Directive("group-server-mode", STRING, "U", why=NEVER_COPIED),
    Directive("hash-spool", INTEGER, "U", to("hash_spool")),
    Directive("home-dir-mail", STRING, "U", at_home),
    Directive("keep-temp-drop", BOOLEAN, "U", why=NEVER_COPIED),
    Directive("kerberos", BOOLEAN, "U", kerberos),
    Directive("kerberos-service", STRING, "U", to("kerberos.service")),
    Directive("log-facility", WORD, "", facility),
    Directive("log-login", STRING, "", to("log.login")),
    Directive("mail-command", STRING, "U", to("sendmail")),
    Directive("mail-lock-check", INTEGER, why=qpopper.NO_EFFECT["-L"]),
    Directive("max-bulletins", INTEGER, "", to("bulletins.new_users"), own=HOME),
    Directive("no-atomic-open", BOOLEAN, "U", why="dotlocks are made so that they hold on NFS"),
    Directive("nonauth-file", STRING, "I", to("auth.nonauth_file")),
    Directive("old-style-uid", BOOLEAN, "", either("uidl", "qpopper2", "qpopper4"), own=HOME),
    Directive("reverse-lookup", BOOLEAN, "U", to("log.reverse_lookup")),
    Directive("server-mode", BOOLEAN, why=NEVER_COPIED),
    Directive("shy", BOOLEAN, "I", either("server_info", "off", "on")),
    Directive("spool-dir", STRING, "U", to("spool")),
    Directive("spool-options", BOOLEAN, "U", to("spool-options")),
    Directive("statistics", BOOLEAN, "", to("statistics")),
    Directive("temp-dir", STRING, "U", to("tempdrop.folder")),
    Directive("temp-name", STRING, "U", to("tempdrop.name")),
    Directive("timeout", INTEGER, "", to("timeout"), own=HOME),
    Directive("timing", BOOLEAN, "", to("log.timing")),
    Directive("tls-cipher-list", STRING, "I", to("tls.ciphers")),
    Directive("tls-identity-file", STRING, "I", refused="SSLPlus is no more; say tls-server-cert-file, a PEM file"),
    Directive("tls-options", INTEGER, "U", why=OPENSSL),
    Directive(HUSHED, STRING, "I", to("tls.passphrase_file")),
    Directive("tls-private-key-file", STRING, "I", to("tls.key")),
    Directive("tls-server-cert-file", STRING, "I", to("tls.certificate")),
    Directive("tls-support", WORD, "I", one_of(SUPPORT)),
    Directive("tls-version", WORD, "I", one_of(TLS_VERSIONS)),
    Directive("tls-workarounds", BOOLEAN, "U", why=OPENSSL),
    Directive("tracefile", STRING, "", traced),
    Directive("trim-domain", BOOLEAN, "U", to("auth.strip_domain")),
    Directive("update-on-abort", BOOLEAN, "", to("update_on_abort"), own=HOME),
    Directive("update-status-headers", BOOLEAN, "", either("status_headers", "write", "keep"), own=HOME),
    Directive("user-options", BOOLEAN, "U", to("user-options")),
    Directive("UW-kluge", BOOLEAN, "", either("mbox.internal", "hidden", "shown"), own=HOME),
    Directive("UW-kludge", BOOLEAN, "", either("mbox.internal", "hidden", "shown"), own=HOME),
)
# fmt: on
BY_NAME = {row.name.lower(): row for row in TABLE}
KINDS = {name: row.kind for name, row in BY_NAME.items()}


class Found:
    """What a file amounts to: layers for Settings, and ``whose`` own options count."""

    __slots__ = ("layers", "whose")

    def __init__(self) -> None:
        self.layers: list[Layer] = []
        self.whose: set[str] = set()


def layers(statements: "Iterable[Said]", notes: "list[str]") -> Found:
    """``statements`` as settings; what has no effect goes to ``notes``.  Raises ConfigurationError."""
    found = Found()
    for said in statements:
        row = BY_NAME[said.name]
        if row.verdict == NO_EFFECT:
            notes.append(f"{said.origin}: {row.name}: no effect: {row.why}")
        elif row.name in ("user-options", "spool-options"):
            whose = HOME if row.name == "user-options" else SPOOL
            found.whose = found.whose | {whose} if said.value else found.whose - {whose}
        else:
            found.layers.append((said.origin, settings(row, said)))
    return found


def settings(row: Directive, said: "Said") -> "Mapping[str, object]":
    """What the option stands for; of a secret, where it stands.  Raises ConfigurationError."""
    if row.verdict == REFUSED or row.sets is None:
        raise ConfigurationError(f"{said.origin}: {row.name}: {row.why}")
    try:
        if row.name == "tls-version" and str(said.value).lower() in ("sslv2", "sslv3"):
            raise ValueError(f": {BROKEN}")
        return row.sets(os.path.abspath(said.path) if row.name == HUSHED and said.value else said.value)
    except ValueError as why:
        raise ConfigurationError(f"{said.origin}: Bad value for the {row.name} option: {said.value!r} {why}") from None
