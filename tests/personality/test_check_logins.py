"""What --check-config and --dump-config say of sources, lists of users and TCP wrappers."""

from __future__ import annotations

import os
import socket
from typing import TYPE_CHECKING

import pytest

from qpopper_py.auth import order, pam
from qpopper_py.personality import check, commandline, report

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def services(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder of PAM's services."""
    folder = tmp_path / "pam.d"
    folder.mkdir()
    monkeypatch.setattr(order, "FOLDERS", (str(folder),))
    return folder


def said(*settings: str) -> tuple[list[str], list[str]]:
    """(errors, hints) with these settings."""
    argv = ["--config", "none", "--check-config", *(word for each in settings for word in ("--set", each))]
    found = list(check.findings(commandline.read(argv, {}, euid=os.geteuid()), os.geteuid()))
    return [one.text for one in found if one.wrong], [one.text for one in found if not one.wrong]


def holds(texts: list[str], words: str) -> bool:
    return any(words in text for text in texts)


def test_which_source_system_is_stands_in_both(services: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = f"system is unix: there is no {services}/pop3 (pam.service)"
    assert holds(said()[1], f"auth.sources: {words}")
    (services / "pop3").touch()
    words = f"system is pam, by {services}/pop3"
    assert holds(said()[1], f"auth.sources: {words}")
    for option in ("--dump-config", "--dump-config=all"):
        report.answer(commandline.read(["--config", "none", option], {}, euid=os.geteuid()))
        assert words in capsys.readouterr().out
    report.answer(commandline.read(["--config", "none", "--dump-config", "--set", "auth.sources=unix"], {}, euid=0))
    assert "system is" not in capsys.readouterr().out


def test_both_pam_and_unix_is_worth_a_word(services: Path) -> None:
    assert holds(said("auth.sources=pam,unix")[1], "pam and unix are both asked")
    assert holds(said("auth.sources=system,unix", "pam.service=pop3")[1], "system is unix")
    assert not holds(said("auth.sources=system,unix")[1], "both asked")
    (services / "pop3").touch()
    assert holds(said("auth.sources=system,unix")[1], "both asked")


def test_pam_without_a_service_goes_by_other(services: Path) -> None:
    assert holds(said("auth.sources=pam")[1], "PAM goes by /etc/pam.d/other")


def test_pam_without_libpam_is_an_error(services: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pam, "LIBRARY", "libpam-is-not-here.so.0")
    monkeypatch.setattr(pam, "_found", [])
    assert holds(said("auth.sources=pam")[0], "install libpam0g")


def test_failures_that_are_counted_twice_are_worth_a_word(services: Path) -> None:
    (services / "pop3").touch()
    assert holds(said("auth.c2=true")[1], "pam_faillock and by c2.failures")


def test_saslauthd_must_be_there(tmp_path: Path) -> None:
    path = tmp_path / "mux"
    name = f"saslauthd.socket={path}"
    assert holds(said("auth.sources=saslauthd", name)[0], f"{path}: No such file or directory; start saslauthd")
    path.touch()
    assert holds(said("auth.sources=saslauthd", name)[0], "is no socket")
    path.unlink()
    with socket.socket(socket.AF_UNIX) as sock:
        sock.bind(str(path))
        assert not holds(said("auth.sources=saslauthd", name)[0], "saslauthd")
    assert not holds(said(name)[0], "saslauthd")


def test_lists_of_users_must_be_there_and_readable(tmp_path: Path) -> None:
    path = tmp_path / "list"
    assert holds(said(f"auth.auth_file={path}")[0], "so nobody can log in")
    assert holds(said(f"auth.nonauth_file={path}")[1], "it keeps nobody out")
    path.write_text("alice\n")
    assert not holds([*said(f"auth.auth_file={path}")[0], *said(f"auth.nonauth_file={path}")[1]], str(path))
    path.chmod(0o666)
    for name in ("auth_file", "nonauth_file"):
        assert holds(said(f"auth.{name}={path}")[0], "chmod go-w")


def test_tables_of_tcp_wrappers_must_be_readable(tmp_path: Path) -> None:
    names = [f"hosts_access_{name}={tmp_path}/{name}" for name in ("allow", "deny")]
    assert holds(said("hosts_access=on", *names)[1], "everybody is let in")
    (tmp_path / "deny").symlink_to(tmp_path / "none")
    assert holds(said("hosts_access=on", *names)[0], "nobody would be let in")
    assert not holds([*said(*names)[0], *said(*names)[1]], "hosts_access")


@pytest.mark.parametrize("name", ["pam.service", "saslauthd.service", "hosts_access_daemon"])
@pytest.mark.parametrize("value", ["", "../passwd", ".hidden", "two words", "a/b", "caf\u00e9"])
def test_a_service_is_a_word(name: str, value: str) -> None:
    with pytest.raises(commandline.ConfigurationError, match=name):
        said(f"{name}={value}")
