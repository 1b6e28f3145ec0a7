"""Dot-stuffing, TOP's cut and headers: RFC 1939 sections 3 and 7, at every size of piece."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from qpopper_py.protocol.text import field, header, stuffed, top, unstuffed

lines = st.lists(st.sampled_from([b"", b".", b"..", b".x", b"a", b"From x", b"\r", b"a\rb", b"\0", b"\xff" * 3]))


def cut(data: bytes, size: int) -> list[bytes]:
    return [data[at : at + size] for at in range(0, len(data), size)]


def crlf(rows: list[bytes]) -> bytes:
    return b"".join(row + b"\r\n" for row in rows)


@given(lines, st.integers(1, 9))
def test_every_line_that_begins_with_a_dot_gets_one_more(rows, size):
    expected = crlf([b"." + row if row.startswith(b".") else row for row in rows])
    assert b"".join(stuffed(cut(crlf(rows), size))) == expected


@given(lines, st.integers(1, 9))
def test_what_a_client_unstuffs_is_what_was_stored(rows, size):
    wire = b"".join(stuffed(cut(crlf(rows), size)))
    assert [row[1:] if row.startswith(b".") else row for row in wire.split(b"\r\n")[:-1]] == rows


@given(
    st.lists(st.sampled_from([b"A: 1", b"B: 2", b" more"])),
    st.lists(st.sampled_from([b"", b"x", b".", b"long line"])),
    st.integers(0, 7),
    st.integers(1, 9),
)
def test_top_is_the_header_the_empty_line_and_n_lines(head, body, count, size):
    message = crlf([*head, b"", *body])
    assert b"".join(top(cut(message, size), count)) == crlf([*head, b"", *body[:count]])


@given(st.integers(0, 3), st.integers(1, 9))
def test_top_of_a_message_without_an_empty_line_is_all_of_it(count, size):
    message = b"A: 1\r\nB: 2\r\n"
    assert b"".join(top(cut(message, size), count)) == message


def test_top_reads_no_further_than_it_needs():
    def pieces():
        yield b"A: 1\r\n\r\nbody\r\n"
        raise AssertionError("read on")

    assert b"".join(top(pieces(), 0)) == b"A: 1\r\n\r\n"


@given(st.integers(1, 20))
def test_a_header_ends_with_its_empty_line(size):
    assert header(cut(b"A: 1\r\nB: 2\r\n\r\nbody\r\n\r\n", size)) == b"A: 1\r\nB: 2\r\n\r\n"
    assert header(cut(b"\r\nbody\r\n", size)) == b"\r\n"


@pytest.mark.parametrize(
    ("prefix", "found"),
    [
        (b"subject", b"Subject: one\r\n\ttwo\r\n"),
        (b"Sub", b"Subject: one\r\n\ttwo\r\n"),
        (b"To", b"Total: 5\r\n"),
        (b"To:", b"To: x\r\n"),
        (b"Bcc", b""),
        (b"body", b""),
    ],
)
def test_a_field_is_found_by_prefix_in_any_case_with_its_continuations(prefix, found):
    head = b"Subject: one\r\n\ttwo\r\nTotal: 5\r\nTo: x\r\nTo: y\r\n\r\n"
    assert field(head, prefix) == found


def test_an_unstuffed_line_loses_one_of_two_dots_and_keeps_a_single_one():
    assert [unstuffed(line) for line in (b"..", b"..x", b".x", b"x")] == [b".", b".x", b".x", b"x"]
