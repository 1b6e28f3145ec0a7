"""What the roles say to each other.

A message is one packet (:mod:`~qpopper_py.serve.packing`) of a SOCK_SEQPACKET socket.  Descriptors go along by
SCM_RIGHTS, exactly as many as the reader asks for.

==========  ===================  ==============================================================================
kind        from, to             meaning
==========  ===================  ==============================================================================
CONNECTION  keeper, front        serve this one: its checker's channel, then the client's descriptors
            keeper, checker      who will ask over the channel that comes along
ASK         front, checker       the client's message by ``mechanism``, or the next of the same exchange (empty)
NAMES       front, checker       which mechanisms could succeed?
MECHANISMS  checker, front       these
CHALLENGE   checker, front       the client must answer this; ``refused``: and is refused then
DENIED      checker, front       nobody
GRANTED     checker, front       somebody, whom the keeper has been told
GRANT       checker, keeper      whose connection it is; never from a front
HANDOVER    front, keeper        go on with the session, with the client's descriptors
STARTTLS    front, keeper        have somebody speak TLS with the client, whose descriptors come along
SECURED     keeper, front        to whom to say go on (:mod:`~qpopper_py.serve.securing`), and the clear end
UNSECURED   keeper, front        there is no TLS
DONE        front, keeper        that connection is over
            mail, keeper         that session is over, and its process waits for another
ENDED       mail, keeper         that session's maildrop is closed: note the time for login_delay
NOTED       keeper, mail         done
SESSION     keeper, mail         serve another one of this account, whose mail is its owner's
ADMITTED    porter, keeper       the client may be greeted; who it is, by a proxy and name servers
LOCKS       keeper, locker       make the dotlock of this mailbox when the mail process asks over the channel
==========  ===================  ==============================================================================
"""

from qpopper_py.auth.account import Account
from qpopper_py.facts import Facts, Listener, Tls
from qpopper_py.kinds import WEEK
from qpopper_py.serve.packing import NUMBER, NUMBERS, OCTETS, TEXT, TEXTS, VERSION, Forged, Form

TYPE_CHECKING = False
if TYPE_CHECKING:
    import _socket
    from collections.abc import Sequence

    from qpopper_py.serve.packing import Fields

    Received = tuple[int, Fields, list[int]]

LARGEST = 192 << 10  # octets of a message; what a wire has read and not used is at most 128 KiB
(
    CONNECTION,
    ASK,
    NAMES,
    MECHANISMS,
    CHALLENGE,
    DENIED,
    GRANTED,
    GRANT,
    HANDOVER,
    DONE,
    ADMITTED,
    STARTTLS,
    SECURED,
    UNSECURED,
    SESSION,
    ENDED,
    NOTED,
    LOCKS,
) = range(1, 19)

PORT = 65535
WORD, NAME, PATH, TALK = 64, 1024, 4096, 72 << 10  # octets of a text
BIG = 2**63 - 1
ID = 2**32 - 2

