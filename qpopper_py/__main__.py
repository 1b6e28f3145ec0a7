"""argv -> Settings -> gate, store opener, events, taps -> serve.

The first act under inetd, before anything that could fail is imported, is to move the client away from
descriptors 0 to 2: whatever happens then, nothing but POP3 reaches it.
"""

import os
import sys

from qpopper_py.privilege import claim_descriptors

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from qpopper_py.auth.account import Account
    from qpopper_py.auth.gate import Gate
    from qpopper_py.events import Event, Facts, Tap
    from qpopper_py.kinds.listeners import Listener
    from qpopper_py.personality.commandline import Invocation
    from qpopper_py.privilege import Stream
    from qpopper_py.serve.securing import Securing
    from qpopper_py.serve.teller import Teller
    from qpopper_py.session.session import Session

USAGE, SOFTWARE, CONFIG = 64, 70, 78  # exit statuses of sysexits.h
TALKS_TO_A_PERSON = ("--help", "--version", "--check-config", "--dump-config", "--demo", "--listen")


def main(argv: "list[str] | None" = None) -> int:
    """The command pop3d(8); the exit status."""
    argv = sys.argv[1:] if argv is None else argv
    if any(word.partition("=")[0] in TALKS_TO_A_PERSON for word in argv):
        return in_person(argv)
    stream = claim_descriptors()
    try:
        return attached(argv, stream)
    except Exception as why:  # noqa: BLE001  # the client hears nothing, the log everything
        last_resort(why)
        return SOFTWARE


def attached(argv: "list[str]", stream: "Stream") -> int:
    """Serve the connection that we were started with, unless the configuration says to listen."""
    from qpopper_py.errors import ConfigurationError
    from qpopper_py.personality import commandline

    try:
        invocation = commandline.read(argv, os.environ, euid=os.geteuid())
        house = House(invocation)
    except ConfigurationError as why:
        return misconfigured(why, stream)
    if not invocation.inetd:
        stream.close()
        return house.listen()
    from qpopper_py.serve.teller import Teller

    house.converse(stream, Teller())
    return 0


def in_person(argv: "list[str]") -> int:
    """Actions that print, and standalone service in the foreground."""
    from qpopper_py.errors import ConfigurationError
    from qpopper_py.personality import commandline

    try:
        invocation = commandline.read(argv, os.environ, euid=os.geteuid())
        if invocation.action == "serve":
            return House(invocation).listen()
        if invocation.action == "demo":
            from qpopper_py.tools.demo import demo

            return demo(invocation, lambda furnished: House(furnished).listen())
        from qpopper_py.personality import report

        return report.answer(invocation)
    except ConfigurationError as why:
        return complain(why)


def misconfigured(why: Exception, stream: "Stream") -> int:
    """One clean -ERR and the reason in the log; to a person at a terminal the reason itself."""
    from qpopper_py.privilege import SocketStream

    if isinstance(stream, SocketStream):
        to_syslog(f"configuration error: {why}")
        stream.send(memoryview(b"-ERR [SYS/PERM] The server is not configured; its log says why.\r\n"))
        stream.close()
        return 0  # socat throws the last words of a program away that ends with another status
    return complain(why)


def complain(why: Exception) -> int:
    """What was wrong, and the usage, to a person."""
    from qpopper_py.personality import report

    sys.stderr.write(report.complaint(why))
    return USAGE


def last_resort(why: BaseException) -> None:
    """An exception that nothing foresaw, to the log by the shortest way."""
    frame = why.__traceback__
    while frame is not None and frame.tb_next is not None:
        frame = frame.tb_next
    place = f" at {frame.tb_frame.f_code.co_filename}:{frame.tb_lineno}" if frame else ""
    to_syslog(f"unexpected {type(why).__name__}{place}; please report it")


def to_syslog(text: str) -> None:
    import syslog

    from qpopper_py.events import printable

    syslog.openlog("pop3d", syslog.LOG_PID, syslog.LOG_MAIL)
    syslog.syslog(syslog.LOG_ERR, printable(text))


def must_be_open_to_all() -> None:
    """ConfigurationError if users could not import what we are made of."""
    from qpopper_py.errors import ConfigurationError
    from qpopper_py.privilege import closed_to_others

    closed = closed_to_others(os.__file__, __file__)
    if closed:
        raise ConfigurationError(
            f"started as root, but other users cannot read {closed}, and mail is served as them; use the system's"
            " Python and make install, or start it as another user"
        )


