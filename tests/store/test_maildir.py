"""A Maildir as one maildrop: names, order, sizes, and what other programs do to it in mid-session (maildir(5))."""

import errno
import hashlib
import os
import socket

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from qpopper_py.errors import MaildropChanged, MaildropTrouble, MaildropUnusable
from qpopper_py.store.maildir.names import order, plain, stated

from . import boxes

TEXT = b"Subject: %d\n\nhello\n"


def maildir(folder, files):
    """A Maildir at ``folder``/box with ``files``: {"new/NAME": content}."""
    for name in ("new", "cur", "tmp"):
        (folder / "box" / name).mkdir(parents=True, exist_ok=True)
    for name, content in files.items():
        (folder / "box" / name).write_bytes(content)
    return folder / "box"


def opened(folder, reports=None, **keywords):
    store = boxes.store(folder, reports=reports, **keywords)
    store.scan()
    return store


def texts(store):
    """Of a store that was scanned."""
    return [b"".join(store.read(index)) for index in range(len(store.uids()))]


def whole(folder, **keywords):
    """(uid, text) of a session."""
    store = opened(folder, **keywords)
    try:
        found = texts(store)
        return list(zip(store.uids(), found, strict=True))
    finally:
        store.close()


def names(box):
    return sorted(f"{where}/{name}" for where in ("new", "cur", "tmp") for name in os.listdir(box / where))


THREE = {
    "new/1700000003.M1P1.host": TEXT % 3,
    "cur/1700000001.M1P1.host:2,S": TEXT % 1,
    "cur/1700000002.M1P1.host:2,": TEXT % 2,
}


@pytest.fixture
def box(tmp_path):
    return maildir(tmp_path, THREE)


@pytest.fixture
def store(tmp_path, box):
    store = opened(tmp_path)
    yield store
    store.close()


def test_new_and_cur_are_one_maildrop_in_the_order_of_delivery(tmp_path, box):
    assert [uid for uid, _ in whole(tmp_path)] == [f"170000000{n}.M1P1.host" for n in (1, 2, 3)]


@pytest.mark.parametrize(
    ("earlier", "later"),
    [
        ("9.x", "10.a"),
        ("5.M9P1.host", "5.M10P1.host"),
        ("5.M10P2.host", "5.M10P3.host"),
        ("5.a", "5.b"),
        ("strange", "1.a"),
    ],
)
def test_the_order_is_that_of_the_times_in_the_names_then_of_the_names(earlier, later):
    assert sorted([later, earlier], key=order) == [earlier, later]


def test_flags_change_neither_order_nor_uids(tmp_path, box):
    """Courier's bug of 2003: every message came a second time."""
    before = whole(tmp_path)
    os.rename(box / "new/1700000003.M1P1.host", box / "cur/1700000003.M1P1.host:2,FRS")
    os.rename(box / "cur/1700000001.M1P1.host:2,S", box / "cur/1700000001.M1P1.host:2,")
    assert whole(tmp_path) == before


def test_seen_is_the_flag_s_in_cur(tmp_path):
    maildir(tmp_path, {"cur/1.a:2,FS": b"", "cur/2.b:2,F": b"", "cur/3.c": b"", "new/4.d:2,S": b"", "cur/5.e:2,T": b""})
    store = boxes.store(tmp_path)
    entries = store.scan()
    store.close()
    assert [entry.seen for entry in entries] == [True, False, False, False, False]
    assert [entry.deleted for entry in entries] == [False, False, False, False, True]


def test_a_name_that_is_no_uid_has_its_md5(tmp_path):
    long, odd = "1." + "x" * 69, "2.a b"
    maildir(tmp_path, {f"new/{long}": b"", f"new/{odd}": b"", "new/3." + "y" * 68: b""})
    assert [uid for uid, _ in whole(tmp_path)] == [
        hashlib.md5(long.encode()).hexdigest(),
        hashlib.md5(odd.encode()).hexdigest(),
        "3." + "y" * 68,
    ]


