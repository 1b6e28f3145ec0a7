"""What changes in a message's text when it moves between an mbox and a Maildir, and what its From_ line says.

An mbox keeps flags in the header (Status, X-Status), a Maildir in the file's name.  To a Maildir the lines go only
if they are exactly what would be put there on the way back, at the header's end; else they stay.  So both ways lead
home, octet for octet, but for this: a line that would be taken for a separator gets a ``>``, a message in an mbox ends
with a line end and has an empty line behind its header, and Status lines that contradict the file's name are replaced.
"""

import re
import time
from calendar import timegm
from collections.abc import Callable, Iterable, Iterator
from datetime import datetime
from email.utils import mktime_tz, parsedate_tz
from itertools import chain

from qpopper_py.errors import ConfigurationError, MissingLibrary
from qpopper_py.store.mbox.from_line import LONGEST, Rule
from qpopper_py.tools.dates import moment

HEADER = 1 << 20  # octets: a longer header is taken for none
STATUS = re.compile(rb"(?im)^(?:x-)?status:.*\n(?:[ \t].*\n)*")
VALUE = re.compile(rb"(?im)^(x-)?status:([^\n]*)")
RETURN_PATH = re.compile(rb"(?im)^return-path:[ \t]*<?([!-;=?-~]*)>?[ \t]*\r?$")
RECEIVED = re.compile(rb"(?im)^received:(?:[^\n]|\n[ \t])*;((?:[^;\n]|\n[ \t])*)$")
DATE_FIELD = re.compile(rb"(?im)^date:([^\n]*)")
EMPTY_LINE = re.compile(rb"\n\r?\n")
LETTERS = ((b"A", "R"), (b"F", "F"), (b"T", "D"), (b"D", "T"))  # X-Status (c-client): Maildir
MONTHS = b"Jan Feb Mar Apr May Jun Jul Aug Sep Oct Nov Dec".split()
DATE = re.compile(rb" [A-Z][a-z]{2} ([A-Z][a-z]{2}) ([ \d]\d) (\d\d):(\d\d)(?::(\d\d))?((?: \S+)?) (\d{4})(?=( \S+)?)")
LATEST = 253370764800  # seconds: the year is a number of four digits


class Marks:
    """``old``: a mail reader has shown that it is there (Status O, folder cur); ``flags``: of Maildir's DFRST."""

    __slots__ = ("flags", "old")

    def __init__(self, old: bool, flags: str) -> None:
        kept = "".join(letter for letter in "DFRST" if letter in flags)
        self.old = old or bool(kept)
        self.flags = kept

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Marks) and (self.old, self.flags) == (other.old, other.flags)

    __hash__ = None  # type: ignore[assignment]  # nobody keeps them in a set


class Letter:
    """A message on its way: ``stored()`` gives its pieces, anew each time; ``delivered`` is in seconds.

    ``marks`` are those that the source has beside the header.  ``whole``: the header has none, whatever it looks like.
    """

    __slots__ = ("delivered", "marks", "stored", "uid", "whole")

    def __init__(
        self, stored: Callable[[], Iterator[bytes]], uid: str, delivered: int, marks: Marks, whole: bool = False
    ) -> None:
        self.stored = stored
        self.uid = uid
        self.delivered = delivered
        self.marks = marks
        self.whole = whole


def split(pieces: Iterable[bytes]) -> tuple[bytes, Iterator[bytes]]:
    """The header of a stored message, without the empty line that ends it, and the rest from that on, in pieces."""
    rest = iter(pieces)
    text = b""
    for piece in rest:
        text += piece
        end = EMPTY_LINE.search(b"\n" + text)
        if end:
            return text[: end.start()], chain([text[end.start() :]], rest)
        if len(text) > HEADER:
            return b"", chain([text], rest)
    return text, iter([])


def marks_of(head: bytes) -> Marks:
    """What a header's Status and X-Status say."""
    status = extra = b""
    for is_extra, value in VALUE.findall(head):
        if is_extra:
            extra += value.upper()
        else:
            status += value.upper()
    flags = "".join(flag for letter, flag in LETTERS if letter in extra)
    return Marks(b"O" in status, flags + ("S" if b"R" in status else ""))


def lines_of(marks: Marks, head: bytes) -> bytes:
    """The Status lines that say it, with the line ends of ``head``."""
    if not marks.old:
        return b""
    end = b"\r\n" if b"\r\n" in head else b"\n"
    extra = b"".join(letter for letter, flag in LETTERS if flag in marks.flags)
    lines = b"Status: " + (b"RO" if "S" in marks.flags else b"O") + end
    return lines + (b"X-Status: " + extra + end if extra else b"")