# name, kind, the largest number or the most octets or entries
FACTS = (
    ("session", TEXT, WORD),
    ("peer", TEXT, WORD),
    ("peer_port", NUMBER, PORT),
    ("local", TEXT, WORD),
    ("local_port", NUMBER, PORT),
    ("peer_name", TEXT, NAME),
    ("host", TEXT, NAME),
    ("stamp", TEXT, NAME),
    ("secure", NUMBER, 1),
    ("proxy", TEXT, WORD),
    ("quiet", NUMBER, 1),
)
TLS = (
    ("tls_version", TEXT, WORD),  # empty: no TLS, and the others mean nothing
    ("tls_cipher", TEXT, 2 * WORD),
    ("tls_bits", NUMBER, PORT),
    ("tls_server_name", TEXT, NAME),
    ("tls_unique", OCTETS, 2 * WORD),
    ("tls_end_point", OCTETS, 2 * WORD),
    ("tls_certificate", TEXT, NAME),
)
LISTENER = (
    ("by_address", TEXT, NAME),
    ("by_tls", TEXT, WORD),
    ("by_cleartext", TEXT, WORD),
    ("by_proxy", NUMBER, 1),
    ("by_stamp", TEXT, WORD),
    ("by_minimum", TEXT, WORD),
    ("by_kpop", NUMBER, 1),
)
ACCOUNT = (
    ("user", TEXT, NAME),
    ("uid", NUMBER, ID),
    ("gid", NUMBER, ID),
    ("home", TEXT, PATH),
    ("maildrop", TEXT, PATH),
    ("system", NUMBER, 1),
    ("source", TEXT, WORD),
    ("shell", TEXT, PATH),
    ("login", TEXT, NAME),
    ("folder", TEXT, NAME),
)
WAIT = ("wait", NUMBER, 10**9)  # microseconds
REFUSAL = (
    ("user", TEXT, PATH),
    ("why", TEXT, PATH),
    ("temporary", NUMBER, 1),
    WAIT,
    ("known", NUMBER, 1),
    ("alias", TEXT, PATH),
    ("told", TEXT, PATH),
)
TALKED = (
    ("number", NUMBER, BIG),
    ("unread", OCTETS, 160 << 10),
    ("mechanism", TEXT, WORD),
    ("heard", TEXT, PATH),
    ("failures", NUMBER, PORT),
    ("sent", NUMBER, BIG),
    ("offered", TEXTS, WORD),
    ("utf8", NUMBER, 1),
    ("reduced", NUMBER, 1),
    ("auth_ms", NUMBER, BIG),
    ("refused", NUMBER, BIG),
)
FORMS: "dict[int, tuple[tuple[str, int, int], ...]]" = {
    CONNECTION: (("number", NUMBER, BIG), ("greeted", NUMBER, NAME), *FACTS, *LISTENER, *TLS),
    ASK: (("mechanism", TEXT, WORD), ("data", OCTETS, TALK), *TLS),
    NAMES: TLS,
    MECHANISMS: (("names", TEXTS, WORD),),
    CHALLENGE: (("data", OCTETS, TALK), ("refused", NUMBER, 1), *REFUSAL),  # wait: of the refusal, or of the challenge
    DENIED: REFUSAL,
    GRANTED: (("user", TEXT, NAME), WAIT),
    GRANT: (("number", NUMBER, BIG), ("groups", NUMBERS, 65535), *ACCOUNT),
    HANDOVER: (*TALKED, *TLS),
    SESSION: (*TALKED, ("early", NUMBER, ID), ("state", TEXT, PATH), *ACCOUNT, *FACTS, *LISTENER, *TLS),
    STARTTLS: (("number", NUMBER, BIG),),
    SECURED: (("number", NUMBER, BIG),),
    UNSECURED: (("why", TEXT, PATH),),
    DONE: (("number", NUMBER, BIG),),
    ADMITTED: (*FACTS, *LISTENER, *TLS),
    ENDED: (("number", NUMBER, BIG),),
    NOTED: (),
    LOCKS: (("pid", NUMBER, ID), ("stale", NUMBER, WEEK), ("mailbox", TEXT, PATH), ("groups", NUMBERS, 65535)),
}
PACKED = {kind: Form(rows) for kind, rows in FORMS.items()}
INT = 4  # octets of a descriptor in SCM_RIGHTS: a C int
CLOEXEC = 0x40000000  # MSG_CMSG_CLOEXEC of Linux

_room = bytearray(LARGEST + 1)


def pack(kind: int, fields: "Fields") -> bytes:
    """The message.  Raises ValueError for a field that is too large for it, KeyError for one that is missing."""
    return PACKED[kind].pack(kind, fields)


def unpack(data: bytes, kinds: "Sequence[int]") -> "tuple[int, Fields]":
    """(kind, fields) of a message of one of these ``kinds``.  Raises Forged."""
    if len(data) < 2 or data[0] != VERSION or data[1] not in kinds:
        raise Forged("a message of another version or kind than could come")
    return data[1], PACKED[data[1]].unpack(data)


def send(
    channel: "_socket.socket", kind: int, fields: "Fields", descriptors: "Sequence[int]" = (), wait: bool = True
) -> None:
    """Raises OSError: nobody is there, or (``wait`` false) the other side does not read."""
    pass_on(channel, pack(kind, fields), descriptors, wait)