def test_a_name_that_is_not_utf_8_is_served_and_removed(tmp_path):
    box = maildir(tmp_path, {})
    with open(os.path.join(os.fsencode(box), b"new", b"1.\xff\xe4"), "wb") as file:
        file.write(TEXT % 1)
    store = opened(tmp_path)
    assert store.uids() == [hashlib.md5(b"1.\xff\xe4").hexdigest()]
    store.expunge({0})
    store.close()
    assert names(box) == []


def test_nothing_but_regular_files_is_a_message(tmp_path, box):
    secret = tmp_path / "secret"
    secret.write_bytes(TEXT % 0)
    os.symlink(secret, box / "new/1.link")
    os.mkfifo(box / "new/2.fifo")
    os.mkdir(box / "cur/3.folder:2,")
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(str(box / "cur/4.socket"))
    (box / "new/.hidden").write_bytes(TEXT % 9)
    reports = []
    found = whole(tmp_path, reports=reports)
    listener.close()
    assert len(found) == 3
    assert len(reports) == 1
    assert "4 entries" in reports[0]
    assert str(box) in reports[0]


@pytest.mark.parametrize("part", ["", "/new", "/cur", "/tmp"])
def test_a_folder_that_is_a_symbolic_link_is_refused(tmp_path, box, part):
    os.rename(f"{box}{part}", tmp_path / "elsewhere")
    os.symlink(tmp_path / "elsewhere", f"{box}{part}")
    with pytest.raises(MaildropUnusable, match="symbolic link"):
        boxes.store(tmp_path, path=f"maildir:{box}").scan()


@pytest.mark.parametrize("part", ["new", "cur", "tmp"])
def test_what_lacks_a_folder_is_no_maildir_and_is_left_alone(tmp_path, part):
    box = maildir(tmp_path, {})
    os.rmdir(box / part)
    with pytest.raises(MaildropUnusable, match="new, cur and tmp"):
        boxes.store(tmp_path, path=f"maildir:{box}").scan()
    assert not (box / part).exists()


def test_a_missing_maildir_is_empty_and_not_made(tmp_path):
    store = opened(tmp_path, path=f"maildir:{tmp_path}/box")
    assert list(store.uids()) == []
    store.close()
    assert not (tmp_path / "box").exists()


@pytest.mark.root
def test_somebody_elses_maildir_is_refused(tmp_path, box):
    os.chown(box / "cur", 12345, 12345)
    with pytest.raises(MaildropUnusable, match="12345"):
        boxes.store(tmp_path).scan()


def test_a_prefix_says_what_a_path_is(tmp_path, box):
    with pytest.raises(MaildropUnusable, match="is a folder"):
        boxes.store(tmp_path, path=f"mbox:{box}").scan()
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(MaildropUnusable):
        boxes.store(tmp_path, path=f"maildir:{tmp_path}/file").scan()


# -- what RETR sends ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("stored", "sent"),
    [
        (b"", b""),
        (b"a", b"a\r\n"),
        (b"a\n", b"a\r\n"),
        (b"a\r\n", b"a\r\n"),
        (b"a\r", b"a\r\r\n"),
        (b"\n", b"\r\n"),
        (b"a\rb\n\r\n\r\r\nc", b"a\rb\r\n\r\n\r\r\nc\r\n"),
        (b"From a Wed Dec  2 05:53:22 1992\n.\n", b"From a Wed Dec  2 05:53:22 1992\r\n.\r\n"),
    ],
)
def test_lines_end_in_crlf_and_nothing_else_changes(tmp_path, stored, sent):
    maildir(tmp_path, {"new/1.a": stored})
    store = boxes.store(tmp_path)
    assert [entry.octets for entry in store.scan()] == [len(sent)]
    assert texts(store) == [sent]
    store.close()


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.sampled_from([b"\r", b"\n", b"a", b"\r\n", b".", b"\0\xff"]), max_size=40), st.integers(1, 5))
def test_pieces_of_any_size_give_the_same(tmp_path, monkeypatch, parts, size):
    monkeypatch.setattr("qpopper_py.store.maildir.store.PIECE", size)
    monkeypatch.setattr("qpopper_py.store.maildir.sizes.PIECE", size)
    stored = b"".join(parts)
    maildir(tmp_path, {"new/1.a": stored})
    store = boxes.store(tmp_path, state="")
    assert [entry.octets for entry in store.scan()] == [len(boxes.wire(stored))]
    assert b"".join(store.read(0)) == boxes.wire(stored)
    store.close()


