"""Events as records of the log, one line each.  Pure: no clock, no descriptor.

This page is an interface: fail2ban's filter (etc/fail2ban) and other watchers read these forms; pop3d(8) lists them.

=========  ====================================================================================================
priority   record (then `` session=ID`` if it is of a connection)
=========  ====================================================================================================
debug      ``(vVERSION) Servicing request from "CLIENT" at IP``
debug      ``(vVERSION) Ending request from "CLIENT" at IP: HOW``, HOW as in SessionClosed
notice     ``audit: op=login acct="USER" addr=IP cred=KIND res=OUTCOME why="WHY"``, with auth.c2, to facility authpriv
info       ``(vVERSION) POP login by user "USER" at (CLIENT) IP: MECHANISM, SOURCE, N messages (B octets)``
info       ``(vVERSION) POP logout by user "USER" at (CLIENT) IP: HOW, R retrieved (B octets sent), D deleted, L left``
notice     ``[AUTH] Failed attempted login to USER from host (CLIENT) IP: WHY (MECHANISM)``
warning    ``[SYS/TEMP] Unable to check login to USER from host (CLIENT) IP: WHY (MECHANISM)``, the fault is ours
notice     ``USER at CLIENT (IP): -ERR TEXT (COMMAND)``
notice     ``Stats: USER NDELETED BYTESDELETED NLEFT BYTESLEFT``, with -s, after the update, what was really done; with
           log.statistics_client `` CLIENT IP`` behind it
notice     ``(vVERSION) Timing for USER@CLIENT (normal|error) auth=N init=N clean=N``, whole seconds, with log.timing
info       log.login with its fields filled in, in place of POP login
info       ``Pop transmit from "USER" on "CLIENT" at IP: N octets, R recipients, exit status S``, negative: a signal
warning    ``Warning: WHAT``
error      ``Error: WHAT``
info       WHAT, of the service
debug      WHAT, of a session; only with -d
=========  ====================================================================================================

USER, CLIENT, IP, MECHANISM and SOURCE are one word each: what is not printable ASCII, blanks, double quotes and
backslashes stand as ``\\xNN`` (a backslash doubled), ``-`` stands for nothing.  A name that is no account's comes as
``(unknown:TAG)`` already (log.unknown_names).  A name therefore cannot bring an
address of its own into a record: the one behind the first ``from host (...)`` is the client's.
A field is cut at a fixed length, ``...`` telling so, and no record is longer than MOST characters.
"""

import syslog

from qpopper_py import __version__, events
from qpopper_py.logs.words import WHAT, clip, word
from qpopper_py.protocol.request import MASK

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from qpopper_py.facts import Facts

    Record = tuple[int, str]
    Forms = dict[type[events.Event], Callable[..., list[Record]]]

SEVERITIES = ("emerg", "alert", "crit", "error", "warning", "notice", "info", "debug")  # syslog's, from 0 on
MOST = 1000  # a syslog datagram of RFC 3164 has 1024 octets with its head


def style(name: str) -> "Forms":
    """The forms of log.style ``name``, beside ours."""
    if name == "own":
        return {}
    module = __import__(f"{__package__}.{name}", fromlist=["FORMS"])
    forms: Forms = module.FORMS
    return forms


def records(
    event: events.Event,
    statistics: bool,
    debug: bool,
    login: str = "",
    timing: bool = False,
    client: bool = False,
    forms: "Forms | None" = None,
    prefix: "Sequence[str]" = (),
) -> "list[Record]":
    """The records of ``event``: (priority, text).  ``statistics``: -s.  ``debug``: -d.

    ``login``, ``timing`` and ``client`` are the settings log.login, log.timing and log.statistics_client; ``forms``:
    those of another log.style.  ``prefix``: log.prefix.
    """
    old = forms.get(type(event)) if forms else None
    form = old or FORMS.get(type(event))
    if form is None or _quiet(event):
        return []
    made = form(event)
    if isinstance(event, events.SessionClosed) and logged_in(event):
        made += [_statistics(event, client)] if statistics else []
        made += [_timing(event)] if timing else []
    if isinstance(event, events.LoggedIn) and login:
        made = [_login_by(event, login)]
    if isinstance(event, events.Note) and event.level == "debug" and not debug:
        return []
    tail = f" session={word(event.facts.session)}" if event.facts and not old else ""
    if prefix:
        head = f"{word(event.facts.session)} " if event.facts and "session" in prefix else ""
        shown = "severity" in prefix
        made = [(one, head + (f"{SEVERITIES[one & 7]}: " if shown else "") + text) for one, text in made]
    return [(priority, text[: MOST - len(tail)] + tail) for priority, text in made]


def _quiet(event: events.Event) -> bool:
    """Of a connection in a flood of them only refused logins and errors are told: each could be thousands a second."""
    if event.facts is None or not event.facts.quiet:
        return False
    return not isinstance(event, (events.LoginRefused, events.Audited)) and getattr(event, "level", "") != "error"


def _client(facts: "Facts") -> str:
    return f'"{word(facts.client)}" at {word(facts.peer)}'


def _login(facts: "Facts", user: str) -> str:
    return f'by user "{word(user)}" at ({word(facts.client)}) {word(facts.peer)}'


def _started(event: events.SessionStarted) -> "list[Record]":
    assert event.facts
    return [(syslog.LOG_DEBUG, f"(v{__version__}) Servicing request from {_client(event.facts)}")]


