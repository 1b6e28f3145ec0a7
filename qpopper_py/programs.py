"""Programs of the administrator's, run without a shell and with nothing of ours (login_hook, access).

A program is run by its absolute path, in ``/``, in a session of its own, its descriptors on /dev/null and no others
open, with no environment but what it is given and a PATH.  When its time is over it is killed with all of its process
group.  What it prints goes nowhere: it keeps a log of its own.
"""

import os
import stat

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

ENVIRONMENT = {"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "LC_ALL": "C"}
MOST_LINKS = 40  # path_resolution(7)


def objection(program: str) -> str:
    """Why ``program`` is not to be run, empty if it is: root runs only what nobody else can change."""
    if not os.path.isfile(program) or not os.access(program, os.X_OK, effective_ids=True):
        return "it is no program that may be run"
    if os.geteuid() == 0 and (place := changeable(program)):
        return f"others than root can change {place}"
    return ""


def changeable(path: str) -> str:
    """The first on the way to ``path`` that others than root can change: a folder, a link or the file; empty: none.

    Raises OSError.
    """
    at, words, links = "/", path.split("/"), 0
    while True:
        found = os.lstat(at)
        is_link = stat.S_ISLNK(found.st_mode)
        sticky = found.st_mode & stat.S_ISVTX and stat.S_ISDIR(found.st_mode)  # others replace only what is theirs
        if found.st_uid != 0 or (found.st_mode & 0o022 and not is_link and not sticky):
            return at
        if is_link:
            links += 1
            if links > MOST_LINKS:
                return at
            words = os.readlink(at).split("/") + words
            at = "/" if not words[0] else os.path.dirname(at)
        while words and words[0] in ("", "."):
            del words[0]
        if not words:
            return ""
        word = words.pop(0)
        at = os.path.dirname(at) if word == ".." else os.path.join(at, word)


def run(words: "Sequence[str]", more: "Mapping[str, str]", seconds: float) -> int:
    """Run a program and wait: its exit status, or less than 0: a signal ended it, and ours once ``seconds`` are over.

    ``words``: it and its arguments; ``more``: its environment besides PATH.  Raises OSError.
    """
    import select
    import signal

    child = os.fork()
    if child == 0:
        try:
            os.setsid()
            _cut_off()
            os.execve(words[0], list(words), {**ENVIRONMENT, **more})  # noqa: S606  # no shell, which is the point
        finally:
            os._exit(127)
    descriptor = os.pidfd_open(child)
    try:
        if not select.select([descriptor], [], [], seconds)[0]:
            os.killpg(child, signal.SIGKILL)
    finally:
        os.close(descriptor)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


def leave(words: "Sequence[str]", more: "Mapping[str, str]", seconds: float) -> None:
    """As :func:`run`, in processes that nobody here has to wait for.  Raises OSError."""
    child = os.fork()
    if child == 0:
        try:
            if os.fork() == 0:
                os.setsid()
                _cut_off()  # whoever waits so long holds no connection, and no lock
                run(words, more, seconds)
        finally:
            os._exit(0)
    try:
        os.waitpid(child, 0)  # it forks once more and is gone
    except ChildProcessError:
        pass  # SIGCHLD is ignored, and the kernel has reaped it


def _cut_off() -> None:
    """Have nothing of the process that forked this one."""
    import signal

    os.closerange(3, os.sysconf("SC_OPEN_MAX"))
    null = os.open(os.devnull, os.O_RDWR)
    for descriptor in (0, 1, 2):
        os.dup2(null, descriptor)
    os.close(null)
    os.chdir("/")
    for number in (signal.SIGCHLD, signal.SIGPIPE, signal.SIGTERM, signal.SIGHUP, signal.SIGINT):
        signal.signal(number, signal.SIG_DFL)
