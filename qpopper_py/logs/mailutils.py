"""Records as GNU mailutils' pop3d 3.x writes them (log.style = mailutils), for whoever watches its log.

As the real 3.15 wrote them; ``mailutils0`` has the words of 0.6.  Events that it has no record for have ours, but
commands that failed have none.

=========  ===================================================================================================
priority   record
=========  ===================================================================================================
info       ``POP3 login: user `USER', source SOURCE``, then ``user `USER' logged in with mailbox `PATH' (N messages)``
info       ``user `USER': authentication failed``, by APOP ``APOP failed for `USER'``
info       ``user `USER' nonexistent``, by APOP ``password for `USER' not found in the database``
error      ``error authenticating user `USER': WHY``, the fault is ours
info       ``user `USER' tried to log in within the minimum allowed delay``
info       ``session ended for user: USER``, ``session ended for no user``
info       ``session timed out for user: USER``, ``session timed out for no user``
info       ``remote protocol error``, the client went without QUIT after its login
=========  ===================================================================================================

Such records end there: as the program's they name no address and no session.  Its ``possible probe of account`` is not
written: no log may have a name before it is known to be an account's.
"""

import syslog

from qpopper_py import events
from qpopper_py.logs.words import clip, word

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    Record = tuple[int, str]
    Forms = dict[type[events.Event], Callable[..., list[Record]]]

UNKNOWN = "(unknown:"  # begins the gate's tag for a name that is no account's
SOURCES = {"accounts": "virtdomain"}  # all others know the system's users
WORDS = {
    "login": "POP3 login: user `{user}', source {source}",
    "logged_in": "user `{user}' logged in with mailbox `{mailbox}' ({messages} message{s})",
    "failed": "user `{user}': authentication failed",
    "failed APOP": "APOP failed for `{user}'",
    "unknown": "user `{user}' nonexistent",
    "unknown APOP": "password for `{user}' not found in the database",
    "trouble": "error authenticating user `{user}': {why}",
    "too_soon": "user `{user}' tried to log in within the minimum allowed delay",
    "ended": "session ended for {whom}",
    "timeout": "session timed out for {whom}",
    "hangup": "remote protocol error",
}


def forms(words: "dict[str, str]") -> "Forms":
    """Each kind of event in those words; what they have not is not written."""

    def made(*keys: str, **fields: object) -> "list[Record]":
        return [(syslog.LOG_INFO, words[key].format(**fields)) for key in keys if key in words]

    def started(event: events.SessionStarted) -> "list[Record]":
        assert event.facts
        return made("opened", "connect", peer=word(event.facts.peer))

    def refused(event: events.LoginRefused) -> "list[Record]":
        user = word(event.user)
        if event.temporary:
            return [(syslog.LOG_ERR, words["trouble"].format(user=user, why=clip(event.why, 300)))]
        key = "unknown" if event.user.startswith(UNKNOWN) else "failed"
        special = f"{key} {event.mechanism}"
        return made(special if special in words else key, user=user)

    def logged_in(event: events.LoggedIn) -> "list[Record]":
        count = event.messages
        source, mailbox = SOURCES.get(event.source, "system"), clip(event.mailbox, 300)
        fields = {"user": word(event.user), "source": source, "mailbox": mailbox, "messages": count}
        return made("login", "logged_in", s="" if count == 1 else "s", **fields)

    def failed(event: events.CommandFailed) -> "list[Record]":
        return made("too_soon", user=word(event.user)) if event.text.startswith("[LOGIN-DELAY]") else []

    def closed(event: events.SessionClosed) -> "list[Record]":
        known = bool(event.user) and event.how != "refused"
        whom = f"user: {word(event.user)}" if known else "no user"
        if event.how == "hangup":
            return made("hangup") if known else []
        return made("timeout" if event.how == "timeout" else "ended", whom=whom)

    return {
        events.SessionStarted: started,
        events.LoginRefused: refused,
        events.LoggedIn: logged_in,
        events.SessionClosed: closed,
        events.CommandFailed: failed,
    }


FORMS = forms(WORDS)
