"""accounts.domains: passwd files by domain, as GNU mailutils' virtdomain { passwd-dir } has them."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest

from qpopper_py.auth.account import Account
from qpopper_py.auth.gate import Denied, Gate
from qpopper_py.facts import Facts

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from qpopper_py.events import Event
    from qpopper_py.settings import Settings

ROOT = os.geteuid() == 0
LINE = "alice:{PLAIN}%s:61001:61001::%s::\n"


@pytest.fixture
def login(
    tmp_path: Path, configure: Callable[..., Settings], facts: Facts, heard: list[Event]
) -> Callable[..., Account | Denied]:
    """Log in where example.org and example.net have an alice of their own."""
    folder = tmp_path / "domains"
    folder.mkdir()
    for domain in ("example.org", "example.net"):
        path = folder / domain
        path.write_text(LINE % (f"of {domain}", f"/home/{domain}/alice"))
        path.chmod(0o600)

    def try_it(user: bytes, secret: bytes, **values: object) -> Account | Denied:
        wanted = {"accounts_domains": str(folder), "auth_sources": "accounts", "accounts_maildrop": "mbox:%h/INBOX"}
        return Gate(configure(**{**wanted, **values}), heard.append).check(user, secret, facts)

    return try_it


@pytest.mark.parametrize("domain", ["example.org", "example.net", "EXAMPLE.org"])
def test_each_domain_has_users_of_its_own(login: Callable[..., Account | Denied], domain: str) -> None:
    account = login(f"alice@{domain}".encode(), f"of {domain.lower()}".encode())
    assert isinstance(account, Account)
    assert account.user == f"alice@{domain}"
    assert account.maildrop == f"mbox:/home/{domain.lower()}/alice/INBOX"
    assert not ROOT or (account.uid, account.gid) == (61001, 61001)


@pytest.mark.parametrize(
    ("user", "secret"),
    [
        (b"alice@example.org", b"of example.net"),
        (b"bob@example.org", b"of example.org"),
        (b"alice@example.com", b"of example.org"),
        (b"alice", b"of example.org"),
        (b"alice@../domains/example.org", b"of example.org"),
        (b"alice@.", b"of example.org"),
    ],
)
def test_nobody_else_gets_in(login: Callable[..., Account | Denied], user: bytes, secret: bytes) -> None:
    assert isinstance(login(user, secret), Denied)


def test_who_is_in_no_domain_is_looked_for_in_the_accounts_file(
    login: Callable[..., Account | Denied], tmp_path: Path
) -> None:
    accounts = tmp_path / "accounts"
    accounts.write_text("bob@example.org:{PLAIN}of the file:61002:61002::/home/bob::\n")
    accounts.chmod(0o600)
    assert isinstance(login(b"bob@example.org", b"of the file", accounts_file=str(accounts)), Account)
    assert isinstance(login(b"alice@example.org", b"of example.org", accounts_file=str(accounts)), Account)


def test_a_file_that_others_may_write_refuses_for_now(login: Callable[..., Account | Denied], tmp_path: Path) -> None:
    (tmp_path / "domains/example.org").chmod(0o666)
    denied = login(b"alice@example.org", b"of example.org")
    assert isinstance(denied, Denied)
    assert denied.temporary


@pytest.mark.parametrize("user", ["alice@example.org", "alice!example.org", "alice:example.org"])
def test_the_domain_stands_behind_any_of_three_marks(login: Callable[..., Account | Denied], user: str) -> None:
    """getpwnam_virtual() in libauth/virtual.c of GNU mailutils."""
    account = login(user.encode(), b"of example.org")
    assert isinstance(account, Account)
    assert account.user == "alice@example.org"


@pytest.mark.parametrize("user", ["!example.org", "alice!x@example.org", "alice!../domains/example.org", "alice!"])
def test_a_mark_makes_no_other_name_good(login: Callable[..., Account | Denied], user: str) -> None:
    assert isinstance(login(user.encode(), b"of example.org"), Denied)


def test_without_domains_a_mark_is_a_letter(login: Callable[..., Account | Denied], tmp_path: Path) -> None:
    accounts = tmp_path / "accounts"
    accounts.write_text("a!b:{PLAIN}of the file:61002:61002::/home/bob::\n")
    accounts.chmod(0o600)
    account = login(b"a!b", b"of the file", accounts_file=str(accounts), accounts_domains="")
    assert isinstance(account, Account)
    assert account.user == "a!b"


def test_a_user_without_a_domain_may_be_the_called_addresss(
    login: Callable[..., Account | Denied], tmp_path: Path, facts: Facts
) -> None:
    """getpwnam_ip_virtual() there.  The name is told from that of a system user, whose records would be the same."""
    facts.local = "192.0.2.9"
    path = tmp_path / "domains/192.0.2.9"
    path.write_text(LINE % ("of the address", "/home/address/alice"))
    path.chmod(0o600)
    account = login(b"alice", b"of the address")
    assert isinstance(account, Account)
    assert (account.user, account.maildrop) == ("alice@192.0.2.9", "mbox:/home/address/alice/INBOX")
    assert isinstance(login(b"alice@192.0.2.9", b"of the address"), Account)
    assert isinstance(login(b"alice@example.org", b"of example.org"), Account)
    assert isinstance(login(b"alice@example.com", b"of the address"), Denied)
    assert isinstance(login(b"bob", b"of the address"), Denied)
    facts.local = "192.0.2.10"
    assert isinstance(login(b"alice", b"of the address"), Denied)
