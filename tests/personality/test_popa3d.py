"""popa3d(8) of Openwall and OpenBSD: each option, what was built in, its log, and that the manual has it all."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import syslog
from pathlib import Path

import pytest

import qpopper_py
from qpopper_py import events
from qpopper_py.errors import ConfigurationError
from qpopper_py.facts import Facts
from qpopper_py.logs.records import records, style
from qpopper_py.personality import check, commandline, popa3d
from qpopper_py.personality.commandline import Invocation
from qpopper_py.protocol.request import parse_strictly
from tests.harness import PACKAGE_ROOT, PATIENCE, command, environment, open_folder, servant

MANUAL = Path(__file__).resolve().parent.parent.parent / "man" / "popa3d.8"


def read(*argv: str, config: str = "none") -> Invocation:
    return commandline.read(["--config", config, *argv], {}, euid=os.geteuid(), called="/usr/sbin/popa3d")


# ---------------------------------------------------------------------------------------------------------------
# Options


@pytest.mark.parametrize("called", ["/usr/sbin/popa3d", "/usr/sbin/in.popa3d"])
def test_the_name_of_the_program_is_enough(called: str) -> None:
    invocation = commandline.read(["--config", "none"], {}, euid=os.geteuid(), called=called)
    assert invocation.personality is popa3d
    assert invocation.inetd


@pytest.mark.parametrize(
    ("argv", "where"),
    [
        (["-D"], "0.0.0.0:110"),
        (["-D4"], "0.0.0.0:110"),
        (["-D", "-6"], "[::]:110"),
        (["-6D"], "[::]:110"),
        (["-D46"], "[::]:110"),
        (["-D64"], "0.0.0.0:110"),
    ],
)
def test_d_listens_in_the_background(argv: list[str], where: str) -> None:
    invocation = read(*argv)
    assert not invocation.inetd
    assert [one.address for one in invocation.settings.listen] == [where]
    assert invocation.settings.serve_background


@pytest.mark.parametrize("argv", [[], ["-4"], ["-6"]])
def test_without_d_it_serves_the_connection_of_inetd(argv: list[str]) -> None:
    invocation = read(*argv)
    assert invocation.inetd
    assert not invocation.settings.listen
    assert not invocation.settings.serve_background


@pytest.mark.parametrize(("argv", "count"), [([], 0), (["-4"], 1), (["-46"], 2), (["-D6"], 0)])
def test_check_config_says_that_a_family_means_nothing_without_d(argv: list[str], count: int) -> None:
    told = [str(finding) for finding in check.findings(read(*argv, "--check-config"), os.geteuid())]
    assert len([line for line in told if "without -D" in line]) == count


def test_the_file_may_say_where_else_to_listen_and_that_d_stays_in_the_foreground(tmp_path: Path) -> None:
    config = tmp_path / "pop3d.toml"
    config.write_text("listen = ['*:110', '*:995,tls=implicit']\n[serve]\nbackground = false\n")
    settings = read("-D", config=str(config)).settings
    assert [one.address for one in settings.listen] == ["*:110", "*:995"]
    assert not settings.serve_background


def test_v_prints_the_version_and_leaves() -> None:
    assert read("-V").action == "version"
    start = "import sys; sys.argv[0] = '/usr/sbin/popa3d'; from qpopper_py.__main__ import main; sys.exit(main())"
    line = [sys.executable, "-c", start, "-V"]
    done = subprocess.run(
        line,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        timeout=PATIENCE,
        env=environment(),
        cwd=str(PACKAGE_ROOT),
    )
    assert done.returncode == 0
    assert done.stdout.decode() == f"pop3d (qpopper_py) {qpopper_py.__version__}\n"


@pytest.mark.parametrize("argv", [["-d"], ["-p", "110"], ["-x"], ["110"], ["-D", "110"]])
def test_anything_else_is_refused(argv: list[str]) -> None:
    with pytest.raises(ConfigurationError):
        read(*argv)


# ---------------------------------------------------------------------------------------------------------------
# What was built in (params.h)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("spool", "/var/mail"),
        ("timeout", 600),
        ("limits.sessions", 500),
        ("limits.sessions_address", 50),
        ("limits.min_delay", 10),
        ("limits.argument", 40),
        ("auth.max_failures", 1),
        ("pam.service", "popa3d"),
        ("log.facility", "daemon"),
        ("log.ident", "popa3d"),
        ("uidl", "popa3d"),
        ("mbox.separator", "popa3d"),
        ("mbox.internal", "shown"),
        ("status_headers", "keep"),
        ("second_session", "allowed"),
        ("commands", "original"),
    ],
)
def test_what_was_built_in_is_a_setting(name: str, value: object) -> None:
    assert getattr(read().settings, name.replace(".", "_")) == value


# ---------------------------------------------------------------------------------------------------------------
# Its log

FACTS = Facts("S1", peer="192.0.2.7", peer_name="pc7.example.org")
FORMS = style("popa3d")


@pytest.mark.parametrize(
    ("event", "expected"),
    [
        (events.SessionStarted(FACTS), [(syslog.LOG_INFO, "Session from 192.0.2.7")]),
        (
            events.LoggedIn(FACTS, "fred", "PASS", "pam", 2, 300),
            [(syslog.LOG_INFO, "Authentication passed for fred"), (syslog.LOG_INFO, "2 messages (300 bytes) loaded")],
        ),
        (
            events.LoggedIn(FACTS, "fred", "PASS", "pam", 1, 1),
            [(syslog.LOG_INFO, "Authentication passed for fred"), (syslog.LOG_INFO, "1 message (1 byte) loaded")],
        ),
        (
            events.LoginRefused(FACTS, "fred", "PASS", "wrong password"),
            [(syslog.LOG_NOTICE, "Authentication failed for fred")],
        ),
        (
            events.LoginRefused(FACTS, "(unknown:a1b2)", "PASS", "no such user"),
            [(syslog.LOG_NOTICE, "Authentication failed for UNKNOWN USER")],
        ),
        (events.SessionClosed(FACTS), [(syslog.LOG_INFO, "Didn't attempt authentication")]),
        (events.SessionClosed(FACTS, how="refused"), []),
        (
            events.SessionClosed(FACTS, "fred", "quit", 1, 100, 2, 250),
            [(syslog.LOG_INFO, "1 (100) deleted, 2 (250) left")],
        ),
        (events.SessionClosed(FACTS, "fred", "hangup"), [(syslog.LOG_INFO, "Premature disconnect")]),
        (events.SessionClosed(FACTS, "fred", "timeout"), [(syslog.LOG_INFO, "Connection timed out")]),
        (events.CommandFailed(FACTS, "fred", "RETR 9", ""), []),
    ],
)
def test_its_log_lines_are_written_word_for_word(event: events.Event, expected: list[tuple[int, str]]) -> None:
    assert records(event, False, False, forms=FORMS) == expected


def test_a_name_cannot_forge_a_line() -> None:
    ((_, text),) = records(
        events.LoginRefused(FACTS, "x\nSession from 1.2.3.4", "PASS", "?"), False, False, forms=FORMS
    )
    assert text == "Authentication failed for x\\x0aSession\\x20from\\x201.2.3.4"


def test_a_limit_begins_with_the_address_as_there() -> None:
    what = events.Trouble(None, "192.0.2.7: per source limit reached: 50 (limits.sessions_address)", "warning")
    ((_, text),) = records(what, False, False, forms=FORMS)
    assert re.match(r"192\.0\.2\.7: per source limit reached", text)


def test_what_an_administrator_must_know_is_told_in_our_words() -> None:
    ((_, text),) = records(events.Trouble(FACTS, "a disk is full"), False, False, forms=FORMS)
    assert text == "Error: a disk is full session=S1"


# ---------------------------------------------------------------------------------------------------------------
# Its lines


@pytest.mark.parametrize(
    ("line", "verb", "words"),
    [
        (b"STAT", "stat", []),
        (b"STAT ", "stat", []),
        (b"STAT  ", "stat", [b""]),
        (b"TOP 1 2", "top", [b"1", b"2"]),
        (b"TOP 1 2 ", "top", [b"1", b"2"]),
        (b"TOP 1  2", "top", [b"1", b"", b"2"]),
        (b"RETR\t1", "retr?1", []),
        (b" STAT", "", [b"STAT"]),
        (b"", "", []),
        (b"STAT\0", "", []),
    ],
)
def test_a_line_is_split_at_single_blanks(line: bytes, verb: str, words: list[bytes]) -> None:
    request = parse_strictly(line)
    assert (request.verb, request.words) == (verb, words)


def test_a_password_is_the_rest_of_the_line_with_its_blanks() -> None:
    assert parse_strictly(b"PASS  a b ").rest == b" a b "


# ---------------------------------------------------------------------------------------------------------------
# The manual


def test_the_manual_has_a_row_for_each_option_and_no_other() -> None:
    text = MANUAL.read_text()
    synopsis = text[text.index(".Sh COMPATIBILITY") :]
    assert sorted(re.findall(r"^\.It Fl (\S)$", synopsis, re.M)) == sorted(row.letter for row in popa3d.OPTIONS)


def test_the_manual_names_each_setting_that_differs() -> None:
    text = MANUAL.read_text()
    rows = text[text.index(".Ss What was built in") :]
    assert sorted(re.findall(r"^\.It Va (\S+)", rows, re.M)) == sorted(popa3d.SETTINGS)
    for name, value in popa3d.SETTINGS.items():
        shown = str(value).lower() if isinstance(value, bool) else str(value)
        assert re.search(rf"^\.It Va {re.escape(name)} = (\\\(dq)?{re.escape(shown)}(\\\(dq)?$", rows, re.M), name


# ---------------------------------------------------------------------------------------------------------------
# popa3d -D, as an init script runs it: on port 110, of a network that is the test's own

ALONE = """
import os, select, signal, socket, subprocess, sys
subprocess.run(["ip", "link", "set", "lo", "up"], check=True)
pid_file, letters, host, *line = sys.argv[1:]
done = subprocess.run([*line, letters], stdin=subprocess.DEVNULL, capture_output=True)
assert (done.returncode, done.stdout, done.stderr) == (0, b"", b""), done
pid = int(open(pid_file).read())
try:
    clients = [socket.create_connection((host, 110), 20) for _ in range(50)]
    for client in clients:
        assert client.recv(100) == b"+OK\\r\\n"
    try:
        refused = socket.create_connection((host, 110), 20).recv(100)
    except ConnectionResetError:
        refused = b""
    assert refused == b"", refused
    other = "127.0.0.1" if ":" in host else "::1"
    try:
        socket.create_connection((other, 110), 20)
    except ConnectionRefusedError:
        print("as it should be")
