"""What others do to the mailbox during a session is noticed before a wrong byte is handed out."""

import os

import pytest

from qpopper_py.errors import MaildropChanged, MaildropTrouble, MaildropUnusable
from qpopper_py.store.mbox.store import PIECE

from .boxes import FROM, message, store, wire

LONG = message(1, b"0123456789abcde\n" * (PIECE // 4))
DATA = message(0) + LONG + message(2)


@pytest.fixture
def opened(tmp_path):
    made = store(tmp_path, DATA)
    made.scan()
    yield made
    made.close()


def rewrite(path, data, keep_times):
    before = os.stat(path)
    with open(path, "r+b") as file:
        file.truncate(len(data))
        file.write(data)
    if keep_times:
        os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))


CHANGES = {
    "edited, size and mtime restored": lambda path: rewrite(path, DATA.replace(b"hello", b"HELLO"), True),
    "edited": lambda path: rewrite(path, DATA.replace(b"hello", b"HELLO"), False),
    "shortened": lambda path: rewrite(path, DATA[:-20], False),
    "emptied": lambda path: rewrite(path, b"", False),
    "first message removed": lambda path: rewrite(path, DATA[len(message(0)) :], False),
    "first message removed and mail added": lambda path: rewrite(path, DATA[len(message(0)) :] + DATA, False),
    "a separator broken and mail added": lambda path: rewrite(
        path, DATA.replace(b"\n\n" + FROM, b"\nx" + FROM) + message(3), False
    ),
    "replaced by the same": lambda path: (path.rename(str(path) + ".old"), path.write_bytes(DATA)),
    "removed": lambda path: path.unlink(),
}


@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES)
def test_a_change_is_noticed_before_a_byte_is_read(opened, tmp_path, change):
    change(tmp_path / "box")
    for index in range(3):
        with pytest.raises(MaildropChanged):
            opened.read(index)
    with pytest.raises(MaildropChanged):
        opened.uids()


@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES)
def test_a_change_in_mid_message_ends_it_before_the_next_byte(opened, tmp_path, change):
    pieces = opened.read(1)
    assert LONG.startswith(next(pieces).replace(b"\r\n", b"\n"), len(FROM))
    change(tmp_path / "box")
    with pytest.raises(MaildropChanged):
        next(pieces)


def test_a_header_edited_as_mail_is_added_is_noticed(opened, tmp_path):
    rewrite(tmp_path / "box", DATA.replace(b"number 1", b"NUMBER 1") + message(3), False)
    assert b"".join(opened.read(0)) == wire(message(0)[len(FROM) : -1])
    with pytest.raises(MaildropChanged):
        opened.read(1)


def test_mail_added_in_mid_message_changes_nothing(opened, tmp_path):
    pieces = opened.read(1)
    got = [next(pieces)]
    for number in range(3):
        with open(tmp_path / "box", "ab") as file:
            file.write(message(3 + number))
        got.append(next(pieces))
    assert b"".join([*got, *pieces]) == wire(LONG[len(FROM) : -1])
    assert len(opened.uids()) == 3


def test_an_edit_after_an_addition_is_noticed(opened, tmp_path):
    with open(tmp_path / "box", "ab") as file:
        file.write(message(3))
    opened.read(0)
    rewrite(tmp_path / "box", (DATA + message(3)).replace(b"hello", b"HELLO"), True)
    with pytest.raises(MaildropChanged):
        opened.read(0)


@pytest.mark.parametrize("size", [1, 2, 3, 5, 8, 64])
def test_line_ends_come_out_the_same_in_pieces_of_any_size(tmp_path, monkeypatch, size):
    content = b"A: b\r\nC: d\n\r\n\r\r\n\n\r\rx\r\n\r\ny\r"
    monkeypatch.setattr("qpopper_py.store.mbox.store.PIECE", size)
    opened = store(tmp_path, FROM + content)
    entries = opened.scan()
    assert b"".join(opened.read(0)) == wire(content)
    assert entries[0].octets == len(wire(content))
    opened.close()


@pytest.mark.parametrize(
    ("make", "word"),
    [
        (lambda path: path.symlink_to("/etc/passwd"), "symbolic link"),
        (lambda path: path.mkdir(), "folder"),
        (lambda path: os.mkfifo(path), "no regular file"),
        (lambda path: (path.write_bytes(DATA), os.link(path, str(path) + "2")), "second name"),
    ],
    ids=["symlink", "folder", "fifo", "hard link"],
)
def test_what_is_no_plain_file_is_refused_by_name(tmp_path, make, word):
    make(tmp_path / "box")
    with pytest.raises(MaildropUnusable, match=word) as why:
        store(tmp_path).scan()
    assert str(tmp_path / "box") in str(why.value)


@pytest.mark.root
def test_somebody_elses_mailbox_is_refused(tmp_path):
    (tmp_path / "box").write_bytes(DATA)
    os.chown(tmp_path / "box", 12345, -1)
    with pytest.raises(MaildropUnusable, match="belongs to uid 12345"):
        store(tmp_path).scan()


def test_a_read_error_is_trouble_and_names_the_mailbox(opened, tmp_path, monkeypatch):
    def broken(fd, size, offset):
        raise OSError(5, "Input/output error")

    monkeypatch.setattr("qpopper_py.store.mbox.store.read_at", broken)
    with pytest.raises(MaildropTrouble, match="box: Input/output error"):
        next(opened.read(0))


def test_a_mailbox_replaced_before_we_have_its_lock_is_opened_anew(tmp_path, monkeypatch):
    """As by an agent that writes a new file and renames it, under the locks that we wait for."""
    opened = store(tmp_path, DATA)
    real = opened.lock.take

    def take(fd, exclusive):
        if not (tmp_path / "old").exists():
            os.rename(tmp_path / "box", tmp_path / "old")
            (tmp_path / "box").write_bytes(message(7))
        real(fd, exclusive)

    monkeypatch.setattr(opened.lock, "take", take)
    assert len(opened.scan()) == 1
    assert b"number 7" in b"".join(opened.read(0))
    opened.close()


def test_what_was_retrieved_of_a_changed_mailbox_is_reported_not_raised(tmp_path):
    reports = []
    opened = store(tmp_path, DATA, reports)
    opened.scan()
    (tmp_path / "box").write_bytes(b"")
    opened.remember({0})
    opened.close()
    assert len(reports) == 1
    assert "was rewritten under the session" in reports[0]


def test_a_mailbox_that_ends_too_early_is_named(opened, tmp_path, monkeypatch):
    os.truncate(tmp_path / "box", 10)
    with pytest.raises(MaildropChanged, match=str(tmp_path / "box")):
        opened.read(0)
