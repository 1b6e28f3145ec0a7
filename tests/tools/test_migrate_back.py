"""qpopper-py migrate --back, as root: users' mailboxes get what the old program knows its mail by."""

import os
import subprocess
import sys

import pytest

from qpopper_py.settings import Settings
from qpopper_py.store.mbox.upkeep import unfinished
from qpopper_py.store.opening import open_store
from tests.harness import open_folder
from tests.inetd.starting import User
from tests.store.boxes import message

pytestmark = pytest.mark.root
MAIL = [message(number, b"line of text\n" * 100) for number in range(4)]


class Place:
    """A spool, a state folder, and a user with four messages who has had a session under Dovecot's scheme."""

    def __init__(self, folder, user):
        self.folder, self.user = folder, user
        self.spool, self.state = folder / "spool", folder / "state"
        self.private = self.state / "users" / user.name
        self.private.mkdir(mode=0o700, parents=True)
        for path in (self.state, self.state / "users"):
            path.chmod(0o755)
        os.chown(self.private, user.uid, user.gid)
        user.mailbox.write_bytes(b"".join(MAIL))
        os.chown(user.mailbox, user.uid, user.gid)

    def words(self, *more):
        none = str(self.folder / "none")
        values = {"spool": self.spool, "state_dir": self.state, "mailauth.database": none, "uidl": "dovecot"}
        return [
            "--config",
            "none",
            *(word for key, value in values.items() for word in ("--set", f"{key}={value}")),
            *more,
        ]

    def back(self, program, *more):
        line = [sys.executable, "-m", "qpopper_py.tools.command", "migrate", "--back", program, *self.words(*more)]
        done = subprocess.run(line, capture_output=True, text=True)
        return done.returncode, done.stdout + done.stderr

    def uids(self, uidl, state=None):
        """As the user, in a process of its own."""
        read, write = os.pipe()
        pid = os.fork()
        if pid == 0:
            try:
                os.setgroups([])
                os.setgid(self.user.gid)
                os.setuid(self.user.uid)
                settings = Settings([("test", {"uidl": uidl, "locks.dotlock": "try"})])
                store = open_store(str(self.user.mailbox), self.user.name, str(state or ""), settings, lambda _: None)
                store.scan()
                os.write(write, " ".join(store.uids()).encode())
                store.close()
            finally:
                os._exit(0)
        os.close(write)
        os.waitpid(pid, 0)
        with open(read) as answer:
            return answer.read().split()


@pytest.fixture
def place():
    if os.geteuid() != 0:
        pytest.skip("needs root")
    with open_folder() as folder:
        (folder / "spool").mkdir()
        (folder / "spool").chmod(0o1777)
        with User(folder / "spool") as user:
            yield Place(folder, user)


@pytest.mark.parametrize(
    ("program", "scheme"), [("mailutils", "mailutils3"), ("qpopper", "qpopper4"), ("tru64", "qpopper2")]
)
def test_the_old_program_reads_the_unique_ids_that_we_gave(program, scheme, place):
    ours = place.uids("dovecot", place.private)
    assert len(set(ours)) == 4
    status, told = place.back(program)
    assert (status, "4 unique-ids written" in told) == (0, True), told
    assert place.uids(scheme) == ours
    assert place.uids("dovecot", place.private) == ours
    assert place.user.mailbox.stat().st_uid == place.user.uid


def test_a_dry_run_changes_no_mailbox(place):
    place.uids("dovecot", place.private)
    before = place.user.mailbox.read_bytes(), place.user.mailbox.stat().st_mtime_ns
    status, told = place.back("mailutils", "--dry-run")
    assert (status, "4 messages" in told) == (0, True), told
    assert (place.user.mailbox.read_bytes(), place.user.mailbox.stat().st_mtime_ns) == before


def test_popa3d_computes_its_own_and_what_differs_is_told(place):
    place.uids("dovecot", place.private)
    before = place.user.mailbox.read_bytes()
    status, told = place.back("popa3d")
    assert status == 0, told
    assert "of 4 messages 0 get the same unique-id from popa3d; 4 get another" in told
    assert place.user.mailbox.read_bytes() == before
    status, told = place.back("popa3d", "--set", "uidl=popa3d")
    assert "of 4 messages 4 get the same" in told


def test_cyrus_keeps_them_elsewhere_and_that_is_said(place):
    place.uids("dovecot", place.private)
    _, told = place.back("cyrus")
    assert "clients may fetch all of it again" in told


def test_what_a_crash_cut_off_is_finished_first(place):
    (place.private / "redo").write_bytes(b"no record")
    os.chown(place.private / "redo", place.user.uid, place.user.gid)
    assert unfinished(str(place.state)) == [place.user.name]
    place.back("popa3d")
    assert unfinished(str(place.state)) == []
