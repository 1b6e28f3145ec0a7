"""Octets between two streams, both ways, until the inner one has said its last.

The outer stream is a client's, under TLS; the inner one ends in another process, where a session has all the
time-outs: when its patience ends it closes, and so do we.  Of each direction no more is held than one piece, and
nothing is read before that is gone, so that neither side can fill our memory.  What waits for nothing is not polled:
a descriptor whose other end is gone would never let us sleep.
"""

import select

TYPE_CHECKING = False
if TYPE_CHECKING:
    from qpopper_py.stream import SocketStream, Stream

PIECE = 64 << 10


class Way:
    """One direction: from where, to where, and what was received and is not yet accepted."""

    __slots__ = ("ended", "held", "sink", "source")

    def __init__(self, source: "Stream", sink: "Stream") -> None:
        self.source = source
        self.sink = sink
        self.held = memoryview(b"")
        self.ended = False

    def interest(self) -> "tuple[int, int] | None":
        """The descriptor and the event that would let it go on; None: it is over."""
        if self.held:
            return self.sink.writer, select.POLLOUT
        return None if self.ended else (self.source.reader, select.POLLIN)

    def may(self, found: "dict[int, int]") -> bool:
        """Whether poll ``found`` what it was waiting for."""
        want = self.interest()
        return bool(want and found.get(want[0], 0) & (want[1] | select.POLLHUP | select.POLLERR))

    def go(self) -> None:
        """Receive or send, once.  Raises OSError when the sink is gone."""
        if not self.held:
            try:
                piece = self.source.receive(PIECE)
            except BlockingIOError:
                return
            except OSError:
                piece = b""  # reset, or no TLS any more: nothing else will come
            self.held = memoryview(piece)
            self.ended = not piece
        if self.held:
            try:
                self.held = self.held[self.sink.send(self.held) :]
            except BlockingIOError:
                pass

    def drop(self) -> None:
        """Nobody takes what is held, nor what would come."""
        self.held = memoryview(b"")
        self.ended = True


def relay(outer: "Stream", inner: "SocketStream", patience: float) -> None:
    """Carry octets until ``inner`` ends and ``outer`` has all of it, or accepts nothing for ``patience`` seconds.

    Closes neither.  An end that the client makes is passed on as one: what the session then still says arrives.
    """
    up, down = Way(outer, inner), Way(inner, outer)
    told = False
    while down.held or not down.ended:
        if up.ended and not up.held and not told:
            inner.end()
            told = True
        waiting = outer.pending() and not up.held and not up.ended
        found = poll((up, down), 0 if waiting else patience if down.held else None)
        if down.held and not found and not waiting:
            return
        if down.may(found):
            try:
                down.go()
            except OSError:
                return  # the client is gone
        if waiting or up.may(found):
            try:
                up.go()
            except OSError:
                up.drop()  # the session is over; its last words may still lie there


def poll(ways: "tuple[Way, ...]", seconds: "float | None") -> "dict[int, int]":
    """The events, by descriptor, that let one of ``ways`` go on; empty after ``seconds``."""
    masks: dict[int, int] = {}
    for want in filter(None, (way.interest() for way in ways)):
        masks[want[0]] = masks.get(want[0], 0) | want[1]
    asked = select.poll()
    for descriptor, mask in masks.items():
        asked.register(descriptor, mask)
    return dict(asked.poll(None if seconds is None else seconds * 1000))
