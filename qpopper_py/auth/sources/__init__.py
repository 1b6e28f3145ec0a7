"""Who vouches for credentials.  One file and one row of the gate's table for each source.

A source has ``name``, ``kinds`` (the classes of credential that it can judge) and ``vouch``.
A source that knows accounts is a :class:`Directory`: another source may vouch for the secret of its users.
"""

from qpopper_py.auth.account import Account, Denied
from qpopper_py.auth.credentials import Credential

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

    from qpopper_py.auth.scram import Salting
    from qpopper_py.facts import Facts


class Source:
    """The interface.  ``credential.user`` has passed the checks of :mod:`qpopper_py.auth.names`."""

    name = ""
    kinds: "tuple[type[Credential], ...]" = ()

    def ready(self) -> "tuple[type[Credential], ...]":
        """Those of ``kinds`` that can pass now: an empty database lets nobody in.  Raises CredentialStoreError."""
        return self.kinds

    def prepare(self) -> None:
        """Load now what the first look would load.  Raises CredentialStoreError or MissingLibrary."""

    def salting(self, user: str, method: str) -> "Salting | None":  # noqa: ARG002  # of some
        """How the keys that are kept in the place of the user's secret are salted.  Raises CredentialStoreError."""
        return None

    def vouch(self, credential: Credential, facts: "Facts") -> Account | Denied | None:
        """The account, or the final refusal, or None: not mine, ask the next.

        Raises CredentialStoreError (what it asks cannot be read or trusted) or MissingLibrary: the login is
        refused for now, and nobody else is asked.
        """
        raise NotImplementedError


class Directory(Source):
    """A source that knows accounts."""

    def find(self, user: str, facts: "Facts") -> Account | Denied | None:
        """The account, whatever the secret; Denied: it may not log in; None: no such user.

        Raises CredentialStoreError.
        """
        raise NotImplementedError

    def admit(self, account: Account, facts: "Facts") -> Account | Denied:  # noqa: ARG002  # for those below
        """The last word on an account of ours whose other secret, which another source checked, was right.

        Raises CredentialStoreError or MissingLibrary.
        """
        return account


def admitted(
    directory: Directory, account: Account | Denied | None, facts: "Facts", source: str
) -> Account | Denied | None:
    """The account that ``directory`` found, for whom ``source`` vouches: the last word is the directory's.

    Raises CredentialStoreError or MissingLibrary.
    """
    if isinstance(account, Account):
        account = directory.admit(account, facts)
    if isinstance(account, Account):
        account.source = source
    return account


def known(
    directories: "Sequence[Directory]", user: str, facts: "Facts"
) -> "tuple[Directory, Account | Denied] | tuple[None, None]":
    """The first directory that knows ``user``, and what it says.  Raises CredentialStoreError."""
    for directory in directories:
        account = directory.find(user, facts)
        if account is not None:
            return directory, account
    return None, None
