"""The scan with the C kernel (``_kernel.c``): :class:`~.scan.Scanner` with the work on each window done there.

For rules whose separators begin with From_ and that do not believe Content-Length.
"""

from array import array

from qpopper_py.kernel import native
from qpopper_py.store.mbox.from_line import LONGEST
from qpopper_py.store.mbox.layout import header, read_at
from qpopper_py.store.mbox.scan import STEP, Scanner, is_internal

TYPE_CHECKING = False
if TYPE_CHECKING:
    from qpopper_py.store.mbox.from_line import Rule
    from qpopper_py.store.mbox.layout import Layout

CR_EMPTY, AFTER_EMPTY, KEEPS_EMPTY, NEEDS_MORE = 1, 2, 4, 8  # as in the kernel


def can(rule: "Rule") -> bool:
    """Is there a kernel, and does it know this rule?"""
    return native is not None and rule.begins == b"From " and not rule.content_length


class FastScanner(Scanner):
    """As Scanner, for rules that :func:`can` finds fit."""

    def __init__(self, fd: int, path: str, layout: "Layout", step: int = STEP, longest: int = LONGEST) -> None:
        super().__init__(fd, path, layout, step, longest)
        rule = layout.rule
        self.rows = bytearray()  # six columns, row by row
        self.flags = (
            (CR_EMPTY if self.cr_empty else 0)
            | (AFTER_EMPTY if rule.after_empty else 0)
            | (KEEPS_EMPTY if rule.keeps_empty else 0)
            | (NEEDS_MORE if rule.needs_more else 0)
        )

    def fetch(self, size: int, offset: int) -> bytes:
        return read_at(self.fd, size, offset)

    def decide(self, pos: int, stop: int) -> None:
        assert native is not None
        layout = self.layout
        message = array("q", (self.start, self.text, self.counted, self.body, self.feeds, self.pairs, self.line))
        fine = native.survey(
            self.window,
            self.low,
            pos,
            stop,
            self.end,
            self.longest,
            self.flags,
            self.judge,
            self.fetch,
            message,
            self.rows,
            layout.seen,
            layout.digests,
        )
        self.start, self.text, self.counted, self.body, self.feeds, self.pairs, self.line = message
        if not fine:
            self.begin(self.start, self.text - self.start)  # finds the same, and raises

    def finish(self) -> None:
        layout, columns = self.layout, array("q")
        columns.frombytes(self.rows)
        layout.starts, layout.texts, layout.bodies, layout.ends, layout.octets = (columns[n::6] for n in range(5))
        layout.lines = array("I", columns[5::6])
        super().finish()
        layout.internal = is_internal(header(self.fd, layout, 0))
