"""Listening sockets: opened, taken over from whoever started us, accepted from, changed while serving."""

import errno
import os

from qpopper_py.arrival import address
from qpopper_py.errors import ConfigurationError
from qpopper_py.events import Note
from qpopper_py.facts import Listener
from qpopper_py.listeners import host_and_port
from qpopper_py.stream import SocketStream

TYPE_CHECKING = False
if TYPE_CHECKING:
    import _socket
    from collections.abc import Callable, Sequence

    from qpopper_py.events import Event
    from qpopper_py.serve.children import Loop

BACKLOG = 1024  # a burst of clients must not wait for a second SYN
NO_SUCH_FAMILY = (errno.EAFNOSUPPORT, errno.EADDRNOTAVAIL)
SHORT_OF = (errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM)
FIRST_PASSED = 3  # sd_listen_fds(3)
INHERITED = Listener()


def opened(wanted: Listener) -> "list[_socket.socket]":
    """A listening socket for every address that ``wanted`` stands for; raises ConfigurationError."""
    import _socket

    host, port = host_and_port(wanted.address)
    made: list[_socket.socket] = []
    try:
        found = _socket.getaddrinfo(host or None, port, 0, _socket.SOCK_STREAM, _socket.IPPROTO_TCP, _socket.AI_PASSIVE)
        for family, kind, protocol, _, name in sorted(found, reverse=True):
            try:
                made.append(bound(family, kind, protocol, name))
            except OSError as why:
                if host or why.errno not in NO_SUCH_FAMILY or not found[1:]:
                    raise  # else every address is meant, and this kernel has no IPv6, or no IPv4
    except OSError as why:
        for sock in made:
            sock.close()
        raise ConfigurationError(f"listen: cannot listen on {wanted.address}: {why.strerror or why}") from None
    return made


def bound(family: int, kind: int, protocol: int, name: "tuple[object, ...]") -> "_socket.socket":
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


def passed_on() -> "list[_socket.socket]":
    """The sockets that systemd passed on (Accept=no): LISTEN_FDS from descriptor 3 on, if LISTEN_PID is ours."""
    import _socket

    if os.environ.get("LISTEN_PID") != str(os.getpid()):
        return []
    count = os.environ.get("LISTEN_FDS", "")
    last = FIRST_PASSED + (int(count) if count.isascii() and count.isdigit() and len(count) < 4 else 0)
    sockets = [_socket.socket(fileno=n) for n in range(FIRST_PASSED, last)]
    return [sock for sock in sockets if SocketStream(sock).listens()]


def flat(sockets: "dict[Listener, list[_socket.socket]]") -> "list[_socket.socket]":
    return [sock for some in sockets.values() for sock in some]


class Listening:
    """The sockets that ``take`` gets its clients from."""

    def __init__(
        self,
        loop: "Loop",
        emit: "Callable[[Event], None]",
        take: "Callable[[_socket.socket, str, Listener], None]",
        short: "Callable[[OSError], None]",
    ) -> None:
        """``take`` is given a client, its address and its listener; ``short`` hears what the system lacks."""
        self.loop = loop
        self.emit = emit
        self.take = take
        self.short = short
        self.sockets: dict[Listener, list[_socket.socket]] = {}
        self.paused = False

    def adopt(self, sockets: "Sequence[_socket.socket]") -> None:
        """Listen on what was opened by others, and on nothing else."""
        for sock in sockets:
            sock.setblocking(False)
        self.sockets[INHERITED] = list(sockets)
        self._begin(INHERITED, self.sockets[INHERITED])

    def change(self, wanted: "Sequence[Listener]") -> None:
        """Listen as ``wanted`` and nowhere else; raises ConfigurationError, and then nothing has changed."""
        if INHERITED in self.sockets:
            return
        leaving = [one for one in self.sockets if one not in wanted]
        new: dict[Listener, list[_socket.socket]] = {}
        changed: dict[Listener, Listener] = {}  # the same sockets, on other terms
        try:
            for one in wanted:
                old = next((old for old in leaving if old.address == one.address), None)
                if one in self.sockets:
                    continue
                if old is None:
                    new[one] = opened(one)
                else:
                    leaving.remove(old)
                    changed[one] = old
        except ConfigurationError:
            for sock in flat(new):
                sock.close()
            raise
        for one in leaving:
            self._end(self.sockets.pop(one))
        for one, old in changed.items():
            sockets = self.sockets.pop(old)
            self._forget(sockets)
            self.sockets[one] = sockets
            self._watch(one, sockets)
        self.sockets.update(new)
        for one, sockets in new.items():
            self._begin(one, sockets)

    def close(self) -> None:
        for sockets in self.sockets.values():
            self._end(sockets)
        self.sockets.clear()

    def pause(self) -> None:
        """Let clients wait in the backlog."""
        if not self.paused:
            self.paused = True
            self._forget(flat(self.sockets))

    def resume(self) -> None:
        if self.paused:
            self.paused = False
            for one, sockets in self.sockets.items():
                self._watch(one, sockets)

    def _begin(self, one: Listener, sockets: "list[_socket.socket]") -> None:
        first = " (TLS from the first octet)" if one.tls == "implicit" else ""
        for sock in sockets:
            host, port = sock.getsockname()[:2]
            self.emit(Note(None, f"listening on {f'[{host}]' if ':' in host else host}:{port}{first}"))
        self._watch(one, sockets)

    def _watch(self, one: Listener, sockets: "list[_socket.socket]") -> None:
        for sock in sockets if not self.paused else ():
            self.loop.watch(sock.fileno(), lambda sock=sock: self._accept(sock, one))  # type: ignore[misc]  # no type for it

    def _forget(self, sockets: "list[_socket.socket]") -> None:
        for sock in sockets:
            self.loop.forget(sock.fileno())

    def _end(self, sockets: "list[_socket.socket]") -> None:
        self._forget(sockets)
        for sock in sockets:
            sock.close()

    def _accept(self, listener: "_socket.socket", one: Listener) -> None:
        import _socket

        try:
            descriptor, name = listener._accept()  # type: ignore[attr-defined]  # the C socket's accept
        except (BlockingIOError, ConnectionAbortedError):
            return
        except OSError as why:
            if why.errno in SHORT_OF:
                self.short(why)
            return
        self.take(_socket.socket(fileno=descriptor), address(name)[0], one)
