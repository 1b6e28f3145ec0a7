"""SCRAM-MD5, as Qpopper has it (draft-newman-auth-scram-03, of 1998; no RFC came of it, and RFC 5802 is another).

Client: ``[AUTHZID] NUL USER NUL NONCE``; server: salt of 8 octets, security layers, ``pop@HOST NUL NONCE``; client: the
layer it takes, a proof of 16 octets; server: its own proof, which the client answers.  A layer is four octets, 1 being
none, which is all that is served: TLS is there for more.
"""

import os

from qpopper_py.auth.account import Denied
from qpopper_py.auth.credentials import Challenge, Malformed, Md5Proof, WhichSalt, spelled
from qpopper_py.auth.mechanisms import Mechanism
from qpopper_py.auth.scram import Salting

TYPE_CHECKING = False
if TYPE_CHECKING:
    from qpopper_py.auth.account import Account
    from qpopper_py.facts import Facts
    from qpopper_py.settings import Settings

SALT_OCTETS = 8
NO_LAYER = b"\x01\0\0\0"
PROOF_OCTETS = 16
LEAST_NONCE = 8  # octets


class ScramMd5(Mechanism):
    """``nonce`` of the server, for tests that have the draft's."""

    __slots__ = ("asked", "first", "proof", "salting", "server", "user")

    def __init__(self, facts: "Facts", settings: "Settings", nonce: bytes = b"") -> None:  # noqa: ARG002  # Mechanism's
        nonce = nonce or os.urandom(12).hex().encode()
        self.server = NO_LAYER + f"pop@{facts.host}".encode() + b"\0" + nonce
        self.asked = False
        self.user = ""
        self.first = b""
        self.salting: Salting | None = None
        self.proof: Md5Proof | None = None

    def step(self, data: bytes) -> Challenge | WhichSalt | Md5Proof:
        """Raises Malformed."""
        if self.salting is not None:
            layer, proof = data[: len(NO_LAYER)], data[len(NO_LAYER) :]
            if len(proof) != PROOF_OCTETS or layer[:1] != NO_LAYER[:1]:
                raise Malformed(self.user, "malformed SCRAM-MD5 response, or a security layer that was not offered")
            said = (self.first, self.salting.salt + self.server, layer)
            self.proof = Md5Proof(self.user, self.salting, said, proof)
            return self.proof
        if not data and not self.asked:
            self.asked = True
            return Challenge(b"")
        identity, _, rest = data.partition(b"\0")
        name, _, nonce = rest.partition(b"\0")
        self.user, self.first = spelled(name), data
        if not name or len(nonce) < LEAST_NONCE:
            raise Malformed(self.user, "malformed SCRAM-MD5 message")
        if identity not in (b"", name):
            raise Malformed(self.user, "asked to act for another user")
        return WhichSalt(self.user, Md5Proof.method)

    def told(self, salting: "Salting") -> Challenge:
        self.salting = Salting(salting.salt[:SALT_OCTETS], 1)
        return Challenge(self.salting.salt + self.server)

    def last_word(self, verdict: "Account | Denied") -> Challenge | None:
        """The server's proof.  Whoever is refused for another reason than the proof is not told that it held."""
        if isinstance(verdict, Denied) or self.proof is None:
            return None
        return Challenge(bytes(self.proof.signed))
