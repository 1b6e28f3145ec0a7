"""A file in the form of Dovecot's passwd-file, read for one user.

``user:password:uid:gid:gecos:home:shell:extra fields``; what follows the password may be missing; ``#`` begins a
comment line.  A damaged line is the trouble of its user alone.
"""

import os
import pwd
import stat

from qpopper_py.errors import CredentialStoreError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable

LARGEST_ID = 2**32 - 2  # (uid_t)-1 means "no change" to setuid(2)'s kin


class Line:
    """A user's line: its fields by position, and ``where`` it stands (FILE:NUMBER)."""

    __slots__ = ("extra", "fields", "where")

    def __init__(self, where: str, text: str) -> None:
        """Raises CredentialStoreError: the line holds a control character."""
        if any(c < " " or c == "\x7f" for c in text):
            raise CredentialStoreError(f"{where}: the line holds a control character")
        self.where = where
        self.fields = (text.split(":", 7) + [""] * 8)[:8]
        self.extra = dict(word.partition("=")[::2] for word in self.fields[7].split())

    @property
    def password(self) -> str:
        return self.fields[1]

    @property
    def home(self) -> str:
        return self.fields[5]

    def ids(self) -> tuple[int, int]:
        """(uid, gid); without a gid that of the system user.  Raises CredentialStoreError."""
        uid = self._number(2)
        if self.fields[3]:
            return uid, self._number(3)
        try:
            return uid, pwd.getpwuid(uid).pw_gid
        except KeyError:
            raise CredentialStoreError(f"{self.where}: no gid (field 4), and uid {uid} is no system user's") from None

    def _number(self, field: int) -> int:
        """A uid (field 2, from 0) or gid (3): a number, or the name of a system user or group."""
        text = self.fields[field]
        if text.isascii() and text.isdigit():
            if len(text) > 10 or int(text) > LARGEST_ID:
                raise CredentialStoreError(f"{self.where}: {text} is no uid or gid (field {field + 1})")
            return int(text)
        import grp

        try:
            return pwd.getpwnam(text).pw_uid if field == 2 else grp.getgrnam(text).gr_gid
        except KeyError:
            kind = "user" if field == 2 else "group"
            raise CredentialStoreError(
                f"{self.where}: there is no system {kind} {text!r} (field {field + 1})"
            ) from None


def find(path: str, user: str, owner: int) -> tuple[Line | None, bool]:
    """(the user's line, whether everybody may read the file).  ``owner``: a uid that, beside root, may own it.

    Raises CredentialStoreError: it cannot be read or trusted, or the user stands in it twice.
    """
    data, exposed = _read(path, owner)
    name = user.encode()
    found: Line | None = None
    for number, line in enumerate(data.split(b"\n"), 1):
        if not line.startswith(name) or line[len(name) : len(name) + 1] not in (b":", b"", b"\r"):
            continue
        if line.startswith(b"#"):
            continue
        where = f"{path}:{number}"
        if found is not None:
            raise CredentialStoreError(f"{where}: {user!r} stands in {found.where} already; remove one of the lines")
        found = Line(where, line.rstrip(b"\r").decode("utf-8", "surrogateescape"))
    return found, exposed


def schemes(path: str, owner: int, names: "Iterable[str]") -> "set[str]":
    """Those of the names that some password field has as its ``{SCHEME}``; now and then one of a comment's, too.

    Raises CredentialStoreError as :func:`find`.
    """
    text = _read(path, owner)[0].upper()  # names of schemes are of any case
    return {name for name in names if any(f":{{{name}{end}".encode() in text for end in "}.")}


def _read(path: str, owner: int) -> tuple[bytes, bool]:
    try:
        with open(os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC), "rb") as file:
            status = os.fstat(file.fileno())
            _refuse_untrusted(path, status, owner)
            return file.read(), bool(status.st_mode & stat.S_IROTH)
    except OSError as why:
        raise CredentialStoreError(f"{path}: {why.strerror}; accounts.file names it") from None


def _refuse_untrusted(path: str, status: os.stat_result, owner: int) -> None:
    """Who may write the file may be whoever it names."""
    if not stat.S_ISREG(status.st_mode):
        raise CredentialStoreError(f"{path} is not a file; accounts.file names it")
    root = os.geteuid() == 0
    if status.st_mode & stat.S_IWOTH or (root and status.st_mode & stat.S_IWGRP and status.st_gid != 0):
        raise CredentialStoreError(f"{path} can be written by others; run: chmod go-w {path}")
    if root and status.st_uid not in (0, owner):
        raise CredentialStoreError(
            f"{path} belongs to uid {status.st_uid}, and must be root's or accounts.owner's; run: chown root {path}"
        )
