"""Qpopper's manners where root serves: what was said before the login crosses to the mail process."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.harness import awkward, open_folder, wait_until
from tests.serve.rooted import UIDS, USERS, Rooted

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="needs root")
ONE = awkward()[:1]


class Popper(Rooted):
    """The same, called by Qpopper's name."""

    def command(self) -> list[str]:
        return [*super().command(), "--personality", "qpopper"]

    def home(self, user: str) -> Path:
        return self.folder / "homes" / user

    def write_accounts(self) -> None:
        """As the other, and with homes that nobody else may enter."""
        super().write_accounts()
        accounts = self.folder / "auth/accounts"
        lines = [line.split(":") for line in accounts.read_text().splitlines()]
        for fields in lines:
            home = self.home(fields[0])
            home.mkdir(parents=True, exist_ok=True)
            home.chmod(0o700)
            os.chown(home, UIDS[fields[0]], UIDS[fields[0]])
            fields[5] = str(home)
        accounts.write_text("".join(":".join(fields) + "\n" for fields in lines))


@pytest.fixture
def server() -> Iterator[Popper]:
    with open_folder() as folder:
        hook = folder / "hook"
        hook.write_text(
            f'#!/bin/sh\n(echo "$USER $IP"; id -u) > {folder}/told/new\nmv {folder}/told/new {folder}/told/out\n'
        )
        hook.chmod(0o755)
        (folder / "told").mkdir()
        (folder / "told").chmod(0o1777)
        settings = {
            "user_options": "both",
            "spool": folder / "mail",
            "login_hook": hook,
            "log.reverse_lookup": False,
            "log.timing": True,
            "log.login": "in: %1 from %3",
            "statistics": True,
        }
        rooted = Popper(folder, settings)
        for user in USERS:
            rooted.fill(user, ONE)
        yield rooted


def options(server: Popper, user: str, text: str, owner: int = 0) -> Path:
    path = server.folder / f"mail/.{user}.qpopper-options"
    path.write_text(text)
    path.chmod(0o644)
    os.chown(path, owner, owner)
    return path


def test_a_login_runs_the_hook_as_the_mail_user_and_is_told_as_asked(server: Popper) -> None:
    with server, server.dialogue() as line:
        assert line.login("alice", USERS["alice"]).startswith(b"+OK alice has 1 visible message (0 hidden) in ")
        told = server.folder / "told/out"
        wait_until(told.exists, "the hook's word")
        assert told.read_text().split() == ["alice", "127.0.0.1", str(UIDS["alice"])]
        assert line.ask("QUIT").startswith(b"+OK")
        server.log.wait_for(r"in: alice from 127\.0\.0\.1 ")
        server.log.wait_for(r"Timing for alice@\S+ \(normal\) auth=\d+ init=\d+ clean=\d+ ")
        server.log.wait_for(r"Stats: alice 0 0 1 \d+ \S+ 127\.0\.0\.1 ")


def test_a_users_options_hold_for_that_users_session(server: Popper) -> None:
    options(server, "alice", "set timeout = 1\n", UIDS["alice"])
    with server, server.dialogue() as alice, server.dialogue() as bob:
        alice.login("alice", USERS["alice"])
        bob.login("bob", USERS["bob"])
        assert alice.line() == b"-ERR POP timeout from pop.example.org"
        assert bob.ask("NOOP") == b"+OK no big woop"


@pytest.mark.parametrize("mode", ["standalone", "prefork"])
def test_the_file_at_home_is_read_as_its_owner_anew_for_each_session(server: Popper, mode: str) -> None:
    server.settings |= {"serve.mode": mode, "login_hook": ""}
    with server:
        path = server.home("alice") / ".qpopper-options"
        path.write_text("reset UW-kluge\nset timeout = 1\nset log-facility = local0\n")
        os.chown(path, UIDS["alice"], UIDS["alice"])
        with server.dialogue() as line:
            line.login("alice", USERS["alice"])
            assert line.line() == b"-ERR POP timeout from pop.example.org"
            assert line.line() == b""
        server.log.wait_for("Attempt to use restricted option log-facility; scanning line 3 of ")
        path.unlink()
        with server.dialogue() as line:
            assert line.login("alice", USERS["alice"]).startswith(b"+OK")
            assert line.ask("QUIT").startswith(b"+OK")
        assert server.log.text.count("restricted") == 1


def test_a_user_cannot_have_the_servers_secrets_read_as_options(server: Popper) -> None:
    """CVE-2005-1151: what is named, and what is linked to, is opened with the user's rights."""
    path = options(server, "alice", "set tracefile = /etc/x\nset config-file = /etc/shadow\n", UIDS["alice"])
    with server:
        with server.dialogue() as line:
            assert line.login("alice", USERS["alice"]).startswith(b"+OK")
        server.log.wait_for("Attempt to use restricted option tracefile")
        server.log.wait_for('Unrecognized option "config-file"')
        path.unlink()
        path.symlink_to("/etc/shadow")
        with server.dialogue() as line:
            assert line.login("alice", USERS["alice"]).startswith(b"+OK")
        server.log.wait_for(r"alice\.qpopper-options: .* it is not heeded")
    assert not Path("/etc/x").exists()
    assert "root:" not in server.log.text


def test_no_mime_crosses_to_the_mail_process(server: Popper) -> None:
    path = server.maildrop("alice")
    path.write_bytes(
        b"From carol@example.com Fri Nov 20 08:55:46 2026\nSubject: x\nMIME-Version: 1.0\n"
        b"Content-Type: text/plain\nContent-Transfer-Encoding: base64\n\naGVsbG8=\n\n"
    )
    with server, server.dialogue() as line:
        assert line.login("alice-no-mime", USERS["alice"]).startswith(b"+OK alice has 1 visible message ")
        assert line.ask("RETR 1").startswith(b"+OK ")
        assert line.body().endswith(b"\r\n\r\nhello\r\n")
