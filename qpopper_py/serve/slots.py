"""How many sessions one user has at once: a file of locks in the user's state folder.

It holds in every mode, inetd included, where no process outlives a session: slot N is the lock of octet N of the
file, open-file-description locks, which the kernel gives back however a session ends.  The file is the user's own,
so who has a shell here can cheat, or shut out, nobody but themselves.  Where there is no state folder nothing is
counted: no login is refused for want of one.
"""

import os

from qpopper_py.errors import MaildropBusy

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from qpopper_py.settings import Settings

NAME = "sessions"


class Slot:
    """``with Slot(...) as full``: one of the user's sessions; ``full``, if not None, says that there are enough."""

    __slots__ = ("_fd", "_most", "_path", "_warn")

    def __init__(self, state: str, settings: "Settings", warn: "Callable[[str], None]") -> None:
        """``state``: the user's private folder, empty if there is none."""
        # A second session that is refused is refused by the maildrop's own lock.
        counted = bool(state) and settings.second_session == "allowed"
        self._most = settings.limits_sessions_user if counted else 0
        self._path = f"{state}/{NAME}"
        self._warn = warn
        self._fd = -1

    def __enter__(self) -> MaildropBusy | None:
        if not self._most:
            return None
        try:
            flags = os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
            self._fd = os.open(self._path, flags, 0o600)
            if any(self._take(number) for number in range(self._most)):
                return None
        except OSError as why:
            self._warn(f"{self._path}: {why.strerror}; the user's sessions are not counted (limits.sessions_user)")
            return None
        return MaildropBusy(f"{self._most} sessions are open already (limits.sessions_user)")

    def _take(self, number: int) -> bool:
        import fcntl
        import struct

        # struct flock: type, whence, start, length, and a pid that must be 0
        wanted = struct.pack("hhqqi0q", fcntl.F_WRLCK, os.SEEK_SET, number, 1, 0)
        try:
            fcntl.fcntl(self._fd, fcntl.F_OFD_SETLK, wanted)
        except (BlockingIOError, PermissionError):
            return False
        return True

    def __exit__(self, *_: object) -> None:
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1
