"""CRAM-MD5 (RFC 2195): HMAC-MD5 of a challenge, keyed with the secret."""

import os
import time

from qpopper_py.auth.credentials import Challenge, Malformed, Response, spelled
from qpopper_py.auth.mechanisms import Mechanism

TYPE_CHECKING = False
if TYPE_CHECKING:
    from qpopper_py.facts import Facts
    from qpopper_py.settings import Settings

HEXADECIMAL = frozenset(b"0123456789abcdef")
DIGITS = 32  # of an MD5


class CramMd5(Mechanism):
    """The server begins, with a challenge of the form of a Message-Id that nobody ever saw before."""

    __slots__ = ("asked", "challenge")

    def __init__(self, facts: "Facts", settings: "Settings") -> None:  # noqa: ARG002  # Mechanism's
        self.asked = False
        self.challenge = f"<{os.urandom(12).hex()}.{int(time.time())}@{facts.host}>".encode()

    def step(self, data: bytes) -> Challenge | Response:
        """Raises Malformed."""
        if not self.asked:
            if data:
                raise Malformed("", "an initial response, where the server begins")
            self.asked = True
            return Challenge(self.challenge)
        name, _, digest = data.rpartition(b" ")
        user, digest = spelled(name), digest.lower()
        if len(digest) != DIGITS or not HEXADECIMAL.issuperset(digest):
            raise Malformed(user, "malformed CRAM-MD5 response")
        return Response(user, self.challenge, digest)
