"""Bulletins as Qpopper's manual (-b, bulldir) and GNU mailutils' (bulletin-source, bulletin-db) have them."""

import errno
import fcntl
import os
import stat
import struct
from contextlib import closing

import pytest
from hypothesis import given
from hypothesis import settings as profile
from hypothesis import strategies as st

from qpopper_py.settings import Settings
from qpopper_py.store import disk
from qpopper_py.store.bulletin_numbers import Reader, number_in
from qpopper_py.store.bulletins import leading_number, post_bulletins
from qpopper_py.store.mbox.from_line import RULES
from qpopper_py.store.state import Record

from . import boxes

MAIL = boxes.message(1)


def bulletin(number, head=b"", body=b"news\n"):
    return (
        boxes.FROM
        + b"From: root@example.org\nTo: everybody@example.org\nSubject: bulletin %d\n" % number
        + head
        + b"\n"
        + body
    )


class House:
    """A maildrop, a home, a state folder, a folder of bulletins."""

    def __init__(self, folder, maildrop=MAIL):
        self.folder = folder
        self.box = folder / "box"
        self.bulletins = folder / "bulletins"
        self.state = folder / "state"
        self.home = folder / "home"
        for place in (self.bulletins, self.state, self.home):
            place.mkdir()
        self.reports = []
        if maildrop is not None:
            self.box.write_bytes(maildrop)

    def hang(self, *numbers):
        for number in numbers:
            (self.bulletins / f"{number:05d}.news").write_bytes(bulletin(number))

    def login(self, state=None, **values):
        values = {"bulletins__source": str(self.bulletins), "locks__timeout": 0, **values}
        settings = Settings([("test", {name.replace("__", "."): value for name, value in values.items()})])
        reader = Reader("alice", str(self.home), "alice@pop.example.org")
        state = str(self.state) if state is None else state
        post_bulletins(str(self.box), reader, state, settings, self.reports.append)

    def texts(self):
        with closing(boxes.store(self.folder, state="")) as store:
            return [b"".join(store.read(index)) for index in range(len(store.scan()))]

    def subjects(self):
        lines = [line for text in self.texts() for line in text.split(b"\r\n") if line.startswith(b"Subject: bull")]
        return [int(line.split()[2]) for line in lines]


@pytest.fixture
def house(tmp_path):
    made = House(tmp_path)
    yield made
    assert made.reports == []


@pytest.fixture
def troubled(tmp_path):
    """A house in which something is reported."""
    made = House(tmp_path)
    yield made
    assert made.reports


# --------------------------------------------------------------------------------------------------------------
# Who gets which


@pytest.mark.parametrize(("wanted", "numbers"), [(0, []), (1, [9]), (2, [5, 9]), (99, [1, 5, 9])])
def test_a_new_user_gets_the_latest_ones_and_after_that_each_once(house, wanted, numbers):
    house.hang(1, 5, 9)
    for _ in range(2):
        house.login(bulletins__new_users=wanted)
        assert house.subjects() == numbers
    house.hang(12, 10)
    for _ in range(2):
        house.login()
        assert house.subjects() == [*numbers, 10, 12]


def test_bulletins_come_in_the_order_of_their_numbers_behind_the_mail(house):
    house.login()
    for name in ("10.b", "9.a", "0011-c"):
        (house.bulletins / name).write_bytes(bulletin(leading_number(name)))
    house.login()
    assert house.subjects() == [9, 10, 11]
    assert house.texts()[0] == boxes.wire(MAIL.partition(b"\n")[2][:-1])


@pytest.mark.parametrize("name", ["README", "bulldb.pag", ".1.swp", "7.news~", "-1", ""])
def test_what_is_no_bulletin_by_its_name(name):
    assert leading_number(name) == 0


def test_no_bulletins_no_mail_and_no_trouble(house):
    house.login()
    assert house.box.read_bytes() == MAIL


def test_nothing_is_done_without_a_source_or_for_reading_only(house):
    house.hang(1)
    house.login(bulletins__source="")
    house.login(read_only=True)
    assert house.box.read_bytes() == MAIL
    assert not list(house.state.iterdir())


