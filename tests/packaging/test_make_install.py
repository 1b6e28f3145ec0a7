"""``make install``, ``make rollback`` and ``make uninstall``: what an administrator relies on."""

from __future__ import annotations

import contextlib
import hashlib
import os
import re
import socket
import stat
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from qpopper_py.personality.commandline import NAMES
from qpopper_py.settings import Settings
from qpopper_py.tools.popauth_line import MODES
from tests.harness import PASSWORD, Dialogue, Server, digest
from tests.packaging.making import call, other_pythons

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.packaging.making import Maker

pytestmark = pytest.mark.slow
OWNER = {"accounts.owner": "nobody"} if os.geteuid() == 0 else {}


def snapshot(folder: Path) -> dict[str, tuple[object, ...]]:
    """Everything below ``folder``: kind, mode, inode, mtime, and contents or target."""
    found: dict[str, tuple[object, ...]] = {}
    for path in sorted(folder.rglob("*")):
        status = path.lstat()
        what = os.readlink(path) if path.is_symlink() else path.read_bytes() if path.is_file() else ""
        found[str(path.relative_to(folder))] = (status.st_mode, status.st_ino, status.st_mtime_ns, what)
    return found


def change(path: Path, old: str, new: str) -> None:
    text = path.read_text("utf-8")
    assert old in text
    path.write_text(text.replace(old, new), "utf-8")


def release(tree: Path, version: str) -> Path:
    """Make the tree another release."""
    change(tree / "qpopper_py/__init__.py", '__version__ = "', f'__version__ = "{version}"  # was: "')
    return tree


def version_of(make: Maker) -> str:
    return call(make.pop3d, "--version").strip()


@contextlib.contextmanager
def session(make: Maker, server: Server) -> Iterator[Dialogue]:
    """A session of the installed program on a socket, as inetd starts it, with the settings of ``server``."""
    ours, theirs = socket.socketpair()
    line = [make.pop3d, "--config", "none", *server.arguments()]
    with theirs:
        process = subprocess.Popen(line, stdin=theirs, stdout=theirs, stderr=theirs, **server.process_options())
    try:
        with Dialogue(ours) as dialogue:
            yield dialogue
    finally:
        process.wait()  # it has seen the end of the connection


