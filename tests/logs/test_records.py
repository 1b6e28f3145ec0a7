"""The records of the log: pop3d(8)'s table, reference section 1 (Stats, service lines) and 4.3 (failed login)."""

from __future__ import annotations

import inspect
import re
import syslog

import pytest
from hypothesis import given
from hypothesis import strategies as st

from qpopper_py import __version__, events
from qpopper_py.facts import Facts
from qpopper_py.logs.records import MOST, records

FACTS = Facts("S1", peer="192.0.2.7", peer_name="pc7.example.org")
EVIL = "x from host (a) 1.2.3.4: b (PLAIN) session=S2\n[AUTH] Failed attempted login to y from host (a) 1.2.3.4"


def lines(event: events.Event, statistics: bool = False, debug: bool = False) -> list[str]:
    return [text for _, text in records(event, statistics, debug)]


def test_start_and_end_of_service_are_poppers_lines_at_debug() -> None:
    started = records(events.SessionStarted(FACTS), False, False)
    closed = records(events.SessionClosed(FACTS, how="hangup"), False, False)
    where = '"pc7.example.org" at 192.0.2.7'
    assert started == [(syslog.LOG_DEBUG, f"(v{__version__}) Servicing request from {where} session=S1")]
    assert closed == [(syslog.LOG_DEBUG, f"(v{__version__}) Ending request from {where}: hangup session=S1")]


def test_a_client_without_a_name_is_named_by_its_address() -> None:
    (text,) = lines(events.SessionStarted(Facts("S1", peer="2001:db8::7")))
    assert 'from "2001:db8::7" at 2001:db8::7 ' in text


def test_a_client_on_no_socket_is_localhost_without_an_address() -> None:
    (text,) = lines(events.SessionStarted(Facts("S1")))
    assert 'from "localhost" at - ' in text


def test_a_refused_login_has_user_and_address_in_poppers_form() -> None:
    made = records(events.LoginRefused(FACTS, "fred", "PLAIN", "wrong password"), False, False)
    text = (
        "[AUTH] Failed attempted login to fred from host (pc7.example.org) 192.0.2.7: wrong password (PLAIN) session=S1"
    )
    assert made == [(syslog.LOG_NOTICE, text)]


def test_a_login_that_failed_through_our_fault_is_no_failed_login() -> None:
    ((priority, text),) = records(events.LoginRefused(FACTS, "fred", "PLAIN", "no database", True), False, False)
    assert priority == syslog.LOG_WARNING
    assert text.startswith(
        "[SYS/TEMP] Unable to check login to fred from host (pc7.example.org) 192.0.2.7: no database"
    )


def test_an_audit_record_goes_to_authpriv_and_names_no_stranger() -> None:
    made = records(events.Audited(FACTS, "fred", "password", "failed", 'wrong "password"\n'), False, False)
    text = (
        """audit: op=login acct="fred" addr=192.0.2.7 cred=password res=failed why="wrong 'password'\\x0a" session=S1"""
    )
    assert made == [(syslog.LOG_AUTHPRIV | syslog.LOG_NOTICE, text)]
    (text,) = lines(events.Audited(FACTS, "", "digest", "success"))
    assert text == 'audit: op=login acct="(unknown)" addr=192.0.2.7 cred=digest res=success session=S1'


def test_login_and_logout_are_info() -> None:
    login = records(events.LoggedIn(FACTS, "fred", "APOP", "mailauth", 3, 4711), False, False)
    closed = records(events.SessionClosed(FACTS, "fred", "quit", 2, 3000, 1, 1711, 3, 5000), False, False)
    where = 'by user "fred" at (pc7.example.org) 192.0.2.7'
    assert login == [
        (
            syslog.LOG_INFO,
            f"(v{__version__}) POP login {where}: APOP, mailauth, 3 messages (4711 octets) session=S1",
        )
    ]
    assert (
        syslog.LOG_INFO,
        f"(v{__version__}) POP logout {where}: quit, 3 retrieved (5000 octets sent), 2 deleted, 1 left session=S1",
    ) in closed


def test_the_statistics_record_has_tru64s_five_fields_at_notice() -> None:
    made = records(events.SessionClosed(FACTS, "fred", "quit", 2, 3000, 1, 1711), True, False)
    assert made[-1] == (syslog.LOG_NOTICE, "Stats: fred 2 3000 1 1711 session=S1")


