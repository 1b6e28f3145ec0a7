"""What a scan found, in columns; and whether the file still is so, read piece by piece."""

import os
from binascii import crc32

from qpopper_py.errors import MaildropChanged
from qpopper_py.kernel import native
from qpopper_py.store.mbox.from_line import STRICT

TYPE_CHECKING = False
if TYPE_CHECKING:
    from array import array
    from collections.abc import Callable, Iterable

    from qpopper_py.store.mbox.from_line import Rule

BACK = 3  # octets before a separator that count as part of it: LF CR LF
LOOK = 1 << 20  # what lies farther behind in a header is neither hashed nor searched for fields
DIGEST = 16  # octets of a header hash


class Layout:
    """What a scan found, in columns (20,000 messages are 1.2 MB); offsets count from the file's start.

    Row ``i`` is ``starts[i]`` (its From_ line), ``texts[i]`` (what RETR sends begins), ``bodies[i]`` (behind the
    empty line that ends the header), ``ends[i]`` (what RETR sends ends), ``octets[i]``, ``seen[i]`` (SEEN,
    DELETED or both), its header hash, and ``lines[i]``, the CRC-32 of its separator with BACK octets before that.
    ``internal``: row 0 is c-client's own, no message.  ``rule``: by which all this is so.

    Columns that are not there are had from ``late`` when one of them is first asked for.
    """

    # fmt: off
    __slots__ = (
        "begin", "bodies", "digests", "ends", "internal", "late", "lines", "octets", "rule", "seen", "size", "starts",
        "texts",
    )
    # fmt: on

    def __init__(self, begin: int, size: int, rule: "Rule" = STRICT) -> None:
        from array import array

        self.rule = rule
        self.begin = begin
        self.size = size
        self.starts: array[int] = array("q")
        self.texts: array[int] = array("q")
        self.bodies: array[int] = array("q")
        self.ends: array[int] = array("q")
        self.octets: array[int] = array("q")
        self.lines: array[int] = array("I")
        self.seen = bytearray()
        self.digests = bytearray()
        self.internal = False
        self.late: Callable[[Layout], None] | None = None

    if not TYPE_CHECKING:  # or else no misspelt name would be found

        def __getattr__(self, name: str) -> object:
            late = self.late if name in Layout.__slots__ else None
            if late is None:
                raise AttributeError(name)
            self.late = None
            late(self)
            return getattr(self, name)

    def __len__(self) -> int:
        return len(self.octets)

    def stop(self, row: int) -> int:
        """Where the row's share of the file ends, its separating empty line included."""
        return self.starts[row + 1] if row + 1 < len(self.starts) else self.size

    def digest(self, row: int) -> bytes:
        return bytes(self.digests[row * DIGEST : (row + 1) * DIGEST])

    def same_from(self, row: int, other: "Layout") -> bool:
        """Are the rows from ``row`` on exactly all rows of ``other``?"""
        return (
            self.starts[row:] == other.starts
            and self.texts[row:] == other.texts
            and self.bodies[row:] == other.bodies
            and self.ends[row:] == other.ends
            and self.octets[row:] == other.octets
            and self.digests[row * DIGEST :] == other.digests
        )


def read_at(fd: int, size: int, offset: int) -> bytes:
    """Exactly ``size`` octets at ``offset``; MaildropChanged if the file ends before."""
    try:
        data = os.pread(fd, size, offset)
    except OverflowError:
        raise MaildropChanged(f"no mailbox has {size} octets at {offset}") from None
    while len(data) < size:
        more = os.pread(fd, size - len(data), offset + len(data))
        if not more:
            raise MaildropChanged(f"the mailbox ends at {offset + len(data)}, it reached {offset + size} before")
        data += more
    return data


def header(fd: int, layout: Layout, row: int) -> bytes:
    """From_ line and header of a row, at most LOOK octets."""
    start = layout.starts[row]
    return read_at(fd, min(layout.bodies[row] - start, LOOK), start)


def header_hash(head: bytes) -> bytes:
    from hashlib import blake2b

    return blake2b(head, digest_size=DIGEST).digest()


def first_edited(fd: int, layout: Layout, rows: "Iterable[int]") -> int:
    """The first of ``rows`` whose header has not the hash that is known; -1: all have.  MaildropChanged, as read_at."""
    for row in _doubtful(fd, layout, rows):
        if header_hash(header(fd, layout, row)) != layout.digest(row):
            return row
    return -1


def _doubtful(fd: int, layout: Layout, rows: "Iterable[int]") -> "Iterable[int]":
    """Those of ``rows`` whose headers the kernel does not find to be the same: edited, very long, or there is none."""
    if native is None:
        return rows
    from array import array

    rows, known = sorted(rows), layout.digests
    columns = layout.starts, layout.bodies
    if rows and rows[-1] - rows[0] + 1 == len(rows):  # to go through thousands here takes as long as to read them
        first, behind = rows[0], rows[-1] + 1
        found = native.headers(fd, *(column[first:behind] for column in columns))
        if found == known[first * DIGEST : behind * DIGEST]:
            return ()
    else:
        found = native.headers(fd, *(array("q", map(column.__getitem__, rows)) for column in columns))
    return [
        row
        for at, row in enumerate(rows)
        if found[at * DIGEST : at * DIGEST + DIGEST] != known[row * DIGEST : row * DIGEST + DIGEST]
    ]


def boundaries(fd: int, starts: "array[int]", texts: "array[int]") -> "array[int]":
    """What column ``lines`` would be for these separators by what the file holds now; 0 where it does not reach."""
    from array import array

    lines = array("I")
    if native is not None:
        lines.frombytes(native.boundaries(fd, starts, texts))
        return lines
    offsets = [max(0, start - BACK) for start in starts]
    for offset, text in zip(offsets, texts, strict=True):
        found = os.pread(fd, text - offset, offset)
        lines.append(crc32(found) if len(found) == text - offset else 0)
    return lines
