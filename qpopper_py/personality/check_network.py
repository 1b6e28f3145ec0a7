"""--check-config on limits and proxies; see :mod:`qpopper_py.personality.check`."""

import shlex

from qpopper_py.listeners import ACCESS_PROGRAMS, access_words
from qpopper_py.personality.check import Finding, hint
from qpopper_py.programs import objection

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    from qpopper_py.settings import Settings

STANDALONE = (
    "limits.sessions",
    "limits.sessions_address",
    "limits.sessions_proxy",
    "limits.unauthenticated",
    "limits.min_delay",
)


def limits(settings: "Settings", _euid: int) -> "Iterator[Finding]":
    """A limit that somebody set holds, and strangers cannot take all places."""
    if not settings.listen:
        for name in STANDALONE:
            if name in settings.origins:
                yield hint(f"{name}: it holds only where listen is set; by inetd, its own limits do")
    else:
        for name in ("limits.sessions_address", "limits.unauthenticated"):
            most = getattr(settings, name.replace(".", "_"))
            if not 0 < most < settings.limits_sessions:
                yield hint(f"{name}: with {most}, strangers can take all {settings.limits_sessions} (limits.sessions)")
    if settings.second_session == "allowed" and settings.limits_sessions_user and not settings.state_dir:
        yield hint("limits.sessions_user: without state_dir nobody's sessions are counted; set state_dir")


def gates(settings: "Settings", _euid: int) -> "Iterator[Finding]":
    """The rules of access are asked, and its programs run."""
    if settings.access and not settings.listen:
        yield hint("access: it holds only where listen is set, or sockets are passed on; by inetd, hosts_access does")
    for rule in (*settings.access, *(rule for one in settings.listen for rule in one.access)):
        verb, _, words = access_words(rule)
        if verb in ACCESS_PROGRAMS and (why := objection(shlex.split(words)[0])):
            yield Finding(f"access: {rule!r}: {why}" + (", so nobody is let in by it" if verb == "ifexec" else ""))


def proxies(settings: "Settings", _euid: int) -> "Iterator[Finding]":
    """Nobody but proxies is believed to be one."""
    import ipaddress

    for word in settings.proxy_networks:
        if not ipaddress.ip_network(word, strict=False).prefixlen:
            yield Finding(f"proxy.networks: {word} is everybody, who could then say to be anybody; name the proxies")
