"""A session without a network: a script in, what the server said out; a gate and a store of the test's own."""

import socket

from qpopper_py.auth.account import Account
from qpopper_py.auth.gate import Challenge, Denied
from qpopper_py.errors import MaildropChanged, MaildropTrouble
from qpopper_py.events import Tap
from qpopper_py.facts import Facts
from qpopper_py.personality.ucb import DIALECT
from qpopper_py.protocol.reply import greeting
from qpopper_py.session.session import Session
from qpopper_py.session.wire import Wire
from qpopper_py.settings import Settings
from qpopper_py.store.base import Entry, Store
from qpopper_py.stream import SocketStream

STAMP = "<1896.697170952@dbc.mtview.ca.us>"
HOST = "dbc.mtview.ca.us"
LOGIN = b"USER mrose\r\nPASS secret\r\n"
TWO = [b"Subject: one\r\nMessage-Id: <1@x>\r\n\r\nfirst\r\n.dot\r\n", b"Subject: two\r\n\r\nsecond\r\n"]


class FakeExchange:
    def __init__(self, gate):
        self.gate = gate

    def step(self, data):
        # RFC 1939's own example: secret tanstaaf
        if data == b"mrose c4c9334bac560ecc979e58001b3e22fb":
            return self.gate.account
        return Denied("mrose", "wrong digest")


class FakePlain:
    """PLAIN as RFC 4616 has it, judged by the fake gate's check."""

    def __init__(self, gate):
        self.gate = gate

    def step(self, data):
        if not data:
            return Challenge(b"")
        self.gate.steps.append(data)
        _, user, password = data.split(b"\0")
        return self.gate.check(user, password, None)


class FakeLogin(FakePlain):
    """LOGIN: the server begins."""

    user = None

    def step(self, data):
        if not data:
            return Challenge(b"Username:")
        if self.user is None:
            self.user = data
            return Challenge(b"Password:")
        return self.gate.check(self.user, data, None)


class FakeBearer(FakePlain):
    """Refuses, and says so in words first, as OAUTHBEARER does."""

    def step(self, data):
        return Challenge(b"{}", Denied("mrose", "expired")) if data else Challenge(b"")


class FakeEndless(FakePlain):
    """Is never satisfied."""

    def step(self, data):
        return Challenge(b"once more")


class FakeGate:
    """Lets mrose in with ``secret``, or by the digest of RFC 1939's example."""

    account = Account("mrose", 1000, 1000, "/home/mrose", "", True, "unix")

    def __init__(self):
        self.passwords = []
        self.steps = []
        self.offered = ("PLAIN", "LOGIN")
        self.broken = False

    def check(self, user, password, facts):
        self.passwords.append(password)
        if self.broken:
            return Denied("mrose", "database unreadable", temporary=True)
        return self.account if (user, password) == (b"mrose", b"secret") else Denied("mrose", "wrong password")

    def begin(self, mechanism, facts):
        kinds = {
            "APOP": FakeExchange,
            "PLAIN": FakePlain,
            "LOGIN": FakeLogin,
            "X-ENDLESS": FakeEndless,
            "BEARER": FakeBearer,
        }
        return kinds[mechanism](self)

    def mechanisms(self, facts):
        return self.offered


class FakeStore(Store):
    """Messages in memory; ``fail`` names a method that raises, ``earlier`` what was retrieved before."""

    def __init__(self, messages=TWO, earlier=(), fail=None, error=None):
        self.messages = list(messages)
        self.earlier = set(earlier)
        self.fail = fail
        self.error = error or MaildropTrouble("/var/mail/mrose: Input/output error")
        self.expunged = None
        self.remembered = None
        self.closed = 0
        self.pieces_before_failure = 0

    def _maybe_fail(self, what):
        if self.fail == what:
            raise self.error

    def scan(self):
        self._maybe_fail("scan")
        return [Entry(len(message)) for message in self.messages]

    def uids(self):
        self._maybe_fail("uids")
        return [f"uid-{index}" for index in range(len(self.messages))]

    def read(self, index):
        self._maybe_fail("read")
        message = self.messages[index]
        if self.fail == "mid-read":
            yield message[:10]
            raise self.error
        for at in range(0, len(message), 7):
            yield message[at : at + 7]

    def expunge(self, indexes):
        self._maybe_fail("expunge")
        self.expunged = set(indexes)

    def retrieved(self):
        return set(self.earlier)

    def remember(self, retrieved):
        self.remembered = set(retrieved)

    def close(self):
        self.closed += 1


class Recorder(Tap):
    """A tap that keeps everything it is handed."""

    def __init__(self):
        self.seen = []

    def received(self, facts, user, line):
        self.seen.append(("<", user, line))

    def sent(self, facts, user, line):
        self.seen.append((">", user, line))

    def body(self, facts, user, sent, piece):
        self.seen.append(("body", user, piece))


class Talk:
    """What came of a script; after it the client hangs up, or stays and is ``silent``."""

    def __init__(
        self,
        script,
        *,
        store=None,
        gate=None,
        mailer=None,
        settings=None,
        clock=None,
        stamp=STAMP,
        host=HOST,
        state="",
        silent=False,
        stream=SocketStream,
        dialect=DIALECT,
        secure=False,
    ):
        self.store = store or FakeStore()
        self.gate = gate or FakeGate()
        self.events = []
        self.tap = Recorder()
        self.slept = []
        ours, theirs = socket.socketpair()
        ours.settimeout(10)
        ours.sendall(script)
        if not silent:
            ours.shutdown(socket.SHUT_WR)
        values = {"auth.refusal_delay": 2, **(settings or {})}
        self.settings = Settings([("test", values)])
        facts = Facts("s-1", "192.0.2.1", 1025, host=host, stamp=stamp, secure=secure)
        stream = stream(theirs)
        keywords = {"clock": clock} if clock else {}
        wire = Wire(stream, self.settings.limits_line, 5, **keywords)
        self.session = Session(
            self.settings,
            dialect,
            facts,
            wire,
            self.gate,
            self.events.append,
            [self.tap],
            sleep=self.slept.append,
            **keywords,
        )
        line = greeting(dialect, facts, self.settings.server_info)
        wire.write(line)
        self.session.greeted(line)
        if self.session.authorize() is not None:
            self.session.transact(self.store, mailer, state)
        stream.close()
        data = b""
        while more := ours.recv(65536):
            data += more
        ours.close()
        self.data = data
        self.lines = data.split(b"\r\n")[:-1]

    def events_of(self, kind):
        return [event for event in self.events if isinstance(event, kind)]


def talk(script, **keywords):
    """The lines that the server said after its greeting."""
    return Talk(script, **keywords).lines[1:]


CHANGED = MaildropChanged("/var/mail/mrose was changed")
