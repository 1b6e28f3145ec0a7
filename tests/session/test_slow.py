"""Slow clients: an octet a minute outwits no time-out, and a slow line loses no mail.

Time is the test's own: it passes with the octets.  A client that went on after its script would be a hang-up here, so
``timeout`` means that it was given up before its last octet.
"""

from __future__ import annotations

from base64 import b64encode

import pytest

from qpopper_py.events import LoggedIn, SessionClosed
from qpopper_py.stream import SocketStream
from tests.session.talking import LOGIN, TWO, FakeStore, Talk

MINUTE = 60.0
TIMES = {"timeout": 600, "login_timeout": 300}


class Clock:
    now = 1000.0

    def __call__(self):
        return self.now


class SlowLine(SocketStream):
    """Brings an octet in ``comes`` seconds, the first ``fast`` ones at once, and takes one in ``goes`` seconds.

    What it takes is in ``taken``: sockets hold few octets that were sent one by one.
    """

    def __init__(self, sock, clock, comes=0.0, goes=0.0, fast=0):
        super().__init__(sock)
        self.clock, self.comes, self.goes, self.fast = clock, comes, goes, fast
        self.full = True
        self.taken = b""

    def receive(self, most):
        if not self.comes:
            return super().receive(most)
        if self.fast:
            self.fast -= 1
        else:
            self.clock.now += self.comes
        return super().receive(1)

    def send(self, data):
        if not self.goes or self.fast:
            self.taken += data
            return len(data)
        self.full = not self.full
        if self.full:
            raise BlockingIOError
        self.clock.now += self.goes
        self.taken += data[:1]
        return 1


class Slow(Talk):
    """A talk over a slow line; ``spent``: seconds from beginning to end."""

    def __init__(self, script, *, comes=0.0, goes=0.0, fast=0, **keywords):
        clock = Clock()
        self.line = None

        def line(sock):
            self.line = SlowLine(sock, clock, comes, goes, fast)
            return self.line

        super().__init__(script, clock=clock, stream=line, settings=TIMES, **keywords)
        self.spent = clock.now - Clock.now
        self.data = self.line.taken
        self.lines = self.data.split(b"\r\n")
        self.how = self.events_of(SessionClosed)[0].how


class Draft:
    """Takes a message and sends it nowhere."""

    too_large = False

    def __init__(self):
        self.text = b""
        self.sent = False

    def write(self, data):
        self.text += data

    def discard(self):
        pass

    def send(self):
        self.sent = True


class Mailer:
    def __init__(self):
        self.draft = Draft()

    def begin(self):
        return self.draft


@pytest.mark.parametrize(
    "script",
    [
        b"USER mrose\r\n",
        b"NOOP\r\n" * 50,
        b"\r\n" * 50,
        b"x" * 5000,
        b"AUTH PLAIN " + b64encode(b"\0mrose\0secret") + b"\r\n",
        b"CAPA\r\n" * 50,
    ],
    ids=["a name", "commands", "blank lines", "no line", "AUTH", "CAPA"],
)
def test_an_octet_a_minute_gets_no_further_than_the_time_to_log_in(script):
    done = Slow(script, comes=MINUTE)
    assert done.how == "timeout"
    assert done.data.endswith(b"-ERR POP timeout\r\n")
    assert TIMES["login_timeout"] <= done.spent <= TIMES["login_timeout"] + MINUTE


@pytest.mark.parametrize("mechanism", [b"PLAIN", b"LOGIN", b"ENDLESS"])
def test_nor_do_the_lines_of_an_exchange(mechanism):
    """A response is a line as others are, and steps do not begin the time anew."""
    begin = b"AUTH " + mechanism + b"\r\n"
    responses = (b64encode(b"mrose") + b"\r\n") * 12
    done = Slow(begin + responses, comes=MINUTE, fast=len(begin))
    assert done.how == "timeout"
    assert TIMES["login_timeout"] <= done.spent <= TIMES["login_timeout"] + MINUTE


def test_nor_does_a_client_that_takes_an_octet_a_minute():
    """Each octet that it takes is within transfer_timeout, and the time to log in ends all the same."""
    done = Slow(b"CAPA\r\n" * 50, goes=MINUTE)
    assert done.how == "timeout"
    assert TIMES["login_timeout"] <= done.spent <= TIMES["login_timeout"] + 2 * MINUTE


def test_after_login_a_command_line_is_waited_for_as_a_whole():
    done = Slow(LOGIN + b"DELE " + b"0" * 50 + b"1\r\n", comes=MINUTE, fast=len(LOGIN))
    assert done.events_of(LoggedIn)
    assert done.how == "timeout"
    assert TIMES["timeout"] <= done.spent <= TIMES["timeout"] + MINUTE
    assert done.store.expunged is None


def test_a_client_that_types_slowly_is_served():
    """50 s for each line of it, minutes for all of it, and no time-out: each line is in its time."""
    script = b"".join(b"RETR 1\r\n" for _ in range(30)) + b"QUIT\r\n"
    done = Slow(LOGIN + script, comes=6.0, fast=len(LOGIN))
    assert done.how == "quit"
    assert done.spent > 2 * TIMES["timeout"]


@pytest.mark.parametrize("goes", [0.5, 119.0])
def test_a_slow_line_loses_no_download(goes):
    """transfer_timeout (120 s by default) counts only while nothing at all is accepted."""

    message = TWO[0] * 20
    done = Slow(LOGIN + b"RETR 1\r\nQUIT\r\n", comes=1e-6, goes=goes, fast=len(LOGIN), store=FakeStore([message]))
    assert done.how == "quit"
    assert b" octets\r\n" + message.replace(b"\r\n.", b"\r\n..") + b".\r\n" in done.data
    assert done.spent > len(message) * goes


@pytest.mark.parametrize("lines", [b"x\r\n", b"\r\n", b".\r\n", b"0123456789" * 5 + b"\r\n"])
def test_a_message_that_comes_a_line_now_and_then_is_given_up(lines):
    """Each line is in its time; that all of them may last for days is no reason to wait for days."""
    mailer = Mailer()
    begin = LOGIN + b"XTND XMIT\r\n"
    text = lines.replace(b".", b"..") * 200
    done = Slow(begin + text + b".\r\n", comes=MINUTE, fast=len(begin), mailer=mailer)
    assert done.how == "timeout"
    assert not mailer.draft.sent
    assert done.spent <= 2 * TIMES["timeout"]


def test_a_message_over_a_slow_line_is_sent():
    """120 octets a second, as a modem of 1200 baud has it, for much longer than the time for a command."""
    mailer = Mailer()
    begin = LOGIN + b"XTND XMIT\r\n"
    text = (b"0123456789" * 7 + b"\r\n") * 2100
    done = Slow(begin + text + b".\r\nQUIT\r\n", comes=1 / 120, fast=len(begin), mailer=mailer)
    assert done.how == "quit"
    assert mailer.draft.sent
    assert mailer.draft.text == text.replace(b"\r\n", b"\n")
    assert done.spent > 2 * TIMES["timeout"]
