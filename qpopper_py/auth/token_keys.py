"""Signed tokens (JWT, RFC 7519), checked with a set of public keys (JWK Set, RFC 7517) from a file.

Algorithms are those of oauth.algorithms, which are all of public keys: with those of shared keys (HS256), or none,
anybody who can read the public key could sign.  The token chooses neither key nor algorithm beyond that.
"""

import json
import os
import stat

from qpopper_py.errors import CredentialStoreError
from qpopper_py.libraries import need

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from qpopper_py.settings import Settings

    Key = dict[str, Any]

LARGEST = 1 << 20  # octets of the file
# Algorithm -> the kind of key, and its curve if that is fixed (RFC 7518 section 3.1, RFC 8037 section 3.1).
KINDS = {
    "RS256": ("RSA", ""),
    "RS384": ("RSA", ""),
    "RS512": ("RSA", ""),
    "PS256": ("RSA", ""),
    "PS384": ("RSA", ""),
    "PS512": ("RSA", ""),
    "ES256": ("EC", "P-256"),
    "ES384": ("EC", "P-384"),
    "ES512": ("EC", "P-521"),
    "EdDSA": ("OKP", "Ed25519"),
}


def claims(token: str, settings: "Settings") -> "dict[str, object] | str":
    """What the token says, its signature checked; or why that cannot be.  Raises CredentialStoreError, MissingLibrary.

    Times, issuer and audience are not looked at.
    """
    keys = read(settings.oauth_keys)
    jwt = need("jwt")
    need("cryptography")
    try:
        header = jwt.get_unverified_header(token)
    except (jwt.PyJWTError, ValueError, RecursionError):  # the last by PyJWT 2.6, of brackets in brackets
        return "no JWT"
    algorithm = header.get("alg")
    if algorithm not in settings.oauth_algorithms:
        return "the token's algorithm is not one of oauth.algorithms"
    unchecked = dict.fromkeys(("verify_exp", "verify_nbf", "verify_iat", "verify_aud", "verify_iss"), False)
    for key in fitting(keys, algorithm, header.get("kid")):
        try:
            public = jwt.PyJWK.from_dict(key, algorithm).key
            said = jwt.decode(token, public, algorithms=[algorithm], options=unchecked)
        except jwt.InvalidSignatureError:
            continue
        except (jwt.PyJWTError, ValueError, TypeError, KeyError, RecursionError) as why:  # a key may be anything
            return f"the token cannot be read ({type(why).__name__})"
        return dict(said)
    return "no key of oauth.keys has signed the token"


def fitting(keys: "list[Key]", algorithm: str, name: object) -> "list[Key]":
    """The keys that may have signed: by name if the token gives one, by kind, use and algorithm as far as they say."""
    kind, curve = KINDS[algorithm]
    return [
        key
        for key in keys
        if (name is None or key.get("kid", name) == name)
        and key.get("kty") == kind
        and key.get("crv", curve) == curve
        and key.get("use", "sig") == "sig"
        and key.get("alg", algorithm) == algorithm
    ]


def read(path: str) -> "list[Key]":
    """The keys of the file.  CredentialStoreError: it cannot be read or trusted, or is no JWK set of public keys."""
    try:
        with open(os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC), "rb") as file:
            status = os.fstat(file.fileno())
            if not stat.S_ISREG(status.st_mode):
                raise CredentialStoreError(f"{path} is not a file; oauth.keys names it")
            if status.st_uid not in (0, os.geteuid()) or status.st_mode & (stat.S_IWGRP | stat.S_IWOTH):
                raise CredentialStoreError(
                    f"{path} can be written by others; run: chown root {path}; chmod go-w {path}"
                )
            keys = json.loads(file.read(LARGEST))["keys"]
    except OSError as why:
        raise CredentialStoreError(f"{path}: {why.strerror}; oauth.keys names it") from None
    except (ValueError, KeyError, TypeError, RecursionError):
        keys = None
    if not isinstance(keys, list) or not all(isinstance(key, dict) for key in keys):
        raise CredentialStoreError(f"{path} is not a JWK set (RFC 7517); fetch it anew from the issuer's jwks_uri")
    if any("d" in key for key in keys):
        raise CredentialStoreError(
            f"{path} holds private keys; leave the issuer its own, and put the public ones there"
        )
    return keys
