"""login_delay (RFC 2449 sections 6.4 and 8.1.1): who logs in again too early hears [LOGIN-DELAY], in every mode."""

from __future__ import annotations

import os
import socket
import stat
import subprocess
from typing import TYPE_CHECKING

import pytest

from qpopper_py.serve.delays import Delays, known
from qpopper_py.settings import Settings
from tests.harness import PATIENCE, Dialogue, Server, mail, open_folder
from tests.serve.rooted import USERS, Rooted

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

DELAY = {"login_delay": 300, "second_session": "allowed"}
MODES = [
    "alone",
    pytest.param("inetd", marks=pytest.mark.root),
    pytest.param("standalone", marks=pytest.mark.root),
    pytest.param("prefork", marks=pytest.mark.root),
]


class Inetd(Rooted):
    """A process for each connection, as inetd starts it."""

    def __enter__(self) -> Inetd:
        self.write_accounts()
        self.started: list[subprocess.Popen[bytes]] = []
        return self

    def dialogue(self) -> Dialogue:
        for process in self.started:  # inetd waits for none, but each test's sessions follow each other
            process.wait(PATIENCE)
        ours, theirs = socket.socketpair()
        ours.settimeout(PATIENCE)
        line = [*self.command(), "--config", "none", *self.arguments()]
        with theirs:
            self.started.append(
                subprocess.Popen(line, stdin=theirs, stdout=theirs, stderr=subprocess.DEVNULL, **self.process_options())
            )
        return Dialogue(ours)

    def __exit__(self, *_: object) -> None:
        for process in self.started:
            process.wait(PATIENCE)


@pytest.fixture(params=MODES)
def server(request: pytest.FixtureRequest) -> Iterator[Server]:
    if request.param == "alone":
        with open_folder() as folder, Server(folder, users=USERS, settings=DELAY) as alone:
            yield alone
        return
    if os.geteuid() != 0:
        pytest.skip("needs root")
    with open_folder() as folder:
        mode = {} if request.param == "inetd" else {"serve.mode": request.param}
        rooted = (Rooted if mode else Inetd)(folder, {**DELAY, **mode})
        for user in USERS:
            rooted.fill(user, [mail("first", b"text\n")])
        with rooted:
            yield rooted


def login(server: Server, user: str, end: str = "QUIT") -> bytes:
    with server.dialogue() as line:
        line.line()
        line.ask(f"USER {user}")
        said = line.ask(f"PASS {USERS[user]}")
        if said.startswith(b"+OK") and end:
            line.ask(end)
    return said


def test_a_second_login_is_too_early_and_another_user_is_not_concerned(server: Server) -> None:
    assert login(server, "alice").startswith(b"+OK")
    assert login(server, "alice").startswith(b"-ERR [LOGIN-DELAY] ")
    assert login(server, "bob").startswith(b"+OK")


def test_a_wrong_password_is_told_as_such_and_not_as_a_delay(server: Server) -> None:
    assert login(server, "alice").startswith(b"+OK")
    with server.dialogue() as line:
        line.line()
        line.ask("USER alice")
        assert line.ask("PASS wrong").startswith(b"-ERR [AUTH] ")


def test_a_refused_login_does_not_begin_the_delay_anew(server: Server) -> None:
    login(server, "alice")
    place = server.folder / "state/login-delay/alice"
    before = place.stat().st_mtime_ns
    assert login(server, "alice").startswith(b"-ERR")
    assert place.stat().st_mtime_ns == before


def test_when_the_time_is_over_one_may_log_in_again(server: Server) -> None:
    login(server, "alice")
    long_ago = server.folder / "state/login-delay/alice"
    os.utime(long_ago, (10**9, 10**9))
    assert login(server, "alice").startswith(b"+OK")


def test_capa_announces_it(server: Server) -> None:
    with server.dialogue() as line:
        line.line()
        line.ask("CAPA")
        assert b"LOGIN-DELAY 300\r\n" in line.body()


def test_nobody_but_the_server_may_write_the_record(server: Server) -> None:
    login(server, "alice")
    for path in (server.folder / "state/login-delay", server.folder / "state/login-delay/alice"):
        found = path.stat()
        assert found.st_uid in (0, (server.folder / "state").stat().st_uid)
        assert not stat.S_IMODE(found.st_mode) & 0o077


def delays(folder: Path, warned: list[str], delay: int = 60, now: float = 1000.0) -> Delays:
    settings = Settings([("test", {"login_delay": delay, "state_dir": str(folder)})])
    return Delays(settings, warned.append, lambda: now)


def test_the_seconds_that_are_left_are_rounded_up(tmp_path: Path) -> None:
    delays(tmp_path, []).ended("alice")
    assert delays(tmp_path, [], now=1000.5).left("alice") == 60
    assert delays(tmp_path, [], now=1059.5).left("alice") == 1
    assert delays(tmp_path, [], now=1060).left("alice") == 0
    assert known(f"{tmp_path}/login-delay") == {"alice": 1000}


def test_a_record_of_the_future_is_none(tmp_path: Path) -> None:
    delays(tmp_path, [], now=9000).ended("alice")
    assert delays(tmp_path, [], now=1000).left("alice") == 0


def test_a_folder_that_others_may_write_delays_nobody_and_is_told_once(tmp_path: Path) -> None:
    (tmp_path / "login-delay").mkdir()
    (tmp_path / "login-delay").chmod(0o777)
    warned: list[str] = []
    broken = delays(tmp_path, warned)
    broken.ended("alice")
    assert broken.left("alice") == 0
    assert len(warned) == 1
    assert "nobody is delayed" in warned[0]


def test_without_a_delay_nothing_is_written(tmp_path: Path) -> None:
    delays(tmp_path, [], delay=0).ended("alice")
    assert not list(tmp_path.iterdir())


def test_who_stayed_away_may_come_so_often_at_once(tmp_path: Path) -> None:
    """imap/pop3d.c of Cyrus, QUIT with poppollpadding: each session moves the time by one delay."""
    now = 1_000_000.0
    settings = Settings([("test", {"login_delay": 300, "login_delay_padding": 3, "state_dir": str(tmp_path)})])
    delays = Delays(settings, lambda what: pytest.fail(what), lambda: now)

    def waits(sessions: int) -> list[int]:
        seen = []
        for _ in range(sessions):
            delays.ended("alice")
            seen.append(delays.left("alice"))
        return seen

    assert waits(3) == [0, 0, 300]
    now += 300
    assert delays.left("alice") == 0
    assert waits(1) == [300]
    now += 700  # two delays and a part
    assert waits(2) == [0, 200]
    now += 100_000
    assert waits(3) == [0, 0, 300]
