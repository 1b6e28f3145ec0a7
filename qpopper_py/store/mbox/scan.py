"""The scan of an mbox: where each message lies, how many octets RETR sends of it, what its header hashes to.

The law: where messages begin, and whom an empty line belongs to, is a :class:`~.from_line.Rule`; an empty line is
LF, or (but for popa3d) CR LF.  What a rule skips before the first message stays in the file, and so does an empty
line that is nobody's, at the file's end too; the one that ends a header is the message's.  Nothing is unquoted and
nothing is left out.  A file that does not begin as the rule says is no mailbox, and is left alone.

The file is read in windows of a fixed size and searched by whole-buffer primitives, so neither a long message, a
long line nor a long header costs memory.  Each window reaches LONGEST octets beyond the part that it decides on,
so no decision ever needs two windows.
"""

import os
from binascii import crc32

from qpopper_py.errors import MaildropUnusable
from qpopper_py.store.base import DELETED, SEEN
from qpopper_py.store.mbox.from_line import FUZZ, LONGEST, MMDF, STRICT
from qpopper_py.store.mbox.layout import (
    BACK,
    LOOK,
    Layout,
    boundaries,
    header_hash,
    read_at,
)

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from qpopper_py.store.mbox.from_line import Judge, Rule

STEP = 512 << 10  # octets that one window decides on


def marks_in(head: bytes) -> int:
    """SEEN if a Status field holds R, DELETED if a Status or X-Status field holds D; or both, or 0."""
    low = head.lower()
    marks = 0
    at = low.find(b"status:")
    while at >= 0:
        letters = low[at + 7 : at + 71].partition(b"\n")[0]
        own = low[at - 1 : at] == b"\n"
        if own and b"r" in letters:
            marks |= SEEN
        if b"d" in letters and (own or low[at - 3 : at] == b"\nx-"):
            marks |= DELETED
        at = low.find(b"status:", at + 7)
    return marks


def is_internal(head: bytes) -> bool:
    """c-client's FOLDER INTERNAL DATA message, by Qpopper's rule: two of three marks."""
    import re

    marks = (
        rb"\nsubject:[^\n]*(?:do not delete|don't delete this message|folder internal data)",
        rb"\nx-imap: ",
        rb"\nfrom: mail system internal data",
    )
    low = head.lower()
    return sum(re.search(mark, low) is not None for mark in marks) >= 2


def line_at(window: bytes, at: int, longest: int, judge: "Judge", begins: bytes = b"From ") -> int:
    """Length of the separator line at ``at``, its LF included; 0 if no separator is there.

    The window reaches ``longest`` octets on, or to the file's end.
    """
    eol = window.find(b"\n", at, at + longest)
    line = window[at : at + longest] if eol < 0 else window[at : eol + 1]
    if eol < 0 and len(line) == longest:
        return 0
    return len(line) if line.startswith(begins) and judge(line) else 0


def skip_leading(fd: int, begin: int, end: int) -> int:
    """Offset of the first octet that is neither NUL nor part of an empty line."""
    while begin < end:
        window = read_at(fd, min(STEP, end - begin), begin)
        rest = len(window.lstrip(b"\0\r\n"))
        begin += len(window) - rest
        if rest:
            break
    return begin


def content_length(head: bytes) -> int:
    """The value of the first Content-Length field; -1 if there is none."""
    import re

    found = re.search(rb"(?i)\ncontent-length:[ \t]*(\d{1,15})[ \t]*\r?\n", head)
    return int(found[1]) if found else -1


