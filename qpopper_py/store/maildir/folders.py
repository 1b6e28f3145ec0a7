"""The folders of a Maildir, open: what lies in new and cur, and where a message is by now.

The law: everything is reached through the descriptors that were opened first, by one name, and no symbolic link is
followed.  Only regular files are messages; a name that begins with a dot is none (maildir(5)).
"""

import errno
import os
import stat
import time

from qpopper_py.errors import MaildropChanged, MaildropUnusable
from qpopper_py.store.maildir.names import base_of, order

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

NEW, CUR, TMP = 0, 1, 2
NAMES = ("new", "cur", "tmp")
FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
FILE = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC
CLOSED = (errno.ELOOP, errno.ENOTDIR, errno.EACCES, errno.EPERM)
TICK = 0.02  # seconds: more than the coarsest clock that stamps files in nanoseconds (100 Hz)
TRIES = 4  # listings, while other programs rename what is being listed
RENAMED = 8  # times that a message may be renamed while one call looks for it


class File:
    """A message: ``name`` in folder ``where`` (NEW or CUR), and the state by which it is known again."""

    __slots__ = ("base", "inode", "mtime", "name", "octets", "proved", "size", "where")

    def __init__(self, where: int, name: str, state: os.stat_result) -> None:
        self.where = where
        self.name = name
        self.base = base_of(name)
        self.inode = state.st_ino
        self.size = state.st_size
        self.mtime = state.st_mtime_ns
        self.octets = 0  # that RETR sends
        self.proved = True  # they were counted; else the name says so

    def same(self, state: os.stat_result) -> bool:
        """Is this the file that was scanned, untouched?  A rename does not touch it."""
        return (
            stat.S_ISREG(state.st_mode)
            and state.st_ino == self.inode
            and state.st_size == self.size
            and state.st_mtime_ns == self.mtime
        )


class Folders:
    """The Maildir at ``path``, open; MaildropUnusable: it is none of ``owner``'s (a uid).  FileNotFoundError: missing.

    ``report`` takes a line for the log.
    """

    def __init__(self, path: str, owner: int, report: "Callable[[str], None]") -> None:
        self.path = path
        self.report = report
        self.fds: list[int] = []
        self._times: tuple[int, ...] = ()  # of new and cur when _names was read
        self._names: dict[str, list[tuple[int, str, int]]] = {}  # base -> (where, name, inode), once looked up again
        self._settled = False  # _names holds what lay there at _times, and nothing changed since unless they did
        self.root = self._open(path, None, owner)
        try:
            for name in NAMES:
                self.fds.append(self._open(name, self.root, owner))
        except FileNotFoundError:
            self.close()
            raise MaildropUnusable(
                f"{path}: no Maildir: new, cur and tmp must be there; make what is missing"
            ) from None
        except BaseException:
            self.close()
            raise

    def _open(self, name: str, folder: "int | None", owner: int) -> int:
        path = name if folder is None else f"{self.path}/{name}"
        try:
            fd = os.open(name, FOLDER, dir_fd=folder)
        except OSError as why:
            if why.errno not in CLOSED:
                raise
            what = "is a symbolic link; name what it leads to" if os.path.islink(path) else str(why.strerror)
            raise MaildropUnusable(f"{path}: {what}") from None
        state = os.fstat(fd)
        if state.st_uid != owner:
            os.close(fd)
            raise MaildropUnusable(f"{path}: belongs to uid {state.st_uid}, not to uid {owner}; chown it")
        return fd

    def files(self) -> "list[File]":
        """The messages of new and cur in the order of delivery."""
        odd: set[str] = set()
        for _ in range(TRIES):
            times = self._look()
            found: dict[tuple[str, int], File] = {}
            # new first: what moves to cur meanwhile is then seen twice, not missed; as the same file it counts once.
            whole = [self._list(where, found, odd) for where in (NEW, CUR)]
            if all(whole) and self._look() == times:
                break
        if odd:
            self.report(f"{self.path}: {len(odd)} entries of new and cur are no regular files and were left out")
        return sorted(found.values(), key=lambda file: order(file.base))

    def _list(self, where: int, found: "dict[tuple[str, int], File]", odd: "set[str]") -> bool:
        """Put the files of one folder into ``found``; False: one vanished in between."""
        whole = True
        with os.scandir(self.fds[where]) as entries:
            for entry in entries:
                if entry.name.startswith("."):
                    continue
                try:
                    state = entry.stat(follow_symlinks=False)
                except FileNotFoundError:
                    whole = False
                    continue
                if stat.S_ISREG(state.st_mode):
                    file = File(where, entry.name, state)
                    found[file.base, file.inode] = file
                else:
                    odd.add(entry.name)
        return whole

    def _look(self) -> "tuple[int, ...]":
        return tuple(os.fstat(self.fds[where]).st_mtime_ns for where in (NEW, CUR))

    def locate(self, file: File) -> "os.stat_result | None":
        """The state of what has the message's name now, under whatever flags; None: there is none any more."""
        for _ in range(RENAMED):
            try:
                return os.stat(file.name, dir_fd=self.fds[file.where], follow_symlinks=False)
            except FileNotFoundError:
                if not self._find_again(file):
                    return None
        return None

    def open(self, file: File) -> int:
        """The message open for reading, wherever it is now; -1: there is none any more.  Nothing is checked yet."""
        for _ in range(RENAMED):
            try:
                return os.open(file.name, FILE, dir_fd=self.fds[file.where])
            except FileNotFoundError:
                if not self._find_again(file):
                    return -1
            except OSError as why:
                if why.errno != errno.ELOOP:
                    raise
                raise MaildropChanged(f"{self.path}: {file.base} was replaced by a symbolic link") from None
        return -1

    def _find_again(self, file: File) -> bool:
        """Look the base up once more in new and cur; True: it is there under another name."""
        times = self._look()
        if times != self._times or not self._settled:
            self._names = {}
            # Times are told in ticks: what is listed within the tick of a change may change once more, unseen.
            self._settled = time.time() - max(times) / 1e9 > TICK
            for where in (NEW, CUR):
                with os.scandir(self.fds[where]) as entries:
                    for entry in entries:
                        row = where, entry.name, entry.inode()
                        self._names.setdefault(base_of(entry.name), []).append(row)
            self._times = times
        there = self._names.get(file.base, ())
        # Of several with this base the one that is the same file; another one will be noticed as a stranger.
        for where, name, _ in sorted(there, key=lambda row: row[2] != file.inode):
            if (where, name) != (file.where, file.name):
                file.where, file.name = where, name
                return True
        return False

    def sync(self, *folders: int) -> None:
        for folder in folders:
            os.fsync(self.fds[folder])

    def close(self) -> None:
        for fd in [*self.fds, self.root]:
            os.close(fd)
        self.fds = []
        self.root = -1
