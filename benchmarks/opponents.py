"""What the comparing benchmarks share: a private corner of the machine, servers in it, mail for them, a client.

Run by root, a benchmark starts itself again in mount, network and process namespaces of its own.  There /etc, /var/mail
and the loopback are its own, and all of it is gone with it.  In it run, standalone:

- Debian's popa3d, from the path or else fetched with ``apt-get download`` and unpacked, nothing installed;
- this tree's pop3d, as root with /etc/shadow, with the C kernel and, where that differs, without.
"""

from __future__ import annotations

import argparse
import os
import random
import shutil
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

HERE = Path(__file__).resolve().parent
TREE = HERE.parent
sys.path.insert(0, str(TREE / "scripts/installer"))

import kernel  # noqa: E402

PYTHON = "/usr/bin/python3"
INSIDE = "QPOPPER_BENCH_FOLDER"
USER, UID, PASSWORD = "bench", 64990, "pw"
HASH = "$1$abcdefgh$IQtUouv7y7Q9dRWkQEPCc."  # md5-crypt: what is compared here is not hashing
MAILBOX = Path("/var/mail") / USER
SOURCES = 250  # popa3d counts the sessions of an address
LAUNCHER = """\
import gc, sys
gc.set_threshold(10_000)
sys.path.insert(0, {package!r})
from qpopper_py.__main__ import main
sys.exit(main())
"""


# --------------------------------------------------------------------------------------------------------------
# The corner


def enter(options: argparse.Namespace) -> Path:
    """Be inside; the folder for everything that is made.  The first call does not return: it runs us again inside."""
    if INSIDE in os.environ:
        folder = Path(os.environ[INSIDE])
        furnish(folder)
        return folder
    if os.geteuid() != 0:
        raise SystemExit("this benchmark makes users and mailboxes in namespaces of its own: run it as root")
    with tempfile.TemporaryDirectory(prefix="pop3d-bench-", dir=options.folder) as name:
        Path(name).chmod(0o755)
        fetch_popa3d(Path(name), options.popa3d)
        line = ["unshare", "--mount", "--net", "--pid", "--fork", "--kill-child", "--mount-proc"]
        line += ["--propagation", "private", sys.executable, *sys.argv]
        raise SystemExit(subprocess.call(line, env={**os.environ, INSIDE: name}))


def fetch_popa3d(folder: Path, given: str) -> None:
    """Put popa3d at ``folder``/popa3d, if it can be had."""
    unpacked = os.environ.get("QPOPPER_TEST_OPPONENTS", "")  # by tests/compare/fetch
    places = os.environ.get("PATH", "") + ":/usr/sbin" + (f":{unpacked}/usr/sbin" if unpacked else "")
    found = given or shutil.which("popa3d", path=places)
    if not found:
        package = folder / "package"
        package.mkdir()
        subprocess.run(["apt-get", "-qq", "download", "popa3d"], cwd=package, stderr=subprocess.DEVNULL)
        for archive in package.glob("popa3d_*.deb"):
            subprocess.run(["dpkg", "-x", archive, package], check=True)
            found = str(package / "usr/sbin/popa3d")
    if found and os.path.exists(found):
        shutil.copy(found, folder / "popa3d")
    else:
        print("popa3d is not at hand and cannot be fetched: measuring without it")


