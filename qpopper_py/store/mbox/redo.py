"""The redo record: what it takes to finish a change of a mailbox that was cut off.

It lies in the user's private state folder as ``redo``; where there is none, beside the mailbox ``M`` as ``.M.redo``.
The name is there for as long as a change is under way: a look at the name tells whether there is anything to do.
Its room on the disk is had before the mailbox is touched.  In a state folder a spare of SPARE octets stays behind
under the name ``redo.spare``, so that the next change needs no room at all, on a full disk and over quota.

Layout: two slots of a block each, written in turn; the plan; two halves of ``room`` octets for data, in turn too.
A slot is a line of text that vouches for itself, the plan and its half by hashes, so whatever a crash leaves of one,
the other one holds, and what it says is still true: nothing is done on the strength of a slot that was not synced.

Not for two at a time: whoever uses it holds the mailbox's exclusive lock.
"""

import errno
import os
import stat

from qpopper_py.errors import MaildropTrouble
from qpopper_py.store import disk

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping

    Fields = Mapping[str, str | int]

FORMAT = b"1"
BLOCK = 4096
SPARE = 64 << 10  # octets that stay allocated
MOST = 2 << 20  # octets of a half at most
LEAST = 512  # at least
FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
FLAGS = os.O_RDWR | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC


class NoRoom(MaildropTrouble):
    """The record cannot be placed; nothing was touched."""


def digest(*pieces: bytes) -> str:
    from hashlib import blake2b

    made = blake2b(digest_size=16)
    for piece in pieces:
        made.update(piece)
    return made.hexdigest()


