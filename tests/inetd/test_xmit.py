"""A message by XTND XMIT through a real Postfix, which hands it to a sink of ours.

Postfix has its own configuration, queue and data folder, bound over the host's in a mount namespace: its setgid
postdrop takes no other configuration folder from a user.  It listens on no network.
"""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import socket
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.conftest import require_program
from tests.harness import PASSWORD, PATIENCE, Dialogue, environment, mail, started, wait_until
from tests.inetd.starting import listens, new_house

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.inetd.starting import House

pytestmark = [pytest.mark.root, pytest.mark.client("postfix", "postconf", "unshare", "socat")]

MASTER_CF = """\
pickup    unix  n  -  n  60  1  pickup
cleanup   unix  n  -  n  -   0  cleanup
qmgr      unix  n  -  n  300 1  qmgr
tlsmgr    unix  -  -  n  1000? 1 tlsmgr
rewrite   unix  -  -  n  -   -  trivial-rewrite
bounce    unix  -  -  n  -   0  bounce
defer     unix  -  -  n  -   0  bounce
trace     unix  -  -  n  -   0  bounce
proxymap  unix  -  -  n  -   -  proxymap
retry     unix  -  -  n  -   -  error
error     unix  -  -  n  -   -  error
discard   unix  -  -  n  -   -  discard
postlog   unix-dgram n - n -  1  postlogd
sink      unix  -  n  n  -   -  pipe user=nobody argv={sink} {folder} ${{sender}} ${{recipient}}
"""

MAIN_CF = """\
compatibility_level = 3.6
myhostname = mta.example.org
mydestination =
default_transport = sink
relay_transport = sink
sink_destination_recipient_limit = 1
inet_interfaces =
inet_protocols = ipv4
alias_maps =
alias_database =
local_recipient_maps =
maillog_file = /dev/stdout
queue_directory = /var/spool/postfix
data_directory = /var/lib/postfix
"""

SINK = """#!/bin/sh
umask 022
name="$1/$3"
printf '%s' "$2" > "$name.sender"
cat > "$name.part" && mv "$name.part" "$name"
"""

SCRIPT = """
mount --bind {folder}/etc /etc/postfix &&
mount --bind {folder}/queue /var/spool/postfix &&
mount --bind {folder}/data /var/lib/postfix || exit 1
{{ echo MTA; postfix start-fg; }} 2>&1 &
exec {pop3d}
"""


class Mta:
    """pop3d on a port, and behind its sendmail a Postfix that delivers everything into ``sink``."""

    def __init__(self, port: int, house: House, sink: Path, output: object) -> None:
        self.port = port
        self.house = house
        self.sink = sink
        self.output = output

    def login(self) -> Dialogue:
        line = Dialogue(socket.create_connection(("127.0.0.1", self.port), PATIENCE))
        assert line.login(self.house.user.name, PASSWORD).startswith(b"+OK")
        return line

    def arrived(self, address: str) -> bytes:
        wait_until((self.sink / address).exists, f"mail for {address}; Postfix said: {self.output.text}")  # type: ignore[attr-defined]
        return (self.sink / address).read_bytes()


@pytest.fixture(scope="module")
def mta(prefix: Path) -> Iterator[Mta]:
    """One Postfix for all tests here: it takes seconds to start."""
    pytest.importorskip("sh", reason="XTND XMIT needs the library sh")
    with new_house(prefix) as house, postfix(house) as running:
        yield running


@contextlib.contextmanager
def postfix(house: House) -> Iterator[Mta]:
    folder = house.folder / "postfix"
    for name in ("etc", "queue", "data", "sink"):
        (folder / name).mkdir(parents=True)
        (folder / name).chmod(0o755)
    shutil.copytree("/etc/postfix", folder / "etc", dirs_exist_ok=True)
    shutil.chown(folder / "data", "postfix")
    shutil.chown(folder / "sink", "nobody")
    sink = house.folder / "sink"
    sink.write_text(SINK)
    sink.chmod(0o755)
    (folder / "etc/main.cf").write_text(MAIN_CF)
    (folder / "etc/master.cf").write_text(MASTER_CF.format(sink=sink, folder=folder / "sink"))
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    where = f"TCP-LISTEN:{port},bind=127.0.0.1,reuseaddr,fork"
    pop3d = f"{require_program('socat')} {where} 'EXEC:{house.pop3d} --config {house.config},nofork'"
    script = SCRIPT.format(folder=folder, pop3d=pop3d)
    clean = {key: value for key, value in environment().items() if key != "PYTHONPATH"}
    with started(*house.log.prefix, "sh", "-c", script, env=clean, cwd="/") as process:
        try:
            process.output.wait_for("daemon started")  # type: ignore[attr-defined]
            wait_until(lambda: listens(port), f"socat listening on {port}")
            yield Mta(port, house, folder / "sink", process.output)  # type: ignore[attr-defined]
        finally:
            end_master(folder)


