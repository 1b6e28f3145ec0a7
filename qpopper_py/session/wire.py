"""The connection: lines in under a deadline, replies out, and nothing else.

Timeouts live here and nowhere else.  A line is waited for as a whole, so a client that sends an octet a minute
outwits no deadline; a write fails only when the client accepts nothing at all for the time allowed, or when it must
wait beyond ``deadline``, which is the end of the time to log in: nor does one outwit it that takes an octet a minute.
Replies to pipelined commands are gathered into one send (RFC 2449 section 6.6); nothing waits while the
client does.
"""

import select
import time

from qpopper_py.errors import PeerGone, QpopperError, TimedOut

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from qpopper_py.stream import Stream

GATHER = 64 << 10  # octets of replies that are gathered before they are sent all the same
PIECE = 64 << 10
NEVER = float("inf")


class LineTooLong(QpopperError):
    """A line over the limit was read to its end and thrown away."""


class Wire:
    """Lines and replies over a ``stream``.  ``limit``: the longest line, in octets with its line end."""

    def __init__(
        self,
        stream: "Stream",
        limit: int,
        transfer_timeout: float,
        clock: "Callable[[], float]" = time.monotonic,
    ) -> None:
        self.stream = stream
        self.limit = limit
        self.transfer_timeout = transfer_timeout
        self.clock = clock
        self.deadline = NEVER  # for all that is sent
        self.unread = bytearray()
        self.unsent: list[bytes] = []
        self.pending = 0  # octets in unsent
        self.sent = 0

    def line(self, deadline: float, limit: int = 0) -> bytes:
        """The next line without its line end (CRLF or LF).

        ``deadline``: on ``clock``, for the whole line.  ``limit``: another than the command lines'.
        Raises LineTooLong, TimedOut, PeerGone; what a client left unfinished when it went is no line.
        """
        limit = limit or self.limit
        searched = 0
        if self.clock() >= deadline:  # also for a client that always has one more line to say
            raise TimedOut("the client took too long")
        while True:
            end = self.unread.find(b"\n", searched)
            if end >= 0:
                line = bytes(self.unread[:end])
                del self.unread[: end + 1]
                if end >= limit:
                    raise LineTooLong
                return line[:-1] if line.endswith(b"\r") else line
            if len(self.unread) > limit:
                self._drop_line(deadline)
                raise LineTooLong
            searched = len(self.unread)
            deadline = self._fill(deadline)

    def _drop_line(self, deadline: float) -> None:
        """Throw away the rest of a line, in bounded memory, however long it is."""
        while True:
            end = self.unread.find(b"\n")
            if end >= 0:
                del self.unread[: end + 1]
                return
            self.unread.clear()
            deadline = self._fill(deadline)

    def _fill(self, deadline: float) -> float:
        """Wait for more; ``deadline``, later by the time that the client took for earlier replies."""
        if self.unsent:
            before = self.clock()
            self.flush()
            deadline = min(deadline + self.clock() - before, self.deadline)
        if not self.stream.pending():
            self._wait(self.stream.reader, select.POLLIN, deadline)
        try:
            data = self.stream.receive(PIECE)
        except BlockingIOError:
            return deadline  # not yet: a record of TLS in pieces
        except OSError as why:
            raise PeerGone(str(why)) from None
        if not data:
            raise PeerGone("the client closed the connection")
        self.unread += data
        return deadline

    def _wait(self, descriptor: int, what: int, deadline: float) -> None:
        poll = select.poll()
        poll.register(descriptor, what)
        left = deadline - self.clock()
        if left <= 0 or not poll.poll(left * 1000):
            raise TimedOut("the client was silent for too long")

    def restart(self, stream: "Stream") -> None:
        """Go on over another ``stream``; what came before and was not read never came (RFC 2595 section 4)."""
        self.unread.clear()
        self.stream = stream

    def write(self, data: bytes) -> None:
        """Take ``data`` for the client; it leaves with the next flush at the latest."""
        if len(data) >= GATHER:
            self.flush()
            self._send(data)
            return
        self.unsent.append(data)
        self.pending += len(data)
        if self.pending >= GATHER:
            self.flush()

    def flush(self) -> None:
        """Send what is gathered.  Raises TimedOut, PeerGone."""
        if self.unsent:
            data = b"".join(self.unsent)
            self.unsent.clear()
            self.pending = 0
            self._send(data)

    def _send(self, data: bytes) -> None:
        view = memoryview(data)
        while view:
            try:
                done = self.stream.send(view)
            except BlockingIOError:
                done = 0
            except OSError as why:
                raise PeerGone(str(why)) from None
            if done:
                view = view[done:]
                self.sent += done
                continue
            try:
                until = min(self.clock() + self.transfer_timeout, self.deadline)
                self._wait(self.stream.writer, select.POLLOUT, until)
            except TimedOut:
                raise TimedOut("the client accepted nothing of a transfer for too long") from None
