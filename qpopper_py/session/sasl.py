"""AUTH (RFC 5034): an exchange of base64 lines between the client and the gate.

Without an argument it lists the mechanisms, as old clients expect that learnt it before RFC 2449 had CAPA.
No response is ever shown to a log or a tap, nor what it answers.
"""

from qpopper_py.auth.credentials import Challenge
from qpopper_py.errors import Refused
from qpopper_py.protocol.reply import Reply, challenge, listing
from qpopper_py.protocol.request import MASK, plain
from qpopper_py.session.authorization import decide, refuse_unprotected, wait_for_the_moment
from qpopper_py.session.wire import LineTooLong

TYPE_CHECKING = False
if TYPE_CHECKING:
    from qpopper_py.auth.account import Account, Denied
    from qpopper_py.session.door import Conversation
    from qpopper_py.session.session import Session

    Outcome = Account | Challenge | Denied

MOST_STEPS = 12  # GSSAPI, the longest, has five


def capability(session: "Session") -> str:
    """The line of CAPA: what can succeed here and now; once logged in, what could when it was last announced."""
    if session.account is None:
        bare = session.settings.tls_required and not session.facts.private
        session.offered = () if bare else session.gate.mechanisms(session.facts)
    return " ".join(["SASL", *session.offered]) if session.offered else ""


def list_(session: "Session", words: "list[bytes]") -> Reply:
    capability(session)
    return Reply(session.dialect.say("mechanisms"), listing(session.offered) if session.offered else ())


def auth(session: "Session", words: "list[bytes]") -> Reply:
    """AUTH mechanism [initial response]."""
    refuse_unprotected(session, "AUTH")
    name = plain(words[0]).upper()
    session.name, session.user, session.alias = b"", "", ""
    capability(session)
    if name not in session.offered:
        raise Refused(session.dialect.say("no_mechanism"))
    exchange = session.gate.begin(name, session.facts)
    outcome = _begin(session, exchange, words[1] if len(words) > 1 else None)
    for _ in range(MOST_STEPS):
        if not isinstance(outcome, Challenge):
            return _settle(session, name, outcome)
        if outcome.refusal is not None:
            return _refuse(session, name, outcome.refusal, outcome.data)
        if outcome.wait:
            wait_for_the_moment(session, outcome.wait)
        outcome = exchange.step(_ask(session, outcome.data))
    raise Refused(session.dialect.say("bad_response"))


def _begin(session: "Session", exchange: "Conversation", initial: bytes | None) -> "Outcome":
    """The gate's answer to the initial response, if there is one; ``=`` stands for an empty one."""
    if initial is None:
        return exchange.step(b"")
    if initial != b"=":
        return exchange.step(_decoded(session, initial))
    outcome = exchange.step(b"")
    if not isinstance(outcome, Challenge):
        return outcome
    if outcome.data:  # in this mechanism the server begins
        raise Refused(session.dialect.say("bad_response"))
    return exchange.step(b"")


def _settle(session: "Session", name: str, outcome: "Account | Denied") -> Reply:
    session.name = outcome.user.encode("utf-8", "surrogateescape")
    session.user = plain(session.name)
    return decide(session, name, outcome)


def _refuse(session: "Session", name: str, refusal: "Denied", words: bytes) -> Reply:
    """The refusal, whose moment is that of ``words``: the client answers them, whatever, and is told -ERR at once."""
    try:
        return _settle(session, name, refusal)
    except Refused:
        try:
            _ask(session, words)
        except Refused:
            pass  # cancelled, which is an answer too
        raise


def _ask(session: "Session", data: bytes) -> bytes:
    """Send a challenge and wait for its response.  Raises Refused: cancelled, too long, or not base64."""
    from binascii import b2a_base64

    session.wire.write(challenge(b2a_base64(data, newline=False)))
    session.taps.sent(session.user, f"+ {MASK}".encode() if data else b"+ ")
    try:
        line = session.wire.line(session.deadline(), session.settings.limits_sasl)
    except LineTooLong:
        raise Refused(session.dialect.say("too_long", limit=session.settings.limits_sasl)) from None
    session.asked = session.clock()
    session.taps.received(session.user, f"auth - {MASK}")
    if line == b"*":
        raise Refused(session.dialect.say("cancelled"))
    return _decoded(session, line)


def _decoded(session: "Session", text: bytes) -> bytes:
    """The octets of RFC 4648 base64.  Raises Refused."""
    from binascii import a2b_base64

    try:
        return a2b_base64(text, strict_mode=True)
    except ValueError:
        raise Refused(session.dialect.say("bad_response")) from None
