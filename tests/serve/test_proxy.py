"""The PROXY header, by haproxy's doc/proxy-protocol.txt: examples, limits and refusals are that text's (section 2)."""

from __future__ import annotations

import socket
import struct
import threading
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from qpopper_py.facts import Facts
from qpopper_py.serve import proxy
from qpopper_py.settings import Settings
from tests.harness import Server, open_folder

if TYPE_CHECKING:
    from collections.abc import Iterator

SIGNATURE = b"\x0d\x0a\x0d\x0a\x00\x0d\x0a\x51\x55\x49\x54\x0a"
NEXT = b"USER alice\r\n"
REAL = ("203.0.113.9", 40000, "203.0.113.10", 110)


def v2(command: int = 0x21, family: int = 0x11, block: bytes = b"", length: int | None = None) -> bytes:
    return SIGNATURE + struct.pack("!BBH", command, family, len(block) if length is None else length) + block


def tcp4(
    source: str = "192.168.0.1", destination: str = "192.168.0.11", ports: tuple[int, int] = (56324, 443)
) -> bytes:
    return socket.inet_aton(source) + socket.inet_aton(destination) + struct.pack("!HH", *ports)


def tcp6(source: str, destination: str, ports: tuple[int, int]) -> bytes:
    return b"".join(socket.inet_pton(socket.AF_INET6, one) for one in (source, destination)) + struct.pack(
        "!HH", *ports
    )


def vector(kind: int, value: bytes) -> bytes:
    return struct.pack("!BH", kind, len(value)) + value


SSL = vector(0x20, b"\x01\0\0\0\0" + vector(0x21, b"TLSv1.3"))


class Clock:
    """Runs ``step`` seconds at each look."""

    def __init__(self, step: float = 0.0) -> None:
        self.step = step
        self.now = 0.0

    def __call__(self) -> float:
        self.now += self.step
        return self.now


def introduced(sent: bytes, *, peer: str = REAL[0], believe: bool = False, stays: bool = False) -> tuple[Facts, bytes]:
    """The facts after ``sent`` and then NEXT, and what was left unread."""
    settings = Settings([("test", {"proxy.networks": "203.0.113.0/24", "proxy.tls": believe, "proxy.timeout": 60})])
    ours, theirs = socket.socketpair()
    with ours, theirs:
        ours.sendall(sent + (NEXT if not stays else b""))
        facts = Facts("s", peer, *REAL[1:])
        if not stays:
            ours.shutdown(socket.SHUT_WR)
        proxy.introduce(theirs, facts, settings)
        return facts, theirs.recv(65536)


def ends(facts: Facts) -> tuple[str, int, str, int]:
    return facts.peer, facts.peer_port, facts.local, facts.local_port


@pytest.mark.parametrize(
    ("header", "found"),
    [
        (b"PROXY TCP4 192.168.0.1 192.168.0.11 56324 443\r\n", ("192.168.0.1", 56324, "192.168.0.11", 443)),
        (b"PROXY TCP4 255.255.255.255 255.255.255.255 65535 65535\r\n", ("255.255.255.255", 65535) * 2),
        (b"PROXY TCP6 2001:db8::1 2001:DB8:0:0::2 0 110\r\n", ("2001:db8::1", 0, "2001:db8::2", 110)),
        (b"PROXY TCP6 " + b"ffff:" * 7 + b"ffff " + b"ffff:" * 7 + b"ffff 65535 65535\r\n", None),
        (b"PROXY TCP6 ::ffff:192.0.2.1 ::1 1 2\r\n", ("192.0.2.1", 1, "::1", 2)),
        (b"PROXY UNKNOWN\r\n", REAL),
        (b"PROXY UNKNOWN " + b"ffff:" * 7 + b"ffff " + b"ffff:" * 7 + b"ffff 65535 65535\r\n", REAL),
        (v2(block=tcp4()), ("192.168.0.1", 56324, "192.168.0.11", 443)),
        (v2(block=tcp4() + vector(4, b"") + vector(0xE0, b"x" * 300)), ("192.168.0.1", 56324, "192.168.0.11", 443)),
        (v2(family=0x21, block=tcp6("2001:db8::1", "::1", (1, 2))), ("2001:db8::1", 1, "::1", 2)),
        (v2(family=0x21, block=tcp6("::ffff:192.0.2.1", "::1", (1, 2))), ("192.0.2.1", 1, "::1", 2)),
        (v2(command=0x20, family=0x00), REAL),
        (v2(command=0x20, family=0x11, block=tcp4()), REAL),
        (v2(command=0x20, family=0xFF, block=b"discarded"), REAL),
        (v2(family=0x00, block=b"anything"), REAL),
        (v2(family=0x12, block=tcp4()), REAL),
        (v2(family=0x31, block=b"/" * 216), REAL),
    ],
)
def test_the_client_is_who_the_header_says_and_not_an_octet_more_is_read(
    header: bytes, found: tuple[str, int, str, int] | None
) -> None:
    facts, left = introduced(header)
    assert left == NEXT
    assert facts.proxy == REAL[0]
    if found:
        assert ends(facts) == found


