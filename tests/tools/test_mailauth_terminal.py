"""mailauth at a terminal: prompts without echo; and other users: by sudo, and as the account that owns the database."""

from __future__ import annotations

import contextlib
import os
import pty
import pwd
import re
import select
import shutil
import signal
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from qpopper_py.auth.authdb import AuthDb
from qpopper_py.auth.authdb_edit import Editor, create
from tests import accounts, harness

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

ROOT = harness.PACKAGE_ROOT
SECRET = "correct horse battery"

# Names of this process's own: two runs of these tests must not meet.
POP, ANN, BEN = (f"qpt{os.getpid()}{one}" for one in ("pop", "ann", "ben"))


class Terminal:
    """A process at a terminal of its own."""

    def __init__(self, line: list[str], env: Mapping[str, str], become: Callable[[], None] | None = None) -> None:
        self.seen = ""
        self.pid, self.descriptor = pty.fork()
        if self.pid == 0:
            try:
                os.chdir("/")
                signal.signal(signal.SIGINT, signal.SIG_DFL)  # which shells ignore in what runs in the background
                if become is not None:
                    become()
                os.execvpe(line[0], line, dict(env))
            finally:
                os._exit(127)

    def wait_for(self, pattern: str) -> None:
        """Read until the pattern was written, from where the last one ended."""
        start = len(self.seen)
        while not re.search(pattern, self.seen[start:]):
            assert self.more(), f"no {pattern!r} in {self.seen!r}"

    def more(self) -> bool:
        ready, _, _ = select.select([self.descriptor], [], [], harness.PATIENCE)
        try:
            data = os.read(self.descriptor, 4096) if ready else b""
        except OSError:  # Linux's way to say that the other side is gone
            data = b""
        self.seen += data.decode("utf-8", "replace")
        return bool(data)

    def type(self, text: str) -> None:
        os.write(self.descriptor, text.encode() + b"\n")

    def insist(self, key: str) -> None:
        """Press a key until the process ends: one that comes just before it reads would be waited out."""
        ended = os.pidfd_open(self.pid)
        while not select.select([ended], [], [], 0.1)[0]:
            os.write(self.descriptor, key.encode())
        os.close(ended)

    def end(self) -> int:
        while self.more():
            pass
        status = os.waitpid(self.pid, 0)[1]
        os.close(self.descriptor)  # not before: what it still has to write would fail
        return os.waitstatus_to_exitcode(status)


@pytest.fixture
def arguments(tmp_path: Path) -> list[str]:
    """A database with nobody in it; alice is in the accounts file."""
    accounts = tmp_path / "accounts"
    accounts.write_text("alice::8:8::/home/alice::\n")
    accounts.chmod(0o600)
    where = (tmp_path / "db/mailauth.db", tmp_path / "keys/key")
    create(str(where[0]), str(where[1]), "")
    settings = {
        "mailauth.database": where[0],
        "mailauth.key": where[1],
        "mailauth.owner": "",
        "accounts.file": accounts,
    }
    words = [word for name, value in settings.items() for word in ("--set", f"{name}={value}")]
    return [sys.executable, "-m", "qpopper_py.tools.mailauth", "--config", "none", "--set", "log.to=stderr", *words]


def database(tmp_path: Path) -> AuthDb:
    return AuthDb(str(tmp_path / "db/mailauth.db"), str(tmp_path / "keys/key"), "")


class TestPrompts:
    def test_the_secret_is_asked_twice_and_never_shown(self, arguments: list[str], tmp_path: Path) -> None:
        at = Terminal([*arguments, "add", "alice"], harness.environment())
        at.wait_for("New password: ")
        at.type(SECRET)
        at.wait_for("Retype new password: ")
        at.type(SECRET)
        assert at.end() == 0, at.seen
        assert "alice: APOP entry added" in at.seen
        assert SECRET not in at.seen
        assert database(tmp_path).apop_secret("alice") == SECRET.encode()

    def test_a_mismatch_changes_nothing(self, arguments: list[str], tmp_path: Path) -> None:
        at = Terminal([*arguments, "add", "alice"], harness.environment())
        at.wait_for("New password: ")
        at.type(SECRET)
        at.wait_for("Retype new password: ")
        at.type(SECRET + "!")
        assert at.end() == 1
        assert "Mismatch -- password unchanged." in at.seen
        assert SECRET not in at.seen
        assert database(tmp_path).types("alice") == frozenset()

    @pytest.mark.parametrize("key", ["\x03", "\x04"], ids=["interrupt", "end of file"])
    def test_leaving_at_the_prompt_changes_nothing(self, arguments: list[str], tmp_path: Path, key: str) -> None:
        at = Terminal([*arguments, "add", "alice"], harness.environment())
        at.wait_for("New password: ")
        at.insist(key)
        assert at.end() == 1
        assert "Traceback" not in at.seen
        assert database(tmp_path).types("alice") == frozenset()

    def test_letters_beyond_ascii_are_kept_as_they_were_typed(self, arguments: list[str], tmp_path: Path) -> None:
        at = Terminal([*arguments, "add", "alice"], harness.environment())
        for question in ("New password: ", "Retype new password: "):
            at.wait_for(question)
            at.type("zwölf Boxkämpfer")
        assert at.end() == 0, at.seen
        assert database(tmp_path).apop_secret("alice") == "zwölf Boxkämpfer".encode()

    def test_secrets_are_not_exported_to_a_terminal(self, arguments: list[str], tmp_path: Path) -> None:
        Editor(*[str(tmp_path / name) for name in ("db/mailauth.db", "keys/key")], "").put("alice", "APOP", b"x" * 20)
        at = Terminal([*arguments, "export", "--secrets"], harness.environment())
        assert at.end() == 1
        assert "not shown on a terminal" in at.seen
        assert "PLAIN" not in at.seen


