"""On what terms a session has its maildrop: alone, beside others of the same user, or for reading only.

Beside others, a record of the state folder is replaced under a lock, and each session replaces its own lines only:
those that it read or wrote before.  What others added since is theirs, and stays.  For reading only, no record is
written.
"""

import os
import time

from qpopper_py.store.state import Record

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from qpopper_py.settings import Settings

LOCK = "records.lock"
PATIENCE = 5.0  # seconds to wait for another session that writes a record, which takes it an instant


class Terms:
    """``shared``: other sessions may have the maildrop too.  ``read_only``: nothing is written, anywhere."""

    __slots__ = ("read_only", "shared")

    def __init__(self, shared: bool = False, read_only: bool = False) -> None:
        self.shared = shared
        self.read_only = read_only

    def record(self, folder: str, name: str, report: "Callable[[str], None]") -> Record:
        """The record ``name`` of the user's state ``folder``, as :class:`~.state.Record`."""
        if self.read_only:
            return ReadOnlyRecord(folder, name, report)
        return SharedRecord(folder, name, report) if self.shared else Record(folder, name, report)


ALONE = Terms()


def terms_of(settings: "Settings") -> Terms:
    return Terms(settings.second_session == "allowed", settings.read_only)


class ReadOnlyRecord(Record):
    """What was written before counts; nothing is added."""

    def save(self, lines: "Sequence[str]", sync: bool) -> bool:  # noqa: ARG002  # Record's
        """Nothing is written."""
        return False


class SharedRecord(Record):
    """A record that several sessions write.  It is to be made before the maildrop is scanned."""

    def __init__(self, folder: str, name: str, report: "Callable[[str], None]") -> None:
        super().__init__(folder, name, report)
        self.found = super().load()
        self.mine = set(self.found)  # lines that this session read or wrote

    def load(self) -> "list[str]":
        """What was there when the session began."""
        return self.found

    def save(self, lines: "Sequence[str]", sync: bool) -> bool:
        """Put ``lines`` in the place of ours."""
        if not self.folder:
            return False
        self.mine.update(lines)
        try:
            fd = self._lock()
        except OSError as why:
            self.report(f"{self.path}: cannot be written: {LOCK}: {why.strerror}")
            return False
        try:
            self.stored = None
            others = [line for line in super().load() if line not in self.mine]
            return super().save([*lines, *others], sync)
        finally:
            os.close(fd)  # gives the lock back

    def _lock(self) -> int:
        """A descriptor that holds the lock of all records in the folder.  OSError."""
        import fcntl

        flags = os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
        fd = os.open(os.path.join(self.folder, LOCK), flags, 0o600)
        give_up = time.monotonic() + PATIENCE
        while True:
            try:
                fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
                return fd
            except OSError:
                if time.monotonic() > give_up:
                    os.close(fd)
                    raise
                time.sleep(0.02)
