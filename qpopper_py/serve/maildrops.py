"""Which maildrop an account has, and its store."""

import os

from qpopper_py.errors import MaildropError, MaildropUnusable

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from qpopper_py.auth.account import Account
    from qpopper_py.settings import Settings
    from qpopper_py.store.base import Store
    from qpopper_py.store.dotlock import DotlockHelper


def maildrop_of(account: "Account", settings: "Settings") -> "tuple[str, str]":
    """The name of the maildrop (:mod:`qpopper_py.store.opening`); or nothing, and why there is none."""
    if account.maildrop or not settings.maildrop:
        from qpopper_py.store.paths import in_spool

        return account.maildrop or in_spool(settings.spool, account.user, settings.hash_spool), ""
    from qpopper_py.auth.maildrops import expand

    try:
        return expand(settings.maildrop, account.user, account.home), ""
    except ValueError as why:
        return "", f"maildrop = {settings.maildrop!r} {why}"


def state_of(account: "Account", settings: "Settings") -> str:
    """Where the account's state may be kept; empty where read_only means that no folder is made for it."""
    state = settings.state_dir
    return "" if settings.read_only and not os.path.isdir(f"{state}/users/{account.user}") else state


def state_of_folder(account: "Account", state: str, settings: "Settings", warn: "Callable[[str], None]") -> str:
    """Where the state of the maildrop that is asked for is kept: in the user's folder ``state``, or empty."""
    if not (account.folder and state):
        return state
    from qpopper_py.serve.folders import own_state

    try:
        return own_state(state, account.folder, settings.read_only)
    except OSError as why:
        warn(f"no state is kept for {account.called}: {state}: {why.strerror}")
        return ""


def open_maildrop(
    account: "Account",
    host: str,
    state: str,
    settings: "Settings",
    warn: "Callable[[str], None]",
    dotlocks: "DotlockHelper | None",
) -> "Store":
    """The store of the account's maildrop, new bulletins in it; as the mail user.  ``host`` ends a bulletin's To."""
    from qpopper_py.store.opening import NoStore, open_store, parted

    place, why = maildrop_of(account, settings)
    if not place:
        return NoStore(MaildropUnusable(why))
    try:
        if settings.accounts_mailbox_acl != "no":
            from qpopper_py.serve import mailbox_acl

            mailbox_acl.check(account, settings)
        if account.folder:
            from qpopper_py.serve.folders import place_of

            place = place_of(place, account, settings)
    except MaildropError as trouble:
        return NoStore(trouble)
    if settings.bulletins_source and not account.folder:
        from qpopper_py.store.bulletin_numbers import Reader
        from qpopper_py.store.bulletins import post_bulletins

        address = account.user if "@" in account.user else f"{account.user}@{host}"
        post_bulletins(place, Reader(account.user, account.home, address), state, settings, warn, dotlocks)
    store = open_store(place, account.user, state, settings, warn, dotlocks)
    if settings.deletion_marks == "hidden":
        from qpopper_py.store.hiding import Hiding

        store = Hiding(store)
    store.place = parted(place)[1]
    return store
