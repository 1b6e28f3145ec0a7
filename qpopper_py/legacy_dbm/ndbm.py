"""Classic ndbm (4.3BSD, and Tru64 after it) and sdbm: the pages of NAME.pag.

A page is 1024 octets.  It begins with 16-bit integers of the old machine (little-endian on Alpha): how many
items there are, then the offset of each.  Items are laid from the page's end towards its beginning, a key and
its value by turns, so that each item ends where the one before it begins::

    | n | off 1 | off 2 | ... | off n |   free   | item n | ... | item 2 (value) | item 1 (key) |

A page of no items is empty, whatever deletions left on it; holes of the sparse file read as such.  NAME.dir
only says how pages were split: every page is looked at here, so it is not needed.

Where a system made the pages larger the file is refused: nothing in it tells the size, and by a wrong one keys
would be read with what lies behind them.
"""

import struct

from qpopper_py.legacy_dbm import NotReadable

PAGE_SIZE = 1024  # PBLKSIZ of <ndbm.h>


def read(data: bytes) -> "list[tuple[bytes, bytes]]":
    """All pairs.  NotReadable: the pages do not hold together in any byte order."""
    if len(data) % PAGE_SIZE:
        raise NotReadable(f"it is not a whole number of pages of {PAGE_SIZE} octets")
    pages = [data[at : at + PAGE_SIZE] for at in range(0, len(data), PAGE_SIZE)]
    for order in "<>":
        try:
            return [pair for page in pages for pair in on_page(page, order)]
        except NotReadable:
            continue
    raise NotReadable("its pages do not hold together as ndbm's do")


def on_page(page: bytes, order: str) -> "list[tuple[bytes, bytes]]":
    count = struct.unpack_from(order + "h", page)[0]
    head = 2 * (count + 1)
    if count < 0 or count % 2 or head > len(page):
        raise NotReadable("a page says that it has more items than fit, or half a pair")
    places = struct.unpack_from(f"{order}{count}h", page, 2)
    ends = (len(page), *places)
    if any(not head <= place <= end for place, end in zip(places, ends, strict=False)):
        raise NotReadable("an item lies outside its page")
    items = [page[place:end] for place, end in zip(places, ends, strict=False)]
    return list(zip(items[::2], items[1::2], strict=True))
