"""The dialogue, written down: taps that see each line of a session, to the trace file (-t) or to the log (-d).

A line of the trace file::

    2026-11-20T08:55:46.123Z SESSION < USER retr 1
    2026-11-20T08:55:46.125Z SESSION > USER +OK 1482 octets
    2026-11-20T08:55:46.130Z SESSION > USER [1482 octets]

``<`` is from the client, ``>`` to it; USER is one word, ``-`` until the client has named itself.  Of a message body
only the size is written, unless ``trace.bodies`` is on: then its lines go before, each behind ``| ``.
What is not printable ASCII is escaped as in the log, and a line is cut at TEXT characters.

popper with -t wrote all its log to the file, and nothing to syslog.  Here the file takes the dialogue out of
syslog, but records (``records.py``) go to syslog as ever: whoever watches them must not go blind.
Where the file cannot be had, that is reported and service goes on; with -d, the dialogue then goes to syslog.

``trace.users`` and ``trace.addresses`` hold for both kinds of tap.
"""

import os
import stat
import syslog
import time

from qpopper_py.events import Tap
from qpopper_py.logs.records import strange, unquoted
from qpopper_py.logs.syslog import iso, open_writer
from qpopper_py.logs.words import clip, word
from qpopper_py.protocol.request import MASK

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from ipaddress import IPv4Network, IPv6Network

    from qpopper_py.facts import Facts
    from qpopper_py.settings import Settings

    Network = IPv4Network | IPv6Network
    # moment, facts, user, "<" or ">", text
    Write = Callable[[float, Facts, str, str, str], None]

TEXT = 4000  # characters of one line, as shown
BODY = TEXT // 4 - 2  # octets of a body's line in one line of the trace: escaped, they fit
HELD = 200  # lines of a session that are held until its user is known
SECRET = {"pass": 1, "apop": 2, "auth": 2}  # how many words of such a line may be seen


def open_taps(settings: "Settings", report: "Callable[[str], None]", program: str = "pop3d") -> "list[Tap]":
    """The taps that ``settings`` ask for; ``report``: takes a warning for the log.

    Early, as whoever started us, and before a chroot.
    """
    taps: list[Tap] = []
    if settings.telemetry_folder:
        from qpopper_py.logs.telemetry import Telemetry

        taps.append(Telemetry(settings.telemetry_folder, settings.telemetry_name, report, settings.telemetry_prefix))
    if not settings.trace_file and not settings.debug:
        return taps
    scope = Scope(settings.trace_users, networks(settings.trace_addresses))
    if settings.trace_file:
        try:
            return [*taps, Dialogue(scope, TraceFile(settings.trace_file, report), settings.trace_bodies)]
        except OSError as why:
            report(f"trace file {settings.trace_file}: {why.strerror}; there will be no trace")
    return [*taps, Dialogue(scope, DebugLog(open_writer(settings, program)), False)] if settings.debug else taps


def networks(texts: "Sequence[str]") -> "list[Network]":
    """Addresses and networks, checked already, as networks; an address is a network of one."""
    if not texts:
        return []
    import ipaddress

    return [ipaddress.ip_network(text, strict=False) for text in texts]


class Scope:
    """Whose dialogue is written: ``users`` and clients in ``networks``; an empty list stands for all."""

    def __init__(self, users: "Sequence[str]", networks: "Sequence[Network]") -> None:
        self.users = frozenset(users)
        self.networks = networks

    def covers(self, peer: str) -> bool:
        """Whether the client's address is one of those asked for."""
        if not self.networks:
            return True
        import ipaddress

        try:
            address = ipaddress.ip_address(peer.partition("%")[0])
        except ValueError:
            return False  # descriptor 0 is no socket
        if address.version == 6 and address.ipv4_mapped:
            address = address.ipv4_mapped
        return any(address in network for network in self.networks)


class Progress:
    """What a tap remembers of one session between two lines."""

    __slots__ = ("covered", "guarded", "held", "octets", "outgoing", "rest", "skipped", "user")

    def __init__(self, covered: bool) -> None:
        self.covered = covered
        self.guarded = False  # the last line was no command: it may be quoted in its -ERR
        self.held: list[tuple[float, str, str]] = []
        self.skipped = 0
        self.octets = 0  # of the body that is under way
        self.outgoing = True
        self.rest = b""  # of its last line, not ended yet
        self.user = ""


