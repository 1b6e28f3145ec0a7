"""Passwords asked of Cyrus SASL's saslauthd(8) over its socket, by its own protocol.

A request is four strings, user, password, service and realm, each behind its length in two octets, big-endian; the
answer is one such string that begins with ``OK`` or ``NO``.  A name with a domain is sent in two parts, as Cyrus'
library does.  The account is that of the first directory that knows the name.
"""

import os
import stat
import time

from qpopper_py.auth import crypt
from qpopper_py.auth.account import Account, Denied
from qpopper_py.auth.credentials import Credential, Password
from qpopper_py.auth.sources import Source, admitted, known
from qpopper_py.errors import CredentialStoreError

TYPE_CHECKING = False
if TYPE_CHECKING:
    import _socket
    from collections.abc import Callable, Sequence

    from qpopper_py.auth.sources import Directory
    from qpopper_py.facts import Facts
    from qpopper_py.settings import Settings

LONGEST = 256  # octets of a string that saslauthd takes: MAX_REQ_LEN
ANSWER = 1024  # octets of an answer that we take


class Saslauthd(Source):
    """``directories``: who knows accounts, in the order in which they are asked.  ``clock``: seconds, monotonic."""

    name = "saslauthd"
    kinds = (Password,)

    def __init__(
        self,
        settings: "Settings",
        directories: "Sequence[Directory]",
        clock: "Callable[[], float]" = time.monotonic,
    ) -> None:
        self._settings = settings
        self._directories = directories
        self._clock = clock

    def vouch(self, credential: Credential, facts: "Facts") -> Account | Denied | None:
        if not isinstance(credential, Password):
            return None
        secret = credential.secret
        directory, account = known(self._directories, credential.user, facts)
        if isinstance(account, Denied) or b"\0" in secret or len(secret) > LONGEST:
            crypt.waste(secret)
            why = account.why if isinstance(account, Denied) else f"password with NUL, or of more than {LONGEST} octets"
            return Denied(credential.user, why)
        if not self._ask(account.user if account else credential.user, secret):
            return Denied(credential.user, "saslauthd says no")
        if directory is None or account is None:
            return Denied(credential.user, "saslauthd lets it in, but it is no user of NSS or of accounts.file")
        return admitted(directory, account, facts, self.name)

    def _ask(self, user: str, secret: bytes) -> bool:
        """Whether saslauthd says OK.  Raises CredentialStoreError."""
        path = self._settings.saslauthd_socket
        name, _, realm = user.partition("@")
        service = self._settings.saslauthd_service
        words = (name.encode("utf-8"), secret, service.encode(), realm.encode("utf-8"))
        request = b"".join(len(word).to_bytes(2, "big") + word for word in words)
        try:
            answer = self._exchange(path, request)
        except TimeoutError:
            seconds = self._settings.saslauthd_timeout
            raise CredentialStoreError(
                f"saslauthd at {path} did not answer in {seconds} s (saslauthd.timeout)"
            ) from None
        except OSError as why:
            raise CredentialStoreError(
                f"saslauthd at {path}: {why.strerror or why}; start saslauthd, or set saslauthd.socket to its mux"
            ) from None
        if answer[:2] not in (b"OK", b"NO"):
            raise CredentialStoreError(f"saslauthd at {path} answered neither OK nor NO: is it saslauthd?")
        return answer[:2] == b"OK"

    def _exchange(self, path: str, request: bytes) -> bytes:
        """The answer's string.  Raises OSError; TimeoutError when it has not come in time."""
        import _socket

        refuse_untrusted(path)
        deadline = self._clock() + self._settings.saslauthd_timeout
        sock = _socket.socket(_socket.AF_UNIX, _socket.SOCK_STREAM)
        try:
            sock.settimeout(self._settings.saslauthd_timeout)
            sock.connect(path)
            sock.sendall(request)
            length = int.from_bytes(self._receive(sock, 2, deadline), "big")
            return self._receive(sock, min(length, ANSWER), deadline)
        finally:
            sock.close()

    def _receive(self, sock: "_socket.socket", octets: int, deadline: float) -> bytes:
        data = b""
        while len(data) < octets:
            sock.settimeout(max(deadline - self._clock(), 0.001))
            piece = sock.recv(octets - len(data))
            if not piece:
                raise ConnectionResetError("it hung up before its answer was whole")
            data += piece
        return data


def refuse_untrusted(path: str) -> None:
    """Whoever can put a socket there is told everybody's passwords.  Raises OSError or CredentialStoreError."""
    folder = os.path.dirname(path)
    mode = os.stat(folder).st_mode
    if mode & stat.S_IWOTH and os.geteuid() == 0:
        raise CredentialStoreError(f"saslauthd.socket: everybody can write {folder}; run: chmod o-w {folder}")
