"""The keeper's side of its checkers (:mod:`qpopper_py.serve.checker`): one after the other gets a connection."""

from qpopper_py.errors import QpopperError
from qpopper_py.events import Trouble
from qpopper_py.serve import handover

TYPE_CHECKING = False
if TYPE_CHECKING:
    import _socket
    from collections.abc import Callable
    from typing import Protocol

    from qpopper_py.auth.gate import Gate
    from qpopper_py.serve.children import Loop, Resident
    from qpopper_py.serve.packing import Fields
    from qpopper_py.settings import Settings

    class Vault(Resident, Protocol):
        """What a checker has from ``__main__``."""

        settings: Settings

        def make_gate(self) -> Gate:
            """The gate, ready to judge.  Reads secrets."""


MUCH = 4 << 20  # octets of connections that may wait for a checker that is busy
SO_SNDBUFFORCE = 32


class Checkers:
    """Those that are there, made again when they die.  ``granted`` hears the fields of each GRANT."""

    def __init__(
        self,
        loop: "Loop",
        house: "Vault",
        granted: "Callable[[Fields], None]",
        ended: "Callable[[int], bool]",
    ) -> None:
        self.loop = loop
        self.house = house
        self.granted = granted
        self.ended = ended
        self.ends: list[_socket.socket] = []
        self.leaving: list[_socket.socket] = []
        self.turn = 0

    def fill(self, count: int) -> None:
        """Have ``count`` of them.  Raises OSError."""
        while len(self.ends) < count:
            self._fork()

    def introduce(self, packet: bytes, descriptor: int) -> None:
        """Bring a connection, in a CONNECTION that was packed, to the next checker.  Raises OSError."""
        for attempt in range(len(self.ends)):
            self.turn = (self.turn + 1) % len(self.ends)
            try:
                handover.pass_on(self.ends[self.turn], packet, [descriptor], wait=False)
                return
            except OSError:
                if attempt + 1 == len(self.ends):
                    raise
        raise OSError(0, "no checker is there")

    def drain(self) -> None:
        """Hear what they have said by now."""
        for end in [*self.ends, *self.leaving]:
            while self._heard(end):
                pass

    def dismiss(self) -> None:
        """Bring no more connections: each ends when those that it has are over."""
        import _socket

        for end in self.ends:
            end.shutdown(_socket.SHUT_WR)
        self.leaving += self.ends
        self.ends = []

    def _fork(self) -> None:
        import _socket

        keep = [0, 1, 2, *self.house.descriptors()]
        ours, _ = self.loop.fork_beside("checker", lambda theirs: be_checker(theirs, self.house), keep, self._over)
        try:
            ours.setsockopt(_socket.SOL_SOCKET, SO_SNDBUFFORCE, MUCH)
        except OSError:
            pass  # then fewer may wait
        self.ends.append(ours)
        self.loop.watch(ours.fileno(), lambda: self._hear(ours))

    def _over(self, status: int) -> None:
        """One of them has ended; its channel tells which."""
        if not self.ended(status):
            self.drain()

    def _hear(self, end: "_socket.socket") -> None:
        self._heard(end)

    def _heard(self, end: "_socket.socket") -> bool:
        """Take one message; False: there was none, or there is nobody any more."""
        try:
            said = handover.receive(end, (handover.GRANT,), wait=False)
        except BlockingIOError:
            return False
        except (OSError, QpopperError) as why:
            self.house.emit(Trouble(None, f"checker: {why}"))
            said = None
        if said is None:
            self.loop.forget(end.fileno())
            for ends in (self.ends, self.leaving):
                if end in ends:
                    ends.remove(end)
            end.close()
            return False
        self.granted(said[1])
        return True


def be_checker(control: "_socket.socket", house: "Vault") -> None:
    """Judge until the keeper brings no more connections."""
    from qpopper_py.auth.order import may_wait
    from qpopper_py.sandbox import undumpable
    from qpopper_py.serve.checker import Checker

    undumpable()
    house.reopen_log()
    Checker(control, house.make_gate(), house.emit, may_wait(house.settings)).run()
