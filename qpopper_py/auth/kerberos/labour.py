"""What the child does, from root to a name.

As root it reads the keys of the service, those and no others, into memory, and sees to a place for the record of
replays; then it is nobody, and hears of strangers.  Another one, that has no keys, is the user whose .k5login it reads.
``begin_*`` make the process; the rest runs in it.
"""

import os

from qpopper_py.auth.kerberos.child import CHALLENGE, NAMED, UNKNOWN, Channel, Child, Declined
from qpopper_py.auth.kerberos.keytab import refuse_untrusted
from qpopper_py.auth.mechanisms import bindings
from qpopper_py.errors import CredentialStoreError
from qpopper_py.privilege import become

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from qpopper_py.auth.account import Account
    from qpopper_py.auth.kerberos.krb5 import Keys, Krb5
    from qpopper_py.facts import Facts
    from qpopper_py.settings import Settings

MEMORY = "MEMORY:pop3d"  # the krb5_keytab
NOBODY = 65534  # where there is no user of that name
DUMPABLE, NO_NEW_PRIVS = 4, 38  # prctl(2)
NO_LAYER = 1  # RFC 4752 section 3.3
RIGHT = b"\0\0\0\0"  # krb5_sendauth: no KRB-ERROR follows


def begin_password(settings: "Settings") -> Child:
    """It is asked once, NAME NUL PASSWORD, and answers N, U or R."""
    return _begun(settings, _password, 1)


def begin_gssapi(settings: "Settings", facts: "Facts") -> Child:
    """It is told what the client sends (RFC 4752), in turn, and answers C, and at last N or R."""
    binding = _binding(facts)
    return _begun(settings, lambda channel, settings: _gssapi(channel, settings, binding), settings.login_timeout)


def begin_request(settings: "Settings") -> Child:
    """It is asked for an AP-REQ and answers C, what krb5_sendauth waits for; then, whatever it is asked, N or R."""
    return _begun(settings, _request, settings.login_timeout)


def begin_permission(settings: "Settings", account: "Account") -> Child:
    """It is asked once, PRINCIPAL NUL USER, and answers N, the principal may be that user of the system, or R."""
    return _begun(settings, lambda channel, settings: _permission(channel, settings, account), 1)


def load(settings: "Settings") -> None:
    """Raises MissingLibrary or CredentialStoreError: Kerberos cannot work here.  Loads what children would."""
    from qpopper_py.auth.kerberos import gss, krb5

    refuse_untrusted(settings.kerberos_keytab)
    krb5.library()
    gss.library()


def _begun(settings: "Settings", work: "Callable[[Channel, Settings], None]", more: int) -> Child:
    """The process, which may live for ``more`` seconds than one answer takes.

    Raises CredentialStoreError where it could do nothing: strangers must not make us fork for that.
    """
    if "kerberos" not in settings.auth_sources:
        raise CredentialStoreError("Kerberos: a ticket, but auth.sources does not name kerberos")
    refuse_untrusted(settings.kerberos_keytab)
    seconds = settings.kerberos_timeout
    return Child(lambda channel: work(channel, settings), seconds, seconds + more)


def _binding(facts: "Facts") -> bytes:
    """Of our TLS layer, as RFC 5929 section 4 has it; empty: there is none."""
    data = bindings(facts).get("tls-server-end-point")
    return b"tls-server-end-point:" + data if data else b""


def _prepared(settings: "Settings") -> "tuple[Krb5, Keys]":
    """libkrb5 and our keys; from here on the process is nobody."""
    from qpopper_py.auth.kerberos.krb5 import Krb5

    uid, gid = _whom()
    _replay_cache(settings.state_dir, uid, gid)
    krb5 = Krb5(settings.kerberos_realm)
    keys = krb5.keys(settings.kerberos_keytab, settings.kerberos_service, MEMORY)
    if os.geteuid() == 0:
        become(uid, gid, ())
    _shut()
    return krb5, keys


def _shut() -> None:
    """Others of the same uid must not read secrets out of our memory (ptrace(2)); nothing we run gains rights."""
    import ctypes

    prctl = ctypes.CDLL(None).prctl
    prctl(DUMPABLE, 0, 0, 0, 0)
    prctl(NO_NEW_PRIVS, 1, 0, 0, 0)


