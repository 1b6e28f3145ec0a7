"""The UPDATE state's rules of old servers: Qpopper's update-on-abort and auto-delete, mailutils' expire and
delete-expired, deletion marks of mail readers, read-only mode; CAPA EXPIRE (RFC 2449 section 6.7)."""

import socket

import pytest
from hypothesis import given
from hypothesis import settings as profile
from hypothesis import strategies as st

from qpopper_py.errors import ConfigurationError, MaildropTrouble
from qpopper_py.events import LoggedIn, SessionClosed, Trouble
from qpopper_py.personality.ucb import DIALECT
from qpopper_py.session.maildrop import Maildrop
from qpopper_py.session.update import DAY, Update
from qpopper_py.session.wire import Wire
from qpopper_py.settings import Settings
from qpopper_py.store.base import Entry
from tests.session.talking import CHANGED, LOGIN, FakeStore, Talk

NOW = 1_800_000_000
ABORT = {"update_on_abort": True}


class Marked(FakeStore):
    """Three messages; ``seen`` and ``deleted`` are what mail readers noted of them."""

    def __init__(self, messages=(b"A: 1\r\n\r\n", b"B: 2\r\n\r\n", b"C: 3\r\n\r\n"), seen=(), deleted=(), **keywords):
        super().__init__(messages, **keywords)
        self.seen = seen
        self.deleted = deleted

    def scan(self):
        texts = enumerate(self.messages)
        return [Entry(len(text), index in self.seen, index in self.deleted) for index, text in texts]


def closed(done):
    (event,) = done.events_of(SessionClosed)
    return event.how, event.deleted, event.left


# --------------------------------------------------------------------------------------------------------------
# update_on_abort


@pytest.mark.parametrize("silent", [False, True])
def test_what_dele_marked_goes_when_the_connection_breaks_off_if_that_is_asked_for(silent):
    store = Marked()
    done = Talk(LOGIN + b"DELE 2\r\n", store=store, settings=ABORT | {"timeout": 1}, silent=silent)
    assert store.expunged == {1}
    assert closed(done) == ("timeout" if silent else "hangup", 1, 2)


def test_a_connection_that_breaks_off_deletes_nothing_by_default():
    store = Marked()
    assert closed(Talk(LOGIN + b"DELE 2\r\n", store=store)) == ("hangup", 0, 3)
    assert store.expunged is None


def test_rset_takes_back_what_an_abort_would_delete():
    store = Marked()
    Talk(LOGIN + b"DELE 2\r\nRSET\r\nDELE 3\r\n", store=store, settings=ABORT)
    assert store.expunged == {2}


@pytest.mark.parametrize(("fail", "error"), [("read", CHANGED), ("mid-read", None), ("mid-read", CHANGED)])
def test_after_an_error_of_ours_an_abort_deletes_nothing(fail, error):
    store = FakeStore(fail=fail, error=error)
    done = Talk(LOGIN + b"DELE 2\r\nRETR 1\r\n", store=store, settings=ABORT)
    assert store.expunged is None
    assert closed(done) == ("error", 0, 2)


def test_an_update_on_abort_that_fails_is_told_and_counts_nothing():
    store = Marked(fail="expunge")
    done = Talk(LOGIN + b"DELE 2\r\n", store=store, settings=ABORT)
    assert closed(done) == ("hangup", 0, 3)
    assert "Input/output error" in done.events_of(Trouble)[0].what


def test_a_client_that_goes_away_behind_quit_has_one_update():
    class Once(Marked):
        updates = 0

        def expunge(self, indexes):
            self.updates += 1
            super().expunge(indexes)

    store = Once()
    Talk(LOGIN + b"DELE 2\r\nQUIT\r\n", store=store, settings=ABORT)
    assert store.updates == 1


def test_an_abort_before_the_login_is_only_that():
    assert closed(Talk(b"USER mrose\r\n", settings=ABORT)) == ("hangup", 0, 0)


# --------------------------------------------------------------------------------------------------------------
# auto_delete

