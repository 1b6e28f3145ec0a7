"""The moment of a refusal goes by the longest work of late, whosever refusal that was."""

from __future__ import annotations

import os
import stat
import struct
import time
from typing import TYPE_CHECKING

import pytest

from qpopper_py.auth import pace
from qpopper_py.auth.credentials import Challenge
from qpopper_py.auth.gate import Denied, Gate
from qpopper_py.auth.pace import HALVED, MARGIN, MOST, Pace
from qpopper_py.facts import Facts, Tls
from qpopper_py.settings import Settings

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

DELAY = 0.05
LONG = 50  # seconds: with the margin two delays of 30 and a half


class Clock:
    now = 1e9

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def build(configure: Callable[..., Settings], clock: Clock) -> Callable[..., Pace]:
    return lambda **values: Pace(configure(auth_refusal_delay=DELAY, **values), clock)


def multiple(moment: float) -> int:
    times = round(moment / DELAY)
    assert moment == pytest.approx(times * DELAY)
    return times


def test_the_moment_is_a_multiple_that_leaves_a_margin(build: Callable[..., Pace]) -> None:
    for spent in (0, 0.001, DELAY / MARGIN * 0.9, DELAY, 2.1 * DELAY):
        assert multiple(build().moment(spent)) * DELAY > spent * MARGIN


def test_without_a_state_folder_each_session_goes_by_its_own_work() -> None:
    assert Pace(Settings([("the test", {"state_dir": ""})])).moment(100) == 0


def test_quick_refusals_leave_no_file(build: Callable[..., Pace], tmp_path: Path) -> None:
    assert multiple(build().moment(DELAY / 10)) == 1
    assert not (tmp_path / "state").exists()


def test_one_slow_refusal_moves_those_of_everybody(build: Callable[..., Pace], tmp_path: Path) -> None:
    """In every process: nothing but the file is between them."""
    slow = build().moment(3 * DELAY)
    assert multiple(slow) == 5
    assert build().moment(0.0001) == build().moment(DELAY) == slow
    mode = (tmp_path / "state/pace").stat().st_mode
    assert stat.S_IMODE(mode) == 0o600


def test_a_slower_one_counts_and_a_quicker_one_takes_nothing_away(build: Callable[..., Pace]) -> None:
    build().moment(2 * DELAY)
    build().moment(1 * DELAY)
    assert multiple(build().moment(0)) == 4
    assert multiple(build().moment(3 * DELAY)) == multiple(build().moment(0)) == 5


def test_it_is_forgotten(build: Callable[..., Pace], clock: Clock) -> None:
    build().moment(3 * DELAY)
    clock.now += HALVED
    assert multiple(build().moment(0)) == 3
    clock.now += 100 * HALVED
    assert multiple(build().moment(0)) == 1


def test_what_hung_does_not_hold_up_everybody_for_as_long(build: Callable[..., Pace]) -> None:
    assert multiple(build().moment(1000 * DELAY)) == MOST
    assert multiple(build().moment(0)) == MOST


@pytest.mark.parametrize(
    "content",
    [b"", b"x", b"\xff" * 16, struct.pack("<dd", float("nan"), 1e9), struct.pack("<dd", float("inf"), 1e9),
     struct.pack("<dd", -1, 1e9), struct.pack("<dd", 3 * DELAY, float("nan")), struct.pack("<dd", 3 * DELAY, 2e9)],
    ids=["empty", "short", "ones", "NaN", "endless", "negative", "at NaN", "tomorrow"],
)  # fmt: skip
def test_a_damaged_record_counts_as_nothing_and_is_written_over(
    build: Callable[..., Pace], tmp_path: Path, content: bytes
) -> None:
    (tmp_path / "state").mkdir()
    (tmp_path / "state/pace").write_bytes(content)
    assert multiple(build().moment(0)) == 1
    build().moment(3 * DELAY)
    assert multiple(build().moment(0)) == 5


