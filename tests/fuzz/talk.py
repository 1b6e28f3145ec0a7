"""Targets of what a stranger may say before and after login: command lines, and the exchanges of mechanisms."""

from __future__ import annotations

import functools
import hashlib
import os
from unittest import mock

from qpopper_py.auth import crypt, gate
from qpopper_py.auth.account import Account, Denied
from qpopper_py.auth.credentials import Challenge
from qpopper_py.events import SessionClosed, Tap
from qpopper_py.facts import Facts, Tls
from qpopper_py.personality.ucb import DIALECT
from qpopper_py.protocol.request import MASK, number, parse, printed, safe
from qpopper_py.session.session import Session
from qpopper_py.session.wire import Wire
from qpopper_py.settings import Settings
from qpopper_py.store.base import Entry, Store
from qpopper_py.stream import Stream

from . import scratch

STAMP = "<1896.697170952@dbc.mtview.ca.us>"  # RFC 1939 section 7, as are mrose and tanstaaf
DIGEST = b"c4c9334bac560ecc979e58001b3e22fb"
# The public key of RFC 8037, appendix A.2.
JWK_SET = b'{"keys": [{"kty":"OKP","crv":"Ed25519","x":"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"}]}'
CERTIFIED = "mrose"
MESSAGES = [b"Subject: one\r\nX-Long:\r\n\tfolded\r\n\r\n.first\r\n..\r\n", b"Subject: two\r\n\r\n", b"no header\r\n"]
NEXT_STEP = b"\xff\n"  # between two messages of an exchange
MOST_STEPS = 12


class Script(Stream):
    """A client that says ``data`` in pieces and then hangs up; what it hears is in ``heard``."""

    def __init__(self, data: bytes, size: int) -> None:
        super().__init__(always_ready(), always_ready())
        self.left = scratch.pieces(data, size)[::-1] if data else []
        self.heard = bytearray()

    def receive(self, most: int) -> bytes:
        return self.left.pop() if self.left else b""

    def send(self, data: memoryview) -> int:
        self.heard += data
        return len(data)


@functools.cache
def always_ready() -> int:
    """A descriptor on which poll(2) never waits."""
    return os.open("/dev/null", os.O_RDWR | os.O_CLOEXEC)


class OpenGate:
    """Lets mrose in by ``secret``, or by RFC 1939's digest, which it also takes for a response to AUTH."""

    def __init__(self) -> None:
        self.passwords: list[bytes] = []
        self.asked = 0

    def check(self, user: bytes, password: bytes, facts: Facts) -> Account | Denied:
        self.passwords.append(password)
        return self.verdict((user, password) == (b"mrose", b"secret"))

    def begin(self, mechanism: str, facts: Facts) -> OpenGate:
        self.asked = 0
        return self

    def step(self, data: bytes) -> Challenge | Account | Denied:
        self.asked += 1
        if self.asked < 4 and not data:
            return Challenge(b"" if self.asked == 1 else b"again\n")
        return self.verdict(data == b"mrose " + DIGEST)

    def mechanisms(self, facts: Facts) -> tuple[str, ...]:
        return ("PLAIN", "X-DIGEST")

    def verdict(self, right: bool) -> Account | Denied:
        return Account("mrose", 1000, 1000, "/home/mrose", "", True, "unix") if right else Denied("mrose", "wrong")


class Drop(Store):
    """Messages in memory."""

    def __init__(self) -> None:
        self.expunged: set[int] = set()
        self.closed = 0

    def scan(self) -> list[Entry]:
        return [Entry(len(message)) for message in MESSAGES]

    def uids(self) -> list[str]:
        return [f"uid-{index}" for index in range(len(MESSAGES))]

    def read(self, index: int):
        return iter(scratch.pieces(MESSAGES[index], 7))

    def expunge(self, indexes) -> None:
        self.expunged |= set(indexes)

    def retrieved(self) -> set[int]:
        return set()

    def remember(self, retrieved) -> None:
        assert set(retrieved) <= set(range(len(MESSAGES)))

    def close(self) -> None:
        self.closed += 1


class Postbox:
    """A mailer and its draft in one, with room for 1000 octets."""

    too_large = False

    def begin(self) -> Postbox:
        self.octets = 0
        return self

    def write(self, text: bytes) -> None:
        self.octets += len(text)
        self.too_large = self.octets > 1000

    def send(self) -> None:
        assert not self.too_large

    def discard(self) -> None:
        pass


class Listener(Tap):
    def __init__(self) -> None:
        self.lines: list[str] = []

    def received(self, facts: Facts, user: str, line: str) -> None:
        self.lines.append(line)


