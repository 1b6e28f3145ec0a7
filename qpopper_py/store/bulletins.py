"""Bulletins: mail that every user gets a copy of, put behind the maildrop at login, as Qpopper and GNU mailutils do.

The source is Qpopper's, a folder of files ``NUMBER.NAME``, each a message with its From_ line; or mailutils', an mbox
whose messages count from 1.  Who has which is one number, that of the latest, in the record ``bulletins`` of the
state folder.  Of a user of whom there is no record yet the old server's is asked, once: ``bulletins.database``, then
``.popbull`` in the home; of whom neither tells, the user is new.

The record is written behind the bulletin: a crash between the two leaves it twice, never not at all.  Before
anything is appended the record is written too, so that one which cannot be does not give a copy at each login.
Nothing here refuses a login: what goes wrong is reported, and tried again at the next.
"""

import os
import stat

from qpopper_py.errors import MaildropError
from qpopper_py.store.bulletin_numbers import known_before
from qpopper_py.store.bulletin_text import copy_of
from qpopper_py.store.mbox.layout import read_at
from qpopper_py.store.mbox.scan import scan
from qpopper_py.store.posting import Nowhere, open_drop
from qpopper_py.store.state import Record

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from qpopper_py.settings import Settings
    from qpopper_py.store.bulletin_numbers import Reader
    from qpopper_py.store.dotlock import DotlockHelper

LARGEST = 4 << 20  # octets of a bulletin
LOCK = "bulletins.lock"
FOLDER = "-"  # a folder's own looks tell nothing of its files


def post_bulletins(
    place: str,
    reader: "Reader",
    state: str,
    settings: "Settings",
    report: "Callable[[str], None]",
    dotlocks: "DotlockHelper | None" = None,
) -> None:
    """Append to the maildrop ``place`` what ``reader`` has not got.  The other arguments are ``open_store``'s."""
    source = settings.bulletins_source
    if not source or settings.read_only:
        return
    if not state:
        report(f"{source}: {reader.user} gets no bulletins: without a state folder nobody knows which are new")
        return
    try:
        lock = _lock(state)
        if lock >= 0:
            try:
                _post(place, reader, Record(state, "bulletins", report), settings, report, dotlocks)
            finally:
                os.close(lock)
    except Nowhere:
        pass  # no mailbox yet: the bulletins come when there is one
    except MaildropError as why:
        report(f"bulletins for {reader.user} are put off: {why}")
    except OSError as why:
        report(f"bulletins for {reader.user} are put off: {why.filename or source}: {why.strerror}")


def _lock(state: str) -> int:
    """A descriptor that holds the lock of this user's bulletins; -1: another session is posting them."""
    import fcntl

    flags = os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
    fd = os.open(os.path.join(state, LOCK), flags, 0o600)
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        return fd
    except BlockingIOError:
        os.close(fd)
        return -1


def _post(
    place: str,
    reader: "Reader",
    record: Record,
    settings: "Settings",
    report: "Callable[[str], None]",
    dotlocks: "DotlockHelper | None",
) -> None:
    """The record is two words: the number, and what the source looked like then if that tells that nothing is new."""
    source = settings.bulletins_source
    words = " ".join(record.load()).split()
    look = appearance(source)
    if look != FOLDER and words[1:] == [look]:
        return
    bulletins = [one for one in listed(source) if not settings.bulletins_groups or meant_for_us(one)]
    number = int(words[0]) if words and words[0].isdigit() else known_before(reader, settings, report)
    if number is None:
        numbers = sorted({bulletin.number for bulletin in bulletins})
        old = numbers[: max(0, len(numbers) - settings.bulletins_new_users)]
        number = old[-1] if old else 0
    texts = []
    for bulletin in [bulletin for bulletin in bulletins if bulletin.number > number]:
        text = bulletin.text(reader, report)
        if not text:  # it may be in the making: what comes behind it waits, too
            look = FOLDER
            break
        texts.append(text)
        latest = bulletin.number
    if texts:
        drop = open_drop(place, reader.user, settings, report, dotlocks)
        try:
            # A word that never was there: an equal line would be taken for written without writing it.
            if not record.save([f"{number} posting:{os.urandom(4).hex()}"], sync=True):
                return
            drop.append(texts)
        finally:
            drop.close()
        number = latest
    record.save([f"{number} {look}"], sync=True)


class Bulletin:
    """Number ``number``: octets ``start`` to ``stop`` of the file ``path`` (``stop`` -1: its end)."""

    __slots__ = ("number", "path", "start", "stop")

    def __init__(self, number: int, path: str, start: int = 0, stop: int = -1) -> None:
        self.number = number
        self.path = path
        self.start = start
        self.stop = stop

    def text(self, reader: "Reader", report: "Callable[[str], None]") -> bytes:
        """The reader's copy, From_ line first; empty if there is none to be had, which is reported."""
        try:
            fd = os.open(self.path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
            try:
                facts = os.fstat(fd)
                size = (self.stop if self.stop >= 0 else facts.st_size) - self.start
                if not stat.S_ISREG(facts.st_mode) or size > LARGEST:
                    why = f"it is no regular file of {LARGEST >> 20} MiB at most"
                else:
                    why = "it does not begin with a From_ line and its date"
                    if text := copy_of(read_at(fd, size, self.start), reader.address):
                        return text
            finally:
                os.close(fd)
        except OSError as error:
            why = str(error.strerror)
        report(f"{self.path}: bulletin {self.number} and those behind it wait: {why}")
        return b""


def listed(source: str) -> "Sequence[Bulletin]":
    """What lies in ``source``, by number.  Raises OSError; MaildropUnusable: it is no mbox."""
    if os.path.isdir(source):
        found = [(leading_number(name), name) for name in os.listdir(source)]
        return [Bulletin(number, os.path.join(source, name)) for number, name in sorted(found) if number]
    fd = os.open(source, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    try:
        layout = scan(fd, source, 0, os.fstat(fd).st_size)
    finally:
        os.close(fd)
    rows = range(int(layout.internal), len(layout))
    return [Bulletin(row + 1, source, layout.starts[row], layout.ends[row]) for row in rows]


def meant_for_us(bulletin: Bulletin) -> bool:
    """Qpopper's group-bulletins: what stands between the first two dots of a name is whose it is.

    A group of the system's is its members', ALL (in capitals) is everybody's, as is a name without a dot; a group that
    there is not is nobody's (IsBulletinForMe of Qpopper 4.0's pop_bull.c).  Our groups are the user's.
    """
    import grp

    _, dot, rest = os.path.basename(bulletin.path).partition(".")
    group = rest.partition(".")[0]
    if not dot or group == "ALL":
        return True
    try:
        return grp.getgrnam(group).gr_gid in (os.getegid(), *os.getgroups())
    except KeyError:
        return False


def leading_number(name: str) -> int:
    """The number that a bulletin's name begins with; 0 if it is no bulletin, or an editor's leftover."""
    digits = name[: len(name) - len(name.lstrip("0123456789"))]
    return int(digits) if 0 < len(digits) < 19 and not name.endswith("~") else 0


def appearance(source: str) -> str:
    """A word that changes whenever an mbox does."""
    facts = os.stat(source)
    return FOLDER if stat.S_ISDIR(facts.st_mode) else f"{facts.st_ino}:{facts.st_size}:{facts.st_mtime_ns}"