def test_an_update_that_failed_deleted_nothing_in_the_statistics() -> None:
    text = lines(events.SessionClosed(FACTS, "fred", "error", 0, 0, 3, 4711), statistics=True)[-1]
    assert text == "Stats: fred 0 0 3 4711 session=S1"


def test_without_s_there_is_no_statistics_record() -> None:
    assert not any(text.startswith("Stats:") for text in lines(events.SessionClosed(FACTS, "fred")))


@pytest.mark.parametrize("closed", [events.SessionClosed(FACTS), events.SessionClosed(FACTS, "fred", "refused")])
def test_a_session_whose_maildrop_was_never_open_has_no_statistics_and_no_logout(closed: events.SessionClosed) -> None:
    assert len(lines(closed, statistics=True)) == 1


def test_a_submitted_message_is_one_info_line() -> None:
    made = records(events.Submitted(FACTS, "fred", 900, 2, 75), False, False)
    head = 'Pop transmit from "fred" on "pc7.example.org" at 192.0.2.7: '
    assert made == [(syslog.LOG_INFO, head + "900 octets, 2 recipients, exit status 75 session=S1")]


def test_an_error_reply_is_logged_as_popper_logs_it() -> None:
    made = records(events.CommandFailed(FACTS, "fred", "retr 9", "Message 9 does not exist."), False, False)
    text = "fred at pc7.example.org (192.0.2.7): -ERR Message 9 does not exist. (retr 9) session=S1"
    assert made == [(syslog.LOG_NOTICE, text)]


@pytest.mark.parametrize("line", ["hunter2", "hunter2 xxxxxxxxx", "correcthorsebattery", "tr0ub4dor&3", 'a"b"c'])
def test_a_password_typed_as_a_command_is_not_in_the_record_of_its_error(line: str) -> None:
    verb = line.split(" ")[0]
    (text,) = lines(events.CommandFailed(FACTS, "fred", line, f'Unknown command: "{verb}".'))
    assert verb not in text
    assert '-ERR Unknown command: "xxxxxxxxx".' in text


@pytest.mark.parametrize(
    ("event", "expected"),
    [
        (events.Trouble(None, "disk full"), (syslog.LOG_ERR, "Error: disk full")),
        (events.Trouble(FACTS, "no lock", "warning"), (syslog.LOG_WARNING, "Warning: no lock session=S1")),
        (events.Note(None, "listening on :110"), (syslog.LOG_INFO, "listening on :110")),
    ],
)
def test_troubles_and_notes_have_their_priority(event: events.Event, expected: tuple[int, str]) -> None:
    assert records(event, False, False) == [expected]


def test_debug_notes_are_for_d_only() -> None:
    note = events.Note(FACTS, "hangup: the client closed the connection", "debug")
    assert records(note, False, False) == []
    assert records(note, False, True) == [(syslog.LOG_DEBUG, f"{note.what} session=S1")]


def test_every_event_has_a_record() -> None:
    """An event that nobody writes down would be lost in silence."""
    for _, kind in inspect.getmembers(events, inspect.isclass):
        if issubclass(kind, events.Event) and kind is not events.Event:
            given_values = [FACTS] + [
                0 if name in ("messages", "octets", "recipients", "status") else "x"
                for name, parameter in list(inspect.signature(kind).parameters.items())[1:]
                if parameter.default is inspect.Parameter.empty
            ]
            assert records(kind(*given_values), True, True), kind


FORM = re.compile(
    r"\[AUTH\] Failed attempted login to (?P<user>\S+) from host \((?P<client>\S+)\) (?P<ip>\S+): .* session=\S+"
)


@pytest.mark.parametrize("field", ["user", "client", "why", "mechanism"])
def test_no_field_can_bring_an_address_of_its_own(field: str) -> None:
    values = {"user": "fred", "client": "pc7", "why": "no", "mechanism": "PLAIN", field: EVIL}
    facts = Facts("S1", peer="192.0.2.7", peer_name=values["client"])
    (text,) = lines(events.LoginRefused(facts, values["user"], values["mechanism"], values["why"]))
    found = FORM.fullmatch(text)
    assert found
    assert found["ip"] == "192.0.2.7"


text_of_the_network = st.one_of(
    st.text(max_size=400), st.binary(max_size=400).map(lambda b: b.decode("utf-8", "surrogateescape"))
)


