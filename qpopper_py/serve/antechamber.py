"""Connections that no front has yet: they wait for the porter, or for TLS.

Both are children of the keeper: the porter, because it may wait for a proxy or for name servers, or run commands; and
the process that stands between a client who speaks TLS and whoever serves that client.
"""

from qpopper_py.arrival import programs_decide
from qpopper_py.errors import PeerGone, QpopperError, TlsUnavailable
from qpopper_py.events import Note, Trouble
from qpopper_py.privilege import become
from qpopper_py.sandbox import confine
from qpopper_py.serve import handover, porter
from qpopper_py.serve.fronts import stream_of
from qpopper_py.serve.securing import Waiting
from qpopper_py.serve.teller import CLIENT, GRANTED
from qpopper_py.stream import SocketStream

TYPE_CHECKING = False
if TYPE_CHECKING:
    import _socket

    from qpopper_py.facts import Facts
    from qpopper_py.serve.keeper import Keeper
    from qpopper_py.stream import Stream


class Antechamber:
    """The keeper's, who lets those in that may be served; ``waiting``: how many there are."""

    def __init__(self, keeper: "Keeper") -> None:
        self.keeper = keeper
        self.waiting = 0

    def ask_porter(self, stream: "Stream", facts: "Facts", number: int) -> None:
        def ask(theirs: "_socket.socket") -> None:
            self.keeper.house.reopen_log()
            settings = self.keeper.house.settings
            if settings.hosts_access != "on" and not programs_decide(settings, facts):
                become(*self.keeper.fronts.identity[:2], ())
            if porter.admitted(stream, facts, settings, self.keeper.emit, None, listening=True):
                handover.send(theirs, handover.ADMITTED, handover.of_facts(facts))

        try:
            keep = [0, 1, 2, *stream.descriptors(), *self.keeper.house.descriptors()]
            ours, _ = self.keeper.loop.fork_beside("porter", ask, keep, lambda _status: None, facts)
        except OSError:
            stream.let_go()
            raise
        self.waiting += 1
        self.keeper.loop.watch(ours.fileno(), lambda: self._admitted(ours, stream, facts, number))

    def _admitted(self, channel: "_socket.socket", stream: "Stream", facts: "Facts", number: int) -> None:
        """The porter's word, or its end."""
        goes_on = False
        self.waiting -= 1
        self.keeper.loop.forget(channel.fileno())
        try:
            said = handover.receive(channel, (handover.ADMITTED,), wait=False)
            if said and not self.keeper.stopping:
                facts = handover.facts_from(said[1])
                if not facts.proxy or self.keeper.limits.hear(number, CLIENT + facts.peer.encode("ascii")) == GRANTED:
                    self.keeper.admit(stream, facts, number)
                    goes_on = True
        except (OSError, ValueError, QpopperError) as why:
            self.keeper.emit(Trouble(facts, f"cannot serve a connection: {why}", "warning"))
        finally:
            channel.close()
            if stream.is_open():
                stream.let_go()  # without a word, as tcpd does
            if not goes_on:
                self.keeper.limits.ended(number)

    def speak_tls(self, stream: "Stream", facts: "Facts") -> "tuple[_socket.socket, _socket.socket]":
        """Fork the process that speaks TLS on ``stream``: the channel to it, and the clear end.

        Raises OSError, TlsUnavailable.
        """
        import _socket

        securing = self.keeper.house.tls()
        if securing is None:
            raise TlsUnavailable("there is no tls.certificate; name the file")
        inner, outer = _socket.socketpair(_socket.AF_UNIX, _socket.SOCK_STREAM)
        uid, gid, root = self.keeper.fronts.identity

        def warn(what: str) -> None:
            self.keeper.emit(Trouble(facts, what, "warning"))

        def ended(status: int) -> None:
            self.keeper.ended("a TLS process", status)

        def speak(theirs: "_socket.socket") -> None:
            self.keeper.house.reopen_log()
            securing.speak(
                stream,
                SocketStream(outer),
                theirs,
                facts,
                lambda closed: confine(uid, gid, root, warn, files=not closed),
            )

        keep = [0, 1, 2, outer.fileno(), *stream.descriptors(), *self.keeper.house.descriptors()]
        try:
            channel, _ = self.keeper.loop.fork_beside("TLS process", speak, keep + securing.descriptors(), ended, facts)
        except OSError:
            inner.close()
            raise
        finally:
            outer.close()
        return channel, inner

    def secure_first(self, stream: "Stream", facts: "Facts", number: int) -> None:
        """TLS from the first octet: serve the client when the handshake is done.  Raises OSError."""
        try:
            channel, inner = self.speak_tls(stream, facts)
        except TlsUnavailable as why:
            self.keeper.emit(Trouble(facts, str(why), "warning"))
            self.keeper.limits.ended(number)
            return
        finally:
            stream.let_go()
        waiting = Waiting(channel)
        self.waiting += 1
        self.keeper.loop.watch(channel.fileno(), lambda: self._shaken(waiting, inner, facts, number))

    def _shaken(self, waiting: "Waiting", inner: "_socket.socket", facts: "Facts", number: int) -> None:
        """A word of the TLS process, or its end."""
        try:
            if not waiting.go_on():
                return
            facts.tls = waiting.tls
        except (OSError, PeerGone) as why:
            inner.close()
            self.keeper.limits.ended(number)
            said = str(why)
            self.keeper.emit(Note(facts, said, "debug") if waiting.ready else Trouble(facts, said, "warning"))
        self.waiting -= 1
        self.keeper.loop.forget(waiting.channel.fileno())
        waiting.channel.close()
        if facts.tls and self.keeper.stopping:
            inner.close()
            self.keeper.limits.ended(number)
        elif facts.tls:
            try:
                self.keeper.give(stream_of([inner.detach()]), facts, number)
            except (OSError, QpopperError) as why:
                self.keeper.limits.ended(number)
                self.keeper.emit(Trouble(facts, f"cannot serve a connection: {why}", "warning"))
