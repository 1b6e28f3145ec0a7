"""Berkeley DB files of versions 3.1 and later (db_page.h): a metadata page, then pages of one type each.

No tree or table is followed: every pair lies on a hash page or on a btree leaf, and those are all looked at.
"""

import struct

from qpopper_py.legacy_dbm import NotReadable

HASH, BTREE = 0x061561, 0x053162
LEAST_VERSION = {HASH: 7, BTREE: 8}  # of DB 3.1; before that the metadata page was another
MOST_VERSION = 10

PAGE_HEADER = 26
PAGES = {HASH: (2, 13), BTREE: (5,)}  # P_HASH_UNSORTED, P_HASH; P_LBTREE
KEYDATA = 1  # H_KEYDATA, B_KEYDATA; anything else is a duplicate or lies on pages of its own
DELETED = 0x80
CHECKSUMS = 0x01
SUBDATABASES = 0x20


def byte_order(head: bytes) -> str:
    """``<`` or ``>`` if ``head`` begins as such a file does, else empty."""
    for order in "<>":
        if len(head) >= 72 and struct.unpack_from(order + "I", head, 12)[0] in PAGES:
            return order
    return ""


def is_185(head: bytes) -> bool:
    """Whether this is Berkeley DB 1.85 or 1.86, whose magic number comes first."""
    return any(len(head) >= 4 and struct.unpack_from(order + "I", head)[0] in PAGES for order in "<>")


def read(data: bytes) -> "list[tuple[bytes, bytes]]":
    """All pairs.  NotReadable: of another version, encrypted, cut off, or with parts that no popauth makes."""
    order = byte_order(data)
    if not order:
        raise NotReadable("it does not begin as a Berkeley DB file")
    magic, version, size, encrypted, _, flags = struct.unpack_from(order + "IIIBBB", data, 12)
    last, subdatabases = struct.unpack_from(order + "I", data, 32)[0], struct.unpack_from(order + "I", data, 48)[0]
    if not LEAST_VERSION[magic] <= version <= MOST_VERSION:
        raise NotReadable(f"it is a Berkeley DB file of version {version}")
    if encrypted or flags & CHECKSUMS or (magic == BTREE and subdatabases & SUBDATABASES):
        raise NotReadable("it is encrypted, has checksums, or holds several databases")
    if size < 512 or size & (size - 1) or len(data) != (last + 1) * size:
        raise NotReadable(f"it is cut off or still being written ({len(data)} octets, {last + 1} pages of {size})")
    found: list[tuple[bytes, bytes]] = []
    for at in range(size, len(data), size):
        page = data[at : at + size]
        if page[25] in PAGES[magic]:
            items = on_hash_page(page, order) if magic == HASH else on_leaf(page, order)
            if len(items) % 2:
                raise NotReadable(f"page {at // size} has a key without a value")
            both = zip(items[::2], items[1::2], strict=True)
            found += [(key, value) for key, value in both if key is not None and value is not None]
    return found


def offsets(page: bytes, order: str) -> "tuple[int, ...]":
    count = struct.unpack_from(order + "H", page, 20)[0]
    if PAGE_HEADER + 2 * count > len(page):
        raise NotReadable("a page has more items than fit")
    places: tuple[int, ...] = struct.unpack_from(f"{order}{count}H", page, PAGE_HEADER)
    if any(not PAGE_HEADER + 2 * count <= place < len(page) for place in places):
        raise NotReadable("an item lies outside its page")
    return places


def on_hash_page(page: bytes, order: str) -> "list[bytes | None]":
    """Items follow each other from the page's end; each begins with its type."""
    end = len(page)
    items: list[bytes | None] = []
    for place in offsets(page, order):
        if place >= end or page[place] != KEYDATA:
            raise NotReadable("an item is a duplicate, or too large for its page")
        items.append(page[place + 1 : end])
        end = place
    return items


def on_leaf(page: bytes, order: str) -> "list[bytes | None]":
    """An item is its length, its type, its octets; None where it was deleted."""
    items: list[bytes | None] = []
    for place in offsets(page, order):
        if place + 3 > len(page):
            raise NotReadable("an item lies outside its page")
        length, kind = struct.unpack_from(order + "HB", page, place)
        if kind & ~DELETED != KEYDATA or place + 3 + length > len(page):
            raise NotReadable("an item is a duplicate, or too large for its page")
        items.append(None if kind & DELETED else page[place + 3 : place + 3 + length])
    return items
