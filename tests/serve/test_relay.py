"""Octets both ways between a client and a session, whatever one of the two does."""

from __future__ import annotations

import socket
import threading
import time
from typing import TYPE_CHECKING

import pytest

from qpopper_py.serve import relay as module
from qpopper_py.serve.relay import PIECE, poll, relay
from qpopper_py.stream import SocketStream
from tests.harness import PATIENCE

if TYPE_CHECKING:
    from collections.abc import Iterator


class Between:
    """A relay in a thread, ``client`` and ``session`` at its ends."""

    def __init__(self, patience: float = PATIENCE) -> None:
        self.client, outer = socket.socketpair()
        self.session, inner = socket.socketpair()
        self.outer, self.inner = SocketStream(outer), SocketStream(inner)
        for sock in (self.client, self.session):
            sock.settimeout(PATIENCE)
        self.thread = threading.Thread(target=self.work, args=[patience])
        self.thread.start()

    def work(self, patience: float) -> None:
        relay(self.outer, self.inner, patience)
        self.outer.close()
        self.inner.close()


@pytest.fixture
def between() -> Iterator[Between]:
    made = Between()
    yield made
    for sock in (made.client, made.session):
        sock.close()
    made.thread.join()


def read_all(sock: socket.socket) -> bytes:
    got = b""
    while piece := sock.recv(65536):
        got += piece
    return got


def test_both_ways_at_once(between: Between) -> None:
    up, down = bytes(range(256)) * 8192, bytes(range(255, -1, -1)) * 8192
    got: dict[str, bytes] = {}

    def session() -> None:
        sender = threading.Thread(target=between.session.sendall, args=[down])
        sender.start()
        got["session"] = read_all(between.session)
        sender.join()
        between.session.close()  # the last to end: with it the relay does

    def client() -> None:
        between.client.sendall(up)
        between.client.shutdown(socket.SHUT_WR)

    threads = [threading.Thread(target=session), threading.Thread(target=client)]
    for thread in threads:
        thread.start()
    got["client"] = read_all(between.client)
    for thread in threads:
        thread.join()
    assert got == {"client": down, "session": up}


def test_the_clients_end_reaches_the_session_and_its_last_words_the_client(between: Between) -> None:
    between.client.sendall(b"QUIT\r\n")
    between.client.shutdown(socket.SHUT_WR)
    assert read_all(between.session) == b"QUIT\r\n"
    between.session.sendall(b"+OK bye\r\n")
    between.session.close()
    assert read_all(between.client) == b"+OK bye\r\n"


def test_last_words_arrive_though_the_client_goes_on_talking(between: Between) -> None:
    """The session says why and closes; what the client still sends has nowhere to go."""
    between.session.sendall(b"-ERR POP timeout\r\n")
    between.session.close()
    try:
        between.client.sendall(b"x" * 100)
    except OSError:
        pass
    assert between.client.recv(512) == b"-ERR POP timeout\r\n"
    between.client.close()
    between.thread.join(PATIENCE)
    assert not between.thread.is_alive()


def test_no_more_is_held_than_a_piece(between: Between) -> None:
    """A session that does not read stops the client, and the other way round."""
    between.client.setblocking(False)
    sent = 0
    while True:
        try:
            sent += between.client.send(b"x" * 65536)
        except BlockingIOError:
            if wait_for_more(between):
                continue
            break
    assert sent <= PIECE + 2 * (room(between.client) + room(between.session))


def wait_for_more(between: Between) -> bool:
    """Whether the relay takes more, when it has had the time to."""
    import select

    return bool(select.select([], [between.client], [], 0.2)[1])


def room(sock: socket.socket) -> int:
    return sock.getsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF) + sock.getsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF)


def test_a_client_that_takes_nothing_is_given_up() -> None:
    between = Between(patience=0.05)
    between.session.setblocking(False)
    end = time.monotonic() + PATIENCE
    while between.thread.is_alive() and time.monotonic() < end:
        try:
            between.session.send(b"x" * 65536)
        except BlockingIOError:
            between.thread.join(0.01)
        except OSError:
            break  # it has closed
    between.thread.join(PATIENCE)
    assert not between.thread.is_alive()
    between.client.close()
    between.session.close()


def test_waiting_costs_nothing_whoever_has_ended(monkeypatch: pytest.MonkeyPatch) -> None:
    """A descriptor whose other end is gone is always ready: it must not be asked."""
    asked = []
    monkeypatch.setattr(module, "poll", lambda *words: asked.append(words) or poll(*words))
    between = Between()
    between.client.sendall(b"QUIT\r\n")
    between.client.shutdown(socket.SHUT_WR)
    read_all(between.session)
    time.sleep(0.1)  # in which a loop that does not sleep asks thousands of times
    between.session.close()
    between.thread.join()
    between.client.close()
    assert len(asked) < 20
