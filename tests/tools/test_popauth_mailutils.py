"""mailutils-popauth: each letter of GNU mailutils' popauth(1), over mailauth's database."""

from __future__ import annotations

import stat
from pathlib import Path

import pytest

from qpopper_py.tools import popauth_mailutils as popauth
from tests.tools.desk import Desk

SECRET = "correct horse battery"
OTHER = "staple horse correct"


class Popauth(Desk):
    """mailutils' popauth at such a desk."""

    prefix = "--qp-"

    def __call__(self, *words: str, given: str = "") -> tuple[int, str, str]:
        """(exit status, standard output, standard error)"""
        done = self.run(popauth.main, words, given, log__to="stderr")
        return done.status, done.out, done.err

    def secret(self, user: str) -> bytes:
        stored = self.db.stored(user, "APOP")
        return b"" if stored is None else self.db.opened(user, stored)


@pytest.fixture
def desk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Popauth:
    return Popauth(tmp_path, monkeypatch, capsys)


def test_a_user_is_added_changed_listed_and_deleted(desk: Popauth) -> None:
    assert desk("-a", "-u", "alice", "-p", SECRET)[0] == 0
    assert desk.secret("alice") == SECRET.encode()
    assert desk("-m", "-u", "alice", "-p", OTHER)[0] == 0
    assert desk.secret("alice") == OTHER.encode()
    assert desk("-l")[:2] == (0, "alice\n")
    assert desk("-d", "-u", "alice")[0] == 0
    assert desk.secret("alice") == b""


def test_a_second_add_changes_nothing(desk: Popauth) -> None:
    desk("--add", "--user=alice", f"--password={SECRET}")
    status, _, said = desk("--add", "--user=alice", f"--password={OTHER}")
    assert status == 1
    assert "--modify changes it" in said
    assert desk.secret("alice") == SECRET.encode()


def test_modify_makes_no_entry(desk: Popauth) -> None:
    desk("-a", "-u", "bob", "-p", SECRET)
    assert desk("-m", "-u", "alice", "-p", SECRET)[0] == 1
    assert desk.secret("alice") == b""


def test_a_secret_on_the_command_line_is_taken_and_warned_of(desk: Popauth) -> None:
    _, out, err = desk("-a", "-u", "alice", "-p", SECRET)
    assert "can see the secret" in err
    assert SECRET not in out + err


@pytest.mark.parametrize("how", ["file", "standard input"])
def test_create_takes_over_a_text_file(desk: Popauth, how: str) -> None:
    text = f"alice:{SECRET}\nbob:{OTHER}\n"
    if how == "file":
        source = desk.folder / "apop.txt"
        source.write_text(text)
        assert desk("-c", "-f", str(source))[0] == 0
        assert source.read_text() == text
    else:
        assert desk("-c", given=text)[0] == 0
    assert (desk.secret("alice"), desk.secret("bob")) == (SECRET.encode(), OTHER.encode())


def test_a_list_with_secrets_goes_to_a_file_of_its_owner_alone(desk: Popauth) -> None:
    desk("-a", "-u", "alice", "-p", SECRET)
    place = desk.folder / "list"
    assert desk("-l", "-o", str(place))[0] == 0
    assert place.read_text() == f"alice: {SECRET}\n"
    assert stat.S_IMODE(place.stat().st_mode) == 0o600


def test_an_old_file_is_listed_and_not_written(desk: Popauth) -> None:
    old = desk.folder / "apop.db"
    old.write_text(f"carol:{SECRET}\n")
    assert desk("-l", "-f", str(old))[:2] == (0, "carol\n")
    status, _, said = desk("-a", "-f", str(old), "-u", "alice", "-p", SECRET)
    assert status == 1
    assert "mailauth convert" in said
    assert old.read_text() == f"carol:{SECRET}\n"


@pytest.mark.parametrize("line", [["-a", "-d"], ["-a"], ["-d"], ["-z"], ["alice"]])
def test_what_makes_no_sense_is_wrong_usage(desk: Popauth, line: list[str]) -> None:
    assert desk(*line)[0] == 2


@pytest.mark.parametrize("letters", ["?", "V"])
def test_help_and_version_are_printed(desk: Popauth, letters: str) -> None:
    status, out, _ = desk(f"-{letters}")
    assert status == 0
    assert "mailutils-popauth" in out
