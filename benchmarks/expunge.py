"""DELE of a tenth of a large mbox, then QUIT: until the reply, beside popa3d (which has no redo record and no dotlock).

Spread over the mailbox, almost all of it moves; at its end, none does.  The DELEs are not timed, the mailbox is on the
disk and more than a second old before them.

    sudo python3 benchmarks/expunge.py [--rounds 3] [--messages 20000] [--octets 53000]
"""

from __future__ import annotations

import opponents
from opponents import MAILBOX, Client, Server, Table, seconds


def expunge(server: Server, doomed: range) -> float:
    """Seconds from QUIT to its reply, in a session that knows the mailbox from an earlier one."""
    for numbers in (range(0), doomed):
        with Client(server) as client:
            client.login()
            client.whole(b"UIDL\r\n")
            for start in range(0, len(numbers), 100):
                some = numbers[start : start + 100]
                client.sock.sendall(b"".join(b"DELE %d\r\n" % number for number in some))
                for _ in some:
                    client.line()
            taken = seconds(lambda: client.ask("QUIT"))
            while client.sock.recv(4096):
                pass
    return taken


def main() -> None:
    options = opponents.arguments(str(__doc__).partition("\n")[0], 3, 20_000, 53_000).parse_args()
    folder = opponents.enter(options)
    among = opponents.servers(folder, options, plain=False)
    box = folder / "box"
    opponents.fill(box, options.messages, options.octets)
    count = options.messages
    size = box.stat().st_size
    table = Table(f"mbox of {count} messages, {size / 1e6:.0f} MB; medians of {options.rounds}", among)
    cases = {
        "a tenth, spread over it": (range(5, count + 1, 10), "at most 3"),
        "the last tenth": (range(count - count // 10 + 1, count + 1), "at most 1.5"),
        "the first message": (range(1, 2), ""),
        "the last message": (range(count, count + 1), ""),
    }
    for name, (doomed, aim) in cases.items():
        row = table.row(f"QUIT after DELE of {name}", "ms", aim)
        for server in opponents.rounds(options, among):
            opponents.place(box, sync=True)
            row[server.name].append(expunge(server, doomed) * 1000)
            left = MAILBOX.stat().st_size
            if not 0 < left < size:
                raise SystemExit(f"{server.name} left {left} octets of {size}")
    table.show()


if __name__ == "__main__":
    main()
