"""``qpopper-py import-uids``: the uids that another server gave to the messages of a mailbox become theirs here.

They go into the user's table of overrides (:mod:`~qpopper_py.store.overrides`); the mailbox is only read.  Where the
old server numbered its messages, the numbers that it had not given out yet are ours to give (:mod:`~.numbering`).
"""

import hashlib
import os
from argparse import ArgumentParser, Namespace
from collections import Counter
from collections.abc import Iterable, Sequence

from qpopper_py.errors import MaildropTrouble, MaildropUnusable, QpopperError
from qpopper_py.serve.roles import KeptDotlock
from qpopper_py.settings import Settings
from qpopper_py.store.maildir.names import plain
from qpopper_py.store.maildir.store import Maildir
from qpopper_py.store.mbox.from_line import rule
from qpopper_py.store.mbox.layout import header
from qpopper_py.store.mbox.scan import scan
from qpopper_py.store.mbox.store import Mbox
from qpopper_py.store.numbering import NUMBERS
from qpopper_py.store.opening import open_store, parted, what_lies_at
from qpopper_py.store.overrides import LOOK, Overrides, contents, identity, is_uid
from qpopper_py.store.state import Record
from qpopper_py.store.uid_schemes import SCHEMES
from qpopper_py.tools.command import parser, settings_of
from qpopper_py.tools.owner import account_of, as_user, folder_asked, say
from qpopper_py.tools.uid_lists import HEADERS, KINDS, Given, UidList, headers, kind_of
from qpopper_py.tools.uid_match import by_key, by_order

LARGEST = 256 << 20  # octets of a list
BY = {
    "name": "the name of its file",
    "sha1": "the SHA-1 of its text",
    "identity": "its header",
    "octets": "order and size (where counts differ, the answer to LIST must stand in the same file)",
}
SHOWN = 20  # messages and uids that stayed alone are told up to so many


def words() -> ArgumentParser:
    made = parser("import-uids", "Give the messages of a mailbox the unique-ids that another server gave them.")
    made.add_argument("mailbox", metavar="MAILBOX", help="the mailbox; mbox: or maildir: before it says what it is")
    made.add_argument("source", metavar="LIST", help="dovecot-uidlist, courierpop3dsizelist, cyrus.index, ...")
    made.add_argument("--user", help="whose mail it is; without it the owner of MAILBOX, or whoever runs this")
    made.add_argument("--folder", default="", help="which of the user's folders it is (subfolders); levels parted by /")
    made.add_argument("--from", dest="kind", choices=[*KINDS, HEADERS], help="what LIST is, if that is not plain")
    forms = [name for name, scheme in SCHEMES.items() if scheme.numbered]
    made.add_argument(
        "--form", default="", choices=forms, help="how the old server wrote its numbers, if changed there"
    )
    made.add_argument("--dry-run", action="store_true", help="say which message would get which uid, write nothing")
    return made


def main(argv: Sequence[str]) -> int:
    asked = words().parse_args(argv)
    settings = settings_of(asked)
    kind, path = parted(asked.mailbox)
    path = os.path.abspath(path)
    if not os.path.lexists(path):
        raise MaildropUnusable(f"{path}: there is no such mailbox")
    account = account_of(asked.user, path, settings)
    account.folder = folder_asked(asked.folder)
    uids = read_list(asked, settings)
    os.umask(0o077)

    def work(state: str, helper: KeptDotlock | None) -> None:
        if not state:
            raise MaildropTrouble("there is no state folder to keep unique-ids in; see state_dir, or run this as root")
        place = f"{kind or what_lies_at(path) or 'mbox'}:{path}"
        store = open_store(place, account.user, state, settings, say, helper)
        assert isinstance(store, (Mbox, Maildir))
        try:
            Import(store, uids, state, asked.dry_run).run()
        finally:
            store.close()

    return as_user(account, path, settings, work)


def read_list(asked: Namespace, settings: Settings) -> UidList:
    """What LIST says, read by whoever runs this: the old server's files may not be the user's."""
    path = asked.source
    with open(path, "rb") as file:
        begin = file.read(64)
        kind = asked.kind or kind_of(os.path.basename(path), begin)
        size = os.fstat(file.fileno()).st_size
        if kind == HEADERS:
            by = rule(settings.mbox_separator, settings.mbox_content_length)
            layout = scan(file.fileno(), path, 0, size, rule=by)
            skipped = [text - start for text, start in zip(layout.texts, layout.starts, strict=True)]
            return headers([header(file.fileno(), layout, row)[skip:] for row, skip in enumerate(skipped)], asked.form)
        if size > LARGEST:
            raise QpopperError(f"{path}: larger than any list of unique-ids")
        data = begin + file.read(LARGEST)
    try:
        return KINDS[kind][0](data, asked.form)
    except QpopperError as why:
        raise QpopperError(f"{path}: {why}") from None


