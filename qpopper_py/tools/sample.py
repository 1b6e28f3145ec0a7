"""etc/pop3d.toml from the table of settings: ``python3 -m qpopper_py.tools.sample > etc/pop3d.toml``."""

import sys
import textwrap

from qpopper_py.personality.report import toml
from qpopper_py.settings import table

HEAD = """\
# /etc/pop3d.toml: settings of the POP3 server, pop3d.toml(5).  Nothing has to be set: each line shows the default.
# Take the # away before a name and write another value.  Of several values the later wins: built-in, personality,
# this file, command line.  Started as root, the server reads this file only if nobody but root can write it.
# Afterwards: pop3d --check-config
"""


def sample() -> str:
    """Every setting with what it is for, what it takes, and its default, commented out; dotless names first."""
    pieces = [HEAD]
    group = ""
    for row in sorted(table(), key=lambda row: "." in row.name):
        above = row.name.rpartition(".")[0]
        if above != group:
            pieces.append(f"\n# {above} {'-' * (117 - len(above))}\n")
            group = above
        words = textwrap.wrap(row.why, 117, break_on_hyphens=False)
        words += textwrap.wrap(f"takes {row.form}", 117, break_on_hyphens=False)
        pieces.append(
            "\n" + "".join(f"# {line}\n" for line in words) + f"#{row.name} = {toml(row.written(row.default))}\n"
        )
    return "".join(pieces)


if __name__ == "__main__":
    sys.stdout.write(sample())