@pytest.mark.parametrize(
    "make", [lambda path: os.mkfifo(path), lambda path: path.mkdir(), lambda path: path.symlink_to("x")]
)
def test_what_is_no_file_is_not_waited_for_and_not_followed(
    build: Callable[..., Pace], tmp_path: Path, make: Callable[[Path], None]
) -> None:
    (tmp_path / "state").mkdir()
    make(tmp_path / "state/pace")
    assert multiple(build().moment(3 * DELAY)) == 5
    assert not (tmp_path / "state/x").exists()


def test_without_a_delay_there_is_no_moment(configure: Callable[..., Settings]) -> None:
    assert Pace(configure(auth_refusal_delay=0)).moment(1) == 0


class TestGate:
    """Work is imitated by a message that came so long ago."""

    @pytest.fixture
    def gate(self, configure: Callable[..., Settings], tmp_path: Path) -> Gate:
        accounts = tmp_path / "accounts"
        accounts.write_text("alice:{PLAIN}secret:1234:1234::/home/alice::\n")
        accounts.chmod(0o600)
        keys = tmp_path / "keys.json"
        keys.write_text('{"keys": []}')
        more = {"oauth_keys": str(keys), "oauth_issuer": "i", "oauth_audience": "a"}
        sources = "mailauth,certificate,oauth,accounts"
        # so long a delay that no machine is slow enough to exceed it
        settings = configure(
            accounts_file=str(accounts), auth_sources=sources, auth_refusal_delay=30, guess_delay=0, **more
        )
        return Gate(settings, lambda event: None)

    def test_a_refusal_that_took_long_moves_the_others(self, gate: Gate, facts: Facts) -> None:
        known, unknown = b"\0alice\0wrong", b"\0nobody\0wrong"
        quick = gate.begin("PLAIN", facts).step(unknown)
        slow = gate.begin("PLAIN", facts).step(known, time.monotonic() - LONG)
        after = [gate.begin("PLAIN", facts).step(message) for message in (known, unknown)]
        assert [said.wait for said in (quick, slow, *after) if isinstance(said, Denied)] == [30, 90, 90, 90]

    @pytest.mark.parametrize(
        ("mechanism", "message"),
        [
            ("PLAIN", b"malformed"),
            ("APOP", b"alice 00000000000000000000000000000000"),
            ("APOP", b"nobody 00000000000000000000000000000000"),
            ("EXTERNAL", b"mallory"),
            ("EXTERNAL", b"root"),
            ("OAUTHBEARER", b"n,a=alice,\1auth=Bearer wrong\1\1"),
            ("XOAUTH2", b"user=nobody\1auth=Bearer wrong\1\1"),
            ("XOAUTH2", b"user=alice"),
        ],
    )
    def test_every_mechanism_refuses_at_that_moment(
        self, gate: Gate, facts: Facts, mechanism: str, message: bytes
    ) -> None:
        gate.begin("PLAIN", facts).step(b"\0alice\0wrong", time.monotonic() - LONG)
        facts.tls = Tls("TLSv1.3", certificate="mallory")
        said = gate.begin(mechanism, facts).step(message)
        denied = said.refusal if isinstance(said, Challenge) else said
        assert isinstance(denied, Denied)
        assert denied.wait == 90

    def test_a_login_does_not_wait(self, gate: Gate, facts: Facts) -> None:
        gate.begin("PLAIN", facts).step(b"\0alice\0wrong", time.monotonic() - LONG)
        said = gate.begin("PLAIN", facts).step(b"\0alice\0secret", time.monotonic() - LONG)
        assert not isinstance(said, Denied)
        assert said.wait == 0


def test_others_may_be_writing(build: Callable[..., Pace], tmp_path: Path) -> None:
    """Whoever holds the lock holds up no refusal."""
    from qpopper_py.auth import statefile

    descriptor = statefile.locked(f"{tmp_path}/state", pace.NAME, "")
    try:
        assert multiple(build().moment(3 * DELAY)) == 5
    finally:
        os.close(descriptor)
    assert multiple(build().moment(0)) == 1
