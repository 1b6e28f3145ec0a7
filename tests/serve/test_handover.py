"""Messages between roles: what one packs the other unpacks, and nothing else passes."""

from __future__ import annotations

import os
import socket
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from qpopper_py.auth.account import Account
from qpopper_py.facts import Facts, Listener, Tls
from qpopper_py.serve import handover, packing

if TYPE_CHECKING:
    import _socket
    from collections.abc import Iterator

    Channel = tuple[_socket.socket, _socket.socket]

TEXTS = st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), max_size=12)


def values(form: int, most: int) -> st.SearchStrategy[object]:
    number = st.integers(0, most)
    text = TEXTS.filter(lambda word: len(word.encode()) <= most)
    return {
        packing.NUMBER: number,
        packing.TEXT: text,
        packing.OCTETS: st.binary(max_size=min(most, 40)),
        packing.NUMBERS: st.lists(st.integers(0, 2**32 - 1), max_size=5),
        packing.TEXTS: st.lists(text, max_size=5),
    }[form]


MESSAGES = st.sampled_from(sorted(handover.FORMS)).flatmap(
    lambda kind: st.tuples(
        st.just(kind), st.fixed_dictionaries({name: values(form, most) for name, form, most in handover.FORMS[kind]})
    )
)


@given(MESSAGES)
def test_what_was_packed_comes_out_as_it_was(message: tuple[int, packing.Fields]) -> None:
    assert handover.unpack(handover.pack(*message), [message[0]]) == message


@given(MESSAGES, st.binary(max_size=60), st.integers(0, 200))
def test_bytes_that_are_not_a_message_are_refused_and_nothing_else_happens(
    message: tuple[int, packing.Fields], noise: bytes, at: int
) -> None:
    """Noise in a message either is refused, or makes another message of exactly these bytes: none is read two ways."""
    packed = handover.pack(*message)
    for data in (noise, packed[:at], packed + noise, packed[:at] + noise + packed[at + len(noise) :]):
        try:
            kind, fields = handover.unpack(data, list(handover.FORMS))
        except packing.Forged:
            continue
        assert handover.pack(kind, fields) == data


@given(MESSAGES, st.integers(1, 200))
def test_a_message_that_was_cut_off_is_refused(message: tuple[int, packing.Fields], cut: int) -> None:
    packed = handover.pack(*message)
    with pytest.raises(packing.Forged):
        handover.unpack(packed[: -min(cut, len(packed))], list(handover.FORMS))


@given(MESSAGES)
def test_a_kind_that_cannot_come_is_refused(message: tuple[int, packing.Fields]) -> None:
    with pytest.raises(packing.Forged):
        handover.unpack(handover.pack(*message), [kind for kind in handover.FORMS if kind != message[0]])


@pytest.mark.parametrize("kind", handover.FORMS)
def test_what_is_larger_than_its_field_is_not_packed(kind: int) -> None:
    small = {
        packing.NUMBER: 0, packing.TEXT: "", packing.OCTETS: b"", packing.NUMBERS: [], packing.TEXTS: []
    }  # fmt: skip
    fields = {name: small[form] for name, form, _ in handover.FORMS[kind]}
    for name, form, most in handover.FORMS[kind]:
        large: dict[int, object] = {
            packing.NUMBER: most + 1,
            packing.TEXT: "x" * (min(most, 1 << 20) + 1),
            packing.OCTETS: bytes(min(most, 1 << 20) + 1),
            packing.NUMBERS: [0] * 65536,
            packing.TEXTS: ["x" * (min(most, 1 << 20) + 1)],
        }
        with pytest.raises(ValueError, match=name):
            handover.pack(kind, {**fields, name: large[form]})


def test_all_that_is_known_of_a_connection_crosses() -> None:
    tls = Tls("TLSv1.3", "TLS_AES_256_GCM_SHA384", 256, "pop.example.org", b"\1", b"\2", "alice")
    carried = {name for name, _, _ in handover.FACTS}
    assert carried | {"listener", "tls"} == set(Facts.__slots__)
    listener = Listener("[::]:110", "starttls", "local", True, "never", "1.2", True)
    before = {"access"}  # which was asked by then
    assert {f"by_{name}" for name in set(Listener.__slots__) - before} == {name for name, _, _ in handover.LISTENER}
    facts = Facts("id", tls=tls, listener=listener)
    for number, (name, form, _) in enumerate(handover.FACTS):
        setattr(facts, name, 1 if form == packing.NUMBER else f"text {number}")
    facts.secure = True
    fields = {"number": 7, "greeted": 0, **handover.of_facts(facts)}
    _, back = handover.unpack(handover.pack(handover.CONNECTION, fields), [handover.CONNECTION])
    again = handover.facts_from(back)
    assert all(getattr(again, name) == getattr(facts, name) for name in carried)
    assert again.listener == listener
    assert all(getattr(again.tls, name) == getattr(tls, name) for name in Tls.__slots__)


def test_all_of_an_account_crosses() -> None:
    assert {name for name, _, _ in handover.ACCOUNT} == set(Account.__slots__) - {"wait"}  # the front's to know


@pytest.fixture
def channel() -> Iterator[Channel]:
    ours, theirs = handover.pair()
    yield ours, theirs
    ours.close()
    theirs.close()


def open_descriptors() -> int:
    return len(os.listdir("/proc/self/fd"))


@pytest.mark.parametrize("count", [0, 1, 2, 3, 4, 40])
def test_descriptors_that_were_not_asked_for_are_closed(count: int, channel: Channel) -> None:
    """Asked for: two or three."""
    ours, theirs = channel
    with open(os.devnull) as null:
        before = open_descriptors()
        handover.send(ours, handover.DONE, {"number": 1}, [null.fileno()] * count)
        if 2 <= count <= 3:
            received = handover.receive(theirs, [handover.DONE], 2, 3)
            assert received is not None
            assert len(received[2]) == count
            assert not any(os.get_inheritable(one) for one in received[2])
            handover.close(received[2])
        else:
            with pytest.raises(packing.Forged):
                handover.receive(theirs, [handover.DONE], 2, 3)
        assert open_descriptors() == before


def test_a_message_larger_than_any_is_refused(channel: Channel) -> None:
    ours, theirs = channel
    ours.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 1 << 20)
    whole = handover.pack(handover.DONE, {"number": 1})
    ours.send(whole + bytes(handover.LARGEST))
    with pytest.raises(packing.Forged):
        handover.receive(theirs, [handover.DONE])
    ours.send(whole)
    assert handover.receive(theirs, [handover.DONE]) == (handover.DONE, {"number": 1}, [])


def test_the_end_of_the_other_side_is_no_message(channel: Channel) -> None:
    ours, theirs = channel
    ours.close()
    assert handover.receive(theirs, [handover.DONE]) is None
