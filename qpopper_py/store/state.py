"""Small records in a user's private state folder: lines of text behind a line that vouches for them.

The first line is ``pop3d <name> <format> <MD5 of all that follows>``.  A record that is damaged, or of a format
we do not know, is not believed: it reads as if it were not there, and that is reported.  A record is replaced
whole, by rename, so that no crash leaves half of one.
"""

import os
import stat

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

FORMAT = 1
LARGEST = 64 << 20  # octets


class Record:
    """The record ``name`` in ``folder``; an empty folder name: none, nothing is read or written."""

    def __init__(self, folder: str, name: str, report: "Callable[[str], None]") -> None:
        self.folder = folder
        self.name = name
        self.report = report
        self.path = os.path.join(folder, name)
        self.stored: bytes | None = None  # what lies there, once read and believed

    def load(self) -> "list[str]":
        """Its lines; none if it is missing or not believed."""
        if not self.folder:
            return []
        try:
            data = self._read()
        except FileNotFoundError:
            return []
        except OSError as why:
            self.report(f"{self.path}: {why.strerror}; going on without this record")
            return []
        head, _, rest = data.partition(b"\n")
        words = head.split()
        if words[:2] != [b"pop3d", self.name.encode()] or len(words) != 4:
            self.report(f"{self.path}: not a record of ours; going on without it")
        elif words[2] != b"%d" % FORMAT:
            self.report(f"{self.path}: of a format ({words[2]!r}) that this version does not know; going on without it")
        elif words[3] != _checksum(rest) or not rest.isascii():
            self.report(f"{self.path}: damaged; going on without it")
        else:
            self.stored = rest
            return rest.decode("ascii").split("\n")[:-1]
        return []

    def _read(self) -> bytes:
        fd = os.open(self.path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
        try:
            found = os.fstat(fd)
            if not stat.S_ISREG(found.st_mode) or found.st_size > LARGEST:
                return b""
            with open(fd, "rb", closefd=False) as file:
                return file.read(LARGEST)
        finally:
            os.close(fd)

    def save(self, lines: "Sequence[str]", sync: bool) -> bool:
        """Replace it if these lines differ from what lies there; ``sync``: it is on the disk when this returns.

        Whether they lie there now.  A failure is reported: no session fails for its records.
        """
        rest = "".join(line + "\n" for line in lines).encode("ascii")
        if not self.folder or rest == (self.stored or b""):
            return bool(self.folder)
        new = self.path + ".new"
        try:
            try:
                os.unlink(new)  # a crash left it: whoever is here has the session's place
            except FileNotFoundError:
                pass
            fd = os.open(new, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
            with open(fd, "wb") as file:
                file.write(b"pop3d %s %d %s\n" % (self.name.encode(), FORMAT, _checksum(rest)) + rest)
                file.flush()
                if sync:
                    os.fsync(fd)
            os.rename(new, self.path)
            if sync:
                self._sync_folder()
            self.stored = rest
        except OSError as why:
            self.report(f"{self.path}: cannot be written: {why.strerror}")
            return False
        return True

    def _sync_folder(self) -> None:
        fd = os.open(self.folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            os.fsync(fd)
        finally:
            os.close(fd)


def _checksum(data: bytes) -> bytes:
    from hashlib import md5

    return md5(data, usedforsecurity=False).hexdigest().encode()
