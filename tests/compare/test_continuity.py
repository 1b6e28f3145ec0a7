"""Mail that a client keeps on the server is not fetched again when the server is replaced by ours, nor on the way back.

The clients are those that remember unique-ids.  They meet one port; who answers there is what changes.
"""

from __future__ import annotations

import os
import re
import socket
import subprocess
import sys
import threading
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from qpopper_py.personality import commandline
from tests.clients.programs import FetchmailNew, Getmail, Mpop
from tests.compare.opponents import UID, USER, Stage, have_mount_namespaces
from tests.harness import PATIENCE, deliver, environment, mail, mbox, open_folder, servant

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from tests.clients.programs import Client
    from tests.harness import Message

pytestmark = [pytest.mark.root, pytest.mark.client]

WORD = "any"  # the opponents' PAM permits everything
# What our server is told where the personality is not there yet.
RULES = {
    "popa3d": {"uidl": "popa3d", "mbox.separator": "popa3d"},
    "mailutils": {"uidl": "mailutils3", "mbox.separator": "mailutils3"},
    "qpopper": {"uidl": "qpopper4"},
}


def letter(name: str) -> Message:
    """Mail received at a moment of its own: of mail that is alike in this popa3d gives all the same unique-id."""
    made = mail(name, f"{name}\n".encode())
    return type(made)(name, made.stored.replace(b"mx by", b"mx (" + name.encode() + b") by"))


KEPT = [letter(f"message {number}") for number in range(1, 6)]


class FetchmailUidl(FetchmailNew):
    """fetchmail asked to go by unique-ids."""

    def file(self, name: str, text: str) -> str:
        return super().file(name, text.replace("no dns no uidl", "no dns uidl"))


every_client = pytest.mark.parametrize("kind", [Mpop, Getmail, FetchmailUidl], ids=lambda kind: kind.__name__)


class Front:
    """A port of the loopback; ``answer`` speaks to whoever connects, on a socket, as under inetd."""

    def __init__(self) -> None:
        self.answer: Callable[[socket.socket], None] = lambda connection: None
        self.listening = socket.create_server(("127.0.0.1", 0))
        self.host, self.port = self.listening.getsockname()
        self.thread = threading.Thread(target=self.serve, daemon=True)
        self.thread.start()

    def serve(self) -> None:
        while True:
            connection, _ = self.listening.accept()
            with connection:
                if self.port == 0:
                    return
                self.answer(connection)

    def close(self) -> None:
        port, self.port = self.port, 0
        socket.create_connection((self.host, port), PATIENCE).close()
        self.thread.join(PATIENCE)
        self.listening.close()


def program(*line: str, **options: object) -> Callable[[socket.socket], None]:
    """Who answers by starting a program on the connection."""

    def answer(connection: socket.socket) -> None:
        subprocess.run(line, stdin=connection, stdout=connection, stderr=subprocess.DEVNULL, timeout=60, **options)  # type: ignore[call-overload]

    return answer


def opponent(stage: Stage, name: str) -> Callable[[socket.socket], None]:
    """The real one."""
    inside = ["nsenter", f"--mount=/proc/{stage.keeper.pid}/ns/mnt", "--wd=/"]
    binary = str(stage.programs / "usr/sbin" / {"mailutils": "pop3d"}.get(name, name))
    words = ["-i", "--no-config", f"--config-file={stage.folder}/pop3d.conf"] if name == "mailutils" else []
    env = {"PATH": os.defpath, "LD_LIBRARY_PATH": stage.libraries}
    return program(*inside, binary, *words, env=env)


