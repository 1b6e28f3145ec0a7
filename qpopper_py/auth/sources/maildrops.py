"""Users who exist because a maildrop of theirs does: accounts.maildrop names the place, another source the secret.

Cyrus' users, say, of whom the system knows nothing.  Whose the maildrop is, its own owner says, or accounts.owner;
without root it must be ours.
"""

import os
import pwd
import stat

from qpopper_py.auth.account import Account, Denied
from qpopper_py.auth.cyrus_mailboxes import place_of
from qpopper_py.auth.maildrops import bare, expand
from qpopper_py.auth.sources import Directory
from qpopper_py.errors import CredentialStoreError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from qpopper_py.auth.credentials import Credential
    from qpopper_py.facts import Facts
    from qpopper_py.settings import Settings


class Maildrops(Directory):
    """It vouches for nobody: it has no secrets."""

    name = "maildrops"
    kinds = ()

    def __init__(self, settings: "Settings") -> None:
        self._settings = settings

    def find(self, user: str, facts: "Facts") -> Account | Denied | None:  # noqa: ARG002  # Directory's
        template = self._settings.accounts_maildrop
        if not template:
            raise CredentialStoreError("auth.sources names maildrops, but accounts.maildrop is empty; set it")
        try:
            place = expand(template, user, "")
        except ValueError:
            return None  # no name of which a path could be made
        found = look(place)
        if found is None and self._settings.accounts_mailboxes_db:
            place = place_of(user, "", self._settings)
            found = look(place) if place else None
        if found is None:
            return None
        if not stat.S_ISDIR(found.st_mode) and not stat.S_ISREG(found.st_mode):
            return Denied(user, f"{place} is neither a folder nor a file")
        uid, gid = self._ids(found)
        if uid == 0:
            return Denied(user, f"{place} belongs to root, as whom no mail is served")
        return Account(user, uid, gid, "", place, source=self.name)

    def _ids(self, found: os.stat_result) -> "tuple[int, int]":
        if os.geteuid() != 0:
            return os.geteuid(), os.getegid()
        if name := self._settings.accounts_owner:
            try:
                owner = pwd.getpwnam(name)
            except KeyError:
                raise CredentialStoreError(f"accounts.owner = {name!r}: there is no such system user") from None
            return owner.pw_uid, owner.pw_gid
        return found.st_uid, found.st_gid

    def vouch(self, credential: "Credential", facts: "Facts") -> None:
        """Never asked."""


def look(place: str) -> os.stat_result | None:
    """The facts of what lies there; None: nothing does.  Raises CredentialStoreError."""
    try:
        return os.lstat(bare(place))
    except (FileNotFoundError, NotADirectoryError):
        return None
    except OSError as why:
        raise CredentialStoreError(f"{place}: {why.strerror}") from None
