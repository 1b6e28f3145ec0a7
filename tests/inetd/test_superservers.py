"""Sessions as root through the programs that start pop3d, with a real system user."""

from __future__ import annotations

import os
import poplib
from typing import TYPE_CHECKING

import pytest

from tests.harness import PASSWORD, PATIENCE, awkward, deliver, identity, mail, mbox
from tests.inetd.starting import SUPERSERVERS

if TYPE_CHECKING:
    from pathlib import Path

    from tests.inetd.starting import House

pytestmark = [pytest.mark.root, pytest.mark.client]

every_superserver = pytest.mark.parametrize("superserver", SUPERSERVERS)
THREE = [mail(f"message {n}", b"text %d\n" % n) for n in (1, 2, 3)]


def nature(path: Path) -> tuple[int, int, int, int]:
    """What an update must leave as it was: inode, owner, group, mode."""
    found = path.stat()
    return found.st_ino, found.st_uid, found.st_gid, found.st_mode


@every_superserver
def test_poplib_fetches_every_octet_and_deletes(
    superserver: str, house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(poplib, "_MAXLINE", 2 << 20)  # its own limit is 2,048 octets a line
    house.user.fill(awkward())
    before = nature(house.user.mailbox)
    with house.serving(superserver) as serving:
        pop = poplib.POP3("127.0.0.1", serving.port, timeout=PATIENCE)
        pop.user(house.user.name)
        pop.pass_(PASSWORD)
        got = [b"".join(line + b"\r\n" for line in pop.retr(n + 1)[1]) for n in range(pop.stat()[0])]
        for number in range(len(got)):
            pop.dele(number + 1)
        pop.quit()
        serving.idle()
    assert got == [message.wire for message in awkward()]
    assert house.user.mailbox.read_bytes() == b""
    assert nature(house.user.mailbox) == before


@every_superserver
def test_mail_is_opened_only_by_a_process_that_is_the_user_for_good(superserver: str, house: House) -> None:
    user = house.user
    user.fill(THREE)
    with house.serving(superserver) as serving, serving.dialogue() as line:
        assert line.login(user.name).startswith(b"+OK")
        (pid,) = serving.mail_processes()
        who = identity(pid)
        opened = [p for p in serving.processes() if str(user.mailbox) in open_files(p)]
        assert line.ask("QUIT").startswith(b"+OK")
        serving.idle()
    assert who["Uid"] == [user.uid] * 4
    assert who["Gid"] == [user.gid] * 4
    assert set(who["Groups"]) == user.groups()
    assert set(opened) <= {pid}


def open_files(pid: int) -> set[str]:
    folder = f"/proc/{pid}/fd"
    return {os.readlink(f"{folder}/{name}") for name in os.listdir(folder) if os.path.islink(f"{folder}/{name}")}


@every_superserver
def test_a_second_session_is_refused_as_in_use_and_served_after_the_first(superserver: str, house: House) -> None:
    house.user.fill(THREE)
    with house.serving(superserver, ("--set", "locks.timeout=0")) as serving:
        with serving.dialogue() as first, serving.dialogue() as second:
            assert first.login(house.user.name).startswith(b"+OK")
            assert second.login(house.user.name).startswith(b"-ERR [IN-USE]")
            assert first.ask("STAT").startswith(b"+OK 3 ")
            assert first.ask("QUIT").startswith(b"+OK")
        serving.idle()
        with serving.dialogue() as third:
            assert third.login(house.user.name).startswith(b"+OK")
            assert third.ask("QUIT").startswith(b"+OK")


@every_superserver
def test_deletions_happen_at_quit_and_only_then(superserver: str, house: House) -> None:
    user = house.user
    user.fill(THREE)
    whole, before = user.mailbox.read_bytes(), nature(user.mailbox)
    with house.serving(superserver) as serving:
        with serving.dialogue() as line:
            assert line.login(user.name).startswith(b"+OK")
            assert line.ask("DELE 2").startswith(b"+OK")
            assert user.mailbox.read_bytes() == whole
        serving.idle()
        assert user.mailbox.read_bytes() == whole
        with serving.dialogue() as line:
            assert line.login(user.name).startswith(b"+OK")
            assert line.ask("DELE 2").startswith(b"+OK")
            assert line.ask("QUIT").startswith(b"+OK")
            assert line.rest() == b""
        serving.idle()
        with serving.dialogue() as line:
            assert line.login(user.name).startswith(b"+OK")
            assert line.ask("STAT") == b"+OK 2 %d" % (len(THREE[0].wire) + len(THREE[2].wire))
            assert line.ask("QUIT").startswith(b"+OK")
        serving.idle()
    assert nature(user.mailbox) == before
    assert sorted(os.listdir(user.spool)) == [user.name]


@pytest.mark.parametrize("closed", ["", "users", "users/NAME"])
def test_state_that_cannot_be_reached_or_written_keeps_nobody_from_deleting(closed: str, house: House) -> None:
    """Unwritable state never refuses a login; the record of an unfinished change then lies beside the mailbox."""
    user = house.user
    user.fill(THREE)
    folder = house.state / closed.replace("NAME", user.name)
    with house.serving("socat-nofork") as serving:
        with serving.dialogue() as line:  # makes the folders
            assert line.login(user.name).startswith(b"+OK")
            assert line.ask("QUIT").startswith(b"+OK")
        serving.idle()
        folder.chmod(0o500 if user.name in folder.parts else 0o700)
        with serving.dialogue() as line:
            assert line.login(user.name).startswith(b"+OK")
            assert line.ask("DELE 2").startswith(b"+OK")
            assert line.ask("QUIT").startswith(b"+OK")
        serving.idle()
    assert user.mailbox.read_bytes() == mbox([THREE[0], THREE[2]])
    assert sorted(os.listdir(user.spool)) == [user.name]


@every_superserver
def test_a_wrong_password_and_an_unknown_user_hear_the_same(superserver: str, house: House) -> None:
    house.user.fill(THREE)
    with house.serving(superserver, ("--set", "auth.refusal_delay=0")) as serving:
        answers = []
        for name in (house.user.name, "nobody-of-that-name"):
            with serving.dialogue() as line:
                answers.append(line.login(name, "wrong").replace(name.encode(), b"NAME"))
    assert answers[0] == answers[1]
    assert answers[0].startswith(b"-ERR [AUTH]")


@every_superserver
def test_an_mda_delivering_in_mid_session_loses_nothing(superserver: str, house: House) -> None:
    user = house.user
    user.fill(THREE)
    late = mail("late", b"came in mid-session\n")
    with house.serving(superserver) as serving:
        with serving.dialogue() as line:
            assert line.login(user.name).startswith(b"+OK")
            assert line.ask("DELE 1").startswith(b"+OK")
            deliver(user.mailbox, late)
            assert line.ask("QUIT").startswith(b"+OK")
            line.rest()
        serving.idle()
        with serving.dialogue() as line:
            assert line.login(user.name).startswith(b"+OK")
            got = []
            for number in (1, 2, 3):
                assert line.ask(f"RETR {number}").startswith(b"+OK")
                got.append(line.body())
            assert line.ask("QUIT").startswith(b"+OK")
    assert got == [THREE[1].wire, THREE[2].wire, late.wire]
