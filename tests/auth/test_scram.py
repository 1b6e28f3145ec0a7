"""SCRAM against the examples of RFC 5802 and RFC 7677, and against scramp, another's client."""

from __future__ import annotations

import os
from base64 import b64decode, b64encode
from typing import TYPE_CHECKING

import pytest
import scramp
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from qpopper_py.auth import scram
from qpopper_py.auth.account import Account, Denied
from qpopper_py.auth.credentials import Challenge, Malformed, Proof, Sha1Proof, WhichSalt
from qpopper_py.auth.gate import Gate
from qpopper_py.auth.mechanisms.scram import Sha1, Sha256
from qpopper_py.events import Event, Trouble
from qpopper_py.facts import Facts, Tls
from qpopper_py.settings import Settings

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

NAMES = ["SCRAM-SHA-1", "SCRAM-SHA-256"]
# doveadm pw -s SCRAM-SHA-256 of "pencil" would print this for the salt of RFC 7677 section 3
KEPT_256 = (
    "{SCRAM-SHA-256}4096,W22ZaJ0SNY7soEsUEjb6gQ==,"
    "WG5d8oPm3OtcPnkdi4Uo7BkeZkBFzpcXkuLmtbsT4qY=,wfPLwcE6nTWhTAmQ7tl2KeoiWGPlZqQxSrmfPwDl2dU="
)


@pytest.fixture
def gate(configure: Callable[..., Settings], tmp_path: Path, heard: list[Event]) -> Gate:
    """Knows alice by a clear password, carol by kept keys, dave by a hash, erin who may not log in."""
    accounts = tmp_path / "accounts"
    accounts.write_text(
        "alice:{PLAIN}secret:1234:1234::/home/alice::\n"
        f"carol:{KEPT_256}:1234:1234::/home/carol::\n"
        "dave:{SSHA256}x7E5nXGH4Vb+r6CDxM1SYvZfpuQn0cY1bPVgLRMsTxZzYWx0:1234:1234::/home/dave::\n"
        "erin:{PLAIN}secret:1234:1234::/home/erin::nologin\n"
        "bob::1235:1235::/home/bob::\n"
    )
    accounts.chmod(0o600)
    settings = configure(accounts_file=str(accounts), auth_sources="mailauth,accounts")
    return Gate(settings, heard.append)


@pytest.fixture
def bound() -> Facts:
    """A connection with TLS that has both bindings."""
    return Facts("s1", peer="192.0.2.7", tls=Tls("TLSv1.2", unique=b"finished", end_point=b"c" * 32))


def login(
    gate: Gate, facts: Facts, mechanism: str, user: str, secret: str, binding: tuple[str, bytes] | None = None
) -> Account | Denied:
    """What comes of scramp's client, which also checks the server's signature."""
    client = scramp.ScramClient([mechanism], user, secret, channel_binding=binding)
    exchange = gate.begin(mechanism, facts)
    said = exchange.step(client.get_client_first().encode())
    if isinstance(said, Denied):
        return said
    assert isinstance(said, Challenge)
    client.set_server_first(said.data.decode())
    said = exchange.step(client.get_client_final().encode())
    if isinstance(said, Denied):
        return said
    assert isinstance(said, Challenge)
    client.set_server_final(said.data.decode())
    said = exchange.step(b"")
    assert not isinstance(said, Challenge)
    return said


