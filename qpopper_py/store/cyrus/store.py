"""A mailbox of a Cyrus spool as a :class:`~qpopper_py.store.base.Store`, for reading only.

``cyrus.index`` says what there is, its sizes and uids; the message of number N is the file ``N.``, its lines ended by
CRLF.  To delete, Cyrus' own databases would have to follow (quota, conversations, mailboxes.db): that is refused, and
``qpopper-py convert --from cyrus`` makes a Maildir of it, with the same unique-ids.

What Cyrus expunged under the session is gone (MaildropChanged); what it wrote since is the next session's.
"""

import os

from qpopper_py.errors import MaildropChanged, MaildropTrouble, MaildropUnusable
from qpopper_py.store.base import Entry, Store
from qpopper_py.store.crlf import to_crlf
from qpopper_py.store.cyrus.index import Damaged, Index, Record
from qpopper_py.store.uid_schemes import SCHEMES

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterator, Sequence

PIECE = 96 << 10  # octets read from a file at a time
LARGEST = 256 << 20  # octets of an index: two million messages
FLAGS = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
TRIES = 3


class CyrusMailbox(Store):
    """``path`` of the folder, ``owner``: the uid that it must belong to; ``scheme``: the setting uidl."""

    def __init__(self, path: str, owner: int, scheme: str, report: "Callable[[str], None]") -> None:
        self.path = path
        self.owner = owner
        self.scheme = scheme
        self.report = report
        self._folder = -1
        self._records: list[Record] = []
        self._index: Index | None = None

    def scan(self) -> "Sequence[Entry]":
        try:
            self._folder = os.open(self.path, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
            found = os.fstat(self._folder)
            if found.st_uid != self.owner:
                raise MaildropUnusable(f"{self.path}: belongs to uid {found.st_uid}, not to uid {self.owner}")
            self._index = Index(self._contents("cyrus.index"))
        except Damaged as why:
            self.close()
            raise MaildropUnusable(f"{self.path}/cyrus.index: {why}") from None
        except OSError as why:
            self.close()
            raise MaildropTrouble(f"{self.path}: {why.strerror}") from why
        except BaseException:
            self.close()
            raise
        after = self._index.show_after
        self._records = [record for record in self._index.records if record.arrived > after or not after]
        return [Entry(record.octets, record.seen, record.deleted) for record in self._records]

    def _contents(self, name: str) -> bytes:
        """All of a file that others may be writing: the same twice.  Raises OSError, MaildropTrouble."""
        before = b""
        for _ in range(TRIES):
            fd = os.open(name, FLAGS, dir_fd=self._folder)
            with open(fd, "rb") as file:
                data = file.read(LARGEST + 1)
            if len(data) > LARGEST:
                raise MaildropUnusable(f"{self.path}/{name}: is larger than {LARGEST >> 20} MiB")
            if data and data == before:
                return data
            before = data
        raise MaildropTrouble(f"{self.path}/{name}: is being written; try again")

    def uids(self) -> "Sequence[str]":
        index = self._index
        if index is None:
            raise MaildropUnusable(f"{self.path}: closed")
        name = self.scheme if SCHEMES[self.scheme].numbered else "cyrus"
        if name == "cyrus" and not index.new_uids:
            name = "uidonly"
        make = SCHEMES[name].numbered
        assert make is not None
        return [make(record.number, index.validity) for record in self._records]

    def read(self, index: int) -> "Iterator[bytes]":
        """As the interface says; the file is looked at before this returns, its pieces as they are asked for."""
        record = self._records[index]
        os.close(self._opened(record))
        return self._on_the_wire(index, record)

    def _opened(self, record: Record) -> int:
        if self._folder < 0:
            raise MaildropUnusable(f"{self.path}: closed")
        try:
            fd = os.open(f"{record.number}.", FLAGS, dir_fd=self._folder)
        except FileNotFoundError:
            raise MaildropChanged(f"{self.path}/{record.number}.: was removed under the session") from None
        except OSError as why:
            raise MaildropTrouble(f"{self.path}/{record.number}.: {why.strerror}") from why
        found = os.fstat(fd)
        if found.st_mode >> 12 != 0o10 or found.st_size != record.octets:
            os.close(fd)
            raise MaildropChanged(
                f"{self.path}/{record.number}.: has {found.st_size} octets, and {record.octets} by cyrus.index;"
                " reconstruct(8) mends that"
            )
        return fd

    def stored(self, index: int) -> "Iterator[bytes]":
        """The message as it lies in its file, in pieces; for tools.  MaildropChanged as for ``read``."""
        record = self._records[index]
        fd = self._opened(record)
        left = record.octets
        try:
            while left:
                data = os.read(fd, min(PIECE, left))
                if not data:
                    raise MaildropChanged(f"{self.path}/{record.number}.: was cut under the session")
                left -= len(data)
                yield data
        except OSError as why:
            raise MaildropTrouble(f"{self.path}/{record.number}.: {why.strerror}") from why
        finally:
            os.close(fd)

    def _on_the_wire(self, index: int, record: Record) -> "Iterator[bytes]":
        held = b""  # a CR whose LF may come with the next piece
        octets, last = 0, b""
        for data in self.stored(index):
            data, held = held + data, b""
            if data.endswith(b"\r"):
                data, held = data[:-1], b"\r"
            wire = to_crlf(data)
            octets += len(wire)
            if octets > record.octets:
                raise MaildropChanged(f"{self.path}/{record.number}.: has lines that end without CR; reconstruct(8)")
            if wire:
                last = wire[-1:]
                yield wire
        if octets != record.octets or last not in (b"\n", b""):
            raise MaildropChanged(f"{self.path}/{record.number}.: does not end with a line's end; reconstruct(8)")

    def letter(self, index: int) -> "tuple[bool, str, float]":
        """For tools: what a Maildir says of it: was it looked at, its flags, and when it arrived."""
        record = self._records[index]
        return record.seen, "S" if record.seen else "", float(record.arrived)

    def expunge(self, indexes: "Collection[int]") -> None:
        if indexes:
            raise MaildropUnusable(
                f"{self.path}: nothing is deleted in a Cyrus spool; convert it: qpopper-py convert --from cyrus"
            )

    def retrieved(self) -> "set[int]":
        return {index for index, record in enumerate(self._records) if record.seen}

    def remember(self, retrieved: "Collection[int]") -> None:
        """Nothing is kept: flags are Cyrus' own."""

    def close(self) -> None:
        if self._folder >= 0:
            os.close(self._folder)
            self._folder = -1
