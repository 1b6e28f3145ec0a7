"""Options that print: for a person where descriptor 0 is no socket, and never for a client (pop3d(8))."""

from __future__ import annotations

import os
import pty
import socket
import subprocess
import sys
from typing import IO

import pytest

import qpopper_py
from tests.harness import PACKAGE_ROOT, PATIENCE, environment

VERSION = f"pop3d (qpopper_py) {qpopper_py.__version__}\n".encode()

# Tru64's rows, and two letters that talk to a person, as other old programs have them.
START = """
import sys
from qpopper_py.personality import tru64
from qpopper_py.personality.options import Option
tru64.OPTIONS += (Option("V", "", "the version", action="version"), Option("h", "", "help", action="help"))
from qpopper_py.__main__ import main
sys.exit(main())
"""


def run(*words: str, given: int | IO[bytes] | None = subprocess.DEVNULL) -> subprocess.CompletedProcess[bytes]:
    line = [sys.executable, "-c", START, *words]
    return subprocess.run(
        line, stdin=given, capture_output=True, timeout=PATIENCE, env=environment(), cwd=str(PACKAGE_ROOT)
    )


@pytest.mark.parametrize("words", [["-V"], ["-sV"], ["-V", "-s"], ["-T300", "-V"], ["--version"]])
def test_a_letter_prints_the_version_where_nobody_is_served(words: list[str]) -> None:
    done = run(*words)
    assert (done.returncode, done.stdout, done.stderr) == (0, VERSION, b"")


def test_at_a_terminal() -> None:
    ours, theirs = pty.openpty()
    try:
        assert run("-V", given=theirs).stdout == VERSION
    finally:
        os.close(ours)
        os.close(theirs)


def test_on_a_pipe() -> None:
    ours, theirs = os.pipe()
    try:
        assert run("-V", given=ours).stdout == VERSION
    finally:
        os.close(ours)
        os.close(theirs)


def test_with_descriptor_0_closed() -> None:
    line = ["/bin/sh", "-c", 'exec "$@" <&-', "sh", sys.executable, "-c", START, "-V"]
    done = subprocess.run(line, capture_output=True, timeout=PATIENCE, env=environment(), cwd=str(PACKAGE_ROOT))
    assert (done.returncode, done.stdout) == (0, VERSION)


def test_help() -> None:
    done = run("-h")
    assert done.returncode == 0
    assert done.stdout.startswith(b"usage: pop3d ")


@pytest.mark.parametrize("word", ["-V", "-h"])
def test_a_client_hears_one_clean_error(word: str) -> None:
    ours, theirs = socket.socketpair()
    with ours:
        with theirs:
            line = [sys.executable, "-c", START, word]
            server = subprocess.Popen(
                line, stdin=theirs, stdout=theirs, stderr=theirs, env=environment(), cwd=str(PACKAGE_ROOT)
            )
        ours.settimeout(PATIENCE)
        said = ours.makefile("rb").read()
    assert server.wait(PATIENCE) == 0
    assert said == b"-ERR [SYS/PERM] The server is not configured; its log says why.\r\n"
