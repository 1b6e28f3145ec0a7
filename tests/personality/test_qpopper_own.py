"""The users' own options (reference section 5.2): whose counts, and that none does harm (CVE-2005-1151, 2002-0889)."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from qpopper_py.personality.qpopper import directives, own
from qpopper_py.settings import Settings

ROOT = os.geteuid() == 0
BASE = {"timeout": 120, "uidl": "qpopper4", "status_headers": "write"}

# What a user's own file must never change: paths, commands, log files, who may log in, another file.
NEVER = [
    "set bulldir = /etc", "set mail-command = /bin/sh", "set tracefile = /etc/x", "set config-file = /etc/shadow",
    "set spool-dir = /etc", "set temp-dir = /etc", 'set temp-name = "%s"', "set cache-dir = /etc", "set cache-name = x",
    "set home-dir-mail = .ssh/id_rsa", "set hash-spool = 1", "set auth-file = /etc/passwd", "set nonauth-file = /x",
    "set log-facility = local0", "set log-login = x", "set debug", "reset statistics", "set timing", "set shy",
    "set auto-delete", "set group-bulletins", "set user-options", "set spool-options", "set tls-support = none",
    "set tls-cipher-list = NULL", "set tls-private-key-file = /x", "set tls-version = TLSv1", "set kerberos",
    "set kerberos-service = x", "set clear-text-password = always", "set downcase-user", "set trim-domain",
    "reset reverse-lookup", "reset check-password-expired", "set keep-temp-drop", "set group-server-mode = x",
    "set no-atomic-open", "set tls-options = 1", "set tls-workarounds", "set group-no-server-mode = x",
    "set tls-passphrase = x", "set tls-identity-file = /x", "set tls-server-cert-file = /x",
]  # fmt: skip


class Own:
    """A home and a spool, and the settings that come of what lies there."""

    def __init__(self, folder: Path) -> None:
        self.home = folder / "home"
        self.spool = folder / "mail"
        self.home.mkdir()
        self.spool.mkdir()
        self.at_home = self.home / ".qpopper-options"
        self.in_spool = self.spool / ".alice.qpopper-options"
        self.said: list[str] = []

    def write(self, path: Path, text: str, mode: int = 0o644) -> None:
        path.write_text(text)
        path.chmod(mode)

    def settled(self, whose: str = "both", **more: object) -> Settings:
        settings = Settings([("test", {**BASE, "spool": str(self.spool), "user_options": whose, **more})])
        return own.settled(settings, "alice", str(self.home), self.said.append)


@pytest.fixture
def files(tmp_path: Path) -> Own:
    return Own(tmp_path)


@pytest.fixture
def users(files: Own, monkeypatch: pytest.MonkeyPatch) -> Own:
    """As the mail process of a user sees it: files that we write are the user's, not root's."""
    if ROOT:
        real = own.contents
        monkeypatch.setattr(own, "contents", lambda path: (real(path)[0], 61001))
    return files


def test_there_need_be_no_file(files: Own) -> None:
    assert files.settled().timeout == 120
    assert not files.said


@pytest.mark.parametrize(("whose", "timeout"), [("off", 120), ("home", 30), ("spool", 60), ("both", 60)])
def test_whose_file_counts_and_the_administrators_comes_last(files: Own, whose: str, timeout: int) -> None:
    files.write(files.at_home, "set timeout = 30\n")
    files.write(files.in_spool, "set timeout = 60\n")
    assert files.settled(whose).timeout == timeout


@pytest.mark.parametrize("more", [{"maildrop": "mbox:%h/Mailbox"}, {"hash_spool": 2}])
def test_the_file_in_the_spool_lies_in_the_spool_itself_wherever_the_mailbox_does(
    files: Own, more: dict[str, object]
) -> None:
    """check_config_files (pop_config.c): spool-dir/.USER.qpopper-options, without home-dir-mail and hash-spool."""
    files.write(files.in_spool, "set timeout = 60\n")
    files.write(files.home / ".Mailbox.qpopper-options", "set timeout = 30\n")
    files.write(files.home / ".alice.qpopper-options", "set timeout = 30\n")
    assert files.settled("spool", **more).timeout == 60


@pytest.mark.parametrize(
    ("text", "name", "value"),
    [
        ("set timeout = 300", "timeout", 300),
        ("set old-style-uid", "uidl", "qpopper2"),
        ("set update-on-abort", "update_on_abort", True),
        ("reset update-status-headers", "status_headers", "keep"),
        ("reset UW-kluge", "mbox_internal", "shown"),
        ("set announce-expire = 7", "expire", "7"),
        ("set announce-login-delay = 9", "login_delay_announced", 9),
        ("set max-bulletins = 3", "bulletins_new_users", 3),
    ],
)
def test_a_user_may_say_what_is_harmless(users: Own, text: str, name: str, value: object) -> None:
    users.write(users.at_home, text)
    assert getattr(users.settled("home"), name) == value
    assert not users.said


@pytest.mark.parametrize("text", NEVER)
@pytest.mark.parametrize("whose", ["home", "spool"])
def test_a_user_may_say_nothing_else_wherever_the_file_lies(users: Own, text: str, whose: str) -> None:
    users.write(users.at_home if whose == "home" else users.in_spool, f"{text}\nset timeout = 30\n")
    found = users.settled(whose)
    before = Settings([("test", {**BASE, "spool": str(users.spool), "user_options": whose})]).values
    assert {**found.values, "timeout": 120} == before
    assert len(users.said) == 1
    name = text.split()[1].lower()
    assert f"restricted option {name}" in users.said[0] or "Unrecognized option" in users.said[0]


def test_the_lists_of_this_test_leave_no_option_out() -> None:
    never = {line.split()[1].lower() for line in NEVER}
    for row in directives.TABLE:
        harmless = row.own == directives.HOME or (row.verdict == directives.NO_EFFECT and not row.restriction)
        assert harmless != (row.name.lower() in never), row.name


@pytest.mark.skipif(not ROOT, reason="only root can write a file of root's")
def test_roots_file_in_the_spool_may_say_more_but_nothing_of_the_connection(files: Own) -> None:
    files.write(files.in_spool, "set auto-delete\nset tls-support = none\nset bulldir = /x\nset timeout = 30\n")
    found = files.settled("spool")
    assert (found.auto_delete, found.timeout, found.bulletins_source) == (True, 30, "")
    assert [said.split()[5] for said in files.said] == ["tls-support;", "bulldir;"]


def test_what_expires_by_rule_is_not_kept_by_announcing_otherwise(users: Own) -> None:
    users.write(users.at_home, "set announce-expire = -1\n")
    assert users.settled("home", delete_expired=True, expire=30).expire == "30"
    assert len(users.said) == 1


def test_an_error_ends_the_file_and_keeps_what_stands_before_it(files: Own) -> None:
    files.write(files.at_home, "set timeout = 30\nnonsense\nset old-style-uid\n")
    found = files.settled("home")
    assert (found.timeout, found.uidl) == (30, "qpopper4")
    assert "line 2" in files.said[0]


@pytest.mark.parametrize("text", ["set timeout = 0", "set timeout = 99999999", "set max-bulletins = -1"])
def test_a_value_that_is_none_changes_nothing(files: Own, text: str) -> None:
    before = files.settled("home").values
    files.write(files.at_home, text)
    assert files.settled("home").values == before
    assert len(files.said) == 1


@pytest.mark.skipif(not ROOT, reason="needs a file that goes with auto_delete")
def test_what_is_at_odds_with_the_administrators_settings_is_not_heeded(files: Own) -> None:
    files.write(files.in_spool, "set auto-delete\n")
    assert not files.settled("spool", update_on_abort=True).auto_delete
    assert "cannot both be true" in files.said[0]


def test_a_link_is_not_followed(files: Own, tmp_path: Path) -> None:
    files.write(tmp_path / "elsewhere", "set timeout = 30\n")
    files.at_home.symlink_to(tmp_path / "elsewhere")
    assert files.settled("home").timeout == 120
    assert len(files.said) == 1


def test_a_second_name_of_a_file_is_not_heeded(files: Own, tmp_path: Path) -> None:
    files.write(tmp_path / "elsewhere", "set timeout = 30\n")
    os.link(tmp_path / "elsewhere", files.at_home)
    assert files.settled("home").timeout == 120
    assert "is not a file of its own" in files.said[0]


@pytest.mark.parametrize("mode", [0o664, 0o646])
def test_what_others_may_write_is_not_heeded(files: Own, mode: int) -> None:
    files.write(files.in_spool, "set timeout = 30\n", mode)
    assert files.settled("spool").timeout == 120
    assert "chmod go-w" in files.said[0]


@pytest.mark.skipif(not ROOT, reason="only root can give a file away")
def test_what_somebody_else_wrote_is_not_heeded(files: Own) -> None:
    files.write(files.in_spool, "set timeout = 30\n")
    os.chown(files.in_spool, 61002, 61002)
    assert files.settled("spool").timeout == 120
    assert "belongs to uid 61002" in files.said[0]


def test_a_folder_a_fifo_and_a_giant_keep_nobody_from_the_mail(files: Own) -> None:
    files.at_home.mkdir()
    os.mkfifo(files.in_spool)
    assert files.settled().timeout == 120
    files.in_spool.unlink()
    files.write(files.in_spool, "#" * 70_000)
    assert files.settled("spool").timeout == 120
    assert len(files.said) == 3
