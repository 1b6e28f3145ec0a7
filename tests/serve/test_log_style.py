"""log.style: all processes of a session write the lines that the old program wrote, also those that see no file."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING

import pytest

from tests.harness import Server, mail, open_folder
from tests.serve.rooted import USERS, Rooted

if TYPE_CHECKING:
    from collections.abc import Iterator

as_root = pytest.param(Rooted, marks=pytest.mark.root, id="root")
kinds = pytest.mark.parametrize("kind", [as_root, pytest.param(Server, id="one process")])


@contextlib.contextmanager
def serving(kind: type[Server], *options: str, name: str = "popa3d") -> Iterator[Server]:
    with open_folder() as folder:
        settings = {"auth.refusal_delay": 0, "log.style": name, "log.ident": name}
        more = {} if kind is Rooted else {"users": USERS}
        server = kind(folder, settings=settings, options=options, **more)  # type: ignore[arg-type]
        server.fill("alice", [mail("one", b"text\n")])
        with server:
            yield server


@kinds
@pytest.mark.parametrize("mode", ["standalone", "prefork"])
def test_a_session_is_told_line_by_line(kind: type[Server], mode: str) -> None:
    with serving(kind, "--set", f"serve.mode={mode}") as server:
        with server.dialogue() as line:
            assert line.login("alice", "wrong").startswith(b"-ERR")
        server.log.wait_for(r"popa3d\[\d+\]: Session from 127\.0\.0\.1$")
        server.log.wait_for(r"popa3d\[\d+\]: Authentication failed for alice$")
        with server.dialogue() as line:
            assert line.login("nobody-here", "wrong").startswith(b"-ERR")
        server.log.wait_for(r"popa3d\[\d+\]: Authentication failed for UNKNOWN USER$")
        with server.dialogue() as line:
            assert line.line().startswith(b"+OK")
            assert line.ask("QUIT").startswith(b"+OK")
        server.log.wait_for(r"popa3d\[\d+\]: Didn't attempt authentication$")
        with server.dialogue() as line:
            assert line.login("alice", USERS["alice"]).startswith(b"+OK")
            octets = int(line.ask("STAT").split()[2])
            assert line.ask("DELE 1").startswith(b"+OK")
            assert line.ask("QUIT").startswith(b"+OK")
        server.log.wait_for(r"popa3d\[\d+\]: Authentication passed for alice$")
        server.log.wait_for(rf"popa3d\[\d+\]: 1 message \({octets} bytes\) loaded$")
        server.log.wait_for(rf"popa3d\[\d+\]: 1 \({octets}\) deleted, 0 \(0\) left$")
        with server.dialogue() as line:
            assert line.login("alice", USERS["alice"]).startswith(b"+OK")
        server.log.wait_for(r"popa3d\[\d+\]: Premature disconnect$")


@kinds
def test_a_mailbox_that_is_none_is_refused_in_its_words(kind: type[Server]) -> None:
    with serving(kind, "--set", "mbox.separator=popa3d") as server:
        path = server.fill("alice", [])
        path.write_bytes(b"this is no mailbox\n")
        with server.dialogue() as line:
            assert line.login("alice", USERS["alice"]).startswith(b"-ERR")
        server.log.wait_for("Failed or refused to load the mailbox of alice$")


@kinds
@pytest.mark.parametrize("mode", ["standalone", "prefork"])
def test_mailutils_names_the_mailbox(kind: type[Server], mode: str) -> None:
    with serving(kind, "--set", f"serve.mode={mode}", "--set", "log.prefix=severity", name="mailutils") as server:
        with server.dialogue() as line:
            assert line.login("nobody-here", "wrong").startswith(b"-ERR")
        server.log.wait_for(r"mailutils\[\d+\]: info: user `\(unknown:[0-9a-f]+\)' nonexistent$")
        with server.dialogue() as line:
            assert line.login("alice", USERS["alice"]).startswith(b"+OK")
            assert line.ask("QUIT").startswith(b"+OK")
        server.log.wait_for(r"info: POP3 login: user `alice', source virtdomain$")
        server.log.wait_for(rf"info: user `alice' logged in with mailbox `{server.maildrop()}' \(1 message\)$")
        server.log.wait_for(r"info: session ended for user: alice$")
