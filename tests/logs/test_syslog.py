"""Where the log goes: syslog(3) or stderr, and that nothing about it can end a session."""

from __future__ import annotations

import errno
import os
import re
import socket
import subprocess
import sys
import syslog
from pathlib import Path

import pytest

import qpopper_py
from qpopper_py import events
from qpopper_py.facts import Facts
from qpopper_py.logs import syslog as room
from qpopper_py.logs.syslog import Log, Stderr, iso, open_log
from qpopper_py.settings import Settings

FACTS = Facts("S1", peer="192.0.2.7")


def settings(**values: object) -> Settings:
    return Settings([("test", {name.replace("__", "."): value for name, value in values.items()})])


class Syslog:
    """Stands for the syslog module: what it was asked."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.opened: list[tuple[str, int, int]] = []
        self.said: list[tuple[int, str]] = []
        monkeypatch.setattr(syslog, "openlog", lambda *asked: self.opened.append(asked))
        monkeypatch.setattr(syslog, "syslog", lambda *said: self.said.append(said))


@pytest.fixture
def daemon(monkeypatch: pytest.MonkeyPatch) -> Syslog:
    return Syslog(monkeypatch)


def run(script: str, *arguments: str, **how: object) -> subprocess.CompletedProcess[bytes]:
    """A script in a process of its own, with the package under test."""
    root = str(Path(qpopper_py.__file__).resolve().parents[1])
    command = [sys.executable, "-c", script, *arguments]
    return subprocess.run(command, env={"PYTHONPATH": root}, check=True, **how)  # type: ignore[call-overload, no-any-return]


def test_syslog_is_opened_at_once_with_pid_and_facility_mail(daemon: Syslog) -> None:
    open_log(settings(log__to="syslog"))
    assert daemon.opened == [("pop3d", syslog.LOG_PID | syslog.LOG_NDELAY, syslog.LOG_MAIL)]


@pytest.mark.parametrize("name", ["mail", "daemon", "auth", "user", *(f"local{n}" for n in range(8))])
def test_every_facility_is_syslogs_own(daemon: Syslog, name: str) -> None:
    open_log(settings(log__to="syslog", log__facility=name))
    assert daemon.opened[0][2] == getattr(syslog, "LOG_" + name.upper())


def test_records_reach_syslog_with_their_priority(daemon: Syslog) -> None:
    log = open_log(settings(log__to="syslog"))
    log(events.Trouble(None, "x"))
    log(events.SessionStarted(FACTS))
    assert [priority for priority, _ in daemon.said] == [syslog.LOG_ERR, syslog.LOG_DEBUG]


def test_auto_is_syslog_where_its_socket_is(daemon: Syslog, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(room, "SOCKET", str(tmp_path / "log"))
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as listener:
        listener.bind(str(tmp_path / "log"))
        open_log(settings())(events.Note(None, "x"))
    assert daemon.said == [(syslog.LOG_INFO, "x")]


@pytest.mark.parametrize("there", [False, True])
def test_auto_is_stderr_where_no_socket_is(
    daemon: Syslog, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str], there: bool
) -> None:
    monkeypatch.setattr(room, "SOCKET", str(tmp_path / "log"))
    if there:
        (tmp_path / "log").write_text("a plain file")
    open_log(settings())(events.Note(None, "x"))
    assert daemon.said == []
    assert capfd.readouterr().err.endswith(": x\n")


def test_a_line_on_stderr_has_an_iso_time_program_and_pid(capfd: pytest.CaptureFixture[str]) -> None:
    open_log(settings(log__to="stderr"), "pop3d")(events.Trouble(FACTS, "x\ny"))
    line = capfd.readouterr().err
    found = re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z pop3d\[(\d+)\]: Error: x\\x0ay session=S1\n", line)
    assert found
    assert int(found[1]) == os.getpid()


def test_the_time_is_utc_with_milliseconds() -> None:
    assert iso(1_000_000_000.0625) == "2001-09-09T01:46:40.062Z"


def test_stderr_has_debug_records_only_with_d(capfd: pytest.CaptureFixture[str]) -> None:
    open_log(settings(log__to="stderr"))(events.SessionStarted(FACTS))
    assert capfd.readouterr().err == ""
    open_log(settings(log__to="stderr", debug=True))(events.SessionStarted(FACTS))
    assert "Servicing request" in capfd.readouterr().err


def test_statistics_follow_the_setting(capfd: pytest.CaptureFixture[str]) -> None:
    closed = events.SessionClosed(FACTS, "fred", "quit", 1, 2, 3, 4)
    open_log(settings(log__to="stderr"))(closed)
    assert "Stats:" not in capfd.readouterr().err
    open_log(settings(log__to="stderr", statistics=True))(closed)
    assert "Stats: fred 1 2 3 4 session=S1\n" in capfd.readouterr().err


@pytest.mark.parametrize("code", [errno.EBADF, errno.ENOSPC, errno.EPIPE, errno.EAGAIN])
def test_a_stderr_that_cannot_be_written_ends_nothing(code: int, monkeypatch: pytest.MonkeyPatch) -> None:
    tried: list[int] = []

    def write(descriptor: int, data: bytes) -> int:
        tried.append(descriptor)
        raise OSError(code, os.strerror(code))

    monkeypatch.setattr(os, "write", write)
    Log(Stderr("pop3d", False))(events.Trouble(None, "x"))
    assert tried == [2]


@pytest.mark.parametrize("closed", [(2,), (0,), (0, 1, 2)])
def test_a_log_on_closed_descriptors_ends_nothing(closed: tuple[int, ...]) -> None:
    script = f"""