# --------------------------------------------------------------------------------------------------------------
# What the old server knows


@pytest.mark.parametrize(("known", "numbers"), [(b"2\n", [3, 4]), (b"4\n", []), (b"0\n", [1, 2, 3, 4])])
def test_the_old_server_s_popbull_counts_once(house, known, numbers):
    house.hang(1, 2, 3, 4)
    (house.home / ".popbull").write_bytes(known)
    house.login()
    assert house.subjects() == numbers
    (house.home / ".popbull").write_bytes(b"0\n")
    house.login()
    assert house.subjects() == numbers


@pytest.mark.parametrize("known", [b"", b"what?\n"])
def test_a_popbull_that_says_nothing_is_a_new_user_s(house, known):
    house.hang(1, 2, 3)
    (house.home / ".popbull").write_bytes(known)
    house.login()
    assert house.subjects() == [3]


def ndbm(pairs):
    """A page of ndbm: <ndbm.h>'s layout, little-endian as on Alpha."""
    places, items, end = [], b"", 1024
    for item in (item for pair in pairs for item in pair):
        end -= len(item)
        places.append(end)
        items = item + items
    head = struct.pack(f"<{len(places) + 1}h", len(places), *places)
    return head + bytes(1024 - len(head) - len(items)) + items


@pytest.mark.parametrize(
    "pairs",
    [
        [(b"bob\0", struct.pack("<q", 1)), (b"alice\0", struct.pack("<q", 2))],
        [(b"alice\0", struct.pack("<l", 2))],
        [(b"alice\0", struct.pack(">q", 2))],
        [(b"bob", b"0"), (b"alice", b"2")],
    ],
)
def test_the_old_server_s_database_comes_before_popbull_and_is_left_alone(house, pairs):
    """Qpopper: name and NUL, a C long; mailutils: name, decimal digits."""
    house.hang(1, 2, 3, 4)
    (house.home / ".popbull").write_bytes(b"0\n")
    database = house.folder / "bulldb.pag"
    database.write_bytes(ndbm(pairs))
    house.login(bulletins__database=str(house.folder / "bulldb"))
    assert house.subjects() == [3, 4]
    assert database.read_bytes() == ndbm(pairs)


def test_a_folder_of_popbull_files_comes_before_the_one_at_home(house):
    """Qpopper's --enable-popbulldir: DIR/USER.popbull, else the home's (pop_bull.c of Qpopper 4.0)."""
    house.hang(1, 2, 3, 4)
    (house.home / ".popbull").write_bytes(b"1\n")
    folder = house.folder / "popbulls"
    folder.mkdir()
    (folder / "bob.popbull").write_bytes(b"4\n")
    (folder / "alice.popbull").write_bytes(b"3\n")
    house.login(bulletins__database=str(folder))
    assert house.subjects() == [4]


def test_a_folder_without_the_user_s_popbull_leaves_the_question_to_the_home(house):
    house.hang(1, 2, 3, 4)
    (house.home / ".popbull").write_bytes(b"1\n")
    house.login(bulletins__database=str(house.home))
    assert house.subjects() == [2, 3, 4]


def test_a_database_without_the_user_leaves_the_question_to_popbull(house):
    house.hang(1, 2, 3, 4)
    (house.home / ".popbull").write_bytes(b"1\n")
    (house.folder / "bulldb.pag").write_bytes(ndbm([(b"bob\0", struct.pack("<q", 1))]))
    house.login(bulletins__database=str(house.folder / "bulldb"))
    assert house.subjects() == [2, 3, 4]


@pytest.mark.parametrize("contents", [None, b"SQLite format 3\0", b"\0\1\2"])
def test_a_database_that_cannot_be_read_is_reported_and_gone_without(troubled, contents):
    troubled.hang(1, 2)
    if contents is not None:
        (troubled.folder / "bulldb").write_bytes(contents)
    troubled.login(bulletins__database=str(troubled.folder / "bulldb"))
    assert troubled.subjects() == [2]
    assert len(troubled.reports) == 1
    assert "\n" not in troubled.reports[0]
    troubled.login(bulletins__database=str(troubled.folder / "bulldb"))
    assert len(troubled.reports) == 1


