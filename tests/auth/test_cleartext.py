"""auth.cleartext: from where a password may come as it is (pop3d.toml(5); Qpopper's clear-text-password)."""

from __future__ import annotations

import pytest

from qpopper_py.auth.cleartext import allowed, remedy
from qpopper_py.auth.gate import Denied, Gate
from qpopper_py.facts import Facts, Listener, Tls
from qpopper_py.settings import Settings

FAR = Facts("s", "192.0.2.1", local="192.0.2.9")
NEAR = Facts("s", "127.0.0.1", local="127.0.0.1")
SELF = Facts("s", "192.0.2.9", local="192.0.2.9")
PROXIED = Facts("s", "127.0.0.1", local="127.0.0.1", proxy="10.0.0.1")
UNDER_TLS = Facts("s", "192.0.2.1", tls=Tls("TLSv1.3"))
OUTER = Facts("s", "192.0.2.1", secure=True)


def settings(mode: str, **more: str) -> Settings:
    return Settings([("test", {"auth.cleartext": mode, **{f"auth.{name}": value for name, value in more.items()}})])


@pytest.mark.parametrize(
    ("mode", "may"),
    [
        ("always", [FAR, NEAR, SELF, PROXIED, UNDER_TLS, OUTER]),
        ("local", [NEAR, SELF, UNDER_TLS, OUTER]),
        ("tls", [UNDER_TLS, OUTER]),
        ("never", []),
    ],
)
def test_modes(mode: str, may: list[Facts]) -> None:
    everybody = [FAR, NEAR, SELF, PROXIED, UNDER_TLS, OUTER]
    assert [facts for facts in everybody if allowed(facts, settings(mode), "alice")] == may


def test_the_listeners_rule_is_stronger() -> None:
    facts = Facts("s", "192.0.2.1", listener=Listener(":110", cleartext="never"))
    assert not allowed(facts, settings("always"), "alice")
    assert remedy(facts, settings("always")) == "needs_stronger"
    assert remedy(FAR, settings("tls")) == "needs_tls"


@pytest.mark.parametrize("mode", ["local", "tls", "never"])
def test_networks_are_excepted(mode: str) -> None:
    rule = settings(mode, cleartext_networks="192.0.2.0/30, 2001:db8::/32")
    assert allowed(FAR, rule, "alice")
    assert allowed(Facts("s", "2001:db8::7"), rule, "alice")
    assert not allowed(Facts("s", "192.0.2.200"), rule, "alice")
    assert not allowed(Facts("s"), rule, "alice")


def test_users_are_excepted_by_the_name_by_which_they_are_looked_up() -> None:
    rule = settings("tls", cleartext_users="scanner", lowercase_user="yes", strip_domain="yes")
    assert allowed(FAR, rule, "scanner")
    assert allowed(FAR, rule, "Scanner@example.org")
    assert not allowed(FAR, rule, "alice")
    assert not allowed(FAR, rule, "../scanner")
    assert not allowed(FAR, rule, "")
    assert allowed(FAR, rule), "somebody may, so it is announced"


def test_the_gate_itself_refuses_what_must_not_come_in_the_clear() -> None:
    gate = Gate(settings("tls"), lambda _: None)
    verdict = gate.check(b"alice", b"secret", FAR)
    assert isinstance(verdict, Denied)
    assert verdict.why == "password in the clear"
    assert not {"PLAIN", "LOGIN"} & set(gate.mechanisms(FAR))
    assert {"PLAIN", "LOGIN"} <= set(gate.mechanisms(UNDER_TLS))
