"""SCRAM-MD5: the example of draft-newman-auth-scram-03 (it is in FLIM's sasl-scram.el as well), and the gate."""

from __future__ import annotations

from base64 import b64decode
from hashlib import md5
from hmac import digest
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from qpopper_py.auth.account import Account, Denied
from qpopper_py.auth.credentials import Challenge, Malformed, Md5Proof, WhichSalt
from qpopper_py.auth.gate import Gate
from qpopper_py.auth.mechanisms.scram_md5 import ScramMd5
from qpopper_py.auth.scram import Salting
from qpopper_py.facts import Facts
from qpopper_py.settings import Settings
from tests.auth.conftest import three_users

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from qpopper_py.events import Event

NO_LAYER = b"\x01\0\0\0"
FIRST = b64decode("AGNocmlzADx0NG40UGFiOUhCMEFtL1FMWEI3MmVnQGVsZWFub3IuaW5ub3NvZnQuY29tPg==")
SERVER = b64decode("dGVzdHNhbHQBAAAAaW1hcEBlbGVhbm9yLmlubm9zb2Z0LmNvbQBqaGNOWmxSdVBiemlGcCt2TFYrTkN3")
SECOND = b64decode("AQAAAMg9jU8CeB4KOfk7sUhSQPs=")
LAST = b64decode("U0odqYw3B7XIIW0oSz65OQ==")


@pytest.fixture
def gate(configure: Callable[..., Settings], tmp_path: Path, heard: list[Event]) -> Gate:
    """Knows alice by a clear password, dave by a hash, bob without a password, erin who may not log in."""
    accounts = three_users(tmp_path, "erin:{PLAIN}secret:1234:1234::/home/erin::nologin\n")
    named = {"auth_sources": "mailauth,accounts", "auth_mechanisms": "SCRAM-MD5,CRAM-MD5"}
    return Gate(configure(accounts_file=accounts, **named), heard.append)


def response(first: bytes, server: bytes, secret: bytes, layer: bytes = NO_LAYER) -> tuple[bytes, bytes]:
    """(the client's second message, what the server must answer), by the draft's section on the client."""
    salted = digest(secret, server[:8], "md5")
    key = md5(salted).digest()
    shared = digest(md5(key).digest(), server + first + layer, "md5")
    proof = bytes(a ^ b for a, b in zip(key, shared, strict=True))
    return layer + proof, digest(digest(salted, server[:8], "md5"), first + server + layer, "md5")


def login(gate: Gate, facts: Facts, user: bytes, secret: bytes, identity: bytes = b"") -> Account | Denied:
    """As FLIM does: no initial response, and a blank as answer to the server's proof."""
    exchange = gate.begin("SCRAM-MD5", facts)
    said = exchange.step(b"")
    assert isinstance(said, Challenge)
    assert said.data == b""
    first = identity + b"\0" + user + b"\0<1.2@client>"
    said = exchange.step(first)
    if isinstance(said, Denied):
        return said
    assert isinstance(said, Challenge)
    second, last = response(first, said.data, secret)
    said = exchange.step(second)
    if isinstance(said, Denied):
        return said
    assert isinstance(said, Challenge)
    assert said.data == last
    said = exchange.step(b" ")
    assert not isinstance(said, Challenge)
    return said


def test_the_example_of_the_draft(configure: Callable[..., Settings], facts: Facts) -> None:
    assert response(FIRST, SERVER, b"secret stuff") == (SECOND, LAST)
    mechanism = ScramMd5(facts, configure())
    mechanism.server = SERVER[8:]
    asked = mechanism.step(FIRST)
    assert isinstance(asked, WhichSalt)
    assert asked.user == "chris"
    assert mechanism.told(Salting(b"testsalt and more", 4096)).data == SERVER
    proof = mechanism.step(SECOND)
    assert isinstance(proof, Md5Proof)
    assert not proof.proves(b"secret stuf")
    assert proof.signed == b""
    assert proof.proves(b"secret stuff")
    word = mechanism.last_word(Account("chris", 1, 1))
    assert word is not None
    assert word.data == LAST