class Ours:
    """Our server in that one's place, as the mailbox's user; its state lasts."""

    def __init__(self, folder: Path, mailboxes: Path, who: int) -> None:
        self.folder = folder
        for name in ("state", "auth"):
            (folder / name).mkdir(mode=0o700)
            os.chown(folder / name, who, who)
        accounts = folder / "auth/accounts"
        accounts.write_text(f"{USER}:{{PLAIN}}{WORD}::::::\n")
        accounts.chmod(0o600)
        os.chown(accounts, who, who)
        self.settings = {
            "accounts.file": accounts,
            "accounts.maildrop": f"{mailboxes}/%n",
            "auth.sources": "accounts",
            "state_dir": folder / "state",
            "mailauth.database": folder / "auth/none",
            "hostname": "pop.example.org",
            "log.to": "stderr",
        }
        self.options = {"user": who, "group": who, "extra_groups": [], "cwd": "/", "env": environment(HOME="/")}

    def instead_of(self, name: str) -> Callable[[socket.socket], None]:
        return program(sys.executable, "-m", "qpopper_py", *self.words(name), **self.options)

    def words(self, name: str) -> list[str]:
        """The personality once it is served; until then, or of a program that is none, what it amounts to."""
        served = name in commandline.SERVED
        rows = commandline.ours(commandline.named(name if served else "tru64", ""))
        ours = {row.long.removeprefix(commandline.PREFIX): row.spelt for row in rows}
        settings = self.settings if served else {**self.settings, **RULES.get(name, {"uidl": name})}
        sets = [word for key, value in settings.items() for word in (ours["set"], f"{key}={value}")]
        return [*(["--personality", name] if served else []), ours["config"], "none", *sets]

    def tool(self, *words: str, **more: object) -> str:
        """qpopper-py with our settings; what it printed."""
        sets = [word for key, value in {**self.settings, **more}.items() for word in ("--set", f"{key}={value}")]
        line = [sys.executable, "-m", "qpopper_py.tools.command", words[0], "--config", "none", *sets, *words[1:]]
        done = subprocess.run(line, capture_output=True, text=True, **self.options)  # type: ignore[call-overload]
        assert done.returncode == 0, done.stdout + done.stderr
        return str(done.stdout)


@pytest.fixture
def folder() -> Iterator[Path]:
    if os.geteuid() != 0:
        pytest.skip("needs root")
    if servant() is None:
        pytest.skip("other users cannot read this Python")
    with open_folder() as place:
        yield place


@pytest.fixture
def front() -> Iterator[Front]:
    made = Front()
    yield made
    made.close()


@pytest.fixture
def stage(folder: Path) -> Iterator[Stage]:
    have_mount_namespaces()
    (folder / "stage").mkdir()
    made = Stage(folder / "stage")
    yield made
    made.close()


def subjects(reader: Client, front: Front, word: str = WORD) -> list[str]:
    """What the client fetched, by the messages' names."""
    fetched = reader.fetch(front, USER, word)  # type: ignore[arg-type]  # it asks for host and port
    return [re.search(rb"(?m)^Subject: (.*?)\r?$", text)[1].decode() for text in fetched]  # type: ignore[index]


def client(kind: type[Client], folder: Path) -> Client:
    (folder / "client").mkdir()
    return kind(folder / "client")


ALL = [message.name for message in KEPT]


@every_client
@pytest.mark.parametrize("old", ["popa3d", "mailutils"])
def test_there_and_back_again_nothing_is_fetched_twice_and_nothing_missed(
    old: str, kind: type[Client], stage: Stage, front: Front, folder: Path
) -> None:
    """The real server; ours, with new mail; the real one again, with newer mail; ours."""
    reader, theirs = client(kind, folder), opponent(stage, old)
    ours = Ours(folder, stage.folder / "mail", UID)
    box = stage.put(mbox(KEPT) + b"\n")
    front.answer = theirs
    assert subjects(reader, front) == ALL
    assert subjects(reader, front) == []

    front.answer = ours.instead_of(old)
    assert subjects(reader, front) == []
    deliver(box, letter("new"))
    assert subjects(reader, front) == ["new"]
    assert subjects(reader, front) == []

    told = ours.tool("migrate", "--back", old, **RULES[old])
    assert "another" not in told
    front.answer = theirs
    assert subjects(reader, front) == []
    deliver(box, letter("newer"))
    assert subjects(reader, front) == ["newer"]

    front.answer = ours.instead_of(old)
    assert subjects(reader, front) == []


# --------------------------------------------------------------------------------------------------------------
# Servers that are not at hand: by the files that they leave


def recorded(uids: list[str], messages: list[Message]) -> Callable[[socket.socket], None]:
    """A server that gives these messages these unique-ids: what the old one answered, played back (RFC 1939)."""

    def answer(connection: socket.socket) -> None:
        with connection.makefile("rwb") as file:
            file.write(b"+OK ready\r\n")
            file.flush()
            for line in file:
                verb, *words = line.decode().split()
                file.write(reply(verb.upper(), words))
                file.flush()
                if verb.upper() == "QUIT":
                    return

    def reply(verb: str, words: list[str]) -> bytes:
        sizes = [len(message.wire) for message in messages]
        rows = {"LIST": [f"{size}" for size in sizes], "UIDL": uids}
        if verb in rows and words:
            return f"+OK {words[0]} {rows[verb][int(words[0]) - 1]}\r\n".encode()
        if verb in rows:
            lines = [f"{number} {row}\r\n" for number, row in enumerate(rows[verb], 1)]
            return f"+OK\r\n{''.join(lines)}.\r\n".encode()
        if verb == "STAT":
            return f"+OK {len(sizes)} {sum(sizes)}\r\n".encode()
        if verb in ("RETR", "TOP"):
            return b"+OK\r\n" + messages[int(words[0]) - 1].wire + b".\r\n"
        return b"+OK\r\n" if verb in ("USER", "PASS", "NOOP", "QUIT") else b"-ERR\r\n"

    return answer


