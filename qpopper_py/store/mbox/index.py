"""The index: what a session found in a mailbox, kept so that the next one need not read all of it again.

A cache, in the user's state folder: whatever may be wrong with it, it is as if it were not there.  It is believed

- as it is, if device, inode, size, mtime and ctime of the mailbox are those that it was made under (programs set
  mtime back by utime(2); ctime tells), and were taken late enough after the last change for any other to show
  (:func:`racy`);
- but for its last row, if the mailbox has grown since, every boundary that is known is still there, octet for octet
  (BACK octets and the separator), and so is a sample of the headers.  What lies from the last known message on is
  then scanned.

Where it counts, what it says is held against the file (:mod:`snapshot`): a message is sent or deleted only if its
header has the hash that stands here, and what an expunge moves is scanned.  A session that finds it wrong removes it.
"""

import os
import time

from qpopper_py.errors import MaildropError
from qpopper_py.store.mbox.index_file import COLUMNS, IndexFile, Kept
from qpopper_py.store.mbox.layout import DIGEST, Layout, boundaries, first_edited
from qpopper_py.store.mbox.scan import scan
from qpopper_py.store.mbox.snapshot import TICK, Identity, identity

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from qpopper_py.store.mbox.from_line import Rule
    from qpopper_py.store.mbox.moved import Change

COARSE = 2_000_000_000  # ns between two stamps of FAT's
UNASKED = " "
SAMPLE = 32  # headers of a grown mailbox that are looked at


def racy(identity: Identity, taken: int) -> bool:
    """Could a change after ``taken`` (ns) have left these stamps as they are?

    Stamps of whole milliseconds may be those of a file system that counts in seconds, or two of them.
    """
    guard = COARSE if identity[4] % 1_000_000 == 0 else TICK
    return taken - max(identity[3:]) < guard


class Index:
    """The index in ``folder`` (empty: none) for uid ``scheme``.  ``report`` takes a line for the log.

    ``scanned``: the layout was found in the file itself, by a scan of all of it.
    """

    def __init__(self, folder: str, scheme: str, report: "Callable[[str], None]", read_only: bool = False) -> None:
        self.folder = folder
        self.file = IndexFile(folder, scheme)
        self.report = report
        self.read_only = read_only
        self.scanned = False
        self.found: Kept | None = None  # what the file held
        self.kept: Kept | None = None  # what holds
        self.news = False

    def unchanged(self, now: Identity, rule: "Rule") -> Layout | None:
        """The layout of the mailbox, whose identity is ``now``, if it is as it was; no lock is needed for that."""
        self.found = kept = self.file.read(rule) if self.folder else None
        if kept is None or kept.identity != now or kept.layout.size != now[2] or racy(kept.identity, kept.taken):
            return None
        self.kept, self.scanned, self.news = kept, False, False
        return kept.layout

    def layout(self, fd: int, path: str, now: Identity, rule: "Rule") -> Layout:
        """The layout of the mailbox at ``path``, open on ``fd``, whose identity is ``now``; the caller locks it.

        To be called after :meth:`unchanged`.  MaildropUnusable, MaildropChanged, OSError: as :func:`~.scan.scan`.
        """
        taken = time.time_ns()
        self.kept = self._grown(self.found, fd, path, now, taken) if self.found else None
        self.found = None
        self.scanned, self.news = self.kept is None, True
        if self.kept is None:
            self.kept = Kept(scan(fd, path, 0, now[2], rule=rule), now, taken)
        return self.kept.layout

    def _grown(self, kept: Kept, fd: int, path: str, now: Identity, taken: int) -> Kept | None:
        layout = kept.layout
        if kept.identity[:2] != now[:2] or now[2] <= layout.size or not len(layout):
            return None
        if layout.rule.content_length:
            return None  # what is added can join messages that were two
        try:
            if boundaries(fd, layout.starts, layout.texts) != layout.lines or not _same_headers(fd, layout):
                return None
            tail = scan(fd, path, layout.starts[-1], now[2], rule=layout.rule)
        except MaildropError:
            return None
        filed = len(layout) - 1
        return Kept(extended(layout, tail), now, taken, filed=filed)

    def said(self, count: int, first: int, ask: "Callable[[int], str]") -> "list[str]":
        """What the scheme makes of the headers of ``count`` messages, whose rows begin at ``first``.

        ``ask(i)``: of message ``i``, for those that are not known.
        """
        if self.kept is None:
            return [ask(index) for index in range(count)]
        known = self.file.words(self.kept)[first:]
        known += [UNASKED] * (count - len(known))
        if UNASKED in known:
            known = [ask(index) if text == UNASKED else text for index, text in enumerate(known)]
            self.kept.said = [UNASKED] * first + known
            self.news = True
        return known

    def moved(self, fd: int, path: str, layout: Layout, change: "Change") -> None:
        """An expunge made ``change`` of the mailbox open on ``fd``, that was as ``layout``; its lock is still held."""
        kept, self.kept, self.news = self.kept, None, True
        if kept is None or kept.layout is not layout or layout.rule.content_length:
            return
        try:
            new, said = change.applied(fd, path, layout, self.file.words(kept))
        except (MaildropError, OSError):
            return  # the next session scans
        if len(new):
            now = identity(os.fstat(fd))
            self.kept = Kept(new, now, now[4] + TICK, said)
            self.save(lambda: _wait_for(now[4] + TICK))  # whoever changes it next does so by another stamp

    def distrust(self) -> None:
        """The mailbox is not what the index says: nobody is to believe it."""
        self.kept, self.news = None, True

    def save(self, ready: "Callable[[], None]" = lambda: None) -> None:
        """Write what is new, or remove what holds no more; ``ready`` is called before that.  A failure is reported."""
        if not self.news or not self.folder or self.read_only:
            return
        self.news = False
        try:
            if self.kept is None or self.kept.layout.rule.name == "mmdf":
                os.unlink(self.file.path)
            else:
                self.file.write(self.kept, ready)
        except FileNotFoundError:
            pass  # nothing to remove; or another session of the user wrote its own at the same time
        except OSError as why:
            self.report(
                f"{self.file.path}: cannot be written: {why.strerror}; the mailbox will be read as a whole again"
            )

    def close(self) -> None:
        self.file.close()


def _wait_for(moment: int) -> None:
    """Until the clock (ns) is there; a tick at most, should it have been set back."""
    left = moment - time.time_ns()
    if left > 0:
        time.sleep(min(left, TICK) / 1e9)


def _same_headers(fd: int, layout: Layout) -> bool:
    """Have the first row, the last, and some between the header that is known?  MaildropChanged: the file ends."""
    last = len(layout) - 1
    rows = {last, *range(0, last, max(1, last // SAMPLE))}
    return first_edited(fd, layout, rows) < 0


def extended(layout: Layout, tail: Layout) -> Layout:
    """``layout`` with its last row replaced by the rows of ``tail``, which begins with that message."""
    if len(layout) == 1:
        tail.begin = layout.begin
        return tail
    last = len(layout) - 1
    for name in COLUMNS:
        column = getattr(layout, name)
        del column[last * (DIGEST if name == "digests" else 1) :]
        column.extend(getattr(tail, name))
    layout.size = tail.size
    return layout
