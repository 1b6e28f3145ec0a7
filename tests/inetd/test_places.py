"""Hashed spools, mailboxes in folders of the user's, reading only, bulletins: with root, a keeper and a system user."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest

from tests.harness import FROM_LINE, mail, mbox

if TYPE_CHECKING:
    from pathlib import Path

    from tests.inetd.starting import House, Serving

pytestmark = [pytest.mark.root, pytest.mark.client("socat")]

TWO = [mail(f"message {n}", b"text %d\n" % n) for n in (1, 2)]
MAIL_GROUP = 8


def place(house: House, folder: Path, owner: int = 0, mode: int = 0o2775) -> Path:
    """The user's mailbox in ``folder``, which is made; its path."""
    folder.mkdir(parents=True)
    os.chown(folder, owner, MAIL_GROUP if owner == 0 else owner)
    folder.chmod(mode)
    mailbox = folder / house.user.name
    mailbox.write_bytes(mbox(TWO))
    os.chown(mailbox, house.user.uid, MAIL_GROUP)
    mailbox.chmod(0o660)
    return mailbox


def delete_first(house: House, serving: Serving) -> bytes:
    """Log in, delete message 1, quit; the last answer."""
    with serving.dialogue() as line:
        said = line.login(house.user.name)
        if not said.startswith(b"+OK"):
            return said
        assert line.ask("DELE 1").startswith(b"+OK")
        said = line.ask("QUIT")
    serving.idle()
    return said


@pytest.mark.parametrize("method", [1, 2])
def test_the_lock_in_a_hashed_spool_is_made_where_the_mailbox_is(house: House, method: int) -> None:
    name = house.user.name
    hashes = {1: chr(ord("a") + sum(name[:5].encode()) % 26), 2: f"{name[0]}/{name[1]}"}
    mailbox = place(house, house.user.spool / hashes[method])
    house.configure(f"hash_spool = {method}")
    with house.serving() as serving:
        assert delete_first(house, serving).startswith(b"+OK")
    assert mailbox.read_bytes() == mbox(TWO[1:])
    assert os.listdir(mailbox.parent) == [name]


def test_in_a_folder_of_their_own_users_make_the_lock_themselves(house: House) -> None:
    homes = house.folder / "homes"
    mailbox = place(house, homes / house.user.name, house.user.uid, 0o700)
    house.configure(f'maildrop = "{homes}/%u/%u"')
    with house.serving() as serving:
        assert delete_first(house, serving).startswith(b"+OK")
    assert mailbox.read_bytes() == mbox(TWO[1:])
    assert os.listdir(mailbox.parent) == [mailbox.name]


def test_root_makes_no_lock_where_the_user_can_lay_a_link(house: House) -> None:
    """The spool is sticky and writable by all: a hash folder that is the user's own may be anything tomorrow."""
    trap = place(house, house.folder / "trap", mode=0o755).parent
    name = house.user.name
    link = house.user.spool / chr(ord("a") + sum(name[:5].encode()) % 26)
    link.symlink_to(trap)
    os.lchown(link, house.user.uid, house.user.uid)
    before = trap.stat().st_mtime_ns
    house.configure("hash_spool = 1")
    with house.serving() as serving:
        assert delete_first(house, serving).startswith(b"-ERR [SYS/TEMP]")
    house.log.wait_for("no dotlock")
    assert trap.stat().st_mtime_ns == before


def test_for_reading_only_root_makes_no_state_folder_either(house: House) -> None:
    house.user.fill(TWO)
    house.configure("read_only = true")
    before = house.user.spool.stat().st_mtime_ns
    with house.serving() as serving:
        with serving.dialogue() as line:
            assert line.login(house.user.name).startswith(b"+OK")
            assert line.ask("DELE 1").startswith(b"-ERR [SYS/PERM]")
            assert line.ask("QUIT").startswith(b"+OK")
        serving.idle()
    assert house.user.mailbox.read_bytes() == mbox(TWO)
    assert not list(house.state.glob("users/*"))
    assert house.user.spool.stat().st_mtime_ns == before


def test_a_bulletin_comes_with_the_login_once_and_names_its_reader(house: House) -> None:
    house.user.fill(TWO)
    bulletins = house.folder / "bulletins"
    bulletins.mkdir(mode=0o755)
    text = bulletins / "1.maintenance"
    text.write_bytes(FROM_LINE + b"To: all\nSubject: maintenance\n\ntonight\n")
    text.chmod(0o644)
    house.configure(f'bulletins = {{ source = "{bulletins}" }}')
    with house.serving() as serving:
        for _ in range(2):
            with serving.dialogue() as line:
                assert line.login(house.user.name).startswith(b"+OK")
                assert line.ask("STAT").startswith(b"+OK 3 ")
                assert line.ask("RETR 3").startswith(b"+OK")
                head = f"To: {house.user.name}@pop.example.org\r\nSubject: maintenance\r\n\r\n"
                assert line.body() == head.encode() + b"tonight\r\n"
                assert line.ask("QUIT").startswith(b"+OK")
            serving.idle()
