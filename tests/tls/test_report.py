"""What crosses from the TLS process, and that nothing else is believed."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from qpopper_py.facts import Tls
from qpopper_py.tls.report import packed, unpacked

GOOD = Tls("TLSv1.2", "ECDHE-RSA-AES128-GCM-SHA256", 128, "pop.example.org", b"\1\2", b"\3", "alice@example.org")


def values(facts: Tls) -> list[object]:
    return [getattr(facts, name) for name in Tls.__slots__]


def test_what_was_packed_comes_out() -> None:
    for facts in (GOOD, Tls("TLSv1.3")):
        assert values(unpacked(packed(facts))) == values(facts)


@given(st.text(max_size=40), st.binary(max_size=64), st.integers(0, 9999))
def test_names_and_octets_of_any_kind_cross(name: str, data: bytes, bits: int) -> None:
    facts = Tls("TLSv1.3", "TLS_AES_256_GCM_SHA384", bits, "", data, data, name)
    assert values(unpacked(packed(facts))) == values(facts)


@pytest.mark.parametrize(
    "forged",
    [
        b"",
        b"\n" * 6,
        packed(GOOD) + b"\n",
        packed(GOOD).replace(b"TLSv1.2", b"SSLv3"),
        packed(GOOD).replace(b"TLSv1.2", b"TLSv1 \x1b"),
        packed(GOOD).replace(b"128\n", b"-1\n"),
        packed(GOOD).replace(b"128\n", b"99999\n"),
        packed(GOOD).replace(b"0102", b"xx"),
        packed(Tls("TLSv1.3", certificate="x" * 600)),
        packed(GOOD).replace(b"0102", "日".encode()),
    ],
)
def test_a_forged_report_is_refused(forged: bytes) -> None:
    with pytest.raises(ValueError):
        unpacked(forged)


@given(st.binary(max_size=300))
def test_no_octets_do_more_than_be_refused(data: bytes) -> None:
    try:
        unpacked(data)
    except ValueError:
        pass