def test_a_true_size_in_a_name_saves_reading_the_file(tmp_path, monkeypatch):
    maildir(tmp_path, {"new/1.a,S=18,W=21": TEXT % 1, "new/2.b,W=21": TEXT % 2})
    assert len(TEXT % 1) == 18
    monkeypatch.setattr("qpopper_py.store.maildir.sizes.measure", None)  # would raise
    store = boxes.store(tmp_path)
    assert [entry.octets for entry in store.scan()] == [21, 21]
    store.close()


@pytest.mark.parametrize(
    "name", ["1.a,S=17,W=21", "1.a,S=17,W=20", "1.a,S=18", "1.a,W=17", "1.a,W=37", "1.a,W=x", "1.a,S=18,W=9"]
)
def test_a_size_in_a_name_that_the_file_contradicts_is_not_believed(tmp_path, name):
    maildir(tmp_path, {f"new/{name}": TEXT % 1})
    store = boxes.store(tmp_path)
    assert [entry.octets for entry in store.scan()] == [21]
    assert texts(store) == [boxes.wire(TEXT % 1)]
    store.close()


def test_a_size_that_proves_wrong_ends_the_session_once_and_the_trust_for_ever(tmp_path):
    """Before a byte is sent: what was announced cannot be kept."""
    maildir(tmp_path, {"new/1.a,S=18,W=22": TEXT % 1, "new/2.b,S=18,W=23": TEXT % 2})
    store = opened(tmp_path)
    with pytest.raises(MaildropChanged, match="W= is 22, the message has 21"):
        store.read(0)
    store.close()
    for _ in range(2):
        store = boxes.store(tmp_path)
        assert [entry.octets for entry in store.scan()] == [21, 21]
        assert texts(store) == [boxes.wire(TEXT % 1), boxes.wire(TEXT % 2)]
        store.close()


def test_what_was_counted_is_not_counted_again(tmp_path, box, monkeypatch):
    before = whole(tmp_path)
    monkeypatch.setattr("qpopper_py.store.maildir.sizes.measure", None)
    assert whole(tmp_path) == before


@pytest.mark.parametrize("change", ["size", "time"])
def test_a_file_that_changed_is_counted_again(tmp_path, box, change):
    whole(tmp_path)
    path = box / "cur/1700000001.M1P1.host:2,S"
    path.write_bytes((TEXT % 1)[:-4] + b"\n\n\n\n" + b"x" * (change == "size"))
    if change == "time":
        os.utime(path, (1, 1))
    assert whole(tmp_path)[0][1] == boxes.wire(path.read_bytes())


@pytest.mark.parametrize("damage", [b"", b"nonsense\n", b"pop3d sizes 1 0\nx 1 1 1\n"])
def test_a_damaged_record_of_sizes_is_made_anew(tmp_path, box, damage):
    before = whole(tmp_path)
    (tmp_path / "state/sizes").write_bytes(damage)
    assert whole(tmp_path, reports=[]) == before
    assert whole(tmp_path) == before


def test_names_say_their_sizes():
    assert stated("1.a,S=12,W=13") == (12, 13)
    assert stated("1.S=3,W=5,X=9") == (-1, 5)
    assert plain("1.a,S=1") == "1.a,S=1"


# -- other programs in mid-session --------------------------------------------------------------------------------


def rename_all(box):
    """A mail reader that has seen everything."""
    for where in ("new", "cur"):
        for name in os.listdir(box / where):
            os.rename(box / where / name, box / "cur" / (name.partition(":")[0] + ":2,FS"))


def test_a_message_that_was_renamed_is_read(box, store):
    rename_all(box)
    assert texts(store) == [boxes.wire(TEXT % n) for n in (1, 2, 3)]


