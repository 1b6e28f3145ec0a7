"""What several rooms' tests need: a running server, mail that is hard to carry, and real programs to carry it.

What a message must be on the wire is worked out here from RFC 1939 alone (section 3: lines end in CRLF, a
leading dot is doubled), never with code of the server.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import re
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

import qpopper_py
from tests.guard import GUARD

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

PATIENCE = 60  # seconds to wait for what must happen; reached only by a test that fails
PACKAGE_ROOT = Path(qpopper_py.__file__).resolve().parent.parent
PASSWORD = "a password of 3 words"
APOP_SECRET = "tanstaaf"
GUARD.secret(PASSWORD)
GUARD.secret(APOP_SECRET, "an APOP secret")
FROM_LINE = b"From carol@example.com Fri Nov 20 08:55:46 2026\n"


# --------------------------------------------------------------------------------------------------------------
# Mail that is hard to carry


class Message:
    """A message as it lies in the mailbox (``stored``: no From_ line, no separating blank line) and its name."""

    def __init__(self, name: str, stored: bytes) -> None:
        self.name = name
        self.stored = stored

    @property
    def wire(self) -> bytes:
        """What RETR sends, dots not doubled: every line as it is, ended by CRLF (RFC 1939 section 3)."""
        lines = self.stored.removesuffix(b"\n").split(b"\n")
        return b"".join((line[:-1] if line.endswith(b"\r") else line) + b"\r\n" for line in lines)

    @property
    def unix(self) -> bytes:
        """The same with the line ends of a Unix file, as clients that deliver locally write it."""
        return self.wire.replace(b"\r\n", b"\n")

    def __repr__(self) -> str:
        return f"<{self.name}: {len(self.stored)} octets>"


def mail(name: str, body: bytes, header: bytes = b"") -> Message:
    """A message with the headers that any mail has, ``header`` behind them, and ``body``."""
    top = (
        f"Return-Path: <carol@example.com>\n"
        f"Received: from mx by mail.example.org; Fri, 20 Nov 2026 08:55:46 +0000\n"
        f"Date: Fri, 20 Nov 2026 08:55:46 +0000\n"
        f"From: Carol <carol@example.com>\n"
        f"To: alice@example.org\n"
        f"Subject: {name}\n"
        f"Message-Id: <{name.replace(' ', '-')}@example.com>\n"
    )
    return Message(name, top.encode() + header + b"\n" + body)


def awkward() -> list[Message]:
    """A message for each thing that a server or a client may stumble over.  The last has no final newline."""
    return [
        mail("lines of dots", b".\n..\n...\n.x\n..x\n .\nx.\n\n.\n\n..\n.\n"),
        mail("dots at every offset", b"".join(b"." * (n % 7) + b"\n" for n in range(20_000))),
        mail("eight bits", b"latin: " + bytes(range(0xA0, 0x100)) + "\nutf-8: déjà vu, 日本\n".encode()),
        mail("eight bits above", b"text\n", b"X-Name: J\xf6rg\nX-City: " + "Köln".encode() + b"\n"),
        mail("NULs", b"\0\n\0\0start\nin\0the middle\nend\0\n.\0\nlast\n"),
        mail("one line of 1 MB", b"0123456789abcdef" * 62500 + b"\nand a short one\n"),
        mail("From lines", b">From quoted\n>>From twice\nnot From here\nFrom the hills\n\nFrom far away\nend\n"),
        mail("a date after text", b"text\n" + FROM_LINE + b"still the same message\n"),
        mail("empty body", b""),
        mail("blank lines only", b"\n\n\n"),
        mail("ends in blank lines", b"text\n\n\n"),
        mail("CRLF inside", b"stored with\r\nCRLF\r\n\r\n.dot\r\nand one LF\n"),
        mail("bare CR", b"a\rb\n\rc\nd\re\rf\n"),
        mail(
            "long headers",
            b"body\n",
            b"X-Long: " + b"y" * 5000 + b"\nX-Folded: 0\n" + b"".join(b"\tpart %d;\n" % n for n in range(200)),
        ),
        mail("no final newline", b"the end comes without warning"),
    ]


def big(octets: int = 50 << 20) -> Message:
    """A message of at least ``octets``, with dots at line starts now and then."""
    block = b"".join(b"%s%063d\n" % (b"." if n % 16 == 0 else b"", n) for n in range(4096))
    return mail(f"{octets} octets", block * (octets // len(block) + 1))


def mbox(messages: Iterable[Message]) -> bytes:
    """The mailbox file: a From_ line before each message, a blank line between one and the next."""
    whole = b"".join(FROM_LINE + message.stored + b"\n" for message in messages)
    return whole[:-1]  # so the last one may lack its final newline; what the MDA adds, a test adds


def awkward_mailbox(path: Path) -> list[Message]:
    """Write the awkward mail to ``path``; the messages in their order."""
    path.write_bytes(mbox(awkward()))
    path.chmod(0o600)
    return awkward()


def deliver(path: Path, message: Message) -> None:
    """Append ``message`` as an MDA does, after whatever ends the file now."""
    old = path.read_bytes() if path.exists() else b""
    gap = b"" if not old or old.endswith(b"\n\n") else b"\n" if old.endswith(b"\n") else b"\n\n"
    with path.open("ab") as file:
        file.write(gap + FROM_LINE + message.stored + (b"" if message.stored.endswith(b"\n") else b"\n") + b"\n")


# --------------------------------------------------------------------------------------------------------------
# A running server


def servant() -> int | None:
    """The user whom a server runs as that serves no system users: nobody when we are root, else ourselves.

    None (ourselves) too when nobody cannot read the interpreter, as where it lies in root's home.
    """
    places = [Path(place).resolve() for place in (sys.executable, sys.prefix, sys.base_prefix, PACKAGE_ROOT)]
    shut = [f for place in places for f in (place, *place.parents) if not f.stat().st_mode & 0o001]
    return None if os.geteuid() != 0 or shut else 65534


@contextlib.contextmanager
def open_folder() -> Iterator[Path]:
    """A new folder that every user may enter (pytest's own lie behind one that only its owner may)."""
    with tempfile.TemporaryDirectory(prefix="pop3d-test-") as name:
        os.chmod(name, 0o755)
        yield Path(name)


def command() -> list[str]:
    """How to start the program under test: QPOPPER_TEST_POP3D (a path), else the package that is imported here."""
    path = os.environ.get("QPOPPER_TEST_POP3D")
    return [path] if path else [sys.executable, "-m", "qpopper_py"]


def environment(**more: str) -> dict[str, str]:
    """A small environment, the same whoever runs the tests."""
    return {"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "LC_ALL": "C.UTF-8", "PYTHONPATH": str(PACKAGE_ROOT), **more}


class Output:
    """What a process writes, kept line by line as it comes, so that a line can be waited for."""

    def __init__(self, stream: object) -> None:
        self.lines: list[str] = []
        self.ended = False
        self.news = threading.Condition()
        self.thread = threading.Thread(target=self.collect, args=[stream], daemon=True)
        self.thread.start()

    def collect(self, stream: Iterable[bytes]) -> None:
        for line in stream:
            GUARD.saw("the output of a process", line)
            with self.news:
                self.lines.append(line.decode("utf-8", "backslashreplace").rstrip("\n"))
                self.news.notify_all()
        with self.news:
            self.ended = True
            self.news.notify_all()

    @property
    def text(self) -> str:
        with self.news:
            return "\n".join(self.lines)

    def wait_for(self, pattern: str) -> re.Match[str]:
        """The first line that matches; AssertionError with all lines when the process ended, or time, without one."""

        def found() -> re.Match[str] | None:
            return next(filter(None, (re.search(pattern, line) for line in self.lines)), None)

        with self.news:
            self.news.wait_for(lambda: found() or self.ended, PATIENCE)
            match = found()
        assert match, f"no line matches {pattern!r} in:\n{self.text}"
        return match


class Server:
    """The server, standalone on an ephemeral port of the loopback, serving accounts of its own.

    ``users`` are names and passwords, ``apop`` names and APOP secrets; the maildrop of each is ``maildrop(name)``.
    As a context manager it is stopped, by its process id, at the end.  Started by root it runs as nobody, as one
    does that serves no system users.
    """

    def __init__(
        self,
        folder: Path,
        users: Mapping[str, str] | None = None,
        apop: Mapping[str, str] | None = None,
        settings: Mapping[str, object] | None = None,
        options: Sequence[str] = (),
    ) -> None:
        self.folder = folder
        self.users = {"alice": PASSWORD} if users is None else dict(users)
        self.apop = dict(apop or {})
        for secret in (*self.users.values(), *self.apop.values()):
            GUARD.secret(secret)
        self.options = list(options)
        self.user = servant()
        if os.geteuid() == 0 and self.user is None and "QPOPPER_TEST_POP3D" not in os.environ:
            pytest.skip("other users cannot read this Python, and root's server refuses to start from it")
        for name in ("mail", "state", "auth", "keys"):
            (folder / name).mkdir(exist_ok=True, mode=0o700)
            self.give(folder / name)
        self.settings = {
            "accounts.file": folder / "auth/accounts",
            "accounts.maildrop": f"{folder}/mail/%n",
            "auth.sources": "mailauth,accounts",
            "state_dir": folder / "state",
            "mailauth.database": folder / "auth/mailauth.db",
            "mailauth.key": folder / "keys/mailauth.key",
            "log.to": "stderr",
            "hostname": "pop.example.org",
            **(settings or {}),
        }
        self.host, self.port = "127.0.0.1", 0

    def maildrop(self, user: str = "alice") -> Path:
        return self.folder / "mail" / user

    def give(self, path: Path) -> None:
        """Make the server's user own what a test made for it."""
        if self.user is not None:
            os.chown(path, self.user, self.user)

    def fill(self, user: str, messages: Iterable[Message]) -> Path:
        """Make the user's maildrop hold these messages; its path."""
        path = self.maildrop(user)
        path.write_bytes(mbox(messages))
        path.chmod(0o600)
        self.give(path)
        return path

    def command(self) -> list[str]:
        return command()

    def whole_line(self) -> list[str]:
        """What is run."""
        return [*self.command(), "--config", "none", "--listen", "127.0.0.1:0", *self.arguments(), *self.options]

    def process_options(self) -> dict[str, object]:
        who = {} if self.user is None else {"user": self.user, "group": self.user, "extra_groups": []}
        return {"env": environment(HOME=str(self.folder)), "cwd": "/", **who}

    def arguments(self) -> list[str]:
        """The options that carry the settings, for the server and its tools."""
        return [word for key, value in self.settings.items() for word in ("--set", f"{key}={value}")]

    def write_accounts(self) -> None:
        accounts = self.folder / "auth/accounts"
        names = {**dict.fromkeys(self.apop, ""), **self.users}
        accounts.write_text("".join(f"{n}:{'{PLAIN}' + p if p else '*'}::::::\n" for n, p in names.items()))
        accounts.chmod(0o600)
        self.give(accounts)
        for name, secret in self.apop.items():
            self.mailauth("add", name, "--type", "APOP", "--stdin", given=secret)

    def mailauth(self, *words: str, given: str = "") -> str:
        """Run the mailauth tool on this server's database with ``given`` as its input; what it printed."""
        line = [sys.executable, "-m", "qpopper_py.tools.mailauth", *self.arguments(), *words]
        done = subprocess.run(line, input=f"{given}\n".encode(), capture_output=True, **self.process_options())
        assert done.returncode == 0, f"mailauth {words}: {done.stdout!r} {done.stderr!r}"
        GUARD.saw("the output of mailauth", done.stdout + done.stderr)
        return done.stdout.decode()

    def __enter__(self) -> Server:
        self.write_accounts()
        self.process = subprocess.Popen(
            self.whole_line(),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            **self.process_options(),
        )
        self.log = Output(self.process.stdout)
        try:
            self.port = int(self.log.wait_for(r"listening on 127\.0\.0\.1:(\d+)")[1])
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self.look_around()
        stop(self.process)
        self.log.thread.join(PATIENCE)
        if self.process.stdout:
            self.process.stdout.close()
        GUARD.keys(self.folder / "keys")
        GUARD.look_into(self.folder, but=("mail", "auth", "keys", "client"))  # where secrets belong

    def look_around(self) -> None:
        """Hand over what everybody on this host can see of the server's processes."""
        GUARD.processes([self.process.pid, *children(self.process.pid)])

    def dialogue(self) -> Dialogue:
        """A connection on which a test speaks POP3 itself."""
        return Dialogue(socket.create_connection((self.host, self.port), PATIENCE), self.look_around)


def stop(process: subprocess.Popen[bytes]) -> int:
    """End a process that we started, politely first; its exit status."""
    if process.poll() is None:
        with contextlib.suppress(ProcessLookupError):
            process.terminate()
        try:
            process.wait(10)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
    return process.returncode


class Dialogue:
    """A POP3 connection spoken by hand: lines in, lines out, nothing hidden.

    ``look_around`` is called after a login, while the server serves it.
    """

    def __init__(self, sock: socket.socket, look_around: Callable[[], None] | None = None) -> None:
        self.sock = sock
        self.look_around = look_around
        self.file = sock.makefile("rb")

    def __enter__(self) -> Dialogue:
        return self

    def __exit__(self, *_: object) -> None:
        self.file.close()
        self.sock.close()

    def line(self) -> bytes:
        """One line without its CRLF; b"" at the end.  A line that does not end in CRLF is a failure."""
        line = self.file.readline()
        assert not line or line.endswith(b"\r\n"), line
        GUARD.saw("a reply", line)
        return line[:-2]

    def ask(self, words: str | bytes) -> bytes:
        """Send one line and return the status line of its answer."""
        self.sock.sendall((words.encode() if isinstance(words, str) else words) + b"\r\n")
        return self.line()

    def body(self) -> bytes:
        """A multi-line answer behind its status line, dots undone (RFC 1939 section 3)."""
        lines = []
        while (line := self.file.readline()) != b".\r\n":
            assert line.endswith(b"\r\n"), line
            lines.append(line[1:] if line.startswith(b".") else line)
        return b"".join(lines)

    def login(self, user: str = "alice", password: str = PASSWORD) -> bytes:
        """Greeting, USER, PASS; the answer to PASS."""
        assert self.line().startswith(b"+OK")
        assert self.ask(f"USER {user}").startswith(b"+OK")
        said = self.ask(f"PASS {password}")
        if self.look_around:
            self.look_around()
        return said

    def rest(self) -> bytes:
        """Everything until the server closes."""
        rest = self.file.read()
        GUARD.saw("the end of a dialogue", rest)
        return rest


def digest(stamp: str, secret: str) -> str:
    """RFC 1939 section 7, APOP: lower-case hexadecimal MD5 of stamp and secret."""
    made = hashlib.md5((stamp + secret).encode()).hexdigest()
    GUARD.secret(made, "an APOP digest")
    return made


# --------------------------------------------------------------------------------------------------------------
# Processes, seen through /proc


def wait_until(claim: object, what: str) -> None:
    """Poll for what no event tells us (another process's state); AssertionError naming it if it never comes."""
    end = time.monotonic() + PATIENCE
    while not claim():  # type: ignore[operator]
        assert time.monotonic() < end, f"never came: {what}"
        time.sleep(0.01)


def children(pid: int) -> list[int]:
    """All descendants of a process, nearest first."""
    found: list[int] = []
    with contextlib.suppress(OSError):
        for task in Path(f"/proc/{pid}/task").iterdir():
            for child in map(int, (task / "children").read_text().split()):
                found += [child, *children(child)]
    return found


def identity(pid: int) -> dict[str, list[int]]:
    """Uid, Gid (real, effective, saved, filesystem) and Groups of a process."""
    status = Path(f"/proc/{pid}/status").read_text()
    return {
        key: [int(word) for word in re.search(rf"^{key}:(.*)$", status, re.M)[1].split()]  # type: ignore[index]
        for key in ("Uid", "Gid", "Groups")
    }


def belonging(pid: int, *uids: int) -> list[int]:
    """Descendants of a process whose real uid is one of ``uids``; those that have ended are nobody's."""
    found = []
    for child in children(pid):
        with contextlib.suppress(OSError):
            if os.readlink(f"/proc/{child}/exe") and identity(child)["Uid"][0] in uids:  # a zombie has none
                found.append(child)
    return found


@contextlib.contextmanager
def started(*line: str, **options: object) -> Iterator[subprocess.Popen[bytes]]:
    """A program that runs for the length of a with statement; its output is in ``process.output``."""
    options.setdefault("env", environment())
    process = subprocess.Popen(  # type: ignore[call-overload]
        line, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, **options
    )
    process.output = Output(process.stdout)
    try:
        yield process
    finally:
        for pid in [*reversed(children(process.pid))]:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGTERM)
        stop(process)
        process.output.thread.join(PATIENCE)
        process.stdout.close()
