"""RETR: in lock step, pipelined, and of one large message, beside popa3d.

In lock step by a client that acknowledges at once; an ordinary one waits 40 ms a message for servers that send a reply
in two small pieces (Nagle's algorithm against delayed ACKs), as the second row shows of some messages.

    sudo python3 benchmarks/transfer.py [--rounds 5] [--messages 2000] [--octets 50000] [--megabytes 1024]
"""

from __future__ import annotations

import opponents
from opponents import Client, Server, Table, seconds

DEEP = 32  # commands that are on their way at once
FEW = 50


def lock_step(server: Server, count: int, quick: bool) -> float:
    """Milliseconds a message."""
    with Client(server, quick) as client:
        client.login()

        def work() -> None:
            for number in range(1, count + 1):
                client.whole(b"RETR %d\r\n" % number)

        taken = seconds(work)
        client.quit()
    return taken * 1000 / count


def answers(server: Server, count: int) -> list[int]:
    """How many octets the server answers to RETR of each message."""
    with Client(server, quick=True) as client:
        client.login()
        sizes = [client.whole(b"RETR %d\r\n" % number) for number in range(1, count + 1)]
        client.quit()
    return sizes


def pipelined(server: Server, sizes: list[int]) -> float:
    """MB a second."""
    with Client(server, quick=True) as client:
        client.login()
        commands = [b"RETR %d\r\n" % number for number in range(1, len(sizes) + 1)]

        def work() -> None:
            client.sock.sendall(b"".join(commands[:DEEP]))
            for number, size in enumerate(sizes):
                client.read(size)
                client.sock.sendall(b"".join(commands[number + DEEP : number + DEEP + 1]))

        taken = seconds(work)
        client.quit()
    return sum(sizes) / 1e6 / taken


def main() -> None:
    parser = opponents.arguments(str(__doc__).partition("\n")[0], 5, 2_000, 50_000)
    parser.add_argument("--megabytes", type=int, default=1024, help="of the one large message")
    options = parser.parse_args()
    folder = opponents.enter(options)
    among = opponents.servers(folder, options, plain=True)
    many, one = folder / "many", folder / "one"
    opponents.fill(many, options.messages, options.octets)
    opponents.fill(one, 1, options.megabytes << 20)
    table = Table(
        f"{options.messages} messages, {many.stat().st_size / 1e6:.0f} MB; medians of {options.rounds}", among
    )
    step = table.row("RETR in lock step, a message", "ms")
    slow = table.row("the same, an ordinary client", "ms")
    deep = table.row(f"RETR pipelined {DEEP} deep", "MB/s")
    large = table.row(f"RETR of one message of {options.megabytes} MB", "MB/s")
    opponents.place(many)
    sizes = {server.name: answers(server, options.messages) for server in among}
    for server in opponents.rounds(options, among):
        opponents.warm(opponents.MAILBOX)
        step[server.name].append(lock_step(server, options.messages, quick=True))
        slow[server.name].append(lock_step(server, min(FEW, options.messages), quick=False))
        deep[server.name].append(pipelined(server, sizes[server.name]))
    opponents.place(one)
    sizes = {server.name: answers(server, 1) for server in among}
    for server in opponents.rounds(options, among):
        opponents.warm(opponents.MAILBOX)
        large[server.name].append(pipelined(server, sizes[server.name]))
    table.show()


if __name__ == "__main__":
    main()
