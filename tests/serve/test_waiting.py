"""Two sessions, a slow reader, a reader that never reads: nobody else waits.

A delivery here never waits for a lock: it takes both kinds at once or fails.  What it needs is free at that moment.
"""

from __future__ import annotations

import subprocess
import sys
from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING

import pytest

from tests.harness import FROM_LINE, Dialogue, Server, big, mail, open_folder

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.harness import Message

HUGE = big(24 << 20)  # more than the socket buffers of both ends ever hold
SMALL = [mail(f"message {number}", b"text %d\n" % number) for number in (1, 2)]
LATE = mail("late", b"delivered in mid-session\n")
USERS = {"alice": "a secret", "bob": "another"}

# Postfix's order: fcntl, then the dotlock by link(2).  No retry, no waiting.
DELIVER = """
import fcntl, os, sys
path = sys.argv[1]
box = open(path, "r+b")
fcntl.lockf(box, fcntl.LOCK_EX | fcntl.LOCK_NB)
own = f"{path}.mda{os.getpid()}"
os.close(os.open(own, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o644))
try:
    os.link(own, path + ".lock")
finally:
    os.unlink(own)
try:
    box.seek(0, os.SEEK_END)
    box.write(sys.stdin.buffer.read())
    box.flush()
    os.fsync(box.fileno())
finally:
    os.unlink(path + ".lock")
"""


def deliver(server: Server, user: str, message: Message) -> None:
    """A delivery agent of its own process; AssertionError if anything it needs is held by somebody."""
    line = [sys.executable, "-c", DELIVER, str(server.maildrop(user))]
    text = FROM_LINE + message.stored + b"\n"
    done = subprocess.run(line, input=text, capture_output=True, **server.process_options())
    assert done.returncode == 0, done.stderr.decode()


@contextmanager
def serving(**settings: object) -> Iterator[Server]:
    named = {name.replace("__", "."): value for name, value in settings.items()}
    with open_folder() as folder, Server(folder, users=USERS, settings=named) as server:
        for user, messages in (("alice", [HUGE, *SMALL]), ("bob", SMALL)):
            with server.fill(user, messages).open("ab") as file:
                file.write(b"\n")  # as a delivery agent ends a message
        yield server


@contextmanager
def session(server: Server, user: str) -> Iterator[Dialogue]:
    with server.dialogue() as line:
        assert line.login(user, USERS[user]).startswith(b"+OK")
        yield line


@contextmanager
def reader_that_does_not_read(server: Server) -> Iterator[Dialogue]:
    """A session in the midst of a RETR that its client does not take; the server cannot have sent it all."""
    with session(server, "alice") as line:
        assert line.ask("RETR 1").startswith(b"+OK")
        yield line


def whole_session(server: Server, user: str) -> int:
    """Fetch all, delete the first, quit; how many messages there were."""
    with session(server, user) as line:
        count = int(line.ask("STAT").split()[1])
        for number in range(1, count + 1):
            assert line.ask(f"RETR {number}").startswith(b"+OK")
            line.body()
        assert line.ask("DELE 1").startswith(b"+OK")
        assert line.ask("QUIT").startswith(b"+OK")
        assert line.rest() == b""
    return count


def count_of(server: Server, user: str) -> int:
    with session(server, user) as line:
        return int(line.ask("STAT").split()[1])


def test_deliveries_do_not_wait_for_a_reader_that_never_reads() -> None:
    with serving() as server:
        with reader_that_does_not_read(server):
            deliver(server, "alice", LATE)
            deliver(server, "alice", LATE)
        assert server.maildrop("alice").read_bytes().endswith(2 * (FROM_LINE + LATE.stored + b"\n"))


def test_other_users_do_not_wait_for_readers_that_never_read() -> None:
    with serving(second_session="allowed") as server, ExitStack() as readers:
        for _ in range(3):
            readers.enter_context(reader_that_does_not_read(server))
        assert whole_session(server, "bob") == 2
        deliver(server, "bob", LATE)
        assert whole_session(server, "bob") == 2


def test_a_slow_reader_gets_its_message_whole_while_mail_is_delivered() -> None:
    """Between any two of its reads the locks are free; what came is in the next session and not in this one."""
    with serving() as server:
        with reader_that_does_not_read(server) as line:
            got = b""
            while len(got) < 1 << 20:
                got += line.file.read(256 << 10)
                deliver(server, "alice", LATE)
            assert got + rest_of_body(line) == stuffed(HUGE) + b".\r\n"
            assert line.ask("STAT").split()[1] == b"3"
            assert line.ask("DELE 1").startswith(b"+OK")
            assert line.ask("QUIT").startswith(b"+OK")
        assert count_of(server, "alice") == 3 - 1 + 4


