"""qpopper-py login-delays: GNU mailutils' record (key: user, value: decimal seconds, no NUL) in and out."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

from qpopper_py.legacy_dbm import sniff
from qpopper_py.serve.delays import known
from qpopper_py.tools import command

PAIRS = {b"alice": b"1700000000", b"bob@example.org": b"1700000600"}


@pytest.fixture
def state(tmp_path: Path) -> Path:
    (tmp_path / "state").mkdir()
    return tmp_path / "state"


def run(state: Path, *words: str) -> int:
    return command.main(["login-delays", "--config", "none", "--set", f"state_dir={state}", *words])


def dumped(path: Path, pairs: dict[bytes, bytes]) -> Path:
    """As db_dump prints a database."""
    lines = ["VERSION=3", "format=bytevalue", "type=hash", "HEADER=END"]
    lines += [f" {item.hex()}" for pair in pairs.items() for item in pair]
    path.write_text("\n".join([*lines, "DATA=END", ""]))
    return path


def test_the_old_record_is_taken_over(state: Path, tmp_path: Path) -> None:
    assert run(state, "--import", str(dumped(tmp_path / "old", PAIRS))) == 0
    assert known(f"{state}/login-delay") == {"alice": 1700000000, "bob@example.org": 1700000600}


def test_later_times_of_ours_are_kept(state: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run(state, "--import", str(dumped(tmp_path / "old", {b"alice": b"1700009999"})))
    capsys.readouterr()
    assert run(state, "--import", str(dumped(tmp_path / "old", PAIRS))) == 0
    assert capsys.readouterr().out.startswith("1 of 2 users taken over")
    assert known(f"{state}/login-delay")["alice"] == 1700009999


def test_a_dry_run_writes_nothing(state: Path, tmp_path: Path) -> None:
    assert run(state, "--dry-run", "--import", str(dumped(tmp_path / "old", PAIRS))) == 0
    assert not list(state.iterdir())


def test_without_a_name_it_is_the_file_of_the_setting(state: Path, tmp_path: Path) -> None:
    path = dumped(tmp_path / "old", PAIRS)
    assert run(state, "--set", f"login_delay_import={path}", "--import") == 0
    assert len(known(f"{state}/login-delay")) == 2


@pytest.mark.parametrize("pairs", [{b"alice": b"soon"}, {b"../alice": b"1"}, {b"alice\0": b"1700000000"}])
def test_a_record_of_another_kind_is_refused_as_a_whole(state: Path, tmp_path: Path, pairs: dict[bytes, bytes]) -> None:
    assert run(state, "--import", str(dumped(tmp_path / "old", {**PAIRS, **pairs}))) == 1
    assert not list(state.iterdir())


def test_what_is_exported_is_what_was_imported(state: Path, tmp_path: Path) -> None:
    run(state, "--import", str(dumped(tmp_path / "old", PAIRS)))
    assert run(state, "--export", f"{tmp_path}/dump") == 0
    assert dict(sniff.read(f"{tmp_path}/dump")[1]) == PAIRS


def test_gdbm_makes_the_old_database_of_it(state: Path, tmp_path: Path) -> None:
    gdbm_load = shutil.which("gdbm_load")
    if gdbm_load is None:
        pytest.skip("gdbm_load is not installed")
    run(state, "--import", str(dumped(tmp_path / "old", PAIRS)))
    run(state, "--export", f"{tmp_path}/dump")
    subprocess.run([gdbm_load, f"{tmp_path}/dump", f"{tmp_path}/pop3-login"], check=True)
    kind, pairs = sniff.read(f"{tmp_path}/pop3-login")
    assert (kind, dict(pairs)) == ("gdbm", PAIRS)


def test_the_list_is_times_and_users(state: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run(state, "--import", str(dumped(tmp_path / "old", PAIRS)))
    capsys.readouterr()
    assert run(state, "--list") == 0
    assert capsys.readouterr().out == "1700000000 alice\n1700000600 bob@example.org\n"


def test_without_a_state_folder_it_is_wrong_usage(tmp_path: Path) -> None:
    assert run(Path(), "--set", "state_dir=", "--list") == 2
    assert not list(tmp_path.iterdir())
