"""What Cyrus' directives ask of a session: tls_required, serverinfo, the pause of a plain login, -p, shutdown files."""

import os

import pytest

from qpopper_py.arrival import closed, learn
from qpopper_py.facts import Facts, Listener
from qpopper_py.personality.cyrus import DIALECT, SETTINGS
from qpopper_py.protocol.reply import greeting
from qpopper_py.settings import Settings
from qpopper_py.stream import Stream
from tests.session.talking import LOGIN, Talk


def talk(script, **settings):
    return Talk(script, dialect=DIALECT, stamp="", settings={**SETTINGS, "auth.cleartext": "always", **settings})


@pytest.mark.parametrize(
    ("line", "verb"),
    [(b"USER mrose", "USER"), (b"APOP mrose c4c9334bac560ecc979e58001b3e22fb", "APOP"), (b"AUTH PLAIN", "AUTH")],
)
def test_where_tls_is_required_nobody_logs_in_without(line, verb):
    done = talk(line + b"\r\nCAPA\r\nQUIT\r\n", **{"tls.required": True})
    assert done.lines[1] == f"-ERR [AUTH] {verb} command only available under a layer".encode()
    assert not [row for row in done.lines if row.startswith((b"SASL", b"USER"))]
    assert done.gate.passwords == []


def test_a_plain_login_is_answered_after_the_pause():
    done = talk(LOGIN + b"QUIT\r\n", **{"auth.login_pause": 5})
    assert done.lines[2].startswith(b"+OK Mailbox locked")
    assert len(done.slept) == 1
    assert 4.9 < done.slept[0] <= 5


@pytest.mark.parametrize("pause", [0, 5])
def test_an_apop_login_has_no_such_pause(pause):
    script = b"APOP mrose c4c9334bac560ecc979e58001b3e22fb\r\nQUIT\r\n"
    done = Talk(script, dialect=DIALECT, settings={**SETTINGS, "auth.login_pause": pause})
    assert done.slept == []
    assert done.lines[1].startswith(b"+OK Mailbox locked")


@pytest.mark.parametrize(
    ("told", "words"),
    [("min", b"+OK h server ready <1@h>\r\n"), ("off", b"+OK server ready <1@h>\r\n")],
)
def test_serverinfo_says_what_the_greeting_tells(told, words):
    assert greeting(DIALECT, Facts("s", host="h", stamp="<1@h>"), told) == words


@pytest.mark.parametrize(("told", "count"), [("on", 2), ("min", 1), ("off", 1)])
def test_the_implementation_is_told_before_login_if_serverinfo_is_on(told, count):
    """It is always told after login."""
    done = talk(b"CAPA\r\n" + LOGIN + b"CAPA\r\nQUIT\r\n", server_info=told)
    assert len([row for row in done.lines if row.startswith(b"IMPLEMENTATION")]) == count


@pytest.mark.parametrize(("ssf", "secure"), [(0, False), (1, False), (2, True), (256, True)])
def test_an_outer_layer_above_1_is_privacy(ssf, secure):
    """pop3d(8), -p: 1 is integrity, more is privacy."""
    settings = Settings([("test", {"outer_layer": ssf})])
    assert learn(Stream(-1, -1), settings, Listener(), False, print).private is secure


def test_a_silent_client_is_left_without_a_word():
    done = Talk(b"", dialect=DIALECT, stamp="", silent=True, settings={**SETTINGS, "login_timeout": 1})
    assert len(done.lines) == 1


def test_the_first_line_of_the_first_file_counts(tmp_path):
    one, other = tmp_path / "shutdown", tmp_path / "shutdown.pop3"
    assert closed((str(one), str(other))) is None
    other.write_text("[x] later\r\nmore")
    assert closed((str(one), str(other))) == "x] later"
    one.write_text("")
    assert closed((str(one), str(other))) == ""


def test_no_link_and_no_pipe_is_read_to_strangers(tmp_path):
    (tmp_path / "secret").write_text("secret\n")
    link, hard, pipe = tmp_path / "link", tmp_path / "hard", tmp_path / "pipe"
    link.symlink_to(tmp_path / "secret")
    hard.hardlink_to(tmp_path / "secret")
    os.mkfifo(pipe)
    assert closed((str(link), str(hard), str(pipe))) is None
