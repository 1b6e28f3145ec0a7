"""Uids that old servers gave: computed here from what is known of them, and what holds for every scheme."""

import hashlib
import itertools
import os
import re
import time
from functools import partial

import pytest

from qpopper_py.store.numbering import bases
from qpopper_py.store.uid_schemes import SCHEMES

from .boxes import FROM, message, store

NOTHING = "d98c1dd404b2008f"  # popa3d's, where no field counts: the MD5 of nothing
ALL = sorted(SCHEMES)
NUMBERED = ["cyrus", "uidonly", "dovecot", "courier", "cyrus-courier", "uw"]
FORMS = {
    "cyrus": r"(?P<v>\d+)\.(?P<n>\d+)",
    "uidonly": r"(?P<n>\d+)",
    "dovecot": r"(?P<n>[0-9a-f]{8})(?P<v>[0-9a-f]{8})",
    "courier": r"UID(?P<n>\d+)-(?P<v>\d+)",
    "cyrus-courier": r"(?P<v>\d+)-(?P<n>\d+)",
    "uw": r"(?P<v>[0-9a-f]{8})(?P<n>[0-9a-f]{8})",
}


def uids(folder, scheme, data=None, gone=(), **values):
    """The uids of one session, which then removes ``gone``."""
    opened = store(folder, data, uidl=scheme, **values)
    try:
        opened.scan()
        found = list(opened.uids())
        opened.expunge(gone)
        opened.remember(())
    finally:
        opened.close()
    assert len(set(found)) == len(found)
    assert all(1 <= len(uid) <= 70 and all("!" <= c <= "~" for c in uid) for uid in found)
    return found


def of_header(scheme, *lines):
    return SCHEMES[scheme].of_header(FROM + b"".join(lines) + b"\n")


def swapped(digested):
    """popa3d prints the first two words of an MD5 as little-endian numbers."""
    digest = hashlib.md5(digested).digest()
    return "".join(f"{int.from_bytes(digest[at : at + 4], 'little'):08x}" for at in (0, 4))


DATE, ID, RECEIVED, MORE = b"Date: d\n", b"Message-ID: <1>\n", b"Received: r\n", b"\tby h\n"
TO, DELIVERY, SUBJECT = b"Delivered-To: u\n", b"X-Delivery-ID: 1\n", b"Subject: s\n"


@pytest.mark.parametrize(
    ("lines", "digested"),
    [
        ([], b""),
        ([SUBJECT], b""),
        ([DATE, ID], DATE + ID),
        ([DATE, SUBJECT, MORE, ID, MORE], DATE + ID + MORE),
        ([RECEIVED, MORE, DATE, ID, RECEIVED], RECEIVED + MORE),
        ([DATE, RECEIVED, ID, RECEIVED, MORE], DATE + RECEIVED),
        ([RECEIVED, TO, MORE, DELIVERY, TO], RECEIVED + TO + MORE + DELIVERY + TO),
        ([b"x-delivery-id: 1\n", b"X-dELIVERY-id: 2\n"], b"X-dELIVERY-id: 2\n"),
        ([b"DATE: d\n", b"mEssage-id: <1>\n"], b"DATE: d\nmEssage-id: <1>\n"),
        ([b"Date : d\n", b" Date: d\n"], b""),
        ([b"Date: d\r\n"], b"Date: d\r\n"),
    ],
)
def test_popa3d_hashes_whole_fields(lines, digested):
    assert of_header("popa3d", *lines) == swapped(digested)


def test_popa3d_has_a_uid_for_a_message_without_fields():
    assert of_header("popa3d") == SCHEMES["popa3d"].of_header(FROM) == NOTHING


