"""What a session refuses with, in its dialect's words, where no handler was asked or the maildrop was at fault."""

from qpopper_py.errors import (
    LoginTooEarly,
    MaildropBusy,
    MaildropChanged,
    MaildropError,
    MaildropForbidden,
    MaildropMissing,
    MaildropUnusable,
    Refused,
)
from qpopper_py.session import table

TYPE_CHECKING = False
if TYPE_CHECKING:
    from qpopper_py.protocol.dialect import Dialect
    from qpopper_py.protocol.request import Request
    from qpopper_py.session.table import Row, Rows
    from qpopper_py.settings import Settings

MAILDROP = (
    (MaildropBusy, "busy"),
    (LoginTooEarly, "login_delay"),
    (MaildropUnusable, "unusable"),
    (MaildropMissing, "missing"),
    (MaildropForbidden, "forbidden"),
    (MaildropChanged, "changed"),
    (MaildropError, "trouble"),
)


def of_maildrop(dialect: "Dialect", why: MaildropError, settings: "Settings") -> Refused:
    """What the client hears of trouble with the maildrop; the log hears more."""
    what = next(text for kind, text in MAILDROP if isinstance(why, kind))
    minutes = -(-settings.login_delay // 60)
    return Refused(dialect.say(what, minutes=minutes, s="" if minutes == 1 else "s"), why.code)


def of_command(dialect: "Dialect", rows: "Rows", state: str, request: "Request") -> Refused:
    """What is said of a verb that has no row in this state; ``rows``: those that are served."""
    served = rows.get(request.verb, ())
    fits = any(row.takes(len(request.words)) for row in served)
    if served and not fits and state != table.TRANSACTION and request.verb in dialect.arguments_first:
        return Refused(dialect.say("too_many" if request.words else "too_few", verb=request.verb))
    known = dialect.refusals.get(state, {})
    if said := known.get(request.verb) or known.get("*"):
        return Refused(said)
    return Refused(dialect.say("wrong_state" if served else "unknown", verb=request.verb))


def arguments(dialect: "Dialect", longest: int, row: "Row", request: "Request") -> "list[bytes]":
    """Those that the row asks for; Refused for too few, too many, or one of over ``longest`` octets (0: any)."""
    if row.most is None:
        words = [request.rest] if request.rest else []
    else:
        words = request.words
        if len(words) > row.most:
            raise Refused(dialect.say("too_many", verb=request.verb))
        if longest and not row.long and any(len(word) > longest for word in words):
            raise Refused(dialect.say("too_long", limit=longest))
    if len(words) < row.least:
        raise Refused(dialect.say("too_few", verb=request.verb))
    return words
