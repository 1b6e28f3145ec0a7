"""Nobody learns who exists: the dialogue of a refused login is the same whoever was asked for, by every mechanism.

With the real gate, word for word and at the same moment; only the name in the reply and what is random may differ.
"""

from __future__ import annotations

import hmac
import re
from base64 import b64encode
from typing import TYPE_CHECKING

import pytest
import scramp
from hypothesis import HealthCheck, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from qpopper_py.auth import authdb_edit
from qpopper_py.auth.account import Account, Denied
from qpopper_py.auth.credentials import Challenge
from qpopper_py.auth.gate import MECHANISMS, Gate
from qpopper_py.events import LoginRefused
from qpopper_py.facts import Facts, Tls
from qpopper_py.settings import Settings
from tests.session.talking import HOST, STAMP, Talk

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

# A clear password, a hash, a locked hash, nologin, an APOP entry alone, kept keys, nobody, no name at all.
USERS = ["alice", "dave", "erin", "frank", "bob", "carol", "nobody-here", "../x"]


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    accounts = tmp_path / "accounts"
    hashed = "{SSHA256}x7E5nXGH4Vb+r6CDxM1SYvZfpuQn0cY1bPVgLRMsTxZzYWx0"
    keys = ",".join(b64encode(octets).decode() for octets in (b"salt" * 4, b"k" * 32, b"s" * 32))
    accounts.write_text(
        f"alice:{{PLAIN}}secret:1:1::/::\ndave:{hashed}:1:1::/::\nerin:!{hashed}:1:1::/::\nbob::1:1::/::\n"
        f"frank:{{PLAIN}}secret:1:1::/::nologin\ncarol:{{SCRAM-SHA-256}}4096,{keys}:1:1::/::\n"
    )
    accounts.chmod(0o600)
    made = Settings(
        [
            (
                "the test",
                {
                    "state_dir": f"{tmp_path}/state",
                    "mailauth.database": f"{tmp_path}/mailauth.db",
                    "mailauth.key": f"{tmp_path}/keys/mailauth.key",
                    "accounts.file": str(accounts),
                    "auth.sources": "mailauth,accounts",
                    "guess.delay": "0",  # the next refusal of an address comes later, whatever its cause
                },
            )
        ]
    )
    where = (made.mailauth_database, made.mailauth_key, "")
    authdb_edit.create(*where)
    authdb_edit.Editor(*where).put("bob", "APOP", b"tanstaaf")
    return made


def plain(user: str) -> list[Callable[[bytes], bytes]]:
    return [lambda _: f"\0{user}\0guess".encode()]


def login(user: str) -> list[Callable[[bytes], bytes]]:
    return [lambda _: user.encode(), lambda _: b"guess"]


def cram(user: str) -> list[Callable[[bytes], bytes]]:
    return [lambda challenge: f"{user} {hmac.new(b'guess', challenge, 'md5').hexdigest()}".encode()]


def scram(name: str) -> Callable[[str], list[Callable[[bytes], bytes]]]:
    def steps(user: str) -> list[Callable[[bytes], bytes]]:
        client = scramp.ScramClient([name], user, "guess")

        def final(challenge: bytes) -> bytes:
            client.set_server_first(challenge.decode())
            return client.get_client_final().encode()

        return [lambda _: client.get_client_first().encode(), final]

    return steps


WAYS = {
    "PLAIN": plain,
    "LOGIN": login,
    "CRAM-MD5": cram,
    "SCRAM-SHA-1": scram("SCRAM-SHA-1"),
    "SCRAM-SHA-256": scram("SCRAM-SHA-256"),
}


class Answering:
    """A gate in front of the real one, so that a script can answer challenges that it has not seen.

    The script's lines only keep the session going; the client's true messages go to the real exchange here.
    """

    def __init__(self, gate: Gate, steps: list[Callable[[bytes], bytes]]) -> None:
        self.gate = gate
        self.steps = steps
        self.said: list[bytes] = []

    def mechanisms(self, facts: Facts) -> tuple[str, ...]:
        return self.gate.mechanisms(facts)

    def begin(self, mechanism: str, facts: Facts) -> Answering:
        self.exchange = self.gate.begin(mechanism, facts)
        self.challenge = b""
        self.waiting = iter([lambda _: b"", *self.steps])
        return self

    def step(self, data: bytes) -> Challenge | Account | Denied:
        said = self.exchange.step(next(self.waiting)(self.challenge))
        if isinstance(said, Challenge):
            self.challenge = said.data
            self.said.append(said.data)
        return said


