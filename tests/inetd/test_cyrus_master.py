"""The real Cyrus master(8), with its lmtpd, and our pop3d as the ``cmd=`` of a service: cyrus-pop3d(8), Under master.

tests/serve/test_master.py has what master cannot be made to do here.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.compare.opponents import USER
from tests.compare.servers import MAIL, OWNER, SECRET, Cyrus
from tests.harness import Dialogue, children, command, identity, open_folder, servant, wait_until

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = [pytest.mark.root, pytest.mark.client("saslpasswd2")]
TWICE = "-U 2"


@pytest.fixture(scope="module")
def cyrus() -> Iterator[Cyrus]:
    if servant() is None:
        pytest.skip("other users cannot read this Python, and cyrus is another")
    with open_folder() as folder:
        (folder / "state").mkdir()
        os.chown(folder / "state", OWNER, MAIL)
        line = [*command(), "--personality", "cyrus", "-C", f"{folder}/etc/imapd.conf", "--config", "none", TWICE]
        made = Cyrus(folder, " ".join([*line, "--set", f"state_dir={folder}/state", "--set", "log.to=syslog"]))
        try:
            made.deliver([b"Subject: %d\r\n\r\ntext\r\n" % number for number in range(3)])
            yield made
        finally:
            made.close()


def session(cyrus: Cyrus) -> Dialogue:
    """A client that has logged in."""
    dialogue = Dialogue(cyrus.connect(cyrus.folder / "run/pop3"))
    assert dialogue.login(USER, SECRET).startswith(b"+OK Mailbox locked and ready SESSIONID=")
    return dialogue


def workers(cyrus: Cyrus) -> set[int]:
    """Our processes that master has started itself."""

    def line(pid: int) -> bytes:
        try:
            return Path(f"/proc/{pid}/cmdline").read_bytes()
        except OSError:
            return b""

    everybody = children(cyrus.process.pid)
    (master,) = (pid for pid in everybody if line(pid).startswith(b"/usr/lib/cyrus/bin/master\0"))
    ours = [pid for pid in everybody if TWICE.split()[0].encode() in line(pid).split(b"\0")]
    return {pid for pid in ours if parent(pid) == master}


def parent(pid: int) -> int:
    try:
        return int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])
    except OSError:
        return 0


def test_its_mail_is_served_by_us_as_cyrus(cyrus: Cyrus) -> None:
    with session(cyrus) as client:
        assert client.ask("STAT").startswith(b"+OK 3 ")
        assert client.ask("CAPA").startswith(b"+OK")
        assert b"IMPLEMENTATION qpopper_py" in client.body()
        assert all(identity(pid)["Uid"] == [OWNER] * 4 for pid in workers(cyrus))
        assert client.ask("RETR 2").startswith(b"+OK")
        assert b"Subject: 1\r\n" in client.body()
        assert client.ask("QUIT") == b"+OK"
    wait_until(lambda: not any(children(pid) for pid in workers(cyrus)), "the end of the session's process")


def test_master_hears_who_is_busy_starts_another_and_uses_those_again_that_are_free(cyrus: Cyrus) -> None:
    """A worker serves two, by -U 2: the next client is served by one that master has started for it."""
    served: list[set[int]] = []
    for _ in range(4):
        with session(cyrus) as client:
            served.append({pid for pid in workers(cyrus) if children(pid)})
            assert client.ask("QUIT") == b"+OK"
        wait_until(lambda: not any(children(pid) for pid in workers(cyrus)), "the end of the session's process")
    assert all(len(pids) == 1 for pids in served), served
    assert sorted(sum(other == pids for other in served) for pids in served) in ([2, 2, 2, 2], [1, 1, 2, 2]), served


def test_while_one_is_busy_another_client_is_served(cyrus: Cyrus) -> None:
    with session(cyrus) as first, session(cyrus) as second:
        assert len([pid for pid in workers(cyrus) if children(pid)]) == 2
        assert second.ask("NOOP") == b"+OK"
        assert first.ask("NOOP") == b"+OK"
        assert second.ask("QUIT") == first.ask("QUIT") == b"+OK"
