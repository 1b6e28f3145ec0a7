"""The programs that people fetch mail with, each against the awkward mailbox: byte for byte, delete, find the rest."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.clients.programs import CLIENTS, Client, FetchmailNew, Mpop
from tests.harness import APOP_SECRET, PASSWORD, Message, Server, awkward, big, deliver, mail, open_folder

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

pytestmark = pytest.mark.client

every_client = pytest.mark.parametrize("kind", CLIENTS, ids=lambda kind: kind.__name__)


@pytest.fixture
def folder() -> Iterator[Path]:
    with open_folder() as path:
        yield path


@pytest.fixture
def server(folder: Path) -> Iterator[Server]:
    """Serves alice by USER and PASS; there is no APOP entry."""
    with Server(folder) as running:
        yield running


@pytest.fixture
def apop_server(folder: Path) -> Iterator[Server]:
    """Serves alice by USER and PASS, and bob by APOP."""
    with Server(folder, apop={"bob": APOP_SECRET}) as running:
        yield running


def client(kind: type[Client], folder: Path) -> Client:
    home = folder / "client"
    home.mkdir()
    return kind(home)


def same(reader: Client, delivered: list[bytes], sent: list[Message]) -> None:
    """AssertionError naming the first message that is not what was sent, and where it differs."""
    assert len(delivered) == len(sent)
    for number, (raw, message) in enumerate(zip(delivered, sent, strict=True), 1):
        got, want = reader.mended(raw), reader.expected(message)
        if got != want:
            at = next((i for i, (a, b) in enumerate(zip(got, want, strict=False)) if a != b), min(len(got), len(want)))
            near = slice(max(0, at - 30), at + 30)
            pytest.fail(f"message {number}, {message.name}, differs at {at}: {got[near]!r}, should be {want[near]!r}")


@every_client
def test_every_octet_of_awkward_mail_arrives_and_is_deleted_at_quit(
    kind: type[Client], server: Server, folder: Path
) -> None:
    reader = client(kind, folder)
    path = server.fill("alice", awkward())
    same(reader, reader.fetch(server, "alice", PASSWORD, delete=True), awkward())
    assert path.read_bytes() == b""
    assert reader.fetch(server, "alice", PASSWORD) == []


@every_client
def test_every_octet_arrives_after_apop_too(kind: type[Client], apop_server: Server, folder: Path) -> None:
    reader = client(kind, folder)
    path = apop_server.fill("bob", awkward())
    same(reader, reader.fetch(apop_server, "bob", APOP_SECRET, apop=True, delete=True), awkward())
    assert path.read_bytes() == b""


@every_client
def test_what_is_kept_stays_and_a_second_run_finds_it_or_the_new_mail(
    kind: type[Client], server: Server, folder: Path
) -> None:
    """A program that remembers unique-ids fetches only what is new; the others find old and new, in order."""
    reader = client(kind, folder)
    first, late = [mail(f"message {n}", b"text %d\n" % n) for n in (1, 2, 3)], mail("late", b"late\n")
    path = server.fill("alice", first)
    same(reader, reader.fetch(server, "alice", PASSWORD), first)
    deliver(path, late)
    same(reader, reader.fetch(server, "alice", PASSWORD), [late] if kind.remembers else [*first, late])


@every_client
def test_mail_that_came_after_a_deletion_is_found_alone(kind: type[Client], server: Server, folder: Path) -> None:
    reader = client(kind, folder)
    first, late = [mail(f"message {n}", b"text %d\n" % n) for n in (1, 2, 3)], mail("late", b"late\n")
    path = server.fill("alice", first)
    same(reader, reader.fetch(server, "alice", PASSWORD, delete=True), first)
    deliver(path, late)
    same(reader, reader.fetch(server, "alice", PASSWORD, delete=True), [late])
    assert reader.fetch(server, "alice", PASSWORD) == []


def test_unique_ids_are_the_same_after_a_restart(server: Server, folder: Path) -> None:
    """mpop, because the port, which changes, has no part in its memory of unique-ids."""
    reader = client(Mpop, folder)
    server.fill("alice", awkward())
    assert len(reader.fetch(server, "alice", PASSWORD)) == len(awkward())
    with Server(folder) as again:
        assert reader.fetch(again, "alice", PASSWORD) == []


def test_fetchmail_keeping_without_uidl_fetches_nothing_twice_and_new_mail_alone(server: Server, folder: Path) -> None:
    """It asks LAST, which therefore must remember what earlier sessions retrieved."""
    reader = client(FetchmailNew, folder)
    path = server.fill("alice", awkward())
    same(reader, reader.fetch(server, "alice", PASSWORD), awkward())
    assert reader.fetch(server, "alice", PASSWORD) == []
    late = mail("late", b"late\n")
    deliver(path, late)
    same(reader, reader.fetch(server, "alice", PASSWORD), [late])
    assert reader.fetch(server, "alice", PASSWORD) == []


@pytest.mark.slow
@every_client
def test_a_message_of_50_megabytes_arrives_whole(kind: type[Client], server: Server, folder: Path) -> None:
    reader = client(kind, folder)
    sent = [mail("before", b"text\n"), big(50 << 20), mail("behind", b"text\n")]
    path = server.fill("alice", sent)
    same(reader, reader.fetch(server, "alice", PASSWORD, delete=True), sent)
    assert path.read_bytes() == b""


def test_curl_without_an_apop_entry_logs_in_by_pass(server: Server, folder: Path) -> None:
    """A stamp in the greeting makes curl use APOP and never fall back, so there is none without an entry."""
    with server.dialogue() as line:
        assert b"<" not in line.line()