class TestExamples:
    def check(
        self,
        mechanism: Sha1,
        first: bytes,
        answer: bytes,
        salt: str,
        final: bytes,
        last: bytes,
    ) -> None:
        asked = mechanism.step(first)
        assert isinstance(asked, WhichSalt)
        assert asked.user == "user"
        assert mechanism.told(scram.Salting(b64decode(salt), 4096)).data == answer
        proof = mechanism.step(final)
        assert isinstance(proof, Proof)
        assert proof.proves(b"pencil")
        word = mechanism.last_word(Account("user", 1, 1))
        assert word is not None
        assert word.data == last

    def test_of_rfc_5802_section_5(self, configure: Callable[..., Settings], facts: Facts) -> None:
        self.check(
            Sha1(facts, configure(), "3rfcNHYJY1ZVvWVs7j"),
            b"n,,n=user,r=fyko+d2lbbFgONRv9qkxdawL",
            b"r=fyko+d2lbbFgONRv9qkxdawL3rfcNHYJY1ZVvWVs7j,s=QSXCR+Q6sek8bf92,i=4096",
            "QSXCR+Q6sek8bf92",
            b"c=biws,r=fyko+d2lbbFgONRv9qkxdawL3rfcNHYJY1ZVvWVs7j,p=v0X8v3Bz2T0CJGbJQyF0X+HI4Ts=",
            b"v=rmF9pqV8S7suAoZWja4dJRkFsKQ=",
        )

    def test_of_rfc_7677_section_3(self, configure: Callable[..., Settings], facts: Facts) -> None:
        self.check(
            Sha256(facts, configure(), "%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0"),
            b"n,,n=user,r=rOprNGfwEbeRWgbNEkqO",
            b"r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096",
            "W22ZaJ0SNY7soEsUEjb6gQ==",
            b"c=biws,r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,"
            b"p=dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ=",
            b"v=6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4=",
        )


@pytest.mark.parametrize("name", NAMES)
class TestAgainstAnotherClient:
    def test_a_clear_password_of_the_accounts_file(self, gate: Gate, facts: Facts, name: str) -> None:
        account = login(gate, facts, name, "alice", "secret")
        assert isinstance(account, Account)
        assert (account.user, account.source) == ("alice", "accounts")

    def test_an_apop_secret(self, gate: Gate, facts: Facts, mailauth: Callable[..., None], name: str) -> None:
        mailauth("bob", "APOP", b"tanstaaf")
        account = login(gate, facts, name, "bob", "tanstaaf")
        assert isinstance(account, Account)
        assert (account.user, account.source) == ("bob", "mailauth")

    def test_the_apop_secret_goes_before_the_password_of_the_file(
        self, gate: Gate, facts: Facts, mailauth: Callable[..., None], name: str
    ) -> None:
        mailauth("carol", "APOP", b"tanstaaf")
        assert isinstance(login(gate, facts, name, "carol", "tanstaaf"), Account)
        assert isinstance(login(gate, facts, name, "carol", "pencil"), Denied)

    @pytest.mark.parametrize("user", ["alice", "dave", "nobody-here", "bob", "../x"])
    def test_a_wrong_password_and_an_unknown_user(self, gate: Gate, facts: Facts, name: str, user: str) -> None:
        denied = login(gate, facts, name, user, "guess")
        assert isinstance(denied, Denied)
        assert (denied.user, denied.temporary) == (user, False)

    def test_who_may_not_log_in_is_not_told_that_the_password_is_right(
        self, gate: Gate, facts: Facts, name: str
    ) -> None:
        exchange = gate.begin(name, facts)
        client = scramp.ScramClient([name], "erin", "secret")
        first = exchange.step(client.get_client_first().encode())
        assert isinstance(first, Challenge)
        client.set_server_first(first.data.decode())
        denied = exchange.step(client.get_client_final().encode())
        assert isinstance(denied, Denied)
        assert "nologin" in denied.why

    def test_a_name_with_commas_and_equals_signs(
        self, configure: Callable[..., Settings], tmp_path: Path, facts: Facts, name: str
    ) -> None:
        """RFC 5802 section 5.1: =2C and =3D."""
        accounts = tmp_path / "accounts"
        accounts.write_text("a=b,c:{PLAIN}secret:1234:1234::/home/abc::\n")
        accounts.chmod(0o600)
        gate = Gate(configure(accounts_file=str(accounts), auth_sources="accounts"), lambda event: None)
        account = login(gate, facts, name, "a=b,c", "secret")
        assert isinstance(account, Account)
        assert account.user == "a=b,c"

    @pytest.mark.parametrize("type_", ["tls-unique", "tls-server-end-point"])
    def test_bound_to_the_channel(self, gate: Gate, bound: Facts, name: str, type_: str) -> None:
        data = {"tls-unique": b"finished", "tls-server-end-point": b"c" * 32}[type_]
        assert isinstance(login(gate, bound, f"{name}-PLUS", "alice", "secret", (type_, data)), Account)

    def test_bound_to_another_channel(self, gate: Gate, bound: Facts, name: str) -> None:
        denied = login(gate, bound, f"{name}-PLUS", "alice", "secret", ("tls-unique", b"elsewhere"))
        assert isinstance(denied, Denied)
        assert "another channel" in denied.why