def owned(path: Path, data: bytes) -> Path:
    path.write_bytes(data)
    path.chmod(0o600)
    os.chown(path, UID, UID)
    return path


def maildir(place: Path) -> list[str]:
    """The messages in a Maildir; the base names of its files."""
    for name in ("", "cur", "new", "tmp"):
        (place / name).mkdir(mode=0o700)
        os.chown(place / name, UID, UID)
    names = [f"17000000{number:02}.M{number}P1.host" for number in range(len(KEPT))]
    for name, message in zip(names, KEPT, strict=True):
        owned(place / "cur" / f"{name}:2,S", message.stored)
    return names


@every_client
def test_from_qpopper_by_the_x_uidl_headers_that_it_wrote(kind: type[Client], front: Front, folder: Path) -> None:
    """20 characters, which depend on the time: only the header tells (tru64-qpopper.md 4.7)."""
    uids = [f'#n8"!;Z<"!fJ]!!2%{number}4!!' for number in range(len(KEPT))]
    marked = [
        type(message)(
            message.name, message.stored.replace(b"\n\n", b"\nX-UIDL: " + uid.encode() + b"\nStatus: RO\n\n", 1)
        )
        for message, uid in zip(KEPT, uids, strict=True)
    ]
    reader, ours = client(kind, folder), Ours(folder, folder / "mail", UID)
    (folder / "mail").mkdir()
    (folder / "mail").chmod(0o1777)
    box = owned(folder / "mail" / USER, mbox(marked) + b"\n")
    front.answer = recorded(uids, marked)
    assert subjects(reader, front) == ALL
    front.answer = ours.instead_of("qpopper")
    assert subjects(reader, front) == []
    deliver(box, letter("new"))
    assert subjects(reader, front) == ["new"]
    assert subjects(reader, front) == []


def dovecot_list(names: list[str]) -> tuple[str, str, list[str]]:
    """Version 3; the unique-ids are %08Xu%08Xv in lower case."""
    validity = 1700000000
    rows = "".join(f"{number} :{name}:2,S\n" for number, name in enumerate(names, 1))
    uids = [f"{number:08x}{validity:08x}" for number in range(1, len(names) + 1)]
    return "dovecot-uidlist", f"3 V{validity} N{len(names) + 1} G0123456789abcdef\n{rows}", uids


def courier_list(names: list[str]) -> tuple[str, str, list[str]]:
    """Version 3; the unique-ids are UIDn-validity."""
    rows = "".join(
        f"{name}:2,S {len(message.wire)} {number}:1700000000:0\n"
        for number, (name, message) in enumerate(zip(names, KEPT, strict=True), 1)
    )
    uids = [f"UID{number}-1700000000" for number in range(1, len(names) + 1)]
    return "courierpop3dsizelist", f"/3 {len(names) + 1} 1700000000\n{rows}", uids


@every_client
@pytest.mark.parametrize(("old", "leaves"), [("dovecot", dovecot_list), ("courier", courier_list)])
def test_from_a_maildir_by_the_list_that_the_old_server_left(
    old: str,
    leaves: Callable[[list[str]], tuple[str, str, list[str]]],
    kind: type[Client],
    front: Front,
    folder: Path,
) -> None:
    reader, ours = client(kind, folder), Ours(folder, folder / "mail", UID)
    (folder / "mail").mkdir()
    (folder / "mail").chmod(0o1777)
    box = folder / "mail" / USER
    names = maildir(box)
    called, text, uids = leaves(names)
    left = owned(box / called, text.encode())
    front.answer = recorded(uids, KEPT)
    assert subjects(reader, front) == ALL
    ours.tool("import-uids", "--user", USER, str(box), str(left), uidl=old)
    front.answer = ours.instead_of(old)
    assert subjects(reader, front) == []
    owned(box / "new/1800000000.M9P1.host", letter("new").stored)
    assert subjects(reader, front) == ["new"]
    assert subjects(reader, front) == []