class Host:
    """Users made for a test, and a database that root has made for the first of them to own."""

    def __init__(self, folder: Path, *users: str) -> None:
        self.folder = folder
        self.users = {name: pwd.getpwnam(name) for name in users}
        self.owner = users[0]
        self.where = (str(folder / "db/mailauth.db"), str(folder / "keys/key"), self.owner)
        create(*self.where)
        os.chmod(folder / "db", 0o755)
        self.settings = {
            "mailauth.database": self.where[0],
            "mailauth.key": self.where[1],
            "mailauth.owner": self.owner,
        }
        self.command = folder / "mailauth"
        words = " ".join(f"--set {name}={value}" for name, value in self.settings.items())
        self.command.write_text(
            f"#!/bin/sh\nPYTHONPATH={ROOT} exec {sys.executable} -m qpopper_py.tools.mailauth"
            f' --config none --set log.to=stderr {words} "$@"\n'
        )
        self.command.chmod(0o755)

    def become(self, name: str) -> Callable[[], None]:
        row = self.users[name]

        def change() -> None:
            os.setgroups([])
            os.setresgid(row.pw_gid, row.pw_gid, row.pw_gid)
            os.setresuid(row.pw_uid, row.pw_uid, row.pw_uid)

        return change

    def run(self, name: str, *words: str, given: str = "") -> subprocess.CompletedProcess[str]:
        """The command as that user."""
        row = self.users[name]
        return subprocess.run(
            [str(self.command), *words],
            input=given,
            text=True,
            capture_output=True,
            cwd="/",
            env=harness.environment(),
            user=row.pw_uid,
            group=row.pw_gid,
            extra_groups=[],
        )

    @property
    def db(self) -> AuthDb:
        return AuthDb(*self.where)


@contextlib.contextmanager
def users(*names: str) -> Iterator[None]:
    made: list[str] = []
    try:
        for name in names:
            accounts.forget(name)
            accounts.change("useradd", "-M", "-s", "/usr/sbin/nologin", name)
            made.append(name)
        yield
    finally:
        for name in made:
            accounts.forget(name)


@pytest.fixture
def host(request: pytest.FixtureRequest) -> Iterator[Host]:
    """POP owns the database; ANN and BEN are users like others."""
    if harness.servant() is None:
        pytest.skip("other users cannot run this Python, or read this package")
    names = (POP, ANN, BEN)
    with users(*names), tempfile.TemporaryDirectory(prefix="mailauth-", dir="/var/tmp") as folder:
        os.chmod(folder, 0o755)
        yield Host(Path(folder), *names)


@pytest.mark.root
@pytest.mark.client("useradd", "userdel")
class TestOwnerAccount:
    """root and user pop administer; only the superuser initializes and converts (mailauth(8) of Tru64)."""

    def test_it_adds_lists_and_deletes_in_a_folder_that_only_root_can_write(self, host: Host) -> None:
        for words in (["add", ANN], ["add", BEN, "--type", "POP"], ["passwd", ANN]):
            done = host.run(POP, *words, "--stdin", given=SECRET + "\n")
            assert done.returncode == 0, done.stderr
            assert f"by {POP}" in done.stderr
        assert host.run(POP, "list").stdout.split() == [ANN, "APOP", BEN, "POP"]
        assert host.run(POP, "delete", BEN).returncode == 0
        assert host.db.apop_secret(ANN) == SECRET.encode()
        assert (host.folder / "db").stat().st_uid == 0

    def test_what_root_changes_it_can_still_change(self, host: Host) -> None:
        assert subprocess.run([str(host.command), "add", ANN, "--stdin"], input=b"by root too\n").returncode == 0
        done = host.run(POP, "passwd", ANN, "--stdin", given=SECRET)
        assert done.returncode == 0, done.stderr
        for name in ("db/mailauth.db", "db/mailauth.db-journal", "keys/key"):
            status = (host.folder / name).stat()
            assert (status.st_uid, status.st_mode & 0o7777) == (host.users[POP].pw_uid, 0o600), name

    @pytest.mark.parametrize("words", [["init", "--force"], ["convert", "/etc/hostname"]])
    def test_it_may_not_initialize_or_convert(self, host: Host, words: list[str]) -> None:
        done = host.run(POP, *words)
        assert done.returncode == 1
        assert "Only the superuser can perform the requested function" in done.stderr

    def test_others_may_do_nothing_without_sudo_and_are_told_what_to_run(self, host: Host) -> None:
        done = host.run(ANN, "add", BEN, "--stdin", given=SECRET)
        assert done.returncode == 1
        assert f"Only the superuser or user '{POP}'" in done.stderr
        assert f"run: sudo mailauth add {BEN}" in done.stderr
        assert "run: sudo mailauth\n" in host.run(ANN).stderr
        assert host.db.types(BEN) == frozenset()


