"""Real programs that log in by AUTH, each by every mechanism that it knows; the log says by which it was let in."""

from __future__ import annotations

import json
import time
from typing import TYPE_CHECKING

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import ec

from tests.clients.programs import Client, Curl, Fetchmail, Mpop, Mutt
from tests.harness import APOP_SECRET, PASSWORD, Server, awkward, mail, open_folder

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

pytestmark = pytest.mark.client

ISSUER, AUDIENCE = "https://login.example.org", "pop3.example.org"
KEY = ec.generate_private_key(ec.SECP256R1())

# How each program is told to, and what then is used.
WAYS = [
    (Mpop, "plain", "PLAIN"),
    (Mpop, "login", "LOGIN"),
    (Mpop, "cram-md5", "CRAM-MD5"),
    (Mpop, "scram-sha-1", "SCRAM-SHA-1"),
    (Mpop, "scram-sha-256", "SCRAM-SHA-256"),
    (Mpop, "on", "SCRAM-SHA-256"),
    (Curl, "", "CRAM-MD5"),
    (Curl, "PLAIN", "PLAIN"),
    (Curl, "LOGIN", "LOGIN"),
    (Curl, "CRAM-MD5", "CRAM-MD5"),
    (Fetchmail, "cram-md5", "CRAM-MD5"),
    (Mutt, "cram-md5", "CRAM-MD5"),
    (Mutt, "plain", "PLAIN"),
]


@pytest.fixture
def folder() -> Iterator[Path]:
    with open_folder() as path:
        yield path


@pytest.fixture
def server(folder: Path) -> Iterator[Server]:
    """Serves alice by a password that is kept in clear, bob by an APOP entry, and takes tokens."""
    keys = folder / "keys.json"
    text = jwt.get_algorithm_by_name("ES256").to_jwk(KEY.public_key())
    key = json.loads(text) if isinstance(text, str) else text
    keys.write_text(json.dumps({"keys": [{**key, "kid": "one"}]}))
    keys.chmod(0o644)
    settings = {
        "auth.sources": "mailauth,accounts,oauth",
        "oauth.keys": keys,
        "oauth.issuer": ISSUER,
        "oauth.audience": AUDIENCE,
        "trace.file": folder / "state/trace",
    }
    with Server(folder, apop={"bob": APOP_SECRET}, settings=settings) as running:
        yield running


def token(user: str) -> str:
    claims = {"iss": ISSUER, "aud": AUDIENCE, "sub": user, "exp": int(time.time()) + 600}
    return jwt.encode(claims, KEY, "ES256", headers={"kid": "one"})


def client(kind: type[Client], auth: str, folder: Path) -> Client:
    reader = kind(folder / "client")
    reader.auth = auth  # type: ignore[attr-defined]
    return reader


def let_in_by(server: Server) -> str:
    return server.log.wait_for(r"POP login by user .*: (\S+), ")[1]


# An APOP entry is no password (mailauth.exclusive).
CASES = [(*way, "alice", PASSWORD) for way in WAYS]
CASES += [(*way, "bob", APOP_SECRET) for way in WAYS if way[2] not in ("PLAIN", "LOGIN")]


@pytest.mark.parametrize(
    ("kind", "auth", "used", "user", "secret"), CASES, ids=lambda value: getattr(value, "__name__", value)
)
def test_mail_is_fetched_by_every_mechanism_that_a_program_knows(
    kind: type[Client], auth: str, used: str, user: str, secret: str, server: Server, folder: Path
) -> None:
    reader = client(kind, auth, folder)
    server.fill(user, [mail("one", b"text\n")])
    assert reader.fetch(server, user, secret) == [reader.expected(mail("one", b"text\n"))]
    assert let_in_by(server) == used
    trace = (folder / "state/trace").read_text()
    assert f"auth {used}" in trace.replace(used.lower(), used)
    assert secret not in trace


@pytest.mark.parametrize(
    ("kind", "auth", "used"),
    [(Mpop, "oauthbearer", "OAUTHBEARER"), (Mpop, "xoauth2", "XOAUTH2"), (Curl, "", "OAUTHBEARER")],
)
def test_mail_is_fetched_by_token(kind: type[Client], auth: str, used: str, server: Server, folder: Path) -> None:
    reader = client(kind, auth, folder)
    if isinstance(reader, Curl):
        reader.bearer = True
    server.fill("alice", awkward())
    bearer = token("alice")
    assert len(reader.fetch(server, "alice", bearer)) == len(awkward())
    assert let_in_by(server) == used
    assert bearer.split(".")[2] not in (folder / "state/trace").read_text() + server.log.text


@pytest.mark.parametrize(("kind", "auth"), [(Mpop, "scram-sha-256"), (Curl, "CRAM-MD5"), (Mpop, "xoauth2")])
def test_a_wrong_secret_is_refused(kind: type[Client], auth: str, server: Server, folder: Path) -> None:
    reader = client(kind, auth, folder)
    server.fill("alice", [mail("one", b"text\n")])
    with pytest.raises(AssertionError, match=r"(?i)auth|denied"):
        reader.fetch(server, "alice", "guess")
    server.log.wait_for(r"\[AUTH\] Failed attempted login to alice ")
