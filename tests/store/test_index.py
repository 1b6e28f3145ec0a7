"""The index: it saves the scan, and whatever is wrong with it, what a session says is what the file holds."""

import os
import shutil
import time
import tracemalloc
from contextlib import closing

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from qpopper_py.errors import MaildropChanged
from qpopper_py.store.mbox import index, scan
from qpopper_py.store.mbox.from_line import STRICT
from qpopper_py.store.mbox.snapshot import identity

from .boxes import FROM, lines_of, message, parse, store, wire

DATA = b"".join(message(n) for n in range(5))
MORE = message(7) + message(8)


@pytest.fixture
def scans(monkeypatch):
    """The ranges of the mailbox that were scanned."""
    seen = []
    real = scan.scan

    def watched(fd, path, begin, end, *rest, **more):
        seen.append((begin, end))
        return real(fd, path, begin, end, *rest, **more)

    for module in ("index", "snapshot"):
        monkeypatch.setattr(f"qpopper_py.store.mbox.{module}.scan", watched)
    return seen


def session(folder, doomed=(), data=None, **settings):
    """One whole session: (octets, seen, uid, text) of each message."""
    with closing(store(folder, data, **settings)) as opened:
        entries = opened.scan()
        uids = opened.uids()
        rows = [
            (entry.octets, entry.seen, uids[number], b"".join(opened.read(number)))
            for number, entry in enumerate(entries)
        ]
        opened.expunge(doomed)
    return rows


def expected(data):
    """The same, but for uids, by a parser that goes line by line."""
    texts = [wire(content) for _, content, _ in parse(data)]
    return [(len(text), text) for text in texts]


def without_uids(rows):
    return [(octets, text) for octets, _, _, text in rows]


def append(path, data):
    with open(path, "ab") as file:
        file.write(data)


def later(path):
    """Give the mailbox the stamps of a change made long ago, so that none of ours is too fresh to rely on."""
    found = os.stat(path)
    os.utime(path, ns=(found.st_atime_ns, found.st_mtime_ns))


def test_an_unchanged_mailbox_is_not_scanned_again(tmp_path, scans):
    first = session(tmp_path, data=DATA)
    assert without_uids(first) == expected(DATA)
    assert scans == [(0, len(DATA))]
    assert session(tmp_path) == first
    assert session(tmp_path) == first
    assert len(scans) == 1


def test_of_a_grown_mailbox_only_what_follows_the_last_known_message_is_scanned(tmp_path, scans):
    first = session(tmp_path, data=DATA)
    append(tmp_path / "box", MORE)
    grown = session(tmp_path)
    assert without_uids(grown) == expected(DATA + MORE)
    assert grown[:5] == first
    assert scans[1:] == [(DATA.rindex(FROM), len(DATA + MORE))]
    assert session(tmp_path) == grown
    assert len(scans) == 2


def test_mail_that_came_during_a_session_is_found_by_the_next(tmp_path, scans):
    with closing(store(tmp_path, DATA)) as opened:
        assert len(opened.scan()) == 5
        append(tmp_path / "box", MORE)
        assert len(opened.uids()) == 5
    assert without_uids(session(tmp_path)) == expected(DATA + MORE)
    assert scans[1:] == [(DATA.rindex(FROM), len(DATA + MORE))]


@pytest.mark.parametrize("gone", [{0}, {1, 3}, {4}, {3, 4}, {0, 1, 2, 3}])
def test_after_an_expunge_nothing_is_scanned(tmp_path, scans, gone):
    first = session(tmp_path, doomed=gone, data=DATA)
    del scans[:]
    left = session(tmp_path)
    assert [row[2:] for row in left] == [row[2:] for number, row in enumerate(first) if number not in gone]
    assert not scans


