"""How much a user sent by XTND XMIT within the last hour, over all sessions.

The file ``xmit`` in the user's private state folder: a line ``qpopper_py xmit 1`` (the last word is the version of
the format), then a line ``MINUTE MESSAGES RECIPIENTS`` for each minute (since 1970) of the last hour in which something
was sent.  At most 61 lines, so it is written in one piece, under flock.  What cannot be read is begun anew; a
file of a newer version is left alone.  The user owns it: one with a shell can send by the mailer itself anyway.

Without a file (no state folder, or it cannot be used) the same counting goes on in memory, for this session.
"""

import errno
import fcntl
import os
import stat
import time

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    Minutes = dict[int, tuple[int, int]]

FILE = "xmit"
FORMAT = "qpopper_py xmit "
VERSION = 1
HOUR = 60  # minutes
LARGEST = 8192  # octets; 61 lines have no more than 61 * 50
PATIENCE = 5.0  # seconds to wait for another session of the same user, which holds the file for an instant


class Hourly:
    """The account of one user, who may send ``messages`` to ``recipients`` in an hour."""

    def __init__(
        self,
        state: str,
        messages: int,
        recipients: int,
        report: "Callable[[str], None]",
        clock: "Callable[[], float]" = time.time,
    ) -> None:
        """``state``: the private folder, empty if there is none.  ``report``: takes a warning for the log."""
        self.path = f"{state}/{FILE}" if state else ""
        self.messages = messages
        self.recipients = recipients
        self.report = report
        self.clock = clock
        self.memory: Minutes = {}
        if not state:
            self._give_up("there is no state folder")

    def over(self, recipients: int = 1) -> str:
        """What a message to ``recipients`` would be too much of: ``messages``, ``recipients``, or empty."""
        return self._account(recipients, False)

    def take(self, recipients: int) -> str:
        """The same, and if it is not too much, enter it: in one step, whatever other sessions do."""
        return self._account(recipients, True)

    def _account(self, recipients: int, enter: bool) -> str:
        descriptor = self._open() if self.path else -1
        if descriptor < 0:
            return self._add(self.memory, recipients, enter)
        try:
            minutes = self._read(descriptor)
            over = self._add(minutes, recipients, enter)
            if enter and not over:
                self._write(descriptor, minutes)
            return over
        except OSError as why:
            self._give_up(f"{self.path}: {why.strerror}")
            return self._add(self.memory, recipients, enter)
        finally:
            os.close(descriptor)  # gives the lock back

    def _add(self, minutes: "Minutes", recipients: int, enter: bool) -> str:
        now = int(self.clock()) // 60
        for minute in list(minutes):
            if not now - HOUR < minute <= now:  # one in the future: the clock was set back
                del minutes[minute]
        if sum(spent[0] for spent in minutes.values()) + 1 > self.messages:
            return "messages"
        if sum(spent[1] for spent in minutes.values()) + recipients > self.recipients:
            return "recipients"
        if enter:
            before = minutes.get(now, (0, 0))
            minutes[now] = (before[0] + 1, before[1] + recipients)
        return ""

    def _give_up(self, why: str) -> None:
        self.path = ""
        self.report(f"limits of XTND XMIT in an hour hold for this session only: {why}")

    def _open(self) -> int:
        """The file, locked; -1 if it cannot be used, which is reported."""
        flags = os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
        descriptor = -1
        try:
            descriptor = os.open(self.path, flags, 0o600)
            if not stat.S_ISREG(os.fstat(descriptor).st_mode):
                raise OSError(errno.EINVAL, "is not a plain file")
            self._lock(descriptor)
        except OSError as why:
            if descriptor >= 0:
                os.close(descriptor)
            self._give_up(f"{self.path}: {why.strerror}")
            return -1
        return descriptor

    def _lock(self, descriptor: int) -> None:
        give_up = time.monotonic() + PATIENCE
        while True:
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
                return
            except BlockingIOError:
                if time.monotonic() > give_up:
                    raise OSError(errno.EAGAIN, "another session has it locked") from None
                time.sleep(0.02)

    def _read(self, descriptor: int) -> "Minutes":
        """What the file says.  Raises OSError if it is of a newer version, which stays as it is."""
        text = os.pread(descriptor, LARGEST, 0).decode("ascii", "replace")
        if not text:
            return {}
        head, *lines = text.split("\n")
        version = head.removeprefix(FORMAT)
        if head != version and version.isdigit() and int(version) > VERSION:
            raise OSError(errno.EINVAL, f"is of format {version}, newer than ours, {VERSION}")
        try:
            if head != f"{FORMAT}{VERSION}" or lines.pop() != "":
                raise ValueError
            return dict(_minute(line) for line in lines)
        except (ValueError, IndexError):
            self.report(f"{self.path} was damaged; XTND XMIT's limits in an hour begin anew")
            return {}

    def _write(self, descriptor: int, minutes: "Minutes") -> None:
        lines = [f"{FORMAT}{VERSION}", *(f"{minute} {pair[0]} {pair[1]}" for minute, pair in sorted(minutes.items()))]
        data = ("\n".join(lines) + "\n").encode("ascii")
        if os.pwrite(descriptor, data, 0) != len(data):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        os.ftruncate(descriptor, len(data))


def _minute(line: str) -> "tuple[int, tuple[int, int]]":
    """MINUTE MESSAGES RECIPIENTS.  Raises ValueError."""
    minute, messages, recipients = line.split(" ")
    if not (minute + messages + recipients).isdigit():
        raise ValueError
    return int(minute), (int(messages), int(recipients))
