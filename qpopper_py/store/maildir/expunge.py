"""Removing messages of a Maildir: all of them or none, across errors and crashes.

One message is unlinked.  Several are moved to a stage, a folder in tmp that no mail program looks into, and the
rename of the stage decides: before it everything can be put back, after it everything is removed.

    tmp/.expunge-<id>/{new,cur}     not decided: what lies here is put back
    tmp/.expunged-<id>/{new,cur}    decided: what lies here is unlinked

A crash leaves a stage, and the next session finishes it (:func:`recover`); a stage whose flock is held belongs to
a session that is at work.  Where there is no room for a stage (a full
disk, a quota) messages are unlinked one by one: then a crash, or an error after the first, leaves the rest, and the
error says how many are gone.  A message that somebody else removed counts as removed.
"""

import errno
import os

from qpopper_py.errors import MaildropChanged, MaildropTrouble
from qpopper_py.store.maildir.folders import CUR, FOLDER, NAMES, NEW, TMP

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from qpopper_py.store.maildir.folders import File, Folders

OPEN, DECIDED = ".expunge-", ".expunged-"
NO_ROOM = (errno.ENOSPC, errno.EDQUOT, errno.EXDEV)


class NoStage(Exception):
    """No stage can be had; nothing was changed."""


def expunge(folders: "Folders", files: "Sequence[File]", report: "Callable[[str], None]") -> None:
    """Remove ``files``.  MaildropChanged: one was edited or replaced; nothing was removed.  MaildropTrouble."""
    try:
        for file in files:
            state = folders.locate(file)
            if state is not None and not file.same(state):
                raise MaildropChanged(f"{folders.path}: {file.base} was edited or replaced under the session")
        try:
            if len(files) == 1:
                raise NoStage
            removed = _by_stage(folders, files, report)
        except NoStage:
            removed = _one_by_one(folders, files)
    except OSError as why:
        raise MaildropTrouble(f"{folders.path}: {why.strerror}; nothing was removed") from why
    _tell_quota(folders, removed, report)


def _one_by_one(folders: "Folders", files: "Sequence[File]") -> "list[File]":
    """Unlink; those that were still there."""
    removed: list[File] = []
    try:
        for file in files:
            while folders.locate(file) is not None:
                try:
                    os.unlink(file.name, dir_fd=folders.fds[file.where])
                except FileNotFoundError:  # renamed in this very moment
                    continue
                removed.append(file)
                break
        folders.sync(NEW, CUR)
    except OSError as why:
        if not removed:
            raise
        what = f"{len(removed)} of {len(files)} messages were removed"
        raise MaildropTrouble(f"{folders.path}: {why.strerror}; {what}") from why
    return removed


def _by_stage(folders: "Folders", files: "Sequence[File]", report: "Callable[[str], None]") -> "list[File]":
    """Move to a stage, decide, unlink; those that were still there."""
    tag = f"{os.getpid()}.{os.urandom(6).hex()}"
    tmp = folders.fds[TMP]
    fds: list[int] = []
    try:
        try:
            _make(tmp, OPEN + tag, fds)
        except OSError as why:
            raise NoStage from why
        removed = [file for file in files if _move(folders, file, fds)]
        for fd in (*fds, *folders.fds[:TMP]):
            os.fsync(fd)
        os.rename(OPEN + tag, DECIDED + tag, src_dir_fd=tmp, dst_dir_fd=tmp)
    except BaseException as why:
        _undo(folders, OPEN + tag, why)
        if isinstance(why, OSError) and why.errno in NO_ROOM:
            raise NoStage from why
        raise
    else:
        _finish(folders, DECIDED + tag, report)
        return removed
    finally:
        for fd in fds:
            os.close(fd)


def _finish(folders: "Folders", stage: str, report: "Callable[[str], None]") -> None:
    try:
        folders.sync(TMP)
    except OSError as why:
        what = "messages are removed, but the disk did not confirm it"
        raise MaildropTrouble(f"{folders.path}: {what}: {why.strerror}") from why
    try:
        _clear(folders, stage)
    except OSError as why:
        report(f"{place(folders, stage)}: {why.strerror}; what lies there is removed in the next session")


def place(folders: "Folders", stage: str = "") -> str:
    return os.path.join(folders.path, NAMES[TMP], stage)