def taken_off(head: bytes) -> tuple[bytes, Marks]:
    """The header as it goes into a Maildir, and the flags."""
    marks = marks_of(head)
    lines = lines_of(marks, head)
    before = head.removesuffix(lines) if lines else head
    return (before if put_on(before, marks) == head else head), marks


def put_on(head: bytes, marks: Marks) -> bytes:
    """The header as it goes into an mbox."""
    if marks_of(head) == marks:
        return head
    if head and not head.endswith(b"\n"):
        head += b"\n"
    head = STATUS.sub(b"", head)
    return head + lines_of(marks, head)


def quoted(pieces: Iterable[bytes], rule: Rule) -> Iterator[bytes]:
    """The message as it can stand in an mbox: no line of it is a separator by that rule, or gets one by its quote."""
    judge = rule.judge()
    find = re.compile((rule.empty if rule.after_empty else rb"\n") + re.escape(rule.begins)).search
    text = b"\n"  # that ends the From_ line, and is not given out
    drop = 1
    for piece in chain(filter(None, pieces), [b""]):
        text += piece
        at, out = 0, []
        while found := find(text, at):
            start = found.end() - len(rule.begins)
            end = text.find(b"\n", start, start + LONGEST)
            if end < 0 and len(text) - start < LONGEST and piece:
                break  # the line goes on
            line = text[start : end + 1] if end >= 0 else text[start : start + LONGEST]
            out += [text[at:start], b">" if (end >= 0 or len(line) < LONGEST) and judge(line) else b""]
            at = start
        keep = len(text) if not piece else found.start() if found else max(at, len(text) - 7)
        made = b"".join([*out, text[at:keep]])
        if len(made) > drop:
            yield made[drop:]
        drop = 0 if made else drop
        text = text[keep:]


def ending(last: bytes) -> bytes:
    """What follows a message in an mbox that ends in ``last``, one octet or none."""
    if last in (b"\n", b""):
        return b"\n"
    return b"\r\n\n" if last == b"\r" else b"\n\n"  # a bare CR at the end must not become half of a line end


def from_line(head: bytes, delivered: float) -> bytes:
    """``From sender date``: the sender of Return-Path, the date in the local time zone, as delivery agents write it."""
    found = RETURN_PATH.search(head)
    sender = found[1] if found and found[1] else b"MAILER-DAEMON"
    when = time.asctime(time.localtime(min(max(delivered, 0), LATEST)))
    return b"From %s %s\n" % (sender, when.encode("ascii"))


def received(head: bytes) -> int:
    """The date of the first Received field, else of Date, in seconds; 0 if neither tells one."""
    for field in (RECEIVED, DATE_FIELD):
        found = field.search(head)
        fields = parsedate_tz(found[1].decode("latin-1")) if found else None
        if fields:
            try:
                return max(0, int(mktime_tz(fields)))
            except (ValueError, OverflowError):
                pass
    return 0


def odd(line: bytes) -> int:
    """The date of a From_ line in a form that no delivery agent of today writes, in seconds; 0 if nobody can tell."""
    try:
        text = line.decode("ascii").split(None, 2)[2]
        return max(0, int(moment(text, datetime.now().astimezone())))
    except (UnicodeDecodeError, IndexError, ConfigurationError, MissingLibrary):
        return 0


def delivered(line: bytes) -> int:
    """The date of a From_ line, in seconds; local time where no zone is told by number, GMT or UTC."""
    found = None
    for found in DATE.finditer(line):  # noqa: B007  # the last one: a sender may look like a date
        pass
    if found is None:
        return odd(line)
    month, day, hour, minute, second, before, year, behind = found.groups()
    fields = (int(year), MONTHS.index(month) + 1, int(day), int(hour), int(minute), int(second or 0), 0, 0, -1)
    zone = ((before or b"").strip() or (behind or b"").strip()).upper()
    try:
        if zone in (b"GMT", b"UTC") or zone[:1] in (b"+", b"-"):
            east = 60 * int(zone[1:3]) + int(zone[3:5]) if zone[:1] in (b"+", b"-") else 0
            seconds = timegm(fields) - (-60 if zone[:1] == b"-" else 60) * east
        else:
            seconds = int(time.mktime(fields))
    except (ValueError, OverflowError):
        return 0
    return max(0, seconds)
