"""The trace file (-t) and the dialogue in the log (-d): pop3d(8), trace.* in pop3d.toml(5), reference section 1."""

from __future__ import annotations

import os
import re
import stat
import subprocess
import sys
import syslog
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

import qpopper_py
from qpopper_py.errors import ConfigurationError
from qpopper_py.events import Tap
from qpopper_py.facts import Facts
from qpopper_py.logs import trace
from qpopper_py.logs.trace import HELD, Dialogue, Scope, networks, open_taps
from qpopper_py.settings import Settings

if TYPE_CHECKING:
    from collections.abc import Callable

FACTS = Facts("S1", peer="192.0.2.7")
TIME = r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z"


class Trace:
    """Taps on a trace file in a folder of the test."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.reports: list[str] = []

    def open(self, **values: object) -> list[Tap]:
        values = {"trace.file": str(self.path), **{name.replace("__", "."): value for name, value in values.items()}}
        return open_taps(Settings([("test", values)]), self.reports.append)

    def tap(self, **values: object) -> Tap:
        (tap,) = self.open(**values)
        return tap

    @property
    def lines(self) -> list[str]:
        """The lines of the file without their time, which each must have."""
        found = self.path.read_text("ascii").splitlines()
        assert all(re.match(TIME + " ", line) for line in found)
        return [line.split(" ", 1)[1] for line in found]


@pytest.fixture
def traced(tmp_path: Path) -> Trace:
    return Trace(tmp_path / "trace")


def converse(tap: Tap, facts: Facts = FACTS, user: str = "fred") -> None:
    """A session that logs in, as ``session`` shows it."""
    tap.sent(facts, "", b"+OK ready")
    tap.received(facts, "", f"user {user}")
    tap.sent(facts, user, b"+OK go on")
    tap.received(facts, user, "pass xxxxxxxxx")
    tap.sent(facts, user, b"+OK in")
    tap.closed(facts)


# Lines


def test_a_line_has_time_session_direction_user_and_text(traced: Trace) -> None:
    converse(traced.tap())
    assert traced.lines == [
        "S1 > - +OK ready",
        "S1 < - user fred",
        "S1 > fred +OK go on",
        "S1 < fred pass xxxxxxxxx",
        "S1 > fred +OK in",
    ]


def test_each_line_is_one_write(traced: Trace, monkeypatch: pytest.MonkeyPatch) -> None:
    tap = traced.tap(trace__bodies=True)
    written: list[bytes] = []
    monkeypatch.setattr(os, "write", lambda _, data: written.append(data) or len(data))
    converse(tap)
    tap.body(FACTS, "fred", True, b"a\r\nb\r\n")
    tap.sent(FACTS, "fred", b".")
    assert [data.count(b"\n") for data in written] == [1] * 9


def test_a_body_is_a_count_of_its_octets(traced: Trace) -> None:
    tap = traced.tap()
    tap.sent(FACTS, "fred", b"+OK 11 octets")
    tap.body(FACTS, "fred", True, b"secret")
    tap.body(FACTS, "fred", True, b" mail")
    tap.sent(FACTS, "fred", b".")
    assert traced.lines == ["S1 > fred +OK 11 octets", "S1 > fred [11 octets]", "S1 > fred ."]


def test_a_body_that_comes_in_is_counted_too(traced: Trace) -> None:
    tap = traced.tap()
    tap.body(FACTS, "fred", False, b"12345\n")
    tap.sent(FACTS, "fred", b"+OK sent")
    assert traced.lines == ["S1 < fred [6 octets]", "S1 > fred +OK sent"]


def test_a_body_that_was_cut_off_is_counted_when_the_session_ends(traced: Trace) -> None:
    tap = traced.tap()
    tap.body(FACTS, "fred", True, b"12345")
    tap.closed(FACTS)
    tap.closed(FACTS)
    assert traced.lines == ["S1 > fred [5 octets]"]


def test_bodies_are_written_line_by_line_if_asked_for(traced: Trace) -> None:
    tap = traced.tap(trace__bodies=True)
    for piece in (b"one\r", b"\ntw", b"o\r\n\r\nthr", b"ee"):
        tap.body(FACTS, "fred", True, piece)
    tap.sent(FACTS, "fred", b".")
    assert traced.lines == [
        "S1 > fred | one",
        "S1 > fred | two",
        "S1 > fred | ",
        "S1 > fred | three",
        "S1 > fred [17 octets]",
        "S1 > fred .",
    ]


def test_a_body_line_without_end_is_written_in_pieces(traced: Trace) -> None:
    tap = traced.tap(trace__bodies=True)
    for _ in range(100):
        tap.body(FACTS, "fred", True, b"\0" * 1000)
    tap.closed(FACTS)
    *lines, count = traced.lines
    assert "".join(line.removeprefix("S1 > fred | ") for line in lines) == "\\x00" * 100_000
    assert count == "S1 > fred [100000 octets]"


def test_two_sessions_at_once_are_told_apart(traced: Trace) -> None:
    tap = traced.tap()
    other = Facts("S2", peer="192.0.2.8")
    tap.body(FACTS, "fred", True, b"12345")
    tap.body(other, "joe", True, b"123")
    tap.sent(other, "joe", b".")
    tap.sent(FACTS, "fred", b".")
    assert traced.lines == ["S2 > joe [3 octets]", "S2 > joe .", "S1 > fred [5 octets]", "S1 > fred ."]


@given(st.binary(max_size=300), st.text(max_size=100), st.text(max_size=100))
def test_whatever_goes_by_is_one_printable_line_with_five_fields(data: bytes, user: str, line: str) -> None:
    seen: list[bytes] = []
    script = trace.TraceFile.__new__(trace.TraceFile)
    script.descriptor = os.open(os.devnull, os.O_WRONLY)
    real, os.write = os.write, lambda _, text: seen.append(text) or len(text)
    try:
        tap = Dialogue(Scope((), []), script, True)
        tap.received(FACTS, user, line)
        tap.sent(FACTS, user, data)
        tap.body(FACTS, user, True, data)
        tap.closed(FACTS)
    finally:
        os.write = real
        os.close(script.descriptor)
    for text in seen:
        assert re.fullmatch(rb"\S+ S1 [<>] \S+ [ -~]*\n", text)


# Secrets, when the session has failed to mask them


@pytest.mark.parametrize(
    ("line", "shown"),
    [
        ("pass hunter2", "pass xxxxxxxxx"),
        ("PASS hunter2 and more", "PASS xxxxxxxxx"),
        ("pass  hunter2", "pass xxxxxxxxx"),
        ("apop fred 0123456789abcdef0123456789abcdef", "apop fred xxxxxxxxx"),
        ("AUTH PLAIN AGZyZWQAaHVudGVyMg==", "AUTH PLAIN xxxxxxxxx"),
        ("pass xxxxxxxxx", "pass xxxxxxxxx"),
        ("auth plain", "auth plain"),
        ("apop fred", "apop fred"),
        ("pass", "pass"),
        ("retr 1", "retr 1"),
    ],
)
def test_a_secret_that_was_not_masked_is_masked_here(traced: Trace, line: str, shown: str) -> None:
    traced.tap().received(FACTS, "fred", line)
    assert traced.lines == [f"S1 < fred {shown}"]


def test_a_password_typed_as_a_command_is_not_shown_by_its_error(traced: Trace) -> None:
    tap = traced.tap()
    tap.received(FACTS, "fred", "xxxxxxxxx")
    tap.sent(FACTS, "fred", b'-ERR Unknown command: "hunter2".')
    tap.received(FACTS, "fred", "retr 9")
    tap.sent(FACTS, "fred", b'-ERR No "9".')
    assert traced.lines[1::2] == ['S1 > fred -ERR Unknown command: "xxxxxxxxx".', 'S1 > fred -ERR No "9".']


# Whose dialogue


@pytest.mark.parametrize(
    ("peer", "written"),
    [
        ("10.1.2.3", True),
        ("10.2.2.3", False),
        ("::ffff:10.1.2.3", True),
        ("2001:db8:7::1", True),
        ("2001:db9::1", False),
        ("192.0.2.1", True),
        ("192.0.2.2", False),
        ("fe80::1%eth0", True),
        ("", False),
    ],
)
def test_only_clients_in_the_given_networks_are_traced(traced: Trace, peer: str, written: bool) -> None:
    tap = traced.tap(trace__addresses=["10.1.0.0/16", "2001:db8::/32", "192.0.2.1", "fe80::/10"])
    converse(tap, Facts("S1", peer=peer))
    tap.body(Facts("S1", peer=peer), "fred", True, b"x")
    assert (traced.lines != []) is written


def test_an_address_that_is_none_is_a_configuration_error() -> None:
    with pytest.raises(ConfigurationError, match=r"trace\.addresses.*10\.1\.0\.0/99"):
        Settings([("pop3d.toml", {"trace.addresses": ["10.1.0.0/99"]})])


def test_a_listed_user_is_traced_from_the_greeting_on(traced: Trace) -> None:
    converse(traced.tap(trace__users=["fred", "joe"]))
    assert [line.split(" ", 3)[3] for line in traced.lines] == [
        "+OK ready",
        "user fred",
        "+OK go on",
        "pass xxxxxxxxx",
        "+OK in",
    ]


def test_lines_that_were_held_keep_the_time_at_which_they_went_by() -> None:
    seen: list[tuple[float, str]] = []
    now = iter([1.0, 2.0, 3.0])
    tap = Dialogue(Scope(["fred"], []), lambda at, _f, _u, _m, text: seen.append((at, text)), False, lambda: next(now))
    tap.sent(FACTS, "", b"+OK ready")
    tap.received(FACTS, "", "user fred")
    tap.sent(FACTS, "fred", b"+OK")
    assert seen == [(1.0, "+OK ready"), (2.0, "user fred"), (3.0, "+OK")]


def test_another_user_leaves_no_line_at_all(traced: Trace) -> None:
    tap = traced.tap(trace__users=["fred"], trace__bodies=True)
    converse(tap, user="joe")
    tap.body(FACTS, "joe", True, b"private\r\n")
    tap.closed(FACTS)
    assert traced.lines == []


def test_a_client_that_changes_its_name_is_traced_under_the_listed_one_only(traced: Trace) -> None:
    tap = traced.tap(trace__users=["fred"])
    tap.received(FACTS, "", "user joe")
    tap.sent(FACTS, "joe", b"+OK")
    tap.received(FACTS, "joe", "user fred")
    tap.sent(FACTS, "fred", b"+OK")
    tap.received(FACTS, "fred", "pass xxxxxxxxx")
    assert traced.lines == ["S1 > fred +OK", "S1 < fred pass xxxxxxxxx"]


def test_lines_held_for_a_user_are_bounded_and_the_rest_is_counted(traced: Trace) -> None:
    tap = traced.tap(trace__users=["fred"])
    for number in range(HELD + 50):
        tap.received(FACTS, "", f"noop {number}")
    tap.sent(FACTS, "fred", b"+OK")
    assert len(traced.lines) == HELD + 2
    assert traced.lines[HELD] == "S1 - - [50 lines were not kept]"


def test_nothing_is_remembered_of_a_session_that_is_closed(traced: Trace) -> None:
    tap = traced.tap(trace__users=["fred"])
    for number in range(50):
        tap.received(Facts(f"S{number}"), "", "noop")
        tap.closed(Facts(f"S{number}"))
    assert isinstance(tap, Dialogue)
    assert tap.sessions == {}


# The file


def test_a_new_trace_file_is_for_its_owner_only(traced: Trace) -> None:
    before = os.umask(0)
    try:
        converse(traced.tap())
    finally:
        os.umask(before)
    assert stat.S_IMODE(traced.path.stat().st_mode) == 0o600


def test_the_trace_file_is_appended_to(traced: Trace) -> None:
    traced.path.write_bytes(b"before\n")
    converse(traced.tap())
    assert traced.path.read_bytes().startswith(b"before\n")


def test_the_trace_file_is_not_inherited_by_programs(traced: Trace) -> None:
    tap = traced.tap()
    assert isinstance(tap, Dialogue)
    assert isinstance(tap.write, trace.TraceFile)
    assert not os.get_inheritable(tap.write.descriptor)


def link(path: Path) -> None:
    (path.parent / "victim").write_bytes(b"")
    path.symlink_to(path.parent / "victim")


def others(path: Path) -> None:
    path.write_bytes(b"")
    path.chmod(0o666)


@pytest.mark.parametrize("make", [link, others, Path.mkdir, os.mkfifo], ids=["link", "writable", "folder", "pipe"])
def test_a_trace_file_that_is_none_is_reported_and_left_alone(traced: Trace, make: Callable[[Path], object]) -> None:
    make(traced.path)
    assert traced.open() == []
    assert len(traced.reports) == 1
    assert str(traced.path) in traced.reports[0]
    assert not (traced.path.parent / "victim").exists() or (traced.path.parent / "victim").read_bytes() == b""


def test_a_pipe_that_is_read_is_no_trace_file(traced: Trace) -> None:
    os.mkfifo(traced.path)
    reader = os.open(traced.path, os.O_RDONLY | os.O_NONBLOCK)
    try:
        assert traced.open() == []
    finally:
        os.close(reader)
    assert "is not a plain file" in traced.reports[0]


@pytest.mark.root
def test_a_trace_file_of_somebody_else_is_refused(traced: Trace) -> None:
    traced.path.write_bytes(b"")
    os.chown(traced.path, 65534, 65534)
    assert traced.open() == []
    assert "belongs to uid 65534" in traced.reports[0]


def test_a_missing_folder_is_reported(tmp_path: Path) -> None:
    traced = Trace(tmp_path / "no" / "trace")
    assert traced.open() == []
    assert "No such file" in traced.reports[0]


def test_a_full_disk_is_reported_once_and_the_session_goes_on(traced: Trace) -> None:
    tap = traced.tap()
    assert isinstance(tap, Dialogue)
    assert isinstance(tap.write, trace.TraceFile)
    os.close(tap.write.descriptor)
    tap.write.descriptor = os.open("/dev/full", os.O_WRONLY)
    try:
        converse(tap)
    finally:
        os.close(tap.write.descriptor)
    assert len(traced.reports) == 1
    assert "No space left" in traced.reports[0]


# -d


@pytest.fixture
def said(monkeypatch: pytest.MonkeyPatch) -> list[tuple[int, str]]:
    found: list[tuple[int, str]] = []
    monkeypatch.setattr(trace, "open_writer", lambda *_: lambda *line: found.append(line))
    return found


def test_d_writes_the_dialogue_to_the_log_in_poppers_words(said: list[tuple[int, str]]) -> None:
    (tap,) = open_taps(Settings([("test", {"debug": True})]), pytest.fail)
    tap.received(FACTS, "fred", "retr 1")
    tap.sent(FACTS, "fred", b"+OK 5 octets")
    tap.body(FACTS, "fred", True, b"12345")
    tap.closed(FACTS)
    assert said == [
        (syslog.LOG_DEBUG, 'Received: "retr 1" user=fred session=S1'),
        (syslog.LOG_DEBUG, 'Sending line "+OK 5 octets" user=fred session=S1'),
        (syslog.LOG_DEBUG, 'Sending line "[5 octets]" user=fred session=S1'),
    ]


def test_a_line_of_the_dialogue_in_the_log_fits_a_datagram(said: list[tuple[int, str]]) -> None:
    (tap,) = open_taps(Settings([("test", {"debug": True})]), pytest.fail)
    tap.sent(FACTS, "fred", b"x" * 100_000)
    assert len(said[0][1]) < 1000


def test_bodies_are_never_in_the_log(said: list[tuple[int, str]]) -> None:
    (tap,) = open_taps(Settings([("test", {"debug": True, "trace.bodies": True})]), pytest.fail)
    tap.body(FACTS, "fred", True, b"private\r\n")
    tap.closed(FACTS)
    assert not any("private" in text for _, text in said)


def test_with_a_trace_file_the_dialogue_is_not_in_the_log(traced: Trace, said: list[tuple[int, str]]) -> None:
    converse(traced.tap(debug=True))
    assert said == []
    assert len(traced.lines) == 5


def test_where_the_trace_file_cannot_be_had_d_goes_to_the_log(traced: Trace, said: list[tuple[int, str]]) -> None:
    traced.path.mkdir()
    converse(traced.tap(debug=True))
    assert len(traced.reports) == 1
    assert len(said) == 5


def test_the_log_too_has_the_listed_users_only(said: list[tuple[int, str]]) -> None:
    (tap,) = open_taps(Settings([("test", {"debug": True, "trace.users": ["joe"]})]), pytest.fail)
    converse(tap)
    assert said == []


def test_without_t_and_d_there_is_no_tap() -> None:
    assert open_taps(Settings(), pytest.fail) == []


def test_ipaddress_is_loaded_only_when_addresses_are_asked_for() -> None:
    assert networks(()) == []
    script = """
import sys
import qpopper_py.logs.syslog, qpopper_py.logs.trace
qpopper_py.logs.trace.open_taps(qpopper_py.settings.Settings([("x", {"debug": True, "log.to": "stderr"})]), print)
print([name for name in ("ipaddress", "re", "socket", "logging") if name in sys.modules])
"""
    root = str(Path(qpopper_py.__file__).resolve().parents[1])
    script = "import qpopper_py.settings" + script
    command = [sys.executable, "-S", "-c", script]
    done = subprocess.run(command, env={"PYTHONPATH": root}, capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"