class Redo:
    """The record ``name`` in ``folder``.  ``spare``: it leaves a spare.  ``most``: octets of a half.

    ``fields`` is the newest slot, ``data`` its octets and ``plan`` what ``begin`` was given.  ``room``: what data of
    a slot may have.  Any method may raise OSError.
    """

    def __init__(self, folder: str, name: str = "redo", spare: bool = True, most: int = MOST) -> None:
        self.folder = folder
        self.path = os.path.join(folder, name)
        self.spare_path = self.path + ".spare"
        self.spare = spare
        self.most = most
        self.fd = -1
        self.published = False
        self.sequence = 0
        self.room = 0
        self.fields: dict[str, str] = {}
        self.plan = b""
        self.data = b""

    def pending(self) -> bool:
        """Is a change under way, or was one cut off?"""
        if self.spare:
            return os.path.lexists(self.path)
        try:  # beside the mailbox, where others may be able to make a file of that name
            found = os.lstat(self.path)
        except OSError:
            return False
        return stat.S_ISREG(found.st_mode) and found.st_uid == os.geteuid()

    def make_spare(self) -> None:
        """See to the spare, while there is room for it; OSError if there is none."""
        if not self.spare or os.path.lexists(self.spare_path) or self.pending():
            return
        fd = disk.create(self.spare_path, FLAGS | os.O_CREAT | os.O_EXCL, 0o600)
        try:
            disk.allocate(fd, 0, SPARE)
            disk.write_at(fd, bytes(SPARE), 0)  # written once, it is all there: to split an extent takes room too
        except OSError:
            disk.unlink(self.spare_path)
            raise
        finally:
            os.close(fd)

    def begin(self, plan: bytes, octets: int) -> None:
        """Have room for ``plan`` and, as far as possible, for steps of ``octets`` of data.  NoRoom; OSError.

        Nothing counts before the first ``note``.
        """
        if self.pending():
            raise NoRoom(
                f"{self.path}: an earlier change has not been finished; nothing was removed: it is when the mailbox is "
                "next opened"
            )
        self.fd = self._open_spare()
        try:
            size = self._allocate(len(plan), min(self.most, max(LEAST, -(-octets // LEAST) * LEAST)))
            self.room = min(self.most, (size - data_at(len(plan))) // 2 // LEAST * LEAST)
            disk.write_at(self.fd, bytes(2 * BLOCK), 0)
            disk.write_at(self.fd, plan, 2 * BLOCK)
        except BaseException:
            self._unmake()
            raise
        self.plan = plan
        self.sequence = 0

    def _open_spare(self) -> int:
        fd = disk.create(self.spare_path, FLAGS | os.O_CREAT, 0o600)
        if not disk.same_as(fd, self.spare_path, (os.geteuid(),)):
            os.close(fd)
            raise NoRoom(f"{self.spare_path}: is not a file of ours; nothing was removed: remove that file")
        return fd

    def _allocate(self, plan: int, half: int) -> int:
        """Make the file as large as the disk allows up to two halves of ``half`` octets; its size."""
        fixed = data_at(plan)
        # Others need room too while we work: of what is free we take half at most.
        free = os.fstatvfs(self.fd)
        most = max(SPARE, (free.f_bavail * free.f_frsize) // 2) - fixed
        while 2 * half > most and half > LEAST:
            half = max(LEAST, half // 2 // LEAST * LEAST)
        size = max(fixed + 2 * half, SPARE if self.spare else 0)
        while True:
            try:
                disk.allocate(self.fd, 0, size)
                return size
            except OSError as why:
                if why.errno not in FULL or half == LEAST:
                    raise NoRoom(
                        f"{self.path}: no room for {size} octets: {why.strerror}; nothing was removed: make room "
                        "there, or delete all messages at once, which needs none"
                    ) from None
            half = max(LEAST, half // 2 // LEAST * LEAST)
            size = fixed + 2 * half
            if self.spare and size < SPARE:
                half, size = LEAST, SPARE if fixed + 2 * LEAST <= SPARE else fixed + 2 * LEAST
            disk.ftruncate(self.fd, min(size, SPARE))

    def note(self, fields: "Fields", data: bytes = b"") -> None:
        """Write a slot with these fields (words without blanks) and data; it is on the disk when this returns."""
        self.sequence += 1
        self.fields = {key: str(value) for key, value in fields.items()}
        self.data = data
        self._write()
        disk.fsync(self.fd)
        if not self.published:
            disk.rename(self.spare_path, self.path)
            self.published = True
            disk.sync_folder(self.folder)

    def again(self) -> None:
        """Make the newest slot durable before anything is done by it, whatever became of the first attempt.

        It is written once more where it is: a sync that failed leaves pages that look clean.
        """
        self._write()
        disk.fsync(self.fd)
        disk.sync_folder(self.folder)

    def _write(self) -> None:
        if self.data:
            disk.write_at(self.fd, self.data, self._half())
        words: dict[str, str | int] = {**self.fields, "octets": len(self.data), "data": digest(self.data)}
        words |= {"room": self.room, "plan": len(self.plan), "plan_digest": digest(self.plan)}
        text = b"%d %s" % (self.sequence, " ".join(f"{key}={value}" for key, value in words.items()).encode("ascii"))
        line = b"pop3d redo %s %s %s\n" % (FORMAT, digest(text).encode(), text)
        disk.write_at(self.fd, line.ljust(BLOCK // 4), self.sequence % 2 * BLOCK)

    def _half(self) -> int:
        return data_at(len(self.plan)) + self.sequence % 2 * self.room

    def load(self) -> bool:
        """Read what was cut off; False: the record is damaged, or no file of ours."""
        self.fd = os.open(self.path, FLAGS)
        self.published = True
        if not disk.same_as(self.fd, self.path, (os.geteuid(),)):
            return False
        slots = [slot for slot in (self._slot(0), self._slot(1)) if slot]
        return any(self._believe(*slot) for slot in sorted(slots, key=lambda slot: slot[0], reverse=True))

    def _slot(self, number: int) -> "tuple[int, dict[str, str]] | None":
        line = os.pread(self.fd, BLOCK // 4, number * BLOCK).partition(b"\n")[0]
        head, _, text = line.partition(b" " + FORMAT + b" ")
        check, _, text = text.partition(b" ")
        if head != b"pop3d redo" or check != digest(text).encode():
            return None
        words = text.decode("ascii", "replace").split(" ")
        pairs = [word.partition("=") for word in words[1:]]
        return (int(words[0]) if is_number(words[0]) else 0), {key: value for key, _, value in pairs}

    def _believe(self, sequence: int, words: "dict[str, str]") -> bool:
        """Take plan and data of a slot, if they are what it vouches for."""
        numbers = [words.pop(key, "") for key in ("plan", "octets", "room")]
        plan_digest, data_digest = words.pop("plan_digest", ""), words.pop("data", "")
        if not all(map(is_number, numbers)):
            return False
        length, octets, room = map(int, numbers)
        if max(length, octets) > os.fstat(self.fd).st_size:
            return False
        plan = os.pread(self.fd, length, 2 * BLOCK)
        self.plan, self.room, self.sequence = plan, room, sequence
        data = os.pread(self.fd, octets, self._half()) if octets else b""
        if digest(plan) != plan_digest or digest(data) != data_digest:
            return False
        self.fields, self.data = words, data
        return True

    def retract(self) -> None:
        """Take back a record on the strength of which nothing was done."""
        if self.published:
            self.finish()
        else:
            self._unmake()

    def _unmake(self) -> None:
        try:
            if self.spare:
                self._shrink()
            else:
                disk.unlink(self.spare_path)
        except OSError:  # a file without meaning stays behind
            pass
        self.close()

    def finish(self) -> None:
        """The change is done, and on the disk: the record goes, its spare stays."""
        if self.spare:
            disk.rename(self.path, self.spare_path)
        else:
            disk.unlink(self.path)
        self.published = False
        if self.spare:
            self._shrink()
        disk.sync_folder(self.folder)
        self.close()

    def _shrink(self) -> None:
        try:
            if os.fstat(self.fd).st_size > SPARE:
                disk.ftruncate(self.fd, SPARE)
        except OSError:  # it is only larger than it need be
            pass

    def close(self) -> None:
        if self.fd >= 0:
            os.close(self.fd)
            self.fd = -1


def is_number(word: str) -> bool:
    """Could this be an offset, a length, an inode?"""
    return word.isascii() and word.isdigit() and len(word) < 20


def data_at(plan: int) -> int:
    """Where the halves begin behind a plan of that many octets."""
    return 2 * BLOCK + -(-plan // LEAST) * LEAST


def records(path: str, state: str) -> "list[Redo]":
    """Where records of the mailbox at ``path`` may lie; a new one goes to the first whose folder can be written."""
    folder, name = os.path.split(path)
    beside = Redo(folder, f".{name}.redo", spare=False)
    return [Redo(state), beside] if state else [beside]