def test_keys_in_the_place_of_the_password_are_enough(gate: Gate, facts: Facts) -> None:
    assert isinstance(login(gate, facts, "SCRAM-SHA-256", "carol", "pencil"), Account)
    assert isinstance(login(gate, facts, "SCRAM-SHA-256", "carol", "Pencil"), Denied)
    assert isinstance(login(gate, facts, "SCRAM-SHA-1", "carol", "pencil"), Denied)  # keys of another hash


def test_they_answer_a_password_too(gate: Gate, facts: Facts) -> None:
    assert isinstance(gate.check(b"carol", b"pencil", facts), Account)
    assert isinstance(gate.check(b"carol", b"Pencil", facts), Denied)


class TestChannelBinding:
    """RFC 5802 section 6: what the gs2 header says."""

    @pytest.mark.parametrize("flag", [b"n", b"y"])
    def test_without_an_offer_both_are_fine(self, gate: Gate, facts: Facts, flag: bytes) -> None:
        said = gate.begin("SCRAM-SHA-1", facts).step(flag + b",,n=alice,r=abc")
        assert isinstance(said, Challenge)

    def test_a_client_that_missed_the_offer_is_told_of_the_downgrade(self, gate: Gate, bound: Facts) -> None:
        denied = gate.begin("SCRAM-SHA-1", bound).step(b"y,,n=alice,r=abc")
        assert isinstance(denied, Denied)
        assert "in between" in denied.why

    def test_but_not_where_the_settings_withhold_it(self, configure: Callable[..., Settings], bound: Facts) -> None:
        gate = Gate(configure(auth_mechanisms="SCRAM-SHA-1,PLAIN"), lambda event: None)
        assert isinstance(gate.begin("SCRAM-SHA-1", bound).step(b"y,,n=alice,r=abc"), Challenge)

    def test_a_client_that_cannot_may_go_without(self, gate: Gate, bound: Facts) -> None:
        assert isinstance(gate.begin("SCRAM-SHA-1", bound).step(b"n,,n=alice,r=abc"), Challenge)

    @pytest.mark.parametrize("flag", [b"n", b"y", b"p=tls-exporter", b"p=", b"p"])
    def test_plus_wants_a_binding_of_this_connection(self, gate: Gate, bound: Facts, flag: bytes) -> None:
        assert isinstance(gate.begin("SCRAM-SHA-1-PLUS", bound).step(flag + b",,n=alice,r=abc"), Denied)

    def test_a_binding_without_plus_is_refused(self, gate: Gate, bound: Facts) -> None:
        assert isinstance(gate.begin("SCRAM-SHA-1", bound).step(b"p=tls-unique,,n=alice,r=abc"), Denied)

    def test_it_is_offered_only_with_one(self, gate: Gate, facts: Facts, bound: Facts) -> None:
        assert not [name for name in gate.mechanisms(facts) if name.endswith("-PLUS")]
        assert gate.mechanisms(bound)[:2] == ("SCRAM-SHA-256-PLUS", "SCRAM-SHA-1-PLUS")
        bare = Facts("s2", tls=Tls("TLSv1.3"))
        assert not [name for name in gate.mechanisms(bare) if name.endswith("-PLUS")]


