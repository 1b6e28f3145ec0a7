"""``qpopper-py import-uids``: what other servers left behind, read, and matched with the messages of a mailbox."""

import base64
import hashlib
import os
import zlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from qpopper_py.errors import QpopperError
from qpopper_py.settings import Settings
from qpopper_py.store.opening import open_store
from qpopper_py.tools import command, import_uids
from qpopper_py.tools.uid_lists import KINDS, Given, courier, cyrus, dovecot, kind_of, listing
from qpopper_py.tools.uid_match import by_order
from tests.harness import open_folder

USER = "nobody-of-this-name"
FROM = b"From a@example.org Wed Dec  2 05:53:22 1992\n"
TEXTS = [b"Message-Id: <%d@x>\nSubject: %d\n\n" % (n, n) + b"line\n" * n for n in (1, 2, 3)]
# The index of a mailbox of Cyrus 3.6.1 (Debian 12): appended 1, 2, 1, 2 of CYRUS, the second expunged.  Its pop3d
# answered 1795180036.1, .3 and .4 to UIDL.
CYRUS = [b"Message-Id: <1@x>\nSubject: one\n\nbody one\n", b"Message-Id: <2@x>\nSubject: two\n\nbody two, longer\n"]
CYRUS_UIDS = ["1795180036.1", "1795180036.3", "1795180036.4"]
CYRUS_INDEX = zlib.decompress(
    base64.b85decode(
        "c-muNfCE7wUI4@eK+KZO;KmA~p>q8|J{u6TFrWfPBsK>Un;EK~;oJ4?_S4qQn2)B9L4B#8H%J}K9H4q;bT!ixr<y?JShD{2HUQbWK&%XP"
        "2MZSWfB{sT+rjMnkHuo2+FPCle^rP+QlRp1su|3EXj+*2O}`(KSDoenWHTYzXNs_oF#+VK21J-(*r&8?hM&dcU!_M<1QO?-uvzoNI9Uoy"
        "*nj}b70+o5-DiMWAz_8Ze@uHQ@E<Fh7FLk|&Uzl<gvBkI|A6XQBw%rd#XeR7{$oSa!Upo+(NA0X0D($gYy"
    )
)


def mbox(folder, texts=TEXTS):
    (folder / "box").write_bytes(b"".join(FROM + text + b"\n" for text in texts))
    return f"mbox:{folder}/box"


def names(count=3):
    return [f"160000000{number}.M1P1.host" for number in range(count)]


def maildir(folder, texts=TEXTS):
    for name in ("cur", "new", "tmp"):
        (folder / "box" / name).mkdir(parents=True)
    for name, text in zip(names(len(texts)), texts, strict=True):
        (folder / "box" / "cur" / f"{name}:2,S").write_bytes(text)
    return f"maildir:{folder}/box"


@pytest.fixture(params=[mbox, maildir])
def place(request, tmp_path):
    (tmp_path / "state").mkdir()
    return request.param(tmp_path)


def opened(folder, place, **values):
    settings = Settings([("test", {name.replace("__", "."): value for name, value in values.items()})])
    return open_store(place, USER, str(folder / "state"), settings, pytest.fail)


def run(folder, place, uids, dry_run=False):
    """The import, in this process, as this user."""
    store = opened(folder, place)
    try:
        import_uids.Import(store, uids, str(folder / "state"), dry_run).run()
    finally:
        store.close()


def uids_of(folder, place, gone=(), **values):
    store = opened(folder, place, **values)
    try:
        store.scan()
        found = list(store.uids())
        store.expunge(gone)
        store.remember(())
    finally:
        store.close()
    return found


def octets(text):
    return len(text.replace(b"\n", b"\r\n"))


def dovecot_list(extra=("", " W{w}", " Pold.uid W{w}"), texts=TEXTS):
    lines = [f"{n + 4}{e.format(w=octets(texts[n]))} :{names()[n]}:2,S\n" for n, e in enumerate(extra)]
    return ("3 V1234567890 N9 G5a5b\n" + "".join(lines)).encode()


def test_dovecots_list_gives_dovecots_uids_and_those_that_it_had_saved():
    found = dovecot(dovecot_list(), "")
    assert [entry.uid for entry in found.given] == ["00000004499602d2", "00000005499602d2", "old.uid"]
    assert [entry.octets for entry in found.given] == [-1, octets(TEXTS[1]), octets(TEXTS[2])]
    assert [entry.name for entry in found.given] == names()
    assert (found.validity, found.next) == (1234567890, 9)


