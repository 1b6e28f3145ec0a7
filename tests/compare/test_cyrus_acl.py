"""popuseacl in the real Cyrus and in ours: whom the ACL of a mailbox lets read it, by what cyr_dbtool writes there.

Groups are in tests/serve/test_mailbox_acl.py: the two have no /etc/group in common.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import pytest

from tests.harness import open_folder, servant

from .opponents import USER
from .servers import Cyrus
from .test_cyrus import NAME, Pair
from .test_cyrus_folders import SLASH, filled, seen

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = [pytest.mark.root, pytest.mark.client("saslpasswd2")]
INBOX, SUB = f"Nuser\x1f{USER}", f"Nuser\x1f{USER}\x1fSub"
ACLS = [
    "{0} lr",
    "{0} r",
    "{0} lswipkxtecdan",
    "{0} p",
    "",
    "anyone r {0} l",
    "{0} lr -{0} r",
    "-anyone r {0} lr",
    "{0} lr -{0} lr -other lr",
    "other lr {0}x lr owner lr anonymous lr",
    "group:other lr {0} l -group:nosuch l",
    '"a b" lr I lr {0} l',
    "I lr {0} lr",
]


@pytest.fixture(scope="module")
def pair() -> Iterator[Pair]:
    if servant() is None:
        pytest.skip("other users cannot read this Python, and root's server refuses to start from it")
    with open_folder() as folder:
        made = Pair(folder, f"{SLASH}\npopuseacl: yes")
        try:
            filled(made, "/")
            yield made
        finally:
            made.cyrus.close()


def database(cyrus: Cyrus, *words: str) -> str:
    """What Cyrus' own tool says of mailboxes.db."""
    tool = "/usr/lib/cyrus/bin/cyr_dbtool"
    return cyrus.aside(tool, "-C", str(cyrus.conf), f"{cyrus.folder}/config/mailboxes.db", "twoskip", *words)


def permit(cyrus: Cyrus, mailbox: str, acl: str) -> None:
    """The mailbox has this ACL from now on."""
    record = database(cyrus, "get", mailbox).strip()
    new, count = re.subn(r"A %\([^)]*\)", lambda _: f"A %({acl.format(USER)})", record)
    assert count == 1, record
    database(cyrus, "set", mailbox, new)


def told(said: bytes) -> list[bytes]:
    """What comes up to the login's answer where that is a refusal: ours ends the connection then."""
    lines = said.split(b"\r\n")
    return lines[:3] if lines[2].startswith(b"-ERR") else lines


@pytest.mark.parametrize(
    ("acl", "mailbox", "folder"),
    [(acl, INBOX, b"") for acl in ACLS] + [(acl, SUB, b"+Sub") for acl in ("{0} r", "{0} l", "{0} p")],
)
def test_who_may_read_is_the_same(pair: Pair, acl: str, mailbox: str, folder: bytes) -> None:
    permit(pair.cyrus, mailbox, acl)
    assert told(pair.ours(seen(NAME + folder))) == told(pair.theirs(seen(NAME + folder)))
