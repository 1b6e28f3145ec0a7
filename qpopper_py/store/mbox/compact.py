"""Writing a plan over a mailbox in place: same inode, owner, mode and ACLs, and no room needed in it.

What is kept moves towards the front, ascending, so at every instant all of it is in the file, or in the redo record:
while the hole (from write to read position) is smaller than a step the record has the step's octets; from then on
the hole holds what is written, nothing that the step needs is overwritten, and the position alone is enough.

With a step's octets go checksums of what they overwrite, a sector each, so that recovery can tell whether all of that
place is one or the other.

Order: record, fsync; step, fsync; and so on.  When all is moved, the end that is to be cut off gets a random mark and
is synced; a record with old size, new size and a hash of that end is synced; then truncate, fsync, and the record
goes.  In recovery the mark tells, as no size can, whether the end is still there (what lies behind it is new mail) or
was cut off before (all that lies behind the new size is).

An error before the first step leaves everything as it was.  After it the change is tried once more from the record;
if that fails too, the record stays, and whoever opens the mailbox next finishes it first (:mod:`recover`).
"""

import os
from binascii import crc32
from itertools import pairwise

from qpopper_py.errors import MaildropChanged, MaildropTrouble
from qpopper_py.store import disk
from qpopper_py.store.mbox import sparse
from qpopper_py.store.mbox.plan import Cursor, Plan, must_reach, size_of
from qpopper_py.store.mbox.redo import digest

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from qpopper_py.store.mbox.redo import Fields, Redo

CYCLE = 8 << 20  # octets at most that are moved on the strength of one position
PIECE = 1 << 20  # octets read and written at a time
WITNESS = 4096  # octets on both sides of the hole by which recovery knows the file again
TAIL = 64 << 10  # octets of the end that are hashed
MARK = 24  # octets
SECTOR = 512  # octets


