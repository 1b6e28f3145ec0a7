"""What holds for a login whoever vouched for it: Qpopper's lists of users, smallest uid, shells; enhanced security.

Of system users only: auth.minimum_uid and auth.check_shells; other accounts have the uid of whoever owns the mail.
The lists are files of login names, one a line, compared as they stand, without comments; blanks at the end of a line
do not count.  Without auth.auth_file nobody but root is kept out; one that is missing keeps everybody out.  A missing
auth.nonauth_file keeps nobody out.  They are read at each login.
"""

import os
import stat

from qpopper_py.auth.account import Account, Denied
from qpopper_py.errors import CredentialStoreError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from qpopper_py.auth.c2 import C2
    from qpopper_py.auth.sources import Directory
    from qpopper_py.facts import Facts
    from qpopper_py.settings import Settings

SHELLS = "/etc/shells"
ANY_SHELL = "/POPPER/ANY/SHELL/"  # Qpopper's wildcard, a line of /etc/shells
WITHOUT_FILE = ("/bin/sh", "/bin/csh")  # what getusershell(3) says where there is no /etc/shells


class Policy:
    """``directories``: who knows accounts."""

    __slots__ = ("_c2", "_settings")

    def __init__(self, settings: "Settings", directories: "Sequence[Directory]") -> None:
        self._settings = settings
        self._c2: C2 | None = None
        if settings.auth_c2:
            from qpopper_py.auth import c2

            self._c2 = c2.C2(settings, directories)

    def judge(self, verdict: Account | Denied, facts: "Facts") -> Account | Denied:
        """``verdict`` of the sources, or the refusal that stands against it.  Raises CredentialStoreError."""
        if isinstance(verdict, Account) and (why := self._bar(verdict)):
            return Denied(verdict.user, why)
        if isinstance(verdict, Account) and (path := self._settings.auth_deny_db):
            from qpopper_py.auth.userdeny import message_to

            told = message_to(verdict.user, self._settings.auth_deny_service, path)
            if told is not None:
                return Denied(verdict.user, f"is kept out by {path} (auth.deny_db)", temporary=True, told=told or " ")
        return self._c2.judge(verdict, facts) if self._c2 else verdict

    def _bar(self, account: Account) -> str:
        settings = self._settings
        if account.system and account.uid < settings.auth_minimum_uid:
            return f"uid {account.uid} is below auth.minimum_uid"
        if account.system and settings.auth_check_shells and (why := unfit(account.shell)):
            return why
        domain = account.user.partition("@")[2].lower()
        if domain and settings.auth_domains and domain not in map(str.lower, settings.auth_domains):
            return "is at a domain that is none of auth.domains"
        path = settings.auth_nonauth_file
        if path and listed(account.user, path):
            return f"is listed in {path} (auth.nonauth_file)"
        path = settings.auth_auth_file
        if path and not listed(account.user, path):
            return f"is not listed in {path} (auth.auth_file)"
        return ""


def unfit(shell: str, path: str = SHELLS) -> str:
    """What is wrong with a login shell; empty: it is one of /etc/shells.  Raises CredentialStoreError."""
    known = set(shells(path))
    if ANY_SHELL in known:
        return ""
    if not shell:
        return "no shell is set (auth.check_shells)"
    return "" if shell in known else f"its shell is not in {path} (auth.check_shells)"


def shells(path: str) -> "Iterator[str]":
    """The shells as getusershell(3) reads them: the first word that begins with a slash, before any #."""
    lines = _lines(path)
    if lines is None:
        yield from WITHOUT_FILE
        return
    for line in lines:
        text = line.decode("utf-8", "surrogateescape").partition("#")[0]
        slash, words = text.find("/"), text[text.find("/") :].split()
        if slash >= 0:
            yield words[0]


def listed(user: str, path: str) -> bool:
    """Whether ``user`` is a line of the file; False where there is none.  Raises CredentialStoreError."""
    name = user.encode("utf-8")
    return any(line.rstrip() == name for line in _lines(path, of_roots=True) or ())


def _lines(path: str, of_roots: bool = False) -> "list[bytes] | None":
    """The lines of a file; None: there is none.  ``of_roots``: only root, or we, may be able to write it.

    Raises CredentialStoreError: it cannot be read or trusted; a link to nothing is no missing file.
    """
    try:
        with open(os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC), "rb") as file:
            status = os.fstat(file.fileno())
            if not stat.S_ISREG(status.st_mode):
                raise CredentialStoreError(f"{path} is not a file")
            group = bool(status.st_mode & stat.S_IWGRP) and os.geteuid() == 0 and status.st_gid != 0
            others = bool(status.st_mode & stat.S_IWOTH) or status.st_uid not in (0, os.geteuid())
            if of_roots and (group or others):
                raise CredentialStoreError(
                    f"{path} can be written by others; run: chown root {path}; chmod go-w {path}"
                )
            return file.read().split(b"\n")
    except OSError as why:
        if isinstance(why, FileNotFoundError) and not os.path.islink(path):
            return None
        raise CredentialStoreError(f"{path}: {why.strerror}, and it says who may log in") from None
