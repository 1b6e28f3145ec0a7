"""The checker: the one role that reads secrets.  Root, forked from the keeper before anybody read one.

Each connection has a channel of its own, which the keeper brings together with what is true of the connection: a
front can ask for that connection only, and lie about nothing but TLS, which it does itself.  What an exchange must
remember stays here.  A connection is granted once; then its channel is closed.

Where a source may wait for somebody else (PAM, saslauthd), each connection that asks is served by a child of its own:
one slow login holds up no other.
"""

import os
import select
import time

from qpopper_py.auth.account import Account, Denied
from qpopper_py.auth.credentials import Challenge
from qpopper_py.errors import QpopperError
from qpopper_py.events import Trouble
from qpopper_py.serve import handover
from qpopper_py.serve.roles import groups_of, where

TYPE_CHECKING = False
if TYPE_CHECKING:
    import _socket
    from collections.abc import Callable

    from qpopper_py.auth.gate import Exchange, Gate
    from qpopper_py.events import Event
    from qpopper_py.facts import Facts
    from qpopper_py.serve.packing import Fields

LONGEST = 1000  # characters of a reason, or of a name for the log
NOBODY = Denied("", "")


class Checker:
    """``control``: to the keeper.  ``apart``: a child for every connection that asks."""

    def __init__(
        self, control: "_socket.socket", gate: "Gate", emit: "Callable[[Event], None]", apart: bool = False
    ) -> None:
        self.control = control
        self.gate = gate
        self.emit = emit
        self.apart = apart
        self.poll = select.epoll()
        self.conversations: dict[int, Conversation] = {}

    def run(self) -> None:
        """Until the keeper has said its last word and every conversation is over."""
        import _signal  # type: ignore[import-not-found]  # the C half of signal, which is slow to load

        if self.apart:
            _signal.signal(_signal.SIGCHLD, _signal.SIG_IGN)  # nobody waits for those children
        self.poll.register(self.control.fileno(), select.EPOLLIN)
        open_ended = True
        while open_ended or self.conversations:
            for descriptor, _ in self.poll.poll():
                if descriptor == self.control.fileno():
                    open_ended = self._introduced()
                    if not open_ended:
                        self.poll.unregister(descriptor)
                elif self.apart:
                    self._apart(descriptor)
                elif not self.conversations[descriptor].go_on():
                    self._forget(descriptor).close()

    def _introduced(self) -> bool:
        """The keeper brings a connection; False: it will bring no more."""
        import _socket

        said = handover.receive(self.control, (handover.CONNECTION,), 1, 1)
        if said is None:
            return False
        _, fields, (descriptor,) = said
        channel = _socket.socket(fileno=descriptor)
        facts = handover.facts_from(fields)
        self.conversations[descriptor] = Conversation(
            self.control, channel, fields["number"], facts, self.gate, self.emit
        )
        self.poll.register(descriptor, select.EPOLLIN)
        return True

    def _forget(self, descriptor: int) -> "_socket.socket":
        """A conversation ends here; its channel."""
        self.poll.unregister(descriptor)
        return self.conversations.pop(descriptor).channel

    def _apart(self, descriptor: int) -> None:
        """A child answers all that is asked on this channel.  Nothing of it was read here."""
        conversation = self.conversations[descriptor]
        conversation.asked = time.monotonic()
        child = os.fork()
        if child:
            self._forget(descriptor).close()
            return
        status = 70
        try:
            import _signal

            _signal.signal(_signal.SIGCHLD, _signal.SIG_DFL)  # modules of PAM wait for helpers
            for other in self.conversations.values():
                if other is not conversation:
                    other.channel.close()
            while conversation.go_on():
                pass
            status = 0
        finally:
            os._exit(status)


class Conversation:
    """What one connection asks."""

    def __init__(
        self,
        control: "_socket.socket",
        channel: "_socket.socket",
        number: int,
        facts: "Facts",
        gate: "Gate",
        emit: "Callable[[Event], None]",
    ) -> None:
        self.control = control
        self.channel = channel
        self.number = number
        self.facts = facts
        self.gate = gate
        self.emit = emit
        self.exchange: Exchange | None = None
        self.asked: float | None = None  # when the next message was there, where that was before the fork

    def go_on(self) -> bool:
        """Answer one message; False: it was the last."""
        asked, self.asked = self.asked, None
        try:
            said = handover.receive(self.channel, (handover.ASK, handover.NAMES))
            if said is None:
                return False
            kind, fields, _ = said
            self.facts.tls = handover.tls_from(fields)
            reply = self._names() if kind == handover.NAMES else self._step(fields, asked)
            handover.send(self.channel, *reply, wait=False)
            return reply[0] != handover.GRANTED
        except OSError:
            return False  # the front is gone, or does not listen
        except QpopperError as why:
            self.emit(Trouble(self.facts, f"checker: {why}; the connection is dropped"))
            return False

    def _names(self) -> "tuple[int, Fields]":
        return handover.MECHANISMS, {"names": list(self.gate.mechanisms(self.facts))}

    def _step(self, fields: "Fields", asked: float | None) -> "tuple[int, Fields]":
        try:
            if fields["mechanism"]:
                self.exchange = self.gate.begin(fields["mechanism"], self.facts)
            if self.exchange is None:
                return handover.DENIED, _refusal(Denied("", "no exchange is under way"))
            said = self.exchange.step(fields["data"], asked)
        except KeyError:
            return handover.DENIED, _refusal(Denied("", "no such mechanism"))
        except Exception as why:  # noqa: BLE001  # whatever a source does, others can log in
            self.exchange = None
            self.emit(Trouble(self.facts, f"checker: {where(why)}"))
            return handover.DENIED, _refusal(Denied("", "could not be checked", temporary=True))
        if isinstance(said, Challenge):
            refused = {} if said.refusal is None else _refusal(said.refusal)
            wait = {"wait": handover.microseconds(said.wait)}
            return handover.CHALLENGE, {
                "data": said.data,
                "refused": bool(refused),
                **_refusal(NOBODY),
                **wait,
                **refused,
            }
        self.exchange = None
        if isinstance(said, Account):
            return self._granted(said)
        return handover.DENIED, _refusal(said)

    def _granted(self, account: Account) -> "tuple[int, Fields]":
        """The keeper hears of it first: when the front does, the keeper knows."""
        fields = {"number": self.number, "groups": groups_of(account), **handover.of_account(account)}
        handover.send(self.control, handover.GRANT, fields)
        return handover.GRANTED, {"user": account.user, "wait": handover.microseconds(account.wait)}


def _refusal(denied: Denied) -> "Fields":
    def text(given: str) -> str:
        return given[:LONGEST].replace("\0", "")

    return {
        "user": text(denied.user),
        "why": text(denied.why),
        "temporary": denied.temporary,
        "wait": handover.microseconds(denied.wait),
        "known": denied.known,
        "alias": text(denied.alias),
        "told": text(denied.told),
    }