class TestWhoExistsIsNotTold:
    def salt(self, gate: Gate, facts: Facts, user: str, name: str = "SCRAM-SHA-256") -> bytes:
        said = gate.begin(name, facts).step(f"n,,n={user},r=abc".encode())
        assert isinstance(said, Challenge)
        return said.data.partition(b",")[2]

    @pytest.mark.parametrize("user", ["alice", "nobody-here", "bob", "dave", "erin", "/", "."])
    def test_everybody_has_a_salt_that_stays_the_same(
        self, gate: Gate, facts: Facts, mailauth: Callable[..., None], user: str
    ) -> None:
        mailauth("bob", "APOP", b"tanstaaf")
        told = self.salt(gate, facts, user)
        assert told == self.salt(gate, facts, user)
        salt, iterations = told.split(b",")
        assert len(b64decode(salt[2:])) == 16
        assert iterations == b"i=4096"

    def test_a_restart_changes_none(self, gate: Gate, facts: Facts, configure: Callable[..., Settings]) -> None:
        before = self.salt(gate, facts, "nobody-here")
        again = Gate(configure(auth_sources="mailauth"), lambda event: None)
        assert self.salt(again, facts, "nobody-here") == before

    def test_an_entry_that_is_made_changes_none(self, gate: Gate, facts: Facts, mailauth: Callable[..., None]) -> None:
        before = self.salt(gate, facts, "bob")
        mailauth("bob", "APOP", b"tanstaaf")
        assert self.salt(gate, facts, "bob") == before

    def test_names_and_methods_have_salts_of_their_own(self, gate: Gate, facts: Facts) -> None:
        salts = {self.salt(gate, facts, user, name) for user in ("a", "b") for name in NAMES}
        assert len(salts) == 4

    def test_servers_have_keys_of_their_own(
        self, gate: Gate, facts: Facts, tmp_path: Path, configure: Callable[..., Settings]
    ) -> None:
        before = self.salt(gate, facts, "nobody-here")
        (tmp_path / "state/scram.key").unlink()
        assert self.salt(gate, facts, "nobody-here") != before

    def test_the_key_is_ours_alone(self, gate: Gate, facts: Facts, tmp_path: Path) -> None:
        self.salt(gate, facts, "alice")
        assert os.stat(tmp_path / "state/scram.key").st_mode & 0o777 == 0o600
        assert os.listdir(tmp_path / "state") == ["scram.key"]

    def test_a_key_that_others_can_read_refuses_everybody_for_now(
        self, gate: Gate, facts: Facts, tmp_path: Path, heard: list[Event]
    ) -> None:
        self.salt(gate, facts, "alice")
        (tmp_path / "state/scram.key").chmod(0o644)
        for user in (b"alice", b"nobody-here"):
            denied = gate.begin("SCRAM-SHA-1", facts).step(b"n,,n=" + user + b",r=abc")
            assert isinstance(denied, Denied)
            assert denied.temporary
        assert [type(event) for event in heard] == [Trouble, Trouble]
        assert not [name for name in gate.mechanisms(facts) if name.startswith("SCRAM")]

    def test_an_unknown_user_costs_as_much_hashing(
        self, gate: Gate, facts: Facts, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        worked: list[int] = []
        real = scram.keys

        def keys(method: str, secret: bytes, salting: scram.Salting) -> scram.Keys:
            worked.append(salting.iterations)
            return real(method, secret, salting)

        monkeypatch.setattr(scram, "keys", keys)
        for user in ("alice", "nobody-here", "dave", "../x"):
            login(gate, facts, "SCRAM-SHA-1", user, "guess")
        assert worked == [4096] * 4


GOOD_FIRST = b"n,,n=alice,r=abc"


@pytest.mark.parametrize(
    "first",
    [b"x", b"n", b"n,", b"n,,", b"n,,n=alice", b"n,,r=abc,n=alice", b"n,,n=,r=abc", b"n,,n=a=b,r=abc", b"n,,n=a=2c,r=b",
     b"n,,m=x,n=alice,r=abc", b"n,,n=alice,r=", b"n,,n=alice,r=a\x7f", b"n,a=bob,n=alice,r=abc", b"n,b=,n=alice,r=abc",
     b"z,,n=alice,r=abc", b",,n=alice,r=abc", b"n,,n=al\0ice,r=abc"],
)  # fmt: skip
def test_a_first_message_of_another_form_is_refused(gate: Gate, facts: Facts, first: bytes) -> None:
    assert isinstance(gate.begin("SCRAM-SHA-1", facts).step(first), Denied)


def test_one_may_act_for_oneself(gate: Gate, facts: Facts) -> None:
    assert isinstance(gate.begin("SCRAM-SHA-1", facts).step(b"n,a=alice,n=alice,r=abc"), Challenge)


@pytest.mark.parametrize(
    "final",
    [b"", b"c=biws", b"c=biws,r=abc,p=AAAA", b"c=biws,r=NONCE", b"c=biws,r=NONCE,p=", b"c=biws,r=NONCE,p=!",
     b"c=eSws,r=NONCE,p=AAAA", b"r=NONCE,c=biws,p=AAAA", b"c=biws,r=NONCEx,p=AAAA", b"c=biws,r=NONCE,p=" + b"A" * 28],
)  # fmt: skip
def test_a_final_message_of_another_form_is_refused(gate: Gate, facts: Facts, final: bytes) -> None:
    exchange = gate.begin("SCRAM-SHA-1", facts)
    said = exchange.step(GOOD_FIRST)
    assert isinstance(said, Challenge)
    nonce = said.data.split(b",")[0][2:]
    assert isinstance(exchange.step(final.replace(b"NONCE", nonce)), Denied)


def test_nonces_are_not_used_twice(gate: Gate, facts: Facts) -> None:
    said = [gate.begin("SCRAM-SHA-1", facts).step(GOOD_FIRST) for _ in range(2)]
    assert isinstance(said[0], Challenge)
    assert isinstance(said[1], Challenge)
    assert said[0].data != said[1].data


def test_no_credential_shows_its_proof() -> None:
    proof = Sha1Proof("alice", scram.Salting(b"hush-salt", 4096), b"hush-message", b"hush-proof")
    assert repr(proof) == "Sha1Proof('alice', ***)"


@pytest.mark.parametrize(
    ("given", "prepared"),
    [("I\u00adX", "IX"), ("\u00aa", "a"), ("\u2168", "IX"), ("a\u00a0b", "a b"), ("\u00f6", "\u00f6")],
)  # fmt: skip
def test_passwords_are_prepared_as_the_examples_of_rfc_4013(given: str, prepared: str) -> None:
    assert scram.prepared(given.encode()) == prepared.encode()


@hypothesis_settings(max_examples=300)
@given(
    messages=st.lists(
        st.one_of(st.binary(max_size=60), st.sampled_from([b"", GOOD_FIRST, b"c=biws,r=abc,p=AAAA"])), max_size=5
    )
)
def test_no_octets_crash_it(messages: list[bytes]) -> None:
    facts = Facts("s1", tls=Tls("TLSv1.2", unique=b"u"))
    mechanism = Sha256(facts, Settings())
    for message in messages:
        try:
            said = mechanism.step(message)
        except Malformed:
            return
        if isinstance(said, WhichSalt):
            mechanism.told(scram.Salting(b"salt", 1))
        elif isinstance(said, Proof):
            assert not said.proves(b"secret")
            return


def test_what_a_server_keeps_is_b64_of_what_the_rfc_derives() -> None:
    """KEPT_256 above, so that the tests do not take it from the code."""
    import hashlib
    import hmac

    salted = hashlib.pbkdf2_hmac("sha256", b"pencil", b64decode("W22ZaJ0SNY7soEsUEjb6gQ=="), 4096)
    stored = hashlib.sha256(hmac.digest(salted, b"Client Key", "sha256")).digest()
    server = hmac.digest(salted, b"Server Key", "sha256")
    assert KEPT_256.split(",")[2:] == [b64encode(stored).decode(), b64encode(server).decode()]