class Import:
    """One import into the table of overrides, within the user's place of a session."""

    def __init__(self, store: Mbox | Maildir, uids: UidList, state: str, dry_run: bool) -> None:
        self.store = store
        self.uids = uids
        self.state = state
        self.dry_run = dry_run
        self.octets: list[int] = []

    def run(self) -> None:
        self.octets = [entry.octets for entry in self.store.scan()]
        given = self.uids.given
        found = self.match(given)
        self.tell(given, found)
        if not found and given:
            raise QpopperError(f"no message is known again by {BY[self.uids.by]}; is it the list of this mailbox?")
        odd = [index for index, entry in found.items() if not is_uid(entry.uid)]
        if odd:
            say(f"{len(odd)} of these are no unique-ids by RFC 1939 (1 to 70 printable characters), and are left out")
        if not self.dry_run:
            self.write({index: entry for index, entry in found.items() if index not in odd})

    def match(self, given: list[Given]) -> dict[int, Given]:
        everybody = range(len(self.octets))
        if self.uids.by == "name" and isinstance(self.store, Maildir):
            return by_key(given, lambda entry: entry.name, [self.store.base(index) for index in everybody])
        if self.uids.by == "sha1":
            return by_key(given, lambda entry: entry.digest, [self.sha1(index) for index in everybody])
        if self.uids.by == "identity":
            return by_key(given, lambda entry: entry.digest, [self.identity(index) for index in everybody])
        return by_order(given, self.octets)

    def sha1(self, index: int) -> str:
        digest = hashlib.sha1(usedforsecurity=False)
        for piece in self.store.read(index):
            digest.update(piece)
        return digest.hexdigest()

    def identity(self, index: int) -> str:
        text = b""
        for piece in self.store.stored(index):
            text += piece
            if len(text) >= LOOK:
                break
        return identity(text)

    def tell(self, given: list[Given], found: dict[int, Given]) -> None:
        would = "would get" if self.dry_run else "get"
        print(f"{len(found)} of {len(self.octets)} messages {would} the unique-id of the list, which has {len(given)}")
        if self.dry_run:
            for index, entry in sorted(found.items()):
                print(f"  message {index + 1}: {entry.uid}")
        matched = {id(entry) for entry in found.values()}
        sizes = enumerate(self.octets)
        shown(
            f"message {index + 1} ({octets} octets): not in the list" for index, octets in sizes if index not in found
        )
        shown(f"unique-id {entry.uid}: of no message here" for entry in given if id(entry) not in matched)

    def write(self, found: dict[int, Given]) -> None:
        table = Overrides(self.state, say).load()
        if isinstance(self.store, Maildir):
            for index, entry in found.items():
                table.put_name(plain(self.store.base(index)), entry.uid)
        else:
            self.put_headers(table, found)
        self.keep_numbers()
        table.save()

    def put_headers(self, table: Overrides, found: dict[int, Given]) -> None:
        """Rows for the messages found, and for those that share a header with one of them, lest they share its uid."""
        keys = [self.identity(index) for index in range(len(self.octets))]
        wanted = {keys[index] for index in found}
        counts = Counter(keys)
        rows = []
        for index, key in enumerate(keys):
            if key in wanted:
                content = contents(self.store.stored(index)) if counts[key] > 1 else "-"
                entry = found.get(index)
                rows.append((key, content, entry.uid if entry else f"{key[:16]}-{content}"))
        table.put_headers(rows)

    def keep_numbers(self) -> None:
        """Numbers that the old server gave, to whichever message, are not given again."""
        record = Record(self.state, "uids", say)
        lines = record.load()
        if not self.uids.validity or any(line.startswith(NUMBERS) for line in lines):
            return
        if not record.save([f"{NUMBERS}{self.uids.validity} {self.uids.next} -", *lines], sync=True):
            raise MaildropTrouble(f"{record.path}: not written, so no unique-id was changed")


def shown(lines: Iterable[str]) -> None:
    told = list(lines)
    for line in told[:SHOWN]:
        print(f"  {line}")
    if len(told) > SHOWN:
        print(f"  and {len(told) - SHOWN} more")
