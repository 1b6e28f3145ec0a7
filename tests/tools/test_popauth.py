"""popauth under its three names: Qpopper's popauth(8), reference section 3."""

from __future__ import annotations

import os
import sys
import syslog
from pathlib import Path

import pytest

from qpopper_py.auth.authdb_edit import Editor, create
from qpopper_py.stamp import has_apop_entries
from qpopper_py.tools import popauth, popauth_line
from qpopper_py.tools.popauth_line import MODES, weakness
from tests.guard import GUARD
from tests.harness import environment
from tests.tools.desk import Desk, Done
from tests.tools.test_mailauth_terminal import Terminal

SECRET = "tAn5-taaf"
OTHER = "an 0ther one"
GUARD.secret(OTHER, "a popauth password")


class Popauth(Desk):
    """popauth at such a desk; ``answers`` are typed at the prompts."""

    def __init__(self, folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
        super().__init__(folder, monkeypatch, capsys)
        self.prompts: list[str] = []
        self.answers: list[str] = []
        self.settings["mailauth.owner"] = "pop"
        for module in (popauth, popauth_line):
            monkeypatch.setattr(module, "prompt", self.prompt)

    def prompt(self, text: str) -> bytes:
        self.prompts.append(text)
        return self.answers.pop(0).encode()

    def __call__(
        self, *words: str, called: str = "/usr/bin/popauth", typed: tuple[str, ...] = (), given: str = ""
    ) -> Done:
        self.answers, self.prompts = list(typed), []
        done = self.run(lambda line: popauth.main(line, called), words, given)
        for text in (done.out, done.err, *(line for _, line in self.log)):
            GUARD.saw("popauth", text.encode())
            assert SECRET not in text
        return done

    def made(self) -> Popauth:
        create(str(self.database), str(self.key), "")
        return self

    def put(self, user: str, type_: str = "APOP") -> None:
        Editor(str(self.database), str(self.key), "").put(user, type_, SECRET.encode())


@pytest.fixture
def empty(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Popauth:
    return Popauth(tmp_path, monkeypatch, capsys)


@pytest.fixture
def desk(empty: Popauth) -> Popauth:
    return empty.made()


needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root may")

# ----------------------------------------------------------------------------------------------------------------
# Names and lines


def test_the_scripts_of_the_three_names_are_one() -> None:
    scripts = Path(__file__).resolve().parent.parent.parent / "scripts"
    if not scripts.is_dir():
        pytest.skip("the scripts are not beside the tests here")
    assert len({(scripts / name).read_bytes() for name in MODES}) == 1


@pytest.mark.parametrize("name", ["mailauth", "popauth2", ""])
def test_another_name_is_an_unknown_mode(desk: Popauth, name: str) -> None:
    done = desk(called=f"/usr/bin/{name}" if name else "/")
    assert (done.status, done.err) == (1, f"Unknown mode: {name}\n")


@pytest.mark.parametrize("name", MODES)
@pytest.mark.parametrize("word", ["-help", "--help"])
def test_help_names_every_action(desk: Popauth, name: str, word: str) -> None:
    done = desk(word, called=f"/x/{name}")
    assert done.status == 0
    assert done.out.startswith(f"usage: {name} ")
    for option in (
        "-debug",
        "-trace FILE",
        "-init [-safe]",
        "-list [USER | ALL]",
        "-user USER [PASSWORD]",
        "-delete USER",
    ):
        assert option in done.out


def test_version(desk: Popauth) -> None:
    assert desk("-version").out.startswith("popauth (qpopper_py) ")


@pytest.mark.parametrize(
    "words",
    [
        ["add"], ["-user"], ["-delete"], ["-frob"], ["-list", "-delete", "x"], ["-safe"], ["-trace"], ["-dump"],
        ["-user", "alice", "a", "b"],
    ],
)  # fmt: skip
def test_wrong_usage_prints_the_usage_and_fails(desk: Popauth, words: list[str]) -> None:
    done = desk(*words)
    assert done.status == 1
    assert "usage: popauth [-debug | -trace FILE] [ACTION]" in done.err
    assert not done.out


# ----------------------------------------------------------------------------------------------------------------
# -init


@needs_root
def test_init_makes_a_database_that_is_nobody_elses(empty: Popauth) -> None:
    assert empty("-init").status == 0
    assert empty.database.stat().st_mode & 0o777 == 0o600
    assert empty.log[-1][1].startswith(f'popauth: db "{empty.database}" initialized by "root"')


@needs_root
@pytest.mark.parametrize(
    ("answer", "status", "left"), [("y\n", 0, False), ("Yes\n", 0, False), ("n\n", 1, True), ("", 1, True)]
)
def test_init_asks_before_it_throws_a_database_away(desk: Popauth, answer: str, status: int, left: bool) -> None:
    desk.put("alice")
    done = desk("-init", given=answer)
    assert (done.status, done.out) == (status, "Really initialize POP authentication DB? ")
    assert bool(has_apop_entries(str(desk.database))) is left


@needs_root
def test_init_safe_leaves_a_database_alone(desk: Popauth) -> None:
    desk.put("alice")
    done = desk("-init", "-safe")
    assert (done.status, done.out) == (0, f"POP authentication DB not initialized (exists): {desk.database}\n")
    assert desk.db.types("alice")


# ----------------------------------------------------------------------------------------------------------------
# -user


@needs_root
@pytest.mark.parametrize(("name", "field"), [("popauth", "APOP"), ("apopauth", "APOP"), ("scramauth", "SCRAM")])
def test_a_user_is_added_then_changed(desk: Popauth, name: str, field: str) -> None:
    done = desk("-user", "alice", called=name, typed=(SECRET, SECRET))
    assert (done.status, done.err) == (0, f"Adding only {field} password for alice.\n")
    assert desk.prompts == ["New password:", "Retype new password:"]
    assert desk.db.apop_secret("alice") == SECRET.encode()
    done = desk("-user", "alice", called=name, typed=(OTHER, OTHER))
    assert (done.status, done.err) == (0, f"Changing only {field} password for alice.\n")
    assert desk.db.apop_secret("alice") == OTHER.encode()
    assert [level for level, _ in desk.log] == [syslog.LOG_NOTICE] * 2
    assert 'user "alice" changed by "root"' in desk.log[-1][1]


@needs_root
@pytest.mark.parametrize(
    ("typed", "words"),
    [
        (("",), "Password unchanged."),
        ((SECRET,), "Password unchanged."),
        ((OTHER, OTHER + "x"), "Mismatch -- password unchanged."),
    ],
)
def test_what_leaves_the_password_as_it_is(desk: Popauth, typed: tuple[str, ...], words: str) -> None:
    desk.put("alice")
    done = desk("-user", "alice", typed=typed)
    assert done.status == 1
    assert done.err.splitlines()[1:] == [words]
    assert desk.db.apop_secret("alice") == SECRET.encode()


@needs_root
def test_a_password_on_the_command_line_skips_prompts_and_rule_and_is_warned_of(desk: Popauth) -> None:
    done = desk("-user", "alice", "123")
    assert (done.status, desk.prompts) == (0, [])
    assert "can read a password in a command line" in done.err
    assert desk.db.apop_secret("alice") == b"123"


@needs_root
def test_a_star_clears_the_field(desk: Popauth) -> None:
    desk.put("alice")
    desk.put("alice", "POP")
    assert desk("-user", "alice", "*").status == 0
    assert desk.db.types("alice") == {"POP"}


@needs_root
@pytest.mark.parametrize("password", ["with\x01control", "x" * 256])
def test_what_no_client_can_send_is_refused(desk: Popauth, password: str) -> None:
    assert desk("-user", "alice", password).status == 1
    assert not desk.db.types("alice")


@needs_root
@pytest.mark.parametrize("user", ["mallory", "../alice", "al:ice", "x" * 300])
def test_who_is_no_account_has_no_entry(desk: Popauth, user: str) -> None:
    done = desk("-user", user, typed=(SECRET, SECRET))
    assert done.status == 1
    assert done.err.startswith("popauth: ")
    assert "Sorry, don't know who user mallory is." in done.err or user != "mallory"


# ----------------------------------------------------------------------------------------------------------------
# The rule for passwords


@pytest.mark.parametrize(
    ("secret", "complaint"),
    [
        ("a.b1", ""), ("....", ""), ("...", "longer"), ("aB1x", ""), ("aB1", "longer"),
        ("abcdef", ""), ("abcde", "longer"), ("ABCDEF", ""), ("ABCDE", "longer"),
        ("abcD1"[:4] + "e", ""), ("abcDe", ""), ("abcD", "longer"), ("abc12", ""), ("abc1", "longer"),
        ("1", "non-numeric"), ("123456789012", "non-numeric"), ("123-", ""),
    ],
)  # fmt: skip
def test_the_rule(secret: str, complaint: str) -> None:
    assert complaint in weakness(secret.encode())
    assert bool(weakness(secret.encode())) == bool(complaint)


@needs_root
def test_who_insists_twice_has_a_bad_password(desk: Popauth) -> None:
    done = desk("-user", "alice", typed=("1234", "abc", "12", "12"))
    assert done.status == 0
    assert done.err.splitlines()[1:] == [
        "Please use at least one non-numeric character.",
        "Please use a longer password.",
        "Please use at least one non-numeric character.",
    ]
    assert desk.db.apop_secret("alice") == b"12"


# ----------------------------------------------------------------------------------------------------------------
# -list, -delete


@needs_root
def test_list_has_a_line_for_each_user_with_an_entry(desk: Popauth) -> None:
    desk.put("bob")
    desk.put("alice")
    desk.put("carol", "POP")
    assert desk("-list", "ALL").out == "alice           : APOP SCRAM\nbob             : APOP SCRAM\n"
    assert desk("-list", "bob").out == "bob             : APOP SCRAM\n"
    done = desk("-list", "carol")
    assert (done.status, done.err) == (1, 'popauth: no entry for "carol" in POP authentication DB\n')


@needs_root
def test_delete_warns_and_tells_the_log(desk: Popauth) -> None:
    desk.put("alice")
    done = desk("-delete", "alice")
    assert (done.status, done.err) == (0, 'Warning: deleting user "alice"\n')
    assert not desk.db.types("alice")
    assert desk.log == [(syslog.LOG_NOTICE, f'popauth: user "alice" deleted by "root" from db "{desk.database}"')]
    done = desk("-delete", "alice")
    assert (done.status, done.err) == (1, 'popauth: no entry for "alice" in POP authentication DB\n')


@pytest.mark.parametrize("words", [["-list", "ALL"], ["-delete", "alice"], ["-user", "alice", "x"]])
@needs_root
def test_without_a_database_the_way_to_one_is_told(empty: Popauth, words: list[str]) -> None:
    done = empty(*words)
    assert done.status == 1
    assert "root makes it: popauth -init" in done.err


# ----------------------------------------------------------------------------------------------------------------
# Rights


@pytest.fixture
def stranger(desk: Popauth, monkeypatch: pytest.MonkeyPatch) -> Popauth:
    """Neither root nor pop."""
    monkeypatch.setattr(os, "geteuid", lambda: 61077)
    monkeypatch.setattr(os, "getuid", lambda: 61077)
    return desk


@pytest.mark.parametrize("words", [["-user", "alice"], ["-user", "alice", "x"], ["-delete", "alice"], ["-list", "ALL"]])
def test_others_may_not_administer(stranger: Popauth, words: list[str]) -> None:
    done = stranger(*words)
    assert (done.status, done.err) == (
        1,
        'popauth: Only superuser or user "pop" can perform the requested function\n',
    )


def test_others_may_not_init(stranger: Popauth) -> None:
    done = stranger("-init")
    assert (done.status, done.err) == (1, "popauth: Only superuser can perform the requested function\n")


@needs_root
def test_by_sudo_users_change_their_own_and_are_asked_for_the_old(
    desk: Popauth, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SUDO_UID", "61077")
    monkeypatch.setattr(popauth.Caller, "name", "alice")
    done = desk(typed=(SECRET, SECRET))
    assert (done.status, desk.prompts) == (0, ["New password:", "Retype new password:"])
    done = desk(typed=("wrong", OTHER, OTHER))
    assert done.err.splitlines()[-1] == "Sorry, password entered incorrectly"
    assert desk.db.apop_secret("alice") == SECRET.encode()
    assert desk(typed=(SECRET, OTHER, OTHER)).status == 0
    assert desk.prompts == ["Old password:", "New password:", "Retype new password:"]
    assert desk.db.apop_secret("alice") == OTHER.encode()


# ----------------------------------------------------------------------------------------------------------------
# -trace and -debug (CVE-2001-1487)


@needs_root
def test_a_trace_is_appended_to_a_private_file_and_holds_no_secret(desk: Popauth) -> None:
    trace = desk.folder / "trace"
    desk("-trace", str(trace), "-user", "alice", typed=(SECRET, SECRET))
    desk("-trace", str(trace), "-delete", "alice")
    assert trace.stat().st_mode & 0o777 == 0o600
    assert "user by root" in trace.read_text()
    assert "delete by root" in trace.read_text()
    assert SECRET not in trace.read_text()


@needs_root
def test_a_trace_follows_no_link(desk: Popauth) -> None:
    (desk.folder / "trace").symlink_to(desk.folder / "target")
    done = desk("-trace", str(desk.folder / "trace"), "-list", "ALL")
    assert done.status == 1
    assert not (desk.folder / "target").exists()


@needs_root
def test_by_sudo_there_is_no_trace(desk: Popauth, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SUDO_UID", "61077")
    assert "-trace is not for who runs this by sudo" in desk("-trace", str(desk.folder / "trace")).err
    assert not (desk.folder / "trace").exists()


@needs_root
def test_debug_tells_what_is_done(desk: Popauth) -> None:
    assert "[popauth] list by root" in desk("-debug", "-list", "ALL").err


# ----------------------------------------------------------------------------------------------------------------
# At a terminal


@needs_root
def test_the_script_asks_at_the_terminal_and_shows_nothing(empty: Popauth) -> None:
    script = Path(__file__).resolve().parent.parent.parent / "scripts/scramauth"
    if not script.exists():
        pytest.skip("the scripts are not beside the tests here")
    desk = empty.made()
    words = [word for name, value in desk.settings.items() for word in ("--set", f"{name}={value}")]
    line = [sys.executable, str(script), "--config", "none", *words, "--set", "log.to=stderr", "-user", "alice"]
    at = Terminal(line, environment())
    at.wait_for(r"Adding only SCRAM password for alice\.\s*New password:")
    at.type("1234")
    at.wait_for(r"Please use at least one non-numeric character\.\s*New password:")
    at.type(SECRET)
    at.wait_for("Retype new password:")
    at.type(SECRET)
    assert at.end() == 0, at.seen
    assert SECRET not in at.seen
    assert desk.db.apop_secret("alice") == SECRET.encode()
