"""cyrus.index, minor versions 1 to 17 (Cyrus 1.x to 3.6): a header, then a record of fixed size for each message.

All numbers are in network order (imap/mailbox.h).  Later versions, with other records, are refused.
"""

import struct

LATEST = 17
EXPUNGED, DELETED, SEEN = 1 << 31, 1 << 2, 1 << 4  # of a record's system flags
NEW_UIDL = 1  # of a mailbox's options: uids are VALIDITY.NUMBER, else NUMBER
GUID = 60, 80  # where a record holds the SHA-1 of its message
SHOW_AFTER = 112  # in the header, from version 12 on: POP3 shows what came later than that


class Damaged(ValueError):
    """The text says what is wrong; it follows the file's name."""


class Record:
    """One message: ``number`` is its uid, ``octets`` the size of its file, ``arrived`` seconds since 1970."""

    __slots__ = ("arrived", "deleted", "guid", "number", "octets", "seen")

    def __init__(self, number: int, octets: int, arrived: int, flags: int, guid: str) -> None:
        self.number = number
        self.octets = octets
        self.arrived = arrived
        self.seen = bool(flags & SEEN)
        self.deleted = bool(flags & DELETED)
        self.guid = guid


class Index:
    """``validity``: UIDVALIDITY; ``last``: the highest number given out; ``new_uids``: see NEW_UIDL."""

    __slots__ = ("last", "new_uids", "records", "show_after", "validity")

    def __init__(self, data: bytes) -> None:
        """Raises Damaged."""
        if len(data) < 76:
            raise Damaged("is too short for a cyrus.index")
        kind, minor, start, width, count = struct.unpack_from(">5I", data, 4)
        if kind != 0 or not 1 <= minor <= LATEST:
            raise Damaged(f"is of version {minor}, and versions up to {LATEST} (Cyrus 3.6) are known")
        if not 76 <= start <= 1024 or not 40 <= width <= 1024 or len(data) < start + count * width:
            raise Damaged("is damaged: its header does not fit its length")
        (self.last,), (self.validity,), (options,) = (struct.unpack_from(">I", data, at) for at in (28, 44, 60))
        self.new_uids = bool(options & NEW_UIDL)
        later = minor >= 12 and start >= SHOW_AFTER + 4
        self.show_after = struct.unpack_from(">I", data, SHOW_AFTER)[0] if later else 0
        self.records = []
        before = 0
        for at in range(start, start + count * width, width):
            number, arrived, _, octets = struct.unpack_from(">4I", data, at)
            flags = struct.unpack_from(">I", data, at + 32)[0]
            if number <= before:
                raise Damaged(f"is damaged: number {number} follows {before}")
            before = number
            if minor < 12 or not flags & EXPUNGED:
                raw = data[at + GUID[0] : at + GUID[1]] if minor >= 10 and width >= GUID[1] else b""
                self.records.append(Record(number, octets, arrived, flags, raw.hex() if any(raw) else ""))
