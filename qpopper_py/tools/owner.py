"""Whose mail a task is about, and doing it as that user: never as root.  For the tasks of qpopper-py(8)."""

import os
import pwd
import sys
from collections.abc import Callable

from qpopper_py.auth.account import Account
from qpopper_py.auth.names import folder_of
from qpopper_py.errors import QpopperError
from qpopper_py.events import Event, Note, Trouble, printable
from qpopper_py.facts import Facts
from qpopper_py.serve.folders import own_state
from qpopper_py.serve.roles import KeptDotlock, as_mail_user
from qpopper_py.settings import Settings
from qpopper_py.tools.command import DONE, FAILED
from qpopper_py.tools.mailauth_rights import find_account


def account_of(user: str | None, mailbox: str, settings: Settings) -> Account:
    """``user``'s account, else that of the owner of ``mailbox``, else our own.

    QpopperError if there is none, or it is nobody whom we may be.
    """
    euid = os.geteuid()
    if not user:
        owner = os.lstat(mailbox).st_uid if euid == 0 else euid
        try:
            user = pwd.getpwuid(owner).pw_name
        except KeyError:
            raise QpopperError(f"{mailbox}: belongs to uid {owner}, who has no name; name the user: --user") from None
    account = find_account(settings, user)
    if not isinstance(account, Account):  # there is none, or none who may log in; mail they have all the same
        try:
            row = pwd.getpwnam(user)
        except KeyError:
            raise QpopperError(f"there is no user {user!r}" + (f": {account.why}" if account else "")) from None
        account = Account(user, row.pw_uid, row.pw_gid, row.pw_dir, system=True, login=user)
    if euid == 0 and account.uid == 0:
        raise QpopperError(f"{mailbox}: this is never done as root; name the user whose mail it is: --user")
    if euid not in (0, account.uid):
        raise QpopperError(f"you are not {user}; run it by sudo")
    return account


def folder_asked(given: str) -> str:
    """What ``--folder`` means; its levels are parted by slashes.  Raises QpopperError."""
    try:
        return folder_of(given, "/")
    except ValueError as why:
        raise QpopperError(f"--folder {given!r}: {why}") from None


def as_user(account: Account, mbox: str, settings: Settings, work: Callable[[str, KeptDotlock | None], None]) -> int:
    """Call ``work(state folder, dotlock helper for mbox)`` as that user; the exit status.

    The state folder is that of ``account.folder``, if it is not the inbox that is meant.
    What goes wrong is told on the standard error.
    """
    told, tell = os.pipe()

    def guarded(state: str, helper: KeptDotlock | None) -> None:
        try:
            work(own_state(state, account.folder, False) if state and account.folder else state, helper)
            sys.stdout.flush()
            os.write(tell, b"+")
        except KeyboardInterrupt:
            say("interrupted")
        except QpopperError as why:
            say(str(why))
        except OSError as why:
            say(f"{why.filename or 'the system refused'}: {why.strerror}")

    sys.stdout.flush()
    try:
        as_mail_user(account, mbox, settings, Facts("qpopper-py"), heard, guarded)
    finally:
        os.close(tell)
    with open(told, "rb") as answer:
        return DONE if answer.read() == b"+" else FAILED


def heard(event: Event) -> None:
    if isinstance(event, (Trouble, Note)):
        say(event.what)


def say(what: str) -> None:
    print(f"qpopper-py: {printable(what)}", file=sys.stderr, flush=True)
