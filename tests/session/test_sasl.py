"""AUTH on the wire: RFC 5034; what old clients do beside it."""

from base64 import b64encode

import pytest

from qpopper_py.auth.credentials import Challenge
from qpopper_py.events import CommandFailed, LoggedIn, LoginRefused, SessionClosed
from tests.session.talking import FakeGate, Talk, talk

RIGHT = b64encode(b"\0mrose\0secret")
WRONG = b64encode(b"\0mrose\0guess")
IN = b"+OK mrose has 2 message(s) (72 octets)."
REFUSED = b'-ERR [AUTH] Password supplied for "mrose" is incorrect.'
CANCELLED = b"-ERR Authentication cancelled."
BAD = b"-ERR That is not what the authentication mechanism asks for."
NONE_SUCH = b"-ERR No such authentication mechanism here."
BYE = b"+OK Pop server at dbc.mtview.ca.us signing off."


def test_an_initial_response_is_enough():
    done = Talk(b"AUTH PLAIN " + RIGHT + b"\r\nQUIT\r\n")
    assert done.lines[1:] == [IN, BYE]
    assert [(event.user, event.mechanism) for event in done.events_of(LoggedIn)] == [("mrose", "PLAIN")]


def test_without_one_an_empty_challenge_asks_for_it():
    """RFC 5034 section 6: ``+ `` and CRLF, with the blank."""
    assert talk(b"AUTH PLAIN\r\n" + RIGHT + b"\r\nQUIT\r\n") == [b"+ ", IN, BYE]


def test_a_mechanism_in_which_the_server_begins():
    script = b"AUTH LOGIN\r\n" + b64encode(b"mrose") + b"\r\n" + b64encode(b"secret") + b"\r\nQUIT\r\n"
    assert talk(script) == [b"+ VXNlcm5hbWU6", b"+ UGFzc3dvcmQ6", IN, BYE]


def test_names_of_mechanisms_are_of_any_case_and_the_verb_too():
    assert talk(b"auth plain " + RIGHT + b"\r\nQUIT\r\n") == [IN, BYE]


def test_an_equals_sign_is_an_empty_initial_response():
    """RFC 5034 section 4; PLAIN (RFC 4616) has no empty message, and asks."""
    assert talk(b"AUTH PLAIN =\r\n" + RIGHT + b"\r\nQUIT\r\n") == [b"+ ", IN, BYE]


def test_where_the_server_begins_an_empty_initial_response_is_refused():
    """RFC 5034 section 4: the server MUST reject it."""
    assert talk(b"AUTH LOGIN =\r\nQUIT\r\n") == [BAD, BYE]


@pytest.mark.parametrize("script", [b"AUTH PLAIN\r\n*\r\n", b"AUTH LOGIN\r\nbXJvc2U=\r\n*\r\n"])
def test_an_asterisk_cancels_at_once_and_is_no_failed_login(script):
    done = Talk(script + b"AUTH PLAIN " + RIGHT + b"\r\nQUIT\r\n")
    assert done.lines[-3:] == [CANCELLED, IN, BYE]
    assert done.slept == []
    assert done.events_of(LoginRefused) == []


@pytest.mark.parametrize(
    "line", [b"?", b"AGE", b"====", b"A=GE", b"AGEA\0AGEA", b"\xff\xfe\xfd\xfc", b"AG EA", b"* ", b"**"]
)
def test_what_is_not_base64_is_refused_and_the_session_goes_on(line):
    assert talk(b"AUTH PLAIN\r\n" + line + b"\r\nAUTH PLAIN " + RIGHT + b"\r\nQUIT\r\n") == [b"+ ", BAD, IN, BYE]


def test_a_bad_initial_response_is_refused():
    assert talk(b"AUTH PLAIN AGE\r\nQUIT\r\n") == [BAD, BYE]


def test_a_refusal_leaves_at_the_moment_of_all_refusals():
    done = Talk(b"AUTH PLAIN " + WRONG + b"\r\nQUIT\r\n", clock=lambda: 100.0)
    assert done.lines[1:] == [REFUSED, BYE]
    assert done.slept == [2.0]
    refused = done.events_of(LoginRefused)
    assert [(event.user, event.mechanism, event.why) for event in refused] == [("mrose", "PLAIN", "wrong password")]


def test_the_moment_counts_from_the_last_line_and_not_from_the_command():
    class Clock:
        now = 100.0

        def __call__(self):
            return self.now

    clock = Clock()

    class SlowGate(FakeGate):
        def begin(self, mechanism, facts):
            clock.now += 0.7  # what the client took to answer
            return super().begin(mechanism, facts)

        def check(self, user, password, facts):
            clock.now += 0.5
            return super().check(user, password, facts)

    done = Talk(b"AUTH PLAIN\r\n" + WRONG + b"\r\nQUIT\r\n", gate=SlowGate(), clock=clock)
    assert done.slept == [pytest.approx(1.5)]


