"""The mailbox file under a session: opened with care, and noticed when anybody else touches it.

What a scan found stays true while inode, size, mtime and ctime stay the same.  Times are told in ticks, so they are
only relied on once a tick has passed since the change (:func:`settled`).  Of what can happen beneath a session only
an append is accepted, after a look under the lock at every known boundary.
"""

import errno
import os
import stat
import sys
import time

from qpopper_py.errors import MaildropChanged, MaildropUnusable
from qpopper_py.store.mbox.from_line import STRICT
from qpopper_py.store.mbox.layout import first_edited
from qpopper_py.store.mbox.scan import first_lost, scan, tail_of

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable

    from qpopper_py.store.lock import MaildropLock
    from qpopper_py.store.mbox.from_line import Rule
    from qpopper_py.store.mbox.index import Index
    from qpopper_py.store.mbox.layout import Layout

OPEN = os.O_NOFOLLOW | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC
CLOSED = (errno.ELOOP, errno.EACCES, errno.EPERM, errno.ENXIO, errno.ENOTDIR, errno.EISDIR, errno.ENAMETOOLONG)
CLOCK_REALTIME_COARSE = 5  # clock_gettime(2): the clock that stamps files

Identity = tuple[int, int, int, int, int]


def tick() -> int:
    """Nanoseconds after which a file's stamp must differ, where stamps are in nanoseconds: a quarter over the
    kernel's tick; 10 ms, the longest that there is (100 Hz), where it does not tell.
    """
    try:
        return int(time.clock_getres(CLOCK_REALTIME_COARSE) * 1.25e9) if sys.platform == "linux" else 10_000_000
    except OSError:
        return 10_000_000


TICK = tick()


def identity(state: os.stat_result) -> Identity:
    """Device, inode, size, mtime and ctime (ns)."""
    return state.st_dev, state.st_ino, state.st_size, state.st_mtime_ns, state.st_ctime_ns


def settled(fd: int) -> Identity:
    """The identity, such that a later change must show in it: waits out the tick of the last change.

    To be called under the lock; waits a second at most, and only if the file changed within it.
    """
    state = os.fstat(fd)
    whole = state.st_ctime_ns % 1_000_000_000 == 0 and state.st_mtime_ns % 1_000_000_000 == 0
    second = 1_000_000_000
    left = state.st_ctime_ns + (second if whole else TICK) - time.time_ns()
    if 0 < left <= second:
        time.sleep(left / 1e9)
    return identity(os.fstat(fd))


def open_mailbox(path: str, owner: int, flags: int = os.O_RDONLY) -> int:
    """A descriptor of the mailbox; -1 if it is missing.

    MaildropUnusable: it is a link, no regular file, has a second name, is not ``owner``'s (a uid), or is closed to us.
    OSError: the system refused for another cause.
    """
    try:
        fd = os.open(path, flags | OPEN)
    except FileNotFoundError:
        return -1
    except OSError as why:
        if why.errno not in CLOSED:
            raise
        what = "is a symbolic link" if os.path.islink(path) else f"cannot be opened: {why.strerror}"
        raise MaildropUnusable(f"{path}: {what}; a mailbox is a file of its user, mode 0600 or 0660") from None
    state = os.fstat(fd)
    if not stat.S_ISREG(state.st_mode):
        what = "is a folder" if stat.S_ISDIR(state.st_mode) else "is no regular file"
    elif state.st_nlink > 1:
        what = "has a second name (hard link); remove that"
    elif state.st_uid != owner:
        what = f"belongs to uid {state.st_uid}, not to uid {owner}; chown it"
    else:
        return fd
    os.close(fd)
    raise MaildropUnusable(f"{path}: {what}")


