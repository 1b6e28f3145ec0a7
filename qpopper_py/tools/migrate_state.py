"""What an old program remembered, brought here: APOP secrets, login delays, lists of unique-ids.

Each function prints what it does, a line indented by two, and returns whether all of it could be done.
"""

import os
from argparse import Namespace

from qpopper_py.auth.authdb_edit import Editor, create
from qpopper_py.errors import QpopperError
from qpopper_py.legacy_dbm import NotReadable, sniff
from qpopper_py.settings import Settings
from qpopper_py.stamp import header
from qpopper_py.tools import command
from qpopper_py.tools.mailauth_convert import Converted, convert, usable
from qpopper_py.tools.migrate_find import below, text_of
from qpopper_py.tools.migrate_programs import Program

DELAYS = "login-delays"  # the task that knows our records of them


def tell(what: object) -> None:
    for line in str(what).splitlines():
        print(f"  {line}")


def make_state(settings: Settings) -> None:
    """The folder that the server makes at its first session."""
    if settings.state_dir:
        os.makedirs(settings.state_dir, 0o755, exist_ok=True)


def apop(asked: Namespace, program: Program, settings: Settings) -> bool:
    """Its APOP secrets into our database."""
    paths = [asked.apop] if asked.apop else [below(asked.root, path) for path in program.apop]
    found = next((path for path in paths if exists(path)), "")
    if not found:
        if program.apop or asked.apop:
            tell(f"no password database at {', '.join(paths)}; name another by --apop")
        return not asked.apop
    try:
        if asked.dry_run:
            kind, pairs = sniff.read(sniff.find(found))
            result = Converted(found, kind)
            count = sum(bool(old.secret) for old in usable(result, pairs))
            tell(f"would convert {count} APOP entries from {found} ({kind}) into {settings.mailauth_database}")
        else:
            where = (settings.mailauth_database, settings.mailauth_key, settings.mailauth_owner)
            if header(where[0]) is None:
                create(*where)
            result = convert(Editor(*where), found, overwrite=False)
            tell("\n".join(result.summary(overwrite=False)))
        for sentence in result.damaged if asked.dry_run else []:
            tell(f"not to be converted: {sentence}")
        return not result.damaged
    except (QpopperError, NotReadable) as why:
        tell(f"{found}: not converted: {why}")
        return False


def exists(path: str) -> bool:
    try:
        return bool(sniff.find(path))
    except FileNotFoundError:
        return False


def delays(asked: Namespace, program: Program, settings: Settings, mine: "list[str]") -> bool:
    """When its users' last sessions ended; ``mine``: the words that name our configuration."""
    named = asked.delays or settings.login_delay_import
    paths = (
        [asked.delays] if asked.delays else [below(asked.root, path) for path in ([named] if named else program.delays)]
    )
    found = next((path for path in paths if exists(path)), "")
    if not found:
        return not asked.delays
    tell(f"login delays of {found}:")
    if not asked.dry_run:
        make_state(settings)
    row = [DELAYS, *mine, "--import", sniff.find(found), *(["--dry-run"] if asked.dry_run else [])]
    return command.main(row) == command.DONE


def lists(asked: Namespace, program: Program, mine: "list[str]") -> bool:
    """Lists of unique-ids that lie in users' homes.  Below another root the users are not this host's: only told."""
    done = True
    for user, home in homes(asked.root) if program.lists else ():
        for name, box in program.lists:
            found = below(asked.root, f"{home}/{name}")
            mailbox = box.replace("%u", user) if box.startswith("/") else f"{home}/{box}"
            if not os.path.isfile(found) or not os.path.lexists(below(asked.root, mailbox)):
                continue
            if asked.root != "/":
                tell(f"on the host itself: qpopper-py import-uids --user {user} {mailbox} {home}/{name}")
                continue
            tell(f"{user}: {found}")
            row = ["import-uids", *mine, "--user", user, *(["--dry-run"] if asked.dry_run else []), mailbox, found]
            done = command.main(row) == command.DONE and done
    return done


def homes(root: str) -> "list[tuple[str, str]]":
    """(user, home) of the old installation's /etc/passwd, root and those without a home left out."""
    rows = [line.split(":") for line in text_of(below(root, "etc/passwd"))]
    return [
        (row[0], row[5]) for row in rows if len(row) == 7 and row[2] != "0" and row[5].startswith("/") and row[5] != "/"
    ]
