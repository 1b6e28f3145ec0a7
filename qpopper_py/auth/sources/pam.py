"""System users, by PAM: what the service's file asks for decides, account rules and expiry included.

The account is NSS's.  A password that has expired is refused: PAM would have it changed, and POP3 has no way to; unless
auth.password_age is off.
Of a secret that is not the login password (mailauth's, a digest) PAM hears nothing, but its account rules hold:
they are asked once the secret proved right, because modules such as pam_faillock take that for a login.
"""

import time

from qpopper_py.auth import crypt, nss, pam, shadow
from qpopper_py.auth.account import Account, Denied
from qpopper_py.auth.credentials import Credential, Password
from qpopper_py.auth.sources import Directory
from qpopper_py.errors import CredentialStoreError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from qpopper_py.facts import Facts
    from qpopper_py.settings import Settings

LONGEST = 511  # octets: PAM_MAX_RESP_SIZE less its NUL
CHEAP = 0.005  # seconds of processor time: less than pam_unix spends on a hash of today's


class PamSource(Directory):
    """``settings``: pam.service, pam.session and auth.password_age."""

    name = "pam"
    kinds = (Password,)

    def __init__(self, settings: "Settings") -> None:
        self._settings = settings
        self._service = settings.pam_service

    def prepare(self) -> None:
        crypt.imitate(shadow.a_hash())  # pam_unix's users, most likely

    def find(self, user: str, facts: "Facts") -> Account | Denied | None:  # noqa: ARG002  # Directory's
        row = nss.row(user)
        if row is None:
            return None
        why = nss.bar(row)
        return Denied(user, why) if why else nss.account(row, self.name)

    def admit(self, account: Account, facts: "Facts") -> Account | Denied:
        """The account rules, for a secret that is not the login password: that one's age does not matter."""
        with pam.Pam(self._service, account.user, facts.peer) as transaction:
            why = self._refusal(transaction, "account", ageless(transaction.account())) or self._session(transaction)
        return Denied(account.user, why) if why else account

    def vouch(self, credential: Credential, facts: "Facts") -> Account | Denied | None:
        if not isinstance(credential, Password):
            return None
        row = nss.row(credential.user)
        if b"\0" in credential.secret or len(credential.secret) > LONGEST:
            return Denied(credential.user, f"password with NUL, or of more than {LONGEST} octets") if row else None
        why = nss.bar(row) if row else ""
        if why:  # root's failures are not to be counted: somebody else could lock root out
            level(credential.secret, 0.0, 2)
            return Denied(credential.user, why)
        name = row.pw_name if row else credential.user
        began = time.process_time()
        with pam.Pam(self._service, name, facts.peer, credential.secret) as transaction:
            why = self._judged(transaction)
            name = transaction.user()
        if why:
            level(credential.secret, time.process_time() - began, 2 if row else 1)  # 1: the gate does the other
            return Denied(credential.user, why) if row else None
        return self._let_in(credential.user, name)

    def _let_in(self, given: str, name: str) -> Account | Denied:
        """The account of whom PAM let in; modules may have changed the name."""
        row = nss.row(name)
        if row is None:
            return Denied(given, "PAM lets it in, but it is no user of NSS")
        why = nss.bar(row)
        return Denied(given, why) if why else nss.account(row, self.name)

    def _judged(self, transaction: pam.Pam) -> str:
        """Why PAM refuses; empty: it does not.  Raises CredentialStoreError."""
        if why := self._refusal(transaction, "auth", transaction.authenticate()):
            return why
        code = transaction.account()
        if not self._settings.auth_password_age:
            code = ageless(code)
        return self._refusal(transaction, "account", code) or self._session(transaction)

    def _session(self, transaction: pam.Pam) -> str:
        return self._refusal(transaction, "session", transaction.session()) if self._settings.pam_session else ""

    def _refusal(self, transaction: pam.Pam, stage: str, code: int) -> str:
        if code == pam.SUCCESS:
            return ""
        if transaction.asked_for_more:
            words = "a module asks for something that is not a password, which POP3 cannot answer"
        else:
            words = transaction.words(code)
        if code in pam.OURS or stage == "session":
            raise CredentialStoreError(
                f"PAM service {self._service}, {stage}: {words};"
                f" see /etc/pam.d/{self._service}, and what its modules log"
            )
        return f"PAM {stage}: {words}"


def ageless(code: int) -> int:
    """What the account rules say but for the password's age."""
    return pam.SUCCESS if code in (pam.NEW_AUTHTOK_REQD, pam.AUTHTOK_EXPIRED) else code


def level(secret: bytes, spent: float, hashes: int) -> None:
    """Do the work of ``hashes`` where PAM did none: pam_unix computes two for a user who has a password (it tries the
    empty one first), and none for who is locked or is not there.
    """
    if spent < CHEAP:
        for _ in range(hashes):
            crypt.waste(secret)
