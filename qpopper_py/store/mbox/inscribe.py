"""Unique-ids written into the mail as X-UIDL, so that an old server which reads those gives out the same ones.

Fields make a mailbox grow, which an expunge never does.  So the mailbox as it will be is written into the user's state
folder and synced; then it goes over the mailbox by the phases *extend*, *front* and *drop* of :mod:`taking`.  Cut off
before that nothing has happened; in *extend* it is undone or finished, later finished.  The locks are the caller's.
"""

import os

from qpopper_py.errors import MaildropTrouble
from qpopper_py.store import disk
from qpopper_py.store.mbox.compact import said
from qpopper_py.store.mbox.layout import LOOK, header, read_at
from qpopper_py.store.mbox.plan import size_of
from qpopper_py.store.mbox.status import field_at, x_uidl
from qpopper_py.store.mbox.taking import PIECE, Taking
from qpopper_py.store.overrides import contents, identity
from qpopper_py.store.uid_schemes import SCHEMES

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from qpopper_py.store.mbox.layout import Layout
    from qpopper_py.store.mbox.plan import Edit
    from qpopper_py.store.mbox.redo import Redo
    from qpopper_py.store.mbox.store import Mbox
    from qpopper_py.store.overrides import Overrides

NAME = "inscribed"
FLAGS = os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW | os.O_CLOEXEC


class Replacing(Taking):
    """The mailbox becomes what ``drop`` holds, which is no shorter.  Recovery is Taking's."""

    def start(self) -> None:
        held, whole = size_of(self.fd), size_of(self.drop)
        self.fields = {
            "temp": os.fsencode(self.temp).hex(),
            "temp_inode": os.fstat(self.drop).st_ino,
            "inode": os.fstat(self.fd).st_ino,
            "had": whole,
            "held": held,
            "whole": whole,
        }
        try:
            disk.fsync(self.fd)
            self.redo.begin(b"", 0)
            self._note("extend")
            self._extend()
        except OSError as why:
            self._undo(why)
            raise
        self._to_the_end()


def keep(store: "Mbox", table: "Overrides") -> None:
    """Let the uids be the same here afterwards: records of numbers know a message by its header, which changes."""
    keys = []
    for index in range(len(store.uids())):
        text = b""
        for piece in store.stored(index):
            text += piece
            if len(text) >= LOOK:
                break
        keys.append(identity(text))
    counts = dict.fromkeys(keys, 0)
    for key in keys:
        counts[key] += 1
    rows = []
    for index, (key, uid) in enumerate(zip(keys, store.uids(), strict=True)):
        rows.append((key, contents(store.stored(index)) if counts[key] > 1 else "-", uid))
    table.put_headers(rows)
    table.save()


def inscribe(
    fd: int,
    path: str,
    state: str,
    layout: "Layout",
    uids: "Mapping[int, str]",
    scheme: str,
    redo: "Redo",
    between: "Callable[[], None]",
) -> "tuple[int, int]":
    """Put ``uids`` (row -> uid) into the mailbox ``fd``: (how many were written, how many could not be).

    What ``scheme`` reads from the field already stays as it is.  MaildropTrouble: nothing was changed, or it is
    finished when the mailbox is next opened.
    """
    edits, left = edits_of(fd, layout, uids, scheme)
    if not edits:
        return 0, left
    if not state:
        raise MaildropTrouble(f"{path}: without a state folder the unique-ids cannot be written into the mail")
    temp = f"{state}/{NAME}"
    drop = -1
    try:
        drop = disk.create(temp, FLAGS, 0o600)
        write_new(fd, drop, edits, between)
        if size_of(drop) < size_of(fd):
            raise MaildropTrouble(f"{path}: its X-UIDL fields are longer than the unique-ids; nothing was changed")
        disk.sync_folder(state)
        Replacing(path, fd, temp, drop, redo, between).start()
    except OSError as why:
        raise MaildropTrouble(
            f"{path}: {said(why)} while unique-ids were written into it; nothing was changed"
        ) from why
    finally:
        redo.close()
        if drop >= 0:
            os.close(drop)
    try:
        disk.unlink(temp)
    except OSError:
        pass  # it is empty, and the next is made over it
    return len(edits), left


def edits_of(fd: int, layout: "Layout", uids: "Mapping[int, str]", scheme: str) -> "tuple[list[Edit], int]":
    """What is to be put in, one edit a message, and of how many messages it cannot be."""
    made: list[Edit] = []
    left = 0
    for row, uid in uids.items():
        head = header(fd, layout, row)
        start, text = layout.starts[row], layout.texts[row] - layout.starts[row]
        if field_at(head, text, b"x-uidl:") and SCHEMES[scheme].of_header(head) == uid:
            continue
        whole = len(head) < LOOK and head.endswith((b"\n\n", b"\n\r\n"))
        edits = x_uidl(head, start, text, uid, scheme, b"\r\n" if head.endswith(b"\r\n") else b"\n") if whole else []
        made += edits
        left += not edits
    return made, left


def write_new(fd: int, drop: int, edits: "Sequence[Edit]", between: "Callable[[], None]") -> None:
    """The mailbox with its edits into ``drop``, synced."""
    at = to = 0
    end = size_of(fd)
    for start, stop, text in [*edits, (end, end, b"")]:
        while at < start:
            data = read_at(fd, min(PIECE, start - at), at)
            disk.write_at(drop, data, to)
            at, to = at + len(data), to + len(data)
            between()
        disk.write_at(drop, text, to)
        at, to = stop, to + len(text)
    disk.fsync(drop)
