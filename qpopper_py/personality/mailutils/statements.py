"""Every statement of pop3d in /etc/mailutils.conf (pop3d --config-help of 3.15), and what it is here.

man/mailutils-pop3d.8 has the same table in words; a test holds the two together.
"""

from qpopper_py.personality.mailutils import blocks, values

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from qpopper_py.personality.mailutils.language import Statement
    from qpopper_py.personality.mailutils.meaning import Meaning

    Does = Callable[[Meaning, Statement], None]

LIBRARY = "it is about mailutils' own library"


class Row:
    """One statement: it ``does`` something, or is a ``setting`` of the value that ``read`` makes; or neither: ``why``.

    A ``block`` that does nothing of its own is what its statements are, which TABLE has by their dotted names.
    """

    __slots__ = ("block", "does", "kind", "read", "setting", "why")

    def __init__(
        self,
        setting: str = "",
        read: "Callable[[str], object]" = str,
        *,
        does: "Does | None" = None,
        block: bool = False,
        kind: str = "works",
        why: str = "",
    ) -> None:
        self.setting = setting
        self.read = read
        self.does = does
        self.block = block
        self.kind = kind
        self.why = why


def idle(why: str, block: bool = False) -> Row:
    """No effect; a block's statements are not looked at."""
    return Row(does=blocks.nothing, block=block, kind="no effect", why=why)


def never(why: str) -> Row:
    return Row(kind="refused", why=why)


