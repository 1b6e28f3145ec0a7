"""GNU dbm files (gdbm.h and gdbmdefs.h of gdbm 1.8 to 1.23), in pages that any libgdbm wrote.

The header names a directory of bucket addresses; a bucket is a table of (hash, start of key, address, sizes).
Integers are the old machine's, and so is the padding between them: the variants below differ in byte order, in
the width of file offsets and in their alignment.  Which one it is, the hash value kept for each key proves.
"""

import struct

from qpopper_py.legacy_dbm import NotReadable

# Magic numbers and the width of file offsets they stand for; the last two have the extended header of 1.21.
MAGICS = {0x13579ACE: 0, 0x13579ACD: 4, 0x13579ACF: 8, 0x13579AD0: 4, 0x13579AD1: 8}
CACHED_AVAIL = 6  # free-space entries at the head of a bucket


class Layout:
    """Where things lie, by width and alignment of offsets."""

    def __init__(self, order: str, width: int, padded: bool) -> None:
        offset = {4: "i", 8: "q"}[width]
        before = 8 if padded else 4  # an int in front of an offset
        self.address = struct.Struct(order + offset)
        self.directory = struct.Struct(f"{order}{offset}iiii")  # address, size, bits; bucket's size, elements
        self.counts = struct.Struct(order + "ii")  # a bucket's bits, entries
        self.counts_at = before + CACHED_AVAIL * (before + width)
        self.table_at = self.counts_at + self.counts.size
        self.element = struct.Struct(f"{order}i4s{offset}ii")  # hash, start of key, address, key's size, value's


def byte_order(head: bytes) -> str:
    """``<`` or ``>`` if ``head`` begins as a gdbm file does, else empty."""
    for order in "<>":
        if len(head) >= 4 and struct.unpack_from(order + "I", head)[0] in MAGICS:
            return order
    return ""


def read(data: bytes) -> "list[tuple[bytes, bytes]]":
    """All pairs.  NotReadable: not gdbm, cut off, or in no variant that the hashes bear out."""
    order = byte_order(data)
    if not order:
        raise NotReadable("it does not begin as a gdbm file")
    width = MAGICS[struct.unpack_from(order + "I", data)[0]]
    variants = [(8, True), (8, False)] if width == 8 else [(4, False)]
    if width == 0:  # the first magic number: offsets were whatever off_t was
        variants = [(4, False), (8, True), (8, False)]
    for octets, padded in variants:
        try:
            return pairs(data, Layout(order, octets, padded))
        except (struct.error, NotReadable):
            continue
    raise NotReadable("it is damaged, or a gdbm file of a kind that is not known here")


def pairs(data: bytes, layout: Layout) -> "list[tuple[bytes, bytes]]":
    address, size, _, _, elements = layout.directory.unpack_from(data, 8)
    width = layout.address.size
    if not (address > 0 and 0 < size <= len(data) - address and size % width == 0 and 0 < elements <= len(data)):
        raise NotReadable("the directory lies outside the file")
    found: list[tuple[bytes, bytes]] = []
    buckets = {row[0] for row in layout.address.iter_unpack(data[address : address + size])}
    for bucket in sorted(buckets):
        table = bucket + layout.table_at
        slots = range(table, table + elements * layout.element.size, layout.element.size)
        taken = [one for one in (pair(data, layout, at) for at in slots) if one is not None]
        if len(taken) != layout.counts.unpack_from(data, bucket + layout.counts_at)[1]:
            raise NotReadable("a bucket does not hold what it says")
        found += taken
    return found


def pair(data: bytes, layout: Layout, at: int) -> "tuple[bytes, bytes] | None":
    """The pair that the table's element at offset ``at`` leads to; None if the element is free."""
    hashed, start, address, key_size, data_size = layout.element.unpack_from(data, at)
    if hashed == -1:
        return None
    end = address + key_size + data_size
    if not (address > 0 and key_size >= 0 and data_size >= 0 and end <= len(data)):
        raise NotReadable("an entry lies outside the file")
    key = data[address : address + key_size]
    if hashed != hash_value(key) or start[:key_size] != key[:4]:
        raise NotReadable("an entry does not have the hash that is kept for it")
    return key, data[address + key_size : end]


def hash_value(key: bytes) -> int:
    """gdbm's hash (hash.c); its char is signed."""
    value = 0x238F13AF * len(key) & 0xFFFFFFFF
    for index, octet in enumerate(key):
        signed = octet - 256 if octet > 127 else octet
        value = value + (signed << index * 5 % 24) & 0x7FFFFFFF
    return 1103515243 * value + 12345 & 0x7FFFFFFF