def _closed(event: events.SessionClosed) -> "list[Record]":
    assert event.facts
    how = word(event.how)
    made = [(syslog.LOG_DEBUG, f"(v{__version__}) Ending request from {_client(event.facts)}: {how}")]
    if logged_in(event):
        text = (
            f"(v{__version__}) POP logout {_login(event.facts, event.user)}: {how}, {event.retrieved} retrieved"
            f" ({event.sent_octets} octets sent), {event.deleted} deleted, {event.left} left"
        )
        made.append((syslog.LOG_INFO, text))
    return made


def logged_in(event: events.SessionClosed) -> bool:
    """Whether the session had a user whose maildrop was opened."""
    return bool(event.user) and event.how != "refused"


def _statistics(event: events.SessionClosed, client: bool) -> "Record":
    """Tru64's five fields, in popper's form (pop3d(8), -s); Qpopper 4 has the client's name and address behind them."""
    assert event.facts
    numbers = f"{event.deleted} {event.deleted_octets} {event.left} {event.left_octets}"
    tail = f" {word(event.facts.client)} {word(event.facts.peer)}" if client else ""
    return syslog.LOG_NOTICE, f"Stats: {word(event.user)} {numbers}{tail}"


def _timing(event: events.SessionClosed) -> "Record":
    """Qpopper's record, in its whole seconds."""
    assert event.facts
    spent = f"auth={event.auth_seconds:.0f} init={event.init_seconds:.0f} clean={event.clean_seconds:.0f}"
    how = "normal" if event.how == "quit" else "error"
    who = f"{word(event.user)}@{word(event.facts.client)}"
    return syslog.LOG_NOTICE, f"(v{__version__}) Timing for {who} ({how}) {spent}"


def _login_by(event: events.LoggedIn, template: str) -> "Record":
    """Qpopper's log-login; what a name holds is never read as a field."""
    assert event.facts
    facts = event.facts
    fields = {"0": __version__, "1": word(event.user), "2": word(facts.client), "3": word(facts.peer)}
    head, *parts = template.split("%")
    text = head + "".join(fields[part[0]] + part[1:] if part[:1] in fields else f"%{part}" for part in parts)
    return syslog.LOG_INFO, clip(text, WHAT)


def _refused(event: events.LoginRefused) -> "list[Record]":
    assert event.facts
    where = f"{word(event.user)} from host ({word(event.facts.client)}) {word(event.facts.peer)}"
    why = f"{clip(event.why, 300)} ({word(event.mechanism)})"
    if event.temporary:
        return [(syslog.LOG_WARNING, f"[SYS/TEMP] Unable to check login to {where}: {why}")]
    return [(syslog.LOG_NOTICE, f"[AUTH] Failed attempted login to {where}: {why}")]


def _audited(event: events.Audited) -> "list[Record]":
    assert event.facts
    acct = word(event.user) if event.user else "(unknown)"
    why = ' why="' + clip(event.why, 300).replace('"', "'") + '"' if event.why else ""
    text = f'audit: op=login acct="{acct}" addr={word(event.facts.peer)} cred={event.kind} res={event.outcome}'
    return [(syslog.LOG_AUTHPRIV | syslog.LOG_NOTICE, text + why)]


def _logged_in(event: events.LoggedIn) -> "list[Record]":
    assert event.facts
    text = (
        f"(v{__version__}) POP login {_login(event.facts, event.user)}: {word(event.mechanism)}, {word(event.source)},"
        f" {event.messages} messages ({event.octets} octets)"
    )
    return [(syslog.LOG_INFO, text)]


def _failed(event: events.CommandFailed) -> "list[Record]":
    assert event.facts
    line, text = event.line, event.text
    if strange(line):
        line, text = MASK, unquoted(text)
    where = f"{word(event.user)} at {word(event.facts.client)} ({word(event.facts.peer)})"
    return [(syslog.LOG_NOTICE, f"{where}: -ERR {clip(text, 200)} ({clip(line, 200)})")]


def strange(line: str) -> bool:
    """Whether ``line`` begins with what cannot be a verb: it may be a password, typed in the wrong place."""
    verb = line.partition(" ")[0]
    return not (verb.isalpha() and len(verb) <= 8)


def unquoted(text: str) -> str:
    """``text`` of an -ERR without what it quotes of the client's line."""
    head, quote, rest = text.partition('"')
    return f'{head}"{MASK}"{rest.rpartition(quote)[2]}' if quote else text


def _submitted(event: events.Submitted) -> "list[Record]":
    assert event.facts
    text = (
        f'Pop transmit from "{word(event.user)}" on {_client(event.facts)}: {event.octets} octets,'
        f" {event.recipients} recipients, exit status {event.status}"
    )
    return [(syslog.LOG_INFO, text)]


def _trouble(event: events.Trouble) -> "list[Record]":
    if event.level == "warning":
        return [(syslog.LOG_WARNING, "Warning: " + clip(event.what, WHAT))]
    return [(syslog.LOG_ERR, "Error: " + clip(event.what, WHAT))]


def _note(event: events.Note) -> "list[Record]":
    priority = syslog.LOG_DEBUG if event.level == "debug" else syslog.LOG_INFO
    return [(priority, clip(event.what, WHAT))]


FORMS: "Forms" = {
    events.SessionStarted: _started,
    events.SessionClosed: _closed,
    events.LoginRefused: _refused,
    events.Audited: _audited,
    events.LoggedIn: _logged_in,
    events.CommandFailed: _failed,
    events.Submitted: _submitted,
    events.Trouble: _trouble,
    events.Note: _note,
}
