"""In GNU mailutils' place: called by its name it prints, and listens by its configuration."""

from __future__ import annotations

import re
import socket
import subprocess
import sys

import pytest

from tests.harness import PACKAGE_ROOT, PASSWORD, PATIENCE, Server, mail, open_folder

START = (
    "import sys; sys.path.insert(0, sys.argv.pop(1)); sys.argv[0] = '/usr/sbin/mailutils-pop3d';"
    " from qpopper_py.__main__ import main; sys.exit(main())"
)
LINE = [sys.executable, "-I", "-c", START, str(PACKAGE_ROOT)]


@pytest.mark.parametrize(
    ("option", "words"),
    [("-V", "pop3d (qpopper_py)"), ("-h", "usage: pop3d"), ("-?", "usage: pop3d"), ("--config-help", "login-delay")],
)
def test_a_letter_that_asks_for_a_text_prints_it(option: str, words: str) -> None:
    done = subprocess.run([*LINE, option], stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=PATIENCE)
    assert done.returncode == 0
    assert words in done.stdout


def test_no_client_gets_such_a_text() -> None:
    ours, theirs = socket.socketpair()
    with ours, theirs:
        done = subprocess.run([*LINE, "-V"], stdin=theirs, stdout=theirs, stderr=subprocess.DEVNULL, timeout=PATIENCE)
        theirs.close()
        assert done.returncode == 0
        assert b"qpopper_py" not in ours.recv(100)


class InItsPlace(Server):
    """Listening by a configuration of mailutils' language, which stands for --listen."""

    def command(self) -> list[str]:
        return LINE

    def arguments(self) -> list[str]:
        return [word for key, value in self.settings.items() for word in ("--qp-set", f"{key}={value}")]

    def whole_line(self) -> list[str]:
        conf = self.folder / "pop3d.conf"
        conf.write_text(
            "mode daemon; tcp-wrappers { enable no; };\n"
            "server 127.0.0.1:0 { };\nacl { allow 127.0.0.1; deny any; };\nlogin-delay 5 minutes;\n"
        )
        self.give(conf)
        return [*self.command(), "--qp-config", "none", f"--config-file={conf}", "--foreground", *self.arguments()]


def test_it_serves_by_its_configuration_and_speaks_as_mailutils() -> None:
    with open_folder() as folder, InItsPlace(folder) as server:
        server.fill("alice", [mail("one", b"text\n")])
        with server.dialogue() as line:
            assert re.fullmatch(rb"\+OK POP3 Ready( <.*>)?", line.line())
            line.ask("USER alice")
            assert line.ask(f"PASS {PASSWORD}") == b"+OK opened mailbox for alice"
            assert line.ask("DELE 1") == b"+OK Message 1 marked"
            assert line.ask("QUIT") == b"+OK"
        with server.dialogue() as line:
            line.line()
            line.ask("USER alice")
            assert line.ask(f"PASS {PASSWORD}").startswith(
                b"-ERR [LOGIN-DELAY] Attempt to log in within the minimum login delay"
            )
