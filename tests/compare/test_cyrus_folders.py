"""popsubfolders in the real Cyrus and in ours: names with a folder, in its own spool, below ``uuid`` as in 3.6."""

from __future__ import annotations

import base64
import smtplib
from typing import TYPE_CHECKING

import pytest

from tests.harness import open_folder, servant

from .opponents import USER
from .servers import SECRET
from .test_cyrus import NAME, PASSWORD, Pair

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = [pytest.mark.root, pytest.mark.client("saslpasswd2")]
PASS = b"PASS " + SECRET.encode() + b"\r\n"
MORE = """\
popsubfolders: yes
autocreate_inbox_folders: Sub | Sub.Deep | Spa ce
autocreate_acl: Sub.Deep anyone p
"""  # levels are parted by a dot there, whatever unixhierarchysep says
SLASH = MORE + "unixhierarchysep: yes\naltnamespace: yes"
DOT = MORE + "unixhierarchysep: no\naltnamespace: no"


def filled(pair: Pair, separator: str) -> None:
    """The inbox has a message, and a folder another: an inbox's first mail makes the folders."""
    pair.cyrus.deliver([b"Subject: the inbox\r\n\r\ntext\r\n"])
    with smtplib.LMTP(str(pair.cyrus.folder / "run/lmtp"), local_hostname="client.example.org") as lmtp:
        message = b"Subject: the folder\r\n\r\n.text\r\n"
        assert lmtp.sendmail("carol@example.com", [f"{USER}+Sub{separator}Deep"], message) == {}


@pytest.fixture(scope="module", params=[SLASH, DOT], ids=["slash", "dot"])
def pair(request: pytest.FixtureRequest) -> Iterator[Pair]:
    if servant() is None:
        pytest.skip("other users cannot read this Python, and root's server refuses to start from it")
    with open_folder() as folder:
        made = Pair(folder, request.param)
        try:
            filled(made, "." if request.param is DOT else "/")
            yield made
        finally:
            made.cyrus.close()


def seen(name: bytes) -> bytes:
    return b"USER " + name + b"\r\n" + PASS + b"STAT\r\nLIST\r\nUIDL\r\nRETR 1\r\nQUIT\r\n"


@pytest.mark.parametrize(
    "folder", [b"", b"+", b"+Sub", b"+/Sub", b"+Sub/Deep", b"+Sub.Deep", b"+Sub//Deep", b"+Spa ce"]
)
def test_a_folder_is_opened_with_the_same_mail(pair: Pair, folder: bytes) -> None:
    """Or by neither, where another separator parts the levels."""
    theirs, ours = pair.theirs(seen(NAME + folder)), pair.ours(seen(NAME + folder))
    if b"Unable to open maildrop" in theirs:
        assert b"Unable to open maildrop" in ours or b"Invalid login" in ours
        return
    assert (b"the folder" in theirs) == (b"Deep" in folder)
    assert ours == theirs


def test_one_separator_opens_the_folder_below_the_folder_in_both(pair: Pair) -> None:
    for said in (pair.theirs, pair.ours):
        opened = [b"the folder" in said(seen(NAME + folder)) for folder in (b"+Sub/Deep", b"+Sub.Deep")]
        assert sorted(opened) == [False, True]


@pytest.mark.parametrize("name", [NAME.upper() + b"+Sub", b"nobody+Sub"])
def test_whose_folder_it_is_follows_the_rules_for_names(pair: Pair, name: bytes) -> None:
    script = b"USER " + name + b"\r\n" + PASS + b"STAT\r\nQUIT\r\n"
    assert pair.ours(script) == pair.theirs(script)


@pytest.mark.parametrize("folder", [b"nope", b"../Sub", b"Sub%"])
def test_no_other_folder_is_opened_by_either(pair: Pair, folder: bytes) -> None:
    """There all are told after the login; here what can be nobody's is refused as a wrong password is."""
    script = b"USER " + NAME + b"+" + folder + b"\r\n" + PASS
    theirs, ours = pair.theirs(script).split(b"\r\n"), pair.ours(script).split(b"\r\n")
    if theirs[2].startswith(b"+OK"):  # ".." is of empty levels where a dot parts them
        assert ours == theirs
        return
    assert theirs[2].startswith(b"-ERR [SYS/TEMP] Unable to open maildrop: Mailbox ")
    assert ours[2] in (b"-ERR [SYS/TEMP] Unable to open maildrop: Mailbox does not exist", b"-ERR [AUTH] Invalid login")


@pytest.mark.parametrize(("folder", "answer"), [(b"Sub", b"+OK Mailbox locked"), (b"nope", b"-ERR [SYS/TEMP] Unable")])
def test_sasl_takes_folders_too(pair: Pair, folder: bytes, answer: bytes) -> None:
    name = NAME + b"+" + folder
    response = base64.b64encode(b"%s\0%s\0%s" % (name, name, PASSWORD))
    script = b"AUTH PLAIN\r\n" + response + b"\r\n"
    for said in (pair.theirs(script), pair.ours(script)):
        assert said.split(b"\r\n")[2].startswith(answer)
