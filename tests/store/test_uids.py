"""Unique-ids: Qpopper's digest, stored ones, and what happens when several messages have the same."""

import hashlib
import itertools
import os

import pytest

from .boxes import FROM, message, refuse, store

HEADER = b"Received: from a\n\tby b\nDATE: today\nTo: c\nMessage-ID: <1>\nsubject: s\r\nX-Date: y\n"
SAME = [FROM + b"Subject: same\n\n%s\n" % body for body in (b"a\n", b"b\n", b"b\n", b"c\n")]


def uids(folder, data=None, gone=(), **values):
    """The uids of one session, which then removes ``gone``."""
    opened = store(folder, data, **values)
    opened.scan()
    found = list(opened.uids())
    opened.expunge(gone)
    opened.remember(())
    opened.close()
    assert len(set(found)) == len(found)
    assert all(1 <= len(uid) <= 70 and all("!" <= c <= "~" for c in uid) for uid in found)
    return found


def test_without_a_stored_uid_it_is_qpoppers_digest(tmp_path):
    """Separator and the raw first lines of four fields, in file order, in any case; no continuations."""
    digested = FROM + b"Received: from a\nDATE: today\nMessage-ID: <1>\nsubject: s\r\n"
    assert uids(tmp_path, FROM + HEADER + b"\nSubject: body\n") == [hashlib.md5(digested).hexdigest()]


def test_a_message_without_header_has_the_digest_of_its_separator(tmp_path):
    assert uids(tmp_path, FROM) == [hashlib.md5(FROM).hexdigest()]


@pytest.mark.parametrize(
    ("field", "uid"),
    [
        (b"X-UIDL: abc\n", "abc"),
        (b"x-uidl:\t abc \r\n", "abc"),
        (b"X-UIDL: " + b"u" * 70 + b"\n", "u" * 70),
        (b'X-UIDL: !"#%n%s~\n', '!"#%n%s~'),
        (b"X-UIDL: first\nX-UIDL: second\n", "first"),
    ],
)
def test_a_stored_uid_is_taken(tmp_path, field, uid):
    assert uids(tmp_path, FROM + b"To: a\n" + field + b"\nX-UIDL: body\n") == [uid]


@pytest.mark.parametrize(
    "field", [b"X-UIDL:\n", b"X-UIDL: a b\n", b"X-UIDL: " + b"u" * 71 + b"\n", b"X-UIDL: \xe4\n", b"X-UIDL: a\0\n"]
)
def test_a_stored_uid_that_the_rfc_forbids_is_not(tmp_path, field):
    data = FROM + field + b"\n"
    assert uids(tmp_path, data) == [hashlib.md5(FROM).hexdigest()]


def test_of_equal_uids_the_first_keeps_it_and_the_others_depend_on_themselves_alone(tmp_path):
    base = hashlib.md5(FROM + b"Subject: same\n").hexdigest()
    first, second, third, fourth = uids(tmp_path, b"".join(SAME))
    assert first == base
    assert second.startswith(base + "-")
    assert third == second + "-2"
    assert uids(tmp_path / "..", SAME[0] + SAME[3], state="") == [first, fourth]


def test_a_long_stored_uid_with_a_suffix_still_fits(tmp_path):
    data = b"".join(FROM + b"X-UIDL: " + b"u" * 70 + b"\n\n%d\n\n" % number for number in range(3))
    assert uids(tmp_path, data)[0] == "u" * 70


GROUPS = [*SAME, message(7), FROM + b"X-UIDL: q\n\none\n\n", FROM + b"X-UIDL: q\n\ntwo\n\n"]


@pytest.mark.parametrize("gone", [c for n in range(1, 8) for c in itertools.combinations(range(7), n)], ids=str)
def test_no_deletion_ever_renames_what_is_left(tmp_path, gone):
    """Every subset: at once, and then one by one; and new mail gets no uid that was given before."""
    before = uids(tmp_path, b"".join(GROUPS), gone)
    left = [uid for index, uid in enumerate(before) if index not in gone]
    assert uids(tmp_path) == left
    with open(tmp_path / "box", "ab") as file:
        file.write(FROM + b"Subject: same\n\nnew\n\n")
    after = uids(tmp_path)
    assert after[:-1] == left
    if any(index in gone for index in range(4)) and not all(index in gone for index in range(4)):
        assert after[-1] not in before
    while left:
        assert uids(tmp_path, gone={0})[:-1] == left
        left.pop(0)


def test_what_a_session_gave_out_is_recorded_though_it_was_cut_off(tmp_path):
    opened = store(tmp_path, SAME[0] + SAME[3])
    opened.scan()
    second = opened.uids()[1]
    opened.close()
    assert uids(tmp_path, SAME[3]) == [second]


def test_the_record_is_there_before_anything_is_removed(tmp_path, monkeypatch):
    opened = store(tmp_path, SAME[0] + SAME[3])
    opened.scan()
    seen = []
    monkeypatch.setattr(
        "qpopper_py.store.mbox.compact.carry_out", lambda *rest: seen.append((tmp_path / "state/uids").read_text())
    )
    opened.expunge({0})
    assert seen[0].count("\n") == 3
    monkeypatch.undo()
    opened.close()