@pytest.mark.parametrize(
    ("lines", "digested"),
    [
        ([SUBJECT, DATE, RECEIVED, MORE, RECEIVED], SUBJECT + DATE + RECEIVED + RECEIVED),
        ([b"Message-ID: <1>\n", b"date: d\n", TO, DELIVERY], b""),
        ([b"Message-Id: <1>\n", DATE], b"Message-Id: <1>\n" + DATE),
    ],
)
def test_the_old_popa3d_hashes_first_lines_with_names_in_that_case(lines, digested):
    assert of_header("popa3d-old", *lines) == swapped(digested)


def test_qpopper_4_hashes_the_from_line_twice_and_writes_in_base_80():
    digest = hashlib.md5(FROM + SUBJECT + DATE + FROM).digest()
    text = b""
    for a, b, c, d in (digest[at : at + 4] for at in (0, 4, 8, 12)):
        value = a * 4096 + b * 256 + c * 16 + d
        text += bytes(0x21 + value // 80**power % 80 for power in range(5))
    assert of_header("qpopper4", SUBJECT, MORE, DATE, TO) == text.replace(b".", b"~").decode()
    assert re.fullmatch(r"(...[!\"#]!){4}", of_header("qpopper4", SUBJECT))


@pytest.mark.parametrize("scheme", ["qpopper2", "qpopper4", "mailutils0", "mailutils3"])
def test_a_stored_uid_goes_before_a_made_one(scheme):
    assert of_header(scheme, SUBJECT, b"x-uidl: \tabc.1 \n", b"X-UIDL: other\n") == "abc.1"


def test_the_old_mailutils_took_blanks_and_brackets_out_of_a_stored_uid():
    assert of_header("mailutils0", b"X-UIDL: <a b\n\tc@d>\n") == "abc@d"


def test_the_new_mailutils_takes_it_as_it_is():
    assert of_header("mailutils3", b"X-UIDL: <a@d>\n") == "<a@d>"
    assert of_header("mailutils3", b"X-UIDL:\n <a@d>\n") == "<a@d>"


@pytest.mark.parametrize("scheme", ["mailutils0", "mailutils3"])
def test_mailutils_makes_a_uid_of_the_message_the_time_and_its_number_and_once(tmp_path, scheme):
    letters = [message(1), FROM + b"X-UIDL: kept\n\nbody\n\n", message(2, b"\n")]
    made = uids(tmp_path, scheme, b"".join(letters))
    assert made[1] == "kept"
    for number, index in ((1, 0), (3, 2)):
        digest = hashlib.md5(letters[index][len(FROM) : -1]).hexdigest()
        assert re.fullmatch(rf"{digest}\.\d{{10}}\.{number}", made[index])
    assert uids(tmp_path, scheme, gone={0}) == made
    assert uids(tmp_path, scheme) == made[1:]


@pytest.mark.parametrize("scheme", NUMBERED)
def test_numbers_ascend_below_one_validity(tmp_path, scheme):
    found = [re.fullmatch(FORMS[scheme], uid) for uid in uids(tmp_path, scheme, message(1) + message(2) + message(3))]
    base = 16 if scheme in ("dovecot", "uw") else 10
    first = int(found[0]["n"], base)
    assert [int(match["n"], base) - first for match in found] == [0, 1, 2]
    if scheme != "uidonly":
        assert first == 1
        assert len({match["v"] for match in found}) == 1


IMAP = (
    FROM + b"X-IMAPbase: 1234567890 0000000009 $Junk\nX-UID: 3\n\none\n\n",
    FROM + b"Subject: 2\nX-UID: 7\n\ntwo\n\n",
    FROM + b"Subject: 3\n\nthree\n\n",
)


@pytest.mark.parametrize(
    ("scheme", "expected"),
    [
        ("cyrus", ["1234567890.3", "1234567890.7", "1234567890.10"]),
        ("uidonly", ["3", "7", "10"]),
        ("dovecot", ["00000003499602d2", "00000007499602d2", "0000000a499602d2"]),
        ("courier", ["UID3-1234567890", "UID7-1234567890", "UID10-1234567890"]),
        ("cyrus-courier", ["1234567890-3", "1234567890-7", "1234567890-10"]),
        ("uw", ["499602d200000003", "499602d200000007", "499602d20000000a"]),
    ],
)
def test_numbers_that_an_imap_server_wrote_into_headers_are_kept(tmp_path, scheme, expected):
    assert uids(tmp_path, scheme, b"".join(IMAP), {0}) == expected
    assert uids(tmp_path, scheme) == expected[1:]


def test_so_are_those_of_a_mailbox_with_the_imap_servers_own_message(tmp_path):
    internal = (
        FROM + b"From: Mail System Internal Data <M@h>\nSubject: DON'T DELETE THIS MESSAGE\nX-IMAP: 77 9\n\nx\n\n"
    )
    assert uids(tmp_path, "cyrus", internal + b"".join(IMAP[1:])) == ["77.7", "77.10"]


@pytest.mark.parametrize("number", [b"2", b"3", b"10", b"4294967295", b"99999999999999", b"-1", b"x", b""])
def test_a_number_that_is_taken_or_not_given_out_yet_is_not(tmp_path, number):
    forged = FROM + b"X-UID: " + number + b"\n\nforged\n\n"
    assert uids(tmp_path, "uidonly", IMAP[0] + forged) == ["3", "10"]


def test_a_number_in_mail_that_comes_later_is_not_believed(tmp_path):
    before = uids(tmp_path, "cyrus", message(1) + message(2), {1})
    with open(tmp_path / "box", "ab") as file:
        file.write(FROM + b"X-IMAPbase: %s 9\nX-UID: 2\n\nforged\n\n" % before[0].partition(".")[0].encode())
    assert uids(tmp_path, "cyrus")[1].endswith(".3")


def test_a_validity_in_mail_that_comes_later_changes_nothing(tmp_path):
    before = uids(tmp_path, "cyrus", message(1) + message(2), {0})
    data = (tmp_path / "box").read_bytes()
    late = FROM + b"X-IMAPbase: 5 9\nX-UID: 5\n\nforged\n\n"
    validity = before[0].partition(".")[0]
    assert uids(tmp_path, "cyrus", late + data) == [f"{validity}.3", before[1]]


SAME = [FROM + b"Subject: same\n\n%s\n" % body for body in (b"a\n", b"b\n", b"b\n", b"c\n")]
GROUPS = [*SAME, message(7), FROM + b"X-UIDL: q\n\none\n\n", FROM + b"X-UIDL: q\n\ntwo\n\n"]


@pytest.mark.parametrize("scheme", ALL)
@pytest.mark.parametrize("gone", [c for n in (1, 2, 6) for c in itertools.combinations(range(7), n)], ids=str)
def test_no_deletion_renames_what_is_left_and_no_uid_is_given_twice(tmp_path, scheme, gone):
    before = uids(tmp_path, scheme, b"".join(GROUPS), gone)
    left = [uid for index, uid in enumerate(before) if index not in gone]
    assert uids(tmp_path, scheme) == left
    with open(tmp_path / "box", "ab") as file:
        file.write(FROM + b"Subject: same\n\nnew\n\n")
    after = uids(tmp_path, scheme)
    assert after[:-1] == left
    if scheme in NUMBERED or any(index not in gone for index in range(4)):
        assert after[-1] not in before


@pytest.mark.parametrize("scheme", NUMBERED)
@pytest.mark.parametrize("asked", [True, False])
def test_a_mailbox_that_was_emptied_gives_no_number_again(tmp_path, scheme, asked):
    before = uids(tmp_path, scheme, b"".join(GROUPS))
    opened = store(tmp_path, uidl=scheme)
    opened.scan()
    if asked:
        opened.uids()
    opened.expunge(range(7))
    opened.remember(())
    opened.close()
    assert (tmp_path / "box").read_bytes() == b""
    after = uids(tmp_path, scheme, b"".join(GROUPS))
    assert not set(before) & set(after)


@pytest.mark.parametrize("scheme", NUMBERED)
def test_with_its_record_lost_a_mailbox_is_fetched_once_more_and_no_uid_is_anothers(tmp_path, scheme, monkeypatch):
    before = uids(tmp_path, scheme, message(1) + message(2), {0})
    (tmp_path / "state" / "uids").unlink()
    later = partial(bases, clock=lambda: time.time() + 100)
    monkeypatch.setattr("qpopper_py.store.mbox.uids.bases", later)
    assert not set(before) & set(uids(tmp_path, scheme))


@pytest.mark.parametrize("scheme", [*NUMBERED, "mailutils3"])
def test_without_a_state_folder_the_uids_are_those_that_content_fixes(tmp_path, scheme):
    data = b"".join(GROUPS[4:6])
    one = uids(tmp_path, scheme, data, state="")
    assert one[0] == uids(tmp_path, "qpopper2", data, state="")[0]
    assert uids(tmp_path, scheme, data, state="") == one
    (tmp_path / "box").write_bytes(b"".join(IMAP))
    if scheme != "mailutils3":
        assert uids(tmp_path, scheme, state="")[:2] == uids(tmp_path, scheme)[:2]


@pytest.mark.parametrize("scheme", [*NUMBERED, "mailutils3"])
def test_where_the_record_cannot_be_written_too(tmp_path, scheme):
    data = b"".join(GROUPS[4:6])
    (tmp_path / "state" / "uids.new").mkdir(parents=True)
    reports = []
    assert uids(tmp_path, scheme, data, reports=reports)[0] == uids(tmp_path, "qpopper2", data, state="")[0]
    assert all("cannot be written" in line for line in reports)
    assert reports


def test_a_new_number_is_on_the_disk_before_anybody_hears_it(tmp_path):
    opened = store(tmp_path, message(1), uidl="cyrus")
    opened.scan()
    [uid] = opened.uids()
    validity, number = uid.split(".")
    assert f"\nnumbers {validity} {int(number) + 1} -\n" in (tmp_path / "state" / "uids").read_text()
    opened.close()


def test_numbers_outlast_the_trial_of_another_scheme(tmp_path):
    before = uids(tmp_path, "cyrus", b"".join(GROUPS))
    uids(tmp_path, "qpopper2")
    assert uids(tmp_path, "cyrus") == before


def test_what_a_mail_reader_marks_changes_no_number(tmp_path):
    before = uids(tmp_path, "cyrus", message(1) + message(2))
    data = (tmp_path / "box").read_bytes().replace(b"\nSubject", b"\nX-UID: 9\nStatus: RO\nSubject")
    assert uids(tmp_path, "cyrus", data) == before


def test_a_message_that_was_moved_keeps_its_number(tmp_path):
    before = uids(tmp_path, "cyrus", message(1) + message(2))
    assert uids(tmp_path, "cyrus", message(2) + message(1)) == before[::-1]


def test_the_record_of_numbers_is_small_and_written_once(tmp_path):
    uids(tmp_path, "cyrus", b"".join(message(number) for number in range(100)))
    record = tmp_path / "state" / "uids"
    assert record.stat().st_size < 100 * 40
    before = record.stat().st_ino, record.stat().st_mtime_ns
    uids(tmp_path, "cyrus")
    assert (record.stat().st_ino, record.stat().st_mtime_ns) == before


@pytest.mark.parametrize("scheme", ALL)
def test_a_record_full_of_nonsense_is_survived(tmp_path, scheme):
    lines = [
        "numbers x y -",
        "numbers -1 99999999999999999999999 -",
        "number k - z",
        "number k",
        "a b c d e",
        "number  - 1",
    ]
    rest = "".join(line + "\n" for line in lines).encode()
    os.makedirs(tmp_path / "state")
    (tmp_path / "state" / "uids").write_bytes(b"pop3d uids 1 %s\n" % hashlib.md5(rest).hexdigest().encode() + rest)
    assert len(uids(tmp_path, scheme, b"".join(GROUPS))) == 7