AUTO = {"auto_delete": True}


def test_what_was_retrieved_goes_at_quit_if_that_is_asked_for():
    store = Marked()
    done = Talk(LOGIN + b"RETR 1\r\nTOP 2 0\r\nDELE 3\r\nQUIT\r\n", store=store, settings=AUTO)
    assert store.expunged == {0, 2}
    assert closed(done) == ("quit", 2, 1)


@pytest.mark.parametrize("script", [b"RETR 1\r\n", b"RETR 1\r\nRSET\r\nQUIT\r\n", b"TOP 1 100\r\nQUIT\r\n"])
def test_what_was_not_retrieved_whole_or_was_taken_back_or_ended_without_quit_stays(script):
    store = Marked()
    Talk(LOGIN + script, store=store, settings=AUTO)
    assert not store.expunged


def test_nothing_is_deleted_for_a_reply_that_could_not_be_sent(monkeypatch):
    """RETR and QUIT pipelined by a client that is gone: the message has never left."""
    store = Marked([b"A: 1\r\n\r\n" + b"x" * 100 + b"\r\n"])
    flush = Wire.flush

    def broken(wire):
        if b"xxx" in b"".join(wire.unsent):
            wire.stream.sock.shutdown(socket.SHUT_RDWR)
        flush(wire)

    monkeypatch.setattr(Wire, "flush", broken)
    done = Talk(LOGIN + b"RETR 1\r\nQUIT\r\n", store=store, settings=AUTO)
    assert not store.expunged
    assert closed(done) == ("hangup", 0, 1)


def at_odds(**values):
    with pytest.raises(ConfigurationError) as error:
        Settings([("here", values)])
    return str(error.value)


def test_settings_that_would_lose_or_promise_mail_are_refused_together():
    assert "auto_delete and update_on_abort" in at_odds(auto_delete=True, update_on_abort=True)
    assert "expire = 30" in at_odds(auto_delete=True, expire=30)
    assert "set expire" in at_odds(delete_expired=True)
    assert Settings([("here", {"auto_delete": True, "expire": 0})]).auto_delete


# --------------------------------------------------------------------------------------------------------------
# CAPA


@pytest.mark.parametrize(
    ("values", "line"),
    [
        ({}, b"EXPIRE NEVER"),
        ({"expire": 30}, b"EXPIRE 30"),
        ({"expire": "7", "delete_expired": True}, b"EXPIRE 7"),
        ({"expire": 0}, b"EXPIRE 0"),
        ({"auto_delete": True}, b"EXPIRE 0"),
    ],
)
@pytest.mark.parametrize("script", [b"CAPA\r\n", LOGIN + b"CAPA\r\n"])
def test_capa_announces_how_long_mail_is_kept(values, line, script):
    lines = Talk(script, settings=values).lines
    assert [found for found in lines if found.startswith(b"EXPIRE")] == [line]


# --------------------------------------------------------------------------------------------------------------
# expire and delete_expired


def quit_at(store, state, now, retr=(), reports=None, rset=False, **values):
    """A session that retrieves ``retr`` and quits; (messages, octets) removed."""
    settings = Settings([("test", {"expire": 10, **values})])
    closing = SessionClosed(None)
    update = Update(settings, str(state), closing, (reports if reports is not None else []).append, lambda: now)
    drop = Maildrop(store, DIALECT, settings.last)
    for index in retr:
        drop.note_retrieved(index)
    if rset:
        drop.rset()
    update.at_quit(drop)
    return closing.deleted, closing.deleted_octets


def test_a_message_goes_so_many_days_after_it_was_first_retrieved(tmp_path):
    quit_at(Marked(), tmp_path, NOW, [0])
    quit_at(Marked(), tmp_path, NOW + 9 * DAY, [0, 1])
    for late in (NOW + 10 * DAY - 1, NOW + 10 * DAY):
        store = Marked()
        quit_at(store, tmp_path, late, delete_expired=True)
        assert store.expunged == ({0} if late == NOW + 10 * DAY else None)


