"""An mbox as the target of a conversion; what a target does stands in :mod:`convert_maildir`."""

import os
from collections.abc import Callable, Iterable, Iterator
from itertools import chain

from qpopper_py.errors import MaildropTrouble, MaildropUnusable
from qpopper_py.store.disk import sync_folder, write_at
from qpopper_py.store.lock import MaildropLock
from qpopper_py.store.mbox.from_line import Rule
from qpopper_py.store.mbox.layout import read_at
from qpopper_py.store.mbox.snapshot import open_mailbox
from qpopper_py.store.overrides import Overrides, contents, identity
from qpopper_py.store.state import Record
from qpopper_py.tools.convert_maildir import FILE, Report
from qpopper_py.tools.convert_text import Letter, ending, from_line, put_on, quoted, split


class MboxTarget:
    """An mbox: missing, it is built as .NAME.converting beside it; else it is added to, under its locks.

    While it is added to, the record ``converting`` says where that began: after a crash the next run cuts off what
    is its own, and touches nothing if it cannot tell.
    """

    def __init__(
        self,
        path: str,
        owner: int,
        state: str,
        lock: MaildropLock,
        rule: Rule,
        table: Overrides,
        report: Report,
        append: bool,
    ) -> None:
        self.path = path
        self.owner = owner
        self.lock = lock
        self.rule = rule  # by which the target will be read
        self.table = table
        self.report = report
        self.append = append
        self.record = Record(state, "converting", report)
        self.fd = -1
        self.beside = ""
        self.start = self.at = 0
        self.locked = self.adding = self.done = False
        self.letters: list[tuple[str, Letter]] = []  # (identity, letter)

    def check(self) -> None:
        """MaildropUnusable: mail is there, or something that is no mailbox."""
        self.fd = open_mailbox(self.path, self.owner, os.O_RDWR)
        if self.fd < 0:
            return
        size = os.fstat(self.fd).st_size
        if not size or self._unfinished() is not None:
            return
        if not self.append:
            raise MaildropUnusable(f"{self.path}: holds mail; --append adds to it")

    def _unfinished(self) -> "int | None":
        """Where an earlier run began to add to this file and did not finish; None: there was none."""
        lines = self.record.load()
        if len(lines) == 2 and lines[0] == os.fsencode(self.path).hex() and lines[1].isdigit():
            return int(lines[1])
        return None

    def begin(self, letters: Callable[[], Iterable[Letter]]) -> None:
        if self.fd < 0:
            folder, name = os.path.split(self.path)
            self.beside = f"{folder}/.{name}.converting"
            try:
                os.unlink(self.beside)
                self.report(f"{self.beside}: was left by a conversion that broke off; it is made anew")
            except FileNotFoundError:
                pass
            self.fd = os.open(self.beside, FILE, 0o600)
            return
        self.lock.take(self.fd, exclusive=True)
        self.locked = True
        before = self._unfinished()
        if before is not None:
            self._cut_unfinished(before, letters())
        self.start = self.at = os.fstat(self.fd).st_size
        if read_at(self.fd, min(1, self.start), 0) == b"\1":
            raise MaildropUnusable(f"{self.path}: is an MMDF mailbox; name another target")
        if self.start and not self.append:
            raise MaildropUnusable(f"{self.path}: mail has arrived there; --append adds to it")
        self.record.save([os.fsencode(self.path).hex(), str(self.start)], sync=True)
        self.adding = True
        self._write(self._gap())

    def _gap(self) -> bytes:
        """What makes the end of the file one that a From_ line can follow."""
        tail = read_at(self.fd, min(3, self.start), max(0, self.start - 3))
        if not tail or tail.endswith((b"\n\n", b"\n\r\n")):
            return b""
        return b"\n" if tail.endswith(b"\n") else b"\n\n"

    def _cut_unfinished(self, start: int, letters: Iterable[Letter]) -> None:
        size = os.fstat(self.fd).st_size
        self.start = min(start, size)
        at, ours = self.start, size >= start
        for piece in self._stream(letters):
            there = read_at(self.fd, min(len(piece), size - at), at) if ours else b""
            ours = ours and piece.startswith(there)
            at += len(there)
            if not ours or at == size:
                break
        if not ours or at < size:
            raise MaildropUnusable(
                f"{self.path}: an earlier conversion broke off; what it added from octet {start} on has been changed "
                f"since, or other mail has come behind it.  Look at it, then remove {self.record.path} to go on"
            )
        os.ftruncate(self.fd, start)
        os.fsync(self.fd)
        self.report(f"{self.path}: cut off what a conversion that broke off had added")

    def _stream(self, letters: Iterable[Letter]) -> Iterator[bytes]:
        yield self._gap()
        for letter in letters:
            yield from self._rendered(letter)

    def _rendered(self, letter: Letter) -> Iterator[bytes]:
        head, rest = split(letter.stored())
        yield from_line(head, letter.delivered)
        last = b""
        for piece in quoted(chain([put_on(head, letter.marks)], rest), self.rule):
            last = piece[-1:]
            yield piece
        yield ending(last)

    def put(self, letter: Letter) -> None:
        for piece in self._rendered(letter):
            self._write(piece)
        self.letters.append((identity(split(letter.stored())[0]), letter))
        self.lock.refresh()

    def _write(self, data: bytes) -> None:
        write_at(self.fd, data, self.at)
        self.at += len(data)

    def commit(self) -> int:
        """How many were put there."""
        os.fsync(self.fd)
        shared: set[str] = set()
        seen: set[str] = set()
        for key, _ in self.letters:
            (shared if key in seen else seen).add(key)
        self.table.put_headers(
            (key, contents(self._content(letter)) if key in shared else "-", letter.uid) for key, letter in self.letters
        )
        self.table.save()
        if self.beside:
            try:
                os.link(self.beside, self.path)
            except FileExistsError:
                raise MaildropTrouble(f"{self.path}: mail has arrived there meanwhile; --append adds to it") from None
            os.unlink(self.beside)
            sync_folder(os.path.dirname(self.path))
        self.done = True
        if self.adding:
            self.record.save([], sync=True)
        return len(self.letters)

    def _content(self, letter: Letter) -> Iterator[bytes]:
        stream = self._rendered(letter)
        next(stream)
        return stream

    def close(self) -> None:
        """Undo what was not committed."""
        if self.fd < 0:
            return
        try:
            if self.adding and not self.done:
                os.ftruncate(self.fd, self.start)
                os.fsync(self.fd)
                self.record.save([], sync=True)
            elif self.beside and not self.done:
                os.unlink(self.beside)
        finally:
            if self.locked:
                self.lock.release()
            os.close(self.fd)
            self.fd = -1
