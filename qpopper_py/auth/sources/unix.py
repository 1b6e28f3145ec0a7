"""System users: accounts from NSS, login passwords from the shadow entry or the passwd entry itself.

Refused, whatever the password: uid 0, an expired account.  Refused at PASS also: an empty or locked password, an
expired one, unless auth.password_age is off.  A password that is past sp_max is refused from the first day: what
sp_inact still allows is a login that changes it, and POP3 has no way to.

As in pam_unix the passwd field decides where the hash is: ``x``, ``##name`` and ``*NP*`` mean the shadow entry;
``*`` and ``!`` there lock the account, whatever the shadow entry says.
"""

import pwd
import time

from qpopper_py.auth import crypt, nss, shadow
from qpopper_py.auth.account import Account, Denied
from qpopper_py.auth.credentials import Credential, Password
from qpopper_py.auth.sources import Directory
from qpopper_py.errors import CredentialStoreError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from qpopper_py.facts import Facts

DAY = 86400


class Unix(Directory):
    """``age``: whether that of a password matters.  ``clock``: seconds since 1970."""

    name = "unix"
    kinds = (Password,)

    def __init__(self, age: bool = True, clock: "Callable[[], float]" = time.time) -> None:
        self._age = age
        self._clock = clock

    def prepare(self) -> None:
        crypt.imitate(shadow.a_hash())

    def find(self, user: str, facts: "Facts") -> Account | Denied | None:  # noqa: ARG002  # Directory's
        """The account of a secret that is not the login password: that one's state does not matter."""
        row = nss.row(user)
        if row is None:
            return None
        why = nss.bar(row) or self._expired(shadow.entry(row.pw_name))
        return Denied(user, why) if why else nss.account(row, self.name)

    def vouch(self, credential: Credential, facts: "Facts") -> Account | Denied | None:  # noqa: ARG002  # Source's
        row = nss.row(credential.user)
        hidden = shadow.entry(row.pw_name if row else credential.user)
        if hidden is None and not shadow.readable() and (row is None or _is_shadowed(row)):
            # The same for unknown users: or else the code of the reply would tell who exists.
            raise CredentialStoreError(
                "login passwords cannot be checked: the shadow file can be read by root only; start as root,"
                " or give the users mail passwords (mailauth add, or accounts.file) and take unix out of auth.sources"
            )
        if row is None or not isinstance(credential, Password):
            return None
        stored, why = _hash(row, hidden)
        why = nss.bar(row) or why or self._expired(hidden) or self._stale(hidden)
        if not stored:
            crypt.waste(credential.secret)
        elif not crypt.verify(credential.secret, stored):
            why = why or "wrong password"
        return Denied(credential.user, why) if why else nss.account(row, self.name)

    def _today(self) -> int:
        return int(self._clock() // DAY)

    def _expired(self, hidden: shadow.Shadow | None) -> str:
        """sp_expire is the first day on which the account is closed (pam_unix); 0 is long ago."""
        closed = hidden is not None and 0 <= hidden.expires <= self._today()
        return "account expired" if closed else ""

    def _stale(self, hidden: shadow.Shadow | None) -> str:
        if hidden is None or hidden.changed < 0 or not self._age:
            return ""
        if hidden.changed == 0:
            return "password must be changed first"
        return "password expired" if 0 <= hidden.longest < self._today() - hidden.changed else ""


def _is_shadowed(row: pwd.struct_passwd) -> bool:
    return row.pw_passwd in ("x", "*NP*") or row.pw_passwd.startswith("##")


def _hash(row: pwd.struct_passwd, hidden: shadow.Shadow | None) -> tuple[bytes, str]:
    """(the hash, "") or (empty, why there is none)."""
    if not _is_shadowed(row):
        stored = row.pw_passwd.encode("utf-8", "surrogateescape")
    elif hidden is None:
        return b"", "no shadow entry"
    else:
        stored = hidden.stored
    if not stored:
        return b"", "no password is set: an empty one never passes"
    if stored[0] in b"*!":
        return b"", "password locked"
    return stored, ""
