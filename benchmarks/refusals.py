"""When a refused login is answered: whether the moment tells why.

A server of its own, on the loopback, whose users are known, unknown, locked, and known by an APOP entry alone; each is
tried by each way to log in, many times at once.  Prints the median of each in milliseconds, counted from the client's
last message, and how far the medians lie apart, beside the spread of the tries themselves.  Ends with 1 if the medians
lie more than twice as far apart as half of the tries of one case do.

    python3 benchmarks/refusals.py [--tries 40]
"""

from __future__ import annotations

import argparse
import hmac
import statistics
import sys
import time
from base64 import b64decode, b64encode
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

import scramp

from tests.harness import Dialogue, Server, open_folder

if TYPE_CHECKING:
    from collections.abc import Callable

    Way = Callable[[Dialogue, str], float]

DELAY = 1  # seconds, auth.refusal_delay
AT_ONCE = 8
LOCKED, APOP_ONLY, UNKNOWN, KNOWN = "locked", "apoponly", "nobody-here", "alice"


def last(dialogue: Dialogue, line: str | bytes) -> float:
    """Send the last message; seconds until it was refused."""
    begun = time.perf_counter()
    answer = dialogue.ask(line)
    spent = time.perf_counter() - begun
    assert answer.startswith(b"-ERR [AUTH]"), answer
    return spent


def by_pass(dialogue: Dialogue, user: str) -> float:
    dialogue.ask(f"USER {user}")
    return last(dialogue, "PASS guess")


def by_apop(dialogue: Dialogue, user: str) -> float:
    return last(dialogue, f"APOP {user} {'0' * 32}")


def by_plain(dialogue: Dialogue, user: str) -> float:
    return last(dialogue, b"AUTH PLAIN " + b64encode(f"\0{user}\0guess".encode()))


def by_cram(dialogue: Dialogue, user: str) -> float:
    challenge = b64decode(dialogue.ask("AUTH CRAM-MD5")[2:])
    return last(dialogue, b64encode(f"{user} {hmac.new(b'guess', challenge, 'md5').hexdigest()}".encode()))


def by_scram(dialogue: Dialogue, user: str) -> float:
    client = scramp.ScramClient(["SCRAM-SHA-256"], user, "guess")
    first = dialogue.ask(b"AUTH SCRAM-SHA-256 " + b64encode(client.get_client_first().encode()))
    client.set_server_first(b64decode(first[2:]).decode())
    return last(dialogue, b64encode(client.get_client_final().encode()))


WAYS = {"PASS": by_pass, "APOP": by_apop, "PLAIN": by_plain, "CRAM-MD5": by_cram, "SCRAM-SHA-256": by_scram}


class Refusing(Server):
    """Has a user who is locked: the password field begins with an exclamation mark."""

    def write_accounts(self) -> None:
        super().write_accounts()
        accounts = self.folder / "auth/accounts"
        accounts.write_text(accounts.read_text() + f"{LOCKED}:!$6$salt$x::::::\n")


def one(server: Server, way: Way, user: str) -> float:
    with server.dialogue() as dialogue:
        dialogue.line()
        return 1000 * way(dialogue, user)


def main() -> int:
    options = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    options.add_argument("--tries", type=int, default=40)
    tries = options.parse_args().tries
    medians, spreads = [], []
    with open_folder() as folder:
        server = Refusing(folder, apop={APOP_ONLY: "tanstaaf"}, settings={"auth.refusal_delay": DELAY})
        with server, ThreadPoolExecutor(AT_ONCE) as pool:
            cases = [(name, user) for name in WAYS for user in (KNOWN, UNKNOWN, LOCKED, APOP_ONLY)]
            # In turns, so that a slow moment of the machine meets all cases.
            jobs = {case: [] for case in cases}
            for _ in range(tries):
                for case in cases:
                    jobs[case].append(pool.submit(one, server, WAYS[case[0]], case[1]))
            for (name, user), waiting in jobs.items():
                spent = [job.result() for job in waiting]
                quarters = statistics.quantiles(spent, n=4)
                medians.append(quarters[1])
                spreads.append(quarters[2] - quarters[0])
                print(f"{name:14} {user:12} {quarters[1]:9.2f} ms  (half of the tries within {spreads[-1]:.2f})")
    apart, noise = max(medians) - min(medians), statistics.median(spreads)
    print(f"the medians lie {apart:.2f} ms apart; half of the tries of one case within {noise:.2f} ms")
    return int(apart > max(2 * noise, 1))


if __name__ == "__main__":
    sys.exit(main())
