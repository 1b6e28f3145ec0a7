"""A service that listens: signals, a new configuration, children that die, sockets that somebody else opened."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from qpopper_py.serve.children import CALM, HARMLESS, LONGEST, Brake
from tests.harness import (
    PATIENCE,
    Dialogue,
    Output,
    Server,
    belonging,
    children,
    mail,
    open_folder,
    stop,
    wait_until,
)
from tests.serve.rooted import USERS, Rooted

if TYPE_CHECKING:
    from collections.abc import Iterator

ONE = [mail("first", b"text 1\n")]
as_root = pytest.param(Rooted, marks=pytest.mark.root, id="root")
kinds = pytest.mark.parametrize("kind", [as_root, pytest.param(Server, id="one process")])


@contextlib.contextmanager
def serving(kind: type[Server], **settings: object) -> Iterator[Server]:
    """A server with a configuration file, which holds what a test may change."""
    with open_folder() as folder:
        config = folder / "pop3d.toml"
        config.write_text("# nothing\n")
        config.chmod(0o644)
        named = {name.replace("__", "."): value for name, value in settings.items()}
        server = kind(folder, settings=named, **({} if kind is Rooted else {"users": USERS}))  # type: ignore[arg-type]
        server.options = ["--config", str(config)]
        for user in USERS:
            server.fill(user, ONE)
        with server:
            yield server


def hang_up(server: Server) -> None:
    server.process.send_signal(signal.SIGHUP)


@kinds
def test_sighup_reads_the_configuration_again_and_sessions_go_on(kind: type[Server]) -> None:
    with serving(kind) as server, server.dialogue() as before:
        assert before.login("alice", USERS["alice"]).startswith(b"+OK")
        (server.folder / "pop3d.toml").write_text("last = 'off'\n")
        hang_up(server)
        server.log.wait_for("the configuration was read again")
        assert before.ask("LAST").startswith(b"+OK")
        assert before.ask("QUIT").startswith(b"+OK")
        with server.dialogue() as line:
            assert line.login("bob", USERS["bob"]).startswith(b"+OK")
            assert line.ask("LAST").startswith(b"-ERR")


@kinds
def test_sighup_with_a_wrong_file_changes_nothing_and_names_the_line(kind: type[Server]) -> None:
    with serving(kind) as server:
        (server.folder / "pop3d.toml").write_text("last = 'off'\ntimeout = 'soon'\n")
        hang_up(server)
        server.log.wait_for(r"SIGHUP: .*pop3d\.toml line 2: timeout")
        with server.dialogue() as line:
            assert line.login("alice", USERS["alice"]).startswith(b"+OK")
            assert line.ask("LAST").startswith(b"+OK")


@kinds
def test_sigterm_lets_sessions_end_and_takes_no_new_ones(kind: type[Server]) -> None:
    with serving(kind) as server, server.dialogue() as line:
        assert line.login("alice", USERS["alice"]).startswith(b"+OK")
        server.process.terminate()
        server.log.wait_for("stopping; 1 sessions go on")
        with pytest.raises(ConnectionRefusedError):
            socket.create_connection((server.host, server.port), PATIENCE)
        assert line.ask("DELE 1").startswith(b"+OK")
        assert line.ask("QUIT").startswith(b"+OK")
        assert server.process.wait(PATIENCE) == 0
        assert server.maildrop("alice").read_bytes() == b""


@pytest.mark.root
@pytest.mark.parametrize("mode", ["standalone", "prefork"])
def test_a_checker_that_dies_is_replaced(mode: str) -> None:
    with serving(Rooted, serve__mode=mode, prefork__checkers=1) as server:
        assert isinstance(server, Rooted)
        with server.dialogue() as line:
            assert line.line().startswith(b"+OK")
            wait_until(lambda: len(server.checkers()) == 1, "one checker")  # root too is a front that was just forked
            (checker,) = server.checkers()
            os.kill(checker, signal.SIGKILL)
            server.log.wait_for("a checker ended by signal 9")
            assert line.ask("USER alice").startswith(b"+OK")
            assert line.ask(f"PASS {USERS['alice']}").startswith(b"-ERR [SYS/TEMP]")
        with server.dialogue() as line:
            assert line.login("alice", USERS["alice"]).startswith(b"+OK")


@pytest.mark.root
def test_fronts_are_used_again_as_often_as_the_setting_says_and_then_replaced() -> None:
    with serving(Rooted, serve__mode="prefork", prefork__fronts=1, prefork__reuse=2) as server:
        assert isinstance(server, Rooted)
        seen = []
        for user in ("alice", "bob", "alice"):
            with server.dialogue() as line:
                assert line.line().startswith(b"+OK")
                seen.append(server.front_of(line))
                assert line.ask(f"USER {user}").startswith(b"+OK")
                assert line.ask(f"PASS {USERS[user]}").startswith(b"+OK")
                assert line.ask("QUIT").startswith(b"+OK")
                assert line.rest() == b""
        assert seen[0] == seen[1] != seen[2]


@pytest.mark.root
def test_fronts_that_died_as_they_waited_cost_no_client_the_connection() -> None:
    with serving(Rooted, serve__mode="prefork", prefork__fronts=2, prefork__checkers=1) as server:
        keeper = server.process.pid

        def fronts() -> list[int]:
            return belonging(keeper, *range(1, 1 << 16))

        wait_until(lambda: len(fronts()) == 2, "two fronts")
        os.kill(keeper, signal.SIGSTOP)
        os.waitid(os.P_PID, keeper, os.WSTOPPED | os.WNOWAIT)
        try:
            line = server.dialogue()  # the keeper hears of the client first
            for pid in fronts():
                os.kill(pid, signal.SIGKILL)
            wait_until(lambda: not fronts(), "their end")
        finally:
            os.kill(keeper, signal.SIGCONT)
        with line:
            assert line.login("alice", USERS["alice"]).startswith(b"+OK")


@pytest.mark.root
def test_more_clients_than_fronts_are_all_greeted() -> None:
    with serving(Rooted, serve__mode="prefork", prefork__fronts=2) as server, contextlib.ExitStack() as stack:
        lines = [stack.enter_context(server.dialogue()) for _ in range(12)]
        assert all(line.line().startswith(b"+OK") for line in lines)


SLOW = """
from qpopper_py.auth import order
from qpopper_py.auth.sources import accounts
order.WAITING = frozenset(("accounts",))
vouch = accounts.Accounts.vouch
def slow(self, credential, facts):
    if credential.user == "bob":
        open({fifo!r}).read()
    return vouch(self, credential, facts)
