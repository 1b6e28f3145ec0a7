"""Targets around Kerberos: what comes before a greeting by KPOP, and what the child that parses tickets may say."""

from __future__ import annotations

from qpopper_py.auth.account import Account, Denied
from qpopper_py.auth.credentials import Challenge, Malformed, Ticket
from qpopper_py.auth.kerberos.child import CHALLENGE, NAMED, REFUSED
from qpopper_py.auth.kerberos.tickets import ticket
from qpopper_py.errors import CredentialStoreError
from qpopper_py.events import Event, LoginRefused, Note
from qpopper_py.facts import Facts
from qpopper_py.serve.kpop import KPOP, LONGEST, RIGHT, SENDAUTH, ticketed

from .talk import Script

REQUEST = b"an AP-REQ"


class Client(Script):
    """A client that gives no more at a time than it is asked for, as a socket does."""

    def receive(self, most: int) -> bytes:
        if not self.left:
            return b""
        piece = self.left.pop()
        if piece[most:]:
            self.left.append(piece[most:])
        return piece[:most]


class Door:
    """Takes REQUEST for a ticket."""

    def __init__(self) -> None:
        self.asked: list[bytes] = []

    def begin(self, mechanism: str, facts: Facts) -> Door:
        assert mechanism == "KPOP"
        return self

    def step(self, data: bytes) -> Challenge | Account | Denied:
        self.asked.append(data)
        if len(self.asked) > 1:
            return Denied("", "no ticket")
        return Challenge(RIGHT if data == REQUEST else b"\0\0\0\1x")


def kpop(data: bytes) -> None:
    """The first octet says in which pieces it comes."""
    client, door, heard = Client(data[1:], data[0] if data else 1), Door(), []
    gate = ticketed(client, Facts("s-1"), door, 5, heard.append)  # type: ignore[arg-type]
    said = data[1:]
    counted = [len(word).to_bytes(4, "big") + word for word in (SENDAUTH, KPOP, REQUEST)]
    assert (gate is not None) == said.startswith(b"".join(counted))
    if gate is not None:
        assert client.heard == b"\0" + RIGHT
        assert b"".join(client.left[::-1]) == said[len(b"".join(counted)) :], "what follows is POP3's"
        return
    assert len(heard) == 1
    event: Event = heard[0]
    assert isinstance(event, LoginRefused if door.asked else Note)
    assert all(0 < len(asked) <= LONGEST for asked in door.asked[:1])
    assert len(client.heard) <= 6


def child_words(data: bytes) -> None:
    """A child that was taken over can name somebody in UTF-8, or nobody, and do nothing else."""
    for kind in (CHALLENGE, NAMED, REFUSED):
        try:
            proven = ticket((kind, data), "alice")
        except (Malformed, CredentialStoreError):
            continue
        assert kind == NAMED
        assert isinstance(proven, Ticket)
        assert data.split(b"\0")[0] == proven.principal.encode()
        assert proven.user  # without a local name the user's .k5login decides


TARGETS = (kpop, child_words)
