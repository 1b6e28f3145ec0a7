"""Started by root on a Cyrus spool whose users the system does not know: read where it is, converted, served on."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

import qpopper_py
from qpopper_py.doorstep import closed_to_others
from tests.guard import GUARD
from tests.harness import PATIENCE, command, environment, identity, open_folder
from tests.store.spools import spool

if TYPE_CHECKING:
    from collections.abc import Iterator

CYRUS = 61077  # uid of the spool's owner, who has no name
SECRET = "a secret for root"
GUARD.secret(SECRET, "a secret of sasldb")
MAIL = [b"Subject: 1\r\n\r\none\r\n", b"Subject: 2\r\nStatus: RO\r\n\r\n.two\r\n", b"Subject: 3\r\n\r\n"]
CONF = """\
partition-default: {0}/spool
hashimapspool: yes
servername: mail.example.org
allowplaintext: yes
sasl_sasldb_path: {0}/sasldb2
"""


@pytest.fixture
def folder() -> Iterator[Path]:
    if os.geteuid() != 0:
        pytest.skip("needs root")
    if closed_to_others(os.__file__, qpopper_py.__file__):
        pytest.skip("other users cannot read this Python, and root's server refuses to start from it")
    program = shutil.which("saslpasswd2", path=os.defpath + ":/usr/sbin")
    if program is None:
        pytest.skip("saslpasswd2 (sasl2-bin) is not installed")
    with open_folder() as place:
        (place / "imapd.conf").write_text(CONF.format(place))
        spool(place / "spool/b/user/bovik", MAIL, numbers=[4, 9, 12])
        for name in ("state", "maildirs", "empty"):
            (place / name).mkdir()
        for path in [place / "maildirs", *(place / "spool").rglob("*")]:
            os.chown(path, CYRUS, CYRUS)
        line = [program, "-p", "-c", "-f", str(place / "sasldb2"), "-u", "mail.example.org", "bovik"]
        subprocess.run(line, input=SECRET.encode(), check=True)
        (place / "sasldb2").chmod(0o600)
        yield place


class Session:
    """As inetd starts it."""

    def __init__(self, folder: Path, *options: str, user: str = "bovik", logs_in: bool = True) -> None:
        line = [*command(), "--personality", "cyrus", "-C", f"{folder}/imapd.conf", "--config", "none"]
        line += ["--set", f"state_dir={folder}/state", "--set", f"privilege.chroot={folder}/empty", *options]
        self.sock, theirs = socket.socketpair()
        self.sock.settimeout(PATIENCE)
        with theirs:
            self.server = subprocess.Popen(
                line, stdin=theirs, stdout=theirs, stderr=subprocess.DEVNULL, env=environment(), cwd="/"
            )
        self.file = self.sock.makefile("rb")
        assert self.file.readline().startswith(b"+OK mail.example.org Cyrus POP3 ")
        assert self.ask(f"USER {user}").startswith("+OK")
        self.answer = self.ask(f"PASS {SECRET}")
        if logs_in:
            assert self.answer.startswith("+OK Mailbox locked")
        else:
            self.end()

    def ask(self, line: str) -> str:
        self.sock.sendall(line.encode() + b"\r\n")
        return self.file.readline().decode().rstrip("\r\n")

    def lines(self, line: str) -> list[bytes]:
        assert self.ask(line).startswith("+OK")
        return list(iter(self.file.readline, b".\r\n"))

    def quit(self) -> str:
        said = self.ask("QUIT")
        self.end()
        return said

    def end(self) -> None:
        self.file.close()
        self.sock.close()
        self.server.wait(PATIENCE)


def seen(session: Session) -> tuple[list[bytes], list[bytes], list[bytes]]:
    """LIST, UIDL and the texts."""
    count = int(session.ask("STAT").split()[1])
    texts = [b"".join(session.lines(f"RETR {number + 1}")) for number in range(count)]
    return session.lines("LIST"), session.lines("UIDL"), texts


def test_the_mail_process_is_the_spools_owner_and_the_spool_is_not_written(folder: Path) -> None:
    box = folder / "spool/b/user/bovik"
    before = {path.name: path.read_bytes() for path in box.iterdir()}
    session = Session(folder)
    pids = [int(name) for name in os.listdir("/proc") if name.isdigit()]
    owned = []
    for pid in pids:
        try:
            owned.append(identity(pid)["Uid"] == [CYRUS] * 4)
        except OSError:
            pass  # ended meanwhile
    assert any(owned)
    assert session.ask("DELE 1").startswith("-ERR [SYS/PERM]")
    assert session.quit() == "+OK"
    assert {path.name: path.read_bytes() for path in box.iterdir()} == before


def test_converted_mail_is_the_same_for_every_client_and_can_be_deleted(folder: Path) -> None:
    """cyrus-pop3d(8), Mail: sizes, unique-ids and texts stay, so that no client fetches anything again."""
    session = Session(folder)
    before = seen(session)
    session.quit()
    assert before[1] == [b"1 1280000000.4\r\n", b"2 1280000000.9\r\n", b"3 1280000000.12\r\n"]
    line = [sys.executable, "-m", "qpopper_py.tools.command", "convert", "--config", "none"]
    line += ["--set", "auth.sources=sasldb,maildrops", "--set", f"accounts.maildrop=cyrus:{folder}/spool/%M"]
    line += ["--set", "read_only=true", "--set", f"state_dir={folder}/state", "--from", "cyrus", "--user", "bovik"]
    line += [f"{folder}/spool/b/user/bovik", f"{folder}/maildirs/bovik"]
    done = subprocess.run(line, env=environment(), cwd="/", capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    moved = ["--set", f"accounts.maildrop=maildir:{folder}/maildirs/%u", "--set", "read_only=false"]
    session = Session(folder, *moved)
    assert seen(session) == before
    assert session.ask("DELE 2") == "+OK message deleted"
    assert session.quit() == "+OK"
    session = Session(folder, *moved)
    assert seen(session)[1] == [b"1 1280000000.4\r\n", b"2 1280000000.12\r\n"]
    session.quit()


FOLDERS = "popsubfolders: yes\nunixhierarchysep: yes\n"


@pytest.fixture
def with_folder(folder: Path) -> Path:
    """bovik has the folder lists/an.nounce, as Cyrus before 3.6 keeps it."""
    with (folder / "imapd.conf").open("a") as file:
        file.write(FOLDERS)
    made = spool(
        folder / "spool/b/user/bovik/lists/an^nounce", [b"Subject: 7\r\n\r\n"], numbers=[7], validity=1290000000
    )
    for path in (made.parent, made, *made.iterdir()):
        os.chown(path, CYRUS, CYRUS)
    return folder


def test_a_folder_below_the_users_is_read_where_it_is(with_folder: Path) -> None:
    session = Session(with_folder, user="bovik+lists/an.nounce")
    assert seen(session)[1] == [b"1 1290000000.7\r\n"]
    assert session.quit() == "+OK"
    session = Session(with_folder, user="bovik+/")
    assert seen(session)[1][0] == b"1 1280000000.4\r\n"
    session.quit()


@pytest.mark.parametrize("name", ["bovik+lists", "bovik+lists/../../alice", "bovik+../alice", "bovik+link"])
def test_what_is_no_folder_of_the_users_is_none(with_folder: Path, name: str) -> None:
    """lists holds a folder, and no mail; alice has mail, in the same spool and of the same owner."""
    for path in spool(with_folder / "spool/b/user/alice", MAIL).rglob("*"):
        os.chown(path, CYRUS, CYRUS)
    os.symlink("../alice", with_folder / "spool/b/user/bovik/link")
    session = Session(with_folder, user=name, logs_in=False)
    assert session.answer.startswith("-ERR [SYS/")
    assert "Unable to open maildrop" in session.answer


def test_a_converted_folder_keeps_its_uids_and_mail_can_be_deleted(with_folder: Path) -> None:
    """cyrus-pop3d(8), Mail: a folder lies in the user's Maildir, as Maildir++ has it."""
    line = [sys.executable, "-m", "qpopper_py.tools.command", "convert", "--config", "none"]
    line += ["--set", "auth.sources=sasldb,maildrops", "--set", f"accounts.maildrop=cyrus:{with_folder}/spool/%M"]
    line += ["--set", "read_only=true", "--set", f"state_dir={with_folder}/state", "--from", "cyrus", "--user", "bovik"]
    inbox, maildir = with_folder / "spool/b/user/bovik", with_folder / "maildirs/bovik"
    announce = ["--folder", "lists/an.nounce", inbox / "lists/an^nounce", maildir / ".lists.an^nounce"]
    for words in ([inbox, maildir], announce):
        done = subprocess.run([*line, *words], env=environment(), cwd="/", capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
    moved = ["--set", f"accounts.maildrop=maildir:{with_folder}/maildirs/%u", "--set", "read_only=false"]
    session = Session(with_folder, *moved, user="bovik+lists/an.nounce")
    assert seen(session)[1] == [b"1 1290000000.7\r\n"]
    assert session.ask("DELE 1") == "+OK message deleted"
    assert session.quit() == "+OK"
    session = Session(with_folder, *moved, user="bovik+lists/an.nounce")
    assert session.ask("STAT") == "+OK 0 0"
    session.quit()
    session = Session(with_folder, *moved)
    assert session.ask("STAT").startswith("+OK 3 ")
    session.quit()
