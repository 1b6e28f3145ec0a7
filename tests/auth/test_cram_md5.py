"""CRAM-MD5: the example of RFC 2195, and the gate."""

from __future__ import annotations

import hmac
import re
from typing import TYPE_CHECKING

import pytest

from qpopper_py.auth.account import Account, Denied
from qpopper_py.auth.credentials import Challenge, Response
from qpopper_py.auth.gate import Gate
from qpopper_py.events import Event
from qpopper_py.facts import Facts
from tests.auth.conftest import three_users

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from qpopper_py.settings import Settings


@pytest.fixture
def gate(configure: Callable[..., Settings], tmp_path: Path, heard: list[Event]) -> Gate:
    """Knows alice by a clear password, dave by a hash, bob without a password."""
    return Gate(configure(accounts_file=three_users(tmp_path), auth_sources="mailauth,accounts"), heard.append)


def login(gate: Gate, facts: Facts, user: bytes, secret: bytes) -> Account | Denied:
    exchange = gate.begin("CRAM-MD5", facts)
    challenge = exchange.step(b"")
    assert isinstance(challenge, Challenge)
    verdict = exchange.step(user + b" " + hmac.new(secret, challenge.data, "md5").hexdigest().encode())
    assert not isinstance(verdict, Challenge)
    return verdict


def test_the_example_of_rfc_2195() -> None:
    challenge = b"<1896.697170952@postoffice.reston.mci.net>"
    assert Response("tim", challenge, b"b913a602c7eda7a495b4e6e7334d3890").proves(b"tanstaaftanstaaf")
    assert not Response("tim", challenge, b"b913a602c7eda7a495b4e6e7334d3891").proves(b"tanstaaftanstaaf")


def test_a_clear_password_and_an_apop_secret_answer(gate: Gate, facts: Facts, mailauth: Callable[..., None]) -> None:
    mailauth("bob", "APOP", b"tanstaaf")
    for user, secret, source in ((b"alice", b"secret", "accounts"), (b"bob", b"tanstaaf", "mailauth")):
        account = login(gate, facts, user, secret)
        assert isinstance(account, Account)
        assert (account.user.encode(), account.source) == (user, source)


@pytest.mark.parametrize("user", [b"alice", b"bob", b"dave", b"nobody-here", b"../x", b""])
def test_everything_else_is_refused(gate: Gate, facts: Facts, user: bytes) -> None:
    denied = login(gate, facts, user, b"guess")
    assert isinstance(denied, Denied)
    assert (denied.user.encode(), denied.temporary) == (user, False)


def test_a_challenge_has_the_form_of_a_message_id_and_is_never_the_same(gate: Gate) -> None:
    facts = Facts("s", host="pop.example.org")
    said = [gate.begin("CRAM-MD5", facts).step(b"") for _ in range(2)]
    for challenge in said:
        assert isinstance(challenge, Challenge)
        assert re.fullmatch(rb"<[0-9a-f]{24}\.\d+@pop\.example\.org>", challenge.data)
    assert said[0].data != said[1].data  # type: ignore[union-attr]


def test_the_server_begins(gate: Gate, facts: Facts) -> None:
    """RFC 5034 section 4: an initial response is to be rejected."""
    assert isinstance(gate.begin("CRAM-MD5", facts).step(b"alice " + b"0" * 32), Denied)


@pytest.mark.parametrize("message", [b"", b"alice", b"alice ", b"alice " + b"0" * 31, b"alice " + b"g" * 32, b"\0"])
def test_what_is_no_response_is_refused(gate: Gate, facts: Facts, message: bytes) -> None:
    exchange = gate.begin("CRAM-MD5", facts)
    exchange.step(b"")
    assert isinstance(exchange.step(message), Denied)


def test_it_is_offered_where_there_is_a_secret_to_answer_with(
    configure: Callable[..., Settings], mailauth: Callable[..., None], tmp_path: Path, facts: Facts
) -> None:
    accounts = tmp_path / "accounts"
    accounts.write_text("bob:{SHA512-CRYPT}$6$x$y:1235:1235::/home/bob::\n")
    accounts.chmod(0o600)
    gate = Gate(configure(accounts_file=str(accounts), auth_sources="mailauth,accounts"), lambda event: None)
    assert gate.mechanisms(facts) == ("PLAIN", "LOGIN")
    mailauth("bob", "POP", b"secret")
    assert gate.mechanisms(facts) == ("PLAIN", "LOGIN")
    mailauth("bob", "APOP", b"secret")
    assert gate.mechanisms(facts) == ("SCRAM-SHA-256", "SCRAM-SHA-1", "CRAM-MD5", "PLAIN", "LOGIN")


def test_keys_of_one_hash_offer_that_one(configure: Callable[..., Settings], tmp_path: Path, facts: Facts) -> None:
    accounts = tmp_path / "accounts"
    accounts.write_text("bob:{scram-sha-256}4096,AAAA,AAAA,AAAA:1235:1235::/home/bob::\n")
    accounts.chmod(0o600)
    gate = Gate(configure(accounts_file=str(accounts), auth_sources="accounts"), lambda event: None)
    assert gate.mechanisms(facts) == ("SCRAM-SHA-256", "PLAIN", "LOGIN")