@pytest.mark.parametrize(("gone", "first"), [({4}, None), ({2, 3, 4}, None), ({3}, 3), ({1, 4}, 1)])
def test_what_an_expunge_moves_is_scanned_before_and_an_end_that_is_cut_off_is_not(tmp_path, scans, gone, first):
    """The index is no witness of what is moved; of an end that goes, separators and headers are looked at."""
    session(tmp_path, data=DATA)
    del scans[:]
    session(tmp_path, doomed=gone)
    assert scans == ([] if first is None else [(DATA.index(message(first)), len(DATA))])
    left = b"".join(message(n) for n in range(5) if n not in gone)
    assert (tmp_path / "box").read_bytes() == left


def test_an_end_that_was_touched_since_the_index_is_scanned_before_it_is_cut_off(tmp_path, scans):
    session(tmp_path, data=DATA)
    del scans[:]
    with closing(store(tmp_path)) as opened:
        opened.scan()
        with open(tmp_path / "box", "r+b") as file:
            file.write(DATA[:1])  # the same, but who knows what else
        append(tmp_path / "box", MORE)
        opened.expunge({4})
    assert scans == [(DATA.index(message(4)), len(DATA))]
    assert (tmp_path / "box").read_bytes() == DATA[: DATA.index(message(4))] + MORE


def test_after_an_expunge_with_new_mail_behind_only_that_is_scanned(tmp_path, scans):
    with closing(store(tmp_path, DATA)) as opened:
        opened.scan()
        append(tmp_path / "box", MORE)
        opened.expunge({1, 4})
    left = message(0) + message(2) + message(3) + MORE
    assert (tmp_path / "box").read_bytes() == left
    del scans[:]
    assert without_uids(session(tmp_path)) == expected(left)
    assert scans == [(left.index(message(3)), len(left))]


def test_an_emptied_mailbox_leaves_no_index(tmp_path):
    session(tmp_path, doomed=range(5), data=DATA)
    assert not (tmp_path / "state/index").exists()
    assert session(tmp_path) == []


def test_no_lock_is_taken_where_nothing_changed(tmp_path):
    session(tmp_path, data=DATA)
    (tmp_path / "box.lock").write_text("held by a delivery\n")
    assert without_uids(session(tmp_path, locks__timeout=0)) == expected(DATA)


def test_what_was_read_and_marked_is_told_from_the_index_too(tmp_path):
    data = FROM + b"Status: RO\n\none\n\n" + FROM + b"X-Status: D\n\ntwo\n\n"
    for _ in range(2):
        with closing(store(tmp_path, None if (tmp_path / "box").exists() else data)) as opened:
            assert [(entry.seen, entry.deleted) for entry in opened.scan()] == [(True, False), (False, True)]


# --------------------------------------------------------------------------------------------------------------
# What is not believed


def test_an_edit_that_keeps_size_and_mtime_is_noticed(tmp_path, scans):
    """As a mail reader's that marks a message and sets the time back."""
    session(tmp_path, data=DATA)
    before = os.stat(tmp_path / "box")
    edited = DATA.replace(b"number 3", b"NUMBER 3")
    with open(tmp_path / "box", "r+b") as file:
        file.write(edited)
    os.utime(tmp_path / "box", ns=(before.st_atime_ns, before.st_mtime_ns))
    assert without_uids(session(tmp_path)) == expected(edited)
    assert scans[1:] == [(0, len(DATA))]


def test_a_mailbox_in_the_place_of_another_is_scanned(tmp_path, scans):
    session(tmp_path, data=DATA)
    before = os.stat(tmp_path / "box")
    (tmp_path / "new").write_bytes(DATA.replace(b"number", b"NUMBER"))
    os.utime(tmp_path / "new", ns=(before.st_atime_ns, before.st_mtime_ns))
    os.rename(tmp_path / "new", tmp_path / "box")
    assert without_uids(session(tmp_path)) == expected(DATA.replace(b"number", b"NUMBER"))
    assert len(scans) == 2


TICK = int(time.clock_getres(5) * 1.25e9)  # CLOCK_REALTIME_COARSE, by which files are stamped


