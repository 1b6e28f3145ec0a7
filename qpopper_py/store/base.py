"""What a store of mail is: a few verbs.  Numbering, marks, LAST and totals live above it.

A store serves one maildrop for one session, as a snapshot: what ``scan`` found is what the session sees;
mail that arrives later stays for the next one.  No lock is held between calls, so no delivery ever waits
for a client.  Indexes count from 0 in the order of the scan and never change.
"""

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Sequence


class Entry:
    """One message of the scan: ``octets`` that RETR sends (before dot-stuffing), and what mail readers noted there.

    ``seen``: a stored Status has R, or a Maildir file the flag S.  ``deleted``: Status or X-Status has D, or the file
    the flag T: marked as deleted, but still there.
    """

    __slots__ = ("deleted", "octets", "seen")

    def __init__(self, octets: int, seen: bool = False, deleted: bool = False) -> None:
        self.octets = octets
        self.seen = seen
        self.deleted = deleted


SEEN, DELETED = 1, 2  # marks of an Entry, as bits


class Entries:
    """Entries of many messages, as columns: ``octets``, and ``marks``, of SEEN and DELETED."""

    __slots__ = ("marks", "octets")

    def __init__(self, octets: "Sequence[int]" = (), marks: bytes = b"") -> None:
        self.octets = octets
        self.marks = marks

    def __len__(self) -> int:
        return len(self.octets)

    def __getitem__(self, index: int) -> Entry:
        marks = self.marks[index]
        return Entry(self.octets[index], bool(marks & SEEN), bool(marks & DELETED))

    def __iter__(self) -> "Iterator[Entry]":
        return map(self.__getitem__, range(len(self)))


def octets_of(entries: "Sequence[Entry] | Entries") -> "Sequence[int]":
    return entries.octets if isinstance(entries, Entries) else [entry.octets for entry in entries]


class Store:
    """The interface, and its documentation; every store is held to it by one contract suite.

    Every method may raise a :class:`~qpopper_py.errors.MaildropError`.
    ``hidden``: how many messages the scan found and does not show.  ``place``: the maildrop's path, for the log.
    """

    hidden = 0
    place = ""

    def scan(self) -> "Sequence[Entry] | Entries":
        """Take the session's place and the snapshot.  Once, first.

        MaildropBusy: another session has the maildrop, or a lock could not be had in time.
        MaildropUnusable: it is no maildrop, or not the user's.  A missing one is empty.
        """
        raise NotImplementedError

    def uids(self) -> "Sequence[str]":
        """The unique-ids (RFC 1939 section 7: 1 to 70 of 0x21..0x7E), all different, one an entry."""
        raise NotImplementedError

    def read(self, index: int) -> "Iterator[bytes]":
        """The message in pieces of bounded size, line ends CRLF, the last line ended, dots not stuffed.

        The pieces add up to exactly ``octets``.  MaildropChanged before a byte that is not the scanned
        message's is handed out.
        """
        raise NotImplementedError

    def expunge(self, indexes: "Collection[int]") -> None:
        """Remove these messages for good, all or none; keep all else, new mail too.

        When it returns they are gone from the disk.  MaildropChanged: what lies there is not what was scanned;
        nothing was removed.  Any other MaildropError: nothing was removed; or, once the removal could no longer be
        taken back, it is finished before anybody opens the maildrop again, and nobody sees a part of it; or all are
        removed and the disk did not confirm it.  The text says which.
        """
        raise NotImplementedError

    def mark_seen(self, indexes: "Collection[int]") -> None:
        """These are retrieved by now.  A store that has room for it in the mail may write it with the next ``expunge``.

        ``remember`` is what keeps it.
        """

    def retrieved(self) -> "set[int]":
        """Indexes of messages that earlier sessions retrieved, by our record (unique-ids) or by ``seen``."""
        raise NotImplementedError

    def remember(self, retrieved: "Collection[int]") -> None:
        """Record what is retrieved by now; after ``expunge``, whose messages drop out by themselves.

        Kept by unique-id.  A record that cannot be written is reported, never an error of the session.
        """
        raise NotImplementedError

    def close(self) -> None:
        """Give the session's place back.  Any time, any number of times; never raises."""
        raise NotImplementedError
