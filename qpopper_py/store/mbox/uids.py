"""Who gets which uid: what a scheme (:mod:`~qpopper_py.store.uid_schemes`) made is its base, and several may share it.

Then the first keeps it, and each other gets it with a suffix from a hash of its own header and content, so that
deleting one never renames another.  Two things the content alone does not fix: which message was the first once it is
gone, and which of byte-identical ones is which.  These are state: the record ``uids`` holds a line ``base own uid``
for each message that shares its base or was given another uid than its base.

What that promises.  With the record: no uid changes and none is given twice.  Without a state folder, or with the
record lost: a message that shares its base with no other has it, as at the old server; of those that share one, the
first has it.  So once the first is gone the next has it, a uid that a client may know as the first's, and takes for
seen though it may not have fetched this one: what the old server gave, where it gave one uid to both.  Of messages
that are alike to the last octet the suffixes move up.  Nobody else is renamed.
"""

from qpopper_py.store.mbox.layout import LOOK, Layout, header, read_at
from qpopper_py.store.numbering import bases, ours, told
from qpopper_py.store.overrides import Overrides, contents, identity, is_uid
from qpopper_py.store.uid_schemes import SCHEMES

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterator, Sequence

    from qpopper_py.store.mbox.index import Index
    from qpopper_py.store.numbering import Numbering
    from qpopper_py.store.state import Record
    from qpopper_py.store.uid_schemes import Scheme

LONGEST = 70  # RFC 1939 section 7
PIECE = 256 << 10
# What mail readers write into a header while a message lies there; its own hash must not change by it.
MARKS = rb"(?im)^(?:status|x-status|x-keywords|x-uid|x-uidl|x-imap|x-imapbase|content-length|lines):.*\n(?:[ \t].*\n)*"


def own(fd: int, layout: Layout, row: int) -> str:
    """16 hex digits from the whole message, without the marks that mail readers put into headers."""
    import re
    from hashlib import blake2b

    head = header(fd, layout, row)
    digest = blake2b(re.sub(MARKS, b"", head), digest_size=8)
    at, end = min(layout.bodies[row], layout.starts[row] + LOOK), layout.ends[row]
    while at < end:
        piece = read_at(fd, min(PIECE, end - at), at)
        digest.update(piece)
        at += len(piece)
    return digest.hexdigest()


class Rows:
    """The messages of a scanned mbox as :mod:`~qpopper_py.store.numbering` asks for them; ``first``: row of message 0.

    ``index`` remembers what schemes made of headers.
    """

    def __init__(self, fd: int, layout: Layout, first: int, index: "Index") -> None:
        self.fd = fd
        self.layout = layout
        self.first = first
        self.index = index

    def __len__(self) -> int:
        return len(self.layout) - self.first

    def first_head(self) -> bytes:
        return header(self.fd, self.layout, 0) if len(self.layout) else b""

    def head(self, index: int) -> bytes:
        return header(self.fd, self.layout, index + self.first)

    def said(self, scheme: "Scheme") -> list[str]:
        """What the scheme makes of each header (:func:`~qpopper_py.store.numbering.told`)."""
        return self.index.said(len(self), self.first, lambda index: told(scheme, self, index))

    def fields(self, index: int) -> bytes:
        """The head without what separates messages."""
        row = index + self.first
        return self.head(index)[self.layout.texts[row] - self.layout.starts[row] :]

    def length(self, index: int) -> int:
        row = index + self.first
        return max(self.layout.ends[row] - self.layout.bodies[row], 0)

    def pieces(self, index: int) -> "Iterator[bytes]":
        row = index + self.first
        at, end = self.layout.texts[row], self.layout.ends[row]
        while at < end:
            piece = read_at(self.fd, min(PIECE, end - at), at)
            at += len(piece)
            yield piece

    def own(self, index: int) -> str:
        return own(self.fd, self.layout, index + self.first)


def assign(rows: Rows, scheme: str, record: "Record", table: Overrides) -> "Assignment":
    """The uids of a mailbox by the scheme of that name, ``table`` before all."""

    def save(lines: "list[str]") -> bool:
        return record.save(lines, sync=True)

    recorded = record.load()
    said = rows.said(SCHEMES[scheme])
    made, numbering = bases(SCHEMES[scheme], rows, recorded, save if record.folder else None, said=said)
    if table.headers:
        made, recorded = table.over(
            made,
            recorded,
            lambda index: identity(rows.fields(index)),
            lambda index: contents(rows.pieces(index)),
            rows.own,
        )
    return Assignment(made, rows.own, recorded, numbering)


class Assignment:
    """The uids of a maildrop: ``uids``, all different, one for each of ``bases``.

    ``own(i)`` (:func:`own`) is asked here and now, and only for messages whose base alone does not do.
    ``recorded``: lines of the record.  ``numbering``: the numbers behind the bases, if they are numbers.
    """

    def __init__(
        self,
        bases: "Sequence[str]",
        own: "Callable[[int], str]",
        recorded: "Sequence[str]",
        numbering: "Numbering | None" = None,
    ) -> None:
        self.bases = bases
        self._numbering = numbering
        self._numbers = ours(recorded)  # kept while another scheme is tried
        self.uids = list(bases)
        self.members: dict[str, list[int]] = {}
        self._own = own
        self._owns: dict[int, str] = {}
        self._counts: dict[tuple[str, str], int] = {}
        self._given: set[str] = set()
        if recorded or len(set(bases)) < len(bases):
            for index, name in enumerate(bases):
                self.members.setdefault(name, []).append(index)
            fixed = self._by_record(recorded)
            for index in range(len(bases)):
                if index not in fixed:
                    self._give(index)
            self.lines()

    def own(self, index: int) -> str:
        if index not in self._owns:
            self._owns[index] = self._own(index)
        return self._owns[index]

    def _by_record(self, recorded: "Sequence[str]") -> set[int]:
        """Give what the record says, in its order; the indexes that got theirs."""
        lines: dict[tuple[str, str], list[str]] = {}
        bases = {}
        for line in reversed(recorded):
            words = line.split(" ")
            if len(words) == 3 and words[0] in self.members and is_uid(words[2]):
                lines.setdefault((words[0], words[1]), []).append(words[2])
                bases[words[0]] = True
        fixed = set()
        for name in bases:
            for index in self.members[name]:
                left = lines.get((name, self.own(index)))
                if left and left[-1] not in self._given:
                    self.uids[index] = left.pop()
                    self._given.add(self.uids[index])
                    fixed.add(index)
        # Whoever had the bare base may be gone, but a client may have seen it: nobody else gets it.
        self._given.update(bases)
        return fixed

    def _give(self, index: int) -> None:
        """The base if nobody has it, else base-own, else base-own-2 and so on."""
        uid = name = self.bases[index]
        while uid in self._given or (uid != name and uid in self.members):
            key = name, self.own(index)
            self._counts[key] = count = self._counts.get(key, 0) + 1
            suffix = f"-{key[1]}" + (f"-{count}" if count > 1 else "")
            uid = name[: LONGEST - len(suffix)] + suffix
        self.uids[index] = uid
        self._given.add(uid)

    def lines(self, gone: "Collection[int]" = ()) -> list[str]:
        """What the record must hold once the messages ``gone`` (best a set) are removed."""
        result = self._numbering.lines(gone) if self._numbering else list(self._numbers)
        for name, sharers in self.members.items():
            left = [index for index in sharers if index not in gone]
            result += [
                f"{name} {self.own(index)} {self.uids[index]}"
                for index in left
                if len(left) > 1 or self.uids[index] != name
            ]
        return result
