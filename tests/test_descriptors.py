"""Under inetd descriptors 0 to 2 are the client: nothing but POP3 may ever reach them, whatever goes wrong."""

import os
import shutil
import socket
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

import qpopper_py
from qpopper_py.doorstep import closed_to_others

MAILBOX = b"From a@example.org Fri Nov 20 08:55:46 2026\nSubject: one\n\nfirst\n\n"
SCRIPT = b"USER alice\r\nPASS secret\r\nSTAT\r\nLIST\r\nUIDL\r\nRETR 1\r\nTOP 1 0\r\nLAST\r\nCAPA\r\nDELE 1\r\nQUIT\r\n"

# Starts the server with one of its functions replaced by one that raises, prints and warns.
PLANTED = """
import sys, importlib
module, _, name = sys.argv[1].partition(":")
def bomb(*args, **keywords):
    print("PRINTED"); print("PRINTED", file=sys.stderr)
    import os
    for descriptor in (1, 2):
        os.write(descriptor, b"WRITTEN")
    raise ZeroDivisionError("PLANTED")
if module:
    at = importlib.import_module(module)
    *path, last = name.split(".")
    for step in path:
        at = getattr(at, step)
    setattr(at, last, bomb)
    if module.endswith("transaction") or module.endswith("authorization"):
        from qpopper_py.session import table
        for row in table.TABLE:
            if row.handler.__name__ == last and row.handler.__module__ == module:
                row.handler = bomb
from qpopper_py.__main__ import main
sys.exit(main(sys.argv[2:]))
"""


OPEN = os.getuid() != 0 or not closed_to_others(os.__file__, qpopper_py.__file__)


@pytest.fixture
def options():
    if not OPEN:
        pytest.skip("other users cannot read this Python, and root's server refuses to start from it")
    with tempfile.TemporaryDirectory() as folder:  # pytest's own lies where only we may pass
        yield furnished(Path(folder))


def furnished(tmp_path):
    """Options for a server whose one user is alice, with a maildrop of one message."""
    (tmp_path / "alice").write_bytes(MAILBOX)
    accounts = tmp_path / "accounts"
    owner = f"{os.getuid()}:{os.getgid()}" if os.getuid() else "65534:65534"
    accounts.write_text(f"alice:{{PLAIN}}secret:{owner}::::\n")
    accounts.chmod(0o600)
    if os.getuid() == 0:
        os.chown(tmp_path / "alice", 65534, 65534)
        tmp_path.chmod(0o755)
    settings = {
        "accounts.file": accounts,
        "accounts.maildrop": f"{tmp_path}/%n",
        "state_dir": tmp_path / "state",
        "mailauth.database": tmp_path / "mailauth.db",
        "locks.dotlock": "try",
        "auth.refusal_delay": 0,
    }
    return ["--config", "none", *(f"--set={name}={value}" for name, value in settings.items())]


def talk(arguments, planted=":", script=SCRIPT):
    """What the client of a server with descriptors 0 to 2 on one socket reads, and the exit status."""
    ours, theirs = socket.socketpair()
    ours.settimeout(60)
    process = subprocess.Popen(
        [sys.executable, "-c", PLANTED, planted, *arguments], stdin=theirs, stdout=theirs, stderr=theirs
    )
    theirs.close()
    try:
        ours.sendall(script)
    except BrokenPipeError:
        pass  # it ended before it listened
    data = b""
    try:
        while more := ours.recv(65536):
            data += more
    except ConnectionResetError:
        pass
    ours.close()
    return data, process.wait(60)


def test_a_session_is_served_on_descriptor_0(options):
    data, status = talk(options)
    assert status == 0
    assert data.startswith(b"+OK UCB Pop server (version 1.6) at ")
    assert b"+OK alice has 1 message(s) (23 octets).\r\n" in data
    assert data.endswith(b" signing off.\r\n")


