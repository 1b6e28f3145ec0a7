"""Random sessions, deliveries and kill -9: every message delivered and not deleted is there once, octet for octet.

ROUNDS=10000 makes it long (``make torture``).
"""

from __future__ import annotations

import json
import os
import random
import select
import signal
import socket
import time
from contextlib import ExitStack, closing
from typing import TYPE_CHECKING

import pytest

from qpopper_py.store.lock import MaildropLock
from tests.harness import PATIENCE, Dialogue, Server, children, open_folder, wait_until
from tests.store import boxes

from .delivery import FcntlThenDotlock, Maildrop, Procmail, letter, number_of

if TYPE_CHECKING:
    from pathlib import Path

ROUNDS = int(os.environ.get("ROUNDS", "0"))
pytestmark = pytest.mark.client("procmail", "maildrop")


class Ledger:
    """What must be in the mailbox.  ``doubtful``: sets of which all or none were deleted by a session that died."""

    def __init__(self) -> None:
        self.there: set[int] = set()
        self.doubtful: list[set[int]] = []
        self.next = 1

    def check(self, found: list[int]) -> None:
        assert len(found) == len(set(found)), f"doubled: {sorted(n for n in set(found) if found.count(n) > 1)}"
        for doubt in self.doubtful:
            if not doubt & set(found):
                self.there -= doubt
        self.doubtful.clear()
        assert self.there == set(found), f"lost {self.there - set(found)}, or come back {set(found) - self.there}"


class Torture:
    """One mailbox, its deliverers and its ledger."""

    def __init__(self, folder: Path, box: Path, seed: int, **who: object) -> None:
        self.chance = random.Random(seed)
        self.ledger = Ledger()
        self.box = box
        self.mdas = [Procmail(box, folder, **who), Maildrop(box, folder, **who), FcntlThenDotlock(box, folder)]
        self.killed = self.cut_off = 0

    def deliver(self, count: int) -> None:
        for _ in range(count):
            number = self.ledger.next
            self.ledger.next += 1
            # procmail waits for a new second where a mailbox was read in this one
            (mda,) = self.chance.choices(self.mdas, (1, 40, 59))
            mda.deliver(letter(number, self.chance))
            self.ledger.there.add(number)

    def break_lock(self) -> None:
        """What a delivery agent does, or whoever looks after one, when the pid in a lock is dead."""
        lock = f"{self.box}.lock"
        if os.path.exists(lock):
            os.unlink(lock)


def session(folder: Path, seed: int, tell: int) -> None:
    """In a process of its own: read some, say what is to be deleted, delete that, say so."""
    chance = random.Random(seed)
    opened = boxes.store(folder, reports=[], status_headers=chance.choice(("keep", "write")))
    with closing(opened):
        opened._upkeep.redo.most = chance.choice((512, 4096, 1 << 16, 4 << 20))
        entries = opened.scan()
        if not entries:
            return
        order = [number_of(b"".join(opened.read(index))) for index in range(len(entries))]
        share = chance.choice((0.05, 0.3, 0.3, 0.9, 1))
        doomed = {index for index in range(len(order)) if chance.random() < share}
        opened.mark_seen(set(range(len(order))) - doomed)
        os.write(tell, json.dumps([order[index] for index in doomed]).encode() + b"\n")
        opened.expunge(doomed)
        os.write(tell, b"done\n")
        opened.remember(set())


def wait(redo: Path, slow: float, chance: random.Random) -> None:
    """A random time; or until the expunge is under way, and then one: most of it is waiting for clocks and locks."""
    if chance.random() < 0.3:
        time.sleep(chance.random() * slow)
        return
    end = time.monotonic() + 10 * slow
    while not redo.exists() and time.monotonic() < end:
        pass
    end = time.monotonic() + chance.random() * 0.002
    while time.monotonic() < end:
        pass


