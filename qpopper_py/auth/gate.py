"""The gate: the one door to an account.  A conversation, whose one-step form is :meth:`Gate.check`.

Mechanisms say how a credential is asked for, sources vouch for kinds of credential: a sum, not a product.
Sources are asked in their order (:mod:`qpopper_py.auth.order`) until one answers; a refusal is final.  A database
that cannot be read refuses everybody that it would have been asked for; it is never skipped.  Whoever is vouched for
must still pass what holds whoever vouched (:mod:`qpopper_py.auth.policy`).  Last, what stands against guessing
(:mod:`qpopper_py.auth.lockout`) says how long the answer waits; a refusal also waits for the moment of all refusals
(:mod:`qpopper_py.auth.pace`).

A user of the mailauth database has the account that the first of the accounts file and NSS knows, in the order of
the sources.  With the source of system users in front of ``mailauth``, they log in by the login password and
mailauth answers for APOP only.

The gate does not sleep and logs no ordinary refusal: the session does both, by ``wait`` and ``alias`` of the verdict.
Unknown users, malformed names and empty passwords cost one password hash or digest like all others.
"""

import time

from qpopper_py.auth import cleartext
from qpopper_py.auth.account import Account, Denied
from qpopper_py.auth.credentials import Challenge, Malformed, Password, Proof, Token, WhichSalt
from qpopper_py.auth.mechanisms import TABLE, load
from qpopper_py.auth.names import of_login
from qpopper_py.auth.pace import Pace
from qpopper_py.auth.scram import derived, key
from qpopper_py.auth.sources import known
from qpopper_py.errors import CredentialStoreError, MissingLibrary
from qpopper_py.events import Trouble

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from qpopper_py.auth.credentials import Credential
    from qpopper_py.auth.lockout import Lockout
    from qpopper_py.auth.mechanisms import Mechanism
    from qpopper_py.auth.policy import Policy
    from qpopper_py.auth.scram import Salting
    from qpopper_py.auth.sources import Directory, Source
    from qpopper_py.events import Event
    from qpopper_py.facts import Facts
    from qpopper_py.settings import Settings

__all__ = ["Account", "Challenge", "Denied", "Exchange", "Gate"]

MECHANISMS = {row.name: row for row in TABLE}


class Exchange:
    """One attempt by one mechanism.  After the verdict it is over."""

    __slots__ = ("_facts", "_gate", "_mechanism", "_verdict")

    def __init__(self, gate: "Gate", mechanism: "Mechanism", facts: "Facts") -> None:
        self._gate = gate
        self._mechanism: Mechanism | None = mechanism
        self._facts = facts
        self._verdict: Account | Denied | None = None  # reached, but the client hears the mechanism's last word first

    def step(self, data: bytes, asked: float | None = None) -> Challenge | Account | Denied:
        """The answer to the client's next message.  Raises RuntimeError after the verdict.

        ``asked``: when the message was there, on time.monotonic; by default now.
        """
        mechanism = self._mechanism
        if mechanism is None:
            raise RuntimeError("the exchange is over")
        asked = time.monotonic() if asked is None else asked
        said = self._verdict or self._said(mechanism, data)
        if isinstance(said, Denied) and said is not self._verdict:
            said.wait = max(said.wait, self._gate.pace.moment(time.monotonic() - asked))
        if isinstance(said, Challenge):
            return said
        last = None if self._verdict else mechanism.last_word(said)
        if last is None:
            self._mechanism = None
            return said
        self._verdict = said
        if isinstance(said, Denied):
            last.refusal = said
        else:
            last.wait, said.wait = said.wait, 0.0
        return last

    def _said(self, mechanism: "Mechanism", data: bytes) -> Challenge | Account | Denied:
        try:
            said = mechanism.step(data)
        except Malformed as why:
            return self._gate.malformed(why, self._facts)
        except (CredentialStoreError, MissingLibrary) as trouble:
            return self._gate.unable("", trouble, self._facts)
        if isinstance(said, WhichSalt):
            salting = self._gate.salting(said, self._facts)
            return salting if isinstance(salting, Denied) else mechanism.told(salting)
        return said if isinstance(said, Challenge) else self._gate.judge(said, self._facts)


