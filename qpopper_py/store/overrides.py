"""Unique-ids that were given by somebody else: by another server, or in another kind of mailbox.

The table ``overrides`` in the user's state folder says which message has which uid, whatever the store's own scheme
would make of it.  It is asked first by every store, and written by tools alone.  A line is five words:

    N <name> - <uid> <check>            the Maildir file of that base name (:func:`~.maildir.names.plain`)
    H <identity> <contents> <uid> <check>   a message by its header; contents is ``-`` unless headers are shared

An identity is the same in every kind of mailbox: no From_ line, none of the marks that mail readers and servers put
into headers.  ``check`` is the CRC-32 of what stands before it: a damaged line is left out and reported, the others
count.  A table of a format that we do not know is neither believed nor written over.
"""

import os

from qpopper_py.errors import MaildropTrouble

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

NAME = "overrides"
HEAD = "pop3d overrides 1"
LOOK = 64 << 10  # octets: what lies farther behind in a header does not count
MARKS = rb"(?im)^(?:status|x-status|x-keywords|x-uid|x-uidl|x-imap|x-imapbase|content-length|lines):.*\n(?:[ \t].*\n)*"


def identity(text: bytes) -> str:
    """32 hex digits from the header with which ``text`` (a stored message, or the first LOOK octets of it) begins."""
    import re
    from hashlib import blake2b

    head, _ = _parted(text[:LOOK])
    return blake2b(re.sub(MARKS, b"", head), digest_size=16).hexdigest()


def contents(pieces: "Iterable[bytes]") -> str:
    """16 hex digits from a whole stored message, without its marks and the empty lines that it ends in."""
    import re
    from hashlib import blake2b

    digest = blake2b(digest_size=8)
    text = b""
    begun = False
    for piece in pieces:
        text += piece
        if not begun:
            if len(text) < LOOK:
                continue
            text, begun = _without_marks(text, re.sub), True
        kept = text.rstrip(b"\r\n")
        digest.update(kept)
        text = text[len(kept) :]
    if not begun:
        text = _without_marks(text, re.sub)
    digest.update(text.rstrip(b"\r\n"))
    return digest.hexdigest()


def _parted(text: bytes) -> "tuple[bytes, bytes]":
    """Header, its last line ended, and what follows it."""
    import re

    end = re.search(rb"\n\r?\n", b"\n" + text)
    at = end.start() if end else len(text)
    return (text[:at].rstrip(b"\r\n") + b"\n" if at else b""), text[at:]


def _without_marks(text: bytes, sub: "Callable[..., bytes]") -> bytes:
    head, rest = _parted(text[:LOOK])
    return sub(MARKS, b"", head) + rest + text[LOOK:]


def is_uid(text: str) -> bool:
    """RFC 1939 section 7: 1 to 70 characters of 0x21 to 0x7E."""
    return 1 <= len(text) <= 70 and all("!" <= character <= "~" for character in text)


