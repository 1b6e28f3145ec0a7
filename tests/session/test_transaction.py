"""The TRANSACTION and UPDATE states: RFC 1939 sections 5 to 7, RFC 1460 LAST, popper's wording and XTND."""

import pytest

from qpopper_py.errors import MaildropBusy, MaildropUnusable
from qpopper_py.events import LoggedIn, SessionClosed, Trouble
from tests.session.talking import CHANGED, LOGIN, TWO, FakeStore, Talk, talk

SIGN_OFF = b"+OK Pop server at dbc.mtview.ca.us signing off."


def after_login(script, **keywords):
    return talk(LOGIN + script, **keywords)[2:]


def test_stat_list_and_uidl_give_numbers_right_after_ok():
    assert after_login(b"STAT\r\nLIST\r\nLIST 2\r\nUIDL\r\nUIDL 1\r\n") == [
        b"+OK 2 72",
        b"+OK 2 messages (72 octets)",
        b"1 48",
        b"2 24",
        b".",
        b"+OK 2 24",
        b"+OK uidl command accepted.",
        b"1 uid-0",
        b"2 uid-1",
        b".",
        b"+OK 1 uid-0",
    ]


def test_retr_sends_the_message_with_dots_stuffed():
    assert after_login(b"RETR 1\r\n") == [
        b"+OK 48 octets",
        b"Subject: one",
        b"Message-Id: <1@x>",
        b"",
        b"first",
        b"..dot",
        b".",
    ]


def test_top_sends_the_header_and_as_many_body_lines():
    assert after_login(b"TOP 1 1\r\n") == [
        b"+OK 48 octets", b"Subject: one", b"Message-Id: <1@x>", b"", b"first", b".",
    ]  # fmt: skip
    assert after_login(b"TOP 2 0\r\n") == [b"+OK 24 octets", b"Subject: two", b"", b"."]


@pytest.mark.parametrize("lines", [b"-1", b"x", b"1.5", b"9" * 20])
def test_top_wants_a_decimal_number_of_lines(lines):
    assert after_login(b"TOP 1 " + lines + b"\r\nNOOP\r\n")[-2].startswith(b"-ERR ")


@pytest.mark.parametrize("verb", [b"RETR", b"DELE", b"LIST", b"UIDL", b"TOP", b"XTND XLST Subject"])
@pytest.mark.parametrize("word", [b"0", b"3", b"-1", b"+1", b"1x", b"one", b"99999999999999999999"])
def test_a_number_of_no_message_is_refused_and_the_session_goes_on(verb, word):
    tail = b" 0" if verb == b"TOP" else b""
    said = after_login(verb + b" " + word + tail + b"\r\nSTAT\r\n")
    assert said == [b"-ERR Message " + word + b" does not exist.", b"+OK 2 72"]


def test_deleted_messages_leave_the_listing_and_keep_their_numbers():
    assert after_login(b"DELE 1\r\nSTAT\r\nLIST\r\nLIST 1\r\nRETR 1\r\nDELE 1\r\nUIDL 1\r\nTOP 1 0\r\n") == [
        b"+OK Message 1 has been deleted.",
        b"+OK 1 24",
        b"+OK 1 messages (24 octets)",
        b"2 24",
        b".",
        b"-ERR Message 1 has been deleted.",
        b"-ERR Message 1 has been deleted.",
        b"-ERR Message 1 has already been deleted.",
        b"-ERR Message 1 has been deleted.",
        b"-ERR Message 1 has been deleted.",
    ]


def test_rset_unmarks_all():
    assert after_login(b"DELE 1\r\nDELE 2\r\nRSET\r\nSTAT\r\n")[2:] == [
        b"+OK Maildrop has 2 messages (72 octets)",
        b"+OK 2 72",
    ]


def test_quit_deletes_what_is_marked_and_the_record_tells_what_was_done():
    store = FakeStore()
    done = Talk(LOGIN + b"RETR 2\r\nDELE 1\r\nQUIT\r\n", store=store)
    assert store.expunged == {0}
    assert done.lines[-1] == SIGN_OFF
    closed = done.events_of(SessionClosed)[0]
    assert (closed.user, closed.how) == ("mrose", "quit")
    assert (closed.deleted, closed.deleted_octets, closed.left, closed.left_octets) == (1, 48, 1, 24)
    assert closed.retrieved == 1


@pytest.mark.parametrize("end", [b"", b"QUI", b"STAT"])
def test_without_quit_nothing_is_deleted(end):
    store = FakeStore()
    done = Talk(LOGIN + b"DELE 1\r\n" + end, store=store)
    assert store.expunged is None
    assert done.events_of(SessionClosed)[0].deleted == 0
    assert store.closed


def test_a_failed_update_is_no_ok_and_counts_nothing():
    store = FakeStore(fail="expunge")
    done = Talk(LOGIN + b"DELE 1\r\nQUIT\r\nSTAT\r\n", store=store)
    assert done.lines[-1].startswith(b"-ERR [SYS/TEMP] POP mailbox update failed!")
    closed = done.events_of(SessionClosed)[0]
    assert (closed.how, closed.deleted, closed.left) == ("error", 0, 2)
    assert done.events_of(Trouble)


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (MaildropBusy("held"), b"-ERR [IN-USE] Maildrop lock busy!  Is another session active?"),
        (MaildropUnusable("no mailbox"), b"-ERR [SYS/PERM] Unable to process From lines (envelopes), "),
        (None, b"-ERR [SYS/TEMP] "),
    ],
)
def test_a_maildrop_that_cannot_be_opened_ends_the_connection_after_its_error(error, said):
    store = FakeStore(fail="scan", error=error)
    done = Talk(LOGIN + b"STAT\r\n", store=store)
    assert len(done.lines) == 3
    assert done.lines[2].startswith(said)
    assert not done.events_of(LoggedIn)
    assert store.closed


