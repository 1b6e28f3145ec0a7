"""--check-config on TLS, and what is open to the world."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest

from qpopper_py.personality.check_tls import tls
from qpopper_py.personality.exposure import dangers
from qpopper_py.settings import Settings
from tests.certificates import Authority, openssl, settings_of

if TYPE_CHECKING:
    from pathlib import Path

    from tests.certificates import Pair


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    return Authority(tmp_path)


def said(pair: Pair | None = None, **more: object) -> list[str]:
    named = {name.replace("__", "."): value for name, value in more.items()}
    files = {name: str(path) for name, path in settings_of(pair).items()} if pair else {}
    return [str(finding) for finding in tls(Settings([("test", {**files, **named})]), os.geteuid())]


def test_nothing_is_said_of_a_good_certificate_nor_of_none(authority: Authority) -> None:
    assert said(authority.sign("server")) == []
    assert said() == []


def test_a_certificate_that_runs_out_is_a_hint_and_one_that_has_an_error(authority: Authority) -> None:
    pair = authority.sign("server", days=3)
    assert said(pair) == [f"hint: tls.certificate: {pair.certificate} runs out in 2 days; renew it"]


def test_a_key_that_others_can_read_is_an_error(authority: Authority) -> None:
    pair = authority.sign("server")
    pair.key.chmod(0o644)
    assert said(pair) == [f"error: tls.key: others can read or change {pair.key}; run: chmod o=,g-w {pair.key}"]


def test_a_passphrase_that_others_can_read_or_that_is_wrong_is_an_error(authority: Authority, tmp_path: Path) -> None:
    pair = authority.sign("server")
    locked, words = tmp_path / "locked.key", tmp_path / "words"
    openssl("pkey", "-in", pair.key, "-aes128", "-passout", "pass:hush hush", "-out", locked)
    locked.replace(pair.key)
    pair.key.chmod(0o600)
    words.write_text("hush hush\n")
    words.chmod(0o640)
    assert said(pair, tls__passphrase_file=str(words)) == []
    words.chmod(0o644)
    others = f"error: tls.passphrase_file: others can read or change {words}; run: chmod o=,g-w {words}"
    assert said(pair, tls__passphrase_file=str(words)) == [others]
    words.write_text("hash hash\n")
    wrong, *more = said(pair, tls__passphrase_file=str(words))
    assert f"with {pair.key}: the passphrase in {words} does not open it" in wrong
    assert more == [others]
    assert "h hash" not in wrong


def test_the_key_of_another_certificate_is_an_error(authority: Authority) -> None:
    pair, other = authority.sign("server"), authority.sign("other")
    pair.key.write_bytes(other.key.read_bytes())
    assert any("the key is not this certificate's" in line for line in said(pair))


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"tls__mode": "implicit"}, "error: tls.certificate: it is empty, but TLS is to begin with the first octet"),
        ({"listen": ":995,tls=implicit"}, "error: tls.certificate: it is empty, but TLS is to begin"),
        ({"tls__key": "/a"}, "error: tls.certificate: it is empty, so the other settings of tls do nothing"),
        ({"auth__cleartext": "tls"}, "hint: auth.cleartext: tls, but tls.certificate is empty"),
    ],
)
def test_what_needs_a_certificate_is_named(changes: dict[str, object], words: str) -> None:
    assert [line for line in said(None, **changes) if line.startswith(words)]


@pytest.mark.parametrize(
    ("where", "open_to_all"),
    [
        ("*:110", True),
        ("[2a00:1450::1]:110", True),
        ("8.8.8.8:110", True),
        ("pop.example.org:110", True),
        ("127.0.0.1:110", False),
        ("[::1]:110", False),
        ("10.0.0.1:110", False),
        ("localhost:110", False),
        ("*:995,tls=implicit", False),
        ("*:110,cleartext=tls", False),
    ],
)
def test_passwords_in_the_clear_on_public_addresses_are_warned_of(where: str, open_to_all: bool) -> None:
    lines = list(dangers(Settings([("test", {"listen": where})])))
    assert [line.startswith("auth.cleartext: always, and ") for line in lines] == [True] * open_to_all


def test_old_versions_of_tls_are_warned_of_by_listener() -> None:
    settings = Settings([("test", {"listen": "[::1]:110,minimum=1.0 , [::1]:111", "tls.certificate": "/a"})])
    assert list(dangers(settings)) == ["tls.minimum: [::1]:110 speaks TLS 1.0, which is no longer safe"]
