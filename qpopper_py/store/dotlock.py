"""Dotlocks: ``<maildrop>.lock``, made by link(2), so that it appears whole or not at all, on NFS too.

The contents are the holder's pid on the first line and its host on the second; programs that read a lock by
atoi(3) see the pid.  A pid counts only if the lock was made on this host or, where no host is named, on a local
file system: dead, the lock is stale; alive, and owned by the lock's owner, it is held.  Else the lock is stale when it
is older than locks.stale by the file system's own clock.  A lock that belongs neither to us nor to root nor to the
maildrop's owner, and anything that is no regular file, is respected whatever its age, and never followed.
"""

import errno
import os
import stat
import time

from qpopper_py.errors import MaildropTrouble

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Protocol

    class DotlockHelper(Protocol):
        """Who makes dotlocks for a process that may not write the spool.  ``path`` is the maildrop's.

        Each may raise MaildropTrouble.
        """

        def create(self, path: str) -> bool:
            """Make it; False: somebody holds it."""

        def refresh(self, path: str) -> None:
            """Keep it from looking old."""

        def remove(self, path: str) -> None:
            """Give it back."""


STALE = 300  # seconds, where nobody says otherwise
CANNOT = (errno.EACCES, errno.EPERM, errno.EROFS)


class FolderClosed(MaildropTrouble):
    """This process may not write the folder of the maildrop: a helper may, or other locks must do."""

    def __init__(self, folder: str) -> None:
        super().__init__(f"uid {os.geteuid()} may not write {folder}")


class Dotlocks:
    """Makes and removes dotlocks as this process; the shape of a helper.

    ``pid`` goes into the lock (0: our own).  ``stale``: locks.stale.  One lock a maildrop at a time.
    """

    def __init__(self, pid: int = 0, stale: int = STALE) -> None:
        self.pid = pid
        self.stale = stale
        self.held: dict[str, int] = {}  # lock file -> descriptor of it: knows it again, refreshes it

    def create(self, path: str) -> bool:
        """Make the lock of the maildrop at ``path``; False: somebody holds it.

        FolderClosed: we may not write there.  MaildropTrouble: the system refused otherwise.
        """
        lock = path + ".lock"
        pid = self.pid or os.getpid()
        folder = os.path.dirname(path)
        own = os.path.join(folder, f".lk{pid}.{os.urandom(6).hex()}")
        try:
            fd = os.open(own, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o644)
        except OSError as why:
            if why.errno in CANNOT:
                raise FolderClosed(folder) from None
            raise MaildropTrouble(f"{lock}: cannot be made: {why.strerror}") from None
        try:
            made = self._link(fd, own, lock, pid)
        except OSError as why:
            os.close(fd)
            raise MaildropTrouble(f"{lock}: cannot be made: {why.strerror}") from None
        if made:
            self.held[lock] = fd
        else:
            os.close(fd)
        return made

    def _link(self, fd: int, own: str, lock: str, pid: int) -> bool:
        try:
            try:
                os.write(fd, f"{pid}\n{os.uname().nodename}\n".encode())
            except OSError:  # a full disk has room for a name, not for contents: then its age alone speaks
                os.ftruncate(fd, 0)
            for _ in range(2):
                try:
                    os.link(own, lock, follow_symlinks=False)
                except FileExistsError:
                    pass
                except OSError:
                    # An NFS server may have made the link and lost its reply.
                    if os.fstat(fd).st_nlink != 2:
                        raise
                if os.fstat(fd).st_nlink == 2:
                    return True
                if not break_stale(lock, os.fstat(fd).st_mtime, _owner_of(lock[:-5]), self.stale):
                    return False
            return False
        finally:
            try:
                os.unlink(own)
            except OSError:  # it only litters; what was asked for is done or not
                pass

    def refresh(self, path: str) -> None:
        """Set the lock's time to the file system's now."""
        try:
            os.utime(self.held[path + ".lock"])
        except OSError as why:
            raise MaildropTrouble(f"{path}.lock: cannot be refreshed: {why.strerror}") from None

    def remove(self, path: str) -> None:
        """Give the lock back; MaildropTrouble: it was taken from us, or stays there."""
        lock = path + ".lock"
        fd = self.held.pop(lock, -1)
        if fd < 0:
            return
        try:
            if not os.path.samestat(os.fstat(fd), os.lstat(lock)):
                raise MaildropTrouble(
                    f"{lock}: somebody else took it while we held it; their program breaks locks early"
                )
            os.unlink(lock)
        except FileNotFoundError:
            raise MaildropTrouble(f"{lock}: somebody removed it while we held it") from None
        except OSError as why:
            raise MaildropTrouble(f"{lock}: cannot be removed: {why.strerror}; remove it by hand") from None
        finally:
            os.close(fd)


def _owner_of(path: str) -> int:
    """The uid that a maildrop belongs to, ours if there is none."""
    try:
        return os.lstat(path).st_uid
    except OSError:
        return os.geteuid()


def break_stale(lock: str, now: float, owner: int, stale: int) -> bool:
    """Remove the lock if it is stale; ``now`` is the file system's time.  True: try for it again.

    ``owner``: the maildrop's, whose stale locks may go as well as ours (geteuid) and root's.  ``stale``: locks.stale.

    Whoever removes one holds its flock, and looks whether the name still means the file that was judged: so
    two of us never take each other's fresh lock for the stale one.
    """
    import fcntl

    try:
        fd = os.open(lock, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except FileNotFoundError:
        return True
    except OSError:  # a symlink, or not ours to read
        return False
    try:
        state = os.fstat(fd)
        if not stat.S_ISREG(state.st_mode) or state.st_uid not in (0, os.geteuid(), owner):
            return False
        if not is_stale(os.read(fd, 256), state, now, stale):
            return False
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        if os.path.samestat(os.lstat(lock), state):
            os.unlink(lock)
        return True
    except FileNotFoundError:
        return True
    except OSError:
        return False
    finally:
        os.close(fd)


def is_stale(contents: bytes, state: os.stat_result, now: float, stale: int) -> bool:
    """Is a lock file with these contents and this state stale at ``now``?  ``stale``: seconds; 0: not by its age."""
    words = contents.replace(b":", b" ").split()  # pid, or pid and host: lines of ours, Dovecot's pid:host
    if words and words[0].isdigit() and len(words[0]) <= 9 and int(words[0]) > 1:
        # Device numbers with major 0 are NFS and its like, and a few local kinds that do without then.
        ours = words[1] == os.fsencode(os.uname().nodename) if len(words) > 1 else os.major(state.st_dev) != 0
        if ours:
            owner = _owner(int(words[0]))
            if owner is None or owner == state.st_uid:
                return owner is None
    return bool(stale) and now - state.st_mtime > stale


def _owner(pid: int) -> "int | None":
    """The uid of a living process, -1 if that cannot be told; None: there is none.

    A pid that now belongs to somebody else was used again; it says nothing of the lock.
    """
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return None
    except OSError:
        pass
    try:
        return os.stat(f"/proc/{pid}").st_uid
    except OSError:
        return -1


def holder(lock: str) -> str:
    """Who holds the lock, in words for a log."""
    try:
        state = os.lstat(lock)
    except OSError:
        return "somebody"
    if not stat.S_ISREG(state.st_mode):
        return "something that is no regular file; remove it by hand"
    age = max(0, int(time.time() - state.st_mtime))
    return f"a process of uid {state.st_uid}, for {age} s"
