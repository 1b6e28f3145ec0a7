"""Enhanced security (Tru64's C2) by ourselves, with auth.c2: for hosts whose PAM does not do it.

- A password field that begins with ``!`` or ``*LK*`` locks the account, for mail secrets too.  (Expiry of account
  and password is always obeyed: sources/unix.py, PAM.)
- c2.times says when users may log in, as time.conf(5) does: every rule that is about the user must hold.
- c2.failures refused logins in a row lock a user out until c2.lockout seconds after the last of them, or, with 0,
  until the line is taken out of the file.  A login that was granted forgets them.  The count holds for every source,
  address and mechanism together.  While locked out nothing is counted, and the right secret is refused too: it is
  looked at only after the secret was checked, so that many guesses at once gain nothing and the time tells nothing.
- Each decision is an event for the audit trail.

``<state_dir>/c2-failures`` is a text, so that an administrator can read it and take lines out: a line with the
format's version, then ``COUNT SECONDS-SINCE-1970 NAME`` for each user who failed.  It changes by rename, under a lock
on ``c2-failures.lock``.  Only users that there are have lines, and at most MOST: the longest ago goes first.
"""

import os
import time

from qpopper_py.auth import shadow
from qpopper_py.auth.account import Account, Denied
from qpopper_py.auth.names import of_login
from qpopper_py.auth.sources import known
from qpopper_py.auth.statefile import locked
from qpopper_py.errors import CredentialStoreError
from qpopper_py.events import Audited
from qpopper_py.special_kinds import login_times

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from qpopper_py.auth.sources import Directory
    from qpopper_py.facts import Facts
    from qpopper_py.settings import Settings

    Failures = dict[str, tuple[int, int]]  # name: (count, moment of the last)

NAME = "c2-failures"
PURPOSE = "auth.c2 counts failures there"
FORMAT = "c2-failures 1"
MOST = 10_000


class C2:
    """``directories``: who knows accounts.  ``clock``: seconds since 1970."""

    __slots__ = ("_clock", "_directories", "_path", "_settings")

    def __init__(
        self, settings: "Settings", directories: "Sequence[Directory]", clock: "Callable[[], float]" = time.time
    ) -> None:
        self._settings = settings
        self._directories = directories
        self._clock = clock
        self._path = f"{settings.state_dir}/{NAME}"

    def judge(self, verdict: Account | Denied, facts: "Facts") -> Account | Denied:
        """``verdict`` if nothing stands against it; counts it.  Raises CredentialStoreError."""
        if isinstance(verdict, Denied):
            if not verdict.temporary:
                _, account = known(self._directories, verdict.user, facts)
                if account is not None:
                    self._settle(account.user, failed=True)
            return verdict
        why = self._locked(verdict) or self._untimely(verdict.user)
        if not why and self._settle(verdict.user, failed=False):
            why = "locked out after too many refused logins (c2.failures, c2.lockout)"
        return Denied(verdict.user, why) if why else verdict

    def _locked(self, account: Account) -> str:
        hidden = shadow.entry(account.user) if account.system else None
        locked = hidden is not None and hidden.stored.startswith((b"!", b"*LK*"))
        return "account locked (auth.c2)" if locked else ""

    def _untimely(self, user: str) -> str:
        now = time.localtime(self._clock())
        ours = [rule for rule in self._settings.c2_times if concerns(rule, user)]
        return "" if all(holds(rule, now) for rule in ours) else "may not log in at this time (c2.times)"

    def _settle(self, user: str, failed: bool) -> bool:
        """Count a refused login, or forget them after one that was granted; whether the user is locked out."""
        lock = locked(self._settings.state_dir, NAME + ".lock", PURPOSE)
        try:
            failures = self._read()
            now = int(self._clock())
            count, last = failures.get(user, (0, 0))
            if count >= self._settings.c2_failures:
                lockout = self._settings.c2_lockout
                if not lockout or now < min(last, now) + lockout:  # min: the clock may have gone back
                    return True
                count = 0
            if failed:
                failures.pop(user, None)
                failures[user] = count + 1, now  # the latest at the end
                self._write(failures)
            elif user in failures:
                del failures[user]
                self._write(failures)
            return False
        finally:
            os.close(lock)

    def _read(self) -> "Failures":
        try:
            with open(os.open(self._path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC), "rb") as file:
                head, *lines = file.read().decode("utf-8").splitlines()
            if head != FORMAT:
                raise CredentialStoreError(f"{self._path}: format {head[:40]!r} is not ours, {FORMAT!r}; move it away")
            rows = [line.split(" ", 2) for line in lines]
            return {name: (int(count), int(last)) for count, last, name in rows}
        except FileNotFoundError:
            return {}
        except OSError as why:
            raise CredentialStoreError(f"{self._path}: {why.strerror}; {PURPOSE}") from None
        except ValueError:
            raise CredentialStoreError(
                f"{self._path} is damaged; move it away, and counting begins again for everybody"
            ) from None

    def _write(self, failures: "Failures") -> None:
        for user in list(failures)[: max(len(failures) - MOST, 0)]:
            del failures[user]
        lines = [FORMAT, *(f"{count} {last} {user}" for user, (count, last) in failures.items()), ""]
        new = self._path + ".new"
        try:
            flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW | os.O_CLOEXEC
            with open(os.open(new, flags, 0o600), "wb") as file:
                file.write("\n".join(lines).encode("utf-8"))
            os.rename(new, self._path)
        except OSError as why:
            raise CredentialStoreError(f"{new}: {why.strerror}; {PURPOSE}") from None


def concerns(rule: str, user: str) -> bool:
    """Whether a rule of c2.times is about this user."""
    import fnmatch

    names, _ = login_times(rule)
    return any(fnmatch.fnmatchcase(user, name.lstrip("!")) != name.startswith("!") for name in names)


def holds(rule: str, now: time.struct_time) -> bool:
    """Whether a rule's times hold at this moment.  An end that is not after the beginning is the next day's."""
    minute = now.tm_hour * 60 + now.tm_min
    today, yesterday = 1 << now.tm_wday, 1 << (now.tm_wday - 1) % 7
    for negated, days, start, end in login_times(rule)[1]:
        if start < end:
            within = bool(days & today) and start <= minute < end
        else:
            within = (bool(days & today) and minute >= start) or (bool(days & yesterday) and minute < end)
        if within != negated:
            return True
    return False


def record(verdict: Account | Denied, kind: type, settings: "Settings", facts: "Facts") -> Audited:
    """The event of a decision.  The name of no account is left out: it may be a password."""
    what = kind.__name__.lower()
    if isinstance(verdict, Account):
        return Audited(facts, verdict.user, what, "success")
    user = of_login(verdict.user, settings)[0] if verdict.known else ""
    return Audited(facts, user, what, "error" if verdict.temporary else "failed", verdict.why)