def test_a_message_that_is_renamed_again_and_again_is_read(box, store):
    for flags in ("S", "FS", "FRS", ""):
        for name in os.listdir(box / "cur"):
            os.rename(box / "cur" / name, box / "cur" / (name.partition(":")[0] + ":2," + flags))
        assert texts(store) == [boxes.wire(TEXT % n) for n in (1, 2, 3)]


def test_a_message_that_is_renamed_while_it_is_read_is_read(tmp_path):
    box = maildir(tmp_path, {"new/1.a": b"x" * 500000})
    store = opened(tmp_path)
    pieces = store.read(0)
    first = next(pieces)
    rename_all(box)
    assert first + b"".join(pieces) == b"x" * 500000 + b"\r\n"
    store.close()


@pytest.mark.parametrize("gone", [{0}, {2}, {0, 1, 2}, {1, 2}])
def test_a_message_that_was_renamed_is_expunged(tmp_path, box, store, gone):
    rename_all(box)
    store.expunge(gone)
    store.close()
    left = [n for n in range(3) if n not in gone]
    assert [uid for uid, _ in whole(tmp_path)] == [f"170000000{n + 1}.M1P1.host" for n in left]
    assert [name for name in names(box) if name.startswith("tmp")] == []


@pytest.mark.parametrize("gone", [{0}, {0, 1}])
def test_a_message_that_somebody_else_removed_counts_as_removed(box, store, gone):
    os.unlink(box / "cur/1700000001.M1P1.host:2,S")
    store.expunge(gone)
    assert len(names(box)) == 3 - len(gone)


def test_a_message_that_somebody_else_removed_cannot_be_read(box, store):
    os.unlink(box / "cur/1700000001.M1P1.host:2,S")
    with pytest.raises(MaildropChanged, match="removed"):
        store.read(0)
    assert b"".join(store.read(1)) == boxes.wire(TEXT % 2)


def edit(path):
    path.write_bytes(path.read_bytes() + b"more\n")


def edit_in_place(path):
    state = path.stat()
    path.write_bytes(path.read_bytes().replace(b"hello", b"HELLO"))
    os.utime(path, ns=(state.st_atime_ns, state.st_mtime_ns + 1))


def replace(path):
    state = path.stat()
    other = path.with_name("other")
    other.write_bytes(path.read_bytes().replace(b"hello", b"HELLO"))
    os.utime(other, ns=(state.st_atime_ns, state.st_mtime_ns))
    os.rename(other, path)


def link(path):
    os.rename(path, path.with_name(".hidden"))
    os.symlink(path.with_name(".hidden"), path)


CHANGES = [edit, edit_in_place, replace, link]


@pytest.mark.parametrize("change", CHANGES)
def test_a_file_that_was_edited_or_replaced_is_noticed_before_a_byte_is_sent(box, store, change):
    change(box / "cur/1700000001.M1P1.host:2,S")
    with pytest.raises(MaildropChanged):
        store.read(0)


@pytest.mark.parametrize("change", CHANGES)
@pytest.mark.parametrize("gone", [{0}, {0, 1, 2}])
def test_a_file_that_was_edited_or_replaced_is_not_removed_and_nothing_else_is(box, store, change, gone):
    change(box / "cur/1700000001.M1P1.host:2,S")
    before = names(box)
    with pytest.raises(MaildropChanged):
        store.expunge(gone)
    assert names(box) == before


def test_a_file_that_is_edited_while_it_is_read_is_cut_off(tmp_path):
    box = maildir(tmp_path, {"new/1.a": b"x" * 500000})
    store = opened(tmp_path)
    pieces = store.read(0)
    next(pieces)
    (box / "new/1.a").write_bytes(b"y" * 500000)
    os.utime(box / "new/1.a", (1, 1))
    with pytest.raises(MaildropChanged):
        list(pieces)
    store.close()


