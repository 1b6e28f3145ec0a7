"""Sessions a second, beside popa3d: connect, USER, PASS, STAT, QUIT, on a small mailbox, by a load generator in C.

Rows: md5-crypt and sha512-crypt; 1, 16 and 64 clients, each with a user of its own; system users and virtual ones (of
one owner), which popa3d has not, so its system users stand beside both.  The servers are measured in turns, each after
a short run that is not counted; medians of all rounds, with the least and the most, and the largest latency of all.
CPU is that of all the server's processes.  Sessions that failed are counted as errors and as nothing else.

    sudo python3 benchmarks/sessions.py [--rounds 5] [--seconds 2] [--clients 1,16,64] [--sustained 60]
"""

from __future__ import annotations

import statistics
import sys

import crowd
from crowd import HASHES, Crowded, Load

LETTERS = {"md5-crypt": "m", "sha512-crypt": "s"}
WARMING = 30  # sessions, or twice as many as there are clients
HEAD = f"{'':34}{'sessions/s':>11}{'least-most':>14}{'x popa3d':>9}{'p50 ms':>9}{'p99 ms':>9}{'max ms':>9}"
HEAD += f"{'CPU ms':>8}{'errors':>8}"


def users(hashed: str, count: int) -> list[str]:
    return [f"{LETTERS[hashed]}{number}" for number in range(count)]


def warm(load: Load, server: Crowded, names: list[str]) -> None:
    """A run that is not counted; one that fails says that the server is not fit to be measured."""
    figures = load.run(server, names, 0, max(WARMING, 2 * len(names)))
    if figures["errors"]:
        print(f"  {server.name}, {server.kind}: {figures['errors']:.0f} errors while warming")


def show(title: str, taken: dict[Crowded, list[dict[str, float]]]) -> int:
    """A table; how many errors."""
    print(f"\n{title}\n{HEAD}")
    popa3d = [statistics.median(f["rate"] for f in rounds) for s, rounds in taken.items() if s.name == "popa3d"]
    for server, rounds in taken.items():
        rates = [figures["rate"] for figures in rounds]
        rate = statistics.median(rates)
        spread = f"{min(rates):.0f}-{max(rates):.0f}"
        ratio = f"{rate / popa3d[0]:.2f}" if popa3d and popa3d[0] else "-"
        p50, p99 = (statistics.median(figures[name] for figures in rounds) for name in ("p50", "p99"))
        cpus = [figures["cpu"] for figures in rounds if "cpu" in figures]
        cpu = f"{statistics.median(cpus):.2f}" if cpus else "-"
        errors = sum(int(figures["errors"]) for figures in rounds)
        print(
            f"  {server.name + ', ' + server.kind:32}{rate:11.0f}{spread:>14}{ratio:>9}{p50:9.2f}{p99:9.1f}"
            f"{max(figures['max'] for figures in rounds):9.1f}{cpu:>8}{errors:8}",
            flush=True,
        )
    return sum(int(figures["errors"]) for rounds in taken.values() for figures in rounds)


def measure(load: Load, servers: list[Crowded], hashed: str, clients: int, seconds: float, rounds: int) -> int:
    names = users(hashed, clients)
    taken: dict[Crowded, list[dict[str, float]]] = {server: [] for server in servers}
    for _ in range(rounds):
        for server in servers:
            warm(load, server, names)
            taken[server].append(load.run(server, names, seconds))
    return show(f"{hashed}, {clients} client{'s' * (clients > 1)}, {rounds} x {seconds:g} s", taken)


def main() -> int:
    parser = crowd.arguments("sessions a second, beside popa3d")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=2, help="of one measurement")
    parser.add_argument("--clients", default="1,16,64", help="how many at once, row by row")
    parser.add_argument("--hashes", default=",".join(HASHES), help="of the users' passwords")
    parser.add_argument("--sustained", type=float, default=0, help="seconds of one long measurement of each, too")
    options = parser.parse_args()
    folder = crowd.enter(options)
    counts = [int(word) for word in options.clients.split(",")]
    hashes = options.hashes.split(",")
    crowd.populate(folder, max(counts), {LETTERS[name]: HASHES[name] for name in hashes})
    load = Load(folder)
    servers = [*crowd.popa3d(folder), *crowd.ours(folder, options)]
    print(crowd.about())
    errors = 0
    for hashed in hashes:
        for clients in counts:
            errors += measure(load, servers, hashed, clients, options.seconds, options.rounds)
        if options.sustained:
            errors += measure(load, servers, hashed, max(counts), options.sustained, 1)
    if errors:
        print(f"\n{errors} sessions failed: the rates above are of the others")
    return int(bool(errors))


if __name__ == "__main__":
    sys.exit(main())
