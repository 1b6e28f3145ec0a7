"""How a connection comes by TLS: in a process of its own, or, where we are not root, in the session's.

The TLS process is a child of the keeper's, forked before a key is loaded.  It loads the key, gives up what a front
gives up, shakes hands and carries octets (:mod:`qpopper_py.serve.relay`) between the client and a socket pair, on
which front and mail process speak in the clear.  So keys are in no process that speaks POP3, asks for passwords or
reads mail, and OpenSSL, which reads what strangers send, runs where it can do nothing.

It talks over a sequenced-packet socket pair, and nothing is believed that is read there.  From it: ``R`` ready, ``T``
and the facts of the handshake (:mod:`qpopper_py.tls.report`), ``E`` and why there will be no TLS.  To it: ``G``, go.
"""

import os

from qpopper_py.errors import ConfigurationError, PeerGone, QpopperError, TlsUnavailable
from qpopper_py.events import Note, Trouble
from qpopper_py.stream import SocketStream
from qpopper_py.tls import report
from qpopper_py.tls.files import Files

TYPE_CHECKING = False
if TYPE_CHECKING:
    import _socket
    from collections.abc import Callable

    from qpopper_py.events import Event
    from qpopper_py.facts import Facts, Tls
    from qpopper_py.settings import Settings
    from qpopper_py.stream import Stream
    from qpopper_py.tls.stream import TlsStream

    Confine = Callable[[bool], None]

GRACE = 5  # seconds that a TLS process may be late with its report
WORDS = 300  # characters of a reason that cross
READY, GO, DONE, FAILED = b"R", b"G", b"T", b"E"


class Securing:
    """TLS by the settings, for one connection after the other."""

    def __init__(self, settings: "Settings", emit: "Callable[[Event], None]") -> None:
        self.settings = settings
        self.emit = emit
        self.files = Files()
        self.slots = Slots(settings.tls_handshakes)

    def listen(self) -> None:
        """Prepare to serve many connections.  Raises ConfigurationError."""
        self.slots.share()
        self.files.read(self.settings)

    def reload(self) -> None:
        """Read certificates and keys again; those in force stay where the new ones are not good."""
        try:
            self.files.read(self.settings)
        except ConfigurationError as why:
            self.emit(Trouble(None, f"{why}; certificates and keys stay as they were"))

    def ready(self, stream: "Stream", facts: "Facts") -> "Callable[[], Stream]":
        """Make all ready that can fail on our side, in this process; what is returned does the handshake.

        That raises PeerGone, sets facts.tls, and returns the stream to go on with.  Raises TlsUnavailable.
        """
        tls = self._stream(stream, facts)

        def begin() -> "Stream":
            facts.tls = self._shake(tls, facts)
            return tls

        return begin

    def _shake(self, tls: "TlsStream", facts: "Facts") -> "Tls":
        """The handshake, and the end of its slot.  Raises PeerGone; the log has it where a certificate is required."""
        try:
            return tls.shake(self.settings.tls_handshake_timeout)
        except PeerGone as why:
            if self.settings.tls_client_certificates == "require":
                self.emit(Note(facts, str(why)))
            raise
        finally:
            self.slots.give()

    def _stream(self, stream: "Stream", facts: "Facts") -> "TlsStream":
        """TLS over ``stream``, before the handshake; a slot for that is taken."""
        from qpopper_py.tls.context import Server
        from qpopper_py.tls.stream import TlsStream

        if not self.slots.take():
            raise TlsUnavailable(f"{self.settings.tls_handshakes} TLS handshakes are under way (tls.handshakes)")
        try:
            return TlsStream(stream, Server(self.settings, facts.listener.minimum, self.files.place))
        except ConfigurationError as why:
            raise TlsUnavailable(str(why)) from None

    def descriptors(self) -> "list[int]":
        """What a process that speaks TLS needs of this one."""
        slots = [self.slots.descriptor] if self.slots.descriptor >= 0 else []
        return [*self.files.copies.values(), *slots]

    def speak(
        self, stream: "Stream", clear: SocketStream, channel: "_socket.socket", facts: "Facts", confine: "Confine"
    ) -> None:
        """Be the TLS process between the client's ``stream`` and ``clear``, to the end; it reports to ``channel``.

        ``confine`` gives up root; with true, all files too.
        """
        from qpopper_py.serve.relay import relay

        try:
            by_name = bool(self.settings.tls_sni)
            if by_name and not self.files.copies:
                self.files.copy(self.settings)  # which is needed is known when nothing else can be read any more
            tls = self._stream(stream, facts)
            if not by_name:
                self.files.close()
            confine(not by_name)
            channel.send(READY)
            if channel.recv(1) != GO:
                return
            channel.send(DONE + report.packed(self._shake(tls, facts)))
            channel.close()
            relay(tls, clear, self.settings.transfer_timeout)
            clear.close()
            tls.close()
        except QpopperError as why:
            tell(channel, FAILED + str(why)[:WORDS].encode("utf-8", "replace"))


