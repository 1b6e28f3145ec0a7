"""No secret in any log: what the run's servers wrote is searched for the passwords, digests and keys of its tests.

Whoever makes a secret registers it (``GUARD.secret``); whoever starts a server, or speaks to one, hands over what came
out of it (``GUARD.saw``, ``GUARD.look_into``, ``GUARD.processes``).  After each test, and once more at the end of the
run for servers that several tests share, everything new is searched; a find is an error of that test.
"""

from __future__ import annotations

import base64
import contextlib
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import quote

import pytest

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

LEAST = 8  # octets: a shorter secret is found by chance
CORE_PATTERN = Path("/proc/sys/kernel/core_pattern")


def forms(secret: bytes) -> set[bytes]:
    """``secret`` as it may stand in a text: itself, escaped, in hexadecimal, in base64 behind anything, obscured."""
    text = secret.decode("utf-8", "backslashreplace")
    found = {
        secret,
        text.replace(" ", "\\x20").encode(),
        text.replace(" ", "\\s").encode(),
        quote(secret, safe="").encode(),
        secret.hex().encode(),
        secret.hex().upper().encode(),
        bytes(octet ^ 0xFF for octet in secret),  # as popauth keeps it
        secret[::-1],
    }
    for shift in range(3):  # base64 of "\0user\0secret": which characters are the secret's alone depends on its place
        whole = base64.b64encode(b"\0" * shift + secret)
        start, end = -(-shift * 8 // 6), (shift + len(secret)) * 8 // 6
        found.add(whole[start:end])
    return found


class Guard:
    """The secrets, and what is still to be searched for them."""

    def __init__(self) -> None:
        self.forms: dict[bytes, str] = {}
        self.pending: list[tuple[str, bytes]] = []
        self.octets = 0  # that were handed over, ever
        self.started = time.time()
        self.lock = threading.Lock()

    def secret(self, secret: str | bytes, what: str = "a password") -> None:
        """From now on ``secret`` must be nowhere.  One that is too short to be searched for is passed over."""
        octets = secret.encode() if isinstance(secret, str) else secret
        if len(octets) >= LEAST:
            with self.lock:
                self.forms.update((form, what) for form in forms(octets) if len(form) >= LEAST)

    def saw(self, where: str, data: str | bytes) -> None:
        """``data`` came out of a server."""
        octets = data.encode("utf-8", "surrogateescape") if isinstance(data, str) else data
        with self.lock:
            self.octets += len(octets)
            self.pending.append((where, octets))

    def look_into(self, folder: Path, *, but: Iterable[str] = ()) -> None:
        """Every file below ``folder``, without the folders ``but``, where secrets and mail belong."""
        for path in sorted(folder.iterdir()):
            if path.is_dir() and not path.is_symlink() and path.name not in but:
                self.look_into(path)
            elif path.is_file() and not path.is_symlink():
                with contextlib.suppress(OSError):  # made and removed by a server that is still running
                    data = path.read_bytes()
                    if not data.startswith(b"-----BEGIN "):  # a certificate and its key: the administrator's
                        self.saw(str(path), data)

    def keys(self, folder: Path) -> None:
        """Every file of ``folder`` is a key."""
        for path in folder.iterdir():
            with contextlib.suppress(OSError):
                for line in path.read_bytes().splitlines() or [b""]:
                    self.secret(line.strip(), f"a key ({path.name})")

    def tls_key(self, path: Path) -> None:
        """The file of a private key in PEM (PKCS #8): what is in it and in no certificate."""
        lines = [line for line in path.read_bytes().splitlines() if not line.startswith(b"-----")]
        whole = base64.b64decode(b"".join(lines))
        secret = {48: whole[16:48], 138: whole[36:68]}.get(len(whole), whole[-128:-64])  # Ed25519, P-256; RSA's q
        self.secret(secret, f"a TLS key ({path.name})")
        for line in lines[2:-2]:
            self.secret(line, f"a TLS key ({path.name})")

    def processes(self, pids: Iterable[int]) -> None:
        """Titles and environments of processes, which others can see."""
        for pid in pids:
            for name in ("cmdline", "comm", "environ"):
                with contextlib.suppress(OSError):  # it is gone, or not ours to see
                    self.saw(f"/proc/{pid}/{name}", Path(f"/proc/{pid}/{name}").read_bytes())

    def core_files(self) -> None:
        """Core files that were written since the run began, where the kernel puts those of servers (cwd is /)."""
        pattern = CORE_PATTERN.read_text().strip() if CORE_PATTERN.exists() else "core"
        if pattern.startswith("|"):
            return  # given to a program
        place = Path("/", pattern)
        for path in place.parent.glob(place.name.partition("%")[0] + "*"):
            with contextlib.suppress(OSError):
                if path.is_file() and path.stat().st_mtime >= self.started:
                    self.saw(str(path), path.read_bytes())

    def leaks(self) -> list[str]:
        """Where there is a secret in what is new, and what kind of; never the secret itself."""
        with self.lock:
            pending, self.pending = self.pending, []
            known = list(self.forms.items())
        whole = b"\n".join(data for _, data in pending)
        found = [(form, what) for form, what in known if form in whole]
        return sorted({f"{what} in {where}" for form, what in found for where, data in pending if form in data})


GUARD = Guard()


def check() -> None:
    if leaks := GUARD.leaks():
        pytest.fail("secrets were let out: " + "; ".join(leaks), pytrace=False)


@pytest.fixture(autouse=True)
def nothing_leaks() -> Iterator[None]:
    """What came out of servers during this test holds no secret."""
    yield
    check()


@pytest.fixture(autouse=True, scope="session")
def nothing_leaked() -> Iterator[None]:
    """The same of what came at the end of servers that several tests shared, and of core files."""
    yield
    GUARD.core_files()
    check()
