"""The gate's conversation, names, and the order in which sources are asked."""

from __future__ import annotations

import os
import pickle
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from qpopper_py import stamp
from qpopper_py.auth import names
from qpopper_py.auth.account import Account
from qpopper_py.auth.credentials import Digest, Password
from qpopper_py.auth.gate import Challenge, Denied, Gate
from qpopper_py.errors import ConfigurationError
from qpopper_py.events import Event, Trouble
from qpopper_py.facts import Facts
from qpopper_py.settings import Settings

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

RFC_DIGEST = b"c4c9334bac560ecc979e58001b3e22fb"  # RFC 1939 section 7: stamp of conftest, secret tanstaaf


@pytest.fixture
def gate(configure: Callable[..., Settings], tmp_path: Path, heard: list[Event]) -> Gate:
    """Knows alice, password "secret", and bob@example.org, without a password, from an accounts file."""
    accounts = tmp_path / "accounts"
    accounts.write_text("alice:{PLAIN}secret:1234:1234::/home/alice::\nbob@example.org::1235:1235::/home/bob::\n")
    accounts.chmod(0o600)
    return Gate(configure(accounts_file=str(accounts), auth_sources="mailauth,accounts"), heard.append)


def test_the_right_password_is_an_account(gate: Gate, facts: Facts, heard: list[Event]) -> None:
    account = gate.check(b"alice", b"secret", facts)
    assert isinstance(account, Account)
    assert (account.user, account.source, account.system, account.home) == ("alice", "accounts", False, "/home/alice")
    assert heard == []


def test_a_refusal_names_the_user_as_given_and_is_not_an_event(gate: Gate, facts: Facts, heard: list[Event]) -> None:
    for user, password, why in [
        (b"alice", b"Secret", "wrong password"),
        (b"nobody-here", b"secret", "unknown user"),
        (b"alice", b"", "empty password"),
        (b"alice", b"secret\0", "NUL in the password"),
        (b"ALICE", b"secret", "unknown user"),
    ]:
        denied = gate.check(user, password, facts)
        assert isinstance(denied, Denied)
        assert (denied.user, denied.why, denied.temporary) == (user.decode(), why, False)
    assert heard == []


class TestPlain:
    """RFC 4616: [authzid] NUL authcid NUL passwd."""

    def test_one_message_is_enough(self, gate: Gate, facts: Facts) -> None:
        assert isinstance(gate.begin("PLAIN", facts).step(b"\0alice\0secret"), Account)

    def test_without_an_initial_response_it_is_asked_for(self, gate: Gate, facts: Facts) -> None:
        """RFC 4422 section 5.1: a client-first mechanism is asked by an empty challenge."""
        exchange = gate.begin("PLAIN", facts)
        challenge = exchange.step(b"")
        assert isinstance(challenge, Challenge)
        assert challenge.data == b""
        assert isinstance(exchange.step(b"\0alice\0secret"), Account)

    def test_one_may_act_for_oneself_and_for_nobody_else(self, gate: Gate, facts: Facts) -> None:
        assert isinstance(gate.begin("PLAIN", facts).step(b"alice\0alice\0secret"), Account)
        denied = gate.begin("PLAIN", facts).step(b"root\0alice\0secret")
        assert isinstance(denied, Denied)
        assert denied.user == "alice"

    @pytest.mark.parametrize("message", [b"x", b"\0", b"alice\0secret", b"\0alice\0sec\0ret", b"\0\0\0\0"])
    def test_other_messages_are_refused(self, gate: Gate, facts: Facts, message: bytes) -> None:
        assert isinstance(gate.begin("PLAIN", facts).step(message), Denied)

    def test_a_second_empty_message_is_refused(self, gate: Gate, facts: Facts) -> None:
        exchange = gate.begin("PLAIN", facts)
        exchange.step(b"")
        assert isinstance(exchange.step(b""), Denied)

    @pytest.mark.parametrize("message", [b"\0alice\0secret", b"\0alice\0wrong", b"malformed"])
    def test_after_the_verdict_the_exchange_is_over(self, gate: Gate, facts: Facts, message: bytes) -> None:
        exchange = gate.begin("PLAIN", facts)
        exchange.step(message)
        with pytest.raises(RuntimeError):
            exchange.step(b"\0alice\0secret")


