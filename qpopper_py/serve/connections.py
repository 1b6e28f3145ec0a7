"""A connection that a front serves: what the keeper knows of it, and by that what the front may ask for.

A front is believed in nothing: it must have been given the connection that it hands over, the checker must have
granted it, once, and the descriptors must be the very ones that the front was given.
"""

import os

from qpopper_py.serve import handover
from qpopper_py.serve.packing import Forged

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from qpopper_py.auth.account import Account
    from qpopper_py.facts import Facts


class Connection:
    """One that is not logged in yet."""

    __slots__ = ("account", "facts", "groups", "identity", "number", "secured")

    def __init__(self, number: int, facts: "Facts", descriptors: "list[int]") -> None:
        self.number = number
        self.facts = facts
        self.identity = identities(descriptors)
        self.secured = False  # TLS was asked for
        self.account: Account | None = None
        self.groups: list[int] = []

    def check(self, kind: int, descriptors: "list[int]", granted: "Callable[[], None]") -> None:
        """What its front sends of it.  Raises Forged.

        ``granted`` hears what checkers have said meanwhile: a checker says it before it tells the front.
        """
        if kind == handover.DONE:
            if descriptors:
                raise Forged("descriptors that nobody asked for")
            return
        if kind == handover.HANDOVER and self.account is None:
            granted()
            if self.account is None:
                raise Forged("a session that no checker granted")
        if kind == handover.STARTTLS and (self.secured or self.facts.listener.tls != "starttls"):
            raise Forged("a wish for TLS where there is none")
        if identities(descriptors) != self.identity:
            raise Forged("descriptors that are not the client's")


def identities(descriptors: "list[int]") -> "list[tuple[int, int]]":
    """Device and inode of each, which tell open sockets and pipes apart."""
    return [(found.st_dev, found.st_ino) for found in map(os.fstat, descriptors)]
