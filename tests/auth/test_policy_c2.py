"""Enhanced security by ourselves: lock, times, failures and lockout, audit (pop3d.toml(5), time.conf(5))."""

from __future__ import annotations

import os
import re
import stat
import subprocess
import sys
import time
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from qpopper_py.auth import c2
from qpopper_py.auth.account import Account, Denied
from qpopper_py.auth.gate import Gate
from qpopper_py.auth.sources import Directory
from qpopper_py.errors import ConfigurationError, CredentialStoreError
from qpopper_py.events import Audited, Event, Trouble
from qpopper_py.facts import Facts
from qpopper_py.settings import Settings
from qpopper_py.special_kinds import login_times

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tests.auth.conftest import SystemUser

HASH = "$6$4nuf5rFYWbRtWzhG$q5mH5vBodPZ2fXXa52vDuvNqyLdlS9DwP8AhS1JUF/zZw6sB5OZTDfSwEYz2UYDt8QX5tuSSjTnHns8qGbqhK1"
SECRET = b"correct horse"


class Clock:
    def __init__(self, now: float = 1_000_000_000.0) -> None:
        self.now = now

    def __call__(self) -> float:
        return self.now


class Few(Directory):
    """A directory of alice, bob and carol."""

    name = "few"

    def find(self, user: str, facts: Facts) -> Account | Denied | None:
        return Account(user.lower(), 1000, 1000) if user.lower() in ("alice", "bob", "carol") else None


class House:
    """c2 on a state folder, without a gate before it."""

    def __init__(self, folder: Path, **values: object) -> None:
        self.path = folder / "state/c2-failures"
        raw = {"state_dir": f"{folder}/state", "auth.c2": True, "c2.failures": 3, "c2.lockout": 600}
        raw.update({name.replace("_", ".", 1): value for name, value in values.items()})
        self.settings = Settings([("the test", raw)])
        self.clock = Clock()
        self.c2 = c2.C2(self.settings, [Few()], self.clock)

    def login(self, right: bool, user: str = "alice") -> bool:
        """Whether somebody with the right or a wrong secret gets in."""
        facts = Facts("s1", peer="192.0.2.7")
        verdict = Account(user, 1000, 1000) if right else Denied(user, "wrong password")
        return isinstance(self.c2.judge(verdict, facts), Account)

    def lines(self) -> list[str]:
        return self.path.read_text().splitlines()[1:] if self.path.exists() else []


@pytest.fixture
def house(tmp_path: Path) -> House:
    return House(tmp_path)


class TestLockout:
    def test_so_many_failures_in_a_row_lock_out_and_time_opens_again(self, house: House) -> None:
        for _ in range(3):
            assert not house.login(right=False)
        assert not house.login(right=True)
        house.clock.now += 599
        assert not house.login(right=True)
        house.clock.now += 1
        assert house.login(right=True)

    def test_a_login_that_is_granted_ends_the_row(self, house: House) -> None:
        for _ in range(4):
            house.login(right=False)
            house.login(right=False)
            assert house.login(right=True)
        assert house.lines() == []

    def test_what_is_tried_while_locked_out_does_not_count(self, house: House) -> None:
        for _ in range(3):
            house.login(right=False)
        house.clock.now += 500
        for _ in range(10):
            house.login(right=False)
        house.clock.now += 100
        assert house.login(right=True)

    def test_after_a_lockout_counting_begins_anew(self, house: House) -> None:
        for _ in range(3):
            house.login(right=False)
        house.clock.now += 600
        assert not house.login(right=False)
        assert house.lines() == ["1 1000000600 alice"]
        assert house.login(right=True)

    def test_others_are_not_locked_out(self, house: House) -> None:
        for _ in range(3):
            house.login(right=False)
        assert house.login(right=True, user="bob")

    def test_another_spelling_counts_for_the_same_user(self, house: House) -> None:
        for name in ("alice", "ALICE", "Alice"):
            house.login(right=False, user=name)
        assert not house.login(right=True)

    def test_names_that_are_nobody_s_are_not_counted(self, house: House) -> None:
        for number in range(10):
            house.login(right=False, user=f"mallory{number}")
        assert not house.path.exists()

    def test_what_is_our_own_fault_is_not_counted(self, house: House) -> None:
        facts = Facts("s1")
        for _ in range(5):
            house.c2.judge(Denied("alice", "could not be checked", temporary=True), facts)
        assert house.login(right=True)

    def test_a_lockout_of_0_seconds_ends_when_the_line_is_removed(self, tmp_path: Path) -> None:
        house = House(tmp_path, c2_lockout=0)
        for name in ("alice", "alice", "alice", "bob"):
            house.login(right=False, user=name)
        house.clock.now += 10**9
        assert not house.login(right=True)
        house.path.write_text(
            "".join(line + "\n" for line in house.path.read_text().splitlines() if "alice" not in line)
        )
        assert house.login(right=True)
        assert house.lines() == ["1 1000000000 bob"]

    def test_a_clock_that_was_set_back_locks_nobody_out_for_longer(self, house: House) -> None:
        for _ in range(3):
            house.login(right=False)
        house.clock.now -= 86400
        assert not house.login(right=True)
        house.clock.now += 86400 + 600
        assert house.login(right=True)

    @hypothesis_settings(max_examples=60)
    @given(
        steps=st.lists(st.tuples(st.sampled_from(["alice", "bob"]), st.booleans(), st.integers(0, 400)), max_size=25)
    )
    def test_it_does_what_a_small_model_says(
        self, tmp_path_factory: pytest.TempPathFactory, steps: list[tuple[str, bool, int]]
    ) -> None:
        house = House(tmp_path_factory.mktemp("model"))
        model: dict[str, tuple[int, float]] = {}
        for user, right, pause in steps:
            house.clock.now += pause
            count, last = model.get(user, (0, 0.0))
            locked = count >= 3 and house.clock.now < last + 600
            assert house.login(right, user) == (right and not locked)
            if not locked and right:
                model.pop(user, None)
            elif not locked:
                model[user] = (count % 3 + 1 if count >= 3 else count + 1, house.clock.now)