def _whom() -> "tuple[int, int]":
    """Uid and gid of nobody; without root our own."""
    if os.geteuid() != 0:
        return os.geteuid(), os.getegid()
    import pwd

    try:
        row = pwd.getpwnam("nobody")
    except KeyError:
        return NOBODY, NOBODY
    return (row.pw_uid, row.pw_gid) if row.pw_uid else (NOBODY, NOBODY)


def _replay_cache(state_dir: str, uid: int, gid: int) -> None:
    """A folder of our own for the record of authenticators seen: libkrb5's is where everybody may write.

    Without state_dir, or with KRB5RCACHENAME set, libkrb5's choice stands.  Raises CredentialStoreError.
    """
    if not state_dir or "KRB5RCACHENAME" in os.environ:
        return
    folder = f"{state_dir}/kerberos"
    try:
        for path, mode in ((state_dir, 0o755), (folder, 0o700)):
            try:
                os.mkdir(path, mode)
                os.chmod(path, mode)  # whatever the umask
            except FileExistsError:
                pass
        if os.geteuid() == 0:
            os.lchown(folder, uid, gid)
    except OSError as why:
        raise CredentialStoreError(
            f"there is no place to note which tickets were seen: {folder}: {why.strerror}; see state_dir"
        ) from None
    os.environ["KRB5RCACHENAME"] = f"file2:{folder}/seen"


def _named(krb5: "Krb5", principal: "Any", wanted: bytes = b"") -> bytes:
    """What follows N."""
    return b"\0".join((krb5.name(principal), krb5.local_name(principal), wanted))


def _password(channel: Channel, settings: "Settings") -> None:
    krb5, keys = _prepared(settings)
    user, _, secret = channel.receive().partition(b"\0")
    principal = krb5.principal(user.decode("utf-8"))
    if krb5.password(principal, secret, keys):
        channel.send(NAMED, _named(krb5, principal))
    else:
        channel.send(UNKNOWN)


def _gssapi(channel: Channel, settings: "Settings", binding: bytes) -> None:
    """RFC 4752 section 3.2."""
    from qpopper_py.auth.kerberos.gss import Acceptor

    krb5, _ = _prepared(settings)
    acceptor = Acceptor(MEMORY, binding)
    done = False
    while not done:
        done, token = acceptor.accept(channel.receive())
        if token or not done:
            channel.send(CHALLENGE, token)
    if token and channel.receive():
        raise Declined("a message where an empty one belongs")
    channel.send(CHALLENGE, acceptor.wrap(bytes((NO_LAYER, 0, 0, 0))))
    answer = acceptor.unwrap(channel.receive())
    if len(answer) < 4 or answer[0] != NO_LAYER:
        raise Declined("the client chose a security layer that was not offered")
    if b"\0" in answer[4:]:
        raise Declined("NUL in the authorization identity")
    channel.send(NAMED, _named(krb5, krb5.parsed(acceptor.client()), answer[4:]))


def _request(channel: Channel, settings: "Settings") -> None:
    """As krb5_recvauth behind its two version strings."""
    krb5, keys = _prepared(settings)
    try:
        principal, reply = krb5.request(channel.receive(), keys)
    except Declined as why:
        channel.send(CHALLENGE, _counted(krb5.error(why.code, keys)))
        channel.receive()
        raise
    channel.send(CHALLENGE, RIGHT + (_counted(reply) if reply is not None else b""))
    channel.receive()
    channel.send(NAMED, _named(krb5, principal))


def _permission(channel: Channel, settings: "Settings", account: "Account") -> None:
    """As the user, because the file is the user's: a link in it leads nowhere where they could not go themselves.

    What blocks or has no end (a FIFO, a dead file server) costs this process its life, and the user this login.
    """
    from qpopper_py.auth.kerberos.krb5 import Krb5

    krb5 = Krb5(settings.kerberos_realm)
    if os.geteuid() == 0:
        become(account.uid, account.gid, os.getgrouplist(account.login, account.gid))
    _shut()
    os.chdir("/")
    name, _, user = channel.receive().partition(b"\0")
    principal = krb5.parsed(name)
    if not krb5.may_be(principal, user):
        raise Declined("neither its local name nor .k5login lets it be that user")
    channel.send(NAMED, _named(krb5, principal, user))


def _counted(octets: bytes) -> bytes:
    return len(octets).to_bytes(4, "big") + octets
