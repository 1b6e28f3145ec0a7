"""popa3d's virtual homes: /vhome/ADDRESS/auth/USER with TEMPLATE:HASH:..., /vhome/ADDRESS/mail/USER."""

from __future__ import annotations

import os
import pwd
from typing import TYPE_CHECKING

import pytest

from qpopper_py.auth.account import Account
from qpopper_py.auth.gate import Denied, Gate
from qpopper_py.events import Event, Trouble
from qpopper_py.facts import Facts
from tests.harness import mail
from tests.serve.rooted import Rooted

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from qpopper_py.settings import Settings

SECRET = b"correct horse"
HASH = "$6$4nuf5rFYWbRtWzhG$q5mH5vBodPZ2fXXa52vDuvNqyLdlS9DwP8AhS1JUF/zZw6sB5OZTDfSwEYz2UYDt8QX5tuSSjTnHns8qGbqhK1"
HERE, ELSEWHERE = Facts("s", "192.0.2.9", local="192.0.2.1"), Facts("s", "192.0.2.9", local="192.0.2.2")
SIX = Facts("s", "2001:db8::9", local="2001:db8::1")
# As root the template may be anybody but root; without, ourselves.
TEMPLATE = pwd.getpwuid(os.geteuid() or 65534)


def write(home: Path, user: str, line: str, address: str = "192.0.2.1") -> Path:
    path = home / address / "auth" / user
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(line)
    path.chmod(0o600)
    return path


@pytest.fixture
def home(tmp_path: Path) -> Path:
    write(tmp_path / "vhome", "alice", f"{TEMPLATE.pw_name}:{HASH}:-\n")
    return tmp_path / "vhome"


@pytest.fixture
def gate(configure: Callable[..., Settings], heard: list[Event], home: Path) -> Gate:
    return Gate(configure(virtual_home=str(home)), heard.append)


def test_the_user_s_own_password_opens_the_mailbox_of_that_address_as_the_template(gate: Gate, home: Path) -> None:
    account = gate.check(b"alice", SECRET, HERE)
    assert isinstance(account, Account)
    assert account.user == "alice@192.0.2.1"
    assert (account.uid, account.gid, account.home) == (TEMPLATE.pw_uid, TEMPLATE.pw_gid, TEMPLATE.pw_dir)
    assert account.maildrop == f"mbox:{home}/192.0.2.1/mail/alice"
    assert (account.system, account.login, account.source) == (False, "", "virtual")


def test_an_address_of_ipv6_is_an_address(gate: Gate, home: Path) -> None:
    write(home, "bob", f"{TEMPLATE.pw_name}:{HASH}:x", "2001:db8::1")
    account = gate.check(b"bob", SECRET, SIX)
    assert isinstance(account, Account)
    assert account.user == "bob@2001:db8::1"


@pytest.mark.parametrize("user", [b"alice", b"bob", b"root", b"a.b", b"../auth/alice", b"alice@192.0.2.1"])
def test_a_wrong_password_an_unknown_name_and_an_impossible_one_are_refused(gate: Gate, user: bytes) -> None:
    verdict = gate.check(user, b"wrong", HERE)
    assert isinstance(verdict, Denied)
    assert not verdict.temporary


def test_at_another_address_the_name_is_nobody_s(gate: Gate) -> None:
    assert isinstance(gate.check(b"alice", SECRET, ELSEWHERE), Denied)
    assert isinstance(gate.check(b"alice", SECRET, Facts("s")), Denied)


@pytest.mark.parametrize(
    "line",
    [
        f"{TEMPLATE.pw_name}:{HASH}",
        f"{TEMPLATE.pw_name}:{HASH}:",
        f":{HASH}:-",
        f"nobody-of-this-name:{HASH}:-",
        f"{TEMPLATE.pw_name}:{HASH}:{'-' * 256}",
    ],
)
def test_a_damaged_file_lets_nobody_in_for_now_and_is_named(
    gate: Gate, home: Path, heard: list[Event], line: str
) -> None:
    path = write(home, "bob", line)
    verdict = gate.check(b"bob", SECRET, HERE)
    assert isinstance(verdict, Denied)
    assert verdict.temporary
    assert [event.what.startswith(str(path)) for event in heard if isinstance(event, Trouble)]


