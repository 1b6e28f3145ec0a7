"""OAUTHBEARER (RFC 7628), XOAUTH2, and who may be believed: signed tokens (RFC 7519), introspection (RFC 7662)."""

from __future__ import annotations

import hmac
import json
import threading
import time
from base64 import b64decode, urlsafe_b64encode
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qs

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from hypothesis import HealthCheck, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from qpopper_py.auth.account import Account, Denied
from qpopper_py.auth.credentials import Challenge, Malformed, Token
from qpopper_py.auth.gate import Gate
from qpopper_py.auth.mechanisms.oauth import OAuthBearer, XOAuth2
from qpopper_py.auth.sources.oauth import misfit, unfit
from qpopper_py.events import Event, Trouble
from qpopper_py.facts import Facts, Tls
from qpopper_py.settings import Settings

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

ISSUER, AUDIENCE = "https://login.example.org", "pop3.example.org"
RSA = rsa.generate_private_key(65537, 2048)
EC = ec.generate_private_key(ec.SECP256R1())
ED = ed25519.Ed25519PrivateKey.generate()


def jwk(key: Any, **more: str) -> dict[str, Any]:
    """The public key as a JWK."""
    kinds = {rsa.RSAPrivateKey: "RS256", ec.EllipticCurvePrivateKey: "ES256", ed25519.Ed25519PrivateKey: "EdDSA"}
    name = next(name for kind, name in kinds.items() if isinstance(key, kind))
    text = jwt.get_algorithm_by_name(name).to_jwk(key.public_key())
    made = json.loads(text) if isinstance(text, str) else dict(text)
    made.pop("key_ops", None)
    return {**made, **more}


def token(key: Any = RSA, algorithm: str = "RS256", kid: str | None = "one", **claims: object) -> str:
    now = int(time.time())
    said = {"iss": ISSUER, "aud": AUDIENCE, "sub": "alice", "exp": now + 600, **claims}
    said = {name: value for name, value in said.items() if value is not None}
    return jwt.encode(said, key, algorithm, headers={"kid": kid} if kid else None)


@pytest.fixture
def keys(tmp_path: Path) -> Path:
    path = tmp_path / "keys.json"
    path.write_text(json.dumps({"keys": [jwk(EC, kid="two"), jwk(RSA, kid="one"), jwk(ED, kid="three")]}))
    path.chmod(0o644)
    return path


@pytest.fixture
def build(configure: Callable[..., Settings], tmp_path: Path, heard: list[Event]) -> Callable[..., Gate]:
    """A gate that knows alice and bob from an accounts file, and takes tokens."""
    accounts = tmp_path / "accounts"
    accounts.write_text("alice:*:1234:1234::/home/alice::\nbob:*:1235:1235::/home/bob::nologin\n")
    accounts.chmod(0o600)

    def make(**values: object) -> Gate:
        raw = {"accounts_file": str(accounts), "auth_sources": "oauth,accounts", **values}
        return Gate(configure(**raw), heard.append)

    return make


@pytest.fixture
def gate(build: Callable[..., Gate], keys: Path) -> Gate:
    return build(oauth_keys=str(keys), oauth_issuer=ISSUER, oauth_audience=AUDIENCE)


def login(gate: Gate, facts: Facts, bearer: str, user: str = "alice") -> Account | Denied:
    """By XOAUTH2, in one message; a refusal's words are answered as the RFC has it."""
    exchange = gate.begin("XOAUTH2", facts)
    said = exchange.step(f"user={user}\1auth=Bearer {bearer}\1\1".encode())
    if isinstance(said, Challenge):
        words = json.loads(said.data)
        assert words["status"] == "401"
        assert isinstance(said.refusal, Denied)
        verdict = exchange.step(b"")
        assert verdict is said.refusal
        return verdict
    return said


