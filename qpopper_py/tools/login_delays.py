"""``qpopper-py login-delays``: when each user's last session ended, from GNU mailutils' database and back into it.

Its database (stat-file) has the user's name as key and decimal seconds since 1970 as value, neither with a NUL.
"""

import os
from argparse import ArgumentParser
from binascii import b2a_base64
from collections.abc import Sequence
from pathlib import Path

from qpopper_py.auth import names
from qpopper_py.errors import ConfigurationError, QpopperError
from qpopper_py.legacy_dbm import sniff
from qpopper_py.serve.delays import FOLDER, folder, known, mark
from qpopper_py.tools.command import parser, settings_of

Times = dict[str, int]  # user: seconds since 1970


def words() -> ArgumentParser:
    made = parser("login-delays", "Take over the record of login delays of GNU mailutils' pop3d, or give it back.")
    asked = made.add_mutually_exclusive_group(required=True)
    asked.add_argument(
        "--import", dest="source", nargs="?", const="", metavar="FILE", help="without FILE: login_delay_import"
    )
    asked.add_argument("--export", metavar="FILE", help="write FILE (-: print it), which gdbm_load(1) reads")
    asked.add_argument("--list", action="store_true", help="print users and times")
    made.add_argument("--dry-run", action="store_true", help="with --import: write nothing")
    return made


def main(argv: Sequence[str]) -> int:
    asked = words().parse_args(argv)
    settings = settings_of(asked)
    if not settings.state_dir:
        raise ConfigurationError("state_dir is empty, so there is no record of login delays; set it")
    place = f"{settings.state_dir}/{FOLDER}"
    if asked.source is None:
        times = ours(place)
        if asked.list:
            print("".join(f"{when} {user}\n" for user, when in sorted(times.items())), end="")
        elif asked.export == "-":
            print(dump(times), end="")
        else:
            Path(asked.export).write_text(dump(times), encoding="ascii")
            print(f"{len(times)} users written to {asked.export}; gdbm_load {asked.export} FILE makes the database")
        return 0
    path = asked.source or settings.login_delay_import
    if not path:
        raise ConfigurationError("--import names no file, and login_delay_import is empty")
    take_over(path, place, asked.dry_run)
    return 0


def take_over(path: str, place: str, dry_run: bool) -> None:
    """Note the times of the database ``path`` that are later than ours."""
    found, kind, times = theirs(path)
    try:
        had = ours(place)
        newer = {user: when for user, when in times.items() if when > had.get(user, 0)}
        if newer and not dry_run:
            folder(place)
            for user, when in newer.items():
                mark(place, user, when)
    except OSError as why:
        raise QpopperError(f"{place}: {why.strerror}") from None
    done = "would be taken over" if dry_run else "taken over"
    print(f"{len(newer)} of {len(times)} users {done} from {found} ({kind}), which was not touched")


def ours(place: str) -> Times:
    try:
        return known(place)
    except FileNotFoundError:
        return {}
    except OSError as why:
        raise QpopperError(f"{place}: {why.strerror}") from None


def theirs(path: str) -> tuple[str, str, Times]:
    """(the file, its kind, what is in it).  Raises QpopperError: half a database is refused."""
    found, kind, pairs = sniff.contents(path)
    times = {}
    for key, value in pairs:
        try:
            user = key.decode("utf-8")
            names.check(user)
            if not value.isdigit() or len(value) > 11:
                raise ValueError(f"its time is {value!r}")
        except ValueError as why:
            raise QpopperError(f"{found}: the record of {key!r} is none of a login delay: {why}") from None
        times[user] = int(value)
    return found, kind, times


def dump(times: Times) -> str:
    """The database in the ASCII format of gdbm_dump(1)."""
    lines = [
        "# GDBM dump file",
        "#:version=1.1",
        "#:file=pop3-login",
        f"#:uid={os.getuid()},gid={os.getgid()},mode=600",
    ]
    lines.append("# End of header")
    for user, when in sorted(times.items()):
        for item in (user.encode(), str(when).encode()):
            lines += [f"#:len={len(item)}", b2a_base64(item, newline=False).decode("ascii")]
    return "\n".join([*lines, f"#:count={len(times)}", "# End of data", ""])
