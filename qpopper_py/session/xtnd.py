"""XTND XMIT and XTND XLST, Berkeley's extensions as UCB popper and Qpopper have them; they are in no RFC."""

from qpopper_py.errors import ConnectionOver, Refused
from qpopper_py.protocol.reply import Reply, status
from qpopper_py.protocol.text import field, header, stuffed, unstuffed
from qpopper_py.session.wire import LineTooLong

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    from qpopper_py.session.mailer import Draft
    from qpopper_py.session.session import Session

SLOWEST = 100  # octets a second of a submitted message: less than a modem of 1200 baud, more than a line a minute
MESSAGE_LINE = 1 << 20  # longest line of a submitted message; a mailer's own limit is far below


def xlst(session: "Session", words: "list[bytes]") -> Reply:
    """A header of every message, or of one, always multi-line.

    Messages marked as deleted, or without the header, have no line; the header is found by prefix and given with
    its name, continuation lines as they are stored.
    """
    drop = session.maildrop
    wanted = [drop.find(words[1])] if len(words) > 1 else list(range(len(drop.entries)))
    if not wanted:
        raise Refused(session.dialect.say("no_message", number=1))
    wanted = [index for index in wanted if index not in drop.marked]
    return Reply(session.dialect.say("xlst"), stuffed(_fields(session, wanted, words[0])))


def _fields(session: "Session", wanted: "list[int]", prefix: bytes) -> "Iterator[bytes]":
    for index in wanted:
        found = field(header(session.maildrop.store.read(index)), prefix)
        if found:
            yield b"%d " % (index + 1) + found


def xmit(session: "Session", words: "list[bytes]") -> Reply:
    """Take a message, dot-ended, and give it to the mailer.

    Whether the user may is decided before the message is asked for.  A client that goes away in mid-message
    has sent nothing.
    """
    draft = session.mailer.begin()
    try:
        session.say(status(True, session.dialect.say("xmit")))
        fits = _take(session, draft)
    except ConnectionOver:
        draft.discard()
        raise
    if not fits:
        draft.discard()
        raise Refused(session.dialect.say("xmit_too_large", limit=session.settings.limits_xmit_size))
    draft.send()
    return Reply(session.dialect.say("xmit_sent"))


def _take(session: "Session", draft: "Draft") -> bool:
    """Read the message up to its dot line into ``draft``; False if it is larger than allowed.

    A line must come within the time for a command, and all of it as fast as SLOWEST beyond that time once.
    """
    fits, octets, patience = True, 0, session.settings.timeout
    began = session.clock()
    while True:
        deadline = min(session.clock(), began + octets / SLOWEST) + patience
        try:
            line = session.wire.line(deadline, MESSAGE_LINE)
        except LineTooLong:
            fits = False
            continue
        if line == b".":
            return fits and not draft.too_large
        text = unstuffed(line) + b"\n"
        octets += len(text)
        session.taps.given(session.user, text)
        draft.write(text)
