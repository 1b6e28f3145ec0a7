"""``mailauth convert``: an old database's APOP secrets into ours.  The old files are read, and nothing else."""

import time

from qpopper_py.auth import names
from qpopper_py.auth.authdb_edit import Editor, Entry
from qpopper_py.legacy_dbm import records, sniff

SHOWN = 20  # names in a line


class Converted:
    """What came of it; the lists are of user names."""

    def __init__(self, path: str, kind: str) -> None:
        self.path = path
        self.kind = kind
        self.new: list[str] = []
        self.there: list[str] = []
        self.empty: list[str] = []
        self.scram = 0
        self.damaged: list[str] = []  # sentences

    def summary(self, overwrite: bool) -> "list[str]":
        done = len(self.new) + (len(self.there) if overwrite else 0)
        told = [f"converted {done} APOP {'entry' if done == 1 else 'entries'} from {self.path} ({self.kind})"]
        if self.there:
            fate = "replaced" if overwrite else "kept as they are here (--overwrite replaces them)"
            told.append(f"{len(self.there)} were here already and {fate}: {some(self.there)}")
        if self.empty:
            told.append(f"{len(self.empty)} have no APOP secret and were left out: {some(self.empty)}")
        if self.scram:
            told.append(f"{self.scram} have a SCRAM-MD5 verifier, which was left out: mind who has nothing else")
        told += [f"not converted: {sentence}" for sentence in self.damaged]
        told.append(f"{self.path} was not touched; it holds the secrets all but in the clear: remove it when all works")
        return told


def some(users: "list[str]") -> str:
    """The names, the first of them if they are many."""
    more = f" and {len(users) - SHOWN} more" if len(users) > SHOWN else ""
    return ", ".join(users[:SHOWN]) + more


def convert(editor: Editor, path: str, overwrite: bool) -> Converted:
    """Take over the database ``path``.  QpopperError says what cannot be read and what to run where it was made."""
    found, kind, pairs = sniff.contents(path)
    result = Converted(found, kind)
    entries = [Entry(old.user, "APOP", int(time.time()), old.secret) for old in usable(result, pairs) if old.secret]
    new, there = editor.put_all(entries, overwrite)
    result.new = sorted(entry.user for entry in new)
    result.there = sorted(entry.user for entry in there)
    return result


def usable(result: Converted, pairs: "list[tuple[bytes, bytes]]") -> "list[records.OldEntry]":
    """One entry a user; what cannot be taken is noted in ``result``."""
    by_user: dict[str, records.OldEntry] = {}
    contradicted: set[str] = set()
    for key, value in pairs:
        try:
            old = records.decode(key, value)
            names.check(old.user)
        except ValueError as why:
            result.damaged.append(str(why))
            continue
        other = by_user.setdefault(old.user, old)
        if other.secret != old.secret:
            contradicted.add(old.user)
    for user in sorted(contradicted):
        del by_user[user]
        result.damaged.append(f"{user} has two entries that contradict each other")
    result.scram = sum(old.scram for old in by_user.values())
    result.empty = sorted(old.user for old in by_user.values() if not old.secret)
    return list(by_user.values())
