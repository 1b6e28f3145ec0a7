"""Who is root, and the one place where that ends; and the descriptors a connection lives on.

All that ever runs as root, when the server was started as root:

The *keeper* (serve/keeper.py, or under inetd the process that inetd started):
- reading the command line and the configuration file, at the start and at SIGHUP; opening the log and the trace file;
- listening and accepting, the addresses of the connection, the greeting's stamp (octets 60 to 63 of the mailauth
  database say whether there is one), and under inetd the greeting itself;
- messages of bounded length from its own children, strictly parsed (serve/handover.py);
- making and removing exactly ``<spool>/<that user>.lock`` while the mail process asks for it.

The *porter* (serve/porter.py; a child for a connection, under inetd the keeper itself), only with hosts_access: the
tables of TCP wrappers: libwrap, and the commands that they say (spawn, twist).  It also reads the PROXY header of a
listed address and looks up the client's name; without hosts_access it is the fronts' user for that.

The *checker* (serve/checker.py): the gate with its databases, keys and the modules of PAM, and the records of failures
(guess.delay, auth.c2), on messages from fronts; where a source may wait, a child of its own for a connection; with
kerberos, reading the keytab, in a child that is nobody before it takes a ticket or a KDC's answer apart.

The *TLS* process (serve/securing.py; a child for a connection): reading certificate and key; then it gives up what a
front gives up, and only then hears the client.

Each *mail* process until it calls :func:`become`: making the user's private state folder, the connection to the log.
For one that waits for another session of its owner, the keeper makes that folder.
Each *front* until it calls :func:`qpopper_py.sandbox.confine`: importing, the connection to the log.

At the start, for mailboxes that a crash left half changed: a process that lists them, and one for each, which
becomes its user.

Nothing that a client sends is parsed by root but a credential, and that by the checker alone.  Mail is opened, and
XTND XMIT's mailer run, only by a process that called :func:`become`; none of its ancestors ever held a secret.
"""

import os
import stat

from qpopper_py.errors import QpopperError

TYPE_CHECKING = False
if TYPE_CHECKING:
    import _socket
    from collections.abc import Collection


LINGER = 16  # pieces of 64 KiB that are read from a client whose session is over


class PrivilegeError(QpopperError):
    """Privileges could not be given up; the process must end."""


def become(uid: int, gid: int, groups: "Collection[int]") -> None:
    """Be that user for good: all four uids and gids, and these ``groups``.

    Raises PrivilegeError if any of it fails or could be undone.
    """
    if uid <= 0 or gid < 0:
        raise PrivilegeError(f"refusing to run as uid {uid}, gid {gid}")
    try:
        os.setgroups(list(groups))
        os.setresgid(gid, gid, gid)
        os.setresuid(uid, uid, uid)
    except OSError as why:
        raise PrivilegeError(f"cannot become uid {uid}, gid {gid}: {why.strerror}") from None
    if os.getresuid() != (uid, uid, uid) or os.getresgid() != (gid, gid, gid):
        raise PrivilegeError(f"became somebody else than uid {uid}, gid {gid}")
    try:
        os.setuid(0)
    except OSError:
        os.umask(0o077)
        return
    raise PrivilegeError("root could be had back")


def closed_to_others(*paths: str) -> str:
    """The first file or folder on the way to ``paths`` that not everybody may pass or read; empty if all is open.

    The mail process imports as the user: from an interpreter or a package in root's home it could not.
    """
    for path in paths:
        place, wanted = os.path.realpath(path), 0o004
        while place != "/":
            if not os.stat(place).st_mode & wanted:
                return place
            place, wanted = os.path.dirname(place), 0o001
    return ""


def no_core_dumps() -> None:
    """No core file may hold a secret."""
    import resource

    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))


class Stream:
    """A connection on two descriptors that need not be a socket: a pipe, a terminal."""

    def __init__(self, reader: int, writer: int) -> None:
        self.reader = reader
        self.writer = writer

    def receive(self, most: int) -> bytes:
        """What is there, empty at the end.  BlockingIOError: nothing after all."""
        return os.read(self.reader, most)

    def pending(self) -> bool:
        """Whether there is something to receive that poll(2) does not see."""
        return False

    def send(self, data: memoryview) -> int:
        """How much was taken.  A pipe that poll calls ready takes PIPE_BUF octets without blocking."""
        import select

        poll = select.poll()
        poll.register(self.writer, select.POLLOUT)
        return os.write(self.writer, data[: select.PIPE_BUF]) if poll.poll(0) else 0

    def is_open(self) -> bool:
        """Whether it was neither closed nor let go of."""
        return self.reader >= 0

    def descriptors(self) -> "list[int]":
        """What it lives on: one to read from and one to write to, or a socket's."""
        return [self.reader, self.writer]

    def close(self) -> None:
        """End the connection."""
        self.let_go()

    def let_go(self) -> None:
        """Close our descriptors; another process goes on with the connection."""
        for descriptor in {self.reader, self.writer}:
            os.close(descriptor)
        self.reader = self.writer = -1


