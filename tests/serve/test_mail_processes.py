"""serve.mode = prefork: a mail process waits for another session of its owner, and of nobody else."""

from __future__ import annotations

import os
import signal
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.harness import belonging, children, deliver, mail, open_folder, wait_until
from tests.serve.rooted import UIDS, USERS, Rooted

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

RECVMSG = {"x86_64": "47", "aarch64": "212"}.get(os.uname().machine, "")
pytestmark = [pytest.mark.root, pytest.mark.skipif(not RECVMSG, reason="which system call is recvmsg here?")]

LONG = ("UIDL", "RETR", "TOP")  # as they are asked here, all answered by many lines
THREE = [mail(f"message {number}", b"text %d\n" % number) for number in (1, 2, 3)]


@pytest.fixture
def serve() -> Iterator[Callable[..., Rooted]]:
    with open_folder() as folder:
        started: list[Rooted] = []

        def start(**more: object) -> Rooted:
            settings = {"serve.mode": "prefork", "prefork.linger": "1h"}
            server = Rooted(folder, settings | {name.replace("__", "."): value for name, value in more.items()})
            for user in USERS:
                server.fill(user, THREE)
            server.__enter__()
            started.append(server)
            return server

        yield start
        for server in started:
            server.__exit__()


def session(server: Rooted, user: str, *commands: str) -> tuple[int, list[bytes]]:
    """One session: (the process that served it, what it answered)."""
    with server.dialogue() as line:
        assert line.login(user, USERS[user]).startswith(b"+OK")
        pid = line_process(server, user)
        said = []
        for command in commands:
            said.append(line.ask(command))
            if said[-1].startswith(b"+OK") and command.split()[0] in LONG:
                line.body()
        assert line.ask("QUIT").startswith(b"+OK")
        assert line.rest() == b""
    wait_until(lambda: waits(pid), "its process waits, or has ended")
    return pid, said


def waits(pid: int) -> bool:
    """Nothing but a message of the keeper's will move it."""
    try:
        return Path(f"/proc/{pid}/syscall").read_text().split()[0] == RECVMSG
    except (OSError, IndexError):
        return True  # it has ended


def line_process(server: Rooted, user: str) -> int:
    """The process of ``user`` that has a client: of those that wait, none has."""

    def busy(pid: int) -> bool:
        """It has a lock file of a session open."""
        names = [os.readlink(f"/proc/{pid}/fd/{name}") for name in os.listdir(f"/proc/{pid}/fd")]
        return any(name.endswith("session.lock") for name in names)

    (found,) = [pid for pid in mails(server, user) if busy(pid)]
    return found


def mails(server: Rooted, user: str) -> list[int]:
    return belonging(server.process.pid, UIDS[user])


def test_the_owner_comes_again_to_the_same_process_and_others_to_theirs(serve: Callable[..., Rooted]) -> None:
    server = serve()
    alice = [session(server, "alice")[0] for _ in range(3)]
    bob = [session(server, "bob")[0] for _ in range(2)]
    assert len({*alice}) == len({*bob}) == 1
    assert alice[0] != bob[0]
    assert mails(server, "alice") == [alice[0]]


def test_each_session_sees_the_mailbox_as_it_is_by_then(serve: Callable[..., Rooted]) -> None:
    server = serve()
    first, _ = session(server, "alice", "RETR 2", "DELE 1")
    _, (stat, last) = session(server, "alice", "STAT", "LAST")
    assert stat.startswith(b"+OK 2 ")
    assert last.startswith(b"+OK 1 ")  # what was 2, kept by its unique-id
    path = server.maildrop("alice")
    deliver(path, mail("late", b"new\n"))
    again, (stat,) = session(server, "alice", "STAT")
    assert stat.startswith(b"+OK 3 ")
    assert again == first


def test_a_second_session_beside_the_first_is_in_use_and_in_another_process(serve: Callable[..., Rooted]) -> None:
    server = serve()
    with server.dialogue() as one, server.dialogue() as two:
        assert one.login("alice", USERS["alice"]).startswith(b"+OK")
        before = line_process(server, "alice")
        assert two.login("alice", USERS["alice"]).startswith(b"-ERR [IN-USE]")
        assert one.ask("STAT").startswith(b"+OK 3 ")
        assert line_process(server, "alice") == before