@pytest.mark.parametrize(
    "header",
    [
        NEXT,
        b"GET / HTTP/1.0\r\n\r\n",
        b"PROXY\r\n",
        b"PROXY TCP4\r\n",
        b"proxy TCP4 192.168.0.1 192.168.0.11 56324 443\r\n",
        b"PROXY  TCP4 192.168.0.1 192.168.0.11 56324 443\r\n",
        b"PROXY TCP4 192.168.0.1 192.168.0.11 56324 443 \r\n",
        b"PROXY TCP4 192.168.0.1 192.168.0.11 56324\r\n",
        b"PROXY TCP4 192.168.0.1 192.168.0.11 56324 443 1\r\n",
        b"PROXY TCP4 192.168.0.1 192.168.0.11 56324 443\n",
        b"PROXY TCP4 192.168.0.1 192.168.0.11 56324 443\rUSER",
        b"PROXY TCP4 192.168.0.1 192.168.0.11 56324 65536\r\n",
        b"PROXY TCP4 192.168.0.1 192.168.0.11 -1 443\r\n",
        b"PROXY TCP4 192.168.0.1 192.168.0.11 01 443\r\n",
        "PROXY TCP4 192.168.0.1 192.168.0.11 ٣ 443\r\n".encode(),
        b"PROXY TCP4 192.168.0.256 192.168.0.11 56324 443\r\n",
        b"PROXY TCP4 192.168.1 192.168.0.11 56324 443\r\n",
        b"PROXY TCP4 ::1 ::1 56324 443\r\n",
        b"PROXY TCP6 192.168.0.1 192.168.0.11 56324 443\r\n",
        b"PROXY TCP6 fe80::1%eth0 ::1 56324 443\r\n",
        b"PROXY TCP4 \xff 192.168.0.11 56324 443\r\n",
        b"PROXY TCP4 192.168.0.1\0 192.168.0.11 56324 443\r\n",
        b"PROXY UDP4 192.168.0.1 192.168.0.11 56324 443\r\n",
        b"PROXY UNKNOWN " + b"x" * 94 + b"\r\n",
        b"PROXY UNKNOWNX\r\n",
        v2(command=0x11, block=tcp4()),
        v2(command=0x22, block=tcp4()),
        v2(family=0x41, block=tcp4()),
        v2(family=0x13, block=tcp4()),
        v2(family=0x11, block=tcp4()[:-1]),
        v2(family=0x21, block=tcp4()),
        v2(block=tcp4() + b"\x04\x00"),
        v2(block=tcp4() + struct.pack("!BH", 4, 9) + b"x"),
        v2(block=tcp4() + vector(0x20, b"\x01")),
        v2(block=tcp4() + b"\x04\0\0" * 2000),
        v2(length=0xFFFF, block=tcp4()),
        SIGNATURE[:-1] + b"\x0d" + v2(block=tcp4())[12:],
    ],
)
def test_what_does_not_exactly_match_ends_the_connection(header: bytes) -> None:
    with pytest.raises(proxy.BadHeader):
        introduced(header)


@pytest.mark.parametrize("whole", [b"PROXY TCP4 192.168.0.1 192.168.0.11 56324 443\r\n", v2(block=tcp4() + SSL)])
def test_a_header_that_is_cut_off_anywhere_is_none(whole: bytes) -> None:
    for length in range(len(whole)):
        ours, theirs = socket.socketpair()
        with ours, theirs:
            ours.sendall(whole[:length])
            ours.shutdown(socket.SHUT_WR)
            with pytest.raises(proxy.BadHeader, match="mid-header"):
                proxy.read(theirs, 60)


@given(st.integers(1, 20), st.sampled_from([b"PROXY TCP4 1.2.3.4 5.6.7.8 9 10\r\n", v2(block=tcp4() + SSL)]))
def test_a_header_in_pieces_is_one_header(size: int, header: bytes) -> None:
    ours, theirs = socket.socketpair()

    def dribble() -> None:
        for at in range(0, len(header), size):
            ours.sendall(header[at : at + size])
        ours.sendall(NEXT)

    sender = threading.Thread(target=dribble)
    with ours, theirs:
        sender.start()
        assert proxy.read(theirs, 60).source
        sender.join()
        assert theirs.recv(100) == NEXT


@given(st.binary(max_size=200))
def test_no_octets_do_worse_than_end_the_connection(data: bytes) -> None:
    ours, theirs = socket.socketpair()
    with ours, theirs:
        ours.sendall(data)
        ours.shutdown(socket.SHUT_WR)
        with pytest.raises(proxy.BadHeader):
            proxy.read(theirs, 60)