class Gate:
    """Judges credentials by the settings.

    ``emit`` hears of databases that cannot be read and, with auth.c2, of each decision; of nothing else.
    """

    __slots__ = ("_directories", "_emit", "_lockout", "_policy", "_settings", "_sources", "pace")

    def __init__(self, settings: "Settings", emit: "Callable[[Event], None]") -> None:
        self._settings = settings
        self._emit = emit
        self._directories: Sequence[Directory] = ()
        self._sources: Sequence[Source] = ()
        self._policy: Policy | None = None
        self._lockout: Lockout | None = None
        self.pace = Pace(settings)

    def prepare(self) -> None:
        """Load now what the first check would load: for a service that forks for every connection."""
        from qpopper_py.auth import authdb, crypt, lockout, nss, schemes, secretbox, shadow  # noqa: F401  # imported late

        for row in TABLE:
            load(row.made.partition(".")[0])
        try:
            self._furnish()
            nss.row("root")
            shadow.entry("root")
            for source in self._sources:
                source.prepare()
        except (CredentialStoreError, MissingLibrary):
            pass  # said when somebody logs in
        crypt.waste(b"")

    def begin(self, mechanism: str, facts: "Facts") -> Exchange:
        """Raises KeyError: no such mechanism."""
        return Exchange(self, MECHANISMS[mechanism].make(facts, self._settings), facts)

    def mechanisms(self, facts: "Facts") -> "tuple[str, ...]":
        """Names of the SASL mechanisms that can succeed on this connection now, in the order of the table."""
        strength = facts.tls.bits if facts.tls else self._settings.outer_layer
        if strength < self._settings.auth_minimum_layer:
            return ()
        offered = self._settings.auth_mechanisms
        rows = [row for row in TABLE if row.sasl and row.fits(facts)]
        rows = [row for row in rows if row.name in offered or not (offered or row.wanted)]
        kinds = self._ready()
        if not cleartext.allowed(facts, self._settings):
            kinds.discard(Password)
        if not self._salts():
            rows = [row for row in rows if not issubclass(row.kind, Proof)]
        return tuple(row.name for row in rows if issubclass(row.kind, tuple(kinds)))

    def check(self, user: bytes, password: bytes, facts: "Facts") -> Account | Denied:
        """PLAIN in one step."""
        verdict = self.begin("PLAIN", facts).step(b"\0".join((b"", user, password)))
        assert not isinstance(verdict, Challenge)  # the message is never empty
        return verdict

    def judge(self, credential: "Credential", facts: "Facts") -> Account | Denied:
        """What the sources say, and the policy; see the top of this file."""
        given = credential.user
        try:
            verdict = self._ask(credential, facts)
        except (CredentialStoreError, MissingLibrary) as why:
            verdict = self.unable(given, why, facts)
        verdict = self._guard().settle(verdict, credential, facts)
        if isinstance(verdict, Denied):
            self._name(verdict, given, facts)
        self._audit(verdict, type(credential), facts)
        return verdict

    def unable(self, user: str, why: Exception, facts: "Facts") -> Denied:
        """The refusal of whoever cannot be judged."""
        self._emit(Trouble(facts, str(why)))
        return Denied(user, "could not be checked", temporary=True)

    def salting(self, asked: WhichSalt, facts: "Facts") -> "Salting | Denied":
        """How the user's secret is salted; the same for who has none, so that the answer tells nothing."""
        try:
            user, _ = of_login(asked.user, self._settings)
        except ValueError:
            user = ""  # nobody's, but the answer is as for all
        try:
            self._furnish()
            found = [source.salting(user, asked.method) for source in self._sources] if user else []
            return next(filter(None, found), None) or derived(user or asked.user, asked.method, self._settings)
        except (CredentialStoreError, MissingLibrary) as why:
            denied = self.unable(asked.user, why, facts)
            self._name(denied, asked.user, facts)
            return denied

    def malformed(self, why: Malformed, facts: "Facts") -> Denied:
        """The refusal of a message that is not of its mechanism's form."""
        denied = Denied(why.user, str(why))
        self._name(denied, why.user, facts)
        self._audit(denied, type(why), facts)
        return denied

    def _ask(self, credential: "Credential", facts: "Facts") -> Account | Denied:
        folder = ""
        try:
            if credential.user or not isinstance(credential, Token):  # a token may know better who it is
                user, folder = of_login(credential.user, self._settings)
                credential = credential.named(user)
        except ValueError as why:
            return _nobody(credential, str(why))
        if isinstance(credential, Password) and not credential.secret:
            return _nobody(credential, "empty password")
        if isinstance(credential, Password) and not cleartext.allowed(facts, self._settings, credential.user):
            return _nobody(credential, "password in the clear")
        verdict = self._furnish().judge(self._vouched(credential, facts), facts)
        if isinstance(verdict, Account):
            verdict.folder = folder
        return verdict

    def _vouched(self, credential: "Credential", facts: "Facts") -> Account | Denied:
        for source in self._sources:
            if isinstance(credential, source.kinds):
                verdict = source.vouch(credential, facts)
                if verdict is not None:
                    return verdict
        return _nobody(credential, credential.absent)

    def _ready(self) -> "set[type[Credential]]":
        """Kinds of credential that some source can judge now.  One that cannot be read says so at the login."""
        try:
            self._furnish()
        except (CredentialStoreError, MissingLibrary):
            return {Password}
        kinds: set[type[Credential]] = set()
        for source in self._sources:
            try:
                kinds.update(source.ready())
            except (CredentialStoreError, MissingLibrary):
                kinds.add(Password)
        return kinds

    def _salts(self) -> bool:
        """Whether SCRAM has the key that it needs.  --check-config says why it has not."""
        try:
            return bool(key(self._settings))
        except CredentialStoreError:
            return False

    def _name(self, denied: Denied, given: str, facts: "Facts") -> None:
        """Say whose refusal it is: as the client spelled it, and as the log may.  For every refusal the same work."""
        denied.user = given
        try:
            user, _ = of_login(given, self._settings)
            self._furnish()
            denied.known = known(self._directories, user, facts)[0] is not None
        except (ValueError, CredentialStoreError, MissingLibrary):
            denied.known = False
        if given and not denied.known and self._settings.log_unknown_names == "hidden":
            denied.alias = self._guard().alias(given)

    def _guard(self) -> "Lockout":
        if self._lockout is None:
            from qpopper_py.auth.lockout import Lockout

            self._lockout = Lockout(self._settings, self._warn)
        return self._lockout

    def _furnish(self) -> "Policy":
        """Make sources and policy, once."""
        if self._policy is None:
            from qpopper_py.auth.order import build
            from qpopper_py.auth.policy import Policy

            self._sources, self._directories = build(self._settings, self._warn)
            self._policy = Policy(self._settings, self._directories)
        return self._policy

    def _audit(self, verdict: Account | Denied, kind: type, facts: "Facts") -> None:
        if self._settings.auth_c2:
            from qpopper_py.auth.c2 import record

            self._emit(record(verdict, kind, self._settings, facts))

    def _warn(self, what: str) -> None:
        self._emit(Trouble(None, what, "warning"))


def _nobody(credential: "Credential", why: str) -> Denied:
    """Do for a credential that nobody can vouch for the work that others cost, and refuse it."""
    credential.waste()
    return Denied(credential.user, why)
