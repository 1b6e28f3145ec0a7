"""Addresses as octets, held against the standard library's ipaddress."""

from __future__ import annotations

import ipaddress

import pytest
from hypothesis import assume, example, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from qpopper_py.auth.addresses import origin, packed, within
from qpopper_py.settings import Settings


@pytest.mark.parametrize(
    ("address", "octets"),
    [
        ("192.0.2.7", bytes([192, 0, 2, 7])),
        ("::ffff:192.0.2.7", bytes([192, 0, 2, 7])),
        ("2001:db8::1", bytes.fromhex("20010db8000000000000000000000001")),
        ("fe80::1%eth0", bytes.fromhex("fe800000000000000000000000000001")),
        ("", b""),
        ("/run/pop3d.sock", b""),
        ("pop.example.org", b""),
        ("192.0.2.7\0", b""),
    ],
)
def test_an_address_is_its_octets(address: str, octets: bytes) -> None:
    assert packed(address) == octets


def test_an_ipv4_address_is_one_client_and_so_is_an_ipv6_network_of_64_bits() -> None:
    assert origin("192.0.2.7") != origin("192.0.2.8")
    assert origin("2001:db8:1:2::7") == origin("2001:db8:1:2:ffff::8")
    assert origin("2001:db8:1:2::7") != origin("2001:db8:1:3::7")
    assert origin("") == b""


addresses = st.one_of(st.ip_addresses(), st.ip_addresses(network="10.0.0.0/24"), st.ip_addresses(network="::/120"))
networks = st.one_of(
    addresses.map(str),
    st.tuples(st.ip_addresses(v=4), st.integers(0, 32)).map(lambda pair: f"{pair[0]}/{pair[1]}"),
    st.tuples(st.ip_addresses(v=6), st.integers(0, 128)).map(lambda pair: f"{pair[0]}/{pair[1]}"),
    st.tuples(st.ip_addresses(network="10.0.0.0/16"), st.integers(0, 32)).map(
        lambda pair: f"{pair[0]}/{ipaddress.ip_network(f'0.0.0.0/{pair[1]}').netmask}"
    ),
    st.tuples(st.ip_addresses(network="10.0.0.0/16"), st.integers(1, 31)).map(
        lambda pair: f"{pair[0]}/{ipaddress.ip_network(f'0.0.0.0/{pair[1]}').hostmask}"
    ),
)


@hypothesis_settings(max_examples=500)
@given(address=addresses, network=networks)
@example(address=ipaddress.ip_address("10.0.0.0"), network="::ffff:0.0.0.0/0")
def test_an_address_is_in_a_network_if_ipaddress_says_so(
    address: ipaddress.IPv4Address | ipaddress.IPv6Address, network: str
) -> None:
    assume(not (isinstance(address, ipaddress.IPv6Address) and address.ipv4_mapped))  # ours is the IPv4 address
    (word,) = Settings([("the test", {"guess.trusted": [network]})]).guess_trusted
    assert within(str(address), [word]) is (address in ipaddress.ip_network(network, strict=False))


@pytest.mark.parametrize(("address", "trusted"), [("127.0.0.1", True), ("127.9.9.9", True), ("::1", True)])
def test_the_loopback_is_trusted_by_default(address: str, trusted: bool) -> None:
    assert within(address, Settings().guess_trusted) is trusted


@pytest.mark.parametrize("address", ["", "192.0.2.1", "2001:db8::1", "::", "/run/x"])
def test_nobody_else_is(address: str) -> None:
    assert not within(address, Settings().guess_trusted)
