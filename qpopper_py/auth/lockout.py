"""Against guessing: whoever failed waits longer and longer for the next answer.

- Failures are counted by origin (an IPv4 address, an IPv6 /64), whatever the source, the mechanism and the name.
  The answer to the next try waits guess.delay seconds, after each further failure guess.factor times as long, up to
  guess.largest.  It waits as long for the right secret as for a wrong one, so that nothing is learnt earlier.
- Tries of one origin are answered one after the other, on however many connections they come.  What would have to
  wait for longer than guess.largest is refused without regard to the secret, as a fault that passes.
- A try counts when it is found wrong, and all of an origin is forgotten guess.forget seconds after its last failure.
- The same wrong password or token once more does not count and takes nobody's turn: it is a mail program that was not
  told of the new one.  Of a digest or a proof it cannot be told.
- The right secret, from an origin from which the account logged in during the last guess.remember seconds, is let in
  at once: whoever guesses cannot keep the owner out.  After GRACE wrong ones there since (somebody shares the address)
  it is delayed as others are, but never refused.  guess.trusted networks, and clients without an address, are
  neither counted nor delayed.
- With guess.lockout, so many failures in a row, from wherever, lock an account for guess.lockout_time seconds from
  the last; while it is locked, tries do not count.  The owner gets in from where the account lately logged in.

The gate does not sleep: :meth:`Lockout.settle` says how long the answer waits (``wait`` of the verdict), counted from
the try, and the session waits.  If the file (:mod:`.guesses`) cannot be used that is a warning, and refusals still
have auth.refusal_delay.
"""

import os
import time
from hashlib import blake2b

from qpopper_py.auth.account import Account, Denied
from qpopper_py.auth.addresses import origin, within
from qpopper_py.auth.guesses import ACCOUNTS, MOST, ORIGINS, PAIRS, WRONG, Guesses
from qpopper_py.errors import CredentialStoreError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from qpopper_py.auth.credentials import Credential
    from qpopper_py.facts import Facts
    from qpopper_py.settings import Settings

DAY = 86400
STEEPEST = 64  # more steps than any factor needs from the first delay to the largest
SLACK = 1  # second: the answer before it left a little early
GRACE = 10  # wrong secrets of an account from where it lately logged in
TAG = 4  # octets
CROWD = "too many tries at once from this address (guess.largest)"
LOCKED = "locked out after too many refused logins (guess.lockout)"


class Lockout:
    """``clock``: seconds since 1970.  ``warn`` hears once of a file that cannot be used."""

    __slots__ = ("_clock", "_key", "_settings", "_warn", "_warned")

    def __init__(
        self, settings: "Settings", warn: "Callable[[str], None]", clock: "Callable[[], float]" = time.time
    ) -> None:
        self._settings = settings
        self._warn = warn
        self._warned = False
        self._clock = clock
        self._key = b""

    def settle(self, verdict: Account | Denied, credential: "Credential", facts: "Facts") -> Account | Denied:
        """The verdict on a try, or the refusal that stands against it; ``wait`` says when it may be answered."""
        settings = self._settings
        place = origin(facts.peer)
        if not (settings.guess_delay or settings.guess_lockout) or not settings.state_dir:
            return verdict
        if not place or within(facts.peer, settings.guess_trusted):
            return verdict
        try:
            with Guesses(settings.state_dir, self._clock(), self._complain) as file:
                return _Try(file, settings, place, verdict, credential).settle()
        except CredentialStoreError as why:
            self._complain(str(why))
            return verdict

    def alias(self, name: str) -> str:
        """What a log shows for a name that is no account: the same for the same name, on this host.

        Where the file cannot be used, only in this process.
        """
        octets = name.encode("utf-8", "surrogateescape")
        try:
            if self._settings.state_dir:
                with Guesses(self._settings.state_dir, self._clock(), self._complain) as file:
                    return f"(unknown:{file.hash(b'name', octets, TAG).hex()})"
        except CredentialStoreError:
            pass
        self._key = self._key or os.urandom(32)
        return f"(unknown:{blake2b(octets, digest_size=TAG, key=self._key).hexdigest()})"

    def _complain(self, what: str) -> None:
        if not self._warned:
            self._warned = True
            self._warn(what)


