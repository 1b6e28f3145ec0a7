"""EXTERNAL (RFC 4422 appendix A): the name that the client's certificate gave."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from qpopper_py.auth.account import Account, Denied
from qpopper_py.auth.credentials import Challenge
from qpopper_py.auth.gate import Gate
from qpopper_py.facts import Facts, Tls

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from qpopper_py.settings import Settings


@pytest.fixture
def build(configure: Callable[..., Settings], tmp_path: Path) -> Callable[[str], Gate]:
    accounts = tmp_path / "accounts"
    accounts.write_text("alice:*:1234:1234::/home/alice::\n")
    accounts.chmod(0o600)
    return lambda sources: Gate(configure(accounts_file=str(accounts), auth_sources=sources), lambda event: None)


@pytest.fixture
def shown() -> Facts:
    return Facts("s1", tls=Tls("TLSv1.3", certificate="alice"))


@pytest.mark.parametrize("messages", [[b"", b""], [b"alice"], [b"", b"alice"]])
def test_the_certificate_is_enough(build: Callable[[str], Gate], shown: Facts, messages: list[bytes]) -> None:
    exchange = build("certificate,accounts").begin("EXTERNAL", shown)
    verdicts = [exchange.step(message) for message in messages]
    assert isinstance(verdicts[-1], Account)
    assert (verdicts[-1].user, verdicts[-1].source) == ("alice", "certificate")
    assert all(isinstance(said, Challenge) for said in verdicts[:-1])


def test_one_acts_for_nobody_else(build: Callable[[str], Gate], shown: Facts) -> None:
    assert isinstance(build("certificate,accounts").begin("EXTERNAL", shown).step(b"root"), Denied)


@pytest.mark.parametrize("facts", [Facts("s1"), Facts("s1", tls=Tls("TLSv1.3"))])
def test_without_a_certificate_nobody_passes(build: Callable[[str], Gate], facts: Facts) -> None:
    gate = build("certificate,accounts")
    assert "EXTERNAL" not in gate.mechanisms(facts)
    assert isinstance(gate.begin("EXTERNAL", facts).step(b"alice"), Denied)


def test_a_certificate_of_nobody_here(build: Callable[[str], Gate]) -> None:
    facts = Facts("s1", tls=Tls("TLSv1.3", certificate="mallory"))
    assert isinstance(build("certificate,accounts").begin("EXTERNAL", facts).step(b"mallory"), Denied)


def test_it_is_off_unless_a_source_takes_certificates(build: Callable[[str], Gate], shown: Facts) -> None:
    """Also for whoever asks the gate for it without having been offered it."""
    gate = build("accounts")
    assert "EXTERNAL" not in gate.mechanisms(shown)
    assert isinstance(gate.begin("EXTERNAL", shown).step(b"alice"), Denied)
    assert "EXTERNAL" in build("certificate").mechanisms(shown)
