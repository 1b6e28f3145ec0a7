"""KPOP: the AP-REQ of krb5_sendauth before the greeting, and after it the name that USER gives.

What PASS said proves nothing and is not asked for here.
"""

from qpopper_py.auth.credentials import Challenge, spelled
from qpopper_py.auth.mechanisms import Mechanism
from qpopper_py.errors import CredentialStoreError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from qpopper_py.auth.credentials import Ticket
    from qpopper_py.auth.kerberos.child import Child
    from qpopper_py.facts import Facts
    from qpopper_py.settings import Settings


class Kpop(Mechanism):
    """First step: the AP-REQ; its challenge is what krb5_sendauth waits for.  Second step: the user's name."""

    __slots__ = ("_child", "_settings")

    def __init__(self, facts: "Facts", settings: "Settings") -> None:  # noqa: ARG002  # every mechanism is made so
        self._settings = settings
        self._child: Child | None = None

    def step(self, data: bytes) -> "Challenge | Ticket":
        """Raises Malformed: the ticket proves nothing; and CredentialStoreError or MissingLibrary."""
        from qpopper_py.auth.kerberos.child import CHALLENGE
        from qpopper_py.auth.kerberos.labour import begin_request
        from qpopper_py.auth.kerberos.tickets import ticket

        if self._child is None:
            self._child = begin_request(self._settings)
            kind, content = self._child.ask(data)
            if kind == CHALLENGE:
                return Challenge(content)
            raise CredentialStoreError("Kerberos: the process that asks judged a ticket before its time")
        said = self._child.ask(b"")
        self._child.close()
        return ticket(said, spelled(data))
