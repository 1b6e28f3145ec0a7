"""qpopper-py trace: a trace file read by session, user and time."""

from datetime import UTC, datetime

import pytest

from qpopper_py.errors import ConfigurationError
from qpopper_py.tools import command
from qpopper_py.tools.dates import moment

NOW = datetime(2026, 11, 20, 12, 0, tzinfo=UTC)
TRACE = """\
2026-11-19T08:00:00.000Z s1 > - +OK ready
2026-11-19T08:00:01.000Z s1 < - user alice
2026-11-19T08:00:02.000Z s1 > alice +OK Password required for alice.
2026-11-20T09:00:00.000Z s2 > - +OK ready
2026-11-20T09:00:01.000Z s3 > - +OK ready
2026-11-20T09:00:02.000Z s2 > bob +OK bob has 1 message(s) (5 octets).
2026-11-20T09:00:03.000Z s3 > alice +OK alice has 1 message(s) (5 octets).
"""


@pytest.fixture
def trace(tmp_path):
    file = tmp_path / "trace"
    file.write_text(TRACE)
    return str(file)


@pytest.mark.parametrize(
    ("words", "rows"),
    [
        ([], [0, 1, 2, 3, 4, 5, 6]),
        (["--session", "s2"], [3, 5]),
        (["--user", "bob"], [3, 5]),
        (["--user", "alice"], [0, 1, 2, 4, 6]),
        (["--since", "2026-11-20T00:00Z"], [3, 4, 5, 6]),
        (["--until", "2026-11-20T00:00Z", "--user", "alice"], [0, 1, 2]),
        (["--since", "20 Nov 2026 09:00:02+0000", "--session", "s3"], [6]),
    ],
)
def test_the_lines_asked_for_are_printed(trace, capsys, words, rows):
    assert command.main(["trace", trace, *words]) == command.DONE
    printed = capsys.readouterr().out.splitlines()
    assert sorted(printed) == [TRACE.splitlines()[row] for row in rows]


def test_nothing_found_is_said_by_the_status(trace, capsys):
    assert command.main(["trace", trace, "--user", "nobody"]) == command.FAILED


@pytest.mark.parametrize("text", ["5", "Fri", "soon", "2d", "99/99/99"])
def test_what_is_no_date_is_refused_with_words(trace, capsys, text):
    assert command.main(["trace", trace, "--since", text]) == command.USAGE
    assert "is no date; write" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("text", "when"),
    [
        ("2026-11-20T08:55:46Z", datetime(2026, 11, 20, 8, 55, 46, tzinfo=UTC)),
        ("20 Nov 2025", datetime(2025, 11, 20, tzinfo=UTC)),
        ("08:55", datetime(2026, 11, 20, 8, 55, tzinfo=UTC)),
        ("Fri Nov 20 08:55:46 2026", datetime(2026, 11, 20, 8, 55, 46, tzinfo=UTC)),
        ("Fri Nov 20 08:55:46 2026 +0200", datetime(2026, 11, 20, 6, 55, 46, tzinfo=UTC)),
    ],
)
def test_a_moment_is_what_a_person_means(text, when):
    assert moment(text, NOW) == when.timestamp()


def test_a_moment_names_what_it_could_not_read():
    with pytest.raises(ConfigurationError, match="'yesterday' is no date"):
        moment("yesterday", NOW)