class TestMessages:
    def test_the_example_of_rfc_7628(self, facts: Facts) -> None:
        """Section 4.1."""
        text = (
            "bixhPXVzZXJAZXhhbXBsZS5jb20sAWhvc3Q9c2VydmVyLmV4YW1wbGUuY29tAXBvcnQ9MTQzAWF1dGg9QmVhcmVyIHZGOWRmdDRxbVRjMk52"
            "YjNSbGNrQmhiSFJoZG1semRHRXVZMjl0Q2c9PQEB"
        )
        said = OAuthBearer(facts, Settings()).step(b64decode(text))
        assert isinstance(said, Token)
        assert (said.user, said.token) == ("user@example.com", "vF9dft4qmTc2Nvb3RlckBhbHRhdmlzdGEuY29tCg==")

    def test_the_token_may_come_in_a_line_of_its_own(self, facts: Facts) -> None:
        """As Microsoft's servers want XOAUTH2, and clients do for them."""
        mechanism = XOAuth2(facts, Settings())
        asked = mechanism.step(b"")
        assert isinstance(asked, Challenge)
        assert asked.data == b""
        assert isinstance(mechanism.step(b"user=alice\1auth=Bearer abc\1\1"), Token)

    def test_the_name_may_be_left_to_the_token(self, facts: Facts) -> None:
        said = OAuthBearer(facts, Settings()).step(b"n,,\1auth=bearer abc\1\1")
        assert isinstance(said, Token)
        assert (said.user, said.token) == ("", "abc")

    @pytest.mark.parametrize(
        "message",
        [b"x", b"\1\1", b"n,a=u,", b"n,a=u,\1\1", b"n,a=u,\1auth=Bearer abc\1", b"n,a=u,\1auth=Basic abc\1\1",
         b"n,a=u,\1auth=Bearer \1\1", b"n,a=u,\1auth=Bearer a b\1\1", b"p=x,a=u,\1auth=Bearer abc\1\1",
         b"n,b=u,\1auth=Bearer abc\1\1", b"n,a=u,x\1auth=Bearer abc\1\1", b"n,a=u,\1auth=Bearer \xff\1\1"],
    )  # fmt: skip
    def test_what_is_of_another_form_is_refused(self, facts: Facts, message: bytes) -> None:
        with pytest.raises(Malformed):
            OAuthBearer(facts, Settings()).step(message)

    @pytest.mark.parametrize("message", [b"user=alice\1\1", b"auth=Bearer abc\1\1", b"user=\1auth=Bearer abc\1\1"])
    def test_xoauth2_needs_a_user_and_a_token(self, facts: Facts, message: bytes) -> None:
        with pytest.raises(Malformed):
            XOAuth2(facts, Settings()).step(message)

    def test_a_refusal_is_told_as_json_first(self, gate: Gate, facts: Facts) -> None:
        """RFC 7628 section 3.2.2: status is invalid_token; section 3.2.3: the client answers with control-A."""
        exchange = gate.begin("OAUTHBEARER", facts)
        said = exchange.step(b"n,a=alice,\1auth=Bearer abc\1\1")
        assert isinstance(said, Challenge)
        assert json.loads(said.data) == {"status": "invalid_token"}
        assert isinstance(exchange.step(b"\1"), Denied)

    def test_it_tells_the_scope_that_is_wanted(self, build: Callable[..., Gate], keys: Path, facts: Facts) -> None:
        gate = build(oauth_keys=str(keys), oauth_issuer=ISSUER, oauth_audience=AUDIENCE, oauth_scope="mail.pop")
        said = gate.begin("XOAUTH2", facts).step(b"user=alice\1auth=Bearer abc\1\1")
        assert isinstance(said, Challenge)
        assert json.loads(said.data) == {"status": "401", "schemes": "bearer", "scope": "mail.pop"}

    @hypothesis_settings(max_examples=300)
    @given(message=st.one_of(st.binary(max_size=80), st.binary(max_size=20).map(lambda b: b"n,a=u,\1" + b + b"\1\1")))
    def test_no_octets_crash_it(self, message: bytes) -> None:
        for kind in (OAuthBearer, XOAuth2):
            try:
                said = kind(Facts("s1"), Settings()).step(message)
            except Malformed:
                continue
            assert isinstance(said, Token if message else Challenge)


