"""APOP (RFC 1939 section 7): a digest over the greeting's stamp and a shared secret."""

from qpopper_py.auth.credentials import Digest, Malformed, spelled
from qpopper_py.auth.mechanisms import Mechanism

TYPE_CHECKING = False
if TYPE_CHECKING:
    from qpopper_py.facts import Facts
    from qpopper_py.settings import Settings

HEXADECIMAL = frozenset(b"0123456789abcdef")
DIGITS = 32  # of an MD5


class Apop(Mechanism):
    """``name SP digest``: one step.  The stamp is the connection's own."""

    __slots__ = ("stamp",)

    def __init__(self, facts: "Facts", settings: "Settings") -> None:  # noqa: ARG002  # Mechanism's
        self.stamp = facts.stamp

    def step(self, data: bytes) -> Digest:
        """Raises Malformed; also when the greeting had no stamp, because then there was nothing to digest."""
        name, _, digest = data.partition(b" ")
        user = spelled(name)
        digest = digest.lower()
        if len(digest) != DIGITS or not HEXADECIMAL.issuperset(digest):
            raise Malformed(user, "malformed APOP digest")
        if not self.stamp:
            raise Malformed(user, "APOP without a stamp in the greeting")
        return Digest(user, self.stamp, digest)
