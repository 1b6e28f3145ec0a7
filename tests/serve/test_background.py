"""serve.background and serve.pid_file, with real processes (pop3d.toml(5)); as root and not."""

from __future__ import annotations

import contextlib
import os
import select
import signal
import socket
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.harness import PATIENCE, Dialogue, Server, children, mail, open_folder
from tests.serve.rooted import USERS, Rooted

if TYPE_CHECKING:
    from collections.abc import Iterator

as_root = pytest.param(Rooted, marks=pytest.mark.root, id="root")
kinds = pytest.mark.parametrize("kind", [as_root, pytest.param(Server, id="one process")])


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as sock:
        port: int = sock.getsockname()[1]
        return port


class Command:
    """The command, to be started in the background from a folder of the server's user."""

    def __init__(self, kind: type[Server], folder: Path) -> None:
        more = {} if kind is Rooted else {"users": USERS}
        self.server = kind(folder, settings={"log.to": "syslog"}, **more)  # type: ignore[arg-type]
        self.server.fill("alice", [mail("one", b"text\n")])
        self.server.write_accounts()
        self.server.port = free_port()
        (folder / "run").mkdir(exist_ok=True)
        self.server.give(folder / "run")
        if kind is Rooted:
            os.chown(folder / "run", 0, 0)
        self.pid_file = folder / "run/pop3d.pid"
        self.folder = folder
        config = folder / "pop3d.toml"
        config.write_text(f"listen = '127.0.0.1:{self.server.port}'\n[serve]\nbackground = true\n")
        config.chmod(0o644)
        self.started: list[int] = []

    def run(self, *more: str) -> subprocess.CompletedProcess[bytes]:
        """Start it; what it printed is all that whoever holds its stdout and stderr will ever print."""
        settings = [*self.server.arguments(), "--set", f"serve.pid_file={self.pid_file}"]
        line = [*self.server.command(), "--config", "pop3d.toml", *settings, *more]
        options = {**self.server.process_options(), "cwd": str(self.folder)}
        done = subprocess.run(line, stdin=subprocess.DEVNULL, capture_output=True, timeout=PATIENCE, **options)
        if done.returncode == 0:
            self.started.append(self.pid)
        return done

    @property
    def pid(self) -> int:
        return int(self.pid_file.read_text())

    def says(self) -> bytes:
        with Dialogue(socket.create_connection(("127.0.0.1", self.server.port), PATIENCE)) as line:
            return line.line()

    def end(self, pid: int, number: int = signal.SIGTERM) -> None:
        """Signal the server, which is no child of ours, and wait until it is gone."""
        with contextlib.suppress(ProcessLookupError):
            descriptor = os.pidfd_open(pid)
            os.kill(pid, number)
            assert select.select([descriptor], [], [], PATIENCE)[0], "it goes on"
            os.close(descriptor)


@contextlib.contextmanager
def command(kind: type[Server]) -> Iterator[Command]:
    with open_folder() as folder:
        made = Command(kind, folder)
        try:
            yield made
        finally:
            for pid in made.started:
                made.end(pid, signal.SIGKILL)


@kinds
def test_the_command_ends_when_the_port_is_open_and_the_server_goes_on(kind: type[Server]) -> None:
    with command(kind) as pop3d:
        done = pop3d.run()
        assert (done.returncode, done.stdout, done.stderr) == (0, b"", b"")
        assert pop3d.says().startswith(b"+OK")
        proc = Path(f"/proc/{pop3d.pid}")
        assert os.readlink(proc / "cwd") == "/"
        assert {os.readlink(proc / f"fd/{n}") for n in range(3)} == {"/dev/null"}
        assert os.getsid(pop3d.pid) == pop3d.pid


@kinds
def test_the_pid_file_is_the_server_s_and_goes_with_it(kind: type[Server]) -> None:
    with command(kind) as pop3d:
        assert pop3d.run().returncode == 0
        found = pop3d.pid_file.stat()
        assert (found.st_mode & 0o777, found.st_uid) == (0o644, pop3d.server.user or 0)
        assert os.listdir(pop3d.pid_file.parent) == ["pop3d.pid"]
        pop3d.end(pop3d.pid)
        assert os.listdir(pop3d.pid_file.parent) == []