def test_refusals_of_every_command_are_counted_together():
    script = b"USER mrose\r\nPASS x\r\nAUTH PLAIN " + WRONG + b"\r\nAPOP mrose " + b"0" * 32 + b"\r\nQUIT\r\n"
    done = Talk(script)
    assert done.lines[2:] == [REFUSED] * 3
    assert done.events_of(SessionClosed)[0].how == "refused"


def test_a_fault_of_ours_is_temporary():
    gate = FakeGate()
    gate.broken = True
    said = talk(b"AUTH PLAIN " + RIGHT + b"\r\nQUIT\r\n", gate=gate)[0]
    assert said == b"-ERR [SYS/TEMP] Login is not possible now; try again in a few minutes."


@pytest.mark.parametrize("name", [b"GSSAPI", b"APOP", b"X", b"\xff", b"{user}", b"SCRAM-SHA-1"])
def test_what_is_not_offered_is_not_there(name):
    assert talk(b"AUTH " + name + b"\r\nAUTH " + name + b" AAAA\r\nQUIT\r\n") == [NONE_SUCH, NONE_SUCH, BYE]


def test_without_an_argument_the_mechanisms_are_listed():
    assert talk(b"AUTH\r\nQUIT\r\n") == [b"+OK Authentication mechanisms follow", b"PLAIN", b"LOGIN", b".", BYE]


def test_where_nothing_is_offered_the_list_is_empty_and_capa_is_silent():
    gate = FakeGate()
    gate.offered = ()
    lines = talk(b"AUTH\r\nCAPA\r\nQUIT\r\n", gate=gate)
    assert lines[:2] == [b"+OK Authentication mechanisms follow", b"."]
    assert not [line for line in lines if line.startswith(b"SASL")]


def test_capa_announces_what_can_succeed():
    assert b"SASL PLAIN LOGIN" in talk(b"CAPA\r\nQUIT\r\n")


def test_too_many_words_are_too_many():
    assert talk(b"AUTH PLAIN AAAA BBBB\r\nQUIT\r\n") == [b"-ERR Too many arguments for the auth command.", BYE]


def test_auth_is_over_once_logged_in():
    script = b"AUTH PLAIN " + RIGHT + b"\r\nAUTH PLAIN " + RIGHT + b"\r\nAUTH\r\nQUIT\r\n"
    assert talk(script) == [IN, b'-ERR Unknown command: "auth".', b'-ERR Unknown command: "auth".', BYE]


def test_after_a_refusal_the_name_that_user_gave_is_forgotten():
    script = b"USER mrose\r\nAUTH PLAIN " + WRONG + b"\r\nPASS secret\r\nQUIT\r\n"
    assert talk(script)[-2:] == [b'-ERR Unknown command: "pass".', BYE]


class TestLongLines:
    """RFC 5034 section 4: a mechanism's responses may be as long as they need, whatever the limit of commands."""

    LONG = b64encode(b"\0mrose\0" + b"x" * 3000)

    def test_a_response_may_be_longer_than_a_command(self):
        assert talk(b"AUTH PLAIN\r\n" + self.LONG + b"\r\nQUIT\r\n") == [b"+ ", REFUSED, BYE]

    def test_an_initial_response_too(self):
        """getmail and mpop send XOAUTH2's tokens in one line."""
        assert talk(b"AUTH PLAIN " + self.LONG + b"\r\nQUIT\r\n") == [REFUSED, BYE]

    def test_both_have_a_limit_of_their_own(self):
        lines = talk(
            b"AUTH PLAIN "
            + self.LONG
            + b"\r\nAUTH PLAIN\r\n"
            + self.LONG
            + b"\r\nAUTH PLAIN "
            + RIGHT
            + b"\r\nQUIT\r\n",
            settings={"limits.sasl": 1024},
        )
        assert lines[0].startswith(b"-ERR Command line too long")
        assert lines[1] == b"+ "
        assert lines[2] == b"-ERR Command line too long: 1024 octets at most."
        assert lines[3:] == [IN, BYE]

    @pytest.mark.parametrize("verb", [b"USER ", b"APOP mrose ", b"NONSENSE ", b"", b"AUTHX "])
    def test_no_other_command_becomes_longer(self, verb):
        assert talk(verb + b"x" * 1100 + b"\r\nQUIT\r\n") == [b"-ERR Command line too long: 1024 octets at most.", BYE]

    def test_steps_have_an_end(self):
        gate = FakeGate()
        gate.offered = ("X-ENDLESS",)
        lines = talk(b"AUTH X-ENDLESS\r\n" + b"AAAA\r\n" * 30 + b"QUIT\r\n", gate=gate)
        assert BAD in lines
        assert lines.index(BAD) <= 20
        assert lines[-1] == BYE


