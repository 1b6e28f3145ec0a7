"""What a user can do with the entries there are, in one line, true to the settings."""

from qpopper_py.auth.account import Account, Denied
from qpopper_py.auth.order import SYSTEM, order
from qpopper_py.settings import Settings


def what_works(settings: Settings, user: str, types: "frozenset[str]", account: "Account | Denied | None") -> str:
    """``alice: APOP works now; PASS ...``"""
    if account is None:
        return f"{user}: cannot log in: is no user here"
    if isinstance(account, Denied):
        return f"{user}: a login from this host is refused: {account.why}"
    if "mailauth" not in settings.auth_sources:
        return f"{user}: the server does not look at these entries: mailauth is not in auth.sources"
    parts = [apop(settings, types), password(settings, types, account)]
    if "IMAP" in types:
        parts.append("the IMAP entry is kept for other programs")
    return f"{user}: {'; '.join(parts)}"


def apop(settings: Settings, types: "frozenset[str]") -> str:
    if "APOP" not in types:
        return "APOP is refused while there is no APOP entry"
    if settings.apop_stamp == "never":
        return "APOP is not offered while apop.stamp is never"
    return "APOP works now"


def password(settings: Settings, types: "frozenset[str]", account: Account) -> str:
    """Which secret PASS takes."""
    virtual = account.source == "accounts"
    login = "the password of the accounts file" if virtual else "the login password"
    theirs = {"accounts"} if virtual else set(SYSTEM)
    names = order(settings)
    if "saslauthd" in names and theirs.isdisjoint(names[: names.index("saslauthd")]):
        login, theirs = "the password that saslauthd knows", {"saslauthd"}
    if not theirs.isdisjoint(names[: names.index("mailauth")]):
        return f"PASS takes {login}, which auth.sources asks for first"
    if "POP" in types:
        return f"PASS takes the secret of the POP entry, in place of {login}"
    if "APOP" in types and settings.mailauth_exclusive:
        return "PASS is refused while there is no POP entry"
    return f"PASS takes {login}"
