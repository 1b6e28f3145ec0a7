"""``<state_dir>/guesses``: what the gate remembers against guessing, in one small file of fixed size.

All processes of the server share it, in every mode, and it survives restarts.  Three tables of records of fixed size:

=========  ==================================  ==============================================================
table      a record is of                      and holds
=========  ==================================  ==============================================================
ORIGINS    an IPv4 address or an IPv6 /64      failures, when the last was, until when its turn is taken,
                                               and what wrong passwords it tried
PAIRS      an account at an origin             when it last logged in from there
ACCOUNTS   an account, with guess.lockout      failures in a row, when the last was
=========  ==================================  ==============================================================

A record is found by a keyed hash of what it is of; the key is the file's own and random, so nobody can aim at a
record, and the file alone tells no address and no name.  A hash leads to a bucket of WAYS records.  In a full bucket
what has aged out is overwritten first, then what has the fewest failures: the worst offenders are forgotten last.

Wrong passwords are told apart by 16 bits of a keyed hash, on purpose so few: whoever stole the file could otherwise
try which password it was that somebody mistyped.

Layout: MAGIC, key of 32 octets, 16 octets that prove the two undamaged, then the tables.  A file of another form is
made anew.  A damaged record can at worst delay somebody, or spare somebody a delay.
"""

import os
import stat
import struct
from hashlib import blake2b

from qpopper_py.auth.statefile import locked
from qpopper_py.errors import CredentialStoreError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

NAME = "guesses"
PURPOSE = "refused logins cannot be counted by address (guess.delay), so guessing is not slowed down"
MAGIC = b"pop3d guesses 1\n"
KEY = 32
HEAD = len(MAGIC) + KEY + 16
WRONG = 20  # how many wrong passwords a record remembers
RECORD = struct.Struct(f"<8sHxxIQ{WRONG}H")  # hash, count, last (s since 1970), taken (ms since 1970), wrong passwords
WAYS = 8
MOST = 0xFFFF
AHEAD = 60  # seconds: a record from further in the future was written under a wrong clock, or is damaged


class Table:
    """``slots`` records from octet ``start`` of the file."""

    __slots__ = ("name", "slots", "start")

    def __init__(self, name: bytes, start: int, slots: int) -> None:
        self.name = name
        self.start = start
        self.slots = slots

    @property
    def end(self) -> int:
        return self.start + self.slots * RECORD.size


ORIGINS = Table(b"origin", HEAD, 4096)
PAIRS = Table(b"pair", ORIGINS.end, 4096)
ACCOUNTS = Table(b"account", PAIRS.end, 1024)
SIZE = ACCOUNTS.end


class Record:
    """One record; new if ``count`` and ``last`` are 0."""

    __slots__ = ("count", "hash", "last", "place", "taken", "wrong")

    def __init__(self, place: int, hash_: bytes, count: int, last: int, taken: int, wrong: "list[int]") -> None:
        self.place = place
        self.hash = hash_
        self.count = count
        self.last = last
        self.taken = taken
        self.wrong = wrong


class Guesses:
    """The file, opened and locked until it is closed; a context manager.  ``now``: seconds since 1970."""

    __slots__ = ("_descriptor", "_key", "now")

    def __init__(self, folder: str, now: float, warn: "Callable[[str], None]") -> None:
        """Raises CredentialStoreError: it cannot be had, or somebody else could have written it."""
        self.now = now
        self._descriptor = locked(folder, NAME, PURPOSE, patience=1)
        try:
            self._key = self._read_key(f"{folder}/{NAME}", warn)
        except BaseException:
            os.close(self._descriptor)
            raise

    def __enter__(self) -> "Guesses":
        return self

    def __exit__(self, *_: object) -> None:
        os.close(self._descriptor)

    def _read_key(self, path: str, warn: "Callable[[str], None]") -> bytes:
        found = os.fstat(self._descriptor)
        if not stat.S_ISREG(found.st_mode) or found.st_uid != os.geteuid() or found.st_mode & 0o077:
            raise CredentialStoreError(f"{path} must be a file of ours with mode 0600; remove it; {PURPOSE}")
        try:
            head = os.pread(self._descriptor, HEAD, 0)
            key = head[len(MAGIC) : -16]
            if found.st_size == SIZE and head == _head(key):
                return key
            if found.st_size:
                warn(f"{path} is damaged, or of another version; it is made anew and counting begins again")
            return self._make()
        except OSError as why:
            raise CredentialStoreError(f"{path}: {why.strerror}; {PURPOSE}") from None

    def _make(self) -> bytes:
        key = os.urandom(KEY)
        os.ftruncate(self._descriptor, 0)
        os.posix_fallocate(self._descriptor, 0, SIZE)  # what follows cannot fail for want of room
        os.pwrite(self._descriptor, _head(key), 0)
        return key

    def hash(self, kind: bytes, what: bytes, octets: int = 8) -> bytes:
        """A keyed hash of ``what``, other than that of the same thing of another kind."""
        return blake2b(what, digest_size=octets, key=self._key, person=kind[:16]).digest()

    def find(self, table: Table, what: bytes, keep: int) -> Record:
        """The record of ``what``; else a new one, to be put in the place of the one that is missed least.

        ``keep``: seconds after which a record of this table has aged out.
        """
        mine = self.hash(table.name, what)
        bucket = int.from_bytes(mine, "big") % (table.slots // WAYS) * WAYS * RECORD.size + table.start
        data = os.pread(self._descriptor, WAYS * RECORD.size, bucket)
        least = (MOST + 1, 0, bucket)
        for offset in range(0, len(data) // RECORD.size * RECORD.size, RECORD.size):
            hash_, count, last, taken, *wrong = RECORD.unpack_from(data, offset)
            alive = last and self.now - keep < last <= self.now + AHEAD
            if hash_ == mine and alive:
                return Record(bucket + offset, mine, count, last, taken, wrong)
            # The place that it had is its own again; of others the empty and the aged first, then the harmless.
            rank = (count, last) if alive else (-1, 0)
            least = min(least, (-2 if hash_ == mine else rank[0], rank[1], bucket + offset))
        return Record(least[2], mine, 0, 0, 0, [0] * WRONG)

    def put(self, record: Record) -> None:
        """Raises CredentialStoreError."""
        data = RECORD.pack(record.hash, min(record.count, MOST), record.last, record.taken, *record.wrong)
        try:
            os.pwrite(self._descriptor, data, record.place)
        except OSError as why:
            raise CredentialStoreError(f"{NAME}: {why.strerror}; {PURPOSE}") from None


def _head(key: bytes) -> bytes:
    return MAGIC + key + blake2b(MAGIC, digest_size=16, key=key).digest() if len(key) == KEY else b""
