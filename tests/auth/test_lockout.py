"""What stands against guessing, as pop3d.toml(5) has it under "Against guessing"."""

from __future__ import annotations

import multiprocessing
import os
import stat
from typing import TYPE_CHECKING

import pytest
import scramp
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from qpopper_py.auth import guesses
from qpopper_py.auth.account import Account, Denied
from qpopper_py.auth.addresses import origin
from qpopper_py.auth.credentials import Challenge, Digest, Password, Token
from qpopper_py.auth.gate import Gate
from qpopper_py.auth.lockout import Lockout
from qpopper_py.errors import ConfigurationError, CredentialStoreError
from qpopper_py.facts import Facts
from qpopper_py.settings import Settings

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from qpopper_py.events import Event

HERE, THERE = "192.0.2.7", "192.0.2.8"
NOW = 1_700_000_000.0


class House:
    """The guard on a state folder, with a clock of its own; each try says how long its answer waits."""

    def __init__(self, folder: Path, **values: object) -> None:
        self.path = folder / "state/guesses"
        raw = {"state_dir": f"{folder}/state", **{f"guess.{name}": value for name, value in values.items()}}
        self.settings = Settings([("the test", raw)])
        self.now = NOW
        self.heard: list[str] = []
        self.number = 0

    def verdict(self, verdict: Account | Denied, secret: bytes, peer: str) -> Account | Denied:
        # A new one each time: as under inetd, nothing is remembered but in the file.
        guard = Lockout(self.settings, self.heard.append, lambda: self.now)
        return guard.settle(verdict, Password(verdict.user, secret), Facts("s1", peer=peer))

    def wrong(self, user: str = "alice", peer: str = HERE, secret: bytes = b"") -> float:
        """A refused login with a password that nobody tried before, or with ``secret``."""
        self.number += 1
        said = self.verdict(Denied(user, "wrong password"), secret or b"guess %d" % self.number, peer)
        assert isinstance(said, Denied)
        return said.wait

    def right(self, user: str = "alice", peer: str = HERE) -> Account | Denied:
        return self.verdict(Account(user, 1000, 1000), b"right", peer)

    def later(self, seconds: float) -> None:
        self.now += seconds


MANY_KEYS = (
    "test_each_file_has_a_key_of_its_own",
    "test_the_tag_is_the_same_in_another_process_and_on_another_host_another",
)