class TestSignedTokens:
    @pytest.mark.parametrize(
        ("key", "algorithm", "kid"),
        [(RSA, "RS256", "one"), (RSA, "PS256", "one"), (EC, "ES256", "two"), (ED, "EdDSA", "three")],
    )
    def test_the_issuers_keys_let_in(self, gate: Gate, facts: Facts, key: Any, algorithm: str, kid: str) -> None:
        account = login(gate, facts, token(key, algorithm, kid))
        assert isinstance(account, Account)
        assert (account.user, account.source, account.home) == ("alice", "oauth", "/home/alice")

    def test_a_token_without_a_key_id_is_tried_with_all_of_its_kind(self, gate: Gate, facts: Facts) -> None:
        assert isinstance(login(gate, facts, token(kid=None)), Account)

    def test_the_token_alone_may_say_who(self, gate: Gate, facts: Facts) -> None:
        verdict = gate.begin("OAUTHBEARER", facts).step(f"n,,\1auth=Bearer {token()}\1\1".encode())
        assert isinstance(verdict, Account)
        assert verdict.user == "alice"

    @pytest.mark.parametrize(
        ("claims", "why"),
        [
            ({"iss": "https://elsewhere.example"}, "another issuer"),
            ({"iss": None}, "another issuer"),
            ({"aud": "imap.example.org"}, "another audience"),
            ({"aud": None}, "another audience"),
            ({"aud": [AUDIENCE + ".evil"]}, "another audience"),
            ({"exp": 1}, "expired"),
            ({"exp": None}, "no end"),
            ({"exp": "never"}, "no numbers"),
            ({"nbf": 2**40}, "not good yet"),
            ({"sub": "bob"}, "another user's"),
            ({"sub": None}, "claim sub"),
            ({"sub": "../x"}, "claim sub"),
        ],
    )
    def test_claims_that_do_not_fit(self, gate: Gate, facts: Facts, claims: dict[str, object], why: str) -> None:
        denied = login(gate, facts, token(**claims))
        assert isinstance(denied, Denied)
        assert why in denied.why
        assert (denied.user, denied.temporary) == ("alice", False)

    def test_one_audience_of_many_is_enough(self, gate: Gate, facts: Facts) -> None:
        assert isinstance(login(gate, facts, token(aud=["x", AUDIENCE])), Account)

    def test_a_users_state_counts(self, gate: Gate, facts: Facts) -> None:
        denied = login(gate, facts, token(sub="bob"), "bob")
        assert isinstance(denied, Denied)
        assert "nologin" in denied.why

    def test_a_user_who_has_no_account(self, gate: Gate, facts: Facts) -> None:
        assert isinstance(login(gate, facts, token(sub="nobody-here"), "nobody-here"), Denied)

    def test_somebody_elses_signature(self, gate: Gate, facts: Facts) -> None:
        forged = token(rsa.generate_private_key(65537, 2048))
        denied = login(gate, facts, forged)
        assert isinstance(denied, Denied)
        assert "no key" in denied.why

    def test_no_algorithm_and_shared_keys_are_never_taken(self, gate: Gate, facts: Facts) -> None:
        """The oldest holes of JWT: alg none, and HS256 with the public key as the shared one."""
        body = token().split(".")[1]
        for head in ({"alg": "none"}, {"alg": "None"}, {"alg": "HS256", "kid": "one"}):
            start = urlsafe_b64encode(json.dumps(head).encode()).rstrip(b"=").decode()
            assert isinstance(login(gate, facts, f"{start}.{body}."), Denied)
        public = RSA.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
        signed = f"{start}.{body}"
        mark = urlsafe_b64encode(hmac.digest(public, signed.encode(), "sha256")).rstrip(b"=").decode()
        assert isinstance(login(gate, facts, f"{signed}.{mark}"), Denied)

    def test_an_algorithm_that_is_not_wanted(self, gate: Gate, facts: Facts) -> None:
        denied = login(gate, facts, token(algorithm="RS512"))
        assert isinstance(denied, Denied)
        assert "oauth.algorithms" in denied.why

    def test_a_key_for_encryption_signs_nothing(self, build: Callable[..., Gate], tmp_path: Path, facts: Facts) -> None:
        path = tmp_path / "keys.json"
        path.write_text(json.dumps({"keys": [jwk(RSA, kid="one", use="enc")]}))
        gate = build(oauth_keys=str(path), oauth_issuer=ISSUER, oauth_audience=AUDIENCE)
        assert isinstance(login(gate, facts, token()), Denied)

    @pytest.mark.parametrize("text", ["", "a.b", "a.b.c", "....", "e30.e30.", "\x7f"])
    def test_what_is_no_token(self, gate: Gate, facts: Facts, text: str) -> None:
        verdict = gate.begin("XOAUTH2", facts).step(f"user=alice\1auth=Bearer {text}\1\1".encode())
        assert isinstance(verdict, Challenge | Denied)

    @pytest.mark.parametrize(
        ("text", "word"),
        [("{}", "JWK set"), ("x", "JWK set"), ('{"keys": [1]}', "JWK set"), ('{"keys": [{"d": "x"}]}', "private")],
    )
    def test_a_file_that_holds_no_public_keys_refuses_for_now(
        self, gate: Gate, facts: Facts, keys: Path, heard: list[Event], text: str, word: str
    ) -> None:
        keys.write_text(text)
        denied = login(gate, facts, token())
        assert isinstance(denied, Denied)
        assert denied.temporary
        assert isinstance(heard[0], Trouble)
        assert word in heard[0].what
        assert str(keys) in heard[0].what

    def test_a_file_that_others_may_write_is_not_trusted(
        self, gate: Gate, facts: Facts, keys: Path, heard: list[Event]
    ) -> None:
        keys.chmod(0o666)
        denied = login(gate, facts, token())
        assert isinstance(denied, Denied)
        assert denied.temporary

    def test_no_event_and_no_verdict_holds_the_token(self, gate: Gate, facts: Facts, heard: list[Event]) -> None:
        said = [repr(login(gate, facts, bearer)) for bearer in (token(), token(exp=1), "hush-hush")]
        said += [getattr(event, "what", "") for event in heard] + [repr(Token("alice", "hush-hush"))]
        assert not [words for words in said if "hush" in words or "eyJ" in words]


