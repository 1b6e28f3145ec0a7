"""How unique-ids are made: the old servers' ways, each a row of SCHEMES, so that a client does not fetch all mail anew.

A scheme's function makes of From_ line and header the uid that the old server gave, the same in each session; where
several messages get the same, :class:`~.mbox.uids.Assignment` tells them apart.  The schemes of IMAP servers and
of GNU mailutils, whose uids no header tells, give numbers (:mod:`numbering`).

============  =============================================================================================
name          uid
============  =============================================================================================
qpopper2      a stored X-UIDL; else 32 hex digits: Qpopper 2, and 3 and 4 with old-style-uid
qpopper4      a stored X-UIDL; else 20 characters: Qpopper 3 and 4 where they do not write status headers
popa3d        16 hex digits: Openwall 0.5.1 and later, OpenBSD 3.4 and later
popa3d-old    16 hex digits: before that
mailutils0    a stored X-UIDL without blanks and <>; else MD5.TIME.NUMBER, made once: GNU mailutils to 2.x
mailutils3    a stored X-UIDL, unfolded; else the same
cyrus         VALIDITY.NUMBER
uidonly       NUMBER: Cyrus, mailboxes older than 2.1.4
dovecot       NUMBER and VALIDITY, 8 hex digits each: Dovecot, and Cyrus with uidl_format dovecot
courier       UIDNUMBER-VALIDITY: Courier
cyrus-courier VALIDITY-NUMBER: Cyrus with uidl_format courier
uw            VALIDITY and NUMBER, 8 hex digits each: UW ipop3d
============  =============================================================================================
"""

from qpopper_py.store.overrides import is_uid

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

DIGESTED = (b"received:", b"date:", b"message-id:", b"subject:")
DIGESTED_OLD = (b"Received:", b"Date:", b"Message-Id:", b"Subject:")


class Scheme:
    """``of_header(head)``: the uid that From_ line and header fix, empty if they fix none.

    ``numbered(number, validity)``: the uid that a message's number makes.  ``made``: the uid is MD5 of the message,
    time and number, made once.  One of the two where headers do not fix every uid.  ``bare``: nothing but the number.
    """

    __slots__ = ("bare", "made", "numbered", "numbers", "of_header")

    def __init__(
        self,
        of_header: "Callable[[bytes], str]",
        numbered: "Callable[[int, int], str] | None" = None,
        made: bool = False,
        bare: bool = False,
    ) -> None:
        self.of_header = of_header
        self.numbered = numbered
        self.made = made
        self.bare = bare
        self.numbers = made or numbered is not None


def field(head: bytes, name: bytes) -> bytes:
    """The value of the first field ``name`` (lower case, with colon), with the lines that continue it, as stored."""
    at = head.lower().find(b"\n" + name)
    if at < 0:
        return b""
    at += len(name) + 1
    end = head.find(b"\n", at)
    while end >= 0 and head[end + 1 : end + 2] in (b" ", b"\t"):
        end = head.find(b"\n", end + 1)
    return head[at:] if end < 0 else head[at:end]


def _valid(value: bytes) -> str:
    text = value.decode("latin-1")
    return text if is_uid(text) else ""


def stored(head: bytes) -> str:
    """The first X-UIDL field, if it is 1 to 70 printable characters once trimmed; else empty."""
    return _valid(field(head, b"x-uidl:").partition(b"\n")[0].strip())


def stored_stripped(head: bytes) -> str:
    """The same as mailutils 0.6 reads it: no white space, no < and >."""
    return _valid(field(head, b"x-uidl:").translate(None, b" \t\r\n\v\f<>"))


def stored_unfolded(head: bytes) -> str:
    """The same as mailutils 3 reads it: lines that continue it belong to it."""
    import re

    return _valid(re.sub(rb"\r?\n[ \t]+", b" ", field(head, b"x-uidl:")).strip())


