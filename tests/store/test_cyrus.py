"""A mailbox of a Cyrus spool, read where it is: sizes, uids, texts, and what is not believed (imap/mailbox.h)."""

import os
from contextlib import closing

import pytest

from qpopper_py.auth.maildrops import expand
from qpopper_py.errors import MaildropChanged, MaildropTrouble, MaildropUnusable
from qpopper_py.store.cyrus.index import Damaged, Index
from qpopper_py.store.cyrus.store import CyrusMailbox
from tests.store import boxes
from tests.store.spools import DELETED, EXPUNGED, SEEN, spool

MAIL = [
    b"Subject: 1\r\n\r\none\r\n",
    b"Subject: 2\r\nStatus: RO\r\n\r\n.two\r\n.\r\n",
    b"Subject: 3\r\n\r\n\xff\0" + b"x" * 300000 + b"\r\n",
]


def opened(folder, **values):
    return boxes.store(folder, path=f"cyrus:{folder}/box", **values)


@pytest.mark.parametrize("minor", [9, 12, 13, 17])
def test_sizes_uids_and_texts_are_cyruss(tmp_path, minor):
    spool(tmp_path / "box", MAIL, minor=minor, numbers=[3, 7, 4000000000])
    with closing(opened(tmp_path, uidl="cyrus")) as store:
        assert [entry.octets for entry in store.scan()] == [len(text) for text in MAIL]
        assert store.uids() == ["1280000000.3", "1280000000.7", "1280000000.4000000000"]
        assert [b"".join(store.read(index)) for index in range(3)] == MAIL


@pytest.mark.parametrize(
    ("scheme", "new", "uid"),
    [
        ("cyrus", True, "1280000000.26"),
        ("cyrus", False, "26"),
        ("uidonly", True, "26"),
        ("dovecot", True, "0000001a4c4b4000"),
        ("cyrus-courier", False, "1280000000-26"),
        ("qpopper2", True, "1280000000.26"),  # no scheme of an IMAP server's
    ],
)
def test_uids_are_in_the_form_of_uidl_format(tmp_path, scheme, new, uid):
    """imapd.conf(5) uidl_format; the bare form for mailboxes without OPT_POP3_NEW_UIDL."""
    spool(tmp_path / "box", MAIL[:1], numbers=[26], new=new)
    with closing(opened(tmp_path, uidl=scheme)) as store:
        store.scan()
        assert store.uids() == [uid]


def test_a_folder_with_an_index_is_a_mailbox_of_cyrus_without_being_named_so(tmp_path):
    spool(tmp_path / "box", MAIL)
    with closing(boxes.store(tmp_path)) as store:
        assert isinstance(store, CyrusMailbox)


def test_what_is_expunged_is_not_there_and_flags_are_seen(tmp_path):
    spool(tmp_path / "box", MAIL, flags=[SEEN, EXPUNGED, DELETED])
    with closing(opened(tmp_path)) as store:
        assert [(entry.seen, entry.deleted) for entry in store.scan()] == [(True, False), (False, True)]
        assert store.uids() == ["1280000000.1", "1280000000.3"]
        assert store.retrieved() == {0}


def test_pop3_show_after_hides_what_is_not_newer(tmp_path):
    spool(tmp_path / "box", MAIL, show_after=1600000000)
    with closing(opened(tmp_path)) as store:
        assert len(store.scan()) == 2


def test_nothing_is_deleted_and_the_way_out_is_told(tmp_path):
    spool(tmp_path / "box", MAIL)
    before = sorted(os.listdir(tmp_path / "box"))
    with closing(opened(tmp_path)) as store:
        store.scan()
        with pytest.raises(MaildropUnusable, match="convert --from cyrus"):
            store.expunge([0])
    assert sorted(os.listdir(tmp_path / "box")) == before


def test_a_message_that_cyrus_removed_under_the_session_is_gone(tmp_path):
    spool(tmp_path / "box", MAIL)
    with closing(opened(tmp_path)) as store:
        store.scan()
        (tmp_path / "box/2.").unlink()
        with pytest.raises(MaildropChanged, match="removed"):
            store.read(1)
        assert b"".join(store.read(0)) == MAIL[0]


