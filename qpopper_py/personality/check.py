"""--check-config: what can be seen to be wrong without serving anybody.

Each check yields findings: an error if some or all users would not be served as the configuration says, else a
hint.  Each says what to do.  Run it as the user that the service starts as.
"""

import os
import pwd
import shlex
import stat

from qpopper_py.errors import ConfigurationError, CredentialStoreError, MissingLibrary
from qpopper_py.facts import Facts

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    from qpopper_py.events import Event
    from qpopper_py.personality.commandline import Invocation
    from qpopper_py.settings import Settings

OTHERS = stat.S_IWGRP | stat.S_IWOTH
RFC_TIMEOUT = 600  # RFC 1939 section 3: at least ten minutes


class Finding:
    """Something worth saying; ``wrong``: it must be mended."""

    __slots__ = ("text", "wrong")

    def __init__(self, text: str, wrong: bool = True) -> None:
        self.text = text
        self.wrong = wrong

    def __str__(self) -> str:
        return ("error: " if self.wrong else "hint: ") + self.text


def hint(text: str) -> Finding:
    return Finding(text, wrong=False)


def findings(invocation: "Invocation", euid: int) -> "Iterator[Finding]":
    """All that is to be said, in the order of the settings."""
    settings = invocation.settings
    yield from map(hint, invocation.notes)
    from qpopper_py.personality.check_logins import fronts, mechanisms, policy, sources, tokens, virtual, wrappers
    from qpopper_py.personality.check_network import gates, limits, proxies
    from qpopper_py.personality.check_rules import bulletins, deleting, hook, unique_ids
    from qpopper_py.personality.check_tls import exposed, tls

    checks = (
        spool,
        state,
        mailer,
        trace,
        listening,
        exposed,
        tls,
        limits,
        proxies,
        gates,
        wrappers,
        patience,
        log,
        sources,
        virtual,
        mechanisms,
        tokens,
        fronts,
        policy,
        mailauth,
        accounts,
        locks,
        deleting,
        hook,
        bulletins,
        unique_ids,
    )
    for check in checks:
        yield from check(settings, euid)


def kind(path: str) -> "os.stat_result | str":
    """The file's facts, or the system's words for why there are none."""
    try:
        return os.stat(path)
    except OSError as why:
        return str(why.strerror)


def folder(path: str) -> str:
    """What is wrong with ``path`` as a folder; empty if nothing is."""
    facts = kind(path)
    if isinstance(facts, str):
        return f"{path}: {facts}"
    return "" if stat.S_ISDIR(facts.st_mode) else f"{path} is not a folder"


def spool(settings: "Settings", euid: int) -> "Iterator[Finding]":
    """The folder of the mailboxes."""
    path = settings.spool
    if wrong := folder(path):
        yield Finding(f"spool: {wrong}; set spool to the folder of the mailboxes, or make it")
        return
    mode = os.stat(path).st_mode
    if mode & stat.S_IWOTH and not mode & stat.S_ISVTX:
        yield Finding(f"spool: everybody can replace mailboxes in {path}; run: chmod +t {shlex.quote(path)}")
    if not os.access(path, os.W_OK | os.X_OK):
        yield hint(f"spool: uid {euid} cannot make lock files in {path}; start as root, or see locks.dotlock")


def state(settings: "Settings", euid: int) -> "Iterator[Finding]":
    """The folder of what outlasts a session."""
    path = settings.state_dir
    if not path:
        yield hint("state_dir: it is empty, so LAST is forgotten at the end of each session")
        return
    facts = kind(path)
    if isinstance(facts, str):
        above = os.path.dirname(path.rstrip("/"))
        if not os.access(above, os.W_OK | os.X_OK):
            yield Finding(f"state_dir: {path}: {facts}; make it, and let uid {euid} write it")
        return  # made at the first login
    if not stat.S_ISDIR(facts.st_mode):
        yield Finding(f"state_dir: {path} is not a folder; move it away")
    elif euid == 0 and (facts.st_uid != 0 or facts.st_mode & OTHERS):
        place = shlex.quote(path)
        yield Finding(f"state_dir: {path} must be root's alone to write; run: chown root {place} && chmod 755 {place}")
    elif not os.access(path, os.W_OK | os.X_OK):
        yield Finding(f"state_dir: uid {euid} cannot write {path}; set state_dir to a folder of its own")


def mailer(settings: "Settings", _euid: int) -> "Iterator[Finding]":
    """What XTND XMIT needs."""
    if settings.xmit == "off":
        return
    path = settings.sendmail
    facts = kind(path) if path else "it is empty"
    if isinstance(facts, str):
        yield hint(f"sendmail: {path}: {facts}; XTND XMIT is refused: install a mailer, or say xmit = off")
    elif not stat.S_ISREG(facts.st_mode) or not facts.st_mode & 0o111:
        yield Finding(f"sendmail: {path} is not a program; name the mailer, or say xmit = off")
    elif facts.st_mode & OTHERS:
        yield Finding(f"sendmail: {path} can be changed by others; run: chmod go-w {shlex.quote(path)}")
    from qpopper_py import libraries

    try:
        libraries.need("sh")
    except MissingLibrary as why:
        yield hint(f"xmit: {why}")