class TestFile:
    def test_it_is_root_s_alone_and_tells_its_format(self, house: House) -> None:
        house.login(right=False)
        assert house.path.read_text() == "c2-failures 1\n1 1000000000 alice\n"
        assert stat.S_IMODE(house.path.stat().st_mode) == 0o600
        assert not [name for name in os.listdir(house.path.parent) if name.endswith(".new")]

    @pytest.mark.parametrize(
        "text",
        ["", "c2-failures 2\n", "something else\n", "c2-failures 1\nx\n", "c2-failures 1\n1 x alice\n", "\xff\n"],
    )
    def test_a_file_that_is_not_ours_refuses_and_says_what_to_do(self, house: House, text: str) -> None:
        house.login(right=True)
        house.path.write_bytes(text.encode("latin-1"))
        with pytest.raises(CredentialStoreError, match="move it away"):
            house.login(right=True)

    def test_a_link_in_its_place_is_not_followed(self, house: House, tmp_path: Path) -> None:
        house.login(right=True)
        (tmp_path / "victim").write_text("c2-failures 1\n")
        house.path.symlink_to(tmp_path / "victim")
        with pytest.raises(CredentialStoreError):
            house.login(right=False)

    def test_a_folder_that_others_can_write_is_not_believed(self, house: House) -> None:
        house.path.parent.mkdir()
        house.path.parent.chmod(0o777)
        with pytest.raises(CredentialStoreError, match="chmod 755"):
            house.login(right=True)

    def test_it_is_bounded_and_the_oldest_goes_first(self, house: House, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(c2, "MOST", 2)
        for name in ("alice", "bob", "alice", "carol"):
            house.clock.now += 1
            house.login(right=False, user=name)
        assert [line.split()[2] for line in house.lines()] == ["alice", "carol"]

    def test_a_folder_that_another_process_makes_at_the_same_moment_is_there(
        self, house: House, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        house.path.parent.mkdir()
        monkeypatch.setattr(os.path, "isdir", lambda path: False)
        assert not house.login(right=False)
        assert len(house.lines()) == 1

    def test_failures_of_many_processes_at_once_are_all_counted(self, tmp_path: Path) -> None:
        house = House(tmp_path, c2_failures=1000)
        program = (
            "import sys; sys.path.insert(0, sys.argv[1])\n"
            "from pathlib import Path\n"
            "from tests.auth.test_policy_c2 import House\n"
            "house = House(Path(sys.argv[2]), c2_failures=1000)\n"
            "for _ in range(20): house.login(right=False)\n"
        )
        root = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
        line = [sys.executable, "-c", program, root, str(tmp_path)]
        running = [subprocess.Popen(line) for _ in range(3)]
        assert [process.wait() for process in running] == [0, 0, 0]
        assert house.lines() == ["60 1000000000 alice"]


class TestTimes:
    MONDAY = time.strptime("2026-11-23 12:00", "%Y-%m-%d %H:%M")

    @pytest.mark.parametrize(
        ("times", "moment", "open_"),
        [
            ("Al0000-2400", "2026-11-23 00:00", True),
            ("Wk0700-1900", "2026-11-23 06:59", False),
            ("Wk0700-1900", "2026-11-23 07:00", True),
            ("Wk0700-1900", "2026-11-23 18:59", True),
            ("Wk0700-1900", "2026-11-23 19:00", False),
            ("Wk0700-1900", "2026-11-22 12:00", False),  # a Sunday
            ("Wd0000-2400", "2026-11-22 12:00", True),
            ("MoTuSa0000-2400", "2026-11-24 12:00", True),
            ("MoTuSa0000-2400", "2026-11-25 12:00", False),
            ("MoWk0000-2400", "2026-11-23 12:00", False),  # all weekdays bar Monday
            ("AlFr0000-2400", "2026-11-27 12:00", False),  # all days except Friday
            ("AlFr0000-2400", "2026-11-28 12:00", True),
            ("Wk1800-0800", "2026-11-23 20:00", True),  # into the next day
            ("Fr1800-0800", "2026-11-28 07:59", True),
            ("Fr1800-0800", "2026-11-28 08:00", False),
            ("Fr1800-0800", "2026-11-27 07:00", False),
            ("!Al0000-2400", "2026-11-23 12:00", False),
            ("!Wk0700-1900", "2026-11-23 20:00", True),
            ("Wd0000-2400|Wk1800-0800", "2026-11-23 12:00", False),
            ("Wd0000-2400|Wk1800-0800", "2026-11-23 19:00", True),
        ],
    )
    def test_times_are_those_of_time_conf(self, times: str, moment: str, open_: bool) -> None:
        assert c2.holds(f"*;{times}", time.strptime(moment, "%Y-%m-%d %H:%M")) is open_

    @pytest.mark.parametrize(
        ("users", "ours"),
        [
            ("*", True),
            ("alice", True),
            ("bob|alice", True),
            ("al*", True),
            ("!bob", True),
            ("bob", False),
            ("!alice", False),
        ],
    )
    def test_users_are_a_list_of_patterns(self, users: str, ours: bool) -> None:
        assert c2.concerns(f"{users};Al0000-2400", "alice") is ours

    def test_every_rule_about_a_user_must_hold(self, tmp_path: Path) -> None:
        never, always = "!Al0000-2400", "Al0000-2400"
        house = House(tmp_path, c2_times=[f"*;{always}", f"bob;{never}", f"alice|bob;{always}"])
        assert house.login(right=True, user="alice")
        assert house.login(right=True, user="carol")
        assert not house.login(right=True, user="bob")
        assert house.lines() == []  # the secret was right: no failure

    @pytest.mark.parametrize(
        "rule",
        ["", "*", "*;", ";Al0000-2400", "*;0000-2400", "*;Xx0000-2400", "*;Al", "*;Al0000", "*;Al0000-2401",
         "*;Al0060-0100", "*;Al000-2400", "*;MoMo0000-2400", "a||b;Al0000-2400", "*;Al0000-2400|",
         "*;Al\u0660\u0660\u0660\u0660-2400"],
    )  # fmt: skip
    def test_a_rule_that_is_none_is_refused_with_the_configuration(self, rule: str) -> None:
        with pytest.raises(ConfigurationError, match=re.escape("c2.times")):
            Settings([("the test", {"auth.c2": True, "c2.times": [rule]})])

    @given(st.text(max_size=30))
    def test_no_text_is_more_than_refused(self, rule: str) -> None:
        try:
            login_times(rule)
        except ValueError:
            return

    def test_times_that_nobody_would_obey_are_refused(self) -> None:
        with pytest.raises(ConfigurationError, match=r"auth\.c2 is false"):
            Settings([("the test", {"c2.times": ["*;Al0000-2400"]})])
        with pytest.raises(ConfigurationError, match="state_dir"):
            Settings([("the test", {"auth.c2": True, "state_dir": ""})])


@pytest.fixture
def gate(tmp_path: Path, configure: Callable[..., Settings], heard: list[Event]) -> Gate:
    """Knows alice, password "secret"; two failures lock out."""
    accounts = tmp_path / "accounts"
    accounts.write_text("alice:{PLAIN}secret:1234:1234::/home/alice::\n")
    accounts.chmod(0o600)
    settings = Settings(
        [
            ("the test", configure(accounts_file=str(accounts), auth_sources="mailauth,accounts").values),
            ("c2", {"auth.c2": True, "c2.failures": 2, "state_dir": f"{tmp_path}/state"}),
        ]
    )
    return Gate(settings, heard.append)


def audited(heard: list[Event]) -> list[tuple[str, str, str, str]]:
    events = [event for event in heard if isinstance(event, Audited)]
    return [(event.user, event.kind, event.outcome, event.why) for event in events]


class TestAudit:
    def test_every_decision_is_an_event_and_no_stranger_s_name_is_told(
        self, gate: Gate, facts: Facts, heard: list[Event], mailauth: Callable[..., None]
    ) -> None:
        mailauth("bob", "APOP", b"tanstaaf")
        gate.check(b"alice", b"secret", facts)
        gate.check(b"alice", b"hush-hush", facts)
        gate.check(b"hush-hush", b"secret", facts)
        gate.check(b"../hush", b"secret", facts)
        gate.check(b"alice", b"", facts)
        gate.check(b"alice", b"hush\0", facts)
        gate.begin("APOP", facts).step(b"alice " + b"0" * 32)
        assert audited(heard) == [
            ("alice", "password", "success", ""),
            ("alice", "password", "failed", "wrong password"),
            ("", "password", "failed", "unknown user"),
            ("", "password", "failed", "name holds a slash, or begins with a dot or a dash"),
            ("alice", "password", "failed", "empty password"),
            ("alice", "malformed", "failed", "NUL in the password"),
            ("alice", "digest", "failed", "no APOP entry"),
        ]
        assert all(event.facts is facts for event in heard)

    def test_a_lockout_is_audited_and_holds_for_the_right_password(
        self, gate: Gate, facts: Facts, heard: list[Event]
    ) -> None:
        for secret in (b"wrong", b"wrong", b"secret"):
            assert isinstance(gate.check(b"alice", secret, facts), Denied)
        assert audited(heard)[-1][:3] == ("alice", "password", "failed")
        assert "locked out" in audited(heard)[-1][3]

    def test_what_could_not_be_checked_is_an_error(
        self, gate: Gate, facts: Facts, heard: list[Event], tmp_path: Path
    ) -> None:
        (tmp_path / "state").mkdir()
        (tmp_path / "state/c2-failures").write_text("damaged")
        denied = gate.check(b"alice", b"secret", facts)
        assert isinstance(denied, Denied)
        assert denied.temporary
        assert [type(event) for event in heard] == [Trouble, Audited]
        assert audited(heard) == [("alice", "password", "error", "could not be checked")]

    def test_without_the_switch_nothing_is_counted_and_nothing_audited(
        self, tmp_path: Path, configure: Callable[..., Settings], facts: Facts, heard: list[Event]
    ) -> None:
        accounts = tmp_path / "accounts"
        accounts.write_text("alice:{PLAIN}secret:1234:1234::/home/alice::\n")
        accounts.chmod(0o600)
        gate = Gate(configure(accounts_file=str(accounts), auth_sources="accounts"), heard.append)
        for _ in range(10):
            gate.check(b"alice", b"wrong", facts)
        assert isinstance(gate.check(b"alice", b"secret", facts), Account)
        assert heard == []


@pytest.mark.root
class TestSystemUsers:
    @pytest.fixture
    def gate(self, tmp_path: Path, configure: Callable[..., Settings], heard: list[Event]) -> Gate:
        base = configure(auth_sources="mailauth,unix").values
        more = {"auth.c2": True, "c2.failures": 2, "state_dir": f"{tmp_path}/state"}
        return Gate(Settings([("the test", base), ("c2", more)]), heard.append)

    @pytest.mark.parametrize(
        ("stored", "open_"), [(HASH, True), ("*", True), ("!", False), ("!" + HASH, False), ("*LK*", False)]
    )
    def test_a_locked_account_is_locked_for_mail_secrets_too(
        self,
        gate: Gate,
        facts: Facts,
        system_user: SystemUser,
        mailauth: Callable[..., None],
        stored: str,
        open_: bool,
    ) -> None:
        system_user.password(stored)
        mailauth(system_user.name, "POP", b"mail password")
        verdict = gate.check(system_user.name.encode(), b"mail password", facts)
        assert isinstance(verdict, Account if open_ else Denied)
        if isinstance(verdict, Denied):
            assert verdict.why == "account locked (auth.c2)"

    def test_failures_of_all_kinds_add_up_and_lock_the_login_password_out(
        self, gate: Gate, facts: Facts, system_user: SystemUser, mailauth: Callable[..., None]
    ) -> None:
        system_user.password(HASH)
        name = system_user.name.encode()
        assert isinstance(gate.check(name, SECRET, facts), Account)
        assert isinstance(gate.check(name, b"wrong", facts), Denied)
        assert isinstance(gate.begin("APOP", facts).step(name + b" " + b"0" * 32), Denied)
        denied = gate.check(name, SECRET, facts)
        assert isinstance(denied, Denied)
        assert "locked out" in denied.why