def test_what_only_is_announced_is_not_deleted(tmp_path):
    quit_at(Marked(), tmp_path, NOW, [0, 1, 2])
    store = Marked()
    assert quit_at(store, tmp_path, NOW + 1000 * DAY) == (0, 0)
    assert store.expunged is None


def test_a_message_that_was_never_retrieved_never_expires(tmp_path):
    quit_at(Marked(), tmp_path, NOW, [1])
    store = Marked()
    quit_at(store, tmp_path, NOW + 1000 * DAY, delete_expired=True)
    assert store.expunged == {1}


def test_a_session_without_quit_neither_notes_nor_removes_anything(tmp_path):
    store = Marked(seen={0}, messages=[b"X-Expire-Timestamp: 1\r\n\r\n"])
    Talk(LOGIN + b"RETR 1\r\n", store=store, state=str(tmp_path), settings={"expire": 1, "delete_expired": True})
    assert store.expunged is None
    assert not list(tmp_path.iterdir())


def test_mailutils_time_stamp_counts_where_we_have_none(tmp_path):
    messages = [b"x-expire-timestamp:  %d \r\nSubject: 1\r\n\r\n" % when for when in (NOW, NOW + DAY)]
    messages += [
        b"Subject: no stamp\r\n\r\n",
        b"X-Expire-Timestamp: soon\r\n\r\n",
        b"S: 1\r\n\r\nX-Expire-Timestamp: 1\r\n",
    ]
    store = Marked(messages, seen=range(5))
    assert quit_at(store, tmp_path, NOW + 10 * DAY, delete_expired=True) == (1, len(messages[0]))
    assert store.expunged == {0}


def test_a_time_stamp_in_a_message_that_was_not_read_counts_for_nothing(tmp_path):
    store = Marked([b"X-Expire-Timestamp: 1\r\n\r\n"])
    quit_at(store, tmp_path, NOW, delete_expired=True)
    assert store.expunged is None


def test_each_message_is_looked_at_for_a_time_stamp_once(tmp_path):
    class Counted(Marked):
        reads = 0

        def read(self, index):
            self.reads += 1
            return super().read(index)

    first, second = Counted(seen={0, 1}), Counted(seen={0, 1})
    quit_at(first, tmp_path, NOW)
    quit_at(second, tmp_path, NOW)
    assert (first.reads, second.reads) == (2, 0)


def test_a_message_read_before_there_was_a_record_begins_its_days_when_it_is_retrieved_again(tmp_path):
    quit_at(Marked(seen={0}), tmp_path, NOW)
    quit_at(Marked(seen={0}), tmp_path, NOW + DAY, [0])
    store = Marked(seen={0})
    quit_at(store, tmp_path, NOW + 11 * DAY, delete_expired=True)
    assert store.expunged == {0}


def test_zero_days_is_what_was_retrieved_in_this_session_but_not_what_rset_took_back(tmp_path):
    store = Marked()
    quit_at(store, tmp_path, NOW, [1], expire=0, delete_expired=True)
    assert store.expunged == {1}
    store = Marked()
    quit_at(store, tmp_path / "no", NOW, [1], rset=True, expire=0, delete_expired=True)
    assert store.expunged is None


def test_the_record_forgets_what_is_gone(tmp_path):
    quit_at(Marked(), tmp_path, NOW, [0, 1])
    quit_at(Marked(), tmp_path, NOW + 10 * DAY, [2], delete_expired=True)
    lines = (tmp_path / "retrieved").read_text().splitlines()[1:]
    assert lines == [f"uid-2 {NOW + 10 * DAY}"]


def test_where_times_cannot_be_told_what_the_client_asked_for_is_done_all_the_same(tmp_path):
    store = Marked(fail="uids", error=MaildropTrouble("/box: Input/output error"))
    reports = []
    assert quit_at(store, tmp_path, NOW, [0], reports, delete_expired=True) == (0, 0)
    assert reports == ["/box: Input/output error; nothing expires in this session"]


