"""The AUTHORIZATION state: RFC 1939 sections 4 and 7, popper's wording."""

from types import SimpleNamespace

import pytest

from qpopper_py.auth.account import Account, Denied
from qpopper_py.events import LoginRefused, SessionClosed
from qpopper_py.logs.records import records
from tests.session.talking import STAMP, FakeGate, Talk, talk

REFUSED = b'-ERR [AUTH] Password supplied for "mrose" is incorrect.'


def test_the_greeting_ends_with_the_stamp_two_blanks_behind_it():
    assert Talk(b"QUIT\r\n").lines[0] == (
        b"+OK UCB Pop server (version 1.6) at dbc.mtview.ca.us starting.  " + STAMP.encode()
    )


def test_user_and_pass_open_the_maildrop():
    assert talk(b"USER mrose\r\nPASS secret\r\nQUIT\r\n") == [
        b"+OK Password required for mrose.",
        b"+OK mrose has 2 message(s) (72 octets).",
        b"+OK Pop server at dbc.mtview.ca.us signing off.",
    ]


def test_user_is_answered_alike_for_every_name():
    assert talk(b"USER nobody-at-all\r\nQUIT\r\n")[0] == b"+OK Password required for nobody-at-all."


def test_a_password_is_the_rest_of_the_line_with_its_blanks():
    gate = FakeGate()
    talk(b"USER mrose\r\nPASS  my pass word \r\nQUIT\r\n", gate=gate)
    assert gate.passwords == [b" my pass word "]


def test_a_refused_password_leads_back_to_user():
    assert talk(b"USER mrose\r\nPASS wrong\r\nPASS secret\r\nUSER mrose\r\nPASS secret\r\nQUIT\r\n")[1:] == [
        REFUSED,
        b'-ERR Unknown command: "pass".',
        b"+OK Password required for mrose.",
        b"+OK mrose has 2 message(s) (72 octets).",
        b"+OK Pop server at dbc.mtview.ca.us signing off.",
    ]


def test_after_three_refusals_the_connection_ends():
    script = b"USER mrose\r\nPASS wrong\r\n" * 4
    done = Talk(script)
    assert done.lines[-1] == REFUSED
    assert len(done.events_of(LoginRefused)) == 3
    assert done.events_of(SessionClosed)[0].how == "refused"


@pytest.mark.parametrize(
    ("spent", "slept"), [(0.0, 2.0), (0.5, 1.5), (1.9, 0.1), (2.5, 1.5)], ids=["no work", "some", "much", "too much"]
)
def test_a_refusal_leaves_at_the_next_multiple_of_the_delay_whatever_the_work(spent, slept):
    class Clock:
        now = 100.0

        def __call__(self):
            return self.now

    clock = Clock()

    class SlowGate(FakeGate):
        def check(self, user, password, facts):
            clock.now += spent
            return super().check(user, password, facts)

    done = Talk(b"USER mrose\r\nPASS wrong\r\nQUIT\r\n", gate=SlowGate(), clock=clock)
    assert done.slept == [pytest.approx(slept)]


class Waiting(FakeGate):
    """A gate whose verdicts wait, as those on whoever has been guessing do."""

    wait = 7.0

    def check(self, user, password, facts):
        verdict = super().check(user, password, facts)
        verdict.wait = self.wait
        return verdict


@pytest.mark.parametrize("password", [b"secret", b"wrong"])
def test_whoever_has_been_guessing_waits_as_long_for_either_answer(password):
    account = Account("mrose", 1000, 1000, "/home/mrose", "", True, "unix")
    gate = Waiting()
    gate.account = account
    done = Talk(b"USER mrose\r\nPASS " + password + b"\r\nQUIT\r\n", gate=gate, clock=lambda: 100.0)
    assert done.slept == [7.0]


def test_a_refusal_never_leaves_before_its_fixed_moment():
    gate = Waiting()
    gate.wait = 1.0
    done = Talk(b"USER mrose\r\nPASS wrong\r\nQUIT\r\n", gate=gate, clock=lambda: 100.0)
    assert done.slept == [2.0]


class Stranger(FakeGate):
    """Refuses everybody as no account."""

    def check(self, user, password, facts):
        denied = Denied(user.decode(), "unknown user")
        denied.alias = "(unknown:0a1b2c3d)"
        return denied

    def begin(self, mechanism, facts):
        return SimpleNamespace(step=lambda data: self.check(data.partition(b" ")[0], b"", facts))


NOT_A_NAME = (
    b"USER hush-hush\r\nUSER hush hush-hush\r\nSTAT\r\nPASS x\r\nNOOP\r\nAPOP hush-hush 0\r\nAPOP hush-hush\r\nQUIT\r\n"
)


def test_a_name_that_is_no_account_is_in_no_record_but_in_the_replies():
    done = Talk(NOT_A_NAME, gate=Stranger())
    shown = [text for event in done.events for _, text in records(event, True, False)]
    assert len([text for text in shown if "(unknown:0a1b2c3d)" in text]) >= 4
    assert [text for text in shown if "hush" in text] == []
    assert b'-ERR [AUTH] Password supplied for "hush-hush" is incorrect.' in done.lines