@given(st.integers(0, 2**31 - 1))
def test_a_small_number_is_read_in_either_byte_order(number):
    if number < 2**15:
        assert number_in(number.to_bytes(4, "little")) == number == number_in(number.to_bytes(8, "big"))
    assert number_in(b"12345") is None


# --------------------------------------------------------------------------------------------------------------
# mailutils' mbox of bulletins


def test_the_messages_of_an_mbox_count_from_one(house):
    source = house.folder / "bulletins.mbox"
    source.write_bytes(bulletin(1) + b"\n" + bulletin(2) + b"\n")
    house.login(bulletins__source=str(source), bulletins__new_users=0)
    assert house.subjects() == []
    with source.open("ab") as file:
        file.write(bulletin(3) + b"\n" + bulletin(4, body=b""))
    house.login(bulletins__source=str(source))
    assert house.subjects() == [3, 4]


def test_an_mbox_that_did_not_change_is_not_read_again(house, monkeypatch):
    source = house.folder / "bulletins.mbox"
    source.write_bytes(bulletin(1) + b"\n")
    house.login(bulletins__source=str(source))
    monkeypatch.setattr("qpopper_py.store.bulletins.scan", boxes.refuse)
    house.login(bulletins__source=str(source))
    assert house.subjects() == [1]


def test_a_source_that_is_no_mbox_or_not_there_is_reported_and_no_login_refused(troubled):
    source = troubled.folder / "source"
    troubled.login(bulletins__source=str(source))
    source.write_bytes(b"Hello\n")
    troubled.login(bulletins__source=str(source))
    assert "No such file" in troubled.reports[0]
    assert "not an mbox" in troubled.reports[1]
    assert troubled.box.read_bytes() == MAIL


# --------------------------------------------------------------------------------------------------------------
# The copy


def test_the_copy_is_addressed_to_its_reader_and_has_nothing_of_another_mailbox(house):
    head = b"TO: a@b,\n\tc@d\nCc: e@f\nstatus: RO\nX-UIDL: 123\nContent-Length: 5\nX-Long: 1\n 2\nTopic: x\n"
    house.login()
    (house.bulletins / "1").write_bytes(bulletin(1, head, b"first\n\nlast"))
    house.login()
    assert house.texts()[1] == (
        b"From: root@example.org\r\nTo: alice@pop.example.org\r\nSubject: bulletin 1\r\n"
        b"Cc: e@f\r\nX-Long: 1\r\n 2\r\nTopic: x\r\n\r\nfirst\r\n\r\nlast\r\n"
    )


WORDS = [b"From a@example.org Wed Dec  2 05:53:22 1992", b"From x", b"\1\1\1\1", b"", b"text", b">From x", b"Status: R"]


@pytest.mark.parametrize("rule", [*RULES])
@profile(max_examples=60)
@given(lines=st.lists(st.sampled_from(WORDS), max_size=8), eol=st.sampled_from([b"\n", b"\r\n"]), ended=st.booleans())
def test_a_bulletin_is_one_message_whatever_it_holds(rule, lines, eol, ended, tmp_path_factory):
    house = House(tmp_path_factory.mktemp("house"))
    text = boxes.FROM + b"Subject: bulletin 1\n\n" + b"\n".join(lines) + (b"\n" if ended else b"")
    (house.bulletins / "1").write_bytes(text.replace(b"\n", eol))
    house.login(mbox__separator=rule)
    with (house.box).open("ab") as file:
        file.write(MAIL)
    with closing(boxes.store(house.folder, state="", mbox__separator=rule)) as store:
        texts = [b"".join(store.read(index)) for index in range(len(store.scan()))]
    assert [text.startswith(b"Subject: bull") for text in texts] == [False, True, False]


