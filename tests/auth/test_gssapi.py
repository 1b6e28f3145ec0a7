"""GSSAPI (RFC 4752) against a real KDC (MIT's): what the client's library says, and what none would."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest

from qpopper_py.auth.account import Account, Denied
from qpopper_py.auth.credentials import Challenge
from qpopper_py.auth.gate import Exchange, Gate
from qpopper_py.events import Event, Trouble
from qpopper_py.facts import Facts, Tls
from tests import kdc
from tests.auth.test_kerberos_source import PASSWORD
from tests.gss import MUTUAL, Initiator
from tests.harness import children, open_folder

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from qpopper_py.settings import Settings

pytestmark = [pytest.mark.client(*kdc.PROGRAMS), kdc.forks]

END_POINT = bytes(range(32))  # a SHA-256, as tls-server-end-point is of today's certificates


STRANGERS: set[int] = set()  # children of this process that tests before these have left


@pytest.fixture(scope="module", autouse=True)
def strangers() -> None:
    STRANGERS.update(children(os.getpid()))


def own_children() -> list[int]:
    return [pid for pid in children(os.getpid()) if pid not in STRANGERS]


@pytest.fixture(scope="module")
def realm() -> Iterator[kdc.Realm]:
    with open_folder() as folder, kdc.realm(folder) as made:
        made.user("alice", PASSWORD)
        made.user("alice/admin", PASSWORD)
        yield made


@pytest.fixture
def cache(realm: kdc.Realm) -> str:
    realm.configure()
    return realm.ticket("alice", PASSWORD)


@pytest.fixture
def gate(realm: kdc.Realm, configure: Callable[..., Settings], heard: list[Event]) -> Gate:
    return Gate(kdc.configured(realm.folder, configure), heard.append)


def answered(exchange: Exchange, data: bytes) -> bytes:
    """The challenge that ``data`` is answered with."""
    said = exchange.step(data)
    assert isinstance(said, Challenge), said
    return said.data


def asked_for_layers(exchange: Exchange, client: Initiator) -> bytes:
    """The exchange up to the server's wrapped message."""
    said = answered(exchange, client.step())
    if client.flags & MUTUAL:
        assert client.step(said) == b""
        said = answered(exchange, b"")
    return said


def authenticated(
    gate: Gate, facts: Facts, client: Initiator, identity: bytes = b"", layer: int = 1
) -> Account | Denied:
    """The whole exchange; the client's first message is its initial response."""
    exchange = gate.begin("GSSAPI", facts)
    client.unwrap(asked_for_layers(exchange, client))
    verdict = exchange.step(client.wrap(bytes((layer, 0, 0, 0)) + identity))
    assert not isinstance(verdict, Challenge)
    return verdict


@pytest.mark.parametrize("flags", [MUTUAL, 0], ids=["mutual", "one-sided"])
@pytest.mark.parametrize("identity", [b"", b"alice", b"alice@POP.TEST"], ids=["none", "local", "principal"])
def test_a_ticket_lets_in(
    gate: Gate, cache: str, facts: Facts, heard: list[Event], flags: int, identity: bytes
) -> None:
    account = authenticated(gate, facts, Initiator(cache, kdc.HOST, flags=flags), identity)
    assert isinstance(account, Account)
    assert (account.user, account.source) == ("alice", "kerberos")
    assert heard == []


def test_the_client_begins(gate: Gate, cache: str, facts: Facts) -> None:
    """RFC 4752 section 3: without an initial response the first challenge is empty."""
    exchange = gate.begin("GSSAPI", facts)
    assert answered(exchange, b"") == b""
    client = Initiator(cache, kdc.HOST)
    assert client.step(answered(exchange, client.step())) == b""


def test_no_security_layer_is_offered_and_no_size(gate: Gate, cache: str, facts: Facts) -> None:
    """RFC 4752 section 3.2: bit-mask 1, and a size that must be 0 then."""
    client = Initiator(cache, kdc.HOST)
    assert client.unwrap(asked_for_layers(gate.begin("GSSAPI", facts), client)) == b"\1\0\0\0"


@pytest.mark.parametrize("layer", [0, 2, 4, 3, 7])
def test_a_layer_that_was_not_offered_is_refused(gate: Gate, cache: str, facts: Facts, layer: int) -> None:
    denied = authenticated(gate, facts, Initiator(cache, kdc.HOST), layer=layer)
    assert isinstance(denied, Denied)
    assert "security layer" in denied.why


@pytest.mark.parametrize("identity", [b"carol", b"root", b"alice@OTHER.TEST", b"alice/admin", b"Alice", b"alice\0"])
def test_nobody_acts_for_another(gate: Gate, cache: str, facts: Facts, identity: bytes) -> None:
    assert isinstance(authenticated(gate, facts, Initiator(cache, kdc.HOST), identity), Denied)


@pytest.mark.parametrize("identity", [b"\xff", b"x" * 2000])
def test_an_identity_that_is_no_name_is_refused(gate: Gate, cache: str, facts: Facts, identity: bytes) -> None:
    assert isinstance(authenticated(gate, facts, Initiator(cache, kdc.HOST), identity), Denied)


def test_a_principal_without_a_local_name_is_nobody(realm: kdc.Realm, gate: Gate, facts: Facts) -> None:
    cache = realm.ticket("alice/admin", PASSWORD)
    denied = authenticated(gate, facts, Initiator(cache, kdc.HOST))
    assert isinstance(denied, Denied)
    assert "alice/admin@POP.TEST" in denied.why


def test_a_last_message_that_was_not_wrapped_is_refused(gate: Gate, cache: str, facts: Facts) -> None:
    exchange = gate.begin("GSSAPI", facts)
    asked_for_layers(exchange, Initiator(cache, kdc.HOST))
    assert isinstance(exchange.step(b"\1\0\0\0alice"), Denied)


