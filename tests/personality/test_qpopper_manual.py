"""popper(8) and the code say the same of every flag and every option of the old program."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from qpopper_py.personality import qpopper
from qpopper_py.personality.options import Option
from qpopper_py.personality.qpopper import directives
from qpopper_py.personality.qpopper.directives import Directive
from qpopper_py.settings import rows

PAGE = Path(__file__).resolve().parent.parent.parent / "man/popper.8"
EXAMPLES: dict[str, object] = {
    "clear-text-password": "always", "home-dir-mail": "x", "log-facility": "mail", "tls-support": "stls",
    "tls-version": "tlsv1",
}  # fmt: skip
BY_KIND: dict[str, object] = {"Boolean": True, "Integer": 1, "String": "/x"}


def page() -> str:
    if not PAGE.exists():
        pytest.skip("the manual pages are not beside the tests here")
    return PAGE.read_text("utf-8")


def entry(title: str) -> str:
    """What stands behind an .It, as words; exactly one has the title."""
    found = re.findall(rf"^\.It {re.escape(title)}(?: .*)?\n((?:(?!\.It |\.El).*\n)*)", page(), re.M)
    assert len(found) == 1, (title, len(found))
    return " ".join(found[0].replace("\\&", "").split())


@pytest.mark.parametrize("row", qpopper.OPTIONS, ids=lambda row: row.letter)
def test_the_page_has_every_flag_with_its_verdict(row: Option) -> None:
    said = entry(f"Fl {row.letter}")
    why = qpopper.NO_EFFECT.get(row.spelt)
    assert said.startswith("No effect: ") == bool(why)
    assert not why or said == f"No effect: {why}."
    assert said.startswith("Refused: ") == (row.letter == "x")


@pytest.mark.parametrize("row", directives.TABLE, ids=lambda row: row.name)
def test_the_page_has_every_option_with_its_verdict_and_whose_file_may_hold_it(row: Directive) -> None:
    limit = f" Bq {row.restriction}" if row.restriction else ""
    said = entry(f"Cm {row.name} Pq {row.kind}{limit}")
    verdict = {directives.WORKS: "Works", directives.NO_EFFECT: "No effect", directives.REFUSED: "Refused"}[row.verdict]
    assert said.startswith(verdict)
    if row.verdict != directives.WORKS:
        assert said == f"{verdict}: {row.why}."
    assert said.endswith(".Em Own .") == (row.own == directives.HOME)
    assert said.endswith(".Em Spool .") == (row.own == directives.SPOOL)
    if row.sets and row.name not in ("config-file", "user-options", "spool-options"):
        made = row.sets(EXAMPLES.get(row.name, BY_KIND.get(row.kind)))
        assert re.findall(r"\.Va (\S+)", said) == list(made)
        assert made.keys() <= rows().keys()


def test_the_page_has_no_other_option() -> None:
    named = re.findall(r"^\.It Cm (\S+) Pq ", page(), re.M)
    assert sorted(named) == sorted(row.name for row in directives.TABLE)
