"""USER+FOLDER over the wire (``subfolders``): folders of a Maildir, each with its own lock, unique-ids and delay."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest

from tests.harness import PASSWORD, Server, open_folder
from tests.serve.rooted import UIDS, USERS, Rooted

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

NO_FOLDER = b"-ERR [SYS/TEMP] There is no such folder."


def maildir(server: Server, path: Path, *names: str) -> None:
    """A Maildir at ``path`` whose messages say their own names."""
    for folder in (path.parent, path, *(path / name for name in ("new", "cur", "tmp"))):
        folder.mkdir(mode=0o700, exist_ok=True)
        server.give(folder)
    for name in names:
        (path / "new" / name).write_bytes(b"Subject: x\n\n%s\n" % name.encode())
        server.give(path / "new" / name)


@pytest.fixture
def serve() -> Iterator[Callable[..., Server]]:
    with open_folder() as folder:
        running: list[Server] = []

        def start(**more: object) -> Server:
            kind = more.pop("kind", "maildir")
            place = f"{kind}:{folder}/mail/%n/Mail"
            server = Server(folder, settings={"accounts.maildrop": place, "subfolders": "/", **more})
            home = server.maildrop() / "Mail"
            maildir(server, home, "inbox.1")
            maildir(server, home / ".Sub", "sub.1", "sub.2")
            maildir(server, home / ".Sub.Deep", "deep.1")
            running.append(server.__enter__())
            return server

        yield start
        for server in running:
            server.__exit__(None, None, None)


@pytest.mark.parametrize(
    ("name", "uids"),
    [
        ("alice", [b"inbox.1"]),
        ("alice+", [b"inbox.1"]),
        ("alice+Sub", [b"sub.1", b"sub.2"]),
        ("alice+Sub/Deep", [b"deep.1"]),
    ],
)
def test_the_folder_is_in_the_place_of_the_inbox(serve: Callable[..., Server], name: str, uids: list[bytes]) -> None:
    with serve().dialogue() as talk:
        assert talk.login(name).startswith(b"+OK")
        assert talk.ask("UIDL").startswith(b"+OK")
        assert [line.split()[1] for line in talk.body().splitlines()] == uids
        assert talk.ask("QUIT").startswith(b"+OK")


def test_sessions_exclude_each_other_by_folder_and_state_is_the_folders_own(serve: Callable[..., Server]) -> None:
    server = serve()
    home = server.maildrop() / "Mail"
    with server.dialogue() as one, server.dialogue() as other, server.dialogue() as third:
        assert one.login("alice").startswith(b"+OK")
        assert other.login("alice+Sub").startswith(b"+OK")
        assert third.login("alice+Sub").startswith(b"-ERR [IN-USE]")
        assert other.ask("RETR 1").startswith(b"+OK")
        other.body()
        assert other.ask("DELE 2").startswith(b"+OK")
        assert other.ask("QUIT").startswith(b"+OK")
        assert one.ask("LAST").split()[:2] == [b"+OK", b"0"]
        assert one.ask("QUIT").startswith(b"+OK")
    assert os.listdir(home / ".Sub/new") == ["sub.1"]
    assert os.listdir(home / "new") == ["inbox.1"]
    assert (server.folder / "state/users/alice/folders/Sub/session.lock").exists()
    assert os.listdir(server.folder / "state/users") == ["alice"]


@pytest.mark.parametrize(
    "name", ["alice+Nope", "alice+sub", "alice+Sub/Nope", "alice+..", "alice+../../bob/Mail", "alice+link"]
)
def test_what_is_not_there_is_told_after_the_login(serve: Callable[..., Server], name: str) -> None:
    server = serve()
    os.symlink("/", server.maildrop() / "Mail/.link")
    with server.dialogue() as talk:
        assert talk.login(name) == NO_FOLDER


def test_a_link_to_another_maildir_is_not_followed(serve: Callable[..., Server]) -> None:
    server = serve()
    elsewhere = server.folder / "elsewhere"
    maildir(server, elsewhere, "not.yours")
    os.symlink(elsewhere, server.maildrop() / "Mail/.link")
    with server.dialogue() as talk:
        assert talk.login("alice+link").startswith(b"-ERR")


def test_an_mbox_has_no_folders(serve: Callable[..., Server]) -> None:
    server = serve(kind="mbox")
    (server.maildrop() / "Mail").rename(server.maildrop() / "aside")
    with server.dialogue() as talk:
        assert talk.login("alice+Sub") == NO_FOLDER


@pytest.mark.parametrize(("name", "password"), [("alice+Sub", "wrong"), ("alice+%", PASSWORD), ("bob+Sub", "wrong")])
def test_no_folder_is_opened_without_the_users_password(serve: Callable[..., Server], name: str, password: str) -> None:
    with serve().dialogue() as talk:
        assert talk.login(name, password).startswith(b"-ERR [AUTH]")


def test_each_folder_has_its_login_delay(serve: Callable[..., Server]) -> None:
    """In Cyrus the time is the mailbox's (pop3_last_login of its index)."""
    server = serve(login_delay=600)
    for name in ("alice", "alice+Sub"):
        with server.dialogue() as talk:
            assert talk.login(name).startswith(b"+OK")
            assert talk.ask("QUIT").startswith(b"+OK")
    for name, answer in (
        ("alice", b"-ERR [LOGIN-DELAY]"),
        ("alice+Sub", b"-ERR [LOGIN-DELAY]"),
        ("alice+Sub/Deep", b"+OK"),
    ):
        with server.dialogue() as talk:
            assert talk.login(name).startswith(answer), name


