"""What an expunge makes of a layout, without reading the mailbox again.

Messages that were moved whole keep their row, shifted.  Those into which something was written (Status) are scanned
where they lie now, each by itself.  The result is what a scan of the whole file would find.
"""

from bisect import bisect_left

from qpopper_py.errors import MaildropChanged
from qpopper_py.store.mbox.layout import DIGEST, Layout, boundaries, header
from qpopper_py.store.mbox.scan import is_internal, scan

TYPE_CHECKING = False
if TYPE_CHECKING:
    from array import array

    from qpopper_py.store.mbox.plan import Plan

SHIFTED = ("starts", "texts", "bodies", "ends")  # columns of offsets


class Change:
    """What ``plan`` made of a file: ``ranges`` of it that were kept, (start, stop, by how much they moved)."""

    def __init__(self, plan: "Plan") -> None:
        self.ranges = [(0, plan.first, 0)]
        at = plan.first
        for part in plan.parts:
            if isinstance(part, bytes):
                at += len(part)
            else:
                self.ranges.append((part[0], part[1], part[0] - at))
                at += part[1] - part[0]
        self.ranges.append((plan.stop, 1 << 62, plan.stop - at))
        self.starts = [start for start, _, _ in self.ranges]

    def end(self, offset: int) -> int:
        """Where what ended at ``offset``, or was cut off before it, ends now."""
        _, stop, shift = self.ranges[max(bisect_left(self.starts, offset) - 1, 0)]
        return min(offset, stop) - shift

    def applied(self, fd: int, path: str, layout: Layout, said: "list[str]") -> "tuple[Layout, list[str]]":
        """The new layout of the file, which the change was made to, and what is known of ``said`` by headers.

        MaildropChanged, OSError: it cannot be told.
        """
        new = Layout(layout.begin, self.end(layout.size), layout.rule)
        words: list[str] = []
        behind_cuts: list[int] = []
        for start, stop, shift in self.ranges:
            first, behind = bisect_left(layout.starts, start), bisect_left(layout.starts, stop)
            whole = behind - 1 if behind > first and layout.stop(behind - 1) > stop else behind
            behind_cuts.append(len(new))
            _shift(layout, new, first, whole, shift)
            words += said[first:whole] if len(said) >= whole else [" "] * (whole - first)
            if whole < behind:
                written = scan(fd, path, layout.starts[whole] - shift, self.end(layout.stop(whole)), rule=layout.rule)
                if len(written) != 1:
                    raise MaildropChanged(f"{path}: what was written into a message made two of it")
                _shift(written, new, 0, 1, 0)
                words.append(" ")
        for row in behind_cuts:
            if row < len(new):
                new.lines[row : row + 1] = boundaries(fd, new.starts[row : row + 1], new.texts[row : row + 1])
        new.internal = len(new) > 0 and is_internal(header(fd, new, 0))
        return new, words if said else []


def _shift(old: Layout, new: Layout, first: int, stop: int, shift: int) -> None:
    """Put rows of ``old`` behind those of ``new``, moved towards the front."""
    for name in SHIFTED:
        column: array[int] = getattr(old, name)[first:stop]
        getattr(new, name).extend([offset - shift for offset in column] if shift else column)
    new.octets.extend(old.octets[first:stop])
    new.lines.extend(old.lines[first:stop])
    new.seen += old.seen[first:stop]
    new.digests += old.digests[first * DIGEST : stop * DIGEST]
