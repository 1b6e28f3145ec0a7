"""The guard over what servers let out (tests/guard.py) can fail, and has something to look at."""

from __future__ import annotations

import base64
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.certificates import Authority
from tests.conftest import require_program
from tests.guard import GUARD, Guard
from tests.harness import APOP_SECRET, PASSWORD, Server, awkward, digest, environment, open_folder

if TYPE_CHECKING:
    from collections.abc import Iterator

SECRET = b"hush hush, 12\xc3\xa9"


@pytest.fixture
def guard() -> Guard:
    guard = Guard()
    guard.secret(SECRET)
    return guard


@pytest.mark.parametrize(
    "text",
    [
        SECRET,
        b'PASS "' + SECRET + b'" was wrong',
        SECRET.replace(b" ", rb"\x20"),
        SECRET.hex().encode(),
        base64.b64encode(SECRET),
        base64.b64encode(b"\0alice\0" + SECRET),
        base64.b64encode(b"\0bob\0" + SECRET),
        base64.b64encode(b"\0carol9\0" + SECRET + b"more"),
        b"hush%20hush%2C%2012%C3%A9",
        bytes(octet ^ 0xFF for octet in SECRET),
    ],
)
def test_a_secret_is_found_however_it_is_written(guard: Guard, text: bytes) -> None:
    guard.saw("the log", b"before\n" + text + b"\nafter")
    assert guard.leaks() == ["a password in the log"]


def test_what_was_searched_once_is_not_searched_again(guard: Guard) -> None:
    guard.saw("the log", SECRET)
    assert guard.leaks()
    assert guard.leaks() == []


def test_other_texts_are_no_leak_and_a_find_does_not_show_the_secret(guard: Guard) -> None:
    guard.saw("the log", b"hush hush, 13 and other words " + base64.b64encode(b"\0alice\0another password"))
    assert guard.leaks() == []
    guard.saw("the log", SECRET)
    assert "hush" not in repr(guard.leaks())


def test_files_are_searched_but_not_where_secrets_belong(guard: Guard, tmp_path: Path) -> None:
    for name in ("state/deep", "auth"):
        (tmp_path / name).mkdir(parents=True)
        (tmp_path / name / "file").write_bytes(b"x" + SECRET)
    guard.look_into(tmp_path, but=("auth",))
    assert guard.leaks() == [f"a password in {tmp_path}/state/deep/file"]


@pytest.mark.parametrize("kind", ["ec", "rsa", "ed25519", "pss"])
def test_a_tls_key_is_a_secret_and_its_certificate_is_none(kind: str, guard: Guard, tmp_path: Path) -> None:
    require_program("openssl")
    pair = Authority(tmp_path).sign("server", kind=kind)
    guard.tls_key(pair.key)
    guard.look_into(tmp_path, but=())
    assert not guard.leaks()
    text = subprocess.run(["openssl", "pkey", "-in", pair.key, "-outform", "DER"], capture_output=True, check=True)
    guard.saw("the core file", b"..." + text.stdout)
    assert guard.leaks() == ["a TLS key (server.key) in the core file"]
    guard.saw("the log", text.stdout.hex())
    assert guard.leaks() == ["a TLS key (server.key) in the log"]


def test_a_key_is_a_secret(guard: Guard, tmp_path: Path) -> None:
    (tmp_path / "the.key").write_bytes(b"0123456789abcdef\n")
    guard.keys(tmp_path)
    guard.saw("the log", b"0123456789abcdef".hex())
    assert guard.leaks() == ["a key (the.key) in the log"]


@pytest.mark.parametrize("place", ["a word of the command line", "the environment"])
def test_processes_are_looked_at(guard: Guard, place: str) -> None:
    secret = SECRET.decode()
    words = [secret] if place.startswith("a word") else []
    more = {} if words else {"PASS": secret}
    line = [sys.executable, "-c", "print('here', flush=True); input()", *words]
    with subprocess.Popen(line, stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=environment(**more)) as process:
        assert process.stdout
        assert process.stdin
        process.stdout.readline()
        guard.processes([process.pid])
        process.stdin.close()
    assert guard.leaks() == [f"a password in /proc/{process.pid}/{'cmdline' if words else 'environ'}"]


LEAKY = """
import sys
from tests.guard import GUARD
from tests.harness import PASSWORD, started

def test_that_passes():
    with started("/bin/sh", "-c", "echo the secret is %s" % WHAT) as process:
        process.output.wait_for("secret")
"""


@pytest.mark.parametrize(("what", "status"), [("PASSWORD", 1), ("PASSWORD[::2]", 0)])
def test_a_run_in_which_a_server_prints_a_password_fails(what: str, status: int, tmp_path: Path) -> None:
    """The same plugin in a run of its own, over a test that passes."""
    (tmp_path / "test_leaky.py").write_text(LEAKY.replace("WHAT", what))
    root = str(Path(__file__).resolve().parents[1])
    line = [sys.executable, "-m", "pytest", "-q", "-p", "tests.guard", "-p", "no:cacheprovider", str(tmp_path)]
    done = subprocess.run(line, cwd=tmp_path, env=environment(PYTHONPATH=root), capture_output=True, text=True)
    assert done.returncode == status, done.stdout + done.stderr
    assert ("a password in the output of a process" in done.stdout) is bool(status)


@pytest.fixture
def server() -> Iterator[Server]:
    """A server that tells as much as one can: trace, debugging, statistics."""
    with open_folder() as folder:
        (folder / "traces").mkdir(mode=0o700)
        settings = {"trace.file": folder / "traces/trace", "trace.bodies": True, "auth.refusal_delay": 0}
        server = Server(
            folder, apop={"bob": APOP_SECRET}, settings={**settings, "auth.max_failures": 0}, options=["-d", "-s"]
        )
        server.give(folder / "traces")
        server.fill("alice", awkward()[:2])
        with server:
            yield server


def test_nothing_that_a_talkative_server_writes_holds_a_secret(server: Server) -> None:
    """And it is looked at: the log, the trace, the replies, the processes and the state."""
    before = GUARD.octets
    with server.dialogue() as line:
        assert line.login().startswith(b"+OK")
        assert line.ask(f"PASS {PASSWORD}").startswith(b"-ERR")
        assert line.ask("QUIT").startswith(b"+OK")
    with server.dialogue() as line:
        greeting = line.line().decode()
        for said in (
            f"PASS {PASSWORD}",  # before USER
            f"APOP bob {digest(greeting[greeting.index('<') :], 'not his')}",
            f"APOP bob {digest(greeting[greeting.index('<') :], APOP_SECRET)} more",
            f"AUTH PLAIN {base64.b64encode(f'{chr(0)}bob{chr(0)}{PASSWORD}'.encode()).decode()}",
            "AUTH PLAIN",
            base64.b64encode(f"\0bob\0{PASSWORD}".encode()).decode(),
            f"AUTH {PASSWORD}",
            "USER alice",
            f"PASS {PASSWORD} ",
            f"xtnd {PASSWORD}",
        ):
            line.ask(said)
        assert line.ask(f"APOP bob {digest(greeting[greeting.index('<') :], APOP_SECRET)}").startswith(b"+OK")
    server.__exit__()
    seen = {where for where, _ in GUARD.pending}
    for place in ("the output of a process", "a reply", f"/proc/{server.process.pid}/cmdline"):
        assert place in seen
    assert str(server.folder / "traces/trace") in seen
    assert any(where.startswith(str(server.folder / "state")) for where in seen)
    assert b"pass xxxxxxxxx" in b"".join(data for where, data in GUARD.pending if where.endswith("traces/trace"))
    assert GUARD.octets > before
