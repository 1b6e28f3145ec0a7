"""Whether a password may come as it is (auth.cleartext, Qpopper's clear-text-password): by USER and PASS, by PLAIN.

Only the connection and the name as the client gave it are asked: the answer is the same for names that are accounts
and names that are not.
"""

from qpopper_py.auth.names import of_login

TYPE_CHECKING = False
if TYPE_CHECKING:
    from qpopper_py.facts import Facts
    from qpopper_py.settings import Settings


def allowed(facts: "Facts", settings: "Settings", user: "str | None" = None) -> bool:
    """Whether ``user`` may send a password over this connection; None: whether anybody may."""
    mode = facts.listener.cleartext or settings.auth_cleartext
    if mode == "always" or (mode != "never" and facts.private) or (mode == "local" and facts.same_host):
        return True
    return excepted(settings, user) or near(facts.peer, settings.auth_cleartext_networks)


def excepted(settings: "Settings", user: "str | None") -> bool:
    """auth.cleartext_users; None: whether it names anybody."""
    if user is None or not settings.auth_cleartext_users:
        return bool(settings.auth_cleartext_users)
    try:
        return of_login(user, settings)[0] in settings.auth_cleartext_users
    except ValueError:
        return False  # no name at all


def near(peer: str, networks: "tuple[str, ...]") -> bool:
    """Whether the client's address is in one of ``networks``."""
    if not peer or not networks:
        return False
    import ipaddress

    address = ipaddress.ip_address(peer.partition("%")[0])
    return any(address in ipaddress.ip_network(network, strict=False) for network in networks)


def remedy(facts: "Facts", settings: "Settings") -> str:
    """The dialect's text for a refusal: what the client needs."""
    mode = facts.listener.cleartext or settings.auth_cleartext
    return "needs_stronger" if mode == "never" else "needs_tls"
