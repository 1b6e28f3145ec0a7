"""The table of unique-ids from elsewhere: what identifies a message, and what damage does."""

import os

import pytest
from hypothesis import given
from hypothesis import strategies as st

from qpopper_py.errors import MaildropTrouble
from qpopper_py.store.overrides import Overrides, contents, identity

from . import boxes

HEAD = b"Message-Id: <1@x>\nSubject: a\n b\n"


@pytest.mark.parametrize(
    "marks",
    [
        b"Status: RO\n",
        b"X-Status: A\n",
        b"X-UIDL: abc\n",
        b"X-UID: 17\nX-Keywords: \n",
        b"Content-Length: 6\nLines: 1\n",
        b"X-IMAPbase: 1 2\n Folded\n",
    ],
)
def test_what_mail_readers_and_servers_write_does_not_change_an_identity(marks):
    assert identity(HEAD + marks + b"\nbody\n") == identity(HEAD + b"\nbody\n")
    assert identity(marks + HEAD) == identity(HEAD + b"\nanother body\n")
    assert contents([HEAD + marks + b"\nbody\n"]) == contents([HEAD + b"\nbody\n\n"])


def test_other_fields_and_bodies_do():
    assert identity(HEAD + b"X: y\n\n") != identity(HEAD + b"\n")
    assert contents([HEAD + b"\nbody\n"]) != contents([HEAD + b"\nBody\n"])
    assert identity(b"\n" + HEAD) == identity(b"")


@given(
    st.lists(st.sampled_from([b"a", b"\n", b"\r\n", b"Status: R\n", b"x" * 40000]), max_size=12), st.integers(1, 70000)
)
def test_contents_do_not_depend_on_the_pieces(parts, size):
    whole = b"".join(parts)
    assert contents(whole[at : at + size] for at in range(0, len(whole), size)) == contents([whole])


def table(folder, reports=None):
    return Overrides(str(folder), reports.append if reports is not None else boxes.refuse)


def filled(folder):
    made = table(folder)
    made.put_name("1.a", "uid-1")
    made.put_headers([("k1", "-", "uid-2"), ("k2", "c1", "uid-3"), ("k2", "c2", "uid-4")])
    made.save()
    return folder / "overrides"


def test_what_was_saved_is_loaded(tmp_path):
    path = filled(tmp_path)
    found = table(tmp_path).load()
    assert found.names == {"1.a": "uid-1"}
    assert found.headers == {"k1": [("-", "uid-2")], "k2": [("c1", "uid-3"), ("c2", "uid-4")]}
    assert path.stat().st_mode & 0o777 == 0o600
    assert os.listdir(tmp_path) == ["overrides"]