def furnish(folder: Path) -> None:
    """Users, PAM, the spool and the loopback of the namespace."""
    subprocess.run(["ip", "link", "set", "lo", "up"], check=True)
    # All of it: a file that is mounted alone is laid open again when somebody outside replaces it.
    etc = folder / "etc"
    # Lock files come and go while somebody makes users; what counts is looked at by whoever reads it below.
    subprocess.run(["cp", "-a", "/etc", etc], stderr=subprocess.DEVNULL)
    lines = {
        "passwd": f"{USER}:x:{UID}:{UID}::/nonexistent:/bin/sh\npopa3d:x:64991:64991::/nonexistent:/usr/sbin/nologin\n"
        "pop3d:x:64992:64992::/nonexistent:/usr/sbin/nologin\n",
        "group": f"{USER}:x:{UID}:\npopa3d:x:64991:\npop3d:x:64992:\n",
        "shadow": f"{USER}:{HASH}:19000:0:99999:7:::\npopa3d:*:19000:0:99999:7:::\npop3d:*:19000:0:99999:7:::\n",
    }
    for name, more in lines.items():
        known = (etc / name).read_text().splitlines(keepends=True)
        kept = [line for line in known if line.partition(":")[0] not in (USER, "popa3d", "pop3d")]
        (etc / name).write_text("".join(kept) + more)
    (etc / "pam.d/popa3d").write_text("auth required pam_unix.so\naccount required pam_unix.so\n")
    bind(etc, "/etc")
    (folder / "mail").mkdir()
    shutil.chown(folder / "mail", group="mail")
    (folder / "mail").chmod(0o2775)
    bind(folder / "mail", "/var/mail")
    for place in ("/var/lib", "/run"):
        subprocess.run(["mount", "-t", "tmpfs", "-o", "mode=755", "tmpfs", place], check=True)
    os.mkdir("/var/lib/popa3d")


def bind(what: Path, over: str) -> None:
    subprocess.run(["mount", "--bind", what, over], check=True)


# --------------------------------------------------------------------------------------------------------------
# Servers


class Server:
    """A server on ``port`` of the loopback; ``state``: its state folder, if it has one."""

    def __init__(
        self, name: str, port: int, line: list[str], state: Path | None = None, env: dict[str, str] | None = None
    ) -> None:
        self.name = name
        self.port = port
        self.state = state
        self.process = subprocess.Popen(line, stdin=subprocess.DEVNULL, stderr=subprocess.DEVNULL, env=env)
        end = time.monotonic() + 10
        while True:
            try:
                socket.create_connection(("127.0.0.1", port)).close()
                return
            except ConnectionRefusedError:
                if time.monotonic() > end:
                    raise SystemExit(f"{name} does not listen on port {port}") from None
                time.sleep(0.02)

    def forget(self) -> None:
        """Let the next session know nothing of the mailbox."""
        if self.state:
            shutil.rmtree(self.state / "users", ignore_errors=True)

    def processes(self) -> list[int]:
        """All that descend from the server, parents first."""
        found = [self.process.pid]
        for pid in found:
            for task in Path(f"/proc/{pid}/task").glob("*/children"):
                found += map(int, task.read_text().split())
        return found


def furnished(package: Path, with_kernel: bool = True) -> str:
    """Put this tree's package and a launcher into the folder ``package``; the launcher."""
    shutil.copytree(TREE / "qpopper_py", package / "qpopper_py", ignore=shutil.ignore_patterns("_kernel.*so"))
    if with_kernel:
        why = kernel.build(TREE / "qpopper_py/_kernel.c", package / "qpopper_py", PYTHON)
        if why:
            print(f"no kernel: {why}")
    subprocess.run([PYTHON, "-IS", "-m", "compileall", "-q", str(package)], check=True)
    (package / "pop3d").write_text(LAUNCHER.format(package=str(package)))
    return str(package / "pop3d")


def servers(folder: Path, options: argparse.Namespace, plain: bool) -> list[Server]:
    """All of them, started.  ``plain``: also ours with serve.mode = prefork, and without the kernel."""
    made = []
    if (folder / "popa3d").exists():
        made.append(Server("popa3d", 110, [str(folder / "popa3d"), "-D"]))
    kinds: dict[str, tuple[bool, list[str]]] = {"pop3d": (True, [])}
    if plain:
        kinds = {"pop3d, prefork": (True, ["serve.mode=prefork"]), **kinds, "pop3d, no kernel": (False, [])}
    for number, (name, (with_kernel, more)) in enumerate(kinds.items()):
        program = furnished(folder / f"package-{number}", with_kernel)
        state = folder / f"state-{number}"
        line = [PYTHON, "-IS", program, "--config", "none", "--listen", f"127.0.0.1:{1110 + number}"]
        values = {"state_dir": state, "spool": "/var/mail", "log.to": "stderr", "limits.sessions": 1000}
        values |= {"limits.sessions_address": 0, "limits.unauthenticated": 0}  # the load has one address
        values["mailauth.database"] = folder / "none"
        given = [f"{key}={value}" for key, value in values.items()] + more + options.set
        line += [word for pair in given for word in ("--set", pair)]
        made.append(Server(name, 1110 + number, line, state))
    return made


