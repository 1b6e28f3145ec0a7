"""The moment of refusal: who is refused must not learn from the time why.

With auth.refusal_delay = 0.05, for each source, the time from the last line of a login to its -ERR: unknown user,
wrong password, locked user, user with an APOP entry only; the same for APOP and for each mechanism of AUTH that CAPA
announces.  Where a mechanism has a challenge, the time to that is told too: it leaves without delay, so it must not
depend on the user.  The cases are tried in turns, each on a connection of its own.  Medians, quartiles, and how far the
median is from the median of all cases.  Ends with 1 if medians lie farther apart than twice the spread of a case.

    sudo python3 benchmarks/refusals.py [--tries 100] [--delay 0.05]
"""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
import time
from base64 import b64decode, b64encode
from pathlib import Path

import crowd
import opponents
from crowd import HASHES, Crowded
from opponents import PYTHON, USER

DIGEST = "0" * 32
KNOWN, LOCKED, APOP_ONLY, UNKNOWN = "known", "locked", "aponly", "nobodyhere"
PAM_SERVICE = "pop3d-bench"
# mechanism of SCRAM -> octets of its proof
PROOFS = {"SCRAM-SHA-1": 20, "SCRAM-SHA-256": 32}
SOURCES = {
    "unix": {"auth.sources": "mailauth,unix"},
    "pam": {"auth.sources": "mailauth,pam", "pam.service": PAM_SERVICE},
    "accounts": {"auth.sources": "mailauth,accounts", "accounts.owner": USER},
}


class Try(opponents.Client):
    """One login that is refused.  ``challenged``: seconds to the challenge; ``refused``: to the refusal."""

    challenged = -1.0
    refused = -1.0

    def reply(self, command: str) -> tuple[float, str]:
        """Say it; how long until the answer, and the answer."""
        begin = time.perf_counter()
        self.sock.sendall(command.encode() + b"\r\n")
        while b"\n" not in self.rest:
            more = self.sock.recv(65536)
            if not more:
                raise SystemExit(f"the server closed the connection instead of answering {command.split()[0]}")
            self.rest += more
        taken = time.perf_counter() - begin
        line, _, self.rest = self.rest.partition(b"\n")
        return taken, line.decode().rstrip("\r")

    def refuse(self, command: str) -> None:
        self.refused, said = self.reply(command)
        if not said.startswith("-ERR"):
            raise SystemExit(f"{command.split()[0]} is answered {said!r}")

    def challenge(self, command: str) -> bytes:
        self.challenged, said = self.reply(command)
        if not said.startswith("+ "):
            raise SystemExit(f"{command} is answered {said!r}")
        return b64decode(said[2:])

    def passed(self, user: str) -> None:
        self.ask(f"USER {user}")
        self.refuse("PASS not the password")

    def apop(self, user: str) -> None:
        self.refuse(f"APOP {user} {DIGEST}")

    def auth(self, mechanism: str, user: str) -> None:
        if mechanism == "PLAIN":
            self.refuse("AUTH PLAIN " + encoded(f"\0{user}\0not the password"))
        elif mechanism == "LOGIN":
            self.challenge("AUTH LOGIN")
            self.challenge(encoded(user))
            self.refuse(encoded("not the password"))
        elif mechanism == "CRAM-MD5":
            self.challenge("AUTH CRAM-MD5")
            self.refuse(encoded(f"{user} {DIGEST}"))
        else:
            told = self.challenge(f"AUTH {mechanism} " + encoded(f"n,,n={user},r=client")).decode()
            nonce = told.partition(",")[0]
            proof = b64encode(b"\1" * PROOFS[mechanism]).decode()
            self.refuse(encoded(f"c=biws,{nonce},p={proof}"))


def encoded(text: str) -> str:
    return b64encode(text.encode()).decode()


def attempts(announced: list[str]) -> list[tuple[str, str]]:
    """(how, user) of every case."""
    cases = [("PASS", user) for user in (KNOWN, LOCKED, APOP_ONLY, UNKNOWN)]
    cases += [("APOP", user) for user in (APOP_ONLY, KNOWN, UNKNOWN)]
    return cases + [(name, user) for name in announced for user in (KNOWN, LOCKED, APOP_ONLY, UNKNOWN)]


def mechanisms(server: Crowded) -> list[str]:
    """Those that CAPA announces and that are known here."""
    with Try(server) as client:
        client.line()
        client.sock.sendall(b"CAPA\r\n")
        text = b""
        while not text.endswith(b".\r\n"):
            text += client.sock.recv(65536)
    announced = [word for line in text.decode().splitlines() if line.startswith("SASL ") for word in line.split()[1:]]
    known = [name for name in announced if name in ("PLAIN", "LOGIN", "CRAM-MD5", *PROOFS)]
    if others := [name for name in announced if name not in known]:
        print(f"announced, but not measured here: {', '.join(others)}")
    return known


