"""Kerberos V5: passwords asked of the KDC, and tickets that a mechanism checked.

A principal that the KDC does not know is left to the next source.  The account is that of the first directory that
knows the name which a ticket's owner wants to have, or the local name (krb5.conf, auth_to_local) of a password's.

Which principals may be a system user says krb5_kuserok: those in the user's .k5login (k5login(5)), and without one
the one whose local name it is.  Another account is for its local name and no other.  Settings that change names
change neither.
"""

from qpopper_py.auth import crypt
from qpopper_py.auth.account import Account, Denied
from qpopper_py.auth.credentials import Credential, Password, Ticket
from qpopper_py.auth.names import check
from qpopper_py.auth.sources import Source, known

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

    from qpopper_py.auth.sources import Directory
    from qpopper_py.facts import Facts
    from qpopper_py.settings import Settings

LONGEST = 1024  # octets of a password


class Kerberos(Source):
    """``directories``: who knows accounts, in the order in which they are asked."""

    name = "kerberos"

    def __init__(self, settings: "Settings", directories: "Sequence[Directory]") -> None:
        self._settings = settings
        self._directories = directories
        self.kinds = (Password, Ticket) if settings.kerberos_passwords else (Ticket,)

    def prepare(self) -> None:
        from qpopper_py.auth.kerberos.labour import load

        load(self._settings)

    def ready(self) -> "tuple[type[Credential], ...]":
        """Raises CredentialStoreError or MissingLibrary."""
        self.prepare()
        return self.kinds

    def vouch(self, credential: Credential, facts: "Facts") -> Account | Denied | None:
        if isinstance(credential, Ticket):
            return self._account(credential.user, credential.local, credential.principal, facts)
        return self._by_password(credential, facts) if isinstance(credential, Password) else None

    def _by_password(self, credential: Password, facts: "Facts") -> Account | Denied | None:
        from qpopper_py.auth.kerberos import child
        from qpopper_py.auth.kerberos.labour import begin_password

        user, secret = credential.user, credential.secret
        if b"\0" in secret or len(secret) > LONGEST:
            crypt.waste(secret)
            return Denied(user, f"password with NUL, or of more than {LONGEST} octets")
        asked = begin_password(self._settings)
        try:
            kind, content = asked.ask(user.encode("utf-8") + b"\0" + secret)
        finally:
            asked.close()
        if kind == child.UNKNOWN:
            return None
        if kind != child.NAMED:
            return Denied(user, child.reason(content))
        principal, local, _ = child.names(content)
        return self._account(local, local, principal, facts)

    def _account(self, user: str, local: str, principal: str, facts: "Facts") -> Account | Denied:
        """The account ``user``, if it is one that ``principal``, who is proven, may have."""
        if not user:
            return Denied(principal, f"{principal} has no local name; see auth_to_local in krb5.conf(5)")
        try:
            check(user)
        except ValueError as why:
            return Denied(principal, f"{principal} has a local name of which this is wrong: {why}")
        directory, account = known(self._directories, user, facts)
        if directory is None or account is None:
            return Denied(user, f"{user} ({principal}) is no user of NSS or of accounts.file")
        if isinstance(account, Account) and (bar := self._bar(account, user, local, principal)):
            return Denied(user, bar)
        if isinstance(account, Account):
            account = directory.admit(account, facts)
        if isinstance(account, Account):
            account.source = self.name
        return account

    def _bar(self, account: Account, user: str, local: str, principal: str) -> str:
        """Why the principal may not be the user; empty: it may.  Raises CredentialStoreError."""
        from qpopper_py.auth.kerberos import child
        from qpopper_py.auth.kerberos.labour import begin_permission

        whose = f"the local name of {principal} is {local or 'none'}"
        if not account.system:
            return "" if user == local else f"asked to act for another user: {whose}"
        asked = begin_permission(self._settings, account)
        try:
            kind, content = asked.ask(principal.encode() + b"\0" + user.encode("utf-8"))
        finally:
            asked.close()
        return "" if kind == child.NAMED else f"asked to be {user}: {whose}; {child.reason(content)}"