@pytest.mark.parametrize("stored", ["*", "!", f"!{HASH}", "!!"])
def test_a_locked_password_lets_nobody_in(gate: Gate, home: Path, stored: str) -> None:
    write(home, "bob", f"{TEMPLATE.pw_name}:{stored}:-")
    assert isinstance(gate.check(b"bob", stored.encode(), HERE), Denied)
    assert isinstance(gate.check(b"bob", SECRET, HERE), Denied)


def test_root_is_no_template(gate: Gate, home: Path) -> None:
    write(home, "bob", f"root:{HASH}:-")
    assert isinstance(gate.check(b"bob", SECRET, HERE), Denied)


@pytest.mark.parametrize("what", ["group", "others", "link"])
def test_a_file_that_others_can_change_is_not_believed(gate: Gate, home: Path, what: str) -> None:
    path = home / "192.0.2.1/auth/alice"
    if what == "link":
        path.rename(home / "alice")
        path.symlink_to(home / "alice")
    else:
        path.chmod(0o620 if what == "group" else 0o602)
    verdict = gate.check(b"alice", SECRET, HERE)
    assert isinstance(verdict, Denied)
    assert verdict.temporary


def test_with_virtual_only_others_are_not_asked_elsewhere(
    configure: Callable[..., Settings], home: Path, tmp_path: Path
) -> None:
    accounts = tmp_path / "accounts"
    accounts.write_text("carol:{PLAIN}her word:1:1::::\n")
    accounts.chmod(0o600)
    more = {"accounts_file": str(accounts), "auth_sources": "accounts", "virtual_home": str(home)}
    assert isinstance(Gate(configure(**more), print).check(b"carol", b"her word", ELSEWHERE), Account)
    assert isinstance(Gate(configure(**more), print).check(b"carol", b"her word", HERE), Denied)
    assert isinstance(Gate(configure(**more, virtual_only=True), print).check(b"carol", b"her word", ELSEWHERE), Denied)


def test_there_no_mechanism_but_a_password_can_succeed_by_another_s_secret(
    configure: Callable[..., Settings], home: Path, tmp_path: Path
) -> None:
    """A namesake in the accounts file has a clear secret: CRAM-MD5 could prove it, for the wrong mailbox."""
    import hashlib
    import hmac

    accounts = tmp_path / "accounts"
    accounts.write_text("alice:{PLAIN}her word:1:1::::\n")
    accounts.chmod(0o600)
    gate = Gate(
        configure(accounts_file=str(accounts), auth_sources="accounts", virtual_home=str(home)), lambda event: None
    )
    for facts, allowed in ((ELSEWHERE, Account), (HERE, Denied)):
        exchange = gate.begin("CRAM-MD5", facts)
        challenge = exchange.step(b"")
        proof = hmac.new(b"her word", challenge.data, hashlib.md5).hexdigest()  # type: ignore[union-attr]
        assert isinstance(exchange.step(b"alice " + proof.encode()), allowed)


@pytest.mark.root
def test_a_virtual_user_s_mail_is_read_and_deleted_by_pop3() -> None:
    from tests.harness import open_folder

    with open_folder() as folder:
        home = folder / "vhome"
        write(home, "dora", f"{TEMPLATE.pw_name}:{HASH}:-\n", "127.0.0.1")
        boxes = home / "127.0.0.1/mail"
        boxes.mkdir()
        settings = {"virtual.home": str(home), "auth.minimum_uid": 1}
        with Rooted(folder, settings=settings) as server:
            filled = server.fill("alice", [mail("one", b"text\n"), mail("two", b"text\n")])
            box = filled.rename(boxes / "dora")
            os.chown(box, TEMPLATE.pw_uid, TEMPLATE.pw_gid)
            with server.dialogue() as line:
                assert line.login("dora", SECRET.decode()).startswith(b"+OK")
                assert line.ask("DELE 1").startswith(b"+OK")
                assert line.ask("QUIT").startswith(b"+OK")
            assert box.read_bytes().count(b"\nSubject: ") == 1
            assert (folder / "state/users/dora@127.0.0.1").is_dir()
