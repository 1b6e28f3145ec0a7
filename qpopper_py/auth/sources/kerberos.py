"""Kerberos V5: passwords asked of the KDC, and tickets that a mechanism checked.

A principal that the KDC does not know is left to the next source.  The account is that of the first directory that
knows the principal's local name (krb5.conf, auth_to_local).  A ticket is for its own local name and no other:
settings that change names do not change that.
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
            if credential.user != credential.local:
                whose = f"the local name of {credential.principal} is {credential.local}"
                return Denied(credential.user, f"asked to act for another user: {whose}")
            return self._account(credential.local, credential.principal, facts)
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
        return self._account(local, principal, facts)

    def _account(self, local: str, principal: str, facts: "Facts") -> Account | Denied:
        """The account of a principal that is proven."""
        if not local:
            return Denied(principal, f"{principal} has no local name; see auth_to_local in krb5.conf(5)")
        try:
            check(local)
        except ValueError as why:
            return Denied(principal, f"{principal} has a local name of which this is wrong: {why}")
        directory, account = known(self._directories, local, facts)
        if directory is None or account is None:
            return Denied(local, f"{local} ({principal}) is no user of NSS or of accounts.file")
        if isinstance(account, Account):
            account = directory.admit(account, facts)
        if isinstance(account, Account):
            account.source = self.name
        return account