@pytest.mark.parametrize("text", [MAIL[0] + b"more\r\n", b"", MAIL[0][:-2] + b"\n\n", MAIL[0][:-2] + b"xy"])
def test_a_file_that_is_not_what_the_index_says_is_not_sent(tmp_path, text):
    spool(tmp_path / "box", MAIL)
    (tmp_path / "box/1.").write_bytes(text)
    with closing(opened(tmp_path)) as store:
        store.scan()
        with pytest.raises(MaildropChanged, match="reconstruct"):
            b"".join(store.read(0))


def test_a_link_in_the_place_of_a_message_is_not_followed(tmp_path):
    spool(tmp_path / "box", MAIL)
    (tmp_path / "box/1.").rename(tmp_path / "elsewhere")
    (tmp_path / "box/1.").symlink_to(tmp_path / "elsewhere")
    with closing(opened(tmp_path)) as store:
        store.scan()
        with pytest.raises(MaildropTrouble):
            store.read(0)


def test_a_folder_of_somebody_else_is_refused(tmp_path):
    spool(tmp_path / "box", MAIL)
    with pytest.raises(MaildropUnusable, match="belongs to uid"):
        CyrusMailbox(str(tmp_path / "box"), os.geteuid() + 1, "cyrus", print).scan()


@pytest.mark.parametrize(
    ("damage", "words"),
    [
        (lambda data: data[:40], "too short"),
        (lambda data: data[:-1], "does not fit"),
        (lambda data: data[:8] + b"\0\0\0\x12" + data[12:], "version 18"),
        (lambda data: data[:16] + b"\xff" * 4 + data[20:], "does not fit"),
        (lambda data: data[:20] + b"\xff" * 4 + data[24:], "does not fit"),
        (lambda data: data[:160] + b"\0\0\0\x09" + data[164:], "follows"),
    ],
)
def test_a_damaged_index_opens_nothing(tmp_path, damage, words):
    box = spool(tmp_path / "box", MAIL)
    data = damage((box / "cyrus.index").read_bytes())
    with pytest.raises(Damaged, match=words):
        Index(data)
    (box / "cyrus.index").write_bytes(data)
    with closing(opened(tmp_path)) as store, pytest.raises(MaildropUnusable, match="index"):
        store.scan()


def test_no_bytes_crash_the_reader_of_the_index(tmp_path):
    data = bytearray((spool(tmp_path / "box", MAIL) / "cyrus.index").read_bytes())
    for at in range(len(data)):
        for octet in (0, 1, 0x7F, 0xFF):
            changed = bytearray(data)
            changed[at] = octet
            try:
                Index(bytes(changed))
            except Damaged:
                pass


@pytest.mark.parametrize(
    ("template", "user", "place"),
    [
        ("cyrus:/s/%N", "bovik", "cyrus:/s/user/bovik"),
        ("cyrus:/s/%M", "Bovik", "cyrus:/s/b/user/Bovik"),
        ("cyrus:/s/%M", "9er", "cyrus:/s/q/user/9er"),
        ("cyrus:/s/%N", "helmer.fudd", "cyrus:/s/user/helmer^fudd"),
        ("cyrus:/s/%N", "a@x.org", "cyrus:/s/domain/x.org/user/a"),
        ("cyrus:/s/%M", "a@x.org", "cyrus:/s/domain/x/x.org/a/user/a"),
        ("cyrus:/s/%F", "ab", ""),
    ],
)
def test_a_users_place_in_the_spool_is_where_cyrus_puts_it(template, user, place):
    if template.endswith("%F"):
        number = (ord("a") << 3) ^ (ord("a") >> 5) ^ ord("b")
        place = f"cyrus:/s/{chr(ord('A') + number % 23)}/user/ab"
    assert expand(template, user, "") == place


@pytest.mark.parametrize("user", ["..", "a/b", "@x", "a@../../etc"])
def test_no_name_climbs_out_of_the_spool(user):
    with pytest.raises(ValueError, match="%M"):
        expand("cyrus:/s/%M", user, "")
