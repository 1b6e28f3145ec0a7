"""The table of sessions: popa3d's flood check (its DESIGN and standalone.c), a source, a proxy, a log that stays short.

What a source is follows the manual, pop3d.toml(5), Other limits: an IPv4 address, an IPv6 network of 64 bits.
"""

from __future__ import annotations

import socket

import pytest
from hypothesis import given
from hypothesis import strategies as st

from qpopper_py.events import Event, Trouble
from qpopper_py.facts import Facts
from qpopper_py.serve.limits import CAUSES, PACE, THROTTLE, Limits, Throttle, source_of
from qpopper_py.serve.slots import Slot
from qpopper_py.serve.teller import GRANTED, REFUSED, Teller
from qpopper_py.settings import Settings

A, B = "192.0.2.1", "192.0.2.2"
PROXY = "198.51.100.7"


class Clock:
    now = 1000.0

    def __call__(self) -> float:
        return self.now


class Table:
    """Limits with a clock of the test's own, and what they said."""

    def __init__(self, **named: object) -> None:
        self.clock = Clock()
        self.said: list[str] = []
        values = {name.replace("__", "."): value for name, value in named.items()}
        self.limits = Limits(Settings([("test", values)]), self.hear, self.clock)
        self.process = 0

    def hear(self, event: Event) -> None:
        assert isinstance(event, Trouble)
        self.said.append(event.what)

    def come(self, address: str) -> int:
        """The process of a new session from ``address``; 0: it was turned away."""
        if not self.limits.admit(address):
            return 0
        self.process += 1
        self.limits.began(self.process, address)
        return self.process

    def behind(self, process: int, address: str) -> bool:
        return self.limits.hear(process, b"C" + address.encode()) == GRANTED


def test_a_source_has_its_share_and_others_are_not_touched_by_it() -> None:
    table = Table(limits__sessions_address=3)
    assert [bool(table.come(A)) for _ in range(5)] == [True, True, True, False, False]
    assert table.come(B)


def test_a_session_that_ends_makes_room() -> None:
    table = Table(limits__sessions_address=1)
    first = table.come(A)
    assert not table.come(A)
    table.limits.ended(first)
    assert table.come(A)


def test_all_together_have_a_limit() -> None:
    table = Table(limits__sessions=3)
    assert [bool(table.come(f"192.0.2.{n}")) for n in range(5)] == [True, True, True, False, False]


def test_nought_is_no_limit() -> None:
    none = dict.fromkeys(("limits__sessions_address", "limits__unauthenticated", "limits__sessions_proxy"), 0)
    table = Table(**none, limits__sessions=1000, proxy__networks=PROXY)
    assert all(table.come(A) and table.come(PROXY) for _ in range(400))


def test_whoever_has_not_logged_in_counts_until_he_has() -> None:
    table = Table(limits__unauthenticated=2)
    first, second = table.come(A), table.come(A)
    assert not table.come(B)
    assert table.limits.hear(first, b"L") == b""
    third = table.come(B)
    assert third
    assert not table.come(B)
    for process in (first, second, third):
        table.limits.ended(process)
    assert [bool(table.come(B)) for _ in range(3)] == [True, True, False]


def test_to_say_twice_that_one_logged_in_makes_no_room_twice() -> None:
    table = Table(limits__unauthenticated=2)
    first, _ = table.come(A), table.come(A)
    for _ in range(5):
        table.limits.hear(first, b"L")
    assert [bool(table.come(B)) for _ in range(2)] == [True, False]


def test_a_session_counts_for_min_delay_from_its_beginning_even_when_it_is_over() -> None:
    """popa3d: an entry is in use while its process lives, or it began less than MIN_DELAY ago."""
    table = Table(limits__sessions_address=2, limits__min_delay=10)
    short, long = table.come(A), table.come(A)
    table.limits.ended(short)
    table.clock.now += 9.9
    assert not table.come(A)
    table.clock.now += 0.2
    assert table.come(A)
    assert not table.come(A)
    table.limits.ended(long)
    assert table.come(A)


def test_the_table_never_outgrows_the_limit_of_sessions() -> None:
    table = Table(limits__sessions=50, limits__min_delay=3600)
    for number in range(500):
        if process := table.come(f"10.0.{number // 250}.{number % 250}"):
            table.limits.ended(process)
    assert len(table.limits) == 50
    table.clock.now += 3601
    assert table.come(A)
    assert len(table.limits) == 1
    assert len(table.limits._counts) == 1


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        ("192.0.2.1", "192.0.2.2", False),
        ("192.0.2.1", "::ffff:192.0.2.1", True),
        ("2001:db8:0:1::1", "2001:db8:0:1:ffff::2", True),
        ("2001:db8:0:1::1", "2001:db8:0:2::1", False),
        ("fe80::1%eth0", "fe80::2%eth1", True),
    ],
)
def test_what_one_source_is(one: str, other: str, same: bool) -> None:
    assert (source_of(one) == source_of(other)) is same


def test_who_is_behind_a_proxy_is_held_to_the_limit_of_a_source_and_the_proxy_to_its_own() -> None:
    table = Table(limits__sessions_address=1, limits__sessions_proxy=3, proxy__networks=PROXY)
    first, second, third = (table.come(PROXY) for _ in range(3))
    assert first
    assert second
    assert third
    assert not table.come(PROXY)
    assert table.behind(first, A)
    assert not table.behind(second, A)
    assert table.behind(third, B)
    assert not table.come(A), "who is behind the proxy and who comes directly are one source"
    table.limits.ended(first)
    assert table.come(A)


@pytest.mark.parametrize("address", ["", "localhost", "192.0.2.256", "192.0.2.1\n", "\xff", "1" * 60])
def test_an_address_that_is_none_is_refused(address: str) -> None:
    table = Table(proxy__networks=PROXY)
    process = table.come(PROXY)
    assert table.limits.hear(process, b"C" + address.encode("latin-1")) == REFUSED


