"""The PROXY protocol, versions 1 and 2, as haproxy's doc/proxy-protocol.txt has it: who a connection really is from.

A peer in proxy.networks must send a header before anything else, whole within proxy.timeout; nobody else may.  The
header is read to its last octet and not one further: what follows it belongs to TLS or to the dialogue.

UNKNOWN, LOCAL and families that are no TCP leave the real addresses, as the specification has it; the connection
counts as passed on all the same, so that nothing that comes through a proxy is taken for a client of this host.
"""

import time

from qpopper_py.errors import PeerGone

TYPE_CHECKING = False
if TYPE_CHECKING:
    import _socket
    from collections.abc import Callable, Sequence
    from ipaddress import IPv4Network, IPv6Network

    from qpopper_py.facts import Facts
    from qpopper_py.settings import Settings

SIGNATURE = b"\r\n\r\n\0\r\nQUIT\n"
FIRST = len(SIGNATURE)  # octets that tell the versions apart; a header of version 1 has 15 at least
LINE = 107  # octets of the longest header of version 1, with its CRLF
BLOCK = 4096  # octets behind the fixed part of version 2; the specification keeps a header below a TCP segment
LOCAL, PROXY = 0x20, 0x21
SIZES = {0x11: 4, 0x21: 16}  # octets of an address, by family and transport: TCP over IPv4, over IPv6
SSL, SSL_USED = 0x20, 0x01  # PP2_TYPE_SSL, and the bit of its first octet that says that the client came by TLS


class BadHeader(PeerGone):
    """No header, or a wrong one; the text says what about it, and holds none of it."""


class Header:
    """What a header says.  ``source`` is empty where the real addresses hold."""

    __slots__ = ("destination", "destination_port", "encrypted", "source", "source_port")

    def __init__(
        self, source: str = "", source_port: int = 0, destination: str = "", destination_port: int = 0
    ) -> None:
        self.source = source
        self.source_port = source_port
        self.destination = destination
        self.destination_port = destination_port
        self.encrypted = False  # the client came to the proxy by TLS


class Senders:
    """Who passes connections on: the ``networks`` of the setting."""

    __slots__ = ("_networks",)

    def __init__(self, networks: "Sequence[str]") -> None:
        self._networks: list[IPv4Network | IPv6Network] = []
        if networks:
            import ipaddress

            self._networks = [ipaddress.ip_network(word, strict=False) for word in networks]

    def hold(self, address: str) -> bool:
        """Whether ``address``, an IPv4 one by its own form, is in one of the networks."""
        if not self._networks or not address:
            return False
        import ipaddress

        found = ipaddress.ip_address(address.partition("%")[0])
        return any(found in network for network in self._networks)


def introduce(sock: "_socket.socket", facts: "Facts", settings: "Settings") -> None:
    """Read the header, if the peer is one that sends it, and set ``facts`` by it.  Raises BadHeader."""
    if not Senders(settings.proxy_networks).hold(facts.peer):
        return
    header = read(sock, settings.proxy_timeout)
    facts.proxy = facts.peer
    if header.source:
        facts.peer, facts.peer_port = header.source, header.source_port
        facts.local, facts.local_port = header.destination, header.destination_port
    if header.encrypted and settings.proxy_tls:
        facts.secure = True


def read(sock: "_socket.socket", seconds: float, clock: "Callable[[], float]" = time.monotonic) -> Header:
    """The header at the beginning of ``sock``.  Raises BadHeader."""
    source = _Source(sock, clock() + seconds, clock)
    start = source.take(FIRST, SIGNATURE, b"PROXY ")
    if start == SIGNATURE:
        head = source.take(4)
        length = int.from_bytes(head[2:], "big")
        if length > BLOCK:
            raise BadHeader(f"a header of {length} octets")
        return binary(head[0], head[1], source.take(length))
    while not start.endswith(b"\r\n"):
        if len(start) >= LINE:
            raise BadHeader(f"a line of more than {LINE} octets")
        start += source.take(1)
    return text(start[:-2])


