"""Expunge in place: what is left is exactly the rest, whatever goes wrong."""

import errno
import os
import signal
import stat
import threading

import pytest
from hypothesis import given
from hypothesis import strategies as st

from qpopper_py.errors import MaildropChanged, MaildropTrouble
from qpopper_py.store import disk

from .boxes import FROM, message, parse, store, wire
from .test_scan import MAILBOXES

FIVE = [message(number, b"line\n" * number) for number in range(5)]


def write_and_scan(folder, data):
    opened = store(folder, data)
    return opened, opened.scan()


def deliver(folder, data):
    with open(folder / "box", "ab") as file:
        file.write(data)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("expunge")


@given(data=MAILBOXES, doomed=st.sets(st.integers(0, 8)), leading=st.sampled_from([b"", b"\n", b"\0\0\r\n"]))
def test_what_is_left_parses_to_the_kept_messages(folder, data, doomed, leading):
    data = leading + data
    before = parse(data)
    opened, entries = write_and_scan(folder, data)
    doomed = {index for index in doomed if index < len(entries)}
    opened.expunge(doomed)
    opened.close()
    left = (folder / "box").read_bytes()
    assert parse(left) == [one for index, one in enumerate(before) if index not in doomed]
    assert left.startswith(leading)


@given(data=MAILBOXES, doomed=st.sets(st.integers(0, 8), min_size=1), count=st.integers(1, 3))
def test_mail_delivered_since_the_scan_is_kept(folder, data, doomed, count):
    """A delivery agent's mail comes after an empty line; where the last message has none, it is part of that."""
    new = [message(number, b"new\n") for number in range(count)]
    if not data.endswith((b"\n\n", b"\n\r\n")):
        data += b"\n\n" if not data.endswith(b"\n") else b"\n"
    before = parse(data)
    opened, entries = write_and_scan(folder, data)
    doomed = {index for index in doomed if index < len(entries)}
    deliver(folder, b"".join(new))
    opened.expunge(doomed)
    opened.close()
    left = [one for index, one in enumerate(before) if index not in doomed]
    assert parse((folder / "box").read_bytes()) == left + parse(b"".join(new))


def test_inode_owner_and_mode_stay(tmp_path):
    opened, _ = write_and_scan(tmp_path, b"".join(FIVE))
    os.chmod(tmp_path / "box", 0o640)
    opened.close()
    opened = store(tmp_path)
    opened.scan()
    before = os.stat(tmp_path / "box")
    opened.expunge({1})
    after = os.stat(tmp_path / "box")
    opened.close()
    assert (before.st_ino, before.st_uid, before.st_gid, stat.S_IMODE(after.st_mode)) == (
        after.st_ino,
        after.st_uid,
        after.st_gid,
        0o640,
    )


@pytest.mark.parametrize("tail", [b"\n", b"\r\n", b"\n\n\n"])
def test_empty_lines_added_behind_the_last_message_go_with_it(tmp_path, tail):
    opened, _ = write_and_scan(tmp_path, FIVE[0] + FIVE[1])
    deliver(tmp_path, tail + FIVE[2])
    opened.expunge({1})
    opened.close()
    assert (tmp_path / "box").read_bytes() == FIVE[0] + FIVE[2]


def test_mail_glued_to_the_last_message_survives_it(tmp_path):
    """Delivered behind a last message that lacks its empty line."""
    opened, _ = write_and_scan(tmp_path, FIVE[0] + FIVE[1][:-1])
    deliver(tmp_path, FIVE[2])
    opened.expunge({1})
    opened.close()
    assert (tmp_path / "box").read_bytes() == FIVE[0] + FIVE[2]


def test_text_added_to_the_last_message_saves_it(tmp_path):
    opened, _ = write_and_scan(tmp_path, FIVE[0] + FIVE[1])
    deliver(tmp_path, b"more text\n")
    with pytest.raises(MaildropChanged):
        opened.expunge({1})
    opened.close()
    assert (tmp_path / "box").read_bytes() == FIVE[0] + FIVE[1] + b"more text\n"


@pytest.mark.parametrize("grow", [b"", FIVE[4]], ids=["same size", "and mail delivered"])
def test_a_message_edited_in_place_is_not_removed(tmp_path, grow):
    data = b"".join(FIVE[:4])
    opened, _ = write_and_scan(tmp_path, data)
    before = os.stat(tmp_path / "box")
    edited = data.replace(b"number 2", b"NUMBER 2") + grow
    with open(tmp_path / "box", "r+b") as file:
        file.write(edited)
    os.utime(tmp_path / "box", ns=(before.st_atime_ns, before.st_mtime_ns))
    with pytest.raises(MaildropChanged):
        opened.expunge({2})
    opened.close()
    assert (tmp_path / "box").read_bytes() == edited


def test_a_new_separator_in_what_would_move_stops_it(tmp_path):
    data = FIVE[0] + message(7, b"\n" + FROM.replace(b"Wed", b"Wen") + b"x\n") + FIVE[1]
    opened, entries = write_and_scan(tmp_path, data)
    assert len(entries) == 3
    edited = data.replace(b"Wen", b"Wed") + FIVE[4]
    with open(tmp_path / "box", "r+b") as file:
        file.write(edited)
    with pytest.raises(MaildropChanged):
        opened.expunge({0})
    opened.close()
    assert (tmp_path / "box").read_bytes() == edited


