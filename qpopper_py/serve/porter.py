"""Who is let in before the greeting, and as whom: what may wait for a proxy or name servers, or run commands."""

import _socket

from qpopper_py.events import Note, Trouble
from qpopper_py.serve import access, proxy

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from qpopper_py.events import Event
    from qpopper_py.facts import Facts
    from qpopper_py.serve.teller import Teller
    from qpopper_py.settings import Settings
    from qpopper_py.stream import Stream


def admitted(
    stream: "Stream",
    facts: "Facts",
    settings: "Settings",
    emit: "Callable[[Event], None]",
    teller: "Teller | None",
    listening: bool,
) -> bool:
    """Whether the client may be greeted; learns who it is and its name, if that is asked for.

    ``teller``: to whoever counts the sessions of a proxy's clients, if anybody does.  ``listening``: as for
    :func:`~qpopper_py.arrival.unknown`.
    """
    sock = getattr(stream, "sock", None)
    proxies = settings.proxy_networks or facts.listener.proxy
    if proxies and sock and facts.peer and not introduced(sock, settings, facts, emit):
        return False
    if facts.proxy and teller and not teller.client(facts.peer):
        return False
    if listening and not access.admitted(facts, settings, emit):
        return False
    if settings.log_reverse_lookup and facts.peer:
        facts.peer_name = reverse(facts, emit)
    if settings.hosts_access == "on":
        from qpopper_py.serve import hosts_access

        return hosts_access.admitted(stream, facts, settings, emit)
    return True


def introduced(sock: "_socket.socket", settings: "Settings", facts: "Facts", emit: "Callable[[Event], None]") -> bool:
    """Let a proxy say who its client is; False, and a record, if it does not do so rightly."""
    try:
        if facts.listener.proxy and not proxy.Senders(settings.proxy_networks).hold(facts.peer):
            raise proxy.BadHeader("it is no proxy, and this listener is for proxies")
        proxy.introduce(sock, facts, settings)
    except proxy.BadHeader as why:
        emit(Trouble(facts, f"no PROXY header from {facts.peer} (proxy.networks): {why}", "warning"))
        return False
    return True


def reverse(facts: "Facts", emit: "Callable[[Event], None]") -> str:
    """The client's name, if its address has one and the name has the address; else empty, and a warning."""
    try:
        name = _socket.gethostbyaddr(facts.peer)[0]
    except OSError:
        emit(Note(facts, f"no name for client address {facts.peer}", "debug"))
        return ""
    try:
        found = {entry[4][0] for entry in _socket.getaddrinfo(name, None)}
    except OSError:
        emit(Trouble(facts, f'Client at "{facts.peer}" resolves to an unknown host name "{name}"', "warning"))
        return ""
    if facts.peer not in found:
        emit(Trouble(facts, f'Client address "{facts.peer}" not listed for its host name "{name}"', "warning"))
        return ""
    return name