@pytest.mark.parametrize(
    ("changed", "taken", "answer"),
    [
        (1_000_000_123_456_789, 1_000_000_123_456_789 + TICK - 1, True),  # within a tick of the kernel's
        (1_000_000_123_456_789, 1_000_000_123_456_789 + TICK, False),
        (1_000_000_123_456_789, 1_000_000_000_000_000, True),  # the clock was set back
        (1_000_000_000_000_000, 1_000_001_900_000_000, True),  # stamps of whole seconds, perhaps of two
        (1_000_000_000_000_000, 1_000_002_100_000_000, False),
        (1_000_000_120_000_000, 1_000_001_900_000_000, True),  # FAT counts hundredths
    ],
)
def test_stamps_that_a_later_change_could_share_are_not_relied_on(changed, taken, answer):
    assert index.racy((1, 2, 3, changed, changed), taken) is answer
    assert index.racy((1, 2, 3, 5, changed), taken) is answer


def test_an_index_with_such_stamps_is_not_believed(tmp_path, scans, monkeypatch):
    session(tmp_path, data=DATA)
    monkeypatch.setattr(index, "racy", lambda stamps, taken: True)
    assert without_uids(session(tmp_path)) == expected(DATA)
    assert len(scans) == 2


@pytest.mark.parametrize(
    "foreign",
    [
        ("qpopper_py.store.mbox.index_file.__version__", "99.0"),
        ("qpopper_py.store.mbox.index_file.FORMAT", 99),
        ("sys.byteorder", "middle"),
    ],
    ids=["another version", "another format", "another machine"],
)
def test_what_another_program_wrote_is_not_believed(tmp_path, scans, monkeypatch, foreign):
    with monkeypatch.context() as other:
        other.setattr(*foreign)
        session(tmp_path, data=DATA)
        session(tmp_path)
        assert len(scans) == 1
    assert without_uids(session(tmp_path)) == expected(DATA)
    assert len(scans) == 2


def test_what_another_rule_found_is_not_believed(tmp_path):
    data = message(1) + b"From the hills\n\n" + message(2)
    assert len(session(tmp_path, data=data)) == 2
    assert len(session(tmp_path, mbox__separator="popa3d")) == 3
    assert len(session(tmp_path)) == 2


def test_uids_of_another_scheme_are_not_believed(tmp_path):
    first = session(tmp_path, data=DATA)
    other = session(tmp_path, uidl="popa3d")
    assert [row[2] for row in other] != [row[2] for row in first]
    (tmp_path / "state/index").unlink()
    assert session(tmp_path, uidl="popa3d") == other


@pytest.mark.parametrize(
    "put",
    [
        lambda path: path.write_bytes(b""),
        lambda path: path.write_bytes(b"pop3d index 1 00000000 00000000\n"),
        lambda path: path.write_bytes(b"\n" * 2000),
        lambda path: path.write_bytes(os.urandom(5000)),
        lambda path: path.mkdir(),
        lambda path: path.symlink_to("/etc/passwd"),
        lambda path: os.mkfifo(path),
        lambda path: path.chmod(0) if path.exists() else path.touch(0),
    ],
    ids=["empty", "one line", "line ends", "noise", "folder", "link", "fifo", "unreadable"],
)
def test_what_is_no_index_is_as_none(tmp_path, put):
    first = session(tmp_path, data=DATA)
    (tmp_path / "state/index").unlink()
    put(tmp_path / "state/index")
    reports = []
    assert session(tmp_path, reports=reports) == first
    assert all(f"{tmp_path}/state/index: cannot be written" in line for line in reports)


@pytest.mark.root
def test_somebody_elses_file_is_no_index(tmp_path, scans):
    session(tmp_path, data=DATA)
    os.chown(tmp_path / "state/index", 12345, -1)
    session(tmp_path)
    assert len(scans) == 2


@pytest.fixture(scope="module")
def kept(tmp_path_factory):
    """A mailbox that has an index: folder, the index as it is, and what a session finds."""
    folder = tmp_path_factory.mktemp("kept")
    rows = session(folder, data=DATA)
    session(folder)
    return folder, (folder / "state/index").read_bytes(), rows


