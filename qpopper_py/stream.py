"""The descriptors that a connection lives on, and how it gets away from 0, 1 and 2.

On the path to the greeting, so the system calls come from posix: os, which has the same ones, takes a millisecond.
"""

import posix

TYPE_CHECKING = False
if TYPE_CHECKING:
    import _socket

LINGER = 16  # pieces of 64 KiB that are read from a client whose session is over
PIPE, SOCKET = 0o01, 0o14  # st_mode >> 12, inode(7)


class Stream:
    """A connection on two descriptors that need not be a socket: a pipe, a terminal."""

    def __init__(self, reader: int, writer: int) -> None:
        self.reader = reader
        self.writer = writer

    def receive(self, most: int) -> bytes:
        """What is there, empty at the end.  BlockingIOError: nothing after all."""
        return posix.read(self.reader, most)

    def pending(self) -> bool:
        """Whether there is something to receive that poll(2) does not see."""
        return False

    def send(self, data: memoryview) -> int:
        """How much was taken.  A pipe that poll calls ready takes PIPE_BUF octets without blocking."""
        import select

        poll = select.poll()
        poll.register(self.writer, select.POLLOUT)
        return posix.write(self.writer, data[: select.PIPE_BUF]) if poll.poll(0) else 0

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
            posix.close(descriptor)
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

    same = [n for n in (1, 2) if is_open(n) and _same(n, 0)]
    reader = fcntl.fcntl(0, fcntl.F_DUPFD_CLOEXEC, 3)
    sock = None
    writer = reader
    if posix.fstat(reader).st_mode >> 12 == SOCKET:
        import _socket

        sock = _socket.socket(fileno=reader)
    else:
        writer = fcntl.fcntl(1, fcntl.F_DUPFD_CLOEXEC, 3)
        if is_open(2) and _same(2, writer) and not posix.isatty(2):
            same.append(2)
    null = posix.open("/dev/null", posix.O_RDWR)
    for descriptor in {0, 1, *same} | {n for n in (2,) if not is_open(n)}:
        posix.dup2(null, descriptor)
    if null > 2:
        posix.close(null)
    return SocketStream(sock) if sock else Stream(reader, writer)


def client_may_be_there() -> bool:
    """Whether descriptor 0 is something that a client may be on: a socket, a pipe.

    It is none on a terminal, /dev/null, a file, or nothing at all: then descriptors 0 to 2 that are closed are
    /dev/null from here on, so that no file or socket of ours ever becomes one of them.
    """
    if is_open(0) and posix.fstat(0).st_mode >> 12 in (SOCKET, PIPE):
        return True
    while (null := posix.open("/dev/null", posix.O_RDWR)) <= 2:
        posix.set_inheritable(null, True)
    posix.close(null)
    return False


def is_open(descriptor: int) -> bool:
    try:
        posix.fstat(descriptor)
    except OSError:
        return False
    return True


def _same(one: int, other: int) -> bool:
    """Whether two descriptors are of the same file, socket or pipe."""
    first, second = posix.fstat(one), posix.fstat(other)
    return (first.st_dev, first.st_ino) == (second.st_dev, second.st_ino)