class Snapshot:
    """A scanned mailbox: ``fd`` open for reading, ``layout``, and what the file looked like then.

    ``index``: where to look for what an earlier session found; without one all is scanned.
    """

    def __init__(
        self, path: str, fd: int, lock: "MaildropLock", rule: "Rule" = STRICT, index: "Index | None" = None
    ) -> None:
        self.path = path
        self.fd = fd
        self.lock = lock
        self.known = identity(os.fstat(fd))
        self.scanned: Identity | None = None  # what it was when we scanned it ourselves
        self._same_file()
        layout = index.unchanged(self.known, rule) if index else None
        self.indexed = self.known if layout is not None else None  # what it was when an earlier session knew all of it
        self.layout = self._scan(rule, index) if layout is None else layout

    def _scan(self, rule: "Rule", index: "Index | None") -> "Layout":
        settled(self.fd)  # waited for here, lest a delivery wait with us
        with self.lock.held(self.fd, exclusive=False):
            # Taken first: whoever does not lock and appends during the scan is noticed afterwards.
            self.known = settled(self.fd)
            self._same_file()
            if index is None:
                layout = scan(self.fd, self.path, 0, self.known[2], rule=rule)
            else:
                layout = index.layout(self.fd, self.path, self.known, rule)
            if index is None or index.scanned:
                self.scanned = self.known
            return layout

    def _same_file(self) -> Identity:
        """The identity of what the path names, which must be what we opened."""
        try:
            now = identity(os.lstat(self.path))
        except FileNotFoundError:
            raise MaildropChanged(f"{self.path}: was removed under the session") from None
        if now[:2] != self.known[:2]:
            raise MaildropChanged(f"{self.path}: was replaced under the session")
        return now

    def check(self, row: int = -1) -> None:
        """MaildropChanged unless all that was scanned is still there; ``row``: what is being read, if anything is."""
        if self._same_file() == self.known:
            return
        with self.lock.held(self.fd, exclusive=False):
            now = settled(self.fd)
            self._grown(now)
            self._boundaries(0, len(self.layout))
            if row >= 0:
                self._same_headers((row,))
            self.known = now

    def check_message(self, row: int) -> None:
        """``check``, and that the message's header is the one that was scanned."""
        self.check()
        self._same_headers((row,))

    def find_again(self, fd: int, rows: "list[int]") -> "list[int]":
        """Where ``rows`` (ascending) lie by now, though other sessions have expunged; to be called as ``confirm`` is.

        The snapshot is of what lies there now.  MaildropChanged: something else than expunges and deliveries was done.
        """
        from qpopper_py.store.mbox.match import found_again

        now = settled(fd)
        self._same_file()
        if now == self.known:
            return rows
        layout = scan(fd, self.path, 0, now[2], rule=self.layout.rule)
        found = found_again(self.layout, layout, rows)
        if found is None:
            raise MaildropChanged(f"{self.path}: was edited under the session")
        self.layout = layout
        self.known = self.scanned = now
        return found

    def confirm(self, fd: int, rows: "list[int]") -> None:
        """Look at what an expunge of ``rows`` (ascending) will touch, through ``fd``, under the exclusive lock.

        If the file was touched since the scan, or something would be moved on the word of an index, all from the first
        of them on is scanned anew and must be the same.
        """
        now = settled(fd)
        self._same_file()
        if now[:2] != self.known[:2]:
            raise MaildropChanged(f"{self.path}: was replaced under the session")
        self._grown(now)
        first = rows[0]
        moves = first + len(rows) < len(self.layout)
        if now != self.scanned and (moves or now != self.indexed):
            again = scan(fd, self.path, self.layout.starts[first], self.layout.size, rule=self.layout.rule)
            if not self.layout.same_from(first, again):
                raise MaildropChanged(f"{self.path}: was edited under the session")
            return  # boundaries and headers are among what is the same
        # Of rows that all go the headers' hashes vouch for the separators, too.
        self._boundaries(first, len(self.layout) if moves else first + 1)
        self._same_headers(rows)

    def cuts(self, fd: int, rows: "list[int]") -> "list[tuple[int, int]]":
        """The ranges of the file that go with ``rows`` (ascending, confirmed), those that touch made one."""
        starts, stops = self.layout.starts, self.layout.starts[1:]
        stops.append(self.layout.size)
        cuts: list[tuple[int, int]] = []
        before = -2
        for row in rows:
            if row == before + 1:
                cuts[-1] = cuts[-1][0], stops[row]
            else:
                cuts.append((starts[row], stops[row]))
            before = row
        if rows[-1] + 1 == len(self.layout):
            cuts[-1] = cuts[-1][0], self._tail(fd)
        return cuts

    def _tail(self, fd: int) -> int:
        """Where new mail begins behind the last message; the empty line between goes with that."""
        tail, is_mail = tail_of(fd, self.layout)
        if not is_mail:
            raise MaildropChanged(f"{self.path}: something other than a message was added at offset {tail}")
        return tail

    def _grown(self, now: Identity) -> None:
        if now != self.known and now[2] <= self.known[2]:
            raise MaildropChanged(f"{self.path}: was rewritten under the session")

    def _boundaries(self, first: int, behind: int) -> None:
        """Every known separator of rows ``first`` to ``behind`` still is one."""
        offset = first_lost(self.fd, self.layout, first, behind)
        if offset >= 0:
            raise MaildropChanged(f"{self.path}: no message begins at offset {offset} any more")

    def _same_headers(self, rows: "Iterable[int]") -> None:
        row = first_edited(self.fd, self.layout, rows)
        if row >= 0:
            raise MaildropChanged(f"{self.path}: the message at offset {self.layout.starts[row]} was edited")
