"""Mailboxes of all kinds before the real popa3d and GNU mailutils pop3d, and before us under their rules.

QPOPPER_COMPARE_EXAMPLES says how many each test tries; ``make compare`` tries many.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from qpopper_py.errors import MaildropError
from qpopper_py.settings import Settings
from qpopper_py.store.opening import open_store

from .differences import DIFFERENCES, FROM, Difference
from .opponents import Seen, Stage, have_mount_namespaces, look

pytestmark = [pytest.mark.root, pytest.mark.client]
EXAMPLES = int(os.environ.get("QPOPPER_COMPARE_EXAMPLES", "25"))
MANY = settings(
    max_examples=EXAMPLES,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture],
)
RULES = {"popa3d": ("popa3d", "popa3d"), "mailutils": ("mailutils3", "mailutils3")}

DATES = [
    b"Wed Dec  2 05:53:22 1992",
    b"Wed Dec  2 05:53 1992",
    b"Wed Dec 12 05:53:22 PST 1992",
    b"Wed Dec  2 05:53:22 -0800 1992",
    b"Wed Dec  2 05:53:22 1992 +0100",
    b"Wed Dec  2 05:53 1992 PST",
    b"Xyz Foo 99 99:99:99 0000",
    b"Wed Dec  2 05:53:22 1992 remote from host",
]
SEPARATORS = st.sampled_from([b"From a@example.org " + date + b"\n" for date in DATES])
FIELDS = st.sampled_from(
    [
        b"Received: by host\n\twith SMTP; today\n",
        b"received: again\n",
        b"Date: today\n",
        b"Message-ID: <1@host>\n",
        b"Message-Id: <2@host>\n",
        b"Subject: one\n two\n",
        b"Delivered-To: user\n",
        b"X-Delivery-ID: 1\n",
        b"x-delivery-id: 2\n",
        b"Status: RO\n",
        b"To: user\n",
    ]
)
LINES = st.sampled_from(
    [
        b"a line\n",
        b".\n",
        b"..\n",
        b"\n",
        b"From x\n",
        b" From a@example.org Wed Dec  2 05:53:22 1992\n",
        b"x" * 200 + b"\n",
    ]
)
# Anything at all, for popa3d, whose rules have no exceptions.
SCRAPS = st.one_of(SEPARATORS, FIELDS, LINES, st.sampled_from([b"\n", b"\n", b"From ", b"word", b"\0", b">From b\n"]))
WILD = st.tuples(st.sampled_from([FROM, FROM, FROM, b"", b"\n"]), st.lists(SCRAPS, max_size=20).map(b"".join)).map(
    b"".join
)
# Mail as mailers write it, for mailutils, which has more exceptions than rules.
STORED = st.sampled_from([b"", b"", b"X-UIDL: abc.1\n", b"X-UIDL: <def@host>\n"])
LETTERS = st.tuples(
    SEPARATORS,
    st.lists(FIELDS, min_size=1, max_size=5).map(b"".join),
    STORED,
    st.just(b"\n"),
    st.lists(LINES, max_size=6).map(b"".join),
    st.just(b"the end\n\n"),
).map(b"".join)
TIDY = st.lists(LETTERS, min_size=1, max_size=5).map(b"".join)


@pytest.fixture(scope="module")
def stage(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    have_mount_namespaces()
    made = Stage(tmp_path_factory.mktemp("stage"))
    yield made
    made.close()


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("ours")


def ours(folder: Path, opponent: str, data: bytes) -> Seen:
    """What we make of it, in the opponent's place, at the first login."""
    separator, uidl = RULES[opponent]
    (folder / "box").write_bytes(data)
    state = folder / "state"
    state.mkdir(exist_ok=True)
    for record in state.iterdir():
        record.unlink()
    values = {"mbox.separator": separator, "uidl": uidl, "mbox.internal": "shown"}
    store = open_store(str(folder / "box"), "nobody-of-this-name", str(state), Settings([("test", values)]), print)
    try:
        entries = store.scan()
        texts = [b"".join(store.read(index)) for index in range(len(entries))]
        sizes = [entry.octets for entry in entries]
        return Seen(False, list(zip(sizes, store.uids(), texts, strict=True)), data)
    except MaildropError:
        return Seen(refused=True)
    finally:
        store.close()


def shared(messages: list[tuple[int, str, bytes]]) -> list[tuple[int, str, bytes]]:
    """As a server has them that gives one uid twice: without our suffixes."""
    found: set[str] = set()
    result = []
    for size, uid, text in messages:
        base = uid.partition("-")[0]
        result.append((size, base if base in found else uid, text))
        found.add(base)
    return result


@MANY
@given(data=WILD)
def test_popa3d_sees_the_same_messages_sizes_and_uids(stage: Stage, folder: Path, data: bytes) -> None:
    theirs, mine = look(stage, "popa3d", data), ours(folder, "popa3d", data)
    assert mine.refused == theirs.refused
    expected = shared(mine.messages)
    if expected and not data.endswith(b"\n"):
        size, uid, text = expected.pop()
        expected.append((size - 1, uid, text))
    assert theirs.messages == expected


@MANY
@given(data=TIDY)
def test_mailutils_sees_the_same_messages_and_sizes_and_makes_uids_alike(
    stage: Stage, folder: Path, data: bytes
) -> None:
    theirs, mine = look(stage, "mailutils", data), ours(folder, "mailutils", data)
    assert not mine.refused
    assert not theirs.refused

    def timeless(messages: list[tuple[int, str, bytes]]) -> list[tuple[int, str, bytes]]:
        return [(size, timeless_uid(uid), text) for size, uid, text in messages]

    assert timeless(theirs.messages) == timeless(shared(mine.messages))


def timeless_uid(uid: str) -> str:
    """MD5 and number of an uid MD5.TIME.NUMBER."""
    words = uid.split(".")
    return f"{words[0]}.{words[2]}" if len(words) == 3 else uid


@MANY
@given(data=TIDY)
def test_after_mailutils_everybody_keeps_the_uid_that_it_gave(stage: Stage, folder: Path, data: bytes) -> None:
    theirs = look(stage, "mailutils", data)
    assert theirs.left != data
    mine = ours(folder, "mailutils", theirs.left)
    assert [uid for _, uid, _ in shared(mine.messages)] == [uid for _, uid, _ in theirs.messages]


def alike(seen: Seen, expected: list[tuple[int, str]] | None) -> bool:
    if expected is None or seen.refused:
        return (expected is None) == seen.refused
    return len(expected) == len(seen.messages) and all(
        size == wanted and (uid.startswith(begin[:-1]) if begin.endswith("*") else uid == begin)
        for (size, uid, _), (wanted, begin) in zip(seen.messages, expected, strict=True)
    )


@pytest.mark.parametrize("case", DIFFERENCES, ids=lambda case: case.name)
def test_a_difference_is_as_it_is_written_down(stage: Stage, folder: Path, case: Difference) -> None:
    theirs, mine = look(stage, case.opponent, case.box), ours(folder, case.opponent, case.box)
    assert alike(theirs, case.theirs), theirs.messages
    assert alike(mine, case.ours), mine.messages
