"""Records in GNU mailutils' forms (log.style = mailutils, mailutils0).

Sources: what 3.15 was seen to write (tests/compare/test_mailutils.py looks again), and pop3d/*.c of 0.6.
"""

from __future__ import annotations

import syslog

import pytest

from qpopper_py import events
from qpopper_py.facts import Facts
from qpopper_py.logs.records import records, style
from qpopper_py.logs.syslog import Log

FACTS = Facts("S1", peer="192.0.2.7")
UNKNOWN = "(unknown:0123456789abcdef)"


def lines(event: events.Event, name: str = "mailutils") -> list[str]:
    return [text for _, text in records(event, False, False, forms=style(name))]


def login(count: int, source: str = "pam") -> events.LoggedIn:
    return events.LoggedIn(FACTS, "fred", "PASS", source, count, 72, "/var/mail/fred")


CASES: list[tuple[events.Event, list[str], list[str]]] = [
    (events.SessionStarted(FACTS), [], ["Incoming connection opened", "connect from 192.0.2.7"]),
    (
        login(1),
        ["POP3 login: user `fred', source system", "user `fred' logged in with mailbox `/var/mail/fred' (1 message)"],
        ["User `fred' logged in with mailbox `/var/mail/fred' (1 message)"],
    ),
    (
        login(2, "accounts"),
        [
            "POP3 login: user `fred', source virtdomain",
            "user `fred' logged in with mailbox `/var/mail/fred' (2 messages)",
        ],
        ["User `fred' logged in with mailbox `/var/mail/fred' (2 messages)"],
    ),
    (
        events.LoginRefused(FACTS, "fred", "PASS", "wrong password"),
        ["user `fred': authentication failed"],
        ["User `fred': authentication failed"],
    ),
    (
        events.LoginRefused(FACTS, UNKNOWN, "PASS", "unknown"),
        [f"user `{UNKNOWN}' nonexistent"],
        [f"User `{UNKNOWN}': nonexistent"],
    ),
    (
        events.LoginRefused(FACTS, "fred", "APOP", "wrong digest"),
        ["APOP failed for `fred'"],
        ["User `fred': authentication failed"],
    ),
    (
        events.LoginRefused(FACTS, UNKNOWN, "APOP", "unknown"),
        [f"password for `{UNKNOWN}' not found in the database"],
        [f"User `{UNKNOWN}': nonexistent"],
    ),
    (
        events.CommandFailed(FACTS, "fred", "PASS ***", "[LOGIN-DELAY] Attempt to log in"),
        ["user `fred' tried to log in within the minimum allowed delay"],
        ["User `fred' tried to log in within the minimum allowed delay"],
    ),
    (events.CommandFailed(FACTS, "fred", "DELE 9", "No such message"), [], []),
    (events.SessionClosed(FACTS, "fred"), ["session ended for user: fred"], ["Session ended for user: fred"]),
    (events.SessionClosed(FACTS), ["session ended for no user"], ["Session ended for no user"]),
    (events.SessionClosed(FACTS, "fred", "refused"), ["session ended for no user"], ["Session ended for no user"]),
    (
        events.SessionClosed(FACTS, "fred", "timeout"),
        ["session timed out for user: fred"],
        ["Session timed out for user: fred"],
    ),
    (
        events.SessionClosed(FACTS, "", "timeout"),
        ["session timed out for no user"],
        ["Session timed out for no user"],
    ),
    (events.SessionClosed(FACTS, "fred", "hangup"), ["remote protocol error"], ["No socket to send to"]),
    (events.SessionClosed(FACTS, "", "hangup"), [], []),
]


@pytest.mark.parametrize(("event", "new", "old"), CASES)
def test_what_happens_is_told_as_mailutils_tells_it(event: events.Event, new: list[str], old: list[str]) -> None:
    assert (lines(event), lines(event, "mailutils0")) == (new, old)
    made = records(event, False, False, forms=style("mailutils"))
    assert {priority for priority, _ in made} <= {syslog.LOG_INFO}


@pytest.mark.parametrize("name", ["mailutils", "mailutils0"])
def test_a_fault_of_ours_is_no_failed_login(name: str) -> None:
    made = records(events.LoginRefused(FACTS, "fred", "PASS", "no database", True), False, False, forms=style(name))
    assert made == [(syslog.LOG_ERR, "error authenticating user `fred': no database")]


@pytest.mark.parametrize("name", ["mailutils", "mailutils0"])
def test_no_name_makes_a_record_of_its_own(name: str) -> None:
    evil = "x'\nuser `root': authentication failed {user} %s"
    for text in lines(events.LoginRefused(FACTS, evil, "PASS", "wrong"), name):
        assert "\n" not in text
        assert " " not in text.partition("`")[2].partition("': auth")[0]


def test_what_mailutils_has_no_form_for_has_ours() -> None:
    assert lines(events.Trouble(FACTS, "disk full")) == ["Error: disk full session=S1"]


# log.prefix and log.severity: the manual of 3.15, "The logging Statement"


@pytest.mark.parametrize(
    ("prefix", "head"),
    [((), ""), (("severity",), "info: "), (("session",), "S1 "), (("severity", "session"), "S1 info: ")],
)
def test_a_record_begins_with_what_was_asked_for(prefix: tuple[str, ...], head: str) -> None:
    made = records(events.SessionClosed(FACTS), False, False, forms=style("mailutils"), prefix=prefix)
    assert made == [(syslog.LOG_INFO, f"{head}session ended for no user")]


def test_a_record_of_the_service_has_no_session() -> None:
    made = records(events.Trouble(None, "disk full"), False, False, prefix=("session", "severity"))
    assert made == [(syslog.LOG_ERR, "error: Error: disk full")]


SEVERITIES = ["emerg", "alert", "crit", "error", "warning", "notice", "info", "debug"]


@pytest.mark.parametrize("severity", SEVERITIES)
def test_less_than_the_severity_is_not_written(severity: str) -> None:
    told: list[int] = []
    log = Log(lambda priority, _text: told.append(priority), severity=severity)
    log(events.Trouble(None, "x"))
    log(events.Trouble(None, "x", "warning"))
    log(events.LoginRefused(FACTS, "fred", "PASS", "x"))
    log(events.Note(None, "x"))
    assert told == [one for one in (3, 4, 5, 6) if one <= SEVERITIES.index(severity)]


def test_the_audit_trail_is_whole() -> None:
    told: list[int] = []
    log = Log(lambda priority, _text: told.append(priority), severity="emerg")
    log(events.Audited(FACTS, "fred", "password", "failed"))
    assert told == [syslog.LOG_AUTHPRIV | syslog.LOG_NOTICE]
