"""The arithmetic of SCRAM (RFC 5802 section 3), and the salt of those who have none.

Where the server has the secret itself (APOP entries, ``{PLAIN}``) any salt will do, and it is derived from name and
method with a key that never leaves the host.  Whoever is unknown, or has no such secret, is told a salt of the same
making and as many iterations: it is the same at every try, so that asking tells nobody who exists.
The key is ``<state_dir>/scram.key``, made when it is first needed.
"""

import os

from qpopper_py.errors import CredentialStoreError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from qpopper_py.settings import Settings

SALT_OCTETS = 16


class Salting:
    """How a secret is turned into keys."""

    __slots__ = ("iterations", "salt")

    def __init__(self, salt: bytes, iterations: int) -> None:
        self.salt = salt
        self.iterations = iterations


class Keys:
    """What a server needs to keep: StoredKey and ServerKey.  They let nobody in, but the secret can be guessed at."""

    __slots__ = ("server", "stored")

    def __init__(self, stored: bytes, server: bytes) -> None:
        self.stored = stored
        self.server = server


def keys(method: str, secret: bytes, salting: Salting) -> Keys:
    """StoredKey and ServerKey of a secret."""
    from hashlib import new, pbkdf2_hmac
    from hmac import digest

    salted = pbkdf2_hmac(method, prepared(secret), salting.salt, salting.iterations)
    client = digest(salted, b"Client Key", method)
    return Keys(new(method, client).digest(), digest(salted, b"Server Key", method))


def draft_keys(secret: bytes, salt: bytes) -> Keys:
    """Those of SCRAM-MD5 (draft-newman-auth-scram): client verifier and server key."""
    from hashlib import md5
    from hmac import digest

    salted = digest(secret, salt, "md5")
    client = md5(salted, usedforsecurity=False).digest()  # the protocol's, not our choice
    return Keys(md5(client, usedforsecurity=False).digest(), digest(salted, salt, "md5"))


def right(method: str, stored: bytes, message: bytes, proof: bytes) -> bool:
    """Whether ``proof`` is ClientKey XOR ClientSignature of the AuthMessage."""
    from hashlib import new
    from hmac import compare_digest, digest

    signature = digest(stored, message, method)
    if len(proof) != len(signature):
        return False
    client = bytes(a ^ b for a, b in zip(proof, signature, strict=True))
    return compare_digest(new(method, client).digest(), stored)


def sign(method: str, server: bytes, message: bytes) -> bytes:
    """ServerSignature."""
    from hmac import digest

    return digest(server, message, method)


def prepared(secret: bytes) -> bytes:
    """SASLprep (RFC 4013) of a password; one that it forbids, or that is not UTF-8, as it is."""
    if secret.isascii():
        return secret
    import stringprep
    import unicodedata

    try:
        text = secret.decode("utf-8")
    except UnicodeDecodeError:
        return secret
    kept = [c for c in text if not stringprep.in_table_b1(c)]
    mapped = "".join(" " if stringprep.in_table_c12(c) else c for c in kept)
    return unicodedata.normalize("NFKC", mapped).encode("utf-8")


def derived(user: str, method: str, settings: "Settings") -> Salting:
    """The salting of a user for whom none is kept.  Raises CredentialStoreError: the key cannot be had."""
    from hmac import digest

    text = f"{method}\0{user}".encode("utf-8", "surrogateescape")
    return Salting(digest(key(settings), text, "sha256")[:SALT_OCTETS], settings.auth_scram_iterations)


def key(settings: "Settings") -> bytes:
    """The key that salts are derived with; made if there is none.  Raises CredentialStoreError."""
    from qpopper_py.auth.secretbox import read_key

    if not settings.state_dir:
        raise CredentialStoreError("SCRAM keeps a key in state_dir, which is empty; set it")
    path = f"{settings.state_dir}/scram.key"
    if not os.path.lexists(path):
        _make(path, settings.state_dir)
    return read_key(path, "")


def _make(path: str, folder: str) -> None:
    """A random key in its place at once and whole, whoever else does the same."""
    new = f"{path}.{os.getpid()}"
    try:
        os.makedirs(folder, 0o755, exist_ok=True)
        with open(os.open(new, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600), "wb") as file:
            file.write(os.urandom(32))
        try:
            os.link(new, path)
        except FileExistsError:
            pass
        finally:
            os.unlink(new)
    except OSError as why:
        raise CredentialStoreError(f"{path}: {why.strerror}; SCRAM needs a key there") from None
