"""The maildrop of a session: message numbers, marks, totals and LAST, above any store (RFC 1939 section 5)."""

from qpopper_py.errors import Refused
from qpopper_py.protocol.request import number, plain
from qpopper_py.store.base import octets_of

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Collection, Iterable

    from qpopper_py.protocol.dialect import Dialect
    from qpopper_py.store.base import Store

NUMBERED = ("not_a_number", "no_message", "is_deleted")
UID_NUMBERED = ("uidl_number", "uidl_range", "uidl_deleted")


class Maildrop:
    """Opening it takes the store's snapshot; raises MaildropError.

    ``last_rule``: ``stored`` (the highest undeleted message that this or an earlier session retrieved),
    ``zero`` (this session only), ``touched`` (the highest that was retrieved or marked since login or RSET), ``ucb``
    (raised by DELE alone).  ``heed_marks``: what a mail reader marked as deleted
    is marked here from the beginning, until RSET.
    """

    def __init__(self, store: "Store", dialect: "Dialect", last_rule: str, heed_marks: bool = False) -> None:
        self.store = store
        self.dialect = dialect
        self.last_rule = last_rule
        self.entries = store.scan()
        self.sizes = octets_of(self.entries)
        self.octets = sum(self.sizes)
        self.found_marked: set[int] = set()
        if heed_marks:
            self.found_marked = {index for index, entry in enumerate(self.entries) if entry.deleted}
        self.marked = set(self.found_marked)
        self.marked_octets = self._octets(self.marked)
        self.read: set[int] = set()  # by RETR, since login or RSET
        self.retrieved: set[int] = set()  # by RETR, since login
        self.touched = 0  # popa3d's last, UCB's last_msg
        self._earlier: set[int] | None = None

    @property
    def count(self) -> int:
        """Messages that are not marked as deleted."""
        return len(self.entries) - len(self.marked)

    @property
    def left_octets(self) -> int:
        return self.octets - self.marked_octets

    def _octets(self, indexes: "Collection[int]") -> int:
        return sum([self.sizes[index] for index in indexes])

    def unmarked(self) -> "Iterable[int]":
        """Indexes of the messages that are not marked as deleted, in order."""
        marked, all_ = self.marked, range(len(self.entries))
        return (index for index in all_ if index not in marked) if marked else all_

    def find(self, word: bytes, texts: "tuple[str, str, str]" = NUMBERED) -> int:
        """The index of the message whose number ``word`` is, marked or not; Refused if there is none.

        ``texts``: the dialect's, for no number, for one that no message has, for one that is marked.
        """
        value = number(word, len(self.entries))
        if not value:
            text = texts[0] if number(word) is None else texts[1]
            raise Refused(self.dialect.say(text, number=plain(word, 20), count=len(self.entries)))
        return value - 1

    def open(self, word: bytes, texts: "tuple[str, str, str]" = NUMBERED) -> int:
        """As ``find``, and not marked as deleted."""
        index = self.find(word, texts)
        if index in self.marked:
            raise Refused(self.dialect.say(texts[2], number=index + 1))
        return index

    def dele(self, index: int) -> None:
        self.marked.add(index)
        self.marked_octets += self.sizes[index]
        self.touched = max(self.touched, index + 1)

    def rset(self) -> None:
        """Unmark all; LAST is again what it was at login."""
        self.marked.clear()
        self.found_marked.clear()
        self.marked_octets = 0
        self.read.clear()
        self.touched = 0

    def note_retrieved(self, index: int) -> None:
        """A RETR of this message was sent to its last octet."""
        self.read.add(index)
        if self.last_rule == "touched":
            self.touched = max(self.touched, index + 1)
        self.retrieved.add(index)

    def last(self) -> int:
        """The number that LAST answers; 0 for none."""
        if self.last_rule in ("touched", "ucb"):
            return self.touched
        seen = self.read if self.last_rule == "zero" else self.read | self.earlier()
        return max([index + 1 for index in seen if index not in self.marked], default=0)

    def earlier(self) -> "set[int]":
        """Indexes retrieved in earlier sessions; asked of the store once, when first needed."""
        if self._earlier is None:
            self._earlier = self.store.retrieved()
        return self._earlier

    def commit(self, doomed: "Collection[int]") -> "tuple[int, int]":
        """Remove ``doomed`` and record what was retrieved; (messages, octets) removed.  Raises MaildropError."""
        if doomed:
            seen = self.retrieved | self.earlier() if self.last_rule == "stored" else self.retrieved
            self.store.mark_seen(seen.difference(doomed))
            self.store.expunge(doomed)
        if self.last_rule == "stored" and (self.retrieved or doomed):
            self.store.remember((self.earlier() | self.retrieved).difference(doomed))
        return len(doomed), self._octets(doomed)
