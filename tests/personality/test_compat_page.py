"""pop3d-compat(7) tells of every personality, name and option that there is."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from qpopper_py.personality import commandline
from qpopper_py.settings import Settings
from qpopper_py.tools.migrate_programs import PROGRAMS

MAN = Path(__file__).resolve().parents[2] / "man"
PAGE = (MAN / "pop3d-compat.7").read_text("utf-8")
ROWS = dict(re.findall(r"^\.It Cm (\S+) Ta (Pa .*)$", PAGE, re.M))


def test_every_personality_has_a_row() -> None:
    assert set(ROWS) == set(Settings.__dict__["personality"].choices)


@pytest.mark.parametrize("name", commandline.NAMES)
def test_every_name_that_chooses_one_stands_in_its_row(name: str) -> None:
    names, _, _ = ROWS[commandline.NAMES[name]].removeprefix("Pa ").partition(" Ta ")
    assert name in names.split(" , ")


@pytest.mark.parametrize("name", commandline.SERVED)
def test_the_manual_that_is_named_is_there(name: str) -> None:
    found = re.search(r"Xr (\S+) 8$", ROWS[name])
    assert found
    assert (MAN / f"{found[1]}.8").exists()


def test_our_options_are_all_named() -> None:
    paragraph = PAGE[PAGE.index("Our options are long") :]
    line = paragraph[: paragraph.index("In a personality")]
    assert {f"-{row.long}" for row in commandline.OURS} <= set(line.split())


def test_the_links_of_programs_that_move_in_choose_them() -> None:
    for name, row in PROGRAMS.items():
        assert not row.personality or commandline.NAMES[row.link] == name
