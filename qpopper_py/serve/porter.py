"""Who is let in before the greeting, and as whom: what may wait for a proxy or name servers, or run commands."""

from qpopper_py.serve.facts import introduced, reverse

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from qpopper_py.events import Event, Facts
    from qpopper_py.privilege import Stream
    from qpopper_py.serve.teller import Teller
    from qpopper_py.settings import Settings


def needed(settings: "Settings", facts: "Facts") -> bool:
    proxies = settings.proxy_networks or facts.listener.proxy
    return bool(settings.log_reverse_lookup or proxies or settings.hosts_access == "on")


def admitted(
    stream: "Stream", facts: "Facts", settings: "Settings", emit: "Callable[[Event], None]", teller: "Teller"
) -> bool:
    """Whether the client may be greeted; learns who it is and its name, if that is asked for.

    ``teller``: to whoever counts the sessions of a proxy's clients.
    """
    sock = getattr(stream, "sock", None)
    proxies = settings.proxy_networks or facts.listener.proxy
    if proxies and sock and facts.peer and not introduced(sock, settings, facts, emit):
        return False
    if facts.proxy and not teller.client(facts.peer):
        return False
    if settings.log_reverse_lookup and facts.peer:
        facts.peer_name = reverse(facts, emit)
    if settings.hosts_access == "on":
        from qpopper_py.serve import hosts_access

        return hosts_access.admitted(stream, facts, settings, emit)
    return True