class _Source:
    """Octets of the connection under a deadline, exactly as many as are asked for."""

    def __init__(self, sock: "_socket.socket", deadline: float, clock: "Callable[[], float]") -> None:
        self._sock = sock
        self._deadline = deadline
        self._clock = clock

    def take(self, count: int, *beginnings: bytes) -> bytes:
        """``count`` octets, which must begin as one of ``beginnings`` if there are any."""
        import select

        poll = select.poll()
        poll.register(self._sock.fileno(), select.POLLIN)
        got = b""
        while len(got) < count:
            left = self._deadline - self._clock()
            if left <= 0 or not poll.poll(left * 1000):
                raise BadHeader("not whole in time")
            try:
                piece = self._sock.recv(count - len(got))
            except OSError as why:
                raise BadHeader(str(why.strerror)) from None
            if not piece:
                raise BadHeader("the connection was closed in mid-header")
            got += piece
            if beginnings and not any(got[: len(one)] == one[: len(got)] for one in beginnings):
                raise BadHeader("something else came first")
        return got


def text(line: bytes) -> Header:
    """Version 1, without its CRLF.  Raises BadHeader."""
    if b"\r" in line or b"\n" in line or b"\0" in line:
        raise BadHeader("a control character in the line")
    words = line.split(b" ")
    if words[:2] == [b"PROXY", b"UNKNOWN"]:
        return Header()
    if len(words) != 6 or words[0] != b"PROXY" or words[1] not in (b"TCP4", b"TCP6"):
        raise BadHeader("a line of another form")
    size = 4 if words[1] == b"TCP4" else 16
    return Header(_spelled(words[2], size), _port(words[4]), _spelled(words[3], size), _port(words[5]))


def _spelled(word: bytes, size: int) -> str:
    """An address of version 1 in our spelling.  inet_pton(3) takes nothing but the usual forms."""
    import _socket

    try:
        family = _socket.AF_INET if size == 4 else _socket.AF_INET6
        return _address(_socket.inet_pton(family, word.decode("ascii")))
    except (OSError, ValueError):
        raise BadHeader("an address of another form") from None


def _port(word: bytes) -> int:
    if not word.isdigit() or len(word) > 5 or (word[:1] == b"0" and word != b"0") or int(word) > 65535:
        raise BadHeader("a port of another form")
    return int(word)


def _address(octets: bytes) -> str:
    """In the usual form; an IPv4 address within IPv6 by its own."""
    import _socket

    if len(octets) == 16 and octets.startswith(bytes(10) + b"\xff\xff"):
        octets = octets[12:]
    return _socket.inet_ntop(_socket.AF_INET if len(octets) == 4 else _socket.AF_INET6, octets)


def binary(command: int, family: int, block: bytes) -> Header:
    """Version 2: the 13th and 14th octet, and what the length counts.  Raises BadHeader."""
    if command == LOCAL:
        return Header()
    if command != PROXY:
        raise BadHeader("a version or command that there is not")
    if family >> 4 > 3 or family & 15 > 2:
        raise BadHeader("a family or transport that there is not")
    size = SIZES.get(family)
    if size is None:
        return Header()
    if len(block) < 2 * size + 4:
        raise BadHeader("addresses that are cut off")
    ports = block[2 * size : 2 * size + 4]
    header = Header(
        _address(block[:size]),
        int.from_bytes(ports[:2], "big"),
        _address(block[size : 2 * size]),
        int.from_bytes(ports[2:], "big"),
    )
    header.encrypted = _encrypted(block[2 * size + 4 :])
    return header


def _encrypted(vectors: bytes) -> bool:
    """Whether one of the type-length-value vectors says that the client came by TLS; the others are skipped."""
    found = False
    while vectors:
        end = 3 + int.from_bytes(vectors[1:3], "big")
        if len(vectors) < end:
            raise BadHeader("a vector that is cut off")
        if vectors[0] == SSL:
            if end < 3 + 5:  # flags, and four octets of the certificate's verdict
                raise BadHeader("a vector that is cut off")
            found = bool(vectors[3] & SSL_USED)
        vectors = vectors[end:]
    return found
