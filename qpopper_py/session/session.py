"""The session: a line becomes a Request, a row of the table, a Reply (RFC 1939).

One synchronous loop.  Handlers return a Reply or raise Refused; only this loop speaks, moves between states, and
closes.  The AUTHORIZATION and the TRANSACTION state are two calls, because two processes may make them.

Laws: a body that breaks after +OK is cut off without the final dot.  A failed update gets no +OK.  Deletions
happen only after QUIT, or as :mod:`update` says.  A refused login is answered at a fixed moment after it was asked.
"""

import time

from qpopper_py import events
from qpopper_py.arrival import closed
from qpopper_py.errors import (
    ConnectionOver,
    LoginTooEarly,
    MaildropBusy,
    MaildropChanged,
    MaildropError,
    PeerGone,
    Refused,
    TimedOut,
)
from qpopper_py.protocol import reply
from qpopper_py.protocol.request import Request, bare, parse, safe
from qpopper_py.session import refusals, table
from qpopper_py.session.maildrop import Maildrop
from qpopper_py.session.taps import Taps
from qpopper_py.session.update import Update
from qpopper_py.session.wire import NEVER, LineTooLong

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from qpopper_py.auth.account import Account
    from qpopper_py.facts import Facts
    from qpopper_py.protocol.dialect import Dialect
    from qpopper_py.session.door import Door
    from qpopper_py.session.mailer import Mailer
    from qpopper_py.session.wire import Wire
    from qpopper_py.settings import Settings
    from qpopper_py.store.base import Store
    from qpopper_py.stream import Stream


LOGGED_REFUSALS = 20  # records of a session's refused commands; of those that follow only the number is told