@pytest.fixture
def sudo(host: Host) -> Iterator[Host]:
    """The rule that we ship, for this command."""
    sample = Path(__file__).parents[2] / "etc/sudoers.d/pop3d"
    rule = re.sub(r"/\S+/mailauth\b", str(host.command), sample.read_text())
    assert str(host.command) in rule
    place = Path(f"/etc/sudoers.d/qpt-mailauth-{os.getpid()}")
    new = host.folder / "rule"
    new.write_text(rule)
    new.chmod(0o440)
    subprocess.run(["visudo", "-cqf", str(new)], check=True)
    shutil.copy(new, place)
    try:
        yield host
    finally:
        place.unlink()


@pytest.mark.root
@pytest.mark.client("useradd", "userdel", "sudo", "visudo")
class TestSudo:
    """Anybody sets a secret of their own by the sudo rule that we ship, and nothing else."""

    def at(self, host: Host, name: str, *words: str) -> Terminal:
        return Terminal(["sudo", "-n", str(host.command), *words], harness.environment(), host.become(name))

    def test_a_user_adds_their_own_entry_and_changes_it_with_the_old_secret(self, sudo: Host) -> None:
        at = self.at(sudo, ANN)
        for question in ("New password: ", "Retype new password: "):
            at.wait_for(question)
            at.type(SECRET)
        assert at.end() == 0, at.seen
        assert f"{ANN}: APOP entry added by {ANN} (as root)" in at.seen
        assert sudo.db.apop_secret(ANN) == SECRET.encode()
        at = self.at(sudo, ANN)
        at.wait_for("Old password: ")
        at.type(SECRET)
        for question in ("New password: ", "Retype new password: "):
            at.wait_for(question)
            at.type("another secret")
        assert at.end() == 0, at.seen
        assert f"{ANN}: APOP entry changed by {ANN} (as root)" in at.seen
        assert sudo.db.apop_secret(ANN) == b"another secret"

    def test_with_two_entries_it_asks_which(self, sudo: Host) -> None:
        for type_ in ("POP", "APOP"):
            line = [str(sudo.command), "add", ANN, "--type", type_, "--stdin"]
            subprocess.run(line, input=f"{SECRET} {type_}".encode(), check=True)
        at = self.at(sudo, ANN)
        at.wait_for(r"Which entry, APOP or POP\? ")
        at.type("pop")
        at.wait_for("Old password: ")
        at.type(f"{SECRET} POP")
        for question in ("New password: ", "Retype new password: "):
            at.wait_for(question)
            at.type("another secret")
        assert at.end() == 0, at.seen
        assert sudo.db.check_pop(ANN, b"another secret") is True
        assert sudo.db.apop_secret(ANN) == f"{SECRET} APOP".encode()

    @pytest.mark.parametrize("type_", ["POP", "APOP", "IMAP"])
    def test_a_wrong_old_secret_ends_it(self, sudo: Host, type_: str) -> None:
        subprocess.run([str(sudo.command), "add", ANN, "--type", type_, "--stdin"], input=SECRET.encode(), check=True)
        before = sudo.db.stored(ANN, type_)
        at = self.at(sudo, ANN)
        at.wait_for("Old password: ")
        at.type("a guess")
        assert at.end() == 1
        assert "Sorry, password entered incorrectly" in at.seen
        assert "New password" not in at.seen
        assert sudo.db.stored(ANN, type_) == before

    @pytest.mark.parametrize(
        "words", [["add", BEN], ["-user", BEN], ["list"], ["--set", "spool=/"]], ids=["add", "user", "list", "set"]
    )
    def test_nothing_else_passes(self, sudo: Host, words: list[str]) -> None:
        at = self.at(sudo, ANN, *words)
        assert at.end() != 0
        assert "New password" not in at.seen
        assert sudo.db.types(BEN) == frozenset()
