"""Handlers of the TRANSACTION state, and QUIT, which enters UPDATE (RFC 1939 sections 5 to 7, RFC 1460 LAST)."""

import itertools

from qpopper_py.errors import MaildropError, Refused
from qpopper_py.protocol.reply import Reply, listing
from qpopper_py.protocol.request import number
from qpopper_py.protocol.text import stuffed
from qpopper_py.protocol.text import top as cut
from qpopper_py.session.maildrop import UID_NUMBERED

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    from qpopper_py.session.session import Session


def stat(session: "Session", words: "list[bytes]") -> Reply:
    drop = session.maildrop
    return Reply(session.dialect.say("stat", count=drop.count, octets=drop.left_octets))


def list_(session: "Session", words: "list[bytes]") -> Reply:
    drop = session.maildrop
    if words:
        index = drop.open(words[0])
        text = session.dialect.say("list_one", number=index + 1, octets=drop.sizes[index])
        return Reply(text + _lines(session, index) if session.settings.scan_lines else text)
    sizes = drop.sizes
    if session.settings.scan_lines:
        lines = [f"{index + 1} {sizes[index]}{_lines(session, index)}" for index in drop.unmarked()]
    else:  # a call for each of 20,000 messages takes as long as all the rest
        lines = [f"{index + 1} {sizes[index]}" for index in drop.unmarked()]
    return Reply(session.dialect.say("list", count=drop.count, octets=drop.left_octets), listing(lines))


def _lines(session: "Session", index: int) -> str:
    """A blank and how many lines the message has (scan_lines): only reading it tells."""
    return f" {sum(piece.count(10) for piece in session.maildrop.store.read(index))}"


def retr(session: "Session", words: "list[bytes]") -> Reply:
    """The first piece is read before +OK is said: a message that cannot be read is an -ERR, not half a message."""
    drop = session.maildrop
    index = drop.open(words[0])
    text = session.dialect.say("retr", octets=drop.sizes[index])
    return Reply(text, retrieved(session, index, begun(drop.store.read(index))), mail=True)


def begun(pieces: "Iterator[bytes]") -> "Iterator[bytes]":
    first = next(pieces, b"")
    return itertools.chain((first,), pieces)


def retrieved(session: "Session", index: int, pieces: "Iterator[bytes]") -> "Iterator[bytes]":
    """The message as it goes over the wire; it counts as retrieved when the last of it was sent."""
    yield from stuffed(pieces)
    session.maildrop.note_retrieved(index)
    session.closing.retrieved += 1


def top(session: "Session", words: "list[bytes]") -> Reply:
    drop = session.maildrop
    index = drop.open(words[0])
    lines = number(words[1])
    if lines is None:
        raise Refused(session.dialect.say("bad_lines"))
    session.closing.tops += 1
    text = session.dialect.say("top", octets=drop.sizes[index])
    return Reply(text, stuffed(cut(begun(drop.store.read(index)), lines)), mail=True)


def dele(session: "Session", words: "list[bytes]") -> Reply:
    drop = session.maildrop
    if session.settings.read_only:
        raise Refused(session.dialect.say("read_only"), "SYS/PERM")
    index = drop.find(words[0])
    if index not in drop.marked:
        drop.dele(index)
    elif not session.dialect.dele_again:
        raise Refused(session.dialect.say("already_deleted", number=index + 1))
    return Reply(session.dialect.say("dele", number=index + 1))


def noop(session: "Session", words: "list[bytes]") -> Reply:
    return Reply(session.dialect.say("noop"))


def rset(session: "Session", words: "list[bytes]") -> Reply:
    drop = session.maildrop
    drop.rset()
    return Reply(session.dialect.say("rset", count=drop.count, octets=drop.octets))


def last(session: "Session", words: "list[bytes]") -> Reply:
    return Reply(session.dialect.say("last", number=session.maildrop.last()))


def uidl(session: "Session", words: "list[bytes]") -> Reply:
    drop = session.maildrop
    if words:
        index = drop.open(words[0], UID_NUMBERED)
        return Reply(session.dialect.say("uidl_one", number=index + 1, uid=drop.store.uids()[index]))
    uids = drop.store.uids()
    lines = [f"{index + 1} {uids[index]}" for index in drop.unmarked()]
    return Reply(session.dialect.say("uidl"), listing(lines))


def quit_(session: "Session", words: "list[bytes]") -> Reply:
    """UPDATE: all that is marked goes, or nothing does and the client hears of it; either way the session is over.

    What was asked before is sent first: nothing is deleted for having been retrieved that could not be sent.
    """
    session.wire.flush()
    began = session.clock()
    try:
        session.update.at_quit(session.maildrop)
    except MaildropError as why:
        session.closing.how = "error"
        session.report(why)
        raise Refused(session.dialect.say("update_failed"), why.code) from None
    finally:
        session.closing.clean_seconds = session.clock() - began
        session.maildrop.store.close()  # whoever hears the answer may log in again at once
        session.ended()
    return Reply(session.dialect.say("signing_off", host=session.host))
