"""What converting does to a message's text: flags, From_ lines, and lines that would separate."""

import time
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from qpopper_py.store.mbox.from_line import RULES, STRICT
from qpopper_py.tools.convert_text import (
    Marks,
    delivered,
    from_line,
    marks_of,
    put_on,
    quoted,
    received,
    split,
    taken_off,
)

FROM = b"From a@example.org Wed Dec  2 05:53:22 1992\n"


@pytest.fixture
def in_berlin(monkeypatch):
    monkeypatch.setenv("TZ", "Europe/Berlin")
    time.tzset()
    yield
    monkeypatch.undo()
    time.tzset()


@pytest.mark.parametrize(
    ("stored", "head", "rest"),
    [
        (b"A: b\n\nbody\n", b"A: b\n", b"\nbody\n"),
        (b"A: b\r\n\r\nbody\n", b"A: b\r\n", b"\r\nbody\n"),
        (b"\nbody\n", b"", b"\nbody\n"),
        (b"A: b\n", b"A: b\n", b""),
        (b"A: b", b"A: b", b""),
        (b"", b"", b""),
    ],
)
def test_the_header_ends_before_the_first_empty_line(stored, head, rest):
    for size in (1, 2, 3, 100):
        found, left = split(stored[at : at + size] for at in range(0, len(stored), size))
        assert (found, b"".join(left)) == (head, rest)


@pytest.mark.parametrize(
    ("head", "old", "flags"),
    [
        (b"A: b\n", False, ""),
        (b"Status: RO\n", True, "S"),
        (b"status:\tor\n", True, "S"),
        (b"A: b\nStatus: O\nX-Status: AF\n", True, "FR"),
        (b"X-Status: DT\n", True, "DT"),
        (b"Status: U\n", False, ""),
        (b"Status: R\n", True, "S"),
    ],
)
def test_flags_are_those_of_status_and_x_status(head, old, flags):
    assert marks_of(head) == Marks(old, flags)


def test_flags_that_an_mbox_does_not_know_are_left_out():
    assert Marks(True, "PSa") == Marks(True, "S")


@pytest.mark.parametrize(
    "head",
    [
        b"A: b\nStatus: RO\n",
        b"A: b\r\nStatus: O\r\nX-Status: A\r\n",
        b"Status: RO\nA: b\n",
        b"A: b\nStatus: R\n",
        b"A: b\nStatus: RO\nStatus: RO\n",
        b"A: b\nStatus: RO",
        b"A: b\nX-Status: F\n",
        b"A: b\n",
        b"Status: RO\n",
        b"",
    ],
)
def test_from_an_mbox_and_back_a_header_is_the_same(head):
    taken, marks = taken_off(head)
    assert put_on(taken, marks) == head


LINES = st.lists(
    st.sampled_from([b"A: b", b"Status: RO", b"Status: O", b"Status: U", b"X-Status: A", b"X-Status: DF", b" folded"]),
    max_size=6,
)


@given(LINES, st.sampled_from([b"\n", b"\r\n"]))
def test_from_an_mbox_and_back_any_header_is_the_same(lines, end):
    head = b"".join(line + end for line in lines)
    taken, marks = taken_off(head)
    assert put_on(taken, marks) == head


@given(st.lists(st.sampled_from([b"A: b", b"C: d", b" folded"]), max_size=4), st.text("DFRST"), st.booleans())
def test_from_a_maildir_and_back_a_header_without_status_is_the_same_and_the_flags_are(lines, flags, old):
    head = b"".join(line + b"\n" for line in lines)
    marks = Marks(old, flags)
    assert taken_off(put_on(head, marks)) == (head, marks)


def test_status_lines_that_contradict_the_name_are_replaced():
    assert put_on(b"Status: RO\nA: b\n", Marks(False, "")) == b"A: b\n"
    assert put_on(b"A: b\nStatus: O\n", Marks(True, "S")) == b"A: b\nStatus: RO\n"


