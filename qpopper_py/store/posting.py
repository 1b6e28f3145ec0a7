"""Putting messages of our own behind a maildrop, as a delivery agent does: all of them, or none."""

import os
import time

from qpopper_py.errors import MaildropTrouble
from qpopper_py.store import disk
from qpopper_py.store.lock import MaildropLock, lock_of
from qpopper_py.store.mbox.layout import read_at
from qpopper_py.store.mbox.scan import skip_leading
from qpopper_py.store.mbox.snapshot import open_mailbox
from qpopper_py.store.opening import owner_of, parted, what_lies_at

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from qpopper_py.settings import Settings
    from qpopper_py.store.dotlock import DotlockHelper

MMDF = b"\1\1\1\1\n"


class Nowhere(Exception):
    """There is no maildrop, and none can be made; or what is there is none, which the session will say."""


def open_drop(
    place: str,
    user: str,
    settings: "Settings",
    report: "Callable[[str], None]",
    dotlocks: "DotlockHelper | None" = None,
) -> "Mailbox | Folder":
    """The maildrop ``place`` for adding to; the arguments are ``open_store``'s.  Nowhere; MaildropError; OSError."""
    kind, path = parted(place)
    if (kind or what_lies_at(path)) == "maildir":
        return Folder(path)
    return Mailbox(path, owner_of(user), lock_of(path, settings, report, dotlocks))


class Mailbox:
    """An mbox or MMDF file, made if it is missing and can be."""

    def __init__(self, path: str, owner: int, lock: MaildropLock) -> None:
        self.path = path
        self.lock = lock
        self.fd = open_mailbox(path, owner, os.O_RDWR | os.O_APPEND)
        if self.fd < 0:
            flags = os.O_RDWR | os.O_APPEND | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
            try:
                self.fd = disk.create(path, flags, 0o600)
            except OSError:
                raise Nowhere from None

    def append(self, messages: "Iterable[bytes]") -> None:
        """Messages with their From_ lines; they are on the disk when this returns.  MaildropError; Nowhere."""
        with self.lock.held(self.fd, exclusive=True):
            if not os.path.samestat(os.fstat(self.fd), os.lstat(self.path)):
                raise MaildropTrouble(f"{self.path}: was replaced before it could be locked")
            size = os.fstat(self.fd).st_size
            gap, around = self._end(size)
            if around:
                messages = [around + message.partition(b"\n")[2] + around for message in messages]
            text = gap + b"".join(messages)
            try:
                disk.write_at(self.fd, text, size)
                disk.fsync(self.fd)
            except OSError as why:
                if os.fstat(self.fd).st_size <= size + len(text):
                    disk.ftruncate(self.fd, size)
                raise MaildropTrouble(f"{self.path}: {why.strerror}; nothing was added") from why

    def _end(self, size: int) -> "tuple[bytes, bytes]":
        """(line ends that are missing before a next From_ line, what stands around messages instead of one)."""
        first = skip_leading(self.fd, 0, size)
        begins = read_at(self.fd, min(5, size - first), first)
        if size and begins[:1] == b"\1":
            return b"", MMDF
        if begins and begins != b"From ":
            raise Nowhere
        tail = read_at(self.fd, min(3, size), size - min(3, size))
        if not tail or tail.endswith((b"\n\n", b"\n\r\n")):
            return b"", b""
        return (b"\n" if tail.endswith(b"\n") else b"\n\n"), b""

    def close(self) -> None:
        os.close(self.fd)


class Folder:
    """A Maildir."""

    def __init__(self, path: str) -> None:
        self.path = path
        if what_lies_at(path) != "maildir":
            raise Nowhere

    def append(self, messages: "Iterable[bytes]") -> None:
        """Messages, whose From_ lines are left out; they are in new when this returns.  MaildropTrouble."""
        names: list[str] = []
        placed: list[str] = []
        try:
            for message in messages:
                names.append(self._name(len(names)))
                self._make(self._place("tmp", names[-1]), message.partition(b"\n")[2])
            for name in names:
                os.rename(self._place("tmp", name), self._place("new", name))
                placed.append(name)
            disk.sync_folder(self._place("new", ""))
        except OSError as why:
            for name in names:
                try:
                    os.unlink(self._place("new" if name in placed else "tmp", name))
                except OSError:  # it was never made
                    pass
            raise MaildropTrouble(f"{self.path}: {why.strerror}; nothing was added") from why

    def _place(self, folder: str, name: str) -> str:
        return os.path.join(self.path, folder, name)

    @staticmethod
    def _name(number: int) -> str:
        """maildir(5): the second, what is unique within it on this host, the host."""
        seconds, micro = divmod(time.time_ns() // 1000, 1_000_000)
        host = os.uname().nodename.replace("/", "\\057").replace(":", "\\072")
        return f"{seconds}.M{micro}P{os.getpid()}Q{number}.{host}"

    @staticmethod
    def _make(path: str, text: bytes) -> None:
        fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
        with open(fd, "wb") as file:
            file.write(text[:-1] if text.endswith(b"\n\n") else text)
            file.flush()
            os.fsync(fd)

    def close(self) -> None:
        """Nothing stays open."""
