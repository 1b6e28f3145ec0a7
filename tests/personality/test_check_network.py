"""What --check-config says of limits and proxies."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.personality.test_check_logins import holds, said

if TYPE_CHECKING:
    from pathlib import Path

LISTENS = "listen=127.0.0.1:1110"
OF_LISTENING = (
    "limits.sessions",
    "limits.sessions_address",
    "limits.sessions_proxy",
    "limits.unauthenticated",
    "limits.min_delay",
)


@pytest.mark.parametrize("name", OF_LISTENING)
def test_a_limit_that_inetd_would_have_to_hold_is_worth_a_word(name: str) -> None:
    assert holds(said(f"{name}=5")[1], f"{name}: it holds only where listen is set")
    assert not holds(said(f"{name}=5", LISTENS)[1], "it holds only")
    assert not holds(said()[1], "it holds only")


@pytest.mark.parametrize("name", ["limits.sessions_address", "limits.unauthenticated"])
def test_limits_that_leave_strangers_all_places_are_worth_a_word(name: str) -> None:
    assert holds(said(LISTENS, f"{name}=0")[1], f"{name}: with 0, strangers can take all 500")
    assert holds(said(LISTENS, f"{name}=500")[1], f"{name}: with 500, strangers can take all 500")
    assert not holds(said(LISTENS)[1], "strangers")


def test_sessions_of_users_that_nobody_can_count_are_worth_a_word() -> None:
    words = "limits.sessions_user: without state_dir"
    assert holds(said("state_dir=", "second_session=allowed")[1], words)
    assert not holds(said("state_dir=", "second_session=allowed", "limits.sessions_user=0")[1], words)
    assert not holds(said("state_dir=")[1], words)


@pytest.mark.parametrize("network", ["0.0.0.0/0", "::/0"])
def test_to_believe_everybody_to_be_a_proxy_is_an_error(network: str) -> None:
    assert holds(said(f"proxy.networks=192.0.2.1,{network}")[0], f"proxy.networks: {network} is everybody")
    assert not holds(said("proxy.networks=192.0.2.1,10.0.0.0/8")[0], "proxy.networks")


def test_rules_that_inetd_does_not_ask_are_worth_a_word() -> None:
    words = "access: it holds only where listen is set"
    assert holds(said("access=deny any")[1], words)
    assert not holds(said("access=deny any", LISTENS)[1], words)
    assert not holds(said()[1], words)


@pytest.mark.parametrize("rule", ["listen=127.0.0.1:1110,access={}", "access={}"])
@pytest.mark.parametrize(("verb", "what"), [("ifexec", "so nobody is let in by it"), ("exec", "")])
def test_a_program_that_cannot_be_run_is_an_error(tmp_path: Path, rule: str, verb: str, what: str) -> None:
    program = tmp_path / "program"
    words = f"it is no program that may be run{', ' if what else ''}{what}"
    assert holds(said(LISTENS, rule.format(f"{verb} any {program} x"))[0], f"access: '{verb} any {program} x': {words}")
    program.write_text("#!/bin/sh\n")
    program.chmod(0o755)
    assert not holds(said(LISTENS, rule.format(f"{verb} any {program} x"))[0], "access")