def test_the_log_names_user_and_folder(serve: Callable[..., Server]) -> None:
    server = serve()
    with server.dialogue() as talk:
        talk.login("alice+Sub")
        talk.ask("QUIT")
    assert server.log.wait_for(r"alice\+Sub")


@pytest.mark.root
@pytest.mark.parametrize("mode", ["standalone", "prefork"])
def test_as_root_one_mail_process_after_the_other_serves_the_folder_that_was_asked_for(mode: str) -> None:
    """With prefork the process of the session before is used again, whatever folder that was."""
    if os.geteuid() != 0:
        pytest.skip("needs root")
    with open_folder() as folder:
        more = {"accounts.maildrop": f"maildir:{folder}/mail/%n/Mail", "subfolders": "/", "serve.mode": mode}
        server = Rooted(folder, {**more, "login_delay": 600})
        for user, uid in UIDS.items():
            home = server.maildrop(user) / "Mail"
            maildir(server, home, f"{user}.inbox")
            maildir(server, home / ".Sub", f"{user}.sub")
            for path in (home.parent, *home.parent.rglob("*")):
                os.chown(path, uid, uid)
        os.symlink(server.maildrop("bob") / "Mail", server.maildrop() / "Mail/.link")
        with server:
            for name, uid in (("alice", "inbox"), ("alice+Sub", "sub"), ("bob+Sub", "sub"), ("bob", "inbox")):
                user = name.partition("+")[0]
                with server.dialogue() as talk:
                    assert talk.login(name, USERS[user]).startswith(b"+OK"), name
                    assert talk.ask("UIDL 1").split()[-1] == f"{user}.{uid}".encode()
                    assert talk.ask("QUIT").startswith(b"+OK")
                with server.dialogue() as talk:
                    assert talk.login(name, USERS[user]).startswith(b"-ERR [LOGIN-DELAY]"), name
            for name in ("alice+Nope", "alice+link", "alice+../../bob/Mail"):
                with server.dialogue() as talk:
                    assert talk.login(name, USERS["alice"]).startswith(b"-ERR [SYS/"), name
        state = folder / "state/users/alice/folders/Sub"
        assert {path.stat().st_uid for path in (state, state.parent, state / "session.lock")} == {UIDS["alice"]}
