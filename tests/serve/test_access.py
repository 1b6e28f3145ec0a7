"""The setting access: who may connect to a listening server (GNU mailutils' acl: the first rule that fits)."""

from __future__ import annotations

import pytest

from qpopper_py.errors import ConfigurationError
from qpopper_py.events import Event, Note, Trouble
from qpopper_py.serve.access import Access
from qpopper_py.serve.limits import Limits
from qpopper_py.settings import Settings


@pytest.mark.parametrize(
    ("rules", "address", "admitted"),
    [
        ([], "192.0.2.1", True),
        (["deny 192.0.2.0/24"], "192.0.2.1", False),
        (["deny 192.0.2.0/24"], "198.51.100.1", True),
        (["allow 192.0.2.1", "deny any"], "192.0.2.1", True),
        (["allow 192.0.2.1", "deny any"], "192.0.2.2", False),
        (["deny any", "allow 192.0.2.1"], "192.0.2.1", False),
        (["allow 2001:db8::/32", "deny any"], "2001:db8::1", True),
        (["allow 192.0.2.0/24", "deny any"], "2001:db8::1", False),
        (["log any"], "192.0.2.1", True),
        (["deny any"], "", False),
        (["deny 192.0.2.0/24"], "", True),
    ],
)
def test_the_first_rule_that_fits_decides(rules: list[str], address: str, admitted: bool) -> None:
    assert Access(rules).admits(address, lambda _: None) == admitted


def test_log_tells_and_goes_on() -> None:
    told: list[str] = []
    assert not Access(["log 192.0.2.0/24", "deny any", "log any"]).admits("192.0.2.1", told.append)
    assert told == ["connect from 192.0.2.1 (access)"]


def limits(told: list[Event], **more: object) -> Limits:
    return Limits(Settings([("test", {"access": "log any, deny 192.0.2.0/24", **more})]), told.append)


def test_who_is_refused_is_in_the_log_and_has_no_session() -> None:
    told: list[Event] = []
    table = limits(told)
    assert not table.admit("192.0.2.1")
    assert table.admit("198.51.100.1")
    assert [type(one) for one in told] == [Note, Trouble, Note]
    assert isinstance(told[1], Trouble)
    assert told[1].what == "refused connect from 192.0.2.1 by access"


def test_behind_a_proxy_it_is_the_client_that_is_asked_for() -> None:
    table = limits([], **{"proxy.networks": "192.0.2.7"})
    assert table.admit("192.0.2.7")
    table.began(1, "192.0.2.7")
    assert table.hear(1, b"C192.0.2.1") != table.hear(1, b"C198.51.100.1")


@pytest.mark.parametrize("rule", ["allow", "permit any", "deny x", "deny 10.0.0.0/99"])
def test_what_is_no_rule_is_refused(rule: str) -> None:
    with pytest.raises(ConfigurationError):
        Settings([("test", {"access": rule})])
