"""The taps of a session: each hears every line of the dialogue, and of messages the pieces."""

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

    from qpopper_py.events import Tap
    from qpopper_py.facts import Facts


class Taps:
    """As :class:`~qpopper_py.events.Tap` has it; ``user``: who the session is of by now."""

    __slots__ = ("facts", "taps")

    def __init__(self, taps: "Sequence[Tap]", facts: "Facts") -> None:
        self.taps = taps
        self.facts = facts

    def received(self, user: str, line: str) -> None:
        for tap in self.taps:
            tap.received(self.facts, user, line)

    def sent(self, user: str, line: bytes) -> None:
        """``line``: with its end or without."""
        for tap in self.taps:
            tap.sent(self.facts, user, line.rstrip(b"\r\n"))

    def replied(self, user: str, mail: bool, piece: bytes) -> None:
        """A piece of a reply's body, which is a message (``mail``) or a listing."""
        for tap in self.taps:
            if mail:
                tap.body(self.facts, user, True, piece)
            else:
                for line in piece.splitlines():
                    tap.sent(self.facts, user, line)

    def given(self, user: str, piece: bytes) -> None:
        """A piece of a message that the client sends."""
        for tap in self.taps:
            tap.body(self.facts, user, False, piece)

    def logged_in(self, user: str) -> None:
        for tap in self.taps:
            tap.logged_in(self.facts, user)

    def closed(self) -> None:
        for tap in self.taps:
            tap.closed(self.facts)
