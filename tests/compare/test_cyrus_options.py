"""Options of imapd.conf in the real Cyrus and in ours, which reads the same file: what each changes is the same."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.harness import open_folder, servant

from .opponents import USER
from .servers import SECRET
from .test_cyrus import LOGIN, Pair

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = [pytest.mark.root, pytest.mark.client("saslpasswd2")]
PASS = b"PASS " + SECRET.encode() + b"\r\n"
ALL = b"CAPA\r\n" + LOGIN + b"STAT\r\nLIST\r\nUIDL\r\nUIDL 2\r\nRETR 1\r\nQUIT\r\n"


@pytest.fixture
def pair(request: pytest.FixtureRequest) -> Iterator[Pair]:
    if servant() is None:
        pytest.skip("other users cannot read this Python, and root's server refuses to start from it")
    with open_folder() as folder:
        made = Pair(folder, request.param)
        try:
            made.cyrus.deliver([b"Subject: %d\r\n\r\ntext\r\n" % number for number in range(3)])
            yield made
        finally:
            made.cyrus.close()


@pytest.mark.parametrize(
    "pair",
    [
        "uidl_format: uidonly",
        "uidl_format: dovecot",
        "uidl_format: courier",
        "serverinfo: min",
        "serverinfo: off",
        "popexpiretime: 30",
        "popexpiretime: 0",
        "popexpiretime: 36h",
        "popminpoll: 2",
        "pop3_popexpiretime: 3\nimap_popexpiretime: 4\npopexpiretime: 5",
        "allowplaintext: no",
        "popuseacl: yes",
        "popuseimapflags: yes",
        "altnamespace: yes",
        "unixhierarchysep: yes",
        "virtdomains: userid",
        "hashimapspool: no",
        "fulldirhash: yes",
        "statuscache: yes",
        "maxlogins_per_user: 5",
        "disconnect_on_vanished_mailbox: yes",
        "poptimeout: 15",
        "sasl_mech_list: LOGIN",
    ],
    indirect=True,
)
def test_all_that_is_said_is_the_same(pair: Pair) -> None:
    assert pair.ours(ALL) == pair.theirs(ALL)


@pytest.mark.parametrize(
    ("pair", "script"),
    [
        ("username_tolower: no", b"USER " + USER.upper().encode() + b"\r\n" + PASS + b"QUIT\r\n"),
        ("username_tolower: yes", b"USER " + USER.upper().encode() + b"\r\n" + PASS + b"QUIT\r\n"),
        ("popsubfolders: no", b"USER " + USER.encode() + b"+folder\r\n" + PASS + b"QUIT\r\n"),
        ("readonly: yes", LOGIN + b"DELE 1\r\nSTAT\r\nQUIT\r\n"),
    ],
    indirect=["pair"],
)
def test_what_one_script_shows_is_the_same(pair: Pair, script: bytes) -> None:
    assert pair.ours(script) == pair.theirs(script)


@pytest.mark.parametrize("pair", ["popminpoll: 1", "popminpoll: 5\npoppollpadding: 1"], indirect=True)
def test_who_comes_too_early_hears_the_same(pair: Pair) -> None:
    """There another name may follow; here that ends the connection, as does all that keeps a maildrop shut."""
    first = LOGIN + b"QUIT\r\n"
    assert pair.ours(first) == pair.theirs(first)
    refused = pair.ours(LOGIN)
    assert b"-ERR [LOGIN-DELAY] Logins must be at least " in refused
    assert refused == pair.theirs(LOGIN)


@pytest.mark.parametrize("pair", ["failedloginpause: 0"], indirect=True)
def test_the_file_that_shuts_the_server_is_told_alike_but_without_a_greeting_before(pair: Pair) -> None:
    """It greets, and tells whoever says something; whom nobody serves is not greeted here."""
    folder = pair.cyrus.folder / "config/msg"
    folder.mkdir()
    (folder / "shutdown").write_text("[closed] until ten\nand more\n")
    told = b"-ERR [SYS/TEMP] closed] until ten\r\n"
    assert pair.theirs(LOGIN).partition(b"\n")[2] == pair.ours(LOGIN) == told
