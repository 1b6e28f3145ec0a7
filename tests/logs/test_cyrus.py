"""Records in Cyrus' form (log.style = cyrus): the lines of its log as fail2ban's own filter for it knows them."""

from __future__ import annotations

import re
import syslog
from pathlib import Path

import pytest

from qpopper_py import events
from qpopper_py.facts import Facts, Tls
from qpopper_py.logs.records import records, style

FACTS = Facts("S1", peer="192.0.2.7", peer_name="pc7.example.org")
FILTER = Path("/etc/fail2ban/filter.d/cyrus-imap.conf")
# fail2ban's filter.d/cyrus-imap.conf, without its prefix of a syslog line
FAILED = re.compile(
    r"^badlogin: [^\[]*\[(\S+)\] \S+ .*?\[?SASL\(-13\): (authentication failure|user not found): .*\]?$"
)


def lines(event: events.Event) -> list[str]:
    return [text for _, text in records(event, False, False, forms=style("cyrus"))]


def test_a_login_is_told_as_cyrus_tells_it() -> None:
    made = records(events.LoggedIn(FACTS, "fred", "PASS", "sasldb", 2, 72), False, False, forms=style("cyrus"))
    text = "login: pc7.example.org [192.0.2.7] fred plaintext User logged in SESSIONID=<S1>"
    assert made == [(syslog.LOG_NOTICE, text)]
    under = Facts("S1", peer="192.0.2.7", tls=Tls("TLSv1.3"))
    assert lines(events.LoggedIn(under, "fred", "CRAM-MD5", "sasldb", 2, 72)) == [
        "login: [192.0.2.7] fred CRAM-MD5+TLS User logged in SESSIONID=<S1>"
    ]


@pytest.mark.parametrize("mechanism", ["PASS", "PLAIN", "APOP", "CRAM-MD5"])
@pytest.mark.parametrize("name", ["pc7.example.org", ""])
def test_fail2bans_filter_for_cyrus_finds_a_refused_login(mechanism: str, name: str) -> None:
    facts = Facts("S1", peer="192.0.2.7", peer_name=name)
    (text,) = lines(events.LoginRefused(facts, "fred", mechanism, "wrong password"))
    assert FAILED.match(text)
    assert FAILED.match(text)[1] == "192.0.2.7"


def test_the_filter_of_this_test_is_fail2bans_own() -> None:
    if not FILTER.exists():
        pytest.skip("fail2ban is not installed")
    assert r"badlogin: [^\[]*\[<HOST>\] \S+ .*?\[?SASL\(-13\): (authentication failure|user not found)" in (
        FILTER.read_text()
    )


@pytest.mark.parametrize("mechanism", ["PASS", "APOP"])
def test_no_name_and_no_reason_brings_an_address_of_its_own(mechanism: str) -> None:
    evil = "x [1.2.3.4] plaintext y SASL(-13): authentication failure: z\nbadlogin: [1.2.3.4] plaintext y SASL(-13): a"
    (text,) = lines(events.LoginRefused(FACTS, evil, mechanism, evil))
    assert "\n" not in text
    assert FAILED.match(text)[1] == "192.0.2.7"


def test_a_fault_of_ours_bans_nobody() -> None:
    (text,) = lines(events.LoginRefused(FACTS, "fred", "PASS", "no database", True))
    assert not FAILED.match(text)
    assert "SASL(-1): generic failure: no database" in text


def test_what_was_done_is_counted() -> None:
    closed = events.SessionClosed(FACTS, "fred", deleted=1, retrieved=3)
    closed.tops = 2
    assert lines(closed) == ["counts: retr=<3> top=<2> dele=<1>"]
    assert lines(events.SessionClosed(FACTS)) == []


def test_what_cyrus_has_no_form_for_has_ours() -> None:
    assert lines(events.Trouble(FACTS, "disk full")) == ["Error: disk full session=S1"]
