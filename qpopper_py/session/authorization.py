"""Handlers of the AUTHORIZATION state (RFC 1939 sections 4 and 7)."""

from qpopper_py import events
from qpopper_py.errors import Refused
from qpopper_py.protocol.reply import SILENCE, Reply
from qpopper_py.protocol.request import plain
from qpopper_py.session.language import must_be_utf8

TYPE_CHECKING = False
if TYPE_CHECKING:
    from qpopper_py.auth.account import Account, Denied
    from qpopper_py.auth.credentials import Challenge
    from qpopper_py.session.session import Session

NO_MIME = b"-no-mime"


CLEAR = ("PASS", "PLAIN", "LOGIN")  # by which a password comes as it is


def user(session: "Session", words: "list[bytes]") -> Reply:
    """The same reply for every name: USER tells nobody who has an account."""
    must_be_utf8(session, words[0])
    refuse_unprotected(session, "USER")
    _refuse_cleartext(session, words[0])
    words = [plain_mail(session, words[0])]
    _name(session, words[0])
    return Reply(session.dialect.say("user", user=session.user))


def capability(session: "Session") -> str:
    """The line of CAPA: where a password may come as it is (auth.cleartext)."""
    from qpopper_py.auth import cleartext

    bare = not session.facts.private
    if not (bare and session.settings.tls_required) and cleartext.allowed(session.facts, session.settings):
        return "USER"
    return session.dialect.needs_tls if bare else ""


def _refuse_cleartext(session: "Session", name: bytes) -> None:
    """Raises Refused where the password of ``name`` must not come as it is: before it does, and alike for all."""
    from qpopper_py.auth import cleartext
    from qpopper_py.auth.credentials import spelled

    if not cleartext.allowed(session.facts, session.settings, spelled(name)):
        raise Refused(session.dialect.say(cleartext.remedy(session.facts, session.settings), verb="USER"), "AUTH")


def refuse_unprotected(session: "Session", verb: str) -> None:
    """Raises Refused for any way to log in, where tls.required asks for a connection that nobody can read."""
    if session.settings.tls_required and not session.facts.private:
        raise Refused(session.dialect.say("needs_tls", verb=verb), "AUTH")


def pass_(session: "Session", words: "list[bytes]") -> Reply:
    """PASS's argument is the whole rest of the line, blanks and all."""
    must_be_utf8(session, words[0])
    outcome = session.gate.check(session.name, words[0], session.facts)
    return decide(session, "PASS", outcome)


def apop(session: "Session", words: "list[bytes]") -> Reply:
    """APOP name digest; without a stamp in the greeting there is nothing to digest, so nobody passes."""
    must_be_utf8(session, words[0])
    refuse_unprotected(session, "APOP")
    words = [plain_mail(session, words[0]), *words[1:]]
    _name(session, words[0])
    outcome = session.gate.begin("APOP", session.facts).step(b" ".join(words))
    return decide(session, "APOP", outcome)


def plain_mail(session: "Session", name: bytes) -> bytes:
    """``name`` without the suffix by which Qpopper's users ask for MIME reduced to text (no_mime_suffix)."""
    bare = name[: -len(NO_MIME)]
    session.reduced = session.settings.no_mime_suffix and name.lower().endswith(NO_MIME) and bool(bare)
    return bare if session.reduced else name


def quit_(session: "Session", words: "list[bytes]") -> Reply:
    return Reply(session.dialect.say("signing_off", host=session.host))


def _name(session: "Session", name: bytes) -> None:
    """Whoever is about to log in; no log may have the name before it is known to be an account's."""
    session.name = name
    session.user = plain(name)
    session.alias = session.user if session.settings.log_unknown_names == "shown" else ""


def decide(session: "Session", mechanism: str, outcome: "Account | Challenge | Denied") -> Reply:
    """Let the client in, silently, or refuse; both at the moment that whoever guesses would hear either."""
    from qpopper_py.auth.account import Account, Denied

    if isinstance(outcome, Account):
        pause = outcome.wait
        if mechanism in CLEAR and not session.facts.private:
            pause = max(pause, session.settings.auth_login_pause)
        if pause:
            wait_for_the_moment(session, pause)
        session.account = outcome
        session.mechanism = mechanism
        session.user = outcome.user
        return SILENCE
    denied = outcome if isinstance(outcome, Denied) else Denied(session.user, "the exchange was not finished")
    session.alias = denied.alias or session.user
    session.emit(events.LoginRefused(session.facts, session.alias, mechanism, denied.why, denied.temporary))
    wait_for_the_moment(session, denied.wait)
    if denied.told:
        session.closing.how = "refused"
        session.hang_up()
        raise Refused(denied.told.strip(), "SYS/TEMP")
    session.failures += 1
    if session.failures == session.settings.auth_max_failures:
        session.closing.how = "refused"
        session.hang_up()
    if denied.temporary:
        raise Refused(session.dialect.say("no_login_now"), "SYS/TEMP")
    what = "refused" if mechanism == "PASS" else "refused_sasl"
    said, logged = (session.dialect.say(what, user=name) for name in (session.user, session.alias))
    raise Refused(said, "AUTH", logged)


def wait_for_the_moment(session: "Session", least: float) -> None:
    """A refusal leaves a fixed time after the line came in, or at a multiple of it.

    The work behind a refusal cannot be made equal for every cause; the moment can.  ``least``: seconds after the
    line came in; the gate's word, for whoever has been guessing, and for a multiple that is right for all.
    """
    delay = session.settings.auth_refusal_delay
    spent = session.clock() - session.asked
    moment = delay * (int(spent / delay) + 1) if delay else 0
    left = max(moment, least) - spent
    if left > 0:
        session.sleep(left)
