"""In the background, and known by a file: serve.background and serve.pid_file.

The process that was started waits until the one that serves has opened all sockets and says so, and only then ends with
status 0: a script that goes on meets an open port.  What goes wrong before reaches stderr and the exit status.

A pid file that names a process which is there, and was there when the file was written, is that process's: nothing is
done to it.  What it names else is dead, or has the number by chance: the file is stale, and is replaced by a rename.
No link is followed, and root writes into no folder in which others could put something else in the file's place.
"""

import os
import stat

from qpopper_py.errors import ConfigurationError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from qpopper_py.settings import Settings

SERVING = b"+"
LONGEST = 32  # octets of a pid file
DEAD = (b"Z", b"X")  # states of a process that nobody has buried yet
CLOCK = 2.0  # seconds by which a process's beginning may be told too late


class Presence:
    """How a listening process shows that it is there."""

    def __init__(self, settings: "Settings") -> None:
        self.path = settings.serve_pid_file
        self.stderr = settings.log_to == "stderr"  # it is the log, and stays
        self.folder = ""  # where we were started, and what the command line names lies
        self.starter = -1  # tells whoever waits for us
        self.owner = 0  # the process that the pid file names

    def detach(self) -> None:
        """Go on as a child of nobody's.  Returns in the child alone; raises ConfigurationError."""
        try:
            folder = os.getcwd()
        except OSError:
            folder = "/"
        hear, tell = os.pipe2(os.O_CLOEXEC)
        try:
            child = os.fork()
        except OSError as why:
            raise ConfigurationError(f"serve.background: there can be no other process: {why.strerror}") from None
        if child:
            os.close(tell)
            os._exit(outcome(child, hear))
        os.close(hear)
        os.setsid()
        self.starter, self.folder = tell, folder

    def serving(self) -> None:
        """All sockets are open.  Raises ConfigurationError."""
        if self.path:
            write(self.path)
            self.owner = os.getpid()
        if self.starter < 0:
            return
        self._be_nowhere()
        try:
            os.write(self.starter, SERVING)
        except OSError:
            pass  # whoever started us did not wait
        self._forget_starter()

    def apart(self) -> None:
        """In a child that has nothing to do with serving: whoever waits for us does not wait for it."""
        if self.starter >= 0:
            self._be_nowhere()
            self._forget_starter()

    def _be_nowhere(self) -> None:
        """Hold no folder and no terminal."""
        os.chdir("/")
        null = os.open("/dev/null", os.O_RDWR | os.O_CLOEXEC)
        for descriptor in (0, 1) if self.stderr else (0, 1, 2):
            os.dup2(null, descriptor)
        if null > 2:
            os.close(null)

    def _forget_starter(self) -> None:
        os.close(self.starter)
        self.starter = -1

    def over(self) -> None:
        """No client comes any more: the next server may have the file while our last sessions end."""
        if self.owner == os.getpid():
            self.owner = 0
            remove(self.path)

    def at_home(self) -> "AtHome":
        """Where what the command line names can be found again."""
        return AtHome(self.folder)


class AtHome:
    """A with statement in the folder where the server was started; it serves in /, so that no file system is held."""

    def __init__(self, folder: str) -> None:
        self.folder = folder

    def __enter__(self) -> None:
        if self.folder:
            os.chdir(self.folder)

    def __exit__(self, *_: object) -> None:
        if self.folder:
            os.chdir("/")


def outcome(child: int, hear: int) -> int:
    """What the child makes of it: 0 when it serves, else its own exit status."""
    if os.read(hear, 1) == SERVING:
        return 0
    status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    return status if status > 0 else 70


def write(path: str) -> None:
    """Make the pid file ``path``, ours, or replace one that is stale.  Raises ConfigurationError."""
    folder, name = os.path.split(path)
    draft = f"{folder}/.{name}.{os.getpid()}"
    try:
        if os.geteuid() == 0:
            check(folder)
        descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o644)
        try:
            os.fchmod(descriptor, 0o644)
            os.write(descriptor, b"%d\n" % os.getpid())
        finally:
            os.close(descriptor)
        try:
            put(draft, path)
        except BaseException:
            os.unlink(draft)
            raise
    except OSError as why:
        raise ConfigurationError(
            f"serve.pid_file: {path} cannot be written: {why.strerror}; name one in another folder, or none"
        ) from None


def put(draft: str, path: str) -> None:
    """Give ``draft`` the name ``path``, if nobody has it who lives."""
    try:
        os.link(draft, path, follow_symlinks=False)
    except FileExistsError:
        pid = named(path)
        if pid:
            raise ConfigurationError(
                f"serve.pid_file: {path} names process {pid}, which is there; end it, or, if it is none of this"
                " service, remove the file"
            ) from None
        os.rename(draft, path)
        return
    os.unlink(draft)


def named(path: str) -> int:
    """The process that the pid file names and means; 0: it is stale.  Raises ConfigurationError, OSError."""
    found = os.lstat(path)
    if not stat.S_ISREG(found.st_mode) or found.st_nlink != 1 or found.st_size > LONGEST:
        raise ConfigurationError(f"serve.pid_file: {path} is there, and is no pid file; remove it, or name another")
    if os.geteuid() == 0 and found.st_uid != 0:
        raise ConfigurationError(
            f"serve.pid_file: {path} belongs to uid {found.st_uid}, not to root; remove it, or name another"
        )
    text = content(path).strip()
    if not text:
        return 0  # a disk was full
    if not text.isdigit() or not 0 < int(text) < 2**31:
        raise ConfigurationError(f"serve.pid_file: {path} is there, and is no pid file; remove it, or name another")
    pid = int(text)
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return 0
    except PermissionError:
        pass
    return 0 if pid == os.getpid() or began(pid) > found.st_mtime + CLOCK else pid


def content(path: str) -> bytes:
    descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    try:
        return os.read(descriptor, LONGEST)
    finally:
        os.close(descriptor)


def began(pid: int) -> float:
    """When the process began, in seconds since 1970, by proc(5); 0 where that cannot be told; never, if it is dead."""
    try:
        with open(f"/proc/{pid}/stat", "rb") as file:
            fields = file.read().rpartition(b")")[2].split()  # from the third on
        with open("/proc/stat", "rb") as file:
            boot = next(int(line.split()[1]) for line in file if line.startswith(b"btime "))
        if fields[0] in DEAD:
            return float("inf")
        return boot + int(fields[19]) / os.sysconf("SC_CLK_TCK")
    except (OSError, ValueError, IndexError, StopIteration):
        return 0.0


def check(folder: str) -> None:
    """Raises ConfigurationError if others than root could put something in a file's place there, or OSError."""
    place = os.path.realpath(folder)
    while True:
        found = os.stat(place)
        open_to_others = found.st_mode & (stat.S_IWGRP | stat.S_IWOTH) and not found.st_mode & stat.S_ISVTX
        if found.st_uid != 0 or open_to_others:
            raise ConfigurationError(
                f"serve.pid_file: {place}, which the file is below, is not root's alone; name a file in /run"
            )
        if place == "/":
            return
        place = os.path.dirname(place)


def remove(path: str) -> None:
    """Remove the pid file if it is still ours."""
    try:
        if content(path).strip() == b"%d" % os.getpid():
            os.unlink(path)
    except OSError:
        pass  # somebody was quicker
