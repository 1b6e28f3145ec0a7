"""A left-over temp drop of UCB's popper, Tru64's pop3d or Qpopper: ``.USER.pop``.

Those servers moved the whole mailbox there for the length of a session; after a crash, or a switch to this server in
mid-session, the user's mail is there.  It goes in front of the mailbox, once:

1. *gather*: the mailbox is copied behind the temp drop, which then holds all there is;
2. *extend*: the mailbox grows to that size, by zeros that have their room;
3. *front*: the temp drop is copied over the mailbox from its beginning;
4. *drop*: the temp drop is emptied.  It is not unlinked: a user may not do that in every spool.

Each stands in the redo record before it begins.  Cut off in 1 or 2, all is undone, in 3 or 4 finished; mail
delivered since then lies behind.  An old server that has the temp drop holds its flock.
"""

import os

from qpopper_py.errors import MaildropBusy, MaildropTrouble, MaildropUnusable
from qpopper_py.store import disk
from qpopper_py.store.mbox.compact import said
from qpopper_py.store.mbox.layout import read_at
from qpopper_py.store.mbox.plan import size_of
from qpopper_py.store.mbox.snapshot import open_mailbox
from qpopper_py.store.mbox.tempdrop import ADVICE, claim, kind_of, open_drop

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from qpopper_py.store.lock import MaildropLock
    from qpopper_py.store.mbox.redo import Redo

PIECE = 1 << 20  # octets


def take(path: str, owner: int, temp: str, redo: "Redo", lock: "MaildropLock", report: "Callable[[str], None]") -> None:
    """Take what lies in ``temp`` in front of the mailbox at ``path``.

    MaildropBusy: an old server has it.  MaildropUnusable: it is not this user's, or no mail.  MaildropTrouble: the
    system refused (no room); nothing was changed, or it is finished when the mailbox is next opened.
    """
    try:
        drop = open_drop(temp, owner)
        if drop < 0:
            return
        try:
            if size_of(drop) == 0 or not claim(drop, temp):
                return
            _take(path, owner, temp, drop, redo, lock)
        finally:
            os.close(drop)
    except OSError as why:
        raise MaildropTrouble(f"{temp}: cannot be taken in front of {path}: {said(why)}; nothing was changed") from why
    report(f"{temp}: a temp drop of an earlier server; its mail is now in front of {path}")


def _take(path: str, owner: int, temp: str, drop: int, redo: "Redo", lock: "MaildropLock") -> None:
    fd = open_mailbox(path, owner, os.O_RDWR)
    if fd < 0:
        flags = os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
        try:
            fd = disk.create(path, flags, 0o600)
        except FileExistsError:
            fd = open_mailbox(path, owner, os.O_RDWR)
        except PermissionError:
            raise MaildropTrouble(
                f"{temp}: is mail of an old server's, and there is no mailbox to put it into; make an empty "
                f"{path} that belongs to uid {owner}"
            ) from None
    try:
        with lock.held(fd, exclusive=True):
            if not os.path.samestat(os.fstat(fd), os.lstat(path)):
                raise MaildropBusy(f"{path}: was replaced while we waited for it; try again")
            if kind_of(temp, drop) != (kind_of(path, fd) or kind_of(temp, drop)):
                raise MaildropUnusable(f"{temp}: of another kind of mailbox than {path}; {ADVICE}")
            Taking(path, fd, temp, drop, redo, lock.refresh).start()
    finally:
        redo.close()
        os.close(fd)


