"""SCRAM-SHA-1 (RFC 5802) and SCRAM-SHA-256 (RFC 7677), with channel binding (-PLUS) and without.

Four messages: client-first ``n,,n=USER,r=NONCE``, server-first ``r=NONCE,s=SALT,i=ITERATIONS``, client-final
``c=BINDING,r=NONCE,p=PROOF``, server-final ``v=SIGNATURE``, which the client answers with an empty one.

The header of client-first tells what the client thinks of channel binding: ``p=TYPE`` uses it, ``n`` cannot, ``y``
could but was not offered it.  ``y`` where it was offered means that somebody took the offer away on the way.
Types of binding: tls-unique and tls-server-end-point (RFC 5929), from the facts of the connection.
"""

import os

from qpopper_py.auth.account import Denied
from qpopper_py.auth.credentials import Challenge, Malformed, Proof, Sha1Proof, Sha256Proof, WhichSalt
from qpopper_py.auth.mechanisms import Mechanism, bindings

TYPE_CHECKING = False
if TYPE_CHECKING:
    from qpopper_py.auth.account import Account
    from qpopper_py.auth.scram import Salting
    from qpopper_py.facts import Facts
    from qpopper_py.settings import Settings

NONCE_OCTETS = 18


class Scram(Mechanism):
    """``nonce`` of the server, for tests that have RFC 5802's."""

    __slots__ = ("asked", "bare", "bindings", "first", "header", "nonce", "offered", "proof", "salting", "user")
    kind: type[Proof] = Sha1Proof
    plus = False

    def __init__(self, facts: "Facts", settings: "Settings", nonce: str = "") -> None:
        self.bindings = bindings(facts)
        self.offered = bool(self.bindings) and (
            not settings.auth_mechanisms or any(name.endswith("-PLUS") for name in settings.auth_mechanisms)
        )
        self.nonce = nonce or _base64(os.urandom(NONCE_OCTETS)).decode()
        self.asked = False
        self.user = ""
        self.header = b""  # gs2-header
        self.bare = b""  # client-first-message-bare
        self.first = b""  # server-first-message
        self.salting: Salting | None = None
        self.proof: Proof | None = None

    def step(self, data: bytes) -> "Challenge | WhichSalt | Proof":
        """Raises Malformed."""
        if self.salting is not None:
            self.proof = self._final(data)
            return self.proof
        if not data and not self.asked:
            self.asked = True
            return Challenge(b"")
        return self._first(data)

    def _first(self, data: bytes) -> WhichSalt:
        flag, _, rest = data.partition(b",")
        identity, comma, self.bare = rest.partition(b",")
        if not comma:
            raise self._wrong("malformed client-first message")
        self.header = data[: len(data) - len(self.bare)]
        fields = self.bare.split(b",")
        if not fields[0].startswith(b"n=") or len(fields) < 2 or not _is_nonce(fields[1]):
            raise self._wrong("malformed client-first message, or a mandatory extension")
        self.user = self._name(fields[0][2:])
        if identity and (not identity.startswith(b"a=") or self._name(identity[2:]) != self.user):
            raise self._wrong("asked to act for another user")
        self._look_at(flag)
        self.nonce = fields[1][2:].decode("ascii") + self.nonce
        return WhichSalt(self.user, self.kind.method)

    def _look_at(self, flag: bytes) -> None:
        """The gs2-cbind-flag (RFC 5802 section 6)."""
        if self.plus:
            if flag[:2] != b"p=" or flag[2:].decode("latin-1") not in self.bindings:
                raise self._wrong("channel binding of a type that this connection has not")
        elif flag == b"y" and self.offered:
            raise self._wrong("the client was not offered channel binding, and we did offer it: somebody is in between")
        elif flag not in (b"n", b"y"):
            raise self._wrong("channel binding with a mechanism that has none")

    def told(self, salting: "Salting") -> Challenge:
        self.salting = salting
        salt = _base64(salting.salt).decode()
        self.first = f"r={self.nonce},s={salt},i={salting.iterations}".encode()
        return Challenge(self.first)

    def _final(self, data: bytes) -> Proof:
        from binascii import a2b_base64

        assert self.salting is not None
        unproved, comma, proof = data.rpartition(b",p=")
        fields = unproved.split(b",")
        if not comma or len(fields) < 2 or fields[1] != b"r=" + self.nonce.encode():
            raise self._wrong("malformed client-final message, or another nonce")
        bound = self.bindings[self.header.partition(b",")[0][2:].decode("latin-1")] if self.plus else b""
        if fields[0] != b"c=" + _base64(self.header + bound):
            raise self._wrong("bound to another channel")
        try:
            octets = a2b_base64(proof, strict_mode=True)
        except ValueError:
            raise self._wrong("malformed proof") from None
        return self.kind(self.user, self.salting, b",".join((self.bare, self.first, unproved)), octets)

    def last_word(self, verdict: "Account | Denied") -> Challenge | None:
        """server-final.  Whoever is refused for another reason than the proof is not told that it held."""
        if isinstance(verdict, Denied) or self.proof is None:
            return None
        return Challenge(b"v=" + _base64(bytes(self.proof.signed)))

    def _name(self, text: bytes) -> str:
        """saslname: ``=2C`` is a comma, ``=3D`` an equals sign, and no other ``=`` may stand there."""
        from qpopper_py.auth.credentials import spelled

        plain = text.replace(b"=2C", b"\0").replace(b"=3D", b"\1")
        if b"=" in plain or b"\0" in text or b"\1" in text or not text:
            raise self._wrong("malformed name")
        return spelled(plain.replace(b"\0", b",").replace(b"\1", b"="))

    def _wrong(self, why: str) -> Malformed:
        return Malformed(self.user, why)


class Sha1(Scram):
    __slots__ = ()


class Sha1Plus(Scram):
    __slots__ = ()
    plus = True


class Sha256(Scram):
    __slots__ = ()
    kind = Sha256Proof


class Sha256Plus(Scram):
    __slots__ = ()
    kind = Sha256Proof
    plus = True


def _base64(octets: bytes) -> bytes:
    from binascii import b2a_base64

    return b2a_base64(octets, newline=False)


def _is_nonce(field: bytes) -> bool:
    """``r=`` and printable ASCII without a comma."""
    return field.startswith(b"r=") and len(field) > 2 and all(33 <= c < 127 for c in field)
