"""The file that an index lies in; :mod:`index` says when it is believed.

A line ``pop3d index FORMAT CRC CRC``; a line that says who wrote it (version, byte order, separator rule); a line of
numbers; the columns of :class:`~.scan.Layout`, sizes and marks first; and a line each of what the uid scheme made of
every header (nothing: it fixes no uid; a blank: not asked yet).  The first CRC-32 is of all before those lines, the
second of them.  Replaced whole, by rename, and never synced: what a crash leaves of one has another CRC.

While a session lasts it stays open, and is what it was though another takes its place: so columns that few sessions
need are read when they are needed.
"""

import errno
import os
import stat
import sys
from binascii import crc32

from qpopper_py import __version__
from qpopper_py.store.mbox.layout import DIGEST, Layout
from qpopper_py.store.mbox.snapshot import Identity

TYPE_CHECKING = False
if TYPE_CHECKING:
    from array import array
    from collections.abc import Callable, Sequence

    from qpopper_py.store.mbox.from_line import Rule

    Buffer = bytes | bytearray | array[int]

FORMAT = 1
COLUMNS = ("octets", "seen", "starts", "texts", "bodies", "ends", "lines", "digests")
LATE = COLUMNS[2:]
WIDTHS = {"lines": 4, "seen": 1, "digests": DIGEST}  # octets; of others 8
PIECE = 64 << 10
TOP = 1024  # octets that the three lines fit in
FLAGS = os.O_NOFOLLOW | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC


class Kept:
    """An index in memory: ``layout`` as of ``identity``, seen at ``taken`` (ns); ``said`` by headers, row by row.

    ``filed``: of the first so many rows the file tells what was said, while ``said`` is empty.
    """

    __slots__ = ("filed", "identity", "layout", "said", "taken")

    def __init__(
        self, layout: Layout, identity: Identity, taken: int, said: "Sequence[str]" = (), filed: int = 0
    ) -> None:
        self.layout = layout
        self.identity = identity
        self.taken = taken
        self.said = list(said)
        self.filed = filed


