"""Opening a large mbox: from connect to the reply to STAT, the login included, beside popa3d.

Cold: our first session on it (the mail is in the page cache, as always here); again: nothing has changed; grown: 10 MB
of mail were added.  The last change is always over a second old: popa3d waits for that.  Then LIST and UIDL of all,
the first time and again, and what a session on it holds in private memory.

    sudo python3 benchmarks/mbox_open.py [--rounds 7] [--messages 20000] [--octets 53000]
"""

from __future__ import annotations

import os
import shutil
import time
from pathlib import Path

import opponents
from opponents import MAILBOX, Client, Server, Table, seconds

ADDED = 10 << 20
OLD = 1.1  # seconds


def open_it(server: Server) -> float:
    """Seconds from connect to the reply to STAT."""

    def work() -> None:
        client.append(Client(server))
        client[0].login()
        client[0].ask("STAT")

    client: list[Client] = []
    taken = seconds(work)
    with client[0]:
        client[0].quit()
    return taken


def session(server: Server, table: dict[str, list[float]] | None, command: bytes) -> None:
    with Client(server, quick=True) as client:
        client.login()
        taken = seconds(lambda: client.whole(command))
        client.quit()
    if table is not None:
        table[server.name].append(taken * 1000)


def private(server: Server) -> list[float]:
    """MB of private memory of each process of a session that listed all, root's processes first."""
    before = set(server.processes())
    with Client(server) as client:
        client.login()
        client.ask("STAT")
        for command in (b"LIST\r\n", b"UIDL\r\n"):
            client.whole(command)
        held = []
        for pid in server.processes():
            if pid not in before:
                rows = (line.split() for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()[1:])
                held.append(sum(int(row[1]) for row in rows if row[0].startswith("Private_")) / 1024)
        client.quit()
    return held


def main() -> None:
    options = opponents.arguments(str(__doc__).partition("\n")[0], 7, 20_000, 53_000).parse_args()
    folder = opponents.enter(options)
    among = opponents.servers(folder, options, plain=True)
    box, more = folder / "box", folder / "more"
    opponents.fill(box, options.messages, options.octets)
    opponents.fill(more, max(1, ADDED // options.octets), options.octets, seed=2)
    opponents.place(box)
    size = MAILBOX.stat().st_size
    table = Table(f"mbox of {options.messages} messages, {size / 1e6:.0f} MB; medians of {options.rounds}", among)
    cold = table.row("connect to STAT, cold", "ms", "cold no slower")
    again = table.row("the same, unchanged", "ms", "under 5 ms")
    grown = table.row("the same, after 10 MB of new mail", "ms", "under 15 ms")
    lists = table.row("LIST", "ms")
    first = table.row("UIDL, the first ever", "ms")
    uidl = table.row("UIDL, again", "ms")
    for server in opponents.rounds(options, among):
        opponents.warm(MAILBOX)
        server.forget()
        time.sleep(OLD)
        cold[server.name].append(open_it(server) * 1000)
        again[server.name].append(open_it(server) * 1000)
        session(server, lists, b"LIST\r\n")
        session(server, first, b"UIDL\r\n")
        session(server, uidl, b"UIDL\r\n")
        with MAILBOX.open("ab") as file, more.open("rb") as added:
            shutil.copyfileobj(added, file)
        time.sleep(OLD)
        grown[server.name].append(open_it(server) * 1000)
        os.truncate(MAILBOX, size)
    table.show()
    for server in among[-2:]:
        open_it(server)
        held = ", ".join(f"{megabytes:.1f}" for megabytes in private(server))
        print(
            f"private memory of a session on it, {server.name}: {held} MB (its keeper, and the process with the mail)"
        )


if __name__ == "__main__":
    main()