class SocketStream(Stream):
    """A connection on a socket; sends what the kernel takes at once and never blocks."""

    def __init__(self, sock: "_socket.socket") -> None:
        super().__init__(sock.fileno(), sock.fileno())
        self.sock = sock

    def receive(self, most: int) -> bytes:
        return self.sock.recv(most)

    def send(self, data: memoryview) -> int:
        import _socket

        return self.sock.send(data, _socket.MSG_DONTWAIT)

    def descriptors(self) -> "list[int]":
        return [self.reader]

    def is_open(self) -> bool:
        return self.sock.fileno() >= 0

    def let_go(self) -> None:
        self.sock.close()

    def listens(self) -> bool:
        """Whether it is not a client, but what clients come from (inetd's wait)."""
        import _socket

        try:
            return bool(self.sock.getsockopt(_socket.SOL_SOCKET, _socket.SO_ACCEPTCONN))
        except OSError:
            return False

    def close(self) -> None:
        """End the connection in order.  Input that nobody read would make the kernel reset it, last reply and all."""
        import _socket

        try:
            self.sock.shutdown(_socket.SHUT_WR)
            for _ in range(LINGER):
                if not self.sock.recv(65536, _socket.MSG_DONTWAIT):
                    break
        except OSError:
            pass  # nothing more to read, or nobody there
        self.sock.close()

    def end(self) -> None:
        """Nothing more will be sent."""
        import _socket

        try:
            self.sock.shutdown(_socket.SHUT_WR)
        except OSError:
            pass  # nobody there


def claim_descriptors() -> Stream:
    """Move the client from descriptors 0 to 2 out of reach and point those at /dev/null; the first act under inetd.

    From here on nothing that prints, warns or crashes can reach the client.  Descriptor 2 stays when it is
    something else than the client: a terminal, the journal.
    """
    import fcntl

    client = os.fstat(0)
    same = [n for n in (1, 2) if is_open(n) and os.path.samestat(os.fstat(n), client)]
    reader = fcntl.fcntl(0, fcntl.F_DUPFD_CLOEXEC, 3)
    sock = None
    writer = reader
    if stat.S_ISSOCK(client.st_mode):
        import _socket

        sock = _socket.socket(fileno=reader)
    else:
        writer = fcntl.fcntl(1, fcntl.F_DUPFD_CLOEXEC, 3)
        if is_open(2) and os.path.samestat(os.fstat(2), os.fstat(writer)) and not os.isatty(2):
            same.append(2)
    null = os.open("/dev/null", os.O_RDWR)
    for descriptor in {0, 1, *same} | {n for n in (2,) if not is_open(n)}:
        os.dup2(null, descriptor)
    if null > 2:
        os.close(null)
    return SocketStream(sock) if sock else Stream(reader, writer)


def client_may_be_there() -> bool:
    """Whether descriptor 0 is something that a client may be on: a socket, a pipe.

    It is none on a terminal, /dev/null, a file, or nothing at all: then descriptors 0 to 2 that are closed are
    /dev/null from here on, so that no file or socket of ours ever becomes one of them.
    """
    if is_open(0):
        kind = os.fstat(0).st_mode
        if stat.S_ISSOCK(kind) or stat.S_ISFIFO(kind):
            return True
    while (null := os.open("/dev/null", os.O_RDWR)) <= 2:
        os.set_inheritable(null, True)
    os.close(null)
    return False


def is_open(descriptor: int) -> bool:
    try:
        os.fstat(descriptor)
    except OSError:
        return False
    return True


def private_folder(state_dir: str, user: str, uid: int, gid: int) -> str:
    """``<state_dir>/users/<user>``, made 0700 and the user's own; raises OSError or PrivilegeError.

    Made from the top without following links, before privileges go: afterwards nobody could.
    """
    if not user or "/" in user or user.startswith("."):
        raise PrivilegeError(f"no folder can be named {user!r}")
    root = os.geteuid() == 0
    folder = f"{state_dir}/users/{user}"
    for path in (state_dir, f"{state_dir}/users"):
        try:
            os.mkdir(path, 0o755)
            os.chmod(path, 0o755)  # whatever the umask: others must be able to pass through  # noqa: S103
        except FileExistsError:
            pass
        found = os.lstat(path)
        if root and (not stat.S_ISDIR(found.st_mode) or found.st_uid != 0 or found.st_mode & 0o022):
            raise PrivilegeError(f"{path} must be a folder of root's that nobody else may write; run: chmod 755 {path}")
    try:
        os.mkdir(folder, 0o700)
    except FileExistsError:
        pass
    found = os.lstat(folder)
    if not stat.S_ISDIR(found.st_mode):
        raise PrivilegeError(f"{folder} is not a folder; move it away")
    if root and (found.st_uid, found.st_gid) != (uid, gid):
        os.lchown(folder, uid, gid)
    elif found.st_uid != uid:
        raise PrivilegeError(f"{folder} belongs to uid {found.st_uid}, not to {user}")
    return folder