class IndexFile:
    """The file ``index`` in ``folder``, with what uid ``scheme`` makes of headers."""

    def __init__(self, folder: str, scheme: str) -> None:
        self.path = os.path.join(folder, "index")
        self.scheme = scheme
        self.fd = -1
        self.late_at = 0  # offset of what is read late
        self.said_at = 0, 0, b""  # where the words are, offset and size, and the end of the first line

    def read(self, rule: "Rule") -> Kept | None:
        """What it holds; None if it is not there, damaged, or was written by or for something else."""
        self.close()
        self.said_at = 0, 0, b""
        try:
            self.fd = os.open(self.path, os.O_RDONLY | FLAGS)
            return self._read(rule)
        except (OSError, ValueError, IndexError):
            return None

    def _read(self, rule: "Rule") -> Kept | None:
        """What :meth:`encode` made, but for words and late columns.  ValueError, IndexError: something else."""
        found = os.fstat(self.fd)
        if not stat.S_ISREG(found.st_mode) or found.st_uid != os.geteuid():
            return None
        top = os.pread(self.fd, TOP, 0)
        first, ours, numbers = (line + b"\n" for line in top.split(b"\n", 3)[:3])
        if ours != written_by(rule):
            return None
        words = numbers.split()
        device, inode, size, mtime, ctime, taken, begin, upto, internal, rows, length = map(int, words[:11])
        at = len(first) + len(ours) + len(numbers)
        said_at = at + rows * sum(width(name) for name in COLUMNS)
        if rows < 0 or length < 0 or said_at + length != found.st_size:
            return None
        layout = Layout(begin, upto, rule)
        columns = [room(layout, name, rows) for name in COLUMNS[:2]]
        self.late_at = at + os.preadv(self.fd, columns, at)
        crc = crc32(columns[1], crc32(columns[0], crc32(ours + numbers)))
        if not first.startswith(first_line(self._crc(self.late_at, said_at, crc), 0)[:-9]):
            return None
        for name in LATE:
            delattr(layout, name)
        layout.late = self._late
        layout.internal = bool(internal)
        if words[11].decode() == self.scheme:
            self.said_at = said_at, length, first[-9:]
        return Kept(layout, (device, inode, size, mtime, ctime), taken, filed=rows)

    def _crc(self, at: int, stop: int, crc: int) -> int:
        """Go on with the CRC of the file up to ``stop``; a file that ends before has another."""
        piece = bytearray(PIECE)
        while at < stop and (size := os.preadv(self.fd, [memoryview(piece)[: stop - at]], at)):
            crc = crc32(memoryview(piece)[:size], crc)
            at += size
        return crc

    def _late(self, layout: Layout) -> None:
        """Fill the late columns.  OSError."""
        columns = [room(layout, name, len(layout)) for name in LATE]
        wanted = len(layout) * sum(width(name) for name in LATE)
        if os.preadv(self.fd, columns, self.late_at) != wanted:
            raise OSError(errno.EIO, f"{self.path} was cut off")

    def words(self, kept: Kept) -> "list[str]":
        """``kept.said``, read from the file if need be."""
        at, length, end = self.said_at
        if kept.filed and length and not kept.said:
            try:
                text = os.pread(self.fd, length, at)
                if end == b"%08x\n" % crc32(text):
                    kept.said = text.decode("ascii").split("\n")[: kept.filed]
            except (OSError, ValueError):
                pass  # as if nothing had been said
            kept.filed = 0
        return kept.said

    def _encoded(self, kept: Kept) -> "list[Buffer]":
        """In pieces: to copy them once more takes a millisecond for 20,000 messages."""
        layout = kept.layout
        said = "\n".join(self.words(kept)).encode()
        counts = (kept.taken, layout.begin, layout.size, layout.internal, len(layout), len(said))
        numbers = " ".join(str(int(number)) for number in (*kept.identity, *counts))
        rest: list[Buffer] = [written_by(layout.rule) + f"{numbers} {self.scheme}\n".encode()]
        rest += [getattr(layout, name) for name in COLUMNS]
        crc = 0
        for piece in rest:
            crc = crc32(piece, crc)
        return [first_line(crc, crc32(said)), *rest, said]

    def write(self, kept: Kept, ready: "Callable[[], None]") -> None:
        """Replace it; ``ready`` is called before the new one takes its place.

        OSError; FileNotFoundError: another session of the user did so at the same time.
        """
        pieces = self._encoded(kept)
        new = self.path + ".new"
        try:
            os.unlink(new)  # a crash left it
        except FileNotFoundError:
            pass
        fd = os.open(new, os.O_WRONLY | os.O_CREAT | os.O_EXCL | FLAGS, 0o600)
        with open(fd, "wb", buffering=0) as file:
            for piece in pieces:
                view = memoryview(piece).cast("B")
                while view:
                    view = view[file.write(view) :]
        ready()
        os.rename(new, self.path)

    def close(self) -> None:
        if self.fd >= 0:
            os.close(self.fd)
            self.fd = -1


def width(column: str) -> int:
    """Octets of a row."""
    return WIDTHS.get(column, 8)


def room(layout: Layout, name: str, rows: int) -> "array[int] | bytearray":
    """The column made anew, with so many rows, all of them 0."""
    from array import array

    empty = bytes(width(name))
    column = bytearray(empty) if width(name) in (1, DIGEST) else array("I" if width(name) == 4 else "q", empty)
    column *= rows
    setattr(layout, name, column)
    return column


def first_line(columns: int, words: int) -> bytes:
    return b"pop3d index %d %08x %08x\n" % (FORMAT, columns, words)


def written_by(rule: "Rule") -> bytes:
    """Another version, another machine, another rule: another index."""
    return f"{__version__} {sys.byteorder} {rule.name}\n".encode()
