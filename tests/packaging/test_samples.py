"""The samples in etc/ are accepted by the programs that read them, and the manual pages by groff."""

from __future__ import annotations

import os
import re
import shutil
import socket
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.harness import PATIENCE, started, wait_until
from tests.packaging.making import TREE, call

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.packaging.making import Maker

ETC = TREE / "etc"
PAGES = sorted((TREE / "man").glob("*.[1578]"))


@pytest.mark.client("systemd-analyze")
def test_systemd_accepts_the_units(tmp_path: Path) -> None:
    """Its only complaint may be that our commands are not installed here: they are replaced by /bin/true."""
    for unit in (ETC / "systemd/system").iterdir():
        (tmp_path / unit.name).write_text(unit.read_text().replace("/usr/local/sbin/pop3d", "/bin/true"))
    units = [tmp_path / "pop3d.socket", tmp_path / "pop3d.service", tmp_path / "pop3d@.service"]
    done = subprocess.run(
        ["systemd-analyze", "verify", "--man=no", *units], stdin=subprocess.DEVNULL, capture_output=True, text=True
    )
    ours = [line for line in done.stderr.splitlines() if "pop3d" in line]
    assert ours == []
    assert done.returncode == 0, done.stderr


@pytest.mark.client("systemd-analyze")
@pytest.mark.parametrize("unit", ["pop3d.service", "pop3d@.service"])
def test_the_services_give_away_what_they_do_not_need(unit: str, tmp_path: Path) -> None:
    """systemd's own measure, 0 (safe) to 10: a service that must become any user stays below its middle."""
    told = call("systemd-analyze", "security", "--offline=true", "--no-pager", ETC / "systemd/system" / unit)
    level = re.search(r"exposure level for .*: ([0-9.]+)", told)
    assert level
    assert float(level[1]) < 5


def test_a_mailer_that_changes_its_group_still_can() -> None:
    """Postfix's postdrop is set-group-id: NoNewPrivileges= would break XTND XMIT."""
    for unit in (ETC / "systemd/system").glob("*.service"):
        assert not re.search(r"^(NoNewPrivileges|User|DynamicUser)\s*=", unit.read_text(), re.M)


@pytest.mark.client("visudo")
def test_sudo_accepts_the_rule(require_program: Callable[[str], str]) -> None:
    call(require_program("visudo"), "-c", "-f", ETC / "sudoers.d/pop3d")


def test_the_sudo_rule_lets_no_argument_pass() -> None:
    rules = [line for line in (ETC / "sudoers.d/pop3d").read_text().splitlines() if line and line[0] != "#"]
    assert rules
    assert all(rule.endswith('/usr/local/bin/mailauth ""') for rule in rules)


@pytest.mark.client("systemd-tmpfiles")
def test_tmpfiles_makes_the_folders_with_these_modes(tmp_path: Path) -> None:
    shutil.copy(ETC / "tmpfiles.d/pop3d.conf", tmp_path / "pop3d.conf")
    root = tmp_path / "root"
    root.mkdir()
    text = (tmp_path / "pop3d.conf").read_text().replace("root root", "- -")
    (tmp_path / "pop3d.conf").write_text(text)
    call("systemd-tmpfiles", "--create", f"--root={root}", tmp_path / "pop3d.conf")
    modes = {path: (root / path).stat().st_mode & 0o777 for path in ("var/lib/pop3d", "etc/pop3d/keys")}
    assert modes == {"var/lib/pop3d": 0o755, "etc/pop3d/keys": 0o700}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
@pytest.mark.client("groff")
def test_groff_is_silent_about_the_page(page: Path) -> None:
    done = subprocess.run(["groff", "-mdoc", "-Tutf8", "-ww", "-z", page], capture_output=True, text=True)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


def test_there_is_a_page_for_each_command_and_for_the_file() -> None:
    assert {page.name for page in PAGES} >= {"pop3d.8", "mailauth.8", "qpopper-py.8", "pop3d.toml.5"}


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def greeting(port: int) -> bytes:
    """The first line of the server at ``port``, once there is one."""

    def answers() -> bool:
        with socket.socket() as probe:
            return probe.connect_ex(("127.0.0.1", port)) == 0

    wait_until(answers, f"a server on port {port}")
    with socket.create_connection(("127.0.0.1", port), PATIENCE) as sock, sock.makefile("rwb") as file:
        line = file.readline()
        file.write(b"QUIT\r\n")
        file.flush()
        assert file.readline().startswith(b"+OK")
    return line


@pytest.mark.slow
@pytest.mark.root
@pytest.mark.client("xinetd")
def test_xinetd_starts_the_server_by_the_sample(
    make: Maker, tree: Path, tmp_path: Path, require_program: Callable[[str], str]
) -> None:
    make(tree, "install")
    port = free_port()
    sample = (make.prefix / "share/qpopper_py/etc/xinetd.d/pop3").read_text()
    assert make.pop3d in sample
    local = f"type = UNLISTED\n\tport = {port}\n\tbind = 127.0.0.1\n"
    (tmp_path / "xinetd.conf").write_text("defaults\n{\n}\n" + sample.replace("disable\t\t= no\n", local))
    line = [require_program("xinetd"), "-dontfork", "-f", str(tmp_path / "xinetd.conf")]
    with started(*line, "-pidfile", str(tmp_path / "pid")):
        assert greeting(port).startswith(b"+OK")


@pytest.mark.slow
@pytest.mark.root
@pytest.mark.client
def test_inetd_starts_the_server_by_the_sample(
    make: Maker, tree: Path, tmp_path: Path, require_program: Callable[[str], str]
) -> None:
    inetd = openbsd_inetd(require_program)
    make(tree, "install")
    port = free_port()
    sample = (make.prefix / "share/qpopper_py/etc/inetd.conf").read_text()
    (tmp_path / "inetd.conf").write_text(re.sub(r"^pop3\b", f"127.0.0.1:{port}", sample, flags=re.M))
    with started(inetd, "-i", str(tmp_path / "inetd.conf")):
        assert greeting(port).startswith(b"+OK")


def openbsd_inetd(require_program: Callable[[str], str]) -> str:
    """The program: QPOPPER_TEST_INETD if that is set, because its package excludes xinetd's."""
    return os.environ.get("QPOPPER_TEST_INETD") or require_program("inetd")