class TestApop:
    """RFC 1939 section 7."""

    def test_the_example_of_rfc_1939(self, gate: Gate, facts: Facts, mailauth: Callable[..., None]) -> None:
        mailauth("bob@example.org", "APOP", b"tanstaaf")
        account = gate.begin("APOP", facts).step(b"bob@example.org " + RFC_DIGEST)
        assert isinstance(account, Account)
        assert (account.user, account.source, account.home) == ("bob@example.org", "mailauth", "/home/bob")

    def test_another_stamp_another_digest(self, gate: Gate, mailauth: Callable[..., None]) -> None:
        mailauth("bob@example.org", "APOP", b"tanstaaf")
        elsewhere = Facts("s2", stamp="<1897.697170952@dbc.mtview.ca.us>")
        denied = gate.begin("APOP", elsewhere).step(b"bob@example.org " + RFC_DIGEST)
        assert isinstance(denied, Denied)
        assert denied.why == "wrong APOP digest"

    def test_digits_in_upper_case_are_the_same_number(
        self, gate: Gate, facts: Facts, mailauth: Callable[..., None]
    ) -> None:
        mailauth("alice", "APOP", b"tanstaaf")
        assert isinstance(gate.begin("APOP", facts).step(b"alice " + RFC_DIGEST.upper()), Account)

    def test_without_a_stamp_nobody_passes(self, gate: Gate, mailauth: Callable[..., None]) -> None:
        mailauth("alice", "APOP", b"tanstaaf")
        empty = b"c4ca4238a0b923820dcc509a6f75849b"
        denied = gate.begin("APOP", Facts("s3")).step(b"alice " + empty)
        assert isinstance(denied, Denied)
        assert "stamp" in denied.why

    @pytest.mark.parametrize(
        "data",
        [b"", b"alice", b"alice ", b"alice " + RFC_DIGEST[:-1], b"alice " + RFC_DIGEST + b"0", b"alice " + b"g" * 32],
    )
    def test_what_is_no_digest_is_refused(self, gate: Gate, facts: Facts, data: bytes) -> None:
        denied = gate.begin("APOP", facts).step(data)
        assert isinstance(denied, Denied)
        assert denied.user == data.partition(b" ")[0].decode()

    def test_without_an_entry_it_is_refused(self, gate: Gate, facts: Facts) -> None:
        denied = gate.begin("APOP", facts).step(b"alice " + RFC_DIGEST)
        assert isinstance(denied, Denied)
        assert denied.why == "no APOP entry"


def test_an_unknown_mechanism_is_the_callers_mistake(gate: Gate, facts: Facts) -> None:
    with pytest.raises(KeyError):
        gate.begin("X-NONE", facts)


class TestSecretsStaySecret:
    @pytest.mark.parametrize("credential", [Password("alice", b"hush-hush"), Digest("alice", "<1@x>", b"hush-hush")])
    def test_a_credential_shows_its_user_only(self, credential: Password | Digest) -> None:
        for shown in (repr(credential), str(credential), f"{credential}", repr([credential])):
            assert "hush" not in shown
            assert "alice" in shown
        with pytest.raises(TypeError):
            pickle.dumps(credential)

    def test_no_event_and_no_verdict_holds_the_password(
        self, gate: Gate, facts: Facts, heard: list[Event], tmp_path: Path
    ) -> None:
        verdicts = [gate.check(user, b"hush-hush", facts) for user in (b"alice", b"nobody", b"../x")]
        (tmp_path / "accounts").unlink()
        verdicts.append(gate.check(b"alice", b"hush-hush", facts))
        assert len(heard) == 1
        for said in [repr(verdict) for verdict in verdicts] + [getattr(event, "what", "") for event in heard]:
            assert "hush" not in said