finally:
    watched = os.pidfd_open(pid)
    for client in clients:
        client.close()
    os.kill(pid, signal.SIGTERM)
    if not select.select([watched], [], [], 20)[0]:
        os.kill(pid, signal.SIGKILL)
"""


@pytest.mark.root
@pytest.mark.parametrize(("letters", "host"), [("-D", "127.0.0.1"), ("-D4", "127.0.0.1"), ("-D6", "::1")])
def test_d_serves_port_110_and_fifty_of_a_source(letters: str, host: str) -> None:
    if servant() is None:
        pytest.skip("other users cannot read this Python, and root's server refuses to start from it")
    if not (shutil.which("ip") and shutil.which("unshare")):
        pytest.skip("ip or unshare is not installed")
    made = subprocess.run(["unshare", "--net", "true"], capture_output=True, text=True)
    if made.returncode:
        pytest.skip(f"no network can be made here: {made.stderr.strip()}")
    if ":" in host and not Path("/proc/net/if_inet6").exists():
        pytest.skip("there is no IPv6 here")
    with open_folder() as folder:
        settings = {"serve.pid_file": folder / "popa3d.pid", "state_dir": folder / "state", "log.to": "syslog"}
        line = [*command(), "--personality", "popa3d", "--config", "none"]
        line += [word for key, value in settings.items() for word in ("--set", f"{key}={value}")]
        start = ["unshare", "--net", sys.executable, "-c", ALONE, str(folder / "popa3d.pid"), letters, host, *line]
        done = subprocess.run(start, capture_output=True, timeout=PATIENCE, env=environment(), text=True)
        assert (done.returncode, done.stdout) == (0, "as it should be\n"), done.stderr
        assert not (folder / "popa3d.pid").exists()