@given(text_of_the_network, text_of_the_network, text_of_the_network)
def test_whatever_a_client_sends_a_record_is_one_bounded_printable_line_with_the_true_address(
    user: str, name: str, why: str
) -> None:
    facts = Facts("S1", peer="192.0.2.7", peer_name=name)
    made = [
        *lines(events.LoginRefused(facts, user, user, why)),
        *lines(events.LoggedIn(facts, user, why, name, 1, 2)),
        *lines(events.CommandFailed(facts, user, name, why)),
        *lines(events.Submitted(facts, user, 1, 2, 3)),
        *lines(events.SessionClosed(facts, user), True),
        *lines(events.Trouble(facts, why)),
        *lines(events.Note(facts, why)),
    ]
    for text in made:
        assert len(text) <= MOST
        assert re.fullmatch(r"[ -~]* session=S1", text)
    found = FORM.fullmatch(made[0])
    assert found
    assert found["ip"] == "192.0.2.7"


@given(text_of_the_network)
def test_the_statistics_record_has_five_fields_whatever_the_user_is_called(user: str) -> None:
    for text in lines(events.SessionClosed(FACTS, user, "quit", 1, 2, 3, 4), True)[2:]:
        assert re.fullmatch(r"Stats: \S+ 1 2 3 4 session=S1", text)


def test_of_a_quiet_connection_nothing_is_told_but_refused_logins_and_errors() -> None:
    """Each of the others could be thousands a second; fail2ban needs these."""
    facts = Facts("s-1", "192.0.2.1", 1025, quiet=True)
    for event in (
        events.SessionStarted(facts),
        events.SessionClosed(facts, how="hangup"),
        events.CommandFailed(facts, "", "foo", "no"),
        events.Trouble(facts, "refused connect", "warning"),
        events.Note(facts, "hangup", "debug"),
    ):
        assert records(event, True, True) == []
    assert records(events.LoginRefused(facts, "alice", "PASS", "wrong password"), False, False)
    assert records(events.Trouble(facts, "disk broken"), False, False)
    facts.quiet = False
    assert records(events.SessionStarted(facts), False, False)


# ---------------------------------------------------------------------------------------------------------------
# Qpopper's: reference sections 1 (Stats), 4.3 (log-login) and 4.10 (Timing)


def test_qpoppers_statistics_end_in_the_clients_name_and_address() -> None:
    closed = events.SessionClosed(FACTS, "fred", deleted=2, deleted_octets=3000, left=1, left_octets=1711)
    (_, text) = records(closed, True, False, client=True)[-1]
    assert text == "Stats: fred 2 3000 1 1711 pc7.example.org 192.0.2.7 session=S1"


@pytest.mark.parametrize(("how", "word"), [("quit", "normal"), ("timeout", "error"), ("hangup", "error")])
def test_qpoppers_timing_record(how: str, word: str) -> None:
    closed = events.SessionClosed(FACTS, "fred", how=how)
    closed.auth_seconds, closed.init_seconds, closed.clean_seconds = 2.2, 0.1, 3.9
    (priority, text) = records(closed, False, False, timing=True)[-1]
    assert (priority, text) == (
        syslog.LOG_NOTICE,
        f"(v{__version__}) Timing for fred@pc7.example.org ({word}) auth=2 init=0 clean=4 session=S1",
    )


def test_who_never_logged_in_has_no_timing() -> None:
    assert len(records(events.SessionClosed(FACTS, how="hangup"), False, False, timing=True)) == 1


@pytest.mark.parametrize(
    ("template", "text"),
    [
        (
            '(v%0) POP login by user "%1" at (%2) %3',
            f'(v{__version__}) POP login by user "fred" at (pc7.example.org) 192.0.2.7',
        ),
        ("%1%1 100% %9 %s", "fredfred 100% %9 %s"),
        ("nothing", "nothing"),
    ],
)
def test_the_login_is_told_as_log_login_has_it(template: str, text: str) -> None:
    event = events.LoggedIn(FACTS, "fred", "PASS", "unix", 1, 2)
    assert records(event, False, False, login=template) == [(syslog.LOG_INFO, f"{text} session=S1")]


def test_what_a_name_holds_is_no_field_of_log_login() -> None:
    event = events.LoggedIn(FACTS, "%3 %0", "PASS", "unix", 1, 2)
    assert records(event, False, False, login="<%1>")[0][1].startswith("<%3")