def run(torture: Torture, folder: Path, slow: float) -> float:
    """A session that may be killed; how long its expunge took if it was not."""
    chance = torture.chance
    heard, tell = os.pipe()
    seed = chance.getrandbits(32)
    child = os.fork()
    if child == 0:
        try:
            session(folder, seed, tell)
        finally:
            os._exit(0)
    os.close(tell)
    kill = chance.random() < 0.6
    with open(heard, "rb", buffering=0) as answers:
        told = b""
        while b"\n" not in told and (piece := answers.read(65536)):
            told += piece
        begun = time.monotonic()
        if kill:
            wait(folder / "state/redo", slow, chance)
            os.kill(child, signal.SIGKILL)
        while piece := answers.read(65536):
            told += piece
    took = time.monotonic() - begun
    os.waitpid(child, 0)
    lines = told.split(b"\n")
    if lines[0]:
        doomed = set(json.loads(lines[0]))
        if b"done" in lines:
            torture.ledger.there -= doomed
        else:
            assert kill, "a session that nobody killed did not delete"
            torture.ledger.doubtful.append(doomed)
    if kill:
        torture.killed += 1
        torture.cut_off += os.path.exists(folder / "state/redo")
        torture.break_lock()
    return slow if kill else 0.9 * slow + 0.1 * 1.2 * took


def look(torture: Torture, folder: Path) -> None:
    """A session that reads all: what is there?"""
    with closing(boxes.store(folder, reports=[])) as opened:
        entries = opened.scan()
        torture.ledger.check([number_of(b"".join(opened.read(index))) for index in range(len(entries))])


def test_sessions_deliveries_and_kill_9(tmp_path, capsys):
    """In between the half-moved mailbox gets mail: recovery must keep it."""
    torture = Torture(tmp_path, tmp_path / "box", seed=3)
    slow = 0.003
    rounds = ROUNDS or 200
    for number in range(rounds):
        torture.deliver(torture.chance.choice((0, 1, 1, 2, 5) if number % 20 else (30,)))
        slow = run(torture, tmp_path, slow)
        torture.deliver(torture.chance.choice((0, 0, 1, 2)))
        if torture.chance.random() < 0.7:
            look(torture, tmp_path)
    look(torture, tmp_path)
    with capsys.disabled():
        print(
            f"\n{rounds} rounds, {torture.ledger.next - 1} messages, {torture.killed} sessions killed, "
            f"{torture.cut_off} in mid-expunge; none lost, none doubled, none damaged"
        )


class Visit:
    """A session with the real server; the ledger learns what it deletes."""

    def __init__(self, server: Server) -> None:
        self.line = Dialogue(socket.create_connection((server.host, server.port), PATIENCE))
        assert self.line.login().startswith(b"+OK")
        count = int(self.line.ask("STAT").split()[1])
        self.found = [self.retrieve(number + 1) for number in range(count)]

    def retrieve(self, number: int) -> int:
        assert self.line.ask(f"RETR {number}").startswith(b"+OK")
        return number_of(self.line.body())

    def delete(self, numbers: list[int]) -> set[int]:
        for number in numbers:
            assert self.line.ask(f"DELE {number + 1}").startswith(b"+OK")
        return {self.found[number] for number in numbers}

    def quit(self) -> bytes:
        """The answer; nothing if the connection breaks."""
        try:
            return self.line.ask("QUIT")
        except OSError:
            return b""

    def close(self) -> None:
        self.line.__exit__()


