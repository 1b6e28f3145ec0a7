"""The moment of refusal: who is refused must not learn from the time why.

With auth.refusal_delay = 0.05, for each source, the time from the last line of a login to its -ERR: unknown user,
wrong password, locked user, user with an APOP entry only; the same for APOP and for each mechanism of AUTH that CAPA
announces.  Where a mechanism has a challenge, the time to that is told too: it leaves without delay, so it must not
depend on the user.  Of OAUTHBEARER and XOAUTH2 it is the time to the words that tell of the refusal: a token that is
none, that somebody else signed, that has expired, of nobody here, of another user.  Of EXTERNAL: a certificate of
nobody here, of root, and of one who asks to be another; all of that server's cases come by TLS.

The cases are tried in turns, each on a connection of its own, and each time is compared with the median of its turn, so
that a moment in which the machine is slow meets all of them.  Medians, quartiles, and the median of what a case is off.
Ends with 1 if those lie farther apart than twice the spread of a case.

    sudo python3 benchmarks/refusals.py [--tries 100] [--delay 0.05] [--sources pam,tls]
"""

from __future__ import annotations

import hashlib
import importlib.util
import json
import os
import ssl
import statistics
import subprocess
import sys
import time
from base64 import b64decode, b64encode
from pathlib import Path
from typing import NamedTuple

import crowd
import opponents
from crowd import HASHES, Crowded
from opponents import PYTHON, USER

DIGEST = "0" * 32
KNOWN, LOCKED, APOP_ONLY, UNKNOWN = "known", "locked", "aponly", "nobodyhere"
PAM_SERVICE = "pop3d-bench"
# mechanism of bearer tokens -> its message of a user and a token
BEARERS = {"OAUTHBEARER": "n,a={},\1auth=Bearer {}\1\1", "XOAUTH2": "user={}\1auth=Bearer {}\1\1"}
PLUS = "-PLUS"  # behind a mechanism that is bound to the TLS channel
# mechanism of SCRAM -> octets of its proof
PROOFS = {"SCRAM-SHA-1": 20, "SCRAM-SHA-256": 32}
ISSUER, AUDIENCE = "https://login.example.org", "pop3.example.org"
# Tokens that are refused: who signed, when they expire (seconds from now), and whom they name.
JUNK, FORGED, EXPIRED, NOBODYS, ANOTHERS = "no token", "forged", "expired", "nobody's", "another's"
CLAIMS = {
    FORGED: ("mallory", 3600, KNOWN),
    EXPIRED: ("issuer", -3600, KNOWN),
    NOBODYS: ("issuer", 3600, UNKNOWN),
    ANOTHERS: ("issuer", 3600, LOCKED),
}
ROOT, ACTING = "root", "acting"  # certificates beside that of nobody here; who has the last asks to be LOCKED
SOURCES = {
    "unix": {"auth.sources": "mailauth,unix"},
    "pam": {"auth.sources": "mailauth,pam", "pam.service": PAM_SERVICE},
    "accounts": {"auth.sources": "mailauth,accounts", "accounts.owner": USER},
    "tls": {"auth.sources": "mailauth,oauth,certificate,unix"},
}


class Try(opponents.Client):
    """One login that is refused.  ``challenged``: seconds to the challenge; ``refused``: to the refusal."""

    challenged = -1.0
    refused = -1.0
    end_point = b""  # of the TLS channel

    def __init__(self, server: Asked, certificate: str = "") -> None:
        super().__init__(server)
        self.tokens = server.tokens
        if server.tls:
            context = ssl.create_default_context(cafile=str(server.tls / "ca.pem"))
            if certificate:
                context.load_cert_chain(server.tls / f"{certificate}.pem", server.tls / f"{certificate}.key")
            self.sock = tls = context.wrap_socket(self.sock, server_hostname="localhost")
            self.end_point = hashlib.sha256(tls.getpeercert(True) or b"").digest()  # RFC 5929 section 4.1

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
        elif mechanism == "EXTERNAL":
            self.refuse("AUTH EXTERNAL " + (encoded(LOCKED) if user == ACTING else "="))
        elif mechanism in BEARERS:
            self.challenge(f"AUTH {mechanism} " + encoded(BEARERS[mechanism].format(KNOWN, self.tokens[user])))
            self.refused, self.challenged = self.challenged, -1
            self.reply(encoded("\1"))
        else:
            header = "p=tls-server-end-point,," if mechanism.endswith(PLUS) else "n,,"
            told = self.challenge(f"AUTH {mechanism} " + encoded(f"{header}n={user},r=client")).decode()
            nonce = told.partition(",")[0]
            bound = b64encode(header.encode() + (self.end_point if mechanism.endswith(PLUS) else b"")).decode()
            proof = b64encode(b"\1" * PROOFS[mechanism.removesuffix(PLUS)]).decode()
            self.refuse(encoded(f"c={bound},{nonce},p={proof}"))