# --------------------------------------------------------------------------------------------------------------
# Mail


def fill(path: Path, count: int, octets: int, seed: int = 1) -> None:
    """An mbox of ``count`` messages of about ``octets`` each: text of short lines, a dot in front now and then."""
    chance = random.Random(seed)
    words = [f"{chance.getrandbits(40):x}"[: chance.randint(2, 10)] for _ in range(2000)]
    lines = [" ".join(chance.choices(words, k=10))[: chance.randint(30, 76)] for _ in range(6000)]
    text = "".join(("." if number % 200 == 0 else "") + line + "\n" for number, line in enumerate(lines)).encode()
    with path.open("wb") as file:
        for number in range(count):
            head = header(number, chance)
            file.write(head)
            left = max(0, octets - len(head))
            while left > 0:
                at = text.find(b"\n", chance.randrange(len(text) // 2)) + 1
                piece = text[at : at + left]
                piece = piece[: piece.rfind(b"\n") + 1] or b"end\n"
                file.write(piece)
                left -= max(len(piece), 80)
            file.write(b"\n")


def header(number: int, chance: random.Random) -> bytes:
    sender = f"user{number}@example.com"
    stamp = f"{number // 3600 % 24:02}:{number // 60 % 60:02}:{number % 60:02}"
    return (
        f"From {sender} Fri Nov 20 {stamp} 2026\n"
        f"Return-Path: <{sender}>\n"
        f"Received: from mx.example.com (mx.example.com [192.0.2.{number % 250}])\n"
        f"\tby mail.example.org (Postfix) with ESMTP id {chance.getrandbits(40):X}\n"
        f"\tfor <{USER}@example.org>; Fri, 20 Nov 2026 {stamp} +0000\n"
        f"Received: from localhost by mx.example.com; Fri, 20 Nov 2026 {stamp} +0000\n"
        f"Date: Fri, 20 Nov 2026 {stamp} +0000\n"
        f"From: User {number} <{sender}>\nTo: <{USER}@example.org>\nSubject: message {number}\n"
        f"Message-ID: <{number}.{chance.getrandbits(60):x}@example.com>\n"
        f"MIME-Version: 1.0\nContent-Type: text/plain; charset=us-ascii\nX-Filler: {'z' * 60}\n\n"
    ).encode()


def place(box: Path, sync: bool = False) -> None:
    """Put a copy of ``box`` into the spool, in the page cache; ``sync``: on the disk, too."""
    shutil.copyfile(box, MAILBOX)
    os.chown(MAILBOX, UID, -1)
    MAILBOX.chmod(0o600)
    if sync:
        os.sync()


def warm(path: Path) -> None:
    """Have it in the page cache."""
    with path.open("rb", buffering=0) as file:
        buffer = bytearray(1 << 20)
        while file.readinto(buffer):
            pass


# --------------------------------------------------------------------------------------------------------------
# A client


class Client:
    """A POP3 connection that reads fast.  ``quick``: acknowledges at once, as clients on other systems do."""

    count = 0

    def __init__(self, server: Server, quick: bool = False) -> None:
        Client.count += 1
        source = f"127.0.0.{1 + Client.count % SOURCES}"
        self.sock = socket.create_connection(("127.0.0.1", server.port), source_address=(source, 0))
        self.quick = quick
        self.rest = b""
        self.buffer = bytearray(1 << 20)

    def __enter__(self) -> Client:
        return self

    def __exit__(self, *_: object) -> None:
        self.sock.close()

    def line(self) -> bytes:
        while b"\n" not in self.rest:
            more = self.sock.recv(65536)
            if not more:
                raise SystemExit(f"the server closed the connection; it had said {self.rest!r}")
            self.rest += more
        line, _, self.rest = self.rest.partition(b"\n")
        if not line.startswith(b"+OK"):
            raise SystemExit(f"the server says {line!r}")
        return line

    def ask(self, command: str) -> bytes:
        self.sock.sendall(command.encode() + b"\r\n")
        return self.line()

    def login(self) -> None:
        self.line()
        self.ask(f"USER {USER}")
        self.ask(f"PASS {PASSWORD}")

    def quit(self) -> None:
        """QUIT, and wait until the server has closed."""
        self.ask("QUIT")
        while self.sock.recv(4096):
            pass

    def whole(self, command: bytes) -> int:
        """Send it and read to the dot line; how many octets came."""
        self.sock.sendall(command)
        tail, octets = b"", 0
        while not tail.endswith(b"\r\n.\r\n"):
            if self.quick:
                self.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_QUICKACK, 1)
            got = self.sock.recv_into(self.buffer)
            if not got:
                raise SystemExit("the server closed the connection in mid-answer")
            octets += got
            tail = (tail + bytes(self.buffer[max(0, got - 5) : got]))[-5:]
        return octets

    def read(self, octets: int) -> None:
        """Read so many octets and look at none."""
        while octets > 0:
            got = self.sock.recv_into(self.buffer, min(octets, len(self.buffer)))
            if not got:
                raise SystemExit("the server closed the connection too early")
            octets -= got


# --------------------------------------------------------------------------------------------------------------
# Figures


def seconds(work: Callable[[], object]) -> float:
    begin = time.perf_counter()
    work()
    return time.perf_counter() - begin


class Table:
    """Rows of medians, a column for each server, and how ours compares with popa3d's."""

    def __init__(self, title: str, columns: Iterable[Server]) -> None:
        self.columns = [server.name for server in columns]
        self.rows: list[tuple[str, str, dict[str, list[float]], str]] = []
        self.title = title

    def row(self, name: str, unit: str, aim: str = "") -> dict[str, list[float]]:
        """The readings of a new row, for each server, to be filled."""
        readings: dict[str, list[float]] = {column: [] for column in self.columns}
        self.rows.append((name, unit, readings, aim))
        return readings

    def show(self) -> None:
        print(
            f"\n{self.title}\n{'':44}{'':8}" + "".join(f"{name:>18}" for name in self.columns) + "   ours/popa3d  aim"
        )
        for name, unit, readings, aim in self.rows:
            medians = {column: statistics.median(values) for column, values in readings.items() if values}
            cells = "".join(
                f"{medians[column]:18.2f}" if column in medians else f"{'-':>18}" for column in self.columns
            )
            both = "pop3d" in medians and medians.get("popa3d")
            ratio = f"{medians['pop3d'] / medians['popa3d']:12.2f}" if both else f"{'-':>12}"
            print(f"{name:44}{unit:8}{cells}   {ratio}  {aim}")


def rounds(options: argparse.Namespace, among: list[Server]) -> Iterator[Server]:
    """The servers in turns, so that a slow moment of the machine meets all of them."""
    for _ in range(options.rounds):
        yield from among


def arguments(what: str, rounds: int, messages: int, octets: int) -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=what)
    parser.add_argument("--rounds", type=int, default=rounds)
    parser.add_argument("--messages", type=int, default=messages)
    parser.add_argument("--octets", type=int, default=octets, help="of a message")
    parser.add_argument("--folder", default="/var/tmp", help="where everything is made")
    parser.add_argument("--popa3d", default="", help="the program; default: from the path, or fetched")
    parser.add_argument("--set", action="append", default=[], help="a setting of ours, as for pop3d")
    return parser