BLOCK = Row(block=True)
TABLE: "dict[str, Row]" = {
    "mode": Row(does=blocks.mode),
    "max-children": Row("limits.sessions", values.whole),
    "foreground": Row(does=blocks.foreground),
    "pidfile": Row("serve.pid_file", values.path),
    "port": Row(does=blocks.port),
    "timeout": Row("timeout", values.seconds),
    "transcript": Row("debug", values.boolean),
    "server": Row(does=blocks.server, block=True),
    "server.single-process": idle("every session has its own processes"),
    "server.transcript": Row(does=blocks.of_a_server),
    "server.timeout": Row(does=blocks.of_a_server),
    "server.backlog": idle("the backlog is 1024, or what the system allows"),
    "server.tls-mode": Row(does=blocks.server_tls),
    "server.tls": Row(does=blocks.server_tls_files, block=True),
    "server.acl": Row(does=blocks.server_acl, block=True),
    "acl": Row(does=blocks.acl, block=True),
    "acl.allow": Row(),
    "acl.deny": Row(),
    "acl.log": Row(),
    "acl.exec": Row(),
    "acl.ifexec": Row(),
    "tcp-wrappers": BLOCK,
    "tcp-wrappers.enable": Row(does=blocks.wrappers),
    "tcp-wrappers.daemon": Row("hosts_access_daemon"),
    "tcp-wrappers.allow-table": Row("hosts_access_allow", values.path),
    "tcp-wrappers.deny-table": Row("hosts_access_deny", values.path),
    "undelete": Row("deletion_marks", lambda text: "ignored" if values.boolean(text) else "deleted"),
    "expire": Row(does=blocks.expire),
    "delete-expired": Row("delete_expired", values.boolean),
    "scan-lines": Row("scan_lines", values.boolean),
    "login-delay": Row("login_delay", values.seconds),
    "stat-file": Row(
        "login_delay_import",
        values.path,
        kind="no effect",
        why="our own records are in state_dir; qpopper-py login-delays --import takes the old ones over",
    ),
    "bulletin-source": Row("bulletins.source", lambda url: values.bare(url)[1]),
    "bulletin-db": Row("bulletins.database", values.path),
    "output-buffer-size": idle("replies are sent in pieces of a fixed size"),
    "mandatory-locking": idle("a second session of a user is refused for every kind of mailbox", block=True),
    "mandatory-locking.enable": idle("as its block"),
    "mandatory-locking.lock-directory": idle("as its block"),
    "apop-database-file": idle("APOP secrets are in mailauth.database; mailauth convert FILE takes the old ones over"),
    "apop-database-owner": idle("the owner of mailauth.database is mailauth.owner"),
    "apop-database-safety": idle("a database that others may read or write is never believed"),
    "tls-mode": Row(does=blocks.tls_mode),
    "tls": BLOCK,
    "tls.ssl-certificate-file": Row("tls.certificate", values.path),
    "tls.ssl-key-file": Row("tls.key", values.path),
    "tls.ssl-ca-file": Row("tls.ca", values.path),
    "tls.ssl-priorities": idle("it is GnuTLS'; tls.minimum and tls.ciphers are OpenSSL's"),
    "tls.handshake-timeout": Row("tls.handshake_timeout", values.seconds),
    "tls-file-checks": idle("a key that others may read is never used", block=True),
    "tls-file-checks.key-file": idle("as its block"),
    "tls-file-checks.cert-file": idle("as its block"),
    "tls-file-checks.ca-file": idle("as its block"),
    "pam": BLOCK,
    "pam.service": Row("pam.service"),
    "auth": BLOCK,
    "auth.authentication": Row(does=blocks.authentication),
    "auth.authorization": Row(does=blocks.authorization),
    "virtdomain": BLOCK,
    "virtdomain.passwd-dir": Row(does=blocks.virtual),
    "sql": idle(values.NEVER["sql"], block=True),
    "ldap": idle(values.NEVER["ldap"], block=True),
    "radius": idle(values.NEVER["radius"], block=True),
    "gsasl": idle("pop3d had no SASL; ours is in auth.mechanisms", block=True),
    "mailer": idle("it is for other programs of mailutils", block=True),
    "address": idle("it is for other programs of mailutils", block=True),
    "mailbox": BLOCK,
    "mailbox.mail-spool": Row(does=blocks.spool),
    "mailbox.mailbox-pattern": Row(does=blocks.pattern),
    "mailbox.mailbox-type": Row(does=blocks.mailbox_type),
    "mailbox.folder": idle("POP3 has one mailbox a user"),
    "mailbox.autodetect-accuracy": idle("what a mailbox is is seen, or said by maildrop"),
    "locking": BLOCK,
    "locking.type": Row(does=blocks.lock_type),
    "locking.retry-count": Row(does=blocks.tries),
    "locking.retry-sleep": Row(does=blocks.sleep),
    "locking.retry-timeout": Row(does=blocks.sleep),
    "locking.expire-timeout": Row("locks.stale", values.seconds),
    "locking.external-locker": never(values.NO_LOCKER),
    "locking.pid-check": idle("the owner of a lock is always looked for, for a lock of the living is never taken away"),
    "locking.flags": idle("its statements have names of their own"),
    "logging": BLOCK,
    "logging.syslog": Row("log.to", lambda text: "syslog" if values.boolean(text) else "stderr"),
    "logging.print-severity": Row(does=lambda meaning, one: blocks.shown(meaning, one, "severity")),
    "logging.severity": Row("log.severity", str.lower),
    "logging.facility": Row("log.facility", values.facility),
    "logging.session-id": Row(does=lambda meaning, one: blocks.shown(meaning, one, "session")),
    "logging.tag": Row("log.ident"),
    "debug": idle(LIBRARY, block=True),
    "debug.level": idle(LIBRARY),
    "debug.line-info": idle(LIBRARY),
}


def summary() -> str:
    """--config-help: a line for each statement."""
    lines = ["# Statements of /etc/mailutils.conf; there all of this stands in program pop3d { ... };"]
    for path, row in sorted(TABLE.items()):
        what = {"works": row.setting or "works"}.get(row.kind) or f"{row.kind}: {row.why}"
        lines.append(f"{path + (' { }' if row.block else ''):<34}  # {what}")
    return "\n".join([*lines, "program NAME { }, include FILE;", ""])