class TestNames:
    BAD = (
        "", "a/b", "/etc/passwd", "..", ".", ".hidden", "-froot", "a b", "a\tb", "a\nb", "a\x7f", "a\x00b",
        "a\u200bb", "a\u202eb", "a\u00a0b", "@", "@example.org", "a@", "a@.", "a@..", "a@../x", "a@b@c",
        "a" * 65, "a" * 64 + "@" + "d" * 200, "\udcff",
    )  # fmt: skip
    GOOD = ("a", "alice", "a.b", "a-b", "a_b", "a+b", "alice@example.org", "a" * 64, "j\u00f6rg", "%u", "*", "a:b")

    @pytest.mark.parametrize("name", BAD)
    def test_what_cannot_be_a_name(self, name: str) -> None:
        with pytest.raises(ValueError, match=r"name"):
            names.check(name)

    @pytest.mark.parametrize("name", GOOD)
    def test_what_can(self, name: str) -> None:
        names.check(name)

    @pytest.mark.parametrize("name", BAD)
    def test_a_bad_name_is_refused_before_any_look_up(
        self, name: str, configure: Callable[..., Settings], facts: Facts, heard: list[Event]
    ) -> None:
        """With a database that cannot be read every look-up would be an event."""
        gate = Gate(configure(auth_sources="accounts", accounts_file="/no/such/file"), heard.append)
        denied = gate.check(name.encode("utf-8", "surrogateescape"), b"secret", facts)
        assert isinstance(denied, Denied)
        assert not denied.temporary
        assert heard == []

    @pytest.mark.parametrize(
        ("lower", "strip", "given_name", "found"),
        [
            (False, False, "Alice@Example.ORG", "Alice@Example.ORG"),
            (True, False, "Alice@Example.ORG", "alice@example.org"),
            (False, True, "Alice@Example.ORG", "Alice"),
            (True, True, "Alice@Example.ORG", "alice"),
            (True, True, "alice@a@b", "alice"),  # popper -C cuts at the first
            (True, False, "\u212aate", "\u212aate"),  # the sign of the kelvin
            (True, False, "J\u00d6RG", "j\u00d6rg"),
        ],
    )
    def test_settings_change_the_name_that_is_looked_up(
        self, lower: bool, strip: bool, given_name: str, found: str
    ) -> None:
        settings = Settings([("the test", {"auth.lowercase_user": lower, "auth.strip_domain": strip})])
        assert names.canonical(given_name, settings) == found

    def test_a_name_that_is_all_domain_is_refused(self) -> None:
        settings = Settings([("the test", {"auth.strip_domain": True})])
        with pytest.raises(ValueError, match="empty"):
            names.canonical("@example.org", settings)

    def test_the_account_has_the_looked_up_name_and_a_refusal_the_given(
        self, configure: Callable[..., Settings], tmp_path: Path, facts: Facts, heard: list[Event]
    ) -> None:
        accounts = tmp_path / "accounts"
        accounts.write_text("alice:{PLAIN}secret:1234:1234::/home/alice::\n")
        accounts.chmod(0o600)
        settings = configure(
            accounts_file=str(accounts), auth_sources="accounts", auth_lowercase_user=True, auth_strip_domain=True
        )
        gate = Gate(settings, heard.append)
        account = gate.check(b"ALICE@example.org", b"secret", facts)
        assert isinstance(account, Account)
        assert account.user == "alice"
        denied = gate.check(b"ALICE@example.org", b"wrong", facts)
        assert isinstance(denied, Denied)
        assert denied.user == "ALICE@example.org"

    @hypothesis_settings(max_examples=200)
    @given(name=st.one_of(st.text(max_size=80), st.text(alphabet="aZ.-/@% \0\n\u00e9", max_size=12)))
    def test_a_name_that_passes_is_one_path_component(self, name: str) -> None:
        try:
            names.check(name)
        except ValueError:
            return
        assert os.path.basename(name) == name
        assert os.path.normpath("/spool/" + name) == "/spool/" + name
        assert len(os.fsencode(name)) <= 255
        assert name.isprintable()


class TestStamp:
    @pytest.mark.parametrize(("word", "wanted"), [("always", True), ("never", False), ("auto", False)])
    def test_without_a_database(
        self, word: str, wanted: bool, configure: Callable[..., Settings], heard: list[Event]
    ) -> None:
        assert stamp.wanted(configure(apop_stamp=word), heard.append) is wanted
        assert heard == []

    def test_auto_follows_the_apop_entries(
        self, configure: Callable[..., Settings], mailauth: Callable[..., None], heard: list[Event]
    ) -> None:
        settings = configure()
        mailauth("alice", "POP", b"secret")
        assert not stamp.wanted(settings, heard.append)
        mailauth("alice", "APOP", b"secret")
        assert stamp.wanted(settings, heard.append)

    def test_auto_wants_none_where_mailauth_is_not_asked(
        self, configure: Callable[..., Settings], mailauth: Callable[..., None], heard: list[Event]
    ) -> None:
        mailauth("alice", "APOP", b"secret")
        assert not stamp.wanted(configure(auth_sources="unix"), heard.append)
        assert not stamp.wanted(configure(mailauth_database=""), heard.append)

    def test_a_database_that_is_none_is_one_trouble_and_no_stamp(
        self, configure: Callable[..., Settings], heard: list[Event]
    ) -> None:
        settings = configure()
        with open(settings.mailauth_database, "w") as file:
            file.write("this is not SQLite" * 20)
        assert not stamp.wanted(settings, heard.append)
        assert [type(event) for event in heard] == [Trouble]


