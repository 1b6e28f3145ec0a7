"""From a path and the settings to a store; nothing is changed before the store's ``scan``.

A maildrop is named by its absolute path, or by ``mbox:PATH``, ``maildir:PATH`` or ``cyrus:PATH``.  Without a prefix
what lies there decides: a folder with cyrus.index is a mailbox of Cyrus, one that holds cur, new and tmp is a Maildir,
everything else is for the mbox store to judge.
"""

import os

from qpopper_py.store.base import Store
from qpopper_py.store.lock import lock_of
from qpopper_py.store.mbox.from_line import rule
from qpopper_py.store.mbox.store import Mbox
from qpopper_py.store.mbox.upkeep import temp_drop
from qpopper_py.store.terms import terms_of

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from qpopper_py.errors import MaildropError
    from qpopper_py.settings import Settings
    from qpopper_py.store.base import Entry
    from qpopper_py.store.dotlock import DotlockHelper


def open_store(
    path: str,
    user: str,
    state: str,
    settings: "Settings",
    report: "Callable[[str], None]",
    dotlocks: "DotlockHelper | None" = None,
) -> "Store":
    """The store for the maildrop ``path`` of ``user``.

    ``state``: the user's private state folder, empty if there is none.  ``report`` takes a line for the log.
    ``dotlocks`` makes the lock file where this process may not write the folder.
    """
    kind, path = parted(path)
    terms = terms_of(settings)
    kind = kind or what_lies_at(path)
    if kind == "cyrus":
        from qpopper_py.store.cyrus.store import CyrusMailbox

        return CyrusMailbox(path, owner_of(user), settings.uidl, report)
    if kind == "maildir":
        from qpopper_py.store.maildir.store import Maildir

        return Maildir(path, owner_of(user), state, report, terms)
    lock = lock_of(path, settings, report, dotlocks)
    if terms.read_only:  # a dotlock is a file; an edit without its lock is noticed all the same
        lock.kinds = tuple(kind for kind in lock.kinds if kind != "dotlock")
    return Mbox(
        path,
        owner_of(user),
        state,
        lock,
        report,
        rule=rule(settings.mbox_separator, settings.mbox_content_length),
        scheme=settings.uidl,
        hide_internal=settings.mbox_internal == "hidden",
        terms=terms,
        temp=temp_drop(path, user, owner_of(user), settings),
        # Sessions beside ours know messages by their headers: those then stay as they are.
        status=settings.status_headers == "write" and not terms.shared,
        x_uidl=settings.x_uidl_headers == "write" and not terms.shared,
    )


class NoStore(Store):
    """What stands for a maildrop that is not even opened: its scan says why."""

    def __init__(self, why: "MaildropError") -> None:
        self.why = why

    def scan(self) -> "Sequence[Entry]":
        raise self.why

    def close(self) -> None:
        """Nothing was opened."""


def parted(place: str) -> "tuple[str, str]":
    """(``mbox``, ``maildir``, ``cyrus`` or nothing, path) of a maildrop's name."""
    for kind in ("mbox", "maildir", "cyrus"):
        if place.startswith(kind + ":"):
            return kind, place[len(kind) + 1 :]
    return "", place


def what_lies_at(path: str) -> str:
    """``maildir``, ``cyrus`` or ``mbox``, by what is there; empty if nothing is, or it cannot be seen."""
    if os.path.isdir(path):
        if os.path.isfile(f"{path}/cyrus.index"):
            return "cyrus"
        return "maildir" if all(os.path.isdir(f"{path}/{name}") for name in ("cur", "new", "tmp")) else ""
    return "mbox" if os.path.lexists(path) else ""


def owner_of(user: str) -> int:
    """The uid that a maildrop must belong to: ours, or, as long as we are root, the system user's."""
    uid = os.geteuid()
    if uid == 0:
        import pwd

        try:
            uid = pwd.getpwnam(user).pw_uid
        except KeyError:  # no system user: an account of a file, whose owner we then are
            pass
    return uid
