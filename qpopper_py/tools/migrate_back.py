"""``qpopper-py migrate --back``: what the old program needs to go on where this server stopped.

What a crash cut off is finished; unique-ids go into the mail (X-UIDL) for programs that read them there; APOP secrets
and login delays are exported in the old form.  Stop the server first.
"""

import os
from argparse import Namespace
from base64 import b64encode
from collections.abc import Iterable

from qpopper_py.auth.authdb_edit import Editor, Entry
from qpopper_py.errors import ConfigurationError, QpopperError
from qpopper_py.personality import commandline
from qpopper_py.serve.maildrops import maildrop_of
from qpopper_py.serve.roles import KeptDotlock
from qpopper_py.settings import Settings
from qpopper_py.stamp import header
from qpopper_py.store.mbox.store import Mbox
from qpopper_py.store.mbox.upkeep import unfinished
from qpopper_py.store.opening import open_store, parted
from qpopper_py.store.uid_schemes import SCHEMES
from qpopper_py.tools import command
from qpopper_py.tools.command import DONE, FAILED
from qpopper_py.tools.convert_text import split
from qpopper_py.tools.mailauth_text import output
from qpopper_py.tools.migrate_find import text_of
from qpopper_py.tools.migrate_programs import Program
from qpopper_py.tools.migrate_state import DELAYS, make_state, tell
from qpopper_py.tools.owner import account_of, as_user, say

WAS = "# was started by "  # begins lines of a pop3d.toml that migrate --from made


class MovingBack:
    """One move back to ``program``."""

    def __init__(self, asked: Namespace, program: Program, name: str) -> None:
        self.asked = asked
        self.program = program
        self.name = name
        self.settings = command.settings_of(asked)
        self.mine = [] if asked.config is None else ["--config", asked.config]
        self.mine += [word for one in asked.set for word in ("--set", one)]

    def run(self) -> int:
        if not self.asked.dry_run:
            make_state(self.settings)
        print("mailboxes:")
        done = [self.recover(), *(self.user(user) for user in users(self.settings))]
        print("databases:")
        done += [self.apop(), self.delays()]
        print(f"to start {self.name} again:")
        for line in self.restore():
            tell(line)
        return DONE if all(done) else FAILED

    def recover(self) -> bool:
        left = unfinished(self.settings.state_dir)
        if self.asked.dry_run:
            tell(f"would finish what was cut off for {', '.join(left)}" if left else "nothing is unfinished")
            return True
        return not left or command.main(["recover", *self.mine, "--all"]) == DONE

    def user(self, name: str) -> bool:
        """Give the unique-ids of one user's mailbox back."""
        try:
            account = account_of(name, "", self.settings)
            place, why = maildrop_of(account, self.settings)
            if not place:
                raise QpopperError(why)
        except QpopperError as why:
            tell(f"{name}: left alone: {why}")
            return False
        kind, path = parted(place)
        if kind == "cyrus":
            tell(f"{name}: the mail was only read where it lies, so all is as it was")
            return True
        if kind == "maildir" or not self.program.uids:
            tell(f"{name}: {self.name} keeps unique-ids elsewhere than in the mail; clients may fetch all of it again")
            return True

        def work(state: str, helper: "KeptDotlock | None") -> None:
            store = open_store(place, name, state, self.settings, say, helper)
            if not isinstance(store, Mbox):
                raise QpopperError(f"{place}: is no mbox")
            try:
                store.scan()
                tell(f"{name}: {self.compared(store) if self.program.computed else self.written(store)}")
            finally:
                store.close()

        return as_user(account, path, self.settings, work) == DONE

    def scheme(self) -> str:
        """How the old program reads X-UIDL, or computes: of its two ways the one that we had."""
        ours, theirs = self.settings.uidl, self.program.uids
        return ours if ours.rstrip("0234").removesuffix("-old") == theirs.rstrip("0234") else theirs

    def written(self, store: Mbox) -> str:
        if self.asked.dry_run:
            return f"would see to it that {len(store.uids())} messages have their unique-ids in the mail (X-UIDL)"
        count, left = store.inscribe(self.scheme())
        lost = f"; of {left} it cannot be, their headers do not end" if left else ""
        return f"{count} unique-ids written into the mail (X-UIDL){lost}"

    def compared(self, store: Mbox) -> str:
        """How many it will compute as we gave them out."""
        make = SCHEMES[self.scheme()].of_header
        same = 0
        for index, uid in enumerate(store.uids()):
            head = store.from_line(index) + split(store.stored(index))[0]
            same += make(head) == uid
        count = len(store.uids())
        other = f"; {count - same} get another, and are fetched once more" if same < count else ""
        return f"of {count} messages {same} get the same unique-id from {self.name}{other}"

    def apop(self) -> bool:
        """Our APOP secrets as the text from which the old database is made."""
        if not self.program.apop_form or header(self.settings.mailauth_database) is None:
            return True
        where = (self.settings.mailauth_database, self.settings.mailauth_key, self.settings.mailauth_owner)
        entries = list(Editor(*where).export("APOP", secrets=not self.asked.dry_run))
        if not entries:
            return True
        path = os.path.abspath(self.asked.output or f"{self.settings.state_dir}/{self.name}.apop")
        database = self.program.apop[0]
        if self.asked.dry_run:
            tell(f"would write {len(entries)} APOP entries to {path}")
            return True
        with output(path, private=True) as file:
            file.write(FORMS[self.program.apop_form](entries))
        tell(f"{len(entries)} APOP entries written to {path}, in the clear: remove it when all works")
        tell(LOAD[self.program.apop_form].format(path=path, database=database))
        return True

    def delays(self) -> bool:
        if not self.program.delays:
            return True
        path = self.asked.delays or f"{self.settings.state_dir}/{self.name}.delays"
        if self.asked.dry_run:
            tell(f"would export the login delays to {path}")
            return True
        return command.main([DELAYS, "--export", path, *self.mine]) == DONE

    def restore(self) -> "Iterable[str]":
        """The lines that migrate --from found, else how the program is usually started."""
        path = self.asked.config or commandline.DEFAULT
        was = [line.removeprefix(WAS) for line in text_of(path) if line.startswith(WAS)] if path != "none" else []
        if not was and not self.program.restore:
            raise ConfigurationError(f"{self.name} is no program whose start is known")
        return [f"in {line}" for line in was] or [f"in inetd.conf or where it was: {self.program.restore}"]