def test_a_clear_password_and_an_apop_secret_answer(gate: Gate, facts: Facts, mailauth: Callable[..., None]) -> None:
    mailauth("bob", "APOP", b"tanstaaf")
    for user, secret, source in ((b"alice", b"secret", "accounts"), (b"bob", b"tanstaaf", "mailauth")):
        for identity in (b"", user):
            account = login(gate, facts, user, secret, identity)
            assert isinstance(account, Account)
            assert (account.user.encode(), account.source) == (user, source)


@pytest.mark.parametrize("user", [b"alice", b"bob", b"dave", b"erin", b"nobody-here", b"../x", b"", b"\xff"])
def test_everything_else_is_refused(gate: Gate, facts: Facts, user: bytes) -> None:
    secret = b"secret" if user == b"erin" else b"guess"
    denied = login(gate, facts, user, secret)
    assert isinstance(denied, Denied)
    assert not denied.temporary


def test_nobody_acts_for_another(gate: Gate, facts: Facts) -> None:
    denied = login(gate, facts, b"alice", b"secret", b"bob")
    assert isinstance(denied, Denied)
    assert denied.user == "alice"


def test_the_salt_is_the_same_at_every_try_and_of_those_who_have_none(gate: Gate) -> None:
    facts = Facts("s", host="pop.example.org")

    def challenge(user: bytes) -> bytes:
        said = gate.begin("SCRAM-MD5", facts).step(b"\0" + user + b"\0" + b"n" * 8)
        assert isinstance(said, Challenge)
        return said.data

    for user in (b"alice", b"nobody-here"):
        first, again = challenge(user), challenge(user)
        assert first[:8] == again[:8]
        assert first[8:] != again[8:]
        assert first[8:].startswith(NO_LAYER + b"pop@pop.example.org\0")
    assert challenge(b"alice")[:8] != challenge(b"dave")[:8]


@pytest.mark.parametrize("first", [b"alice", b"\0alice", b"\0alice\0short", b"\0\0" + b"n" * 8, b"x"])
def test_a_first_message_that_is_none_is_refused(
    configure: Callable[..., Settings], facts: Facts, first: bytes
) -> None:
    with pytest.raises(Malformed):
        ScramMd5(facts, configure()).step(first)


@pytest.mark.parametrize("second", [b"", SECOND[:-1], SECOND + b"x", b"\x02" + SECOND[1:], b"\0" + SECOND[1:]])
def test_no_second_message_is_refused(configure: Callable[..., Settings], facts: Facts, second: bytes) -> None:
    """A layer of integrity (2) was not offered."""
    mechanism = ScramMd5(facts, configure())
    mechanism.step(FIRST)
    mechanism.told(Salting(b"testsalt", 1))
    with pytest.raises(Malformed):
        mechanism.step(second)


@given(st.binary(min_size=16, max_size=16))
def test_no_other_proof_holds(proof: bytes) -> None:
    said = (FIRST, SERVER, NO_LAYER)
    held = Md5Proof("chris", Salting(b"testsalt", 1), said, proof).proves(b"secret stuff")
    assert held == (proof == SECOND[4:])


def test_it_is_offered_where_it_is_asked_for_and_nowhere_else(
    gate: Gate, facts: Facts, mailauth: Callable[..., None], configure: Callable[..., Settings], heard: list[Event]
) -> None:
    mailauth("bob", "APOP", b"tanstaaf")
    assert gate.mechanisms(facts) == ("SCRAM-MD5", "CRAM-MD5")
    plain = Gate(configure(auth_sources="mailauth"), heard.append).mechanisms(facts)
    assert "SCRAM-SHA-256" in plain
    assert "SCRAM-MD5" not in plain