def _digest(head: bytes) -> "tuple[bytes, list[bytes]]":
    """The From_ line, and with their line ends, as they come, the lines of Received, Date, Message-Id and Subject.

    Lines that continue a field are none of them.
    """
    from_line, feed, fields = head.partition(b"\n")
    lines = fields.split(b"\n")
    last = len(lines) - 1
    digested = [
        line if number == last else line + b"\n"
        for number, line in enumerate(lines)
        if line[:11].lower().startswith(DIGESTED)
    ]
    return from_line + feed, digested


def qpopper2(head: bytes) -> str:
    """Hex MD5 over the From_ line and, raw, the first lines of four fields."""
    from hashlib import md5

    from_line, lines = _digest(head)
    return md5(from_line + b"".join(lines), usedforsecurity=False).hexdigest()


def qpopper4(head: bytes) -> str:
    """The same with the From_ line at the end once more, in Qpopper's base 80: five characters for four octets.

    With update-status-headers on, Qpopper mixed the time in and stored the uid, so only X-UIDL can tell it.
    """
    from hashlib import md5

    from_line, lines = _digest(head)
    digest = md5(from_line + b"".join(lines) + from_line, usedforsecurity=False).digest()
    text = ""
    for at in range(0, 16, 4):
        value = 0
        for octet in digest[at : at + 4]:
            value = (value << 4) + octet  # by 4 bits, not 8: that is how it is
        for _ in range(5):
            value, rest = divmod(value, 80)
            text += chr(0x21 + rest)
    return text.replace(".", "~")


def popa3d(head: bytes) -> str:
    """MD5 over whole fields: Date and Message-ID before the first Received, that, Delivered-To, X-Delivery-ID."""
    from hashlib import md5

    digest = md5(usedforsecurity=False)
    received = taken = False
    for line in _fields(head):
        if not line.startswith((b" ", b"\t")):
            low = line[:14].lower()
            if low.startswith(b"received:"):
                taken, received = not received, True
            elif low.startswith((b"date:", b"message-id:")):
                taken = not received
            else:
                taken = low.startswith(b"delivered-to:") or (low == b"x-delivery-id:" and line[:1] == b"X")
        if taken:
            digest.update(line)
    return _words(digest.digest())


def popa3d_old(head: bytes) -> str:
    """MD5 over the first lines of four fields, their names in this very case."""
    from hashlib import md5

    digest = md5(usedforsecurity=False)
    for line in _fields(head):
        if line.startswith(DIGESTED_OLD):
            digest.update(line)
    return _words(digest.digest())


def _fields(head: bytes) -> "Iterator[bytes]":
    """The header's lines with their line ends."""
    at = head.find(b"\n") + 1
    while 0 < at < len(head):
        end = head.find(b"\n", at) + 1 or len(head)
        yield head[at:end]
        at = end


def _words(digest: bytes) -> str:
    """Its first two words, each least octet first, in hex."""
    return (digest[3::-1] + digest[7:3:-1]).hex()


def _nothing(_head: bytes) -> str:
    return ""


SCHEMES = {
    "qpopper2": Scheme(lambda head: stored(head) or qpopper2(head)),
    "qpopper4": Scheme(lambda head: stored(head) or qpopper4(head)),
    "popa3d": Scheme(popa3d),
    "popa3d-old": Scheme(popa3d_old),
    "mailutils0": Scheme(stored_stripped, made=True),
    "mailutils3": Scheme(stored_unfolded, made=True),
    "cyrus": Scheme(_nothing, lambda number, validity: f"{validity}.{number}"),
    "uidonly": Scheme(_nothing, lambda number, _validity: f"{number}", bare=True),
    "dovecot": Scheme(_nothing, lambda number, validity: f"{number:08x}{validity:08x}"),
    "courier": Scheme(_nothing, lambda number, validity: f"UID{number}-{validity}"),
    "cyrus-courier": Scheme(_nothing, lambda number, validity: f"{validity}-{number}"),
    "uw": Scheme(_nothing, lambda number, validity: f"{validity:08x}{number:08x}"),
}
