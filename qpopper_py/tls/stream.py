"""A stream that speaks TLS over another stream, as a session's wire wants one: octets in, octets out, never blocking.

OpenSSL works on memory here; what it wants sent and received goes over the stream below.  So a deadline holds for a
whole handshake, and TLS can be laid over anything.
"""

import select
import ssl
import time

from qpopper_py.errors import PeerGone
from qpopper_py.facts import Tls
from qpopper_py.stream import Stream

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from qpopper_py.tls.context import Server

PIECE = 64 << 10
WORDS = {"PEER_DID_NOT_RETURN_A_CERTIFICATE": "the client has shown no certificate (tls.client_certificates)"}
UNSENT = 256 << 10  # of what OpenSSL says by itself: a client that makes it talk and never listens is given up


class TlsStream(Stream):
    """TLS over ``below``.  ``shake`` comes first."""

    def __init__(self, below: Stream, server: "Server") -> None:
        super().__init__(below.reader, below.writer)
        self.below = below
        self.server = server
        self.incoming = ssl.MemoryBIO()
        self.outgoing = ssl.MemoryBIO()
        self.tls = server.context.wrap_bio(self.incoming, self.outgoing, server_side=True)
        self.cipher_text = memoryview(b"")  # taken from outgoing, not yet sent
        self.promised = 0  # octets of the caller's that are in what is being sent

    def shake(self, seconds: float, clock: "Callable[[], float]" = time.monotonic) -> Tls:
        """The handshake, ``seconds`` at most for all of it.  Raises PeerGone."""
        end = clock() + seconds
        while not self._step():
            self._push_all(end, clock)
            wait(self.reader, select.POLLIN, end - clock())
            try:
                data = self.below.receive(PIECE)
            except OSError as why:
                raise PeerGone(f"TLS handshake: {why.strerror}") from None
            if not data:
                raise PeerGone("TLS handshake: the client closed the connection")
            self.incoming.write(data)
        self._push_all(end, clock)
        return self.facts()

    def _step(self) -> bool:
        """Go on with the handshake; whether it is finished."""
        import sys

        hook, sys.unraisablehook = sys.unraisablehook, lambda _: None  # a name that is none makes Python write of it
        try:
            self.tls.do_handshake()
        except ssl.SSLWantReadError:
            return False
        except OSError as why:  # ssl's own are of that kind
            try:
                self._push()  # the alert, if it can be had at once
            except OSError:
                pass
            reason = getattr(why, "reason", "") or "refused"
            words = self.server.trouble or WORDS.get(reason, reason)
            raise PeerGone(f"TLS handshake: {words}") from None
        finally:
            sys.unraisablehook = hook
        return True

    def _push_all(self, end: float, clock: "Callable[[], float]") -> None:
        try:
            while not self._push():
                wait(self.writer, select.POLLOUT, end - clock())
        except OSError as why:
            raise PeerGone(f"TLS handshake: {why.strerror}") from None

    def facts(self) -> Tls:
        """What is known once the handshake is over."""
        version = self.tls.version() or ""
        name, _, bits = self.tls.cipher() or ("", "", 0)
        unique = b"" if version == "TLSv1.3" else self.tls.get_channel_binding("tls-unique") or b""
        end_point = self.server.end_points.get(id(self.tls.context), b"")
        certificate = self.tls.getpeercert() or {}
        user = user_of(certificate, self.server.settings.tls_certificate_user)
        return Tls(version, name, bits, self.server.asked, unique, end_point, user)

    def pending(self) -> bool:
        return bool(self.incoming.pending or self.tls.pending())

    def receive(self, most: int) -> bytes:
        """What the client sent; empty at the end.  Raises BlockingIOError while a record is not whole."""
        if not self.pending():
            data = self.below.receive(PIECE)
            if data:
                self.incoming.write(data)
            else:
                self.incoming.write_eof()
        pieces, room = [], most
        try:
            while room and (piece := self.tls.read(room)):
                pieces.append(piece)
                room -= len(piece)
        except ssl.SSLWantReadError:
            self._answer()
            if not pieces:
                raise BlockingIOError from None
        except (ssl.SSLZeroReturnError, ssl.SSLEOFError):
            pass  # the end, in order or not: POP3 has its own last word
        return b"".join(pieces)

    def _answer(self) -> None:
        """Send what OpenSSL says by itself (KeyUpdate), as far as that goes now."""
        self._push()
        if self.outgoing.pending > UNSENT:
            raise ConnectionResetError("the client makes TLS talk and does not listen")

    def send(self, data: memoryview) -> int:
        """How much was taken, 0 while the client takes nothing; then the same data must be offered again."""
        if not self.promised:
            self.promised = self.tls.write(data[:PIECE])
        if not self._push():
            return 0
        done, self.promised = self.promised, 0
        return done

    def _push(self) -> bool:
        """Send what there is; whether all of it is gone."""
        while True:
            if not self.cipher_text:
                self.cipher_text = memoryview(self.outgoing.read(PIECE))
                if not self.cipher_text:
                    return True
            try:
                done = self.below.send(self.cipher_text)
            except BlockingIOError:
                return False
            if not done:
                return False
            self.cipher_text = self.cipher_text[done:]

    def close(self) -> None:
        """close_notify, so that the client knows that nothing was cut off; then the stream below."""
        try:
            self.tls.unwrap()
        except OSError:
            pass  # it wants the client's, for which nobody waits
        try:
            self._push()
        except OSError:
            pass  # gone
        self.below.close()


def wait(descriptor: int, what: int, seconds: float) -> None:
    """Raises PeerGone: who does not finish the handshake in time hears no more."""
    poll = select.poll()
    poll.register(descriptor, what)
    if seconds <= 0 or not poll.poll(seconds * 1000):
        raise PeerGone("TLS handshake: the client took too long")


def user_of(certificate: "Mapping[str, object]", rule: str) -> str:
    """The user whom a verified client's ``certificate`` (as ssl's getpeercert() has it) names; empty: nobody."""
    if rule == "email":
        names = certificate.get("subjectAltName", ())
        found = [value for kind, value in names if kind == "email"]  # type: ignore[attr-defined]  # pairs
    else:
        wanted = {"cn": "commonName", "uid": "userId"}[rule]
        subject = certificate.get("subject", ())
        found = [value for part in subject for name, value in part if name == wanted]  # type: ignore[attr-defined]
    return str(found[0]) if found else ""
