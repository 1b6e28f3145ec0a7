"""The log: a sink of events that writes records (``records.py``) to syslog or to stderr.

To syslog everything goes, and its configuration chooses by priority.  Stderr has no priorities: there, what is
of priority debug is left out unless debugging is on; a line begins with the time in UTC and PROGRAM[PID].

The connection to syslog is opened at once: it works on after fork, chroot and setuid (a syslogd that is restarted
cannot be found again from inside a chroot).  With ``log.to = syslog`` and no syslogd, records are lost until it
is there, as with every daemon.
"""

import os
import stat
import syslog
import time

from qpopper_py.logs.records import SEVERITIES, records, style

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from qpopper_py.events import Event
    from qpopper_py.logs.records import Forms
    from qpopper_py.settings import Settings

    Write = Callable[[int, str], None]

SOCKET = "/dev/log"
FACILITIES = {
    "mail": syslog.LOG_MAIL,
    "daemon": syslog.LOG_DAEMON,
    "auth": syslog.LOG_AUTH,
    "user": syslog.LOG_USER,
    "local0": syslog.LOG_LOCAL0,
    "local1": syslog.LOG_LOCAL1,
    "local2": syslog.LOG_LOCAL2,
    "local3": syslog.LOG_LOCAL3,
    "local4": syslog.LOG_LOCAL4,
    "local5": syslog.LOG_LOCAL5,
    "local6": syslog.LOG_LOCAL6,
    "local7": syslog.LOG_LOCAL7,
}


class Log:
    """A sink.  Never raises: mail goes on when the log cannot be written."""

    __slots__ = ("asked", "least", "write")

    def __init__(
        self,
        write: "Write",
        statistics: bool = False,
        debug: bool = False,
        login: str = "",
        timing: bool = False,
        client: bool = False,
        forms: "Forms | None" = None,
        prefix: "Sequence[str]" = (),
        severity: str = "debug",
    ) -> None:
        """``write``: takes a priority and a text of printable ASCII.  ``severity``: the least that is written.

        The others are ``records``'.
        """
        self.write = write
        self.asked = (statistics, debug, login, timing, client, forms, prefix)
        self.least = SEVERITIES.index(severity)

    def __call__(self, event: "Event") -> None:
        for priority, text in records(event, *self.asked):
            if priority & 7 <= self.least or priority > 7:  # a facility of its own: the audit trail, which is whole
                self.write(priority, text)

    def close(self) -> None:
        """Close the connection to syslog; a record that comes later opens it again."""
        syslog.closelog()


def open_log(settings: "Settings", program: str = "pop3d") -> Log:
    """The log as ``settings`` ask for it.  Early: before privileges or the view of /dev are given up."""
    return Log(
        open_writer(settings, program),
        settings.statistics,
        settings.debug,
        settings.log_login,
        settings.log_timing,
        settings.log_statistics_client,
        style(settings.log_style),
        settings.log_prefix,
        settings.log_severity,
    )


def open_writer(settings: "Settings", program: str) -> "Write":
    """Where lines of the log go."""
    here = settings.log_to == "syslog" or settings.serve_background  # in the background stderr is nobody's
    if settings.log_to == "stderr" or not (here or _syslog_is_here()):
        return Stderr(program, settings.debug)
    syslog.openlog(program, syslog.LOG_PID | syslog.LOG_NDELAY, FACILITIES[settings.log_facility])
    return syslog.syslog


def _syslog_is_here() -> bool:
    try:
        return stat.S_ISSOCK(os.stat(SOCKET).st_mode)
    except OSError:
        return False


class Stderr:
    """Lines to descriptor 2, one write each; silent where that is the client's socket (inetd)."""

    __slots__ = ("debug", "program")

    def __init__(self, program: str, debug: bool) -> None:
        self.program = program
        self.debug = debug

    def __call__(self, priority: int, text: str) -> None:
        if priority == syslog.LOG_DEBUG and not self.debug:
            return
        try:
            if not _is_the_client():
                os.write(2, f"{iso(time.time())} {self.program}[{os.getpid()}]: {text}\n".encode("ascii", "replace"))
        except OSError:
            pass  # closed, or its disk is full: there is nobody left to tell


def _is_the_client() -> bool:
    """Whether descriptor 2 is the socket that descriptor 0 is: under inetd all three are the connection."""
    try:
        standard_input = os.fstat(0)
    except OSError:
        return False
    return stat.S_ISSOCK(standard_input.st_mode) and os.path.samestat(standard_input, os.fstat(2))


def iso(moment: float) -> str:
    """``moment`` (seconds since 1970) as ISO 8601 in UTC with milliseconds."""
    return time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(moment)) + f".{int(moment % 1 * 1000):03d}Z"
