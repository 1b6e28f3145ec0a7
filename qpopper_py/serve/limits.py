"""How many sessions there may be at once, and from where: the table that the accepting process keeps.

popa3d's flood table with more columns.  A session counts while its process lives, and at least limits.min_delay
seconds from its beginning; it counts in all, for its source, and until it has logged in among the unauthenticated.
A source is an IPv4 address, or the /64 of an IPv6 address: that is what one customer has.  A connection that a proxy
passed on counts for the proxy (limits.sessions_proxy) and for its client (limits.sessions_address).

The table is as long as limits.sessions.  A flood must not flood the log either: no record of a refusal comes twice in
THROTTLE seconds for one source, and of a source that begins more than PACE sessions in that time the others are quiet:
until they log in, nothing is recorded of them but refused logins and errors.
"""

import time

from qpopper_py.events import Note, Trouble
from qpopper_py.serve.access import Access
from qpopper_py.serve.proxy import Senders
from qpopper_py.serve.teller import CLIENT, GRANTED, LOGGED_IN, REFUSED

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from qpopper_py.events import Event
    from qpopper_py.settings import Settings

    Rules = tuple[str, ...]

THROTTLE = 10  # seconds between two records of one cause: popa3d's MIN_DELAY
PACE = 50  # sessions of a source that are logged in this time
CAUSES = 256  # causes that are told apart; what comes beyond shares one record


def source_of(address: str) -> bytes:
    """What ``address`` is counted as: all of an IPv4 address, the /64 of an IPv6 one, nothing for none."""
    import _socket

    host = address.partition("%")[0]
    if not host:
        return b""
    if ":" not in host:
        return _socket.inet_pton(_socket.AF_INET, host)
    octets = _socket.inet_pton(_socket.AF_INET6, host)
    return octets[12:] if octets.startswith(bytes(10) + b"\xff\xff") else octets[:8]


class Throttle:
    """``most`` records of a cause in THROTTLE seconds; the first one afterwards tells how many were left out."""

    __slots__ = ("_causes", "_clock", "_most")

    def __init__(self, clock: "Callable[[], float]" = time.monotonic, most: int = 1) -> None:
        self._clock = clock
        self._most = most
        self._causes: dict[object, tuple[float, int, int]] = {}  # since when, how many told and left out since

    def __call__(self, cause: object) -> int | None:
        """How many records of ``cause`` were left out before this one; None: this one is left out too."""
        now = self._clock()
        if cause not in self._causes and len(self._causes) >= CAUSES:
            self._causes = {one: row for one, row in self._causes.items() if now - row[0] < THROTTLE}
            if len(self._causes) >= CAUSES:
                cause = None
        since, told, left_out = self._causes.get(cause, (now, 0, 0))
        if now - since >= THROTTLE:
            self._causes[cause] = now, 1, 0
            return left_out
        if told < self._most:
            self._causes[cause] = since, told + 1, 0
            return 0
        self._causes[cause] = since, told, left_out + 1
        return None


class Entry:
    """One session: when it began, the keys it counts for, whether it has logged in, the rules of its listener."""

    __slots__ = ("began", "keys", "logged_in", "proxied", "rules")

    def __init__(self, began: float, key: "tuple[str, bytes]", proxied: bool, rules: "Rules") -> None:
        self.began = began
        self.keys = [key]
        self.proxied = proxied
        self.logged_in = False
        self.rules = rules


