"""Records as popa3d writes them (log.style = popa3d), for whoever watches its log; the other events have ours.

=========  ===================================================================================================
priority   record
=========  ===================================================================================================
info       ``Session from IP``
info       ``Authentication passed for USER``, then ``N message(s) (B byte(s)) loaded``, the plurals spelt out
notice     ``Authentication failed for USER``, or ``UNKNOWN USER``
info       ``Didn't attempt authentication``
info       ``D (BYTES) deleted, L (BYTES) left``
info       ``Premature disconnect``
info       ``Connection timed out``
notice     ``Failed or refused to load the mailbox of USER``
error      ``Failed to update or to read the mailbox of USER``; an Error of ours before it has the cause
warning    ``IP: per source limit reached: MORE``, ``IP: sessions limit reached: MORE``; so all warnings of the service
=========  ===================================================================================================

Such records end there: they have no session, and those of logins no address, as popa3d's had none.
"""

import syslog

from qpopper_py import events
from qpopper_py.logs.words import WHAT, clip, word

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    Record = tuple[int, str]

UNKNOWN = "(unknown:"  # begins the gate's tag for a name that is no account's


def _started(event: events.SessionStarted) -> "list[Record]":
    assert event.facts
    return [(syslog.LOG_INFO, f"Session from {word(event.facts.peer)}")]


def _refused(event: events.LoginRefused) -> "list[Record]":
    user = "UNKNOWN USER" if event.user.startswith(UNKNOWN) else word(event.user)
    return [(syslog.LOG_NOTICE, f"Authentication failed for {user}")]


def _passed(user: str) -> "Record":
    return syslog.LOG_INFO, f"Authentication passed for {word(user)}"


def _logged_in(event: events.LoggedIn) -> "list[Record]":
    messages, octets = event.messages, event.octets
    text = f"{messages} message{'' if messages == 1 else 's'} ({octets} byte{'' if octets == 1 else 's'}) loaded"
    return [_passed(event.user), (syslog.LOG_INFO, text)]


def _closed(event: events.SessionClosed) -> "list[Record]":
    user = word(event.user)
    if not event.user:
        return [] if event.how == "refused" else [(syslog.LOG_INFO, "Didn't attempt authentication")]
    if event.how == "refused":
        return [_passed(event.user), (syslog.LOG_NOTICE, f"Failed or refused to load the mailbox of {user}")]
    if event.how == "quit":
        numbers = f"{event.deleted} ({event.deleted_octets}) deleted, {event.left} ({event.left_octets}) left"
        return [(syslog.LOG_INFO, numbers)]
    if event.how == "error":
        return [(syslog.LOG_ERR, f"Failed to update or to read the mailbox of {user}")]
    return [(syslog.LOG_INFO, "Connection timed out" if event.how == "timeout" else "Premature disconnect")]


def _trouble(event: events.Trouble) -> "list[Record]":
    tail = f" session={word(event.facts.session)}" if event.facts else ""
    if event.level == "warning":
        return [(syslog.LOG_WARNING, clip(event.what, WHAT) + tail)]
    return [(syslog.LOG_ERR, "Error: " + clip(event.what, WHAT) + tail)]


def _failed(_event: events.CommandFailed) -> "list[Record]":
    return []


FORMS: "dict[type[events.Event], Callable[..., list[Record]]]" = {
    events.SessionStarted: _started,
    events.LoginRefused: _refused,
    events.LoggedIn: _logged_in,
    events.SessionClosed: _closed,
    events.CommandFailed: _failed,
    events.Trouble: _trouble,
}
