"""Who called, what they may do, and which accounts there are."""

import os
import pwd
import sys
import syslog
from collections.abc import Mapping

from qpopper_py.auth import names
from qpopper_py.auth.account import Account, Denied
from qpopper_py.auth.secretbox import owner_uid
from qpopper_py.auth.sources import Directory
from qpopper_py.auth.sources.accounts import Accounts
from qpopper_py.auth.sources.maildrops import Maildrops
from qpopper_py.auth.sources.unix import Unix
from qpopper_py.errors import QpopperError
from qpopper_py.events import printable
from qpopper_py.facts import Facts
from qpopper_py.settings import Settings


class NotAllowed(QpopperError):
    """The caller may not do that; the text says who may, or what to run."""


class Caller:
    """Who started mailauth.  ``uid`` is the person's, through sudo too; ``euid`` is whose rights we have."""

    __slots__ = ("euid", "settings", "sudo", "uid")

    def __init__(self, settings: Settings, environ: "Mapping[str, str]") -> None:
        self.settings = settings
        self.euid = os.geteuid()
        self.uid = os.getuid()
        asked = environ.get("SUDO_UID", "")
        # Only sudo can have made us another; to anybody else the variable is theirs to invent.
        self.sudo = asked.isdecimal() and self.euid in (0, owner_uid(settings.mailauth_owner))
        if self.sudo:
            self.uid = int(asked)

    @property
    def name(self) -> str:
        return name_of(self.uid)

    @property
    def actor(self) -> str:
        """For the log: the person, and by whose rights if they are another's."""
        return self.name if self.uid == self.euid else f"{self.name} (as {name_of(self.euid)})"

    def refuse_unless_administrator(self, command: str) -> None:
        """NotAllowed unless this is root, mailauth.owner, or a database of the caller's own."""
        path = self.settings.mailauth_database
        owner = self.settings.mailauth_owner
        root_only = command.split()[0] in ("init", "convert")
        if self.euid == 0 or (self.euid == owner_uid(owner) and not root_only):
            return
        try:
            status = os.stat(path)
        except FileNotFoundError:
            status = os.stat(nearest_folder(path))
        except OSError:
            status = None
        if status is not None and status.st_uid == self.euid and (not root_only or owns_folder(path, self.euid)):
            return
        who = "the superuser" if root_only or not owner else f"the superuser or user {owner!r}"
        raise NotAllowed(f"Only {who} can perform the requested function; run: sudo mailauth {command}")

    def refuse_unless_own(self) -> str:
        """The caller's own name.  NotAllowed if our rights do not reach the database."""
        if self.sudo or self.euid == 0:
            if self.uid == 0:
                raise NotAllowed("root has no mail entry; name the user: mailauth add USER")
            return self.name
        path = self.settings.mailauth_database
        if self.euid == owner_uid(self.settings.mailauth_owner) or owns(path, self.euid):
            return self.name
        raise NotAllowed(
            f"{path} is not yours to write; to add or change your own entry run: sudo mailauth\n"
            "  (if sudo refuses: the administrator installs the rule etc/sudoers.d/pop3d, or runs for you: "
            f"mailauth add {self.name})"
        )


def name_of(uid: int) -> str:
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return f"uid {uid}"


def owns(path: str, uid: int) -> bool:
    try:
        return os.stat(path).st_uid == uid
    except OSError:
        return False


def nearest_folder(path: str) -> str:
    """The folder that ``path`` would be made in, or the nearest above it that is there."""
    folder = os.path.dirname(path)
    while not os.path.isdir(folder):
        folder = os.path.dirname(folder)
    return folder


def owns_folder(path: str, uid: int) -> bool:
    return owns(nearest_folder(path), uid)


def find_account(settings: Settings, user: str) -> Account | Denied | None:
    """The account that the server would find, by its own sources; None if there is no such user."""
    directories: list[Directory] = [Unix()]
    if settings.virtual_users:
        directories.insert(0, Accounts(settings, warn))
    if "maildrops" in settings.auth_sources:
        directories.insert(0, Maildrops(settings))
    for directory in directories:
        account = directory.find(user, Facts(""))
        if account is not None:
            return account
    return None


def warn(what: str) -> None:
    print(f"mailauth: warning: {what}", file=sys.stderr)


def stored_name(settings: Settings, typed: str) -> str:
    """The name under which the server looks for ``typed``; QpopperError if it can be nobody's."""
    try:
        if ":" in typed:
            raise ValueError("name holds a colon")
        return names.canonical(typed, settings)
    except ValueError as why:
        raise QpopperError(f"{typed!r} cannot be a user: {why}") from None


def record(settings: Settings, what: str) -> None:
    """One line for the log, LOG_NOTICE: what was done and by whom, never a secret."""
    line = printable(what)
    if settings.log_to == "stderr":
        print(f"mailauth: {line}", file=sys.stderr)
        return
    facility: int = getattr(syslog, "LOG_" + settings.log_facility.upper())
    syslog.openlog("mailauth", syslog.LOG_PID, facility)
    syslog.syslog(syslog.LOG_NOTICE, line)