def users(settings: Settings) -> "list[str]":
    """Who has records here."""
    folder = os.path.join(settings.state_dir, "users")
    try:
        return sorted(name for name in os.listdir(folder) if os.path.isdir(f"{folder}/{name}"))
    except OSError:
        return []


def mailutils(entries: "Iterable[Entry]") -> bytes:
    """``user:secret`` lines; GNU mailutils reads such a text in the place of a database."""
    return b"".join(entry.user.encode() + b":" + entry.secret + b"\n" for entry in entries)


def popauth(entries: "Iterable[Entry]") -> bytes:
    """What gdbm_load(1) makes popauth's database of: name and NUL; the secret XORed with 0xFF, and NUL."""
    lines = [
        b"# GDBM dump file created by qpopper-py",
        b"#:version=1.1",
        b"#:file=pop.auth",
        b"#:format=standard",
        b"# End of header",
    ]
    count = 0
    for count, entry in enumerate(entries, 1):  # noqa: B007  # their number, afterwards
        for item in (entry.user.encode() + b"\0", bytes(octet ^ 0xFF for octet in entry.secret) + b"\0"):
            lines += [
                b"#:len=%d" % len(item),
                *(text[at : at + 76] for text in (b64encode(item),) for at in range(0, len(text), 76)),
            ]
    return b"\n".join([*lines, b"#:count=%d" % count, b"# End of data", b""])


FORMS = {"mailutils": mailutils, "popauth": popauth}
LOAD = {
    "mailutils": "GNU mailutils reads this text as it is: cp -p {path} {database}",
    "popauth": "the database from it: gdbm_load {path} {database}   (if popauth uses gdbm; else popauth -user NAME)",
}
