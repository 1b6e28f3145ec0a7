"""Many users, and servers for all of them: what sessions.py, idle.py and refusals.py share beside :mod:`opponents`.

Each server runs in a cgroup of its own, which knows all its processes and the CPU time that they took, ended ones too.
popa3d runs with :file:`lifted.c`, else nobody could measure it for longer than a burst of 500 sessions.
"""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
import sys
import time
from pathlib import Path

import opponents
from opponents import HASH, HERE, PASSWORD, PYTHON, UID, USER, Server

SHA512 = "$6$abcdefgh$KQeXafAQAaOoKTevphVU215RvJdgzyfASRasIOuh12hO8u0r1bGW92ZnTmC9IjsiQ8VPiTXBiZF49dFL1U4wX/"
HASHES = {"md5-crypt": HASH, "sha512-crypt": SHA512}  # of PASSWORD
CGROUPS = "QPOPPER_BENCH_CGROUPS"
MAILBOX_MESSAGES, MAILBOX_OCTETS = 3, 1000
FIRST_PORT = 1110
MODES = ("standalone", "prefork")  # of serve.mode


# --------------------------------------------------------------------------------------------------------------
# Cgroups


def cgroup_root() -> Path | None:
    """Where the unified hierarchy (cgroup v2) is mounted."""
    for line in Path("/proc/self/mountinfo").read_text().splitlines():
        left, _, right = line.partition(" - ")
        if right.startswith("cgroup2 "):
            return Path(left.split()[4])
    return None


def enter(options: argparse.Namespace) -> Path:
    """As :func:`opponents.enter`; outside it makes the folder for cgroups and, when all have ended, removes it."""
    root = cgroup_root()
    if opponents.INSIDE in os.environ or os.geteuid() != 0 or root is None:
        return opponents.enter(options)
    folder = root / f"pop3d-bench-{os.getpid()}"
    try:
        folder.mkdir()
    except OSError as why:
        print(f"no CPU times: {folder}: {why.strerror}")
        return opponents.enter(options)
    os.environ[CGROUPS] = str(folder)
    try:
        return opponents.enter(options)
    finally:
        for place in (*folder.glob("*/"), folder):
            remove(place)


def remove(place: Path) -> None:
    """Remove a cgroup as soon as its last process, which was killed with our namespace, is gone."""
    end = time.monotonic() + 10
    while True:
        try:
            return place.rmdir()
        except OSError:
            if time.monotonic() > end:
                print(f"left behind: {place}")
                return None
            time.sleep(0.02)


class Crowded(Server):
    """A server in a cgroup (where there are cgroups); ``kind``: whose mail it serves."""

    def __init__(
        self, name: str, port: int, line: list[str], kind: str = "system users", env: dict[str, str] | None = None
    ) -> None:
        self.kind = kind
        self.cgroup: Path | None = None
        if CGROUPS in os.environ:
            self.cgroup = Path(os.environ[CGROUPS]) / str(port)
            self.cgroup.mkdir()
            line = ["sh", "-c", f'echo $$ >{self.cgroup}/cgroup.procs && exec "$@"', "sh", *line]
        super().__init__(name, port, line, env=env)

    def cpu(self) -> float | None:
        """Seconds of CPU that all its processes took until now, once they have come to rest."""
        if self.cgroup is None:
            return None
        before, end = -1.0, time.monotonic() + 5
        while True:
            words = (self.cgroup / "cpu.stat").read_text().split()
            now = int(words[words.index("usage_usec") + 1]) / 1e6
            if now - before < 0.0005 or time.monotonic() > end:
                return now
            before = now
            time.sleep(0.05)

    def processes(self) -> list[int]:
        if self.cgroup is None:
            return super().processes()
        return [int(pid) for pid in (self.cgroup / "cgroup.procs").read_text().split()]


# --------------------------------------------------------------------------------------------------------------
# Users and their mail


def populate(folder: Path, count: int, kinds: dict[str, str]) -> None:
    """``count`` users for each letter of ``kinds`` (a0, a1, ...: letter -> hash), of the system and virtual, with mail.

    The mail of the virtual ones, who have the same names, lies in ``folder``/virtual and belongs to one owner.
    """
    names = [(f"{letter}{number}", stored) for letter, stored in kinds.items() for number in range(count)]
    box = folder / "box"
    opponents.fill(box, MAILBOX_MESSAGES, MAILBOX_OCTETS)
    virtual = folder / "virtual"
    virtual.mkdir()
    os.chown(virtual, UID, UID)
    accounts = ""
    with open("/etc/passwd", "a") as passwd, open("/etc/group", "a") as group, open("/etc/shadow", "a") as shadow:
        for uid, (name, stored) in enumerate(names, UID + 1000):
            passwd.write(f"{name}:x:{uid}:{uid}::/nonexistent:/bin/sh\n")
            group.write(f"{name}:x:{uid}:\n")
            shadow.write(f"{name}:{stored}:19000:0:99999:7:::\n")
            accounts += f"{name}:{stored}::::::\n"
            for path, owner in ((Path("/var/mail") / name, uid), (virtual / name, UID)):
                shutil.copyfile(box, path)
                os.chown(path, owner, -1)
                path.chmod(0o600)
    (folder / "accounts").write_text(accounts)
    (folder / "accounts").chmod(0o600)
    time.sleep(1.1)  # popa3d waits until the last change of a mailbox is over a second old