class TestOrder:
    """Which sources are asked; see the top of gate.py."""

    def test_accounts_without_a_file_is_a_contradiction(self, configure: Callable[..., Settings]) -> None:
        with pytest.raises(ConfigurationError, match=r"accounts\.file"):
            Gate(configure(auth_sources="accounts"), lambda event: None)

    def test_a_source_that_cannot_be_read_refuses_for_now_and_the_next_is_not_asked(
        self, configure: Callable[..., Settings], tmp_path: Path, facts: Facts, heard: list[Event]
    ) -> None:
        accounts = tmp_path / "accounts"
        accounts.write_text("alice:{PLAIN}secret:1234:1234::/home/alice::\n")
        accounts.chmod(0o600)
        settings = configure(auth_sources="mailauth,accounts", accounts_file=str(accounts))
        with open(settings.mailauth_database, "w") as file:
            file.write("this is not SQLite" * 20)
        os.chmod(settings.mailauth_database, 0o600)
        denied = Gate(settings, heard.append).check(b"alice", b"secret", facts)
        assert isinstance(denied, Denied)
        assert (denied.user, denied.temporary) == ("alice", True)
        assert len(heard) == 1
        assert isinstance(heard[0], Trouble)
        assert settings.mailauth_database in heard[0].what
        assert heard[0].facts is facts
        assert heard[0].level == "error"

    def test_a_file_that_is_set_is_asked_though_not_named(
        self, configure: Callable[..., Settings], tmp_path: Path, facts: Facts, heard: list[Event]
    ) -> None:
        """And before unix: "root" is a system user, whom unix would refuse."""
        accounts = tmp_path / "accounts"
        accounts.write_text("root:{PLAIN}secret:1234:1234::/home/virtual::\n")
        accounts.chmod(0o600)
        account = Gate(configure(accounts_file=str(accounts)), heard.append).check(b"root", b"secret", facts)
        assert isinstance(account, Account)
        assert (account.home, account.system) == ("/home/virtual", False)

    def test_the_order_of_the_setting_counts(
        self, configure: Callable[..., Settings], tmp_path: Path, facts: Facts, heard: list[Event]
    ) -> None:
        accounts = tmp_path / "accounts"
        accounts.write_text("root:{PLAIN}secret:1234:1234::/home/virtual::\n")
        accounts.chmod(0o600)
        settings = configure(accounts_file=str(accounts), auth_sources="unix,accounts")
        assert isinstance(Gate(settings, heard.append).check(b"root", b"secret", facts), Denied)

    def test_nobody_is_let_in_by_no_source(self, configure: Callable[..., Settings], facts: Facts) -> None:
        gate = Gate(configure(auth_sources=""), lambda event: None)
        assert isinstance(gate.check(b"root", b"secret", facts), Denied)


class TestLogin:
    """draft-murchison-sasl-login: the server asks ``Username:`` and ``Password:``."""

    def test_name_and_password_are_asked_for(self, gate: Gate, facts: Facts) -> None:
        exchange = gate.begin("LOGIN", facts)
        for sent, asked in ((b"", b"Username:"), (b"alice", b"Password:")):
            challenge = exchange.step(sent)
            assert isinstance(challenge, Challenge)
            assert challenge.data == asked
        assert isinstance(exchange.step(b"secret"), Account)

    def test_the_name_may_come_at_once(self, gate: Gate, facts: Facts) -> None:
        exchange = gate.begin("LOGIN", facts)
        assert isinstance(exchange.step(b"alice"), Challenge)
        assert isinstance(exchange.step(b"secret"), Account)

    @pytest.mark.parametrize("messages", [[b"", b"", b""], [b"alice", b""], [b"alice", b"sec\0ret"], [b"al\0ice"]])
    def test_an_empty_name_or_password_or_a_nul_is_refused(
        self, gate: Gate, facts: Facts, messages: list[bytes]
    ) -> None:
        exchange = gate.begin("LOGIN", facts)
        assert isinstance([exchange.step(message) for message in messages][-1], Denied)


class TestOffered:
    """Each mechanism is announced only where it can succeed."""

    def test_the_strongest_come_first(self, gate: Gate, facts: Facts) -> None:
        """The fixture's accounts file holds a clear password, which every mechanism can be answered with."""
        assert gate.mechanisms(facts) == ("SCRAM-SHA-256", "SCRAM-SHA-1", "CRAM-MD5", "PLAIN", "LOGIN")

    def test_hashes_answer_passwords_alone(self, configure: Callable[..., Settings], facts: Facts) -> None:
        assert Gate(configure(auth_sources="unix"), lambda event: None).mechanisms(facts) == ("PLAIN", "LOGIN")

    def test_a_setting_leaves_some_out(self, configure: Callable[..., Settings], facts: Facts) -> None:
        gate = Gate(configure(auth_mechanisms="PLAIN"), lambda event: None)
        assert gate.mechanisms(facts) == ("PLAIN",)

    def test_without_a_source_there_is_none(self, configure: Callable[..., Settings], facts: Facts) -> None:
        assert Gate(configure(auth_sources=""), lambda event: None).mechanisms(facts) == ()

    def test_a_database_that_cannot_be_read_is_no_event_here(
        self, configure: Callable[..., Settings], facts: Facts, heard: list[Event]
    ) -> None:
        """The login that needs it says so."""
        settings = configure(auth_sources="mailauth")
        with open(settings.mailauth_database, "w") as file:
            file.write("this is not SQLite" * 20)
        assert Gate(settings, heard.append).mechanisms(facts) == ("PLAIN", "LOGIN")
        assert heard == []