def test_a_bulletin_of_a_header_alone(house):
    house.login()
    (house.bulletins / "1").write_bytes(boxes.FROM + b"Subject: bulletin 1")
    house.login()
    assert house.texts()[1:] == [b"Subject: bulletin 1\r\n\r\n"]


@pytest.mark.parametrize("unfit", [b"", b"Subject: no From_ line\n\n", b"From root whenever\nSubject: 1\n\n", None])
def test_what_cannot_be_posted_yet_holds_up_those_behind_it(troubled, unfit):
    """It may be in the making, or not readable yet: passed over it would be lost."""
    troubled.login()
    troubled.hang(1, 3)
    second = troubled.bulletins / "2"
    if unfit is None:
        second.mkdir()
    else:
        second.write_bytes(unfit)
    troubled.login()
    assert troubled.subjects() == [1]
    assert str(second) in troubled.reports[0]
    if unfit is None:
        second.rmdir()
    second.write_bytes(bulletin(2))
    troubled.login()
    assert troubled.subjects() == [1, 2, 3]


# --------------------------------------------------------------------------------------------------------------
# The maildrop


@pytest.mark.parametrize(
    "before",
    [b"", b"\n\n", MAIL, MAIL[:-1], MAIL[:-2], MAIL + b"\n", MAIL.replace(b"\n", b"\r\n")],
)
def test_a_bulletin_stands_on_its_own_whatever_the_mailbox_ends_in(tmp_path, before):
    house = House(tmp_path, before)
    house.hang(1)
    count = len(house.texts())
    house.login()
    assert house.subjects() == [1]
    assert len(house.texts()) == count + 1
    assert house.box.read_bytes().startswith(before)
    assert house.reports == []


def test_a_missing_mailbox_is_made_with_its_owner_s_eyes_only(tmp_path):
    house = House(tmp_path, None)
    house.hang(1)
    house.login()
    assert house.subjects() == [1]
    assert stat.S_IMODE(house.box.stat().st_mode) == 0o600


def test_where_no_mailbox_can_be_made_the_bulletin_waits(tmp_path, monkeypatch):
    house = House(tmp_path, None)
    house.hang(1)

    def refuse(path, *_):
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), path)

    with monkeypatch.context() as patch:
        patch.setattr(disk, "create", refuse)
        house.login()
    assert house.reports == []
    house.box.write_bytes(b"")
    house.login()
    assert house.subjects() == [1]


def test_a_file_that_is_no_mailbox_is_left_alone(tmp_path):
    house = House(tmp_path, b"#!/bin/sh\n")
    house.hang(1)
    house.login()
    assert house.box.read_bytes() == b"#!/bin/sh\n"


def test_an_mmdf_mailbox_stays_one(tmp_path):
    house = House(tmp_path, b"\1\1\1\1\nSubject: 1\n\nmail\n\1\1\1\1\n")
    house.hang(1)
    house.login()
    assert house.subjects() == [1]
    assert house.box.read_bytes().count(b"\1\1\1\1\n") == 4


def test_a_maildir_gets_a_file_in_new(tmp_path):
    house = House(tmp_path, None)
    for name in ("cur", "new", "tmp"):
        (house.box / name).mkdir(parents=True)
    house.hang(1, 2)
    house.login(bulletins__new_users=9)
    assert house.subjects() == [1, 2]
    assert len(list((house.box / "new").iterdir())) == 2
    assert not list((house.box / "tmp").iterdir())
    house.login()
    assert house.subjects() == [1, 2]


def test_an_error_in_a_maildir_leaves_nothing_half_done(tmp_path, monkeypatch):
    house = House(tmp_path, None)
    for name in ("cur", "new", "tmp"):
        (house.box / name).mkdir(parents=True)
    house.hang(1, 2)
    monkeypatch.setattr(disk, "sync_folder", full)
    house.login(bulletins__new_users=9)
    assert house.subjects() == []
    assert not list((house.box / "tmp").iterdir())
    assert "No space left" in house.reports[0]


# --------------------------------------------------------------------------------------------------------------
# Locks, errors, crashes


def full(*_):
    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