def stuffed(message: Message) -> bytes:
    """RFC 1939 section 3: a line that begins with a dot gets another."""
    wire = message.wire.replace(b"\r\n.", b"\r\n..")
    return b"." + wire if wire.startswith(b".") else wire


def rest_of_body(line: Dialogue) -> bytes:
    pieces = []
    while True:
        pieces.append(line.file.readline())
        assert pieces[-1]
        if pieces[-1] == b".\r\n":
            return b"".join(pieces)


def test_deliveries_do_not_wait_for_a_client_that_says_nothing() -> None:
    with serving() as server, session(server, "alice") as line:
        assert line.ask("DELE 2").startswith(b"+OK")
        deliver(server, "alice", LATE)
        assert line.ask("QUIT").startswith(b"+OK")
        assert line.rest() == b""
        assert count_of(server, "alice") == 3


def test_a_second_session_is_refused_at_once_while_the_first_is_blocked() -> None:
    """At once: the time that is allowed for locks, which nobody holds, would outlast this test."""
    with serving(locks__timeout=3600) as server, reader_that_does_not_read(server), server.dialogue() as line:
        assert line.login("alice", USERS["alice"]).startswith(b"-ERR [IN-USE] ")
        assert line.rest() == b""


def test_a_second_session_that_is_allowed_does_not_wait_for_the_first() -> None:
    with serving(second_session="allowed", locks__timeout=3600) as server:
        with reader_that_does_not_read(server) as first:
            with session(server, "alice") as second:
                assert second.ask("RETR 2").startswith(b"+OK")
                assert second.body() == SMALL[0].wire
                deliver(server, "alice", LATE)
                assert second.ask("QUIT").startswith(b"+OK")
                assert second.rest() == b""
            assert rest_of_body(first) == stuffed(HUGE) + b".\r\n"
            assert first.ask("DELE 3").startswith(b"+OK")
            assert first.ask("QUIT").startswith(b"+OK")
        assert count_of(server, "alice") == 3


def test_what_two_sessions_delete_at_once_goes_and_nothing_else() -> None:
    with serving(second_session="allowed") as server:
        with session(server, "alice") as first, session(server, "alice") as second:
            assert first.ask("DELE 1").startswith(b"+OK")
            assert second.ask("DELE 1").startswith(b"+OK")
            assert second.ask("DELE 2").startswith(b"+OK")
            deliver(server, "alice", LATE)
            assert first.ask("QUIT").startswith(b"+OK")
            assert first.rest() == b""
            deliver(server, "alice", LATE)
            assert second.ask("QUIT").startswith(b"+OK")
            assert second.rest() == b""
        with session(server, "alice") as line:
            assert line.ask("STAT").split()[1] == b"3"
            for number, message in enumerate((SMALL[1], LATE, LATE), 1):
                assert line.ask(f"RETR {number}").startswith(b"+OK")
                assert line.body() == message.wire


def test_a_session_whose_mail_another_one_removed_is_not_sent_a_wrong_octet() -> None:
    with serving(second_session="allowed") as server, session(server, "alice") as first:
        with session(server, "alice") as second:
            assert second.ask("DELE 1").startswith(b"+OK")
            assert second.ask("QUIT").startswith(b"+OK")
            assert second.rest() == b""
        assert first.ask("RETR 2").startswith(b"-ERR [SYS/TEMP]")
        assert first.rest() == b""


@pytest.mark.parametrize("aborts", [False, True])
def test_a_reader_that_never_reads_is_given_up_and_what_it_marked_goes_if_the_setting_says_so(aborts: bool) -> None:
    with serving(update_on_abort=aborts, transfer_timeout=1, statistics=True) as server:
        with session(server, "alice") as line:
            assert line.ask("DELE 3").startswith(b"+OK")
            assert line.ask("RETR 1").startswith(b"+OK")
            record = server.log.wait_for(r"Stats: alice (\d+) \d+ (\d+) \d+")
        assert record.groups() == (("1", "2") if aborts else ("0", "3"))
        assert (SMALL[1].stored in server.maildrop("alice").read_bytes()) is not aborts