@pytest.mark.parametrize(
    "planted",
    [
        "qpopper_py.personality.commandline:read",
        "qpopper_py.logs.syslog:open_log",
        "qpopper_py.logs.trace:open_taps",
        "qpopper_py.stamp:wanted",
        "qpopper_py.arrival:learn",
        "qpopper_py.protocol.reply:greeting",
        "qpopper_py.session.session:Session.greeted",
        "qpopper_py.session.wire:Wire.line",
        "qpopper_py.session.wire:Wire.flush",
        "qpopper_py.protocol.request:plain",
        "qpopper_py.session.authorization:user",
        "qpopper_py.serve.roles:state_folder",
        "qpopper_py.store.opening:open_store",
        "qpopper_py.store.mbox.store:Mbox.scan",
        "qpopper_py.store.mbox.store:Mbox.uids",
        "qpopper_py.store.mbox.store:Mbox.read",
        "qpopper_py.store.mbox.store:Mbox.expunge",
        "qpopper_py.store.mbox.store:Mbox.remember",
        "qpopper_py.session.transaction:stat",
        "qpopper_py.session.transaction:list_",
        "qpopper_py.session.transaction:retr",
        "qpopper_py.session.transaction:stuffed",
        "qpopper_py.session.transaction:quit_",
        "qpopper_py.session.session:Session.close",
    ],
)
def test_an_exception_planted_anywhere_puts_nothing_on_the_socket(options, planted):
    """What the client reads is the beginning of the ordinary session, and then the end of the connection."""
    ordinary, _ = talk(options)
    (mailbox,) = [option.partition("=")[2].partition("=")[2] for option in options if "maildrop" in option]
    with open(mailbox.replace("%n", "alice"), "r+b") as file:
        file.write(MAILBOX)
    data, _ = talk(options, planted)
    assert ordinary.startswith(data)
    # A log that cannot be opened keeps nobody from the mail.
    assert len(data) < len(ordinary) or planted.endswith(("Session.close", "open_log"))


@pytest.mark.parametrize("planted", ["qpopper_py.auth.gate:Gate.__init__", "qpopper_py.auth.gate:Gate.begin"])
def test_a_gate_that_breaks_lets_nobody_in_and_says_nothing_strange(options, planted):
    """As root it breaks in a process of its own, and the client hears of trouble; else the connection ends."""
    data, _ = talk(options, planted)
    before, _, behind = data.partition(b"+OK Password required for alice.\r\n")
    assert before.startswith(b"+OK UCB Pop server")
    assert behind.startswith(b"-ERR [SYS/TEMP] ") if os.getuid() == 0 else not behind
    assert b"PLANTED" not in data
    assert b"WRITTEN" not in data
    assert b"message(s)" not in data


@pytest.mark.parametrize(
    "wrong",
    [
        ["-z"],
        ["-p", "110"],
        ["--no-such-option"],
        ["--set", "no.such.setting=1"],
        ["-T", "soon"],
        ["--config", "/nonexistent"],
        ["operand"],
        ["--set", "auth.sources=accounts"],
    ],
    ids=" ".join,
)
def test_an_error_in_the_command_line_is_one_clean_err(wrong):
    data, status = talk(["--config", "none", *wrong])
    assert data == b"-ERR [SYS/PERM] The server is not configured; its log says why.\r\n"
    assert status == 0  # socat throws away the last words of a program that ends with another


def test_a_person_at_a_terminal_reads_what_was_wrong():
    done = subprocess.run(
        [sys.executable, "-m", "qpopper_py", "-p", "110"], stdin=subprocess.DEVNULL, capture_output=True, text=True
    )
    assert done.returncode == 64
    assert "-p" in done.stderr
    assert "--personality" in done.stderr


@pytest.mark.root
def test_root_does_not_serve_from_a_package_that_others_cannot_read():
    with tempfile.TemporaryDirectory() as folder:  # 0700
        shutil.copytree(Path(qpopper_py.__file__).parent, f"{folder}/qpopper_py")
        done = subprocess.run(
            [sys.executable, "-m", "qpopper_py", "--config", "none", "--listen", "127.0.0.1:0"],
            cwd=folder, stdin=subprocess.DEVNULL, capture_output=True, text=True,
        )  # fmt: skip
        assert done.returncode == 64
        assert f"other users cannot read {os.path.realpath(folder)}" in done.stderr
