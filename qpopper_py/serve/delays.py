"""login_delay (RFC 2449 sections 6.4 and 8.1.1): when each user's last session ended.

That is the time of the empty file ``<state_dir>/login-delay/USER``: nothing to lock, and nothing that a crash could
damage.  With ``login_delay_padding`` it may be earlier: each session moves it by one delay, from not more than so many
delays ago, so that a user who was away may come so often at once (poppollpadding of imapd.conf(5), imap/pop3d.c).
Whoever is root writes it (the keeper), else the one process that there is; never a mail process.  Where it
cannot be had nobody is delayed, and the log says so once.  ``read_only`` is about mail: whoever may not delete may not
come too often either.
"""

import os
import stat
import time

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from qpopper_py.settings import Settings

    # Seconds before the user may log in again, and what notes that the session ended, if that is to be noted.
    Ending = tuple[int, Callable[[], None] | None]

FOLDER = "login-delay"
AHEAD = 60  # seconds: a time further in the future was written under a wrong clock


class Delays:
    """``warn`` hears why nobody is delayed."""

    def __init__(
        self, settings: "Settings", warn: "Callable[[str], None]", clock: "Callable[[], float]" = time.time
    ) -> None:
        self._delay = settings.login_delay
        self._padding = settings.login_delay_padding
        self._folder = f"{settings.state_dir}/{FOLDER}" if settings.state_dir else ""
        self._warn = warn
        self._clock = clock
        self._warned = False

    def __bool__(self) -> bool:
        """Whether there is a delay at all."""
        return self._delay > 0

    def left(self, user: str) -> int:
        """Seconds before ``user`` may log in again; 0: now."""
        if not self:
            return 0
        try:
            since = self._clock() - os.lstat(f"{trusted(self._place())}/{user}").st_mtime
        except FileNotFoundError:
            return 0
        except OSError as why:
            self._trouble(why)
            return 0
        return max(0, int(self._delay - since + 0.999)) if since > -AHEAD else 0

    def ended(self, user: str) -> None:
        """A session of ``user`` ended just now."""
        if self:
            try:
                place = folder(self._place())
                mark(place, user, self._moved(place, user))
            except OSError as why:
                self._trouble(why)

    def _moved(self, place: str, user: str) -> float:
        """The time to note for a session that ended just now.  Raises OSError."""
        now = self._clock()
        if self._padding < 2:
            return now
        earliest = now - self._delay * self._padding
        try:
            before = os.lstat(f"{place}/{user}").st_mtime
        except FileNotFoundError:
            before = earliest
        return min(now, max(before, earliest) + self._delay)

    def _place(self) -> str:
        if not self._folder:
            raise OSError(0, "state_dir is empty")
        return self._folder

    def _trouble(self, why: OSError) -> None:
        if not self._warned:
            self._warned = True
            self._warn(f"login_delay: {self._folder or 'there is no folder'}: {why.strerror}; nobody is delayed")


def folder(path: str) -> str:
    """``path``, made if need be, in a state_dir that is there; OSError if others could write there."""
    try:
        os.mkdir(path, 0o700)
    except FileExistsError:
        pass
    return trusted(path)


def trusted(path: str) -> str:
    """``path``; OSError if it is not there, or others could write there."""
    found = os.lstat(path)
    if not stat.S_ISDIR(found.st_mode):
        raise OSError(0, "it is not a folder; move it away")
    if found.st_uid not in (0, os.geteuid()) or found.st_mode & 0o022:
        raise OSError(0, "it must be a folder that nobody else may write; chmod 700 it")
    return path


def mark(place: str, user: str, when: float) -> None:
    """Note that a session of ``user`` ended then.  Raises OSError."""
    flags = os.O_WRONLY | os.O_CREAT | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
    descriptor = os.open(f"{place}/{user}", flags, 0o600)
    try:
        os.utime(descriptor, (when, when))
    finally:
        os.close(descriptor)


def known(place: str) -> "dict[str, int]":
    """When the last session of each user ended, in seconds since 1970.  Raises OSError."""
    with os.scandir(place) as rows:
        return {row.name: int(row.stat(follow_symlinks=False).st_mtime) for row in rows if row.is_file()}