@given(st.integers(0, 255), st.integers(0, 255), st.binary(max_size=300))
def test_no_block_of_version_2_does_worse_than_end_the_connection(command: int, family: int, block: bytes) -> None:
    try:
        header = proxy.binary(command, family, block)
    except proxy.BadHeader:
        return
    assert not header.source or (command, family) in ((0x21, 0x11), (0x21, 0x21))


def test_a_proxy_that_says_an_octet_a_minute_is_given_up() -> None:
    """The deadline holds for the header as a whole, though there is always one more octet: a minute at each look."""
    ours, theirs = socket.socketpair()
    with ours, theirs:
        ours.sendall(b"PROXY UNKNOWN\r\n")
        with pytest.raises(proxy.BadHeader, match="in time"):
            proxy.read(theirs, 150, Clock(60))
        assert theirs.recv(100), "some of the header was not waited for"


def test_one_who_is_no_proxy_is_not_asked_and_not_believed() -> None:
    header = b"PROXY TCP4 192.168.0.1 192.168.0.11 56324 443\r\n"
    facts, left = introduced(header, peer="198.51.100.1")
    assert (ends(facts), facts.proxy) == (("198.51.100.1", *REAL[1:]), "")
    assert left == header + NEXT


@pytest.mark.parametrize(
    ("vectors", "believe", "secure"),
    [
        (SSL, True, True),
        (SSL, False, False),
        (vector(0x20, b"\x00\0\0\0\0"), True, False),
        (vector(0x20, b"\x06\0\0\0\0"), True, False),
        (vector(1, b"pop3") + SSL, True, True),
        (b"", True, False),
    ],
)
def test_tls_in_front_of_the_proxy_counts_where_the_setting_says_so(
    vectors: bytes, believe: bool, secure: bool
) -> None:
    facts, _ = introduced(v2(block=tcp4() + vectors), believe=believe)
    assert facts.secure is facts.private is secure


@pytest.mark.parametrize("header", [b"PROXY TCP4 127.0.0.1 127.0.0.1 1 2\r\n", b"PROXY UNKNOWN\r\n", v2(command=0x20)])
def test_who_comes_through_a_proxy_is_never_of_this_host(header: bytes) -> None:
    settings = Settings([("test", {"proxy.networks": "127.0.0.1"})])
    ours, theirs = socket.socketpair()
    with ours, theirs:
        ours.sendall(header)
        facts = Facts("s", "127.0.0.1", 1, "127.0.0.1", 2)
        assert facts.same_host
        proxy.introduce(theirs, facts, settings)
        assert not facts.same_host


# --------------------------------------------------------------------------------------------------------------
# Through a real server


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    settings = {
        "proxy.networks": "127.0.0.0/8",
        "proxy.timeout": 1,
        "limits.sessions_address": 2,
        "auth.refusal_delay": 0,
    }
    with open_folder() as folder, Server(folder, settings=settings) as running:
        running.fill("alice", [])
        yield running


def through(server: Server, header: bytes) -> socket.socket:
    sock = socket.create_connection((server.host, server.port), 60)
    sock.sendall(header)
    return sock


def test_the_log_knows_the_client_and_not_the_proxy(server: Server) -> None:
    with server.dialogue() as line:
        line.sock.sendall(b"PROXY TCP4 192.0.2.77 192.0.2.1 4000 110\r\n")
        assert line.login().startswith(b"+OK")
        assert line.ask("QUIT").startswith(b"+OK")
    server.log.wait_for(r'POP login by user "alice" at \(192\.0\.2\.77\) 192\.0\.2\.77:')


@pytest.mark.parametrize("first", [NEXT, b"PROXY TCP4 192.0.2.77 192.0.2.1 4000\r\n", b""])
def test_a_connection_without_its_header_ends_without_a_word(server: Server, first: bytes) -> None:
    with through(server, first) as sock:
        try:
            assert sock.recv(100) == b""
        except ConnectionResetError:
            pass
    server.log.wait_for(r"Warning: no PROXY header from 127\.0\.0\.1 \(proxy\.networks\): ")


def test_what_comes_with_the_header_in_one_packet_is_the_dialogue(server: Server) -> None:
    with through(server, v2(block=tcp4("192.0.2.78")) + b"CAPA\r\nQUIT\r\n") as sock, sock.makefile("rb") as file:
        said = file.read()
    assert said.startswith(b"+OK ")
    assert b"\r\n.\r\n+OK " in said


def test_a_client_behind_the_proxy_has_the_share_of_a_source(server: Server) -> None:
    header = b"PROXY TCP6 2001:db8::%d 2001:db8::ffff 4000 110\r\n"
    with through(server, header % 1) as first, through(server, header % 2) as second:
        assert (first.recv(4), second.recv(4)) == (b"+OK ", b"+OK ")
        with through(server, header % 3) as third:
            assert third.recv(4) == b"", "the third of one network of 64 bits"
    server.log.wait_for(r"2001:db8::3: per source limit reached: 2 \(limits\.sessions_address\)")
