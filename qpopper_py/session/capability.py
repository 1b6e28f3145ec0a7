"""CAPA (RFC 2449), computed from the table: what is announced is what is served."""

import time

from qpopper_py import __version__
from qpopper_py.protocol.reply import Reply, listing

TYPE_CHECKING = False
if TYPE_CHECKING:
    from qpopper_py.session.session import Session
    from qpopper_py.settings import Settings

# RFC 2449 section 6.4, RFC 3206: where the dialect has response codes.
CODES = ("RESP-CODES", "AUTH-RESP-CODE")


def capa(session: "Session", words: "list[bytes]") -> Reply:
    """The same list before and after login, but for what depends on TLS: clients ask once, and again after STLS."""
    said = [row.capa for same_verb in session.rows.values() for row in same_verb]
    lines = [line for line in (capa if isinstance(capa, str) else capa(session) for capa in said) if line]
    lines += ["PIPELINING", *(CODES if session.codes else ()), *features(session.settings)]
    if session.dialect.local_time:
        lines.append("X-LOCALTIME " + time.strftime("%a, %d %b %Y %H:%M:%S %z"))
    if session.account or session.settings.server_info == "on":
        lines.append("IMPLEMENTATION " + session.dialect.say("implementation", version=__version__))
    said_already = {line.partition(" ")[0] for line in lines}
    lines += [line for line in session.dialect.announced if line.partition(" ")[0] not in said_already]
    if order := session.dialect.capa:
        lines.sort(key=lambda line: order.index(word) if (word := line.partition(" ")[0]) in order else len(order))
    return Reply(session.dialect.say("capa"), listing(lines))


def features(settings: "Settings") -> "list[str]":
    """What settings alone decide."""
    delay = settings.login_delay_announced or settings.login_delay
    lines = [expire(settings)]
    if delay:
        lines.append(f"LOGIN-DELAY {delay}")  # RFC 2449 section 6.4
    return [*lines, "XLINES"] if settings.scan_lines else lines


def expire(settings: "Settings") -> str:
    """RFC 2449 section 6.7: days that mail is kept at least; 0: what was retrieved is not kept."""
    return f"EXPIRE {'0' if settings.auto_delete else settings.expire.upper()}"
