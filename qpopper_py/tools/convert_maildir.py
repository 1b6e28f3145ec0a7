"""A Maildir as the target of a conversion.

A target is checked, begun, given one letter after the other, and committed; ``close`` undoes what was not committed.
The unique-ids are on the disk before the first message can be seen.
"""

import os
import shutil
import time
from collections.abc import Callable, Iterable
from hashlib import blake2b
from itertools import chain

from qpopper_py.errors import MaildropUnusable
from qpopper_py.store.disk import sync_folder
from qpopper_py.store.maildir.folders import NAMES, TMP
from qpopper_py.store.maildir.names import base_of, plain
from qpopper_py.store.opening import what_lies_at
from qpopper_py.store.overrides import Overrides
from qpopper_py.tools.convert_text import Letter, received, split, taken_off

FILE = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
Report = Callable[[str], None]


class MaildirTarget:
    """A Maildir: missing, it is built as PATH.converting and renamed; else everything goes to tmp first.

    A file's name is made of the letter's place in the source, its date and its contents, so that what an earlier run
    has put there is known again and not put there twice.
    """

    def __init__(self, path: str, table: Overrides, report: Report, append: bool) -> None:
        self.path = path
        self.table = table
        self.report = report
        self.append = append
        self.build = path
        self.there: set[str] = set()  # bases in new and cur, without their seconds
        self.written: list[tuple[str, str, str]] = []  # (name in tmp, folder, name)
        self.seconds = 0
        self.count = 0
        self.begun = self.done = False

    def check(self) -> None:
        """MaildropUnusable: mail is there, or something that is no Maildir."""
        if not os.path.lexists(self.path):
            self.build = self.path + ".converting"
            return
        if what_lies_at(self.path) != "maildir" or os.path.islink(self.path):
            raise MaildropUnusable(
                f"{self.path}: no Maildir (a folder that holds cur, new and tmp); name another target"
            )
        names = [name for folder in ("new", "cur") for name in os.listdir(f"{self.path}/{folder}") if name[0] != "."]
        if names and not self.append:
            raise MaildropUnusable(f"{self.path}: holds {len(names)} messages; --append adds to them")
        self.there = {base_of(name).partition(".")[2] for name in names}

    def begin(self, letters: Callable[[], Iterable[Letter]]) -> None:  # noqa: ARG002  # MboxTarget asks for them
        self.begun = True
        if self.build != self.path:
            if os.path.lexists(self.build):
                self.report(f"{self.build}: was left by a conversion that broke off; it is made anew")
                shutil.rmtree(self.build)
            for name in ("", *NAMES):
                os.mkdir(os.path.join(self.build, name), 0o700)

    def put(self, letter: Letter) -> None:
        temporary = os.path.join(self.build, NAMES[TMP], f"convert.{self.count}")
        try:
            os.unlink(temporary)
        except FileNotFoundError:
            pass
        head, rest = split(letter.stored())
        when = letter.delivered or received(head)
        head, marks = (head, letter.marks) if letter.whole else taken_off(head)
        digest, size, feeds = blake2b(digest_size=8), 0, 0
        last = b""
        with open(os.open(temporary, FILE, 0o600), "wb") as file:
            for piece in chain([head], rest):
                file.write(piece)
                digest.update(piece)
                size += len(piece)
                feeds += piece.count(b"\n") - piece.count(b"\r\n") - (last == b"\r" and piece.startswith(b"\n"))
                last = piece[-1:] or last
            file.flush()
            os.utime(file.fileno(), (when, when))
            os.fsync(file.fileno())
        self.seconds = max(self.seconds, min(when, int(time.time())))
        wire = size + feeds + (0 if last in (b"\n", b"") else 2)
        unique = f"M{self.count % 1000000:06}P{self.count}Q{digest.hexdigest()},S={size},W={wire}"
        where, info = ("cur", f":2,{marks.flags}") if marks.old else ("new", "")
        name = f"{self.seconds}.{unique}"
        if unique in self.there:
            os.unlink(temporary)
        else:
            self.written.append((temporary, where, name + info))
            self.table.put_name(plain(name), letter.uid)
        self.count += 1
        if self.count % 1000000 == 0:
            self.seconds += 1  # the microseconds begin anew

    def commit(self) -> int:
        """How many were put there; the rest was there."""
        self.table.save()
        for temporary, where, name in self.written:
            os.rename(temporary, f"{self.build}/{where}/{name}")
        for name in NAMES:
            sync_folder(f"{self.build}/{name}")
        sync_folder(self.build)
        if self.build != self.path:
            os.rename(self.build, self.path)
            self.build = self.path
            sync_folder(os.path.dirname(self.path))
        self.done = True
        return len(self.written)

    def close(self) -> None:
        """Remove what was not committed."""
        if self.done or not self.begun:
            return
        if self.build != self.path:
            shutil.rmtree(self.build, ignore_errors=True)
        else:
            for temporary, where, name in self.written:
                for path in (temporary, f"{self.build}/{where}/{name}"):
                    if os.path.lexists(path):
                        os.unlink(path)
