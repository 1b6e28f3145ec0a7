"""``qpopper-py convert``: an mbox into a Maildir and back, or a mailbox of Cyrus into a Maildir.

Unique-ids, flags and order are kept.

It works as the mailbox's user, in the user's place of a session, and holds the locks of the mbox from before the scan
until the target is complete.  The source is only read, unless it is to be removed afterwards.
"""

import errno
import os
import sys
import time
from argparse import ArgumentParser, Namespace
from collections.abc import Iterator, Sequence

from qpopper_py.auth.account import Account
from qpopper_py.errors import ConfigurationError, MaildropTrouble, MaildropUnusable
from qpopper_py.serve.roles import KeptDotlock
from qpopper_py.settings import Settings
from qpopper_py.store.cyrus.store import CyrusMailbox
from qpopper_py.store.lock import lock_of
from qpopper_py.store.maildir.names import plain
from qpopper_py.store.maildir.store import Maildir
from qpopper_py.store.mbox.from_line import rule
from qpopper_py.store.mbox.snapshot import open_mailbox
from qpopper_py.store.mbox.store import Mbox
from qpopper_py.store.opening import open_store, owner_of, parted, what_lies_at
from qpopper_py.store.overrides import Overrides, identity
from qpopper_py.store.paths import in_spool
from qpopper_py.store.place import take_place
from qpopper_py.tools.command import parser, settings_of
from qpopper_py.tools.convert_maildir import MaildirTarget
from qpopper_py.tools.convert_mbox import MboxTarget
from qpopper_py.tools.convert_text import Letter, Marks, delivered, split
from qpopper_py.tools.owner import account_of, as_user, folder_asked, say

OTHER = {"mbox": "maildir", "maildir": "mbox", "cyrus": "maildir"}


def words() -> ArgumentParser:
    made = parser("convert", "Convert an mbox or a mailbox of Cyrus into a Maildir, or a Maildir into an mbox.")
    made.add_argument("source", metavar="SOURCE", help="the mailbox; mbox:, maildir: or cyrus: before it tells")
    made.add_argument("--from", dest="kind", choices=list(OTHER), help="what SOURCE is, as the prefix says it")
    made.add_argument("target", metavar="TARGET", help="of the other kind; missing, or without mail")
    made.add_argument("--user", help="whose mail it is; without it the owner of SOURCE, or whoever runs this")
    made.add_argument("--folder", default="", help="which of the user's folders it is (subfolders); levels parted by /")
    made.add_argument("--append", action="store_true", help="add to the mail that TARGET holds")
    made.add_argument("--remove", action="store_true", help="afterwards remove the messages from SOURCE")
    made.add_argument("--dry-run", action="store_true", help="look at everything, convert nothing")
    return made


def main(argv: Sequence[str]) -> int:
    asked = words().parse_args(argv)
    settings = settings_of(asked)
    source, target = places(asked)
    account = account_of(asked.user, source[1], settings)
    account.folder = folder_asked(asked.folder)
    mbox = source[1] if source[0] == "mbox" else target[1]
    os.umask(0o077)
    if os.geteuid() == 0 and not asked.dry_run and target[0] == "mbox":
        make_in_spool(target[1], account, settings)

    def work(state: str, helper: KeptDotlock | None) -> None:
        Job(asked, settings, account.user, source, target, state, helper).run()

    return as_user(account, mbox, settings, work)


def places(asked: Namespace) -> tuple[tuple[str, str], tuple[str, str]]:
    """(kind, absolute path) of source and target."""
    kind, path = parted(asked.source)
    source = os.path.abspath(path)
    if not os.path.lexists(source):
        raise MaildropUnusable(f"{source}: there is no such mailbox")
    if kind and asked.kind and kind != asked.kind:
        raise ConfigurationError(f"{asked.source}: begins with {kind}:, and --from says {asked.kind}; leave one out")
    kind = kind or asked.kind or what_lies_at(source)
    if not kind:
        raise MaildropUnusable(f"{source}: is a folder without cur, new and tmp, so no Maildir, nor has it cyrus.index")
    if kind == "cyrus" and asked.remove:
        raise ConfigurationError("--remove: nothing is removed from a Cyrus spool; Cyrus' own tools do that")
    target_kind, path = parted(asked.target)
    if target_kind in (kind, "cyrus"):
        raise ConfigurationError(f"source and target are both of the kind {kind}: there is nothing to convert")
    return (kind, source), (OTHER[kind], os.path.abspath(path))


def make_in_spool(path: str, account: Account, settings: Settings) -> None:
    """An empty mailbox where only root can make one.  In other folders root makes nothing: they may be the user's."""
    if path == in_spool(settings.spool, account.user, settings.hash_spool) and not os.path.lexists(path):
        fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
        os.fchown(fd, account.uid, -1)
        os.close(fd)


