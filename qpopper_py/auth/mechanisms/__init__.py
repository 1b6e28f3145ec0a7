"""How a credential is asked for: one file and one row of TABLE for each mechanism.

A mechanism is made of the facts of the connection and the settings, and of nothing else; what it remembers between
two steps stays with the gate.
"""

import sys

from qpopper_py.auth.credentials import (
    Certificate,
    Digest,
    Md5Proof,
    Password,
    Response,
    Sha1Proof,
    Sha256Proof,
    Ticket,
    Token,
)

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from types import ModuleType

    from qpopper_py.auth.account import Account, Denied
    from qpopper_py.auth.credentials import Challenge, Credential, WhichSalt
    from qpopper_py.auth.scram import Salting
    from qpopper_py.facts import Facts
    from qpopper_py.settings import Settings


class Mechanism:
    """The interface."""

    __slots__ = ()

    def __init__(self, facts: "Facts", settings: "Settings") -> None:
        """Kept by whoever needs them."""

    def step(self, data: bytes) -> "Challenge | WhichSalt | Credential":
        """What the client's next message makes: a challenge, a question, or the credential to be judged.

        The first message is empty where the client sent no initial response (RFC 5034 section 4).
        Raises Malformed: it is not of the mechanism's form; CredentialStoreError or MissingLibrary: nobody can tell.
        """
        raise NotImplementedError

    def told(self, salting: "Salting") -> "Challenge":
        """What the answer to a WhichSalt makes."""
        raise NotImplementedError

    def last_word(self, verdict: "Account | Denied") -> "Challenge | None":  # noqa: ARG002  # of some
        """What the client is still told, and has to answer, before it hears the verdict."""
        return None


def _anywhere(facts: "Facts") -> bool:  # noqa: ARG001  # rows share one signature
    return True


def load(name: str) -> "ModuleType":
    """The module of that name here."""
    path = f"{__name__}.{name}"
    __import__(path)
    return sys.modules[path]


def bindings(facts: "Facts") -> "dict[str, bytes]":
    """The channel bindings of RFC 5929 that the connection has, by name."""
    if facts.tls is None:
        return {}
    found = {"tls-unique": facts.tls.unique, "tls-server-end-point": facts.tls.end_point}
    return {name: data for name, data in found.items() if data}


def _bound(facts: "Facts") -> bool:
    return bool(bindings(facts))


def _unheard(facts: "Facts") -> bool:
    """Nobody can read along: a bearer token is never asked for otherwise (RFC 7628 section 4)."""
    return facts.private or facts.same_host


def _certified(facts: "Facts") -> bool:
    return facts.tls is not None and bool(facts.tls.certificate)


class Row:
    """``name``; ``made`` by which class of which module here; ``kind`` of credential that it ends in.

    ``fits``: whether the connection has what it needs.  ``sasl``: it may be asked for by AUTH.  ``wanted``: only where
    auth.mechanisms names it.
    """

    __slots__ = ("fits", "kind", "made", "name", "sasl", "wanted")

    def __init__(
        self,
        name: str,
        made: str,
        kind: "type[Credential]",
        fits: "Callable[[Facts], bool]" = _anywhere,
        sasl: bool = True,
        wanted: bool = False,
    ) -> None:
        self.name = name
        self.made = made
        self.kind = kind
        self.fits = fits
        self.sasl = sasl
        self.wanted = wanted

    def make(self, facts: "Facts", settings: "Settings") -> Mechanism:
        """The mechanism at its beginning.  Its module is imported when it is first asked for."""
        module, name = self.made.split(".")
        mechanism: Mechanism = getattr(load(module), name)(facts, settings)
        return mechanism


# In the order in which they are announced: the strongest first.
TABLE = (
    Row("SCRAM-SHA-256-PLUS", "scram.Sha256Plus", Sha256Proof, _bound),
    Row("SCRAM-SHA-1-PLUS", "scram.Sha1Plus", Sha1Proof, _bound),
    Row("GSSAPI", "gssapi.Gssapi", Ticket),
    Row("SCRAM-SHA-256", "scram.Sha256", Sha256Proof),
    Row("SCRAM-SHA-1", "scram.Sha1", Sha1Proof),
    Row("SCRAM-MD5", "scram_md5.ScramMd5", Md5Proof, wanted=True),  # Qpopper's; no RFC came of it
    Row("CRAM-MD5", "cram_md5.CramMd5", Response),
    Row("OAUTHBEARER", "oauth.OAuthBearer", Token, _unheard),
    Row("XOAUTH2", "oauth.XOAuth2", Token, _unheard),
    Row("EXTERNAL", "external.External", Certificate, _certified),
    Row("PLAIN", "plain.Plain", Password),
    Row("LOGIN", "login.Login", Password),
    Row("APOP", "apop.Apop", Digest, sasl=False),
    Row("KPOP", "kpop.Kpop", Ticket, sasl=False),
)