class TestRefusalsInWords:
    """RFC 7628 section 3.2.3: the error is a challenge; whatever the client answers, the login is refused."""

    @pytest.mark.parametrize("answer", [b"AQ==", b"", b"*", b"not base64"])
    def test_they_are_counted_and_delayed_whatever_the_answer(self, answer):
        gate = FakeGate()
        gate.offered = ("BEARER",)
        done = Talk(b"AUTH BEARER AAAA\r\n" + answer + b"\r\nQUIT\r\n", gate=gate, clock=lambda: 100.0)
        assert done.lines[1:] == [b"+ e30=", REFUSED, BYE]
        assert done.slept == [2.0]
        assert [event.why for event in done.events_of(LoginRefused)] == ["expired"]

    def test_a_client_that_hangs_up_instead_was_counted(self):
        gate = FakeGate()
        gate.offered = ("BEARER",)
        done = Talk(b"AUTH BEARER AAAA\r\n", gate=gate)
        assert len(done.events_of(LoginRefused)) == 1

    def test_the_third_ends_the_connection_after_its_answer(self):
        gate = FakeGate()
        gate.offered = ("BEARER",)
        done = Talk(b"AUTH BEARER AAAA\r\nAQ==\r\n" * 4, gate=gate)
        assert done.lines[1:] == [b"+ e30=", REFUSED] * 3


class TestSecretsStaySecret:
    @pytest.mark.parametrize(
        "script",
        [
            b"AUTH PLAIN " + RIGHT + b"\r\n",
            b"AUTH PLAIN\r\n" + RIGHT + b"\r\n",
            b"AUTH PLAIN\r\n" + WRONG + b"\r\n",
            b"AUTH LOGIN\r\n" + b64encode(b"mrose") + b"\r\n" + b64encode(b"secret") + b"\r\n",
            b"AUTH PLAIN\r\n" + RIGHT + b"!\r\n",
            b"AUTH PLAIN " + RIGHT + b" " + RIGHT + b"\r\n",
            b"AUTH NONE " + RIGHT + b"\r\n",
        ],
    )
    def test_no_tap_and_no_event_shows_a_response(self, script):
        done = Talk(script + b"QUIT\r\n")
        shown = repr(done.tap.seen) + repr([vars_of(event) for event in done.events])
        for secret in (RIGHT, WRONG, b64encode(b"secret"), b"secret", b"guess"):
            assert secret.decode() not in shown

    def test_a_tap_sees_that_there_was_one(self):
        done = Talk(b"AUTH PLAIN\r\n" + RIGHT + b"\r\nQUIT\r\n")
        assert ("<", "", "auth PLAIN") in done.tap.seen
        assert ("<", "", "auth - xxxxxxxxx") in done.tap.seen

    def test_a_failed_command_is_told_by_its_mechanism(self):
        done = Talk(b"AUTH PLAIN " + WRONG + b"\r\nQUIT\r\n")
        assert [event.line for event in done.events_of(CommandFailed)] == ["auth PLAIN xxxxxxxxx"]


def vars_of(event):
    names = [name for kind in type(event).__mro__ for name in getattr(kind, "__slots__", ())]
    return {name: getattr(event, name, None) for name in names if name != "facts"}


def test_a_client_that_leaves_in_mid_exchange_is_a_hangup():
    done = Talk(b"AUTH PLAIN\r\n")
    assert [event.how for event in done.events_of(SessionClosed)] == ["hangup"]


def test_a_challenge_that_tells_the_verdict_is_sent_at_its_moment():
    """Or else whoever guesses would see by it what the refusal waits to tell."""

    class Exchange:
        told = False

        def step(self, data):
            if self.told:
                return FakeGate.account
            self.told = True
            challenge = Challenge(b"v=signature")
            challenge.wait = 7.0
            return challenge

    class Gate(FakeGate):
        def begin(self, mechanism, facts):
            return Exchange()

    done = Talk(b"AUTH PLAIN " + RIGHT + b"\r\n\r\nQUIT\r\n", gate=Gate(), clock=lambda: 100.0)
    assert done.lines[1:] == [b"+ " + b64encode(b"v=signature"), IN, BYE]
    assert done.slept == [7.0]
