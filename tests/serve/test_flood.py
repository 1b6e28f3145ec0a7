"""One address floods the server; a user from another logs in and fetches as if nothing were.

FLOOD=20000 (or any number) makes that many connections half-open, and the user's sessions ten times as many.
"""

from __future__ import annotations

import errno
import os
import re
import resource
import socket
import threading
import time
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.harness import PASSWORD, PATIENCE, Dialogue, Server, children, mail, open_folder, wait_until
from tests.serve.rooted import Rooted

if TYPE_CHECKING:
    from collections.abc import Iterator

LONG = "FLOOD" in os.environ
HALF_OPEN = int(os.environ.get("FLOOD") or 2000)
SESSIONS = 200 if LONG else 20
SHARE = 50  # of one address
FLOODER, USER = "127.0.0.2", "127.0.0.3"
MAIL = [mail(f"message {number}", b"text %d\n" % number * 200) for number in range(5)]
SETTINGS = {"limits.sessions_address": SHARE, "login_timeout": 3600, "limits.sessions": 200, "prefork.linger": 3}


@pytest.fixture(params=["", *(pytest.param(mode, marks=pytest.mark.root) for mode in ("standalone", "prefork"))])
def server(request: pytest.FixtureRequest) -> Iterator[Server]:
    """One process for a connection; or, as root, the roles in that mode."""
    with open_folder() as folder:
        made: Server = Server(folder, settings=SETTINGS)
        if request.param:
            made = Rooted(folder, SETTINGS | {"serve.mode": request.param})
        made.fill("alice", MAIL)
        with made as running:
            yield running


@pytest.fixture(autouse=True)
def descriptors() -> Iterator[None]:
    """Leave to hold all those connections."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = HALF_OPEN + 500
    if hard != resource.RLIM_INFINITY and hard < wanted:
        pytest.skip(f"this process may have {hard} descriptors, of which {wanted} are needed")
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, wanted), hard))
    yield
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


def connection(server: Server, source: str) -> socket.socket:
    return socket.create_connection((server.host, server.port), PATIENCE, source_address=(source, 0))


class Flood:
    """Connects, says nothing, and goes, again and again, from a thread of its own until the block ends."""

    def __init__(self, server: Server) -> None:
        self.server = server
        self.connects = 0
        self.over = threading.Event()
        self.thread = threading.Thread(target=self.run)

    def run(self) -> None:
        while not self.over.is_set():
            try:
                connection(self.server, FLOODER).close()
            except OSError as why:  # the flooder's own ports, or a reset: its trouble
                if why.errno not in (errno.EADDRNOTAVAIL, errno.EADDRINUSE, errno.ECONNRESET):
                    raise
                self.over.wait(0.01)
            self.connects += 1

    def __enter__(self) -> Flood:
        self.thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.over.set()
        self.thread.join(PATIENCE)


def session(server: Server) -> float:
    """The user fetches all mail; seconds from connect to the server's close."""
    began = time.monotonic()
    with Dialogue(connection(server, USER)) as line:
        assert line.login("alice", server.users["alice"]).startswith(b"+OK alice has 5 message(s)")
        for number, message in enumerate(MAIL, 1):
            assert line.ask(f"RETR {number}").startswith(b"+OK")
            assert line.body() == message.wire
        assert line.ask("QUIT").startswith(b"+OK")
        assert line.rest() == b""
    return time.monotonic() - began


def memory(process: int) -> int:
    """Octets that the process and its descendants have in memory, shared pages by their share (proc(5), Pss)."""
    total = 0
    for pid in (process, *children(process)):
        try:
            found = re.search(r"^Pss:\s+(\d+) kB", Path(f"/proc/{pid}/smaps_rollup").read_text(), re.M)
        except OSError:
            continue  # it ended in the meantime
        total += int(found[1]) << 10 if found else 0
    return total


