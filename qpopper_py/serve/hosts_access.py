"""TCP wrappers: hosts_access(5), asked before the greeting.  By libwrap where it is, else by our own reading.

With libwrap all of hosts_options(5) works, ``spawn`` and ``twist`` included; without, what
:mod:`~qpopper_py.serve.hosts_tables` says.  Names are looked up when a rule asks for one.  No client is asked for its
user's name (RFC 1413): it is ``unknown``.  A client of no address, on a pipe or a terminal, is ``unknown`` too.

Tables that cannot be read let nobody in.
"""

import os

from qpopper_py.events import Trouble

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from qpopper_py.events import Event
    from qpopper_py.facts import Facts
    from qpopper_py.settings import Settings
    from qpopper_py.stream import Stream

LIBRARY = "libwrap.so.0"
FILE, DAEMON, USER, CLIENT_NAME, CLIENT_ADDR, CLIENT_SIN, SERVER_SIN = 1, 2, 3, 4, 5, 6, 9  # keys of tcpd.h
ENOUGH = 8192  # octets, for a struct request_info, which is less than 1 KiB everywhere
UNKNOWN = b"unknown"


def admitted(stream: "Stream", facts: "Facts", settings: "Settings", emit: "Callable[[Event], None]") -> bool:
    """Whether the client may be greeted; says in the log if not."""
    tables = (settings.hosts_access_allow, settings.hosts_access_deny)
    for path in tables:
        if path and os.path.lexists(path) and not os.access(path, os.R_OK, effective_ids=True):
            emit(Trouble(facts, f"{path} cannot be read, so nobody is let in (hosts_access)"))
            return False
    library = load()
    daemon = settings.hosts_access_daemon
    if library is not None:
        granted = by_libwrap(library, stream, facts, daemon, *tables)
    else:
        granted = by_ourselves(facts, daemon, *tables, emit)
    if not granted:
        emit(
            Trouble(
                facts, f"refused connect from {facts.client} ({facts.peer or 'unknown'}) by hosts_access", "warning"
            )
        )
    return granted


def by_ourselves(facts: "Facts", daemon: str, allow: str, deny: str, emit: "Callable[[Event], None]") -> bool:
    """Our own reading of the tables."""
    from qpopper_py.serve import hosts_tables

    def warn(what: str) -> None:
        emit(Trouble(facts, what, "warning"))

    try:
        return hosts_tables.granted(hosts_tables.Client(facts, daemon, warn), allow, deny)
    except OSError as why:
        emit(Trouble(facts, f"{why.filename}: {why.strerror}, so nobody is let in (hosts_access)"))
        return False


def load() -> "Any":
    """libwrap, or None: it is not here."""
    import ctypes

    try:
        library = ctypes.CDLL(LIBRARY)
    except OSError:
        return None
    return library if hasattr(library, "sock_host") and hasattr(library, "hosts_access") else None


def by_libwrap(library: "Any", stream: "Stream", facts: "Facts", daemon: str, allow: str, deny: str) -> bool:
    """hosts_access(3).  It may end this process, as ``twist`` does."""
    import ctypes

    paths = [ctypes.create_string_buffer(os.fsencode(path or os.devnull)) for path in (allow, deny)]
    for name, path in zip(("hosts_allow_table", "hosts_deny_table"), paths, strict=True):
        ctypes.c_void_p.in_dll(library, name).value = ctypes.addressof(path)
    request = ctypes.create_string_buffer(ENOUGH)
    sock = getattr(stream, "sock", None)
    descriptor = sock.fileno() if sock else -1
    last = ctypes.c_void_p(None)
    library.request_init(request, FILE, descriptor, DAEMON, daemon.encode(), USER, UNKNOWN, last)
    if sock and facts.peer:
        library.sock_host(request)  # how to find names and addresses; which ones, we know better
        peer = facts.peer.partition("%")[0].encode()
        ends = [socket_address(facts.peer, facts.peer_port), socket_address(facts.local, facts.local_port)]
        library.request_set(request, CLIENT_ADDR, peer, CLIENT_SIN, ends[0], SERVER_SIN, ends[1], last)
    else:
        library.request_set(request, CLIENT_ADDR, UNKNOWN, CLIENT_NAME, UNKNOWN, last)
    return bool(library.hosts_access(request))


def socket_address(host: str, port: int) -> "Any":
    """A struct sockaddr_in or sockaddr_in6, in a buffer of ctypes."""
    import _socket
    import ctypes

    host = host.partition("%")[0]
    family = _socket.AF_INET6 if ":" in host else _socket.AF_INET
    address = _socket.inet_pton(family, host)
    head = family.to_bytes(2, "little" if _little() else "big") + port.to_bytes(2, "big")
    data = head + (address + bytes(8) if family == _socket.AF_INET else bytes(4) + address + bytes(4))
    return ctypes.create_string_buffer(data, len(data))


def _little() -> bool:
    import sys

    return sys.byteorder == "little"
