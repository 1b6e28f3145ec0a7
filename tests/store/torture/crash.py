"""A disk that can be stopped at any call, and what it may then hold.

:class:`Watch` stands in the place of the system calls in :mod:`qpopper_py.store.disk`.  It lets them through, writes
them down, and can kill the caller before one, or make one fail.  From what was written down :class:`Replay` makes what
may be on the disk after the power went at any call: what was synced, and of the rest any part, in any mixture, writes
torn at sectors.
"""

from __future__ import annotations

import contextlib
import errno
import itertools
import os
import random
from pathlib import Path
from typing import TYPE_CHECKING

from qpopper_py.store import disk

if TYPE_CHECKING:
    from collections.abc import Iterator

CALLS = ("create", "pwrite", "ftruncate", "fsync", "rename", "unlink", "posix_fallocate")
SECTOR = 512
# What these calls can fail with, by their manual pages, while the arguments are right.
ERRORS = {
    "create": (errno.ENOSPC, errno.EDQUOT, errno.EIO, errno.EROFS, errno.EACCES),
    "pwrite": (errno.ENOSPC, errno.EDQUOT, errno.EIO, errno.EROFS),
    "ftruncate": (errno.EIO, errno.EROFS),
    "fsync": (errno.EIO, errno.ENOSPC, errno.EDQUOT, errno.EROFS),
    "rename": (errno.ENOSPC, errno.EDQUOT, errno.EIO, errno.EROFS),
    "unlink": (errno.EIO, errno.EROFS),
    "posix_fallocate": (errno.ENOSPC, errno.EDQUOT, errno.EIO, errno.EROFS, errno.EFBIG),
}


class Killed(BaseException):
    """kill -9: nobody catches it."""


@contextlib.contextmanager
def killable() -> Iterator[None]:
    """Whoever is killed in here leaves nothing behind but files; nobody who is not leaves a descriptor open."""
    before = descriptors()
    try:
        yield
    except Killed:
        for number in descriptors() - before:
            os.close(number)
    finally:
        assert descriptors() == before


def descriptors() -> set[int]:
    """What this process has open, but for the descriptor by which that is listed."""
    listed = os.listdir("/proc/self/fd")
    return {int(number) for number in listed if os.path.lexists(f"/proc/self/fd/{number}")}