class Session:
    """One client from greeting to sign-off."""

    maildrop: Maildrop  # in the TRANSACTION state
    mailer: "Mailer"  # likewise
    update: Update  # likewise
    # Called once, when a session that had a maildrop ends: before QUIT is answered, or when the connection broke off.
    farewell: "Callable[[], None] | None" = None
    # Makes TLS ready on the wire's stream (raises TlsUnavailable); what it returns does the handshake, notes it in the
    # facts, and returns the stream to go on with.  None: there is no TLS.
    starttls: "Callable[[Stream, Facts], Callable[[], Stream]] | None" = None

    def __init__(
        self,
        settings: "Settings",
        dialect: "Dialect",
        facts: "Facts",
        wire: "Wire",
        gate: "Door",
        emit: "Callable[[events.Event], None]",
        taps: "Sequence[events.Tap]" = (),
        clock: "Callable[[], float]" = time.monotonic,
        sleep: "Callable[[float], None]" = time.sleep,
    ) -> None:
        self.settings = settings
        self.dialect = dialect
        self.facts = facts
        self.wire = wire
        self.gate = gate
        self.emit = emit
        self.taps = Taps(taps, facts)
        self.clock = clock
        self.sleep = sleep
        self.rows = table.served(settings, dialect)
        self.codes = dialect.codes or settings.commands == "all"  # RFC 2449 came later than some servers
        self.state = table.AUTHORIZATION
        self.host = facts.host
        self.name = b""  # as the client gave it to USER
        self.user = ""  # the same, fit for a reply; the account's once logged in
        self.alias = ""  # what the log may call whoever has not logged in
        self.account: Account | None = None
        self.mechanism = ""
        self.offered: tuple[str, ...] = ()  # SASL mechanisms, as last announced
        self.utf8 = False  # the client said UTF8 (RFC 6856)
        self.reduced = False  # the name said that MIME is to be reduced to text
        self.macros: dict[bytes, bytes] = {}
        self.began = 0.0  # when the greeting was sent
        self.auth_seconds = 0.0  # from the greeting to the login
        self.failures = 0
        self.refused = 0  # commands answered -ERR
        self.heard = ""  # the safe form of the present line
        self.asked = 0.0  # when the present line was received
        self.login_deadline = 0.0
        self.aborted = False  # the connection broke off in the TRANSACTION state, not by our fault
        self.closing = events.SessionClosed(facts)

    def greeted(self, line: bytes) -> None:
        """The greeting ``line`` was sent; the time to log in runs from here."""
        self.began = self.clock()
        self.login_deadline = self.wire.deadline = self.began + self.settings.login_timeout
        self.wire.sent += len(line)
        self.taps.sent(self.user, line)
        self.emit(events.SessionStarted(self.facts))

    def authorize(self) -> "Account | None":
        """The AUTHORIZATION state: who logged in, or None when the connection is over.

        A login that was granted is not answered yet: ``transact`` does, when the maildrop is open.
        """
        self._converse(table.AUTHORIZATION, table.USER_GIVEN)
        if self.state != table.TRANSACTION:
            self.close()
            return None
        self.auth_seconds = max(0.0, self.clock() - self.began)
        return self.account

    def resume(self, account: "Account", mechanism: str, heard: str, failures: int) -> None:
        """Be what the session was in the process that ran its AUTHORIZATION state."""
        self.account = account
        self.user = account.user
        self.mechanism = mechanism
        self.heard = heard
        self.failures = failures
        self.state = table.TRANSACTION

    def transact(self, store: "Store", mailer: "Mailer", state: str = "") -> None:
        """The TRANSACTION and UPDATE states on ``store``, which is closed at the end.

        ``state``: the user's private folder, empty if there is none.
        """
        try:
            self.wire.deadline = NEVER
            self.mailer = mailer
            self.update = Update(self.settings, state, self.closing, self.warn)
            began = self.clock()
            opened = self._open(store)
            self.closing.auth_seconds, self.closing.init_seconds = self.auth_seconds, self.clock() - began
            if opened:
                self._converse(table.TRANSACTION)
                if self.aborted:
                    self.update.on_abort(self.maildrop)
        finally:
            store.close()
            self.ended()
        self.close()

    def ended(self) -> None:
        """The maildrop is closed; whoever logs in again finds this noted."""
        farewell, self.farewell = self.farewell, None
        if farewell:
            farewell()

    def close(self) -> None:
        """Send what is still to be sent and say that the session is over."""
        try:
            self.wire.flush()
        except ConnectionOver:
            pass
        if self.refused > LOGGED_REFUSALS:
            self.warn(f"{self.refused - LOGGED_REFUSALS} more commands were refused in this session")
        self.closing.user = self.account.user if self.account else ""
        self.closing.sent_octets = self.wire.sent
        self.taps.closed()
        self.emit(self.closing)

    def _open(self, store: "Store") -> bool:
        """Open the maildrop and answer the login; a maildrop that cannot be opened ends the connection."""
        account = self.account
        assert account is not None
        try:
            heed_marks = self.settings.deletion_marks == "deleted"
            self.maildrop = Maildrop(store, self.dialect, self.settings.last, heed_marks)
        except MaildropError as why:
            self.closing.how = "refused"
            self.farewell = None
            self.report(why)
            try:
                self._err(refusals.of_maildrop(self.dialect, why, self.settings))
            except ConnectionOver:
                pass
            return False
        drop = self.maildrop
        self.closing.left, self.closing.left_octets = len(drop.entries), drop.octets
        count, octets = drop.count, drop.left_octets
        who = account.called, self.mechanism, account.source
        self.emit(events.LoggedIn(self.facts, *who, count, octets, store.place))
        self.taps.logged_in(account.user)
        fields = {"s": "" if count == 1 else "s", "hidden": store.hidden, "session": self.facts.session}
        self._ok(reply.Reply(self.dialect.say("logged_in", user=account.user, count=count, octets=octets, **fields)))
        if self.settings.login_hook:
            from qpopper_py.session.hook import run_hook

            run_hook(self.settings.login_hook, account.user, self.facts.peer, self.warn)
        return True

    def _converse(self, *states: str) -> None:
        """Answer commands as long as the session is in one of ``states``."""
        try:
            while self.state in states:
                self._answer_one()
            self.wire.flush()
        except TimedOut as why:
            self._over("timeout", why)
            if text := self.dialect.say("timeout", host=self.host):  # some close without a word
                self._last_words(reply.status(False, text))
        except ConnectionOver as why:
            self._over("hangup", why)

    def _over(self, how: str, why: ConnectionOver) -> None:
        if self.closing.how == "error":  # the connection ends, but by our own fault
            how = "error"
        self.aborted = self.state == table.TRANSACTION and how != "error"
        self.state = table.OVER
        self.closing.how = how
        self.emit(events.Note(self.facts, f"{how}: {why}", "debug"))

    def _last_words(self, line: bytes) -> None:
        """A line to a client that may not be listening any more."""
        try:
            self.say(line)
            self.wire.flush()
        except ConnectionOver:
            pass

    def _answer_one(self) -> None:
        try:
            line = self.wire.line(self.deadline(), max(self.settings.limits_line, self.settings.limits_sasl))
        except LineTooLong:
            self._too_long()
            return
        self.asked = self.clock()
        if self.settings.shutdown_files and (text := closed(self.settings.shutdown_files)) is not None:
            self.hang_up()
            self.closing.how = "refused"
            self._last_words(reply.status(False, self.dialect.say("shutdown", text=text), "SYS/TEMP"))
            return
        request = (self.dialect.parse or parse)(line)
        if request is not None:  # popper ignores a blank line
            row, request = table.find(self.rows, request, self.state)
            if len(line) + 2 > self.settings.limits_line and not (row and row.long):
                self._too_long()
                return
            self.heard = safe(request, row.secret if row else None, row is not None)
            self.taps.received(self.user, self.heard)
            if row and row.named and self.settings.log_unknown_names == "hidden":
                self.heard = bare(self.heard)
            if row is None:
                self._err(refusals.of_command(self.dialect, self.rows, self.state, request))
                if self.dialect.forgets_user and self.state == table.USER_GIVEN:
                    self._move(table.AUTHORIZATION)
            else:
                self._obey(row, request)

    def _too_long(self) -> None:
        self.heard = "?"
        self._err(Refused(self.dialect.say("too_long", limit=self.settings.limits_line)))

    def _obey(self, row: "table.Row", request: Request) -> None:
        """Have the row's handler do it, and move to the state that the row names."""
        try:
            words = refusals.arguments(self.dialect, self.settings.limits_argument, row, request)
        except Refused as why:  # the handler was not asked, and so the state stays
            self._err(why)
            return
        try:
            said = row.handler(self, [self.macros.get(word, word) for word in words] if self.macros else words)
        except Refused as why:
            self._move(row.on_failure)
            self._err(why)
        except MaildropError as why:
            self.report(why)
            if isinstance(why, MaildropChanged):
                self.closing.how = "error"
                self.hang_up()
            self._err(refusals.of_maildrop(self.dialect, why, self.settings))
        else:
            self._move(row.on_success)
            if said is not reply.SILENCE:
                self._ok(said)

    def deadline(self) -> float:
        """Until when the client has to send its next line, on ``clock``."""
        wait = self.clock() + self.settings.timeout
        return wait if self.state == table.TRANSACTION else min(wait, self.login_deadline)

    def _move(self, state: str) -> None:
        """``state`` of a row: a state, or empty for the present one.  OVER is never left again."""
        if state and self.state != table.OVER:
            self.state = state

    def warn(self, what: str) -> None:
        self.emit(events.Trouble(self.facts, what, "warning"))

    def report(self, why: MaildropError) -> None:
        level = "warning" if isinstance(why, (MaildropBusy, LoginTooEarly)) else "error"
        user = self.account.called if self.account else self.user
        self.emit(events.Trouble(self.facts, f"maildrop of {user}: {why}", level))

    def _ok(self, said: "reply.Reply") -> None:
        self.say(reply.status(True, said.text))
        if said.body is None:
            return
        try:
            for piece in said.body:
                self.wire.write(piece)
                self.taps.replied(self.user, said.mail, piece)
        except MaildropError as why:
            # After +OK only the truth or nothing: no final dot, so the client knows that it has not the whole.
            self.report(why)
            self.closing.how = "error"
            raise PeerGone("cut off: the maildrop failed in mid-message") from None
        self.say(reply.END)

    def _err(self, why: Refused) -> None:
        self.say(reply.status(False, why.text, why.code if self.codes else ""))
        self.refused += 1
        if self.refused > LOGGED_REFUSALS:
            return
        user = self.account.user if self.account else self.alias
        text = f"[{why.code}] {why.logged}" if why.code else why.logged
        self.emit(events.CommandFailed(self.facts, user, self.heard, text))

    def say(self, line: bytes) -> None:
        self.wire.write(line)
        self.taps.sent(self.user, line)

    def hang_up(self) -> None:
        """The connection ends once the present command is answered."""
        self.state = table.OVER