def test_dovecots_first_list_is_read_too():
    found = dovecot(b"1 1234567890 9\n4 1.M1.host,W=77:2,S\n", "courier")
    assert [(entry.uid, entry.octets, entry.name) for entry in found.given] == [
        ("UID4-1234567890", 77, "1.M1.host,W=77"),
    ]


def test_couriers_list_gives_couriers_uids_old_and_new():
    data = b"/3 7 1234567890\n1.a:2,S 77 5:1234567890:0\n2.b 88 6:0:1\n3.c+d' e:2, 99 0:0:0\n"
    found = courier(data, "")
    assert [(entry.uid, entry.octets, entry.name) for entry in found.given] == [
        ("UID5-1234567890", 77, "1.a"),
        ("UID6", 88, "2.b"),
        ("3.c+2Bd+27+20e", 99, "3.c+d' e"),
    ]
    assert (found.validity, found.next) == (1234567890, 7)


def test_cyrus_index_gives_what_its_pop3d_answered():
    found = cyrus(CYRUS_INDEX, "")
    texts = [CYRUS[0], CYRUS[0], CYRUS[1]]
    assert [entry.uid for entry in found.given] == CYRUS_UIDS
    assert [entry.octets for entry in found.given] == [octets(text) for text in texts]
    assert [entry.digest for entry in found.given] == [
        hashlib.sha1(text.replace(b"\n", b"\r\n")).hexdigest() for text in texts
    ]
    assert (found.validity, found.next) == (1795180036, 5)


@pytest.mark.parametrize(
    ("form", "uid"), [("uidonly", "1"), ("dovecot", "000000016b004604"), ("cyrus-courier", "1795180036-1")]
)
def test_cyrus_may_have_been_told_another_form(form, uid):
    assert cyrus(CYRUS_INDEX, form).given[0].uid == uid


def test_a_cyrus_mailbox_of_before_2_1_4_has_bare_numbers():
    assert cyrus(CYRUS_INDEX[:63] + b"\0" + CYRUS_INDEX[64:], "").given[0].uid == "1"


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        (b"1 a\r\n2 b\r\n", [("a", -1), ("b", -1)]),
        (b"UIDL\r\n+OK 2 messages\r\n1 a\r\n2 b\r\n.\r\nQUIT\r\n+OK\r\n", [("a", -1), ("b", -1)]),
        (b"+OK\n1 120\n2 200\n.\n+OK\n1 a\n2 b\n.\n", [("a", 120), ("b", 200)]),
        (b"1 a\n3 c\n1 120\n3 200\n", [("a", 120), ("c", 200)]),
        (b"1 17\n2 18\n", [("17", -1), ("18", -1)]),
    ],
    ids=["a client's", "a transcript", "LIST and UIDL", "one behind the other", "numbers"],
)
def test_an_answer_to_uidl_is_read_however_it_was_caught(data, expected):
    assert [(entry.uid, entry.octets) for entry in listing(data, "").given] == expected


@pytest.mark.parametrize(
    ("kind", "data"),
    [
        ("dovecot", b"2 V1 N2\n"),
        ("dovecot", b"3 V1 N2\n1 no colon\n"),
        ("dovecot", b""),
        ("courier", b"/4 1 2\n"),
        ("courier", b"/3 1 2\nname\n"),
        ("courier", b"1 2\n"),
        ("cyrus", b""),
        ("cyrus", CYRUS_INDEX[:-1]),
        ("cyrus", CYRUS_INDEX[:11] + b"\x14" + CYRUS_INDEX[12:]),
        ("list", b"+OK\n"),
        ("list", b"1 a\n.\n1 b\n"),
        ("list", b"1 17\n.\n1 18\n"),
    ],
)
def test_what_cannot_be_read_is_refused_in_words(kind, data):
    with pytest.raises(QpopperError):
        KINDS[kind][0](data, "")


@given(kind=st.sampled_from(sorted(KINDS)), data=st.one_of(st.binary(max_size=700), st.text().map(str.encode)))
def test_no_octets_break_a_reader(kind, data):
    try:
        found = KINDS[kind][0](data, "")
    except QpopperError:
        return
    assert all(entry.uid for entry in found.given)


@pytest.mark.parametrize(
    ("name", "data", "kind"),
    [
        ("x", dovecot_list(), "dovecot"),
        ("x", b"/3 1 2\n", "courier"),
        ("x", CYRUS_INDEX, "cyrus"),
        ("x", FROM, "headers"),
        ("x", b"1 abc\n", "list"),
        ("x", b"+OK\n", "list"),
        ("dovecot-uidlist", b"", "dovecot"),
        ("cyrus.index", b"", "cyrus"),
    ],
)
def test_the_kind_of_a_list_is_seen(name, data, kind):
    assert kind_of(name, data[:64]) == kind