class House:
    """The four strangers, introduced: settings and dialect, connections, sessions, logs.

    Under inetd the client waits while we import, so what the greeting does not need comes after it.
    """

    gate: "Gate"
    taps: "list[Tap]"
    securing: "Securing | None" = None

    def __init__(self, invocation: "Invocation") -> None:
        from qpopper_py.events import Bus

        if os.geteuid() == 0:
            must_be_open_to_all()
        os.umask(0o077)
        self.settings = invocation.settings
        self.dialect = invocation.personality.DIALECT
        self.emit = Bus(self.open_log)

    def open_log(self, event: "Event") -> None:
        """The first event opens the log, which takes this sink's place."""
        from qpopper_py.logs.syslog import open_log

        self.emit.sinks.clear()  # a log that cannot be opened keeps nobody from the mail
        try:
            self.emit.sinks.append(open_log(self.settings, "pop3d"))
        except Exception as why:  # noqa: BLE001
            last_resort(why)
        self.emit(event)

    def warn(self, what: str, facts: "Facts | None" = None) -> None:
        from qpopper_py.events import Trouble

        self.emit(Trouble(facts, what, "warning"))

    def listen(self) -> int:
        """Serve standalone, in the foreground, until a signal ends it."""
        from qpopper_py.serve.limits import Limits
        from qpopper_py.serve.standalone import Standalone

        self.recover()
        self.prepare()
        reload = self.secure_all()
        limits = Limits(self.settings, self.emit)
        Standalone(self.settings.listen, limits, self.converse, self.emit, reload).run()
        return 0

    def secure_all(self) -> "Callable[[], None] | None":
        """Get ready to speak TLS with many clients; what is returned reads certificates again."""
        from qpopper_py.personality.exposure import dangers

        for what in dangers(self.settings):
            self.warn(what)
        securing = self.tls()
        if not securing:
            return None
        import qpopper_py.serve.relay
        import qpopper_py.tls.stream  # noqa: F401

        securing.listen()
        return securing.reload

    def tls(self) -> "Securing | None":
        """What makes connections TLS's, where there is a certificate."""
        if self.settings.tls_certificate and not self.securing:
            from qpopper_py.serve.securing import Securing

            self.securing = Securing(self.settings, self.emit)
        return self.securing

    def recover(self) -> None:
        """Finish what a crash cut off, in a process of its own: whoever logs in meanwhile does so for themselves."""
        from qpopper_py.store.mbox.upkeep import unfinished

        if self.settings.read_only or not unfinished(self.settings.state_dir) or os.fork():
            return
        try:
            from qpopper_py.tools.recover import at_start

            at_start(self.settings, self.emit)
        except Exception as why:  # noqa: BLE001  # the service goes on
            last_resort(why)
        finally:
            os._exit(0)

    def prepare(self) -> None:
        """Import now what every child would import for itself: it costs each of them milliseconds."""
        import array  # noqa: F401
        import binascii  # noqa: F401
        import hashlib  # noqa: F401
        import signal  # noqa: F401

        import qpopper_py.auth.stamp
        import qpopper_py.serve.facts
        import qpopper_py.serve.maildrops
        import qpopper_py.serve.roles
        import qpopper_py.serve.slots
        import qpopper_py.session.mailer
        import qpopper_py.session.session
        import qpopper_py.store.mbox.compact
        import qpopper_py.store.mbox.fast
        import qpopper_py.store.opening
        import qpopper_py.store.paths  # noqa: F401
        from qpopper_py.store.mbox.from_line import rule

        self.furnish()
        self.gate.prepare()
        os.getgrouplist("root", 0)  # loads what NSS asks for groups
        rule(self.settings.mbox_separator).judge()  # compiled once

    def furnish(self) -> None:
        """What a session needs beyond its greeting, once."""
        if hasattr(self, "gate"):
            return
        from qpopper_py.auth.gate import Gate
        from qpopper_py.logs.trace import open_taps
        from qpopper_py.privilege import no_core_dumps

        no_core_dumps()
        self.taps = open_taps(self.settings, self.warn)
        self.gate = Gate(self.settings, self.emit)

    def converse(self, stream: "Stream", teller: "Teller", by: "Listener | None" = None) -> None:
        """Serve one connection, that came ``by`` a listener or by inetd, from greeting to sign-off, and close it.

        ``teller``: to whoever counts sessions.
        """
        from qpopper_py.auth.stamp import wanted
        from qpopper_py.errors import ConnectionOver
        from qpopper_py.events import Note
        from qpopper_py.kinds.listeners import Listener
        from qpopper_py.protocol.reply import greeting
        from qpopper_py.serve.facts import learn

        gate = None
        try:
            listener = self.settings.listener(by or Listener())
            stamp = wanted(self.settings, self.emit, listener.stamp)
            facts = learn(stream, self.settings, listener, stamp, self.emit, teller.quiet)
            if facts is None or (facts.proxy and not teller.client(facts.peer)):
                return  # without a word
            if self.settings.hosts_access == "on":
                from qpopper_py.serve.hosts_access import admitted

                if not admitted(stream, facts, self.settings, self.emit):
                    return  # without a word, as tcpd does
            if listener.tls == "implicit":
                stream = self.secured(stream, facts)
            if listener.kpop and (gate := self.kerberized(stream, facts)) is None:
                return  # what it was answered is KPOP's
            line = greeting(self.dialect, facts)
            try:
                stream.send(memoryview(line))
            except OSError:
                return  # gone before it was greeted
            stream = self.serve(stream, facts, line, teller, gate)
        except ConnectionOver as why:
            self.emit(Note(facts, str(why), "debug"))
        finally:
            stream.close()

    def secured(self, stream: "Stream", facts: "Facts") -> "Stream":
        """TLS over ``stream``, from its first octet.  Raises ConnectionOver."""
        from qpopper_py.errors import PeerGone, TlsUnavailable

        tls = self.tls()
        try:
            if not tls:
                raise TlsUnavailable("tls is implicit, but tls.certificate is empty; name the file")
            return tls.ready(stream, facts)()
        except TlsUnavailable as why:
            self.warn(str(why), facts)
            raise PeerGone("there is no TLS for it") from None

    def kerberized(self, stream: "Stream", facts: "Facts") -> "Gate | None":
        """What judges a client that has shown a ticket, or None: it has not, and heard so."""
        from qpopper_py.serve.kpop import ticketed

        self.furnish()
        facts.stamp = ""  # the ticket is the one way in
        seconds = self.settings.login_timeout
        # it takes the same calls
        return ticketed(stream, facts, self.gate, seconds, self.emit)  # type: ignore[return-value]

    def serve(
        self, stream: "Stream", facts: "Facts", line: bytes, teller: "Teller", gate: "Gate | None" = None
    ) -> "Stream":
        """What follows the greeting ``line``; the stream that it ended on.  ``gate``: another than the house's."""
        from qpopper_py.serve.roles import where
        from qpopper_py.session.session import Session
        from qpopper_py.session.wire import Wire

        try:
            self.furnish()
            wire = Wire(stream, self.settings.limits_line, self.settings.transfer_timeout)
            session = Session(self.settings, self.dialect, facts, wire, gate or self.gate, self.emit, self.taps)
            tls = self.tls()
            session.starttls = tls.ready if tls and facts.listener.tls == "starttls" else None
            session.greeted(line)
            account = session.authorize()
            stream = wire.stream
            if account is not None:
                teller.logged_in()
                facts.quiet = False
                self.enter(session, account, facts)
        except Exception as why:  # noqa: BLE001  # the client hears nothing, the log everything
            from qpopper_py.events import Trouble

            self.emit(Trouble(facts, where(why)))
        return stream

    def enter(self, session: "Session", account: "Account", facts: "Facts") -> None:
        """The TRANSACTION state, in a process that is the mail user."""
        from qpopper_py.serve.maildrops import maildrop_of, open_maildrop, state_of
        from qpopper_py.serve.roles import KeptDotlock, as_mail_user
        from qpopper_py.serve.slots import Slot
        from qpopper_py.session.mailer import Mailer
        from qpopper_py.store.opening import NoStore, parted

        settings = self.settings
        if self.securing:
            self.securing.forget()

        def warn(what: str) -> None:
            self.warn(what, facts)

        def work(state: str, dotlock: "KeptDotlock | None") -> None:
            mailer = Mailer(settings, self.emit, facts, account.user, account.system, state)
            with Slot(state, settings, warn) as full:
                store = NoStore(full) if full else open_maildrop(account, facts.host, state, settings, warn, dotlock)
                session.transact(store, mailer, state)

        kind, path = parted(maildrop_of(account, settings)[0])
        mailbox = "" if kind == "maildir" else path
        as_mail_user(account, mailbox, state_of(account, settings), facts, self.emit, work)


if __name__ == "__main__":
    sys.exit(main())
