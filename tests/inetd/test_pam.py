"""The installed server and real PAM, end to end: what modules print, what is audited, who is locked out."""

from __future__ import annotations

import secrets
import statistics
import time
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.harness import PASSWORD, mail

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.inetd.starting import House, Serving

pytestmark = [pytest.mark.root, pytest.mark.client("socat")]

ONE = [mail("the only message", b"text\n")]
AUTHPRIV_NOTICE = "<85>"  # RFC 3164 section 4.1.1: facility 10, severity 5


@pytest.fixture
def service() -> Iterator[str]:
    """A service whose modules have something to say."""
    path = Path("/etc/pam.d/qptest-" + secrets.token_hex(6))
    noise = "pam_exec.so stdout /bin/echo noise"
    path.write_text(
        f"auth optional {noise}\nauth required pam_unix.so\naccount optional {noise}\naccount required pam_unix.so\n"
    )
    try:
        yield path.name
    finally:
        path.unlink()


def test_a_login_by_pam_and_nothing_else_reaches_the_client(house: House, service: str) -> None:
    house.user.fill(ONE)
    options = ("--set", f"pam.service={service}", "--set", "auth.refusal_delay=0", "--set", "auth.c2=true")
    with house.serving(options=(*options, "--set", "c2.failures=2")) as serving:
        with serving.dialogue() as line:
            assert line.login(house.user.name).startswith(b"+OK")
            assert line.ask("STAT").startswith(b"+OK 1 ")
            assert line.ask("QUIT").startswith(b"+OK")
            assert line.rest() == b""
        for _ in range(2):
            with serving.dialogue() as line:
                assert line.login(house.user.name, "wrong") == (
                    f'-ERR [AUTH] Password supplied for "{house.user.name}" is incorrect.'.encode()
                )
        with serving.dialogue() as line:
            assert line.login(house.user.name).startswith(b"-ERR [AUTH]")
        serving.idle()
    assert ", pam, 1 messages" in house.log.wait_for("POP login by user")
    granted = house.log.wait_for("cred=password res=success")
    assert granted.startswith(AUTHPRIV_NOTICE)
    assert f'acct="{house.user.name}" addr=127.0.0.1' in granted
    assert "PAM auth: Authentication failure" in house.log.wait_for("res=failed")
    assert "locked out" in house.log.wait_for('why="locked out')
    assert PASSWORD not in house.log.text


DELAY = 0.2
TURNS = 5


@pytest.fixture
def uneven(house: House) -> Iterator[str]:
    """A service that has work with the one user alone, enough to exceed the delay."""
    path = Path("/etc/pam.d/qptest-" + secrets.token_hex(6))
    script = house.folder / "work"
    script.write_text(f'#!/bin/sh\n[ "$PAM_USER" != {house.user.name} ] || exec sleep {1.2 * DELAY}\n')
    script.chmod(0o755)
    path.write_text(f"auth optional pam_exec.so {script}\nauth required pam_unix.so\naccount required pam_unix.so\n")
    try:
        yield path.name
    finally:
        path.unlink()


@pytest.mark.parametrize("superserver", ["socat-nofork", "systemd-once"])
def test_the_moment_of_a_refusal_does_not_tell_of_pams_work(house: House, uneven: str, superserver: str) -> None:
    """Of a process for the connection, and of a service.

    Turn by turn, so that a slow moment of the machine meets both; of the first refusals the server learns.
    """
    values = (f"pam.service={uneven}", f"auth.refusal_delay={DELAY}", "guess.delay=0")
    options = tuple(word for value in values for word in ("--set", value))
    with house.serving(superserver, options) as serving:
        turns = [[refused_after(serving, name) for name in (house.user.name, "nobodyhere")] for _ in range(TURNS + 2)]
    apart = [abs(known - unknown) for known, unknown in turns[2:]]
    assert statistics.median(apart) < DELAY / 2, turns


def refused_after(serving: Serving, user: str) -> float:
    """Seconds from PASS to -ERR."""
    with serving.dialogue() as line:
        line.line()
        assert line.ask(f"USER {user}").startswith(b"+OK")
        begin = time.monotonic()
        assert line.ask("PASS wrong").startswith(b"-ERR")
        return time.monotonic() - begin