class Overrides:
    """The table in ``folder`` (empty: there is none); ``load`` reads it."""

    def __init__(self, folder: str, report: "Callable[[str], None]") -> None:
        self.path = os.path.join(folder, NAME) if folder else ""
        self.report = report
        self.names: dict[str, str] = {}
        self.headers: dict[str, list[tuple[str, str]]] = {}  # identity -> (contents or "-", uid), in their order
        self.foreign = ""  # why it must not be written over

    def load(self) -> "Overrides":
        """Read it; one that is missing or cannot be read is empty."""
        try:
            text = self._read() if self.path else ""
        except FileNotFoundError:
            return self
        except OSError as why:
            self.foreign = f"{self.path}: {why.strerror}"
            self.report(f"{self.foreign}; going on without the unique-ids that it holds")
            return self
        if not text:
            return self
        head, *lines = text.split("\n")
        if head != HEAD:
            self.foreign = f"{self.path}: not a table that this version knows"
            self.report(f"{self.foreign}; going on without it")
            return self
        damaged = sum(not self._take(line) for line in lines if line)
        if damaged:
            self.report(f"{self.path}: {damaged} damaged lines are left out; those messages are fetched once more")
        return self

    def _read(self) -> str:
        fd = os.open(self.path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
        with open(fd, encoding="ascii", errors="replace", newline="\n") as file:
            return file.read()

    def _take(self, line: str) -> bool:
        body, _, check = line.rpartition(" ")
        words = body.split(" ")
        if len(words) != 4 or check != _check(body) or not is_uid(words[3]):
            return False
        if words[0] == "N":
            self.names[words[1]] = words[3]
        elif words[0] == "H":
            self.headers.setdefault(words[1], []).append((words[2], words[3]))
        else:
            return False
        return True

    def over(
        self,
        bases: "Sequence[str]",
        recorded: "Sequence[str]",
        identity: "Callable[[int], str]",
        contents: "Callable[[int], str]",
        own: "Callable[[int], str]",
    ) -> "tuple[list[str], list[str]]":
        """A store's ``bases`` and ``recorded`` lines, as :class:`~.mbox.uids.Assignment` takes them, by this table.

        ``identity(i)`` and ``contents(i)`` are as above, of the store's message ``i``; ``own(i)`` is Assignment's.
        An empty identity stands for a message that is not asked about.
        """
        found: dict[str, list[int]] = {}
        for index in range(len(bases)):
            key = identity(index)
            if key in self.headers:
                found.setdefault(key, []).append(index)
        ours: set[int] = set()
        bases, recorded = list(bases), list(recorded)
        known = {line.partition(" ")[0] for line in recorded}
        for key, members in found.items():
            rows = self.headers[key]
            if len(rows) == 1:
                for index in members:
                    bases[index] = rows[0][1]
                ours.update(members)
                continue
            left: dict[str, list[str]] = {}
            for content, uid in rows:
                left.setdefault(content, []).append(uid)
            first = {content: uids[0] for content, uids in left.items()}
            for index in members:
                content = contents(index)
                if content in first:
                    bases[index] = first[content]
                    ours.add(index)
                    # Which is which of messages that are alike only a record can tell; this table begins it.
                    if first[content] not in known and left[content]:
                        recorded.append(f"{first[content]} {own(index)} {left[content].pop(0)}")
        return bases, _without_strangers(bases, recorded, ours, own)

    def put_name(self, name: str, uid: str) -> None:
        """``name``: of a Maildir file, as :func:`~.maildir.names.plain` writes it."""
        self.names[name] = uid

    def put_headers(self, rows: "Iterable[tuple[str, str, str]]") -> None:
        """(identity, contents, uid) of messages; what was said of these identities before no longer counts."""
        made: dict[str, list[tuple[str, str]]] = {}
        for key, content, uid in rows:
            made.setdefault(key, []).append((content, uid))
        for key, members in made.items():
            self.headers[key] = members if len(members) > 1 else [("-", members[0][1])]

    def forget_headers(self, identities: "Iterable[str]") -> None:
        for key in identities:
            self.headers.pop(key, None)

    def save(self) -> None:
        """Replace the table on the disk; it is there when this returns.  Raises MaildropTrouble.

        Without a folder there is nothing to replace.
        """
        if not self.path:
            return
        if self.foreign:
            raise MaildropTrouble(f"{self.foreign}; it was left alone: move it away, or use the version that wrote it")
        bodies = [f"N {name} - {uid}" for name, uid in self.names.items()]
        bodies += [f"H {key} {content} {uid}" for key, rows in self.headers.items() for content, uid in rows]
        text = "".join(f"{line}\n" for line in [HEAD, *(f"{body} {_check(body)}" for body in bodies)])
        new = self.path + ".new"
        try:
            try:
                os.unlink(new)  # a crash left it
            except FileNotFoundError:
                pass
            fd = os.open(new, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
            with open(fd, "w", encoding="ascii", newline="\n") as file:
                file.write(text)
                file.flush()
                os.fsync(fd)
            os.rename(new, self.path)
            folder = os.open(os.path.dirname(self.path), os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
            try:
                os.fsync(folder)
            finally:
                os.close(folder)
        except OSError as why:
            raise MaildropTrouble(f"{self.path}: cannot be written: {why.strerror}") from why


def _without_strangers(
    bases: "list[str]", recorded: "list[str]", ours: "set[int]", own: "Callable[[int], str]"
) -> "list[str]":
    """``recorded`` without the lines that would keep a uid of this table from the message that it belongs to.

    They were written of messages as they lay here once, before they moved away and came back.
    """
    known = {line.partition(" ")[0] for line in recorded}
    owns: dict[str, set[str]] = {}
    for index in ours:
        if bases[index] in known:
            owns.setdefault(bases[index], set()).add(own(index))
    return [line for line in recorded if line.split(" ")[1] in owns.get(line.split(" ")[0], line.split(" "))]


def _check(body: str) -> str:
    from binascii import crc32

    return f"{crc32(body.encode('ascii', 'replace')):08x}"
