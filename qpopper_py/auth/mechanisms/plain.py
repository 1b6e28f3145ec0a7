"""PLAIN (RFC 4616): the password itself.  USER and PASS become one message of this form."""

from qpopper_py.auth.credentials import Challenge, Malformed, Password, spelled
from qpopper_py.auth.mechanisms import Mechanism

TYPE_CHECKING = False
if TYPE_CHECKING:
    from qpopper_py.facts import Facts
    from qpopper_py.settings import Settings


class Plain(Mechanism):
    """``[authorization identity] NUL name NUL password``; asked for by an empty challenge if not given at once."""

    __slots__ = ("asked",)

    def __init__(self, facts: "Facts", settings: "Settings") -> None:  # noqa: ARG002  # Mechanism's
        self.asked = False

    def step(self, data: bytes) -> Challenge | Password:
        """Raises Malformed."""
        if not data and not self.asked:
            self.asked = True
            return Challenge(b"")
        parts = data.split(b"\0")
        user = spelled(parts[1]) if len(parts) > 2 else ""
        if len(parts) != 3:
            raise Malformed(user, "NUL in the password" if len(parts) > 3 else "malformed PLAIN message")
        if parts[0] not in (b"", parts[1]):
            raise Malformed(user, "asked to act for another user")
        return Password(user, parts[2])
