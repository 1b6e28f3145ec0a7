"""Client certificates: who TLS says it is, if there is such an account.  Asked only where auth.sources names it."""

from qpopper_py.auth.account import Account, Denied
from qpopper_py.auth.credentials import Certificate, Credential
from qpopper_py.auth.sources import Source, admitted, known

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

    from qpopper_py.auth.sources import Directory
    from qpopper_py.facts import Facts


class Certificates(Source):
    """``directories``: who knows accounts, in the order in which they are asked."""

    name = "certificate"
    kinds = (Certificate,)

    def __init__(self, directories: "Sequence[Directory]") -> None:
        self._directories = directories

    def vouch(self, credential: Credential, facts: "Facts") -> Account | Denied | None:
        directory, account = known(self._directories, credential.user, facts)
        if directory is None:
            return Denied(credential.user, "has a certificate, but is no user of NSS or of accounts.file")
        return admitted(directory, account, facts, self.name)