class Taking:
    """One such change.  ``fd``, ``drop``: mailbox and temp drop, locked.  Methods raise OSError."""

    def __init__(self, path: str, fd: int, temp: str, drop: int, redo: "Redo", between: "Callable[[], None]") -> None:
        self.path = path
        self.fd = fd
        self.temp = temp
        self.drop = drop
        self.redo = redo
        self.between = between
        self.fields: dict[str, str | int] = {}
        self.begun = False

    @classmethod
    def of_record(cls, path: str, fd: int, redo: "Redo", between: "Callable[[], None]") -> "Taking":
        """The change that the record tells of.  MaildropBusy: somebody holds the temp drop."""
        made = cls(path, fd, os.fsdecode(bytes.fromhex(redo.fields["temp"])), -1, redo, between)
        made.fields = dict(redo.fields)
        return made

    def start(self) -> None:
        """From the beginning to the end; OSError after ``begun`` leaves it to recovery."""
        had, held = size_of(self.drop), size_of(self.fd)
        tail = read_at(self.drop, min(2, had), had - min(2, had))
        gap = (
            b""
            if tail == b"\n\n" or kind_of(self.temp, self.drop) != b"From "
            else b"\n"
            if tail.endswith(b"\n")
            else b"\n\n"
        )
        self.fields = {
            "temp": os.fsencode(self.temp).hex(),
            "temp_inode": os.fstat(self.drop).st_ino,
            "inode": os.fstat(self.fd).st_ino,
            "had": had,  # octets of the temp drop
            "held": held,  # of the mailbox
            "whole": had + len(gap) + held,  # of both
        }
        try:
            disk.fsync(self.fd)
            self.redo.begin(b"", 0)
            self._note("gather")
            disk.write_at(self.drop, gap, had)
            self._copy(self.fd, self.drop, 0, held, had + len(gap))
            disk.fsync(self.drop)
            self._note("extend")
            self._extend()
        except OSError as why:
            self._undo(why)
            raise
        self._to_the_end()

    def _to_the_end(self) -> None:
        try:
            self._front()
        except OSError as why:
            left = "it is, but the disk did not confirm it"
            if self.redo.pending():
                left = (
                    f"{self.redo.path} has what it takes to finish that, which is done when the mailbox is next opened"
                )
            raise MaildropTrouble(
                f"{self.path}: {said(why)} while {self.temp} was taken in front of it; {left}"
            ) from why

    def resume(self) -> bool:
        """Undo or finish what was cut off; False: these are not the files that the record is about."""
        fields, phase = self.fields, self.fields["phase"]
        self.drop = open_drop(self.temp, os.fstat(self.fd).st_uid)
        try:
            if int(fields["inode"]) != os.fstat(self.fd).st_ino:
                return False
            if self.drop < 0 or int(fields["temp_inode"]) != os.fstat(self.drop).st_ino:
                return phase == "drop" and self._finish()
            if not claim(self.drop, self.temp):
                return phase == "drop" and self._finish()
            self.redo.again()
            return self._resume(str(phase), int(fields["whole"]))
        finally:
            if self.drop >= 0:
                os.close(self.drop)

    def _resume(self, phase: str, whole: int) -> bool:
        drop = size_of(self.drop)
        if phase == "gather" or (phase == "extend" and not self._is_extended()):
            return drop >= int(self.fields["had"]) and self._back()
        if drop != whole:
            return phase == "drop" and self._finish()
        if phase == "drop":
            return self._empty()
        if phase == "extend":
            self._extend()
        elif size_of(self.fd) < whole:
            return False
        return self._front()

    def _extend(self) -> None:
        held, whole = int(self.fields["held"]), int(self.fields["whole"])
        if size_of(self.fd) < whole:
            disk.ftruncate(self.fd, whole)
        disk.allocate(self.fd, held, whole)
        disk.fsync(self.fd)

    def _is_extended(self) -> bool:
        """No mail is all zeros: what reads so are the octets that *extend* added."""
        at, whole = int(self.fields["held"]), int(self.fields["whole"])
        if size_of(self.fd) < whole:
            return False
        while at < whole:
            data = read_at(self.fd, min(PIECE, whole - at), at)
            if data != bytes(len(data)):
                return False
            at += len(data)
        return True

    def _front(self) -> bool:
        self._note("front")
        self.begun = True
        self._copy(self.drop, self.fd, 0, int(self.fields["whole"]), 0)
        disk.fsync(self.fd)
        self._note("drop")
        return self._empty()

    def _empty(self) -> bool:
        disk.ftruncate(self.drop, 0)
        return self._finish()

    def _finish(self) -> bool:
        """What was done before a crash may not be on the disk yet, and must be before the record goes."""
        for fd in (self.drop, self.fd):
            if fd >= 0:
                disk.fsync(fd)
        self.redo.finish()
        return True

    def _back(self) -> bool:
        """As it was: the temp drop has its own mail, the mailbox its own, and what was delivered since."""
        disk.ftruncate(self.drop, int(self.fields["had"]))
        return self._finish()

    def _undo(self, why: OSError) -> None:
        """An error in mid-way, before the mailbox was written to."""
        if self.redo.fd < 0:
            return
        try:
            if size_of(self.fd) == int(self.fields["whole"]) > int(self.fields["held"]):
                disk.ftruncate(self.fd, int(self.fields["held"]))
                disk.fsync(self.fd)
            if size_of(self.drop) > int(self.fields["had"]):
                disk.ftruncate(self.drop, int(self.fields["had"]))
                disk.fsync(self.drop)
            self.redo.retract()
        except OSError as worse:
            raise MaildropTrouble(
                f"{self.path}: {said(why)} while {self.temp} was taken in front of it, then {said(worse)}; "
                f"{self.redo.path} has what it takes to undo that, which is done when the mailbox is next opened"
            ) from why

    def _note(self, phase: str) -> None:
        self.fields["phase"] = phase
        self.redo.note(self.fields)

    def _copy(self, source: int, target: int, start: int, stop: int, to: int) -> None:
        while start < stop:
            data = read_at(source, min(PIECE, stop - start), start)
            disk.write_at(target, data, to)
            start += len(data)
            to += len(data)
            self.between()
