"""The UPDATE state, and what old servers removed beside what DELE marked: each rule a setting, all of them off.

Laws: without QUIT nothing goes but what the client itself marked, and that only with ``update_on_abort``.  After an
error of ours, or in ``read_only`` mode, nothing goes at all.  What counts as retrieved was sent to its last octet.

``expire`` is GNU mailutils': a message expires so many days after it was first retrieved.  When that was is kept in
the record ``retrieved`` of the state folder, a line ``unique-id seconds-since-1970`` each, and never written into
the mailbox; of a message that was read before there was a record, the header X-Expire-Timestamp tells.
"""

import time

from qpopper_py.errors import MaildropError
from qpopper_py.protocol.text import field, header
from qpopper_py.store.terms import terms_of

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from qpopper_py.events import SessionClosed
    from qpopper_py.session.maildrop import Maildrop
    from qpopper_py.settings import Settings
    from qpopper_py.store.base import Store

DAY = 86400
UNKNOWN = 0  # read, but nobody noted when: such a message never expires


class Update:
    """The rules of one session; what was really removed goes into ``closing``.

    ``state``: the user's private folder or empty; ``report`` takes a line for the log.
    """

    def __init__(
        self,
        settings: "Settings",
        state: str,
        closing: "SessionClosed",
        report: "Callable[[str], None]",
        clock: "Callable[[], float]" = time.time,
    ) -> None:
        self.settings = settings
        self.closing = closing
        self.report = report
        self.clock = clock
        self.record = terms_of(settings).record(state if settings.expire != "never" else "", "retrieved", report)

    def at_quit(self, drop: "Maildrop") -> None:
        """Do what the client asked for and what the rules add.  MaildropError: nothing was removed."""
        if self.settings.read_only:
            return
        doomed = set(drop.marked)
        if self.settings.auto_delete:
            doomed |= drop.read
        times = self._times(drop) if self.settings.expire != "never" else None
        if times and self.settings.delete_expired:
            doomed |= self._expired(drop, times)
        self._commit(drop, doomed)
        if times is not None:
            self._remember(drop, times, doomed)

    def on_abort(self, drop: "Maildrop") -> None:
        """The connection broke off: what the client marked goes if the setting says so; an error is reported."""
        if self.settings.read_only or not self.settings.update_on_abort:
            return
        try:
            self._commit(drop, drop.marked - drop.found_marked)
        except MaildropError as why:
            self.report(f"{why}; what the client marked before it was gone is not deleted")

    def _commit(self, drop: "Maildrop", doomed: "set[int]") -> None:
        messages, octets = drop.commit(doomed)
        self.closing.deleted += messages
        self.closing.deleted_octets += octets
        self.closing.left -= messages
        self.closing.left_octets -= octets

    def _times(self, drop: "Maildrop") -> "dict[int, int] | None":
        """When each message that was ever retrieved first was, by index; None if that cannot be told now."""
        try:
            return self._read_times(drop)
        except MaildropError as why:
            self.report(f"{why}; nothing expires in this session")
            return None

    def _read_times(self, drop: "Maildrop") -> "dict[int, int]":
        known = dict(_line(line) for line in self.record.load())
        uids = drop.store.uids()
        times = {}
        for index, entry in enumerate(drop.entries):
            when = known.get(uids[index])
            if when is None and entry.seen and index not in drop.marked:
                when = stamp(drop.store, index)
            if index in drop.retrieved:
                when = when or int(self.clock())
            if when is not None:
                times[index] = when
        return times

    def _expired(self, drop: "Maildrop", times: "dict[int, int]") -> "set[int]":
        """Those whose days are over; not what RSET took back after it was retrieved in this very session."""
        limit = int(self.settings.expire) * DAY
        now = self.clock()
        back = drop.retrieved - drop.read
        return {index for index, when in times.items() if when != UNKNOWN and when + limit <= now and index not in back}

    def _remember(self, drop: "Maildrop", times: "dict[int, int]", gone: "set[int]") -> None:
        uids = drop.store.uids()
        self.record.save([f"{uids[index]} {when}" for index, when in times.items() if index not in gone], sync=False)


def _line(line: str) -> "tuple[str, int]":
    uid, _, when = line.partition(" ")
    return uid, int(when) if when.isdigit() else UNKNOWN


def stamp(store: "Store", index: int) -> int:
    """Seconds since 1970 by the message's X-Expire-Timestamp, or UNKNOWN."""
    value = field(header(store.read(index)), b"X-Expire-Timestamp:").partition(b":")[2].strip()
    return int(value) if value.isdigit() and len(value) <= 12 else UNKNOWN
