"""The mbox maildrop as a :class:`~qpopper_py.store.base.Store`.

The file is read where it lies, under no lock but during the scan and the expunge; what is handed out is
checked against the scan before and after it is read (:mod:`snapshot`).  Without a deletion nothing is ever written
to the mailbox.
"""

import os

from qpopper_py.errors import MaildropChanged, MaildropError, MaildropTrouble
from qpopper_py.store.base import SEEN, Entries
from qpopper_py.store.crlf import to_crlf
from qpopper_py.store.mbox.from_line import STRICT
from qpopper_py.store.mbox.index import Index
from qpopper_py.store.mbox.layout import read_at
from qpopper_py.store.mbox.moved import Change
from qpopper_py.store.mbox.snapshot import Snapshot, open_mailbox, settled
from qpopper_py.store.mbox.uids import Assignment, Rows, assign
from qpopper_py.store.mbox.upkeep import Upkeep
from qpopper_py.store.overrides import Overrides
from qpopper_py.store.place import Place, take_place
from qpopper_py.store.remembering import Remembering
from qpopper_py.store.terms import ALONE, Terms

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterator

    from qpopper_py.store.lock import MaildropLock
    from qpopper_py.store.mbox.from_line import Rule
    from qpopper_py.store.mbox.layout import Layout
    from qpopper_py.store.mbox.plan import Edit

PIECE = 128 << 10  # octets read from the file at a time


