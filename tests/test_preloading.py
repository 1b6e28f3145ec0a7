"""A standalone server has loaded beforehand what its sessions need: each would pay for it anew."""

from __future__ import annotations

import re

import pytest

from tests.harness import Server, awkward, open_folder


class Watched(Server):
    """Its log holds a line for every module that any of its processes loads."""

    def process_options(self) -> dict[str, object]:
        options = super().process_options()
        environment = options["env"]
        assert isinstance(environment, dict)
        return {**options, "env": {**environment, "PYTHONPROFILEIMPORTTIME": "1"}}


@pytest.mark.parametrize("sessions", [1, 2], ids=["without an index", "with one"])
def test_a_session_that_fetches_and_deletes_imports_nothing(sessions: int) -> None:
    with open_folder() as folder:
        server = Watched(folder)
        server.fill("alice", awkward())
        with server:
            for _ in range(sessions):
                with server.dialogue() as line:
                    assert line.login().startswith(b"+OK")
                    for command in ("STAT", "NOOP", "LIST 1", "UIDL 1"):
                        assert line.ask(command).startswith(b"+OK")
                    assert line.ask("RETR 1").startswith(b"+OK")
                    line.body()
                    assert line.ask("DELE 1").startswith(b"+OK")
                    assert line.ask("QUIT").startswith(b"+OK")
                    assert line.rest() == b""
        before, _, after = server.log.text.partition("listening on")
        loaded = re.compile(r"^import time:.*\|.*\|.*$", re.M)
        assert loaded.search(before)
        assert loaded.findall(after) == []
