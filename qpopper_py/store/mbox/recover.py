"""Finishing what was cut off: a change of the mailbox whose redo record is still there.

Called before the mailbox is looked at, as its user, holding nothing.  Deliveries since then lie behind all that the
record knows of, and stay.  A record that does not fit the file (somebody restored it, or rewrote it) is never
applied: it is set beside the mailbox, with the octets that it holds, and the log says where.
"""

import os
import time

from qpopper_py.errors import MaildropChanged, MaildropTrouble
from qpopper_py.store import disk
from qpopper_py.store.mbox.compact import Mover, said
from qpopper_py.store.mbox.plan import Plan
from qpopper_py.store.mbox.redo import Redo, is_number
from qpopper_py.store.mbox.snapshot import open_mailbox

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from qpopper_py.store.lock import MaildropLock

PIECE = 1 << 20
TAKING = ("gather", "extend", "front", "drop")
# The numbers that a record must have, by its phase, for whoever goes on from it.
PLACE = ("inode", "at", "end")
NUMBERS = {
    "move": (*PLACE, "source"),
    "step": (*PLACE, "source", "length"),
    "cut": PLACE,
    **dict.fromkeys(TAKING, ("inode", "temp_inode", "had", "held", "whole")),
}


def recover(
    path: str, owner: int, redos: "Sequence[Redo]", lock: "MaildropLock", report: "Callable[[str], None]"
) -> int:
    """Finish what is pending; how many changes were.  Raises MaildropError.

    MaildropTrouble: it cannot be finished now; until it is the mailbox must not be served.
    """
    return sum(_recover(path, owner, redo, lock, report) for redo in redos if redo.pending())


def _recover(path: str, owner: int, redo: Redo, lock: "MaildropLock", report: "Callable[[str], None]") -> bool:
    try:
        fd = open_mailbox(path, owner, os.O_RDWR)
        if fd < 0:
            report(f"{path}: is not there, and {redo.path} has an unfinished change of it; that waits until it is")
            return False
        try:
            with lock.held(fd, exclusive=True):
                return redo.pending() and _finish(path, fd, redo, lock.refresh, report)
        finally:
            os.close(fd)
            redo.close()
    except (OSError, MaildropChanged) as why:
        raise MaildropTrouble(
            f"{path}: an expunge that was cut off cannot be finished: {said(why)}; {redo.path} has what it takes; "
            "mend that, then log in or run qpopper-py recover"
        ) from why


def _finish(path: str, fd: int, redo: Redo, between: "Callable[[], None]", report: "Callable[[str], None]") -> bool:
    if not redo.load() or not makes_sense(redo):
        report(f"{redo.path}: a record of an unfinished change that cannot be read; {set_aside(path, redo)}")
        return False
    if redo.fields["phase"] in TAKING:
        from qpopper_py.store.mbox.taking import Taking

        done = Taking.of_record(path, fd, redo, between).resume()
        what = "taking a temp drop in front of it"
    else:
        mover = Mover(fd, path, Plan.decode(redo.plan), redo, between)
        done = mover.fits()
        what = "an expunge"
        if done:
            mover.resume()
    if done:
        report(f"{path}: {what} was cut off; it has been finished")
    else:
        report(f"{path}: is not the file that {redo.path} is about; {set_aside(path, redo)}")
    return done


def makes_sense(redo: Redo) -> bool:
    """Does it tell all that it must?  What vouches for itself may still come from another version, or another hand."""
    fields = redo.fields
    phase = fields.get("phase", "")
    if phase not in NUMBERS or not all(is_number(fields.get(name, "")) for name in NUMBERS[phase]):
        return False
    try:
        if phase in TAKING:
            return b"\0" not in bytes.fromhex(fields["temp"])
        Plan.decode(redo.plan)
    except (KeyError, ValueError):
        return False
    return "tail" in fields if phase == "cut" else "witness" in fields


def set_aside(path: str, redo: Redo) -> str:
    """Keep the record under another name, beside the mailbox if we may write there; says where, in words."""
    name = f"redo-{time.strftime('%Y%m%dT%H%M%S', time.gmtime())}-{os.urandom(3).hex()}"
    where = f"{path}.{name}"
    if redo.spare and _copied(redo.fd, where):
        redo.finish()
    else:
        where = where if not redo.spare else f"{redo.path}.{name}"
        disk.rename(redo.path, where)
        disk.sync_folder(redo.folder)
    return f"it is now {where}, with what it held of the mail; the mailbox was left as it is: look through it"


def _copied(fd: int, where: str) -> bool:
    try:
        copy = disk.create(where, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    except OSError:
        return False
    try:
        at = 0
        while data := os.pread(fd, PIECE, at):
            disk.write_at(copy, data, at)
            at += len(data)
        disk.fsync(copy)
        disk.sync_folder(os.path.dirname(where))
    except OSError:
        disk.unlink(where)
        return False
    finally:
        os.close(copy)
    return True
