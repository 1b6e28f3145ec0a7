"""What a dialect or a setting changes in a session, each alone: popa3d's manners, on the session of the tests."""

from qpopper_py.events import SessionClosed
from qpopper_py.personality import mailutils, popa3d
from qpopper_py.personality.ucb import DIALECT, TEXTS
from qpopper_py.protocol.dialect import Dialect
from tests.session.talking import LOGIN, Talk, talk


class Clock:
    """Each look is so much later."""

    def __init__(self, step):
        self.now = 0.0
        self.step = step

    def __call__(self):
        self.now += self.step
        return self.now


def test_where_the_text_is_empty_a_silent_client_hears_nothing_of_the_timeout():
    quiet = Dialect({**TEXTS, "timeout": ""})
    done = Talk(LOGIN, dialect=quiet, settings={"timeout": 50, "login_timeout": 9999}, clock=Clock(100))
    assert len(done.lines) == 1
    assert done.lines[0].startswith(b"+OK UCB Pop server")
    assert done.events_of(SessionClosed)[0].how == "timeout"


def test_an_argument_of_forty_octets_passes_and_a_longer_one_does_not():
    """RFC 1939 section 3."""
    script = b"USER " + b"x" * 40 + b"\r\nUSER " + b"x" * 41 + b"\r\n"
    assert [line[:4] for line in talk(script, settings={"limits.argument": 40})] == [b"+OK ", b"-ERR"]
    assert [line[:4] for line in talk(script)] == [b"+OK ", b"+OK "]


def test_a_password_may_be_longer():
    lines = talk(b"USER mrose\r\nPASS " + b"x" * 41 + b"\r\n", settings={"limits.argument": 40})
    assert lines[-1] == b'-ERR [AUTH] Password supplied for "mrose" is incorrect.'


def test_a_pass_without_argument_takes_no_user_back():
    assert talk(b"USER mrose\r\nPASS\r\nPASS secret\r\n")[-1].startswith(b"+OK mrose has")


def test_a_quit_with_an_argument_ends_nothing():
    assert [line[:4] for line in talk(b"QUIT x\r\nUSER mrose\r\n")] == [b"-ERR", b"+OK "]


def test_last_as_touched_counts_retr_and_dele_and_rset_puts_it_to_nothing():
    script = (
        LOGIN + b"LAST\r\nDELE 2\r\nLAST\r\nRSET\r\nLAST\r\nTOP 2 0\r\nLAST\r\nRETR 1\r\nLAST\r\nDELE 1\r\nLAST\r\n"
    )
    said = [line for line in talk(script, settings={"last": "touched"}) if b"last message" in line]
    assert [line.split()[1] for line in said] == [b"0", b"2", b"0", b"0", b"1", b"1"]


def test_response_codes_come_where_the_dialect_has_them_or_everything_is_served():
    refused = b"USER mrose\r\nPASS wrong\r\n"
    codes = {name: Dialect(DIALECT.texts, codes=name == "with") for name in ("with", "without")}
    assert b"[AUTH]" in talk(refused, dialect=codes["with"], settings={"commands": "original"})[-1]
    assert b"[AUTH]" not in talk(refused, dialect=codes["without"], settings={"commands": "original"})[-1]
    assert b"[AUTH]" in talk(refused, dialect=codes["without"], settings={"commands": "all"})[-1]


def test_capa_tells_of_response_codes_only_where_there_are_some():
    without = Dialect(DIALECT.texts, codes=False)
    assert b"RESP-CODES" in talk(b"CAPA\r\n", dialect=without, settings={"commands": "all"})
    assert b"RESP-CODES" not in talk(b"CAPA\r\n", dialect=without, settings={"commands": "original"})


def test_popa3d_serves_what_it_had_not_if_asked_to():
    lines = talk(b"CAPA\r\n", dialect=popa3d.DIALECT, settings={**popa3d.SETTINGS, "commands": "all"})
    assert lines[0] == b"+OK"
    assert {b"TOP", b"UIDL", b"RESP-CODES", b"SASL PLAIN LOGIN"} <= set(lines)


def test_mailutils_announces_that_tls_is_required_until_it_is_there():
    """XTLSREQUIRED stands in USER's place; the others never had it."""
    asked = b"CAPA\r\nQUIT\r\n"
    for settings, bare in (({"auth.cleartext": "tls"}, True), ({"tls.required": True}, True), ({}, False)):
        lines = Talk(asked, dialect=mailutils.DIALECT, settings={"auth.cleartext": "always", **settings}).lines
        assert (b"XTLSREQUIRED" in lines, b"USER" in lines) == (bare, not bare)
    secure = Talk(asked, dialect=mailutils.DIALECT, settings={"auth.cleartext": "tls"}, secure=True).lines
    assert b"USER" in secure
    assert b"XTLSREQUIRED" not in secure
    assert b"XTLSREQUIRED" not in talk(asked, settings={"auth.cleartext": "tls"})