class Watch:
    """``kill``: the number of the call before which the caller dies.  ``fail``: (number, errno, how many calls)."""

    def __init__(self, kill: int = -1, fail: tuple[int, int, int] = (-1, 0, 0)) -> None:
        self.kill = kill
        self.fail = fail
        self.calls: list[tuple[object, ...]] = []

    @property
    def count(self) -> int:
        return len(self.calls)

    @contextlib.contextmanager
    def standing(self) -> Iterator[Watch]:
        real = {name: getattr(disk, name) for name in CALLS}
        for name in CALLS:
            setattr(disk, name, self._wrapped(name, real[name]))
        try:
            yield self
        finally:
            for name in CALLS:
                setattr(disk, name, real[name])

    def _wrapped(self, name, real):
        def call(*args):
            number = self.count
            if number == self.kill:
                raise Killed
            first, code, times = self.fail
            if first <= number < first + times:
                self.calls.append(("failed " + name, *self._noted(name, args)[1:]))
                if name == "pwrite":
                    real(args[0], bytes(args[1])[: len(args[1]) // 2], args[2])
                raise OSError(code, os.strerror(code))
            self.calls.append(self._noted(name, args))
            if name == "unlink":
                return away(args[0])
            if name == "create":
                back(args[0])
            return None if name == "fsync" else real(*args)  # a test's power goes only where it says so

        return call

    @staticmethod
    def _noted(name, args):
        if name in ("pwrite", "ftruncate", "fsync", "posix_fallocate"):
            path = os.readlink(f"/proc/self/fd/{args[0]}")
            return (name, path, bytes(args[1]), args[2]) if name == "pwrite" else (name, path, *args[1:])
        return (name, *args[: 2 if name == "rename" else 1])


class Replay:
    """Files by name, as they were before the calls; ``states(prefix)``: what they may be after the power went."""

    def __init__(self, files: dict[str, bytes], calls: list[tuple[object, ...]], seed: int = 0) -> None:
        self.files = files
        self.calls = calls
        self.random = random.Random(seed)

    def states(self, prefix: int, most: int) -> Iterator[dict[str, bytes]]:
        """At most ``most`` different ones, the plainest first: nothing that was not synced; all of it."""
        done = self.calls[:prefix]
        loose = [number for number in range(prefix) if not self._synced(number, prefix)]
        seen = set()
        for kept in itertools.islice(self._choices(loose), 4 * most):
            state = self._after(done, set(loose) - set(kept), kept)
            key = tuple(sorted(state.items()))
            if key not in seen:
                seen.add(key)
                yield state
                if len(seen) == most:
                    return

    def _synced(self, number: int, prefix: int) -> bool:
        name, path = self.calls[number][0], str(self.calls[number][-1 if self.calls[number][0] == "rename" else 1])
        if name not in CALLS or name == "fsync":
            return True
        names = name in ("rename", "unlink", "create")
        wanted = os.path.dirname(path) if names else path
        for later in range(number + 1, prefix):
            call = self.calls[later]
            if call[0] == "fsync" and call[1] == wanted:
                return True
            if call[0] == "failed fsync" and call[1] == wanted and name == "pwrite":
                return False  # the kernel takes the pages for clean from then on
            if call[0] == "rename" and call[1] == wanted and not names:
                wanted = str(call[2])
            if names and call[0] == "fsync" and name == "create" and call[1] == path:
                return True  # to sync a new file makes its name durable on the file systems we know
        return False

    def _choices(self, loose: list[int]) -> Iterator[dict[int, str]]:
        """Which of the loose calls count, and how: whole, or a torn part."""
        yield {}
        yield dict.fromkeys(loose, "whole")
        for number in loose:
            yield {number: "whole"}
            yield {other: "whole" for other in loose if other != number}
            for part in ("front", "back", "odd"):
                yield {number: part}
                yield {**dict.fromkeys(loose, "whole"), number: part}
        while loose:
            yield {
                number: self.random.choice(("whole", "whole", "front", "back", "odd"))
                for number in loose
                if self.random.random() < 0.5
            }

    def _after(self, done, dropped, kept) -> dict[str, bytes]:
        files = {path: bytearray(data) for path, data in self.files.items()}
        shadow: dict[str, bytearray] = {}  # names that were made or given and may not count
        names_lost = False  # a folder's names are journalled in order: what follows a lost one is lost
        for number, call in enumerate(done):
            how = "dropped" if number in dropped else kept.get(number, "whole")
            name = call[0]
            if name == "create":
                files.setdefault(call[1], bytearray())
            elif name in ("rename", "unlink"):
                names_lost = names_lost or how != "whole"
                if name == "unlink":
                    moved = files.pop(call[1])
                else:
                    moved = files.pop(call[1])
                    files[call[2]] = moved
                if names_lost:
                    shadow[call[1]] = moved
                    if name == "rename":
                        shadow.setdefault(call[2], None)  # type: ignore[arg-type]
            elif name in ("pwrite", "failed pwrite", "ftruncate", "posix_fallocate") and how != "dropped":
                self._apply(files[call[1]], call, "front" if name == "failed pwrite" else how)
        for path, data in shadow.items():
            if data is None:
                files.pop(path, None)
            else:
                files[path] = data
        return {path: bytes(data) for path, data in files.items()}

    @staticmethod
    def _apply(file: bytearray, call, how: str) -> None:
        name = call[0]
        if name == "ftruncate":
            size = call[2]
            del file[size:]
            file += bytes(size - len(file))
        elif name == "posix_fallocate":
            file += bytes(max(0, call[2] + call[3] - len(file)))
        elif name in ("pwrite", "failed pwrite"):
            data, offset = call[2], call[3]
            file += bytes(max(0, offset + len(data) - len(file)))
            at = 0
            while at < len(data):
                stop = min(len(data), (offset + at) // SECTOR * SECTOR + SECTOR - offset)
                sector = (offset + at) // SECTOR
                half = at < len(data) // 2
                if (
                    how == "whole"
                    or (how == "front" and half)
                    or (how == "back" and not half)
                    or (how == "odd" and sector % 2)
                ):
                    file[offset + at : offset + stop] = data[at:stop]
                at = stop


def lay(files: dict[str, bytes], folders: tuple[str, ...]) -> None:
    """Make these files hold this, and the folders no others.  Each keeps its inode, by which records know it."""
    for folder in folders:
        for path in Path(folder).iterdir():
            if str(path) not in files:
                away(str(path))
    for path, data in files.items():
        back(path)
        with open(path, "r+b" if os.path.exists(path) else "w+b", buffering=0) as file:
            file.truncate(0)
            file.write(data)


def away(path: str) -> None:
    """Remove a file, but let its inode not be given to somebody else's: it may have to come back."""
    os.rename(path, waiting(path))


def back(path: str) -> None:
    if not os.path.lexists(path) and os.path.lexists(waiting(path)):
        os.rename(waiting(path), path)
        os.truncate(path, 0)


def waiting(path: str) -> str:
    """Its name meanwhile, beside its folder."""
    return f"{os.path.dirname(os.path.abspath(path))}-without-{os.path.basename(path)}"
