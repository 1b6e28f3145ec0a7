"""The keeper: root, one thread, and lean, for it is the parent of all others and each copies what it has loaded.

It accepts, brings each connection to a front and a checker, hears from the checker whose connection it is and from the
front that the session goes on, and forks the mail process.  It reads nothing but messages of
:mod:`qpopper_py.serve.handover` (under inetd single octets for dotlocks, too), and never a secret, a key, or a client's
word before the login.

A front is believed in nothing (:mod:`qpopper_py.serve.connections`): one that says what it may not say is killed.
"""

import os

from qpopper_py.arrival import learn, unknown
from qpopper_py.errors import QpopperError, TlsUnavailable
from qpopper_py.events import Trouble
from qpopper_py.sandbox import empty_folder, unprivileged
from qpopper_py.serve import handover
from qpopper_py.serve.antechamber import Antechamber
from qpopper_py.serve.checkers import Checkers
from qpopper_py.serve.connections import Connection, identities
from qpopper_py.serve.fronts import Front, Fronts, stream_of
from qpopper_py.serve.mail import Login
from qpopper_py.serve.mails import Mails
from qpopper_py.serve.packing import Forged
from qpopper_py.serve.roles import where
from qpopper_py.serve.standalone import Service
from qpopper_py.serve.teller import LOGGED_IN
from qpopper_py.stamp import wanted

TYPE_CHECKING = False
if TYPE_CHECKING:
    import _socket
    from typing import Protocol

    from qpopper_py.facts import Facts, Listener
    from qpopper_py.serve.checkers import Vault
    from qpopper_py.serve.fronts import Greeter
    from qpopper_py.serve.mail import Postmaster
    from qpopper_py.serve.packing import Fields
    from qpopper_py.serve.securing import Securing
    from qpopper_py.serve.standalone import Household
    from qpopper_py.stream import Stream

    class House(Household, Greeter, Vault, Postmaster, Protocol):
        """What the keeper has from ``__main__``."""

        def tls(self) -> Securing | None:
            """What makes connections TLS's, where there is a certificate."""

        def shut(self, stream: Stream, listener: Listener) -> bool:
            """Whether shutdown_files keep everybody out; then the client is told."""

        def ready_mail(self) -> None:
            """Import what a mail process needs."""


