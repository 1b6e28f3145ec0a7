"""Cyrus' twoskip files (lib/cyrusdb_twoskip.c, version 1): a header of 64 octets, then records that point to the next.

All numbers are in network order.  A record: type, level, length of key (2 octets) and value (4), these again in 8 each
where they do not fit, ``level + 1`` pointers, two checksums, key, value, and zeros up to a multiple of 8.  Of the first
two pointers the higher one counts that lies within what was committed; what lies behind is a change under way.
"""

import struct

from qpopper_py.legacy_dbm import NotReadable

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

MAGIC = b"\241\002\213\015twoskip file\0\0\0\0"
HEADER = 64
DUMMY, RECORD, DELETE = b"=", b"+", b"-"
LONG_KEY, LONG_VALUE = 0xFFFF, 0xFFFFFFFF


def is_twoskip(head: bytes) -> bool:
    return head.startswith(MAGIC)


def read(data: bytes) -> "list[tuple[bytes, bytes]]":
    """All pairs, in their order.  NotReadable: it is not one, or damaged."""
    try:
        return list(pairs(data))
    except (struct.error, IndexError):
        raise NotReadable("a record does not fit into the file") from None


def pairs(data: bytes) -> "Iterator[tuple[bytes, bytes]]":
    if not is_twoskip(data) or struct.unpack_from(">I", data, 20)[0] != 1:
        raise NotReadable("it does not begin as a twoskip file of version 1")
    end = min(struct.unpack_from(">Q", data, 48)[0], len(data))
    at, left = HEADER, len(data) // 24 + 1  # a record has 24 octets at least: more steps go in a circle
    while at:
        left -= 1
        if left < 0 or not HEADER <= at < end:
            raise NotReadable("its records point astray")
        kind, level = data[at : at + 1], data[at + 1]
        key_length, value_length = struct.unpack_from(">HI", data, at + 2)
        at += 8
        if key_length == LONG_KEY:
            (key_length,) = struct.unpack_from(">Q", data, at)
            at += 8
        if value_length == LONG_VALUE:
            (value_length,) = struct.unpack_from(">Q", data, at)
            at += 8
        pointers = struct.unpack_from(f">{level + 1}Q", data, at)
        key = at + 8 * (level + 1) + 8
        if kind not in (DUMMY, RECORD, DELETE) or (kind != DELETE and level == 0) or key + key_length > end:
            raise NotReadable("a record is of no known kind")
        if kind == RECORD:
            yield data[key : key + key_length], data[key + key_length : key + key_length + value_length]
        at = pointers[0] if kind == DELETE else following(pointers[0], pointers[1], end)


def following(one: int, other: int, end: int) -> int:
    """The pointer that counts."""
    if one >= end or other >= end:
        return other if one >= end else one
    return max(one, other)
