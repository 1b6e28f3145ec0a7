"""The system calls by which a mailbox, a temp drop and the redo record change on the disk.

All that changes them goes through these names, looked up here at each call: a test can stand between the store and
the disk, record every call, drop what was not synced, or let one fail.
"""

import errno
import os

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

create = os.open  # with O_CREAT
pwrite = os.pwrite
ftruncate = os.ftruncate
fsync = os.fsync
rename = os.rename
unlink = os.unlink
posix_fallocate = os.posix_fallocate

# What preallocation answers where the file system has none; then zeros are written.
UNKNOWN = (errno.EOPNOTSUPP, errno.EINVAL, errno.ENOSYS)
PIECE = 1 << 20  # octets


def write_at(fd: int, data: bytes, offset: int) -> None:
    view = memoryview(data)
    while view:
        done = pwrite(fd, view, offset)
        view = view[done:]
        offset += done


def allocate(fd: int, start: int, stop: int) -> None:
    """Give [start, stop) of a file its room on the disk, growing it if need be; new octets read as zeros.

    Nothing that is there may lie in it where the file system cannot preallocate: that is then overwritten.
    """
    if start >= stop:
        return
    try:
        posix_fallocate(fd, start, stop - start)
    except OSError as why:
        if why.errno not in UNKNOWN:
            raise
        while start < stop:
            size = min(PIECE, stop - start)
            write_at(fd, bytes(size), start)
            start += size


def sync_folder(folder: str) -> None:
    """Make the names in a folder durable.  A file system that cannot sync folders needs no such call."""
    fd = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        fsync(fd)
    except OSError as why:
        if why.errno not in UNKNOWN:
            raise
    finally:
        os.close(fd)


def same_as(fd: int, path: str, owners: "Sequence[int]") -> bool:
    """Is ``path`` still the name of the regular file ``fd``, its only one, and one of ``owners``' own?"""
    import stat

    found = os.fstat(fd)
    try:
        named = os.lstat(path)
    except FileNotFoundError:
        return False
    return (
        os.path.samestat(found, named)
        and stat.S_ISREG(found.st_mode)
        and found.st_nlink == 1
        and found.st_uid in owners
    )
