"""Secrets of Cyrus SASL's sasldb (``saslpasswd2``): they answer PLAIN, APOP, CRAM-MD5 and SCRAM alike.

A key is USER NUL REALM NUL PROPERTY; of the properties ``userPassword`` is the secret itself.  A name without a realm
is one of the server's own (hostname), or of the only realm that there is.  Read by :mod:`qpopper_py.legacy_dbm`
(Berkeley DB, gdbm, ndbm) at each login, whole, and never written.
"""

import os

from qpopper_py.auth.account import Account, Denied
from qpopper_py.auth.credentials import Credential, Digest, Password, Shared
from qpopper_py.auth.sources import Source, admitted, known
from qpopper_py.errors import CredentialStoreError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

    from qpopper_py.auth.sources import Directory
    from qpopper_py.facts import Facts
    from qpopper_py.settings import Settings

PROPERTY = "userPassword"


class SaslDb(Source):
    """``directories``: who knows accounts, in the order in which they are asked."""

    name = "sasldb"
    kinds = (Password, Digest, Shared)

    def __init__(self, settings: "Settings", directories: "Sequence[Directory]") -> None:
        self._settings = settings
        self._directories = directories

    def ready(self) -> "tuple[type[Credential], ...]":
        return self.kinds if self._secrets() else ()

    def vouch(self, credential: Credential, facts: "Facts") -> Account | Denied | None:
        secret = self._secret(credential.user)
        if secret is None:
            return None
        if not right(credential, secret):
            return Denied(credential.user, "wrong secret (sasldb)")
        directory, account = known(self._directories, credential.user, facts)
        if directory is None:
            return Denied(credential.user, "is in sasldb, but has no account and no maildrop")
        return admitted(directory, account, facts, self.name)

    def _secret(self, user: str) -> bytes | None:
        secrets = self._secrets()
        name, at, realm = user.rpartition("@")
        if at:
            return secrets.get((name, realm))
        host = self._settings.hostname or os.uname().nodename
        realms = {realm for _, realm in secrets}
        for realm in (host, host.partition(".")[0], *(realms if len(realms) == 1 else ())):
            if (user, realm) in secrets:
                return secrets[user, realm]
        return None

    def _secrets(self) -> "dict[tuple[str, str], bytes]":
        """By (user, realm); none where there is no database.  Raises CredentialStoreError."""
        from qpopper_py.legacy_dbm import NotReadable, sniff

        path = self._settings.sasldb_file
        try:
            found = sniff.find(path)
            if not trusted(os.stat(found).st_mode):
                raise CredentialStoreError(f"{found} can be written by others; run: chmod go-w {found}")
            pairs = sniff.read(found)[1]
        except FileNotFoundError:
            return {}
        except NotReadable as why:
            raise CredentialStoreError(f"sasldb.file: {why}") from None
        except OSError as why:
            raise CredentialStoreError(f"sasldb.file: {path} cannot be read: {why.strerror}") from None
        secrets = {}
        for key, value in pairs:
            words = key.decode("utf-8", "surrogateescape").split("\0")
            if len(words) == 3 and words[2] == PROPERTY:
                secrets[words[0], words[1]] = value
        return secrets


def trusted(mode: int) -> bool:
    """Whether nobody writes a database of that mode who does not read it: Debian's is 0660, its group sasl.

    Its secrets are as they are, so whoever reads them can be anybody already.
    """
    return not mode & 0o002 and mode & 0o060 != 0o020


def right(credential: Credential, secret: bytes) -> bool:
    """Whether who sent it knows ``secret``.  An empty secret is nobody's."""
    import hmac
    from hashlib import md5

    if not secret:
        credential.waste()
        return False
    if isinstance(credential, Password):
        return hmac.compare_digest(credential.secret, secret)
    if isinstance(credential, Digest):
        made = md5(credential.stamp.encode("utf-8", "surrogateescape") + secret, usedforsecurity=False).hexdigest()
        return hmac.compare_digest(made.encode("ascii"), credential.digest)
    assert isinstance(credential, Shared)  # by kinds
    return credential.proves(secret)