class Elsewhere:
    """STLS as a front sees it: the keeper has a process of its own speak TLS.

    ``ask`` gives the keeper the client's descriptors; it returns the channel to that process, and the clear end, or
    raises TlsUnavailable.
    """

    def __init__(self, ask: "Callable[[list[int]], tuple[_socket.socket, _socket.socket]]", seconds: float) -> None:
        """``seconds``: what a handshake may take."""
        self.ask = ask
        self.seconds = seconds + GRACE

    def ready(self, stream: "Stream", facts: "Facts") -> "Callable[[], Stream]":
        """As :meth:`Securing.ready`."""
        channel, clear = self.ask(stream.descriptors())
        try:
            answer(channel, READY, self.seconds)
        except PeerGone as why:
            channel.close()
            clear.close()
            raise TlsUnavailable(str(why)) from None

        def begin() -> "Stream":
            try:
                channel.send(GO)
                facts.tls = report.unpacked(answer(channel, DONE, self.seconds))
            except (OSError, ValueError, PeerGone) as why:
                clear.close()
                raise PeerGone(str(why)) from None
            finally:
                channel.close()
            stream.let_go()
            return SocketStream(clear)

        return begin


class Waiting:
    """TLS from the first octet as the keeper sees it, which waits for nobody: the next word on ``channel``, if any."""

    def __init__(self, channel: "_socket.socket") -> None:
        self.channel = channel
        self.ready = False
        self.tls: Tls | None = None

    def go_on(self) -> bool:
        """Hear one word; True: the handshake is done, ``tls`` tells of it.  Raises PeerGone, saying why."""
        said = self.channel.recv(report.MOST + 1)
        if said == READY:
            self.ready = True
            self.channel.send(GO)
            return False
        try:
            self.tls = report.unpacked(word(said, DONE))
        except ValueError as why:
            raise PeerGone(str(why)) from None
        return True


class Slots:
    """How many handshakes may be under way at once, over all processes of a service that listens.

    A slot is an octet of a memory file that its holder has locked: whatever happens to a process, its lock goes with
    it.  Before ``share`` there is no limit.
    """

    def __init__(self, most: int) -> None:
        self.most = most
        self.descriptor = -1
        self.held = -1

    def share(self) -> None:
        self.descriptor = os.memfd_create("handshakes")

    def take(self) -> bool:
        """Take a slot for this process, if there is one."""
        import fcntl

        if self.descriptor < 0:
            return True
        for number in range(self.most):
            try:
                fcntl.lockf(self.descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB, 1, number)
            except OSError:
                continue
            self.held = number
            return True
        return False

    def close(self) -> None:
        if self.descriptor >= 0:
            os.close(self.descriptor)
            self.descriptor = -1

    def give(self) -> None:
        import fcntl

        if self.held >= 0:
            fcntl.lockf(self.descriptor, fcntl.LOCK_UN, 1, self.held)
            self.held = -1


def answer(channel: "_socket.socket", wanted: bytes, seconds: float) -> bytes:
    """What stands behind ``wanted`` in the TLS process's next word.  Raises PeerGone, saying why, for any other."""
    import select

    poll = select.poll()
    poll.register(channel.fileno(), select.POLLIN)
    if not poll.poll(seconds * 1000):
        raise PeerGone("the TLS process says nothing")
    return word(channel.recv(report.MOST + 1), wanted)


def word(said: bytes, wanted: bytes) -> bytes:
    if said[:1] != wanted:
        why = said[1:].decode("utf-8", "replace") if said[:1] == FAILED else "the TLS process is gone"
        raise PeerGone(why[:WORDS])
    return said[1:]


def tell(channel: "_socket.socket", what: bytes) -> None:
    try:
        channel.send(what)
    except OSError:
        pass  # nobody is there
