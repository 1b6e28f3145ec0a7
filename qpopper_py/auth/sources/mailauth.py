"""The mailauth database: secrets of their own for mail, by user and type.

- APOP answers APOP, CRAM-MD5 and SCRAM, all of which need the secret itself.
- POP is a mail password, checked at PASS in place of the login password.
- With APOP alone PASS is refused, unless mailauth.exclusive is off: then the next source is asked.

The account is that of the first directory that knows the name; entries are kept by the name in its spelling,
so that another spelling (NSS may match in any case) does not get around them.
"""

import os

from qpopper_py.auth import crypt
from qpopper_py.auth.account import Account, Denied
from qpopper_py.auth.credentials import Credential, Digest, Password, Shared
from qpopper_py.auth.sources import Source, admitted, known
from qpopper_py.errors import CredentialStoreError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

    from qpopper_py.auth.authdb import AuthDb
    from qpopper_py.auth.sources import Directory
    from qpopper_py.facts import Facts
    from qpopper_py.settings import Settings


class MailAuth(Source):
    """``directories``: who knows accounts, in the order in which they are asked."""

    name = "mailauth"
    kinds = (Password, Digest, Shared)

    def __init__(self, settings: "Settings", directories: "Sequence[Directory]") -> None:
        self._settings = settings
        self._directories = directories

    def vouch(self, credential: Credential, facts: "Facts") -> Account | Denied | None:
        database = self._open()
        if database is None:
            return None
        directory, account = known(self._directories, credential.user, facts)
        credential = credential.named(account.user if isinstance(account, Account) else credential.user)
        passed = _passed(database, credential, self._settings.mailauth_exclusive)
        if passed is None:
            return None
        if isinstance(passed, str):
            return Denied(credential.user, passed)
        if directory is None:
            return Denied(credential.user, "has a mailauth entry, but is no user of NSS or of accounts.file")
        return admitted(directory, account, facts, self.name)

    def ready(self) -> "tuple[type[Credential], ...]":
        path = self._settings.mailauth_database
        if not path:
            return ()
        from qpopper_py.stamp import has_apop_entries

        return self.kinds if has_apop_entries(path) else (Password,)

    def _open(self) -> "AuthDb | None":
        """None: the settings name no database.  One whose file is missing has no entries."""
        path = self._settings.mailauth_database
        if not path:
            return None
        if os.path.islink(path) and not os.path.exists(path):  # a volume that is not mounted, not "no entries"
            raise CredentialStoreError(f"{path} is a link to nothing: mount what it points to, or remove it")
        from qpopper_py.auth.authdb import AuthDb

        return AuthDb(path, self._settings.mailauth_key, self._settings.mailauth_owner)


def _passed(database: "AuthDb", credential: Credential, exclusive: bool) -> bool | str | None:
    """True, or why not, or None: the database has no entry that decides."""
    if isinstance(credential, Digest):
        right = database.check_apop(credential.user, credential.stamp, credential.digest)
        return "wrong APOP digest" if right is False else right
    if isinstance(credential, Shared):
        secret = database.apop_secret(credential.user)
        return None if secret is None else credential.proves(secret) or "wrong response"
    assert isinstance(credential, Password)  # by kinds
    right = database.check_pop(credential.user, credential.secret)
    if right is None and exclusive and "APOP" in database.types(credential.user):
        crypt.waste(credential.secret)
        return "has an APOP entry alone, so PASS is refused (mailauth.exclusive)"
    return "wrong mail password" if right is False else right