def _make(tmp: int, stage: str, fds: "list[int]") -> None:
    """The folders of a stage, open, in the order of NEW and CUR, and the stage itself, locked."""
    os.mkdir(stage, 0o700, dir_fd=tmp)
    lock = _lock(tmp, stage)
    if lock < 0:
        raise BlockingIOError(errno.EAGAIN, "taken for one that a crash left")
    fds.append(lock)
    for where in (CUR, NEW):
        os.mkdir(f"{stage}/{NAMES[where]}", 0o700, dir_fd=tmp)
        fds.insert(0, os.open(f"{stage}/{NAMES[where]}", FOLDER, dir_fd=tmp))


def _lock(tmp: int, stage: str) -> int:
    """The stage, open, with its flock; -1: a session holds that."""
    import fcntl

    fd = os.open(stage, FOLDER, dir_fd=tmp)
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as why:
        os.close(fd)
        if why.errno in (errno.EAGAIN, errno.EACCES):
            return -1
        raise
    return fd


def _move(folders: "Folders", file: "File", stage: "list[int]") -> bool:
    """To the stage; False: it is gone."""
    while folders.locate(file) is not None:
        try:
            os.rename(file.name, file.name, src_dir_fd=folders.fds[file.where], dst_dir_fd=stage[file.where])
            return True
        except FileNotFoundError:  # renamed in this very moment
            pass
    return False


def _undo(folders: "Folders", stage: str, cause: BaseException) -> None:
    """Put back what lies in ``stage``; MaildropTrouble: some of it stays there for the next session."""
    try:
        _put_back(folders, stage)
    except FileNotFoundError:
        pass  # it was never made
    except OSError as why:
        raise MaildropTrouble(
            f"{folders.path}: an expunge broke off ({cause}) and cannot be undone now ({why.strerror}): what lies in "
            f"{place(folders, stage)} is put back in the next session"
        ) from why


def _put_back(folders: "Folders", stage: str) -> None:
    def back(name: str, fd: int, where: int) -> None:
        try:
            os.stat(name, dir_fd=folders.fds[where], follow_symlinks=False)
        except FileNotFoundError:
            os.rename(name, name, src_dir_fd=fd, dst_dir_fd=folders.fds[where])
        else:
            raise FileExistsError(errno.EEXIST, f"{name} is there already")

    _each(folders, stage, back)
    folders.sync(NEW, CUR)


def _clear(folders: "Folders", stage: str) -> None:
    _each(folders, stage, lambda name, fd, _: os.unlink(name, dir_fd=fd))


def _each(folders: "Folders", stage: str, work: "Callable[[str, int, int], None]") -> None:
    """``work(name, stage's folder, where)`` for what lies in a stage, which is then removed."""
    tmp = folders.fds[TMP]
    for where in (NEW, CUR):
        part = f"{stage}/{NAMES[where]}"
        try:
            fd = os.open(part, FOLDER, dir_fd=tmp)
        except FileNotFoundError:
            continue
        try:
            for name in os.listdir(fd):
                work(name, fd, where)
            os.fsync(fd)
        finally:
            os.close(fd)
        os.rmdir(part, dir_fd=tmp)
    os.rmdir(stage, dir_fd=tmp)


def recover(folders: "Folders", report: "Callable[[str], None]") -> None:
    """Finish the expunges that a crash broke off.  What cannot be finished is reported and stays as it is."""
    tmp = folders.fds[TMP]
    try:
        for name in os.listdir(tmp):
            if name.startswith((OPEN, DECIDED)):
                lock = _lock(tmp, name)
                if lock < 0:
                    continue
                try:
                    _recover(folders, name, report)
                finally:
                    os.close(lock)
    except OSError as why:
        report(f"{place(folders)}: an expunge had broken off and cannot be finished: {why.strerror}")


def _recover(folders: "Folders", stage: str, report: "Callable[[str], None]") -> None:
    if stage.startswith(OPEN):
        _put_back(folders, stage)
        report(f"{folders.path}: an expunge had broken off; its messages were put back")
    else:
        _clear(folders, stage)


def _tell_quota(folders: "Folders", files: "Sequence[File]", report: "Callable[[str], None]") -> None:
    """A line to the Maildir++ quota file, if there is one, as whoever removes mail writes it."""
    try:
        fd = os.open(
            "maildirsize", os.O_WRONLY | os.O_APPEND | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC, dir_fd=folders.root
        )
        try:
            os.write(fd, b"%d %d\n" % (-sum(file.size for file in files), -len(files)))
        finally:
            os.close(fd)
    except FileNotFoundError:
        pass
    except OSError as why:
        report(f"{folders.path}/maildirsize: {why.strerror}; the quota counts what was removed until it is made anew")
