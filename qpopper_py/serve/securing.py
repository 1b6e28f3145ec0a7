"""How a connection comes by TLS: in a process of its own, or, where we are not root, in the session's.

The TLS process is forked before a key is loaded.  It loads the key, becomes nobody in particular, shakes hands and
carries octets (:mod:`qpopper_py.serve.relay`) between the client and a socket pair, on which the session speaks in
the clear.  So keys are in no process that speaks POP3, asks for passwords or reads mail, and OpenSSL, which reads what
strangers send, runs where it can do nothing.

Both share a sequenced-packet socket pair, and the session's side believes nothing it reads there.  To the session:
``R`` ready, ``T`` and the facts of the handshake (:mod:`qpopper_py.tls.report`), ``E`` and why there will be no TLS.
From it: ``G``, go.
"""

import os

from qpopper_py.errors import ConfigurationError, PeerGone, QpopperError, TlsUnavailable
from qpopper_py.events import Trouble
from qpopper_py.privilege import SocketStream, become
from qpopper_py.tls import report
from qpopper_py.tls.files import Files

TYPE_CHECKING = False
if TYPE_CHECKING:
    import _socket
    from collections.abc import Callable

    from qpopper_py.events import Event, Facts
    from qpopper_py.privilege import Stream
    from qpopper_py.settings import Settings
    from qpopper_py.tls.stream import TlsStream

USERS = ("pop3d", "nobody")  # the first of them that there is speaks TLS for root
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

    def forget(self) -> None:
        """This process will speak no TLS: it gives up every way to a key."""
        self.files.close()
        self.slots.close()

    def ready(self, stream: "Stream", facts: "Facts") -> "Callable[[], Stream]":
        """Make all ready that can fail on our side; what is returned does the handshake.

        That raises PeerGone, sets facts.tls, and returns the stream to go on with.  Raises TlsUnavailable.
        """
        if os.geteuid() != 0:
            return self._here(stream, facts)
        return self._apart(stream, facts)

    def _here(self, stream: "Stream", facts: "Facts") -> "Callable[[], Stream]":
        tls = self._stream(stream, facts)

        def begin() -> "Stream":
            try:
                facts.tls = tls.shake(self.settings.tls_handshake_timeout)
            finally:
                self.slots.give()
            return tls

        return begin

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

    def _apart(self, stream: "Stream", facts: "Facts") -> "Callable[[], Stream]":
        import _socket

        ours, theirs = _socket.socketpair(_socket.AF_UNIX, _socket.SOCK_SEQPACKET)
        inner, outer = _socket.socketpair(_socket.AF_UNIX, _socket.SOCK_STREAM)
        child = os.fork()
        if child == 0:
            self._process(stream, SocketStream(outer), theirs, facts)
        theirs.close()
        outer.close()
        clear = RelayedStream(inner, child)
        try:
            answer(ours, READY, self.settings.tls_handshake_timeout + GRACE)
        except QpopperError as why:
            ours.close()
            clear.abandon()
            raise TlsUnavailable(str(why)) from None

        def begin() -> "Stream":
            try:
                ours.send(GO)
                facts.tls = report.unpacked(answer(ours, DONE, self.settings.tls_handshake_timeout + GRACE))
            except (OSError, ValueError, PeerGone) as why:
                clear.abandon()
                raise PeerGone(str(why)) from None
            finally:
                ours.close()
            stream.let_go()
            return clear

        return begin

    def _process(self, stream: "Stream", clear: SocketStream, channel: "_socket.socket", facts: "Facts") -> None:
        """The TLS process.  Never returns."""
        try:
            from qpopper_py.serve.relay import relay

            if self.settings.tls_sni and not self.files.copies:
                self.files.copy(self.settings)  # which is needed is known when nothing else can be read any more
            tls = self._stream(stream, facts)
            if not self.settings.tls_sni:
                self.files.close()
            keep = {
                0,
                1,
                2,
                stream.reader,
                stream.writer,
                clear.reader,
                channel.fileno(),
                self.slots.descriptor,
                *self.files.copies.values(),
            }
            close_all_but(keep)
            become_nobody()
            channel.send(READY)
            if channel.recv(1) != GO:
                return
            try:
                channel.send(DONE + report.packed(tls.shake(self.settings.tls_handshake_timeout)))
            finally:
                self.slots.give()
            channel.close()
            relay(tls, clear, self.settings.transfer_timeout)
            clear.close()
            tls.close()
        except QpopperError as why:
            channel.send(FAILED + str(why)[:WORDS].encode("utf-8", "replace"))
        except Exception as why:  # noqa: BLE001  # nothing may climb into the session's half of the program
            channel.send(FAILED + f"unexpected {type(why).__name__} in the TLS process".encode())
        finally:
            os._exit(0)


class RelayedStream(SocketStream):
    """The session's end of a socket pair; the ``child`` behind it speaks TLS with the client."""

    def __init__(self, sock: "_socket.socket", child: int) -> None:
        super().__init__(sock)
        self.child = child

    def close(self) -> None:
        """Returns when the client has what was sent, or the TLS process gave it up."""
        super().close()
        self._reap()

    def abandon(self) -> None:
        """There will be no TLS: end the process, whatever it does."""
        os.kill(self.child, 9)
        super().close()
        self._reap()

    def _reap(self) -> None:
        try:
            os.waitpid(self.child, 0)
        except ChildProcessError:
            pass  # we are another process than the one that made it


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
    said = channel.recv(report.MOST + 1)
    if said[:1] != wanted:
        why = said[1:].decode("utf-8", "replace") if said[:1] == FAILED else "the TLS process is gone"
        raise PeerGone(why[:WORDS])
    return said[1:]


def become_nobody() -> None:
    """The user who may do nothing.  Raises PrivilegeError."""
    import pwd

    for name in USERS:
        try:
            row = pwd.getpwnam(name)
        except KeyError:
            continue
        if row.pw_uid > 0:
            become(row.pw_uid, row.pw_gid, [])
            return
    become(65534, 65534, [])


def close_all_but(keep: "set[int]") -> None:
    """Close every other descriptor of this process."""
    import resource

    first = 0
    for descriptor in [*sorted(keep - {-1}), resource.getrlimit(resource.RLIMIT_NOFILE)[1]]:
        if first < descriptor:  # an empty range would be taken for all of them
            os.closerange(first, descriptor)
        first = descriptor + 1
