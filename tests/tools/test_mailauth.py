"""The command mailauth: every form, what it refuses, and that no secret shows anywhere."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import syslog
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from qpopper_py.auth import crypt
from qpopper_py.stamp import has_apop_entries
from qpopper_py.tools import mailauth, mailauth_rights
from tests.tools.desk import Desk, Done

if TYPE_CHECKING:
    from collections.abc import Sequence

SECRET = "correct horse battery"


class Mailauth(Desk):
    """mailauth at such a desk."""

    def __init__(self, folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
        super().__init__(folder, monkeypatch, capsys)
        self.settings["accounts.owner"] = ""

    def __call__(self, *words: str, given: str = "", **more: object) -> Done:
        return self.run(mailauth.main, words, given, **more)

    def add(self, user: str, type_: str, secret: str = SECRET) -> Done:
        done = self("add", user, "--type", type_, "--stdin", given=secret + "\n")
        assert done.status == 0, done.err
        return done


@pytest.fixture
def desk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Mailauth:
    return Mailauth(tmp_path, monkeypatch, capsys)


@pytest.fixture
def ready(desk: Mailauth) -> Mailauth:
    assert desk("init").status == 0
    return desk


class TestTru64Forms:
    """mailauth(8) of Tru64: -init, -convert, -list [-type T], -delete name, -user name [-type T]."""

    def test_init_makes_a_private_database_and_key(self, desk: Mailauth) -> None:
        done = desk("-init")
        assert done.status == 0
        assert str(desk.database) in done.out
        for path, mode in ((desk.database, 0o600), (desk.key, 0o600), (desk.key.parent, 0o700)):
            assert path.stat().st_mode & 0o7777 == mode

    def test_user_without_a_type_and_without_an_entry_is_apop(self, ready: Mailauth) -> None:
        assert ready("-user", "alice", "--stdin", given=SECRET).status == 0
        assert ready.db.types("alice") == {"APOP"}
        assert ready.db.apop_secret("alice") == SECRET.encode()

    @pytest.mark.parametrize("type_", ["POP", "APOP", "IMAP", "pop"])
    def test_user_with_a_type(self, ready: Mailauth, type_: str) -> None:
        assert ready("-user", "alice", "-type", type_, "--stdin", given=SECRET).status == 0
        assert ready.db.types("alice") == {type_.upper()}

    def test_user_without_a_type_changes_the_one_entry_there_is(self, ready: Mailauth) -> None:
        ready.add("alice", "POP")
        assert ready("-user", "alice", "--stdin", given="another secret\n").status == 0
        assert ready.db.types("alice") == {"POP"}
        assert ready.db.check_pop("alice", b"another secret") is True

    def test_with_two_entries_the_type_has_to_be_said(self, ready: Mailauth) -> None:
        ready.add("alice", "POP")
        ready.add("alice", "APOP")
        done = ready("-user", "alice", "--stdin", given=SECRET)
        assert done.status == 1
        assert "alice has APOP and POP entries; say which" in done.err

    def test_list_shows_user_and_type_in_two_columns(self, ready: Mailauth) -> None:
        ready.add("bob", "POP")
        ready.add("alice", "APOP")
        ready.add("alice", "IMAP")
        rows = [line.split() for line in ready("-list").out.splitlines()]
        assert rows == [["alice", "APOP"], ["alice", "IMAP"], ["bob", "POP"]]
        assert [line.split() for line in ready("-list", "-type", "POP").out.splitlines()] == [["bob", "POP"]]

    def test_delete_removes_all_of_a_user(self, ready: Mailauth) -> None:
        ready.add("alice", "POP")
        ready.add("alice", "APOP")
        ready.add("bob", "APOP")
        assert ready("-delete", "alice").status == 0
        assert ready.db.types("alice") == frozenset()
        assert ready.db.types("bob") == {"APOP"}

    def test_convert_without_a_file_leaves_a_present_database_as_it_is(self, ready: Mailauth) -> None:
        ready.add("alice", "APOP")
        done = ready("-convert")
        assert done.status == 0
        assert "in the present format" in done.out
        assert "mailauth convert FILE" in done.out
        assert ready.db.types("alice") == {"APOP"}


class TestWords:
    def test_each_word_does_what_it_says(self, desk: Mailauth) -> None:
        assert desk("init").status == 0
        assert desk("add", "alice", "--stdin", given=SECRET).status == 0
        assert desk("passwd", "alice", "--stdin", given="second secret").status == 0
        assert desk.db.apop_secret("alice") == b"second secret"
        assert desk("list").out.split() == ["alice", "APOP"]
        assert desk("delete", "alice", "--type", "APOP").status == 0
        assert desk("list").out == ""

    def test_passwd_makes_no_new_entry(self, ready: Mailauth) -> None:
        done = ready("passwd", "alice", "--stdin", given=SECRET)
        assert done.status == 1
        assert "mailauth add alice --type APOP" in done.err

    def test_deleting_what_is_not_there_is_said(self, ready: Mailauth) -> None:
        ready.add("alice", "APOP")
        done = ready("delete", "alice", "--type", "POP")
        assert done.status == 1
        assert "no POP entry for 'alice'" in done.err
        assert ready("delete", "bob").status == 1

    def test_add_makes_a_missing_database_and_says_so(self, desk: Mailauth) -> None:
        done = desk("add", "alice", "--stdin", given=SECRET)
        assert done.status == 0
        assert f"initialized {desk.database}" in done.out
        assert has_apop_entries(str(desk.database))

    @pytest.mark.parametrize("words", [["list"], ["delete", "alice"], ["export"]])
    def test_others_name_the_missing_database_and_what_to_run(self, desk: Mailauth, words: list[str]) -> None:
        done = desk(*words)
        assert done.status == 1
        assert f"there is no database {desk.database}" in done.err
        assert "mailauth init" in done.err
        assert not desk.database.exists()

    def test_hash_makes_what_the_accounts_file_takes(self, desk: Mailauth) -> None:
        done = desk("hash", "--stdin", given=SECRET + "\n")
        assert done.status == 0
        hashed = done.out.strip()
        assert hashed.startswith("$6$")
        assert crypt.verify(SECRET.encode(), hashed)
        assert not crypt.verify(b"other", hashed)
        judge = pytest.importorskip("passlib.hash").sha512_crypt
        assert judge.verify(SECRET, hashed)

    def test_an_imap_entry_is_a_line_for_dovecot(self, ready: Mailauth) -> None:
        ready.add("alice", "IMAP")
        ready.add("alice", "APOP")
        done = ready("export", "--passwd-file", str(ready.folder / "passwd"))
        assert done.status == 0, done.err
        line = (ready.folder / "passwd").read_text()
        assert line.count("\n") == 1
        user, hashed, *rest = line.strip().split(":")
        assert user == "alice"
        assert len(rest) == 6  # doc.dovecot.org, passwd-file: user:password:uid:gid:gecos:home:shell:extra
        assert hashed.startswith("{SHA512-CRYPT}$6$")
        assert crypt.verify(SECRET.encode(), hashed)

    def test_help_names_every_word_and_every_tru64_option(self, desk: Mailauth) -> None:
        done = desk("--help")
        assert done.status == 0
        for word in ("-init", "-convert", "-list", "-type", "-delete", "-user"):
            assert word in done.out
        for word in ("add", "passwd", "delete", "list", "init", "convert", "import", "export", "hash", "--stdin"):
            assert word in done.out


class TestInitAgain:
    @pytest.mark.parametrize("answer", ["", "\n", "n\n", "no\n"])
    def test_an_existing_database_stays_unless_the_answer_is_yes(self, ready: Mailauth, answer: str) -> None:
        ready.add("alice", "APOP")
        done = ready("-init", given=answer)
        assert done.status == 1
        assert "Really initialize" in done.out
        assert ready.db.types("alice") == {"APOP"}

    @pytest.mark.parametrize(("words", "answer"), [(["-init"], "y\n"), (["-init"], "Yes\n"), (["init", "--force"], "")])
    def test_yes_or_force_empties_it(self, ready: Mailauth, words: list[str], answer: str) -> None:
        ready.add("alice", "APOP")
        assert ready(*words, given=answer).status == 0
        assert ready.db.types("alice") == frozenset()
        ready.add("alice", "APOP")

    def test_a_file_of_something_else_is_replaced_on_a_yes_only(self, ready: Mailauth) -> None:
        ready.database.write_text("precious")
        assert ready("init").status == 1
        assert ready.database.read_text() == "precious"
        assert ready("init", given="y\n").status == 0
        assert ready("list").status == 0


class TestWhatNowWorks:
    """With an APOP entry alone PASS is refused (mailauth.exclusive); POP takes the place of the login password."""

    def test_apop_alone(self, ready: Mailauth) -> None:
        told = ready.add("alice", "APOP").out.splitlines()[-1]
        assert told == "alice: APOP works now; PASS is refused while there is no POP entry"

    def test_apop_alone_where_it_is_not_exclusive(self, ready: Mailauth) -> None:
        done = ready("add", "alice", "--stdin", given=SECRET, mailauth__exclusive="false")
        assert "PASS takes the password of the accounts file" in done.out

    def test_pop_alone(self, ready: Mailauth) -> None:
        told = ready.add("alice", "POP").out.splitlines()[-1]
        assert "PASS takes the secret of the POP entry, in place of the password" in told
        assert "APOP is refused while there is no APOP entry" in told

    def test_both(self, ready: Mailauth) -> None:
        ready.add("alice", "POP")
        told = ready.add("alice", "APOP").out.splitlines()[-1]
        assert "APOP works now; PASS takes the secret of the POP entry" in told

    def test_imap_changes_nothing_here(self, ready: Mailauth) -> None:
        told = ready.add("alice", "IMAP").out.splitlines()[-1]
        assert "kept for other programs" in told
        assert "PASS takes the password of the accounts file" in told

    def test_settings_that_take_the_entries_out_of_use_are_said(self, ready: Mailauth) -> None:
        never = ready("add", "alice", "--stdin", given=SECRET, apop__stamp="never")
        assert "not offered while apop.stamp is never" in never.out
        unasked = ready("add", "alice", "--stdin", given=SECRET, auth__sources="unix")
        assert "mailauth is not in auth.sources" in unasked.out
        first = ready("add", "bob", "--type", "POP", "--stdin", given=SECRET, auth__sources="accounts,mailauth")
        assert "which auth.sources asks for first" in first.out

    def test_after_a_deletion_too(self, ready: Mailauth) -> None:
        ready.add("alice", "APOP")
        told = ready("delete", "alice").out.splitlines()[-1]
        assert "PASS takes the password of the accounts file" in told


class TestNames:
    def test_a_user_nobody_knows_is_refused_unless_forced(self, ready: Mailauth) -> None:
        done = ready("add", "mickey", "--stdin", given=SECRET)
        assert done.status == 1
        assert "mickey is not in NSS and" in done.err
        assert "--force" in done.err
        assert ready.db.types("mickey") == frozenset()
        forced = ready("add", "mickey", "--force", "--stdin", given=SECRET)
        assert forced.status == 0
        assert "mickey: cannot log in" in forced.out

    def test_an_account_that_is_refused_gets_its_entry_and_a_word(self, ready: Mailauth) -> None:
        done = ready("add", "root", "--stdin", given=SECRET)
        assert done.status == 0
        assert "root: a login from this host is refused: uid 0" in done.out

    def test_a_user_of_nss_is_known(self, ready: Mailauth) -> None:
        assert ready("add", "daemon", "--stdin", given=SECRET, accounts__file="").status == 0

    def test_the_name_is_kept_as_the_server_looks_for_it(self, ready: Mailauth) -> None:
        more = {"auth__lowercase_user": "true", "auth__strip_domain": "true"}
        done = ready("add", "Alice@example.org", "--stdin", given=SECRET, **more)
        assert done.status == 0
        assert "is kept as alice" in done.out
        assert ready.db.types("alice") == {"APOP"}

    @pytest.mark.parametrize("name", ["", "a b", "a:b", "../etc", ".x", "a\nb", "x" * 300, "é\udcff"])
    def test_what_cannot_be_a_name_is_refused_even_by_force(self, ready: Mailauth, name: str) -> None:
        done = ready("add", "--force", "--stdin", "--", name, given=SECRET)
        assert done.status == 1
        assert "cannot be a user" in done.err
        assert "\n" not in done.err.strip()


class TestSecrets:
    @pytest.mark.parametrize(
        "words",
        [
            ["add", "alice", "opensesame"],
            ["-user", "alice", "opensesame"],
            ["passwd", "alice", "opensesame"],
            ["hash", "opensesame"],
            ["-user", "alice", "-type", "APOP", "opensesame"],
        ],
    )
    def test_one_on_the_command_line_is_refused_and_not_repeated(self, ready: Mailauth, words: list[str]) -> None:
        done = ready(*words, given="other\n")
        assert done.status == 2
        assert "never given on the command line" in done.err
        assert "opensesame" not in done.err + done.out
        assert ready.db.types("alice") == frozenset()

    @pytest.mark.parametrize(
        ("given", "why"),
        [
            ("", "holds no secret"),
            ("\n", "it is empty"),
            ("a\tb\n", "control character"),
            ("a\0b\n", "control character"),
            ("x" * 256 + "\n", "longer than 255"),
        ],
    )
    def test_what_can_be_no_secret_changes_nothing(self, ready: Mailauth, given: str, why: str) -> None:
        ready.add("alice", "APOP")
        done = ready("passwd", "alice", "--stdin", given=given)
        assert done.status == 1
        assert why in done.err
        assert ready.db.apop_secret("alice") == SECRET.encode()

    @pytest.mark.parametrize(
        "given", ["  with blanks \n", "ends in CR LF\r\n", "no newline", "two\nlines\n", "zwölf\n"]
    )
    def test_stdin_is_one_line_and_its_blanks_count(self, ready: Mailauth, given: str) -> None:
        assert ready("add", "alice", "--stdin", given=given).status == 0
        expected = given.split("\n")[0].removesuffix("\r").encode()
        assert ready.db.apop_secret("alice") == expected

    def test_a_short_one_is_warned_about(self, ready: Mailauth) -> None:
        assert "soon guessed" in ready("add", "alice", "--stdin", given="short").err

    def test_without_a_terminal_and_without_stdin_nothing_is_asked(self, ready: Mailauth) -> None:
        line = [sys.executable, "-m", "qpopper_py.tools.mailauth", "--config", "none", "hash"]
        root = str(Path(mailauth.__file__).resolve().parents[2])
        done = subprocess.run(
            line,
            input=b"x\n",
            capture_output=True,
            env={**os.environ, "PYTHONPATH": root},
            start_new_session=True,  # which has no terminal
        )
        assert done.returncode == 1
        assert b"there is no terminal to ask at; --stdin" in done.stderr
        assert b"Traceback" not in done.stderr

    def test_no_secret_is_in_any_file_log_or_output(self, ready: Mailauth) -> None:
        seen = []
        for type_ in ("POP", "APOP", "IMAP"):
            for secret in (SECRET, SECRET + " changed"):
                done = ready("add", "alice", "--type", type_, "--stdin", given=secret + "\n")
                seen += [done.out, done.err]
        for words in (["list"], ["export"], ["delete", "alice"]):
            done = ready(*words)
            seen += [done.out, done.err]
        seen += [line for _, line in ready.log]
        assert SECRET not in "".join(seen)
        for path in ready.folder.rglob("*"):
            if path.is_file():
                assert SECRET.encode() not in path.read_bytes(), path


class TestLog:
    def test_every_change_is_one_notice_that_names_the_actor(self, ready: Mailauth) -> None:
        ready.log.clear()
        ready.add("alice", "APOP")
        ready.add("alice", "APOP")
        ready("delete", "alice")
        ready("init", "--force")
        me = mailauth_rights.name_of(os.getuid())
        assert [line for _, line in ready.log] == [
            f"alice: APOP entry added by {me}",
            f"alice: APOP entry changed by {me}",
            f"alice: APOP entry deleted by {me}",
            f"{ready.database} initialized by {me}",
        ]
        assert {level for level, _ in ready.log} == {syslog.LOG_NOTICE}

    def test_what_changes_nothing_is_not_logged(self, ready: Mailauth) -> None:
        ready.log.clear()
        ready("list")
        ready("add", "mickey", "--stdin", given=SECRET)
        ready("delete", "alice")
        assert ready.log == []

    def test_facility_is_the_settings(self, ready: Mailauth, monkeypatch: pytest.MonkeyPatch) -> None:
        opened: list[tuple[object, ...]] = []
        monkeypatch.setattr(syslog, "openlog", lambda *values: opened.append(values))
        ready.add("alice", "APOP")
        assert opened == [("mailauth", syslog.LOG_PID, syslog.LOG_MAIL)]

    def test_without_syslog_it_is_told_on_stderr(self, ready: Mailauth) -> None:
        done = ready("add", "alice", "--stdin", given=SECRET, log__to="stderr")
        assert re.search(r"^mailauth: alice: APOP entry added by ", done.err, re.MULTILINE)


class TestUsage:
    @pytest.mark.parametrize(
        ("words", "why"),
        [
            (["frobnicate"], "no command 'frobnicate'"),
            (["-frob"], "no option -frob"),
            (["-list", "-delete", "alice"], "exclude each other"),
            (["-delete"], "delete takes a name"),
            (["-user"], "add takes a name"),
            (["-list", "-type"], "-type needs a value"),
            (["-list", "-type", "SMTP"], "no type 'SMTP'"),
            (["-list", "alice"], "list takes nothing"),
            (["list", "--secrets"], "--secrets does not go with list"),
            (["-init", "-type", "POP"], "--type does not go with init"),
            (["--force"], "--force does not go with mailauth without a name"),
            (["list", "--force=yes"], "takes no value"),
            (["list", "--set", "spool"], "there is no = in it"),
            (["list", "--set", "mailauth.databse=/x"], "no setting 'mailauth.databse'"),
            (["export", "--passwd-file", "--type", "POP"], "--passwd-file is of IMAP entries"),
        ],
    )
    def test_what_is_wrong_is_named(self, ready: Mailauth, words: list[str], why: str) -> None:
        done = ready(*words)
        assert done.status == 2
        assert why in done.err
        assert "--help" in done.err

    def test_without_a_configured_database_it_says_so(self, desk: Mailauth) -> None:
        done = desk("list", mailauth__database="")
        assert done.status == 1
        assert "mailauth.database is empty" in done.err


class TestTrust:
    def test_a_database_others_can_read_is_refused_by_every_form(self, ready: Mailauth) -> None:
        ready.add("alice", "APOP")
        ready.database.chmod(0o644)
        for words in (["list"], ["add", "bob", "--stdin"], ["delete", "alice"], ["export"], ["passwd", "alice"]):
            done = ready(*words, given=SECRET)
            assert done.status == 1
            assert "mode 0644" in done.err

    def test_a_lost_key_is_named(self, ready: Mailauth) -> None:
        ready.add("alice", "POP")
        ready.key.unlink()
        done = ready("add", "alice", "--type", "APOP", "--stdin", given=SECRET)
        assert done.status == 1
        assert f"the key {ready.key} is missing" in done.err
        assert ready.db.types("alice") == {"POP"}


class TestExportImport:
    def fill(self, desk: Mailauth) -> None:
        for type_ in ("POP", "APOP", "IMAP"):
            desk.add("alice", type_, f"secret: of {type_} ")
        desk.add("bob", "APOP", "zwölf")

    def test_what_was_exported_is_imported_elsewhere(
        self, ready: Mailauth, tmp_path_factory: pytest.TempPathFactory
    ) -> None:
        self.fill(ready)
        file = ready.folder / "backup"
        assert ready("export", "--secrets", str(file)).status == 0
        assert file.stat().st_mode & 0o7777 == 0o600
        other = Mailauth(tmp_path_factory.mktemp("other"), ready.monkeypatch, ready.capsys)
        done = other("import", str(file))
        assert done.status == 0, done.err
        assert "imported 4 entries" in done.out
        assert other.db.check_pop("alice", b"secret: of POP ") is True
        assert other.db.apop_secret("alice") == b"secret: of APOP "
        assert other.db.apop_secret("bob") == "zwölf".encode()
        assert other.db.stored("alice", "IMAP") == ready.db.stored("alice", "IMAP")
        again = other.folder / "backup"
        assert other("export", "--secrets", str(again)).status == 0
        assert again.read_bytes() == file.read_bytes()

    def test_without_secrets_there_are_none(self, ready: Mailauth) -> None:
        self.fill(ready)
        done = ready("export", str(ready.folder / "names"))
        assert done.status == 0
        text = (ready.folder / "names").read_text()
        assert re.findall(r"^(\w+):(\w+):\d+:(.*)$", text, re.MULTILINE) == [
            ("alice", "APOP", ""),
            ("alice", "IMAP", ""),
            ("alice", "POP", ""),
            ("bob", "APOP", ""),
        ]

    def test_an_export_without_secrets_cannot_be_imported(self, ready: Mailauth) -> None:
        self.fill(ready)
        ready("export", str(ready.folder / "names"))
        done = ready("import", "--overwrite", str(ready.folder / "names"))
        assert done.status == 1
        assert "line 2: there is no secret; it was exported without --secrets" in done.err
        assert ready.db.apop_secret("bob") == "zwölf".encode()

    def test_a_file_that_is_there_is_not_written_over(self, ready: Mailauth) -> None:
        (ready.folder / "precious").write_text("precious")
        done = ready("export", "--secrets", str(ready.folder / "precious"))
        assert done.status == 1
        assert (ready.folder / "precious").read_text() == "precious"

    def test_secrets_go_to_no_file_that_others_can_read(self, ready: Mailauth) -> None:
        self.fill(ready)
        target = ready.folder / "redirected"
        assert outside(ready, target, "export", "--secrets") == 1
        assert target.read_bytes() == b""
        target.chmod(0o600)
        assert outside(ready, target, "export", "--secrets") == 0
        assert target.read_bytes().count(b"\n") == 5

    def test_what_is_there_is_kept_unless_overwritten(self, ready: Mailauth) -> None:
        self.fill(ready)
        file = ready.folder / "new"
        file.write_text("alice:APOP::{PLAIN}changed\ncarol:APOP:5:{PLAIN}hers\n")
        done = ready("import", str(file))
        assert (done.status, ready.db.apop_secret("alice")) == (0, b"secret: of APOP ")
        assert "1 are here already and were kept" in done.out
        assert ready.db.apop_secret("carol") == b"hers"
        assert ready("import", str(file), "--overwrite").status == 0
        assert ready.db.apop_secret("alice") == b"changed"

    def test_clear_secrets_are_imported_for_every_type(self, ready: Mailauth) -> None:
        text = "".join(f"alice:{type_}::{{PLAIN}}clear\n" for type_ in ("POP", "APOP", "IMAP"))
        assert ready("import", "-", given="# many\n\n" + text).status == 0
        assert ready.db.check_pop("alice", b"clear") is True
        assert ready.db.apop_secret("alice") == b"clear"
        assert crypt.verify(b"clear", ready.db.stored("alice", "IMAP") or b"")
        assert b"clear" not in ready.database.read_bytes()

    @pytest.mark.parametrize(
        ("line", "why"),
        [
            ("alice", "is not user:type:time:secret"),
            ("alice:SMTP::{PLAIN}s3cr3t", "the type is none of"),
            ("alice:APOP:soon:{PLAIN}s3cr3t", "not a number"),
            ("alice:APOP::s3cr3t", "is {PLAIN} or"),
            ("alice:POP::s3cr3t", "is $scrypt$"),
            ("alice:POP::$scrypt$s3cr3t", "is $scrypt$"),
            ("alice:IMAP::s3cr3t", "is a hash"),
            ("alice:APOP::{PLAIN.b64}s3cr3t!", "not base64"),
            ("alice:APOP::{PLAIN}s3c\tr3t", "control characters"),
            ("a b:APOP::{PLAIN}s3cr3t", "blank"),
            ("bob:APOP::{PLAIN}s3cr3t", "a second APOP entry of bob"),
        ],
    )
    def test_a_wrong_line_is_named_and_nothing_is_imported(self, ready: Mailauth, line: str, why: str) -> None:
        file = ready.folder / "new"
        file.write_text(f"bob:APOP::{{PLAIN}}x\n{line}\n")
        done = ready("import", str(file))
        assert done.status == 1
        assert "line 2" in done.err
        assert why in done.err
        assert "s3c" not in done.err
        assert ready("list").out == ""


def outside(desk: Mailauth, target: Path, *words: str) -> int:
    """Run it as a process of its own with its output in ``target``."""
    line = [sys.executable, "-m", "qpopper_py.tools.mailauth", "--config", "none"]
    for name, value in desk.settings.items():
        line += ["--set", f"{name}={value}"]
    root = str(Path(mailauth.__file__).resolve().parents[2])
    mode = target.stat().st_mode & 0o777 if target.exists() else 0o644
    with open(os.open(target, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, mode), "wb") as out:
        return subprocess.run(
            [*line, *words], stdout=out, stderr=subprocess.DEVNULL, env={**os.environ, "PYTHONPATH": root}
        ).returncode


def obscured(secret: bytes) -> bytes:
    return bytes(octet ^ 0xFF for octet in secret)


def dump(pairs: Sequence[tuple[bytes, bytes]]) -> str:
    items = "".join(f" {item.hex()}\n" for pair in pairs for item in pair)
    return f"VERSION=3\nformat=bytevalue\ntype=hash\nHEADER=END\n{items}DATA=END\n"


class TestConvert:
    old = (
        (b"alice\0", obscured(b"tanstaaf") + b"\0\0"),
        (b"bob\0", obscured(b"swordfish") + b"\0c2NyYW0=\0"),
        (b"carol\0", obscured(b"*") + b"\0\0"),
        (b"mickey\0", obscured(b"minnie") + b"\0\0"),
    )

    @pytest.fixture
    def file(self, tmp_path: Path) -> Path:
        path = tmp_path / "pop.auth.txt"
        path.write_text(dump(self.old))
        return path

    @pytest.mark.parametrize("form", ["-convert", "convert", "--convert"])
    def test_apop_secrets_are_taken_over_and_work(self, desk: Mailauth, file: Path, form: str) -> None:
        before = file.read_bytes()
        done = desk(form, str(file))
        assert done.status == 0, done.err
        assert "converted 3 APOP entries" in done.out
        # RFC 1939 section 7
        stamp, digest = "<1896.697170952@dbc.mtview.ca.us>", b"c4c9334bac560ecc979e58001b3e22fb"
        assert desk.db.check_apop("alice", stamp, digest) is True
        assert desk.db.apop_secret("bob") == b"swordfish"
        assert file.read_bytes() == before

    def test_what_was_left_out_is_counted_and_named(self, desk: Mailauth, file: Path) -> None:
        out = desk("convert", str(file)).out
        assert "1 have no APOP secret and were left out: carol" in out
        assert "1 have a SCRAM-MD5 verifier" in out
        assert "no users here, so they cannot log in: mickey" in out
        for secret in ("tanstaaf", "swordfish", "minnie"):
            assert secret not in out

    def test_entries_that_are_here_are_kept_unless_overwritten(self, desk: Mailauth, file: Path) -> None:
        desk.add("alice", "APOP", "newer secret")
        done = desk("convert", str(file))
        assert "1 were here already and kept as they are here (--overwrite replaces them): alice" in done.out
        assert desk.db.apop_secret("alice") == b"newer secret"
        assert desk.db.apop_secret("bob") == b"swordfish"
        assert desk("convert", "--overwrite", str(file)).status == 0
        assert desk.db.apop_secret("alice") == b"tanstaaf"

    def test_a_damaged_record_is_named_and_the_others_converted(self, desk: Mailauth, file: Path) -> None:
        file.write_text(dump([*self.old, (b"\xff\0", b"x"), (b"../x\0", obscured(b"y") + b"\0\0")]))
        done = desk("convert", str(file))
        assert done.status == 1
        assert done.out.count("not converted:") == 2
        assert desk.db.apop_secret("alice") == b"tanstaaf"

    def test_two_records_of_a_user_that_contradict_each_other_are_left_out(self, desk: Mailauth, file: Path) -> None:
        file.write_text(dump([*self.old, (b"alice", b"other")]))
        done = desk("convert", str(file))
        assert done.status == 1
        assert "alice has two entries that contradict each other" in done.out
        assert desk.db.types("alice") == frozenset()

    def test_a_file_of_mailutils(self, desk: Mailauth, tmp_path: Path) -> None:
        path = tmp_path / "apop"
        path.write_text("# mailutils\nalice: tan:staaf\n")
        assert desk("convert", str(path)).status == 0
        assert desk.db.apop_secret("alice") == b"tan:staaf"

    def test_what_cannot_be_read_is_named_with_what_to_run(self, desk: Mailauth, tmp_path: Path) -> None:
        path = tmp_path / "pop.auth"
        path.write_bytes(b"\xcf\x9a\x57\x13" + bytes(500))
        done = desk("convert", str(path))
        assert done.status == 1
        assert f"gdbm_dump {path}" in done.err
        assert desk("convert", str(tmp_path / "none")).status == 1


class TestRights:
    def test_who_is_not_the_owner_is_told_what_to_run(self, ready: Mailauth, monkeypatch: pytest.MonkeyPatch) -> None:
        ready.add("alice", "APOP")
        monkeypatch.setattr(os, "geteuid", lambda: 54321)
        monkeypatch.setattr(os, "getuid", lambda: 54321)
        own = ready()
        assert own.status == 1
        assert "run: sudo mailauth\n" in own.err
        for words in (["add", "alice", "--stdin"], ["delete", "alice"], ["list"], ["init"], ["export"]):
            done = ready(*words, given=SECRET)
            assert done.status == 1
            assert f"run: sudo mailauth {words[0]}" in done.err
        monkeypatch.undo()

    def test_an_invented_sudo_uid_is_nothing(self, ready: Mailauth, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("SUDO_UID", "0")
        monkeypatch.setattr(os, "geteuid", lambda: 54321)
        monkeypatch.setattr(os, "getuid", lambda: 54321)
        done = ready("list")
        assert done.status == 1
        assert "Only the superuser" in done.err

    @pytest.mark.root
    def test_root_itself_has_no_entry(self, ready: Mailauth) -> None:
        done = ready("--stdin", given=SECRET)
        assert done.status == 1
        assert "mailauth add USER" in done.err


@pytest.mark.parametrize(
    "words", ["--stdin -type=POP add alice", "add --type POP alice --stdin", "-type pop --stdin -user alice"]
)
def test_options_may_stand_anywhere(ready: Mailauth, words: str) -> None:
    assert ready(*words.split(), given=SECRET).status == 0
    assert ready.db.types("alice") == {"POP"}