class Issuer(HTTPServer):
    """Answers introspection with ``answer``; keeps what it was asked."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.answer: tuple[int, bytes] = (200, b"{}")
        self.asked: list[tuple[dict[str, str], dict[str, list[str]]]] = []


class Handler(BaseHTTPRequestHandler):
    server: Issuer

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        self.server.asked.append((dict(self.headers), parse_qs(body.decode())))
        status, data = self.server.answer
        self.send_response(status)
        if status == 302:
            self.send_header("Location", "/elsewhere")
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    do_GET = do_POST  # noqa: N815

    def log_message(self, *words: object) -> None:
        """Nothing."""


@pytest.fixture
def issuer() -> Iterator[Issuer]:
    server = Issuer()
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield server
    server.shutdown()
    thread.join()
    server.server_close()


class TestIntrospection:
    @pytest.fixture
    def gate(self, build: Callable[..., Gate], issuer: Issuer) -> Gate:
        return build(oauth_introspection=f"http://127.0.0.1:{issuer.server_port}/introspect")

    def test_an_active_token_lets_in(self, gate: Gate, facts: Facts, issuer: Issuer) -> None:
        issuer.answer = 200, b'{"active": true, "sub": "alice"}'
        account = login(gate, facts, "opaque+token/1=")
        assert isinstance(account, Account)
        assert (account.user, account.source) == ("alice", "oauth")
        assert issuer.asked[0][1] == {"token": ["opaque+token/1="], "token_type_hint": ["access_token"]}

    @pytest.mark.parametrize(
        "answer",
        [
            {"active": False},
            {"active": True},
            {"active": True, "sub": "bob"},
            {"active": True, "sub": "alice", "exp": 1},
        ],
    )
    def test_another_answer_does_not(self, gate: Gate, facts: Facts, issuer: Issuer, answer: dict[str, object]) -> None:
        issuer.answer = 200, json.dumps(answer).encode()
        denied = login(gate, facts, "opaque")
        assert isinstance(denied, Denied)
        assert not denied.temporary

    @pytest.mark.parametrize(
        "answer", [(500, b"{}"), (401, b"{}"), (302, b""), (200, b"x"), (200, b'{"active": "true"}'), (200, b"[]")]
    )
    def test_no_answer_refuses_for_now(
        self, gate: Gate, facts: Facts, issuer: Issuer, heard: list[Event], answer: tuple[int, bytes]
    ) -> None:
        issuer.answer = answer
        denied = login(gate, facts, "opaque-token")
        assert isinstance(denied, Denied)
        assert denied.temporary
        assert len(issuer.asked) == 1
        assert isinstance(heard[0], Trouble)
        assert "oauth.introspection" in heard[0].what
        assert "opaque-token" not in heard[0].what

    def test_nobody_there_refuses_for_now(self, build: Callable[..., Gate], facts: Facts) -> None:
        denied = login(build(oauth_introspection="http://127.0.0.1:1/"), facts, "opaque")
        assert isinstance(denied, Denied)
        assert denied.temporary

    def test_we_say_who_we_are(self, build: Callable[..., Gate], facts: Facts, issuer: Issuer, tmp_path: Path) -> None:
        """RFC 6749 section 2.3.1: both parts form-encoded, then Basic."""
        issuer.answer = 200, b'{"active": true, "sub": "alice"}'
        path = tmp_path / "credentials"
        path.write_text("pop3:a b%\n")
        path.chmod(0o600)
        gate = build(oauth_introspection=f"http://127.0.0.1:{issuer.server_port}/", oauth_credentials=str(path))
        assert isinstance(login(gate, facts, "opaque"), Account)
        kind, _, text = issuer.asked[0][0]["Authorization"].partition(" ")
        assert (kind, b64decode(text)) == ("Basic", b"pop3:a+b%25")
        path.chmod(0o644)
        denied = login(gate, facts, "opaque")
        assert isinstance(denied, Denied)
        assert denied.temporary


class TestSettings:
    @pytest.mark.parametrize(
        "values",
        [
            {},
            {"oauth.keys": "/x", "oauth.introspection": "https://x/"},
            {"oauth.keys": "/x"},
            {"oauth.keys": "/x", "oauth.issuer": "y"},
            {"oauth.keys": "/x", "oauth.audience": "y"},
        ],
    )
    def test_half_a_configuration_takes_no_token(
        self, values: dict[str, str], build: Callable[..., Gate], facts: Facts
    ) -> None:
        assert unfit(Settings([("test", values)]))
        gate = build(**{name.replace(".", "_"): value for name, value in values.items()})
        assert "XOAUTH2" not in gate.mechanisms(facts)
        denied = login(gate, facts, "x")
        assert isinstance(denied, Denied)
        assert denied.temporary

    @pytest.mark.parametrize(
        "facts",
        [
            Facts("s1", peer="192.0.2.7", local="192.0.2.1", tls=Tls("TLSv1.3")),
            Facts("s1", peer="192.0.2.7", local="192.0.2.1", secure=True),
            Facts("s1", peer="127.0.0.1", local="127.0.0.1"),
        ],
        ids=["TLS", "an outer layer", "the same host"],
    )
    def test_it_is_offered_where_tokens_can_be_checked_and_nobody_reads_along(self, gate: Gate, facts: Facts) -> None:
        assert gate.mechanisms(facts) == ("OAUTHBEARER", "XOAUTH2", "PLAIN", "LOGIN")

    @pytest.mark.parametrize(
        "facts",
        [
            Facts("s1", peer="192.0.2.7", local="192.0.2.1"),
            Facts("s1", peer="127.0.0.1", local="127.0.0.1", proxy="192.0.2.9"),
            Facts("s1"),
        ],
        ids=["in the clear", "by a proxy", "nobody knows"],
    )
    def test_a_token_is_never_asked_for_in_the_clear(self, gate: Gate, facts: Facts) -> None:
        """RFC 7628 section 4: TLS, or what protects as well."""
        assert gate.mechanisms(facts) == ("PLAIN", "LOGIN")

    def test_it_is_not_where_no_source_takes_them(self, build: Callable[..., Gate], keys: Path, facts: Facts) -> None:
        gate = build(oauth_keys=str(keys), oauth_issuer=ISSUER, oauth_audience=AUDIENCE, auth_sources="accounts")
        assert gate.mechanisms(facts) == ("PLAIN", "LOGIN")

    @pytest.mark.parametrize(
        ("scope", "fits"),
        [("mail pop", True), (["pop", "mail", "x"], True), ("mail", False), (None, False), ("mailpop", False)],
    )
    def test_all_scopes_that_are_wanted_must_be_there(self, scope: object, fits: bool) -> None:
        settings = Settings([("test", {"oauth.scope": "pop mail", "oauth.introspection": "https://x/"})])
        assert (misfit({"scope": scope}, settings, 0) == "") is fits

    @pytest.mark.parametrize(("now", "fits"), [(969, False), (970, True), (1229, True), (1230, False)])
    def test_clocks_may_differ_by_half_a_minute(self, now: int, fits: bool) -> None:
        settings = Settings([("test", {"oauth.introspection": "https://x/"})])
        assert (misfit({"nbf": 1000, "exp": 1200}, settings, now) == "") is fits


def test_brackets_in_brackets_are_no_token(gate: Gate, facts: Facts, monkeypatch: pytest.MonkeyPatch) -> None:
    """PyJWT 2.6, which Debian 12 has, lets the error of json through; a later one does not."""

    def as_2_6(bearer: str) -> object:
        return json.loads(b64decode(bearer.partition(".")[0]))

    monkeypatch.setattr(jwt, "get_unverified_header", as_2_6)
    verdict = login(gate, facts, urlsafe_b64encode(b"[" * 6000).decode() + ".e30.eA")
    assert isinstance(verdict, Denied)
    assert not verdict.temporary


@hypothesis_settings(max_examples=100, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(bearer=st.one_of(st.text("abc.-_=eyJ", min_size=1, max_size=40), st.text(min_size=1, max_size=10)))
def test_no_token_crashes_the_gate(bearer: str, gate: Gate, facts: Facts) -> None:
    message = f"user=alice\1auth=Bearer {bearer}\1\1".encode("utf-8", "surrogatepass")
    assert isinstance(gate.begin("XOAUTH2", facts).step(message), Challenge | Denied)