import os
from qpopper_py.events import Trouble
from qpopper_py.logs.syslog import open_log
from qpopper_py.settings import Settings
for descriptor in {closed}:
    os.close(descriptor)
open_log(Settings([("test", {{"log.to": "stderr"}})]))(Trouble(None, "x"))
os._exit(7)
"""
    root = str(Path(qpopper_py.__file__).resolve().parents[1])
    done = subprocess.run([sys.executable, "-c", script], env={"PYTHONPATH": root}, capture_output=True, check=False)
    assert done.returncode == 7
    assert (b"Error: x" in done.stderr) is (2 not in closed)


def test_the_log_never_goes_to_the_client_on_all_three_descriptors() -> None:
    """inetd gives the connection as 0, 1 and 2; nothing but POP3 may reach it."""
    script = """
import sys
from qpopper_py.events import Trouble
from qpopper_py.logs.syslog import open_log
from qpopper_py.settings import Settings
open_log(Settings([("test", {"log.to": "stderr"})]))(Trouble(None, "x"))
"""
    ours, theirs = socket.socketpair()
    with ours:
        with theirs:
            run(script, stdin=theirs, stdout=theirs, stderr=theirs)
        assert ours.recv(1000) == b""


@pytest.mark.root
def test_the_connection_to_syslog_lives_on_after_fork_chroot_and_setuid(tmp_path: Path) -> None:
    """In a view of the file system that has a /dev/log of our own, then in one that has none."""
    (tmp_path / "dev").mkdir()
    (tmp_path / "empty").mkdir()
    script = """
import os, socket, sys
from qpopper_py.events import Note, Trouble
from qpopper_py.facts import Facts
from qpopper_py.logs.syslog import open_log
from qpopper_py.settings import Settings, rows
settings = Settings()
rows()
"x".encode("ascii", "replace")
os.chroot(sys.argv[1])
daemon = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
daemon.bind("/dev/log")
log = open_log(settings)
log(Note(None, "before"))
if os.fork() == 0:
    os.chroot("/empty")
    os.setgroups([])
    os.setresgid(65534, 65534, 65534)
    os.setresuid(65534, 65534, 65534)
    log(Trouble(Facts("S1"), "after"))
    os._exit(0)
os.wait()
daemon.setblocking(False)
os.write(1, daemon.recv(2000).rstrip(b"\\0") + b"\\n" + daemon.recv(2000).rstrip(b"\\0") + b"\\n")
"""
    done = run(script, str(tmp_path), capture_output=True)
    form = r"<(\d+)>.* pop3d\[(\d+)\]: (.*)"
    before, after = (re.fullmatch(form, line) for line in done.stdout.decode().splitlines())
    assert before
    assert after
    assert (int(before[1]), before[3]) == (syslog.LOG_MAIL | syslog.LOG_INFO, "before")
    assert (int(after[1]), after[3]) == (syslog.LOG_MAIL | syslog.LOG_ERR, "Error: after session=S1")
    assert before[2] != after[2]


def test_in_the_background_auto_is_syslog_for_stderr_is_nobody_s(
    daemon: Syslog, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(room, "SOCKET", str(tmp_path / "none"))
    open_log(settings(serve__background=True), "popa3d")(events.SessionStarted(FACTS))
    assert [ident for ident, _, _ in daemon.opened] == ["popa3d"]
    assert len(daemon.said) == 1
