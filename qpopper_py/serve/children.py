"""The event loop of a root process, or of a service, and the only fork: signals, children and descriptors in one place.

Signal handlers enqueue and nothing else: a signal's number comes through a pipe, and is acted on between two events.
"""

import os
import select
import time

from qpopper_py.errors import QpopperError
from qpopper_py.events import Trouble
from qpopper_py.serve.handover import pair
from qpopper_py.serve.roles import where

TYPE_CHECKING = False
if TYPE_CHECKING:
    import _socket
    from collections.abc import Callable, Collection, Iterable
    from typing import Protocol

    from qpopper_py.events import Event
    from qpopper_py.facts import Facts

    Ended = Callable[[int], None]

    class Resident(Protocol):
        """What every process of a server has from ``__main__``."""

        @property
        def emit(self) -> Callable[[Event], None]:
            """Who hears of what happens."""

        def descriptors(self) -> list[int]:
            """Those that every process of ours needs."""

        def reopen_log(self) -> None:
            """Have a connection to the log that is this process's own."""


CALM = 10.0  # seconds without a failure after which failures are forgotten
FIRST, LONGEST = 0.05, 5.0  # seconds of waiting after a failure, doubled with each further one
HARMLESS = 3  # failures in a row that slow nothing down


class Loop:
    """Handlers by descriptor, signals by number, children by pid."""

    def __init__(self, emit: "Callable[[Event], None]") -> None:
        self.emit = emit
        self.poll = select.epoll()
        self.handlers: dict[int, Callable[[], None]] = {}
        self.signals: dict[int, Callable[[], None]] = {}
        self.children: dict[int, tuple[str, Ended]] = {}
        self.wakeup, self.waker = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
        self.watch(self.wakeup, self._signalled)

    def watch(self, descriptor: int, handler: "Callable[[], None]") -> None:
        """Call ``handler`` when there is something to read.  To be forgotten before the descriptor is closed: a
        child may hold a copy, and epoll goes by what is open.
        """
        self.handlers[descriptor] = handler
        self.poll.register(descriptor, select.EPOLLIN)

    def forget(self, descriptor: int) -> None:
        if self.handlers.pop(descriptor, None):
            self.poll.unregister(descriptor)

    def heed(self, signals: "dict[int, Callable[[], None]]") -> None:
        """Act on these signals, and on SIGCHLD."""
        import _signal  # type: ignore[import-not-found]  # the C half of signal, which is slow to load

        _signal.set_wakeup_fd(self.waker, warn_on_full_buffer=False)
        self.signals = {**signals, _signal.SIGCHLD: self.reap}
        for number in self.signals:
            _signal.signal(number, lambda *_: None)

    def turn(self, seconds: float = -1) -> None:
        """Wait for events, or so long, and act on them.

        One handler may forget what another was to hear, and open something that gets the same descriptor: nothing has
        come for that, and who waited for it would hold up everybody.
        """
        ready = [(descriptor, self.handlers.get(descriptor)) for descriptor, _ in self.poll.poll(seconds)]
        for descriptor, handler in ready:
            if handler is None or self.handlers.get(descriptor) is not handler:
                continue
            try:
                handler()
            except Exception as why:  # noqa: BLE001  # others are still to be served
                self.emit(Trouble(None, where(why)))
                if descriptor != self.wakeup:
                    self.forget(descriptor)

    def _signalled(self) -> None:
        for number in dict.fromkeys(os.read(self.wakeup, 512)):
            if number in self.signals:
                self.signals[number]()

    def fork(
        self, what: str, work: "Callable[[], None]", keep: "Iterable[int]", ended: "Ended", facts: "Facts | None" = None
    ) -> int:
        """A child that calls ``work`` with no descriptors but ``keep``; its pid.  ``ended`` hears its wait status.

        Raises OSError.  Until it has its own, signals for the child wait: our handlers in it would tell us.
        """
        import _signal

        _signal.pthread_sigmask(_signal.SIG_BLOCK, self.signals)
        try:
            child = os.fork()
            if child == 0:
                self._be(what, work, keep, facts)
        finally:
            _signal.pthread_sigmask(_signal.SIG_UNBLOCK, self.signals)
        self.children[child] = (what, ended)
        return child

    def fork_beside(
        self,
        what: str,
        work: "Callable[[_socket.socket], None]",
        keep: "Iterable[int]",
        ended: "Ended",
        facts: "Facts | None" = None,
    ) -> "tuple[_socket.socket, int]":
        """As :meth:`fork`, at the other end of a channel, which ``work`` is given: (our end, the child's pid)."""
        ours, theirs = pair()
        try:
            child = self.fork(what, lambda: work(theirs), [*keep, theirs.fileno()], ended, facts)
        except OSError:
            ours.close()
            raise
        finally:
            theirs.close()
        return ours, child

    def _be(self, what: str, work: "Callable[[], None]", keep: "Iterable[int]", facts: "Facts | None") -> None:
        """Never returns."""
        status = 70
        try:
            self._reset_signals()
            close_all_but(set(keep))
            work()
            status = 0
        except QpopperError as why:
            self.emit(Trouble(facts, f"{what}: {why}"))
        except Exception as why:  # noqa: BLE001  # nothing may climb into the parent's half of the program
            self.emit(Trouble(facts, f"{what}: {where(why)}"))
        finally:
            os._exit(status)

    def _reset_signals(self) -> None:
        import _signal

        _signal.set_wakeup_fd(-1)
        for number in self.signals:
            _signal.signal(number, _signal.SIG_DFL)
        _signal.pthread_sigmask(_signal.SIG_UNBLOCK, self.signals)

    def reap(self) -> None:
        """Take leave of children that have ended."""
        while self.children:
            try:
                child, status = os.waitpid(-1, os.WNOHANG)
            except ChildProcessError:
                return
            if child == 0:
                return
            _, ended = self.children.pop(child, ("", None))
            if ended:
                ended(status)


class Brake:
    """Slows down what fails again and again: children that die as soon as they are there."""

    def __init__(self, clock: "Callable[[], float]" = time.monotonic) -> None:
        self.clock = clock
        self.failures = 0
        self.last = 0.0
        self.until = 0.0

    def failed(self) -> None:
        now = self.clock()
        self.failures = self.failures + 1 if now - self.last < CALM else 1
        self.last = now
        if self.failures > HARMLESS:
            self.until = now + min(FIRST * 2 ** min(self.failures - HARMLESS - 1, 16), LONGEST)

    def left(self) -> float:
        """Seconds to wait before the next."""
        return max(0.0, self.until - self.clock())


def close_all_but(keep: "Collection[int]") -> None:
    """An empty range must not reach the kernel: Python would ask it to close up to -1, which is all."""
    start = 0
    for descriptor in sorted(keep):
        if start < descriptor:
            os.closerange(start, descriptor)
        start = descriptor + 1
    os.closerange(start, os.sysconf("SC_OPEN_MAX"))
