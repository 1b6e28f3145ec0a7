"""Writing over a file that has holes without filling them: else moving its zeros would take room on the disk.

Only a block that gets something else than zeros needs room; :func:`prepare` has it allocated before anything moves,
so that a full disk is met while there is a way back.
"""

import errno
import os

from qpopper_py.store import disk

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    from qpopper_py.store.mbox.plan import Plan

BLOCK = 4096  # octets; a file system with larger ones takes more room than is counted here, never less safety


def is_sparse(fd: int) -> bool:
    found = os.fstat(fd)
    return found.st_blocks * 512 < found.st_size


def extents(fd: int, start: int, stop: int) -> "Iterator[tuple[int, int]]":
    """The ranges within [start, stop) that are no holes; all of it where the file system cannot tell."""
    while start < stop:
        try:
            start = os.lseek(fd, start, os.SEEK_DATA)
        except OSError as why:
            if why.errno == errno.ENXIO:
                return
            yield start, stop
            return
        if start >= stop:
            return
        end = min(os.lseek(fd, start, os.SEEK_HOLE), stop)
        yield start, end
        start = end


def prepare(fd: int, plan: "Plan", end: int, mark: int) -> None:
    """Have room for every block of a file of ``end`` octets that the plan will put something in.  OSError: no room.

    ``mark``: octets behind the result that are written too.
    """
    at = plan.first
    needed = []
    for part in [*plan.parts, (plan.stop, end)]:
        if isinstance(part, bytes):
            needed.append((at, at + len(part)))
            at += len(part)
        else:
            shift = part[0] - at
            needed += [(start - shift, stop - shift) for start, stop in extents(fd, *part)]
            at += part[1] - part[0]
    needed.append((at, at + mark))
    for start, stop in needed:
        start, stop = start // BLOCK * BLOCK, min(-(-stop // BLOCK) * BLOCK, end)
        # What is there is left alone, whatever the file system makes of a range that is partly there.
        for hole_start, hole_stop in _holes(fd, start, stop):
            disk.allocate(fd, hole_start, hole_stop)


def idle(fd: int, start: int, stop: int, at: int) -> int:
    """How many octets of [start, stop), to be moved to ``at``, lie in a hole and go to one: nothing is to be done."""
    for begin, _ in extents(fd, start, stop):
        stop = begin
        break
    for begin, _ in extents(fd, at, at + stop - start):
        return begin - at
    return stop - start


def _holes(fd: int, start: int, stop: int) -> "list[tuple[int, int]]":
    holes = []
    for begin, end in [*extents(fd, start, stop), (stop, stop)]:
        if start < begin:
            holes.append((start, begin))
        start = end
    return holes


def write_at(fd: int, data: bytes, offset: int) -> None:
    """As :func:`disk.write_at`, but zeros that would fall into a hole are not written."""
    view = memoryview(data)
    zeros = bytes(BLOCK)
    begun = at = 0  # data[begun:at] is to be written
    while at < len(data):
        stop = min(len(data), (offset + at) // BLOCK * BLOCK + BLOCK - offset)
        if view[at:stop] == zeros[: stop - at] and not any(extents(fd, offset + at, offset + stop)):
            if begun < at:
                disk.write_at(fd, data[begun:at], offset + begun)
            begun = stop
        at = stop
    if begun < len(data):
        disk.write_at(fd, data[begun:], offset + begun)