@settings(max_examples=200)
@given(st.data())
def test_an_index_that_is_damaged_anywhere_changes_nothing(kept, data):
    folder, whole, rows = kept
    kind = data.draw(st.sampled_from(["flip", "cut", "stretch", "swap"]))
    at = data.draw(st.integers(0, len(whole) - 1))
    if kind == "flip":
        torn = bytearray(whole)
        torn[at] ^= data.draw(st.integers(1, 255))
    elif kind == "cut":
        torn = whole[:at]
    elif kind == "stretch":
        torn = whole[:at] + data.draw(st.binary(min_size=1, max_size=40)) + whole[at:]
    else:
        torn = whole[:at] + bytes(len(whole) - at)  # blocks that never reached the disk
    (folder / "state/index").write_bytes(torn)
    assert session(folder) == rows


def forge(folder, change):
    """Write an index that vouches for itself, and is wrong as ``change`` makes it."""
    path = str(folder / "box")
    forged = index.Index(str(folder / "state"), "qpopper2", print)
    fd = os.open(path, os.O_RDONLY)
    try:
        layout = forged.unchanged(identity(os.fstat(fd)), STRICT)
    finally:
        os.close(fd)
    assert layout is not None
    change(layout)
    forged.news = True
    forged.save()


def other_hash(layout):
    layout.digests[16 * 2] ^= 1


def other_size(layout):
    layout.octets[2] += 1


def other_place(layout):
    layout.starts[2] += 1


def other_end(layout):
    layout.ends[2] -= 2


@pytest.mark.parametrize("change", [other_hash, other_size, other_place, other_end])
def test_a_wrong_index_never_leads_to_a_wrong_octet(tmp_path, change):
    session(tmp_path, data=DATA)
    forge(tmp_path, change)
    with closing(store(tmp_path)) as opened:
        opened.scan()
        with pytest.raises(MaildropChanged):
            b"".join(opened.read(2))
    assert without_uids(session(tmp_path)) == expected(DATA)


@pytest.mark.parametrize("change", [other_hash, other_size, other_place, other_end])
def test_a_wrong_index_never_leads_to_a_wrong_deletion(tmp_path, change):
    session(tmp_path, data=DATA)
    forge(tmp_path, change)
    with closing(store(tmp_path)) as opened:
        opened.scan()
        with pytest.raises(MaildropChanged):
            opened.expunge({1})
    assert (tmp_path / "box").read_bytes() == DATA
    assert without_uids(session(tmp_path, doomed={1})) == expected(DATA)
    assert (tmp_path / "box").read_bytes() == DATA.replace(message(1), b"")


def test_an_edited_header_in_a_grown_mailbox_is_noticed_before_it_is_sent_and_once(tmp_path, monkeypatch):
    """Growth hides an edit that moves no boundary, of a header that is not in the sample; its hash does not."""
    monkeypatch.setattr(index, "SAMPLE", 1)
    session(tmp_path, data=DATA)
    edited = DATA.replace(b"number 2", b"NUMBER 2") + MORE
    (tmp_path / "box").write_bytes(edited)
    with closing(store(tmp_path)) as opened:
        opened.scan()
        with pytest.raises(MaildropChanged):
            opened.read(2)
    assert without_uids(session(tmp_path)) == expected(edited)


CHANGES = ["append", "append part", "edit", "edit and append", "cut", "remove one", "prepend", "replace", "touch"]


@given(
    bodies=st.lists(
        st.lists(st.sampled_from([b"x\n", b"\n", b"\r\n", b"From \n", b"y" * 40 + b"\n"]), max_size=4), max_size=5
    ),
    changes=st.lists(st.tuples(st.sampled_from(CHANGES), st.integers(0, 400), st.booleans()), max_size=4),
)
def test_whatever_happens_between_sessions_the_next_tells_the_truth_or_nothing(tmp_path_factory, bodies, changes):
    folder = tmp_path_factory.mktemp("between")
    box = folder / "box"
    box.write_bytes(b"".join(message(number, b"".join(body)) for number, body in enumerate(bodies)))
    session(folder)
    for kind, at, set_back in changes:
        before = box.stat()
        change(box, kind, at)
        if set_back:
            os.utime(box, ns=(before.st_atime_ns, before.st_mtime_ns))
        truth = expected(box.read_bytes())
        try:
            assert without_uids(session(folder)) == truth
        except MaildropChanged:
            assert kind in ("edit and append", "append part")
            assert without_uids(session(folder)) == truth
    shutil.rmtree(folder)


