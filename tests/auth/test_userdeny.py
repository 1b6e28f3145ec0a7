"""Cyrus' user_deny.db, flat: what Cyrus 3.6 makes of each entry, as tests/compare sees it."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from qpopper_py.auth.account import Account, Denied
from qpopper_py.auth.gate import Gate
from qpopper_py.auth.userdeny import MESSAGE, message_to, of_wildmat
from qpopper_py.errors import CredentialStoreError

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from qpopper_py.events import Event
    from qpopper_py.facts import Facts
    from qpopper_py.settings import Settings


def told(folder: Path, text: str, user: str = "bovik", service: str = "pop3") -> str | None:
    (folder / "user_deny.db").write_text(text)
    return message_to(user, service, str(folder / "user_deny.db"))


@pytest.mark.parametrize(
    ("entry", "message"),
    [
        ("2\tpop3\tYou are [locked] out", "You are [locked] out"),
        ("2\tpop3\t[[x] y", "x] y"),
        ("1\t*", MESSAGE),
        ("2\tpop3", MESSAGE),
        ("1\tpop3\tno message in version 1", None),
        ("2\timap,!pop3,*\tno", None),
        ("2\t*,!pop3\tno", "no"),
        ("2\timap, pop3\tno", None),
        ("2\tPOP3\tno", None),
        ("2\tpop[3-5]\tno", "no"),
        ("2\tpop[^0-9]\tno", None),
        ("2\tpop\\3\tno", "no"),
        ("02\tp?p3\tno\tmore", "no\tmore"),
        ("2\tpop*\tno", "no"),
        ("2\timap,pop\tno", None),
        ("2\t\tno", None),
        ("2\tpop3\t", ""),
    ],
)
def test_an_entry_means_what_cyrus_makes_of_it(tmp_path: Path, entry: str, message: str | None) -> None:
    assert told(tmp_path, f"aaa\t2\t*\tx\nbovik\t{entry}\nzzz\t2\t*\tz\n") == message


def test_whom_no_line_names_may_log_in_and_so_may_all_where_there_is_no_file(tmp_path: Path) -> None:
    assert told(tmp_path, "bovi\t2\t*\tx\nbovik2\t2\t*\tx\nBovik\t2\t*\tx\n") is None
    assert told(tmp_path, "") is None
    assert message_to("bovik", "pop3", str(tmp_path / "none")) is None


@pytest.mark.parametrize("entry", ["3\tpop3\tno", "x\tpop3\tno", "2 pop3\tno", "2", "", "2\tpop[3\tno"])
def test_an_entry_that_cannot_be_read_refuses_its_user_and_nobody_else(tmp_path: Path, entry: str) -> None:
    """Cyrus lets that user in, and says so in its log; here a database that says who may not never fails open."""
    text = f"bovik\t{entry}\n"
    with pytest.raises(CredentialStoreError, match="the entry of bovik"):
        told(tmp_path, text)
    assert told(tmp_path, text, user="alice") is None


def test_another_form_of_the_database_refuses_and_names_what_makes_it_flat(tmp_path: Path) -> None:
    (tmp_path / "db").write_bytes(b"\xa1\x02\x8b\x0dtwoskip file\0\0\0\0")
    with pytest.raises(CredentialStoreError, match="cvt_cyrusdb"):
        message_to("bovik", "pop3", str(tmp_path / "db"))
    with pytest.raises(CredentialStoreError, match="says who may not log in"):
        message_to("bovik", "pop3", str(tmp_path))


def test_no_message_breaks_the_line_or_begins_a_response_code(tmp_path: Path) -> None:
    assert told(tmp_path, "bovik\t2\t*\t[AUTH] a\rb\x00c\n") == "AUTH] a?b?c"


@given(st.text("ab*?[]^-\\!,3&|~", max_size=12), st.text("ab3", max_size=4))
@example("[3--]", "3")  # to Python a set and a difference
@example("[b-a]", "a")
def test_no_pattern_does_anything_but_fit_or_not(pattern: str, text: str) -> None:
    try:
        re.fullmatch(of_wildmat(pattern), text, re.DOTALL)
    except ValueError:
        assert "[" in pattern  # which has no end


@pytest.mark.parametrize(
    ("pattern", "fits", "fits_not"),
    [
        ("[a-c]", "abc", "d-"),
        ("[^a-c]", "d-", "abc"),
        ("[]-]", "]-", "a"),
        ("[a-]", "a-", "b"),
        ("[c-a]", "", "abc-"),
        ("[^c-a]", "abc-", ""),
        ("[a&&b||~~^[]", "ab&|~^[", "c"),
        ("\\[", "[", "\\"),
    ],
)
def test_what_stands_in_brackets_are_letters_and_ranges_of_them(pattern: str, fits: str, fits_not: str) -> None:
    """wildmat(3)."""
    for letter in fits:
        assert re.fullmatch(of_wildmat(pattern), letter), letter
    for letter in fits_not:
        assert not re.fullmatch(of_wildmat(pattern), letter), letter


@pytest.fixture
def gate(configure: Callable[..., Settings], tmp_path: Path, heard: list[Event]) -> Gate:
    (tmp_path / "accounts").write_text(f"alice:{{PLAIN}}open:1000:1000::{tmp_path}\n")
    (tmp_path / "user_deny.db").write_text("alice\t2\tpop3\tcome to the office\n")
    settings = configure(
        accounts_file=str(tmp_path / "accounts"),
        auth_sources="accounts",
        auth_deny_db=str(tmp_path / "user_deny.db"),
    )
    return Gate(settings, heard.append)


def test_the_message_is_for_whoever_has_the_password(gate: Gate, facts: Facts, tmp_path: Path) -> None:
    verdict = gate.check(b"alice", b"open", facts)
    assert isinstance(verdict, Denied)
    assert (verdict.told, verdict.temporary) == ("come to the office", True)
    verdict = gate.check(b"alice", b"wrong", facts)
    assert isinstance(verdict, Denied)
    assert (verdict.told, verdict.temporary) == ("", False)
    (tmp_path / "user_deny.db").write_text("alice\t3\tpop3\tcome to the office\n")
    verdict = gate.check(b"alice", b"open", facts)
    assert isinstance(verdict, Denied)
    assert (verdict.told, verdict.temporary) == ("", True)
    (tmp_path / "user_deny.db").unlink()
    assert isinstance(gate.check(b"alice", b"open", facts), Account)