def test_a_removed_or_replaced_mailbox_is_left_alone(tmp_path):
    opened, _ = write_and_scan(tmp_path, FIVE[0] + FIVE[1])
    os.rename(tmp_path / "box", tmp_path / "old")
    with pytest.raises(MaildropChanged):
        opened.expunge({0})
    (tmp_path / "box").write_bytes(FIVE[0] + FIVE[1])
    with pytest.raises(MaildropChanged):
        opened.expunge({0})
    opened.close()
    assert (tmp_path / "old").read_bytes() == (tmp_path / "box").read_bytes() == FIVE[0] + FIVE[1]


def test_an_expunge_writes_nothing_in_front_of_the_first_deletion(tmp_path, monkeypatch):
    opened, _ = write_and_scan(tmp_path, b"".join(FIVE))
    inode = os.stat(tmp_path / "box").st_ino
    offsets = []

    def pwrite(fd, data, offset):
        if os.fstat(fd).st_ino == inode:
            offsets.append(offset)
        return os.pwrite(fd, data, offset)

    monkeypatch.setattr(disk, "pwrite", pwrite)
    opened.expunge({3})
    opened.close()
    assert min(offsets) == len(b"".join(FIVE[:3]))


def test_the_last_messages_go_by_a_truncate_alone(tmp_path, monkeypatch):
    """Nothing is moved, so nothing has to be recorded, and nothing can be half done."""
    opened, _ = write_and_scan(tmp_path, b"".join(FIVE))
    inode = os.stat(tmp_path / "box").st_ino
    monkeypatch.setattr(disk, "pwrite", lambda *_: pytest.fail("written to"))
    opened.expunge({3, 4})
    monkeypatch.undo()
    opened.close()
    assert (tmp_path / "box").read_bytes() == b"".join(FIVE[:3])
    assert os.stat(tmp_path / "box").st_ino == inode


@pytest.mark.parametrize("name", ["create", "posix_fallocate", "pwrite", "fsync", "rename"])
@pytest.mark.parametrize("code", [errno.ENOSPC, errno.EDQUOT, errno.EIO, errno.EROFS])
def test_a_disk_that_refuses_leaves_the_mailbox_as_it_was(tmp_path, monkeypatch, name, code):
    opened, _ = write_and_scan(tmp_path, b"".join(FIVE))

    def refuse(*_):
        raise OSError(code, os.strerror(code))

    monkeypatch.setattr(disk, name, refuse)
    with pytest.raises(MaildropTrouble, match="nothing was removed"):
        opened.expunge({0})
    assert (tmp_path / "box").read_bytes() == b"".join(FIVE)
    monkeypatch.undo()
    opened.expunge({0})
    opened.close()
    assert (tmp_path / "box").read_bytes() == b"".join(FIVE[1:])


def test_a_signal_waits_until_the_moves_are_done(tmp_path, monkeypatch):
    opened, _ = write_and_scan(tmp_path, b"".join(FIVE))
    states = []

    def ftruncate(fd, size):
        signal.pthread_kill(threading.get_ident(), signal.SIGTERM)  # at this thread: the server has no other
        os.ftruncate(fd, size)
        states.append("cut")

    monkeypatch.setattr(disk, "ftruncate", ftruncate)
    before = signal.signal(signal.SIGTERM, lambda *_: states.append("signal"))
    try:
        opened.expunge({0})
    finally:
        signal.signal(signal.SIGTERM, before)
    opened.close()
    assert states == ["cut", "signal"]
    assert (tmp_path / "box").read_bytes() == b"".join(FIVE[1:])


def fill(path):
    with open(path, "wb", buffering=0) as file:
        while file.write(b"x" * 4096):  # a full disk takes part of it, then refuses
            if os.statvfs(path.parent).f_bfree == 0:
                break


@pytest.mark.root
def test_a_full_disk_does_not_matter(tmp_path):
    """On a small tmpfs with not one block left, and the state there too."""
    import subprocess

    disk = tmp_path / "disk"
    disk.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=1m", "none", disk], check=True)
    try:
        big = [message(number, b"x" * 70 * 1024 + b"\n") for number in range(10)]
        reports = []
        opened = store(disk, b"".join(big), reports)
        entries = opened.scan()
        fill(disk / "filler")
        assert len(entries) == 10
        opened.expunge({0, 5})
        opened.remember({0, 1})
        opened.close()
        assert (disk / "box").read_bytes() == b"".join(one for n, one in enumerate(big) if n not in (0, 5))
    finally:
        subprocess.run(["umount", disk], check=True)


def test_after_an_expunge_the_store_reads_nothing_more(tmp_path):
    opened, _ = write_and_scan(tmp_path, b"".join(FIVE))
    opened.expunge({0})
    with pytest.raises(MaildropChanged):
        opened.read(1)
    opened.close()


def test_the_wire_form_of_the_tests_agrees_with_the_rfc():
    assert wire(b"a\nb\r\nc\rd") == b"a\r\nb\r\nc\rd\r\n"
