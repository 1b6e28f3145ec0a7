"""Listening by ourselves, in the foreground: a process for each connection."""

import errno
import os
import select
import signal
import sys
import time

from qpopper_py import kinds
from qpopper_py.errors import ConfigurationError
from qpopper_py.events import Note, Trouble
from qpopper_py.privilege import SocketStream
from qpopper_py.serve.facts import address
from qpopper_py.serve.teller import MESSAGE, Teller

TYPE_CHECKING = False
if TYPE_CHECKING:
    import _socket
    from collections.abc import Callable, Sequence

    from qpopper_py.events import Event
    from qpopper_py.kinds.listeners import Listener
    from qpopper_py.privilege import Stream
    from qpopper_py.serve.limits import Limits

BACKLOG = 1024  # a burst of clients must not wait for a second SYN
NO_SUCH_FAMILY = (errno.EAFNOSUPPORT, errno.EADDRNOTAVAIL)
SHORT_OF = (errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM)


def listeners(wanted: "Sequence[Listener]") -> "list[tuple[_socket.socket, Listener]]":
    """A listening socket for every address that each of those ``wanted`` stands for; raises ConfigurationError."""
    import _socket

    made = []
    for one in wanted:
        host, port = kinds.address(one.address)
        try:
            found = _socket.getaddrinfo(
                host or None, port, 0, _socket.SOCK_STREAM, _socket.IPPROTO_TCP, _socket.AI_PASSIVE
            )
            for family, kind, protocol, _, name in sorted(found, reverse=True):
                try:
                    made.append((listening(family, kind, protocol, name), one))
                except OSError as why:
                    if host or why.errno not in NO_SUCH_FAMILY or not found[1:]:
                        raise  # else every address is meant, and this kernel has no IPv6, or no IPv4
        except OSError as why:
            for sock, _ in made:
                sock.close()
            raise ConfigurationError(f"listen: cannot listen on {one.address}: {why.strerror or why}") from None
    return made


def listening(family: int, kind: int, protocol: int, name: "tuple[object, ...]") -> "_socket.socket":
    import _socket

    sock = _socket.socket(family, kind, protocol)
    try:
        sock.setsockopt(_socket.SOL_SOCKET, _socket.SO_REUSEADDR, 1)
        if family == _socket.AF_INET6:
            sock.setsockopt(_socket.IPPROTO_IPV6, _socket.IPV6_V6ONLY, 1)
        sock.bind(name)  # as getaddrinfo gave it
        sock.listen(BACKLOG)
    except OSError:
        sock.close()
        raise
    sock.setblocking(False)
    return sock


