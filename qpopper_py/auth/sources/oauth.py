"""Bearer tokens of OAuth 2: who they name, if we may believe them.

Either a signed token (JWT) is checked with the issuer's public keys, from a file (:mod:`qpopper_py.auth.token_keys`),
or the issuer is asked about it (:mod:`qpopper_py.auth.token_introspection`).  Both give claims, and these must fit:
issuer, audience, scope, and the times from and until which the token is good.
"""

import time

from qpopper_py.auth.account import Account, Denied
from qpopper_py.auth.credentials import Credential, Token
from qpopper_py.auth.names import canonical
from qpopper_py.auth.sources import Source, admitted, known
from qpopper_py.errors import CredentialStoreError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from qpopper_py.auth.sources import Directory
    from qpopper_py.facts import Facts
    from qpopper_py.settings import Settings

    Claims = dict[str, object]

LEEWAY = 30  # seconds by which two hosts' clocks may differ


class OAuth(Source):
    """``directories``: who knows accounts.  ``clock``: seconds since 1970."""

    name = "oauth"
    kinds = (Token,)

    def __init__(
        self, settings: "Settings", directories: "Sequence[Directory]", clock: "Callable[[], float]" = time.time
    ) -> None:
        self._settings = settings
        self._directories = directories
        self._clock = clock

    def ready(self) -> "tuple[type[Credential], ...]":
        return () if unfit(self._settings) else self.kinds

    def vouch(self, credential: Credential, facts: "Facts") -> Account | Denied | None:
        assert isinstance(credential, Token)  # by kinds
        if why := unfit(self._settings):
            raise CredentialStoreError(why)
        claims = self._claims(credential.token)
        if isinstance(claims, str):
            return Denied(credential.user, claims)
        if why := misfit(claims, self._settings, self._clock()):
            return Denied(credential.user, why)
        named = claims.get(self._settings.oauth_user_claim)
        try:
            user = canonical(named if isinstance(named, str) else "", self._settings)
        except ValueError as wrong:
            return Denied(credential.user, f"the token's claim {self._settings.oauth_user_claim}: {wrong}")
        if credential.user not in ("", user):
            return Denied(credential.user, "the token is another user's")
        directory, account = known(self._directories, user, facts)
        if directory is None:
            return Denied(user, "has a token, but is no user of NSS or of accounts.file")
        return admitted(directory, account, facts, self.name)

    def _claims(self, token: str) -> "Claims | str":
        """What the token says, or why it cannot be believed.  Raises CredentialStoreError, MissingLibrary."""
        if self._settings.oauth_keys:
            from qpopper_py.auth import token_keys

            return token_keys.claims(token, self._settings)
        from qpopper_py.auth import token_introspection

        return token_introspection.claims(token, self._settings)


def unfit(settings: "Settings") -> str:
    """What is wrong with the settings of oauth; empty: tokens can be checked by them."""
    if bool(settings.oauth_keys) == bool(settings.oauth_introspection):
        return "oauth.keys, oauth.introspection: set one of them, and not both"
    if settings.oauth_keys and not (settings.oauth_issuer and settings.oauth_audience):
        return (
            "oauth.keys: it needs oauth.issuer and oauth.audience too: else a token that was made for another service"
            " would pass here"
        )
    return ""


def misfit(claims: "Claims", settings: "Settings", now: float) -> str:
    """Why a token with these claims is not good here and now; empty: it is (RFC 7519 section 4.1)."""
    until, since = claims.get("exp"), claims.get("nbf", 0)
    if settings.oauth_keys and until is None:
        return "the token has no end"
    if not _is_time(until or 0) or not _is_time(since):
        return "the token's times are no numbers"
    if until is not None and now >= until + LEEWAY:  # type: ignore[operator]  # _is_time
        return "the token has expired"
    if now < since - LEEWAY:  # type: ignore[operator]  # _is_time
        return "the token is not good yet"
    if settings.oauth_issuer and claims.get("iss") != settings.oauth_issuer:
        return "the token is of another issuer"
    if settings.oauth_audience and not set(settings.oauth_audience).intersection(_words(claims.get("aud"), "\0")):
        return "the token is for another audience"
    if settings.oauth_scope and not set(settings.oauth_scope.split()) <= set(_words(claims.get("scope"), " ")):
        return "the token has not the scope"
    return ""


def _is_time(value: object) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)


def _words(value: object, separator: str) -> "list[str]":
    """A claim that is a text or a list of them."""
    if isinstance(value, str):
        return value.split(separator)
    return [word for word in value if isinstance(word, str)] if isinstance(value, list) else []
