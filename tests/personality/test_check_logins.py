"""What --check-config and --dump-config say of sources, lists of users and TCP wrappers."""

from __future__ import annotations

import os
import socket
from typing import TYPE_CHECKING

import pytest

from qpopper_py.auth import authdb_edit, order, pam
from qpopper_py.auth.kerberos import krb5
from qpopper_py.errors import ConfigurationError
from qpopper_py.personality import check, commandline, report
from qpopper_py.personality.check_logins import mechanisms, tokens
from qpopper_py.settings import Settings

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


def test_kerberos_must_have_a_keytab_of_its_own(tmp_path: Path) -> None:
    path = tmp_path / "keytab"
    names = ("auth.sources=kerberos", f"kerberos.keytab={path}")
    assert holds(said(*names)[0], f"{path}: No such file or directory; make it with kadmin's ktadd")
    path.touch(0o644)
    path.chmod(0o644)
    assert holds(said(*names)[0], f"chmod 600 {path}")
    path.chmod(0o600)
    assert not holds(said(*names)[0], "kerberos")
    assert not holds(said(names[1])[0], "kerberos")


def test_kerberos_without_its_library_is_an_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "keytab").touch(0o600)
    monkeypatch.setattr(krb5, "LIBRARY", "libkrb5-is-not-here.so.3")
    krb5.library.cache_clear()
    assert holds(said("auth.sources=kerberos", f"kerberos.keytab={tmp_path}/keytab")[0], "install libkrb5-3")


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


class TestTokens:
    def said(self, **values: object) -> list[str]:
        settings = Settings([("test", {name.replace("_", ".", 1): value for name, value in values.items()})])
        return [str(finding) for finding in tokens(settings, 0)]

    def test_without_oauth_there_is_nothing_to_say(self) -> None:
        assert self.said(oauth_keys="/no/such/file") == []

    def test_half_a_configuration_is_an_error(self) -> None:
        assert self.said(auth_sources="oauth")[0].startswith("error: oauth.keys, oauth.introspection: set one")
        assert "oauth.audience" in self.said(auth_sources="oauth", oauth_keys="/x")[0]

    def test_keys_that_cannot_be_read_are_an_error(self) -> None:
        said = self.said(auth_sources="oauth", oauth_keys="/no/such", oauth_issuer="i", oauth_audience="a")
        assert said == ["error: /no/such: No such file or directory; oauth.keys names it"]

    def test_an_issuer_that_is_asked_needs_no_keys(self) -> None:
        assert self.said(auth_sources="oauth", oauth_introspection="https://login.example.org/") == []

    def test_scram_without_a_state_folder_is_an_error(self) -> None:
        settings = Settings([("test", {"auth.mechanisms": "SCRAM-SHA-256", "state_dir": ""})])
        assert ["state_dir" in str(finding) for finding in mechanisms(settings, 0)] == [True]

    def test_apop_entries_make_clients_choose_for_everybody(self, tmp_path: Path) -> None:
        where = (f"{tmp_path}/mailauth.db", f"{tmp_path}/keys/mailauth.key", "")
        settings = Settings([("test", {"mailauth.database": where[0], "mailauth.key": where[1]})])
        authdb_edit.create(*where)
        assert list(mechanisms(settings, 0)) == []
        authdb_edit.Editor(*where).put("alice", "APOP", b"secret")
        assert [str(finding).startswith("hint: auth.mechanisms") for finding in mechanisms(settings, 0)] == [True]
        chosen = Settings([("test", {**settings.values, "auth.mechanisms": "PLAIN"})])
        assert list(mechanisms(chosen, 0)) == []


@pytest.mark.parametrize(
    "url", ["https://x.example/a", "http://localhost:8080/", "http://127.0.0.1/", "http://[::1]:1/"]
)
def test_an_issuer_is_asked_over_https_or_on_this_host(url: str) -> None:
    assert Settings([("test", {"oauth.introspection": url})]).oauth_introspection == url


@pytest.mark.parametrize(
    "url",
    ["http://x.example/", "http://localhost.evil.example/", "http://127.0.0.1.evil.example/", "ftp://localhost/",
     "file:///etc/passwd", "https://user:pw@x.example/", "http://localhost@evil.example/", "https://a b/", "x"],
)  # fmt: skip
def test_and_nowhere_else(url: str) -> None:
    with pytest.raises(ConfigurationError, match=r"oauth\.introspection"):
        Settings([("test", {"oauth.introspection": url})])