@pytest.mark.parametrize("line", range(1, 5))
@pytest.mark.parametrize("where", ["first", "middle", "last"])
def test_a_damaged_line_is_left_out_and_the_others_count(tmp_path, line, where):
    path = filled(tmp_path)
    lines = path.read_bytes().split(b"\n")
    text = bytearray(lines[line])
    text[{"first": 0, "middle": len(text) // 2, "last": -1}[where]] ^= 1
    lines[line] = bytes(text)
    path.write_bytes(b"\n".join(lines))
    reports = []
    found = table(tmp_path, reports).load()
    assert len(found.names) + sum(map(len, found.headers.values())) == 3
    assert len(reports) == 1
    assert "1 damaged" in reports[0]
    assert str(path) in reports[0]


@pytest.mark.parametrize("cut", [30, 60, 100])
def test_a_cut_table_is_what_is_left_of_it(tmp_path, cut):
    path = filled(tmp_path)
    data = path.read_bytes()
    path.write_bytes(data[:cut])
    reports = []
    found = table(tmp_path, reports).load()
    assert len(found.names) + sum(map(len, found.headers.values())) == data[:cut].count(b"\n") - 1
    assert len(reports) == (not data[:cut].endswith(b"\n"))


@pytest.mark.parametrize("data", [b"pop3d overrides 2\nN 1.a - uid x\n", b"something else"])
def test_a_table_of_another_format_is_neither_believed_nor_written_over(tmp_path, data):
    (tmp_path / "overrides").write_bytes(data)
    reports = []
    found = table(tmp_path, reports).load()
    assert (found.names, found.headers) == ({}, {})
    assert len(reports) == 1
    with pytest.raises(MaildropTrouble, match="left alone"):
        found.save()
    assert (tmp_path / "overrides").read_bytes() == data


def test_a_table_that_is_a_link_is_not_followed(tmp_path):
    filled(tmp_path).rename(tmp_path / "elsewhere")
    os.symlink(tmp_path / "elsewhere", tmp_path / "overrides")
    reports = []
    assert table(tmp_path, reports).load().names == {}
    assert len(reports) == 1


def test_without_a_folder_there_is_none(monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    made = Overrides("", boxes.refuse).load()
    made.put_name("a", "b")
    made.save()
    assert os.listdir(tmp_path) == []


# -- in the stores ------------------------------------------------------------------------------------------------


def session(folder, data=None, gone=()):
    store = boxes.store(folder, data)
    store.scan()
    uids = list(store.uids())
    store.expunge(gone)
    store.remember(())
    store.close()
    assert len(set(uids)) == len(uids)
    return uids


def say(folder, *rows):
    made = table(folder / "state").load()
    made.put_headers(rows)
    made.save()


def key(number):
    return identity(boxes.message(number).partition(b"\n")[2])


def test_it_comes_before_the_stores_own_scheme(tmp_path):
    mail = boxes.message(1) + boxes.message(2)
    own = session(tmp_path, mail)
    say(tmp_path, (key(1), "-", "given"))
    assert session(tmp_path) == ["given", own[1]]


def test_a_message_keeps_it_though_a_record_was_made_of_it_before(tmp_path):
    """Two with one uid, recorded; then what the table says of the first is what the record says of both."""
    mail = boxes.message(1) + boxes.message(1, b"other\n")
    own = session(tmp_path, mail)
    top = b"Message-Id: <1@example.org>\nSubject: number 1\n\n"
    first, second = contents([top + b"hello\n"]), contents([top + b"other\n"])
    say(tmp_path, (key(1), first, own[0]), (key(1), second, "second"))
    assert session(tmp_path, gone={0}) == [own[0], "second"]
    assert session(tmp_path) == ["second"]


@pytest.mark.parametrize("gone", [{0}, {1}, {2}, {0, 1}, {0, 2}, {1, 2}])
def test_of_messages_that_are_alike_each_keeps_its_own_when_another_goes(tmp_path, gone):
    alike = contents([b"Message-Id: <1@example.org>\nSubject: number 1\n\nhello\n"])
    (tmp_path / "state").mkdir()
    say(tmp_path, *[(key(1), alike, f"uid-{number}") for number in range(3)])
    assert session(tmp_path, boxes.message(1) * 3, gone) == ["uid-0", "uid-1", "uid-2"]
    left = [f"uid-{number}" for number in range(3) if number not in gone]
    assert session(tmp_path) == left
    assert session(tmp_path) == left


def test_a_second_message_of_that_header_does_not_take_it_away(tmp_path):
    (tmp_path / "state").mkdir()
    say(tmp_path, (key(1), "-", "given"))
    assert session(tmp_path, boxes.message(1)) == ["given"]
    uids = session(tmp_path, boxes.message(1) + boxes.message(1, b"other\n"))
    assert uids[0] == "given"


def test_a_maildir_asks_for_names_first_then_for_headers(tmp_path):
    for name in ("new", "cur", "tmp", "../state"):
        os.makedirs(tmp_path / "box" / name)
    text = boxes.message(1).partition(b"\n")[2]
    for name in ("cur/1.a:2,S", "new/2.b", "new/3.c"):
        (tmp_path / "box" / name).write_bytes(text)
    (tmp_path / "box/new/3.c").write_bytes(boxes.message(3).partition(b"\n")[2])
    made = table(tmp_path / "state")
    made.put_name("1.a", "by-name")
    made.save()
    say(tmp_path, (key(1), "-", "by-header"))
    assert session(tmp_path) == ["by-name", "by-header", "3.c"]