class Keeper(Service):
    """The four roles; see the top of this file."""

    house: "House"

    def __init__(self, house: "House", idle: float = 0) -> None:
        super().__init__(house, idle)
        self.connections: dict[int, Connection] = {}
        self.busy: set[Front] = set()
        self.antechamber = Antechamber(self)
        self.checkers = Checkers(self.loop, house, self._granted, lambda status: self.ended("a checker", status))
        self.fronts = self._new_fronts()
        self.mails = Mails(self.loop, house, self.limits.ended, self._mail_ended)

    def _new_fronts(self) -> Fronts:
        settings = self.house.settings

        def warn(what: str) -> None:
            self.emit(Trouble(None, what, "warning"))

        uid, gid = unprivileged(settings.privilege_user, warn)
        root = empty_folder(settings.privilege_chroot, warn) if settings.privilege_chroot else ""
        return Fronts(self.loop, self.house, (uid, gid, root), self._heard, self._front_ended)

    # ----------------------------------------------------------------------------------------------------------
    # Serving

    def begin(self) -> None:
        super().begin()
        self.fronts.fill()
        self.checkers.fill(self.house.settings.prefork_checkers)

    def end(self) -> None:
        self.fronts.finish()
        self.mails.finish()
        self.checkers.dismiss()

    def reloaded(self) -> None:
        """Fronts and checkers of old settings serve those they have, and nobody else."""
        self.fronts.finish()
        for front in self.busy:
            front.last = True
        self.fronts = self._new_fronts()
        self.checkers.dismiss()
        self.mails.adopt()
        self.begin()

    def sessions(self) -> int:
        return len(self.connections) + len(self.mails.busy) + self.antechamber.waiting

    def attend(self, stream: "Stream", facts: "Facts", greeted: int) -> None:
        """Under inetd: the one connection, of whose greeting so many octets were sent.  ``stream`` is let go."""
        self.loop.heed({})
        self.fronts.kept = 0
        self.mails.alone()
        if facts.listener.tls == "implicit":
            self.antechamber.secure_first(stream, facts, 1)
            while self.antechamber.waiting:
                self.loop.turn()
        else:
            descriptors = stream.descriptors()
            front = self.fronts.take()  # first, because the client waits for it
            self.checkers.fill(1)
            if not self._bring(front, facts, descriptors, 1, greeted):
                raise ConnectionResetError("the front died as soon as it was there")
            stream.let_go()
        self.checkers.dismiss()
        self.house.ready_mail()
        while self.loop.children:
            self.loop.turn()

    def _patience(self) -> float:
        waits = [one for one in (super()._patience(), self.mails.expire(), self.fronts.expire()) if one >= 0]
        return min(waits, default=-1)

    def take(self, sock: "_socket.socket", by: "Listener", number: int, quiet: bool) -> None:
        settings = self.house.settings
        stream = stream_of([sock.detach()])
        listener = settings.listener(by)
        facts = learn(stream, settings, listener, wanted(settings, self.emit, listener.stamp), self.emit, quiet)
        if unknown(settings, facts, listening=True):
            self.antechamber.ask_porter(stream, facts, number)
        else:
            self.admit(stream, facts, number)

    def admit(self, stream: "Stream", facts: "Facts", number: int) -> None:
        """Serve a client that may be greeted.  Raises OSError."""
        if self.house.settings.shutdown_files and self.house.shut(stream, facts.listener):
            stream.close()
            self.limits.ended(number)
            return
        if facts.listener.tls == "implicit":
            self.antechamber.secure_first(stream, facts, number)
        else:
            self.give(stream, facts, number)

    def give(self, stream: "Stream", facts: "Facts", number: int) -> None:
        """Bring an accepted connection to a front.  Raises OSError."""
        try:
            if not self.checkers.ends:
                self.checkers.fill(self.house.settings.prefork_checkers)
            for _ in range(len(self.fronts.idle) + 1):  # those who wait may have died, and we not have heard of it
                if self._bring(self.fronts.take(), facts, stream.descriptors(), number):
                    return
            raise ConnectionResetError("a front died as soon as it was there")
        finally:
            stream.let_go()

    def _bring(self, front: Front, facts: "Facts", descriptors: "list[int]", number: int, greeted: int = 0) -> bool:
        """Give the connection to ``front``, and tell a checker who will ask; False: the front is dead.

        Raises OSError.
        """
        connection = Connection(number, facts, descriptors)
        fields = {"number": number, "greeted": greeted, **handover.of_facts(facts)}
        asks, answers = handover.pair()
        try:
            packet = handover.pack(handover.CONNECTION, fields)
            self.checkers.introduce(packet, answers.fileno())
            try:
                handover.pass_on(front.channel, packet, [asks.fileno(), *descriptors], wait=False)
            except ConnectionError:
                self.fronts.dismiss(front)
                return False
        except OSError:
            self.fronts.dismiss(front)
            raise
        finally:
            asks.close()
            answers.close()
        front.connection = connection
        self.connections[number] = connection
        self.busy.add(front)
        return True

    def _mail_ended(self, what: str, status: int) -> bool:
        """One user's trouble is not to be everybody's: it slows nothing down."""
        return self.ended(what, status, slower=False)

    def _start_tls(self, front: Front, connection: Connection, descriptors: "list[int]") -> None:
        """STLS: the front goes on with the clear end of a process that speaks TLS.  Raises OSError."""
        stream = stream_of(descriptors)
        try:
            channel, inner = self.antechamber.speak_tls(stream, connection.facts)
        except (OSError, TlsUnavailable) as why:
            handover.send(front.channel, handover.UNSECURED, {"why": str(why)}, wait=False)
            return
        finally:
            stream.let_go()
        connection.identity, connection.secured = identities([inner.fileno()]), True
        try:
            both = [channel.fileno(), inner.fileno()]
            handover.send(front.channel, handover.SECURED, {"number": connection.number}, both, wait=False)
        finally:
            channel.close()
            inner.close()

    # ----------------------------------------------------------------------------------------------------------
    # What checkers and fronts say

    def _granted(self, fields: "Fields") -> None:
        connection = self.connections.get(fields["number"])
        if connection and connection.account is None:
            connection.account = handover.account_from(fields)
            connection.groups = fields["groups"]

    def _heard(self, front: Front) -> None:
        descriptors: list[int] = []
        try:
            kinds = (handover.HANDOVER, handover.DONE, handover.STARTTLS)
            said = handover.receive(front.channel, kinds, 0, 2, wait=False)
            if said is None:
                self._lost(front)
                return
            kind, fields, descriptors = said
            connection = self._checked(front, kind, fields, descriptors)
            if kind == handover.STARTTLS:
                given, descriptors = descriptors, []
                self._start_tls(front, connection, given)
                return
        except BlockingIOError:
            return
        except (OSError, QpopperError) as why:
            handover.close(descriptors)
            self._condemn(front, str(why))
            return
        self._let_go(front, kind == handover.DONE)
        self.fronts.free(front)
        if kind == handover.DONE:
            return
        try:
            self._go_on(connection, fields, descriptors)
        except Exception as why:  # noqa: BLE001  # this client's trouble, and nobody else's
            self.limits.ended(connection.number)
            if isinstance(why, OSError):
                self.brake.failed()
            self.emit(Trouble(connection.facts, f"keeper: {where(why)}"))
        finally:
            handover.close(descriptors)

    def _checked(self, front: Front, kind: int, fields: "Fields", descriptors: "list[int]") -> Connection:
        """The connection that a front's message is about.  Raises Forged."""
        connection = front.connection
        if connection is None or fields["number"] != connection.number:
            raise Forged("a message about a connection that is not this front's")
        connection.check(kind, descriptors, self.checkers.drain)
        return connection

    def _let_go(self, front: Front, over: bool = True) -> None:
        """The front has no connection any more; ``over``: nobody has."""
        if front.connection:
            self.connections.pop(front.connection.number, None)
            if over:
                self.limits.ended(front.connection.number)
        self.busy.discard(front)

    def _go_on(self, connection: Connection, fields: "Fields", descriptors: "list[int]") -> None:
        """Have a mail process go on with the session that was handed over.  Raises OSError."""
        account, facts = connection.account, connection.facts
        assert account is not None
        facts.tls = handover.tls_from(fields)
        facts.quiet = False
        self.limits.hear(connection.number, LOGGED_IN)
        self.mails.serve(Login(connection.number, account, connection.groups, facts, fields), descriptors)

    def _lost(self, front: Front) -> None:
        """The front closed its end: it is about to be gone, and the client with it."""
        self._let_go(front)
        front.connection = None
        self.fronts.dismiss(front)

    def _condemn(self, front: Front, why: str) -> None:
        """A front that says what it may not say is taken over by somebody."""
        import _signal  # type: ignore[import-not-found]

        facts = front.connection.facts if front.connection else None
        self.emit(Trouble(facts, f"a front was killed, which sent {why}; somebody may have taken it over"))
        if front.pid in self.loop.children:
            os.kill(front.pid, _signal.SIGKILL)
        self._lost(front)

    def _front_ended(self, front: Front, status: int) -> None:
        self.ended("a front", status)
        self._lost(front)
