"""What happened, as values.  ``session``, ``serve`` and ``auth`` say it; ``logs`` makes records of it.

Fields hold what came from the network as it came: whoever writes a record escapes it (:func:`printable`).
No event ever holds a password, a digest, a token or a line of the dialogue.
"""

from qpopper_py.kinds.listeners import Listener

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    Sink = Callable[["Event"], None]


class Tls:
    """The TLS layer of a connection, as plain values: they cross to other processes."""

    __slots__ = ("bits", "certificate", "cipher", "end_point", "server_name", "unique", "version")

    def __init__(
        self,
        version: str,
        cipher: str = "",
        bits: int = 0,
        server_name: str = "",
        unique: bytes = b"",
        end_point: bytes = b"",
        certificate: str = "",
    ) -> None:
        self.version = version  # "TLSv1.3"
        self.cipher = cipher
        self.bits = bits
        self.server_name = server_name  # which the client asked for (SNI), or empty
        self.unique = unique  # tls-unique, RFC 5929 section 3; empty where the version has none
        self.end_point = end_point  # tls-server-end-point, RFC 5929 section 4
        self.certificate = certificate  # the user whom the client's verified certificate names, or empty


class Facts:
    """What is known of one connection from its first moment: who, where, which session."""

    __slots__ = (
        "host",
        "listener",
        "local",
        "local_port",
        "peer",
        "peer_name",
        "peer_port",
        "proxy",
        "quiet",
        "secure",
        "session",
        "stamp",
        "tls",
    )

    def __init__(
        self,
        session: str,
        peer: str = "",
        peer_port: int = 0,
        local: str = "",
        local_port: int = 0,
        peer_name: str = "",
        host: str = "localhost",
        stamp: str = "",
        secure: bool = False,
        tls: Tls | None = None,
        proxy: str = "",
        listener: Listener | None = None,
        quiet: bool = False,
    ) -> None:
        self.session = session  # id of the session, unique on this host for years
        self.peer = peer  # the client's address; empty when descriptor 0 is no socket
        self.peer_port = peer_port
        self.local = local
        self.local_port = local_port
        self.peer_name = peer_name  # by reverse look-up, only if that was asked for
        self.host = host  # our own name, in greeting and stamp
        self.stamp = stamp  # the APOP stamp with its angle brackets, or empty
        self.secure = secure  # an outer layer encrypts
        self.tls = tls  # ours
        self.proxy = proxy  # the address that passed the connection on (PROXY protocol), or empty
        self.listener = listener or Listener()  # how who connects there is met
        self.quiet = quiet  # one of so many that the log leaves it out until it logs in

    @property
    def client(self) -> str:
        """The client as popper's records name it: name, else address, else localhost."""
        return self.peer_name or self.peer or "localhost"

    @property
    def same_host(self) -> bool:
        """Client and server are this host.  Never through a proxy: who is behind it is anywhere."""
        if self.proxy or not self.peer:
            return False
        return self.peer == self.local or self.peer == "::1" or self.peer.startswith("127.")

    @property
    def private(self) -> bool:
        """Nobody on the way can read along."""
        return self.secure or self.tls is not None


class Event:
    """Base of all that follows; ``facts`` says of which connection (None: of the service)."""

    __slots__ = ("facts",)

    def __init__(self, facts: Facts | None) -> None:
        self.facts = facts


class SessionStarted(Event):
    """A client was accepted; the greeting is about to be sent."""


class LoginRefused(Event):
    """A login was refused.  ``why`` is for the log alone; ``user`` is as the client gave it, or the gate's tag for it.

    ``temporary``: the fault is ours (a database that cannot be read), and no reason to ban the client.
    """

    __slots__ = ("mechanism", "temporary", "user", "why")

    def __init__(self, facts: Facts, user: str, mechanism: str, why: str, temporary: bool = False) -> None:
        super().__init__(facts)
        self.user = user
        self.mechanism = mechanism
        self.why = why
        self.temporary = temporary


class Audited(Event):
    """With auth.c2, what the gate decided of a credential (``password``, ``digest``, ...), for the audit trail.

    ``user`` is empty when it is no account's name: it may be a password.  ``outcome``: success, failed, or error
    when the fault is ours.
    """

    __slots__ = ("kind", "outcome", "user", "why")

    def __init__(self, facts: Facts, user: str, kind: str, outcome: str, why: str = "") -> None:
        super().__init__(facts)
        self.user = user
        self.kind = kind
        self.outcome = outcome
        self.why = why


