"""Numbers for messages, given once for ever, as IMAP servers number them: ascending, below one UIDVALIDITY.

A mailbox that UW imapd, Dovecot or GNU mailutils has numbered says so in its headers: ``X-IMAPbase: VALIDITY LAST``
(or X-IMAP) in the first message, and ``X-UID: NUMBER`` in each.  Those count where no record of ours says otherwise:
ascending, not above LAST, and not among the numbers that we gave.  A message without gets the next number.

Numbers are state.  They stand among the lines of the record ``uids`` (:class:`~.mbox.uids.Assignment`), each of four
words:

    numbers VALIDITY NEXT -       NEXT is kept when the mailbox is emptied: no number is given twice
    number KEY OWN WORD           KEY: header (marks left out) and length of a message; OWN: ``-``, or its own digest
                                  where several share the key; WORD: the number, or MD5.TIME.NUMBER

The record is on the disk before a new number is given out.  Where it cannot be written, or there is none, a message
without a number in its header has Qpopper 2's uid: better another uid than one that is another's tomorrow.
"""

import time

from qpopper_py.store.overrides import MARKS
from qpopper_py.store.uid_schemes import qpopper2

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterator, Sequence
    from typing import Protocol

    from qpopper_py.store.uid_schemes import Scheme

    class Mail(Protocol):
        """What a scheme asks of a maildrop; messages count from 0."""

        def __len__(self) -> int: ...
        def first_head(self) -> bytes:
            """The head of what lies first, a message or an IMAP server's own."""

        def head(self, index: int) -> bytes:
            """From_ line and header, the empty line included."""

        def length(self, index: int) -> int:
            """Octets of the body as stored."""

        def pieces(self, index: int) -> Iterator[bytes]:
            """The message as stored, without its From_ line."""

        def own(self, index: int) -> str:
            """A digest of the whole message, its marks left out."""


NUMBERS, NUMBER = "numbers ", "number "
APART = "\t"
MOST = 2**31  # of a number in a header; a larger one is nobody's counting


def bases(
    scheme: "Scheme",
    mail: "Mail",
    recorded: "Sequence[str]",
    save: "Callable[[list[str]], bool] | None",
    clock: "Callable[[], float]" = time.time,
    said: "Sequence[str] | None" = None,
) -> "tuple[list[str], Numbering | None]":
    """What ``scheme`` makes of each message, and the numbers behind it if it needs any.

    ``recorded``: lines of the record.  ``save`` puts lines on the disk and says whether they are there; None: there
    is no record.  ``said``: :func:`told` of each message, if that is known.
    """
    said = [told(scheme, mail, index) for index in range(len(mail))] if said is None else said
    if not scheme.numbers:
        return list(said), None
    made, keys = [], []
    for text in said:
        uid, _, key = text.partition(APART)
        made.append(uid)
        keys.append(key)
    needy = [index for index, uid in enumerate(made) if not uid]
    numbering = Numbering(mail, keys, recorded, clock, scheme.bare)
    if save is not None:
        fresh = numbering.give(needy if scheme.made else ())
        if fresh and not save(numbering.lines() + others(recorded)):
            numbering.forget(fresh)
    elif scheme.made:
        numbering.forget(needy)
    for index in needy:
        word = numbering.words.get(index, "")
        if not word:
            made[index] = qpopper2(mail.head(index))
        elif scheme.numbered is None:
            made[index] = word
        else:
            made[index] = scheme.numbered(number_of(word), numbering.validity)
    return made, numbering


def told(scheme: "Scheme", mail: "Mail", index: int) -> str:
    """What ``scheme`` makes of a message's header: its uid, if it fixes one; and if it numbers, APART and the key."""
    import re
    from hashlib import blake2b

    head = mail.head(index)
    uid = scheme.of_header(head)
    if not scheme.numbers:
        return uid
    key = blake2b(re.sub(MARKS, b"", head) + b"%d" % mail.length(index), digest_size=8).hexdigest()
    return uid + APART + key


def number_of(word: str) -> int:
    """The number in a line's last word; 0 if there is none."""
    digits = word.rpartition(".")[2]
    return int(digits) if digits.isascii() and digits.isdigit() and len(digits) < 20 else 0


def imap_base(head: bytes) -> "tuple[int, int]":
    """UIDVALIDITY and the highest number given out, as X-IMAPbase or X-IMAP says; 0, 0 if neither does."""
    import re

    found = re.search(rb"(?im)^x-imap(?:base)?:\s+(\d{1,10})\s+(\d{1,10})\b", head)
    validity, last = (int(found[1]), int(found[2])) if found else (0, 0)
    return (validity, last) if validity and 0 < last < MOST else (0, 0)