def test_a_flood_from_one_address_keeps_no_other_user_out_nor_fills_memory_or_log(server: Server) -> None:
    process = server.process.pid
    alone = session(server)
    kept, before = len(children(process)), memory(process)
    with ExitStack() as stack:
        for _ in range(HALF_OPEN):
            stack.enter_context(connection(server, FLOODER))
        wait_until(lambda: len(children(process)) >= SHARE, "the flooder has its share of sessions")
        lines = len(server.log.lines)
        with Flood(server) as flood:
            spent = [session(server) for _ in range(SESSIONS)]
            processes, now = len(children(process)), memory(process)
        said = server.log.lines[lines:]
    print(
        f"\n{HALF_OPEN} half-open, {flood.connects} connects: slowest session {max(spent) * 1000:.0f} ms, alone"
        f" {alone * 1000:.0f} ms; {processes} processes, {before >> 20} -> {now >> 20} MiB; {len(said)} lines of log"
    )
    assert flood.connects > 0
    assert processes <= kept + SHARE + 3, "and the user's, and one that has just ended"
    assert now <= before + (SHARE + 1) * (4 << 20)
    refusals = [line for line in said if "per source limit reached" in line]
    own = [line for line in said if f"{USER}:" in line]
    assert len(own) == 2 * SESSIONS, "of the user a login and a logout each"
    assert len(refusals) <= 1 + sum(spent) / 10, "one in ten seconds"
    assert len(said) == len(refusals) + len(own), "\n".join(line for line in said if line not in own + refusals)


def test_when_the_flood_is_over_the_flooders_address_is_served_again(server: Server) -> None:
    process = server.process.pid
    session(server)
    kept = len(children(process))  # none; or checkers, fronts that wait, and the user's mail process
    with ExitStack() as stack:
        for _ in range(SHARE):
            stack.enter_context(connection(server, FLOODER))
        wait_until(lambda: len(children(process)) >= SHARE, "all of them are sessions")
        with connection(server, FLOODER) as sock:
            assert sock.recv(100) == b"", "one too many is closed without a word"
    wait_until(lambda: len(children(process)) <= kept, "sessions end with their connections")
    with Dialogue(connection(server, FLOODER)) as line:
        assert line.login("alice", server.users["alice"]).startswith(b"+OK")


def test_strangers_of_many_addresses_leave_room_for_those_who_have_logged_in() -> None:
    """limits.unauthenticated: who has logged in does not count there, and stays."""
    settings = {**SETTINGS, "limits.unauthenticated": 10, "second_session": "allowed"}
    with open_folder() as folder, Server(folder, settings=settings) as server, ExitStack() as stack:
        server.fill("alice", MAIL)
        users = [stack.enter_context(Dialogue(connection(server, USER))) for _ in range(3)]
        for line in users:
            assert line.login("alice", PASSWORD).startswith(b"+OK")
        strangers = [stack.enter_context(connection(server, f"127.0.1.{number}")) for number in range(1, 11)]
        assert all(sock.recv(4) == b"+OK " for sock in strangers)
        with connection(server, "127.0.2.1") as sock:
            assert sock.recv(4) == b""
        server.log.wait_for(r"127\.0\.2\.1: sessions without login limit reached: 10 \(limits\.unauthenticated\)")
        for line in users:
            assert line.ask("STAT").startswith(b"+OK 5 ")


def test_one_user_has_so_many_sessions_and_hears_so() -> None:
    """RFC 2449 section 8.1.1: [IN-USE]."""
    settings = {"limits.sessions_user": 2, "second_session": "allowed", "auth.refusal_delay": 0}
    users = {"alice": PASSWORD, "bob": PASSWORD}
    with open_folder() as folder, Server(folder, users=users, settings=settings) as server, ExitStack() as stack:
        first, second, third, other = (stack.enter_context(server.dialogue()) for _ in range(4))
        assert first.login().startswith(b"+OK")
        assert second.login().startswith(b"+OK")
        assert third.login().startswith(b"-ERR [IN-USE] ")
        assert third.rest() == b""
        assert other.login("bob").startswith(b"+OK")
        server.log.wait_for(r"maildrop of alice: 2 sessions are open already \(limits\.sessions_user\)")
        assert first.ask("QUIT").startswith(b"+OK")
        assert first.rest() == b""
        with server.dialogue() as again:
            assert again.login().startswith(b"+OK")