class Mbox(Remembering):
    """``path`` of the mailbox, ``owner``: the uid that it must belong to, ``state``: the private folder or empty.

    ``rule``: where messages begin.  ``scheme``: how uids are made.  ``hide_internal``: c-client's own message is none.
    ``temp``: where an old server may have left a temp drop.  ``status``, ``x_uidl``: those fields are written.
    """

    def __init__(
        self,
        path: str,
        owner: int,
        state: str,
        lock: "MaildropLock",
        report: "Callable[[str], None]",
        rule: "Rule" = STRICT,
        scheme: str = "qpopper2",
        hide_internal: bool = True,
        terms: Terms = ALONE,
        temp: str = "",
        status: bool = False,
        x_uidl: bool = False,
    ) -> None:
        super().__init__(path, "uids", state, report, terms)
        self.status = status
        self.x_uidl = x_uidl
        self.rule = rule
        self.scheme = scheme
        self.hide_internal = hide_internal
        self.owner = owner
        self.lock = lock
        self._place: Place | None = None
        self._fd = -1
        self._snapshot: Snapshot | None = None
        self._scanned: Layout | None = None  # by us; the snapshot's is another once others expunged
        self.hidden = 0  # rows before the first message: c-client's internal one
        self._marks = b""
        self._upkeep = Upkeep(path, owner, state, temp, terms.read_only, report)
        self._seen: Collection[int] = ()
        self._index = Index(state, scheme, report, terms.read_only)

    def scan(self) -> Entries:
        try:
            self._place = take_place(self.path, self.state, self.report, self.terms)
            self._upkeep.before_scan(self.lock)
            self._open()
        except OSError as why:
            self.close()
            raise MaildropTrouble(f"{self.path}: {why.strerror}") from why
        except BaseException:
            self.close()
            raise
        if self._snapshot is not None:
            self._scanned = layout = self._snapshot.layout
            self.hidden = int(layout.internal and self.hide_internal)
            octets = layout.octets[self.hidden :] if self.hidden else layout.octets
            self._marks = bytes(layout.seen[self.hidden :])
            self._entries = found = Entries(octets, self._marks)
            return found
        return Entries()

    def finish_changes(self) -> int:
        """Without a scan: finish what a crash cut off; how many changes were.  For tools."""
        return self._upkeep.finish(self.lock)

    def _open(self) -> None:
        """Open and scan; once more if the file is replaced before we have its lock."""
        for once_more in (True, False):
            self._fd = open_mailbox(self.path, self.owner)
            if self._fd < 0:
                return
            try:
                self._snapshot = Snapshot(self.path, self._fd, self.lock, self.rule, self._index)
                return
            except MaildropChanged:
                os.close(self._fd)
                self._fd = -1
                if not once_more:
                    raise

    def _assign(self) -> Assignment:
        if self._snapshot is None:
            return Assignment([], lambda _: "", [])
        try:
            return self._assign_to(self._snapshot)
        except MaildropChanged:
            self._index.distrust()
            raise
        except OSError as why:
            raise MaildropTrouble(f"{self.path}: {why.strerror}") from why

    def _assign_to(self, snapshot: Snapshot) -> Assignment:
        if self._gone:
            raise MaildropChanged(f"{self.path}: expunged")
        snapshot.check()
        rows = Rows(snapshot.fd, snapshot.layout, self.hidden, self._index)
        made = assign(rows, self.scheme, self._record, Overrides(self.state, self.report).load())
        snapshot.check()
        return made

    def from_line(self, index: int) -> bytes:
        """The line that begins the message in the file; for tools."""
        snapshot, row = self._row(index)
        start = snapshot.layout.starts[row]
        return read_at(snapshot.fd, snapshot.layout.texts[row] - start, start)

    def stored(self, index: int) -> "Iterator[bytes]":
        """The message as it lies in the file, in pieces, without its From_ line; for tools."""
        snapshot, row = self._row(index)
        at, end = snapshot.layout.texts[row], snapshot.layout.ends[row]
        snapshot.check_message(row)
        while at < end:
            data = read_at(snapshot.fd, min(PIECE, end - at), at)
            snapshot.check(row)
            at += len(data)
            yield data

    def inscribe(self, scheme: str) -> "tuple[int, int]":
        """Write each message's uid into it as X-UIDL, as far as ``scheme`` reads it back; for tools.

        (Of how many it was written, of how many it could not be.)
        """
        from qpopper_py.store.mbox.inscribe import inscribe, keep

        if not self._entries:
            return 0, 0
        keep(self, Overrides(self.state, self.report).load())
        uids, (snapshot, first) = self.uids(), self._row(0)
        with open(open_mailbox(self.path, self.owner, os.O_RDWR), "rb+", buffering=0) as file:
            settled(file.fileno())
            with self.lock.held(file.fileno(), exclusive=True) as lock:
                snapshot.confirm(file.fileno(), list(range(len(snapshot.layout))))
                values = {first + index: uid for index, uid in enumerate(uids)}
                done = inscribe(
                    file.fileno(),
                    self.path,
                    self.state,
                    snapshot.layout,
                    values,
                    scheme,
                    self._upkeep.redo,
                    lock.refresh,
                )
        self._index.distrust()
        self._gone = frozenset(range(len(uids)))
        return done

    def read(self, index: int) -> "Iterator[bytes]":
        """As the interface says; the message is checked before this returns, its pieces as they are asked for."""
        snapshot, row = self._row(index)
        try:
            snapshot.check_message(row)
        except MaildropChanged:
            self._index.distrust()
            raise
        except OSError as why:
            raise MaildropTrouble(f"{self.path}: {why.strerror}") from why
        return self._watched(self._pieces(snapshot, row))

    def _watched(self, pieces: "Iterator[bytes]") -> "Iterator[bytes]":
        try:
            yield from pieces
        except MaildropChanged:
            self._index.distrust()
            raise

    def _row(self, index: int) -> "tuple[Snapshot, int]":
        if self._snapshot is None or not 0 <= index < len(self._entries):
            raise IndexError(index)
        if self._gone:
            raise MaildropChanged(f"{self.path}: expunged")
        return self._snapshot, index + self.hidden

    def _pieces(self, snapshot: Snapshot, row: int) -> "Iterator[bytes]":
        layout = snapshot.layout
        at, end, left = layout.texts[row], layout.ends[row], layout.octets[row]
        held = b""  # a CR whose LF may come with the next piece
        while at < end:
            try:
                data = read_at(snapshot.fd, min(PIECE, end - at), at)
                snapshot.check(row)
            except OSError as why:
                raise MaildropTrouble(f"{self.path}: {why.strerror}") from why
            at += len(data)
            data = held + data
            held = b""
            if at < end and data.endswith(b"\r"):
                data, held = data[:-1], b"\r"
            wire = to_crlf(data)
            if at == end and not wire.endswith(b"\n"):
                wire += b"\r\n"
            left -= len(wire)
            if left < 0 or (at == end and left):
                raise MaildropChanged(f"{self.path}: the message at offset {layout.starts[row]} was edited")
            if wire:
                yield wire

    def expunge(self, indexes: "Collection[int]") -> None:
        """As the interface says, in place; :mod:`compact` has the order of things."""
        doomed = frozenset(indexes)
        if not doomed:
            return
        rows = [self._row(index)[1] for index in sorted(doomed)]
        snapshot = self._row(0)[0]
        self._uids_before(doomed)
        try:
            fd = open_mailbox(self.path, self.owner, os.O_RDWR)
            if fd < 0:
                raise MaildropChanged(f"{self.path}: was removed under the session")
            try:
                self._cut(snapshot, fd, rows)
            finally:
                os.close(fd)
        except MaildropError:
            self._index.distrust()
            raise
        except OSError as why:
            raise MaildropTrouble(f"{self.path}: {why.strerror}; nothing was removed") from why
        self._gone = doomed

    def _uids_before(self, gone: "Collection[int]") -> None:
        try:
            super()._uids_before(gone)
        except MaildropChanged:
            if not self.terms.shared:
                raise
            # By another session; whoever gave out uids of what it left has recorded them.

    def mark_seen(self, indexes: "Collection[int]") -> None:
        self._seen = indexes

    def _edits(self, fd: int, layout: "Layout", rows: "list[int]") -> "list[Edit]":
        """What is written into the mail as it moves; nothing if others moved it under us."""
        if layout is not self._scanned or not (self.x_uidl or (self.status and self._seen)):
            return []
        from qpopper_py.store.mbox.status import edits

        hidden, marks = self.hidden, layout.seen
        seen = {index + hidden for index in self._seen if not marks[index + hidden] & SEEN} if self.status else set()
        uids = self.uids() if self.x_uidl else ()
        return edits(fd, layout, rows, seen, (lambda row: uids[row - hidden]) if uids else None, self.scheme)

    def _cut(self, snapshot: Snapshot, fd: int, rows: "list[int]") -> None:
        import signal  # before the lock: an import takes a millisecond

        from qpopper_py.store.mbox.compact import carry_out
        from qpopper_py.store.mbox.plan import make

        settled(fd)  # waited for here, lest a delivery wait with us
        with self.lock.held(fd, exclusive=True) as lock:
            if self.terms.shared:
                rows = snapshot.find_again(fd, rows)
                if not rows:
                    return  # other sessions removed them all
            snapshot.confirm(fd, rows)
            cuts = snapshot.cuts(fd, rows)
            plan = make(cuts, self._edits(fd, snapshot.layout, rows), os.fstat(fd).st_size)
            # A move once begun is finished: the file is a mailbox again only then.
            blocked = signal.pthread_sigmask(signal.SIG_BLOCK, (signal.SIGTERM, signal.SIGHUP, signal.SIGINT))
            try:
                carry_out(fd, self.path, plan, self._upkeep.redo, lock.refresh)
            finally:
                signal.pthread_sigmask(signal.SIG_SETMASK, blocked)
            self._index.moved(fd, self.path, snapshot.layout, Change(plan))

    def _seen_by_others(self) -> "set[int]":
        marks = self._marks
        return {index for index, mark in enumerate(marks) if mark & SEEN} if marks.strip(b"\0") else set()

    def close(self) -> None:
        if self._place is not None:
            if self._snapshot is not None:
                self._save_uids()  # a session that was cut off has given out uids too
                self._index.save()
            self._index.close()
            self._place.release()
            self._place = None
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1
        self._snapshot = None
