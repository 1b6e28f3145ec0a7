"""A server that root started, with its four roles, and a front that can be taken over.

The hook of a taken-over front: a USER whose name is ``exec:`` and hexadecimal digits is a program that runs in the
front, and whose ``said`` comes back in the reply: what a bug in the parser would let a client do.
"""

from __future__ import annotations

import ast
import os
import sys
import textwrap
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.harness import PACKAGE_ROOT, Dialogue, Server, belonging, servant

if TYPE_CHECKING:
    from collections.abc import Mapping

UIDS = {"alice": 61001, "bob": 61002}
USERS = {"alice": "a secret of hers", "bob": "another of his"}

HOOKED = """
import sys
sys.path.insert(0, {package!r})
from qpopper_py.protocol.reply import Reply
from qpopper_py.session import authorization, table

def hooked(session, words):
    if words[0][:5] != b"exec:":
        return authorization.user(session, words)
    space = {{"session": session, "said": None, "sys": sys}}
    exec(bytes.fromhex(words[0][5:].decode()), space)
    return Reply(repr(space["said"]))

for row in table.TABLE:
    if row.verb == "user":
        row.handler = hooked
from qpopper_py.__main__ import main
sys.exit(main())
"""

# What an attacker finds in a front: the way to the keeper, the way to the checker, the client.
FIND = """
import os, stat, sys, _socket
def is_socket(n):
    try:
        return stat.S_ISSOCK(os.fstat(n).st_mode)
    except OSError:
        return False
sockets = [_socket.socket(fileno=os.dup(n)) for n in [n for n in range(3, 32) if is_socket(n)]]
client = [s for s in sockets if s.family == _socket.AF_INET]
packets = [s for s in sockets if s.family == _socket.AF_UNIX and s.type & 0xf == _socket.SOCK_SEQPACKET]
checker = _socket.socket(fileno=os.dup(session.gate.channel.fileno()))
def same(a, b):
    return os.path.samestat(os.fstat(a.fileno()), os.fstat(b.fileno()))
(keeper,) = [s for s in packets if not same(s, checker)]
from qpopper_py.serve import handover
frame = sys._getframe()
while "fields" not in frame.f_locals or "descriptors" not in frame.f_locals:
    frame = frame.f_back
number = frame.f_locals["fields"]["number"]
del frame
def fields(**more):
    return {"number": number, "unread": b"", "mechanism": "PASS", "heard": "", "failures": 0, "sent": 0,
            "offered": [], "utf8": 0, "reduced": 0, "auth_ms": 0, "refused": 0,
            **handover.of_tls(None), **more}
def hand_over(*descriptors, **more):
    handover.send(keeper, handover.HANDOVER, fields(**more), descriptors)
def grant():
    verdict = session.gate.check(b"alice", b"a secret of hers", session.facts)
    assert type(verdict).__name__ == "Account"
client = client[0].fileno()
"""


class Rooted(Server):
    """Served as root; alice and bob are virtual users, each with a uid of their own."""

    def __init__(self, folder: Path, settings: Mapping[str, object] | None = None, **more: object) -> None:
        if servant() is None:
            pytest.skip("other users cannot read this Python, and root's server refuses to start from it")
        both = {"auth.refusal_delay": 0, "limits.line": 65536, "locks.dotlock": "try", **(settings or {})}
        super().__init__(folder, users=USERS, settings=both, **more)  # type: ignore[arg-type]
        self.user = None
        for name in ("mail", "state"):
            (folder / name).chmod(0o755)
            os.chown(folder / name, 0, 0)
        for name in ("auth", "keys"):
            os.chown(folder / name, 0, 0)

    def command(self) -> list[str]:
        return [sys.executable, "-I", "-c", HOOKED.format(package=str(PACKAGE_ROOT))]

    def fill(self, user: str, messages: object) -> Path:
        path = super().fill(user, messages)  # type: ignore[arg-type]
        os.chown(path, UIDS[user], UIDS[user])
        return path

    def write_accounts(self) -> None:
        accounts = self.folder / "auth/accounts"
        lines = [f"{name}:{{PLAIN}}{word}:{UIDS[name]}:{UIDS[name]}::::" for name, word in self.users.items()]
        accounts.write_text("\n".join(lines) + "\n")
        accounts.chmod(0o600)
        for name, secret in self.apop.items():
            self.mailauth("add", name, "--type", "APOP", "--stdin", given=secret)

    def front_of(self, line: Dialogue) -> int:
        """The process that holds the server's end of a connection that is not logged in."""
        return int(take_over(line, "import os; said = os.getpid()", ""))  # type: ignore[call-overload,no-any-return]

    def mail_process(self, user: str) -> int:
        (found,) = belonging(self.process.pid, UIDS[user])
        return found

    def checkers(self) -> list[int]:
        """Root's children."""
        return belonging(self.process.pid, 0)


def command_of(program: str, find: str = FIND) -> str:
    return "USER exec:" + (find + textwrap.dedent(program)).encode().hex()


def take_over(line: Dialogue, program: str, find: str = FIND) -> object:
    """Run ``program``, for which FIND was run, in the front that serves ``line``; what it left in ``said``."""
    reply = line.ask(command_of(program, find))
    assert reply.startswith(b"+OK "), reply
    return ast.literal_eval(reply[4:].decode())
