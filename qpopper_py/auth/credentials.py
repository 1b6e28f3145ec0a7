"""Credentials are values: what a mechanism made of the client's bytes, for a source to vouch for.

None of them shows a secret: not in a repr, not by pickling, not in a comparison.
"""


class Password:
    """A name and the password itself, of any octets."""

    __slots__ = ("secret", "user")

    def __init__(self, user: str, secret: bytes) -> None:
        self.user = user
        self.secret = secret

    def __repr__(self) -> str:
        return f"Password({self.user!r}, ***)"

    def __reduce__(self) -> str:
        raise TypeError("a password is not to be pickled")

    def named(self, user: str) -> "Password":
        """The same for the name by which the account is looked up."""
        return Password(user, self.secret)


class Digest:
    """RFC 1939 section 7, APOP: MD5 over ``stamp`` (with its angle brackets) and the secret.

    ``digest`` is what the client sent, its hexadecimal digits in lower case: 32 octets of text.
    """

    __slots__ = ("digest", "stamp", "user")

    def __init__(self, user: str, stamp: str, digest: bytes) -> None:
        self.user = user
        self.stamp = stamp
        self.digest = digest

    def __repr__(self) -> str:
        return f"Digest({self.user!r}, {self.stamp!r}, ***)"

    def __reduce__(self) -> str:
        raise TypeError("a digest is not to be pickled")

    def named(self, user: str) -> "Digest":
        """The same for the name by which the account is looked up."""
        return Digest(user, self.stamp, self.digest)


Credential = Password | Digest


class Challenge:
    """What the client must be sent before its next step (RFC 4422 section 3), not yet in base64."""

    __slots__ = ("data",)

    def __init__(self, data: bytes) -> None:
        self.data = data


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
