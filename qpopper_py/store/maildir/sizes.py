"""How many octets RETR sends of each file, without reading each file each time.

W= in a name is believed where S= agrees with the file, or is missing and W= is possible.  Everything else is
counted once and kept in the record ``sizes`` of the state folder, by base name, size and mtime.  A W= that turns
out wrong is the end of the trust in all of them: from the next session on this Maildir is counted.
"""

import os

from qpopper_py.store.maildir.names import plain, stated

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from qpopper_py.store.maildir.folders import File, Folders
    from qpopper_py.store.state import Record

PIECE = 256 << 10
MOST = 200_000  # messages in the record; the largest ones, if there are more
DISTRUST = "W 0 0 0"  # the line that says that names lie; no message has size 0 and a W


class Unreadable(Exception):
    """A file that cannot be measured is left out of the session; the text says why."""


class Sizes:
    """Fills in ``octets`` and ``proved`` of files, by the ``record`` and what the names say."""

    def __init__(self, folders: "Folders", record: "Record", report: "Callable[[str], None]") -> None:
        self.folders = folders
        self.report = report
        self.record = record
        self.known: dict[str, str] = {}  # plain base -> "size mtime octets"
        self.lines = self.record.load()
        self.trusting = DISTRUST not in self.lines
        self.counted = 0

    def fill(self, files: "Sequence[File]") -> "list[File]":
        """The files whose octets are known now; what cannot be read is reported and left out."""
        for line in self.lines:
            name, _, rest = line.partition(" ")
            self.known[name] = rest
        left = []
        for file in files:
            try:
                self._size(file)
                left.append(file)
            except Unreadable as why:
                self.report(f"{self.folders.path}: {file.name} was left out: {why}")
        if self.counted:
            self._save(left)
        self.known.clear()
        self.lines.clear()
        return left

    def _size(self, file: "File") -> None:
        if self.known:
            size, mtime, octets, *_ = [*self.known.get(plain(file.base), "").split(" "), "", "", ""]
            if size == str(file.size) and mtime == str(file.mtime) and octets.isdigit():
                file.octets = int(octets)
                return
        size_stated, wire = stated(file.base) if self.trusting else (-1, -1)
        if file.size <= wire <= 2 * file.size and size_stated in (file.size, -1):
            file.octets, file.proved = wire, False
            return
        self.counted += 1
        try:
            fd = self.folders.open(file)
            if fd < 0:
                raise Unreadable("it vanished")
            try:
                if not file.same(os.fstat(fd)):
                    raise Unreadable("it is being changed")
                file.octets = measure(fd, file.size)
            finally:
                os.close(fd)
        except PermissionError as why:
            raise Unreadable(why.strerror) from None

    def distrust(self) -> None:
        """A name lied."""
        if self.trusting:
            self.trusting = False
            self.record.save([DISTRUST, *self.record.load()], sync=False)

    def _save(self, files: "Sequence[File]") -> None:
        proved = [file for file in files if file.proved]
        if len(proved) > MOST:
            proved = sorted(proved, key=lambda file: -file.size)[:MOST]
        lines = [f"{plain(file.base)} {file.size} {file.mtime} {file.octets}" for file in proved]
        self.record.save(lines if self.trusting else [DISTRUST, *lines], sync=False)


def measure(fd: int, size: int) -> int:
    """The octets that RETR sends of the open file: its ``size``, a CR for each LF without one, and the last line's end.

    Raises Unreadable if the file has another size.
    """
    feeds = pairs = at = 0
    last = b""
    while data := os.pread(fd, PIECE, at):
        at += len(data)
        feeds += data.count(b"\n")
        pairs += data.count(b"\r\n") + (last == b"\r" and data.startswith(b"\n"))
        last = data[-1:]
    if at != size:
        raise Unreadable("it is being changed")
    return size + feeds - pairs + (0 if last in (b"\n", b"") else 2)
