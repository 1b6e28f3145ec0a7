"""OAUTHBEARER (RFC 7628) and XOAUTH2 (Google's, before there was an RFC): a bearer token that somebody else issued.

The token comes as the initial response, or in a line of its own.  A refusal is first told as JSON, which the client
has to answer with a message that says nothing (RFC 7628 section 3.2.3).
"""

from qpopper_py.auth.account import Denied
from qpopper_py.auth.credentials import Challenge, Malformed, Token, spelled
from qpopper_py.auth.mechanisms import Mechanism

TYPE_CHECKING = False
if TYPE_CHECKING:
    from qpopper_py.auth.account import Account
    from qpopper_py.facts import Facts
    from qpopper_py.settings import Settings

SEPARATOR = b"\1"


class Bearer(Mechanism):
    """What both have in common: fields NAME=VALUE, each ended by control-A, and one more at the end."""

    __slots__ = ("asked", "scope", "user")
    failed: "dict[str, str]" = {}

    def __init__(self, facts: "Facts", settings: "Settings") -> None:  # noqa: ARG002  # Mechanism's
        self.scope = settings.oauth_scope
        self.asked = False
        self.user = ""

    def step(self, data: bytes) -> Challenge | Token:
        """Raises Malformed."""
        if not data and not self.asked:
            self.asked = True
            return Challenge(b"")
        fields = self._fields(data)
        scheme, _, token = fields.get(b"auth", b"").partition(b" ")
        token = token.strip(b" ")
        if scheme.lower() != b"bearer" or not token or not all(33 <= c < 127 for c in token):
            raise Malformed(self.user, "no bearer token")
        return Token(self.user, token.decode("ascii"))

    def last_word(self, verdict: "Account | Denied") -> Challenge | None:
        if not isinstance(verdict, Denied) or verdict.temporary:
            return None
        from json import dumps

        return Challenge(dumps({**self.failed, **({"scope": self.scope} if self.scope else {})}).encode())

    def _fields(self, data: bytes) -> "dict[bytes, bytes]":
        """The fields; sets the user.  Raises Malformed."""
        raise NotImplementedError

    def _parted(self, data: bytes) -> "dict[bytes, bytes]":
        if not data.endswith(SEPARATOR * 2):
            raise Malformed(self.user, "message of another form")
        pairs = [field.partition(b"=") for field in data[:-2].split(SEPARATOR)]
        return {name: value for name, _, value in pairs}


class OAuthBearer(Bearer):
    """``n,a=USER,^Ahost=HOST^Aport=PORT^Aauth=Bearer TOKEN^A^A``; without ``a=`` the token alone says who."""

    __slots__ = ()
    failed = {"status": "invalid_token"}

    def _fields(self, data: bytes) -> "dict[bytes, bytes]":
        header, separator, rest = data.partition(SEPARATOR)
        flag, identity, *more = [*header.split(b","), b""]
        name = identity.removeprefix(b"a=").replace(b"=2C", b",").replace(b"=3D", b"=")
        self.user = spelled(name)
        if not separator or flag not in (b"n", b"y") or more != [b"", b""] or (name and identity[:2] != b"a="):
            raise Malformed(self.user, "malformed header of OAUTHBEARER")
        return self._parted(rest)


class XOAuth2(Bearer):
    """``user=USER^Aauth=Bearer TOKEN^A^A``."""

    __slots__ = ()
    failed = {"status": "401", "schemes": "bearer"}

    def _fields(self, data: bytes) -> "dict[bytes, bytes]":
        fields = self._parted(data)
        self.user = spelled(fields.get(b"user", b""))
        if not self.user:
            raise Malformed("", "no user")
        return fields
