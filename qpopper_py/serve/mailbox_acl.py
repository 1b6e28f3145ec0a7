"""Whom the ACL of a mailbox of Cyrus lets read it (``accounts.mailbox_acl``; openinbox() of imap/pop3d.c).

All that is given to the user, to anyone and to the user's groups counts, less all that is taken from them
(lib/acl_afs.c); an owner has no right of old.  Only the mail process looks, as the mail's owner.
"""

import grp
import os
import pwd

from qpopper_py.auth import cyrus_mailboxes
from qpopper_py.errors import CredentialStoreError, MaildropForbidden, MaildropMissing, MaildropTrouble

TYPE_CHECKING = False
if TYPE_CHECKING:
    from qpopper_py.auth.account import Account
    from qpopper_py.settings import Settings

LOOKUP, READ = "l", "r"  # RFC 4314 section 2.1
NO_GID = 2**32 - 1


def check(account: "Account", settings: "Settings") -> None:
    """Raises MaildropForbidden, MaildropMissing (also where the user may not know of it), MaildropTrouble."""
    path = settings.accounts_mailboxes_db
    try:
        found = cyrus_mailboxes.look_up(account.user, account.folder, settings)
    except CredentialStoreError as why:
        raise MaildropTrouble(str(why)) from None
    if found is None:
        raise MaildropMissing(f"{path!r} has no {account.called}, or is not of the form twoskip (accounts.mailbox_acl)")
    rights = rights_of(account.user, found.acl, settings.accounts_mailbox_acl == "groups")
    if READ not in rights:
        kind = MaildropForbidden if LOOKUP in rights else MaildropMissing
        raise kind(f"{path}: the ACL of {account.called} gives its user no right to read (accounts.mailbox_acl)")


def rights_of(user: str, acl: "list[tuple[str, str]]", groups: bool) -> "set[str]":
    """``groups``: those of the system count."""
    given: set[str] = set()
    taken: set[str] = set()
    for identifier, rights in acl:
        who = identifier.removeprefix("-")
        if who in ("anyone", user) or (groups and who.startswith("group:") and who[6:] in groups_of(user)):
            (given if who == identifier else taken).update(rights)
    return given - taken


def groups_of(user: str) -> "set[str]":
    """The names of the system's groups that have such a user, who need not be the system's (lib/auth_unix.c)."""
    try:
        own = pwd.getpwnam(user).pw_gid
    except KeyError:
        own = NO_GID
    names = set()
    for gid in {*os.getgrouplist(user, own)} - {NO_GID}:
        try:
            names.add(grp.getgrgid(gid).gr_name)
        except KeyError:
            pass  # a number without a name
    return names
