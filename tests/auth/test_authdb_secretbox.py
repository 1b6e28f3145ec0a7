"""AES-256-GCM and its key: published vectors, another implementation as judge, and no trust in what is not ours."""

from __future__ import annotations

import ctypes
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from qpopper_py.auth import secretbox
from qpopper_py.auth.secretbox import SecretBox, make_key, read_key
from qpopper_py.errors import CredentialStoreError, MissingLibrary

KEY = bytes(range(32))

# McGrew and Viega, "The Galois/Counter Mode of Operation", appendix B, test cases 13 to 16 (256-bit keys).
LONG_KEY = "feffe9928665731c6d6a8f9467308308" * 2
LONG_PLAIN = (
    "d9313225f88406e5a55909c5aff5269a86a7a9531534f7da2e4c303d8a318a72"
    "1c3c0c95956809532fcf0e2449a6b525b16aedf5aa0de657ba637b391aafd255"
)
LONG_CIPHER = (
    "522dc1f099567d07f47f37a32a84427d643a8cdcbfe5c0c97598a2bd2555d1aa"
    "8cb08e48590dbb3da7b08b1056828838c5f61e6393ba7a0abcc9f662898015ad"
)
VECTORS = {
    "13": ("00" * 32, "00" * 12, "", "", "", "530f8afbc74536b9a963b4f1c4cb738b"),
    "14": (
        "00" * 32,
        "00" * 12,
        "00" * 16,
        "",
        "cea7403d4d606b6e074ec5d3baf39d18",
        "d0d1c8a799996bf0265b98b5d48ab919",
    ),
    "15": (LONG_KEY, "cafebabefacedbaddecaf888", LONG_PLAIN, "", LONG_CIPHER, "b094dac5d93471bdec1a502270e3cc6c"),
    "16": (
        LONG_KEY,
        "cafebabefacedbaddecaf888",
        LONG_PLAIN[:-8],
        "feedfacedeadbeeffeedfacedeadbeefabaddad2",
        LONG_CIPHER[:-8],
        "76fc6ece0f4e1768cddf8853bb2d551b",
    ),
}


@pytest.mark.parametrize("case", VECTORS)
def test_the_published_vectors_of_gcm_hold_both_ways(case: str) -> None:
    key, nonce, plain, bound, cipher, tag = map(bytes.fromhex, VECTORS[case])
    lib = secretbox.libcrypto()
    assert secretbox.encrypt(lib, key, nonce, plain, bound) == cipher + tag
    assert secretbox.decrypt(lib, key, nonce, cipher + tag, bound) == plain


@settings(max_examples=50)
@given(plain=st.binary(max_size=300), bound=st.binary(max_size=50))
def test_what_was_sealed_opens(plain: bytes, bound: bytes) -> None:
    box = SecretBox(KEY)
    assert box.open(box.seal(plain, bound), bound) == plain


