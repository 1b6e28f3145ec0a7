"""Dotlocks that root makes in a spool where users may not write: one process waits for the spool, others do not."""

from __future__ import annotations

import fcntl
import os
import signal
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.harness import PATIENCE, children, identity, mail, open_folder, wait_until
from tests.serve.rooted import UIDS, USERS, Rooted

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.harness import Dialogue

pytestmark = pytest.mark.root

TWO = [mail("first", b"text 1\n"), mail("second", b"text 2\n")]
MODES = ("standalone", "prefork")

# What a file server that is dead does, to root alone: users' own waiting is theirs.
HANGING = """
def hung(real):
    import fcntl, os
    def hanging(*given):
        if os.geteuid() == 0 and any(str(one).endswith("/alice") for one in given):
            os.write(2, b"root waits for alice's folder\\n")
            with open({alive!r}) as file:
                fcntl.flock(file, fcntl.LOCK_SH)
        return real(*given)
    return hanging

from qpopper_py.store import dotlock, paths
{plant} = hung({plant})
"""
PLANTS = {"at the lock": "dotlock.Dotlocks.create", "on the way there": "paths.beyond_reach"}


class Spool(Rooted):
    """Folders of root's, in which users may not make files, and a dotlock must be had.  ``plant``: of PLANTS."""

    def __init__(self, folder: Path, plant: str = "", **settings: object) -> None:
        values = {name.replace("__", "."): value for name, value in settings.items()}
        super().__init__(folder, {"locks.dotlock": "required", **values})
        self.plant = plant
        self.alive = folder / "alive"
        self.alive.touch()
        for user in USERS:
            self.fill(user, TWO)

    def command(self) -> list[str]:
        *words, program = super().command()
        if self.plant:
            hanging = HANGING.format(alive=str(self.alive), plant=PLANTS[self.plant])
            program = program.replace("from qpopper_py.__main__", f"{hanging}\nfrom qpopper_py.__main__")
        return [*words, program]

    def locks(self) -> list[str]:
        """Whatever lies there beside the mailboxes."""
        return sorted(set(os.listdir(self.folder / "mail")) - set(USERS))

    def lockers(self) -> list[int]:
        """Those of root's children that no signal of an administrator's ends."""
        return [pid for pid in children(self.process.pid) if 1 << (signal.SIGTERM - 1) & ignored(pid)]


def ignored(pid: int) -> int:
    """The signals that a process ignores, as a mask (proc(5)); none, if it has ended."""
    try:
        rows = Path(f"/proc/{pid}/status").read_text().splitlines()
    except OSError:
        return 0
    return int(next(row.split()[1] for row in rows if row.startswith("SigIgn:")), 16)


@contextmanager
def serving(plant: str = "", **settings: object) -> Iterator[Spool]:
    with open_folder() as folder, Spool(folder, plant, **settings) as server:
        yield server


def fetched(line: Dialogue, user: str) -> bool:
    """A whole session, with an update."""
    said = [line.login(user, USERS[user]), line.ask("STAT"), line.ask("RETR 1")]
    line.body()
    said += [line.ask("DELE 1"), line.ask("QUIT")]
    return all(one.startswith(b"+OK") for one in said)


@pytest.mark.parametrize("mode", MODES)
def test_root_makes_the_lock_and_takes_it_away(mode: str) -> None:
    with serving(serve__mode=mode) as server:
        with server.dialogue() as line:
            assert fetched(line, "alice")
        with server.dialogue() as line:
            assert line.login("alice", USERS["alice"]).startswith(b"+OK alice has 1 ")
            assert line.ask("QUIT").startswith(b"+OK")
        assert server.locks() == []
        assert "dotlock" not in server.log.text