@pytest.mark.parametrize("what", ["write_at", "fsync"])
def test_on_a_full_disk_the_mailbox_stays_as_it_was_and_the_bulletin_comes_later(troubled, what, monkeypatch):
    troubled.hang(1)
    with monkeypatch.context() as patch:
        whole = disk.write_at

        def half(fd, data, offset):
            whole(fd, data[: len(data) // 2], offset)
            full()

        patch.setattr(disk, what, half if what == "write_at" else full)
        troubled.login()
    assert troubled.box.read_bytes() == MAIL
    assert "nothing was added" in troubled.reports[0]
    troubled.login()
    assert troubled.subjects() == [1]


def test_a_bulletin_waits_while_a_delivery_holds_the_mailbox(troubled):
    troubled.hang(1)
    lock = troubled.folder / "box.lock"
    lock.write_bytes(b"1\n")
    troubled.login()
    assert troubled.box.read_bytes() == MAIL
    assert "put off" in troubled.reports[0]
    lock.unlink()
    troubled.login()
    assert troubled.subjects() == [1]


def test_of_two_logins_at_once_one_posts(house):
    house.hang(1)
    with (house.state / "bulletins.lock").open("w") as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        house.login()
        assert house.box.read_bytes() == MAIL
    house.login()
    assert house.subjects() == [1]


def test_without_a_record_that_can_be_written_nothing_is_posted(troubled, monkeypatch):
    """Else each login would bring another copy."""
    troubled.hang(1)
    troubled.login(state="")
    monkeypatch.setattr(os, "rename", full)
    troubled.login()
    assert troubled.box.read_bytes() == MAIL
    assert "state folder" in troubled.reports[0]
    assert "cannot be written" in troubled.reports[1]


def test_a_crash_behind_the_copy_leaves_it_twice_and_not_more_often(house, monkeypatch):
    house.hang(1)
    save = Record.save

    def crashing(record, lines, sync):
        if "posting" not in lines[0]:
            raise KeyboardInterrupt
        return save(record, lines, sync)

    with monkeypatch.context() as patch:
        patch.setattr(Record, "save", crashing)
        with pytest.raises(KeyboardInterrupt):
            house.login()
    for _ in range(3):
        house.login()
    assert house.subjects() == [1, 1]


def test_a_record_that_cannot_be_finished_brings_no_copy_at_each_login(troubled, monkeypatch):
    """The disk of the records is full by the time the bulletin is posted."""
    troubled.hang(1)
    rename, count = os.rename, []

    def once(*names):
        count.append(names)
        if len(count) > 1:
            full()
        rename(*names)

    monkeypatch.setattr(os, "rename", once)
    for _ in range(4):
        troubled.login()
    assert troubled.subjects() == [1]


# --------------------------------------------------------------------------------------------------------------
# Qpopper's group-bulletins: NUMBER.GROUP.NAME


def test_bulletins_of_groups_reach_their_members_and_everybody_those_for_all(house):
    """The rules of IsBulletinForMe (pop_bull.c of Qpopper 4.0): ALL in capitals, a name without a dot is for all."""
    import grp

    ours = grp.getgrgid(os.getegid()).gr_name
    theirs = next(group.gr_name for group in grp.getgrall() if group.gr_gid not in (os.getegid(), *os.getgroups()))
    for_us = [f"1.{ours}.news", "2.ALL.news", "3", "4.ALL", "5news"]
    for_others = [f"6.{theirs}.news", "7.no-such-group.news", "8.all.news", "9.", "10..ALL"]
    for number, name in enumerate(for_us + for_others, 1):
        (house.bulletins / name).write_bytes(bulletin(number))
    house.login(bulletins__groups=True, bulletins__new_users=9)
    assert house.subjects() == [1, 2, 3, 4, 5]
    house.login(bulletins__groups=True)
    assert house.subjects() == [1, 2, 3, 4, 5]


def test_groups_are_parts_of_names_where_they_are_not_asked_for(house):
    (house.bulletins / "1.no-such-group.news").write_bytes(bulletin(1))
    house.login()
    assert house.subjects() == [1]
