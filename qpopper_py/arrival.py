"""What can be known of a connection before its first octet."""

import posix
import time

from qpopper_py.facts import Facts

TYPE_CHECKING = False
if TYPE_CHECKING:
    import _socket
    from collections.abc import Callable

    from qpopper_py.events import Event
    from qpopper_py.facts import Listener
    from qpopper_py.settings import Settings
    from qpopper_py.stream import Stream


def learn(
    stream: "Stream",
    settings: "Settings",
    listener: "Listener",
    stamp_wanted: bool,
    emit: "Callable[[Event], None]",
    quiet: bool = False,
) -> Facts:
    """The facts of the connection on ``stream``, that came by ``listener``; its socket's options are set.

    A stream that is no TCP socket (a terminal, a pipe) has no addresses.
    """
    facts = Facts(session_id(), host=settings.hostname or posix.uname().nodename, quiet=quiet, listener=listener)
    facts.secure = settings.outer_layer > 1
    if stamp_wanted:
        facts.stamp = f"<{posix.getpid()}.{int(time.time())}.{posix.urandom(6).hex()}@{facts.host}>"
    sock = getattr(stream, "sock", None)
    if sock is None:
        return facts
    try:
        facts.peer, facts.peer_port = address(sock.getpeername())
        facts.local, facts.local_port = address(sock.getsockname())
    except (OSError, ValueError):
        return facts  # a socket, but of no internet family, or the client has gone
    prepare(sock, settings, facts, emit)
    return facts


def closed(paths: "tuple[str, ...]") -> "str | None":
    """What clients are told, by the first line of the first of shutdown_files that is there; None: none is.

    No link is followed, nor a second name of another's file read to strangers.  A bracket at its beginning would be a
    response code.
    """
    for path in paths:
        try:
            descriptor = posix.open(path, posix.O_RDONLY | posix.O_NOFOLLOW | posix.O_NONBLOCK | posix.O_CLOEXEC)
        except OSError:
            continue
        try:
            found = posix.fstat(descriptor)
            if found.st_mode >> 12 == 0o10 and found.st_nlink == 1:
                text = posix.read(descriptor, 400).partition(b"\n")[0].decode("ascii", "replace").strip()
                return "".join(c if " " <= c <= "~" else "?" for c in text.lstrip("["))
        except OSError:
            continue
        finally:
            posix.close(descriptor)
    return None


def unknown(settings: "Settings", facts: Facts, listening: bool) -> bool:
    """Whether there is more to learn before the greeting, which may take its time (:mod:`~qpopper_py.serve.porter`).

    ``listening``: the connection is a service's, whose clients access is about.
    """
    if settings.log_reverse_lookup or settings.proxy_networks or facts.listener.proxy or settings.hosts_access == "on":
        return True
    return listening and programs_decide(settings, facts)


def programs_decide(settings: "Settings", facts: Facts) -> bool:
    """Whether access may have a program run for the client of a service."""
    rules = settings.access + facts.listener.access
    if not rules:
        return False
    from qpopper_py.listeners import access_waits

    return access_waits(rules)


_last = [0]


def session_id() -> str:
    """Unique on this host: milliseconds since the epoch and the process's id, in hexadecimal.

    A process that accepts more than one connection in a millisecond waits for none: it is ahead of the clock then.
    """
    _last[0] = max(time.time_ns() // 1_000_000, _last[0] + 1)
    return f"{_last[0]:x}-{posix.getpid():x}"


def address(name: "tuple[str, int] | object") -> "tuple[str, int]":
    """(address, port) of a socket's name, an IPv4 client on an IPv6 socket by its IPv4 address."""
    if not isinstance(name, tuple) or len(name) < 2:
        raise ValueError("not an internet address")
    host = name[0]
    return host[7:] if host.startswith("::ffff:") and "." in host else host, name[1]


def prepare(sock: "_socket.socket", settings: "Settings", facts: Facts, emit: "Callable[[Event], None]") -> None:
    """No delay for small replies, a word with dead peers now and then, SO_DEBUG where -d asks for it."""
    import _socket

    sock.setsockopt(_socket.IPPROTO_TCP, _socket.TCP_NODELAY, 1)
    sock.setsockopt(_socket.SOL_SOCKET, _socket.SO_KEEPALIVE, 1)
    if settings.debug:
        try:
            sock.setsockopt(_socket.SOL_SOCKET, _socket.SO_DEBUG, 1)
        except OSError as why:
            from qpopper_py.events import Note

            emit(Note(facts, f"SO_DEBUG on the socket: {why.strerror}", "debug"))