def test_a_message_that_is_known_again_gets_its_uid_and_keeps_it(tmp_path, place, capsys):
    run(tmp_path, place, dovecot(dovecot_list(("", "", " Pold.uid")), ""))
    expected = ["00000004499602d2", "00000005499602d2", "old.uid"]
    assert uids_of(tmp_path, place, {1}) == expected
    assert uids_of(tmp_path, place) == [expected[0], expected[2]]
    assert capsys.readouterr().out == "3 of 3 messages get the unique-id of the list, which has 3\n"


def test_a_dry_run_says_all_and_writes_nothing(tmp_path, place, capsys):
    before = uids_of(tmp_path, place)
    files = sorted(os.listdir(tmp_path / "state"))
    run(tmp_path, place, dovecot(dovecot_list(("", "", " Pold.uid")), ""), dry_run=True)
    assert uids_of(tmp_path, place) == before
    assert sorted(os.listdir(tmp_path / "state")) == files
    out = capsys.readouterr().out
    assert out.startswith("3 of 3 messages would get ")
    assert "  message 3: old.uid\n" in out


def test_what_did_not_match_is_told(tmp_path, place, capsys):
    lines = ["1 90", f"2 {octets(TEXTS[1])}", f"3 {octets(TEXTS[2])}", "1 gone", "2 b", "3 c"]
    run(tmp_path, place, listing("\n".join(lines).encode(), ""))
    assert capsys.readouterr().out == (
        "2 of 3 messages get the unique-id of the list, which has 3\n"
        f"  message 1 ({octets(TEXTS[0])} octets): not in the list\n"
        "  unique-id gone: of no message here\n"
    )
    assert uids_of(tmp_path, place)[1:] == ["b", "c"]


def test_a_list_of_another_mailbox_is_refused(tmp_path, place):
    before = uids_of(tmp_path, place)
    with pytest.raises(QpopperError, match="no message is known again"):
        run(tmp_path, place, listing(b"1 a\n2 b\n", ""))
    assert uids_of(tmp_path, place) == before


def test_cyrus_messages_are_known_by_their_text_in_any_order(tmp_path):
    (tmp_path / "state").mkdir()
    place = mbox(tmp_path, [CYRUS[1], TEXTS[0], CYRUS[0], CYRUS[0]])
    run(tmp_path, place, cyrus(CYRUS_INDEX, ""))
    found = uids_of(tmp_path, place, uidl="cyrus")
    assert [found[0], found[2], found[3]] == [CYRUS_UIDS[2], CYRUS_UIDS[0], CYRUS_UIDS[1]]
    assert found[1] not in CYRUS_UIDS


def test_numbers_go_on_where_the_old_server_stopped(tmp_path):
    """Those of messages that were deleted there are not given again, nor is a list of ours overruled later."""
    (tmp_path / "state").mkdir()
    place = mbox(tmp_path, [CYRUS[0], CYRUS[0], CYRUS[1]])
    run(tmp_path, place, cyrus(CYRUS_INDEX, ""))
    assert uids_of(tmp_path, place, uidl="cyrus") == CYRUS_UIDS
    with open(tmp_path / "box", "ab") as file:
        file.write(FROM + TEXTS[0] + b"\n")
    found = uids_of(tmp_path, place, uidl="cyrus")
    assert found[:3] == CYRUS_UIDS
    validity, number = found[3].split(".")
    assert validity == "1795180036"
    assert int(number) >= 5
    run(tmp_path, place, cyrus(CYRUS_INDEX, ""))
    assert uids_of(tmp_path, place, uidl="cyrus") == found


def test_the_numbers_in_an_mboxs_headers_can_be_imported_too(tmp_path):
    (tmp_path / "state").mkdir()
    source = [b"X-IMAPbase: 1234567890 9\nX-UID: 3\n" + TEXTS[0], b"X-UID: 7\n" + TEXTS[1], TEXTS[2]]
    (tmp_path / "old").write_bytes(b"".join(FROM + text + b"\n" for text in source))
    place = maildir(tmp_path)
    asked = import_uids.words().parse_args([place, str(tmp_path / "old"), "--form", "uw"])
    run(tmp_path, place, import_uids.read_list(asked, Settings()))
    assert uids_of(tmp_path, place) == ["499602d200000003", "499602d200000007", names()[2]]


