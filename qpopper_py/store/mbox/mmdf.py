"""The scan of an MMDF mailbox, as Qpopper reads it: messages between two lines of four ^A.

A From_ line right behind the first of the two belongs to the separator.  Where the second is missing (a delivery that
broke off), the next message's first line ends the message too.
"""

from qpopper_py.store.mbox.from_line import strict
from qpopper_py.store.mbox.layout import read_at
from qpopper_py.store.mbox.scan import Scanner, line_at, skip_leading


class MmdfScanner(Scanner):
    """As Scanner.  ``opened``: the first line of a pair was the last that was met."""

    opened = False

    def begin(self, start: int, length: int) -> None:
        at = start + length
        ahead = read_at(self.fd, min(self.longest, self.end - at), at)
        super().begin(start, length + line_at(ahead, 0, self.longest, strict()))
        self.opened = True

    def separator(self, at: int, length: int, _blank: int) -> None:
        if not self.opened:
            self.begin(at, length)
            return
        self.find_body(at)
        self.count(at)
        self.close(at, 0, ended=True)
        behind = skip_leading(self.fd, at + length, self.end)
        ahead = read_at(self.fd, min(self.longest, self.end - behind), behind)
        if not ahead or line_at(ahead, 0, self.longest, self.judge, self.rule.begins):
            self.opened = False
            self.counted = self.end
        else:
            self.begin(at, length)

    def find_body(self, stop: int) -> None:
        if self.opened:
            super().find_body(stop)

    def finish(self) -> None:
        if self.opened:
            super().finish()
