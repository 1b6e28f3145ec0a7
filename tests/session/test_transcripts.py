"""Whole sessions, word for word, as each personality's manual and clients have them (tests/transcripts)."""

from fnmatch import fnmatchcase
from pathlib import Path

import pytest

from qpopper_py.personality.commandline import named
from tests.session.talking import Talk

TRANSCRIPTS = sorted((Path(__file__).resolve().parent.parent / "transcripts").glob("*/*.txt"))


@pytest.mark.parametrize("path", TRANSCRIPTS, ids=lambda path: f"{path.parent.name}/{path.stem}")
def test_a_session_goes_word_for_word_as_the_transcript(path):
    rows = [row for row in path.read_text(encoding="utf-8").splitlines() if row and not row.startswith("#")]
    script = "".join(row[3:] + "\r\n" for row in rows if row.startswith("C: "))
    expected = [row[3:] for row in rows if row.startswith("S:")]
    lines = path.read_text(encoding="utf-8").splitlines()
    more = [row.removeprefix("# setting:").split(" = ") for row in lines if row.startswith("# setting:")]
    speaker = named(path.parent.name, "")
    talk = Talk(
        script.encode(),
        stamp="",
        host="myhost",
        dialect=speaker.DIALECT,
        settings={
            **speaker.SETTINGS,
            "state_dir": "",
            "auth.refusal_delay": 0,
            **{name.strip(): value for name, value in more},
        },
    )
    said = [line.decode("ascii") for line in talk.lines]
    assert len(said) == len(expected)
    for line, pattern in zip(said, expected, strict=True):
        assert line == pattern or (pattern.endswith("*") and fnmatchcase(line, pattern))


def test_there_are_transcripts():
    assert TRANSCRIPTS