class _Try:
    """One verdict, and what the file knows that concerns it."""

    __slots__ = ("account", "file", "now", "origin", "pair", "settings", "verdict", "wrong")

    def __init__(
        self, file: Guesses, settings: "Settings", place: bytes, verdict: Account | Denied, credential: "Credential"
    ) -> None:
        self.file = file
        self.settings = settings
        self.verdict = verdict
        self.now = int(file.now)
        # NSS may match names in any case: whoever varies it must gain nothing.
        user = verdict.user.lower().encode("utf-8", "surrogateescape")
        self.origin = file.find(ORIGINS, place, settings.guess_forget)
        self.pair = file.find(PAIRS, place + user, settings.guess_remember)
        self.account = file.find(ACCOUNTS, user, settings.guess_lockout_time)
        again = credential.again()
        self.wrong = int.from_bytes(file.hash(b"wrong", user + b"\0" + again, 2), "big") or 1 if again else 0

    def settle(self) -> Account | Denied:
        verdict, known = self.verdict, bool(self.pair.last)
        if isinstance(verdict, Account) and known and self.pair.count <= GRACE:
            self._welcome()
            return verdict
        delay = self._delay()
        if isinstance(verdict, Denied) and self.wrong and self.wrong in self.origin.wrong:
            verdict.wait = delay
            return verdict
        if isinstance(verdict, Denied) and known and not verdict.temporary:
            self.pair.count += 1
            self.file.put(self.pair)
        wait = self._turn(delay)
        if wait > self.settings.guess_largest + SLACK:
            wait = self.settings.guess_largest
            if not known or isinstance(verdict, Denied):
                return Denied(verdict.user, CROWD, temporary=True, wait=wait)
        elif delay:
            self.origin.taken = int((self.file.now + wait) * 1000)
        verdict = self._judged(verdict, known)
        if self.origin.last:
            self.file.put(self.origin)
        verdict.wait = wait
        return verdict

    def _judged(self, verdict: Account | Denied, known: bool) -> Account | Denied:
        """The verdict after guess.lockout; counted."""
        if isinstance(verdict, Account) and self._locked() and not known:
            return Denied(verdict.user, LOCKED)
        if isinstance(verdict, Account):
            self._welcome()
        elif not verdict.temporary:
            self._count()
        return verdict

    def _delay(self) -> float:
        """Seconds for which an answer to this origin waits."""
        settings, steps = self.settings, min(self.origin.count - 1, STEEPEST)
        return min(settings.guess_delay * settings.guess_factor**steps, settings.guess_largest) if steps >= 0 else 0

    def _turn(self, delay: float) -> float:
        """Seconds until this try may be answered, behind the others of its origin."""
        queue = self.origin.taken / 1000 - self.file.now
        if not delay or not 0 < queue <= self.settings.guess_largest:  # longer than that nobody was made to wait
            return delay
        return queue + delay

    def _locked(self) -> bool:
        return 0 < self.settings.guess_lockout <= self.account.count

    def _welcome(self) -> None:
        """The account logged in from here."""
        if self.pair.count or self.now - self.pair.last >= min(DAY, self.settings.guess_remember // 2):
            self.pair.count, self.pair.last = 0, self.now
            self.file.put(self.pair)
        if self.account.count:
            self.account.count = 0
            self.file.put(self.account)

    def _count(self) -> None:
        self.origin.count = min(self.origin.count + 1, MOST)
        self.origin.wrong = [self.wrong, *self.origin.wrong[: WRONG - 1]] if self.wrong else self.origin.wrong
        self.origin.last = self.now
        if self.settings.guess_lockout and not self._locked():
            self.account.count += 1
            self.account.last = self.now
            self.file.put(self.account)
