"""Commands that Qpopper alone had: EUIDL, MDEF, and MANGLE on LIST, RETR and TOP.  No RFC has them.

``X-MANGLE(TEXT=PLAIN)`` behind such a command, or ``MANGLE``, asks for the message reduced to one text; a user whose
name ends in -no-mime asks for it in RETR and TOP throughout.  Sizes in such answers are the reduced message's, those
of STAT and of LIST without the word are the mail's own.
"""

from qpopper_py.errors import Refused
from qpopper_py.protocol.reply import Reply, listing
from qpopper_py.protocol.request import number, plain
from qpopper_py.protocol.text import field, header, stuffed
from qpopper_py.protocol.text import top as cut
from qpopper_py.session import transaction
from qpopper_py.session.maildrop import UID_NUMBERED

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from qpopper_py.session.session import Session

SENDER = 128  # characters of the From field in EUIDL
MACROS = 10
MACRO_NAME = 100
LARGEST = 16 << 20  # octets of a message that is reduced; a larger one is sent as it is, for it must be held whole
SECONDS = 10  # that it may take; what takes longer is sent as it is
KINDS = (b"plain", b"html")


def euidl(session: "Session", words: "list[bytes]") -> Reply:
    """UIDL with size and sender, made for the Newton.  The sender is data: it is never read as a template."""
    drop = session.maildrop
    indexes = [drop.open(words[0], UID_NUMBERED)] if words else list(drop.unmarked())
    uids = drop.store.uids()
    lines = [
        session.dialect.say(
            "euidl_one", number=index + 1, uid=uids[index], octets=drop.sizes[index], sender=sender(session, index)
        ).rstrip()
        for index in indexes
    ]
    return Reply(lines[0]) if words else Reply(session.dialect.say("euidl"), listing(lines))


def sender(session: "Session", index: int) -> str:
    """The first line of the From field, fit for a reply; empty if there is none."""
    found = field(header(session.maildrop.store.read(index)), b"From:")
    return plain(found.split(b"\r\n")[0][5:].replace(b"\t", b" ").strip(), SENDER)


def mdef(session: "Session", words: "list[bytes]") -> Reply:
    """``MDEF NAME(VALUE)``: an argument of a later command that equals NAME stands for VALUE."""
    name, opening, value = words[0].strip().partition(b"(")
    if not opening or not name or b" " in name or not value.endswith(b")"):
        raise Refused(session.dialect.say("mdef_syntax"))
    if len(name) > MACRO_NAME:
        raise Refused(session.dialect.say("mdef_too_long"))
    if name not in session.macros and len(session.macros) >= MACROS:
        raise Refused(session.dialect.say("mdef_too_many", limit=MACROS))
    session.macros[name] = value[:-1]
    return Reply(session.dialect.say("mdef", name=plain(name, MACRO_NAME)))


def list_(session: "Session", words: "list[bytes]") -> Reply:
    """LIST with a word behind the number: the size that RETR with this word would give."""
    index = session.maildrop.open(words[0])
    octets = len(reduced(session, index, asked(session, "LIST", words[1])))
    return Reply(session.dialect.say("list_one", number=index + 1, octets=octets))


def retr(session: "Session", words: "list[bytes]") -> Reply:
    """RETR, of the reduced message where that is asked for."""
    if len(words) == 1 and not session.reduced:
        return transaction.retr(session, words)
    index = session.maildrop.open(words[0])
    text = reduced(session, index, asked(session, "RETR", *words[1:]))
    pieces = transaction.retrieved(session, index, iter([text]))
    return Reply(session.dialect.say("retr", octets=len(text)), pieces, mail=True)


def top(session: "Session", words: "list[bytes]") -> Reply:
    """TOP, of the reduced message where that is asked for."""
    if len(words) == 2 and not session.reduced:
        return transaction.top(session, words)
    index = session.maildrop.open(words[0])
    lines = number(words[1])
    if lines is None:
        raise Refused(session.dialect.say("bad_lines"))
    text = reduced(session, index, asked(session, "TOP", *words[2:]))
    return Reply(session.dialect.say("top", octets=len(text)), stuffed(cut(iter([text]), lines)), mail=True)


def asked(session: "Session", verb: str, word: bytes = b"mangle") -> str:
    """``MANGLE``, ``X-MANGLE`` or ``X-MANGLE(TEXT=PLAIN)``, in any case: plain or html.  Refused for anything else."""
    name, opening, rest = word.lower().partition(b"(")
    if name not in (b"mangle", b"x-mangle"):
        raise Refused(session.dialect.say("mangle_unknown", verb=verb, word=plain(word, 128)))
    kind = b"plain"
    if opening:
        if not rest.endswith(b")"):
            raise Refused(session.dialect.say("mangle_syntax"))
        for item in rest[:-1].split(b";"):
            key, equals, value = item.partition(b"=")
            if key.strip() != b"text" or not equals or value.strip() not in KINDS:
                raise Refused(session.dialect.say("mangle_syntax"))
            kind = value.strip()
    return kind.decode("ascii")


def reduced(session: "Session", index: int, kind: str) -> bytes:
    """The message as one text.  Raises MaildropError; what cannot be made sense of comes as it is."""
    drop = session.maildrop
    whole = b"".join(drop.store.read(index))
    if len(whole) > LARGEST:
        return whole
    from qpopper_py.protocol import plain_text

    try:
        return within(SECONDS, lambda: plain_text.reduced(whole, kind))
    except TimeoutError:
        session.warn(
            f"message {index + 1} of {session.user} was not reduced to text in {SECONDS} s; it is sent as it is"
        )
        return whole


def within(seconds: float, work: "Callable[[], bytes]") -> bytes:
    """What ``work`` makes; TimeoutError where that takes longer: a stranger's mail must not keep us busy for hours.

    By an alarm, which only the main thread can have; in another it takes its time.
    """
    import signal

    late: list[bool] = []

    def over(*_: object) -> None:
        late.append(True)
        raise TimeoutError

    try:
        before = signal.signal(signal.SIGALRM, over)
    except ValueError:
        return work()
    signal.setitimer(signal.ITIMER_REAL, seconds)
    try:
        made = work()
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before or signal.SIG_DFL)
    if late:
        raise TimeoutError
    return made
