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

    conf = "server 127.0.0.1:0 { };\nacl { allow 127.0.0.1; deny any; };\nlogin-delay 5 minutes;\n"

    def command(self) -> list[str]:
        return LINE

    def arguments(self) -> list[str]:
        return [word for key, value in self.settings.items() for word in ("--qp-set", f"{key}={value}")]

    def whole_line(self) -> list[str]:
        conf = self.folder / "pop3d.conf"
        conf.write_text(f"mode daemon; tcp-wrappers {{ enable no; }};\n{self.conf}")
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


class WithTwoDoors(InItsPlace):
    conf = (
        "server 127.0.0.1:0 { };\n"
        'server 127.0.0.2:0 { acl { log any "${address} is at ${port}"; ifexec any "/bin/false ${address}"; }; };\n'
        "acl { allow any; };\nlogin-delay 5 minutes;\nlogging { tag foo; print-severity yes; };\n"
    )


def test_an_acl_counts_at_its_server_alone_and_the_log_is_mailutils() -> None:
    with open_folder() as folder, WithTwoDoors(folder) as server:
        other = int(server.log.wait_for(r"listening on 127\.0\.0\.2:(\d+)")[1])
        with socket.create_connection(("127.0.0.2", other), PATIENCE) as refused:
            assert refused.recv(100) == b""
            server.log.wait_for(rf"foo\[\d+\]: info: 127\.0\.0\.1 is at {refused.getsockname()[1]}\b")
        server.log.wait_for(r"foo\[\d+\]: warning: .*refused connect from 127\.0\.0\.1 by access")
        for said in (b"+OK opened mailbox for alice", b"-ERR [LOGIN-DELAY]"):
            with server.dialogue() as line:
                line.line()
                line.ask("USER alice")
                assert line.ask(f"PASS {PASSWORD}").startswith(said)
                line.ask("QUIT")
        server.log.wait_for(r"foo\[\d+\]: info: POP3 login: user `alice', source virtdomain$")
        server.log.wait_for(r"info: session ended for user: alice$")
        server.log.wait_for(r"info: user `alice' tried to log in within the minimum allowed delay$")
