"""The mailauth database, as its administrator's tools see it: made, changed, brought to the present format.

Every change is one transaction, and ``user_version`` is part of it.  The rollback journal is truncated, not
unlinked: the owner account may change a database in a folder that only root can write.
"""

import os
import sqlite3
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager

from qpopper_py.auth.authdb import AuthDb, bound_to, connect
from qpopper_py.auth.secretbox import fsync_folder, make_key, owner_uid, read_key
from qpopper_py.auth.secrethash import parse, scrypt_hash
from qpopper_py.errors import CredentialStoreError
from qpopper_py.stamp import APPLICATION_ID, FORMAT, header

SCHEMA = """
CREATE TABLE entries (
    user    TEXT NOT NULL,
    type    TEXT NOT NULL CHECK (type IN ('POP', 'APOP', 'IMAP')),
    secret  BLOB NOT NULL,
    changed INTEGER NOT NULL,  -- Unix time
    PRIMARY KEY (user, type)
) WITHOUT ROWID
"""

# Format n to the script that makes it n + 1.
UPGRADES: dict[int, str] = {}


class Entry:
    """One entry as it is exported: ``secret`` is the stored hash, or for APOP the clear secret."""

    __slots__ = ("changed", "secret", "type", "user")

    def __init__(self, user: str, type_: str, changed: int, secret: bytes) -> None:
        self.user = user
        self.type = type_
        self.changed = changed
        self.secret = secret

    def __repr__(self) -> str:
        return f"Entry({self.user!r}, {self.type!r}, {self.changed}, ***)"


class Editor(AuthDb):
    """Changes the database.  All may raise CredentialStoreError; what it names was not changed."""

    __slots__ = ()

    def put(self, user: str, type_: str, secret: bytes) -> bool:
        """Set the user's entry from a clear secret (IMAP: from its crypt(3) hash).  Whether there was one."""
        stored = scrypt_hash(secret).encode() if type_ == "POP" else secret
        return not self.put_all([Entry(user, type_, int(time.time()), stored)], overwrite=True)[0]

    def put_all(self, entries: "Iterable[Entry]", overwrite: bool) -> "tuple[list[Entry], list[Entry]]":
        """Set many entries at once, all or none; ValueError for a POP hash that the server could not check.

        Returns those that are new and those that were there: replaced if ``overwrite``, else kept as they are.
        """
        rows = [(entry, self.at_rest(entry)) for entry in entries]
        with self.change() as db:
            had = set(db.execute("SELECT user, type FROM entries"))
            taken = [row for row in rows if overwrite or (row[0].user, row[0].type) not in had]
            db.executemany(
                "INSERT OR REPLACE INTO entries VALUES (?, ?, ?, ?)",
                [(entry.user, entry.type, secret, entry.changed) for entry, secret in taken],
            )
        there = [entry for entry, _ in rows if (entry.user, entry.type) in had]
        return [entry for entry, _ in rows if (entry.user, entry.type) not in had], there

    def at_rest(self, entry: Entry) -> bytes:
        """The secret of ``entry`` in the form in which it is stored."""
        if entry.type == "APOP":
            return self.box().seal(entry.secret, bound_to(entry.user, "APOP"))
        if entry.type == "POP":
            parse(entry.secret.decode("ascii"))
        return entry.secret

    def remove(self, user: str, type_: str = "") -> "list[str]":
        """Remove the user's entry of that type, or all of them.  The types that were removed."""
        with self.change() as db:
            found = db.execute("SELECT type FROM entries WHERE user = ? AND ? IN ('', type)", (user, type_))
            gone = sorted(str(row[0]) for row in found)
            db.executemany("DELETE FROM entries WHERE user = ? AND type = ?", [(user, one) for one in gone])
        return gone

    def entries(self, type_: str = "") -> "list[tuple[str, str]]":
        """(user, type) of all entries, or of that type's, in order of the names."""
        rows = self.rows("SELECT user, type FROM entries WHERE ? IN ('', type) ORDER BY user, type", type_)
        return [(row[0], row[1]) for row in rows]

    def export(self, type_: str = "", secrets: bool = False) -> "Iterator[Entry]":
        """Every entry; without ``secrets`` they are empty."""
        query = "SELECT user, type, changed, secret FROM entries WHERE ? IN ('', type) ORDER BY user, type"
        for user, kind, changed, stored in self.rows(query, type_):
            secret = self.opened(user, stored) if secrets and kind == "APOP" else stored if secrets else b""
            yield Entry(user, kind, changed, secret)

    @contextmanager
    def change(self) -> "Iterator[sqlite3.Connection]":
        """A transaction; whoever else writes is waited for, then everybody reads the old state until the end.

        Inside it nothing may open the file in another way: closing that would drop SQLite's POSIX locks.
        """
        if not self.trusted():
            raise CredentialStoreError(f"there is no database {self.path}; root makes it: mailauth init")
        try:
            db = connect(self.path, "rw")
            try:
                db.execute("PRAGMA journal_mode = TRUNCATE")
                db.execute("PRAGMA secure_delete = ON")
                db.execute("BEGIN IMMEDIATE")
                upgrade(db)
                yield db
                set_version(db)
                db.execute("COMMIT")
            finally:
                db.close()  # rolls back what was not committed
        except sqlite3.Error as why:
            raise CredentialStoreError(f"{self.path} cannot be changed: {why}; nothing was changed") from None