accounts.Accounts.vouch = slow
"""


@pytest.mark.root
def test_a_source_that_waits_for_one_login_holds_up_no_other() -> None:
    """As a PAM module that asks a server does.  bob's is waited for until the test says so."""
    with open_folder() as folder:
        fifo = folder / "fifo"
        os.mkfifo(fifo)

        class Slow(Rooted):
            def command(self) -> list[str]:
                *line, program = super().command()
                main = "from qpopper_py.__main__ import main"
                return [*line, program.replace(main, SLOW.format(fifo=str(fifo)) + main)]

        server = Slow(folder, {"prefork.checkers": 1})
        for user in USERS:
            server.fill(user, ONE)
        with server, server.dialogue() as slow, server.dialogue() as line:
            assert slow.line().startswith(b"+OK")
            assert slow.ask("USER bob").startswith(b"+OK")
            slow.sock.sendall(f"PASS {USERS['bob']}\r\n".encode())
            with fifo.open("w"):  # now a reader is there
                assert line.login("alice", USERS["alice"]).startswith(b"+OK")
            assert slow.line().startswith(b"+OK bob has 1 ")


# --------------------------------------------------------------------------------------------------------------
# Sockets that somebody else opened

PASSED = """
import os, sys
os.environ["LISTEN_PID"], os.environ["LISTEN_FDS"] = str(os.getpid()), "1"
os.dup2(int(sys.argv[1]), 3)
os.execv(sys.argv[2], sys.argv[2:])
"""


@pytest.mark.parametrize("way", ["inetd, wait", "systemd, Accept=no"])
@kinds
def test_a_listening_socket_may_be_passed_on(way: str, kind: type[Server]) -> None:
    with open_folder() as folder, socket.socket() as listener:
        server = kind(folder, **({} if kind is Rooted else {"users": USERS}))  # type: ignore[arg-type]
        for user in USERS:
            server.fill(user, ONE)
        server.write_accounts()
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        line = [*server.command(), "--config", "none", *server.arguments(), "--set", "serve.idle=1"]
        options: dict[str, object] = {**server.process_options(), "stdin": listener}
        if way.startswith("systemd"):
            line = [sys.executable, "-c", PASSED, str(listener.fileno()), *line]
            options |= {"stdin": subprocess.DEVNULL, "pass_fds": [listener.fileno()]}
        process = subprocess.Popen(line, stderr=subprocess.PIPE, stdout=subprocess.DEVNULL, **options)  # type: ignore[call-overload]
        log = Output(process.stderr)
        try:
            for user in USERS:
                with Dialogue(socket.create_connection(listener.getsockname(), PATIENCE)) as talk:
                    assert talk.login(user, USERS[user]).startswith(b"+OK"), log.text
                    assert talk.ask("QUIT").startswith(b"+OK")
            if way.startswith("inetd"):
                assert process.wait(PATIENCE) == 0  # it ends by itself, so that inetd listens again
            else:
                assert process.poll() is None
        finally:
            stop(process)
            log.thread.join(PATIENCE)
            process.stderr.close()


# --------------------------------------------------------------------------------------------------------------
# Storms of failing children


def test_failures_that_follow_each_other_are_slowed_down_and_forgotten_in_time() -> None:
    now = [100.0]
    brake = Brake(lambda: now[0])
    for _ in range(HARMLESS):
        brake.failed()
        assert brake.left() == 0
    waits = []
    for _ in range(30):
        brake.failed()
        waits.append(brake.left())
        now[0] += brake.left()
    assert waits == sorted(waits)
    assert 0 < waits[0] < 1
    assert waits[-1] == pytest.approx(LONGEST)
    now[0] += CALM
    brake.failed()
    assert brake.left() == 0


@pytest.mark.root
def test_fronts_that_die_at_once_are_not_forked_without_end() -> None:
    """The chroot is taken away under the keeper: every front ends before it has served anybody."""
    with open_folder() as folder:
        root = folder / "empty"
        server = Rooted(folder, {"privilege.chroot": root})
        with server:
            root.rmdir()
            for _ in range(HARMLESS + 2):
                with contextlib.suppress(ConnectionResetError), server.dialogue() as line:
                    assert line.rest() == b""
            root.mkdir(mode=0o755)
            with server.dialogue() as line:
                assert line.line().startswith(b"+OK")
        assert "cannot make" in server.log.text


def test_children_leave_nothing_behind() -> None:
    with serving(Server) as server:
        for _ in range(3):
            with server.dialogue() as line:
                assert line.login("alice", USERS["alice"]).startswith(b"+OK")
                assert line.ask("QUIT").startswith(b"+OK")
        wait_until(lambda: not children(server.process.pid), "the end of all children")
        assert len(list(Path(f"/proc/{server.process.pid}/fd").iterdir())) < 16