def shape(challenge: bytes) -> bytes:
    """A challenge without what is random in it."""
    challenge = re.sub(rb"r=[^,]*,s=[A-Za-z0-9+/]{22}==,", b"r=NONCE,s=SALT,", challenge)
    return re.sub(rb"<[0-9a-f]{24}\.\d+@", b"<RANDOM@", challenge)


@pytest.mark.parametrize("name", WAYS)
def test_every_refused_login_looks_alike_and_comes_at_the_same_moment(name: str, settings: Settings) -> None:
    seen = set()
    for user in USERS:
        gate = Answering(Gate(settings, lambda event: None), WAYS[name](user))
        script = f"AUTH {name}\r\n".encode() + b"AAAA\r\n" * len(WAYS[name](user)) + b"QUIT\r\n"
        done = Talk(script, gate=gate, settings=settings.values, clock=lambda: 100.0)
        assert len(done.events_of(LoginRefused)) == 1
        refusal = done.lines[-2].replace(user.encode(), b"USER")
        seen.add((len(done.lines), tuple(shape(said) for said in gate.said), refusal, tuple(done.slept)))
    assert len(seen) == 1
    assert next(iter(seen))[2:] == (b'-ERR [AUTH] Password supplied for "USER" is incorrect.', (2.0,))


def test_apop_and_pass_are_refused_in_the_same_way(settings: Settings) -> None:
    seen = set()
    for user in USERS:
        for script in (f"USER {user}\r\nPASS guess\r\n", f"APOP {user} {'0' * 32}\r\n"):
            gate = Gate(settings, lambda event: None)
            done = Talk(script.encode() + b"QUIT\r\n", gate=gate, settings=settings.values, clock=lambda: 100.0)
            seen.add((done.lines[-2].replace(user.encode(), b"USER"), tuple(done.slept)))
    assert seen == {(b'-ERR [AUTH] Password supplied for "USER" is incorrect.', (2.0,))}


LINES = st.one_of(
    st.binary(max_size=40).map(b64encode),
    st.binary(max_size=40).filter(lambda line: b"\n" not in line),
    st.sampled_from(
        [b"*", b"=", b"", b64encode(b"n,,n=alice,r=abc"), b64encode(b"\0alice\0guess"), b64encode(b"alice")]
    ),
)


@hypothesis_settings(max_examples=150, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(name=st.sampled_from(sorted(MECHANISMS)), initial=LINES, lines=st.lists(LINES, max_size=6))
def test_no_lines_crash_an_exchange_or_let_anybody_in(
    name: str, initial: bytes, lines: list[bytes], settings: Settings
) -> None:
    script = b"\r\n".join([b"AUTH " + name.encode() + b" " + initial, *lines, b"QUIT", b""])
    done = Talk(script, gate=Gate(settings, lambda event: None), settings=settings.values, clock=lambda: 100.0)
    for line in done.lines[1:]:
        assert line.startswith((b"+ ", b"-ERR ", b"+OK Pop server at", b"+OK Authentication mechanisms", b".")) or (
            line.decode() in MECHANISMS or line.startswith(b"+OK Password required")
        )
    assert done.session.account is None


@hypothesis_settings(max_examples=300, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    name=st.sampled_from(sorted(MECHANISMS)),
    messages=st.lists(
        st.one_of(st.binary(max_size=40), st.sampled_from([b"", b"n,,n=alice,r=abc", b"\0alice\0x", b"alice"])),
        max_size=6,
    ),
)
def test_no_messages_crash_the_gate(name: str, messages: list[bytes], settings: Settings) -> None:
    facts = Facts("s1", host=HOST, stamp=STAMP, tls=Tls("TLSv1.2", unique=b"u", certificate="nobody-here"))
    exchange = Gate(settings, lambda event: None).begin(name, facts)
    for message in messages:
        said = exchange.step(message)
        assert not isinstance(said, Account)
        if isinstance(said, Denied):
            return
        assert isinstance(said, Challenge)