def test_two_files_with_one_base_are_two_messages(tmp_path):
    box = maildir(tmp_path, {"new/1.a": TEXT % 1, "cur/1.a:2,S": TEXT % 2})
    store = opened(tmp_path)
    assert sorted(texts(store)) == [boxes.wire(TEXT % 1), boxes.wire(TEXT % 2)]
    uids = list(store.uids())
    assert len(set(uids)) == 2
    first = texts(store)[0]
    store.expunge({0})
    store.close()
    assert len(names(box)) == 1
    ((uid, text),) = whole(tmp_path)
    assert (uid, text == first) == (uids[1], False)


def test_one_file_under_two_names_of_one_base_is_one_message(tmp_path):
    """As between the link and the unlink of a program that moves mail that way."""
    box = maildir(tmp_path, {"new/1.a": TEXT % 1})
    os.link(box / "new/1.a", box / "cur/1.a:2,S")
    assert whole(tmp_path) == [("1.a", boxes.wire(TEXT % 1))]


def test_a_delivery_in_the_session_stays_for_the_next(tmp_path, box, store):
    (box / "tmp/1700000000.early").write_bytes(TEXT % 0)
    os.rename(box / "tmp/1700000000.early", box / "new/1700000000.early")
    assert texts(store) == [boxes.wire(TEXT % n) for n in (1, 2, 3)]
    store.expunge({0, 1, 2})
    store.close()
    assert whole(tmp_path) == [("1700000000.early", boxes.wire(TEXT % 0))]


@pytest.mark.root
def test_a_file_that_we_may_not_read_is_left_out_and_named(tmp_path, box, monkeypatch):
    """As root nothing is refused by modes, so the refusal is the system's by proxy."""
    real = os.open

    def refuse(path, *rest, **keywords):
        if str(path).startswith("1700000002"):
            raise PermissionError(errno.EACCES, "Permission denied", path)
        return real(path, *rest, **keywords)

    monkeypatch.setattr(os, "open", refuse)
    reports = []
    assert [uid[:10] for uid, _ in whole(tmp_path, reports=reports)] == ["1700000001", "1700000003"]
    assert len(reports) == 1
    assert "1700000002" in reports[0]


# -- all or none --------------------------------------------------------------------------------------------------


class Crash(Exception):
    pass


def stages(box):
    return sorted(os.listdir(box / "tmp"))


CALLS = ["mkdir", "rename", "fsync", "unlink", "rmdir"]


@pytest.mark.parametrize("error", [errno.EIO, errno.EROFS, errno.EACCES])
@pytest.mark.parametrize("call", CALLS)
@pytest.mark.parametrize("number", range(6))
def test_an_error_leaves_all_or_none(tmp_path, box, store, monkeypatch, call, number, error):
    """Each call of each kind fails once, and from then on all of them; without an exception all three are gone."""
    failing = fail_from(monkeypatch, call, number, OSError(error, os.strerror(error)), once=True)
    reports = []
    store.report = reports.append
    try:
        store.expunge({0, 1, 2})
        raised = None
    except MaildropTrouble as why:
        raised = str(why)
    monkeypatch.undo()
    store.close()
    left = [uid for uid, _ in whole(tmp_path, reports=reports)]
    if raised is None or "did not confirm" in raised:
        assert left == []
    elif call == "unlink" or (call == "rename" and "cannot be undone" in raised):
        assert len(left) in (0, 3)
    else:
        assert len(left) == 3, raised
        assert "nothing was removed" in raised
    assert stages(box) == []
    assert failing.count >= 0


class fail_from:  # noqa: N801  # reads as a clause
    """``os.call`` raises ``error`` at its ``number``-th call, and, unless ``once``, everything after it does too."""

    def __init__(self, monkeypatch, call, number, error, once=False):
        self.count = -1
        self.dead = False
        for name in CALLS:
            monkeypatch.setattr(os, name, self.wrapped(getattr(os, name), name == call, number, error, once))

    def wrapped(self, real, chosen, number, error, once):
        def call(*arguments, **keywords):
            if self.dead:
                raise Crash
            if chosen:
                self.count += 1
                if self.count == number:
                    self.dead = not once
                    raise error
            return real(*arguments, **keywords)

        return call