class Asked(Crowded):
    """A server, the tokens that it refuses, by case, and the folder of its certificates, if it speaks TLS."""

    tokens: dict[str, str] = {}
    tls: Path | None = None


def encoded(text: str) -> str:
    return b64encode(text.encode()).decode()


def attempts(announced: list[str]) -> list[tuple[str, str]]:
    """(how, user) of every case."""
    cases = [("PASS", user) for user in (KNOWN, LOCKED, APOP_ONLY, UNKNOWN)]
    cases += [("APOP", user) for user in (APOP_ONLY, KNOWN, UNKNOWN)]
    others = dict.fromkeys(BEARERS, (JUNK, *CLAIMS)) | {"EXTERNAL": (UNKNOWN, ROOT, ACTING)}
    users = (KNOWN, LOCKED, APOP_ONLY, UNKNOWN)
    return cases + [(name, user) for name in announced for user in others.get(name, users)]


def mechanisms(server: Asked) -> list[str]:
    """Those that CAPA announces and that are known here."""
    with Try(server, UNKNOWN) as client:  # with a certificate, or EXTERNAL is not announced
        client.line()
        client.sock.sendall(b"CAPA\r\n")
        text = b""
        while not text.endswith(b".\r\n"):
            text += client.sock.recv(65536)
    announced = [word for line in text.decode().splitlines() if line.startswith("SASL ") for word in line.split()[1:]]
    here = ("PLAIN", "LOGIN", "CRAM-MD5", "EXTERNAL", *BEARERS, *PROOFS)
    known = [name for name in announced if name.removesuffix(PLUS) in here]
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


def certificates(folder: Path) -> dict[str, object]:
    """An authority, the server and clients; the settings that name them."""
    folder.mkdir()
    openssl(folder, "req", "-x509", *fresh("ca"), "-subj", "/CN=ca", "-out", "ca.pem")
    names = {"server": "DNS:localhost", UNKNOWN: f"email:{UNKNOWN}", ROOT: "email:root", ACTING: f"email:{KNOWN}"}
    for name, alternative in names.items():
        openssl(folder, "req", *fresh(name), "-subj", f"/CN={name}", "-out", f"{name}.csr")
        (folder / "extensions").write_text(f"subjectAltName={alternative}\n")
        signer = ["-CA", "ca.pem", "-CAkey", "ca.key", "-CAcreateserial", "-extfile", "extensions"]
        openssl(folder, "x509", "-req", "-in", f"{name}.csr", *signer, "-out", f"{name}.pem")
    files = {"tls.certificate": "server.pem", "tls.key": "server.key", "tls.ca": "ca.pem"}
    return {key: folder / name for key, name in files.items()} | {"tls.client_certificates": "ask"}


def fresh(name: str) -> list[str]:
    return ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-keyout", f"{name}.key"]


def openssl(folder: Path, *words: str) -> None:
    subprocess.run(["openssl", *words], cwd=folder, check=True, stderr=subprocess.DEVNULL)


def signed(folder: Path) -> tuple[dict[str, object], dict[str, str]]:
    """An issuer's keys in a file, the settings that name it, and the tokens."""
    import jwt
    from cryptography.hazmat.primitives.asymmetric import rsa

    signers = {name: rsa.generate_private_key(65537, 2048) for name in ("issuer", "mallory")}
    public = json.loads(jwt.algorithms.RSAAlgorithm.to_jwk(signers["issuer"].public_key()))
    public.pop("key_ops", None)
    path = folder / "keys.json"
    path.write_text(json.dumps({"keys": [public]}))
    tokens = {JUNK: "nonsense"}
    for case, (signer, seconds, user) in CLAIMS.items():
        said = {"iss": ISSUER, "aud": AUDIENCE, "sub": user, "exp": int(time.time()) + seconds}
        tokens[case] = jwt.encode(said, signers[signer], "RS256")
    return {"oauth.keys": path, "oauth.issuer": ISSUER, "oauth.audience": AUDIENCE}, tokens