def test_a_last_message_of_another_exchange_is_refused(gate: Gate, cache: str, facts: Facts) -> None:
    one, other = Initiator(cache, kdc.HOST), Initiator(cache, kdc.HOST)
    exchange = gate.begin("GSSAPI", facts)
    asked_for_layers(exchange, one)
    asked_for_layers(gate.begin("GSSAPI", facts), other)
    assert isinstance(exchange.step(other.wrap(b"\1\0\0\0")), Denied)


@pytest.mark.parametrize("junk", [b"x", b"\x60", b"\x60\x84\xff\xff\xff\xff", bytes(60000), b"\0" * 16])
def test_what_is_no_token_is_refused_by_the_child_and_nobody_else_notices(
    gate: Gate, cache: str, facts: Facts, heard: list[Event], junk: bytes
) -> None:
    assert isinstance(gate.begin("GSSAPI", facts).step(junk), Denied)
    assert [event for event in heard if isinstance(event, Trouble)] == []


def test_a_token_longer_than_any_is_refused_before_it_is_looked_at(gate: Gate, cache: str, facts: Facts) -> None:
    denied = gate.begin("GSSAPI", facts).step(bytes((64 << 10) + 1))
    assert isinstance(denied, Denied)


def test_a_token_that_is_cut_or_changed_is_refused(gate: Gate, cache: str, facts: Facts) -> None:
    token = Initiator(cache, kdc.HOST).step()
    for broken in (token[:-1], token[:100], token[:-20] + bytes([token[-20] ^ 1]) + token[-19:]):
        assert isinstance(gate.begin("GSSAPI", facts).step(broken), Denied)


def test_a_token_is_good_once(gate: Gate, cache: str, facts: Facts) -> None:
    """The replay cache outlasts the process that saw the first."""
    token = Initiator(cache, kdc.HOST).step()
    answered(gate.begin("GSSAPI", facts), token)
    denied = gate.begin("GSSAPI", facts).step(token)
    assert isinstance(denied, Denied)
    assert "replay" in denied.why


def test_a_ticket_for_another_service_is_refused(realm: kdc.Realm, gate: Gate, cache: str, facts: Facts) -> None:
    """Even if its key is in the same file: the child does not take it."""
    realm.admin(f"addprinc -randkey host/{kdc.HOST}")
    realm.admin(f"ktadd -k {realm.keytab} host/{kdc.HOST}")
    denied = gate.begin("GSSAPI", facts).step(Initiator(cache, kdc.HOST, "host").step())
    assert isinstance(denied, Denied)


def test_a_ticket_that_has_expired_is_refused(realm: kdc.Realm, gate: Gate, facts: Facts) -> None:
    """With no clock skew allowed here, and a ticket of one second."""
    realm.configure(libdefaults=" clockskew = 0\n")
    cache = realm.ticket("alice", PASSWORD, "-l", "1s")
    realm.call("kvno", "-c", cache, kdc.SERVICE)
    token = Initiator(cache, kdc.HOST).step()
    kdc.wait_for_the_clock(2)
    denied = gate.begin("GSSAPI", facts).step(token)
    assert isinstance(denied, Denied)
    assert "expired" in denied.why.lower() or "skew" in denied.why.lower()


def test_a_key_that_was_changed_makes_old_tickets_useless(realm: kdc.Realm, gate: Gate, facts: Facts) -> None:
    cache = realm.ticket("alice", PASSWORD)
    token = Initiator(cache, kdc.HOST).step()
    realm.keytab.unlink()
    realm.admin(f"ktadd -k {realm.keytab} {kdc.SERVICE}")
    realm.keytab.chmod(0o600)
    denied = gate.begin("GSSAPI", facts).step(token)
    assert isinstance(denied, Denied)
    assert not denied.temporary


def over_tls(binding: bytes) -> Facts:
    return Facts("s1", tls=Tls("TLSv1.3", end_point=binding))


@pytest.mark.parametrize(
    ("said", "passes"),
    [
        (b"tls-server-end-point:" + END_POINT, True),
        (b"", True),
        (b"tls-server-end-point:" + END_POINT[::-1], False),
    ],
    ids=["the same", "none", "another"],
)
def test_a_client_that_is_bound_to_another_tls_layer_is_refused(
    gate: Gate, cache: str, said: bytes, passes: bool
) -> None:
    """Somebody sits in between.  RFC 4752 asks for no binding, so clients without one pass."""
    client = Initiator(cache, kdc.HOST, binding=said)
    outcome = gate.begin("GSSAPI", over_tls(END_POINT)).step(client.step())
    assert isinstance(outcome, Challenge) is passes


def test_a_keytab_that_others_can_read_lets_nobody_in(
    realm: kdc.Realm, gate: Gate, cache: str, facts: Facts, heard: list[Event]
) -> None:
    assert "GSSAPI" in gate.mechanisms(facts)
    realm.keytab.chmod(0o644)
    try:
        assert "GSSAPI" not in gate.mechanisms(facts)
        denied = gate.begin("GSSAPI", facts).step(Initiator(cache, kdc.HOST).step())
    finally:
        realm.keytab.chmod(0o600)
    assert isinstance(denied, Denied)
    assert denied.temporary
    assert [event.what for event in heard if isinstance(event, Trouble) and "chmod 600" in event.what]


def test_an_exchange_that_is_given_up_leaves_no_process(realm: kdc.Realm, gate: Gate, cache: str, facts: Facts) -> None:
    exchange = gate.begin("GSSAPI", facts)
    answered(exchange, Initiator(cache, kdc.HOST).step())
    assert len(own_children()) == 2
    del exchange
    assert own_children() == [realm.pid]
