"""Mail that can be told apart, and the programs that deliver it: real ones, and one that locks as Postfix does."""

from __future__ import annotations

import binascii
import fcntl
import os
import random
import re
import subprocess
import time
from typing import TYPE_CHECKING

from tests.conftest import require_program

if TYPE_CHECKING:
    from pathlib import Path

FROM = b"From torture@example.org Fri Nov 20 08:55:46 2026\n"
KNOWN = re.compile(rb"X-Torture: (\d+) (\d+) ([0-9a-f]{8})")


def letter(number: int, chance: random.Random) -> bytes:
    """Message ``number``: its header names itself, and length and checksum of its body."""
    lines = [b"%x" % chance.getrandbits(8 * chance.randint(1, 30)) for _ in range(chance.choice((1, 5, 40, 200)))]
    body = b"\n".join(lines) + b"\n"
    check = binascii.crc32(body)
    return b"Subject: torture\nX-Torture: %d %d %08x\n\n" % (number, len(body), check) + body


def number_of(text: bytes) -> int:
    """Whose text this is, if it is whole (line ends of either kind); AssertionError."""
    text = text.replace(b"\r\n", b"\n")
    found = KNOWN.search(text)
    assert found, f"no message of ours: {text[:300]!r}"
    body = text.partition(b"\n\n")[2]
    number, length, check = int(found[1]), int(found[2]), int(found[3], 16)
    assert (len(body), binascii.crc32(body)) == (length, check), f"message {number} is damaged: {text[:300]!r}"
    return number


class Mda:
    """Delivers to ``box`` as the user that it is run as."""

    def __init__(self, box: Path, folder: Path) -> None:
        self.box = box
        self.folder = folder

    def deliver(self, text: bytes) -> None:
        raise NotImplementedError


class Procmail(Mda):
    """Dotlock, then fcntl."""

    def __init__(self, box: Path, folder: Path, **who: object) -> None:
        super().__init__(box, folder)
        self.who = who
        self.rc = folder / "procmailrc"
        self.rc.write_text(f"LOCKSLEEP=1\n:0 :\n{box}\n")
        self.rc.chmod(0o644)
        self.line = [require_program("procmail"), "-f", "torture@example.org", "-m", str(self.rc)]

    def deliver(self, text: bytes) -> None:
        subprocess.run(self.line, input=text, check=True, capture_output=True, **self.who)


class Maildrop(Mda):
    """Dotlock, then fcntl; refuses what others can write."""

    def __init__(self, box: Path, folder: Path, **who: object) -> None:
        super().__init__(box, folder)
        self.who = who
        self.rc = folder / "mailfilter"
        self.rc.write_text(f'to "{box}"\n')
        self.rc.chmod(0o600)
        if "user" in who:
            os.chown(self.rc, who["user"], who["group"])
        self.line = [require_program("maildrop"), "-f", "torture@example.org", str(self.rc)]

    def deliver(self, text: bytes) -> None:
        subprocess.run(self.line, input=text, check=True, capture_output=True, **self.who)


class FcntlThenDotlock(Mda):
    """Postfix's order: the fcntl lock first, and the dotlock while it is held; on a busy dotlock both again."""

    def deliver(self, text: bytes) -> None:
        self.timed(text)

    def timed(self, text: bytes, pause: float = 0.002) -> float:
        """Deliver; the seconds that were spent waiting for locks."""
        begun = time.monotonic()
        lock = f"{self.box}.lock"
        fd = os.open(self.box, os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)
        try:
            while True:
                fcntl.lockf(fd, fcntl.LOCK_EX)
                try:
                    os.close(os.open(lock, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600))
                    break
                except FileExistsError:
                    fcntl.lockf(fd, fcntl.LOCK_UN)
                    time.sleep(pause)
            waited = time.monotonic() - begun
            os.write(fd, FROM + text + b"\n")
            os.unlink(lock)
        finally:
            os.close(fd)
        return waited