class Scanner:
    """One pass.  ``counted`` is how far the open message's line ends are counted."""

    def __init__(self, fd: int, path: str, layout: Layout, step: int = STEP, longest: int = LONGEST) -> None:
        import re

        rule = layout.rule
        self.fd = fd
        self.path = path
        self.layout = layout
        self.rule = rule
        self.end = layout.size
        self.step = step
        self.longest = longest
        self.judge = rule.judge()
        self.candidates = re.compile(rb"\n" + re.escape(rule.begins)).finditer
        self.empty_line: Callable[[bytes, int, int], re.Match[bytes] | None] = re.compile(rule.empty).search
        self.cr_empty = rule.empty != rb"\n\n"
        self.low = 0  # offset of window[0]
        self.window = b""
        self.has_cr = False

    def run(self) -> Layout:
        first = skip_leading(self.fd, self.layout.begin, self.end) if self.rule.skips else self.layout.begin
        if first == self.end:
            return self.layout
        ahead = read_at(self.fd, min(self.longest, self.end - first), first)
        length = line_at(ahead, 0, self.longest, self.judge, self.rule.begins)
        if not length or (first and read_at(self.fd, 1, first - 1) == b"\r"):
            raise unusable(self.path, first, f"no message begins by the rule {self.rule.name}")
        self.begin(first, length)
        pos = first + length
        while pos < self.end:
            stop = min(pos + self.step, self.end)
            self.low = pos - BACK
            self.window = read_at(self.fd, min(stop + self.longest, self.end) - self.low, self.low)
            self.decide(pos, stop)
            pos = stop
        self.finish()
        return self.layout

    def begin(self, start: int, length: int) -> None:
        """A message opens at ``start``; its separator has ``length`` octets."""
        self.start = start
        self.text = self.counted = start + length
        self.body = -1  # not found yet
        self.until = 0  # no separator is one before
        self.feeds = self.pairs = 0  # LFs of the content, and how many of them follow a CR
        self.line = crc32(self.octets(max(0, start - BACK), self.text))
        if self.rule.needs_more and read_at(self.fd, min(5, self.end - self.text), self.text) in (b"", b"From "):
            raise unusable(self.path, start, "nothing follows the From_ line, and popa3d serves no such mailbox")

    def octets(self, start: int, stop: int) -> bytes:
        """Those of the file, from the window if they are in it."""
        a, b = start - self.low, stop - self.low
        return self.window[a:b] if a >= 0 and b <= len(self.window) else read_at(self.fd, stop - start, start)

    def decide(self, pos: int, stop: int) -> None:
        """Find the separators that begin in [pos, stop), and count."""
        window, low = self.window, self.low
        self.has_cr = b"\r" in window
        for match in self.candidates(window, pos - 1 - low, stop + len(self.rule.begins) - 1 - low):
            feed = match.start()  # the LF that ends the line before
            blank = self.blank(feed)
            if not blank and self.rule.after_empty:
                continue
            length = line_at(window, feed + 1, self.longest, self.judge, self.rule.begins)
            if length:
                self.separator(low + feed + 1, length, blank)
        self.count(stop)
        self.find_body(stop)

    def blank(self, feed: int) -> int:
        """Octets of the empty line that ends at ``feed`` in the window; 0 if the line is not empty."""
        blank = 2 if self.window[feed - 1] == 13 else 1
        return blank if self.window[feed - blank] == 10 and (blank == 1 or self.cr_empty) else 0

    def separator(self, at: int, length: int, blank: int) -> None:
        """A message ends and another begins at ``at``."""
        self.find_body(at)
        if at < self.until:
            return
        self.count(at)
        self.close(at, blank, ended=True)
        self.begin(at, length)

    def count(self, stop: int) -> None:
        """Count line ends up to ``stop``; a CR LF counts where its LF lies."""
        if self.counted < stop:
            a, b = self.counted - self.low, stop - self.low
            text = self.window[a:b]
            self.feeds += b - a - len(text.replace(b"\n", b""))  # counts by memchr, which count() does not
            if self.has_cr:
                self.pairs += self.window.count(b"\r\n", a - 1, b)
            self.counted = stop

    def find_body(self, stop: int) -> None:
        """Look for the empty line that ends the header, up to ``stop``; once it is there, examine the header."""
        if self.body < 0:
            match = self.empty_line(self.window, max(self.text - 1 - self.low, 0), stop - self.low)
            if match:
                self.body = self.low + match.end()
                self.examine()

    def examine(self) -> None:
        head = self.octets(self.start, min(self.body, self.start + LOOK))
        self.layout.digests += header_hash(head)
        self.layout.seen.append(marks_in(head))
        if not self.layout.starts:
            self.layout.internal = is_internal(head)
        if self.rule.content_length:
            self.until = self.claimed_end(content_length(head))

    def claimed_end(self, length: int) -> int:
        """Where the next separator is, or the file's end, if it is where Content-Length says; else 0."""
        claim = self.body + length
        if length < 0 or claim > self.end + FUZZ:
            return 0
        low = max(claim - FUZZ, self.body) - BACK
        window = read_at(self.fd, min(claim + FUZZ + self.longest, self.end) - low, low)
        near = [self.end] if abs(self.end - claim) <= FUZZ else []
        for match in self.candidates(window, BACK - 1, claim + FUZZ + len(self.rule.begins) - low):
            feed = match.start()
            blank = 2 if window[feed - 1] == 13 else 1
            empty = window[feed - blank] == 10 and (blank == 1 or self.cr_empty)
            if (empty or not self.rule.after_empty) and line_at(window, feed + 1, self.longest, self.judge):
                near.append(low + feed + 1)
        return min(near, key=lambda at: abs(at - claim), default=0)

    def close(self, stop: int, blank: int, ended: bool) -> None:
        """The message ends before ``stop``; ``blank``: octets of the empty line there, 0 for none."""
        if self.body < 0:  # no empty line: header to the end
            self.body = stop
            self.examine()
        end = stop
        if blank and self.body < stop and not self.rule.keeps_empty:
            end -= blank
            self.feeds -= 1
            self.pairs -= blank == 2
        row = self.layout
        row.starts.append(self.start)
        row.texts.append(self.text)
        row.bodies.append(self.body)
        row.ends.append(end)
        row.lines.append(self.line)
        row.octets.append(end - self.text + self.feeds - self.pairs + (0 if ended else 2))

    def finish(self) -> None:
        """The last message ends where the file does."""
        tail = read_at(self.fd, min(BACK, self.end - self.text + 1), max(self.end - BACK, self.text - 1))
        blank = 2 if self.cr_empty and tail.endswith(b"\n\r\n") else 1 if tail.endswith(b"\n\n") else 0
        self.close(self.end, blank, ended=tail.endswith(b"\n") or self.text == self.end)