def commands(data: bytes) -> None:
    """A whole session: the first octet is the size of the pieces in which the rest arrives."""
    script = Script(data[1:], data[0] if data else 0)
    settings = Settings([("fuzz", {"auth.refusal_delay": 0, "auth.max_failures": data[0] % 4 if data else 0})])
    judge, drop, ear = OpenGate(), Drop(), Listener()
    events: list[object] = []
    facts = Facts("s-1", "192.0.2.1", 1025, host="dbc.mtview.ca.us", stamp=STAMP)
    wire = Wire(script, settings.limits_line, 5)
    session = Session(settings, DIALECT, facts, wire, judge, events.append, [ear], sleep=lambda _: None)
    session.greeted(b"+OK\r\n")
    account = session.authorize()
    if account is not None:
        session.transact(drop, Postbox())
    heard = bytes(script.heard)
    assert not heard or heard.endswith(b"\r\n"), "a line was not ended"
    assert b"\n" not in heard.replace(b"\r\n", b""), "a line ended without CR"
    assert heard.startswith((b"+OK", b"-ERR", b"+ ")) or not heard
    closed = [event for event in events if isinstance(event, SessionClosed)]
    assert len(closed) == 1
    assert bool(drop.closed) == (account is not None)
    assert not drop.expunged or closed[0].how == "quit", "deleted without QUIT (RFC 1939 section 6)"
    assert drop.expunged <= set(range(len(MESSAGES)))
    for password in judge.passwords:
        seen_once = data.count(password) == 1 and printed(password) not in f"pass {MASK}"
        if len(password) > 5 and seen_once:
            assert not any(printed(password) in line for line in ear.lines), "a tap was told a password"


def request_lines(data: bytes) -> None:
    """One line as a Request, and its printable form."""
    asked = parse(data)
    assert (asked is None) == (not data.strip(b" \t"))
    number(data)
    if asked is None:
        return
    assert asked.words == [word for word in data.replace(b"\t", b" ").split(b" ") if word][1:]
    assert data.endswith(asked.rest)
    for secret, known in ((None, True), (0, True), (1, True), (None, False)):
        shown = safe(asked, secret, known)
        assert shown.isascii()
        assert shown.isprintable()


@functools.cache
def real_gate() -> gate.Gate:
    """The gate over an accounts file and a mailauth database, each with one user, a token's key, and certificates."""
    from qpopper_py.auth import authdb_edit

    folder = scratch.folder("gate")
    accounts = scratch.put(folder / "accounts", b"alice:{PLAIN}open sesame::::::\nbob:*::::::\nmrose:::::::\n")
    values = {
        "state_dir": f"{folder}/state",
        "guess.delay": 0,  # one exchange must not remember another
        "auth.sources": ["mailauth", "accounts", "oauth", "certificate"],
        "oauth.keys": scratch.put(folder / "keys.json", JWK_SET),
        "oauth.issuer": "https://issuer.example.org",
        "oauth.audience": "pop3",
        "accounts.file": accounts,
        "accounts.owner": "nobody",
        "mailauth.database": f"{folder}/mailauth.db",
        "mailauth.key": f"{folder}/keys/mailauth.key",
    }
    settings = Settings([("fuzz", values)])
    where = (settings.mailauth_database, settings.mailauth_key, "")
    authdb_edit.create(*where)
    authdb_edit.Editor(*where).put("mrose", "APOP", b"tanstaaf")
    return gate.Gate(settings, lambda event: None)


def sasl(data: bytes) -> None:
    """An exchange: the mechanism's name and the client's messages, parted by FF LF."""
    first, *messages = data.split(NEXT_STEP)
    names = sorted(gate.MECHANISMS)
    name = first.decode("ascii", "replace")
    if name not in names:
        name = names[len(first) % len(names)]
    if not messages:
        return
    tls = Tls("TLSv1.2", "x", 256, "", b"unique", b"end point", CERTIFIED)
    facts = Facts("s-1", "192.0.2.1", 1025, host="dbc.mtview.ca.us", stamp=STAMP, tls=tls)
    with mock.patch.object(crypt, "waste", return_value=None):  # takes its time, which is all that it does
        exchange = real_gate().begin(name, facts)
        for count, message in enumerate(messages):
            said = exchange.step(message)
            if not isinstance(said, Challenge):
                break
            assert isinstance(said.data, bytes)
            assert count < MOST_STEPS, "it never ends"
        else:
            return
    assert isinstance(said, Account | Denied)
    if isinstance(said, Account):
        assert said.user in ("alice", "mrose"), "somebody else was let in"
        if name == "EXTERNAL":
            assert said.user == CERTIFIED
        if name == "PLAIN":
            assert message in (b"\0alice\0open sesame", b"alice\0alice\0open sesame")
        if name == "APOP":
            assert message.lower() == b"mrose " + hashlib.md5(STAMP.encode() + b"tanstaaf").hexdigest().encode()
    try:
        exchange.step(b"")
    except RuntimeError:
        return
    raise AssertionError("an exchange went on after its verdict")


TARGETS = (commands, request_lines, sasl)
