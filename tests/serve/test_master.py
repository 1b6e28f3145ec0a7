"""A worker of Cyrus' master(8): what master/service.h says of descriptors, environment and messages; as user cyrus.

The master of these tests is Python, written by that header and by what master.c does with the messages.
"""

from __future__ import annotations

import contextlib
import os
import re
import select
import shutil
import signal
import socket
import struct
import subprocess
import time
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.guard import GUARD
from tests.harness import PATIENCE, children, command, environment, open_folder, servant
from tests.store.spools import spool

if TYPE_CHECKING:
    from collections.abc import Iterator

AVAILABLE, UNAVAILABLE, CONNECTION = 1, 2, 3
SECRET = "tan staaf"
GUARD.secret(SECRET, "a secret of sasldb")
MAIL = [b"Subject: 1\r\n\r\none\r\n", b"Subject: 2\r\n\r\n.two\r\n"]
CONF = """\
configdirectory: {folder}/config
partition-default: {folder}/spool
hashimapspool: yes
servername: mail.example.org
allowplaintext: yes
sasl_pwcheck_method: auxprop
sasl_sasldb_path: {folder}/sasldb2
"""


class Master:
    """``folder`` has imapd.conf; a worker is started with these ``options`` when somebody is there, or ``start``."""

    def __init__(self, folder: Path, *options: str) -> None:
        self.folder = folder
        self.user = servant()
        self.options = options
        self.listening = socket.create_server(("127.0.0.1", 0))
        self.messages, self.status = os.pipe()
        self.workers: list[subprocess.Popen[bytes]] = []

    def start(self) -> subprocess.Popen[bytes]:
        """As master.c's spawn_service: descriptor 3 is the pipe, 4 listens, 0 to 2 are /dev/null."""
        status, listening = os.dup(self.status), os.dup(self.listening.fileno())

        def descriptors() -> None:
            one, other = os.dup2(status, 60), os.dup2(listening, 61)
            os.dup2(one, 3)
            os.dup2(other, 4)
            os.closerange(5, 64)

        who = {} if self.user is None else {"user": self.user, "group": self.user, "extra_groups": []}
        line = [*command(), "-C", str(self.folder / "imapd.conf"), *self.options, "--config", "none"]
        line += ["--set", f"state_dir={self.folder}/state", "--set", "auth.refusal_delay=0.01"]
        worker = subprocess.Popen(
            line,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            env=environment(CYRUS_SERVICE="pop3", CYRUS_ID="3"),
            cwd="/",
            preexec_fn=descriptors,
            close_fds=False,
            **who,  # type: ignore[call-overload]
        )
        os.close(status)
        os.close(listening)
        self.workers.append(worker)
        return worker

    def heard(self) -> tuple[int, int]:
        """The next message: (what, process id)."""
        assert select.select([self.messages], [], [], PATIENCE)[0], "no word from the worker"
        what, pid = struct.unpack("ii", os.read(self.messages, 8))
        return what, pid

    def connect(self) -> Client:
        return Client(socket.create_connection(self.listening.getsockname(), PATIENCE))

    def close(self) -> None:
        for worker in self.workers:
            for pid in children(worker.pid):
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGTERM)
            worker.terminate()
            worker.wait(PATIENCE)
        self.listening.close()
        os.close(self.messages)
        os.close(self.status)


class Client:
    def __init__(self, sock: socket.socket) -> None:
        self.sock = sock
        self.file = sock.makefile("rb")
        self.greeting = self.file.readline().decode()

    def ask(self, line: str) -> str:
        self.sock.sendall(line.encode() + b"\r\n")
        return self.file.readline().decode().rstrip("\r\n")

    def lines(self, line: str) -> list[str]:
        assert self.ask(line).startswith("+OK"), line
        return [row.rstrip("\r\n") for row in iter(lambda: self.file.readline().decode(), ".\r\n")]

    def login(self) -> str:
        self.ask("USER bovik")
        return self.ask(f"PASS {SECRET}")

    def close(self) -> None:
        self.file.close()
        self.sock.close()


