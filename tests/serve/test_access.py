"""The setting access: who may connect to a listening server (GNU mailutils' acl: the first rule that fits)."""

from __future__ import annotations

import socket
from typing import TYPE_CHECKING

import pytest

from qpopper_py.errors import ConfigurationError
from qpopper_py.events import Event, Note, Trouble
from qpopper_py.listeners import Listener
from qpopper_py.serve.access import Access
from qpopper_py.serve.limits import Limits
from qpopper_py.settings import Settings
from tests.harness import PATIENCE, Server

if TYPE_CHECKING:
    from pathlib import Path


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


RULES = ("deny 192.0.2.0/24",)
LISTENERS = [Listener("*:110", access=RULES), Listener("*:995")]


def test_a_listener_has_rules_beside_those_of_all() -> None:
    """Manual of GNU mailutils 3.15, "The server Statement": allowed only if both acls allow it."""
    table = limits([], access="deny 198.51.100.0/24, allow any")
    for address, by_the_one, by_the_other in [
        ("192.0.2.1", False, True),
        ("198.51.100.1", False, False),
        ("203.0.113.1", True, True),
    ]:
        assert (table.admit(address, RULES), table.admit(address)) == (by_the_one, by_the_other)


def test_behind_a_proxy_the_rules_of_its_listener_count() -> None:
    table = limits([], **{"access": "", "proxy.networks": "203.0.113.7"})
    table.began(1, "203.0.113.7", RULES)
    table.began(2, "203.0.113.7", ())
    assert table.hear(1, b"C192.0.2.1") != table.hear(2, b"C192.0.2.1")


def test_new_settings_bring_new_rules() -> None:
    table = limits([])
    assert not table.admit("192.0.2.1")
    table.adopt(Settings([("test", {})]))
    assert table.admit("192.0.2.1")


@pytest.mark.parametrize(
    "listen",
    [
        [{"address": "*:110", "access": list(RULES)}, "*:995"],
        [{"address": "*:110", "access": RULES[0]}, {"address": "*:995", "access": []}],
        "*:110,access=deny 192.0.2.0/24,*:995",
        LISTENERS,
    ],
)
def test_a_listener_has_rules_of_its_own(listen: object) -> None:
    settings = Settings([("test", {"listen": listen})])
    assert list(settings.listen) == LISTENERS
    written = Settings.__dict__["listen"].written(settings.listen)
    assert Settings([("test", {"listen": written})]).listen == settings.listen


@pytest.mark.parametrize("listen", [[{"address": "*:110", "access": ["deny x"]}], "*:110,access=frob any"])
def test_a_wrong_rule_of_a_listener_is_told_with_its_address(listen: object) -> None:
    with pytest.raises(ConfigurationError, match=r"holds '\*:110', whose access"):
        Settings([("test", {"listen": listen})])


def test_who_is_refused_at_one_door_comes_in_by_the_other(tmp_path: Path) -> None:
    with Server(tmp_path, options=["--listen", "127.0.0.2:0,access=deny 127.0.0.0/8"]) as server:
        other = int(server.log.wait_for(r"listening on 127\.0\.0\.2:(\d+)")[1])
        with socket.create_connection(("127.0.0.2", other), PATIENCE) as refused:
            assert refused.recv(100) == b""
        server.log.wait_for(r"refused connect from 127\.0\.0\.\d by access")
        with server.dialogue() as dialogue:
            assert dialogue.line().startswith(b"+OK")


@pytest.mark.parametrize("rule", ["allow", "permit any", "deny x", "deny 10.0.0.0/99"])
def test_what_is_no_rule_is_refused(rule: str) -> None:
    with pytest.raises(ConfigurationError):
        Settings([("test", {"access": rule})])
