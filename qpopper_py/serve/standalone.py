"""A service: accepts until a signal ends it.

SIGTERM and SIGINT close the listening sockets; sessions that are under way end by themselves, and a second signal does
not wait for them.  SIGHUP has the configuration read again: if it is wrong, what is in force stays, and the log names
the line.

Not root: a process for each connection, which does all of it.  As root: :mod:`qpopper_py.serve.keeper`.
"""

import os
import time

from qpopper_py.errors import ConfigurationError
from qpopper_py.events import Note, Trouble
from qpopper_py.serve.children import Brake, Loop
from qpopper_py.serve.limits import Limits
from qpopper_py.serve.listen import Listening
from qpopper_py.serve.roles import where
from qpopper_py.serve.teller import MESSAGE, Teller
from qpopper_py.stream import SocketStream

TYPE_CHECKING = False
if TYPE_CHECKING:
    import _socket
    from collections.abc import Sequence
    from typing import Protocol

    from qpopper_py.facts import Listener
    from qpopper_py.serve.background import Presence
    from qpopper_py.serve.children import Resident
    from qpopper_py.settings import Settings
    from qpopper_py.stream import Stream

    class Household(Resident, Protocol):
        """What a service has from ``__main__``."""

        settings: Settings

        def reread(self) -> Settings:
            """The configuration as it is now; raises ConfigurationError."""

        def adopt(self, settings: Settings) -> None:
            """Go by these settings from here on."""

        def tls_descriptors(self) -> list[int]:
            """Those by which keys are had; for processes that speak TLS, and no others."""

        def converse(self, stream: Stream, teller: Teller, by: Listener) -> None:
            """Serve a connection that came by a listener from greeting to sign-off."""


DEADLY = (1, 2, 15)  # SIGHUP, SIGINT, SIGTERM: an administrator's


class Service:
    """What serves until it is told to stop.  ``idle``: seconds without a session after which it stops by itself."""

    def __init__(self, house: "Household", idle: float = 0) -> None:
        self.house = house
        self.emit = house.emit
        self.idle = idle
        self.loop = Loop(house.emit)
        self.limits = Limits(house.settings, house.emit)
        self.listening = Listening(self.loop, house.emit, self._taken, self._short)
        self.brake = Brake()
        self.stopping = False
        self.numbers = 0  # of connections that were taken

    def run(self, presence: "Presence", sockets: "Sequence[_socket.socket]" = ()) -> None:
        """Serve on ``sockets``, or if there are none where the settings say.  Raises ConfigurationError.

        ``presence`` hears when all are open, and when they are closed.
        """
        import _signal  # type: ignore[import-not-found]  # the C half of signal, which is slow to load
        import gc

        stop = self.stop
        self.loop.heed({_signal.SIGTERM: stop, _signal.SIGINT: stop, _signal.SIGHUP: self.reload})
        if sockets:
            self.listening.adopt(sockets)
        else:
            self.listening.change(self.house.settings.listen)
        presence.serving()
        gc.freeze()
        self.begin()
        while not self.stopping:
            self.loop.turn(self._patience())
            if self.brake.left():
                self.listening.pause()
            elif not self.stopping:
                self.listening.resume()
        presence.over()
        self.end()
        while self.loop.children:
            self.loop.turn()
        self.emit(Note(None, "stopped"))

    def _patience(self) -> float:
        """Seconds to wait for events; ends an idle service that was started for as long as there is work."""
        if left := self.brake.left():
            return left
        if not self.idle:
            return -1
        if self.sessions():
            self.quiet_since = time.monotonic()
        elif time.monotonic() - self.quiet_since >= self.idle:
            self.stop()
            return 0
        return self.idle

    quiet_since = 0.0

    def begin(self) -> None:
        """Listening has begun."""
        self.quiet_since = time.monotonic()

    def end(self) -> None:
        """No client comes any more."""

    def take(self, sock: "_socket.socket", by: "Listener", number: int, quiet: bool) -> None:
        """Serve the client, who came ``by`` that listener and counts as ``number`` until ``limits.ended``.

        Raises OSError.  ``quiet``: as a fact.
        """
        raise NotImplementedError  # both services below have their own

    def sessions(self) -> int:
        """How many are under way."""
        return len(self.loop.children)

    def stop(self) -> None:
        import _signal

        if self.stopping:
            return
        self.stopping = True
        self.listening.close()
        for number in (_signal.SIGTERM, _signal.SIGINT, _signal.SIGHUP):
            _signal.signal(number, _signal.SIG_DFL)
        if count := self.sessions():
            self.emit(Note(None, f"stopping; {count} sessions go on to their end"))

    def reload(self) -> None:
        try:
            settings = self.house.reread()
            self.listening.change(settings.listen or self.house.settings.listen)
        except (ConfigurationError, OSError) as why:
            self.emit(Trouble(None, f"SIGHUP: {why}; what was in force stays in force"))
            return
        self.house.adopt(settings)
        self.limits.adopt(settings)
        self.reloaded()
        self.emit(Note(None, "the configuration was read again"))

    def reloaded(self) -> None:
        """New settings are in force."""

    def _taken(self, sock: "_socket.socket", peer: str, by: "Listener") -> None:
        """A client is there.  Whatever goes wrong with one, the next may fare better."""
        self.numbers += 1
        number = self.numbers
        try:
            if not self.limits.admit(peer, by.access):
                sock.close()  # without a word
                return
            quiet = self.limits.quiet(peer)
            self.limits.began(number, peer, by.access)
            self.take(sock, by, number, quiet)
        except Exception as why:  # noqa: BLE001  # as above
            sock.close()
            self.limits.ended(number)
            self.brake.failed()
            if isinstance(why, OSError):
                self._short(why)
            else:
                self.emit(Trouble(None, where(why)))

    def _short(self, why: OSError) -> None:
        self.limits.throttled("short", f"cannot accept a connection: {why.strerror}")
        time.sleep(0.1)  # others wait in the backlog; trying at once again would only burn time

    def ended(self, what: str, status: int, slower: bool = True) -> bool:
        """How a child ended; False: not well, which the log then has, and with ``slower`` slows the next ones down."""
        signal = os.WTERMSIG(status) if os.WIFSIGNALED(status) else 0
        if status == 0 or signal in DEADLY:
            return True
        if slower:
            self.brake.failed()
        how = f"by signal {signal}" if signal else f"with status {os.waitstatus_to_exitcode(status)}"
        self.emit(Trouble(None, f"{what} ended {how}"))
        return False


class Standalone(Service):
    """A process for each connection."""

    def take(self, sock: "_socket.socket", by: "Listener", number: int, quiet: bool) -> None:
        def session(theirs: "_socket.socket") -> None:
            sock.setblocking(True)
            self.house.converse(SocketStream(sock), Teller(theirs, quiet), by)

        def over(status: int) -> None:
            self.limits.ended(number)
            self.ended("process of a session", status)

        keep = [0, 1, 2, sock.fileno(), *self.house.descriptors(), *self.house.tls_descriptors()]
        ours, _ = self.loop.fork_beside("session", session, keep, over)
        sock.close()
        self.loop.watch(ours.fileno(), lambda: self._hear(number, ours))

    def _hear(self, number: int, channel: "_socket.socket") -> None:
        """What a session tells of itself."""
        import _socket

        try:
            message = channel.recv(MESSAGE)
            answer = self.limits.hear(number, message) if message else b""
            if answer:
                channel.send(answer, _socket.MSG_DONTWAIT)
        except OSError:
            message = b""
        if not message:
            self.loop.forget(channel.fileno())
            channel.close()
