"""Limits, proxies and who counts, where the four roles share the work."""

from __future__ import annotations

import socket
from contextlib import ExitStack

import pytest

from tests.harness import PATIENCE, Dialogue, mail, open_folder
from tests.serve.rooted import USERS, Rooted

pytestmark = pytest.mark.root
ONE = [mail("first", b"text\n")]


@pytest.fixture(params=["standalone", "prefork"])
def mode(request: pytest.FixtureRequest) -> str:
    return str(request.param)


def serving(stack: ExitStack, **settings: object) -> Rooted:
    server = Rooted(stack.enter_context(open_folder()), {k.replace("__", "."): v for k, v in settings.items()})
    for user in USERS:
        server.fill(user, ONE)
    return stack.enter_context(server)  # type: ignore[return-value]


def test_sessions_count_until_their_mail_process_is_gone(mode: str) -> None:
    with ExitStack() as stack:
        server = serving(stack, serve__mode=mode, limits__sessions=2, limits__min_delay=0)
        before = stack.enter_context(server.dialogue())
        assert before.line().startswith(b"+OK")
        with server.dialogue() as logged_in:
            assert logged_in.login("alice", USERS["alice"]).startswith(b"+OK")
            with server.dialogue() as third:
                assert third.rest() == b""
            server.log.wait_for(r"sessions limit reached: 2 \(limits\.sessions\)")
            assert logged_in.ask("QUIT").startswith(b"+OK")
            assert logged_in.rest() == b""
        server.log.wait_for('POP logout by user "alice"')
        greeted(server)


def greeted(server: Rooted) -> None:
    """A new client gets in as soon as the one that went is counted off."""
    for _ in range(200):
        with server.dialogue() as line:
            if line.line().startswith(b"+OK"):
                return
    raise AssertionError("nobody gets in any more")


def test_who_has_logged_in_is_not_counted_among_those_who_have_not(mode: str) -> None:
    with ExitStack() as stack:
        server = serving(stack, serve__mode=mode, limits__unauthenticated=1, limits__min_delay=0)
        logged_in = stack.enter_context(server.dialogue())
        assert logged_in.login("alice", USERS["alice"]).startswith(b"+OK")
        second = stack.enter_context(server.dialogue())
        assert second.line().startswith(b"+OK")
        with server.dialogue() as third:
            assert third.rest() == b""


def turned_away(line: Dialogue) -> bool:
    """Without a word: the end, or a reset, for what the client sent was read by nobody."""
    try:
        return line.rest() == b""
    except ConnectionResetError:
        return True


def by_proxy(server: Rooted, client: str) -> Dialogue:
    sock = socket.create_connection((server.host, server.port), PATIENCE)
    sock.sendall(f"PROXY TCP4 {client} 198.51.100.1 4711 110\r\n".encode())
    return Dialogue(sock)


def test_the_client_behind_a_proxy_is_the_one_that_is_known_and_counted(mode: str) -> None:
    with ExitStack() as stack:
        settings = {"serve.mode": mode, "proxy.networks": "127.0.0.1", "limits.sessions_address": 1}
        server = serving(stack, limits__min_delay=0, **settings)  # type: ignore[arg-type]
        one = stack.enter_context(by_proxy(server, "192.0.2.1"))
        assert one.login("alice", USERS["alice"]).startswith(b"+OK")
        server.log.wait_for(r'POP login by user "alice" at \(192\.0\.2\.1\) 192\.0\.2\.1: ')
        other = stack.enter_context(by_proxy(server, "192.0.2.2"))
        assert other.line().startswith(b"+OK")
        with by_proxy(server, "192.0.2.1") as again:
            assert turned_away(again)
        with server.dialogue() as silent:
            silent.sock.sendall(b"CAPA\r\nthis is no header at all\r\n")
            assert turned_away(silent)


def test_a_proxy_that_says_nothing_holds_up_no_other_client(mode: str) -> None:
    with ExitStack() as stack:
        server = serving(stack, serve__mode=mode, proxy__networks="127.0.0.1", proxy__timeout=60)
        stack.enter_context(server.dialogue())
        line = stack.enter_context(by_proxy(server, "192.0.2.1"))
        assert line.login("alice", USERS["alice"]).startswith(b"+OK")