def test_the_lock_of_somebody_else_is_respected() -> None:
    with serving(locks__timeout=1) as server:
        lock = Path(f"{server.maildrop('alice')}.lock")
        lock.write_text(f"{os.getpid()}\n{os.uname().nodename}\n")
        with server.dialogue() as line:
            assert line.login("alice", USERS["alice"]).startswith(b"-ERR [IN-USE]")
        assert lock.exists()
        with server.dialogue() as line:
            assert fetched(line, "bob")


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize(("stale", "lets_in"), [(60, True), (600, False)])
def test_how_old_a_lock_of_nobodys_may_be_is_a_setting(mode: str, stale: int, lets_in: bool) -> None:
    with serving(serve__mode=mode, locks__timeout=0, locks__stale=stale) as server:
        lock = Path(f"{server.maildrop('alice')}.lock")
        lock.write_text("")
        os.utime(lock, (time.time() - 300, time.time() - 300))
        with server.dialogue() as line:
            assert line.login("alice", USERS["alice"]).startswith(b"+OK") is lets_in
            assert lets_in or lock.exists()


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("plant", PLANTS)
def test_while_a_file_server_hangs_others_log_in_and_fetch(plant: str, mode: str) -> None:
    """In the same spool, too: alice's session waits for as long as it takes, bob's do not."""
    with serving(plant, serve__mode=mode) as server, server.dialogue() as line, ThreadPoolExecutor() as pool:
        with server.alive.open() as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            alice = pool.submit(fetched, line, "alice")
            server.log.wait_for("root waits for alice's folder")
            for number in (1, 2):
                with server.dialogue() as other:
                    assert other.login("bob", USERS["bob"]).startswith(b"+OK bob has %d " % (3 - number))
                    assert other.ask("RETR 1").startswith(b"+OK")
                    other.body()
                    assert other.ask("DELE 1").startswith(b"+OK")
                    assert other.ask("QUIT").startswith(b"+OK")
            assert not alice.done()
        assert alice.result(PATIENCE)
        assert server.locks() == []


@pytest.mark.parametrize("mode", MODES)
def test_it_is_there_when_it_is_needed_and_again_when_it_died(mode: str) -> None:
    with serving(serve__mode=mode) as server:
        assert server.lockers() == []
        with server.dialogue() as line:
            assert fetched(line, "alice")
        (first,) = server.lockers()
        with server.dialogue() as line:
            assert fetched(line, "bob")
        assert server.lockers() == [first]
        os.kill(first, signal.SIGKILL)
        server.log.wait_for("the locker ended by signal 9")
        with server.dialogue() as line:  # in prefork mode alice's process waited, which had its help from that one
            assert fetched(line, "alice")
        assert len(server.lockers()) == 1
        assert server.locks() == []


def test_it_has_no_client_and_ends_with_the_last_whom_it_serves() -> None:
    with serving() as server:
        with server.dialogue() as line:
            assert line.login("alice", USERS["alice"]).startswith(b"+OK")
            (pid,) = server.lockers()
            assert set(identity(pid)["Uid"]) == {0}
            (theirs,) = [one for one in children(server.process.pid) if identity(one)["Uid"][0] == UIDS["alice"]]
            clients = sockets(theirs) - sockets(server.process.pid)
            assert clients
            assert not clients & sockets(pid)
            server.process.send_signal(signal.SIGTERM)
            server.log.wait_for("1 sessions go on")
            assert line.ask("DELE 1").startswith(b"+OK")
            assert line.ask("QUIT").startswith(b"+OK")
        assert server.process.wait(PATIENCE) == 0
        assert not Path(f"/proc/{pid}").exists()
        assert server.locks() == []


def sockets(pid: int) -> set[str]:
    links = {os.readlink(f"/proc/{pid}/fd/{name}") for name in os.listdir(f"/proc/{pid}/fd")}
    return {link for link in links if link.startswith("socket:")}


def test_new_settings_have_a_new_one() -> None:
    with serving() as server:
        with server.dialogue() as line:
            assert fetched(line, "alice")
        (first,) = server.lockers()
        server.process.send_signal(signal.SIGHUP)
        server.log.wait_for("the configuration was read again")
        wait_until(lambda: server.lockers() == [], "the old one has ended")
        with server.dialogue() as line:
            assert fetched(line, "alice")
        assert first not in server.lockers()
