"""Asking the issuer about a token (RFC 7662), over HTTPS, or over HTTP on this host."""

import json
import os

from qpopper_py.errors import CredentialStoreError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from urllib.request import Request

    from qpopper_py.settings import Settings

LARGEST = 64 << 10  # octets of an answer


def claims(token: str, settings: "Settings") -> "dict[str, object] | str":
    """What the issuer says of the token, or why it is no good.  Raises CredentialStoreError: nobody can be asked."""
    from http.client import HTTPException

    where = settings.oauth_introspection
    try:
        said = json.loads(_answer(_request(token, settings), settings.oauth_timeout))
    except (OSError, HTTPException) as why:
        raise CredentialStoreError(f"oauth.introspection: {where} gives no answer: {_reason(why)}") from None
    except (ValueError, RecursionError):
        said = None
    if not isinstance(said, dict) or not isinstance(said.get("active"), bool):
        raise CredentialStoreError(f"oauth.introspection: {where} does not answer as RFC 7662 has it")
    return said if said["active"] else "the token is not active"


def _request(token: str, settings: "Settings") -> "Request":
    from urllib.parse import urlencode
    from urllib.request import Request

    body = urlencode({"token": token, "token_type_hint": "access_token"}).encode("ascii")
    request = Request(settings.oauth_introspection, body, {"Accept": "application/json"})  # noqa: S310  # by its kind
    if settings.oauth_credentials:
        request.add_header("Authorization", "Basic " + _basic(settings.oauth_credentials))
    return request


def _answer(request: "Request", timeout: int) -> bytes:
    """The body.  Nothing of the environment (http_proxy) counts, and nobody sends us and the token elsewhere."""
    from urllib.request import HTTPRedirectHandler, ProxyHandler, build_opener

    class Stay(HTTPRedirectHandler):
        def redirect_request(self, *_: object) -> None:
            return None

    with build_opener(ProxyHandler({}), Stay).open(request, timeout=timeout) as answer:
        data: bytes = answer.read(LARGEST)
        return data


def _basic(path: str) -> str:
    """ID:SECRET of the file, as RFC 6749 section 2.3.1 has them.  Raises CredentialStoreError."""
    from binascii import b2a_base64
    from urllib.parse import quote_plus

    from qpopper_py.auth.secretbox import refuse_untrusted

    try:
        with open(os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC), "rb") as file:
            refuse_untrusted(path, os.fstat(file.fileno()), "")
            name, colon, secret = file.read(4096).decode("utf-8").strip().partition(":")
    except OSError as why:
        raise CredentialStoreError(f"{path}: {why.strerror}; oauth.credentials names it") from None
    except UnicodeDecodeError:
        colon = ""
    if not colon:
        raise CredentialStoreError(f"{path} does not hold ID:SECRET, as oauth.credentials wants it")
    return b2a_base64(f"{quote_plus(name)}:{quote_plus(secret)}".encode("ascii"), newline=False).decode("ascii")


def _reason(why: Exception) -> str:
    """In words that hold nothing of the request."""
    from urllib.error import HTTPError, URLError

    if isinstance(why, HTTPError):
        return f"HTTP status {why.code}"
    inner = why.reason if isinstance(why, URLError) else why
    return getattr(inner, "strerror", None) or type(inner).__name__