@kinds
def test_sighup_reads_the_file_that_was_named_from_where_the_server_was_started(kind: type[Server]) -> None:
    with command(kind) as pop3d:
        assert pop3d.run().returncode == 0
        pid = pop3d.pid
        port = free_port()
        (pop3d.folder / "pop3d.toml").write_text(f"listen = '127.0.0.1:{port}'\n[serve]\nbackground = true\n")
        os.kill(pid, signal.SIGHUP)
        pop3d.server.port = port
        for _ in range(1000):  # no event tells
            with contextlib.suppress(ConnectionRefusedError):
                assert pop3d.says().startswith(b"+OK")
                break
            select.select([], [], [], 0.02)
        else:
            pytest.fail("it never listened on the new port")
        assert pop3d.pid == pid
        assert os.readlink(f"/proc/{pid}/cwd") == "/"


@kinds
def test_a_port_that_is_taken_is_told_on_stderr_and_in_the_status(kind: type[Server]) -> None:
    with command(kind) as pop3d, socket.create_server(("127.0.0.1", pop3d.server.port)):
        done = pop3d.run()
        assert done.returncode == 64
        assert b"cannot listen on 127.0.0.1" in done.stderr
        assert not pop3d.pid_file.exists()


@kinds
def test_a_second_server_leaves_the_pid_file_of_the_first_alone(kind: type[Server]) -> None:
    with command(kind) as pop3d:
        assert pop3d.run().returncode == 0
        pid = pop3d.pid
        done = pop3d.run("--listen", f"127.0.0.1:{free_port()}")
        assert done.returncode == 64
        assert f"names process {pid}, which is there".encode() in done.stderr
        assert pop3d.pid == pid
        assert os.listdir(pop3d.pid_file.parent) == ["pop3d.pid"]


@kinds
def test_a_pid_file_of_the_dead_is_replaced(kind: type[Server]) -> None:
    with command(kind) as pop3d:
        assert pop3d.run().returncode == 0
        dead = pop3d.pid
        family = [dead, *children(dead)]
        for pid in family:
            pop3d.end(pid, signal.SIGKILL)
        assert pop3d.pid == dead
        assert pop3d.run().returncode == 0
        assert pop3d.pid != dead
        assert pop3d.says().startswith(b"+OK")


@kinds
def test_a_number_that_another_process_has_by_now_is_stale(kind: type[Server]) -> None:
    with command(kind) as pop3d:
        pop3d.pid_file.write_text(f"{os.getpid()}\n")
        pop3d.server.give(pop3d.pid_file)
        os.utime(pop3d.pid_file, (10**9, 10**9))
        assert pop3d.run().returncode == 0
        assert pop3d.says().startswith(b"+OK")


@kinds
@pytest.mark.parametrize("what", ["symbolic link", "hard link", "text", "folder"])
def test_what_is_no_pid_file_is_never_written_to(kind: type[Server], what: str) -> None:
    with command(kind) as pop3d:
        precious = pop3d.folder / "run/precious"
        precious.write_text("1")
        pop3d.server.give(precious)
        if what == "symbolic link":
            pop3d.pid_file.symlink_to(precious)
        elif what == "hard link":
            pop3d.pid_file.hardlink_to(precious)
        elif what == "text":
            pop3d.pid_file.write_text("not a number")
            pop3d.server.give(pop3d.pid_file)
        else:
            pop3d.pid_file.mkdir()
        done = pop3d.run()
        assert done.returncode == 64
        assert b"is no pid file; remove it" in done.stderr
        assert precious.read_text() == "1"
        assert sorted(os.listdir(pop3d.folder / "run")) == ["pop3d.pid", "precious"]


@pytest.mark.root
def test_root_writes_no_pid_file_where_others_could_put_a_link() -> None:
    with command(Rooted) as pop3d:
        (pop3d.folder / "run").chmod(0o777)
        done = pop3d.run()
        assert done.returncode == 64
        assert b"is not root's alone" in done.stderr


@pytest.mark.parametrize("kind", [pytest.param(Server, id="one process")])
def test_with_the_log_on_stderr_that_stays_and_the_rest_goes(kind: type[Server], tmp_path: Path) -> None:
    with command(kind) as pop3d, (tmp_path / "log").open("wb") as log:
        pop3d.server.settings["log.to"] = "stderr"
        line = [*pop3d.server.command(), "--config", "pop3d.toml", *pop3d.server.arguments()]
        line += ["--set", f"serve.pid_file={pop3d.pid_file}"]
        options = {**pop3d.server.process_options(), "cwd": str(pop3d.folder)}
        done = subprocess.run(line, stdin=subprocess.DEVNULL, stdout=log, stderr=log, timeout=PATIENCE, **options)
        pop3d.started.append(pop3d.pid)
        assert done.returncode == 0
        assert "listening on" in (tmp_path / "log").read_text()
        assert os.readlink(f"/proc/{pop3d.pid}/fd/2") == str(tmp_path / "log")
        assert os.readlink(f"/proc/{pop3d.pid}/fd/1") == "/dev/null"
