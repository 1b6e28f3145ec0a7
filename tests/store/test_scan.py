"""The scan of an mbox against a parser that goes line by line, and against c-client's and Qpopper's rules."""

import os
import tracemalloc

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from qpopper_py.errors import MaildropUnusable
from qpopper_py.store.mbox.from_line import strict

from .boxes import FROM, found, message, parse, scan_bytes, store, wire

PIECES = [
    FROM,
    FROM[:-1] + b"\r\n",
    FROM[:-1],
    b"From b Thu Jan  1 00:00 1970\n",
    b"From x\n",
    b">From a Wed Dec  2 05:53:22 1992\n",
    b" " + FROM,
    b"From ",
    b"\n",
    b"\n",
    b"\r\n",
    b"\r",
    b"\0",
    b"Subject: x\n",
    b"Status: RO\r\n",
    b"status: o\n",
    b"word",
    b"a line\n",
    b"x" * 90,
    b".\n",
]
BOXES = st.lists(st.sampled_from(PIECES), max_size=24).map(b"".join)
MAILBOXES = BOXES.map(lambda tail: FROM + tail)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("scan")


@given(data=st.one_of(BOXES, MAILBOXES))
@example(FROM)
@example(FROM[:-1])
@example(FROM + b"\n" + FROM + b"\n")
@example(FROM + b"A: b\n\n\r\n" + FROM + b"\r\n\r\n")
@example(b"\0\0\n\r\n\0" + message(1))
@example(b"\r" + message(1))
@example(FROM + FROM)
def test_the_scan_finds_what_a_line_by_line_parser_finds(folder, data):
    expected = parse(data)
    if expected is None:
        with pytest.raises(MaildropUnusable):
            scan_bytes(folder, data)
        return
    layout = scan_bytes(folder, data)
    assert found(layout, data) == expected
    assert list(layout.octets) == [len(wire(content)) for _, content, _ in expected]


@given(data=MAILBOXES, step=st.integers(1, 40), longest=st.integers(50, 120))
def test_window_sizes_make_no_difference(folder, data, step, longest):
    whole, pieces = scan_bytes(folder, data, longest=longest), scan_bytes(folder, data, step=step, longest=longest)
    assert pieces.same_from(0, whole)
    assert pieces.seen == whole.seen


def test_every_window_size_finds_the_same(folder):
    data = message(1, b"x" * 300 + b"\r\n\r\n") + message(2, b"") + FROM + b"\r\n" + FROM + b"Status: R\n\n\n" + FROM
    whole = scan_bytes(folder, data)
    assert len(whole) == 5
    for step in range(1, len(data) + 1):
        assert scan_bytes(folder, data, step=step, longest=len(FROM) + 1).same_from(0, whole)


@pytest.mark.parametrize(
    "line",
    [
        b"From a Wed Dec  2 05:53 1992",
        b"From a Wed Dec  2 05:53:22 1992",
        b"From a Wed Dec 12 05:53:22 PST 1992",
        b"From a Wed Dec  2 05:53 MEST 1992",
        b"From a Wed Dec  2 05:53:22 -0800 1992",
        b"From a Wed Dec  2 05:53:22 1992 PST",
        b"From a Wed Dec  2 05:53:22 1992 +0100",
        b"From a Wed Dec  2 05:53:22 1992 remote from decvax",
        b"From a Wed Dec  2 05:53:22 PST 1992 remote from decvax",
        b'From "a b"@example.org Wed Dec  2 05:53:22 1992',
        b"From  Wed Dec  2 05:53:22 1992",
        b"From a Wed Dec  2 05:53:22 1992\r\n",
    ],
)
def test_the_date_forms_of_c_client_are_separators(line):
    assert strict()(line)


@pytest.mark.parametrize(
    "line",
    [
        b"From here on it gets better",
        b"From x",
        b"From a Wed Dec  2 25:53:22 1992",
        b"From a Wed Dec 32 05:53:22 1992",
        b"From a Wed Dec  0 05:53:22 1992",
        b"From a Wed Foo  2 05:53:22 1992",
        b"From a Wen Dec  2 05:53:22 1992",
        b"From a Wed Dec  2 05:53:22 92",
        b"From a Wed Dec  2 05:53:22 1992 and more",
        b"From a Wed, 2 Dec 1992 05:53:22 +0100",
    ],
)
def test_other_lines_are_not(line):
    assert not strict()(line)