def test_a_mailbox_of_different_uids_leaves_no_record(tmp_path):
    uids(tmp_path, message(1) + message(2), {0})
    assert not (tmp_path / "state/uids").exists()


def test_a_status_that_a_mail_reader_writes_renames_nothing(tmp_path):
    before = uids(tmp_path, SAME[0] + SAME[3])
    marked = (SAME[0] + SAME[3]).replace(b"\n\n", b"\nStatus: RO\nX-Status: A\n\n", 1)
    marked = marked.replace(b"same\n\nc", b"same\nStatus: RO\n\nc")
    assert uids(tmp_path, marked) == before


def damaged(text):
    return {
        "empty": b"",
        "cut off": text[:-10],
        "first line only": text.partition(b"\n")[0],
        "one bit": text[:-3] + bytes([text[-3] ^ 1]) + text[-2:],
        "not ours": b"\x7fELF" + text,
        "binary": bytes(range(256)),
        "newer format": text.replace(b"pop3d uids 1 ", b"pop3d uids 2 ", 1),
        "another record": text.replace(b"pop3d uids", b"pop3d last", 1),
    }


@pytest.mark.parametrize("how", damaged(b"0123456789\n0123456789"))
def test_a_record_that_cannot_be_believed_is_reported_and_costs_a_download_at_most(tmp_path, how):
    data = b"".join(SAME)
    before = uids(tmp_path, data)
    record = tmp_path / "state/uids"
    record.write_bytes(damaged(record.read_bytes())[how])
    reports = []
    assert uids(tmp_path, reports=reports) == before  # nothing was deleted: content tells
    assert len(reports) == 1
    assert str(record) in reports[0]
    assert uids(tmp_path) == before


def test_a_record_that_gives_one_uid_twice_does_not(tmp_path):
    data = b"".join(GROUPS)
    before = uids(tmp_path, data)
    record = tmp_path / "state/uids"
    lines = [line.split(b" ") for line in record.read_bytes().split(b"\n")[1:-1]]
    forged = b"".join(b"%s %s %s\n" % (name, own, before[4].encode()) for name, own, _ in lines)
    record.write_bytes(b"pop3d uids 1 %s\n" % hashlib.md5(forged).hexdigest().encode() + forged)
    assert len(uids(tmp_path)) == 7


@pytest.mark.parametrize("how", ["link", "fifo", "folder"])
def test_a_record_that_is_no_file_is_reported(tmp_path, how):
    (tmp_path / "state").mkdir()
    record = tmp_path / "state/uids"
    {"link": lambda: record.symlink_to("/etc/passwd"), "fifo": lambda: os.mkfifo(record), "folder": record.mkdir}[how]()
    reports = []
    uids(tmp_path, b"".join(SAME), reports=reports)
    assert any(str(record) in line for line in reports)


def test_a_forged_uid_takes_nobodys(tmp_path):
    """A later message whose X-UIDL is the uid that an earlier one was given."""
    before = uids(tmp_path, SAME[0] + SAME[3])
    with open(tmp_path / "box", "ab") as file:
        file.write(FROM + b"X-UIDL: " + before[1].encode() + b"\n\nforged\n\n")
    after = uids(tmp_path)
    assert after[:2] == before


def test_ten_thousand_identical_messages_all_differ(tmp_path):
    assert len(uids(tmp_path, SAME[0] * 10000)) == 10000


def test_an_empty_mailbox_that_we_did_not_empty_forgets_nothing(tmp_path):
    """Its disk may not be mounted."""
    data = b"".join(SAME)
    opened = store(tmp_path, data)
    opened.scan()
    opened.uids()
    opened.remember({0, 1})
    opened.close()
    kept = {name: (tmp_path / "state" / name).read_bytes() for name in ("uids", "last")}
    os.rename(tmp_path / "box", tmp_path / "away")
    opened = store(tmp_path)
    assert list(opened.scan()) == []
    assert opened.uids() == []
    opened.remember(())
    opened.close()
    assert kept == {name: (tmp_path / "state" / name).read_bytes() for name in ("uids", "last")}


def test_a_record_that_cannot_be_written_is_reported_and_ends_nothing(tmp_path):
    reports = []
    opened = store(tmp_path, b"".join(SAME), reports)
    opened.scan()
    (tmp_path / "state/uids.new").mkdir()
    (tmp_path / "state/last.new").mkdir()
    opened.expunge({0})
    opened.remember({1})
    opened.close()
    assert all("cannot be written" in line for line in reports)
    assert {line.partition(":")[0] for line in reports} == {f"{tmp_path}/state/uids", f"{tmp_path}/state/last"}


def test_seen_counts_as_retrieved(tmp_path):
    opened = store(tmp_path, message(1) + message(2).replace(b"\n\n", b"\nStatus: RO\n\n", 1))
    opened.scan()
    assert opened.retrieved() == {1}
    opened.close()


def test_the_reports_of_these_tests_would_fail_them():
    with pytest.raises(AssertionError):
        refuse("anything")
