"""Many clients at once, again and again, in every mode that root can start: all of them are served.

RUSH=1000 (or any number) makes each client come so often.
"""

from __future__ import annotations

import os
import signal
import ssl
from concurrent.futures import ThreadPoolExecutor, as_completed
from typing import TYPE_CHECKING

import pytest

from tests.certificates import Authority, settings_of
from tests.harness import Dialogue, mail, open_folder
from tests.serve.rooted import UIDS, Rooted

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

CLIENTS = 16
SESSIONS = int(os.environ.get("RUSH") or 6)
NAMES = [f"client{number}" for number in range(CLIENTS)]
ONE, EACH = [UIDS["alice"]] * CLIENTS, list(range(61100, 61100 + CLIENTS))
pytestmark = pytest.mark.root


class Crowd(Rooted):
    """As many virtual users as there are clients; ``owners``: whose the mail of each is."""

    def __init__(self, folder: Path, owners: list[int], **settings: object) -> None:
        self.owners = dict(zip(NAMES, owners, strict=True))
        more = {name.replace("__", "."): value for name, value in settings.items()}
        super().__init__(folder, {"limits.sessions_address": 0, **more})
        self.users = {name: f"the secret of {name}" for name in NAMES}

    def fill(self, user: str, messages: object) -> Path:
        path = super(Rooted, self).fill(user, messages)  # type: ignore[arg-type]
        os.chown(path, self.owners[user], self.owners[user])
        return path

    def write_accounts(self) -> None:
        accounts = self.folder / "auth/accounts"
        ids = self.owners
        lines = [f"{name}:{{PLAIN}}{word}:{ids[name]}:{ids[name]}::::" for name, word in self.users.items()]
        accounts.write_text("\n".join(lines) + "\n")
        accounts.chmod(0o600)


@pytest.fixture(params=[ONE, EACH], ids=["one owner", "an owner each"])
def serve(request: pytest.FixtureRequest) -> Iterator[Callable[..., Crowd]]:
    with open_folder() as folder:
        started: list[Crowd] = []

        def start(**settings: object) -> Crowd:
            server = Crowd(folder, request.param, **settings)
            for name in NAMES:
                server.fill(name, [mail(f"for {name}", b"text\n")])
            started.append(server)
            server.__enter__()
            return server

        yield start
        for server in started:
            server.__exit__()


def visits(server: Crowd, name: str, secure: ssl.SSLContext | None = None) -> int:
    """So many sessions of one user, one after the other, over TLS if need be; how many were as they should be."""
    for _ in range(SESSIONS):
        plain = server.dialogue()
        with Dialogue(secure.wrap_socket(plain.sock, server_hostname="localhost")) if secure else plain as line:
            assert line.login(name, server.users[name]).startswith(b"+OK")
            assert line.ask("RETR 1").startswith(b"+OK")
            assert f"Subject: for {name}".encode() in line.body()
            assert line.ask("QUIT").startswith(b"+OK")
    return SESSIONS


@pytest.mark.parametrize(
    "settings",
    [
        {"serve__mode": "standalone"},
        {"serve__mode": "prefork"},
        {"serve__mode": "prefork", "prefork__fronts": 1, "prefork__reuse": 3, "prefork__mail": 1},
        {"serve__mode": "prefork", "prefork__mail": 0},
    ],
    ids=["standalone", "prefork", "few of each", "no mail process waits"],
)
def test_all_are_served(serve: Callable[..., Crowd], settings: dict[str, object]) -> None:
    server = serve(**settings)
    with ThreadPoolExecutor(CLIENTS) as pool:
        assert sum(pool.map(lambda name: visits(server, name), NAMES)) == CLIENTS * SESSIONS


@pytest.mark.parametrize("mode", ["standalone", "prefork"])
def test_all_are_served_while_the_configuration_is_read_again(serve: Callable[..., Crowd], mode: str) -> None:
    server = serve(serve__mode=mode)
    with ThreadPoolExecutor(CLIENTS) as pool:
        served = [pool.submit(visits, server, name) for name in NAMES]
        server.process.send_signal(signal.SIGHUP)
        for one in as_completed(served):
            server.process.send_signal(signal.SIGHUP)
            assert one.result() == SESSIONS


@pytest.mark.parametrize("mode", ["standalone", "prefork"])
def test_all_are_served_over_tls(serve: Callable[..., Crowd], mode: str, tmp_path: Path) -> None:
    authority = Authority(tmp_path)
    server = serve(serve__mode=mode, tls__mode="implicit", **settings_of(authority.sign("server")))
    secure = ssl.create_default_context(cafile=str(authority.file))
    with ThreadPoolExecutor(CLIENTS) as pool:
        assert sum(pool.map(lambda name: visits(server, name, secure), NAMES)) == CLIENTS * SESSIONS