def test_the_real_server_its_processes_killed(capsys):
    rounds = ROUNDS // 5 or 40
    with open_folder() as folder:
        server = Server(folder, settings={"auth.refusal_delay": "0"})
        box = server.fill("alice", [])
        who = {} if server.user is None else {"user": server.user, "group": server.user, "extra_groups": []}
        torture = Torture(folder, box, seed=5, **who)
        chance = torture.chance
        with ExitStack() as running:
            for number in range(rounds):
                if number % 5 == 0:  # one whose children die again and again slows down
                    running.close()
                    running.enter_context(server)
                torture.deliver(chance.choice((0, 1, 2, 4)))
                visit = Visit(server)
                torture.ledger.check(visit.found)
                doomed = visit.delete([n for n in range(len(visit.found)) if chance.random() < 0.4])
                if chance.random() < 0.6:
                    visit.line.sock.sendall(b"QUIT\r\n")
                    wait(folder / "state/users/alice/redo", 0.02, chance)
                    for pid in children(server.process.pid):
                        os.kill(pid, signal.SIGKILL)
                    wait_until(lambda: not children(server.process.pid), "the end of all sessions")
                    torture.killed += 1
                    torture.cut_off += (folder / "state/users/alice/redo").exists()
                    torture.ledger.doubtful.append(doomed)
                    torture.break_lock()
                elif visit.quit().startswith(b"+OK"):
                    torture.ledger.there -= doomed
                else:
                    pytest.fail("QUIT was not answered +OK")
                visit.close()
                torture.deliver(chance.choice((0, 1)))
            visit = Visit(server)
            torture.ledger.check(visit.found)
            visit.quit()
            visit.close()
    with capsys.disabled():
        print(
            f"\n{rounds} rounds with the server, {torture.ledger.next - 1} messages, {torture.killed} sessions killed, "
            f"{torture.cut_off} in mid-expunge; none lost, none doubled, none damaged"
        )


class Clock:
    """How long the locks of the mailbox were held at a time."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.held: list[float] = []
        self.begun = 0.0
        take, release = MaildropLock.take, MaildropLock.release

        def taken(lock, *arguments):
            take(lock, *arguments)
            self.begun = time.monotonic()

        def released(lock):
            if self.begun:
                self.held.append(time.monotonic() - self.begun)
            self.begun = 0.0
            release(lock)

        monkeypatch.setattr(MaildropLock, "take", taken)
        monkeypatch.setattr(MaildropLock, "release", released)


def readable(descriptor: int, milliseconds: float = 0) -> bool:
    """By poll: select takes no descriptor over 1023."""
    poll = select.poll()
    poll.register(descriptor, select.POLLIN)
    return bool(poll.poll(milliseconds))


def test_deliveries_in_fcntl_dotlock_order_get_through(tmp_path, capsys, monkeypatch):
    """Deliveries in a loop during expunges: all come.  How long they waited for their locks is printed."""
    clock = Clock(monkeypatch)
    rounds = 1000 if ROUNDS else 60
    mda = FcntlThenDotlock(tmp_path / "box", tmp_path)
    chance = random.Random(7)
    for number in range(20):
        mda.deliver(letter(number, chance))
    heard, tell = os.pipe()
    stopped, stop = os.pipe()
    child = os.fork()
    if child == 0:
        number = 20
        try:
            os.close(stop)
            while not readable(stopped, 0.5):
                waited = mda.timed(letter(number, chance))
                os.write(tell, f"{waited}\n".encode())
                number += 1
        finally:
            os._exit(0)
    os.close(tell)
    os.close(stopped)
    waits = b""
    deleted = 0
    with open(heard, "rb", buffering=0) as answers:
        for _ in range(rounds):
            with closing(boxes.store(tmp_path, reports=[], locks__timeout=60)) as opened:
                entries = opened.scan()
                doomed = {index for index in range(len(entries)) if index % 2 or len(entries) > 100}
                opened.expunge(doomed)
                deleted += len(doomed)
            while readable(answers.fileno()):
                waits += answers.read(65536)
        os.close(stop)  # not a kill: a delivery that died might be there, and not counted
        os.waitpid(child, 0)
        while piece := answers.read(65536):
            waits += piece
    times = [float(line) for line in waits.split()]
    with capsys.disabled():
        print(
            f"\n{rounds} expunges of {deleted} messages, {len(times)} deliveries: waited {max(times) * 1000:.1f} ms at "
            f"most, {sum(times) / len(times) * 1000:.2f} ms on average; we held the locks {max(clock.held) * 1000:.1f} "
            f"ms at most, {sum(clock.held) / len(clock.held) * 1000:.2f} ms on average"
        )
    with closing(boxes.store(tmp_path, reports=[])) as opened:
        assert len(opened.scan()) + deleted == 20 + len(times)
