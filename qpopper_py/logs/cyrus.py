"""Records as Cyrus' pop3d writes them (log.style = cyrus), for whoever watches its log; the other events have ours.

=========  ===================================================================================================
priority   record
=========  ===================================================================================================
debug      ``accepted connection``
notice     ``login: NAME [IP] USER HOW[+TLS] User logged in SESSIONID=<ID>``, HOW as below
notice     ``badlogin: NAME [IP] plaintext USER SASL(-13): authentication failure: WHY``, by USER and PASS
notice     ``badlogin: NAME [IP] MECHANISM [SASL(-13): authentication failure: WHY]``, by the others
notice     the same with ``SASL(-1): generic failure``, where the fault is ours
info       ``counts: retr=<N> top=<N> dele=<N>``, dele being what the update removed
=========  ===================================================================================================

HOW is ``plaintext`` for USER and PASS, else the mechanism.  NAME is empty where no name is looked up
(log.reverse_lookup), as Cyrus has it for an address without one.
"""

import syslog

from qpopper_py import events
from qpopper_py.logs.words import clip, word

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from qpopper_py.facts import Facts

    Record = tuple[int, str]

PLAINTEXT = "PASS"


def _client(facts: "Facts | None") -> str:
    """``NAME [IP]``: a bracket before the address can come from no name, whose characters are a host's."""
    assert facts
    name = f"{word(facts.peer_name)} " if facts.peer_name else ""
    return f"{name}[{word(facts.peer)}]"


def _started(_event: events.SessionStarted) -> "list[Record]":
    return [(syslog.LOG_DEBUG, "accepted connection")]


def _refused(event: events.LoginRefused) -> "list[Record]":
    code = "SASL(-1): generic failure" if event.temporary else "SASL(-13): authentication failure"
    why = f"{code}: {clip(event.why, 300)}"
    if event.mechanism == PLAINTEXT:
        text = f"badlogin: {_client(event.facts)} plaintext {word(event.user)} {why}"
    else:
        text = f"badlogin: {_client(event.facts)} {word(event.mechanism)} [{why}]"
    return [(syslog.LOG_NOTICE, text)]


def _logged_in(event: events.LoggedIn) -> "list[Record]":
    assert event.facts
    how = "plaintext" if event.mechanism == PLAINTEXT else word(event.mechanism)
    tls = "+TLS" if event.facts.tls else ""
    session = f"SESSIONID=<{word(event.facts.session)}>"
    return [
        (syslog.LOG_NOTICE, f"login: {_client(event.facts)} {word(event.user)} {how}{tls} User logged in {session}")
    ]


def _closed(event: events.SessionClosed) -> "list[Record]":
    if not event.user or event.how == "refused":
        return []
    return [(syslog.LOG_INFO, f"counts: retr=<{event.retrieved}> top=<{event.tops}> dele=<{event.deleted}>")]


FORMS: "dict[type[events.Event], Callable[..., list[Record]]]" = {
    events.SessionStarted: _started,
    events.LoginRefused: _refused,
    events.LoggedIn: _logged_in,
    events.SessionClosed: _closed,
}