@pytest.fixture
def folder() -> Iterator[Path]:
    """A Cyrus: its spool with a mailbox of bovik, its configuration, and secrets that saslpasswd2 has written."""
    program = shutil.which("saslpasswd2", path=os.defpath + ":/usr/sbin")
    if program is None:
        pytest.skip("saslpasswd2 (sasl2-bin) is not installed")
    with open_folder() as place:
        (place / "imapd.conf").write_text(CONF.format(folder=place))
        spool(place / "spool/b/user/bovik", MAIL, numbers=[4, 9])
        (place / "config/msg").mkdir(parents=True)
        (place / "config/log").mkdir()
        (place / "state").mkdir()
        line = [program, "-p", "-c", "-f", str(place / "sasldb2"), "-u", "mail.example.org", "bovik"]
        subprocess.run(line, input=SECRET.encode(), check=True)
        (place / "sasldb2").chmod(0o600)
        if (user := servant()) is not None:
            for path in [place, *place.rglob("*")]:
                os.chown(path, user, user)
        yield place


@pytest.fixture
def master(folder: Path, request: pytest.FixtureRequest) -> Iterator[Master]:
    if os.geteuid() == 0 and servant() is None:
        pytest.skip("other users cannot read this Python")
    made = Master(folder, *getattr(request, "param", ()))
    yield made
    made.close()


def test_one_worker_serves_one_client_after_the_other_and_says_so(master: Master) -> None:
    """MASTER_SERVICE_UNAVAILABLE and _CONNECTION as a client comes, _AVAILABLE when it has gone."""
    worker = master.start()
    for _ in range(3):
        client = master.connect()
        assert [master.heard(), master.heard()] == [(UNAVAILABLE, worker.pid), (CONNECTION, worker.pid)]
        assert client.greeting.startswith("+OK mail.example.org Cyrus POP3 ")
        assert client.ask("QUIT") == "+OK"
        client.close()
        assert master.heard() == (AVAILABLE, worker.pid)


def test_mail_of_the_spool_is_read_by_a_secret_of_sasldb(master: Master) -> None:
    master.start()
    client = master.connect()
    assert client.greeting.rstrip().endswith("@mail.example.org>")  # APOP can succeed
    assert client.login().startswith("+OK Mailbox locked and ready SESSIONID=<")
    assert client.ask("STAT") == f"+OK 2 {sum(map(len, MAIL))}"
    assert client.lines("UIDL") == ["1 1280000000.4", "2 1280000000.9"]
    assert client.lines("RETR 2") == ["Subject: 2", "", "..two"]
    assert client.ask("DELE 1").startswith("-ERR [SYS/PERM]")
    assert client.ask("QUIT") == "+OK"
    client.close()


@pytest.mark.parametrize("mechanism", ["APOP", "CRAM-MD5", "PLAIN"])
def test_a_secret_of_sasldb_answers_every_question(master: Master, mechanism: str) -> None:
    import base64
    import hmac
    from hashlib import md5

    master.start()
    client = master.connect()
    if mechanism == "APOP":
        stamp = client.greeting.split()[-1]
        answer = client.ask(f"APOP bovik {md5((stamp + SECRET).encode()).hexdigest()}")
    elif mechanism == "PLAIN":
        answer = client.ask("AUTH PLAIN " + base64.b64encode(f"\0bovik\0{SECRET}".encode()).decode())
    else:
        challenge = base64.b64decode(client.ask("AUTH CRAM-MD5")[2:])
        digest = hmac.new(SECRET.encode(), challenge, "md5").hexdigest()
        answer = client.ask(base64.b64encode(f"bovik {digest}".encode()).decode())
    assert answer.startswith("+OK Mailbox locked")
    client.close()


def test_wrong_secrets_and_users_without_a_mailbox_are_refused(master: Master) -> None:
    master.start()
    client = master.connect()
    for user, word in (("bovik", "wrong"), ("nobody", SECRET), ("bovik@other.org", SECRET)):
        assert client.ask(f"USER {user}") == "+OK Name is a valid mailbox"
        assert client.ask(f"PASS {word}") == "-ERR [AUTH] Invalid login"
    client.close()


@pytest.mark.parametrize("master", [("-U", "2")], indirect=True)
def test_a_worker_ends_after_u_connections_without_saying_it_is_available(master: Master) -> None:
    worker = master.start()
    for _ in range(2):
        client = master.connect()
        client.ask("QUIT")
        client.close()
    assert worker.wait(PATIENCE) == 0
    told = [master.heard()[0] for _ in range(5)]
    assert told == [UNAVAILABLE, CONNECTION, AVAILABLE, UNAVAILABLE, CONNECTION]
    assert not select.select([master.messages], [], [], 0)[0]


@pytest.mark.parametrize("master", [("-T", "1")], indirect=True)
def test_a_worker_that_has_served_ends_after_t_to_twice_t_seconds(master: Master) -> None:
    worker = master.start()
    client = master.connect()
    client.ask("QUIT")
    client.close()
    assert [master.heard()[0] for _ in range(3)] == [UNAVAILABLE, CONNECTION, AVAILABLE]
    began = time.monotonic()
    assert worker.wait(PATIENCE) == 0
    assert 0.9 < time.monotonic() - began < 10
    assert master.heard() == (UNAVAILABLE, worker.pid)


