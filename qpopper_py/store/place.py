"""The session's place: one session a maildrop at a time, until its process is gone, however it ends.

With a state folder it is a flock on ``session.lock`` there (it belongs to the open file, so it also excludes two
sessions of one process).  Without one it is the name of an abstract unix socket, made of the folder's device and
inode and the file's name.  The kernel holds that name for this network namespace and drops it with the process.
A lock on the mailbox itself would keep deliveries waiting for the client, and one in /tmp is anybody's.
What a socket name cannot do: hold between containers that share a spool, or against a local user who takes
the name in spite; he can shut a user out, as with a dotlock in a spool that all may write, but touch no mail:
an expunge looks under the mailbox's own locks at what it removes.

Where second sessions are allowed nobody takes the place.
"""

import errno
import os

from qpopper_py.errors import MaildropBusy
from qpopper_py.store.terms import ALONE, Terms

TYPE_CHECKING = False
if TYPE_CHECKING:
    from _socket import socket
    from collections.abc import Callable

BUSY = (errno.EAGAIN, errno.EACCES)


class Place:
    """A place taken; ``release`` gives it back, any number of times."""

    __slots__ = ("fd", "name")

    def __init__(self, fd: int = -1, name: "socket | None" = None) -> None:
        self.fd = fd
        self.name = name

    def release(self) -> None:
        if self.fd >= 0:
            os.close(self.fd)
            self.fd = -1
        if self.name is not None:
            self.name.close()
            self.name = None


def take_place(path: str, state: str, report: "Callable[[str], None]", terms: Terms = ALONE) -> Place:
    """Take the place of a session on the maildrop at ``path``; MaildropBusy: another session has it."""
    if terms.shared:
        return Place()
    fd = _open(os.path.join(state, "session.lock"), report, terms) if state else -1
    return _by_file(path, fd) if fd >= 0 else _by_name(path, report)


def _open(lock: str, report: "Callable[[str], None]", terms: Terms) -> int:
    """The lock file, open; -1 if it cannot be, which must not refuse a login."""
    flags = os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
    why = ""
    try:
        if not terms.read_only:
            return os.open(lock, os.O_RDWR | os.O_CREAT | flags, 0o600)
    except OSError as error:
        why = str(error.strerror)
    try:
        return os.open(lock, os.O_RDONLY | flags)  # on a full or read-only disk an old one does as well
    except OSError:
        if why:
            report(f"{lock}: {why}; this session's place is held by a socket name instead")
        return -1


def _by_file(path: str, fd: int) -> Place:
    import fcntl

    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as why:
        os.close(fd)
        if why.errno in BUSY:
            raise MaildropBusy(f"{path}: another session has it") from None
        raise
    return Place(fd)


def _by_name(path: str, report: "Callable[[str], None]") -> Place:
    from _socket import AF_UNIX, SOCK_DGRAM, socket
    from hashlib import blake2b

    try:
        folder = os.stat(os.path.dirname(path))
        key = f"{folder.st_dev}:{folder.st_ino}:{os.path.basename(path)}"
    except OSError:
        key = path
    digest = blake2b(os.fsencode(key), digest_size=16).hexdigest()
    name = None
    try:
        name = socket(AF_UNIX, SOCK_DGRAM)
        name.bind(f"\0qpopper_py.session.{digest}")
    except OSError as why:
        if name is not None:
            name.close()
        if why.errno == errno.EADDRINUSE:
            raise MaildropBusy(f"{path}: another session has it") from None
        report(f"{path}: no place for this session: {why.strerror}; a second one would not be refused")
        return Place()
    return Place(name=name)
