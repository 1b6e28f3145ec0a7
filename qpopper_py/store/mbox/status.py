"""The Status and X-UIDL fields that old servers wrote into the mail, as edits of a plan (:mod:`plan`).

``Status: RO`` tells a shell user's mail reader what was retrieved; ``X-UIDL`` holds the unique-id.  They are written
only into what an expunge moves anyway, and only as far as what it removes makes room.
"""

from qpopper_py.store.mbox.layout import LOOK, header
from qpopper_py.store.uid_schemes import SCHEMES

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Sequence

    from qpopper_py.store.mbox.layout import Layout
    from qpopper_py.store.mbox.plan import Edit


PROBE = b"From x\nX-UIDL: probe\n\n"


def edits(
    fd: int,
    layout: "Layout",
    doomed: "Sequence[int]",
    seen: "Collection[int]",
    uid: "Callable[[int], str] | None" = None,
    scheme: str = "",
) -> "list[Edit]":
    """What to write into the rows behind the first of ``doomed`` (ascending) that stay.

    ``seen``: rows that get ``Status: RO``.  ``uid(row)``: what X-UIDL says, where ``scheme`` reads that of it; empty:
    nothing.
    """
    gone = set(doomed)
    if uid is not None and SCHEMES[scheme].of_header(PROBE) != "probe":
        uid = None  # this scheme does not read what would be written
    made: list[Edit] = []
    for row in range(doomed[0] + 1, len(layout)):
        if row in gone or (uid is None and row not in seen):
            continue
        head = header(fd, layout, row)
        if len(head) == LOOK or not head.endswith((b"\n\n", b"\n\r\n")):
            continue  # the header goes on, or the message is cut off in it
        start, text = layout.starts[row], layout.texts[row] - layout.starts[row]
        end_of_line = b"\r\n" if head.endswith(b"\r\n") else b"\n"
        if uid is not None:
            made += x_uidl(head, start, text, uid(row), scheme, end_of_line)
        if row in seen:
            made += _status(head, start, text, end_of_line)
    return made


def x_uidl(head: bytes, start: int, text: int, value: str, scheme: str, end_of_line: bytes) -> "list[Edit]":
    """The edit that makes ``scheme`` read ``value`` in this header; none if it does, or would not."""
    line = b"X-UIDL: " + value.encode("ascii") + end_of_line
    at, stop = field_at(head, text, b"x-uidl:") or (text, text)
    of_header = SCHEMES[scheme].of_header
    there = at < stop and of_header(head) == value
    # And not where it would not be read back as it is: of two such fields the first counts.
    if there or not value or of_header(head[:at] + line + head[stop:]) != value:
        return []
    return [(start + at, start + stop, line)]


def _status(head: bytes, start: int, text: int, end_of_line: bytes) -> "list[Edit]":
    end = len(head) - len(end_of_line)
    at, stop = field_at(head, text, b"status:") or (end, end)
    return [(start + at, start + stop, b"Status: RO" + end_of_line)]


def field_at(head: bytes, text: int, name: bytes) -> "tuple[int, int] | None":
    """Where the first field ``name`` (lower case, with colon) lies in ``head``, the lines that continue it included."""
    low = head.lower()
    at = low.find(b"\n" + name, text - 1)
    if at < 0:
        return None
    stop = head.find(b"\n", at + 1) + 1
    while head[stop : stop + 1] in (b" ", b"\t"):
        stop = head.find(b"\n", stop) + 1
    return at + 1, stop
