"""A folder of a user's mail in the place of the inbox (``subfolders``): where it lies, by where the inbox does.

Of a Maildir it is Maildir++'s, ``.Sub.Deep`` in it.  Of a mailbox of Cyrus it is ``Sub/Deep`` in it, or below ``uuid``,
where mailboxes.db says.  An mbox has none.  Only the mail process looks, as the user.
"""

import os

from qpopper_py.errors import CredentialStoreError, MaildropMissing, MaildropTrouble
from qpopper_py.store.opening import parted, what_lies_at

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    from qpopper_py.auth.account import Account
    from qpopper_py.settings import Settings


def place_of(inbox: str, account: "Account", settings: "Settings") -> str:
    """The name of the maildrop.  Raises MaildropMissing, MaildropTrouble."""
    kind, path = parted(inbox)
    kind = kind or what_lies_at(path)
    if kind not in KINDS:
        raise MaildropMissing(f"{path}: is neither a Maildir nor a mailbox of Cyrus, so it has no folders (subfolders)")
    try:
        for place in KINDS[kind](path, account, settings):
            if what_lies_at(place) == kind:
                return f"{kind}:{place}"
    except CredentialStoreError as why:
        raise MaildropTrouble(str(why)) from None
    raise MaildropMissing(f"{path}: there is no folder {account.folder} (subfolders)")


def _of_maildir(path: str, account: "Account", _: "Settings") -> "Iterator[str]":
    yield f"{path}/.{account.folder}"


def _of_cyrus(path: str, account: "Account", settings: "Settings") -> "Iterator[str]":
    yield f"{path}/{account.folder.replace('.', '/')}"
    if settings.accounts_mailboxes_db:
        from qpopper_py.auth import cyrus_mailboxes

        yield parted(cyrus_mailboxes.place_of(account.user, account.folder, settings))[1]


KINDS = {"maildir": _of_maildir, "cyrus": _of_cyrus}


def own_state(state: str, folder: str, read_only: bool) -> str:
    """The state folder of a ``folder``, made in that of its user; empty where ``read_only`` makes none.  Or OSError."""
    path = f"{state}/folders/{folder}"
    if read_only and not os.path.isdir(path):
        return ""
    for one in (os.path.dirname(path), path):
        try:
            os.mkdir(one, 0o700)
        except FileExistsError:
            pass
    return path
