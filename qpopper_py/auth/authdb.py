"""The mailauth database, as the server sees it: who has which secrets, and whether this one is right.

A SQLite file, mode 0600, with a rollback journal, so that the file alone is the whole state::

    entries(user, type, secret, changed)      type: POP, APOP or IMAP; a user may hold one of each
      POP   a hash (secrethash), asked at PASS
      APOP  sealed by AES-256-GCM (secretbox): the digest of RFC 1939 section 7 needs the secret itself
      IMAP  a crypt(3) hash, kept for other programs; the server never asks for it

The SQLite header holds what has to be known before SQLite is loaded: ``application_id`` (offset 68) says that
the file is ours, ``user_version`` (offset 60) is ``format * 2``, plus 1 while there are APOP entries.

Nothing is kept open between calls: an answer is of now, and no lock is held while a client thinks.
Whatever cannot be read or trusted raises :class:`~qpopper_py.errors.CredentialStoreError`; only a missing
database has no entries and is no error.
"""

import os

from qpopper_py.errors import CredentialStoreError
from qpopper_py.stamp import header

TYPE_CHECKING = False
if TYPE_CHECKING:
    import sqlite3
    from typing import Any

    from qpopper_py.auth.secretbox import SecretBox

TYPES = ("POP", "APOP", "IMAP")
BUSY_SECONDS = 5.0  # how long a reader waits for mailauth to finish a change


def bound_to(user: str, type_: str) -> bytes:
    """What a sealed secret is bound to: it opens as this user's and this type's only."""
    return b"mailauth\0" + type_.encode() + b"\0" + user.encode()


class AuthDb:
    """The database ``path``, its key, and the account beside root that may own both."""

    __slots__ = ("key_path", "owner", "path")

    def __init__(self, path: str, key_path: str, owner: str) -> None:
        self.path = path
        self.key_path = key_path
        self.owner = owner

    def types(self, user: str) -> "frozenset[str]":
        """The types of the user's entries."""
        rows = self.rows("SELECT type FROM entries WHERE user = ?", user)
        return frozenset(str(row[0]) for row in rows)

    def check_pop(self, user: str, secret: bytes) -> bool | None:
        """Whether ``secret`` is that of the user's POP entry; None if there is none."""
        stored = self.stored(user, "POP")
        if stored is None:
            return None
        from qpopper_py.auth.secrethash import scrypt_matches

        try:
            return scrypt_matches(secret, stored.decode("ascii"))
        except ValueError as why:
            raise CredentialStoreError(f"{self.path}: the POP entry of {user!r} is damaged: {why}") from None

    def check_apop(self, user: str, stamp: str, digest: bytes) -> bool | None:
        """Whether ``digest`` is RFC 1939's, in lower-case hex, of the stamp with its brackets and the user's secret.

        None if the user has no APOP entry.
        """
        secret = self.apop_secret(user)
        if secret is None:
            return None
        from hashlib import md5
        from hmac import compare_digest

        expected = md5(stamp.encode() + secret, usedforsecurity=False).hexdigest()  # the protocol's, not our choice
        return compare_digest(expected.encode(), digest)

    def apop_secret(self, user: str) -> bytes | None:
        """The clear secret of the user's APOP entry; None if there is none.  Not for any log."""
        sealed = self.stored(user, "APOP")
        return None if sealed is None else self.opened(user, sealed)

    def opened(self, user: str, sealed: bytes) -> bytes:
        """The clear secret of what the user's APOP entry holds."""
        box = self.box()
        try:
            return box.open(sealed, bound_to(user, "APOP"))
        except CredentialStoreError as why:
            raise CredentialStoreError(f"{self.path}: the APOP entry of {user!r} {why} ({self.key_path})") from None

    def stored(self, user: str, type_: str) -> bytes | None:
        """The secret as it is stored; None if there is no such entry."""
        rows = self.rows("SELECT secret FROM entries WHERE user = ? AND type = ?", user, type_)
        return bytes(rows[0][0]) if rows else None

    def box(self) -> "SecretBox":
        """What opens and seals APOP secrets.  CredentialStoreError, MissingLibrary."""
        from qpopper_py.auth.secretbox import SecretBox, read_key

        return SecretBox(read_key(self.key_path, self.owner))

    def rows(self, query: str, *values: str) -> "list[tuple[Any, ...]]":
        """The answer of a query.  A name that is no UTF-8 is nobody's."""
        try:
            "".join(values).encode()
        except UnicodeEncodeError:
            return []
        if not self.trusted():
            return []
        import sqlite3

        try:
            return self.ask("ro", query, values)
        except sqlite3.OperationalError as why:
            if why.sqlite_errorcode & 0xFF != sqlite3.SQLITE_READONLY:
                raise CredentialStoreError(f"{self.path} cannot be read: {why}") from None
        except sqlite3.Error as why:
            raise CredentialStoreError(f"{self.path} cannot be read: {why}") from None
        # A change was cut off in the middle: its journal has to be rolled back first, which takes a writer.
        try:
            return self.ask("rw", query, values)
        except sqlite3.Error as why:
            raise CredentialStoreError(
                f"{self.path} holds a change that was cut off; run mailauth list as its owner to undo it ({why})"
            ) from None

    def trusted(self) -> bool:
        """False if there is no database; CredentialStoreError if it is not ours alone or of an unknown format."""
        from qpopper_py.auth.secretbox import refuse_untrusted

        try:
            refuse_untrusted(self.path, os.stat(self.path), self.owner)
        except FileNotFoundError:
            return False
        except OSError as why:
            raise CredentialStoreError(f"{self.path} cannot be read: {why.strerror}") from None
        return header(self.path) is not None

    def ask(self, mode: str, query: str, values: "tuple[str, ...]") -> "list[tuple[Any, ...]]":
        db = connect(self.path, mode)
        try:
            return db.execute(query, values).fetchall()
        finally:
            db.close()


def connect(path: str, mode: str) -> "sqlite3.Connection":
    """A connection in ``mode`` ro or rw, transactions left to the caller; raises sqlite3.Error."""
    import sqlite3

    quoted = path.replace("%", "%25").replace("?", "%3f").replace("#", "%23")
    db = sqlite3.connect(f"file:{quoted}?mode={mode}", uri=True, timeout=BUSY_SECONDS, isolation_level=None)
    db.execute("PRAGMA trusted_schema = OFF")  # the owner account may write the file; it need not own us
    return db
