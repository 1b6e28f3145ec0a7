"""Keys with a passphrase, as openssl makes them: PKCS#8, and the forms that were before it."""

from __future__ import annotations

import os
import ssl
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from qpopper_py.errors import ConfigurationError
from qpopper_py.settings import Settings
from qpopper_py.tls.context import Server
from qpopper_py.tls.files import Files
from qpopper_py.tls.passphrase import told
from tests.certificates import Authority, Pair, openssl, settings_of
from tests.guard import GUARD

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.client("openssl")

WORDS = "horse; battery # staple"
WRONG = "another's words"
FORMS = {
    "pkcs8": ("pkcs8", "-topk8"),
    "pkcs8-scrypt": ("pkcs8", "-topk8", "-scrypt"),
    "rsa-aes": ("rsa", "-traditional", "-aes256"),
    "rsa-des3": ("rsa", "-traditional", "-des3"),
    "ec-aes": ("ec", "-aes128"),
}


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("passphrase"))


@pytest.fixture(scope="module")
def locked(authority: Authority) -> Pair:
    """A pair whose key is PKCS#8 under WORDS."""
    return lock(authority.sign("locked"), "pkcs8")


@pytest.fixture
def secret(tmp_path: Path) -> Path:
    GUARD.secret(WORDS.encode())
    path = tmp_path / "passphrase"
    path.touch(0o600)
    path.write_text(WORDS + "\n")
    return path


def lock(pair: Pair, form: str, words: str = WORDS) -> Pair:
    """Put the key of ``pair`` under a passphrase."""
    made = pair.key.with_suffix(".locked")
    command, *options = FORMS[form]
    openssl(command, *options, "-in", pair.key, "-passout", f"pass:{words}", "-out", made)
    assert b"ENCRYPTED" in made.read_bytes()
    os.replace(made, pair.key)
    pair.key.chmod(0o600)
    return pair


def settings(pair: Pair, secret: Path | None = None, **more: object) -> Settings:
    named = {name: str(path) for name, path in settings_of(pair).items()}
    named |= {"tls.passphrase_file": str(secret)} if secret else {}
    return Settings([("test", {**named, **more})])


def words_of(wanted: Settings) -> str:
    with pytest.raises(ConfigurationError) as why:
        Server(wanted, "1.2")
    assert WORDS not in str(why.value)
    assert WRONG not in str(why.value)
    return str(why.value)


@pytest.mark.parametrize("form", FORMS)
def test_a_key_of_every_form_is_opened(authority: Authority, secret: Path, form: str) -> None:
    pair = lock(authority.sign(form, kind="ec" if form.startswith("ec") else "rsa"), form)
    server = Server(settings(pair, secret), "1.2")
    assert isinstance(server.context, ssl.SSLContext)
    assert words_of(settings(pair)).startswith(f"tls.certificate: {pair.certificate}: its key has a passphrase; write")


def test_certificate_and_key_may_be_in_one_file(locked: Pair, secret: Path, tmp_path: Path) -> None:
    both = tmp_path / "both.pem"
    both.write_bytes(locked.certificate.read_bytes() + locked.key.read_bytes())
    wanted = Settings([("test", {"tls.certificate": str(both), "tls.passphrase_file": str(secret)})])
    assert Server(wanted, "1.2").end_points


def test_the_keys_of_other_names_are_opened_too(authority: Authority, locked: Pair, secret: Path) -> None:
    other = lock(authority.sign("other", "DNS:other.example.org", kind="rsa"), "rsa-aes")
    name = {"other.example.org": {"certificate": str(other.certificate), "key": str(other.key)}}
    wanted = settings(locked, secret, **{"tls.sni": name})
    assert Server(wanted, "1.2").made("tls.sni", str(other.certificate), str(other.key))


def test_a_key_without_a_passphrase_asks_for_none(authority: Authority, secret: Path) -> None:
    secret.write_text("")
    assert Server(settings(authority.sign("open"), secret), "1.2").end_points


@pytest.mark.parametrize("form", ["pkcs8", "rsa-aes"])
def test_a_wrong_passphrase_is_told_with_both_files(authority: Authority, secret: Path, form: str) -> None:
    pair = lock(authority.sign("wrong", kind="rsa"), form)
    secret.write_text(WRONG + "\n" + WORDS + "\n")
    said = words_of(settings(pair, secret))
    assert said.startswith(f"tls.certificate: {pair.certificate} with {pair.key}: the passphrase in {secret} does not")
    assert said.endswith("; write the right one there")


def test_the_key_of_another_certificate_is_not_told_as_a_wrong_passphrase(
    authority: Authority, locked: Pair, secret: Path
) -> None:
    other = authority.sign("stranger")
    other.key.write_bytes(locked.key.read_bytes())
    assert "the key is not this certificate's" in words_of(settings(other, secret))


@pytest.mark.parametrize("contents", [b"", b"\n" + WORDS.encode(), b"\r\n", b"x" * 1025])
def test_a_file_that_holds_none_is_told(locked: Pair, secret: Path, contents: bytes) -> None:
    secret.write_bytes(contents)
    assert words_of(settings(locked, secret)) == (
        f"tls.passphrase_file: {secret}: has no passphrase of 1 to 1024 octets on its first line"
    )


def test_a_file_that_is_not_there_is_told(locked: Pair, secret: Path) -> None:
    secret.unlink()
    assert words_of(settings(locked, secret)) == f"tls.passphrase_file: {secret}: No such file or directory"


def test_copies_are_taken_of_it_and_those_in_force_stay_where_the_new_words_are_wrong(
    locked: Pair, secret: Path
) -> None:
    """As at SIGHUP: what was good goes on, whatever lies there now."""
    files = Files()
    wanted = settings(locked, secret)
    try:
        files.read(wanted)
        secret.write_text(WRONG + "\n")
        with pytest.raises(ConfigurationError, match=r"the passphrase in .* does not open it"):
            files.read(wanted)
        secret.unlink()
        with pytest.raises(ConfigurationError, match="No such file"):
            files.read(wanted)
        assert Server(wanted, "1.2", files.place).end_points
    finally:
        files.close()


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (b"words\n", b"words"),
        (b"two words \r\nmore\n", b"two words "),
        (b"no end of line", b"no end of line"),
        (b"caf\xe9\n", b"caf\xe9"),
        (b"", b""),
        (b'# Qpopper\nset tls-support = stls\nset tls-passphrase = "two words" # here\n', b"two words"),
        (b"SET TLS-Passphrase=words\n", b"words"),
        (b"set tls-passphrase = a#b\nset debug\n", b"a#b"),
        (b"set tls-passphrase = one\nset tls-passphrase = 'two'\n", b"two"),
        (b"# set tls-passphrase = one\n", b"# set tls-passphrase = one"),
    ],
)
def test_it_is_the_first_line_or_what_qpopper_s_file_says(text: bytes, said: bytes) -> None:
    assert told(text) == said


@given(st.binary(max_size=200))
def test_whatever_the_file_holds_is_some_passphrase(text: bytes) -> None:
    assert b"\n" not in told(text)
