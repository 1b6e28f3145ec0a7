"""GSSAPI (RFC 4752): a Kerberos ticket, without a security layer.

Tokens are taken apart in a child process, which answers with challenges, at last with a name or a refusal.
"""

from qpopper_py.auth.credentials import Challenge
from qpopper_py.auth.mechanisms import Mechanism

TYPE_CHECKING = False
if TYPE_CHECKING:
    from qpopper_py.auth.credentials import Ticket
    from qpopper_py.auth.kerberos.child import Child
    from qpopper_py.facts import Facts
    from qpopper_py.settings import Settings


class Gssapi(Mechanism):
    """The client begins; as authorization identity it may send nothing, its principal, or its local name."""

    __slots__ = ("_child", "_facts", "_settings")

    def __init__(self, facts: "Facts", settings: "Settings") -> None:
        self._facts = facts
        self._settings = settings
        self._child: Child | None = None

    def step(self, data: bytes) -> "Challenge | Ticket":
        """Raises Malformed: the ticket proves nothing; and CredentialStoreError or MissingLibrary."""
        from qpopper_py.auth.kerberos.child import CHALLENGE
        from qpopper_py.auth.kerberos.labour import begin_gssapi
        from qpopper_py.auth.kerberos.tickets import ticket

        if self._child is None:
            if not data:
                return Challenge(b"")
            self._child = begin_gssapi(self._settings, self._facts)
        said = self._child.ask(data)
        if said[0] == CHALLENGE:
            return Challenge(said[1])
        self._child.close()
        return ticket(said)
