"""What may be taken for the temp drop that an old server left behind: the user's own, one plain file, not in use."""

import errno
import fcntl
import os
import stat

from qpopper_py.errors import MaildropBusy, MaildropUnusable
from qpopper_py.store.mbox.layout import read_at
from qpopper_py.store.mbox.plan import size_of
from qpopper_py.store.mbox.scan import skip_leading
from qpopper_py.store.mbox.snapshot import OPEN

ADVICE = "look into it, then give it to the user, or move it away, or set tempdrop.name to nothing"


def open_drop(temp: str, owner: int) -> int:
    """A descriptor of the temp drop; -1 if there is none."""
    try:
        fd = os.open(temp, os.O_RDWR | OPEN)
    except (FileNotFoundError, NotADirectoryError):
        return -1
    except OSError as why:
        if why.errno not in (errno.ELOOP, errno.EACCES, errno.EPERM, errno.ENXIO, errno.EISDIR):
            raise
        what = "is a symbolic link" if os.path.islink(temp) else f"cannot be opened: {why.strerror}"
        raise MaildropUnusable(f"{temp}: the temp drop of an old server {what}; {ADVICE}") from None
    found = os.fstat(fd)
    if not stat.S_ISREG(found.st_mode):
        what = "is no regular file"
    elif found.st_nlink > 1:
        what = "has a second name (hard link)"
    elif found.st_uid != owner:
        what = f"belongs to uid {found.st_uid}, not to uid {owner}"
    else:
        return fd
    os.close(fd)
    raise MaildropUnusable(f"{temp}: the temp drop of an old server {what}; {ADVICE}")


def claim(drop: int, temp: str) -> bool:
    """Take its flock; False: it has gone meanwhile."""
    try:
        fcntl.flock(drop, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as why:
        if why.errno not in (errno.EAGAIN, errno.EACCES):
            raise
        raise MaildropBusy(f"{temp}: a session of another server has it") from None
    try:
        return os.path.samestat(os.fstat(drop), os.lstat(temp)) and size_of(drop) > 0
    except FileNotFoundError:
        return False


def kind_of(path: str, fd: int) -> bytes:
    """What the mail in a file begins with: ``From `` or ^A; nothing if there is none.  Something else is no mail."""
    end = size_of(fd)
    first = skip_leading(fd, 0, end)
    begins = read_at(fd, min(5, end - first), first)
    if begins and begins not in (b"From ", b"\1\1\1\1\n"):
        raise MaildropUnusable(f"{path}: not an mbox: no From_ line at offset {first}; it was left alone; {ADVICE}")
    return begins
