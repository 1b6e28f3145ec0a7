"""login_hook: a program of the administrator's, run as the mail user once a maildrop is open, in DRAC's place.

It hears of the login in its environment and nowhere else: USER, IP, LOGNAME, PATH.  It is run by its absolute path,
without a shell, in ``/``, its descriptors on /dev/null; the session neither waits for it nor ends it.  If it has
not ended after SECONDS, it is killed with all of its process group.  What it prints goes nowhere, and so does its exit
status: it keeps a log of its own.
"""

import os

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

SECONDS = 30
PATH = "/usr/sbin:/usr/bin:/sbin:/bin"


def run_hook(program: str, user: str, peer: str, warn: "Callable[[str], None]", seconds: int = SECONDS) -> None:
    """Start ``program`` and go on.  ``peer``: the client's address, empty if it has none."""
    if not os.path.isfile(program) or not os.access(program, os.X_OK):
        warn(f"login_hook: {program} is not a program that {user} may run")
        return
    environment = {"PATH": PATH, "LC_ALL": "C", "USER": user, "LOGNAME": user, "IP": peer}
    try:
        child = os.fork()
    except OSError as why:
        warn(f"login_hook: {program}: {why.strerror}")
        return
    if child == 0:
        _leave(program, environment, seconds)
    try:
        os.waitpid(child, 0)  # it forks once more and is gone: nobody here has to wait for the program
    except ChildProcessError:
        pass  # SIGCHLD is ignored, and the kernel has reaped it


def _leave(program: str, environment: "dict[str, str]", seconds: int) -> None:
    """In a child: have another watch over the program.  Never returns."""
    try:
        if os.fork() == 0:
            _watch(program, environment, seconds)
    finally:
        os._exit(0)


def _watch(program: str, environment: "dict[str, str]", seconds: int) -> None:
    """In a process of its own, which holds nothing of the session's: no connection, no lock."""
    import select
    import signal

    os.setsid()
    os.closerange(3, os.sysconf("SC_OPEN_MAX"))
    null = os.open(os.devnull, os.O_RDWR)
    for descriptor in (0, 1, 2):
        os.dup2(null, descriptor)
    os.chdir("/")
    for number in (signal.SIGCHLD, signal.SIGPIPE, signal.SIGTERM, signal.SIGHUP, signal.SIGINT):
        signal.signal(number, signal.SIG_DFL)
    started = os.fork()
    if started == 0:
        try:
            os.setpgid(0, 0)
            os.execve(program, [program], environment)  # noqa: S606  # no shell, which is the point
        finally:
            os._exit(127)
    descriptor = os.pidfd_open(started)
    if not select.select([descriptor], [], [], seconds)[0]:
        os.killpg(started, signal.SIGKILL)
