"""The gate as a front sees it: the same calls, answered by the checker over a channel of this connection alone."""

from qpopper_py.auth.account import Account, Denied
from qpopper_py.auth.credentials import Challenge
from qpopper_py.serve import handover

TYPE_CHECKING = False
if TYPE_CHECKING:
    import _socket

    from qpopper_py.facts import Facts
    from qpopper_py.serve.packing import Fields

REPLIES = (handover.CHALLENGE, handover.DENIED, handover.GRANTED)


class Messenger:
    """In the place of a Gate.  Of an account it learns the name; the rest goes from the checker to the keeper."""

    def __init__(self, channel: "_socket.socket | None") -> None:
        """``channel``: None where nobody may log in any more."""
        self.channel = channel
        self.known: dict[bool, tuple[str, ...]] = {}

    def begin(self, mechanism: str, facts: "Facts") -> "Asked":
        return Asked(self, mechanism, facts)

    def check(self, user: bytes, password: bytes, facts: "Facts") -> Account | Denied:
        """PLAIN in one step."""
        verdict = self.begin("PLAIN", facts).step(b"\0".join((b"", user, password)))
        assert not isinstance(verdict, Challenge)  # the message is never empty
        return verdict

    def mechanisms(self, facts: "Facts") -> tuple[str, ...]:
        """The names of the SASL mechanisms that could succeed, asked for once without TLS and once with it."""
        with_tls = facts.tls is not None
        if with_tls not in self.known:
            said = self.ask(handover.NAMES, handover.of_tls(facts.tls), (handover.MECHANISMS,))
            self.known[with_tls] = tuple(said[1]["names"]) if said else ()
        return self.known[with_tls]

    def ask(self, kind: int, fields: "Fields", replies: "tuple[int, ...]") -> "tuple[int, Fields] | None":
        """The checker's answer; None: it is gone."""
        if self.channel is None:
            return None
        try:
            handover.send(self.channel, kind, fields)
            said = handover.receive(self.channel, replies)
        except OSError:
            return None
        return said[:2] if said else None


class Asked:
    """In the place of an Exchange."""

    def __init__(self, messenger: Messenger, mechanism: str, facts: "Facts") -> None:
        self.messenger = messenger
        self.mechanism = mechanism
        self.facts = facts

    def step(self, data: bytes) -> Challenge | Account | Denied:
        fields = {"mechanism": self.mechanism, "data": data, **handover.of_tls(self.facts.tls)}
        self.mechanism = ""  # what follows belongs to the exchange that this begins
        said = self.messenger.ask(handover.ASK, fields, REPLIES)
        if said is None:
            return Denied("", "the process that checks passwords is gone; the log says why", temporary=True)
        kind, found = said
        if kind == handover.CHALLENGE:
            challenge = Challenge(found["data"])
            challenge.refusal = refusal(found) if found["refused"] else None
            challenge.wait = found["wait"] / 1e6
            return challenge
        if kind == handover.GRANTED:
            account = Account(found["user"], 0, 0)  # as whom and where is the keeper's to know
            account.wait = found["wait"] / 1e6
            return account
        return refusal(found)


def refusal(fields: "Fields") -> Denied:
    denied = Denied(fields["user"], fields["why"], bool(fields["temporary"]), fields["wait"] / 1e6, fields["told"])
    denied.known, denied.alias = bool(fields["known"]), fields["alias"]
    return denied