def upgrade(db: sqlite3.Connection) -> int:
    """Bring an older format to ours, inside the caller's transaction.  The format it had."""
    version: int = db.execute("PRAGMA user_version").fetchone()[0]
    for older in range(version >> 1, FORMAT):
        for statement in UPGRADES[older].split(";"):  # executescript() would commit
            db.execute(statement)
    return version >> 1


def set_version(db: sqlite3.Connection) -> None:
    apop: int = db.execute("SELECT EXISTS (SELECT 1 FROM entries WHERE type = 'APOP')").fetchone()[0]
    db.execute(f"PRAGMA user_version = {FORMAT * 2 + apop}")


def upgrade_file(path: str, key_path: str, owner: str) -> int | None:
    """Bring the database to the present format; the older format it had, None if there was nothing to do."""
    found = header(path)
    if found is None or found[0] == FORMAT:
        return None
    with Editor(path, key_path, owner).change():
        return found[0]


def create(path: str, key_path: str, owner: str) -> None:
    """Make an empty database, in place of any that is there, and a key if there is none.

    Both belong to ``owner`` if there is such an account and we are root.  CredentialStoreError says what failed.
    """
    try:
        if os.path.lexists(key_path):
            read_key(key_path, owner)
        else:
            make_key(key_path, owner)
        os.makedirs(os.path.dirname(path), 0o755, exist_ok=True)
        make_database(path, owner)
    except OSError as why:
        raise CredentialStoreError(f"{why.filename or path}: {why.strerror}; nothing was initialized") from None


def make_database(path: str, owner: str) -> None:
    """Beside its place, then into it by one rename: there is never half a database."""
    new = path + ".new"
    for leftover in (new, new + "-journal"):
        if os.path.lexists(leftover):
            os.unlink(leftover)
    make_private(new, owner)
    db = connect(new, "rw")
    try:
        db.execute("PRAGMA journal_mode = DELETE")
        db.execute("PRAGMA secure_delete = ON")
        db.execute("BEGIN IMMEDIATE")
        db.execute(f"PRAGMA application_id = {APPLICATION_ID}")
        db.execute(SCHEMA)
        set_version(db)
        db.execute("COMMIT")
    finally:
        db.close()
    journal = path + "-journal"
    if os.path.lexists(journal):
        os.unlink(journal)  # the old database's; it must not be played into the new one
    os.rename(new, path)
    make_private(journal, owner)
    fsync_folder(os.path.dirname(path))


def make_private(path: str, owner: str) -> None:
    """An empty file of mode 0600 that was not there before."""
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    try:
        os.fchmod(descriptor, 0o600)
        uid = owner_uid(owner)
        if uid is not None and os.geteuid() == 0:
            os.fchown(descriptor, uid, -1)
    finally:
        os.close(descriptor)
