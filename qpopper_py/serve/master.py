"""A worker of Cyrus' master(8): one connection at a time, from its listening socket, and word to it of each.

master(8) gives descriptor 4, which listens, descriptor 3, a pipe to itself, and CYRUS_SERVICE and CYRUS_ID.  Each
message is two C ints, what and our process id (master/service.h): UNAVAILABLE as a connection is taken, CONNECTION as
it begins, AVAILABLE when we wait for the next.  By them master counts its ``maxchild`` and forks others.

A worker ends after prefork.reuse connections, after serve.idle to twice that many seconds without one (by chance, so
that not all end at once), on SIGHUP, or when the program was replaced.  Each connection is served by a child that is
what inetd would have started: nothing that one client sends can reach the next.
"""

import os

from qpopper_py.events import Note, Trouble

TYPE_CHECKING = False
if TYPE_CHECKING:
    import _socket
    from collections.abc import Callable

    from qpopper_py.events import Event
    from qpopper_py.settings import Settings

STATUS, LISTEN = 3, 4  # descriptors
AVAILABLE, UNAVAILABLE, CONNECTION = 1, 2, 3


def given() -> "_socket.socket | None":
    """The listening socket, if it is master(8) that started us."""
    import _socket

    if "CYRUS_SERVICE" not in os.environ or "CYRUS_ID" not in os.environ:
        return None
    try:
        os.fstat(STATUS)
        sock = _socket.socket(fileno=os.dup(LISTEN))
    except OSError:
        return None
    try:
        if sock.getsockopt(_socket.SOL_SOCKET, _socket.SO_ACCEPTCONN):
            os.close(LISTEN)
            return sock
    except OSError:
        pass
    sock.close()
    return None


class Worker:
    """``serve`` takes a client's descriptor, in a process of its own."""

    def __init__(
        self,
        sock: "_socket.socket",
        settings: "Settings",
        program: str,
        emit: "Callable[[Event], None]",
        serve: "Callable[[int], None]",
    ) -> None:
        import struct

        self.sock = sock
        self.settings = settings
        self.program = program
        self.emit = emit
        self.serve = serve
        self.pack = struct.Struct("ii").pack
        self.served = 0
        self.told_to_end = False
        self.made = self._program()
        # Ours alone: a child that lived on would keep master from hearing that we are gone.
        os.set_inheritable(STATUS, False)

    def run(self) -> int:
        """Serve until one of the reasons above; the exit status."""
        import _signal  # type: ignore[import-not-found]

        self.sock.setblocking(False)
        self.wake, waker = os.pipe2(os.O_CLOEXEC | os.O_NONBLOCK)
        _signal.signal(_signal.SIGHUP, self._end)
        _signal.signal(_signal.SIGTERM, self._end)
        _signal.set_wakeup_fd(waker)
        while True:
            client = self._next()
            if client < 0:
                self._tell(UNAVAILABLE)
                return 0
            self._tell(UNAVAILABLE)
            self._tell(CONNECTION)
            self.served += 1
            self._attend(client)
            if self.told_to_end or self.served >= self.settings.prefork_reuse:
                return 0
            self._tell(AVAILABLE)

    def _end(self, _number: int, _frame: object) -> None:
        self.told_to_end = True

    def _tell(self, what: int) -> None:
        try:
            os.write(STATUS, self.pack(what, os.getpid()))
        except OSError as why:
            self.emit(Trouble(None, f"master(8) cannot be told of a connection: {why.strerror}"))

    def _next(self) -> int:
        """The descriptor of the next client; -1: there is none any more."""
        import select
        import time

        give_up = time.monotonic() + self._patience()
        poll = select.poll()
        poll.register(self.sock.fileno(), select.POLLIN)
        poll.register(self.wake, select.POLLIN)
        while not self.told_to_end and self._program() == self.made:
            left = give_up - time.monotonic()
            if left <= 0:
                return -1
            poll.poll(None if left == float("inf") else left * 1000)
            try:
                descriptor: int = self.sock._accept()[0]  # type: ignore[attr-defined]  # the C socket's accept
                return descriptor
            except (BlockingIOError, ConnectionAbortedError):
                pass  # another worker has it, or it is gone
            except OSError as why:
                self.emit(Trouble(None, f"cannot accept a connection: {why.strerror}"))
                time.sleep(0.1)
        return -1

    def _patience(self) -> float:
        """Seconds to wait for a client; the first is waited for as long as it takes."""
        idle = self.settings.serve_idle
        if not idle or not self.served:
            return float("inf")
        return idle + idle * int.from_bytes(os.urandom(2), "big") / 65536

    def _program(self) -> "tuple[int, int, int] | None":
        """What tells that the program was replaced."""
        try:
            found = os.stat(self.program)
        except OSError:
            return None
        return found.st_ino, found.st_size, found.st_mtime_ns

    def _attend(self, client: int) -> None:
        """Have a child serve ``client``, and wait for its end."""
        import _signal

        try:
            child = os.fork()
        except OSError as why:
            os.close(client)
            self.emit(Trouble(None, f"cannot fork for a connection: {why.strerror}"))
            return
        if child == 0:
            status = 70
            try:
                _signal.set_wakeup_fd(-1)
                _signal.signal(_signal.SIGHUP, _signal.SIG_IGN)  # master's own: sessions go on
                _signal.signal(_signal.SIGTERM, _signal.SIG_DFL)
                os.close(STATUS)
                self.sock.close()
                os.set_blocking(client, True)
                self.serve(client)
                status = 0
            finally:
                os._exit(status)
        os.close(client)
        _, status = os.waitpid(child, 0)
        if os.WIFSIGNALED(status):
            self.emit(Note(None, f"process of a session ended by signal {os.WTERMSIG(status)}"))
