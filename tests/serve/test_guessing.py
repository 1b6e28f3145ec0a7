"""Guessing is slowed down over connections, which are processes of their own here (pop3d.toml(5), Against guessing)."""

from __future__ import annotations

import re
import stat
import time
from typing import TYPE_CHECKING

import pytest

from tests.harness import PASSWORD, Server, awkward, open_folder

if TYPE_CHECKING:
    from collections.abc import Iterator

DELAY = 1


@pytest.fixture
def server() -> Iterator[Server]:
    """The loopback, from which tests come, is not trusted here."""
    settings = {"guess.trusted": "", "guess.delay": DELAY, "guess.largest": DELAY, "auth.refusal_delay": 0}
    with open_folder() as folder:
        server = Server(folder, settings=settings)
        server.fill("alice", awkward()[:1])
        with server:
            yield server


def login(server: Server, user: str, password: str) -> tuple[bytes, float]:
    """The answer to PASS, on a connection of its own, and how long it took."""
    with server.dialogue() as line:
        assert line.line().startswith(b"+OK")
        assert line.ask(f"USER {user}").startswith(b"+OK")
        began = time.monotonic()
        return line.ask(f"PASS {password}"), time.monotonic() - began


def test_the_next_connection_waits_for_a_right_password_and_for_a_wrong_one(server: Server) -> None:
    assert login(server, "nobody-here", "a wrong password")[0].startswith(b"-ERR [AUTH]")
    for user, password, answer in (("alice", PASSWORD, b"+OK"), ("nobody-here", "another wrong one", b"-ERR [AUTH]")):
        said, seconds = login(server, user, password)
        assert said.startswith(answer)
        assert seconds >= DELAY


def test_it_outlasts_a_restart(server: Server) -> None:
    login(server, "alice", "a wrong password")
    server.__exit__()
    with server:
        assert login(server, "alice", PASSWORD)[1] >= DELAY


def test_the_file_is_small_and_only_the_servers(server: Server) -> None:
    login(server, "alice", "a wrong password")
    found = (server.folder / "state/guesses").stat()
    assert stat.S_IMODE(found.st_mode) == 0o600
    assert found.st_size < 1 << 20
    assert server.user is None or found.st_uid == server.user


def test_a_name_that_is_no_account_is_in_the_log_as_a_tag(server: Server) -> None:
    for name in ("not-a-name", "alice", "not-a-name", "neither"):
        login(server, name, "a wrong password")
    rows = [re.search(r"Failed attempted login to (\S+) from", line) for line in server.log.text.splitlines()]
    names = [row[1] for row in rows if row]
    assert names[1] == "alice"
    assert re.fullmatch(r"\(unknown:[0-9a-f]{8}\)", names[0])
    assert names[0] == names[2] != names[3]
    assert "not-a-name" not in server.log.text
