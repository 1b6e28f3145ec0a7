"""The load generator before servers that answer as they should not: nothing but a whole session counts as one."""

from __future__ import annotations

import socket
import subprocess
import threading
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

SOURCE = Path(__file__).resolve().parent.parent.parent / "benchmarks/load.c"
GOOD = [b"+OK hello\r\n", b"+OK\r\n", b"+OK 3 messages\r\n", b"+OK 3 3210\r\n", b"+OK bye\r\n"]

pytestmark = pytest.mark.client("gcc")


@pytest.fixture(scope="module")
def load(tmp_path_factory: pytest.TempPathFactory) -> Path:
    program = tmp_path_factory.mktemp("load") / "load"
    subprocess.run(["gcc", "-O2", "-Wall", "-Wextra", "-Werror", str(SOURCE), "-o", str(program)], check=True)
    return program


class Fake:
    """Answers line by line with ``replies``, the greeting first, and notes what it heard; ``then``: what comes last."""

    def __init__(self, replies: list[bytes], then: Callable[[socket.socket], object] = socket.socket.close) -> None:
        self.replies = replies
        self.then = then
        self.heard: list[bytes] = []
        self.kept: list[socket.socket] = []
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.thread = threading.Thread(target=self.serve)
        self.thread.start()

    def serve(self) -> None:
        while True:
            try:
                connection, _ = self.listener.accept()
            except OSError:
                return
            self.kept.append(connection)
            with connection.makefile("rb") as lines:
                for number, reply in enumerate(self.replies):
                    if number:
                        self.heard.append(lines.readline())
                    connection.sendall(reply)
            self.then(connection)

    def close(self) -> None:
        self.listener.shutdown(socket.SHUT_RDWR)
        self.listener.close()
        self.thread.join()
        for connection in self.kept:
            connection.close()


@pytest.fixture
def fake() -> Iterator[Callable[..., Fake]]:
    made: list[Fake] = []

    def make(*given: object) -> Fake:
        made.append(Fake(*given))  # type: ignore[arg-type]
        return made[-1]

    yield make
    for one in made:
        one.close()


def run(load: Path, port: int, sessions: int = 1, patience: str = "30") -> dict[str, float]:
    line = [str(load), "127.0.0.1", str(port), "1", "0", str(sessions), "a secret", "+OK 3 3210", patience, "alice"]
    done = subprocess.run(line, stdout=subprocess.PIPE, check=True, text=True)
    return {name: float(value) for name, value in (word.split("=") for word in done.stdout.split())}


def test_a_session_is_connect_user_pass_stat_quit(load: Path, fake: Callable[..., Fake]) -> None:
    server = fake(GOOD)
    figures = run(load, server.listener.getsockname()[1], 3)
    assert (figures["sessions"], figures["errors"]) == (3, 0)
    assert server.heard == [b"USER alice\r\n", b"PASS a secret\r\n", b"STAT\r\n", b"QUIT\r\n"] * 3
    assert 0 < figures["p50"] <= figures["p99"] <= figures["max"]


def test_an_answer_to_what_was_not_asked_is_an_error(load: Path, fake: Callable[..., Fake]) -> None:
    figures = run(load, fake([b"".join(GOOD)]).listener.getsockname()[1])
    assert (figures["sessions"], figures["reply"]) == (0, 1)


@pytest.mark.parametrize(
    ("place", "reply"),
    [
        (0, b"-ERR\r\n"),
        (0, b"+OKAY\r\n"),
        (2, b"-ERR [IN-USE] busy\r\n"),
        (3, b"+OK 3 32100\r\n"),
        (3, b"+OK 0 0\r\n"),
        (3, b"+OK 3 3210\n"),
        (4, b"-ERR\r\n"),
        (4, b"+OK bye\r\nmore\r\n"),
        (1, b"+OK " + b"x" * 700),
    ],
)
def test_a_wrong_reply_is_an_error(load: Path, fake: Callable[..., Fake], place: int, reply: bytes) -> None:
    figures = run(load, fake([*GOOD[:place], reply]).listener.getsockname()[1])
    assert (figures["sessions"], figures["errors"], figures["reply"]) == (0, 1, 1)


@pytest.mark.parametrize("replies", [[], GOOD[:2], GOOD[:4], [*GOOD[:4], b"+OK b"]], ids=len)
def test_a_connection_that_ends_too_early_is_an_error(
    load: Path, fake: Callable[..., Fake], replies: list[bytes]
) -> None:
    figures = run(load, fake(replies).listener.getsockname()[1])
    assert (figures["sessions"], figures["broken"]) == (0, 1)


@pytest.mark.parametrize("replies", [GOOD[:1], GOOD], ids=["in mid-session", "behind QUIT"])
def test_a_server_that_falls_silent_is_an_error(load: Path, fake: Callable[..., Fake], replies: list[bytes]) -> None:
    figures = run(load, fake(replies, lambda connection: None).listener.getsockname()[1], patience="0.2")
    assert (figures["sessions"], figures["silent"]) == (0, 1)


def test_nobody_there_is_an_error(load: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        figures = run(load, taken.getsockname()[1])
    assert (figures["sessions"], figures["connect"]) == (0, 1)