@pytest.mark.parametrize(
    ("body", "written"),
    [
        (b"A: b\n\n" + FROM + b"x\n", b"A: b\n\n>" + FROM + b"x\n"),
        (b"A: b\r\n\r\n" + FROM, b"A: b\r\n\r\n>" + FROM),
        (b"\n" + FROM, b"\n>" + FROM),
        (b"a\n\n\n" + FROM + b"\n" + FROM, b"a\n\n\n>" + FROM + b"\n>" + FROM),
        (b"a\n" + FROM, b"a\n" + FROM),
        (FROM, FROM),
        (b"a\n\nFrom the hills\n", b"a\n\nFrom the hills\n"),
        (b"a\n\n" + FROM[:-1], b"a\n\n>" + FROM[:-1]),
        (b"a\n\nFrom " + b"x" * 9000 + FROM[5:], b"a\n\nFrom " + b"x" * 9000 + FROM[5:]),
    ],
    ids=range(9),
)
def test_a_line_that_would_separate_gets_a_quote_and_no_other(body, written):
    for size in (1, 2, 7, 50, 100000):
        assert b"".join(quoted((body[at : at + size] for at in range(0, len(body), size)), STRICT)) == written


@settings(max_examples=200)
@given(
    st.lists(
        st.sampled_from([b"\n", b"\r\n", b"a\n", FROM, FROM[:-1] + b"\r\n", b"From x\n", b">", b"From "]), max_size=12
    ),
    st.integers(1, 60),
    st.sampled_from(sorted(RULES)),
)
def test_what_is_quoted_separates_nowhere_and_without_its_quotes_is_the_same(parts, size, name):
    body = b"".join(parts)
    rule = RULES[name]
    out = b"".join(quoted((body[at : at + size] for at in range(0, len(body), size)), rule))
    lines = out.split(b"\n")
    judge = rule.judge()
    empty = (b"", b"\r") if b"\r" in rule.empty else (b"",)
    for before, line in pairwise(lines):
        if line.startswith(rule.begins) and (before in empty or not rule.after_empty):
            assert not judge(line + b"\n")
    assert all(a in (b, b">" + b) for a, b in zip(lines, body.split(b"\n"), strict=True))


def test_a_from_line_has_the_sender_of_return_path_and_the_local_date(in_berlin):
    head = b"Received: x\nReturn-Path: <a+b@example.org>\nA: b\n"
    assert from_line(head, 723275002) == b"From a+b@example.org Wed Dec  2 06:43:22 1992\n"
    assert from_line(b"Return-Path: <>\n", 723275002) == b"From MAILER-DAEMON Wed Dec  2 06:43:22 1992\n"
    assert from_line(b"", -5) == b"From MAILER-DAEMON Thu Jan  1 01:00:00 1970\n"
    assert from_line(b"Return-Path: <a b>\n", 0).startswith(b"From MAILER-DAEMON ")


@pytest.mark.parametrize(
    ("line", "seconds"),
    [
        (b"From a Wed Dec  2 06:43:22 1992\n", 723275002),
        (b"From a Wed Dec  2 06:43 1992\n", 723274980),
        (b"From a Wed Dec  2 05:43:22 +0000 1992\n", 723275002),
        (b"From a Wed Dec  2 00:43:22 1992 -0500\n", 723275002),
        (b"From a Wed Dec  2 05:43:22 GMT 1992\n", 723275002),
        (b"From a Wed Dec  2 06:43:22 1992 remote from x\n", 723275002),
        (b"From Wed Jan  1 00:00:00 1990 Wed Dec  2 06:43:22 1992\n", 723275002),
        (b"From a Wed Dec  2 06:43:22 0000\n", 0),
        (b"From whoever\n", 0),
    ],
)
def test_the_date_of_a_from_line_is_local_but_for_a_zone(in_berlin, line, seconds):
    assert delivered(line) == seconds


@pytest.mark.parametrize(
    ("head", "seconds"),
    [
        (b"Received: from a\n\tby b; x\n\tfor c; Wed, 2 Dec 1992 06:43:22 +0100\nReceived: d; 1 Jan 1990\n", 723275002),
        (b"Received: no date here\nDate: Wed, 2 Dec 1992 05:43:22 GMT\n", 723275002),
        (b"DATE: 2 Dec 1992 05:43:22 +0000\r\n", 723275002),
        (b"Date: soon\n", 0),
        (b"", 0),
    ],
)
def test_a_message_without_one_has_the_date_of_received_or_date(head, seconds):
    assert received(head) == seconds


@given(st.integers(0, 4102444800))
def test_a_date_comes_back(seconds):
    line = from_line(b"", seconds)
    # In the hour that clocks go through twice a date has two meanings.
    assert delivered(line) - seconds in (0, -3600, 3600)
    assert STRICT.judge()(line)


def test_a_from_line_in_an_odd_form_has_its_date_still():
    assert delivered(b"From a@b.c 1994-11-20 08:55:46 +0200\n") == 785314546
    assert delivered(b"From a@b.c no date at all\n") == 0