def imap_number(head: bytes) -> int:
    """The number that an X-UID field gives; 0 if none does."""
    import re

    found = re.search(rb"(?im)^x-uid:[ \t]*(\d{1,10})[ \t]*\r?$", head)
    return int(found[1]) if found else 0


def ours(recorded: "Sequence[str]") -> list[str]:
    """Those lines of a record that are numbers."""
    return [line for line in recorded if line.startswith((NUMBERS, NUMBER)) and line.count(" ") == 3]


def others(recorded: "Sequence[str]") -> list[str]:
    return [line for line in recorded if line.count(" ") != 3]


def lasting(recorded: "Sequence[str]") -> list[str]:
    """What a record must hold of these lines though no message is left."""
    return [line for line in ours(recorded) if line.startswith(NUMBERS)]


class Numbering:
    """Numbers for all messages of ``mail``: ``words`` by message, below ``validity``."""

    def __init__(
        self,
        mail: "Mail",
        keys: "Sequence[str]",
        recorded: "Sequence[str]",
        clock: "Callable[[], float]",
        bare: bool,
    ) -> None:
        self.mail = mail
        self.now = int(clock())
        self.validity = 0
        self.next = 1
        self.words: dict[int, str] = {}
        self.owns: dict[int, str] = {}
        self.members: dict[str, list[int]] = {}
        for index, key in enumerate(keys):
            self.members.setdefault(key, []).append(index)
        self._by_record(ours(recorded))
        self._by_headers()
        if not self.validity:
            self.validity = self.now
            if bare:  # a number that says nothing of the validity must not be one of a record that was lost
                self.next = self.now

    def own(self, index: int) -> str:
        if index not in self.owns:
            self.owns[index] = self.mail.own(index)
        return self.owns[index]

    def _by_record(self, recorded: "Sequence[str]") -> None:
        lines: dict[str, list[tuple[str, str]]] = {}
        for line in recorded:
            kind, first, second, word = line.split(" ")
            if kind + " " == NUMBER and number_of(word):
                lines.setdefault(first, []).append((second, word))
            elif kind + " " == NUMBERS:
                # Sessions side by side can have written one each.
                self.validity = min(self.validity or number_of(first), number_of(first))
                self.next = max(self.next, number_of(second))
        for key, left in lines.items():
            members = self.members.get(key, [])
            if len(members) == 1 and len(left) == 1:
                self.words[members[0]] = left[0][1]
                continue
            for own, word in sorted(left, key=lambda line: line[0] == "-"):
                for index in members:
                    if index not in self.words and own in ("-", self.own(index)):
                        self.words[index] = word
                        break

    def _by_headers(self) -> None:
        """Take the numbers that another server has written into headers."""
        validity, last = imap_base(self.mail.first_head())
        if not last or self.validity not in (0, validity):
            return
        self.validity = validity
        before, least = 0, self.next
        for index in range(len(self.mail)):
            if index not in self.words:
                number = imap_number(self.mail.head(index))
                if not max(before + 1, least) <= number <= last:
                    continue
                self.words[index] = f"{number}"
            before = max(before, number_of(self.words[index]))
        self.next = max(self.next, last + 1)

    def give(self, made: "Collection[int]") -> list[int]:
        """A word for every message, in their order: MD5.TIME.NUMBER for ``made``; the messages whose words are new."""
        known = [number_of(word) for word in self.words.values()]
        self.next = max([self.next, *(number + 1 for number in known)])
        making = frozenset(made)
        fresh = []
        for index in range(len(self.mail)):
            word = self.words.get(index, "")
            if word and ("." in word or index not in making):
                continue
            number = number_of(word) or self._take()
            self.words[index] = f"{self._md5(index)}.{self.now}.{number}" if index in making else f"{number}"
            fresh.append(index)
        return fresh

    def _take(self) -> int:
        self.next += 1
        return self.next - 1

    def _md5(self, index: int) -> str:
        from hashlib import md5

        digest = md5(usedforsecurity=False)
        for piece in self.mail.pieces(index):
            digest.update(piece)
        return digest.hexdigest()

    def forget(self, indexes: "Collection[int]") -> None:
        for index in indexes:
            self.words.pop(index, None)

    def lines(self, gone: "Collection[int]" = ()) -> list[str]:
        """What the record must hold once the messages ``gone`` (best a set) are removed."""
        result = [f"{NUMBERS}{self.validity} {self.next} -"] if self.next > 1 else []
        for key, members in self.members.items():
            shared = len(members) > 1
            result += [
                f"{NUMBER}{key} {self.own(index) if shared else '-'} {self.words[index]}"
                for index in members
                if index in self.words and index not in gone
            ]
        return result
