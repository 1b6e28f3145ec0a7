"""LOGIN (draft-murchison-sasl-login): name and password, each asked for; in no RFC, but old clients know it."""

from qpopper_py.auth.credentials import Challenge, Malformed, Password, spelled
from qpopper_py.auth.mechanisms import Mechanism

TYPE_CHECKING = False
if TYPE_CHECKING:
    from qpopper_py.facts import Facts
    from qpopper_py.settings import Settings

NAME, PASSWORD = b"Username:", b"Password:"  # clients compare them


class Login(Mechanism):
    """The name may come as the initial response, though the draft has the server begin."""

    __slots__ = ("asked", "user")

    def __init__(self, facts: "Facts", settings: "Settings") -> None:  # noqa: ARG002  # Mechanism's
        self.asked = False
        self.user: str | None = None

    def step(self, data: bytes) -> Challenge | Password:
        """Raises Malformed."""
        if not data and not self.asked:
            self.asked = True
            return Challenge(NAME)
        if self.user is None:
            self.asked = True
            self.user = spelled(data)
            if b"\0" in data:
                raise Malformed(self.user, "NUL in the name")
            return Challenge(PASSWORD)
        if b"\0" in data:
            raise Malformed(self.user, "NUL in the password")
        return Password(self.user, data)
