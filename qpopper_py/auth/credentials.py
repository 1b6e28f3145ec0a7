"""Credentials are values: what a mechanism made of the client's bytes, for a source to vouch for.

None of them shows a secret: not in a repr, not by pickling, not in a comparison.
"""

from qpopper_py.auth import scram

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Self

    from qpopper_py.auth.account import Denied


class Credential:
    """``user``: the name that the client gave, of any octets (:func:`spelled`)."""

    __slots__ = ("user",)
    absent = "unknown user"  # why it is refused when no source knows the user

    def __init__(self, user: str) -> None:
        self.user = user

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.user!r}, ***)"

    def __reduce__(self) -> str:
        raise TypeError("a credential is not to be pickled")

    def named(self, user: str) -> "Self":
        """The same for the name by which the account is looked up."""
        other = type(self).__new__(type(self))
        for kind in type(self).__mro__:
            for slot in getattr(kind, "__slots__", ()):
                setattr(other, slot, getattr(self, slot))
        other.user = user
        return other

    def again(self) -> bytes:
        """What is the same when the client sends the same once more; empty: of this kind it cannot be told."""
        return b""

    def waste(self) -> None:
        """Do the work of a check, where there is nothing to check."""


class Password(Credential):
    """A name and the password itself, of any octets."""

    __slots__ = ("secret",)

    def __init__(self, user: str, secret: bytes) -> None:
        super().__init__(user)
        self.secret = secret

    def again(self) -> bytes:
        return self.secret

    def waste(self) -> None:
        from qpopper_py.auth import crypt

        crypt.waste(self.secret)


class Digest(Credential):
    """RFC 1939 section 7, APOP: MD5 over ``stamp`` (with its angle brackets) and the secret.

    ``digest`` is what the client sent, its hexadecimal digits in lower case: 32 octets of text.
    """

    __slots__ = ("digest", "stamp")
    absent = "no APOP entry"

    def __init__(self, user: str, stamp: str, digest: bytes) -> None:
        super().__init__(user)
        self.stamp = stamp
        self.digest = digest

    def waste(self) -> None:
        from hashlib import md5

        md5(self.stamp.encode("utf-8", "surrogateescape") + self.digest, usedforsecurity=False).hexdigest()


class Shared(Credential):
    """What is judged with the clear secret, which client and server share."""

    __slots__ = ()
    absent = "no secret that can be had back (APOP entry, or {PLAIN} in accounts.file)"

    def proves(self, secret: bytes) -> bool:
        """Whether the client knows ``secret``."""
        raise NotImplementedError

    def waste(self) -> None:
        self.proves(b"nobody's")


class Response(Shared):
    """RFC 2195, CRAM-MD5: HMAC-MD5 of the ``challenge``; ``digest`` in hexadecimal, lower case."""

    __slots__ = ("challenge", "digest")

    def __init__(self, user: str, challenge: bytes, digest: bytes) -> None:
        super().__init__(user)
        self.challenge = challenge
        self.digest = digest

    def proves(self, secret: bytes) -> bool:
        import hmac

        return hmac.compare_digest(hmac.new(secret, self.challenge, "md5").hexdigest().encode(), self.digest)


class Proof(Shared):
    """RFC 5802, SCRAM: that the client knows the secret, salted as it was told.

    ``signed`` takes the server's own proof once the client's held: the client wants to see it.
    """

    __slots__ = ("message", "proof", "salting", "signed")
    method = ""  # the hash, by hashlib's name

    def __init__(self, user: str, salting: scram.Salting, message: bytes, proof: bytes) -> None:
        """``message``: RFC 5802's AuthMessage."""
        super().__init__(user)
        self.salting = salting
        self.message = message
        self.proof = proof
        self.signed = bytearray()

    def proves(self, secret: bytes) -> bool:
        return self.fits(scram.keys(self.method, secret, self.salting))

    def fits(self, keys: scram.Keys) -> bool:
        """The same, of keys that were kept in the secret's place."""
        if not scram.right(self.method, keys.stored, self.message, self.proof):
            return False
        self.signed[:] = scram.sign(self.method, keys.server, self.answer())
        return True

    def answer(self) -> bytes:
        """What the server signs."""
        return self.message


class Sha1Proof(Proof):
    __slots__ = ()
    method = "sha1"


class Sha256Proof(Proof):
    __slots__ = ()
    method = "sha256"


class Md5Proof(Proof):
    """SCRAM-MD5 (draft-newman-auth-scram-03): one round of HMAC-MD5; each side signs its peer's first words first."""

    __slots__ = ("swapped",)
    method = "md5"

    def __init__(self, user: str, salting: scram.Salting, said: "tuple[bytes, bytes, bytes]", proof: bytes) -> None:
        """``said``: the client's first message, the server's, the client's last without the proof."""
        super().__init__(user, salting, said[1] + said[0] + said[2], proof)
        self.swapped = b"".join(said)

    def proves(self, secret: bytes) -> bool:
        return self.fits(scram.draft_keys(secret, self.salting.salt))

    def answer(self) -> bytes:
        return self.swapped


class Token(Credential):
    """A bearer token (RFC 6750), which others issued.  ``user`` is empty where the client leaves it to the token."""

    __slots__ = ("token",)
    absent = "nobody checks tokens"

    def __init__(self, user: str, token: str) -> None:
        super().__init__(user)
        self.token = token

    def again(self) -> bytes:
        return self.token.encode("utf-8", "surrogateescape")


class Certificate(Credential):
    """A name that TLS has proved by the client's certificate."""

    __slots__ = ()
    absent = "nobody takes certificates"


class Ticket(Credential):
    """A Kerberos ticket that was checked: ``principal``, and the local name that krb5.conf gives it.

    ``user`` is whom the client wants to be.  No secret is in it.
    """

    __slots__ = ("local", "principal")
    absent = "nobody is asked about tickets (kerberos in auth.sources)"

    def __init__(self, user: str, local: str, principal: str) -> None:
        super().__init__(user)
        self.local = local
        self.principal = principal


class Challenge:
    """What the client must be sent before its next step (RFC 4422 section 3), not yet in base64.

    ``refusal``: the client is refused already; it is only told why, and has to answer before the exchange ends.
    ``wait`` as an account's (:class:`~.account.Account`), of one that tells that the client is let in.
    """

    __slots__ = ("data", "refusal", "wait")

    def __init__(self, data: bytes, refusal: "Denied | None" = None) -> None:
        self.data = data
        self.refusal = refusal
        self.wait = 0.0


class WhichSalt:
    """A mechanism's question to the sources: how the user's secret is salted for ``method``."""

    __slots__ = ("method", "user")

    def __init__(self, user: str, method: str) -> None:
        self.user = user
        self.method = method


class Malformed(ValueError):
    """A client's message that is not of its mechanism's form; ``user`` as far as it was given.

    The text never holds a piece of the message.
    """

    def __init__(self, user: str, why: str) -> None:
        super().__init__(why)
        self.user = user


def spelled(user: bytes) -> str:
    """A name as the client gave it, for a log that escapes it; reversible."""
    return user.decode("utf-8", "surrogateescape")
