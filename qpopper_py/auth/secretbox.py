"""AES-256-GCM (NIST SP 800-38D) for secrets that must be read again, and the key that they are sealed with.

The cipher is OpenSSL's, called through its EVP interface (EVP_EncryptInit(3)) in the library that this Python's
own hashlib is linked with: Python needs OpenSSL anyway (PEP 644), so nothing is to be installed for APOP.

A sealed secret is ``version (1 octet, 1) | nonce (12) | ciphertext | tag (16)``.  The nonce is random; what the
secret belongs to is authenticated beside it, so that no sealed secret serves in another's place.
"""

import os
import stat

from qpopper_py.errors import CredentialStoreError, MissingLibrary

TYPE_CHECKING = False
if TYPE_CHECKING:
    import ctypes

VERSION = b"\x01"
KEY_OCTETS = 32
NONCE_OCTETS = 12
TAG_OCTETS = 16

# <openssl/evp.h>
GET_TAG = 0x10
SET_TAG = 0x11

LIBRARIES = ("libcrypto.so.3", "libcrypto.so.1.1", "libcrypto.so")


class SecretBox:
    """Seals and opens octets with one key of 32 octets."""

    __slots__ = ("_key", "_lib")

    def __init__(self, key: bytes) -> None:
        """MissingLibrary: no OpenSSL can be loaded."""
        if len(key) != KEY_OCTETS:
            raise ValueError(f"the key has {len(key)} octets, not {KEY_OCTETS}")
        self._key = key
        self._lib = libcrypto()

    def __repr__(self) -> str:
        return "SecretBox(key=***)"

    def seal(self, plain: bytes, bound: bytes) -> bytes:
        """``plain`` encrypted; ``bound`` is authenticated with it and has to be known to open it."""
        nonce = os.urandom(NONCE_OCTETS)
        return VERSION + nonce + encrypt(self._lib, self._key, nonce, plain, bound)

    def open(self, sealed: bytes, bound: bytes) -> bytes:
        """What was sealed.  CredentialStoreError: altered, bound to something else, or another key."""
        head = 1 + NONCE_OCTETS
        if sealed[:1] != VERSION or len(sealed) < head + TAG_OCTETS:
            raise CredentialStoreError("is not a sealed secret that this version knows")
        plain = decrypt(self._lib, self._key, sealed[1:head], sealed[head:], bound)
        if plain is None:
            raise CredentialStoreError("does not open: it was altered, or sealed with another key")
        return plain


def libcrypto() -> "ctypes.CDLL":
    """OpenSSL's libcrypto, with the types of what is called here; MissingLibrary says what to install."""
    import ctypes

    names = list(LIBRARIES)
    try:
        import _hashlib

        # A handle of the extension finds the symbols of what it is linked with: the very library Python uses.
        names.insert(0, _hashlib.__file__)
    except (ImportError, AttributeError):
        pass  # built without it, or into the interpreter
    for name in names:
        try:
            lib = ctypes.CDLL(name)
            declare(lib)
        except (OSError, AttributeError):
            continue
        return lib
    raise MissingLibrary("APOP secrets need OpenSSL's libcrypto: install libssl3 (Debian) or openssl-libs (Red Hat)")


def declare(lib: "ctypes.CDLL") -> None:
    """Argument types, because ctypes would pass a pointer as an int.  AttributeError: not a libcrypto with GCM."""
    from ctypes import POINTER, c_char_p, c_int, c_void_p

    lib.EVP_CIPHER_CTX_new.argtypes = []
    lib.EVP_CIPHER_CTX_new.restype = c_void_p
    lib.EVP_CIPHER_CTX_free.argtypes = [c_void_p]
    lib.EVP_CIPHER_CTX_free.restype = None
    lib.EVP_CIPHER_CTX_ctrl.argtypes = [c_void_p, c_int, c_int, c_char_p]
    lib.EVP_aes_256_gcm.argtypes = []
    lib.EVP_aes_256_gcm.restype = c_void_p
    for start in (lib.EVP_EncryptInit_ex, lib.EVP_DecryptInit_ex):
        start.argtypes = [c_void_p, c_void_p, c_void_p, c_char_p, c_char_p]
    for update in (lib.EVP_EncryptUpdate, lib.EVP_DecryptUpdate):
        update.argtypes = [c_void_p, c_char_p, POINTER(c_int), c_char_p, c_int]
    for final in (lib.EVP_EncryptFinal_ex, lib.EVP_DecryptFinal_ex):
        final.argtypes = [c_void_p, c_char_p, POINTER(c_int)]