@pytest.mark.parametrize("call", CALLS)
@pytest.mark.parametrize("number", range(6))
def test_a_crash_leaves_all_or_none(tmp_path, box, store, monkeypatch, call, number):
    """From the crash on no call does anything; the next session finishes what is left."""
    fail_from(monkeypatch, call, number, Crash())
    try:
        store.expunge({0, 1, 2})
    except (Crash, MaildropTrouble):
        pass
    monkeypatch.undo()
    store.close()
    assert len(whole(tmp_path, reports=[])) in (0, 3)
    assert stages(box) == []


@pytest.mark.parametrize("error", [errno.ENOSPC, errno.EDQUOT])
@pytest.mark.parametrize("call", ["mkdir", "rename"])
@pytest.mark.parametrize("number", range(3))
def test_on_a_full_disk_messages_can_be_removed(tmp_path, box, store, monkeypatch, call, number, error):
    """unlink(2) needs no room, whatever a rename does."""
    fail_from(monkeypatch, call, number, OSError(error, os.strerror(error)), once=True)
    store.expunge({0, 2})
    monkeypatch.undo()
    store.close()
    assert [uid for uid, _ in whole(tmp_path)] == ["1700000002.M1P1.host"]
    assert stages(box) == []


def test_without_room_for_a_stage_an_error_says_how_many_are_gone(tmp_path, box, store, monkeypatch):
    real = os.unlink
    done = []

    def unlink(*arguments, **keywords):
        if len(done) == 2:
            raise OSError(errno.EIO, "Input/output error")
        done.append(real(*arguments, **keywords))

    def mkdir(*arguments, **keywords):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "unlink", unlink)
    monkeypatch.setattr(os, "mkdir", mkdir)
    with pytest.raises(MaildropTrouble, match="2 of 3 messages were removed"):
        store.expunge({0, 1, 2})


def test_what_is_removed_is_on_the_disk_before_expunge_returns(box, store, monkeypatch):
    synced = []
    real = os.fsync
    monkeypatch.setattr(os, "fsync", lambda fd: (synced.append(os.readlink(f"/proc/self/fd/{fd}")), real(fd))[1])
    store.expunge({0})
    assert {f"{box}/cur"} <= set(synced)
    synced.clear()
    store.expunge({1, 2})
    assert {f"{box}/cur", f"{box}/new", f"{box}/tmp"} <= set(synced)
    assert synced.index(f"{box}/cur") < synced.index(f"{box}/tmp")


def test_a_stage_of_a_session_that_is_at_work_is_left_alone(tmp_path, box, store, monkeypatch):
    seen = []
    real = os.rename

    def rename(*arguments, **keywords):
        if not seen:
            seen.append([uid for uid, _ in whole(tmp_path, second_session="allowed")])
        return real(*arguments, **keywords)

    monkeypatch.setattr(os, "rename", rename)
    store.expunge({0, 1, 2})
    store.close()
    assert len(seen[0]) == 3
    assert names(box) == []


def test_the_quota_file_is_told(tmp_path, box, store):
    (box / "maildirsize").write_bytes(b"1000000S\n54 3\n")
    store.expunge({0, 1})
    assert (box / "maildirsize").read_bytes() == b"1000000S\n54 3\n-36 -2\n"


def test_for_reading_only_nothing_is_written(tmp_path, box):
    os.makedirs(box / "tmp/.expunge-1.a/new")
    (tmp_path / "state").mkdir(exist_ok=True)
    store = opened(tmp_path, read_only=True)
    store.uids()
    store.remember({0})
    store.close()
    assert os.listdir(tmp_path / "state") == []
    assert stages(box) == [".expunge-1.a"]


def test_twenty_thousand_messages_are_served_in_order(tmp_path):
    box = maildir(tmp_path, {f"new/{1700000000 + n}.M{n}P1.host,S=18,W=21": TEXT % 1 for n in range(20000)})
    store = opened(tmp_path)
    assert [uid[:10] for uid in store.uids()] == [str(1700000000 + n) for n in range(20000)]
    rename_all(box)
    store.expunge(range(0, 20000, 2))
    store.close()
    assert len(names(box)) == 10000
