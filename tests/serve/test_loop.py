"""The keeper's loop: what a handler does to the descriptors of others that were ready in the same turn."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable, Iterator

import pytest

from qpopper_py.serve.children import Loop


class Pipes:
    """Pipes that close themselves."""

    def __init__(self) -> None:
        self.open: set[int] = set()

    def make(self, said: bytes = b"") -> int:
        """The reading end of one in which ``said`` waits."""
        reader, writer = os.pipe()
        os.write(writer, said)
        self.open |= {reader, writer}
        return reader

    def close(self, descriptor: int) -> None:
        os.close(descriptor)
        self.open.discard(descriptor)


@pytest.fixture
def pipes() -> Iterator[Pipes]:
    pipes = Pipes()
    yield pipes
    for descriptor in pipes.open:
        os.close(descriptor)


@pytest.fixture
def loop() -> Iterator[Loop]:
    loop = Loop(lambda event: pytest.fail(str(event)))
    yield loop
    loop.poll.close()
    os.close(loop.wakeup)
    os.close(loop.waker)


def test_an_event_is_for_nobody_who_got_the_descriptor_after_it(loop: Loop, pipes: Pipes) -> None:
    """epoll told of two; the first to be served closes the other, and opens another that gets its number."""
    heard: list[int] = []
    ready = [pipes.make(b"x"), pipes.make(b"x")]

    def replace(other: int) -> Callable[[], None]:
        def handler() -> None:
            for descriptor in ready:
                loop.forget(descriptor)
            pipes.close(other)
            assert pipes.make() == other  # the lowest number that is free, POSIX open(2)
            loop.watch(other, lambda: heard.append(other))

        return handler

    loop.watch(ready[0], replace(ready[1]))
    loop.watch(ready[1], replace(ready[0]))
    loop.turn(0)
    assert heard == []  # nothing is in the new pipe: whoever read from it would wait, and everybody with him


def test_the_new_owner_of_a_descriptor_hears_what_comes_for_it(loop: Loop, pipes: Pipes) -> None:
    heard: list[bytes] = []
    first, second = pipes.make(b"x"), pipes.make(b"news")

    def change() -> None:
        loop.forget(first)
        loop.forget(second)
        loop.watch(second, lambda: heard.append(os.read(second, 100)))

    loop.watch(first, change)
    loop.watch(second, change)
    loop.turn(0)
    loop.turn(0)
    assert heard == [b"news"]


def test_a_signal_for_a_child_that_was_just_forked_is_not_the_parents(
    loop: Loop, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The child has the parent's handlers for a moment, and the pipe through which they tell."""
    stops: list[int] = []
    ended: list[int] = []
    before = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGCHLD)}
    fork = os.fork

    def forked() -> int:
        child = fork()
        if child == 0:
            os.kill(os.getpid(), signal.SIGTERM)
        return child

    try:
        loop.heed({signal.SIGTERM: lambda: stops.append(1)})
        monkeypatch.setattr(os, "fork", forked)
        loop.fork("a child", lambda: None, [0, 1, 2], ended.append)
        while not ended:
            loop.turn()
    finally:
        signal.set_wakeup_fd(-1)
        for number, handler in before.items():
            signal.signal(number, handler)
    assert os.WTERMSIG(ended[0]) == signal.SIGTERM
    assert stops == []