def encrypt(lib: "ctypes.CDLL", key: bytes, nonce: bytes, plain: bytes, bound: bytes) -> bytes:
    """Ciphertext and tag of AES-256-GCM with a nonce of 12 octets."""
    from ctypes import byref, c_int, create_string_buffer

    done = c_int()
    out = create_string_buffer(len(plain) + TAG_OCTETS)
    tag = create_string_buffer(TAG_OCTETS)
    context = lib.EVP_CIPHER_CTX_new()
    try:
        if not (
            lib.EVP_EncryptInit_ex(context, lib.EVP_aes_256_gcm(), None, key, nonce) == 1
            and lib.EVP_EncryptUpdate(context, None, byref(done), bound, len(bound)) == 1
            and lib.EVP_EncryptUpdate(context, out, byref(done), plain, len(plain)) == 1
            and lib.EVP_EncryptFinal_ex(context, tag, byref(done)) == 1  # GCM has nothing left to write
            and lib.EVP_CIPHER_CTX_ctrl(context, GET_TAG, TAG_OCTETS, tag) == 1
        ):
            raise CredentialStoreError("OpenSSL refuses to encrypt by AES-256-GCM")
        return out.raw[: len(plain)] + tag.raw
    finally:
        lib.EVP_CIPHER_CTX_free(context)


def decrypt(lib: "ctypes.CDLL", key: bytes, nonce: bytes, sealed: bytes, bound: bytes) -> bytes | None:
    """The plain octets of ciphertext and tag; None if the tag does not vouch for them."""
    from ctypes import byref, c_int, create_string_buffer

    body, tag = sealed[:-TAG_OCTETS], sealed[-TAG_OCTETS:]
    done = c_int()
    out = create_string_buffer(len(body) + TAG_OCTETS)
    rest = create_string_buffer(TAG_OCTETS)
    context = lib.EVP_CIPHER_CTX_new()
    try:
        if not (
            lib.EVP_DecryptInit_ex(context, lib.EVP_aes_256_gcm(), None, key, nonce) == 1
            and lib.EVP_DecryptUpdate(context, None, byref(done), bound, len(bound)) == 1
            and lib.EVP_DecryptUpdate(context, out, byref(done), body, len(body)) == 1
            and lib.EVP_CIPHER_CTX_ctrl(context, SET_TAG, TAG_OCTETS, tag) == 1
        ):
            raise CredentialStoreError("OpenSSL refuses to decrypt by AES-256-GCM")
        return out.raw[: len(body)] if lib.EVP_DecryptFinal_ex(context, rest, byref(done)) == 1 else None
    finally:
        lib.EVP_CIPHER_CTX_free(context)


def owner_uid(owner: str) -> int | None:
    """The uid of the account ``owner``; None if there is none."""
    import pwd

    try:
        return pwd.getpwnam(owner).pw_uid if owner else None
    except KeyError:
        return None


def refuse_untrusted(path: str, status: os.stat_result, owner: str) -> None:
    """CredentialStoreError unless ``status`` is a plain file that is ours alone.

    Its owner has to be root, this process or the account ``owner``; nobody else may read or write it; nobody
    else may put files beside it (a planted SQLite journal is played into its database).
    """
    if not stat.S_ISREG(status.st_mode):
        raise CredentialStoreError(f"{path} is not a plain file")
    if status.st_uid not in (0, os.geteuid(), owner_uid(owner)):
        raise CredentialStoreError(
            f"{path} belongs to uid {status.st_uid}; it has to belong to root, to {owner or 'root'} or to us: chown it"
        )
    if status.st_mode & 0o077:
        raise CredentialStoreError(
            f"{path} has mode {stat.S_IMODE(status.st_mode):04o}, so others can read it: chmod 600 {path}"
        )
    folder = os.path.dirname(os.path.realpath(path))  # SQLite, too, puts its journal beside what a link leads to
    beside = os.stat(folder)
    if beside.st_mode & 0o002 or (beside.st_mode & 0o020 and beside.st_gid != 0):
        raise CredentialStoreError(f"others can write in {folder}, the folder of {path}: chmod go-w {folder}")


def read_key(path: str, owner: str) -> bytes:
    """The key in file ``path``; CredentialStoreError if it is missing, of the wrong size, or not ours alone."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
        try:
            refuse_untrusted(path, os.fstat(descriptor), owner)
            key = os.read(descriptor, KEY_OCTETS + 1)
        finally:
            os.close(descriptor)
    except FileNotFoundError:
        raise CredentialStoreError(
            f"the key {path} is missing: put it back from a backup, or start anew with mailauth init"
        ) from None
    except OSError as why:
        raise CredentialStoreError(f"the key {path} cannot be read: {why.strerror}") from None
    if len(key) != KEY_OCTETS:
        raise CredentialStoreError(f"{path} is not a key: it does not have exactly {KEY_OCTETS} octets")
    return key


def make_key(path: str, owner: str) -> None:
    """Make a random key, mode 0600, in a folder of mode 0700, both the ``owner``'s if there is such an account.

    A folder that is there keeps its mode.  OSError as the system raises it; FileExistsError if there is a key.
    """
    folder = os.path.dirname(path)
    uid = owner_uid(owner)
    if not os.path.isdir(folder):
        os.makedirs(os.path.dirname(folder), 0o755, exist_ok=True)
        os.mkdir(folder, 0o700)
        if uid is not None and os.geteuid() == 0:
            os.chown(folder, uid, -1)
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    try:
        os.fchmod(descriptor, 0o600)
        if uid is not None and os.geteuid() == 0:
            os.fchown(descriptor, uid, -1)
        os.write(descriptor, os.urandom(KEY_OCTETS))
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
    fsync_folder(folder)


def fsync_folder(folder: str) -> None:
    """Make the names in ``folder`` outlast a crash."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
