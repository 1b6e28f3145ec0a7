"""What entries of which type decide, at PASS and at APOP."""

from __future__ import annotations

import hashlib
import os
from typing import TYPE_CHECKING

import pytest

from qpopper_py.auth.account import Account
from qpopper_py.auth.gate import Denied, Gate
from qpopper_py.events import Event, Trouble
from qpopper_py.facts import Facts

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from qpopper_py.settings import Settings

LOGIN = b"login password"


@pytest.fixture
def make_gate(configure: Callable[..., Settings], tmp_path: Path, heard: list[Event]) -> Callable[..., Gate]:
    """A gate that knows alice by an accounts file, whose hash stands for the login password."""
    accounts = tmp_path / "accounts"
    accounts.write_text("alice:{PLAIN}login password:1234:1234::/home/alice::\n")
    accounts.chmod(0o600)

    def make(**values: object) -> Gate:
        wanted = {"accounts_file": str(accounts), "auth_sources": "mailauth,accounts", **values}
        return Gate(configure(**wanted), heard.append)

    return make


def apop(gate: Gate, facts: Facts, user: str, secret: bytes) -> Account | Denied:
    digest = hashlib.md5(facts.stamp.encode() + secret).hexdigest()
    verdict = gate.begin("APOP", facts).step(f"{user} {digest}".encode())
    assert isinstance(verdict, Account | Denied)
    return verdict


def source(verdict: Account | Denied) -> str:
    """Who vouched; empty: refused."""
    return verdict.source if isinstance(verdict, Account) else ""


@pytest.mark.parametrize(
    ("types", "exclusive", "login", "mail", "apop_"),
    [
        # entries          exclusive  login password  mail password  APOP
        ((), True, "accounts", "", ""),
        (("POP",), True, "", "mailauth", ""),
        (("APOP",), True, "", "", "mailauth"),
        (("APOP",), False, "accounts", "", "mailauth"),
        (("POP", "APOP"), True, "", "mailauth", "mailauth"),
        (("POP", "APOP"), False, "", "mailauth", "mailauth"),
        (("IMAP",), True, "accounts", "", ""),
        (("IMAP", "APOP"), True, "", "", "mailauth"),
    ],
)
def test_who_vouches_for_what(
    make_gate: Callable[..., Gate],
    mailauth: Callable[..., None],
    facts: Facts,
    types: tuple[str, ...],
    exclusive: bool,
    login: str,
    mail: str,
    apop_: str,
) -> None:
    secrets = {"POP": b"mail password", "APOP": b"tanstaaf", "IMAP": b"$1$WQqAIbpa$r9DLewHqSud092OPC02wB1"}
    for type_ in types:
        mailauth("alice", type_, secrets[type_])
    gate = make_gate(mailauth_exclusive=exclusive)
    assert source(gate.check(b"alice", LOGIN, facts)) == login
    assert source(gate.check(b"alice", b"mail password", facts)) == mail
    assert source(apop(gate, facts, "alice", b"tanstaaf")) == apop_
    assert not source(gate.check(b"alice", b"tanstaaf", facts))
    assert not source(apop(gate, facts, "alice", b"tanstaag"))
    assert not source(apop(gate, facts, "alice", b"mail password"))


def test_the_log_hears_why(make_gate: Callable[..., Gate], mailauth: Callable[..., None], facts: Facts) -> None:
    mailauth("alice", "APOP", b"tanstaaf")
    denied = make_gate().check(b"alice", LOGIN, facts)
    assert isinstance(denied, Denied)
    assert "APOP entry alone" in denied.why
    assert "mailauth.exclusive" in denied.why
    assert not denied.temporary


def test_an_entry_without_an_account_is_refused_saying_so(
    make_gate: Callable[..., Gate], mailauth: Callable[..., None], facts: Facts
) -> None:
    mailauth("no-such-user-here", "POP", b"mail password")
    denied = make_gate().check(b"no-such-user-here", b"mail password", facts)
    assert isinstance(denied, Denied)
    assert "no user" in denied.why
    wrong = make_gate().check(b"no-such-user-here", b"wrong", facts)
    assert isinstance(wrong, Denied)
    assert wrong.why == "wrong mail password"


def test_no_database_is_no_entry(make_gate: Callable[..., Gate], facts: Facts, heard: list[Event]) -> None:
    assert source(make_gate().check(b"alice", LOGIN, facts)) == "accounts"
    assert source(make_gate(mailauth_database="").check(b"alice", LOGIN, facts)) == "accounts"
    assert heard == []


def spoil_mode(path: str) -> None:
    os.chmod(path, 0o644)


def spoil_contents(path: str) -> None:
    with open(path, "r+b") as file:
        file.write(b"no SQLite")


def spoil_link(path: str) -> None:
    os.rename(path, path + ".gone")
    os.symlink(path + ".nowhere", path)


@pytest.mark.parametrize("spoil", [spoil_mode, spoil_contents, spoil_link])
def test_a_database_that_cannot_be_trusted_lets_nobody_in(
    make_gate: Callable[..., Gate],
    configure: Callable[..., Settings],
    mailauth: Callable[..., None],
    facts: Facts,
    heard: list[Event],
    spoil: Callable[[str], None],
) -> None:
    """Or else alice, who has an APOP entry alone, would pass by the login password."""
    mailauth("alice", "APOP", b"tanstaaf")
    spoil(configure().mailauth_database)
    for verdict in (make_gate().check(b"alice", LOGIN, facts), apop(make_gate(), facts, "alice", b"tanstaaf")):
        assert isinstance(verdict, Denied)
        assert verdict.temporary
    assert [type(event) for event in heard] == [Trouble, Trouble]
    assert all(configure().mailauth_database in event.what for event in heard if isinstance(event, Trouble))


def test_without_the_key_apop_is_refused_for_now_and_the_mail_password_passes(
    make_gate: Callable[..., Gate],
    configure: Callable[..., Settings],
    mailauth: Callable[..., None],
    facts: Facts,
    heard: list[Event],
) -> None:
    mailauth("alice", "APOP", b"tanstaaf")
    mailauth("alice", "POP", b"mail password")
    os.unlink(configure().mailauth_key)
    denied = apop(make_gate(), facts, "alice", b"tanstaaf")
    assert isinstance(denied, Denied)
    assert denied.temporary
    assert len(heard) == 1
    assert source(make_gate().check(b"alice", b"mail password", facts)) == "mailauth"


@pytest.mark.parametrize("secret", [b"tanst\xe4\xe4f \xff", "tanstääf".encode()])
def test_secrets_are_octets(
    make_gate: Callable[..., Gate], mailauth: Callable[..., None], facts: Facts, secret: bytes
) -> None:
    mailauth("alice", "APOP", secret)
    mailauth("alice", "POP", secret)
    assert source(apop(make_gate(), facts, "alice", secret)) == "mailauth"
    assert source(make_gate().check(b"alice", secret, facts)) == "mailauth"