@profile(max_examples=50)
@given(st.lists(st.tuples(st.sets(st.integers(0, 2)), st.integers(0, 8)), max_size=8))
def test_no_message_goes_before_its_days_are_over(tmp_path_factory, polls):
    """Random polls, days apart: a message stays until 10 days after the first poll that retrieved it, no longer."""
    folder = tmp_path_factory.mktemp("state")
    now, first = NOW, {}
    for retrieved, pause in polls:
        now += pause * DAY
        store = Marked()
        quit_at(store, folder, now, retrieved, delete_expired=True)
        for index in retrieved:
            first.setdefault(index, now)
        due = {index for index, when in first.items() if when + 10 * DAY <= now}
        assert (store.expunged or set()) == due
        for index in due:  # the same mail arrives anew: nobody has retrieved it
            del first[index]


# --------------------------------------------------------------------------------------------------------------
# deletion_marks

HEED = {"deletion_marks": "deleted"}


def test_a_mail_reader_s_deletion_mark_does_nothing_by_default():
    store = Marked(deleted={1})
    assert b"+OK 3 24" in Talk(LOGIN + b"STAT\r\nQUIT\r\n", store=store).lines
    assert store.expunged is None


def test_a_deletion_mark_that_is_heeded_is_as_dele_from_the_beginning():
    store = Marked(deleted={1})
    done = Talk(LOGIN + b"STAT\r\nRETR 2\r\nLIST\r\nQUIT\r\n", store=store, settings=HEED)
    assert done.lines[2:-1] == [
        b"+OK mrose has 2 message(s) (16 octets).",
        b"+OK 2 16",
        b"-ERR Message 2 has been deleted.",
        b"+OK 2 messages (16 octets)",
        b"1 8",
        b"3 8",
        b".",
    ]
    assert store.expunged == {1}
    assert done.events_of(LoggedIn)[0].messages == 2
    assert closed(done) == ("quit", 1, 2)


def test_rset_takes_a_mail_reader_s_mark_back_too():
    """RFC 1939: any messages marked as deleted by the server are unmarked."""
    store = Marked(deleted={1})
    done = Talk(LOGIN + b"RSET\r\nSTAT\r\nQUIT\r\n", store=store, settings=HEED)
    assert b"+OK 3 24" in done.lines
    assert store.expunged is None


def test_an_abort_deletes_what_the_client_marked_and_not_what_a_mail_reader_did():
    store = Marked(deleted={1})
    Talk(LOGIN + b"DELE 1\r\n", store=store, settings=HEED | ABORT)
    assert store.expunged == {0}
    store = Marked(deleted={1})
    Talk(LOGIN + b"RSET\r\nDELE 2\r\n", store=store, settings=HEED | ABORT)
    assert store.expunged == {1}


# --------------------------------------------------------------------------------------------------------------
# read_only


def test_read_only_refuses_dele_and_the_session_goes_on():
    store = Marked()
    done = Talk(LOGIN + b"DELE 1\r\nRETR 1\r\nSTAT\r\nQUIT\r\n", store=store, settings={"read_only": True})
    assert done.lines[3].startswith(b"-ERR [SYS/PERM] ")
    assert b"+OK 3 24" in done.lines
    assert done.lines[-1].startswith(b"+OK Pop server at")
    assert (store.expunged, store.remembered) == (None, None)


@pytest.mark.parametrize("values", [AUTO, ABORT | HEED, {"expire": 0, "delete_expired": True} | HEED])
@pytest.mark.parametrize("end", [b"", b"QUIT\r\n"])
def test_read_only_is_stronger_than_every_rule(values, end, tmp_path):
    store = Marked(deleted={2}, seen={1})
    done = Talk(LOGIN + b"RETR 1\r\n" + end, store=store, settings=values | {"read_only": True}, state=str(tmp_path))
    assert (store.expunged, store.remembered) == (None, None)
    assert closed(done)[1:] == (0, 3)
    assert not list(tmp_path.iterdir())
