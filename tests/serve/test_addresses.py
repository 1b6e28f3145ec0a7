"""IPv4 and IPv6: what is listened on, and how clients of both are known."""

from __future__ import annotations

import errno
import re
import socket
from contextlib import ExitStack
from typing import TYPE_CHECKING

import pytest

from qpopper_py.errors import ConfigurationError
from qpopper_py.facts import Listener
from qpopper_py.serve import listen
from tests.harness import PATIENCE, Dialogue, Server, open_folder

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    """Listens on 127.0.0.1, on ::1, and on every address; the ports are the system's choice."""
    options = ["--listen", "[::1]:0", "--listen", "*:0"]
    with open_folder() as folder, Server(folder, options=options) as running:
        running.fill("alice", [])
        yield running


@pytest.mark.parametrize(
    ("listens", "connects"),
    [
        (r"127\.0\.0\.1", "127.0.0.1"),
        (r"\[::1\]", "::1"),
        (r"0\.0\.0\.0", "127.0.0.1"),
        (r"0\.0\.0\.0", "127.0.0.2"),
        (r"\[::\]", "::1"),
    ],
)
def test_clients_of_both_families_are_served_and_logged_by_their_address(
    server: Server, listens: str, connects: str
) -> None:
    port = int(server.log.wait_for(rf"listening on {listens}:(\d+)$")[1])
    with Dialogue(socket.create_connection((connects, port), PATIENCE)) as line:
        assert line.login().startswith(b"+OK")
        own = line.sock.getsockname()[0]
        assert line.ask("QUIT").startswith(b"+OK")
    server.log.wait_for(rf'POP login by user "alice" at \({re.escape(own)}\) {re.escape(own)}: ')


def sockets_for(address: str) -> list[tuple[int, str]]:
    """The families and addresses that are listened on for ``address``."""
    with ExitStack() as stack:
        made = listen.opened(Listener(address))
        for sock in made:
            stack.callback(sock.close)
        return [(sock.family, sock.getsockname()[0]) for sock in made]


@pytest.mark.parametrize("address", ["*:0", ":0"])
def test_every_address_is_both_families_each_on_a_socket_of_its_own(address: str) -> None:
    assert sorted(sockets_for(address)) == sorted([(socket.AF_INET, "0.0.0.0"), (socket.AF_INET6, "::")])


def test_an_address_of_one_family_is_that_family() -> None:
    assert sockets_for("127.0.0.1:0") == [(socket.AF_INET, "127.0.0.1")]
    assert sockets_for("[::1]:0") == [(socket.AF_INET6, "::1")]


def test_where_the_kernel_lacks_a_family_every_address_is_the_other(monkeypatch: pytest.MonkeyPatch) -> None:
    """As with ipv6.disable=1: socket(2) fails with EAFNOSUPPORT."""
    bound = listen.bound

    def without_ipv6(family: int, *rest: object) -> object:
        if family == socket.AF_INET6:
            raise OSError(errno.EAFNOSUPPORT, "Address family not supported by protocol")
        return bound(family, *rest)  # type: ignore[arg-type]

    monkeypatch.setattr(listen, "bound", without_ipv6)
    assert sockets_for("*:0") == [(socket.AF_INET, "0.0.0.0")]
    with pytest.raises(ConfigurationError, match=r"cannot listen on \[::1\]:0"):
        sockets_for("[::1]:0")


def test_a_port_that_is_taken_is_an_error_for_every_address_too() -> None:
    with socket.socket() as taken:
        taken.bind(("0.0.0.0", 0))
        taken.listen()
        with pytest.raises(ConfigurationError, match="cannot listen on"):
            sockets_for(f"*:{taken.getsockname()[1]}")
