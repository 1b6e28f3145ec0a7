"""The child process that a foreign message is taken apart in, and what is said to it and by it.

A bug in the libraries that parse tickets owns the child: it holds the keys of this service and nothing else, is
nobody's (started as root), may not outlive its time, and of what it says the gate believes a name or a refusal.

A frame is its length in four octets, big-endian, and that many octets, at most LONGEST: to the child a message; from
it a letter and what belongs to it:

- ``C`` a challenge for the client;
- ``N`` three names behind one another with NUL between them: principal, its local name, whom the client wants to be;
- ``U`` nobody of that name is known;
- ``R`` refused, and why;
- ``E`` it could not be decided, and why: our fault.
"""

import os
import time

from qpopper_py.errors import CredentialStoreError, MissingLibrary

TYPE_CHECKING = False
if TYPE_CHECKING:
    import _socket
    from collections.abc import Callable

LONGEST = 64 << 10  # octets; an AP-REQ with the groups of a Windows domain has up to 48 KiB
NAMES = 1024  # octets of a name
REASON = 500  # characters of a reason that a log gets
MEMORY = 1 << 30  # octets of address space
CHALLENGE, NAMED, UNKNOWN, REFUSED, TROUBLE = b"C", b"N", b"U", b"R", b"E"


class Declined(Exception):
    """In the child: what was sent proves nothing; the text says why.  ``code``: libkrb5's, if it has one."""

    def __init__(self, why: str, code: int = 0) -> None:
        super().__init__(why)
        self.code = code


class Channel:
    """The child's end."""

    def __init__(self, sock: "_socket.socket") -> None:
        self._sock = sock

    def receive(self) -> bytes:
        """The next message.  Raises EOFError: there is nobody who would send one."""
        length = int.from_bytes(self._octets(4), "big")
        if length > LONGEST:
            raise EOFError
        return self._octets(length)

    def send(self, kind: bytes, content: bytes = b"") -> None:
        self._sock.sendall(_frame(kind + content))

    def _octets(self, count: int) -> bytes:
        data = b""
        while len(data) < count:
            piece = self._sock.recv(count - len(data))
            if not piece:
                raise EOFError
            data += piece
        return data


class Child:
    """A process that does ``work`` and then ends, after ``life`` seconds at the latest.

    ``patience``: seconds that an answer may take.  Killed and reaped by :meth:`close`, or when it is forgotten.
    """

    def __init__(
        self,
        work: "Callable[[Channel], None]",
        patience: float,
        life: int,
        clock: "Callable[[], float]" = time.monotonic,
    ) -> None:
        import _socket

        self._patience = patience
        self._clock = clock
        self._sock, theirs = _socket.socketpair(_socket.AF_UNIX, _socket.SOCK_STREAM)
        try:
            self._pid = os.fork()
        except OSError as why:
            self._pid = 0
            theirs.close()
            raise CredentialStoreError(f"no process could be had for Kerberos: {why.strerror}") from None
        if self._pid == 0:
            _be_the_child(theirs, work, life)
        theirs.close()

    def ask(self, message: bytes) -> "tuple[bytes, bytes]":
        """What it says to ``message``: a letter other than E, and what belongs to it.

        Raises CredentialStoreError: it said E, nothing in time, or what it may not say.
        """
        try:
            answer = self._exchanged(message)
        except TimeoutError:
            self.close()
            raise CredentialStoreError(
                f"Kerberos: no answer in {self._patience:g} s (kerberos.timeout): are the KDCs of krb5.conf reachable?"
            ) from None
        except OSError as why:
            self.close()
            raise CredentialStoreError(f"Kerberos: the process that asks broke off: {why.strerror or why}") from None
        kind, content = answer[:1], answer[1:]
        if kind == TROUBLE:
            self.close()
            raise CredentialStoreError(f"Kerberos: {reason(content)}")
        if kind not in (CHALLENGE, NAMED, UNKNOWN, REFUSED):
            self.close()
            raise CredentialStoreError("Kerberos: the process that asks said what it may not say")
        return kind, content

    def close(self) -> None:
        """Idempotent.  A process that somebody else has reaped is not killed: the number may be another's by now."""
        self._sock.close()
        pid, self._pid = self._pid, 0
        if not pid:
            return
        try:
            if os.waitpid(pid, os.WNOHANG) == (0, 0):
                os.kill(pid, 9)
                os.waitpid(pid, 0)
        except ChildProcessError:
            pass

    def __del__(self) -> None:
        if hasattr(self, "_pid"):
            self.close()

    def _exchanged(self, message: bytes) -> bytes:
        """Raises OSError; TimeoutError when the answer has not come in time."""
        deadline = self._clock() + self._patience
        self._sock.settimeout(self._patience)
        self._sock.sendall(_frame(message))
        length = int.from_bytes(self._octets(4, deadline), "big")
        if not 0 < length <= LONGEST:
            raise OSError("its answer has no length that it may have")
        return self._octets(length, deadline)

    def _octets(self, count: int, deadline: float) -> bytes:
        data = b""
        while len(data) < count:
            self._sock.settimeout(max(deadline - self._clock(), 0.001))
            piece = self._sock.recv(count - len(data))
            if not piece:
                raise OSError("it ended before its answer was whole")
            data += piece
        return data