def people(folder: Path) -> None:
    """Users of the system and of an accounts file: one with a password, one locked, one whose password is APOP's."""
    stored = {KNOWN: HASHES["sha512-crypt"], LOCKED: "!" + HASHES["sha512-crypt"], APOP_ONLY: HASHES["sha512-crypt"]}
    accounts = ""
    with open("/etc/passwd", "a") as passwd, open("/etc/shadow", "a") as shadow:
        for uid, (name, field) in enumerate(stored.items(), opponents.UID + 1000):
            passwd.write(f"{name}:x:{uid}:{uid}::/nonexistent:/bin/sh\n")
            shadow.write(f"{name}:{field}:19000:0:99999:7:::\n")
            accounts += f"{name}:{field}::::::\n"
    (folder / "accounts").write_text(accounts)
    (folder / "accounts").chmod(0o600)
    Path("/etc/pam.d", PAM_SERVICE).write_text("auth required pam_unix.so\naccount required pam_unix.so\n")


def start(folder: Path, package: str, delay: float, more: list[str]) -> list[Crowded]:
    database = [f"mailauth.database={folder}/mailauth.db", f"mailauth.key={folder}/keys/mailauth.key"]
    tool = [PYTHON, "-m", "qpopper_py.tools.mailauth", *sets(database), "add", APOP_ONLY, "--type", "APOP", "--stdin"]
    where = {**os.environ, "PYTHONPATH": str(Path(package).parent)}
    subprocess.run(tool, input="tanstaaf\n", text=True, check=True, env=where, stdout=subprocess.DEVNULL)
    servers = []
    for port, (name, values) in enumerate(SOURCES.items(), crowd.FIRST_PORT):
        given = [f"{key}={value}" for key, value in values.items()] + database + more
        given += [f"state_dir={folder}/state-{port}", "log.to=stderr", f"auth.refusal_delay={delay}"]
        given += ["auth.max_failures=0", "limits.sessions=500"]
        given += [f"accounts.file={folder}/accounts", f"accounts.maildrop={folder}/%n"] if name == "accounts" else []
        line = [PYTHON, "-IS", package, "--config", "none", "--listen", f"127.0.0.1:{port}", *sets(given)]
        servers.append(Crowded(name, port, line))
    return servers


def sets(pairs: list[str]) -> list[str]:
    return [word for pair in pairs for word in ("--set", pair)]


def attempt(server: Crowded, how: str, user: str) -> Try:
    with Try(server) as client:
        client.line()
        if how == "PASS":
            client.passed(user)
        elif how == "APOP":
            client.apop(user)
        else:
            client.auth(how, user)
        return client


def measure(server: Crowded, tries: int) -> bool:
    """Whether the medians lie farther apart than noise explains."""
    cases = attempts(mechanisms(server))
    taken: dict[tuple[str, str], list[Try]] = {case: [] for case in cases}
    for case in cases:
        attempt(server, *case)  # warms it
    for _ in range(tries):
        for case in cases:
            taken[case].append(attempt(server, *case))
    medians = [statistics.median(one.refused for one in ones) for ones in taken.values()]
    middle = statistics.median(medians)
    print(f"\n{server.name}: {tries} tries each; ms{'':21}median   quartiles       off   challenge")
    for (how, user), ones in taken.items():
        times = [one.refused * 1000 for one in ones]
        low, median, high = statistics.quantiles(times, n=4)
        told = [one.challenged * 1000 for one in ones if one.challenged >= 0]
        challenge = f"{statistics.median(told):9.2f}" if told else f"{'-':>9}"
        print(f"  {how:16}{user:16}{median:12.3f}{low:9.3f}-{high:.3f}{median - middle * 1000:+9.3f}{challenge:>12}")
    apart = max(medians) - min(medians)
    noise = statistics.median(spread(ones) for ones in taken.values())
    print(f"  medians within {apart * 1000:.3f} ms of one another; half of a case's tries within {noise * 1000:.3f} ms")
    return apart > 2 * noise


def spread(ones: list[Try]) -> float:
    """Seconds within which the middle half of the refusals lies."""
    low, _, high = statistics.quantiles([one.refused for one in ones], n=4)
    return high - low


def main() -> int:
    parser = crowd.arguments("the moment of refusal, by cause and source")
    parser.add_argument("--tries", type=int, default=100)
    parser.add_argument("--delay", type=float, default=0.05)
    options = parser.parse_args()
    folder = crowd.enter(options)
    people(folder)
    servers = start(folder, opponents.furnished(folder / "package"), options.delay, options.set)
    print(crowd.about())
    told = [server.name for server in servers if measure(server, options.tries)]
    if told:
        print(f"\nthe moment tells why, more than noise does: {', '.join(told)}")
    return int(bool(told))


if __name__ == "__main__":
    sys.exit(main())
