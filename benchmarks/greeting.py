"""How long from exec to the greeting, started as inetd does: the connection on descriptors 0 to 2.

Prints medians, least and 90th percentile in milliseconds, the rows measured in turns so that a slow moment of the
machine meets all of them: without a configuration file, with one, and beside them the bare interpreter (exec to
exit) and, if it is at hand, popa3d (``--popa3d``, else from the path).  Started by root, pop3d runs as root, as
inetd starts it.

What pop3d has read of a configuration file it remembers in root's /var/lib/pop3d, which is there from the first login
on; here it is made if need be and removed afterwards.  Others than root have a folder of the benchmark's own.

    python3 benchmarks/greeting.py [--runs 200] [--pop3d /usr/local/sbin/pop3d]
"""

from __future__ import annotations

import argparse
import contextlib
import os
import shutil
import socket
import statistics
import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

PYTHON = "/usr/bin/python3"
ENVIRONMENT = {"PATH": "/usr/bin:/bin"}
WARMING = 3  # runs that are not counted
SETTLE = 2.5  # seconds that a file must be old before what was read of it is remembered
TREE = Path(__file__).resolve().parent.parent
CONFIG = """\
hostname = "pop.example.org"
timeout = "10m"
statistics = true

[auth]
max_failures = 3

[log]
to = "syslog"

[locks]
timeout = "10s"

[mailauth]
database = "/nonexistent/mailauth.db"
"""


class NoGreeting(Exception):
    """A program said something else, or nothing."""


@contextlib.contextmanager
def cache_folder(folder: Path) -> Iterator[None]:
    """Where pop3d may remember its configuration file, left as it was found."""
    if os.geteuid() != 0:
        ENVIRONMENT["CACHE_DIRECTORY"] = str(folder)
        yield
        return
    place = Path("/var/lib/pop3d")
    made = not place.exists()
    if made:
        place.mkdir(mode=0o755)
    before = set(place.iterdir())
    try:
        yield
    finally:
        for path in set(place.iterdir()) - before:
            path.unlink()
        if made:
            place.rmdir()


def connection() -> tuple[socket.socket, socket.socket]:
    """Both ends of a TCP connection over the loopback, as accept would have it."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        client = socket.create_connection(listener.getsockname())
        server, _ = listener.accept()
    return client, server


def to_greeting(line: list[str]) -> float:
    """Seconds from exec until the first octet of the greeting has come."""
    client, server = connection()
    with client, server:
        actions = [(os.POSIX_SPAWN_DUP2, server.fileno(), descriptor) for descriptor in (0, 1, 2)]
        begin = time.perf_counter()
        pid = os.posix_spawn(line[0], line, ENVIRONMENT, file_actions=actions)
        server.close()  # else a program that ends at once would never be heard to
        greeting = client.recv(1000)
        end = time.perf_counter()
        if greeting.startswith(b"+OK"):
            client.sendall(b"QUIT\r\n")
            while client.recv(1000):
                pass
        os.waitpid(pid, 0)
    if not greeting.startswith(b"+OK"):
        raise NoGreeting(f"{line[0]}: no greeting, but {greeting!r}; is it set up on this machine?")
    return end - begin


def to_exit(line: list[str]) -> float:
    """Seconds from exec to the end of the process."""
    begin = time.perf_counter()
    os.waitpid(os.posix_spawn(line[0], line, ENVIRONMENT), 0)
    return time.perf_counter() - begin


def rows(options: argparse.Namespace, folder: Path) -> dict[str, tuple[Callable[[list[str]], float], list[str]]]:
    """What is measured: name -> (how, command line)."""
    pop3d = options.pop3d
    if not pop3d:
        pop3d = str(folder / "pop3d")
        start = f"import sys\n\nsys.path.insert(0, {str(TREE)!r})\n"  # as make install has it
        Path(pop3d).write_text((TREE / "scripts/pop3d").read_text().replace("import sys\n", start, 1))
        os.chmod(pop3d, 0o755)
    config = folder / "pop3d.toml"
    config.write_text(CONFIG)
    config.chmod(0o644)
    table: dict[str, tuple[Callable[[list[str]], float], list[str]]] = {
        f"{PYTHON} -I -S -c pass, to its exit": (to_exit, [PYTHON, "-I", "-S", "-c", "pass"]),
        "pop3d, no configuration file": (to_greeting, [pop3d, "--config", "none"]),
        "pop3d, with one": (to_greeting, [pop3d, "--config", str(config)]),
    }
    popa3d = options.popa3d or shutil.which("popa3d", path=os.environ.get("PATH", "") + ":/usr/sbin")
    if popa3d:
        try:
            to_greeting([popa3d])
            table["popa3d"] = (to_greeting, [popa3d])
        except NoGreeting as why:
            print(why, file=sys.stderr)
    return table


def main() -> None:
    parser = argparse.ArgumentParser(description="exec to greeting, in milliseconds")
    parser.add_argument("--runs", type=int, default=200)
    parser.add_argument("--pop3d", help="an installed pop3d; default: this tree's, by the system's Python")
    parser.add_argument("--popa3d", help="popa3d, to compare with")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        os.chmod(name, 0o755)
        table = rows(options, Path(name))
        taken: dict[str, list[float]] = {row: [] for row in table}
        time.sleep(SETTLE)
        with cache_folder(Path(name)):
            for _ in range(options.runs + WARMING):
                for row, (measure, line) in table.items():
                    taken[row].append(measure(line) * 1000)
    print(f"{options.runs} runs each, Python {sys.version.split()[0]} measuring; milliseconds")
    print(f"{'':44}  median   least  90th %")
    for row, times in taken.items():
        warm = sorted(times[WARMING:])
        print(f"{row:44}{statistics.median(warm):8.2f}{warm[0]:8.2f}{warm[len(warm) * 9 // 10]:8.2f}")


if __name__ == "__main__":
    main()