def change(box, kind, at):
    """Change the mailbox as an agent or a mail reader may; it stays a mailbox."""
    data = box.read_bytes()
    if kind.startswith("edit"):
        place = data.find(b"Subject", at % (len(data) + 1))
        data = data[:place] + b"sUBJECT" + data[place + 7 :] if place >= 0 else data
    if kind.endswith("append"):
        data += message(at)
    elif kind == "append part":
        data += b"more of the last message\n" * (at % 3) if data else b""
    elif kind == "cut":
        lines = lines_of(data)
        data = b"".join(lines[: 1 + at % len(lines)]) if lines else b""
    elif kind == "remove one":
        parts = data.split(FROM)
        del parts[1 + at % max(1, len(parts) - 1) :][:1]
        data = FROM.join(parts[:1] + parts[2:]) if len(parts) > 2 else data
    elif kind == "prepend":
        data = message(at) + data
    if kind == "replace":
        new = box.with_name("new")
        new.write_bytes(message(at) + data)
        os.rename(new, box)
        return
    with open(box, "r+b") as file:
        file.write(data)
        file.truncate()


# --------------------------------------------------------------------------------------------------------------
# Writing it


def test_nothing_is_written_where_nothing_is_new(tmp_path):
    session(tmp_path, data=DATA)
    before = os.stat(tmp_path / "state/index")
    session(tmp_path)
    after = os.stat(tmp_path / "state/index")
    assert (after.st_ino, after.st_ctime_ns) == (before.st_ino, before.st_ctime_ns)


def test_what_a_crash_left_half_written_is_replaced(tmp_path, scans):
    (tmp_path / "state").mkdir()
    (tmp_path / "state/index.new").write_bytes(b"half")
    session(tmp_path, data=DATA)
    session(tmp_path)
    assert len(scans) == 1
    assert not (tmp_path / "state/index.new").exists()


def test_an_index_that_cannot_be_written_is_reported_and_no_more(tmp_path):
    reports = []
    (tmp_path / "state/index.new/full").mkdir(parents=True)
    assert without_uids(session(tmp_path, data=DATA, reports=reports)) == expected(DATA)
    assert len(reports) == 1
    assert f"{tmp_path}/state/index: cannot be written" in reports[0]


def test_without_a_state_folder_there_is_none(tmp_path, scans):
    for _ in range(2):
        assert without_uids(session(tmp_path, data=DATA, state="")) == expected(DATA)
    assert len(scans) == 2


def test_read_only_writes_none_and_uses_what_is_there(tmp_path, scans):
    session(tmp_path, data=DATA, read_only=True)
    assert os.listdir(tmp_path / "state") == []
    session(tmp_path)
    assert without_uids(session(tmp_path, read_only=True)) == expected(DATA)
    assert len(scans) == 2


def test_sessions_side_by_side_leave_an_index_that_is_true_or_none(tmp_path):
    first, second = (store(tmp_path, DATA, second_session="allowed") for _ in range(2))
    with closing(first), closing(second):
        first.scan(), second.scan()
        first.expunge({0, 3})
        second.expunge({1})
    left = message(2) + message(4)
    for _ in range(2):
        assert without_uids(session(tmp_path, second_session="allowed")) == expected(left)


def test_memory_of_twenty_thousand_messages_is_columns(tmp_path):
    data = b"".join(message(n) for n in range(20_000))
    for known in (data, None):
        with closing(store(tmp_path, known)) as opened:
            tracemalloc.start()
            entries = opened.scan()
            held, _ = tracemalloc.get_traced_memory()
            tracemalloc.stop()
            assert len(entries) == 20_000
            assert entries[7].octets == len(wire(message(7)[len(FROM) : -1]))
            assert sum(entries.octets) == sum(entry.octets for entry in entries)
        assert held < 20_000 * 100
