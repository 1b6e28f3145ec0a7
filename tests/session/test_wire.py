"""Lines and replies: bounds, timeouts, pieces of every size."""

import socket
import threading
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from qpopper_py.errors import PeerGone, TimedOut
from qpopper_py.events import CommandFailed, SessionClosed, Trouble
from qpopper_py.session.wire import LineTooLong, Wire
from qpopper_py.stream import SocketStream
from tests.session.talking import LOGIN, FakeStore, Talk, talk

FAR = time.monotonic() + 3600


@pytest.fixture
def pair():
    ours, theirs = socket.socketpair()
    ours.settimeout(10)
    stream = SocketStream(theirs)
    yield ours, Wire(stream, 1024, 0.01)
    ours.close()
    stream.close()


def test_a_line_over_the_limit_is_one_error_and_never_a_second_command():
    said = talk(b"USER " + b"x" * 5000 + b" QUIT\r\nUSER mrose\r\nQUIT\r\n")
    assert said[0].startswith(b"-ERR Command line too long")
    assert said[1] == b"+OK Password required for mrose."


@pytest.mark.parametrize(("length", "fits"), [(1023, True), (1024, False), (1025, False)])
def test_the_limit_counts_the_line_end(pair, length, fits):
    ours, wire = pair
    ours.sendall(b"x" * length + b"\n")
    if fits:
        assert wire.line(FAR) == b"x" * length
    else:
        with pytest.raises(LineTooLong):
            wire.line(FAR)


def test_endless_data_without_a_line_end_takes_no_memory_and_ends_with_the_connection(pair):
    """CVE-2002-0454."""
    ours, wire = pair

    def flood():
        for _ in range(64):
            ours.sendall(b"x" * 65536)
        ours.shutdown(socket.SHUT_WR)

    sender = threading.Thread(target=flood)
    sender.start()
    with pytest.raises(PeerGone):
        wire.line(FAR)
    sender.join()
    assert len(wire.unread) <= 2 * 65536


@given(st.integers(1, 12))
def test_a_command_in_many_packets_is_one_command(size):
    ours, theirs = socket.socketpair()
    wire = Wire(SocketStream(theirs), 1024, 1)
    script = b"USER mrose\r\nPASS a b\nQUIT\r\n"
    for at in range(0, len(script), size):
        ours.sendall(script[at : at + size])
    assert [wire.line(FAR) for _ in range(3)] == [b"USER mrose", b"PASS a b", b"QUIT"]
    ours.close()
    theirs.close()


def test_a_silent_client_hears_of_the_timeout_and_nothing_is_deleted():
    class Clock:
        now = 0.0

        def __call__(self):
            self.now += 100
            return self.now

    store = FakeStore()
    done = Talk(LOGIN + b"DELE 1\r\n", store=store, settings={"timeout": 50, "login_timeout": 9999}, clock=Clock())
    assert done.lines[-1] == b"-ERR POP timeout"
    assert done.events_of(SessionClosed)[0].how == "timeout"
    assert store.expunged is None


def test_logging_in_has_a_deadline_of_its_own_however_many_lines_are_sent():
    class Clock:
        now = 0.0

        def __call__(self):
            self.now += 10
            return self.now

    done = Talk(b"NOOP\r\n" * 100, settings={"timeout": 600, "login_timeout": 60}, clock=Clock())
    assert done.lines[-1] == b"-ERR POP timeout"
    assert len(done.lines) < 20


def test_a_client_that_accepts_nothing_is_given_up(pair):
    _, wire = pair
    with pytest.raises(TimedOut, match="accepted nothing"):
        wire.write(b"x" * (64 << 20))


def test_replies_to_pipelined_commands_leave_in_one_send(pair):
    ours, wire = pair
    sends = []
    send = wire.stream.send
    wire.stream.send = lambda data: sends.append(bytes(data)) or send(data)
    ours.sendall(b"NOOP\r\nNOOP\r\nNOOP\r\n")
    for _ in range(3):
        wire.line(FAR)
        wire.write(b"+OK\r\n")
    wire.flush()
    assert sends == [b"+OK\r\n" * 3]


def test_of_very_many_refused_commands_the_log_has_some_and_their_number():
    done = Talk(b"FOO\r\n" * 5000)
    assert done.lines[1:] == [b'-ERR Unknown command: "foo".'] * 5000
    assert len(done.events_of(CommandFailed)) == 20
    assert [event.what for event in done.events_of(Trouble)] == ["4980 more commands were refused in this session"]
