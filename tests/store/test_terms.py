"""second_session, read_only and deletion_marks as the stores keep them (pop3d.toml(5))."""

import fcntl
import os
from contextlib import closing

import pytest
from hypothesis import given
from hypothesis import settings as profile
from hypothesis import strategies as st

from qpopper_py.errors import MaildropBusy, MaildropChanged, MaildropTrouble
from qpopper_py.store.terms import Terms

from . import boxes

SHARED = {"second_session": "allowed"}
READ_ONLY = {"read_only": True}
MAIL = [boxes.message(number, b"body %d\n" % number) for number in range(5)]
TWIN = boxes.message(7, b"the same twice\n")


def mbox(folder, messages, **values):
    path = folder / "box"
    path.write_bytes(b"".join(messages))
    return lambda **more: boxes.store(folder, **{**values, **more})


def maildir(folder, messages, **values):
    for name in ("new", "cur", "tmp"):
        (folder / "box" / name).mkdir(parents=True)
    for number, text in enumerate(messages):
        name = f"{1600000000 + number}.M1P1.host"
        (folder / "box/new" / name).write_bytes(text.partition(b"\n")[2].removesuffix(b"\n"))
    return lambda **more: boxes.store(folder, **{**values, **more})


BOTH = pytest.mark.parametrize("kind", [mbox, maildir])


def texts(opened):
    with closing(opened()) as store:
        return [b"".join(store.read(index)) for index in range(len(store.scan()))]


def wires(messages):
    return [boxes.wire(text.partition(b"\n")[2].removesuffix(b"\n")) for text in messages]


# --------------------------------------------------------------------------------------------------------------
# second_session = allowed


@BOTH
@pytest.mark.parametrize("state", [None, ""])
def test_two_sessions_see_the_maildrop_at_once_if_that_is_allowed(kind, state, tmp_path):
    opened = kind(tmp_path, MAIL, state=state, **SHARED)
    with closing(opened()) as first, closing(opened()) as second:
        assert len(first.scan()) == len(second.scan()) == 5
        assert list(first.uids()) == list(second.uids())


@BOTH
@profile(max_examples=40)
@given(first=st.sets(st.integers(0, 4)), second=st.sets(st.integers(0, 4)), uidl=st.booleans(), delivery=st.booleans())
def test_each_session_s_deletions_are_done_and_no_other_message_goes(
    kind, first, second, uidl, delivery, tmp_path_factory
):
    folder = tmp_path_factory.mktemp("box")
    opened = kind(folder, MAIL, reports=[], **SHARED)
    late = boxes.message(9)
    with closing(opened()) as one, closing(opened()) as other:
        one.scan()
        other.scan()
        if uidl:
            one.uids()
            other.uids()
        one.expunge(first)
        one.remember(())
        one.close()
        if delivery and kind is mbox:
            with (folder / "box").open("ab") as file:
                file.write(late)
        other.expunge(second)
        other.remember(())
    left = [text for index, text in enumerate(MAIL) if index not in first | second]
    assert texts(opened) == wires(left + ([late] if delivery and kind is mbox else []))


@pytest.mark.parametrize("edit", ["status", "order", "replaced"])
def test_what_no_expunge_can_have_done_ends_a_shared_session_without_an_update(edit, tmp_path):
    opened = mbox(tmp_path, MAIL, **SHARED)
    with closing(opened()) as store:
        store.scan()
        if edit == "status":
            data = b"".join(MAIL).replace(b"Subject: number 1\n", b"Subject: number 1\nStatus: RO\n")
        else:
            data = b"".join(reversed(MAIL))
        if edit == "replaced":
            (tmp_path / "other").write_bytes(data)
            (tmp_path / "other").rename(tmp_path / "box")
        else:
            (tmp_path / "box").write_bytes(data)
        with pytest.raises(MaildropChanged):
            store.expunge({0, 3})
    assert (tmp_path / "box").read_bytes() == data


def test_of_messages_that_are_alike_a_shared_session_removes_none_that_it_cannot_tell_apart(tmp_path):
    opened = mbox(tmp_path, [TWIN, MAIL[0], TWIN], **SHARED)
    with closing(opened()) as one, closing(opened()) as other:
        one.scan()
        other.scan()
        one.expunge({0})
        with pytest.raises(MaildropChanged):
            other.expunge({0, 1})
    assert texts(opened) == wires([MAIL[0], TWIN])


def test_no_header_is_written_while_others_know_messages_by_their_headers(tmp_path):
    opened = mbox(tmp_path, MAIL, status_headers="write", x_uidl_headers="write", **SHARED)
    with closing(opened()) as one, closing(opened()) as other:
        one.scan()
        other.scan()
        one.mark_seen({1, 2, 3, 4})
        one.expunge({0})
        other.expunge({1})
    assert (tmp_path / "box").read_bytes() == b"".join(MAIL[2:])


@BOTH
def test_a_session_that_ends_later_does_not_take_back_what_another_recorded(kind, tmp_path):
    opened = kind(tmp_path, MAIL, **SHARED)
    with closing(opened()) as early, closing(opened()) as late:
        early.scan()
        late.scan()
        late.remember({1})
        late.close()
        early.remember({0})
    with closing(opened()) as store:
        store.scan()
        assert store.retrieved() == {0, 1}