def test_only_a_session_through_a_proxy_may_name_a_client_and_only_once() -> None:
    table = Table(proxy__networks=PROXY)
    assert not table.behind(table.come(A), B)
    process = table.come(PROXY)
    assert table.behind(process, A)
    assert not table.behind(process, B)


@given(st.binary(max_size=70), st.integers(0, 3))
def test_no_message_of_a_session_upsets_the_table(message: bytes, process: int) -> None:
    table = Table(proxy__networks=PROXY)
    assert table.come(PROXY) == 1
    assert table.come(A) == 2
    assert table.limits.hear(process, message) in (b"", GRANTED, REFUSED)
    table.limits.ended(1)
    table.limits.ended(2)
    assert len(table.limits) == 0
    assert table.limits._unauthenticated == 0
    assert not table.limits._counts


def test_a_flood_is_one_record_in_ten_seconds_and_the_next_tells_how_much_was_left_out() -> None:
    table = Table(limits__sessions_address=1)
    table.come(A)
    for _ in range(1000):
        assert not table.come(A)
    assert table.said == ["192.0.2.1: per source limit reached: 1 (limits.sessions_address)"]
    table.clock.now += THROTTLE
    assert not table.come(A)
    assert "999 more" in table.said[1]


def test_a_flood_from_very_many_sources_is_not_a_record_for_each() -> None:
    table = Table(limits__sessions_address=1, limits__sessions=100_000, limits__unauthenticated=0)
    for number in range(5000):
        address = f"10.1.{number // 250}.{number % 250}"
        assert table.come(address)
        assert not table.come(address)
    assert len(table.said) == CAUSES + 1


@given(st.integers(1, 3), st.lists(st.tuples(st.integers(0, 5), st.floats(0, 8)), max_size=100))
def test_a_throttle_loses_no_count_and_speaks_so_often_in_its_time(most: int, steps: list[tuple[int, float]]) -> None:
    clock = Clock()
    clock.now = 0.0
    throttle = Throttle(clock, most)
    spoken: dict[int, list[float]] = {}
    silent: dict[int, int] = {}
    for cause, pause in steps:
        clock.now += pause
        told = throttle(cause)
        if told is None:
            silent[cause] = silent.get(cause, 0) + 1
            continue
        times = spoken.setdefault(cause, [])
        times.append(clock.now)
        assert sum(1 for time in times if time // THROTTLE == clock.now // THROTTLE) <= 2 * most
        assert told == silent.pop(cause, 0)


def test_of_a_flood_of_sessions_only_some_are_logged_and_then_their_number() -> None:
    table = Table(limits__sessions_address=0)
    assert [table.limits.quiet(A) for _ in range(PACE + 30)] == [False] * PACE + [True] * 30
    assert not table.limits.quiet(B)
    table.clock.now += THROTTLE
    assert not table.limits.quiet(A)
    assert table.said == ["192.0.2.1: 30 sessions in 10 s were not logged"]


def test_a_session_is_told_what_the_table_says() -> None:
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    with ours:
        teller = Teller(theirs)
        ours.send(REFUSED)
        assert not teller.client(A)
        assert ours.recv(64) == b"C" + A.encode()
        ours.send(GRANTED)
        assert teller.client("2001:db8::1")
        assert ours.recv(64) == b"C2001:db8::1"
        teller.logged_in()
        assert ours.recv(64) == b"L"
        assert ours.recv(64) == b"", "the end of a user's process cannot tell anything"
        assert teller.client(B), "nobody asks any more"


def test_where_the_service_has_gone_nobody_is_refused() -> None:
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    ours.close()
    teller = Teller(theirs)
    assert teller.client(A)
    teller.logged_in()


def slots(state: object, most: int = 2, second: str = "allowed") -> Slot:
    warned: list[str] = []
    return Slot(str(state), Settings([("t", {"limits.sessions_user": most, "second_session": second})]), warned.append)


def test_a_user_has_so_many_sessions_and_a_place_is_free_again_when_one_ends(tmp_path: object) -> None:
    first, second, third = slots(tmp_path), slots(tmp_path), slots(tmp_path)
    assert first.__enter__() is None
    assert second.__enter__() is None
    with third as full:
        assert full is not None
        assert full.code == "IN-USE"
    first.__exit__()
    with third as full:
        assert full is None
    second.__exit__()


@pytest.mark.parametrize(("most", "second"), [(0, "allowed"), (1, "refused")])
def test_a_users_sessions_are_not_counted_where_nothing_asks_for_it(tmp_path: object, most: int, second: str) -> None:
    with slots(tmp_path, most, second) as one, slots(tmp_path, most, second) as two:
        assert one is None
        assert two is None


def test_without_a_folder_for_the_user_nobody_is_refused() -> None:
    with slots("", 1) as one, slots("", 1) as two, slots("/nonexistent/folder", 1) as three:
        assert (one, two, three) == (None, None, None)


@pytest.mark.parametrize(
    ("peer", "local", "proxy", "same"),
    [
        ("127.0.0.1", "127.0.0.1", "", True),
        ("127.0.0.2", "127.0.0.1", "", True),
        ("::1", "::1", "", True),
        ("192.0.2.1", "192.0.2.1", "", True),
        ("192.0.2.1", "192.0.2.2", "", False),
        ("127.0.0.1", "127.0.0.1", "127.0.0.1", False),
        ("", "", "", False),
    ],
)
def test_who_is_of_this_host(peer: str, local: str, proxy: str, same: bool) -> None:
    assert Facts("s", peer, 1, local, 110, proxy=proxy).same_host is same
