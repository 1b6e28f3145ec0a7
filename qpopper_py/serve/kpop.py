"""KPOP: krb5_sendauth before the greeting, as Cyrus' and Qpopper's -k had it, with Kerberos V5's ``KPOPV1.0``.

What goes over the wire, each length in four octets, big-endian: from the client the versions of sendauth and of
KPOP behind their lengths; from us one octet, 0, or 1 or 2 for the first or second that is not ours; from the client
an AP-REQ behind its length; from us length 0, and the AP-REP behind its length if the client asked for one, or else
a KRB-ERROR behind its length.

The ticket goes to the gate and stays there: a :class:`Ticketed` takes the gate's place for this connection.  USER
must then name the ticket's user, and PASS may say anything.
"""

import select
import time

from qpopper_py.auth.account import Account, Denied
from qpopper_py.auth.credentials import Challenge
from qpopper_py.events import LoginRefused, Note

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Protocol

    from qpopper_py.events import Event
    from qpopper_py.facts import Facts
    from qpopper_py.stream import Stream

    class Exchange(Protocol):
        """The gate's, here or in another process."""

        def step(self, data: bytes) -> Challenge | Account | Denied:
            """The answer to the client's next message."""

    class Gate(Protocol):
        """The gate, or who carries messages to it."""

        def begin(self, mechanism: str, facts: Facts) -> Exchange:
            """Raises KeyError: no such mechanism."""


SENDAUTH = b"KRB5_SENDAUTH_V1.0\0"
KPOP = b"KPOPV1.0\0"
LONGEST = 48 << 10  # octets of an AP-REQ
RIGHT = b"\0\0\0\0"  # no KRB-ERROR follows


class Ticketed:
    """A gate that knows one ticket: it is good for one login, by USER and PASS, of its own user."""

    def __init__(self, exchange: "Exchange") -> None:
        self._exchange: Exchange | None = exchange

    def mechanisms(self, facts: "Facts") -> "tuple[str, ...]":  # noqa: ARG002  # the gate's
        """None: the client has shown who it is."""
        return ()

    def begin(self, mechanism: str, facts: "Facts") -> "Refusing":  # noqa: ARG002  # the gate's
        return Refusing(f"{mechanism} on a connection by KPOP")

    def check(self, user: bytes, password: bytes, facts: "Facts") -> Account | Denied:  # noqa: ARG002  # the gate's
        exchange, self._exchange = self._exchange, None
        if exchange is None:
            return _denied(user, "a ticket is good for one login, and this one was refused")
        verdict = exchange.step(user)
        return verdict if not isinstance(verdict, Challenge) else _denied(user, "the exchange was not finished")


class Refusing:
    """An exchange that nobody passes."""

    def __init__(self, why: str) -> None:
        self._why = why

    def step(self, data: bytes) -> Denied:
        return _denied(data.partition(b" ")[0], self._why)


def ticketed(
    stream: "Stream", facts: "Facts", gate: "Gate", seconds: float, emit: "Callable[[Event], None]"
) -> Ticketed | None:
    """The gate for this connection, or None: no valid ticket came within ``seconds``, and the log says so."""
    exchange = gate.begin("KPOP", facts)
    try:
        said = exchange.step(_Talk(stream, seconds).request())
        if isinstance(said, Challenge):
            _send(stream, said.data)
            if said.data.startswith(RIGHT):
                return Ticketed(exchange)
            said = exchange.step(b"")
    except (OSError, ValueError) as why:
        emit(Note(facts, f"no KPOP: {why}"))  # nobody tried to log in
        return None
    reason, temporary = (said.why, said.temporary) if isinstance(said, Denied) else ("no ticket", False)
    emit(LoginRefused(facts, "", "KPOP", reason, temporary))
    return None


class _Talk:
    """The client's half, read octet for octet: what follows it is POP3."""

    def __init__(self, stream: "Stream", seconds: float) -> None:
        self._stream = stream
        self._deadline = time.monotonic() + seconds

    def request(self) -> bytes:
        """The AP-REQ.  Raises ValueError (it is no KPOP) or OSError."""
        sendauth, kpop = self._counted(len(SENDAUTH)), self._counted(64)
        answer = 1 if sendauth != SENDAUTH else 2 if kpop != KPOP else 0
        _send(self._stream, bytes([answer]))
        if answer:
            raise ValueError(f"the client does not speak {(SENDAUTH, KPOP)[answer - 1][:-1].decode()}")
        return self._counted(LONGEST)

    def _counted(self, most: int) -> bytes:
        length = int.from_bytes(self._octets(4), "big")
        if not 0 < length <= most:
            raise ValueError("the client speaks something else than krb5_sendauth")
        return self._octets(length)

    def _octets(self, count: int) -> bytes:
        poll, data = select.poll(), b""
        poll.register(self._stream.reader, select.POLLIN)
        while len(data) < count:
            left = self._deadline - time.monotonic()
            if left <= 0 or not poll.poll(left * 1000):
                raise TimeoutError("the client was silent for too long")
            piece = self._stream.receive(count - len(data))
            if not piece:
                raise OSError("the client closed the connection")
            data += piece
        return data


def _send(stream: "Stream", data: bytes) -> None:
    """At most a few hundred octets, which the kernel takes at once.  Raises OSError: it did not."""
    if stream.send(memoryview(data)) != len(data):
        raise OSError("the client accepts nothing")


def _denied(user: bytes, why: str) -> Denied:
    return Denied(user.decode("utf-8", "surrogateescape"), why)