def test_a_message_that_cannot_be_begun_is_an_error_and_the_session_goes_on():
    assert after_login(b"RETR 1\r\nSTAT\r\n", store=FakeStore(fail="read"))[1] == b"+OK 2 72"


def test_a_message_that_breaks_off_gets_no_final_dot():
    done = Talk(LOGIN + b"RETR 1\r\nSTAT\r\n", store=FakeStore(fail="mid-read"))
    assert done.data.endswith(b"+OK 48 octets\r\n" + TWO[0][:10])


def test_a_maildrop_changed_by_others_ends_the_session_without_an_update():
    store = FakeStore(fail="read", error=CHANGED)
    said = after_login(b"DELE 2\r\nRETR 1\r\nQUIT\r\n", store=store)
    assert said[1].startswith(b"-ERR [SYS/TEMP] ")
    assert len(said) == 2
    assert store.expunged is None


@pytest.mark.parametrize(
    ("rule", "script", "numbers"),
    [
        ("stored", b"LAST\r\nRETR 2\r\nLAST\r\nRSET\r\nLAST\r\n", [1, 2, 1]),
        ("stored", b"TOP 2 0\r\nLAST\r\n", [1]),
        ("stored", b"RETR 2\r\nDELE 2\r\nLAST\r\n", [1]),
        ("zero", b"LAST\r\nRETR 2\r\nLAST\r\nRSET\r\nLAST\r\n", [0, 2, 0]),
        ("ucb", b"LAST\r\nRETR 2\r\nLAST\r\nDELE 1\r\nLAST\r\nRSET\r\nLAST\r\n", [0, 0, 1, 0]),
    ],
)
def test_last_follows_its_rule(rule, script, numbers):
    said = after_login(script, store=FakeStore(earlier={0}), settings={"last": rule})
    assert [line for line in said if line.endswith(b" is the last message seen.")] == [
        b"+OK %d is the last message seen." % number for number in numbers
    ]


def test_last_can_be_withheld():
    assert after_login(b"LAST\r\n", settings={"last": "off"}) == [b'-ERR Unknown command: "last".']


def test_what_was_retrieved_is_remembered_at_quit_without_what_was_deleted():
    store = FakeStore(earlier={0})
    talk(LOGIN + b"RETR 2\r\nDELE 1\r\nQUIT\r\n", store=store)
    assert store.remembered == {1}


def test_what_was_retrieved_without_quit_is_not_remembered():
    """A client that did not say QUIT may not have kept what it got."""
    store = FakeStore()
    talk(LOGIN + b"RETR 2\r\n", store=store)
    assert store.remembered is None


def test_xlst_is_multi_line_with_the_header_as_it_is_stored():
    assert after_login(b"XTND XLST message-id\r\nXTND XLIST Sub 2\r\nxtnd xlst Bcc\r\n") == [
        b"+OK xlst command accepted; headers coming.",
        b"1 Message-Id: <1@x>",
        b".",
        b"+OK xlst command accepted; headers coming.",
        b"2 Subject: two",
        b".",
        b"+OK xlst command accepted; headers coming.",
        b".",
    ]


def test_xlst_skips_a_deleted_message_even_when_it_is_the_one_asked_for():
    assert after_login(b"DELE 1\r\nXTND XLST Subject\r\nXTND XLST Subject 1\r\n")[1:] == [
        b"+OK xlst command accepted; headers coming.",
        b"2 Subject: two",
        b".",
        b"+OK xlst command accepted; headers coming.",
        b".",
    ]


def test_xlst_of_an_empty_maildrop_is_an_error():
    assert after_login(b"XTND XLST Subject\r\n", store=FakeStore([])) == [b"-ERR Message 1 does not exist."]


@pytest.mark.parametrize(
    ("line", "said"),
    [
        (b"XTND XLST", b"-ERR Too few arguments for the xtnd xlst command."),
        (b"XTND XMIT now", b"-ERR Too many arguments for the xtnd xmit command."),
        (b"XTND FOO", b'-ERR Unknown command: "xtnd foo".'),
        (b"XTND", b'-ERR Unknown command: "xtnd".'),
        (b"RETR", b"-ERR Too few arguments for the retr command."),
        (b"RETR 1 5", b"-ERR Too many arguments for the retr command."),
        (b"TOP 1", b"-ERR Too few arguments for the top command."),
        (b"STAT 1", b"-ERR Too many arguments for the stat command."),
        (b"USER mrose", b'-ERR Unknown command: "user".'),
    ],
)
def test_wrong_arguments_get_popper_s_words(line, said):
    assert after_login(line + b"\r\n") == [said]


def test_an_empty_maildrop_lists_nothing():
    assert after_login(b"STAT\r\nLIST\r\nUIDL\r\n", store=FakeStore([])) == [
        b"+OK 0 0",
        b"+OK 0 messages (0 octets)",
        b".",
        b"+OK uidl command accepted.",
        b".",
    ]


def test_commands_in_any_case_with_lf_alone_and_pipelined():
    assert after_login(b"sTaT\nNOOP\nQUIT\n") == [b"+OK 2 72", b"+OK", SIGN_OFF]
