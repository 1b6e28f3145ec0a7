"""--check-config on what is deleted and what is added beyond RFC 1939; see :mod:`qpopper_py.personality.check`."""

import os
import stat

from qpopper_py.personality.check import Finding, hint, kind

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    from qpopper_py.settings import Settings


def deleting(settings: "Settings", _euid: int) -> "Iterator[Finding]":
    """What a user should have been told."""
    if settings.read_only:
        yield hint("read_only: it is on, so DELE is refused and nothing is written")
    elif settings.auto_delete:
        yield hint("auto_delete: it is on, so no client can leave its mail on the server")
    if settings.delete_expired and not settings.state_dir:
        yield Finding("delete_expired: without state_dir nobody knows when mail was retrieved; set state_dir")


def hook(settings: "Settings", _euid: int) -> "Iterator[Finding]":
    """The program of each login can be run by whoever logs in."""
    path = settings.login_hook
    if not path:
        return
    facts = kind(path)
    if isinstance(facts, str) or not stat.S_ISREG(facts.st_mode):
        why = facts if isinstance(facts, str) else "is not a file"
        yield Finding(f"login_hook: {path}: {why}; name a program, or unset it")
    elif facts.st_mode & stat.S_IWOTH:
        yield Finding(f"login_hook: everybody can change {path}; run: chmod o-w on it")
    elif not facts.st_mode & stat.S_IXOTH:
        yield hint(f"login_hook: not every user may run {path}; it is run as whoever logs in")


def bulletins(settings: "Settings", _euid: int) -> "Iterator[Finding]":
    """The bulletins are there, for everybody, and it can be noted who has which."""
    path = settings.bulletins_source
    if not path:
        return
    if not settings.state_dir:
        yield Finding("bulletins.source: without state_dir nobody gets any; set state_dir")
    facts = kind(path)
    if isinstance(facts, str):
        yield Finding(f"bulletins.source: {path}: {facts}; name the folder or the mbox")
        return
    wanted = 0o005 if stat.S_ISDIR(facts.st_mode) else 0o004
    if facts.st_mode & wanted != wanted:
        yield hint(f"bulletins.source: not every user may read {path}; those who may not get none")
    database = settings.bulletins_database
    if database and not any(os.path.exists(database + suffix) for suffix in ("", ".pag", ".db")):
        yield Finding(f"bulletins.database: {database}: there is none; name the old server's, or unset it")


def unique_ids(settings: "Settings", _euid: int) -> "Iterator[Finding]":
    """Unique-ids come out as the old server made them, and last."""
    from qpopper_py.store.uid_schemes import SCHEMES

    scheme = settings.uidl
    if scheme.startswith("popa3d") and settings.mbox_separator != "popa3d":
        yield hint(f"uidl: {scheme}, but where messages begin is not popa3d's rule; say mbox.separator = popa3d")
    told = settings.maildrop.startswith("cyrus:")  # its index has them
    if SCHEMES[scheme].numbers and not told and (not settings.state_dir or settings.read_only):
        yield hint(f"uidl: {scheme} needs a state_dir that is written; without, mail has the unique-ids of qpopper2")