class Dialogue(Tap):
    """Lines of the dialogue within ``scope`` to ``write``; ``bodies``: message bodies too."""

    def __init__(self, scope: Scope, write: "Write", bodies: bool, clock: "Callable[[], float]" = time.time) -> None:
        self.scope = scope
        self.write = write
        self.bodies = bodies
        self.clock = clock
        self.sessions: dict[str, Progress] = {}
        if isinstance(write, TraceFile):
            self.descriptor = write.descriptor

    def received(self, facts: "Facts", user: str, line: str) -> None:
        progress = self._progress(facts)
        self._end_body(progress, facts)
        progress.guarded = strange(line)
        self._put(progress, facts, user, "<", guarded(line))

    def sent(self, facts: "Facts", user: str, line: bytes) -> None:
        progress = self._progress(facts)
        self._end_body(progress, facts)
        text: str | bytes = line
        if progress.guarded and line.startswith(b"-ERR"):
            text = unquoted(line.decode("utf-8", "surrogateescape"))
        self._put(progress, facts, user, ">", text)

    def body(self, facts: "Facts", user: str, sent: bool, piece: bytes) -> None:
        progress = self._progress(facts)
        if progress.outgoing != sent:
            self._end_body(progress, facts)
        progress.octets += len(piece)
        progress.outgoing = sent
        progress.user = user
        if self.bodies and progress.covered:
            *lines, progress.rest = (progress.rest + piece).split(b"\n")
            for line in lines:
                self._body_line(progress, facts, line)
            if len(progress.rest) > BODY:
                self._body_line(progress, facts, progress.rest)
                progress.rest = b""

    def moved(self, facts: "Facts", user: str) -> None:
        progress = self.sessions.pop(facts.session, None)
        if progress is not None and user in self.scope.users:
            self._let_out(progress, facts)

    def closed(self, facts: "Facts") -> None:
        progress = self.sessions.pop(facts.session, None)
        if progress is not None:
            self._end_body(progress, facts)

    def _progress(self, facts: "Facts") -> Progress:
        progress = self.sessions.get(facts.session)
        if progress is None:
            progress = self.sessions[facts.session] = Progress(self.scope.covers(facts.peer))
        return progress

    def _body_line(self, progress: Progress, facts: "Facts", line: bytes) -> None:
        mark = ">" if progress.outgoing else "<"
        line = line.removesuffix(b"\r")
        for start in range(0, len(line) or 1, BODY):
            self._put(progress, facts, progress.user, mark, b"| " + line[start : start + BODY])

    def _end_body(self, progress: Progress, facts: "Facts") -> None:
        if progress.rest:
            self._body_line(progress, facts, progress.rest)
            progress.rest = b""
        if progress.octets:
            count = f"[{progress.octets} octets]"
            self._put(progress, facts, progress.user, ">" if progress.outgoing else "<", count)
            progress.octets = 0

    def _put(self, progress: Progress, facts: "Facts", user: str, mark: str, text: "str | bytes") -> None:
        """Write a line, or hold it while it is not known whether its user's dialogue is asked for."""
        if not progress.covered:
            return
        if self.scope.users and user not in self.scope.users:
            if user:
                progress.held.clear()
                progress.skipped = 0
            elif len(progress.held) < HELD:
                progress.held.append((self.clock(), mark, clip(text, TEXT)))
            else:
                progress.skipped += 1
            return
        self._let_out(progress, facts)
        self.write(self.clock(), facts, user, mark, clip(text, TEXT))

    def _let_out(self, progress: Progress, facts: "Facts") -> None:
        """Write what was held: its user's dialogue is asked for."""
        for moment, mark, held in progress.held:
            self.write(moment, facts, "", mark, held)
        if progress.skipped:
            self.write(self.clock(), facts, "", "-", f"[{progress.skipped} lines were not kept]")
        progress.held.clear()
        progress.skipped = 0


def guarded(line: str) -> str:
    """``line`` with the secrets masked that a safe form has not.  The last line of defence, not the first."""
    words = line.split(" ")
    shown = SECRET.get(words[0].lower())
    return " ".join([*words[:shown], MASK]) if shown and len(words) > shown else line


class TraceFile:
    """Lines to a file that is opened once, for appending, and only if it is a plain file of ours or root's."""

    def __init__(self, path: str, report: "Callable[[str], None]") -> None:
        """Raises OSError.  No link is followed; a pipe is not waited for; it is made with mode 0600."""
        self.path = path
        self.report = report
        self.failed = False
        flags = os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC | os.O_NOCTTY
        self.descriptor = os.open(path, flags, 0o600)
        found = os.fstat(self.descriptor)
        wrong = ""
        if not stat.S_ISREG(found.st_mode):
            wrong = "is not a plain file"
        elif found.st_uid not in (0, os.geteuid()):
            wrong = f"belongs to uid {found.st_uid}, neither root nor us"
        elif found.st_mode & 0o022:
            wrong = "can be written by others; chmod 600 it"
        if wrong:
            os.close(self.descriptor)
            raise OSError(0, wrong)

    def __call__(self, moment: float, facts: "Facts", user: str, mark: str, text: str) -> None:
        line = f"{iso(moment)} {word(facts.session)} {mark} {word(user)} {text}\n"
        try:
            os.write(self.descriptor, line.encode("ascii", "replace"))
        except OSError as why:
            if not self.failed:
                self.failed = True
                self.report(f"trace file {self.path}: {why.strerror}; lines of the dialogue are missing from it")


class DebugLog:
    """Lines to the log at priority debug, worded as popper words them."""

    def __init__(self, write: "Callable[[int, str], None]") -> None:
        self.write = write

    def __call__(self, _moment: float, facts: "Facts", user: str, mark: str, text: str) -> None:
        said = "Sending line" if mark == ">" else "Received:"
        self.write(syslog.LOG_DEBUG, f'{said} "{clip_shown(text)}" user={word(user)} session={word(facts.session)}')


def clip_shown(text: str) -> str:
    """``text``, which is escaped already, cut so that a datagram of syslog holds it."""
    return text if len(text) <= 700 else text[:697] + "..."
