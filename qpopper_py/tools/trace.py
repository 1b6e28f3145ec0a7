"""``qpopper-py trace``: a trace file (pop3d -t) read by session, user, client's words or time."""

import sys
from argparse import Namespace
from collections.abc import Iterable, Iterator, Sequence
from datetime import UTC, datetime

from qpopper_py.tools.command import DONE, FAILED, parser
from qpopper_py.tools.dates import moment


def main(argv: Sequence[str]) -> int:
    """Print the lines that are asked for; status 1 if there are none."""
    read = parser("trace", "the lines of a trace file that belong to a session, a user, or a time")
    read.add_argument("file", help="the file that pop3d -t, or trace.file, writes")
    read.add_argument("--session", default="", help="of this session only, as the log's session= names it")
    read.add_argument("--user", default="", help="of sessions in which this user was named, from their beginning")
    read.add_argument("--since", default="", metavar="WHEN", help="not before: 2026-11-20, '20 Nov 08:55', 08:55")
    read.add_argument("--until", default="", metavar="WHEN", help="before that moment")
    asked = read.parse_args(argv)
    found = False
    with open(asked.file, encoding="ascii", errors="backslashreplace") as file:
        for line in chosen(file, asked, datetime.now().astimezone()):
            sys.stdout.write(line)
            found = True
    return DONE if found else FAILED


def chosen(lines: Iterable[str], asked: Namespace, now: datetime) -> Iterator[str]:
    """The lines that ``asked`` is for.  A user's session is held back until it has named its user."""
    since, until = (stamp(text, now) for text in (asked.since, asked.until))
    held: dict[str, list[str]] = {}
    of_user: set[str] = set()
    for line in lines:
        time, _, rest = line.partition(" ")
        session, _, rest = rest.partition(" ")
        if (since and time < since) or (until and time >= until) or asked.session not in ("", session):
            continue
        if not asked.user or session in of_user:
            yield line
            continue
        held.setdefault(session, []).append(line)
        if rest[2:].partition(" ")[0] == asked.user:
            of_user.add(session)
            yield from held.pop(session)


def stamp(text: str, now: datetime) -> str:
    """A moment in the form that begins a line of the trace, which sorts as time does; empty for an empty one."""
    if not text:
        return ""
    when = datetime.fromtimestamp(moment(text, now), UTC)
    return when.isoformat(timespec="milliseconds").replace("+00:00", "Z")