@pytest.mark.parametrize("length", [1022, 1023, 1024, 1025, 4095, 4096, 4097, 5000, 1 << 20])
def test_a_from_line_after_a_line_of_any_length_is_text(folder, length):
    """CVE-2000-0320: the rest of an over-long line must not pass for an empty one."""
    data = message(1, b"y" * length + b"\n" + FROM + b"spoof\n") + message(2)
    assert len(scan_bytes(folder, data)) == 2


def test_a_from_line_that_is_too_long_is_text(folder):
    long = b"From " + b"a" * 5000 + b" Wed Dec  2 05:53:22 1992\n"
    assert len(scan_bytes(folder, message(1) + long + b"\n" + message(2))) == 2


@pytest.mark.parametrize("data", [b"hello\n", b"\n\nhello\n", b"\1\1\1\n" + FROM, b"From x\n\n", b" \n" + FROM])
def test_a_file_that_starts_otherwise_is_refused_by_name_and_left_alone(tmp_path, data):
    opened = store(tmp_path, data)
    with pytest.raises(MaildropUnusable) as why:
        opened.scan()
    offset = len(data) - len(data.lstrip(b"\n"))
    assert f"{tmp_path}/box: " in str(why.value)
    assert f"offset {offset} " in str(why.value)
    assert (tmp_path / "box").read_bytes() == data


@pytest.mark.parametrize(
    ("header", "seen"),
    [
        (b"Status: RO\n", True),
        (b"Status: O\n", False),
        (b"X: y\nSTATUS:R\r\n", True),
        (b"X-Status: R\n", False),
        (b"Status: O\nX: R\n", False),
        (b"Status: U\nStatus: R\n", True),
        (b"Subject: Status: R\n", False),
    ],
)
def test_seen_is_a_status_field_that_holds_r(folder, header, seen):
    layout = scan_bytes(folder, FROM + header + b"\nStatus: R in the body\n\n")
    assert [bool(flag) for flag in layout.seen] == [seen]


INTERNAL = (
    FROM + b"From: Mail System Internal Data <MAILER-DAEMON@h>\nSubject: DON'T DELETE THIS MESSAGE -- FOLDER INTERNAL "
    b"DATA\nX-IMAP: 0123456789 0000000002\nStatus: RO\n\nThis text is part of the internal format.\n\n"
)


def test_the_internal_message_of_c_client_is_no_message(tmp_path):
    assert [e.octets for e in store(tmp_path, INTERNAL + message(1)).scan()] == [len(wire(message(1)[len(FROM) : -1]))]


@pytest.mark.parametrize(
    "data",
    [
        message(1) + INTERNAL,
        INTERNAL.replace(b"From: Mail System", b"From: Your Friend").replace(b"X-IMAP", b"X-IMOP") + message(1),
    ],
    ids=["not first", "one mark only"],
)
def test_what_only_looks_like_it_is_one(tmp_path, data):
    assert len(store(tmp_path, data).scan()) == 2


def test_memory_does_not_grow_with_message_line_or_header(tmp_path):
    """64 MB in one line, and a header of 64 MB."""
    with open(tmp_path / "box", "wb") as file:
        file.write(FROM + b"A: b\n\n")
        file.seek(64 << 20, os.SEEK_CUR)
        file.write(b"\n\n" + FROM)
        for _ in range(64):
            file.write((b"X-Filler: " + b"x" * 1013 + b"\n") * 1024)
        file.write(b"\nbody\n")
    opened = store(tmp_path)
    tracemalloc.start()
    try:
        entries = opened.scan()
        opened.uids()
        total = [sum(len(piece) for piece in opened.read(index)) for index in range(2)]
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    opened.close()
    assert total == [entry.octets for entry in entries]
    assert peak < 8 << 20