def test_nothing_of_a_session_stays_open_in_the_process(serve: Callable[..., Rooted]) -> None:
    server = serve()

    def open_now(pid: int) -> list[str]:
        folder = Path(f"/proc/{pid}/fd")
        return sorted(os.readlink(entry).split(":")[0] for entry in folder.iterdir())

    pid, _ = session(server, "alice", "UIDL", "RETR 1", "TOP 2 0")
    before = open_now(pid)
    for _ in range(5):
        assert session(server, "alice", "UIDL", "RETR 3", "DELE 9")[0] == pid
    assert open_now(pid) == before


def test_after_so_many_sessions_another_process_serves(serve: Callable[..., Rooted]) -> None:
    server = serve(prefork__reuse=2)
    pids = [session(server, "alice")[0] for _ in range(5)]
    assert pids[0] == pids[1] != pids[2] == pids[3] != pids[4]
    wait_until(lambda: pids[0] not in children(server.process.pid), "the first has ended")


def test_one_that_dies_while_it_waits_is_nobodys_loss(serve: Callable[..., Rooted]) -> None:
    server = serve()
    pid, _ = session(server, "alice")
    os.kill(pid, signal.SIGKILL)
    wait_until(lambda: pid not in children(server.process.pid), "it is gone")
    again, (stat,) = session(server, "alice", "STAT")
    assert stat.startswith(b"+OK 3 ")
    assert again != pid
    server.log.wait_for("a mail process ended by signal 9")


def test_new_settings_hold_from_the_next_session_on(serve: Callable[..., Rooted]) -> None:
    server = serve()
    before, (said,) = session(server, "alice", "LAST")
    assert said.startswith(b"+OK")
    server.process.send_signal(signal.SIGHUP)
    server.log.wait_for("the configuration was read again")
    after, _ = session(server, "alice")
    assert after != before
    wait_until(lambda: before not in children(server.process.pid), "the one of the old settings has ended")


@pytest.mark.parametrize("settings", [{"prefork__linger": 0}, {"prefork__mail": 0}, {"serve__mode": "standalone"}])
def test_where_none_is_to_wait_none_does(settings: dict[str, object], serve: Callable[..., Rooted]) -> None:
    server = serve(**settings)
    one, _ = session(server, "alice")
    wait_until(lambda: one not in children(server.process.pid), "the mail process has ended")
    two, _ = session(server, "alice")
    assert one != two


def test_no_more_wait_than_may(serve: Callable[..., Rooted]) -> None:
    server = serve(prefork__mail=1)
    alice, _ = session(server, "alice")
    bob, _ = session(server, "bob")
    wait_until(lambda: alice not in children(server.process.pid), "the one that waited longest has gone")
    assert session(server, "bob")[0] == bob


def test_none_outlives_the_service(serve: Callable[..., Rooted]) -> None:
    server = serve()
    pid, _ = session(server, "alice")
    server.process.send_signal(signal.SIGTERM)
    assert server.process.wait() == 0
    assert not Path(f"/proc/{pid}").exists()


def test_fronts_of_a_rush_wait_for_the_next_and_go_in_time(serve: Callable[..., Rooted]) -> None:
    server = serve(prefork__fronts=2, prefork__linger="1s")
    session(server, "alice")  # by now all that are kept are there
    kept = set(children(server.process.pid))
    with ExitStack() as stack:
        lines = [stack.enter_context(server.dialogue()) for _ in range(6)]
        assert all(line.line().startswith(b"+OK") for line in lines)
        rush = set(children(server.process.pid)) - kept
        assert len(rush) >= 4
        assert all(line.ask("QUIT").startswith(b"+OK") for line in lines)
    wait_until(lambda: len(children(server.process.pid)) <= len(kept), "those beyond prefork.fronts have gone")
    with server.dialogue() as line:
        assert line.login("alice", USERS["alice"]).startswith(b"+OK")
