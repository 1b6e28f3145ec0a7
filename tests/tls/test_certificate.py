"""RFC 5929 section 4.1 and RFC 5280, with openssl as the judge."""

from __future__ import annotations

import hashlib
import time
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from qpopper_py.tls.certificate import end, end_point, first_of
from tests.certificates import Authority, openssl

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.client("openssl")


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("tls"))


def der(path: Path) -> bytes:
    return openssl("x509", "-in", path, "-outform", "DER")


@pytest.mark.parametrize(
    ("signed", "digest"),
    [
        ("sha1", "sha256"),  # MD5 and SHA-1 are replaced
        ("sha224", "sha224"),
        ("sha256", "sha256"),
        ("sha384", "sha384"),
        ("sha512", "sha512"),
    ],
)
@pytest.mark.parametrize("kind", ["ec", "rsa"])
def test_the_digest_is_that_of_the_signature(authority: Authority, kind: str, signed: str, digest: str) -> None:
    pair = authority.self_signed(f"{kind}-{signed}", kind, f"-{signed}")
    assert end_point(der(pair.certificate)) == hashlib.new(digest, der(pair.certificate)).digest()


def test_md5_is_replaced_too(authority: Authority) -> None:
    pair = authority.self_signed("md5", "rsa", "-md5")
    assert end_point(der(pair.certificate)) == hashlib.sha256(der(pair.certificate)).digest()


@pytest.mark.parametrize(("signed", "digest"), [("sha1", "sha256"), ("sha256", "sha256"), ("sha512", "sha512")])
def test_pss_names_its_digest_among_its_parameters(authority: Authority, signed: str, digest: str) -> None:
    pair = authority.self_signed(f"pss-{signed}", "pss", f"-{signed}")
    assert end_point(der(pair.certificate)) == hashlib.new(digest, der(pair.certificate)).digest()


def test_a_signature_without_a_digest_has_no_binding(authority: Authority) -> None:
    assert end_point(der(authority.self_signed("ed", "ed25519").certificate)) == b""


def test_the_first_certificate_of_a_chain_is_the_servers(authority: Authority) -> None:
    server = authority.sign("server")
    chain = server.certificate.read_text() + authority.file.read_text()
    assert first_of("text before\n" + chain) == der(server.certificate)


@pytest.mark.parametrize("days", [1, 400, 365 * 30])
def test_the_end_is_the_one_that_openssl_reads(authority: Authority, days: int) -> None:
    """To 2049 a time has two digits of year, later four (RFC 5280 section 4.1.2.5)."""
    before = time.time()
    pair = authority.sign(f"days-{days}", days=days)
    found = end(der(pair.certificate))
    assert before - 1 <= found - days * 86400 <= time.time() + 1


@pytest.mark.parametrize(
    "text", ["", "no PEM", "-----BEGIN CERTIFICATE-----\n", "-----BEGIN CERTIFICATE-----\n=\n-----END CERTIFICATE-----"]
)
def test_what_is_no_certificate_is_said_to_be_none(text: str) -> None:
    with pytest.raises(ValueError):
        end_point(first_of(text))


@given(st.binary(max_size=200))
def test_no_octets_crash_the_reader(data: bytes) -> None:
    for read in (end_point, end):
        try:
            read(data)
        except ValueError:
            pass


def test_a_certificate_that_is_cut_anywhere_is_none_or_has_what_is_read(authority: Authority) -> None:
    whole = der(authority.file)
    for length in range(len(whole)):
        with pytest.raises(ValueError):
            end_point(whole[:length])
