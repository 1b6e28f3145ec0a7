"""Clients' addresses as octets: what one client can have many of counts as one.

By inet_pton and not by ``ipaddress``, which takes 3 ms to load and would be loaded in every session under inetd.
"""

import _socket

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

MAPPED = bytes(10) + b"\xff\xff"  # RFC 4291 section 2.5.5.2
IPV6_SITE = 8  # octets: whoever has an address has the whole /64 around it


def packed(address: str) -> bytes:
    """4 octets or 16; an IPv4 address in IPv6's clothes is the IPv4 address; empty: it is none."""
    octets = _octets(address.partition("%")[0])
    return octets[12:] if len(octets) == 16 and octets.startswith(MAPPED) else octets


def _octets(address: str) -> bytes:
    try:
        return _socket.inet_pton(_socket.AF_INET6 if ":" in address else _socket.AF_INET, address)
    except (OSError, ValueError):
        return b""


def origin(address: str) -> bytes:
    """What is counted as one client: an IPv4 address, or an IPv6 /64; empty: it is no address."""
    octets = packed(address)
    return octets[:IPV6_SITE] if len(octets) == 16 else octets


def within(address: str, networks: "Sequence[str]") -> bool:
    """Whether an address is in one of ``networks``, which a setting of the kind Networks has checked."""
    octets = packed(address)
    return bool(octets) and any(_in(octets, word) for word in networks)


def _in(octets: bytes, network: str) -> bool:
    base, slash, length = network.partition("/")
    start = _octets(base)
    if len(start) != len(octets):
        return False
    free = 0
    if slash and length.isdigit():
        free = 8 * len(octets) - int(length)
    elif slash:
        mask = int.from_bytes(_socket.inet_aton(length), "big")
        if mask and not mask >> 31:  # 0.0.0.255: the bits that are free
            mask ^= 0xFFFFFFFF
        free = 32 - mask.bit_count()
    return int.from_bytes(octets, "big") >> free == int.from_bytes(start, "big") >> free