def test_by_setting_it_is_in_the_log_as_it_came():
    done = Talk(NOT_A_NAME, gate=FakeGate(), settings={"log.unknown_names": "shown"})
    shown = [text for event in done.events for _, text in records(event, True, False)]
    assert [text for text in shown if "Failed attempted login to hush-hush from" in text]
    assert [text for text in shown if text.startswith("hush-hush at ") and "stat" in text]


def test_once_it_is_known_to_be_an_account_it_is_in_the_log():
    done = Talk(b"USER mrose\r\nPASS wrong\r\nSTAT\r\nQUIT\r\n")
    shown = [text for event in done.events for _, text in records(event, True, False)]
    assert [text for text in shown if text.startswith("mrose at ") and "stat" in text]


def test_apop_with_the_digest_of_the_rfc_opens_the_maildrop():
    assert talk(b"APOP mrose c4c9334bac560ecc979e58001b3e22fb\r\nQUIT\r\n")[0] == (
        b"+OK mrose has 2 message(s) (72 octets)."
    )


def test_a_wrong_digest_is_refused_with_the_words_for_a_wrong_password():
    assert talk(b"APOP mrose " + b"0" * 32 + b"\r\nQUIT\r\n")[0] == REFUSED


def test_a_database_that_cannot_be_read_is_a_temporary_refusal_that_keeps_saved_passwords():
    gate = FakeGate()
    gate.broken = True
    said = talk(b"USER mrose\r\nPASS secret\r\nQUIT\r\n", gate=gate)[1]
    assert said.startswith(b"-ERR [SYS/TEMP] ")
    assert b"password" not in said.lower()


@pytest.mark.parametrize("verb", [b"STAT", b"LIST", b"RETR 1", b"DELE 1", b"XTND XMIT", b"LAST", b"UIDL", b"RSET"])
def test_transaction_commands_are_unknown_before_login(verb):
    said = talk(verb + b"\r\nQUIT\r\n")[0]
    assert said.startswith(b"-ERR Unknown command: ")


@pytest.mark.parametrize(
    ("line", "said"),
    [
        (b"USER", b"-ERR Too few arguments for the user command."),
        (b"USER a b", b"-ERR Too many arguments for the user command."),
        (b"APOP mrose", b"-ERR Too few arguments for the apop command."),
        (b"QUIT now", b"-ERR Too many arguments for the quit command."),
        (b"CAPA x", b"-ERR Too many arguments for the capa command."),
        (b"help", b'-ERR Unknown command: "help".'),
        (b"\xff\x00\x1b", b'-ERR Unknown command: "???".'),
    ],
)
def test_bad_lines_get_one_error_each(line, said):
    assert talk(line + b"\r\nNOOP\r\n")[0] == said


def test_pass_without_an_argument_is_too_few():
    assert talk(b"USER mrose\r\nPASS\r\n")[1] == b"-ERR Too few arguments for the pass command."


def test_a_blank_line_has_no_answer():
    assert talk(b"\r\n \t\r\n\nQUIT\r\n") == [b"+OK Pop server at dbc.mtview.ca.us signing off."]


def test_capa_is_told_before_and_after_login_and_is_the_same():
    lines = talk(b"CAPA\r\nUSER mrose\r\nPASS secret\r\nCAPA\r\nQUIT\r\n")
    before = lines[: lines.index(b".") + 1]
    assert before == lines[len(before) + 2 : -1]
    assert before[0] == b"+OK Capability list follows"
    tags = {line.split(b" ")[0] for line in before[1:-1]}
    assert {b"TOP", b"UIDL", b"USER", b"PIPELINING", b"RESP-CODES", b"AUTH-RESP-CODE", b"IMPLEMENTATION"} <= tags
    assert b"EXPIRE NEVER" in before


def test_no_tap_sees_a_password_or_a_digest():
    done = Talk(b"USER mrose\r\nPASS secret\r\nPASS secret\r\nQUIT\r\n")
    again = Talk(b"APOP mrose c4c9334bac560ecc979e58001b3e22fb\r\nQUIT\r\n")
    seen = repr(done.tap.seen) + repr(again.tap.seen)
    assert "secret" not in seen
    assert "c4c9334b" not in seen
    assert ("<", "mrose", "pass xxxxxxxxx") in done.tap.seen


def test_a_client_that_just_leaves_is_a_hangup():
    done = Talk(b"USER mrose\r\n")
    assert [event.how for event in done.events_of(SessionClosed)] == ["hangup"]


def test_a_long_user_name_is_echoed_cut():
    said = talk(b"USER " + b"x" * 900 + b"\r\nQUIT\r\n")[0]
    assert said == b"+OK Password required for " + b"x" * 64 + b"."


@pytest.mark.parametrize("name", [b"%n%s%x", b"{user}", b"{0.__class__}", b"..", b"a/b", b"'; drop table"])
def test_a_name_is_never_a_template(name):
    """CVE-2000-0442 and its kin."""
    assert talk(b"USER " + name.replace(b" ", b"") + b"\r\n")[0].startswith(
        b"+OK Password required for " + name.replace(b" ", b"")
    )