def unusable(path: str, offset: int, what: str) -> MaildropUnusable:
    """The file at ``path`` is no mailbox, because ``what`` at ``offset``."""
    import shlex

    where = f"tail -c +{offset + 1} {shlex.quote(path)} | head -n 3"
    return MaildropUnusable(
        f"{path}: not an mbox: at offset {offset} {what}; it was left alone. See that place: {where}; then move the "
        "file aside, mend the line (like 'From user Thu Jan  1 00:00:00 1970'), or set mbox.separator to its rule"
    )


def scan(
    fd: int, path: str, begin: int, end: int, step: int = STEP, longest: int = LONGEST, rule: "Rule" = STRICT
) -> Layout:
    """The messages in [begin, end) of an open mbox, by ``rule``; the caller holds it still.

    MaildropUnusable: something other than a message stands first; ``path`` is for its text.
    """
    if rule is MMDF or (rule.mmdf and begin < end and read_at(fd, 1, begin) == b"\1"):
        from qpopper_py.store.mbox.mmdf import MmdfScanner

        return MmdfScanner(fd, path, Layout(begin, end, MMDF), step, longest).run()
    from qpopper_py.store.mbox import fast

    kind = fast.FastScanner if fast.can(rule) else Scanner
    return kind(fd, path, Layout(begin, end, rule), step, longest).run()


def first_lost(fd: int, layout: Layout, first: int, behind: int) -> int:
    """Offset of the first known separator of rows ``first`` to ``behind`` that is none any more; -1: all are."""
    if boundaries(fd, layout.starts[first:behind], layout.texts[first:behind]) == layout.lines[first:behind]:
        return -1
    rule = layout.rule
    judge = rule.judge()
    empty = (b"\n\n", b"\n\r\n") if rule.empty != rb"\n\n" else (b"\n\n",)
    for row in range(first, behind):
        start, text = layout.starts[row], layout.texts[row]
        back = min(BACK, start) if row else 0
        seen = read_at(fd, back + text - start, start - back)
        follows = row == 0 or seen[:back].endswith(empty if rule.after_empty else b"\n")
        length = line_at(seen, back, LONGEST, judge, rule.begins)
        if not follows or not length or (length != text - start and rule is not MMDF):
            return start
    return -1


def tail_of(fd: int, layout: Layout) -> "tuple[int, bool]":
    """Where what was added behind the last message begins, after empty lines, and whether that is a message."""
    end = os.fstat(fd).st_size
    tail = skip_leading(fd, layout.size, end)
    if tail == end:
        return tail, True
    ahead = read_at(fd, min(LONGEST, end - tail), tail)
    return tail, line_at(ahead, 0, LONGEST, layout.rule.judge(), layout.rule.begins) > 0
