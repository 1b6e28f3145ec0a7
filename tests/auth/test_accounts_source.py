"""accounts.file: the form of Dovecot's passwd-file, whose mail it is, and what makes it untrustworthy."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from qpopper_py.auth import maildrops
from qpopper_py.auth.account import Account
from qpopper_py.auth.gate import Denied, Gate
from qpopper_py.events import Event, Trouble
from qpopper_py.facts import Facts

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from qpopper_py.settings import Settings

ROOT = os.geteuid() == 0


@pytest.fixture
def accounts(tmp_path: Path) -> Path:
    return tmp_path / "accounts"


@pytest.fixture
def login(
    accounts: Path, configure: Callable[..., Settings], facts: Facts, heard: list[Event]
) -> Callable[..., Account | Denied]:
    """Write the file, then log in by it."""

    def try_it(text: str, user: bytes = b"alice", secret: bytes = b"secret", **values: object) -> Account | Denied:
        accounts.write_text(text)
        accounts.chmod(0o600)
        wanted = {"accounts_file": str(accounts), "auth_sources": "accounts", **values}
        return Gate(configure(**wanted), heard.append).check(user, secret, facts)

    return try_it


def trouble(heard: list[Event]) -> str:
    """The one thing that the log heard."""
    (event,) = heard
    assert isinstance(event, Trouble)
    return event.what


class TestFields:
    def test_all_eight(self, login: Callable[..., Account | Denied], heard: list[Event]) -> None:
        line = "alice:{PLAIN}secret:1234:4321:Alice A.:/home/alice:/bin/sh:userdb_mail=mbox:~/inbox\n"
        account = login(line)
        assert isinstance(account, Account)
        assert (account.user, account.home, account.shell) == ("alice", "/home/alice", "/bin/sh")
        assert (account.maildrop, account.system, account.login) == ("/home/alice/inbox", False, "")
        if ROOT:
            assert (account.uid, account.gid) == (1234, 4321)
        else:
            assert (account.uid, account.gid) == (os.geteuid(), os.getegid())
        assert heard == []

    @pytest.mark.parametrize(
        "text",
        [
            "# comment\n\nalice:{PLAIN}secret:1234:1234\n",
            "bob:{PLAIN}x:1:1\nalice:{PLAIN}secret:1234:1234",
            "alice:{PLAIN}secret:1234:1234::::\r\n",
            "alicea:{PLAIN}x:1:1\nalic:{PLAIN}x:1:1\nalice:{PLAIN}secret:1234:1234:\n#alice:{PLAIN}old:1:1\n",
            "broken line\nbob:{NO-SUCH}x:nobody-here::::\nalice:{PLAIN}secret:1234:1234\n",
        ],
    )
    def test_other_lines_are_their_own_users_trouble(
        self, login: Callable[..., Account | Denied], heard: list[Event], text: str
    ) -> None:
        assert isinstance(login(text), Account)
        assert heard == []

    @pytest.mark.parametrize(
        ("line", "why"),
        [
            ("alice::1234:1234::::", "no password"),
            ("alice:*:1234:1234::::", "locked"),
            ("alice:!{PLAIN}secret:1234:1234::::", "locked"),
            ("alice:{PLAIN}other:1234:1234::::", "wrong password"),
            ("alice:{PLAIN}:1234:1234::::", "wrong password"),
            ("alice:secret:1234:1234::::", "wrong password"),
            ("alice:{PLAIN}secret:1234:1234::::nologin", "nologin"),
            ("bob:{PLAIN}secret:1234:1234::::", "unknown user"),
            ("ALICE:{PLAIN}secret:1234:1234::::", "unknown user"),
        ],
    )
    def test_refused(self, login: Callable[..., Account | Denied], heard: list[Event], line: str, why: str) -> None:
        denied = login(line + "\n")
        assert isinstance(denied, Denied)
        assert why in denied.why
        assert not denied.temporary
        assert heard == []

    @pytest.mark.parametrize(
        ("lines", "number", "what"),
        [
            ("\nalice:{PLAIN}secret:1:1:\x07:::", 2, "control character"),
            ("alice:{NO-SUCH}secret:1234:1234::::", 1, "{NO-SUCH}"),
            ("alice:{PLAIN}secret:1:1::::\n\nalice:{PLAIN}x:1:1::::", 3, "already"),
            ("alice:{PLAIN}secret:1:1::::nopassword", 1, "nopassword"),
            ("alice:{PLAIN}secret:1:1::::proxy_maybe=y", 1, "proxy_maybe"),
            ("alice:{PLAIN}secret:1:1::::userdb_uid=7", 1, "userdb_uid"),
            ("alice:{PLAIN}secret:1:1::::userdb_mail=mdbox:~/Mail", 1, "mbox:FILE or maildir:FOLDER"),
            ("alice:{PLAIN}secret:1:1::::userdb_mail=mbox:~/Mail", 1, "home folder"),
            ("alice:{PLAIN}secret:1:1::::userdb_mail=mbox:Mail", 1, "absolute"),
            ("alice:{PLAIN}secret:1:1::::allow_nets=10.0.0.0/33", 1, "allow_nets"),
        ],
    )
    def test_a_damaged_line_refuses_its_user_for_now_and_names_file_and_line(
        self,
        login: Callable[..., Account | Denied],
        accounts: Path,
        heard: list[Event],
        lines: str,
        number: int,
        what: str,
    ) -> None:
        denied = login(lines + "\n")
        assert isinstance(denied, Denied)
        assert denied.temporary
        assert trouble(heard).startswith(f"{accounts}:{number}: ")
        assert what in trouble(heard)
        assert "secret" not in trouble(heard)

    def test_a_field_that_is_not_ours_is_reported_once(
        self,
        login: Callable[..., Account | Denied],
        configure: Callable[..., Settings],
        accounts: Path,
        facts: Facts,
        heard: list[Event],
    ) -> None:
        login("alice:{PLAIN}secret:1234:1234::::userdb_quota_rule=*:storage=1G\n")
        assert "userdb_quota_rule is ignored" in trouble(heard)
        heard.clear()
        gate = Gate(configure(accounts_file=str(accounts), auth_sources="accounts"), heard.append)
        assert isinstance(gate.check(b"alice", b"secret", facts), Account)
        assert isinstance(gate.check(b"alice", b"secret", facts), Account)
        assert len(heard) == 1
        assert isinstance(heard[0], Trouble)
        assert heard[0].level == "warning"

    @pytest.mark.parametrize(
        ("nets", "peer", "passes"),
        [
            ("192.0.2.0/24", "192.0.2.7", True),
            ("192.0.2.7", "192.0.2.7", True),
            ("10.0.0.0/8,192.0.2.0/24", "192.0.2.7", True),
            ("10.0.0.0/8", "192.0.2.7", False),
            ("192.0.2.0/24", "::ffff:192.0.2.7", True),
            ("2001:db8::/32", "2001:db8::1", True),
            ("2001:db8::/32", "192.0.2.7", False),
            ("fe80::/10", "fe80::1%eth0", True),
            ("local", "", True),
            ("local", "/run/pop3d.sock", True),
            ("192.0.2.0/24", "/run/pop3d.sock", False),
            ("192.0.2.0/24", "", False),
            ("", "192.0.2.7", False),
        ],
    )
    def test_allow_nets_is_kept(
        self, accounts: Path, configure: Callable[..., Settings], nets: str, peer: str, passes: bool
    ) -> None:
        accounts.write_text(f"alice:{{PLAIN}}secret:1234:1234::::allow_nets={nets}\n")
        accounts.chmod(0o600)
        gate = Gate(configure(accounts_file=str(accounts), auth_sources="accounts"), lambda event: None)
        assert isinstance(gate.check(b"alice", b"secret", Facts("s", peer=peer)), Account) is passes

    def test_a_comment_is_nobodys_line(self, login: Callable[..., Account | Denied]) -> None:
        denied = login("#alice:{PLAIN}secret:1234:1234::::\n", user=b"#alice")
        assert isinstance(denied, Denied)
        assert denied.why == "unknown user"

    def test_a_hash_of_any_form_will_do(self, login: Callable[..., Account | Denied]) -> None:
        """Made by mkpasswd; openssl; dots, slashes and dollars are no separators."""
        for stored in (
            "$y$j9T$iUg6V5HLWnhk3CcfXZGQe.$4R62TTwcPI.nUhj.QMLhczgHYRliB9T9jM2D8eiXwRC",
            "{CRYPT}$5$AO6msjCDrRjL9U.Q$qdVx6dr7J/N6BtLNLlDH/Z8B5PAOKQ4ifwal0HHxl27",
            "{SSHA}LhKrkM9Fy+zlstjdD7Kv2s6QvhBzYWx0",
        ):
            line = f"alice:{stored}:1234:1234::::\n"
            assert isinstance(login(line, secret=b"correct horse"), Account)
            assert isinstance(login(line, secret=b"secret"), Denied)


class TestMaildrop:
    LINE = "alice@example.org:{PLAIN}secret:1234:1234::/home/alice::{extra}\n"

    @pytest.mark.parametrize(
        ("template", "extra", "path"),
        [
            ("", "", ""),
            ("/mail/%u", "", "/mail/alice@example.org"),
            ("/mail/%d/%n", "", "/mail/example.org/alice"),
            ("%h/mbox", "", "/home/alice/mbox"),
            ("/mail/100%%/%n", "", "/mail/100%/alice"),
            ("/mail/%u", "userdb_mail=mbox:/other/%n", "/other/alice"),
            ("/mail/%u", "userdb_mail=mbox:~/mail:INBOX=/var/spool/%u", "/var/spool/alice@example.org"),
            ("", "userdb_mail=mbox:/a:b=c", "/a"),
            ("maildir:/mail/%d/%n/", "", "maildir:/mail/example.org/alice"),
            ("mbox:~/mbox", "", "mbox:/home/alice/mbox"),
            ("", "userdb_mail=maildir:~/Maildir", "maildir:/home/alice/Maildir"),
            ("", "userdb_mail=maildir:~/Maildir:LAYOUT=fs:INBOX=~/Maildir/in", "maildir:/home/alice/Maildir/in"),
        ],
    )
    def test_template(self, login: Callable[..., Account | Denied], template: str, extra: str, path: str) -> None:
        line = self.LINE.replace("{extra}", extra)
        account = login(line, user=b"alice@example.org", accounts_maildrop=template)
        assert isinstance(account, Account)
        assert account.maildrop == path

    @pytest.mark.parametrize(
        ("user", "template", "what"),
        [("alice", "/mail/%d/%n", "%d"), ("alice", "%h/mbox", "home folder"), ("alice", "/mail/%n/", "file")],
    )
    def test_a_template_that_does_not_fit_the_user(
        self, login: Callable[..., Account | Denied], heard: list[Event], user: str, template: str, what: str
    ) -> None:
        denied = login(f"{user}:{{PLAIN}}secret:1234:1234::::\n", user.encode(), accounts_maildrop=template)
        assert isinstance(denied, Denied)
        assert denied.temporary
        assert "accounts.maildrop" in trouble(heard)
        assert what in trouble(heard)

    @pytest.mark.parametrize("user", ["%h", "%n", "%%", "a%ub", "%s%s%n"])
    def test_percent_signs_in_a_name_are_not_read_again(self, user: str) -> None:
        assert maildrops.expand("/mail/%u/%n", user, "/home/x") == f"/mail/{user}/{user}"

    @hypothesis_settings(max_examples=200)
    @given(user=st.text(alphabet="ab./@%\0\n~-", min_size=1, max_size=12))
    def test_no_name_climbs_out(self, user: str) -> None:
        try:
            path = maildrops.expand("/mail/%d/%n/%u", user, "")
        except ValueError:
            return
        assert os.path.normpath(path) == path
        assert path.startswith("/mail/")
        assert path.count("/") == 4


class TestOwner:
    @pytest.mark.root
    def test_accounts_owner_owns_all(self, login: Callable[..., Account | Denied]) -> None:
        import pwd

        mail = pwd.getpwnam("mail")
        account = login("alice:{PLAIN}secret:1234:1234::::\n", accounts_owner="mail")
        assert isinstance(account, Account)
        assert (account.uid, account.gid, account.login) == (mail.pw_uid, mail.pw_gid, "mail")

    @pytest.mark.root
    def test_names_of_system_users_and_groups_will_do_for_numbers(self, login: Callable[..., Account | Denied]) -> None:
        import grp
        import pwd

        account = login("alice:{PLAIN}secret:mail:daemon::::\n")
        assert isinstance(account, Account)
        assert (account.uid, account.gid) == (pwd.getpwnam("mail").pw_uid, grp.getgrnam("daemon").gr_gid)
        account = login("alice:{PLAIN}secret:mail:::::\n")
        assert isinstance(account, Account)
        assert account.gid == pwd.getpwnam("mail").pw_gid
        assert account.login == ""

    @pytest.mark.root
    @pytest.mark.parametrize(
        "line", ["alice:{PLAIN}secret:0:1234", "alice:{PLAIN}secret:root:root", "alice:{PLAIN}secret:00:0"]
    )
    def test_uid_0_is_refused(self, login: Callable[..., Account | Denied], line: str) -> None:
        denied = login(line + "\n")
        assert isinstance(denied, Denied)
        assert "uid 0" in denied.why

    @pytest.mark.root
    def test_an_owner_that_is_root_is_refused(self, login: Callable[..., Account | Denied]) -> None:
        assert isinstance(login("alice:{PLAIN}secret:1:1\n", accounts_owner="root"), Denied)

    @pytest.mark.root
    @pytest.mark.parametrize(
        ("ids", "what"),
        [
            ("::", "no uid"),
            ("4294967295:1", "no uid or gid"),
            ("99999999999:1", "no uid or gid"),
            ("-1:1", "no system user"),
            ("nobody-is-called-so:1", "no system user"),
            ("1234:nobody-is-called-so", "no system group"),
            ("3999999999:", "no gid"),
        ],
    )
    def test_bad_ids(
        self, login: Callable[..., Account | Denied], accounts: Path, heard: list[Event], ids: str, what: str
    ) -> None:
        denied = login(f"alice:{{PLAIN}}secret:{ids}\n")
        assert isinstance(denied, Denied)
        assert denied.temporary
        assert trouble(heard).startswith(f"{accounts}:1: ")
        assert what in trouble(heard)

    @pytest.mark.root
    def test_an_owner_that_does_not_exist(self, login: Callable[..., Account | Denied], heard: list[Event]) -> None:
        denied = login("alice:{PLAIN}secret:1:1\n", accounts_owner="nobody-is-called-so")
        assert isinstance(denied, Denied)
        assert denied.temporary
        assert "accounts.owner" in trouble(heard)

    @pytest.mark.root
    def test_without_root_the_mail_is_ours_whatever_the_file_says(
        self, configure: Callable[..., Settings], accounts: Path, facts: Facts
    ) -> None:
        accounts.write_text("alice:{PLAIN}secret:0:0::::\n")
        accounts.chmod(0o644)
        for folder in [accounts, *accounts.parents]:
            if not folder.stat().st_mode & 0o004 and folder != accounts:
                folder.chmod(folder.stat().st_mode | 0o011)
        settings = configure(accounts_file=str(accounts), accounts_owner="mail")  # sources as they are by default
        with as_user(54321, 54322):
            account = Gate(settings, lambda event: None).check(b"alice", b"secret", facts)
            unknown = Gate(settings, lambda event: None).check(b"bob", b"secret", facts)
        assert isinstance(account, Account)
        assert (account.uid, account.gid, account.login) == (54321, 54322, "")
        assert isinstance(unknown, Denied)
        assert not unknown.temporary


class TestTrust:
    LINE = "alice:{PLAIN}secret:1234:1234::::\n"

    def check(
        self, path: Path, configure: Callable[..., Settings], facts: Facts, heard: list[Event]
    ) -> Account | Denied:
        gate = Gate(configure(accounts_file=str(path), auth_sources="accounts"), heard.append)
        gate.check(b"alice", b"secret", facts)
        heard[1:] = []
        return gate.check(b"alice", b"secret", facts)

    def test_a_file_that_everybody_may_write_lets_nobody_in(
        self, accounts: Path, configure: Callable[..., Settings], facts: Facts, heard: list[Event]
    ) -> None:
        accounts.write_text(self.LINE)
        accounts.chmod(0o602)
        assert isinstance(self.check(accounts, configure, facts, heard), Denied)
        assert isinstance(heard[0], Trouble)
        assert f"chmod go-w {accounts}" in heard[0].what

    def test_a_file_that_everybody_may_read_is_a_warning_once(
        self, accounts: Path, configure: Callable[..., Settings], facts: Facts, heard: list[Event]
    ) -> None:
        accounts.write_text(self.LINE)
        accounts.chmod(0o644)
        assert isinstance(self.check(accounts, configure, facts, heard), Account)
        assert f"chmod o-r {accounts}" in trouble(heard)
        assert isinstance(heard[0], Trouble)
        assert heard[0].level == "warning"

    def test_without_passwords_in_it_everybody_may_read_it(
        self,
        login: Callable[..., Account | Denied],
        accounts: Path,
        configure: Callable[..., Settings],
        facts: Facts,
        heard: list[Event],
    ) -> None:
        accounts.write_text("alice::1234:1234::::\n")
        accounts.chmod(0o644)
        self.check(accounts, configure, facts, heard)
        assert heard == []

    @pytest.mark.root
    @pytest.mark.parametrize(("uid", "gid", "mode"), [(0, 8, 0o660), (8, 0, 0o600)])
    def test_started_as_root_the_file_is_roots_alone(
        self,
        accounts: Path,
        configure: Callable[..., Settings],
        facts: Facts,
        heard: list[Event],
        uid: int,
        gid: int,
        mode: int,
    ) -> None:
        accounts.write_text(self.LINE)
        accounts.chmod(mode)
        os.chown(accounts, uid, gid)
        denied = self.check(accounts, configure, facts, heard)
        assert isinstance(denied, Denied)
        assert denied.temporary

    @pytest.mark.root
    def test_or_that_of_the_owner_of_all_the_mail(
        self, accounts: Path, configure: Callable[..., Settings], facts: Facts
    ) -> None:
        import pwd

        accounts.write_text(self.LINE)
        accounts.chmod(0o600)
        os.chown(accounts, pwd.getpwnam("mail").pw_uid, 0)
        settings = configure(accounts_file=str(accounts), auth_sources="accounts", accounts_owner="mail")
        assert isinstance(Gate(settings, lambda event: None).check(b"alice", b"secret", facts), Account)

    @pytest.mark.parametrize("kind", ["missing", "folder", "pipe"])
    def test_what_is_no_file_is_trouble(
        self, accounts: Path, configure: Callable[..., Settings], facts: Facts, heard: list[Event], kind: str
    ) -> None:
        if kind == "folder":
            accounts.mkdir()
        elif kind == "pipe":
            os.mkfifo(accounts)
        denied = self.check(accounts, configure, facts, heard)
        assert isinstance(denied, Denied)
        assert denied.temporary
        assert isinstance(heard[0], Trouble)
        assert str(accounts) in heard[0].what


class as_user:  # noqa: N801  # reads as a phrase
    """The effective ids are these for a while."""

    def __init__(self, uid: int, gid: int) -> None:
        self.ids = (uid, gid)

    def __enter__(self) -> None:
        self.groups = os.getgroups()
        os.setgroups([])
        os.setegid(self.ids[1])
        os.seteuid(self.ids[0])

    def __exit__(self, *exception: object) -> None:
        os.seteuid(0)
        os.setegid(0)
        os.setgroups(self.groups)
