"""The hash of a POP secret: scrypt (RFC 7914), written as ``$scrypt$ln=14,r=8,p=1$SALT$HASH`` (passlib's PHC form).

scrypt because it costs an attacker memory as well as time, and because hashlib has it in every Python that we
run on (3.10 and later need OpenSSL 1.1.1 or newer, PEP 644).  crypt(3) differs from host to host, the crypt
module is gone from Python 3.13, and a database has to outlive a move to another system.
"""

import os

LOG_ROUNDS = 14  # 16 MiB and some 40 ms a check
BLOCK = 8
LANES = 1
SALT_OCTETS = 16
HASH_OCTETS = 32
MOST_MEMORY = 256 << 20


def scrypt_hash(secret: bytes) -> str:
    """The hash of ``secret``, which holds no NUL, with a fresh salt."""
    if b"\0" in secret:
        raise ValueError("a secret with a NUL")
    salt = os.urandom(SALT_OCTETS)
    digest = derive(secret, salt, LOG_ROUNDS, BLOCK, LANES, HASH_OCTETS)
    return f"$scrypt$ln={LOG_ROUNDS},r={BLOCK},p={LANES}${encode(salt)}${encode(digest)}"


def scrypt_matches(secret: bytes, stored: str) -> bool:
    """Whether ``stored`` is a hash of ``secret``.  ValueError: it is no hash of this form, or asks too much.

    Never for a secret with a NUL: HMAC, at scrypt's bottom, pads keys with NULs, so ``pw`` NUL would pass for ``pw``.
    """
    from hmac import compare_digest

    log_rounds, block, lanes, salt, digest = parse(stored)
    same = compare_digest(derive(secret, salt, log_rounds, block, lanes, len(digest)), digest)
    return same and b"\0" not in secret


def parse(stored: str) -> "tuple[int, int, int, bytes, bytes]":
    """log2 of N, r, p, salt and hash.  ValueError as above."""
    empty, name, cost, salt, digest = stored.split("$")
    names, values = zip(*(pair.split("=", 1) for pair in cost.split(",")), strict=True)
    if empty or name != "scrypt" or names != ("ln", "r", "p"):
        raise ValueError("not a $scrypt$ hash")
    log_rounds, block, lanes = map(int, values)
    octets = decode(digest)
    if not (1 <= log_rounds <= 20 and 1 <= block <= 32 and 1 <= lanes <= 16 and 16 <= len(octets) <= 64):
        raise ValueError("costs or length out of bounds")
    if 128 * block * ((1 << log_rounds) + lanes) > MOST_MEMORY:
        raise ValueError("asks for too much memory")
    return log_rounds, block, lanes, decode(salt), octets


def derive(secret: bytes, salt: bytes, log_rounds: int, block: int, lanes: int, octets: int) -> bytes:
    from hashlib import scrypt

    return scrypt(secret, salt=salt, n=1 << log_rounds, r=block, p=lanes, maxmem=MOST_MEMORY + (1 << 20), dklen=octets)


def encode(octets: bytes) -> str:
    from binascii import b2a_base64

    return b2a_base64(octets, newline=False).decode("ascii").rstrip("=")


def decode(text: str) -> bytes:
    from binascii import a2b_base64

    return a2b_base64(text + "=" * (-len(text) % 4), strict_mode=True)
