"""Names with a folder (``subfolders``): what they are taken apart into, and which the gate refuses."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from qpopper_py.auth.account import Account, Denied
from qpopper_py.auth.gate import Gate
from qpopper_py.auth.names import MOST, of_login
from qpopper_py.settings import Settings

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from qpopper_py.events import Event
    from qpopper_py.facts import Facts


def taken(name: str, separator: str = "/") -> tuple[str, str]:
    return of_login(name, Settings([("the test", {"subfolders": separator, "auth.lowercase_user": True})]))


@pytest.mark.parametrize(
    ("name", "separator", "expected"),
    [
        ("bovik", "/", ("bovik", "")),
        ("bovik+Sub", "no", ("bovik+sub", "")),
        ("Bovik+Sub", "/", ("bovik", "Sub")),
        ("bovik+", "/", ("bovik", "")),
        ("bovik+Sub/Deep", "/", ("bovik", "Sub.Deep")),
        ("bovik+Sub.Deep", ".", ("bovik", "Sub.Deep")),
        ("bovik+Sub.Deep", "/", ("bovik", "Sub^Deep")),
        ("bovik+/Sub//Deep/", "/", ("bovik", "Sub.Deep")),
        ("bovik+a+b", "/", ("bovik", "a+b")),
        ("bovik+Spa ce", "/", ("bovik", "Spa ce")),
        ("bovik+Sub@example.org", "/", ("bovik@example.org", "Sub")),
        ("bovik+..", "/", ("bovik", "^^")),
        ("bovik+../../etc", "/", ("bovik", "^^.^^.etc")),
        ("bovik+..", ".", ("bovik", "")),
    ],
)
def test_a_name_is_the_users_and_the_folders(name: str, separator: str, expected: tuple[str, str]) -> None:
    """imap/pop3d.c, popd_canon_user: the first + begins the folder, an @ ends it; empty levels are none there."""
    assert taken(name, separator) == expected


@pytest.mark.parametrize(
    "folder",
    ["a\0b", "a\tb", "\x7f", "%", "Sub*", "a\\b", "Entw\u00fcrfe", "\udcff", "x" * MOST, "../a%"],
)
def test_a_folder_that_nobody_can_have_is_no_name(folder: str) -> None:
    with pytest.raises(ValueError, match="folder"):
        taken("bovik+" + folder)


def test_where_a_dot_parts_levels_a_slash_is_none() -> None:
    with pytest.raises(ValueError, match="folder"):
        taken("bovik+../etc", ".")


@given(st.text(max_size=40), st.sampled_from(["/", "."]))
def test_no_folder_leaves_the_users_mail(text: str, separator: str) -> None:
    """Whatever is asked for, its levels are names in a folder: not empty, no path, not the folder above."""
    try:
        _, folder = taken("bovik+" + text, separator)
    except ValueError:
        return
    levels = folder.split(".") if folder else []
    assert all(level and "/" not in level and level.isascii() and level.isprintable() for level in levels)


@pytest.fixture
def gate(configure: Callable[..., Settings], tmp_path: Path, heard: list[Event]) -> Gate:
    (tmp_path / "accounts").write_text(f"alice:{{PLAIN}}open:1000:1000::{tmp_path}\n")
    settings = configure(accounts_file=str(tmp_path / "accounts"), auth_sources="accounts", subfolders="/")
    return Gate(settings, heard.append)


def test_the_password_is_the_users_and_the_account_knows_the_folder(gate: Gate, facts: Facts) -> None:
    verdict = gate.check(b"alice+Sub/Deep", b"open", facts)
    assert isinstance(verdict, Account)
    assert (verdict.user, verdict.folder, verdict.called) == ("alice", "Sub.Deep", "alice+Sub.Deep")
    verdict = gate.check(b"alice", b"open", facts)
    assert isinstance(verdict, Account)
    assert (verdict.folder, verdict.called) == ("", "alice")


@pytest.mark.parametrize(
    ("name", "password"),
    [(b"alice+Sub", b"wrong"), (b"alice+a%", b"open"), (b"alice+\0", b"open"), (b"+Sub", b"open"), (b"bob+Sub", b"x")],
)
def test_the_rest_is_refused_as_any_login_is(gate: Gate, facts: Facts, name: bytes, password: bytes) -> None:
    verdict = gate.check(name, password, facts)
    assert isinstance(verdict, Denied)
    assert not verdict.temporary


@pytest.mark.parametrize("name", [b"alice+" + b"x" * octets for octets in (1 << 10, 10 << 10, 1 << 20)])
def test_cve_2006_2502_a_long_name_with_a_folder_is_refused(gate: Gate, facts: Facts, name: bytes) -> None:
    """Cyrus' pop3d wrote such a name over its stack where popsubfolders was on."""
    assert isinstance(gate.check(name, b"open", facts), Denied)


def test_another_folder_is_no_way_around_what_counts_guesses(
    configure: Callable[..., Settings], tmp_path: Path, facts: Facts, heard: list[Event]
) -> None:
    (tmp_path / "accounts").write_text(f"alice:{{PLAIN}}open:1000:1000::{tmp_path}\n")
    (tmp_path / "state").mkdir()
    more = {"guess.lockout": 3, "guess.delay": 0}
    settings = configure(accounts_file=str(tmp_path / "accounts"), auth_sources="accounts", subfolders="/", **more)
    gate = Gate(settings, heard.append)
    for number in range(3):
        gate.check(b"alice+%d" % number, b"wrong %d" % number, facts)
    assert isinstance(gate.check(b"alice", b"open", facts), Denied)