def test_a_uid_that_another_session_gave_to_new_mail_is_kept(tmp_path):
    """The first of two that are alike goes; the other was never the first, and no client may take it for that."""
    opened = mbox(tmp_path, [TWIN, MAIL[0]], **SHARED)
    with closing(opened()) as early:
        early.scan()
        early.uids()
        with (tmp_path / "box").open("ab") as file:
            file.write(TWIN)
        with closing(opened()) as late:
            late.scan()
            uids = list(late.uids())
            late.expunge({0})
            late.remember(())
        early.remember(())
    with closing(opened()) as store:
        store.scan()
        assert list(store.uids()) == uids[1:]


LINES = st.lists(st.sampled_from("abcdef"), max_size=4, unique=True)


@profile(max_examples=80)
@given(before=LINES, changes=st.lists(st.tuples(st.booleans(), LINES), max_size=6))
def test_a_shared_record_holds_what_each_session_wrote_last(before, changes, tmp_path_factory):
    folder = str(tmp_path_factory.mktemp("state"))
    terms = Terms(shared=True)
    terms.record(folder, "r", boxes.refuse).save(before, sync=False)
    sessions = [terms.record(folder, "r", boxes.refuse) for _ in range(2)]
    written = {}
    for second, letters in changes:
        written[second] = [f"{letter}{int(second)}" for letter in letters]
        assert sessions[second].save(written[second], sync=False)
    found = terms.record(folder, "r", boxes.refuse).load()
    assert sorted(found) == sorted([line for lines in written.values() for line in lines] if written else before)


def test_a_record_that_another_session_holds_too_long_is_reported_and_not_written(tmp_path, monkeypatch):
    monkeypatch.setattr("qpopper_py.store.terms.PATIENCE", 0.0)
    reports = []
    record = Terms(shared=True).record(str(tmp_path), "r", reports.append)
    with (tmp_path / "records.lock").open("w") as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        assert not record.save(["a"], sync=False)
    assert "records.lock" in reports[0]
    assert record.save(["a"], sync=False)


# --------------------------------------------------------------------------------------------------------------
# read_only


def everything_below(folder):
    """Names, contents and times of a tree: whatever is written shows in it."""
    found = {}
    for place, _, names in os.walk(folder):
        for name in ["", *names]:
            path = os.path.join(place, name)
            facts = os.stat(path)
            found[path] = (facts.st_mtime_ns, facts.st_size, facts.st_ino)
    return found


@BOTH
@pytest.mark.parametrize("used", [False, True])
def test_a_read_only_session_writes_nothing_anywhere(kind, used, tmp_path):
    opened = kind(tmp_path, [*MAIL, TWIN, TWIN])
    (tmp_path / "state").mkdir()
    uids = None
    if used:
        with closing(opened()) as store:
            store.scan()
            uids = list(store.uids())
            store.remember({1})
    before = everything_below(tmp_path)
    with closing(opened(**READ_ONLY)) as store:
        assert len(store.scan()) == 7
        assert uids in (None, list(store.uids()))
        assert store.retrieved() == ({1} if used else set())
        b"".join(store.read(0))
        store.remember({0})
    after = everything_below(tmp_path)
    assert after == before


def test_a_read_only_session_makes_no_dotlock_and_needs_none(tmp_path, monkeypatch):
    monkeypatch.setattr("qpopper_py.store.dotlock.Dotlocks.create", boxes.refuse)
    with closing(mbox(tmp_path, MAIL, **READ_ONLY)()) as store:
        assert len(store.scan()) == 5


@BOTH
def test_a_second_read_only_session_is_refused_as_any_other(kind, tmp_path):
    opened = kind(tmp_path, MAIL, **READ_ONLY)
    with closing(opened()) as first, closing(opened()) as second:
        first.scan()
        with pytest.raises(MaildropBusy):
            second.scan()


def test_a_change_that_was_cut_off_is_not_finished_for_reading_only(tmp_path):
    opened = mbox(tmp_path, MAIL)
    with closing(opened()) as store:
        store.scan()
        (pending,) = [redo.path for redo in store._upkeep.redos][:1]
    with open(pending, "wb") as file:
        file.write(b"something")
    with closing(opened(**READ_ONLY)) as store, pytest.raises(MaildropTrouble, match="read_only"):
        store.scan()
    assert os.path.exists(pending)


# --------------------------------------------------------------------------------------------------------------
# deletion marks of mail readers


@pytest.mark.parametrize(
    ("header", "deleted", "seen"),
    [
        (b"Status: D", True, False),
        (b"Status: RO", False, True),
        (b"status: rod", True, True),
        (b"X-Status: AD", True, False),
        (b"X-Status: RA", False, False),
        (b"X-Status: FA\nStatus: RO", False, True),
        (b"Status: O\nX-Status: D", True, False),
        (b"X-My-Status: D", False, False),
        (b"Subject: Status: D", False, False),
        (b"X-Status-Note: D", False, False),
        (b"Subject: 1\n\nStatus: RD", False, False),
    ],
)
def test_the_marks_in_a_header(header, deleted, seen, tmp_path):
    data = boxes.FROM + header + b"\nX-Last: 1\n\nDelivery status: R D\n"
    with closing(boxes.store(tmp_path, data)) as store:
        (entry,) = store.scan()
        assert (entry.deleted, entry.seen) == (deleted, seen)


def test_the_trash_flag_of_a_maildir_is_a_deletion_mark(tmp_path):
    opened = maildir(tmp_path, MAIL[:2])
    os.rename(tmp_path / "box/new/1600000001.M1P1.host", tmp_path / "box/cur/1600000001.M1P1.host:2,ST")
    with closing(opened()) as store:
        assert [(entry.deleted, entry.seen) for entry in store.scan()] == [(False, False), (True, True)]