def pass_on(channel: "_socket.socket", packet: bytes, descriptors: "Sequence[int]" = (), wait: bool = True) -> None:
    """Send what was packed.  Raises OSError, as :func:`send`."""
    import _socket
    import sys

    rights = b"".join(one.to_bytes(INT, sys.byteorder) for one in descriptors)
    along = [(_socket.SOL_SOCKET, _socket.SCM_RIGHTS, rights)] if rights else []
    flags = _socket.MSG_NOSIGNAL | (0 if wait else _socket.MSG_DONTWAIT)
    channel.sendmsg([packet], along, flags)


def receive(
    channel: "_socket.socket", kinds: "Sequence[int]", least: int = 0, most: int = 0, wait: bool = True
) -> "Received | None":
    """The next message of one of ``kinds``, with ``least`` to ``most`` descriptors; None: the other side is gone.

    Raises Forged (the descriptors that came are closed), OSError (BlockingIOError: there is none, ``wait`` false).
    """
    import _socket

    flags = CLOEXEC | (0 if wait else _socket.MSG_DONTWAIT)
    octets, along, said, _ = channel.recvmsg_into([_room], _socket.CMSG_SPACE((most + 1) * INT), flags)
    data = bytes(memoryview(_room)[:octets])
    _room[:octets] = bytes(octets)  # what passed through is not kept
    descriptors = _descriptors(along)
    try:
        if not octets and not descriptors:
            return None
        if said & (_socket.MSG_TRUNC | _socket.MSG_CTRUNC) or octets > LARGEST:
            raise Forged("a message that is too large")
        kind, fields = unpack(data, kinds)
        if not least <= len(descriptors) <= most:
            raise Forged(f"a message with {len(descriptors)} descriptors")
    except Forged:
        close(descriptors)
        raise
    return kind, fields, descriptors


def _descriptors(along: "list[tuple[int, int, bytes]]") -> "list[int]":
    import _socket
    import sys

    return [
        int.from_bytes(data[start : start + INT], sys.byteorder)
        for level, kind, data in along
        if (level, kind) == (_socket.SOL_SOCKET, _socket.SCM_RIGHTS)
        for start in range(0, len(data) - len(data) % INT, INT)
    ]


def close(descriptors: "Sequence[int]") -> None:
    import os

    for descriptor in descriptors:
        try:
            os.close(descriptor)
        except OSError:
            pass  # it is gone, which is what was wanted


def pair() -> "tuple[_socket.socket, _socket.socket]":
    """Two ends of a channel."""
    import _socket

    return _socket.socketpair(_socket.AF_UNIX, _socket.SOCK_SEQPACKET)


def of_facts(facts: Facts) -> "Fields":
    """The fields FACTS, LISTENER and TLS of ``facts``."""
    by = {name: getattr(facts.listener, name.removeprefix("by_")) for name, _, _ in LISTENER}
    return {name: getattr(facts, name) for name, _, _ in FACTS} | by | of_tls(facts.tls)


def of_tls(tls: Tls | None) -> "Fields":
    found = tls or Tls("")
    return {name: getattr(found, name.removeprefix("tls_")) for name, _, _ in TLS}


def facts_from(fields: "Fields") -> Facts:
    by = {name.removeprefix("by_"): fields[name] for name, _, _ in LISTENER}
    by["proxy"], by["kpop"] = bool(by["proxy"]), bool(by["kpop"])
    facts = Facts(fields["session"], tls=tls_from(fields), listener=Listener(**by))
    for name, _, _ in FACTS:
        setattr(facts, name, fields[name])
    facts.secure, facts.quiet = bool(fields["secure"]), bool(fields["quiet"])
    return facts


def tls_from(fields: "Fields") -> Tls | None:
    if not fields["tls_version"]:
        return None
    return Tls(**{name.removeprefix("tls_"): fields[name] for name, _, _ in TLS})


def microseconds(wait: float) -> int:
    return min(max(0, round(wait * 1e6)), WAIT[2])


def of_account(account: "Account") -> "Fields":
    """The fields ACCOUNT of an Account."""
    return {name: getattr(account, name) for name, _, _ in ACCOUNT}


def account_from(fields: "Fields") -> "Account":
    values = {name: fields[name] for name, _, _ in ACCOUNT}
    return Account(**{**values, "system": bool(fields["system"])})