def test_messages_that_share_a_header_do_not_share_an_imported_uid(tmp_path):
    (tmp_path / "state").mkdir()
    head = b"Subject: same\n\n"
    place = mbox(tmp_path, [head + b"1\n", head + b"22\n", head + b"1\n", TEXTS[0]])
    sizes = [octets(head + body) for body in (b"22\n", b"1\n")]
    uids = listing(f"1 {sizes[0]}\n2 {octets(TEXTS[0])}\n1 two\n2 four\n".encode(), "")
    run(tmp_path, place, uids)
    found = uids_of(tmp_path, place)
    assert (found[1], found[3]) == ("two", "four")
    assert not {"two", "four"} & {found[0], found[2]}


def test_a_uid_that_the_rfc_forbids_is_left_out(tmp_path, place, capsys):
    before = uids_of(tmp_path, place)
    run(tmp_path, place, listing(b"1 " + b"x" * 71 + b"\n2 b\n3 c\n", ""))
    assert uids_of(tmp_path, place) == [before[0], "b", "c"]
    assert "1 of these are no unique-ids" in capsys.readouterr().err


def matched(theirs, ours):
    """{message: entry} by their places."""
    given = [Given(str(number), size) for number, size in enumerate(theirs)]
    return {index: int(entry.uid) for index, entry in by_order(given, ours).items()}


@pytest.mark.parametrize(
    ("theirs", "ours", "expected"),
    [
        ([5, 6, 7], [5, 6, 7], {0: 0, 1: 1, 2: 2}),
        ([5, 5, 5], [5, 5, 5], {0: 0, 1: 1, 2: 2}),
        ([-1, -1], [5, 6], {0: 0, 1: 1}),
        ([-1, 9], [5, 6], {}),
        ([-1], [5, 6], {}),
        ([5, 6, 7], [5, 7], {0: 0, 1: 2}),
        ([5, 6], [5, 6, 7], {0: 0, 1: 1}),
        ([5, 5, 7], [5, 7], {1: 2}),
        ([5, 5, 7, 8, 8], [5, 5, 7, 8], {0: 0, 1: 1, 2: 2}),
        ([5, 6, 7], [7, 6, 5], {}),
        ([5, 6, 7, 8], [8, 5, 6, 7], {}),
        ([], [5], {}),
        ([5], [], {}),
    ],
)
def test_by_order_and_size_only_what_is_certain_is_matched(theirs, ours, expected):
    assert matched(theirs, ours) == expected


@given(
    sizes=st.lists(st.integers(1, 6), max_size=12),
    gone=st.sets(st.integers(0, 11)),
    new=st.lists(st.integers(1, 6), max_size=3),
)
def test_deletions_and_new_mail_move_no_uid_to_a_message_of_another_size(sizes, gone, new):
    ours = [size for index, size in enumerate(sizes) if index not in gone] + new
    found = matched(sizes, ours)
    assert all(ours[index] == sizes[entry] for index, entry in found.items())
    assert sorted(found.values()) == list(dict.fromkeys(found[index] for index in sorted(found)))


@given(count=st.integers(0, 12), gone=st.sets(st.integers(0, 11)), new=st.integers(0, 3))
def test_where_all_sizes_differ_every_message_that_is_left_is_found(count, gone, new):
    left = [index for index in range(count) if index not in gone]
    ours = [100 + index for index in left] + [1000 + index for index in range(new)]
    assert matched([100 + index for index in range(count)], ours) == dict(enumerate(left))


@pytest.mark.root
def test_the_command_does_it_as_the_mailboxs_user(capfd):
    """Root reads the list; the mailbox and the table are the user's."""
    import pwd

    user = pwd.getpwnam("nobody")
    with open_folder() as folder:
        place = mbox(folder)
        os.chown(folder / "box", user.pw_uid, user.pw_gid)
        (folder / "list").write_text("1 a\n2 b\n3 c\n")
        line = ["import-uids", "--config", "none", "--set", f"state_dir={folder}/state", "--set", "locks.dotlock=try"]
        assert command.main([*line, place, str(folder / "list")]) == 0
        assert "3 of 3 messages get" in capfd.readouterr().out
        found = list((folder / "state").rglob("overrides"))
        assert [path.stat().st_uid for path in found] == [user.pw_uid]


def test_a_mailbox_or_list_that_is_not_there_is_said_to_be(tmp_path, capsys):
    line = ["import-uids", "--config", "none", f"{tmp_path}/box", f"{tmp_path}/list"]
    assert command.main(line) == 1
    assert f"{tmp_path}/box: there is no such mailbox" in capsys.readouterr().err