class Limits:
    """The table.  ``emit`` hears of refusals."""

    def __init__(
        self, settings: "Settings", emit: "Callable[[Event], None]", clock: "Callable[[], float]" = time.monotonic
    ) -> None:
        self._settings = settings
        self._emit = emit
        self._clock = clock
        self._senders = Senders(settings.proxy_networks)
        self._doors: dict[Rules, Access] = {}  # by their rules
        self._entries: dict[int, Entry] = {}  # by the number of the session
        self._lingering: list[Entry] = []  # over, but they began less than min_delay ago
        self._counts: dict[tuple[str, bytes], int] = {}
        self._unauthenticated = 0
        self._throttle = Throttle(clock)
        self._pace = Throttle(clock, PACE)

    def __len__(self) -> int:
        """Sessions that count."""
        return len(self._entries) + len(self._lingering)

    def adopt(self, settings: "Settings") -> None:
        """Count by these settings from here on."""
        self._settings = settings
        self._senders = Senders(settings.proxy_networks)
        self._doors.clear()

    def admit(self, address: str, rules: "Rules" = ()) -> bool:
        """Whether a connection from ``address`` may become a session; says in the log if not.

        ``rules``: the listener's own of who may connect.
        """
        self._forget()
        settings = self._settings
        if not self._senders.hold(address) and not self._admits(address, rules):  # its client is asked for when known
            return False
        if len(self) >= settings.limits_sessions:
            return self._refuse("", f"{address}: sessions limit reached: {settings.limits_sessions} (limits.sessions)")
        if 0 < settings.limits_unauthenticated <= self._unauthenticated:
            most = settings.limits_unauthenticated
            what = f"{address}: sessions without login limit reached: {most} (limits.unauthenticated)"
            return self._refuse("unauthenticated", what)
        return self._room(self._key(address), address)

    def began(self, number: int, address: str, rules: "Rules" = ()) -> None:
        """The session that was admitted is ``number``."""
        key = self._key(address)
        self._entries[number] = Entry(self._clock(), key, key[0] == "proxy", rules)
        self._counts[key] = self._counts.get(key, 0) + 1
        self._unauthenticated += 1

    def quiet(self, address: str) -> bool:
        """Whether the session that was admitted is one too many for the log; asked once for each."""
        left_out = self._pace(source_of(address))
        if left_out:
            self.throttled(f"pace {address}", f"{address}: {left_out} sessions in {THROTTLE} s were not logged")
        return left_out is None

    def ended(self, number: int) -> None:
        entry = self._entries.pop(number, None)
        if entry is None:
            return
        if not entry.logged_in:
            self._unauthenticated -= 1
        self._lingering.append(entry)
        self._forget()

    def hear(self, number: int, message: bytes) -> bytes:
        """What a session tells, and the answer to it, empty for none.  A message of no known form is refused."""
        entry = self._entries.get(number)
        if message == LOGGED_IN and entry is not None:
            if not entry.logged_in:
                entry.logged_in = True
                self._unauthenticated -= 1
            return b""
        granted = message[:1] == CLIENT and entry is not None and self._client(entry, message[1:])
        return GRANTED if granted else REFUSED

    def throttled(self, cause: str, what: str) -> None:
        """A warning of the service, unless there was one of that ``cause`` just now."""
        left_out = self._throttle(cause)
        if left_out is not None:
            more = f"; {left_out} more since the last such record" if left_out else ""
            self._emit(Trouble(None, what + more, "warning"))

    def _client(self, entry: Entry, spelled: bytes) -> bool:
        """The proxy said for whom: count the session for that client too, once."""
        if not spelled or not entry.proxied or len(entry.keys) > 1:
            return False
        try:
            address = spelled.decode("ascii")
            key = ("client", source_of(address))
        except (OSError, ValueError):
            return False
        if not self._admits(address, entry.rules) or not self._room(key, address):
            return False
        entry.keys.append(key)
        self._counts[key] = self._counts.get(key, 0) + 1
        return True

    def _admits(self, address: str, rules: "Rules") -> bool:
        """Whether access and the listener both let the address in; in the log if not, or if a rule says so.

        What is a porter's to find out is let in so far.
        """
        doors = [self._door(self._settings.access), self._door(rules)]

        def log(what: str) -> None:
            self._emit(Note(None, what))

        if any(door.asks(address) for door in doors) or all(door.admits(address, log) for door in doors):
            return True
        return self._refuse(f"access {address}", f"refused connect from {address} by access")

    def _door(self, rules: "Rules") -> Access:
        return self._doors.get(rules) or self._doors.setdefault(rules, Access(rules))

    def _key(self, address: str) -> "tuple[str, bytes]":
        return "proxy" if self._senders.hold(address) else "client", source_of(address)

    def _room(self, key: "tuple[str, bytes]", address: str) -> bool:
        name = "limits.sessions_proxy" if key[0] == "proxy" else "limits.sessions_address"
        most = self._settings.limits_sessions_proxy if key[0] == "proxy" else self._settings.limits_sessions_address
        if not 0 < most <= self._counts.get(key, 0):
            return True
        return self._refuse(key, f"{address}: per source limit reached: {most} ({name})")

    def _refuse(self, cause: object, what: str) -> bool:
        self.throttled(str(cause), what)
        return False

    def _forget(self) -> None:
        """Drop what is over and has counted long enough."""
        if not self._lingering:
            return
        since = self._clock() - self._settings.limits_min_delay
        kept = []
        for entry in self._lingering:
            if entry.began > since:
                kept.append(entry)
                continue
            for key in entry.keys:
                self._counts[key] -= 1
                if not self._counts[key]:
                    del self._counts[key]
        self._lingering = kept