class Standalone:
    """The accepting loop.  ``converse`` serves one connection, in a process of its own."""

    def __init__(
        self,
        wanted: "Sequence[Listener]",
        limits: "Limits",
        converse: "Callable[[Stream, Teller, Listener], None]",
        emit: "Callable[[Event], None]",
        reload: "Callable[[], None] | None" = None,
    ) -> None:
        self.listeners = {sock.fileno(): (sock, wanted) for sock, wanted in listeners(wanted)}
        self.limits = limits
        self.converse = converse
        self.emit = emit
        self.children: set[int] = set()
        self.channels: dict[int, tuple[int, _socket.socket]] = {}  # by descriptor: process, our end
        self.poll = select.poll()
        self.reload = reload  # at SIGHUP; without one SIGHUP ends the service
        self.reloading = False
        self.stopping = False

    def run(self) -> None:
        """Serve until SIGTERM or SIGINT; sessions that are under way then end by themselves."""
        import gc

        wakeup, self.waker = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
        signal.set_wakeup_fd(self.waker, warn_on_full_buffer=False)
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
            signal.signal(number, self._hang_up if number == signal.SIGHUP and self.reload else self._stop)
        signal.signal(signal.SIGCHLD, lambda *_: None)
        self.poll.register(wakeup, select.POLLIN)
        for descriptor, (sock, wanted) in self.listeners.items():
            self.poll.register(descriptor, select.POLLIN)
            host, port = sock.getsockname()[:2]
            first = " (TLS from the first octet)" if wanted.tls == "implicit" else ""
            self.emit(Note(None, f"listening on {f'[{host}]' if ':' in host else host}:{port}{first}"))
        gc.freeze()
        while not self.stopping:
            for descriptor, _ in self.poll.poll():
                if descriptor == wakeup:
                    os.read(wakeup, 512)
                    self._reap()
                    self._reload()
                elif descriptor in self.channels:
                    self._hear(descriptor)
                elif not self.stopping:
                    self._accept(*self.listeners[descriptor])
        self._finish()

    def _stop(self, *_: object) -> None:
        self.stopping = True

    def _hang_up(self, *_: object) -> None:
        self.reloading = True

    def _reload(self) -> None:
        if self.reloading and self.reload:
            self.reloading = False
            self.reload()

    def _accept(self, listener: "_socket.socket", wanted: "Listener") -> None:
        import _socket

        try:
            descriptor, name = listener._accept()  # type: ignore[attr-defined]  # the C socket's accept
        except BlockingIOError:
            return
        except OSError as why:
            if why.errno in SHORT_OF:
                self._short(why)
            return
        sock = _socket.socket(fileno=descriptor)
        peer, _ = address(name)
        if not self.limits.admit(peer):
            sock.close()  # without a word
            return
        quiet = self.limits.quiet(peer)
        try:
            ours, theirs = _socket.socketpair(_socket.AF_UNIX, _socket.SOCK_SEQPACKET)
            child = os.fork()
        except OSError as why:
            sock.close()
            self._short(why)
            return
        if child == 0:
            self._child(sock, wanted, ours, Teller(theirs, quiet))
        self.children.add(child)
        self.limits.began(child, peer)
        self.channels[ours.fileno()] = child, ours
        self.poll.register(ours.fileno(), select.POLLIN)
        theirs.close()
        sock.close()

    def _short(self, why: OSError) -> None:
        self.limits.throttled("short", f"cannot accept a connection: {why.strerror}")
        time.sleep(0.1)  # others wait in the backlog; trying at once again would only burn time

    def _hear(self, descriptor: int) -> None:
        """What a session tells of itself."""
        import _socket

        child, channel = self.channels[descriptor]
        try:
            message = channel.recv(MESSAGE)
            answer = self.limits.hear(child, message) if message else b""
            if answer:
                channel.send(answer, _socket.MSG_DONTWAIT)
        except OSError:
            message = b""
        if not message:
            self.poll.unregister(descriptor)
            del self.channels[descriptor]
            channel.close()

    def _child(self, sock: "_socket.socket", wanted: "Listener", ours: "_socket.socket", teller: Teller) -> None:
        """Be the process of one connection, to the end."""
        status = 70
        try:
            signal.set_wakeup_fd(-1)
            os.close(self.waker)
            for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGCHLD):
                signal.signal(number, signal.SIG_DFL)
            for listener in (ours, *self._sockets()):
                listener.close()
            sock.setblocking(True)
            self.converse(SocketStream(sock), teller, wanted)
            status = 0
        finally:
            sys.stderr.flush()
            os._exit(status)

    def _sockets(self) -> "list[_socket.socket]":
        """All that only the accepting process needs."""
        return [sock for sock, _ in self.listeners.values()] + [channel for _, channel in self.channels.values()]

    def _reap(self) -> None:
        while self.children:
            try:
                child, status = os.waitpid(-1, os.WNOHANG)
            except ChildProcessError:
                self.children.clear()
                return
            if child == 0:
                return
            self.children.discard(child)
            self.limits.ended(child)
            if os.WIFSIGNALED(status) and os.WTERMSIG(status) not in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
                self.emit(Trouble(None, f"process {child} of a session ended by signal {os.WTERMSIG(status)}"))

    def _finish(self) -> None:
        """Wait for the sessions under way; a second signal does not."""
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
            signal.signal(number, signal.SIG_DFL)
        for listener in self._sockets():
            listener.close()  # sessions that would still tell something hear that nobody counts any more
        if self.children:
            self.emit(Note(None, f"stopping; {len(self.children)} sessions go on to their end"))
        while self.children:
            try:
                child, _ = os.wait()
            except ChildProcessError:
                break
            self.children.discard(child)
        self.emit(Note(None, "stopped"))
