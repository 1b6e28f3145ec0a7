"""STLS (RFC 2595 section 4): TLS on a connection that began without.

What a client sent before TLS could be anybody's on the way: it is dropped, unread lines and the name of USER alike
(CVE-2011-0411 and its kin), and the session begins again.  Only the count of refused logins stays.
"""

from qpopper_py import events
from qpopper_py.errors import Refused, TlsUnavailable
from qpopper_py.protocol.reply import SILENCE, Reply, status

TYPE_CHECKING = False
if TYPE_CHECKING:
    from qpopper_py.session.session import Session


def capability(session: "Session") -> str:
    """The line of CAPA: where it is possible, and not under TLS, nor after the login (RFC 2595 section 4)."""
    return "STLS" if session.starttls and not session.facts.tls and not session.account else ""


def stls(session: "Session", words: "list[bytes]") -> Reply:
    """All that can fail on our side is tried before +OK; afterwards the connection is under TLS or over."""
    if session.facts.tls:
        raise Refused(session.dialect.say("under_tls"))
    if session.starttls is None:
        raise Refused(session.dialect.say("unknown", verb="stls"))
    try:
        begin = session.starttls(session.wire.stream, session.facts)
    except TlsUnavailable as why:
        session.warn(str(why))
        raise Refused(session.dialect.say("no_tls"), "SYS/TEMP") from None
    session.say(status(True, session.dialect.say("stls")))
    session.wire.flush()
    session.wire.restart(begin())
    session.name, session.user, session.alias, session.utf8 = b"", "", "", False
    tls = session.facts.tls
    assert tls
    session.emit(events.Note(session.facts, f"{tls.version} with {tls.cipher}", "debug"))
    return SILENCE
