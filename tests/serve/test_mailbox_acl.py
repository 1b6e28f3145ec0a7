"""accounts.mailbox_acl: what lib/acl_afs.c and lib/auth_unix.c of Cyrus make of an ACL, and who is refused how."""

from __future__ import annotations

import grp
import pwd
from typing import TYPE_CHECKING

import pytest

from qpopper_py.auth.account import Account
from qpopper_py.errors import MaildropForbidden, MaildropMissing, MaildropTrouble
from qpopper_py.serve.mailbox_acl import check, rights_of
from qpopper_py.settings import Settings
from tests.tools.test_twoskip import database

if TYPE_CHECKING:
    from pathlib import Path

SYSTEM_USER = pwd.getpwuid(0)
GROUP = grp.getgrgid(SYSTEM_USER.pw_gid).gr_name


@pytest.mark.parametrize(
    ("acl", "rights"),
    [
        ([], ""),
        ([("bovik", "lrs")], "lrs"),
        ([("bovik", "l"), ("anyone", "r")], "lr"),
        ([("Bovik", "lr"), ("bovi", "r"), ("owner", "r"), ("anonymous", "r")], ""),
        ([("-bovik", "r"), ("bovik", "lr")], "l"),
        ([("bovik", "lr"), ("-anyone", "lx")], "r"),
        ([("--bovik", "r"), ("bovik", "r")], "r"),
        ([("-someone", "r"), ("bovik", "r")], "r"),
    ],
)
def test_all_that_is_given_less_all_that_is_taken(acl: list[tuple[str, str]], rights: str) -> None:
    assert rights_of("bovik", acl, groups=True) == set(rights)


@pytest.mark.parametrize(
    ("user", "acl", "groups", "rights"),
    [
        (SYSTEM_USER.pw_name, [(f"group:{GROUP}", "lr")], True, "lr"),
        (SYSTEM_USER.pw_name, [(f"group:{GROUP}", "lr")], False, ""),
        (SYSTEM_USER.pw_name, [("group:", "r"), ("group:no such", "r"), (f"Group:{GROUP}", "r")], True, ""),
        (SYSTEM_USER.pw_name, [("anyone", "lr"), (f"-group:{GROUP}", "r")], True, "l"),
        ("nobody-of-this-name", [(f"group:{GROUP}", "lr")], True, ""),
    ],
)
def test_groups_are_those_of_the_system(user: str, acl: list[tuple[str, str]], groups: bool, rights: str) -> None:
    assert rights_of(user, acl, groups) == set(rights)


ROWS = [
    (b"Nuser\x1falice", b"%(A %(alice lr) I 0a1b)"),
    (b"Nuser\x1falice\x1fSub", b"%(A %(alice l) I 0a1c)"),
    (b"Nuser\x1falice\x1fSub\x1fDeep", b"%(A %(anyone p) I 0a1d)"),
    (b"Nuser\x1fbob", b"%(A %(bob r"),
    (b"example.org!user.car^ol.Sub", b"0 default car.ol@example.org\tlr\t"),
    (b"example.org\x1duser\x1fdora", b"%(A %(dora@example.org r))"),
]


def asked(folder: Path, user: str, box: str, data: bytes | None) -> None:
    if data is not None:
        (folder / "mailboxes.db").write_bytes(data)
    values = {"accounts.mailboxes_db": str(folder / "mailboxes.db"), "accounts.mailbox_acl": "users"}
    check(Account(user, 1, 1, folder=box), Settings([("the test", values)]))


@pytest.mark.parametrize(("user", "box"), [("alice", ""), ("car.ol@example.org", "Sub")])
def test_who_may_read_is_let_in(tmp_path: Path, user: str, box: str) -> None:
    asked(tmp_path, user, box, database(ROWS))


@pytest.mark.parametrize(
    ("user", "box", "error"),
    [
        ("alice", "Sub", MaildropForbidden),
        ("alice", "Sub.Deep", MaildropMissing),
        ("alice", "Nope", MaildropMissing),
        ("alice@example.org", "", MaildropMissing),
        ("carol", "Sub", MaildropMissing),
        ("bob", "", MaildropTrouble),
    ],
)
def test_who_may_not_hears_whether_there_is_one_only_with_the_right_to_know(
    tmp_path: Path, user: str, box: str, error: type[Exception]
) -> None:
    with pytest.raises(error):
        asked(tmp_path, user, box, database(ROWS))


@pytest.mark.parametrize(
    ("data", "error"),
    [
        (None, MaildropMissing),
        (b"\241\002\213\015skiplist file\0\0\0", MaildropMissing),
        (database(ROWS)[:300], MaildropTrouble),
    ],
)
def test_without_a_database_that_can_be_read_nobody_is_let_in(
    tmp_path: Path, data: bytes | None, error: type[Exception]
) -> None:
    with pytest.raises(error, match=r"mailboxes\.db"):
        asked(tmp_path, "alice", "", data)
