"""What lies in an old password database under a user's name.

popauth (Qpopper, and Tru64's mailauth after it): the key is the name and a NUL; the value is the APOP field, a
NUL, the SCRAM field, a NUL.  Each octet of the APOP secret is XORed with 0xFF.  An older record ends after the
first field.  ``*`` or nothing as secret: APOP is switched off for this user.

mailutils: the key is the name, the value the clear secret, neither with a NUL.
"""


class OldEntry:
    """One user of the old database; an empty ``secret``: none that serves APOP."""

    __slots__ = ("scram", "secret", "user")

    def __init__(self, user: str, secret: bytes, scram: bool) -> None:
        self.user = user
        self.secret = secret
        self.scram = scram

    def __repr__(self) -> str:
        return f"OldEntry({self.user!r}, ***, scram={self.scram})"


def decode(key: bytes, value: bytes) -> OldEntry:
    """The entry; ValueError says what is wrong with the record."""
    name, nul, rest = key.partition(b"\0")
    if not name or rest:
        raise ValueError("a key is no user name")
    try:
        user = name.decode("utf-8")
    except UnicodeDecodeError:
        raise ValueError(f"the name {name!r} is not UTF-8") from None
    secret, _, second = value.partition(b"\0")
    scram = bool(second.strip(b"\0"))
    # Without the NUL it may still be popauth's: printable text in the clear is never all above 0x7F.
    if nul or (secret and min(secret) > 0x7F):
        secret = bytes(octet ^ 0xFF for octet in secret)
        if secret == b"*":
            secret = b""
    if any(octet < 0x20 or octet == 0x7F for octet in secret):
        raise ValueError(f"the secret of {user} holds control characters")
    return OldEntry(user, secret, scram)
