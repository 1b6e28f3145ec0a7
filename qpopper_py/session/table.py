"""The whole protocol on one page (RFC 1939, RFC 2449, RFC 6856, UCB popper's XTND).

A row: verb; states it is valid in; least and most arguments (most None: the rest of the line, as one); handler;
the state after success and after failure (empty: the same); how many words of it a log may show before the
secret ones (None: all); the CAPA line it stands for, or what makes it; whether its line may be as long as
limits.sasl; whether the log must not have its words, because one names a user.  A verb of two words is an XTND
subcommand; one may have rows for different numbers of arguments.  A verb in another state is an unknown command, as
popper has it.
"""

from qpopper_py.protocol.request import Request, plain
from qpopper_py.session import authorization as auth
from qpopper_py.session import capability, extras, language, sasl, starttls, transaction, xtnd

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from qpopper_py.protocol.dialect import Dialect
    from qpopper_py.protocol.reply import Reply
    from qpopper_py.session.session import Session
    from qpopper_py.settings import Settings

    Handler = Callable[[Session, list[bytes]], Reply]
    Rows = dict[str, list["Row"]]

AUTHORIZATION = "authorization"
USER_GIVEN = "user given"
TRANSACTION = "transaction"
OVER = "over"

BEFORE = (AUTHORIZATION, USER_GIVEN)
AFTER = (TRANSACTION,)
ANYWHERE = (*BEFORE, *AFTER)


class Row:
    """One line of TABLE."""

    __slots__ = (
        "capa",
        "handler",
        "least",
        "long",
        "most",
        "named",
        "on_failure",
        "on_success",
        "secret",
        "states",
        "verb",
    )

    def __init__(
        self,
        verb: str,
        states: "tuple[str, ...]",
        least: int,
        most: int | None,
        handler: "Handler",
        on_success: str = "",
        on_failure: str = "",
        secret: int | None = None,
        capa: "str | Callable[[Session], str]" = "",
        long: bool = False,
        named: bool = False,
    ) -> None:
        self.verb = verb
        self.states = states
        self.least = least
        self.most = most
        self.handler = handler
        self.on_success = on_success
        self.on_failure = on_failure
        self.secret = secret
        self.capa = capa
        self.long = long
        self.named = named

    def limited(self, states: "tuple[str, ...]") -> "Row":
        """The same row, valid in fewer states."""
        fewer = tuple(state for state in self.states if state in states)
        again = (self.on_success, self.on_failure, self.secret, self.capa, self.long, self.named)
        return Row(self.verb, fewer, self.least, self.most, self.handler, *again)

    def takes(self, words: int) -> bool:
        return self.least <= words and (self.most is None or words <= self.most)


# fmt: off
TABLE = (
    #   verb         states        least most  handler             success        failure        secret    CAPA
    Row("user",      BEFORE,        1, 1,    auth.user,           USER_GIVEN,     named=True,  capa=auth.capability),
    Row("pass",      (USER_GIVEN,), 1, None, auth.pass_,          TRANSACTION,   AUTHORIZATION, secret=0),
    Row("apop",      BEFORE,        2, 2,    auth.apop,           TRANSACTION,   AUTHORIZATION, secret=1,  named=True),
    Row("auth",      BEFORE,        0, 0,    sasl.list_,                                       capa=sasl.capability),
    Row("auth",      BEFORE,        1, 2,    sasl.auth,           TRANSACTION,   AUTHORIZATION, secret=1,  long=True),
    Row("stls",      BEFORE,        0, 0,    starttls.stls,       AUTHORIZATION,              capa=starttls.capability),
    Row("utf8",      BEFORE,        0, 0,    language.utf8,                                           capa="UTF8 USER"),
    Row("lang",      ANYWHERE,      0, 1,    language.lang,                                                capa="LANG"),
    Row("capa",      BEFORE,        0, 0,    capability.capa),
    Row("quit",      BEFORE,        0, 0,    auth.quit_,          OVER,          OVER),
    Row("stat",      AFTER,         0, 0,    transaction.stat),
    Row("list",      AFTER,         0, 1,    transaction.list_),
    Row("retr",      AFTER,         1, 1,    transaction.retr),
    Row("dele",      AFTER,         1, 1,    transaction.dele),
    Row("noop",      AFTER,         0, 0,    transaction.noop),
    Row("rset",      AFTER,         0, 0,    transaction.rset),
    Row("top",       AFTER,         2, 2,    transaction.top,                                              capa="TOP"),
    Row("uidl",      AFTER,         0, 1,    transaction.uidl,                                             capa="UIDL"),
    Row("last",      AFTER,         0, 0,    transaction.last),
    Row("xtnd xmit", AFTER,         0, 0,    xtnd.xmit),
    Row("xtnd xlst", AFTER,         1, 2,    xtnd.xlst),
    Row("xtnd xlist", AFTER,        1, 2,    xtnd.xlst),
    Row("capa",      AFTER,         0, 0,    capability.capa),
    Row("quit",      AFTER,         0, 0,    transaction.quit_,   OVER,          OVER),
)
# What no RFC has and one program alone: served and announced only where the dialect names it, before the rows above.
EXTRAS = {
    "euidl": (Row("euidl", AFTER,   0, 1,    extras.euidl),),
    "mdef": (Row("mdef", AFTER,     1, None, extras.mdef,                                             capa="X-MACRO"),),
    "x-mangle": (
        Row("list",  AFTER,         2, 2,    extras.list_),
        Row("retr",  AFTER,         1, 2,    extras.retr),
        Row("top",   AFTER,         2, 3,    extras.top,                                              capa="X-MANGLE"),
    ),
}
# fmt: on


_served: "list[tuple[Settings, Dialect, Rows]]" = []  # the last, for the sessions of a process are all alike


def served(settings: "Settings", dialect: "Dialect") -> "Rows":
    """The rows that settings and dialect leave, by verb: the same dictionary as long as these are the same."""
    if _served and _served[0][:2] == (settings, dialect):
        return _served[0][2]
    withheld = set(dialect.withheld) if settings.commands == "original" else set()
    if settings.last == "off":
        withheld.add("last")
    rows: Rows = {}
    for row in TABLE:
        if row.verb not in withheld:
            states = dialect.states.get(row.verb, row.states)
            rows.setdefault(row.verb, []).append(row if row.states == states else row.limited(states))
    for name in dialect.extras:
        for row in EXTRAS[name]:
            rows.setdefault(row.verb, []).insert(0, row)
    _served[:] = [(settings, dialect, rows)]
    return rows


def find(rows: "Rows", request: Request, state: str) -> "tuple[Row | None, Request]":
    """The row for ``request`` in ``state``, and the request with an XTND subcommand made part of its verb."""
    if request.verb == "xtnd" and request.words:
        verb = "xtnd " + plain(request.words[0], 40).lower()
        request = Request(verb, request.words[1:], b"")
    valid = [row for row in rows.get(request.verb, ()) if state in row.states]
    fitting = [row for row in valid if row.takes(len(request.words))]
    return next(iter(fitting or valid[-1:]), None), request
