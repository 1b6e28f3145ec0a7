"""popa3d's virtual homes (its POP_VIRTUAL): who has mail depends on the address that the client called.

Below virtual.home lies a folder for each such address, and in it ``auth/USER`` and ``mail/USER``.  The first is a line
``TEMPLATE:HASH:...`` with something in the third field: the maildrop is the system user TEMPLATE's, whose password
does not matter, and HASH is the user's own, in the form of crypt(3).  The second is the maildrop, an mbox.

At an address that has a folder, who is in it is all that counts.  Elsewhere others are asked, or with virtual.only
nobody.  In logs and the state folder a user is USER@ADDRESS: there are others of that name.
"""

import os
import stat

from qpopper_py.auth import crypt, nss
from qpopper_py.auth.account import Account, Denied
from qpopper_py.auth.credentials import Credential, Password
from qpopper_py.auth.sources import Directory
from qpopper_py.errors import CredentialStoreError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from qpopper_py.facts import Facts
    from qpopper_py.settings import Settings

LARGEST = 256  # octets of an auth file, as popa3d has it


class Line:
    """What an auth file says: (template user, hash of the password)."""

    __slots__ = ("hash", "path", "template")

    def __init__(self, path: str, template: str, hash_: bytes) -> None:
        self.path = path
        self.template = template
        self.hash = hash_


class Virtual(Directory):
    """Judges whatever credential is shown at an address of its own: nobody else may vouch for a user there."""

    name = "virtual"
    kinds = (Credential,)

    def __init__(self, settings: "Settings") -> None:
        self._settings = settings

    def ready(self) -> "tuple[type[Credential], ...]":
        """Passwords alone: there are hashes."""
        return (Password,)

    def find(self, user: str, facts: "Facts") -> Account | Denied | None:
        home = self._home(facts)
        line = self._line(home, user) if home else None
        return self._account(home, user, line, facts) if line else None

    def vouch(self, credential: Credential, facts: "Facts") -> Account | Denied | None:
        home = self._home(facts)
        if not home:
            if self._settings.virtual_only:
                credential.waste()
                return Denied(credential.user, f"{facts.local or 'no address'} has no folder (virtual.only)")
            return None
        line = self._line(home, credential.user)
        if line is None or not isinstance(credential, Password) or line.hash[:1] in (b"*", b"!"):
            credential.waste()
            return Denied(credential.user, f"{home} cannot answer for that user" if line else f"not a user of {home}")
        if not crypt.verify(credential.secret, line.hash):
            return Denied(credential.user, "wrong password")
        return self._account(home, credential.user, line, facts)

    def _home(self, facts: "Facts") -> str:
        """The folder of the address that was called; empty: it has none.  Raises CredentialStoreError."""
        address = facts.local.partition("%")[0]
        if not address or "/" in address or address.startswith("."):
            return ""
        home = f"{self._settings.virtual_home}/{address}"
        try:
            os.lstat(home)
        except FileNotFoundError:
            return ""
        except OSError as why:
            raise CredentialStoreError(f"{home}: {why.strerror}, and it says who may log in") from None
        return home

    def _line(self, home: str, user: str) -> Line | None:
        """The user's; None: there is no such user.  Raises CredentialStoreError."""
        if not fit(user):
            return None
        path = f"{home}/auth/{user}"
        data = content(path)
        if data is None:
            return None
        fields = [field for field in data.partition(b"\n")[0].split(b":") if field]
        if len(data) > LARGEST or len(fields) < 3:
            raise CredentialStoreError(f"{path} is not TEMPLATE:HASH:... of at most {LARGEST} octets")
        return Line(path, fields[0].decode("utf-8", "surrogateescape"), fields[1])

    def _account(self, home: str, user: str, line: Line, facts: "Facts") -> Account | Denied:
        row = nss.row(line.template)
        if row is None:
            raise CredentialStoreError(f"{line.path}: there is no system user {line.template!r}; name another")
        if why := nss.bar(row):
            return Denied(user, f"{line.path}: {why}")
        if os.geteuid() not in (0, row.pw_uid):
            raise CredentialStoreError(f"{line.path}: only root's server can be {line.template!r}; start it as root")
        name = f"{user}@{facts.local.partition('%')[0]}"
        return Account(name, row.pw_uid, row.pw_gid, row.pw_dir, f"mbox:{home}/mail/{user}", source=self.name)


def fit(user: str) -> bool:
    """popa3d's rule: printable ASCII without dots and slashes; and, for it is put before an address, without @."""
    return user.isascii() and user.isprintable() and not set("./@").intersection(user) and len(user) <= 255


def content(path: str) -> bytes | None:
    """What an auth file holds, a little more than it may; None: there is none.  Raises CredentialStoreError.

    Nobody but root, or us, may be able to change it: who can, chooses whose mail is read.
    """
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except FileNotFoundError:
        return None
    except OSError as why:
        raise CredentialStoreError(f"{path}: {why.strerror}, and it says who may log in") from None
    try:
        found = os.fstat(descriptor)
        if not stat.S_ISREG(found.st_mode):
            raise CredentialStoreError(f"{path} is not a file")
        if found.st_uid not in (0, os.geteuid()) or found.st_mode & (stat.S_IWGRP | stat.S_IWOTH):
            raise CredentialStoreError(f"{path} can be written by others; run: chown root {path}; chmod go-w {path}")
        return os.read(descriptor, LARGEST + 1)
    except OSError as why:
        raise CredentialStoreError(f"{path}: {why.strerror}, and it says who may log in") from None
    finally:
        os.close(descriptor)