class Mover:
    """Writes ``plan`` over ``fd``; ``between`` is called now and then.  Methods raise OSError and MaildropChanged.

    ``begun``: the mailbox was written to, there is no way back.
    """

    def __init__(self, fd: int, path: str, plan: Plan, redo: "Redo", between: "Callable[[], None]") -> None:
        self.fd = fd
        self.path = path
        self.plan = plan
        self.redo = redo
        self.between = between
        self.sparse = sparse.is_sparse(fd)
        self.begun = False
        self.free = 0  # nothing before this is needed, whatever happens, while the last slot is the last

    def start(self) -> None:
        """From the beginning to the end."""
        end = size_of(self.fd)
        octets = self.plan.octets(end)
        if octets == 0:
            self._cut_end()
            return
        disk.fsync(self.fd)
        if self.sparse:
            sparse.prepare(self.fd, self.plan, end, MARK)
        self.redo.begin(self.plan.encode(), octets)
        self._go(self.plan.first)

    def _cut_end(self) -> None:
        """All that goes is the end: a truncate is whole or not at all by itself."""
        disk.ftruncate(self.fd, self.plan.first)
        self.begun = True
        disk.fsync(self.fd)

    def resume(self) -> None:
        """Go on from what the record says.  It must fit (:meth:`fits`)."""
        fields, self.begun = self.redo.fields, True
        at = int(fields["at"])
        if fields["phase"] == "cut":
            end = int(fields["end"])
            if size_of(self.fd) < end or self._tail(at, end) != fields["tail"]:
                disk.fsync(self.fd)  # it was cut off; what has been delivered since is none of ours
                self.redo.finish()
                return
        self.redo.again()
        if fields["phase"] == "step":
            at = self._write(self.redo.data[: int(fields["length"])], at)
            disk.fsync(self.fd)
        self._go(at)

    def fits(self) -> bool:
        """Is this the file that the record speaks of, as it was left?"""
        fields = self.redo.fields
        if int(fields["inode"]) != os.fstat(self.fd).st_ino:
            return False
        if fields["phase"] == "cut":
            return True
        at, source, end = (int(fields[name]) for name in ("at", "source", "end"))
        if size_of(self.fd) < end or self._witness(at, source, end) != fields["witness"]:
            return False
        length = int(fields.get("length", "0"))
        data, sums = self.redo.data[:length], self.redo.data[length:]
        found = os.pread(self.fd, length, at)
        other = [
            (start, stop)
            for n, (start, stop) in enumerate(sectors(at, length))
            if found[start:stop] != data[start:stop] and sums[4 * n : 4 * n + 4] != checksum(found[start:stop])
        ]
        # A write that was interrupted may have ended within a sector.
        return not other or (len(other) == 1 and found[other[0][0]] == data[other[0][0]])

    def _go(self, at: int) -> None:
        """All that follows output offset ``at``, and the end of it."""
        while True:
            self.free = 0
            end = size_of(self.fd)
            at = self._move(at, end)
            if at + MARK > self.free:
                disk.fsync(self.fd)
                self._note("move", at, end, end)
            self._write(os.urandom(MARK // 2).hex().encode()[: max(0, min(MARK, end - at - 2))], at)
            disk.fsync(self.fd)
            self.redo.note({"phase": "cut", **self._place(at, end), "tail": self._tail(at, end)})
            if size_of(self.fd) == end:  # else somebody delivers without a lock: his mail moves too
                break
        disk.ftruncate(self.fd, at)
        disk.fsync(self.fd)
        self.redo.finish()

    def _move(self, at: int, end: int) -> int:
        """Write all of the result from offset ``at`` on; where it ends.  What the last slot is about is not synced."""
        cursor = Cursor(self.plan, self.fd, at, end)
        while not cursor.done:
            if self.sparse and (octets := sparse.idle(self.fd, *cursor.range, at)):
                cursor.skip(octets)
                at += octets
                continue
            self.free = source = cursor.source
            if source - at >= self.redo.room:
                self._note("move", at, source, end)
                stop = min(source, at + CYCLE)
                while at < stop and (data := cursor.read(min(PIECE, stop - at))):
                    at = self._write(data, at)
                    self.between()
            else:
                data = cursor.read(step_in(self.redo.room))
                self.free = cursor.source
                self._note("step", at, self.free, end, data)
                at = self._write(data, at)
                self.between()
            must_reach(self.fd, self.path, end)
            if not cursor.done:
                disk.fsync(self.fd)
        return at

    def _note(self, phase: str, at: int, source: int, end: int, data: bytes = b"") -> None:
        """``source``: nothing from there up to ``end`` is written over on the strength of this slot."""
        witness = self._witness(at, source, end)
        fields: Fields = {"phase": phase, **self._place(at, end), "source": source, "witness": witness}
        if data:
            old = os.pread(self.fd, len(data), at)
            sums = [checksum(old[start:stop]) for start, stop in sectors(at, len(data))]
            self.redo.note({**fields, "length": len(data)}, data + b"".join(sums))
        else:
            self.redo.note(fields)

    def _place(self, at: int, end: int) -> "dict[str, str | int]":
        return {"inode": os.fstat(self.fd).st_ino, "at": at, "end": end}

    def _write(self, data: bytes, at: int) -> int:
        self.begun = True
        (sparse if self.sparse else disk).write_at(self.fd, data, at)
        return at + len(data)

    def _witness(self, at: int, source: int, end: int) -> str:
        before = min(at, WITNESS)
        return digest(os.pread(self.fd, before, at - before), os.pread(self.fd, min(WITNESS, end - source), source))

    def _tail(self, at: int, end: int) -> str:
        return digest(os.pread(self.fd, min(TAIL, end - at), at))


def sectors(at: int, length: int) -> "list[tuple[int, int]]":
    """The parts of [at, at + length) that a disk writes whole or not at all, counted from ``at``."""
    edges = [0, *range(SECTOR - at % SECTOR, length, SECTOR), length]
    return list(pairwise(edges))


def checksum(data: bytes) -> bytes:
    return crc32(data).to_bytes(4, "big")


def step_in(room: int) -> int:
    """The longest step whose octets, and a checksum of each sector that they go to, fit ``room``."""
    return max(1, (room - 8) * SECTOR // (SECTOR + 4))


def carry_out(fd: int, path: str, plan: Plan, redo: "Redo", between: "Callable[[], None]") -> None:
    """Write the plan over the mailbox; the caller holds its exclusive lock and looked at it under that.

    MaildropTrouble: the system refused.  The text says whether nothing was changed, or the change is finished when
    the mailbox is next opened.
    """
    mover = Mover(fd, path, plan, redo, between)
    try:
        try:
            mover.start()
        except (OSError, MaildropChanged, MaildropTrouble) as why:
            if not mover.begun:
                _take_back(redo, path, why)
            if not redo.published or not mover.fits():
                raise
            mover.resume()
    except (OSError, MaildropChanged) as why:
        raise MaildropTrouble(_words(path, redo, why)) from why
    finally:
        redo.close()


def _take_back(redo: "Redo", path: str, why: Exception) -> None:
    """Nothing was written to the mailbox: nothing remains of this.  Raises MaildropTrouble."""
    try:
        if redo.fd >= 0:
            redo.retract()
    except OSError as worse:
        if redo.pending():
            raise MaildropTrouble(
                f"{path}: {said(why)}; {redo.path} cannot be removed: {worse.strerror}; "
                "what was to be removed will be when the mailbox is next opened"
            ) from why
    if isinstance(why, MaildropTrouble):
        raise why
    raise MaildropTrouble(f"{path}: {said(why)}; nothing was removed") from why


def _words(path: str, redo: "Redo", why: Exception) -> str:
    if redo.pending():
        return (
            f"{path}: {said(why)} in the middle of an expunge; {redo.path} has what it takes to finish it, which is "
            "done when the mailbox is next opened, or by qpopper-py recover"
        )
    return f"{path}: messages are removed, but the disk did not confirm it: {said(why)}"


def said(why: Exception) -> str:
    return getattr(why, "strerror", None) or str(why)
