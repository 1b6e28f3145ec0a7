"""The plan of an expunge: what of a file stays, and what is put between, in the order of the result.

The law: the write position never overtakes the read position.  Whatever is kept lies in the file at or behind the
place that it goes to, so the result can be written over the file from front to end.
"""

import os

from qpopper_py.errors import MaildropChanged
from qpopper_py.store.mbox.layout import read_at

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    Part = tuple[int, int] | bytes  # a kept range of the file, or octets that are put in
    Edit = tuple[int, int, bytes]  # (start, stop, what stands in the place of that range)

SLACK = 64  # octets by which the read position leads at least: room for the mark of compact


class Plan:
    """Offsets of the file below ``first`` and from ``stop`` on are kept; what lies between becomes ``parts``."""

    __slots__ = ("first", "parts", "stop")

    def __init__(self, first: int, parts: "Sequence[Part]", stop: int) -> None:
        self.first = first
        self.parts = parts
        self.stop = stop

    def octets(self, end: int) -> int:
        """How many octets of a file of ``end`` octets are to be written anew."""
        return end - self.stop + sum(len(p) if isinstance(p, bytes) else p[1] - p[0] for p in self.parts)

    def encode(self) -> bytes:
        out = bytearray()
        at = self.first
        for number in (self.first, self.stop):
            _put(out, number)
        for part in self.parts:
            if isinstance(part, bytes):
                _put(out, len(part) << 1 | 1)
                out += part
            else:
                _put(out, (part[0] - at) << 1)
                _put(out, part[1] - part[0])
                at = part[1]
        return bytes(out)

    @classmethod
    def decode(cls, data: bytes) -> "Plan":
        """The plan; ValueError: ``data`` is none."""
        first, offset = _get(data, 0)
        stop, offset = _get(data, offset)
        parts: list[Part] = []
        at = first
        while offset < len(data):
            number, offset = _get(data, offset)
            if number & 1:
                parts.append(data[offset : offset + (number >> 1)])
                offset += number >> 1
            else:
                length, offset = _get(data, offset)
                start = at + (number >> 1)
                at = start + length
                parts.append((start, at))
        if offset != len(data) or at > stop:
            raise ValueError("not a plan")
        return cls(first, parts, stop)


def make(cuts: "Iterable[tuple[int, int]]", edits: "Iterable[Edit]", stop: int) -> Plan:
    """``cuts``: ranges that go; ``edits``: ranges, which may be empty, that others replace; they do not touch.

    An edit before the first cut, or one for which what was cut before has not made room, is left out.
    ``stop``: size of the file.
    """
    changes = sorted([*((a, b, b"") for a, b in cuts), *edits], key=lambda change: change[:2])
    parts: list[Part] = []
    first = at = -1
    lead = 0  # of the read position
    for start, end, text in changes:
        if text and (first < 0 or lead + end - start - len(text) < SLACK):
            continue
        if first < 0:
            first = at = start
        if at < start:
            parts.append((at, start))
        if text:
            parts.append(text)
        lead += end - start - len(text)
        at = end
    if at < stop:
        parts.append((at, stop))
    return Plan(first, parts, stop)


class Cursor:
    """Reads the result of ``plan`` from offset ``at`` of it, out of a file of ``end`` octets."""

    def __init__(self, plan: Plan, fd: int, at: int, end: int) -> None:
        self.fd = fd
        self.rows: list[Part] = [*plan.parts, (plan.stop, end)]
        self.row = 0
        skip = at - plan.first
        while self.row < len(self.rows) - 1 and skip >= self._length():
            skip -= self._length()
            self.row += 1
        self.inside = skip

    def _length(self) -> int:
        row = self.rows[self.row]
        return len(row) if isinstance(row, bytes) else row[1] - row[0]

    @property
    def source(self) -> int:
        """Offset in the file of the next octet that is kept; none before it is needed any more."""
        inside = self.inside
        for number in range(self.row, len(self.rows)):
            row = self.rows[number]
            if not isinstance(row, bytes):
                return row[0] + inside
            inside = 0
        raise AssertionError("the last row is a range")

    @property
    def done(self) -> bool:
        return self.row == len(self.rows) - 1 and self.inside >= self._length()

    def read(self, most: int) -> bytes:
        """The next octets of the result, ``most`` unless it ends before."""
        pieces = []
        while most and not self.done:
            row, size = self.rows[self.row], min(most, self._length() - self.inside)
            if isinstance(row, bytes):
                pieces.append(row[self.inside : self.inside + size])
            elif size:
                pieces.append(read_at(self.fd, size, row[0] + self.inside))
            self.skip(size)
            most -= size
        return pieces[0] if len(pieces) == 1 else b"".join(pieces)

    @property
    def range(self) -> tuple[int, int]:
        """What is left of the range of the file that is to be read now; empty if it is something put in."""
        row = self.rows[self.row]
        return (0, 0) if isinstance(row, bytes) else (row[0] + self.inside, row[1])

    def skip(self, octets: int) -> None:
        """Pass over so many octets, which do not go beyond the row."""
        self.inside += octets
        if self.inside == self._length() and self.row < len(self.rows) - 1:
            self.row += 1
            self.inside = 0


def size_of(fd: int) -> int:
    return os.fstat(fd).st_size


def must_reach(fd: int, path: str, end: int) -> None:
    """MaildropChanged if the file is shorter than what is known of it."""
    if size_of(fd) < end:
        raise MaildropChanged(f"{path}: was cut off under us: it has {size_of(fd)} octets and had {end}")


def _put(out: bytearray, number: int) -> None:
    while number > 127:
        out.append(number & 127 | 128)
        number >>= 7
    out.append(number)


def _get(data: bytes, offset: int) -> tuple[int, int]:
    number = shift = 0
    while True:
        if offset >= len(data) or shift > 63:
            raise ValueError("not a number")
        number |= (data[offset] & 127) << shift
        offset += 1
        if data[offset - 1] < 128:
            return number, offset
        shift += 7