def names(content: bytes) -> "tuple[str, str, str]":
    """Principal, local name, and whom the client wants to be, of an answer N.

    Raises CredentialStoreError: it is not of that form.
    """
    parts = content.split(b"\0")
    try:
        if len(parts) != 3 or not parts[0] or any(len(part) > NAMES for part in parts):
            raise ValueError
        return parts[0].decode("utf-8"), parts[1].decode("utf-8"), parts[2].decode("utf-8")
    except ValueError:
        raise CredentialStoreError("Kerberos: the process that asks named nobody") from None


def reason(content: bytes) -> str:
    """Why, for a log: one line of printable characters."""
    text = content.decode("utf-8", "replace")[:REASON]
    return "".join(c if c.isprintable() else "?" for c in text)


def _frame(data: bytes) -> bytes:
    if len(data) > LONGEST:
        raise OSError("a message is too long")
    return len(data).to_bytes(4, "big") + data


def _be_the_child(sock: "_socket.socket", work: "Callable[[Channel], None]", life: int) -> None:
    """Never returns."""
    try:
        _seclude(sock.fileno(), life)
        channel = Channel(sock)
        try:
            work(channel)
        except Declined as why:
            channel.send(REFUSED, str(why).encode("utf-8", "replace")[: LONGEST // 2])
        except (CredentialStoreError, MissingLibrary) as why:
            channel.send(TROUBLE, str(why).encode("utf-8", "replace")[: LONGEST // 2])
        except (EOFError, OSError):
            pass  # there is nobody to talk to
        except Exception as why:  # noqa: BLE001  # of its values nothing may reach a log
            channel.send(TROUBLE, f"unexpected {type(why).__name__} in the child; please report it".encode())
    finally:
        os._exit(0)


def _seclude(kept: int, life: int) -> None:
    """Let go of all that is the parent's: descriptors but ``kept``, signals; and bound what the process may take."""
    import resource
    import signal

    signal.set_wakeup_fd(-1)
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGCHLD, signal.SIGALRM):
        signal.signal(number, signal.SIG_DFL)
    signal.alarm(life)
    null = os.open("/dev/null", os.O_RDWR)
    for descriptor in (0, 1, 2):
        if descriptor != kept:
            os.dup2(null, descriptor)
    for name in os.listdir("/proc/self/fd"):
        if int(name) > 2 and int(name) != kept:
            try:
                os.close(int(name))
            except OSError:
                pass  # that of the listing itself
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))
    resource.setrlimit(resource.RLIMIT_CPU, (life, life))
