"""The Maildir as a :class:`~qpopper_py.store.base.Store`: one maildrop of what lies in new and cur.

Nothing is locked: other programs deliver, read, change flags (rename) and remove mail at any time.  A message is its
base name, and the very file that was scanned (inode, size, mtime); both are looked at before and after each read.
Nothing is moved from new to cur and no flag is changed; flags count in cur alone.
"""

import os

from qpopper_py.errors import MaildropChanged, MaildropTrouble, MaildropUnusable
from qpopper_py.store.base import Entry
from qpopper_py.store.crlf import to_crlf
from qpopper_py.store.maildir.expunge import expunge, recover
from qpopper_py.store.maildir.folders import CUR, File, Folders
from qpopper_py.store.maildir.names import flags_of, plain
from qpopper_py.store.maildir.sizes import Sizes, Unreadable, measure
from qpopper_py.store.mbox.uids import Assignment
from qpopper_py.store.overrides import LOOK, Overrides, contents, identity
from qpopper_py.store.place import Place, take_place
from qpopper_py.store.remembering import Remembering
from qpopper_py.store.terms import ALONE, Terms

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterator, Sequence

PIECE = 96 << 10  # octets read from a file at a time


class Maildir(Remembering):
    """``path`` of the folder, ``owner``: the uid that it must belong to, ``state``: the private folder or empty."""

    def __init__(
        self, path: str, owner: int, state: str, report: "Callable[[str], None]", terms: Terms = ALONE
    ) -> None:
        super().__init__(path, "names", state, report, terms)
        self.owner = owner
        self._place: Place | None = None
        self._folders: Folders | None = None
        self._sizes: Sizes | None = None
        self._files: list[File] = []

    def scan(self) -> "Sequence[Entry]":
        try:
            self._place = take_place(self.path, self.state, self.report, self.terms)
            if self.terms.shared:  # what other sessions add from now on is theirs
                self._record.load()
                self._last.load()
            self._open()
        except OSError as why:
            self.close()
            raise MaildropTrouble(f"{self.path}: {why.strerror}") from why
        except BaseException:
            self.close()
            raise
        entries = []
        for file in self._files:
            flags = flags_of(file.name) if file.where == CUR else ""
            entries.append(Entry(file.octets, "S" in flags, "T" in flags))
        self._entries = entries
        return entries

    def _open(self) -> None:
        try:
            self._folders = Folders(self.path, self.owner, self.report)
        except FileNotFoundError:
            return  # it is empty; nothing is ever made here
        if not self.terms.read_only:
            recover(self._folders, self.report)
        self._sizes = Sizes(self._folders, self.terms.record(self.state, "sizes", self.report), self.report)
        self._files = self._sizes.fill(self._folders.files())

    def _file(self, index: int) -> "tuple[Folders, File]":
        if not 0 <= index < len(self._files):
            raise IndexError(index)
        if self._folders is None:
            raise MaildropUnusable(f"{self.path}: closed")
        if index in self._gone:
            raise MaildropChanged(f"{self.path}: message {index + 1} is expunged")
        return self._folders, self._files[index]

    def _assign(self) -> Assignment:
        """Overrides first, then the base name, or its digest where that is no uid."""
        bases = [plain(file.base) for file in self._files]
        table = Overrides(self.state, self.report).load()
        if table.names:
            bases = [table.names.get(base, base) for base in bases]
        recorded = self._record.load()
        if table.headers:
            bases, recorded = table.over(
                bases, recorded, lambda index: self._identity(index, table), self._contents, self._contents
            )
        return Assignment(bases, self._contents, recorded)

    def _identity(self, index: int, table: Overrides) -> str:
        if plain(self._files[index].base) in table.names:
            return ""
        text = b""
        for piece in self.stored(index):
            text += piece
            if len(text) >= LOOK:
                break
        return identity(text)

    def _contents(self, index: int) -> str:
        return contents(self.stored(index))

    def read(self, index: int) -> "Iterator[bytes]":
        """As the interface says; the file is looked at before this returns, its pieces as they are asked for."""
        folders, file = self._file(index)
        try:
            fd = self._opened(folders, file)
            try:
                if not file.proved:
                    self._prove(fd, file)
            finally:
                os.close(fd)
        except OSError as why:
            raise MaildropTrouble(f"{self.path}: {file.name}: {why.strerror}") from why
        return self._on_the_wire(index, file)

    def _opened(self, folders: Folders, file: File) -> int:
        fd = folders.open(file)
        if fd < 0:
            raise MaildropChanged(f"{self.path}: {file.base} was removed under the session")
        if not file.same(os.fstat(fd)):
            os.close(fd)
            raise MaildropChanged(f"{self.path}: {file.base} was edited or replaced under the session")
        return fd

    def _prove(self, fd: int, file: File) -> None:
        """Count what the name only stated: what was announced must be what is sent."""
        try:
            octets = measure(fd, file.size)
        except Unreadable as why:
            raise MaildropChanged(f"{self.path}: {file.base}: {why}") from None
        if octets != file.octets:
            assert self._sizes is not None
            self._sizes.distrust()
            raise MaildropChanged(
                f"{self.path}: {file.base}: W= is {file.octets}, the message has {octets} octets; "
                "from the next session on the sizes in this Maildir's names are not believed"
            )
        file.proved = True

    def stored(self, index: int) -> "Iterator[bytes]":
        """The message as it lies in its file, in pieces; for tools.  MaildropChanged as for ``read``."""
        folders, file = self._file(index)
        try:
            fd = self._opened(folders, file)
            try:
                at = 0
                while at < file.size:
                    data = os.read(fd, PIECE)
                    at += len(data)
                    if not data or not file.same(os.fstat(fd)):
                        raise MaildropChanged(f"{self.path}: {file.base} was edited under the session")
                    yield data
            finally:
                os.close(fd)
        except OSError as why:
            raise MaildropTrouble(f"{self.path}: {file.name}: {why.strerror}") from why

    def _on_the_wire(self, index: int, file: File) -> "Iterator[bytes]":
        left, at = file.octets, 0
        held = b""  # a CR whose LF may come with the next piece
        for data in self.stored(index):
            at += len(data)
            data = held + data
            held = b""
            if at < file.size and data.endswith(b"\r"):
                data, held = data[:-1], b"\r"
            wire = to_crlf(data)
            if at == file.size and not wire.endswith(b"\n"):
                wire += b"\r\n"
            left -= len(wire)
            if left < 0 or (at == file.size and left):
                raise MaildropChanged(f"{self.path}: {file.base} was edited under the session")
            if wire:
                yield wire

    def base(self, index: int) -> str:
        """The base name of the message; for tools."""
        return self._file(index)[1].base

    def letter(self, index: int) -> "tuple[bool, str, float]":
        """For tools: does it lie in cur, its flags there, and when it was delivered (the file's mtime, in seconds)."""
        _, file = self._file(index)
        return file.where == CUR, flags_of(file.name), file.mtime / 1e9

    def expunge(self, indexes: "Collection[int]") -> None:
        """As the interface says; what a crash leaves stands in :mod:`expunge`."""
        doomed = frozenset(indexes)
        if not doomed:
            return
        files = [self._file(index)[1] for index in sorted(doomed)]
        self._uids_before(doomed)
        folders = self._file(min(doomed))[0]
        expunge(folders, files, self.report)
        self._gone = doomed

    def close(self) -> None:
        if self._place is not None:
            if self._folders is not None and self._files:
                self._save_uids()  # a session that was cut off has given out uids too
            self._place.release()
            self._place = None
        if self._folders is not None:
            self._folders.close()
            self._folders = None
