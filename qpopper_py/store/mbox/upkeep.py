"""What is seen to before a mailbox is looked at: what was cut off is finished, an old server's temp drop taken.

On the way of every login: a few looks at names, and nothing is imported unless there is something to do.
"""

import os

from qpopper_py.errors import MaildropTrouble
from qpopper_py.store.mbox.redo import records
from qpopper_py.store.paths import hashed

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from qpopper_py.settings import Settings
    from qpopper_py.store.lock import MaildropLock


class Upkeep:
    """``temp``: where a temp drop would be, or empty.  ``redo``: the record that a new change is written to."""

    def __init__(
        self, path: str, owner: int, state: str, temp: str, read_only: bool, report: "Callable[[str], None]"
    ) -> None:
        self.path = path
        self.owner = owner
        self.temp = temp
        self.read_only = read_only
        self.report = report
        self.redos = records(path, state)
        self.redo = next((redo for redo in self.redos if os.access(redo.folder, os.W_OK)), self.redos[0])

    def before_scan(self, lock: "MaildropLock") -> None:
        """Raises MaildropError: there is something to do, and it cannot be done now."""
        pending = any(redo.pending() for redo in self.redos)
        waiting = size_of(self.temp) if self.temp else 0
        if self.read_only:
            if pending:
                raise MaildropTrouble(
                    f"{self.path}: {self.redo.path} has an unfinished change of it, and read_only forbids to finish it"
                )
            if waiting:
                self.report(f"{self.temp}: holds mail of an earlier server, which is not shown: read_only is on")
            return
        if pending:
            self.finish(lock)
        if waiting:
            from qpopper_py.store.mbox.taking import take

            take(self.path, self.owner, self.temp, self.redo, lock, self.report)
        if size_of(self.path):
            self.make_spare()

    def finish(self, lock: "MaildropLock") -> int:
        """Finish what was cut off; how many changes were.  Raises MaildropError."""
        from qpopper_py.store.mbox.recover import recover

        return recover(self.path, self.owner, self.redos, lock, self.report)

    def make_spare(self) -> None:
        try:
            self.redo.make_spare()
        except OSError:  # said when it is needed, and only then
            pass


def size_of(path: str) -> int:
    """Octets of what has that name; 1 of anything that is no file: to be looked at with care.

    Nothing where this user may not look: no old server could have put anything there as this user.
    """
    import stat

    try:
        found = os.lstat(path)
    except (FileNotFoundError, NotADirectoryError, PermissionError):
        return 0
    except OSError:
        return 1
    return found.st_size if stat.S_ISREG(found.st_mode) else 1


def temp_drop(path: str, user: str, owner: int, settings: "Settings") -> str:
    """Where the temp drop of ``user``, whose mailbox is at ``path`` and ``owner``'s, would be; empty: nowhere.

    In tempdrop.folder, hashed as the spool is, or beside the mailbox.  If nothing is there, in the spool, where Qpopper
    put it for a mailbox at home too, and looked for an older one (genpath.c, check-old-spool-loc): a file of another's
    there is none of this mailbox's.
    """
    if not settings.tempdrop_name or not user or "/" in user:
        return ""
    name = settings.tempdrop_name.replace("%s", user)
    between = hashed(user, settings.hash_spool)
    folder = settings.tempdrop_folder
    usual = os.path.join(f"{folder}/{between}" if folder else os.path.dirname(path), name)
    spooled = f"{settings.spool}/{between}{name}"
    return spooled if spooled != usual and not size_of(usual) and is_mail_of(owner, spooled) else usual


def is_mail_of(owner: int, path: str) -> bool:
    """Whether that is a file of ``owner``'s with something in it."""
    import stat

    try:
        found = os.lstat(path)
    except OSError:
        return False
    return stat.S_ISREG(found.st_mode) and found.st_uid == owner and found.st_size > 0


def unfinished(state_dir: str) -> "list[str]":
    """The users who have a record of an unfinished change in their state folders."""
    folder = os.path.join(state_dir, "users")
    try:
        return sorted(user for user in os.listdir(folder) if os.path.lexists(f"{folder}/{user}/redo"))
    except OSError:
        return []
