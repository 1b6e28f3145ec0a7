"""``{SCHEME}text``: password fields of a Dovecot passwd-file (doc.dovecot.org, Password Schemes), RFC 2307's too.

A scheme name may end in ``.b64``, ``.base64`` or ``.hex``: how the text is encoded.
"""

from qpopper_py.auth import crypt
from qpopper_py.auth.scram import Keys, Salting, keys
from qpopper_py.errors import MissingLibrary

CLEAR = frozenset({"PLAIN", "CLEAR", "CLEARTEXT"})
CRYPT = frozenset(
    {
        "CRYPT",
        "DES-CRYPT",
        "MD5-CRYPT",
        "MD5",
        "SHA256-CRYPT",
        "SHA512-CRYPT",
        "BLF-CRYPT",
        "ARGON2I",
        "ARGON2ID",
    }
)
# Name -> (hash of hashlib, octets of it, salted: the salt stands behind the digest).  Base64 unless said otherwise.
DIGESTS = {
    "SHA": ("sha1", 20, False),
    "SHA1": ("sha1", 20, False),
    "SHA256": ("sha256", 32, False),
    "SHA512": ("sha512", 64, False),
    "LDAP-MD5": ("md5", 16, False),
    "PLAIN-MD5": ("md5", 16, False),
    "SMD5": ("md5", 16, True),
    "SSHA": ("sha1", 20, True),
    "SSHA256": ("sha256", 32, True),
    "SSHA512": ("sha512", 64, True),
}
# RFC 2307-style names of passlib, whose handlers want the prefix.
PASSLIB = {
    "PBKDF2": "ldap_pbkdf2_sha1",
    "PBKDF2-SHA256": "ldap_pbkdf2_sha256",
    "PBKDF2-SHA512": "ldap_pbkdf2_sha512",
}
SCRAM = {"SCRAM-SHA-1": "sha1", "SCRAM-SHA-256": "sha256"}
ENCODINGS = {"": "", "B64": "base64", "BASE64": "base64", "HEX": "hex"}
MOST_ROUNDS = 10_000_000  # of PBKDF2: some seconds of work; more is a damaged field


def verify(secret: bytes, stored: bytes) -> bool:
    """Whether ``secret`` is the password; ``stored`` begins with ``{``.  Raises MissingLibrary: unknown scheme."""
    head, name, encoding, text = _parted(stored)
    if encoding not in ENCODINGS:
        raise _unknown(head)
    if name in DIGESTS:
        return _digest(secret, name, text, ENCODINGS[encoding])
    try:
        plain = _decode(text, ENCODINGS[encoding])
    except ValueError:
        return False
    if name in CLEAR:
        return bool(plain) and crypt.same(secret, plain)
    if name in SCRAM and not encoding:
        kept = scram(stored, SCRAM[name])
        return kept is not None and crypt.same(keys(SCRAM[name], secret, kept[0]).stored, kept[1].stored)
    if name in CRYPT:
        return bool(plain) and plain[0] not in b"*!{" and b"\0" not in plain and crypt.verify_crypt(secret, plain)
    if name == "PBKDF2" and text.startswith(b"$"):
        return _pbkdf2(secret, plain)
    if name in PASSLIB and not encoding:
        return crypt.by_passlib(PASSLIB[name], secret, f"{{{name}}}{text.decode('utf-8', 'replace')}")
    raise _unknown(head)


def clear(stored: bytes) -> bytes | None:
    """The password itself, where it is what is kept."""
    _, name, encoding, text = _parted(stored)
    if name not in CLEAR or encoding not in ENCODINGS:
        return None
    try:
        return _decode(text, ENCODINGS[encoding]) or None
    except ValueError:
        return None


def scram(stored: bytes, method: str) -> "tuple[Salting, Keys] | None":
    """Dovecot's ``{SCRAM-SHA-256}ITERATIONS,SALT,STOREDKEY,SERVERKEY``, the last three in base64, if that is kept."""
    _, name, encoding, text = _parted(stored)
    fields = text.split(b",")
    if SCRAM.get(name) != method or encoding or len(fields) != 4 or not fields[0].isdigit() or len(fields[0]) > 8:
        return None
    try:
        salt, stored_key, server_key = [_decode(field, "base64") for field in fields[1:]]
    except ValueError:
        return None
    octets = {"sha1": 20, "sha256": 32}[method]
    if not 0 < int(fields[0]) <= MOST_ROUNDS or (len(stored_key), len(server_key)) != (octets, octets) or not salt:
        return None
    return Salting(salt, int(fields[0])), Keys(stored_key, server_key)


def _parted(stored: bytes) -> "tuple[bytes, str, str, bytes]":
    """``{NAME.ENCODING}text``: what stands in the braces, name, encoding ("?": no closing brace), text."""
    if not stored.startswith(b"{"):
        return b"", "", "?", stored
    head, brace, text = stored[1:].partition(b"}")
    name, _, encoding = head.decode("ascii", "replace").upper().partition(".")
    return head, name, encoding if brace else "?", text


def _unknown(head: bytes) -> MissingLibrary:
    from qpopper_py.events import printable

    known = ", ".join(sorted(CLEAR | CRYPT | DIGESTS.keys() | PASSLIB.keys() | SCRAM.keys()))
    return MissingLibrary(f"the password scheme {{{printable(head[:30])}}} is not one of {known}")


def _decode(text: bytes, encoding: str) -> bytes:
    """Raises ValueError."""
    if encoding == "hex":
        return bytes.fromhex(text.decode("ascii"))
    if encoding == "base64":
        from binascii import a2b_base64

        return a2b_base64(text + b"=" * (-len(text) % 4), strict_mode=True)
    return text


def _digest(secret: bytes, name: str, text: bytes, encoding: str) -> bool:
    import hashlib

    method, octets, salted = DIGESTS[name]
    if not encoding:  # as Dovecot guesses it
        encoding = "hex" if name == "PLAIN-MD5" or (not salted and len(text) == 2 * octets) else "base64"
    try:
        raw = _decode(text, encoding)
    except ValueError:
        return False
    digest, salt = raw[:octets], raw[octets:]
    if len(digest) != octets or bool(salt) != salted:
        return False
    return crypt.same(hashlib.new(method, secret + salt, usedforsecurity=False).digest(), digest)


def _pbkdf2(secret: bytes, text: bytes) -> bool:
    """Dovecot's ``$1$salt$rounds$hex``: PBKDF2 with HMAC-SHA1, the salt taken as it is written."""
    import hashlib

    parts = text.split(b"$")
    if len(parts) != 5 or parts[1] != b"1" or not parts[3].isdigit() or len(parts[3]) > 8:
        return False
    rounds = int(parts[3])
    try:
        digest = _decode(parts[4], "hex")
    except ValueError:
        return False
    if not 0 < rounds <= MOST_ROUNDS or len(digest) != 20:
        return False
    return crypt.same(hashlib.pbkdf2_hmac("sha1", secret, parts[2], rounds), digest)
