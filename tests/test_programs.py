"""Programs of the administrator's: what root runs, what they have of us, and when they end."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest

from qpopper_py import programs
from tests.harness import children, wait_until

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

OTHER = 64009


@pytest.fixture
def script(tmp_path: Path) -> Callable[[str], str]:
    def make(text: str) -> str:
        path = tmp_path / "program"
        path.write_text("#!/bin/sh\n" + text)
        path.chmod(0o755)
        return str(path)

    return make


@pytest.mark.parametrize(("text", "status"), [("exit 0", 0), ("exit 7", 7), ("kill -9 $$", -9), ("exit 127", 127)])
def test_its_status_is_told(script: Callable[[str], str], text: str, status: int) -> None:
    assert programs.run([script(text)], {}, 60) == status


def test_it_has_the_words_it_was_given_and_nothing_of_ours(
    script: Callable[[str], str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PASSWORD", "x")
    out = tmp_path / "out"
    program = script(
        f'printf "%s\\n" "$@" > {out}\npwd >> {out}\necho "[$PASSWORD$MORE]" >> {out}\nls -l /proc/$$/fd >> {out}\n'
    )
    with open(tmp_path / "held", "w") as held:
        os.set_inheritable(held.fileno(), True)
        assert programs.run([program, "a b", "$HOME;`id`"], {"MORE": "m"}, 60) == 0
    lines = out.read_text().splitlines()
    assert lines[:4] == ["a b", "$HOME;`id`", "/", "[m]"]
    links = {line.split(" -> ")[1] for line in lines if " -> " in line}
    assert links <= {"/dev/null", program, str(out)}  # /bin/sh itself opens the script


def test_when_its_time_is_over_it_is_killed_with_all_that_it_started(
    script: Callable[[str], str], tmp_path: Path
) -> None:
    program = script(f"sleep 600 & echo $! > {tmp_path}/pid\nwait\n")
    assert programs.run([program], {}, 1) == -9
    word = (tmp_path / "pid").read_text().strip()
    stat = tmp_path.__class__(f"/proc/{word}/stat")
    wait_until(lambda: not stat.exists() or ") Z " in stat.read_text(), "the end of what the program started")


def test_whoever_leaves_it_does_not_wait(script: Callable[[str], str], tmp_path: Path) -> None:
    gate = tmp_path / "gate"
    os.mkfifo(gate)
    before = children(os.getpid())
    programs.leave([script(f"read line < {gate}\ntouch {tmp_path}/out\n")], {}, 60)
    assert set(children(os.getpid())) <= set(before)
    gate.write_text("go\n")
    wait_until((tmp_path / "out").exists, "the program's end")


@pytest.mark.parametrize("mode", [None, 0o644])
def test_what_is_no_program_is_not_to_be_run(tmp_path: Path, mode: int | None) -> None:
    path = tmp_path / "program"
    if mode:
        path.write_text("#!/bin/sh\n")
        path.chmod(mode)
    assert programs.objection(str(path)) == "it is no program that may be run"


@pytest.mark.root
class TestRoot:
    """Root runs nothing that others could have put there."""

    @pytest.fixture
    def program(self, tmp_path: Path) -> Path:
        path = tmp_path / "folder/program"
        path.parent.mkdir(mode=0o755)
        path.write_text("#!/bin/sh\n")
        path.chmod(0o755)
        return path

    def test_what_is_roots_alone_is_run(self, program: Path) -> None:
        assert programs.objection(str(program)) == ""
        assert programs.objection("/bin/sh") == ""

    @pytest.mark.parametrize("mode", [0o775, 0o757])
    def test_a_file_that_others_may_write_is_not(self, program: Path, mode: int) -> None:
        program.chmod(mode)
        assert programs.objection(str(program)) == f"others than root can change {program}"

    @pytest.mark.parametrize("mode", [0o775, 0o777])
    def test_nor_one_in_a_folder_that_others_may_write(self, program: Path, mode: int) -> None:
        program.parent.chmod(mode)
        assert str(program.parent) in programs.objection(str(program))

    def test_in_a_sticky_folder_nobody_can_replace_it(self, program: Path) -> None:
        program.parent.chmod(0o1777)
        assert programs.objection(str(program)) == ""

    @pytest.mark.parametrize("of", ["file", "folder"])
    def test_nor_one_that_is_not_roots(self, program: Path, of: str) -> None:
        os.chown(program if of == "file" else program.parent, OTHER, OTHER)
        assert "others than root" in programs.objection(str(program))

    def test_a_link_is_as_good_as_the_way_that_it_goes(self, program: Path, tmp_path: Path) -> None:
        good = tmp_path / "good"
        good.symlink_to("folder/../folder/program")
        assert programs.objection(str(good)) == ""
        (tmp_path / "theirs").mkdir()
        (tmp_path / "theirs/link").symlink_to(program)
        os.chown(tmp_path / "theirs", OTHER, OTHER)
        through = tmp_path / "through"
        through.symlink_to(tmp_path / "theirs/link")
        assert programs.objection(str(through)) == f"others than root can change {tmp_path}/theirs"
        os.lchown(good, OTHER, OTHER)
        assert programs.objection(str(good)) == f"others than root can change {good}"