class Source:
    """The store that is read, and its messages as letters."""

    def __init__(self, store: Mbox | Maildir | CyrusMailbox) -> None:
        self.store = store
        self.entries = store.scan()
        self.uids = list(store.uids())

    def letters(self) -> Iterator[Letter]:
        store = self.store
        for index, uid in enumerate(self.uids):
            if isinstance(store, Mbox):
                when, marks = delivered(store.from_line(index)), Marks(False, "")
            else:
                old, flags, seconds = store.letter(index)
                when, marks = int(seconds), Marks(old, flags if old else "")
            whole = isinstance(store, CyrusMailbox)
            yield Letter(lambda index=index: store.stored(index), uid, when, marks, whole)  # type: ignore[misc]  # the default binds it now

    def forget(self, table: Overrides) -> None:
        """Take out of the table what it says of these messages as they lie here."""
        if isinstance(self.store, Mbox):
            table.forget_headers([identity(split(letter.stored())[0]) for letter in self.letters()])
        elif isinstance(self.store, Maildir):
            for index in range(len(self.uids)):
                table.names.pop(plain(self.store.base(index)), None)


class Job:
    """One conversion, as the user."""

    def __init__(
        self,
        asked: Namespace,
        settings: Settings,
        user: str,
        source: tuple[str, str],
        target: tuple[str, str],
        state: str,
        helper: KeptDotlock | None,
    ) -> None:
        if settings.state_dir and not state:
            raise MaildropTrouble(
                "without a state folder the unique-ids cannot be kept, and clients would fetch everything again; run "
                "this as root, or give up unique-ids by --set state_dir="
            )
        self.asked = asked
        self.settings = settings
        self.user = user
        self.source, self.target = source, target
        self.state = state
        self.owner = owner_of(user)
        self.table = Overrides(state, say).load()
        mbox = source[1] if source[0] == "mbox" else target[1]
        self.lock = lock_of(mbox, settings, say, helper)
        self.helper = helper
        self.shown = 0.0

    def run(self) -> None:
        # With a state folder the source's place is the user's, for any mailbox.
        place = None if self.state else take_place(self.target[1], "", say)
        fd = -1
        target = self._target()
        try:
            target.check()
            if self.source[0] == "mbox":
                fd = self._locked()
            store = self._opened(self.source)
            try:
                self._convert(Source(store), target)
            finally:
                store.close()
        finally:
            target.close()
            if fd >= 0:
                self.lock.release()
                os.close(fd)
            if place is not None:
                place.release()

    def _target(self) -> MaildirTarget | MboxTarget:
        kind, path = self.target
        if kind == "maildir":
            return MaildirTarget(path, self.table, say, self.asked.append)
        if self.asked.append:  # it must be a mailbox, and whole
            store = open_store(":".join(self.target), self.user, self.state, self.settings, say, self.helper)
            try:
                store.scan()
            finally:
                store.close()
        read_by = rule(self.settings.mbox_separator, self.settings.mbox_content_length)
        return MboxTarget(path, self.owner, self.state, self.lock, read_by, self.table, say, self.asked.append)

    def _locked(self) -> int:
        """The source mbox, open, its locks held."""
        path = self.source[1]
        try:
            fd, ours = open_mailbox(path, self.owner, os.O_RDWR), True
        except OSError as why:
            if why.errno != errno.EROFS or self.asked.remove:
                raise
            fd, ours = open_mailbox(path, self.owner), False
        self.lock.take(fd, exclusive=ours)
        return fd

    def _opened(self, place: tuple[str, str]) -> Mbox | Maildir | CyrusMailbox:
        # The locks are held already, by us, for the whole of it.
        values = [(self.settings.origins[name], {name: value}) for name, value in self.settings.values.items()]
        ours = {"locks.kinds": [], "second_session": "refused", "read_only": self.asked.dry_run}
        unlocked = Settings([*values, ("convert", ours)])
        store = open_store(":".join(place), self.user, self.state, unlocked, say)
        assert isinstance(store, (Mbox, Maildir, CyrusMailbox))
        return store

    def _convert(self, source: Source, target: MaildirTarget | MboxTarget) -> None:
        count, octets = len(source.uids), sum(entry.octets for entry in source.entries)
        what = f"{count} messages, {octets} octets, from {':'.join(self.source)} to {':'.join(self.target)}"
        if self.asked.dry_run:
            print(f"would convert {what}")
            return
        target.begin(source.letters)
        for number, letter in enumerate(source.letters(), 1):
            target.put(letter)
            self._progress(number, count)
        done = target.commit()
        print(f"converted {what}")
        if done < count:
            print(f"{count - done} of them were there already")
        if self.asked.remove:
            self._remove(source)

    def _progress(self, number: int, count: int) -> None:
        self.lock.refresh()
        now = time.monotonic()
        if sys.stderr.isatty() and (number == count or now - self.shown > 0.1):
            self.shown = now
            print(f"\r{number} of {count} messages", end="\n" if number == count else "", file=sys.stderr, flush=True)

    def _remove(self, source: Source) -> None:
        source.forget(self.table)
        source.store.expunge(range(len(source.uids)))
        if self.table.path:
            self.table.save()
        print(f"removed them from {':'.join(self.source)}")
