"""Command lines as values: RFC 1939 section 3, RFC 2449 section 4, and popper's way of splitting."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from qpopper_py.protocol.request import MASK, number, parse, plain, safe


def test_words_are_parted_by_runs_of_blanks_and_tabs():
    request = parse(b"  TOP \t 1\t\t 10 ")
    assert request is not None
    assert (request.verb, request.words) == ("top", [b"1", b"10"])


def test_a_line_of_blanks_is_no_request():
    assert parse(b" \t ") is None
    assert parse(b"") is None


def test_the_rest_keeps_every_blank_but_the_one_behind_the_verb():
    request = parse(b"PASS  two words ")
    assert request is not None
    assert request.rest == b" two words "


@pytest.mark.parametrize(("word", "value"), [(b"0", 0), (b"1", 1), (b"007", 7), (b"9" * 18, 10**18 - 1)])
def test_decimals_are_numbers(word, value):
    assert number(word) == value


@pytest.mark.parametrize(
    "word", [b"", b"-1", b"+1", b"1 ", b"1.0", b"0x1", b"one", b"9" * 20, "٣".encode(), b"1_0", b"\xb2", b"1\0"]
)
def test_anything_else_is_no_number(word):
    assert number(word) is None


def test_a_number_over_the_most_is_none():
    assert number(b"4", 3) is None


@given(st.binary(max_size=200))
def test_no_bytes_crash_the_parser_and_no_control_character_survives_in_texts(line):
    request = parse(line)
    if request is not None:
        assert request.verb.isprintable()
        assert request.verb.isascii()
        for secret in (None, 0, 1):
            for known in (True, False):
                shown = safe(request, secret, known)
                assert shown.isascii()
                assert shown.isprintable()


@pytest.mark.parametrize(
    ("line", "secret", "known", "shown"),
    [
        (b"PASS geheim", 0, True, f"pass {MASK}"),
        (b"PASS two words", 0, True, f"pass {MASK}"),
        (b"APOP mrose c4c9334bac560ecc979e58001b3e22fb", 1, True, f"apop mrose {MASK}"),
        (b"USER mrose", None, True, "user mrose"),
        (b"USER a\x1bb", None, True, "user a\\x1bb"),
        (b"pas geheim", None, False, f"pas {MASK}"),
        (b"hunter2", None, False, MASK),
        (b"correct-horse battery", None, False, f"{MASK} {MASK}"),
    ],
)
def test_a_log_sees_no_secret(line, secret, known, shown):
    request = parse(line)
    assert request is not None
    assert safe(request, secret, known) == shown


def test_plain_text_is_printable_and_cut():
    assert plain(b"a\r\nb\xff" + b"x" * 100, 6) == "a??b?x"
