"""What happened, as values.  ``session``, ``serve`` and ``auth`` say it; ``logs`` makes records of it.

Fields hold what came from the network as it came: whoever writes a record escapes it (:func:`printable`).
No event ever holds a password, a digest, a token or a line of the dialogue.
"""

TYPE_CHECKING = False
if TYPE_CHECKING:
    from qpopper_py.facts import Facts


class Event:
    """Base of all that follows; ``facts`` says of which connection (None: of the service)."""

    __slots__ = ("facts",)

    def __init__(self, facts: "Facts | None") -> None:
        self.facts = facts


class SessionStarted(Event):
    """A client was accepted; the greeting is about to be sent."""


class LoginRefused(Event):
    """A login was refused.  ``why`` is for the log alone; ``user`` is as the client gave it, or the gate's tag for it.

    ``temporary``: the fault is ours (a database that cannot be read), and no reason to ban the client.
    """

    __slots__ = ("mechanism", "temporary", "user", "why")

    def __init__(self, facts: "Facts", user: str, mechanism: str, why: str, temporary: bool = False) -> None:
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

    def __init__(self, facts: "Facts", user: str, kind: str, outcome: str, why: str = "") -> None:
        super().__init__(facts)
        self.user = user
        self.kind = kind
        self.outcome = outcome
        self.why = why


class LoggedIn(Event):
    """A login was granted and the maildrop is open; ``mailbox`` is its path."""

    __slots__ = ("mailbox", "mechanism", "messages", "octets", "source", "user")

    def __init__(
        self, facts: "Facts", user: str, mechanism: str, source: str, messages: int, octets: int, mailbox: str = ""
    ) -> None:
        super().__init__(facts)
        self.user = user
        self.mechanism = mechanism
        self.source = source
        self.mailbox = mailbox
        self.messages = messages
        self.octets = octets


class Submitted(Event):
    """A message by XTND XMIT was handed to the mailer, which ended with ``status``."""

    __slots__ = ("octets", "recipients", "status", "user")

    def __init__(self, facts: "Facts", user: str, octets: int, recipients: int, status: int) -> None:
        super().__init__(facts)
        self.user = user
        self.octets = octets
        self.recipients = recipients
        self.status = status


class CommandFailed(Event):
    """A command was answered -ERR; ``line`` is its safe form, ``text`` what was answered."""

    __slots__ = ("line", "text", "user")

    def __init__(self, facts: "Facts", user: str, line: str, text: str) -> None:
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

    __slots__ = (
        "auth_seconds",
        "clean_seconds",
        "deleted",
        "deleted_octets",
        "how",
        "init_seconds",
        "left",
        "left_octets",
        "retrieved",
        "sent_octets",
        "tops",
        "user",
    )

    def __init__(
        self,
        facts: "Facts",
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
        self.auth_seconds = self.init_seconds = self.clean_seconds = 0.0  # from greeting to login; opening; update
        self.tops = 0  # how often TOP was answered


class Trouble(Event):
    """Something an administrator must know.  ``what`` names it, where it is, and what to do.

    ``level`` is ``warning`` or ``error``.
    """

    __slots__ = ("level", "what")

    def __init__(self, facts: "Facts | None", what: str, level: str = "error") -> None:
        super().__init__(facts)
        self.level = level
        self.what = what


class Note(Event):
    """A line of information about the service (start, stop), or, at level ``debug``, about a session."""

    __slots__ = ("level", "what")

    def __init__(self, facts: "Facts | None", what: str, level: str = "info") -> None:
        super().__init__(facts)
        self.level = level
        self.what = what


class Tap:
    """Something that watches the dialogue itself.  It is handed safe forms only: secrets are masked before."""

    descriptor = -1  # of the file that it writes, which every process of ours keeps open; -1: none

    def received(self, facts: "Facts", user: str, line: str) -> None:
        """A command, printable, its secrets masked.  ``user`` is empty until one was named."""

    def sent(self, facts: "Facts", user: str, line: bytes) -> None:
        """A status line, or a line of a listing, without its line end."""

    def body(self, facts: "Facts", user: str, sent: bool, piece: bytes) -> None:
        """A piece of a message, going out (``sent``) or coming in."""

    def logged_in(self, facts: "Facts", user: str) -> None:
        """``user`` logged in, and this process has the maildrop open; what is said of it follows."""

    def moved(self, facts: "Facts", user: str) -> None:
        """``user`` logged in, and another process goes on with the session."""

    def closed(self, facts: "Facts") -> None:
        """The session is over; what is pending of it can be written and forgotten."""


def printable(text: str | bytes) -> str:
    """``text`` with everything but printable ASCII escaped: safe in a log line, reversible by eye."""
    if isinstance(text, str):
        if text.isascii() and text.isprintable() and "\\" not in text:
            return text
        text = text.encode("utf-8", "surrogateescape")
    return "".join(chr(c) if 32 <= c < 127 and c != 92 else "\\\\" if c == 92 else f"\\x{c:02x}" for c in text)