class LoggedIn(Event):
    """A login was granted and the maildrop is open."""

    __slots__ = ("mechanism", "messages", "octets", "source", "user")

    def __init__(self, facts: Facts, user: str, mechanism: str, source: str, messages: int, octets: int) -> None:
        super().__init__(facts)
        self.user = user
        self.mechanism = mechanism
        self.source = source
        self.messages = messages
        self.octets = octets


class Submitted(Event):
    """A message by XTND XMIT was handed to the mailer, which ended with ``status``."""

    __slots__ = ("octets", "recipients", "status", "user")

    def __init__(self, facts: Facts, user: str, octets: int, recipients: int, status: int) -> None:
        super().__init__(facts)
        self.user = user
        self.octets = octets
        self.recipients = recipients
        self.status = status


class CommandFailed(Event):
    """A command was answered -ERR; ``line`` is its safe form, ``text`` what was answered."""

    __slots__ = ("line", "text", "user")

    def __init__(self, facts: Facts, user: str, line: str, text: str) -> None:
        super().__init__(facts)
        self.user = user
        self.line = line
        self.text = text


class SessionClosed(Event):
    """The session is over, after the update if there was one.

    ``how``: ``quit``, ``timeout``, ``hangup``, ``refused``, ``error``.  The counts tell what was really done:
    ``deleted``/``deleted_octets`` are what the update removed (0 if it failed or never came), ``left`` and
    ``left_octets`` what is in the maildrop of those that the session saw.
    """

    __slots__ = ("deleted", "deleted_octets", "how", "left", "left_octets", "retrieved", "sent_octets", "user")

    def __init__(
        self,
        facts: Facts,
        user: str = "",
        how: str = "quit",
        deleted: int = 0,
        deleted_octets: int = 0,
        left: int = 0,
        left_octets: int = 0,
        retrieved: int = 0,
        sent_octets: int = 0,
    ) -> None:
        super().__init__(facts)
        self.user = user
        self.how = how
        self.deleted = deleted
        self.deleted_octets = deleted_octets
        self.left = left
        self.left_octets = left_octets
        self.retrieved = retrieved
        self.sent_octets = sent_octets


class Trouble(Event):
    """Something an administrator must know.  ``what`` names it, where it is, and what to do.

    ``level`` is ``warning`` or ``error``.
    """

    __slots__ = ("level", "what")

    def __init__(self, facts: Facts | None, what: str, level: str = "error") -> None:
        super().__init__(facts)
        self.level = level
        self.what = what


class Note(Event):
    """A line of information about the service (start, stop), or, at level ``debug``, about a session."""

    __slots__ = ("level", "what")

    def __init__(self, facts: Facts | None, what: str, level: str = "info") -> None:
        super().__init__(facts)
        self.level = level
        self.what = what


class Tap:
    """Something that watches the dialogue itself.  It is handed safe forms only: secrets are masked before."""

    descriptor = -1  # of the file that it writes, which every process of ours keeps open; -1: none

    def received(self, facts: Facts, user: str, line: str) -> None:
        """A command, printable, its secrets masked.  ``user`` is empty until one was named."""

    def sent(self, facts: Facts, user: str, line: bytes) -> None:
        """A status line, or a line of a listing, without its line end."""

    def body(self, facts: Facts, user: str, sent: bool, piece: bytes) -> None:
        """A piece of a message, going out (``sent``) or coming in."""

    def moved(self, facts: Facts, user: str) -> None:
        """``user`` logged in, and another process goes on with the session."""

    def closed(self, facts: Facts) -> None:
        """The session is over; what is pending of it can be written and forgotten."""


class Bus:
    """Hands each event to every sink.  A sink that fails must not end a session: it is dropped."""

    __slots__ = ("sinks",)

    def __init__(self, *sinks: "Sink") -> None:
        self.sinks = list(sinks)

    def __call__(self, event: Event) -> None:
        for sink in tuple(self.sinks):
            try:
                sink(event)
            except Exception:  # noqa: BLE001  # whatever a sink does, mail goes on
                self.sinks.remove(sink)


def printable(text: str | bytes) -> str:
    """``text`` with everything but printable ASCII escaped: safe in a log line, reversible by eye."""
    if isinstance(text, str):
        text = text.encode("utf-8", "surrogateescape")
    return "".join(chr(c) if 32 <= c < 127 and c != 92 else "\\\\" if c == 92 else f"\\x{c:02x}" for c in text)
