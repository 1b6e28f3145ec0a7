"""What a child said of a ticket, as a credential."""

from qpopper_py.auth.credentials import Malformed, Ticket
from qpopper_py.auth.kerberos.child import NAMED, names, reason


def ticket(said: "tuple[bytes, bytes]", user: str = "") -> Ticket:
    """``said``: an answer that is no challenge.  ``user``: whom the client wants to be, if no name is in there.

    The principal's own name, and no name at all, stand for its local name; who has none must say whom it wants to be.
    Raises Malformed or CredentialStoreError.
    """
    kind, content = said
    if kind != NAMED:
        raise Malformed(user, f"no valid ticket: {reason(content)}")
    principal, local, wanted = names(content)
    wanted = wanted or user
    wanted = local if wanted in ("", principal) else wanted
    if not wanted:
        raise Malformed(principal, f"{principal} has no local name; see auth_to_local in krb5.conf(5)")
    return Ticket(wanted, local, principal)
