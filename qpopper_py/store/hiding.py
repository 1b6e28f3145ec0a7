"""A maildrop without the messages that a mail reader has marked as deleted (deletion_marks = hidden).

They stay where they are, and in the records of the store beneath: only the session does not see them.
"""

from qpopper_py.store.base import Store

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Sequence

    from qpopper_py.store.base import Entries, Entry


class Hiding(Store):
    """``store`` as the interface says, its indexes counted without the hidden messages."""

    def __init__(self, store: Store) -> None:
        self.store = store
        self._shown: list[int] = []

    def scan(self) -> "Sequence[Entry] | Entries":
        entries = self.store.scan()
        self._shown = [index for index, entry in enumerate(entries) if not entry.deleted]
        return [entries[index] for index in self._shown]

    def uids(self) -> "Sequence[str]":
        uids = self.store.uids()
        return [uids[index] for index in self._shown]

    def read(self, index: int) -> "Iterator[bytes]":
        return self.store.read(self._beneath(index))

    def expunge(self, indexes: "Collection[int]") -> None:
        self.store.expunge({self._beneath(index) for index in indexes})

    def mark_seen(self, indexes: "Collection[int]") -> None:
        self.store.mark_seen({self._beneath(index) for index in indexes})

    def retrieved(self) -> "set[int]":
        found = self.store.retrieved()
        return {place for place, index in enumerate(self._shown) if index in found}

    def remember(self, retrieved: "Collection[int]") -> None:
        self.store.remember({self._beneath(index) for index in retrieved})

    def close(self) -> None:
        self.store.close()

    def _beneath(self, index: int) -> int:
        if index < 0:
            raise IndexError(index)
        return self._shown[index]
