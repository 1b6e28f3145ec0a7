"""What one session holds in private memory while RETR sends a message of 1 GB.

A mailbox with that one message is made in a temporary folder, the server started on a port of the loopback, the
message fetched; meanwhile /proc/PID/smaps_rollup (Private_Clean and Private_Dirty) of the session's process is read
again and again.  Prints what it held after login, its peak, and the rate.

    python3 benchmarks/retr_memory.py [--megabytes 1024] [--folder /var/tmp]
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from tests.harness import FROM_LINE, Server, children

HEADER = b"From: carol@example.com\nTo: alice@example.org\nSubject: big\nMessage-Id: <big@example.com>\n\n"


def private_kilobytes(pid: int) -> int:
    """Private_Clean and Private_Dirty of a process, in KB."""
    rows = (line.split() for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()[1:])
    return sum(int(row[1]) for row in rows if row[0] in ("Private_Clean:", "Private_Dirty:"))


def write(path: Path, megabytes: int) -> None:
    """A mailbox with one message of about that size, a dot at the start of every 16th line."""
    block = b"".join(b"%s%063d\n" % (b"." if n % 16 == 0 else b"", n) for n in range(16_000))
    with path.open("wb") as file:
        file.write(FROM_LINE + HEADER)
        for _ in range((megabytes << 20) // len(block) + 1):
            file.write(block)
        file.write(b"\n")


def measure(server: Server) -> None:
    with server.dialogue() as line:
        idle = set(children(server.process.pid))
        print(line.login().decode())
        pid = next(iter(children(server.process.pid)[-1:]), server.process.pid)
        after_login = peak = private_kilobytes(pid)
        begin, octets, readings = time.perf_counter(), 0, 0
        print(line.ask("RETR 1").decode())
        tail, due = b"", 0
        while not tail.endswith(b"\r\n.\r\n"):
            piece = line.file.read1(1 << 20)  # type: ignore[attr-defined]
            if not piece:
                raise SystemExit("the connection ended in mid-message:\n" + server.log.text)
            octets += len(piece)
            tail = (tail + piece)[-5:]
            if octets >= due:
                peak, readings, due = max(peak, private_kilobytes(pid)), readings + 1, octets + (4 << 20)
        seconds = time.perf_counter() - begin
        peak = max(peak, private_kilobytes(pid))
        print(line.ask("QUIT").decode())
    kind = "the session's process" if pid in idle or pid != server.process.pid else "the server's only process"
    print(f"private memory of {kind}: {after_login / 1024:.1f} MB after login, {peak / 1024:.1f} MB at its peak")
    print(f"({readings} readings; {octets / 1e6:.0f} MB in {seconds:.2f} s, {octets / 1e6 / seconds:.0f} MB/s)")


def main() -> None:
    parser = argparse.ArgumentParser(description="private memory of a session during RETR of a large message")
    parser.add_argument("--megabytes", type=int, default=1024)
    parser.add_argument("--folder", default="/var/tmp", help="where the mailbox is made")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(dir=options.folder) as name:
        Path(name).chmod(0o755)
        server = Server(Path(name))
        write(server.maildrop(), options.megabytes)
        server.maildrop().chmod(0o600)
        server.give(server.maildrop())
        with server:
            measure(server)


if __name__ == "__main__":
    main()