def test_sighup_ends_a_worker_that_waits_at_once(master: Master) -> None:
    worker = master.start()
    client = master.connect()
    client.ask("QUIT")
    client.close()
    assert [master.heard()[0] for _ in range(3)] == [UNAVAILABLE, CONNECTION, AVAILABLE]
    worker.send_signal(signal.SIGHUP)
    assert worker.wait(PATIENCE) == 0
    assert master.heard() == (UNAVAILABLE, worker.pid)


def test_sighup_lets_a_session_come_to_its_end(master: Master) -> None:
    worker = master.start()
    client = master.connect()
    worker.send_signal(signal.SIGHUP)
    assert client.login().startswith("+OK Mailbox")
    assert client.ask("QUIT") == "+OK"
    client.close()
    assert worker.wait(PATIENCE) == 0


def test_workers_share_the_socket(master: Master) -> None:
    """prefork=2: the second client does not wait for the first."""
    workers = {master.start().pid, master.start().pid}
    clients = [master.connect(), master.connect()]
    assert {master.heard()[1] for _ in range(4)} == workers
    for client in clients:
        assert client.login().startswith("+OK Mailbox")  # no lock: Cyrus since 2.4
        client.close()


@pytest.mark.parametrize("name", ["shutdown", "shutdown.pop3"])
def test_a_shutdown_file_is_all_that_clients_hear(master: Master, name: str) -> None:
    (master.folder / "config/msg" / name).write_text("[alert] Back at noon\nmore\n")
    master.start()
    client = master.connect()
    assert client.greeting == "-ERR [SYS/TEMP] alert] Back at noon\r\n"
    assert client.file.readline() == b""
    client.close()


def test_a_shutdown_file_ends_sessions_at_their_next_command(master: Master) -> None:
    master.start()
    client = master.connect()
    client.login()
    (master.folder / "config/msg/shutdown").write_text("Back at noon\n")
    assert client.ask("NOOP") == "-ERR [SYS/TEMP] Back at noon"
    assert client.file.readline() == b""
    client.close()


def test_telemetry_has_the_dialogue_from_the_login_on(master: Master) -> None:
    folder = master.folder / "config/log/bovik"
    folder.mkdir()
    if master.user is not None:
        os.chown(folder, master.user, master.user)
    master.start()
    client = master.connect()
    client.login()
    client.lines("RETR 1")
    client.ask("QUIT")
    client.close()
    while master.heard()[0] != AVAILABLE:
        pass
    (path,) = folder.iterdir()
    assert re.fullmatch(r"pop3-\d+", path.name)
    head, empty, text = path.read_bytes().decode().split("\n", 2)
    assert head.startswith("---------- bovik ")
    assert empty == ""
    seconds = int(text[1 : text.index(">", 1)])
    assert abs(seconds - time.time()) < PATIENCE
    assert text.startswith(f">{seconds}>+OK Mailbox locked and ready")
    assert "<retr 1" in text
    assert ">+OK Message follows\r\nSubject: 1\r\n\r\none\r\n.\r\n" in text
    assert SECRET not in text
    assert path.stat().st_mode & 0o777 == 0o600


def test_without_a_folder_of_the_user_there_is_no_telemetry(master: Master) -> None:
    master.start()
    client = master.connect()
    client.login()
    client.close()
    assert list((master.folder / "config/log").iterdir()) == []


def test_without_its_descriptors_the_environment_alone_is_no_master(folder: Path) -> None:
    if os.geteuid() == 0 and servant() is None:
        pytest.skip("other users cannot read this Python, and root's server refuses to start from it")
    ours, theirs = socket.socketpair()
    line = [*command(), "-C", str(folder / "imapd.conf"), "--config", "none"]
    who = {} if servant() is None else {"user": servant(), "group": servant(), "extra_groups": []}
    environ = environment(CYRUS_SERVICE="pop3", CYRUS_ID="0")
    with theirs:
        server = subprocess.Popen(line, stdin=theirs, stdout=theirs, env=environ, cwd="/", **who)  # type: ignore[call-overload]
    client = Client(ours)
    assert client.greeting.startswith("+OK mail.example.org Cyrus POP3 ")
    assert client.ask("QUIT") == "+OK"
    client.close()
    assert server.wait(PATIENCE) == 0
