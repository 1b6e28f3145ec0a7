"""pop3d spoken to by a person, through the real telnet on a terminal: the screen, word for word.

The first session is the one of Tru64's pop3d(8); the second goes on to mail, in the words of UCB popper, which are
Tru64's.  A screen shows what telnet says, what was typed (the terminal's echo) and what the server answered.
"""

from __future__ import annotations

import contextlib
import os
import pty
import select
import time
from typing import TYPE_CHECKING

import pytest

from tests.conftest import require_program
from tests.harness import PASSWORD, PATIENCE, Server, environment, mail, open_folder

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = pytest.mark.client("telnet")

MANUAL = """\
Trying 127.0.0.1...
Connected to 127.0.0.1.
Escape character is '^]'.
+OK UCB Pop server (version 1.6) at myhost starting.
> help
-ERR Unknown command: "help".
> test
-ERR Unknown command: "test".
> quit
+OK Pop server at myhost signing off.
Connection closed by foreign host.
"""

WHOLE = f"""\
Trying 127.0.0.1...
Connected to 127.0.0.1.
Escape character is '^]'.
+OK UCB Pop server (version 1.6) at myhost starting.
> stat
-ERR Unknown command: "stat".
> user
-ERR Too few arguments for the user command.
> user alice
+OK Password required for alice.
> pass {PASSWORD}
+OK alice has 2 message(s) (OCTETS octets).
> stat
+OK 2 OCTETS
> list
+OK 2 messages (OCTETS octets)
1 FIRST
2 SECOND
.
> list 2
+OK 2 SECOND
> list 3
-ERR Message 3 does not exist.
> retr 2
+OK SECOND octets
WIRE.
> last
+OK 2 is the last message seen.
> dele 1
+OK Message 1 has been deleted.
> dele 1
-ERR Message 1 has already been deleted.
> retr 1
-ERR Message 1 has been deleted.
> list
+OK 1 messages (SECOND octets)
2 SECOND
.
> rset
+OK Maildrop has 2 messages (OCTETS octets)
> last
+OK 0 is the last message seen.
> top
-ERR Too few arguments for the top command.
> xtnd xlst subject
+OK xlst command accepted; headers coming.
1 Subject: first
2 Subject: second
.
> dele 1
+OK Message 1 has been deleted.
> quit
+OK Pop server at myhost signing off.
Connection closed by foreign host.
"""


@pytest.fixture
def server() -> Iterator[Server]:
    with open_folder() as folder, Server(folder, settings={"hostname": "myhost"}) as running:
        yield running


class Terminal:
    """A program on a terminal; ``screen`` is what it and the echo have written so far."""

    def __init__(self, *line: str) -> None:
        self.screen = ""
        self.pid, self.descriptor = pty.fork()
        if self.pid == 0:
            os.execvpe(line[0], line, environment(TERM="dumb", HOME="/"))

    def shows(self, text: str) -> bool:
        """Read until ``text`` stands at the end of the screen; False if the program ends or falls silent before."""
        end = time.monotonic() + PATIENCE
        while not self.screen.endswith(text):
            if not select.select([self.descriptor], [], [], max(0, end - time.monotonic()))[0]:
                return False
            with contextlib.suppress(OSError):  # EIO: it has closed the terminal
                if piece := os.read(self.descriptor, 65536):
                    self.screen += piece.decode().replace("\r\n", "\n")
                    continue
            return False
        return True

    def type(self, text: str) -> None:
        os.write(self.descriptor, text.encode() + b"\n")

    def end(self) -> None:
        with contextlib.suppress(ProcessLookupError):
            os.kill(self.pid, 9)
        os.waitpid(self.pid, 0)
        os.close(self.descriptor)


def holds(server: Server, session: str) -> None:
    """Type what stands behind ``> `` when the screen is what stands before it; the whole screen must be the text."""
    terminal = Terminal(require_program("telnet"), server.host, str(server.port))
    before, *typed = session.split("\n> ")
    expected = before + "\n"
    try:
        assert terminal.shows(expected), terminal.screen
        for step in typed:
            words = step.partition("\n")[0]
            terminal.type(words)
            expected += step.rstrip("\n") + "\n"
            assert terminal.shows(expected), f"{terminal.screen!r}\nshould be\n{expected!r}"
    finally:
        terminal.end()


def test_the_manuals_telnet_session_word_for_word(server: Server) -> None:
    holds(server, MANUAL)


def test_a_telnet_session_from_login_to_deletion_word_for_word(server: Server) -> None:
    messages = [mail("first", b"text\n"), mail("second", b".dotted\nend\n")]
    server.fill("alice", messages)
    first, second = (len(message.wire) for message in messages)
    wire = messages[1].unix.decode().replace("\n.dotted", "\n..dotted")
    session = WHOLE.replace("OCTETS", str(first + second)).replace("FIRST", str(first)).replace("SECOND", str(second))
    holds(server, session.replace("WIRE", wire))