def test_a_change_of_any_bit_is_found() -> None:
    box = SecretBox(KEY)
    sealed = box.seal(b"tanstaaf", b"alice")
    for at in range(len(sealed) * 8):
        altered = bytearray(sealed)
        altered[at // 8] ^= 1 << at % 8
        with pytest.raises(CredentialStoreError):
            box.open(bytes(altered), b"alice")


@pytest.mark.parametrize("octets", range(29 + 8))
def test_a_sealed_secret_that_was_cut_off_does_not_open(octets: int) -> None:
    box = SecretBox(KEY)
    with pytest.raises(CredentialStoreError):
        box.open(box.seal(b"tanstaaf", b"alice")[:octets], b"alice")


def test_a_sealed_secret_opens_only_for_whom_it_was_sealed_and_by_the_same_key() -> None:
    sealed = SecretBox(KEY).seal(b"tanstaaf", b"alice")
    with pytest.raises(CredentialStoreError):
        SecretBox(KEY).open(sealed, b"bob")
    with pytest.raises(CredentialStoreError):
        SecretBox(KEY[::-1]).open(sealed, b"alice")


def test_no_nonce_is_used_twice() -> None:
    box = SecretBox(KEY)
    assert len({box.seal(b"x", b"")[1:13] for _ in range(1000)}) == 1000


JUDGE = """
import sys
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
key, sealed, bound = map(bytes.fromhex, sys.argv[1:])
print(AESGCM(key).decrypt(sealed[1:13], sealed[13:], bound).hex())
"""


def test_the_cryptography_package_opens_what_we_seal() -> None:
    for python in (sys.executable, shutil.which("python3", path="/usr/bin") or ""):
        if python and subprocess.run([python, "-c", "import cryptography"], capture_output=True).returncode == 0:
            break
    else:
        pytest.skip("no Python here has the cryptography package")
    sealed = SecretBox(KEY).seal(b"tanstaaf", b"mailauth\0APOP\0alice")
    line = [python, "-c", JUDGE, KEY.hex(), sealed.hex(), b"mailauth\0APOP\0alice".hex()]
    assert bytes.fromhex(subprocess.run(line, capture_output=True, text=True, check=True).stdout) == b"tanstaaf"


def test_the_key_is_in_no_repr() -> None:
    assert KEY.hex() not in repr(SecretBox(KEY))
    assert repr(KEY) not in repr(SecretBox(KEY))


def test_without_openssl_the_text_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    def none(name: str) -> ctypes.CDLL:
        raise OSError(f"{name}: cannot open shared object file")

    monkeypatch.setattr(ctypes, "CDLL", none)
    with pytest.raises(MissingLibrary, match="install libssl3"):
        SecretBox(KEY)


def test_a_key_is_made_for_its_owner_alone(tmp_path: Path) -> None:
    path = tmp_path / "etc/keys/mailauth.key"
    make_key(str(path), "")
    assert path.stat().st_mode & 0o7777 == 0o600
    assert path.parent.stat().st_mode & 0o7777 == 0o700
    assert len(read_key(str(path), "")) == 32
    with pytest.raises(FileExistsError):
        make_key(str(path), "")


def test_two_keys_are_not_alike(tmp_path: Path) -> None:
    for name in "ab":
        make_key(str(tmp_path / name), "")
    assert read_key(str(tmp_path / "a"), "") != read_key(str(tmp_path / "b"), "")


@pytest.mark.parametrize("mode", [0o604, 0o640, 0o620, 0o602, 0o660, 0o666])
def test_a_key_that_others_can_read_or_write_is_refused(tmp_path: Path, mode: int) -> None:
    path = tmp_path / "key"
    make_key(str(path), "")
    path.chmod(mode)
    with pytest.raises(CredentialStoreError, match=f"{mode:04o}.*chmod 600"):
        read_key(str(path), "")


def test_a_key_of_mode_0400_is_trusted(tmp_path: Path) -> None:
    path = tmp_path / "key"
    make_key(str(path), "")
    path.chmod(0o400)
    assert len(read_key(str(path), "")) == 32


@pytest.mark.parametrize("octets", [0, 16, 31, 33, 64])
def test_a_key_of_another_size_is_refused(tmp_path: Path, octets: int) -> None:
    path = tmp_path / "key"
    path.write_bytes(bytes(octets))
    path.chmod(0o600)
    with pytest.raises(CredentialStoreError, match="exactly 32 octets"):
        read_key(str(path), "")


def test_a_missing_key_is_named_with_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(CredentialStoreError, match=r"key.* is missing.*backup"):
        read_key(str(tmp_path / "key"), "")


def test_a_fifo_in_place_of_the_key_does_not_hang(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "key", 0o600)
    with pytest.raises(CredentialStoreError, match="not a plain file"):
        read_key(str(tmp_path / "key"), "")


def test_a_key_in_a_folder_that_everybody_can_write_is_refused(tmp_path: Path) -> None:
    make_key(str(tmp_path / "keys/key"), "")
    (tmp_path / "keys").chmod(0o777)
    with pytest.raises(CredentialStoreError, match="chmod go-w"):
        read_key(str(tmp_path / "keys/key"), "")


@pytest.mark.root
def test_a_key_of_a_stranger_is_refused_and_one_of_the_owner_account_is_not(tmp_path: Path) -> None:
    make_key(str(tmp_path / "key"), "")
    os.chown(tmp_path / "key", 1, 1)  # daemon
    with pytest.raises(CredentialStoreError, match="belongs to uid 1"):
        read_key(str(tmp_path / "key"), "")
    assert len(read_key(str(tmp_path / "key"), "daemon")) == 32