def end_master(folder: Path) -> None:
    """Postfix's master leaves our process group; its pid file says who it is."""
    with contextlib.suppress(OSError, ValueError):
        pid = int((folder / "queue/pid/master.pid").read_text())
        os.kill(pid, 15)
        wait_until(lambda: not Path(f"/proc/{pid}").exists(), "the end of Postfix")


def send(line: Dialogue, message: bytes) -> bytes:
    """XTND XMIT of ``message`` (LF line ends), dots stuffed, CRLF (RFC 1939 section 3); the last answer."""
    assert line.ask("XTND XMIT") == b"+OK Start sending message."
    stuffed = re.sub(rb"(?m)^\.", b"..", message).replace(b"\n", b"\r\n")
    line.sock.sendall(stuffed + b".\r\n")
    return line.line()


def headers_added(message: bytes, arrived: bytes) -> list[bytes]:
    """Names of the header fields in front of what was sent; a failure if anything else differs."""
    assert arrived.endswith(message), f"sent {message[-300:]!r}, arrived {arrived[-300:]!r}"
    added = arrived.removesuffix(message)
    return [line.split(b":")[0] for line in added.split(b"\n") if line[:1].strip()]


HEADER = (
    b"From: Alice <alice@example.org>\nTo: <%s>\nSubject: a test\n"
    b"Date: Fri, 20 Nov 2026 08:55:46 +0000\nMessage-Id: <1@example.org>\n\n"
)
BODIES = {
    "plain": b"one line\nand another\n",
    "dots": b".\n..\n.x\n...\n \n.\nend\n",
    "eight-bits": "déjà vu\n".encode() + bytes(range(0xA0, 0x100)) + b"\n",
    "from-lines": b"From here\n\nFrom carol@example.com Fri Nov 20 08:55:46 2026\n>From\n",
    "blank-lines": b"\n\n\ntext\n\n\n",
    "long-line": b"x" * 60_000 + b"\nend\n",
    "empty": b"",
    "two-megabytes": b"".join(b"%063d\n" % n for n in range(32_768)),
    "tabs-and-trailing-blanks": b"\ttab \n trailing  \t\n",
}


@pytest.mark.parametrize("what", BODIES)
def test_every_octet_of_a_sent_message_arrives(what: str, mta: Mta) -> None:
    """Postfix's own additions: a Received field in front, nothing else."""
    address = f"{what}@example.net"
    message = HEADER % address.encode() + BODIES[what]
    with mta.login() as line:
        assert send(line, message) == b"+OK Message sent successfully"
        arrived = mta.arrived(address)
        assert line.ask("QUIT").startswith(b"+OK")
    assert headers_added(message, arrived) == [b"Received"]


def test_the_envelope_sender_is_the_user_who_logged_in_and_bcc_is_not_shown(mta: Mta) -> None:
    text = b"From: boss@example.org\nTo: <to@example.net>\nBcc: <bcc@example.net>\nSubject: x\n\nbody\n"
    with mta.login() as line:
        assert send(line, text) == b"+OK Message sent successfully"
        bodies = [mta.arrived("to@example.net"), mta.arrived("bcc@example.net")]
        assert line.ask("QUIT").startswith(b"+OK")
    assert (mta.sink / "to@example.net.sender").read_text().partition("@")[0] == mta.house.user.name
    assert not any(b"bcc" in body.lower() for body in bodies)
    mta.house.log.wait_for(f'Pop transmit from "{mta.house.user.name}"')


def test_mail_is_fetched_and_sent_in_one_session(mta: Mta) -> None:
    mta.house.user.fill([mail("before", b"text\n")])
    address = "answer@example.net"
    with mta.login() as line:
        assert line.ask("RETR 1").startswith(b"+OK")
        line.body()
        assert send(line, HEADER % address.encode() + b"answer\n") == b"+OK Message sent successfully"
        assert line.ask("DELE 1").startswith(b"+OK")
        assert line.ask("QUIT").startswith(b"+OK")
    assert mta.arrived(address).endswith(b"\nanswer\n")
    assert mta.house.user.mailbox.read_bytes() == b""


def test_a_client_that_vanishes_in_mid_message_sends_nothing(mta: Mta) -> None:
    with mta.login() as line:
        assert line.ask("XTND XMIT").startswith(b"+OK")
        line.sock.sendall(b"To: <lost@example.net>\r\n\r\nhalf a mess")
    with mta.login() as line:
        assert send(line, HEADER % b"whole@example.net" + b"text\n").startswith(b"+OK")
        mta.arrived("whole@example.net")
        assert line.ask("QUIT").startswith(b"+OK")
    assert not (mta.sink / "lost@example.net").exists()


def test_a_message_that_the_mailer_refuses_is_an_err_without_its_words(mta: Mta) -> None:
    """No recipients: Postfix's sendmail ends with a status of its own and says why, to the log."""
    with mta.login() as line:
        assert send(line, b"Subject: to nobody\n\ntext\n") == b"-ERR Unable to send message"
        assert line.ask("NOOP").startswith(b"+OK")
        assert line.ask("QUIT").startswith(b"+OK")
    mta.house.log.wait_for("exit status")
