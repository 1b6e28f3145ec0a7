"""What a store keeps of its messages in the state folder: unique-ids that content alone does not fix, and which
messages were retrieved.  By unique-id, so that it follows them.
"""

from qpopper_py.errors import MaildropError
from qpopper_py.store.base import Store
from qpopper_py.store.numbering import lasting
from qpopper_py.store.terms import ALONE, Terms

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Sequence

    from qpopper_py.store.base import Entries, Entry
    from qpopper_py.store.mbox.uids import Assignment


class Remembering(Store):
    """A store with the records ``name`` and ``last`` in the folder ``state`` (empty: none), had on ``terms``.

    The store itself says how uids are made (``_assign``) and puts what it expunged into ``_gone``.
    """

    def __init__(self, path: str, name: str, state: str, report: "Callable[[str], None]", terms: Terms = ALONE) -> None:
        self.path = path
        self.state = state
        self.report = report
        self.terms = terms
        self._entries: Sequence[Entry] | Entries = []
        self._gone: frozenset[int] = frozenset()
        self._assignment: Assignment | None = None
        self._record = terms.record(state, name, report)
        self._last = terms.record(state, "last", report)

    def _assign(self) -> "Assignment":
        """Make the uids; may raise MaildropError."""
        raise NotImplementedError  # every store has its own

    def _assigned(self) -> "Assignment":
        if self._assignment is None:
            self._assignment = self._assign()
        return self._assignment

    def uids(self) -> "Sequence[str]":
        return self._assigned().uids

    def _seen_by_others(self) -> "set[int]":
        """Messages that the maildrop itself says were read."""
        return {index for index, entry in enumerate(self._entries) if entry.seen}

    def retrieved(self) -> "set[int]":
        found = self._seen_by_others()
        known = set(self._last.load())
        if known and len(self._gone) < len(self._entries):
            found.update(index for index, uid in enumerate(self.uids()) if uid in known)
        return found

    def remember(self, retrieved: "Collection[int]") -> None:
        # Nothing is concluded from an empty maildrop that we did not empty: its disk may be missing.
        if not self.state or not self._entries:
            return
        try:
            self._save_uids()
            if not retrieved and not self._gone:
                return
            known = set(self._last.load())
            now = set(retrieved).difference(self._gone)
            lines: list[str] = []
            if len(self._gone) < len(self._entries) and (known or now):
                uids, gone = self.uids(), self._gone
                lines = [uid for index, uid in enumerate(uids) if index in now or (uid in known and index not in gone)]
            self._last.save(lines, sync=False)
        except MaildropError as why:
            self.report(f"what was retrieved is not recorded: {why}")

    def _uids_before(self, gone: "Collection[int]") -> None:
        """Before an expunge of ``gone``: record what could not be told afterwards, lest a crash rename what is left."""
        if self.state and len(gone) < len(self._entries):
            self._record.save(self._assigned().lines(), sync=True)

    def _save_uids(self) -> None:
        if self._gone and len(self._gone) == len(self._entries):
            self._record.save(lasting(self._record.load()), sync=True)
        elif self._assignment is not None:
            self._record.save(self._assignment.lines(self._gone), sync=True)
