"""What idle sessions cost in memory, beside popa3d: hundreds are logged in, have asked STAT, and then say nothing.

PSS (/proc/PID/smaps_rollup) of all the server's processes with no session, and with them; their difference divided by
the sessions, and all of it divided by them.  popa3d cannot hold more than 499 sessions: it is asked for fewer.

    sudo python3 benchmarks/idle.py [--sessions 500]
"""

from __future__ import annotations

import contextlib
import sys
from pathlib import Path

import crowd
import opponents
from crowd import HASHES, Crowded

MOST_OF_POPA3D = 499


class Member(opponents.Client):
    """A client that logs in as anybody."""

    def enter(self, user: str, answer: str) -> None:
        self.line()
        self.ask(f"USER {user}")
        self.ask(f"PASS {opponents.PASSWORD}")
        said = self.ask("STAT").decode().strip()
        if said != answer and not said.startswith(answer + " "):
            raise SystemExit(f"STAT is answered {said!r}, not {answer!r}")


def kilobytes(server: Crowded) -> tuple[float, int]:
    """PSS in KB of all its processes, and how many they are."""
    total = processes = 0
    for pid in server.processes():
        with contextlib.suppress(FileNotFoundError, ProcessLookupError):  # one that has just ended
            text = Path(f"/proc/{pid}/smaps_rollup").read_text()
            total += int(text.partition("\nPss:")[2].split()[0])
            processes += 1
    return total, processes


def measure(server: Crowded, count: int, answer: str) -> None:
    with Member(server) as one:  # what the first session makes a server load is not a session's
        one.enter("i0", answer)
        one.quit()
    server.cpu()  # comes to rest
    base, first = kilobytes(server)
    with contextlib.ExitStack() as stack:
        members = []
        for number in range(count):
            members.append(stack.enter_context(Member(server)))
            members[number].enter(f"i{number}", answer)
        server.cpu()
        held, processes = kilobytes(server)
        for member in members:
            if not member.ask("NOOP").startswith(b"+OK"):
                raise SystemExit(f"{server.name}: a session was lost")
        for member in members:
            member.quit()
    print(
        f"  {server.name + ', ' + server.kind:34}{count:9}{base / 1024:9.1f}{first:7}{held / 1024:10.1f}{processes:7}"
        f"{(held - base) / count:16.0f}{held / count:16.0f}",
        flush=True,
    )


def main() -> int:
    parser = crowd.arguments("memory of idle sessions, beside popa3d")
    parser.add_argument("--sessions", type=int, default=500)
    options = parser.parse_args()
    folder = crowd.enter(options)
    crowd.populate(folder, options.sessions, {"i": HASHES["md5-crypt"]})
    answer = crowd.stat_answer(folder)
    servers = [*crowd.popa3d(folder), *crowd.ours(folder, options)]
    print(f"{crowd.about()}\n{'':36}{'sessions':>9}{'base MB':>9}{'proc.':>7}{'with MB':>10}{'proc.':>7}", end="")
    print(f"{'KB a session':>16}{'and base':>16}")
    for server in servers:
        measure(server, min(options.sessions, MOST_OF_POPA3D) if server.name == "popa3d" else options.sessions, answer)
    return 0


if __name__ == "__main__":
    sys.exit(main())
