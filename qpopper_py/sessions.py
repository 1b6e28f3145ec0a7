"""One connection in each of the processes that serve it: from its greeting to its sign-off."""

from qpopper_py.doorstep import Doorstep
from qpopper_py.settings import rows

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from qpopper_py.auth.account import Account
    from qpopper_py.auth.gate import Gate
    from qpopper_py.events import Event, Tap
    from qpopper_py.facts import Facts
    from qpopper_py.serve.delays import Delays, Ending
    from qpopper_py.serve.messenger import Messenger
    from qpopper_py.serve.packing import Fields
    from qpopper_py.serve.roles import KeptDotlock
    from qpopper_py.serve.securing import Elsewhere, Securing
    from qpopper_py.serve.teller import Teller
    from qpopper_py.session.door import Door
    from qpopper_py.session.session import Session
    from qpopper_py.settings import Settings
    from qpopper_py.stream import Stream


class Sessions(Doorstep):
    """What a session needs beyond its greeting, and each role's part of it."""

    gate: "Gate"
    taps: "list[Tap]"
    securing: "Securing | None" = None
    _delays: "Delays | None" = None

    def __init__(self, door: Doorstep) -> None:
        rows()  # all settings now: a front in its empty folder could not load them
        self.__dict__.update(vars(door))

    def descriptors(self) -> "list[int]":
        """Those that every process of ours needs, beside 0 to 2."""
        self.furnish()
        return [tap.descriptor for tap in self.taps if tap.descriptor >= 0]

    def furnish(self) -> None:
        """What a session needs beyond its greeting, once."""
        if hasattr(self, "taps"):
            return
        from qpopper_py.logs.trace import open_taps
        from qpopper_py.privilege import no_core_dumps

        no_core_dumps()
        self.taps = open_taps(self.settings, self.warn, self.settings.log_ident)

    def tls(self) -> "Securing | None":
        """What makes connections TLS's, where there is a certificate."""
        if self.settings.tls_certificate and not self.securing:
            from qpopper_py.serve.securing import Securing

            self.securing = Securing(self.settings, self.emit)
        return self.securing

    def tls_descriptors(self) -> "list[int]":
        """Those by which keys are had; for processes that speak TLS, and no others."""
        return self.securing.descriptors() if self.securing else []

    def secured(self, stream: "Stream", facts: "Facts") -> "Stream | None":
        """TLS over ``stream``, from its first octet; None: there is none, which the log has."""
        from qpopper_py.errors import ConnectionOver, TlsUnavailable
        from qpopper_py.events import Note

        tls = self.tls()
        try:
            if not tls:
                raise TlsUnavailable("tls is implicit, but tls.certificate is empty; name the file")
            return tls.ready(stream, facts)()
        except TlsUnavailable as why:
            self.warn(str(why), facts)
        except ConnectionOver as why:
            self.emit(Note(facts, str(why), "debug"))
        return None

    def serve_alone(self, stream: "Stream", facts: "Facts", greeted: int, teller: "Teller | None") -> "Stream":
        """What follows a greeting of so many octets, all of it in this process; the stream that it ended on."""
        with self.troubles(facts):
            self.furnish()
            if not hasattr(self, "gate"):
                from qpopper_py.auth.gate import Gate

                self.gate = Gate(self.settings, self.emit)
            session = self.authorized(stream, facts, self.gate, greeted, self.tls())
            if session is None:
                return stream
            stream, account = session.wire.stream, session.account
            if account:
                from qpopper_py.serve.roles import state_folder

                if teller:
                    teller.logged_in()
                facts.quiet = False
                state = state_folder(self.state_of(account), account, facts, self.emit)
                self.enter(session, account, facts, state, None, self.ending_of(account.called))
        return stream

    def authorize(
        self, stream: "Stream", facts: "Facts", gate: "Messenger", greeted: int, securing: "Elsewhere"
    ) -> "tuple[Stream, Fields | None]":
        """In a front: the greeting, unless so many octets of it were sent, and the AUTHORIZATION state.

        The stream that it ended on, and what the mail process must know of it; None when the connection is over.
        """
        with self.troubles(facts):
            session = self.authorized(stream, facts, gate, greeted, securing if self.settings.tls_certificate else None)
            if session is None:
                return stream, None
            stream = session.wire.stream
            if session.account is None:
                return stream, None
            session.wire.flush()
            for tap in self.taps:
                tap.moved(facts, session.user)
            return stream, {
                "unread": bytes(session.wire.unread),
                "mechanism": session.mechanism,
                "heard": session.heard,
                "failures": min(session.failures, 65535),
                "sent": session.wire.sent,
                "offered": list(session.offered),
                "utf8": session.utf8,
                "reduced": session.reduced,
                "auth_ms": round(session.auth_seconds * 1000),
                "refused": min(session.refused, 2**62),
            }
        return stream, None

    def authorized(
        self, stream: "Stream", facts: "Facts", gate: "Door", greeted: int, securing: "Securing | Elsewhere | None"
    ) -> "Session | None":
        """The session, logged in or over; None: there was none.  A greeting of ``greeted`` octets was sent, or none."""
        if facts.listener.kpop:
            from qpopper_py.serve.kpop import ticketed

            facts.stamp = ""  # the ticket is the one way in
            shown = ticketed(stream, facts, gate, self.settings.login_timeout, self.emit)
            if shown is None:
                return None  # what it was answered is KPOP's
            gate = shown
        session = self.session(stream, facts, gate)
        if securing and facts.listener.tls == "starttls":
            session.starttls = securing.ready
        line = self.greeting(facts)
        if not greeted:
            session.wire.write(line)
            session.wire.flush()
            session.wire.sent = 0  # greeted() counts it
        session.greeted(line)
        session.authorize()
        return session

    def transact(
        self,
        stream: "Stream",
        facts: "Facts",
        account: "Account",
        fields: "Fields",
        state: str,
        dotlock: "KeptDotlock | None",
        ended: "Callable[[], None]",
    ) -> None:
        """In a mail process: the TRANSACTION state of a session that was handed over, and what follows it."""
        from qpopper_py.serve.messenger import Messenger

        try:
            with self.troubles(facts):
                session = self.session(stream, facts, Messenger(None))
                session.wire.unread += fields["unread"]
                session.wire.sent = fields["sent"]
                session.resume(account, fields["mechanism"], fields["heard"], fields["failures"])
                session.offered, session.utf8 = tuple(fields["offered"]), bool(fields["utf8"])
                session.refused, session.reduced = fields["refused"], bool(fields["reduced"])
                session.auth_seconds = fields["auth_ms"] / 1000
                ending = fields["early"], ended if self.settings.login_delay else None
                self.enter(session, account, facts, state, dotlock, ending)
        finally:
            stream.close()

    def session(self, stream: "Stream", facts: "Facts", gate: "Door") -> "Session":
        from qpopper_py.session.session import Session
        from qpopper_py.session.wire import Wire

        wire = Wire(stream, self.settings.limits_line, self.settings.transfer_timeout)
        return Session(self.settings, self.dialect, facts, wire, gate, self.emit, self.taps)

    def enter(
        self,
        session: "Session",
        account: "Account",
        facts: "Facts",
        state: str,
        dotlock: "KeptDotlock | None",
        ending: "Ending",
    ) -> None:
        """The TRANSACTION state, in a process that is the mail user.  ``state``: the user's private folder or empty."""
        from qpopper_py.errors import LoginTooEarly
        from qpopper_py.serve.maildrops import open_maildrop, state_of_folder
        from qpopper_py.serve.slots import Slot
        from qpopper_py.session.mailer import Mailer
        from qpopper_py.store.opening import NoStore

        def warn(what: str) -> None:
            self.warn(what, facts)

        settings = session.settings = self.settings_of(account, warn)
        mailer = Mailer(settings, self.emit, facts, account.user, account.system, state)
        early, session.farewell = ending
        with Slot(state, settings, warn) as full:
            why = LoginTooEarly(f"{early} s too early (login_delay)") if early else full
            state = state_of_folder(account, state, settings, warn)
            store = NoStore(why) if why else open_maildrop(account, facts.host, state, settings, warn, dotlock)
            session.transact(store, mailer, state)

    def ending_of(self, called: str) -> "Ending":
        """In the one process that there is: whether the user comes too early, and what notes the session's end."""
        if not self.settings.login_delay:
            return 0, None
        delays = self.delays()
        return delays.left(called), lambda: delays.ended(called)

    def delays(self) -> "Delays":
        """When users may log in again; one object, for it says once what is wrong."""
        if self._delays is None:
            from qpopper_py.serve.delays import Delays

            self._delays = Delays(self.settings, self.warn)
        return self._delays

    def settings_of(self, account: "Account", warn: "Callable[[str], None]") -> "Settings":
        """The settings, with what the account's own options change; in a process that is the mail user."""
        if self.settings.user_options == "off":
            return self.settings
        from qpopper_py.personality.qpopper.own import settled

        return settled(self.settings, account.user, account.home, warn)

    def state_of(self, account: "Account") -> str:
        """Where the account's state may be kept, or empty."""
        from qpopper_py.serve.maildrops import state_of

        return state_of(account, self.settings)

    def mailbox_of(self, account: "Account") -> str:
        """The path of the mailbox file that may need a dotlock, or empty."""
        from qpopper_py.serve.maildrops import maildrop_of
        from qpopper_py.store.opening import parted

        kind, path = parted(maildrop_of(account, self.settings)[0])
        return "" if kind in ("maildir", "cyrus") or account.folder else path

    def troubles(self, facts: "Facts") -> "Troubles":
        return Troubles(self.emit, facts)


class Troubles:
    """A with statement that ends at an exception: the client hears nothing of it, the log everything."""

    def __init__(self, emit: "Callable[[Event], None]", facts: "Facts") -> None:
        self.emit = emit
        self.facts = facts

    def __enter__(self) -> None:
        pass

    def __exit__(self, kind: object, why: "BaseException | None", trace: object) -> bool:
        if not isinstance(why, Exception):
            return False
        from qpopper_py.errors import QpopperError
        from qpopper_py.events import Trouble
        from qpopper_py.serve.roles import where

        self.emit(Trouble(self.facts, str(why) if isinstance(why, QpopperError) else where(why)))
        return True
