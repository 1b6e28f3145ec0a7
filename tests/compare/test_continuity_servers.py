"""The same with the real Cyrus, Dovecot and Courier: mail is polled from them, and then from ours on the same store."""

# ruff: noqa: F811  # arguments are called as the fixtures that are imported

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest

from tests.harness import environment

from .maildir_servers import Courier, Dovecot
from .opponents import UID, USER
from .servers import SECRET, Cyrus
from .test_continuity import (  # noqa: F401  # fixtures among them
    ALL,
    KEPT,
    Ours,
    client,
    every_client,
    folder,
    front,
    letter,
    owned,
    program,
    subjects,
)

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path
    from socket import socket

    from tests.clients.programs import Client

    from .servers import Running
    from .test_continuity import Front

pytestmark = [pytest.mark.root, pytest.mark.client("socat")]


def relay(server: Running, where: Path | int) -> Callable[[socket], None]:
    """Who answers by passing everything on to that socket, or port of the loopback, of the server."""
    server.connect(where).close()
    return program(
        "socat", "-t", "60", "STDIO", f"TCP:127.0.0.1:{where}" if isinstance(where, int) else f"UNIX:{where}"
    )


@every_client
def test_from_cyrus_and_back_and_to_a_maildir_of_its_mail(
    kind: type[Client],
    front: Front,
    folder: Path,
) -> None:
    """The real server; ours in its spool, where it still delivers; the real one; ours on what was converted."""
    (folder / "cyrus").mkdir()
    (folder / "state").mkdir()
    reader, cyrus = client(kind, folder), Cyrus(folder / "cyrus")
    settings = ("log.to=stderr", "hostname=pop.example.org")

    def poll() -> list[str]:
        return subjects(reader, front, SECRET)

    def deliver(*names: str) -> None:
        cyrus.deliver(letter(name).wire for name in names)

    def ours(*more: str) -> Callable[[socket], None]:
        return program(*cyrus.ours(folder / "state", *settings, *more), env=environment(), cwd="/")

    try:
        deliver(*ALL)
        front.answer = theirs = relay(cyrus, cyrus.folder / "run/pop3")
        assert poll() == ALL
        assert poll() == []

        front.answer = ours()
        assert poll() == []
        deliver("new")
        assert poll() == ["new"]

        front.answer = theirs
        assert poll() == []
        deliver("newer")
        assert poll() == ["newer"]

        front.answer = ours(*cyrus.converted(folder / "state", folder / "maildirs"))
        assert poll() == []
    finally:
        cyrus.close()


@every_client
@pytest.mark.parametrize("old", [Dovecot, Courier], ids=lambda old: old.__name__.lower())
def test_from_a_maildir_by_the_list_that_the_real_server_left(
    old: type[Dovecot] | type[Courier],
    kind: type[Client],
    front: Front,
    folder: Path,
) -> None:
    (folder / "old").mkdir()
    box = folder / "mail" / USER
    for place in (box.parent, box, *(box / name for name in ("cur", "new", "tmp"))):
        place.mkdir(mode=0o700)
        os.chown(place, UID, UID)

    def deliver(number: int, name: str) -> None:
        owned(box / f"new/17000000{number:02}.M{number}P1.host", letter(name).stored)

    for number, message in enumerate(KEPT):
        deliver(number, message.name)
    reader, ours, server = client(kind, folder), Ours(folder, box.parent, UID), old(folder / "old", box)
    try:
        front.answer = relay(server, server.port)
        assert subjects(reader, front) == ALL
        assert subjects(reader, front) == []
    finally:
        server.close()

    ours.tool("import-uids", "--user", USER, str(box), str(box / old.uids), uidl=old.__name__.lower())
    front.answer = ours.instead_of(old.__name__.lower())
    assert subjects(reader, front) == []
    deliver(99, "new")
    assert subjects(reader, front) == ["new"]
    assert subjects(reader, front) == []
