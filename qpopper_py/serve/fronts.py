"""Fronts: the role that talks to strangers.  A user of its own, an empty root folder, no file, no network.

A front has two descriptors that lead anywhere: to the keeper, and for the time of a connection to its checker.  It
greets, runs the AUTHORIZATION state, and hands over; then, where fronts are re-used, it waits for the next client.
"""

import sys
import time

from qpopper_py.errors import TlsUnavailable
from qpopper_py.events import Trouble
from qpopper_py.serve import handover
from qpopper_py.serve.messenger import Messenger
from qpopper_py.serve.securing import Elsewhere
from qpopper_py.stream import SocketStream, Stream

TYPE_CHECKING = False
if TYPE_CHECKING:
    import _socket
    from collections.abc import Callable
    from typing import Protocol

    from qpopper_py.facts import Facts
    from qpopper_py.serve.children import Loop, Resident
    from qpopper_py.serve.connections import Connection
    from qpopper_py.serve.packing import Fields
    from qpopper_py.settings import Settings

    class Greeter(Resident, Protocol):
        """What a front has from ``__main__``."""

        settings: Settings

        def ready_front(self) -> None:
            """Import all that a front needs: afterwards it cannot."""

        def authorize(
            self, stream: Stream, facts: Facts, gate: Messenger, greeted: int, securing: Elsewhere
        ) -> tuple[Stream, Fields | None]:
            """Greeting (unless so many octets of it were sent) and AUTHORIZATION.

            The stream that it ended on, and what a HANDOVER says, or None.
            """


class Front:
    """The keeper's record of one."""

    __slots__ = ("channel", "connection", "last", "pid", "served", "since")

    def __init__(self, channel: "_socket.socket", pid: int) -> None:
        self.channel = channel
        self.pid = pid
        self.connection: Connection | None = None  # which it serves now
        self.served = 0
        self.since = 0.0  # when it began to wait
        self.last = False  # it serves no other


class Fronts:
    """Those that are there.  ``kept`` wait for clients at any time; each serves up to ``reuse`` connections.

    Those that a rush of clients needed beside them go when they have waited for ``linger`` seconds.
    """

    def __init__(
        self,
        loop: "Loop",
        house: "Greeter",
        identity: "tuple[int, int, str]",
        heard: "Callable[[Front], None]",
        ended: "Callable[[Front, int], None]",
    ) -> None:
        """``identity``: uid, gid and root folder.  ``heard``: a front has said something; ``ended``: it has died."""
        self.loop = loop
        self.house = house
        self.identity = identity
        self.heard = heard
        self.ended = ended
        self.idle: list[Front] = []
        settings = house.settings
        self.kept, self.reuse, self.linger = 0, 1, settings.prefork_linger
        if settings.serve_mode == "prefork":
            self.kept, self.reuse = settings.prefork_fronts, settings.prefork_reuse

    def fill(self) -> None:
        """Have as many waiting as are to be kept.  Raises OSError."""
        while len(self.idle) < self.kept:
            self.idle.append(self.fork())

    def take(self) -> Front:
        """One that serves nobody.  Raises OSError."""
        return self.idle.pop() if self.idle else self.fork()

    def free(self, front: Front) -> None:
        """It has done with its connection."""
        front.connection = None
        front.served += 1
        if front.last or front.served >= self.reuse or not self.kept:
            self.dismiss(front)
        else:
            front.since = time.monotonic()
            self.idle.append(front)

    def expire(self) -> float:
        """Let those go that a rush left over; in how many seconds the next is due, or -1."""
        due = time.monotonic() - self.linger
        while len(self.idle) > self.kept and self.idle[0].since <= due:
            self.dismiss(self.idle[0])
        return self.idle[0].since - due if len(self.idle) > self.kept else -1

    def dismiss(self, front: Front) -> None:
        """It ends when it sees that nobody is at the other end."""
        if front.channel.fileno() >= 0:
            self.loop.forget(front.channel.fileno())
            front.channel.close()
        if front in self.idle:
            self.idle.remove(front)

    def finish(self) -> None:
        """Nobody waits for a client, nor will."""
        self.kept = 0
        while self.idle:
            self.dismiss(self.idle[-1])

    def fork(self) -> Front:
        """Raises OSError."""
        channel, pid = self.loop.fork_beside(
            "front",
            lambda theirs: be_front(theirs, self.house, *self.identity),
            [0, 1, 2, *self.house.descriptors()],
            lambda status: self.ended(front, status),
        )
        front = Front(channel, pid)
        self.loop.watch(channel.fileno(), lambda: self.heard(front))
        return front


class NoMore:
    """In the place of the import system: a root folder that is empty has no modules."""

    @staticmethod
    def find_spec(*_: object) -> None:
        return None


def be_front(channel: "_socket.socket", house: "Greeter", uid: int, gid: int, root: str) -> None:
    """Serve connections until the keeper brings no more."""
    from qpopper_py.sandbox import confine

    house.reopen_log()
    house.ready_front()
    confine(uid, gid, root, lambda what: house.emit(Trouble(None, what, "warning")))
    sys.meta_path[:] = [NoMore()]
    while said := handover.receive(channel, (handover.CONNECTION,), 2, 3):
        _, fields, descriptors = said
        serve(channel, house, fields, descriptors)


def serve(channel: "_socket.socket", house: "Greeter", fields: "Fields", descriptors: "list[int]") -> None:
    """One connection, to its end or its hand-over."""
    import _socket

    facts = handover.facts_from(fields)
    asking = _socket.socket(fileno=descriptors[0])
    stream = stream_of(descriptors[1:])
    number = fields["number"]
    securing = Elsewhere(Asking(channel, number), house.settings.tls_handshake_timeout)
    try:
        stream, granted = house.authorize(stream, facts, Messenger(asking), fields["greeted"], securing)
    finally:
        asking.close()
    if granted is None:
        stream.close()
        handover.send(channel, handover.DONE, {"number": number})
        return
    try:
        whole = {"number": number, **handover.of_tls(facts.tls), **granted}
        handover.send(channel, handover.HANDOVER, whole, stream.descriptors())
    except ValueError as why:  # the client said more at once than can be passed on
        house.emit(Trouble(facts, f"front: {why}; the connection is dropped"))
        handover.send(channel, handover.DONE, {"number": number})
    finally:
        stream.let_go()


class Asking:
    """Asks the keeper for a process that speaks TLS with the client of connection ``number``."""

    def __init__(self, channel: "_socket.socket", number: int) -> None:
        self.channel = channel
        self.number = number

    def __call__(self, descriptors: "list[int]") -> "tuple[_socket.socket, _socket.socket]":
        """To that process: the channel, and the clear end.  Raises TlsUnavailable."""
        import _socket

        try:
            handover.send(self.channel, handover.STARTTLS, {"number": self.number}, descriptors)
            said = handover.receive(self.channel, (handover.SECURED, handover.UNSECURED), 0, 2)
        except OSError:
            said = None
        if said is None:
            raise TlsUnavailable("the keeper is gone")
        kind, fields, found = said
        if kind == handover.UNSECURED or len(found) != 2:
            handover.close(found)
            raise TlsUnavailable(fields.get("why", "the keeper sent no process that speaks TLS"))
        channel, clear = (_socket.socket(fileno=one) for one in found)
        return channel, clear


def stream_of(descriptors: "list[int]") -> Stream:
    """The client's stream: a socket's descriptor, or one to read from and one to write to."""
    if len(descriptors) == 1:
        import _socket

        return SocketStream(_socket.socket(fileno=descriptors[0]))
    return Stream(*descriptors)
