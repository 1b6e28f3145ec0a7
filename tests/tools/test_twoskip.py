"""Cyrus' twoskip files and the mailboxes in them, written here by the format's description in cyrusdb_twoskip.c."""

import os
import struct

import pytest

from qpopper_py.auth.account import Account
from qpopper_py.auth.cyrus_mailboxes import record as record_of
from qpopper_py.auth.sources.maildrops import Maildrops
from qpopper_py.errors import CredentialStoreError
from qpopper_py.facts import Facts
from qpopper_py.legacy_dbm import NotReadable, twoskip
from qpopper_py.settings import Settings

MAGIC = b"\241\002\213\015twoskip file\0\0\0\0"


def record(kind, level, key, value, pointers):
    head = struct.pack(">cBHI", kind, level, len(key), len(value)) + struct.pack(f">{level + 1}Q", *pointers)
    return head + bytes(8) + key + value + bytes(-(len(key) + len(value)) % 8)


def database(rows, gone=(), uncommitted=b""):
    """Rows in their order, each of level 1; ``gone``: keys that a DELETE has taken out, their records left behind."""
    kept = [row for row in rows if row[0] not in gone]
    dummy_length = 8 + 8 * 32 + 8
    at, places = 64 + dummy_length, []
    for key, value in kept:
        places.append(at)
        at += len(record(b"+", 1, key, value, (0, 0)))
    ghost = at
    at += len(record(b"-", 0, b"", b"", (0,)))
    first = places[0] if places else 0
    body = record(b"=", 31, b"", b"", [ghost if gone else first, 0, *[0] * 30])
    for number, (key, value) in enumerate(kept):
        after = places[number + 1] if number + 1 < len(places) else 0
        body += record(b"+", 1, key, value, (0, after) if number % 2 else (after, 10**9))
    body += record(b"-", 0, b"", b"", (first,))
    for key in gone:
        body += record(b"+", 1, key, b"stale", (first, 0))
    size = 64 + len(body)
    head = MAGIC + struct.pack(">IQQQQII", 1, 1, len(kept), 0, size, 0, 0)
    return head + body + uncommitted


ROWS = [(b"Nuser\x1falice", b"%(A %(alice lrs) I 0a1b P default V 1)"), (b"Nuser\x1fbob", b"%()"), (b"x", b"y" * 70)]


def test_all_pairs_are_read_in_their_order():
    assert twoskip.read(database(ROWS)) == ROWS
    assert twoskip.read(database([])) == []


def test_what_was_deleted_or_is_not_committed_is_not_there():
    assert twoskip.read(database(ROWS, gone=[b"x"], uncommitted=b"rubbish" * 9)) == ROWS[:2]


def test_no_damage_crashes_it_or_keeps_it_forever():
    data = database(ROWS)
    with pytest.raises(NotReadable):
        twoskip.read(b"other" + data)
    for at in range(20, len(data)):
        for octet in (0, 0x2B, 0xFF):
            try:
                twoskip.read(data[:at] + bytes([octet]) + data[at + 1 :])
                twoskip.read(data[:at])
            except NotReadable:
                pass


@pytest.mark.parametrize(
    ("value", "found"),
    [
        (b"%(P default I 0a1b-2c V 1)", "0a1b-2c"),
        (b"%(P default I 0a1b)", "0a1b"),
        (b"%(I ../../etc V 1)", ""),
        (b"%(P I)", ""),
        (b"%(A %(I lr alice lrs) I 0a1b)", "0a1b"),  # a user called I
        (b"0 default alice lrs", ""),
    ],
)
def test_the_id_of_a_mailbox_is_the_word_behind_i(value, found):
    assert record_of(value).id == found


@pytest.mark.parametrize(
    ("value", "acl"),
    [
        (b"%(T e I 0a1b P default A %(alice lrs -anyone r))", [("alice", "lrs"), ("-anyone", "r")]),
        (b'%(N "user\x1fa b" A %("a \\"b" "" group:x lr) H (1 (2)) D %())', [('a "b', ""), ("group:x", "lr")]),
        (b"%(P default I 0a1b)", []),
        (b"%(A %())", []),
        (b"0 default alice\tlrs\tanyone\tp\t", [("alice", "lrs"), ("anyone", "p")]),
    ],
)
def test_the_acl_of_a_mailbox_is_the_pairs_behind_a(value, acl):
    assert record_of(value).acl == acl


@pytest.mark.parametrize(
    "value",
    [
        b"%(A %(alice lr)",
        b"%(A alice)",
        b"%(A %(alice))",
        b"%(A lr) x",
        b"%(A {3}\r\nlr)",
        b"%(" * 40,
        b'%(A "x',
        b"%(I %())",
    ],
)
def test_a_record_that_cannot_be_read_is_none(value):
    with pytest.raises(ValueError, match=r"."):
        record_of(value)


def found(folder, user, data):
    (folder / "mailboxes.db").write_bytes(data)
    values = {
        "accounts.maildrop": f"cyrus:{folder}/spool/%M",
        "accounts.mailboxes_db": str(folder / "mailboxes.db"),
        "auth.sources": "maildrops",
    }
    return Maildrops(Settings([("test", values)])).find(user, Facts("s"))


def test_a_mailbox_below_uuid_is_found_by_its_id(tmp_path):
    place = tmp_path / "spool/uuid/0/a/0a1b"
    place.mkdir(parents=True)
    if os.geteuid() == 0:
        os.chown(place, 61077, 61077)
    account = found(tmp_path, "alice", database(ROWS))
    assert isinstance(account, Account)
    assert account.maildrop == f"cyrus:{place}"
    assert found(tmp_path, "bob", database(ROWS)) is None
    assert found(tmp_path, "carol", database(ROWS)) is None


def test_a_database_of_another_form_has_no_such_mailboxes_and_a_damaged_one_refuses(tmp_path):
    assert found(tmp_path, "alice", b"\241\002\213\015skiplist file\0\0\0") is None
    with pytest.raises(CredentialStoreError, match=r"mailboxes\.db"):
        found(tmp_path, "alice", database(ROWS)[:200])
