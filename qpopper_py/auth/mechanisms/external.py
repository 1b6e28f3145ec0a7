"""EXTERNAL (RFC 4422 appendix A): TLS knows who it is, by the certificate that the client showed.

The name comes with the facts of the connection: the gate believes whoever spoke TLS with the client.
"""

from qpopper_py.auth.credentials import Certificate, Challenge, Malformed, spelled
from qpopper_py.auth.mechanisms import Mechanism

TYPE_CHECKING = False
if TYPE_CHECKING:
    from qpopper_py.facts import Facts
    from qpopper_py.settings import Settings


class External(Mechanism):
    """The message is empty, or the certificate's own name: one acts for nobody else."""

    __slots__ = ("asked", "user")

    def __init__(self, facts: "Facts", settings: "Settings") -> None:  # noqa: ARG002  # Mechanism's
        self.user = facts.tls.certificate if facts.tls else ""
        self.asked = False

    def step(self, data: bytes) -> Challenge | Certificate:
        """Raises Malformed."""
        if not data and not self.asked:
            self.asked = True
            return Challenge(b"")
        if not self.user:
            raise Malformed(spelled(data), "no certificate that names a user")
        if spelled(data) not in ("", self.user):
            raise Malformed(self.user, "asked to act for another user")
        return Certificate(self.user)
