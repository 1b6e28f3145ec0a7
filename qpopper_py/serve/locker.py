"""The locker: root, and the one process that touches the spool as root; it may wait for it, and others do not.

It makes, refreshes and removes exactly ``<mailbox>.lock`` for each mail process that asks.  The keeper, which must not
wait, reads none of these requests: at the first one it passes the channel on, with the path.  Here each channel has a
thread: where a file server hangs, its users wait and nobody else.

Forked when it is first needed, and again if it dies.  Under inetd, where nobody else could be held up, the keeper does
all this itself.
"""

from qpopper_py.errors import QpopperError
from qpopper_py.events import Trouble
from qpopper_py.serve import handover
from qpopper_py.serve.roles import DotlockKeeper, lockable, where

TYPE_CHECKING = False
if TYPE_CHECKING:
    import _socket
    from collections.abc import Callable

    from qpopper_py.events import Event
    from qpopper_py.serve.children import Loop, Resident
    from qpopper_py.serve.packing import Fields


class Locker:
    """The keeper's side.  ``ended`` hears the wait status of one that is no more.

    ``here``: there is none, the keeper does it.  ``last``: the keeper is about to end.
    """

    def __init__(self, loop: "Loop", house: "Resident", ended: "Callable[[int], None]") -> None:
        self.loop = loop
        self.house = house
        self.ended = ended
        self.here = False
        self.last = False
        self.control: _socket.socket | None = None

    def help(self, channel: "_socket.socket", mailbox: str, groups: "list[int]", pid: int, stale: int) -> None:
        """Have the requests on ``channel`` answered: of process ``pid``, about ``mailbox``, for one of ``groups``.

        ``stale``: locks.stale.
        """
        fields = {"mailbox": mailbox, "groups": groups, "pid": pid, "stale": stale}
        if self.here:
            kept = keeper_of(channel, fields, self.house.emit)
            self._watch(channel, kept.go_on)
        else:
            self._watch(channel, lambda: self._asked(channel, fields))

    def dismiss(self) -> None:
        """It ends when those whom it serves by now have ended; who asks after this gets another."""
        if self.control:
            self.control.close()
            self.control = None

    def _watch(self, channel: "_socket.socket", go_on: "Callable[[], bool]") -> None:
        def event() -> None:
            try:
                if go_on():
                    return
            except Exception as why:  # noqa: BLE001  # whatever it still asks for, it hears that nobody is there
                self.house.emit(Trouble(None, f"keeper: {where(why)}"))
            self.loop.forget(channel.fileno())
            channel.close()

        self.loop.watch(channel.fileno(), event)

    def _asked(self, channel: "_socket.socket", fields: "Fields") -> bool:
        """What is to be read on the channel is the locker's; False: this process is done with it.  Raises OSError."""
        import _socket

        try:
            if not channel.recv(1, _socket.MSG_PEEK | _socket.MSG_DONTWAIT):
                return False  # it ended, and needed no lock
        except BlockingIOError:
            return True
        packet = handover.pack(handover.LOCKS, fields)
        try:
            handover.pass_on(self._control(), packet, [channel.fileno()], wait=False)
        except OSError:  # it has just died
            self.dismiss()
            handover.pass_on(self._control(), packet, [channel.fileno()], wait=False)
        if self.last:
            self.dismiss()
        return False

    def _control(self) -> "_socket.socket":
        """Raises OSError."""
        if self.control is None:
            keep = [0, 1, 2, *self.house.descriptors()]
            self.control, _ = self.loop.fork_beside(
                "locker", lambda theirs: be_locker(theirs, self.house), keep, self._over
            )
        return self.control

    def _over(self, status: int) -> None:
        """Which one it was does not matter: if another is there already, the next who asks gets a third."""
        self.dismiss()
        self.ended(status)


def be_locker(control: "_socket.socket", house: "Resident") -> None:
    """Serve until the keeper brings no more mail processes, and those that are there have ended."""
    import _signal  # type: ignore[import-not-found]
    import threading

    for number in (_signal.SIGHUP, _signal.SIGINT, _signal.SIGTERM):
        _signal.signal(number, _signal.SIG_IGN)  # it ends with those whom it serves, or their locks would stay
    threading.stack_size(256 << 10)
    house.reopen_log()
    threads: set[threading.Thread] = set()

    def serve(channel: "_socket.socket", fields: "Fields") -> None:
        try:
            keeper_of(channel, fields, house.emit).run()
        except Exception as why:  # noqa: BLE001  # one user's trouble
            house.emit(Trouble(None, f"locker: {where(why)}"))
        finally:
            channel.close()
            threads.discard(threading.current_thread())

    while said := brought(control, house.emit):
        thread = threading.Thread(target=serve, args=said, daemon=True)
        threads.add(thread)
        thread.start()
    for thread in list(threads):
        thread.join()


def brought(control: "_socket.socket", emit: "Callable[[Event], None]") -> "tuple[_socket.socket, Fields] | None":
    """The next channel to a mail process; None: there will be none."""
    import _socket

    try:
        said = handover.receive(control, (handover.LOCKS,), 1, 1)
    except (OSError, QpopperError) as why:
        emit(Trouble(None, f"locker: {why}"))
        return None
    if said is None:
        return None
    _, fields, (descriptor,) = said
    return _socket.socket(fileno=descriptor), fields


def keeper_of(channel: "_socket.socket", fields: "Fields", emit: "Callable[[Event], None]") -> DotlockKeeper:
    """Who answers on ``channel``.  It looks at the folders on the way, and so may wait."""
    from qpopper_py.store.dotlock import Dotlocks

    mailbox = lockable(fields["mailbox"], fields["groups"])
    locks = Dotlocks(fields["pid"], fields["stale"])
    return DotlockKeeper(channel, mailbox, locks, lambda what: emit(Trouble(None, what, "warning")))
