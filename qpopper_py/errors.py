"""The one tree of what can go wrong, and what happens next.

::

    QpopperError
      ConfigurationError     nothing is served; names the option and where it was set
      MissingLibrary         one feature is refused; says what to install
      Refused                a -ERR with this text; the session goes on
        TryLater             the same, and the cause is on our side: [SYS/TEMP]
      MaildropError          the maildrop cannot be served
        MaildropBusy         [IN-USE]: another session or a delivery holds it
        MaildropUnusable     [SYS/PERM]: not a mailbox, not the user's, not a file
        MaildropMissing      [SYS/TEMP]: the user has no such folder
        MaildropForbidden    [SYS/TEMP]: the user may know of it, and not read it
        MaildropTrouble      [SYS/TEMP]: the system refused (ENOSPC, EIO, ...); nothing was changed, or the text says
        MaildropChanged      somebody else changed it under the session; ends it without an update
      ConnectionOver         the client can no longer be talked to
        PeerGone             it closed, or reset
        TimedOut             it was silent, or accepted nothing, for too long
      TlsUnavailable         TLS cannot begin on this connection; the text is for the log
      CredentialStoreError   a database of secrets cannot be read: refuse, never skip

Texts are for people: they name what was wrong, where, and what to do.  A text that may reach the client
is in ``Refused.text``; everything else is for the log.
"""


class QpopperError(Exception):
    """Root of all that this program raises on purpose."""


class ConfigurationError(QpopperError):
    """An option, a setting or a file that configures us is wrong; nothing is served."""


class MissingLibrary(QpopperError):
    """A feature needs a library that is not here; the text says what to install."""


class Refused(QpopperError):
    """A command is answered -ERR and the session goes on.

    ``code`` is an RFC 2449/3206 response code without brackets (``IN-USE``, ``AUTH``, ``SYS/TEMP``,
    ``SYS/PERM``), or empty.  ``text`` reaches the client; ``logged`` the log, where that must not have it all.
    """

    def __init__(self, text: str, code: str = "", logged: str = "") -> None:
        super().__init__(text)
        self.text = text
        self.logged = logged or text
        self.code = code


class TryLater(Refused):
    """A command failed for a cause on our side that may pass (RFC 3206: [SYS/TEMP])."""

    def __init__(self, text: str) -> None:
        super().__init__(text, "SYS/TEMP")


class MaildropError(QpopperError):
    """The maildrop cannot be served.  The text is for the log: path, cause, what to do."""

    code = "SYS/TEMP"


class MaildropBusy(MaildropError):
    """Another session, or a delivery that outlasted our patience, holds the maildrop."""

    code = "IN-USE"


class LoginTooEarly(MaildropError):
    """The user's last session ended less than login_delay ago (RFC 2449 section 8.1.1)."""

    code = "LOGIN-DELAY"


class MaildropUnusable(MaildropError):
    """What lies there is not a maildrop of this user; only a person can mend it."""

    code = "SYS/PERM"


class MaildropMissing(MaildropError):
    """The user has no folder of the name that the login asked for."""


class MaildropForbidden(MaildropError):
    """The user may know of the maildrop, and not read it; the code is that of Cyrus."""


class MaildropTrouble(MaildropError):
    """The system refused a read or a write; the maildrop is as it was, unless the text says what is left to finish."""


class MaildropChanged(MaildropError):
    """Something other than an append happened under the session; it ends with no update."""


class ConnectionOver(QpopperError):
    """The client can no longer be talked to."""


class PeerGone(ConnectionOver):
    """The client closed or reset the connection."""


class TimedOut(ConnectionOver):
    """The client was silent, or accepted nothing, for longer than it may."""


class TlsUnavailable(QpopperError):
    """TLS cannot begin now: a file that is not good, or too many handshakes.  The text is for the log."""


class CredentialStoreError(QpopperError):
    """A database of secrets cannot be read or trusted: logins that need it are refused."""