def start(folder: Path, package: str, delay: float, chosen: list[str], more: list[str]) -> list[Asked]:
    database = [f"mailauth.database={folder}/mailauth.db", f"mailauth.key={folder}/keys/mailauth.key"]
    tool = [PYTHON, "-m", "qpopper_py.tools.mailauth", *sets(database), "add", APOP_ONLY, "--type", "APOP", "--stdin"]
    where = {**os.environ, "PYTHONPATH": str(Path(package).parent)}
    subprocess.run(tool, input="tanstaaf\n", text=True, check=True, env=where, stdout=subprocess.DEVNULL)
    servers = []
    for port, name in enumerate(chosen, crowd.FIRST_PORT):
        values: dict[str, object] = {**SOURCES[name]}
        tokens: dict[str, str] = {}
        if name == "tls":
            keys, tokens = signed(folder)
            values |= certificates(folder / "tls") | keys
        given = [f"{key}={value}" for key, value in values.items()] + database + more
        given += [f"state_dir={folder}/state-{port}", "log.to=stderr", f"auth.refusal_delay={delay}"]
        given += ["auth.max_failures=0", "limits.sessions=500"]
        given += [f"accounts.file={folder}/accounts", f"accounts.maildrop={folder}/%n"] if name == "accounts" else []
        listen = f"127.0.0.1:{port}" + (",tls=implicit" if tokens else "")
        line = [PYTHON, "-IS", package, "--config", "none", "--listen", listen, *sets(given)]
        servers.append(Asked(name, port, line))
        servers[-1].tokens, servers[-1].tls = tokens, folder / "tls" if tokens else None
    return servers


def sets(pairs: list[str]) -> list[str]:
    return [word for pair in pairs for word in ("--set", pair)]


class Taken(NamedTuple):
    """Seconds, of a Try."""

    refused: float
    challenged: float


def attempt(server: Asked, how: str, user: str) -> Taken:
    with Try(server, user if how == "EXTERNAL" else "") as client:
        client.line()
        if how == "PASS":
            client.passed(user)
        elif how == "APOP":
            client.apop(user)
        else:
            client.auth(how, user)
        return Taken(client.refused, client.challenged)


def measure(server: Asked, tries: int) -> bool:
    """Whether the cases lie farther apart than noise explains."""
    cases = attempts(mechanisms(server))
    taken: dict[tuple[str, str], list[Taken]] = {case: [] for case in cases}
    for case in cases:
        attempt(server, *case)  # warms it
    for _ in range(tries):
        for case in cases:
            taken[case].append(attempt(server, *case))
    middles = [statistics.median(one.refused for one in turn) for turn in zip(*taken.values(), strict=True)]
    print(f"\n{server.name}: {tries} tries each; ms{'':21}median   quartiles       off   challenge")
    offs = []
    for (how, user), ones in taken.items():
        times = [one.refused * 1000 for one in ones]
        offs.append([(one.refused - middle) * 1000 for one, middle in zip(ones, middles, strict=True)])
        low, median, high = statistics.quantiles(times, n=4)
        told = [one.challenged * 1000 for one in ones if one.challenged >= 0]
        challenge = f"{statistics.median(told):9.2f}" if told else f"{'-':>9}"
        off = statistics.median(offs[-1])
        print(f"  {how:16}{user:16}{median:12.3f}{low:9.3f}-{high:.3f}{off:+9.3f}{challenge:>12}")
    apart = max(map(statistics.median, offs)) - min(map(statistics.median, offs))
    noise = statistics.median(map(spread, offs))
    print(f"  cases within {apart:.3f} ms of one another; half of a case's tries within {noise:.3f} ms")
    return apart > 2 * noise


def spread(times: list[float]) -> float:
    """Within which the middle half lies."""
    low, _, high = statistics.quantiles(times, n=4)
    return high - low


def chosen(sources: str) -> list[str]:
    """Those that can be measured here."""
    names = sources.split(",")
    missing = [name for name in ("jwt", "cryptography") if importlib.util.find_spec(name) is None]
    if "tls" in names and missing:
        print(f"tokens and certificates are not measured: {PYTHON} has no {' and no '.join(missing)}")
        names.remove("tls")
    return names


def main() -> int:
    parser = crowd.arguments("the moment of refusal, by cause and source")
    parser.add_argument("--tries", type=int, default=100)
    parser.add_argument("--delay", type=float, default=0.05)
    parser.add_argument("--sources", default=",".join(SOURCES))
    options = parser.parse_args()
    folder = crowd.enter(options)
    people(folder)
    servers = start(
        folder, opponents.furnished(folder / "package"), options.delay, chosen(options.sources), options.set
    )
    print(crowd.about())
    told = [server.name for server in servers if measure(server, options.tries)]
    if told:
        print(f"\nthe moment tells why, more than noise does: {', '.join(told)}")
    return int(bool(told))


if __name__ == "__main__":
    sys.exit(main())
