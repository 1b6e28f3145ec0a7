"""What the greeting needs, and no more: under inetd the client waits while we import (posix: see stream.py)."""

import posix

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from qpopper_py.events import Event
    from qpopper_py.facts import Facts, Listener
    from qpopper_py.personality.commandline import Invocation
    from qpopper_py.serve.teller import Teller
    from qpopper_py.stream import Stream

LINK = 0o12  # st_mode >> 12, inode(7)


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
    import encodings  # which the interpreter itself begins with

    closed = closed_to_others(encodings.__file__, __file__)
    if closed:
        from qpopper_py.errors import ConfigurationError

        raise ConfigurationError(
            f"started as root, but other users cannot read {closed}, and mail is served as them; use the system's"
            " Python and make install, or start it as another user"
        )


def closed_to_others(*paths: str) -> str:
    """The first file or folder on the way to ``paths`` that not everybody may pass or read; empty if all is open.

    The mail process imports as the user: from an interpreter or a package in root's home it could not.
    """
    return next(filter(None, (_closed(path, 0o004) for path in paths)), "")


def _closed(place: str, wanted: int) -> str:
    """What is closed on the way to ``place``, whose mode is to have ``wanted``."""
    while place:
        mode, parent = posix.lstat(place).st_mode, place.rpartition("/")[0]
        if mode >> 12 == LINK:
            target = posix.readlink(place)
            if closed := _closed(target if target.startswith("/") else f"{parent}/{target}", wanted):
                return closed
        elif not mode & wanted:
            return place
        place, wanted = parent, 0o001
    return ""


class Bus:
    """Hands each event to every sink.  A sink that fails must not end a session: it is dropped."""

    __slots__ = ("sinks",)

    def __init__(self, *sinks: "Callable[[Event], None]") -> None:
        self.sinks = list(sinks)

    def __call__(self, event: "Event") -> None:
        for sink in tuple(self.sinks):
            try:
                sink(event)
            except Exception:  # noqa: BLE001  # whatever a sink does, mail goes on
                self.sinks.remove(sink)


class Doorstep:
    """Settings, dialect and log, and the first words to a client."""

    def __init__(self, invocation: "Invocation", read: "Callable[[], Invocation] | None" = None) -> None:
        """``read``: reads command line and configuration again."""
        if posix.geteuid() == 0:
            must_be_open_to_all()
        posix.umask(0o077)
        self.settings = invocation.settings
        self.dialect = invocation.personality.DIALECT
        self.read = read
        self.emit = Bus(self.open_log)

    def open_log(self, event: "Event") -> None:
        """The first event opens the log, which takes this sink's place."""
        self.reopen_log()
        self.emit(event)

    def reopen_log(self) -> None:
        """A connection to the log that is this process's own; one that cannot be had keeps nobody from the mail."""
        from qpopper_py.logs.syslog import open_log

        for sink in self.emit.sinks:
            close = getattr(sink, "close", None)
            if close:
                close()
        self.emit.sinks.clear()
        try:
            self.emit.sinks.append(open_log(self.settings, self.settings.log_ident))
        except Exception as why:  # noqa: BLE001
            last_resort(why)

    def warn(self, what: str, facts: "Facts | None" = None) -> None:
        from qpopper_py.events import Trouble

        self.emit(Trouble(facts, what, "warning"))

    def shut(self, stream: "Stream", listener: "Listener") -> bool:
        """Whether shutdown_files keep everybody out; then the client is told."""
        from qpopper_py.arrival import closed
        from qpopper_py.protocol.reply import status

        text = closed(self.settings.shutdown_files)
        if text is None:
            return False
        if listener.tls != "implicit" and not listener.kpop:  # to them a line in the clear says nothing
            try:
                stream.send(memoryview(status(False, self.dialect.say("shutdown", text=text), "SYS/TEMP")))
            except OSError:
                pass  # gone
        return True

    def debug(self, program: str) -> None:
        """Run what debug_command says, if it says anything."""
        if self.settings.debug_command:
            from qpopper_py.serve.debugging import run

            run(self.settings, program, self.warn)

    def greeting(self, facts: "Facts") -> bytes:
        """The first line to the client of ``facts``."""
        from qpopper_py.protocol.reply import greeting

        return greeting(self.dialect, facts, self.settings.server_info)

    def meet(
        self,
        stream: "Stream",
        by: "Listener",
        teller: "Teller | None",
        serve: "Callable[[Stream, Facts, int, Teller | None], None]",
    ) -> None:
        """Greet who came ``by`` a listener or by inetd, let ``serve`` do the rest, and close the connection.

        ``teller``: to whoever counts sessions.  ``serve`` hears how many octets of the greeting were sent: none to
        whom a ticket or TLS comes first.
        """
        from qpopper_py.arrival import learn, unknown
        from qpopper_py.stamp import wanted

        try:
            listener = self.settings.listener(by)
            stamp = wanted(self.settings, self.emit, listener.stamp)
            facts = learn(stream, self.settings, listener, stamp, self.emit, bool(teller and teller.quiet))
            if unknown(self.settings, facts, teller is not None):
                from qpopper_py.serve.porter import admitted

                if not admitted(stream, facts, self.settings, self.emit, teller, teller is not None):
                    return  # without a word, as tcpd does
            if self.settings.shutdown_files and self.shut(stream, listener):
                return
            line = b"" if listener.kpop or listener.tls == "implicit" else self.greeting(facts)
            try:
                if line:
                    stream.send(memoryview(line))
            except OSError:
                return  # gone before it was greeted
            serve(stream, facts, len(line), teller)
        finally:
            if stream.is_open():
                stream.close()