def stat_answer(folder: Path) -> str:
    """What STAT must say of such a mailbox: by RFC 1939 each line end is two octets, and From_ lines are no mail."""
    octets = lines = 0
    for message in (folder / "box").read_bytes().split(b"\n\nFrom "):
        text = message.partition(b"\n")[2].rstrip(b"\n") + b"\n"
        octets, lines = octets + len(text), lines + text.count(b"\n")
    return f"+OK {MAILBOX_MESSAGES} {octets + lines}"


# --------------------------------------------------------------------------------------------------------------
# Servers


def compiled(folder: Path, source: str, *options: str) -> Path:
    target = folder / source.partition(".")[0]
    compiler = os.environ.get("CC", "cc")
    subprocess.run([compiler, "-O2", *options, str(HERE / source), "-o", str(target)], check=True)
    return target


def popa3d(folder: Path) -> list[Crowded]:
    """popa3d standalone, if it is at hand, its flood limits lifted."""
    if not (folder / "popa3d").exists():
        return []
    lifted = compiled(folder, "lifted.c", "-shared", "-fPIC")
    return [Crowded("popa3d", 110, [str(folder / "popa3d"), "-D"], env={**os.environ, "LD_PRELOAD": str(lifted)})]


def ours(folder: Path, options: argparse.Namespace) -> list[Crowded]:
    """This tree's server in each mode that it has, for system users and for virtual ones."""
    program = [PYTHON, "-IS", opponents.furnished(folder / "package"), "--config", "none"]
    mail = {
        "system users": {},
        "virtual users": {
            "auth.sources": "accounts",
            "accounts.file": folder / "accounts",
            "accounts.owner": USER,
            "accounts.maildrop": f"{folder}/virtual/%n",
        },
    }
    made = []
    for mode in MODES:
        has = knows(program, f"serve.mode={mode}")
        if not has and mode != "standalone":
            continue
        for kind, more in mail.items():
            port = FIRST_PORT + len(made)
            values = {"state_dir": folder / f"state-{port}", "spool": "/var/mail", "log.to": "stderr", **more}
            values |= {"limits.sessions": 2000, "mailauth.database": folder / "none"}
            given = [f"{key}={value}" for key, value in values.items()]
            given += [*([f"serve.mode={mode}"] if has else []), *options.set]
            line = [*program, "--listen", f"127.0.0.1:{port}", *(word for pair in given for word in ("--set", pair))]
            made.append(Crowded(f"pop3d {mode}", port, line, kind))
    return made


def knows(program: list[str], setting: str) -> bool:
    """Does it have this setting, and this value?"""
    done = subprocess.run([*program, "--set", setting, "--dump-config"], capture_output=True)
    return done.returncode == 0


# --------------------------------------------------------------------------------------------------------------
# Load


class Load:
    """The generator on a server: ``run`` gives its figures by name, and cpu, ms a session, where that is known."""

    def __init__(self, folder: Path) -> None:
        self.program = compiled(folder, "load.c")
        self.stat = stat_answer(folder)

    def run(self, server: Crowded, users: list[str], seconds: float, sessions: int = 0) -> dict[str, float]:
        line = [str(self.program), "127.0.0.1", str(server.port), str(len(users)), str(seconds), str(sessions)]
        before = server.cpu()
        done = subprocess.run([*line, PASSWORD, self.stat, "30", *users], stdout=subprocess.PIPE, text=True)
        if done.returncode:
            raise SystemExit(f"the load generator ended with {done.returncode}")
        figures = {name: float(value) for name, value in (word.split("=") for word in done.stdout.split())}
        after = server.cpu()
        if before is not None and after is not None and figures["sessions"]:
            figures["cpu"] = (after - before) * 1000 / figures["sessions"]
        return figures


def arguments(what: str) -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=what)
    parser.add_argument("--folder", default="/var/tmp", help="where everything is made")
    parser.add_argument("--popa3d", default="", help="the program; default: from the path, or fetched")
    parser.add_argument("--set", action="append", default=[], help="a setting of ours, as for pop3d")
    return parser


def about() -> str:
    """The machine, for whoever reads the figures later.  A load above 0 is somebody else's, and spoils them."""
    busy = f"load {os.getloadavg()[0]:.1f} beforehand"
    return f"{os.cpu_count()} cores, {busy}, Linux {os.uname().release}, Python {python_version()} for ours"


def python_version() -> str:
    line = [PYTHON, "-IS", "-c", "import sys; print(sys.version.split()[0])"]
    return subprocess.run(line, capture_output=True, text=True, check=True).stdout.strip()


if __name__ == "__main__":
    sys.exit("this is shared by benchmarks: run sessions.py, idle.py or refusals.py")
