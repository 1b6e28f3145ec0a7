"""The installed server and real PAM, end to end: what modules print, what is audited, who is locked out."""

from __future__ import annotations

import secrets
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.harness import PASSWORD, mail

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.inetd.starting import House

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