def trace(settings: "Settings", euid: int) -> "Iterator[Finding]":
    """The trace file can be opened as the service opens it: no links, in a folder that is there."""
    path = settings.trace_file
    if path:
        above = os.path.dirname(path)
        if wrong := folder(above):
            yield Finding(f"trace.file: {wrong}; make the folder, or name another file")
        elif os.path.islink(path):
            yield Finding(f"trace.file: {path} is a symbolic link, and none is followed; name the file itself")
        elif os.path.exists(path) and not os.path.isfile(path):
            yield Finding(f"trace.file: {path} is not a file; name another")
        elif not os.access(path if os.path.exists(path) else above, os.W_OK):
            yield Finding(f"trace.file: uid {euid} cannot write {path}; name another file")
        if settings.trace_bodies:
            yield hint("trace.bodies: the trace will hold the mail of those whom trace.users and trace.addresses name")
    elif settings.trace_users or settings.trace_addresses or settings.trace_bodies:
        yield hint("trace: there is no trace.file, so the other settings of trace matter to -d only")


def listening(settings: "Settings", euid: int) -> "Iterator[Finding]":
    """The addresses can be listened on."""
    import socket

    from qpopper_py.listeners import host_and_port

    for where in (one.address for one in settings.listen):
        host, port = host_and_port(where)
        try:
            socket.getaddrinfo(host or None, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
        except (OSError, UnicodeError) as why:
            yield Finding(f"listen: {where}: {why}; write an address of this host")
        least = unprivileged()
        if 0 < port < least and euid != 0:
            yield Finding(f"listen: {where}: uid {euid} may not use ports below {least}; take another, or root")


def unprivileged() -> int:
    """The first port that anybody may listen on (ip(7))."""
    try:
        with open("/proc/sys/net/ipv4/ip_unprivileged_port_start", encoding="ascii") as file:
            return int(file.read())
    except (OSError, ValueError):
        return 1024


def patience(settings: "Settings", _euid: int) -> "Iterator[Finding]":
    """Time-outs that fit RFC 1939 and each other."""
    if settings.timeout < RFC_TIMEOUT:
        yield hint(f"timeout: {settings.timeout} s is less than the {RFC_TIMEOUT} s that RFC 1939 asks for")
    if settings.auth_refusal_delay >= settings.login_timeout:
        yield Finding(
            f"auth.refusal_delay: {settings.auth_refusal_delay} s is not less than login_timeout,"
            f" {settings.login_timeout} s, so nobody could try twice; make it smaller"
        )
    if settings.guess_delay and settings.guess_largest >= settings.login_timeout:
        yield hint(
            f"guess.largest: {settings.guess_largest} s is not less than login_timeout, {settings.login_timeout} s,"
            " so whoever failed often enough is not answered again; make it smaller"
        )
    if (settings.guess_delay or settings.guess_lockout) and not settings.state_dir:
        yield hint("guess: refused logins are counted in state_dir, which is empty, so guessing is not slowed down")


def log(settings: "Settings", _euid: int) -> "Iterator[Finding]":
    """There is somebody to log to."""
    if settings.log_to == "syslog" and not os.path.exists("/dev/log"):
        yield Finding("log.to: there is no /dev/log; start a syslog daemon, or say log.to = auto")


def mailauth(settings: "Settings", _euid: int) -> "Iterator[Finding]":
    """The database of mail secrets can be read and trusted."""
    if "mailauth" not in settings.auth_sources:
        if settings.apop_stamp == "always":
            yield Finding("apop.stamp: always, but mailauth is not in auth.sources, so no APOP login can succeed")
        return
    from qpopper_py.auth.authdb import AuthDb
    from qpopper_py.stamp import has_apop_entries

    path = settings.mailauth_database
    if not path:
        yield Finding("mailauth.database: it is empty; name a file, or take mailauth out of auth.sources")
        return
    db = AuthDb(path, settings.mailauth_key, settings.mailauth_owner)
    try:
        db.types("root")
        if has_apop_entries(path):
            db.box()
            if settings.apop_stamp == "never":
                yield hint("apop.stamp: never, but there are APOP entries; their users cannot log in")
    except (CredentialStoreError, MissingLibrary) as why:
        yield Finding(f"mailauth.database: {why}")


def accounts(settings: "Settings", _euid: int) -> "Iterator[Finding]":
    """The file of accounts that are not the system's, as the gate will see it."""
    from qpopper_py.auth.gate import Gate
    from qpopper_py.auth.maildrops import expand
    from qpopper_py.auth.sources.accounts import Accounts

    def silence(_said: "Event | str") -> None:
        """What matters here is raised; warnings are about users who log in."""

    try:
        Gate(settings, silence)
        if settings.virtual_users:
            Accounts(settings, silence).find("root", Facts("check"))
    except (ConfigurationError, CredentialStoreError) as why:
        yield Finding(str(why))
    if template := settings.accounts_maildrop:
        try:
            expand(template, "user@example.org", "/home/user")
        except ValueError as why:
            yield Finding(f"accounts.maildrop: {template!r} {why}")
    owner = settings.accounts_owner
    if owner and not known(owner):
        yield Finding(f"accounts.owner: there is no user {owner!r}; make one, or name another")


def known(user: str) -> bool:
    """Whether the system has that user."""
    try:
        pwd.getpwnam(user)
    except KeyError:
        return False
    return True


def locks(settings: "Settings", _euid: int) -> "Iterator[Finding]":
    """Mailboxes are held by something that delivery agents respect."""
    if not settings.locks_kinds:
        yield Finding("locks.kinds: it is empty, so a delivery could damage a mailbox; name dotlock and fcntl")