@pytest.fixture(autouse=True)
def same_key(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Wrong passwords are told apart by 16 bits of a keyed hash: by one key of very many, two of a test look alike."""
    if request.node.name not in MANY_KEYS:
        monkeypatch.setattr(guesses.os, "urandom", bytes)


@pytest.fixture
def house(tmp_path: Path) -> House:
    return House(tmp_path)


def waits(house: House, times: int, **words: str) -> list[float]:
    """Of wrong passwords, one after the answer to the other."""
    found = []
    for _ in range(times):
        found.append(house.wrong(**words))
        house.later(found[-1])
    return found


class TestDelay:
    def test_it_grows_by_the_factor_up_to_the_largest(self, house: House) -> None:
        assert waits(house, 9) == [0, 1, 2, 4, 8, 16, 30, 30, 30]

    def test_settings_say_how(self, tmp_path: Path) -> None:
        assert waits(House(tmp_path, delay=3, factor=3, largest=50), 5) == [0, 3, 9, 27, 50]

    def test_it_is_the_addresss_whatever_the_user(self, house: House) -> None:
        assert [house.wrong(user) for user in ("alice", "bob", "nobody")][:2] == [0, 1]
        assert house.wrong("alice", THERE) == 0

    def test_addresses_of_one_ipv6_network_are_one(self, house: House) -> None:
        assert house.wrong(peer="2001:db8:1:2::7") == 0
        assert house.wrong(peer="2001:db8:1:2:9::9") == 1
        assert house.wrong(peer="2001:db8:1:3::7") == 0

    def test_the_right_password_waits_as_long_as_a_wrong_one(self, tmp_path: Path) -> None:
        found = []
        for folder in ("right", "wrong"):
            (tmp_path / folder).mkdir()
            house = House(tmp_path / folder)
            waits(house, 4)
            found.append(house.right().wait if folder == "right" else house.wrong())
        assert found == [8, 8]

    def test_after_so_long_without_a_failure_all_is_forgotten(self, house: House) -> None:
        waits(house, 5)
        house.later(house.settings.guess_forget - 10)
        assert house.wrong() == 16
        house.later(house.settings.guess_forget + 1)
        assert waits(house, 2) == [0, 1]

    def test_a_login_that_is_granted_takes_no_failure_back(self, house: House) -> None:
        """Or else whoever has an account could guess at others' for ever."""
        waits(house, 4)
        house.right("mallory")
        house.later(8)
        assert house.wrong() == 8

    def test_tries_at_once_are_answered_one_after_the_other(self, house: House) -> None:
        waits(house, 3)
        assert [house.wrong() for _ in range(3)] == [4, 4 + 8, 4 + 8 + 16]

    @pytest.mark.parametrize("right", [True, False])
    def test_of_a_crowd_the_rest_is_refused_whatever_the_password(self, house: House, right: bool) -> None:
        waits(house, 10)
        assert house.wrong() == 30
        crowded = house.right("bob") if right else house.verdict(Denied("bob", "wrong password"), b"new", HERE)
        assert isinstance(crowded, Denied)
        assert (crowded.user, crowded.temporary, crowded.wait) == ("bob", True, 30)
        house.later(30)
        assert house.right("bob").wait == 30

    def test_a_fault_of_ours_waits_as_long_and_does_not_count(self, house: House) -> None:
        waits(house, 3)
        said = house.verdict(Denied("alice", "could not be checked", temporary=True), b"x", HERE)
        assert (said.wait, isinstance(said, Denied)) == (4, True)
        house.later(4)
        assert house.wrong() == 4

    def test_0_is_no_delay_and_makes_no_file(self, tmp_path: Path) -> None:
        house = House(tmp_path, delay=0)
        assert waits(house, 20) == [0] * 20
        assert not house.path.exists()

    def test_the_largest_is_not_less_than_the_first(self, tmp_path: Path) -> None:
        with pytest.raises(ConfigurationError, match=r"guess\.largest"):
            House(tmp_path, delay=20, largest=10)


class TestTheSamePassword:
    def test_once_more_does_not_count(self, house: House) -> None:
        assert house.wrong(secret=b"old") == 0
        assert {house.wrong(secret=b"old") for _ in range(60)} == {1}
        assert house.wrong() == 1
        assert house.wrong(secret=b"other") > 1

    def test_it_takes_nobodys_turn(self, house: House) -> None:
        house.wrong(secret=b"old")
        for _ in range(60):
            house.wrong(secret=b"old")
        assert house.wrong() == 1

    def test_another_users_same_password_counts(self, house: House) -> None:
        assert house.wrong("alice", secret=b"old") == 0
        assert house.wrong("bob", secret=b"old") == 1
        house.later(1)
        assert house.wrong("bob", secret=b"new") == 2

    def test_as_many_as_a_record_holds_are_told_apart(self, house: House) -> None:
        old = [b"old %d" % n for n in range(guesses.WRONG)]
        for secret in old:
            house.wrong(secret=secret)
            house.later(30)
        before = house.path.read_bytes()
        for secret in old:
            house.wrong(secret=secret)
        assert house.path.read_bytes() == before

    def test_a_token_that_ran_out_is_like_an_old_password(self, house: House) -> None:
        found = []
        for token in ("old", "old", "old", "new"):
            guard = Lockout(house.settings, house.heard.append, lambda: house.now)
            denied = Denied("alice", "the token has run out")
            found.append(guard.settle(denied, Token("alice", token), Facts("s1", peer=HERE)).wait)
            house.later(found[-1])
        assert found == [0, 1, 1, 1]

    def test_digests_differ_each_time_so_they_count(self, house: House) -> None:
        found = []
        for _ in range(3):
            guard = Lockout(house.settings, house.heard.append, lambda: house.now)
            digest = Digest("alice", "<1@x>", b"0" * 32)
            found.append(guard.settle(Denied("alice", "wrong APOP digest"), digest, Facts("s1", peer=HERE)).wait)
            house.later(found[-1])
        assert found == [0, 1, 2]


class TestWhereTheAccountLatelyLoggedIn:
    def test_the_right_password_is_let_in_at_once(self, house: House) -> None:
        assert house.right().wait == 0
        waits(house, 7)
        waits(house, 9, user="bob")
        house.wrong("bob")
        account = house.right()
        assert isinstance(account, Account)
        assert account.wait == 0

    def test_a_wrong_one_is_delayed_all_the_same(self, house: House) -> None:
        house.right()
        assert waits(house, 4) == [0, 1, 2, 4]

    def test_who_shares_the_address_cannot_try_one_password_after_the_other(self, house: House) -> None:
        """Or on a thousand connections at once; the owner waits, and is not refused."""
        house.right()
        for _ in range(100):
            house.wrong()
        account = house.right()
        assert isinstance(account, Account)
        assert account.wait == house.settings.guess_largest
        house.wrong()
        assert house.right().wait == 0

    def test_nobody_elsewhere_takes_that_from_the_owner(self, house: House) -> None:
        house.right()
        for number in range(100):
            house.wrong(peer=f"198.51.100.{number}")
        assert house.right().wait == 0

    def test_it_is_of_that_account_and_that_address_only(self, house: House) -> None:
        house.right("alice", HERE)
        waits(house, 4)
        waits(house, 4, peer=THERE)
        assert house.right("bob", HERE).wait == 8
        assert house.right("alice", THERE).wait == 8

    def test_lately_is_a_setting(self, tmp_path: Path) -> None:
        house = House(tmp_path, remember="1d")
        house.right()
        house.later(86400 - 60)
        waits(house, 4)
        assert house.right().wait == 0
        house.later(86400 + 60)
        waits(house, 4)
        assert house.right().wait == 8

    def test_each_login_makes_it_last(self, house: House) -> None:
        for _ in range(10):
            house.right()
            house.later(house.settings.guess_remember * 2 // 3)
        waits(house, 4)
        assert house.right().wait == 0

    def test_0_remembers_none(self, tmp_path: Path) -> None:
        house = House(tmp_path, remember=0)
        house.right()
        waits(house, 4)
        assert house.right().wait == 8


class TestTrusted:
    @pytest.mark.parametrize("peer", ["", "/run/pop3d.sock", "127.0.0.1", "::1", "10.1.2.3", "::ffff:10.1.2.3"])
    def test_they_are_neither_delayed_nor_counted_nor_locked_out(self, peer: str, tmp_path: Path) -> None:
        house = House(tmp_path, trusted="127.0.0.0/8,::1,10.1.0.0/16", lockout=3)
        assert waits(house, 10, peer=peer) == [0] * 10
        assert isinstance(house.right(peer=peer), Account)
        assert isinstance(house.right(peer=HERE), Account)

    def test_with_an_empty_list_the_loopback_is_counted(self, tmp_path: Path) -> None:
        assert waits(House(tmp_path, trusted=""), 3, peer="127.0.0.1") == [0, 1, 2]


class TestLockout:
    def test_by_default_there_is_none(self, house: House) -> None:
        for number in range(300):
            house.wrong(peer=f"198.51.100.{number % 250}")
        assert isinstance(house.right(peer=THERE), Account)

    def test_so_many_in_a_row_from_anywhere_lock_out_for_so_long(self, tmp_path: Path) -> None:
        house = House(tmp_path, lockout=3, lockout_time=600)
        for number in range(3):
            house.wrong(peer=f"198.51.100.{number}")
        locked = house.right(peer=THERE)
        assert isinstance(locked, Denied)
        assert (locked.temporary, "guess.lockout" in locked.why) == (False, True)
        assert isinstance(house.right("bob", peer=THERE), Account)
        house.later(599)
        house.wrong(peer="198.51.100.9")  # does not count, nor make it longer
        assert isinstance(house.right(peer=THERE), Denied)
        house.later(2)
        assert isinstance(house.right(peer=THERE), Account)

    def test_a_login_ends_the_row(self, tmp_path: Path) -> None:
        house = House(tmp_path, lockout=3)
        for _ in range(3):
            house.wrong(peer=HERE)
            house.later(40)
            house.wrong(peer=HERE)
            house.later(40)
            assert isinstance(house.right(peer=THERE), Account)

    def test_its_owner_gets_in_from_where_the_account_lately_logged_in(self, tmp_path: Path) -> None:
        house = House(tmp_path, lockout=3)
        house.right(peer=THERE)
        waits(house, 10)
        assert isinstance(house.right(peer=THERE), Account)

    def test_the_case_of_the_name_makes_no_difference(self, tmp_path: Path) -> None:
        """NSS may know ALICE as alice."""
        house = House(tmp_path, lockout=3)
        for name in ("alice", "ALICE", "Alice"):
            house.wrong(name)
        assert isinstance(house.right(peer=THERE), Denied)

    def test_it_needs_a_state_folder(self) -> None:
        with pytest.raises(ConfigurationError, match="state_dir"):
            Settings([("the test", {"guess.lockout": 3, "state_dir": ""})])

    def test_it_holds_without_the_delay(self, tmp_path: Path) -> None:
        house = House(tmp_path, lockout=3, delay=0)
        assert waits(house, 5) == [0] * 5
        assert isinstance(house.right(peer=THERE), Denied)


def count_in_another_process(folder: Path, times: int) -> None:
    house = House(folder)
    for _ in range(times):
        with guesses.Guesses(house.settings.state_dir, house.now, house.heard.append) as file:
            record = file.find(guesses.ORIGINS, origin(HERE), 3600)
            record.count, record.last = record.count + 1, int(house.now)
            file.put(record)


def count_of(house: House, peer: str) -> int:
    with guesses.Guesses(house.settings.state_dir, house.now, house.heard.append) as file:
        return file.find(guesses.ORIGINS, origin(peer), 3600).count


class TestFile:
    def test_it_is_small_fixed_and_only_ours(self, house: House) -> None:
        house.wrong()
        size = house.path.stat().st_size
        for number in range(2000):
            house.wrong(peer=f"198.51.{number % 250}.{number // 250}")
        assert house.path.stat().st_size == size < 1 << 20
        assert stat.S_IMODE(house.path.stat().st_mode) == 0o600
        assert [path.name for path in house.path.parent.iterdir()] == ["guesses"]
        assert house.heard == []

    def test_it_tells_neither_address_nor_name_nor_password(self, house: House) -> None:
        house.wrong("alice", secret=b"hush-hush")
        house.right("alice")
        data = house.path.read_bytes()
        for what in (b"alice", b"hush", bytes([192, 0, 2, 7]), b"192.0"):
            assert what not in data

    def test_each_file_has_a_key_of_its_own(self, tmp_path: Path) -> None:
        found = set()
        for folder in ("1", "2"):
            (tmp_path / folder).mkdir()
            house = House(tmp_path / folder)
            house.wrong()
            found.add(house.path.read_bytes())
        assert len(found) == 2

    def test_processes_count_together(self, house: House, tmp_path: Path) -> None:
        house.wrong(peer=THERE)  # the file is made here, with this key
        context = multiprocessing.get_context("spawn")
        workers = [context.Process(target=count_in_another_process, args=(tmp_path, 200)) for _ in range(3)]
        for worker in workers:
            worker.start()
        for worker in workers:
            worker.join()
        assert [worker.exitcode for worker in workers] == [0, 0, 0]
        assert count_of(house, HERE) == 600

    def test_when_it_is_full_the_worst_offenders_stay(self, house: House) -> None:
        for _ in range(8):
            house.wrong()
            house.later(31)
        for number in range(3 * guesses.ORIGINS.slots):
            house.wrong(peer=f"10.{number >> 16}.{number >> 8 & 255}.{number & 255}")
        assert count_of(house, HERE) == 8
        assert house.wrong() == 30

    def test_a_newcomer_finds_room_in_a_full_one(self, house: House) -> None:
        for number in range(3 * guesses.ORIGINS.slots):
            house.wrong(peer=f"10.{number >> 16}.{number >> 8 & 255}.{number & 255}")
        assert waits(house, 3) == [0, 1, 2]

    @pytest.mark.parametrize(
        "damage",
        [
            lambda data: b"",
            lambda data: b"not ours",
            lambda data: data[:-1],
            lambda data: data + b"\0",
            lambda data: b"X" + data[1:],
            lambda data: data[:20] + bytes([data[20] ^ 1]) + data[21:],
        ],
        ids=["empty", "another text", "cut off", "longer", "another head", "another key"],
    )
    def test_a_damaged_one_is_made_anew_and_said(self, house: House, damage: Callable[[bytes], bytes]) -> None:
        waits(house, 3)
        new = damage(house.path.read_bytes())
        house.path.write_bytes(new)
        assert waits(house, 3) == [0, 1, 2]
        assert [str(house.path) in what for what in house.heard] == [True] * bool(new)

    def test_damaged_records_delay_nobody_for_longer_than_the_largest(self, house: House) -> None:
        waits(house, 3)
        data = house.path.read_bytes()
        house.path.write_bytes(data[: guesses.HEAD] + b"\xff" * (len(data) - guesses.HEAD))
        assert waits(house, 3) == [0, 1, 2]
        assert house.heard == []

    @hypothesis_settings(max_examples=100)
    @given(data=st.binary(min_size=1, max_size=4096), right=st.booleans())
    def test_whatever_the_records_are_an_answer_comes_in_time(
        self, data: bytes, right: bool, tmp_path_factory: pytest.TempPathFactory
    ) -> None:
        house = House(tmp_path_factory.mktemp("house"), lockout=3)
        house.wrong()
        head, size = house.path.read_bytes()[: guesses.HEAD], house.path.stat().st_size
        keyed = bytearray((data * (size // len(data) + 1))[: size - guesses.HEAD])
        with guesses.Guesses(house.settings.state_dir, house.now, house.heard.append) as file:
            for table in (guesses.ORIGINS, guesses.PAIRS, guesses.ACCOUNTS):
                for what in (bytes([192, 0, 2, 7]), bytes([192, 0, 2, 7]) + b"alice", b"alice"):
                    record = file.find(table, what, 1 << 40)  # damaged behind the hash by which it is found
                    keyed[record.place - guesses.HEAD : record.place - guesses.HEAD + 8] = record.hash
        house.path.write_bytes(head + keyed)
        for _ in range(3):
            said = house.right() if right else house.verdict(Denied("alice", "wrong password"), b"x", HERE)
            assert 0 <= said.wait <= house.settings.guess_largest + 1
        assert house.heard == []

    def test_a_clock_that_was_wrong_delays_nobody_for_longer(self, house: House) -> None:
        house.later(10 * 365 * 86400)
        waits(house, 8)
        house.now = NOW
        assert waits(house, 3) == [0, 1, 2]

    @pytest.mark.parametrize("obstacle", ["link", "folder", "mode", "open folder", "fifo"])
    def test_one_that_others_could_have_made_is_not_used(self, house: House, obstacle: str, tmp_path: Path) -> None:
        """The login goes on, and the log says what is wrong, once."""
        house.path.parent.mkdir()
        victim = tmp_path / "victim"
        victim.write_text("precious")
        if obstacle == "link":
            house.path.symlink_to(victim)
        elif obstacle == "folder":
            house.path.mkdir()
        elif obstacle == "mode":
            house.path.touch(0o600)
            house.path.chmod(0o666)
        elif obstacle == "fifo":
            os.mkfifo(house.path, 0o600)
        else:
            house.path.parent.chmod(0o777)
        guard = Lockout(house.settings, house.heard.append, lambda: house.now)
        for _ in range(3):
            said = guard.settle(Denied("alice", "wrong password"), Password("alice", b"x"), Facts("s", peer=HERE))
            assert said.wait == 0
        assert len(house.heard) == 1
        assert house.settings.state_dir in house.heard[0]
        assert victim.read_text() == "precious"

    def test_a_lock_that_is_held_is_not_waited_for_for_ever(self, house: House) -> None:
        place = house.settings.state_dir, NOW, house.heard.append
        with guesses.Guesses(*place), pytest.raises(CredentialStoreError, match="cannot be locked"):
            guesses.Guesses(*place)


class TestGate:
    """The same through the gate, with sources, names and APOP."""

    @pytest.fixture
    def gate(self, configure: Callable[..., Settings], tmp_path: Path, heard: list[Event]) -> Gate:
        accounts = tmp_path / "accounts"
        accounts.write_text("alice:{PLAIN}secret:1234:1234::/home/alice::\n")
        accounts.chmod(0o600)
        waits = {"guess_delay": 7, "auth_refusal_delay": 0}
        settings = configure(accounts_file=str(accounts), auth_sources="mailauth,accounts", **waits)
        return Gate(settings, heard.append)

    def test_the_verdict_says_how_long_its_answer_waits(self, gate: Gate, facts: Facts) -> None:
        assert gate.check(b"alice", b"wrong", facts).wait == 0
        assert gate.check(b"alice", b"secret", facts).wait == 7
        assert gate.check(b"alice", b"secret", facts).wait == 0  # logged in from here by now

    def test_passwords_and_digests_count_together(self, gate: Gate, facts: Facts) -> None:
        gate.check(b"alice", b"wrong", facts)
        denied = gate.begin("APOP", facts).step(b"alice " + b"0" * 32)
        assert isinstance(denied, Denied)
        assert denied.wait == 7

    def test_a_last_word_that_tells_the_verdict_waits_in_its_place(self, gate: Gate, facts: Facts) -> None:
        """SCRAM's server signs before the client's last, empty response (RFC 5802 section 5)."""
        gate.check(b"alice", b"wrong", facts)
        client = scramp.ScramClient(["SCRAM-SHA-256"], "alice", "secret")
        exchange = gate.begin("SCRAM-SHA-256", facts)
        said = exchange.step(client.get_client_first().encode())
        assert isinstance(said, Challenge)
        assert said.wait == 0
        client.set_server_first(said.data.decode())
        said = exchange.step(client.get_client_final().encode())
        assert isinstance(said, Challenge)
        assert said.wait == 7
        client.set_server_final(said.data.decode())
        account = exchange.step(b"")
        assert isinstance(account, Account)
        assert account.wait == 0

    def test_a_wrong_proof_waits_as_long(self, gate: Gate, facts: Facts) -> None:
        gate.check(b"alice", b"wrong", facts)
        client = scramp.ScramClient(["SCRAM-SHA-256"], "alice", "Secret")
        exchange = gate.begin("SCRAM-SHA-256", facts)
        said = exchange.step(client.get_client_first().encode())
        assert isinstance(said, Challenge)
        client.set_server_first(said.data.decode())
        denied = exchange.step(client.get_client_final().encode())
        assert isinstance(denied, Denied)
        assert denied.wait == 7

    @pytest.mark.parametrize("name", [b"nobody-here", b"hush-hush", b"../x", b"", b"\xff\xfe", b"a" * 300])
    def test_a_name_that_is_no_account_has_a_tag_for_the_log(self, gate: Gate, facts: Facts, name: bytes) -> None:
        denied = gate.check(name, b"secret", facts)
        again = gate.check(name, b"another", facts)
        other = gate.check(name + b"x", b"secret", facts)
        assert isinstance(denied, Denied)
        assert isinstance(again, Denied)
        assert isinstance(other, Denied)
        assert not denied.known
        assert denied.alias == again.alias != other.alias
        if name:
            assert denied.alias.startswith("(unknown:")
            assert denied.alias.endswith(")")
            assert name.decode("latin-1") not in denied.alias
            assert " " not in denied.alias

    def test_an_accounts_name_stands_as_it_is(self, gate: Gate, facts: Facts) -> None:
        denied = gate.check(b"alice", b"wrong", facts)
        malformed = gate.begin("APOP", facts).step(b"alice x")
        assert isinstance(denied, Denied)
        assert isinstance(malformed, Denied)
        assert (denied.known, denied.alias) == (malformed.known, malformed.alias) == (True, "")

    def test_names_can_be_shown_by_setting(
        self, configure: Callable[..., Settings], facts: Facts, heard: list[Event]
    ) -> None:
        gate = Gate(configure(log_unknown_names="shown", auth_sources="mailauth"), heard.append)
        denied = gate.check(b"nobody-here", b"secret", facts)
        assert isinstance(denied, Denied)
        assert denied.alias == ""

    def test_the_tag_is_the_same_in_another_process_and_on_another_host_another(
        self, facts: Facts, heard: list[Event], tmp_path: Path
    ) -> None:
        def tag(folder: str) -> str:
            raw = {"state_dir": f"{tmp_path}/{folder}", "auth.sources": "mailauth", "mailauth.database": ""}
            gate = Gate(Settings([("the test", raw)]), heard.append)
            denied = gate.check(b"nobody-here", b"secret", facts)
            assert isinstance(denied, Denied)
            return denied.alias

        assert tag("one") == tag("one") != tag("two")
