"""The locks that a mailbox file is held by: dotlock, fcntl and flock, in the order that ``locks.kinds`` gives.

The law: no lock is waited for while another is held.  If one kind is busy those already taken are given back
before the retry, so that no order of kinds can deadlock with a delivery agent's (Postfix takes fcntl, then the
dotlock).  Nothing here is held while a client is waited for.

fcntl locks are open-file-description locks: classic ones belong to the process, do not exclude two sessions in it,
and vanish when any descriptor of the file is closed.
"""

import errno
import fcntl
import os
import struct
import time

from qpopper_py.errors import MaildropBusy, MaildropError, MaildropTrouble
from qpopper_py.store.dotlock import STALE, Dotlocks, FolderClosed, holder

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from qpopper_py.settings import Settings
    from qpopper_py.store.dotlock import DotlockHelper

PAUSE_LEAST, PAUSE_MOST = 0.01, 0.2  # seconds between two tries
REFRESH = 60  # seconds after which a held dotlock is refreshed
BUSY = (errno.EAGAIN, errno.EACCES)


def lock_of(
    path: str, settings: "Settings", report: "Callable[[str], None]", helper: "DotlockHelper | None" = None
) -> "MaildropLock":
    """The locks of the maildrop at ``path`` as the settings have them, for writing to it."""
    required, stale = settings.locks_dotlock == "required", settings.locks_stale
    return MaildropLock(path, settings.locks_kinds, required, settings.locks_timeout, report, helper, stale)


class MaildropLock:
    """The locks of one maildrop; at most once held at a time.  ``with lock.held(fd, exclusive): ...``

    ``kinds``: of dotlock, fcntl, flock.  ``required``: refuse where no dotlock can be made.  ``timeout``: seconds
    to try for.  ``report`` takes a line for the log.  ``helper`` makes the dotlock where we may not.  ``stale``:
    locks.stale.
    """

    def __init__(
        self,
        path: str,
        kinds: "Sequence[str]",
        required: bool,
        timeout: float,
        report: "Callable[[str], None]",
        helper: "DotlockHelper | None" = None,
        stale: int = STALE,
    ) -> None:
        self.path = path
        self.kinds = kinds
        self.required = required
        self.timeout = timeout
        self.report = report
        self.helper = helper
        self.own = Dotlocks(stale=stale)
        self.dotlocks: DotlockHelper | None = self.own  # who makes them here; None: nobody can
        self.taken: list[str] = []
        self.fd = -1
        self.refreshed = 0.0

    def held(self, fd: int, exclusive: bool) -> "_Held":
        """Take all kinds, for as long as the ``with`` block lasts.

        ``fd`` is the open maildrop, open for writing if ``exclusive``.  MaildropBusy: not all could be had in
        time.  MaildropTrouble: the system cannot lock so.
        """
        return _Held(self, fd, exclusive)

    def take(self, fd: int, exclusive: bool) -> None:
        deadline = time.monotonic() + self.timeout
        pause = PAUSE_LEAST
        self.fd = fd
        while True:
            busy = self._try(exclusive)
            if not busy:
                self.refreshed = time.monotonic()
                return
            left = deadline - time.monotonic()
            if left <= 0:
                who = holder(self.path + ".lock") if busy == "dotlock" else "another process"
                raise MaildropBusy(f"{self.path}: after {self.timeout} s the {busy} lock is still held by {who}")
            # Jitter: two that wait for each other's kinds must not try in step.
            time.sleep(min(left, pause * (0.5 + os.urandom(1)[0] / 255)))
            pause = min(2 * pause, PAUSE_MOST)

    def _try(self, exclusive: bool) -> str:
        """Take every kind without waiting; or the kind that is busy, with nothing held."""
        try:
            for kind in self.kinds:
                if not self._try_kind(kind, exclusive):
                    self.release()
                    return kind
        except BaseException:
            self.release()
            raise
        return ""

    def _try_kind(self, kind: str, exclusive: bool) -> bool:
        if kind == "dotlock":
            got = self._try_dotlock()
        else:
            take = _fcntl if kind == "fcntl" else _flock
            how = (fcntl.F_WRLCK, fcntl.LOCK_EX) if exclusive else (fcntl.F_RDLCK, fcntl.LOCK_SH)
            try:
                take(self.fd, how[kind == "flock"])
                got = True
            except OSError as why:
                if why.errno not in BUSY:
                    raise MaildropTrouble(
                        f"{self.path}: {kind} locks fail here: {why.strerror}; if this file system has none, take "
                        f"{kind} out of locks.kinds"
                    ) from None
                got = False
        if got:
            self.taken.append(kind)
        return got

    def _try_dotlock(self) -> bool:
        if self.dotlocks is self.own:
            try:
                return self.own.create(self.path)
            except FolderClosed as why:
                self.dotlocks = self.helper
                if self.helper is None:
                    self._without_dotlock(str(why))
        return self.dotlocks is None or self.dotlocks.create(self.path)

    def _without_dotlock(self, why: str) -> None:
        what = f"{self.path}: no dotlock, {why}"
        if self.required:
            raise MaildropTrouble(
                f"{what}; start the server as root, with all folders on the way there root's and closed to others; or "
                "let the user's process write there; or, if every program that writes mail there locks by fcntl too, "
                "set locks.dotlock = try"
            )
        self.report(f"{what}; going on without it (locks.dotlock = try)")

    def refresh(self) -> None:
        """Call now and then in long work under the lock: keeps the dotlock from looking stale."""
        now = time.monotonic()
        if now - self.refreshed > REFRESH and "dotlock" in self.taken:
            self.refreshed = now
            if self.dotlocks is not None:
                try:
                    self.dotlocks.refresh(self.path)
                except MaildropError as why:
                    self.report(str(why))

    def release(self) -> None:
        """Give back what is held, in reverse; what fails is reported."""
        while self.taken:
            kind = self.taken.pop()
            try:
                if kind == "fcntl":
                    _fcntl(self.fd, fcntl.F_UNLCK)
                elif kind == "flock":
                    fcntl.flock(self.fd, fcntl.LOCK_UN)
                elif self.dotlocks is not None:
                    self.dotlocks.remove(self.path)
            except (OSError, MaildropError) as why:
                self.report(f"{self.path}: giving back the {kind} lock: {why}")


class _Held:
    __slots__ = ("exclusive", "fd", "lock")

    def __init__(self, lock: MaildropLock, fd: int, exclusive: bool) -> None:
        self.lock = lock
        self.fd = fd
        self.exclusive = exclusive

    def __enter__(self) -> MaildropLock:
        self.lock.take(self.fd, self.exclusive)
        return self.lock

    def __exit__(self, *_: object) -> None:
        self.lock.release()


def _fcntl(fd: int, how: int) -> None:
    # struct flock: type, whence, start, length (0: to the end of time), and a pid that must be 0.
    fcntl.fcntl(fd, fcntl.F_OFD_SETLK, struct.pack("hhqqi0q", how, os.SEEK_SET, 0, 0, 0))


def _flock(fd: int, how: int) -> None:
    fcntl.flock(fd, how | fcntl.LOCK_NB)
