"""Targets of what stands before the dialogue: PROXY headers, and what sessions tell the process that counts them."""

from __future__ import annotations

import ipaddress
import socket

from qpopper_py.errors import ConnectionOver
from qpopper_py.serve import proxy
from qpopper_py.serve.limits import Limits
from qpopper_py.serve.teller import GRANTED, REFUSED
from qpopper_py.settings import Settings

MOST = 16 + proxy.BLOCK  # octets of the longest header
PROXY = "192.0.2.1"
SETTINGS = Settings([("fuzz", {"proxy.networks": PROXY, "limits.sessions_address": 2})])


def proxy_header(data: bytes) -> None:
    """A header is taken whole and nothing behind it, or the connection is over; addresses are addresses."""
    data = data[: 2 * MOST]
    ours, theirs = socket.socketpair()
    with ours, theirs:
        ours.sendall(data)
        ours.shutdown(socket.SHUT_WR)
        try:
            header = proxy.read(theirs, 60)
        except ConnectionOver:
            return
        left = b"".join(iter(lambda: theirs.recv(65536), b""))
    taken = data[: len(data) - len(left)]
    assert data == taken + left
    assert len(taken) <= MOST
    if taken.startswith(proxy.SIGNATURE):
        assert len(taken) == 16 + int.from_bytes(taken[14:16], "big")
    else:
        assert taken.startswith(b"PROXY ")
        assert taken.find(b"\r\n") == len(taken) - 2 <= proxy.LINE - 2
    for address, port in ((header.source, header.source_port), (header.destination, header.destination_port)):
        assert bool(address) == bool(header.source)
        assert 0 <= port <= 65535
        assert not address or not getattr(ipaddress.ip_address(address), "ipv4_mapped", None)


def session_messages(data: bytes) -> None:
    """Whatever three sessions tell, line by line in turn, the table comes out even when they have ended."""
    said = []
    limits = Limits(SETTINGS, said.append)
    for process, address in ((1, PROXY), (2, PROXY), (3, "198.51.100.1")):
        assert limits.admit(address)
        limits.began(process, address)
    for turn, message in enumerate(data.split(b"\n")):
        assert limits.hear(turn % 4, message) in (b"", GRANTED, REFUSED)
    for process in (1, 2, 3, 3):
        limits.ended(process)
    assert len(limits) == 0
    assert not limits._counts
    assert limits._unauthenticated == 0


TARGETS = (proxy_header, session_messages)
