"""What a session asks about a client: the gate, or who carries messages to it (types alone)."""

from typing import Protocol

from qpopper_py.auth.account import Account, Denied
from qpopper_py.auth.credentials import Challenge
from qpopper_py.facts import Facts


class Conversation(Protocol):
    """An Exchange, here or in another process."""

    def step(self, data: bytes) -> Challenge | Account | Denied:
        """The answer to the client's next message."""


class Door(Protocol):
    """The gate, or who carries messages to it."""

    def begin(self, mechanism: str, facts: Facts) -> Conversation:
        """Raises KeyError: no such mechanism."""

    def check(self, user: bytes, password: bytes, facts: Facts) -> Account | Denied:
        """PLAIN in one step."""

    def mechanisms(self, facts: Facts) -> tuple[str, ...]:
        """Names of the SASL mechanisms that can succeed here and now."""
