"""Is this the password of that hash?  The system's crypt(3) first, passlib for what it does not know.

Forms of a stored hash: crypt(5)'s, ``{SCHEME}...`` as in a Dovecot passwd-file, ``$apr1$`` and other forms of
passlib's, and Tru64's longer relatives of DES, told by their length (the alphabet is DES's):

- 13 characters: DES; only the first 8 octets of the password count.
- 2 + 11 n, n > 1: bigcrypt (Tru64 enhanced security), 8 octets of the password for each 11 characters.
- 24: bigcrypt of 9 to 16 octets, or Ultrix's crypt16; nothing tells which, so both are tried.
"""

from _operator import _compare_digest

from qpopper_py.auth import libcrypt
from qpopper_py.errors import MissingLibrary

same = _compare_digest  # hmac's, without its imports

LONGEST = 511  # octets of a password: CRYPT_MAX_PASSPHRASE_SIZE less its NUL
DES_ALPHABET = frozenset(b"./0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz")
CRYPT16_LENGTH = 24

# Prefix of the stored hash -> the handler in passlib.hash.
PASSLIB = {
    "$apr1$": "apr_md5_crypt",
    "$1$": "md5_crypt",
    "$2": "bcrypt",
    "$3$": "bsd_nthash",
    "$5$": "sha256_crypt",
    "$6$": "sha512_crypt",
    "$sha1$": "sha1_crypt",
    "$md5": "sun_md5_crypt",
    "$P$": "phpass",
    "$H$": "phpass",
    "$argon2": "argon2",
    "$scrypt$": "scrypt",
    "$pbkdf2$": "pbkdf2_sha1",
    "$pbkdf2-sha256$": "pbkdf2_sha256",
    "$pbkdf2-sha512$": "pbkdf2_sha512",
    "$p5k2$": "dlitz_pbkdf2_sha1",
    "$bcrypt-sha256$": "bcrypt_sha256",
    "_": "bsdi_crypt",
}
# What a handler needs beside passlib: (package of PyPI, package of Debian).
BACKENDS = {
    "bcrypt": ("bcrypt", "python3-bcrypt"),
    "bcrypt_sha256": ("bcrypt", "python3-bcrypt"),
    "argon2": ("argon2-cffi", "python3-argon2"),
}
# Hashes of nothing in particular, for the work: yescrypt at its usual cost, SHA-512 at its own.
DUMMIES = (b"$y$j9T$F5Jx5fExrKuPp53xLKQ..1$", b"$6$F5Jx5fExrKuPp53x$")


def verify(secret: bytes, stored: str | bytes) -> bool:
    """Whether ``secret`` is the password that ``stored`` was made of.

    Never for an empty or locked field, a password with NUL or of more than 511 octets, or a cut-off hash.
    Raises MissingLibrary, naming the form and what to install, if nothing here knows the form.
    """
    if isinstance(stored, str):
        stored = stored.encode("utf-8", "surrogateescape")
    if b"\0" in secret or len(secret) > LONGEST or b"\0" in stored or not stored or stored[0] in b"*!":
        return False
    if stored.startswith(b"{"):
        from qpopper_py.auth import schemes

        return schemes.verify(secret, stored)
    return verify_crypt(secret, stored)


_like: "list[bytes]" = []  # what the last hash began with that a password was held against: method, cost, salt


def imitate(stored: bytes) -> None:
    """Waste work as a hash like this one takes; empty: as before."""
    if stored:
        _like[:] = [_setting(stored)]


def waste(secret: bytes) -> None:
    """The work of a verification, where there is nothing to verify: as the last that was one, for users' are alike."""
    system = libcrypt.system()
    if system is None or b"\0" in secret or len(secret) > LONGEST:
        return
    for setting in (*_like, *DUMMIES):
        if system.hash(secret, setting) is not None:
            return


def verify_crypt(secret: bytes, stored: bytes) -> bool:
    """:func:`verify` for a hash without ``{SCHEME}``."""
    system = libcrypt.system()
    answer = system.hash(secret, stored) if system else None
    if answer is not None:
        imitate(stored)
    if answer is not None and same(answer, stored):
        return True
    if DES_ALPHABET.issuperset(stored):
        return _des(secret, stored, answer)
    method = _method(stored)
    if not method or answer is not None or (system and system.knows(method.encode())):
        return False
    for prefix, handler in PASSLIB.items():
        if method.startswith(prefix):
            return by_passlib(handler, secret, stored.decode("utf-8", "replace"))
    raise MissingLibrary(
        f"a password hash of the form {method} is known neither to this host's crypt(3) nor to us;"
        " yescrypt and its kin ($y$, $gy$, $7$) need libcrypt of libxcrypt 4, other forms a new password"
    )


def _setting(stored: bytes) -> bytes:
    """What a hash begins with: method, cost and salt (crypt(5)); bcrypt's salt is not set off from the rest."""
    if stored.startswith(b"$2"):
        return stored[:29]
    return stored[: stored.rindex(b"$") + 1] if stored.startswith(b"$") else stored[:2]


def _method(stored: bytes) -> str:
    """``$id$`` or ``_``: what of a stored hash names its method, and may be shown; empty: nothing does."""
    if stored.startswith(b"_"):
        return "_"
    empty, dollar, rest = stored.partition(b"$")
    name = rest.partition(b"$")[0].partition(b",")[0]  # "$md5,rounds=904$"
    if empty or not dollar or b"$" not in rest or len(name) > 20 or not name.replace(b"-", b"").isalnum():
        return ""
    return f"${name.decode('ascii')}$"


def _des(secret: bytes, stored: bytes, answer: bytes | None) -> bool:
    """DES and its longer relatives, where crypt(3) did not say yes; it may do bigcrypt, only DES, or neither."""
    text = stored.decode("ascii")
    if len(text) == 13:
        return answer is None and by_passlib("des_crypt", secret, text)
    if len(text) < CRYPT16_LENGTH or len(text) % 11 != 2:
        return False
    done = answer is not None and len(answer) > 13
    if not done and by_passlib("bigcrypt", secret, text):
        return True
    return len(text) == CRYPT16_LENGTH and by_passlib("crypt16", secret, text)


def by_passlib(handler: str, secret: bytes, stored: str) -> bool:
    """What ``passlib.hash.<handler>`` says.  Raises MissingLibrary."""
    import warnings

    from qpopper_py.libraries import need

    with warnings.catch_warnings():  # passlib 1.7.4 imports modules that Python deprecates
        warnings.simplefilter("ignore")
        try:
            hasher = getattr(need("passlib.hash"), handler)
        except MissingLibrary as why:
            raise MissingLibrary(f"{handler} password hashes: {why}") from None
        try:
            return bool(hasher.verify(secret, stored))
        except need("passlib.exc").MissingBackendError:
            raise MissingLibrary(_backend(handler, "is not here")) from None
        except (ValueError, LookupError):
            if handler in BACKENDS and hasher.identify(stored):
                raise MissingLibrary(
                    _backend(handler, "does not work with this passlib, or the hash is cut off")
                ) from None
            return False  # cut off, or otherwise not of its form


def _backend(handler: str, why: str) -> str:
    package, debian = BACKENDS.get(handler, (handler, f"python3-{handler}"))
    return (
        f"{handler} password hashes need {package}, which {why}; install {debian} or 'libpass>=1.9.3' and '{package}'"
    )