class TestInstall:
    def test_installs_commands_pages_and_samples(self, make: Maker, tree: Path) -> None:
        make(tree, "install")
        assert "qpopper_py" in version_of(make)
        assert call(make.prefix / "bin/mailauth", "--help")
        for page in (tree / "man").glob("*.[1578]"):
            placed = make.prefix / f"share/man/man{page.suffix[1:]}" / page.name
            assert placed.read_bytes() == page.read_bytes()
        samples = [path for path in (tree / "etc").rglob("*") if path.is_file()]
        assert samples
        for sample in samples:
            assert (make.prefix / "share/qpopper_py" / sample.relative_to(tree)).is_file()

    def test_samples_name_the_prefix(self, make: Maker, tree: Path) -> None:
        make(tree, "install")
        line = (make.prefix / "share/qpopper_py/etc/inetd.conf").read_text().splitlines()[-1]
        assert line.split() == ["pop3", "stream", "tcp", "nowait.1000", "root", make.pop3d, "pop3d", "-s"]

    def test_modes_are_right_whatever_the_umask(self, make: Maker, tree: Path) -> None:
        make(tree, "install", umask=0o077)
        commands = {make.prefix / "sbin/pop3d", make.prefix / "bin/mailauth", make.prefix / "sbin/qpopper-py"}
        commands.add(make.prefix / "bin/mailutils-popauth")
        commands |= {make.prefix / "bin" / name for name in MODES}
        commands |= {make.current / "files" / path.relative_to(make.prefix) for path in commands}
        for path in [make.prefix, *make.prefix.rglob("*")]:
            if not path.is_symlink():
                executable = path.is_dir() or path in commands
                assert stat.S_IMODE(path.stat().st_mode) == (0o755 if executable else 0o644), path
                assert path.stat().st_uid == os.geteuid()

    def test_every_module_is_byte_compiled(self, make: Maker, tree: Path) -> None:
        make(tree, "install")
        modules = list((make.current / "qpopper_py").rglob("*.py"))
        assert len(modules) > 20
        for module in modules:
            assert list((module.parent / "__pycache__").glob(f"{module.stem}.cpython-*.pyc")), module

    def test_the_environment_of_the_caller_changes_nothing(self, make: Maker, tree: Path, tmp_path: Path) -> None:
        make(tree, "install")
        (tmp_path / "os.py").write_text("raise SystemExit('not the os of Python')")
        (tmp_path / "qpopper_py.py").write_text("raise SystemExit('not ours')")
        environment = {"PYTHONPATH": str(tmp_path), "PYTHONHOME": "/nonexistent", "PYTHONSTARTUP": "/nonexistent"}
        assert "qpopper_py" in call(make.pop3d, "--version", env=environment, cwd=tmp_path)

    def test_destdir_holds_it_all_and_is_named_nowhere(self, make: Maker, tree: Path, open_folder: Path) -> None:
        make(tree, "install", DESTDIR=str(open_folder / "package"), PREFIX="/opt/pop3d")
        root = open_folder / "package/opt/pop3d"
        launcher = (root / "sbin/pop3d").read_text()
        assert "/opt/pop3d/lib/qpopper_py" in launcher
        assert str(open_folder) not in launcher
        assert sorted(path.name for path in root.iterdir()) == ["bin", "lib", "sbin", "share"]
        assert not make.prefix.exists()

    @pytest.mark.client
    def test_third_party_packages_come_along_in_pure_python(self, make: Maker, tree: Path) -> None:
        if subprocess.run([make.python, "-I", "-m", "pip", "--version"], capture_output=True).returncode:
            pytest.skip(f"{make.python} has no pip (python3-pip)")
        make(tree, "install", OFFLINE="")
        vendor = make.current / "vendor"
        for module in ("passlib/hash.py", "dateutil/parser/__init__.py"):
            assert (vendor / module).is_file()
        assert (vendor / "sh").exists() or (vendor / "sh.py").exists()
        assert not list(vendor.rglob("*.so"))
        assert not (vendor / "bin").exists()

    def test_without_them_it_says_what_each_is_for(self, make: Maker, tree: Path) -> None:
        told = make(tree, "install").stdout
        for module, feature in (("passlib", "crypt(3)"), ("dateutil", "--since"), ("sh", "XTND XMIT")):
            here = subprocess.run([make.python, "-I", "-c", f"import {module}"], capture_output=True).returncode == 0
            assert here or re.search(rf"{module} is missing.*{re.escape(feature)}.*apt install python3-{module}", told)

    def test_without_them_user_pass_and_apop_work(
        self, make: Maker, tree: Path, open_folder: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        make(tree, "install")
        assert not list((make.current / "vendor").iterdir())
        monkeypatch.setenv("QPOPPER_TEST_POP3D", make.pop3d)
        with Server(open_folder, {"alice": PASSWORD}, {"bob": "tanstaaf"}, OWNER) as server:
            with server.dialogue() as pop:
                assert pop.login().startswith(b"+OK")
                assert pop.ask("QUIT").startswith(b"+OK")
            with server.dialogue() as pop:
                stamp = re.search(r"<.*>", pop.line().decode())
                assert stamp
                assert pop.ask(f"APOP bob {digest(stamp[0], 'tanstaaf')}").startswith(b"+OK")

    @pytest.mark.parametrize("python", other_pythons())
    def test_it_outlives_a_change_of_the_host_s_python(self, make: Maker, tree: Path, python: str) -> None:
        """Byte code of another version is ignored; the sources are enough, and nothing need be written."""
        make(tree, "install")
        before = snapshot(make.library)
        told = call(python, "-B", "-I", "-S", make.pop3d, "--version")
        assert told.strip() == version_of(make)
        assert snapshot(make.library) == before


class TestUpgrade:
    def test_the_same_version_again_gets_a_folder_of_its_own(self, make: Maker, tree: Path) -> None:
        make(tree, "install")
        first = make.current
        before = snapshot(first)
        make(tree, "install")
        assert make.current.name == f"{first.name}-2"
        assert (make.library / "previous").resolve() == first
        assert snapshot(first) == before

    def test_what_is_older_than_the_previous_goes_and_its_name_is_not_used_again(self, make: Maker, tree: Path) -> None:
        names = []
        for _ in range(4):
            make(tree, "install")
            names.append(make.current.name)
        assert len(set(names)) == 4
        assert (
            sorted(path.name for path in make.library.iterdir() if path.is_dir() and not path.is_symlink()) == names[2:]
        )

    def test_a_running_session_keeps_its_files(self, make: Maker, tree: Path, open_folder: Path) -> None:
        """What is imported late, the store, comes from the version that was started, and not from the new one."""
        make(tree, "install")
        server = Server(open_folder, settings=OWNER)
        server.write_accounts()
        with session(make, server) as old:
            greeting = old.line()  # the session is under way
            (tree / "qpopper_py/store/opening.py").write_text("raise ImportError('of the new version')\n")
            make(release(tree, "9.0"), "install")
            assert greeting.startswith(b"+OK")
            assert old.ask("USER alice").startswith(b"+OK")
            assert old.ask(f"PASS {PASSWORD}").startswith(b"+OK")
        with session(make, server) as new:
            assert not new.login().startswith(b"+OK")

    def test_files_that_the_new_version_lacks_are_removed(self, make: Maker, tree: Path) -> None:
        (tree / "etc/of-the-old").write_text("old\n")
        make(tree, "install")
        placed = make.prefix / "share/qpopper_py/etc/of-the-old"
        assert placed.exists()
        (tree / "etc/of-the-old").unlink()
        make(tree, "install")
        assert not placed.exists()

    def test_rollback_brings_all_of_the_previous_version_back(self, make: Maker, tree: Path) -> None:
        (tree / "etc/of-the-old").write_text("old\n")
        make(tree, "install")
        old = version_of(make)
        (tree / "etc/of-the-old").write_text("new\n")
        make(release(tree, "9.0"), "install")
        assert "9.0" in version_of(make)
        make(tree, "rollback")
        assert version_of(make) == old
        assert (make.prefix / "share/qpopper_py/etc/of-the-old").read_text() == "old\n"
        make(tree, "rollback")
        assert "9.0" in version_of(make)

    def test_rollback_without_a_previous_version_is_refused(self, make: Maker, tree: Path) -> None:
        make(tree, "install")
        assert "no previous version" in make(tree, "rollback", fails=True).stderr

    def test_a_version_that_does_not_start_is_not_switched_to(self, make: Maker, tree: Path) -> None:
        make(tree, "install")
        before = snapshot(make.prefix)
        change(tree / "qpopper_py/__main__.py", "import sys\n", "import sys\nimport no_such_module_anywhere\n")
        told = make(release(tree, "9.0"), "install", fails=True).stderr
        assert "no_such_module_anywhere" in told
        after = snapshot(make.prefix)
        for key in ("lib/qpopper_py", "lib/qpopper_py/installed"):  # written to, but with the same words
            assert before.pop(key)[3] == after.pop(key)[3]
        assert after == before

    def test_an_interrupted_installation_is_taken_up_by_the_next(self, make: Maker, tree: Path) -> None:
        make(tree, "install")
        (make.library / ".stage-left").mkdir()
        (make.prefix / "sbin/pop3d").unlink()
        make(tree, "install")
        assert "qpopper_py" in version_of(make)
        assert not list(make.library.glob(".stage-*"))


class TestRefusals:
    def test_a_command_that_is_not_ours_is_in_the_way(self, make: Maker, tree: Path) -> None:
        theirs = make.prefix / "sbin/pop3d"
        theirs.parent.mkdir(parents=True)
        theirs.write_text("#!/bin/sh\n")
        told = make(tree, "install", fails=True).stderr
        assert f"{theirs} was not installed by us" in told
        assert theirs.read_text() == "#!/bin/sh\n"
        assert not (make.library / "current").exists()

    def test_a_folder_that_is_not_ours_is_in_the_way(self, make: Maker, tree: Path) -> None:
        make.library.mkdir(parents=True)
        (make.library / "notes").write_text("mine\n")
        before = snapshot(make.prefix)
        assert "was not made by us" in make(tree, "install", fails=True).stderr
        assert snapshot(make.prefix) == before

    def test_a_file_of_ours_that_somebody_changed_is_in_the_way(self, make: Maker, tree: Path) -> None:
        make(tree, "install")
        (make.prefix / "sbin/pop3d").write_text("#!/bin/sh\n")
        assert "was changed since we installed it" in make(tree, "install", fails=True).stderr
        assert (make.prefix / "sbin/pop3d").read_text() == "#!/bin/sh\n"

    def test_an_interpreter_that_others_cannot_run(self, make: Maker, tree: Path, open_folder: Path) -> None:
        private = open_folder / "private"
        private.mkdir()
        (private / "python3").symlink_to(make.python)
        private.chmod(0o700)
        told = make(tree, "install", fails=True, PYTHON=str(private / "python3")).stderr
        assert f"{private} cannot be read by other users" in told
        assert not make.prefix.exists()

    def test_a_wrapper_of_an_interpreter_is_refused_with_the_real_one_named(
        self, make: Maker, tree: Path, open_folder: Path
    ) -> None:
        wrapper = open_folder / "python3"
        wrapper.write_text(f'#!/bin/sh\nexec {make.python} "$@"\n')
        wrapper.chmod(0o755)
        assert f"use PYTHON={make.python}" in make(tree, "install", fails=True, PYTHON=str(wrapper)).stderr

    @pytest.mark.root
    def test_root_installs_nothing_that_others_cannot_read(self, make: Maker, tree: Path, open_folder: Path) -> None:
        (open_folder / "closed").mkdir(mode=0o700)
        told = make(tree, "install", fails=True, PREFIX=str(open_folder / "closed/prefix")).stderr
        assert f"{open_folder / 'closed'} cannot be read by other users" in told

    @pytest.mark.root
    def test_root_installs_nothing_that_others_can_write(self, make: Maker, tree: Path, open_folder: Path) -> None:
        (open_folder / "shared").mkdir()
        (open_folder / "shared").chmod(0o777)
        told = make(tree, "install", fails=True, PREFIX=str(open_folder / "shared/prefix")).stderr
        assert f"{open_folder / 'shared'} can be written by anybody" in told

    def test_a_list_of_a_later_format_is_left_alone(self, make: Maker, tree: Path) -> None:
        make(tree, "install")
        change(make.library / "installed", "format 1", "format 2")
        for verb in ("install", "rollback", "uninstall"):
            assert "another format" in make(tree, verb, fails=True).stderr

    def test_a_prefix_that_a_launcher_cannot_name(self, make: Maker, tree: Path, open_folder: Path) -> None:
        assert "absolute path" in make(tree, "install", fails=True, PREFIX="somewhere").stderr
        assert "blanks" in make(tree, "install", fails=True, PREFIX=f"{open_folder}/a b").stderr


class TestUninstall:
    def test_removes_everything_it_installed(self, make: Maker, tree: Path) -> None:
        make(tree, "install")
        make(tree, "install")
        make(tree, "uninstall")
        assert snapshot(make.prefix) == {}

    def test_leaves_what_is_not_ours_and_what_was_changed(self, make: Maker, tree: Path) -> None:
        mine = make.prefix / "share/man/man8/mine.8"
        mine.parent.mkdir(parents=True)
        mine.write_text("mine\n")
        make(tree, "install")
        (make.prefix / "sbin/other").write_text("other\n")
        sample = make.prefix / "share/qpopper_py/etc/inetd.conf"
        sample.write_text("edited\n")
        told = make(tree, "uninstall").stdout
        assert f"{sample} was changed since we installed it: left alone" in told
        files = sorted(path for path in make.prefix.rglob("*") if path.is_file())
        assert files == sorted([make.prefix / "sbin/other", mine, sample])

    def test_where_nothing_is_installed_there_is_nothing_to_remove(self, make: Maker, tree: Path) -> None:
        assert "nothing of ours" in make(tree, "uninstall", fails=True).stderr


class TestLinks:
    """Beside pop3d, links whose names choose a personality."""

    def links(self, make: Maker) -> dict[str, str]:
        return {path.name: os.readlink(path) for path in (make.prefix / "sbin").iterdir() if path.is_symlink()}

    def test_every_personality_has_a_link_to_pop3d_by_a_name_that_chooses_it(self, make: Maker, tree: Path) -> None:
        make(tree, "install")
        links = self.links(make)
        assert set(links.values()) == {"pop3d"}
        assert {NAMES[name] for name in links} == set(Settings.__dict__["personality"].choices)

    def test_an_old_program_of_that_name_is_left_where_it_is(self, make: Maker, tree: Path) -> None:
        old = make.prefix / "sbin/popa3d"
        old.parent.mkdir(parents=True)
        old.write_text("the old one\n")
        told = make(tree, "install").stdout
        assert f"{old} was not installed by us: left alone" in told
        assert old.read_text() == "the old one\n"
        make(tree, "uninstall")
        assert [path for path in make.prefix.rglob("*") if not path.is_dir()] == [old]

    def test_a_link_that_somebody_pointed_elsewhere_is_left_alone(self, make: Maker, tree: Path) -> None:
        make(tree, "install")
        link = make.prefix / "sbin/popper"
        link.unlink()
        link.symlink_to("/nonexistent/popper")
        assert f"{link} was not installed by us" in make(tree, "install").stdout
        make(tree, "uninstall")
        assert os.readlink(link) == "/nonexistent/popper"

    def test_a_link_starts_the_program(self, make: Maker, tree: Path) -> None:
        make(tree, "install")
        assert call(make.prefix / "sbin/tru64-pop3d", "--version").strip() == version_of(make)


class TestLauncher:
    """A program that cannot start says so in the log, and never to a client."""

    @pytest.fixture
    def broken(self, make: Maker, tree: Path) -> str:
        make(tree, "install")
        (make.current / "qpopper_py/stream.py").write_text("print('chatter')\nraise RuntimeError('planted')\n")
        return make.pop3d

    def test_says_nothing_to_a_client_on_descriptors_0_to_2(self, broken: str) -> None:
        ours, theirs = socket.socketpair()
        with ours, theirs, subprocess.Popen([broken], stdin=theirs, stdout=theirs, stderr=theirs) as process:
            theirs.close()
            heard = ours.makefile("rb").read()
        assert heard == b""
        assert process.returncode == os.EX_OSERR

    def test_says_it_to_a_person(self, broken: str) -> None:
        done = subprocess.run([broken, "--version"], stdin=subprocess.DEVNULL, capture_output=True, text=True)
        assert done.returncode == os.EX_OSERR
        assert "cannot start: RuntimeError: planted" in done.stderr

    def test_a_missing_version_is_an_answer_too(self, make: Maker, tree: Path) -> None:
        make(tree, "install")
        (make.library / "current").unlink()
        done = subprocess.run([make.pop3d], stdin=subprocess.DEVNULL, capture_output=True, text=True)
        assert done.returncode == os.EX_OSERR
        assert "No module named 'qpopper_py'" in done.stderr
        assert str(make.library) in done.stderr


def test_the_hash_in_the_list_is_the_one_that_sha256sum_tells(make: Maker, tree: Path) -> None:
    make(tree, "install")
    rows = [line.split(" ", 1) for line in (make.library / "installed").read_text().splitlines()[1:]]
    files = {path: told for told, path in rows if told != "folder"}
    assert files.pop("sbin/tru64-pop3d") == "link=pop3d"
    assert files["sbin/pop3d"] == hashlib.sha256((make.prefix / "sbin/pop3d").read_bytes()).hexdigest()
    assert all((make.prefix / path).is_file() for path in files)
