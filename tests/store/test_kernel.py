"""The C kernel against the same in Python: whatever the mailbox, the same answers."""

import hashlib
import itertools
import os
import zlib
from array import array

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from qpopper_py import kernel
from qpopper_py.errors import MaildropUnusable
from qpopper_py.store.mbox import fast, layout, scan
from qpopper_py.store.mbox.from_line import RULES, Rule
from tests import kernels

from .boxes import FROM, message

CR_FROM = FROM[:-1] + b"\r\n"
TEXT = st.lists(
    st.one_of(st.sampled_from([b"\n", b"\r", b"\r\n", b".", b"\n.", b"..", b"x"]), st.binary(max_size=40))
).map(b"".join)
PIECES = [
    FROM,
    FROM[:-1] + b"\r\n",
    FROM[:-1],
    b"From x\n",
    b"From a Wed Foo  9 99:99:99 1992\n",
    b">From a Wed Dec  2 05:53:22 1992\n",
    b"From ",
    b"\n",
    b"\n",
    b"\n",
    b"\r\n",
    b"\r",
    b"\0",
    b"Subject: x\n",
    b"Status: RO\r\n",
    b"sTATUS: d\n",
    b"X-Status: DR\n",
    b"Status:" + b" " * 63 + b"RD\n",
    b"F",
    b"x" * 90,
]
MAILBOXES = st.lists(st.sampled_from(PIECES), max_size=30).map(lambda pieces: FROM + b"".join(pieces))


@pytest.fixture(scope="module")
def native(tmp_path_factory):
    made = kernels.native(tmp_path_factory.mktemp("kernel"))
    if isinstance(made, str):
        pytest.skip(f"the kernel cannot be compiled here: {made}")
    return made


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("scan")


@given(data=TEXT)
@example(b"\n" * 9000 + b"\r\n" * 9000)
@example(b"." * 9000 + b"\n." * 9000)
def test_line_ends_and_dots_are_the_same(native, data):
    assert native.to_crlf(data) == kernel.plain_to_crlf(data)
    assert native.stuffed(data) == kernel.plain_stuffed(data)


@given(data=st.binary(max_size=200), size=st.integers(0, 60))
def test_octets_before_and_behind_a_block_count(native, data, size):
    """Vectors of 16 octets begin and end anywhere in a text."""
    data = b"\n" * (size % 17) + data + b"\n." * size
    assert native.to_crlf(data).count(b"\r\n") == data.count(b"\n")
    assert native.stuffed(data) == kernel.plain_stuffed(data)


def test_what_needs_no_change_is_not_copied(native):
    text = b"one\r\ntwo.\r\n"
    assert native.to_crlf(text) is text
    assert native.stuffed(text) is text


def outcome(kind, folder, data, rule, step, longest):
    """Every column of the layout that ``kind`` of scanner makes, or why it refuses."""
    path = os.path.join(folder, "scanned")
    with open(path, "wb") as file:
        file.write(data)
    fd = os.open(path, os.O_RDONLY)
    try:
        found = kind(fd, path, layout.Layout(0, len(data), rule), step, longest).run()
    except MaildropUnusable as why:
        return str(why)
    finally:
        os.close(fd)
    return {name: getattr(found, name) for name in layout.Layout.__slots__}


@given(
    data=MAILBOXES, rule=st.sampled_from(list(RULES.values())), step=st.integers(1, 300), longest=st.integers(50, 99)
)
@example(FROM + b"\n" + FROM + b">" + FROM, RULES["strict"], 1, 50)
@example(FROM + b"\r\n\r\n" + CR_FROM + b"\r\n" + CR_FROM, RULES["popa3d"], 9, 50)
@example(FROM + b"x\n" * 9000 + b"\n" + FROM, RULES["strict"], 1 << 20, 4096)
def test_a_scan_finds_the_same(native, folder, data, rule, step, longest):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(fast, "native", native)
        assert fast.can(rule)
        quick = outcome(fast.FastScanner, folder, data, rule, step, longest)
    assert quick == outcome(scan.Scanner, folder, data, rule, step, longest)


@pytest.mark.parametrize("rule", [rule for rule in RULES.values() if not rule.skips], ids=lambda rule: rule.name)
def test_every_step_finds_the_same(native, folder, monkeypatch, rule):
    data = message(1, b"x" * 300 + b"\r\n\r\n") + message(2, b"") + CR_FROM + b"\r\n" + FROM + b"Status: R\n\n\n" + FROM
    monkeypatch.setattr(fast, "native", native)
    for step in range(1, len(data) + 1):
        quick = outcome(fast.FastScanner, folder, data, rule, step, len(FROM) + 2)
        assert quick == outcome(scan.Scanner, folder, data, rule, step, len(FROM) + 2)


def test_a_header_of_any_length_has_the_hash_of_blake2b(native, folder, monkeypatch):
    heads = [
        FROM + b"X: " + b"y" * length + b"\n\n" for length in [*range(300), layout.LOOK - 50, layout.LOOK, 3 << 20]
    ]
    monkeypatch.setattr(fast, "native", native)
    data = b"".join(heads)
    found = outcome(fast.FastScanner, folder, data, RULES["strict"], scan.STEP, scan.LONGEST)
    made = b"".join(hashlib.blake2b(head[: layout.LOOK], digest_size=16).digest() for head in heads)
    assert found["digests"] == made


@given(offsets=st.lists(st.tuples(st.integers(0, 250), st.integers(0, 90)), max_size=20))
def test_boundaries_are_the_crcs_of_zlib(native, folder, offsets):
    data = bytes(range(200))
    path = os.path.join(folder, "boundaries")
    with open(path, "wb") as file:
        file.write(data)
    starts, texts = (array("q", column) for column in ([a for a, _ in offsets], [a + b for a, b in offsets]))
    fd = os.open(path, os.O_RDONLY)
    try:
        lines = array("I", native.boundaries(fd, starts, texts))
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(layout, "native", None)
            assert layout.boundaries(fd, starts, texts) == lines
    finally:
        os.close(fd)
    expected = [
        zlib.crc32(data[max(0, a - 3) : b]) if b <= len(data) else 0 for a, b in zip(starts, texts, strict=True)
    ]
    assert list(lines) == expected


@pytest.mark.parametrize("rows", [2047, 2048, 4095, 4097, 6143, 8191, 8193, 20011])
def test_so_many_boundaries_that_threads_read_them(native, folder, rows):
    """The parts that the threads take are all of it, in order, however many processors there are."""
    data = os.urandom(5 * rows + 90)
    path = os.path.join(folder, "boundaries")
    with open(path, "wb") as file:
        file.write(data)
    starts = array("q", [5 * row for row in range(rows)])
    texts = array("q", [5 * row + row % 97 for row in range(rows)])
    fd = os.open(path, os.O_RDONLY)
    try:
        lines = array("I", native.boundaries(fd, starts, texts))
    finally:
        os.close(fd)
    expected = [
        zlib.crc32(data[max(0, a - 3) : b]) if b <= len(data) else 0 for a, b in zip(starts, texts, strict=True)
    ]
    assert list(lines) == expected


@pytest.mark.parametrize("rows", [0, 1, 1023, 2049, 5000])
def test_headers_have_the_hash_of_blake2b_where_they_can_be_read_and_are_not_very_long(native, folder, rows):
    lengths = [(97 * row) % 300 for row in range(rows)]
    lengths[3:5] = [64 << 10, (64 << 10) + 1][: len(lengths[3:5])]
    data = os.urandom(sum(lengths))
    path = os.path.join(folder, "headers")
    with open(path, "wb") as file:
        file.write(data)
    starts = array("q", [0, *itertools.accumulate(lengths)][:rows])
    bodies = array("q", [start + length for start, length in zip(starts, lengths, strict=True)])
    if rows:
        bodies[-1] += 400  # behind the end of the file
    fd = os.open(path, os.O_RDONLY)
    try:
        told = native.headers(fd, starts, bodies)
    finally:
        os.close(fd)
    expected = [
        hashlib.blake2b(data[a:b], digest_size=16).digest() if b <= len(data) and b - a <= 64 << 10 else bytes(16)
        for a, b in zip(starts, bodies, strict=True)
    ]
    assert told == b"".join(expected)


@pytest.mark.parametrize("kernel", [True, False], ids=["kernel", "plain"])
def test_the_first_edited_header_is_found_however_long_it_is(native, folder, monkeypatch, kernel):
    monkeypatch.setattr(layout, "native", native if kernel else None)
    heads = [FROM + b"X: " + b"y" * length + b"\n\n" for length in (5, 70_000, layout.LOOK + 9, 20, 30)]
    data = b"body\n\n".join(heads)
    path = os.path.join(folder, "edited")
    with open(path, "wb") as file:
        file.write(data)
    fd = os.open(path, os.O_RDWR)
    try:
        found = scan.scan(fd, path, 0, len(data))
        rows = range(len(heads))
        assert layout.first_edited(fd, found, rows) == -1
        for row in reversed(rows):
            os.pwrite(fd, b"z", found.starts[row] + len(FROM) + 4)
            assert layout.first_edited(fd, found, rows) == row
            assert layout.first_edited(fd, found, range(row)) == -1
    finally:
        os.close(fd)


def test_an_error_of_the_judge_comes_through(native, folder, monkeypatch):
    verdicts = [True]  # for the first line; then there is none
    monkeypatch.setattr(fast, "native", native)
    monkeypatch.setattr(Rule, "judge", lambda rule: lambda line: verdicts.pop())
    with pytest.raises(IndexError, match="pop from empty list"):
        outcome(fast.FastScanner, folder, message(1) + message(2), RULES["strict"], scan.STEP, scan.LONGEST)


@pytest.mark.parametrize(
    "change",
    [
        {"low": 98},  # fewer than three octets before what is to be decided
        {"stop": 300},
        {"pos": 200, "stop": 150},
        {"message": array("q", [0] * 6)},
        {"rows": b""},
        {"window": "text"},
        {"fetch": None, "message": array("q", [0, 5, 5, -1, 0, 0, 0])},
    ],
    ids=str,
)
def test_wrong_arguments_are_errors_and_nothing_worse(native, change):
    given = {
        "window": b"\n\n" * 50 + b"\n" * 100,
        "low": 0,
        "pos": 100,
        "stop": 150,
        "end": 200,
        "longest": 50,
        "flags": 3,
        "judge": lambda line: True,
        "fetch": lambda size, offset: b"",
        "message": array("q", [0, 99, 99, -1, 0, 0, 0]),
        "rows": bytearray(),
        "seen": bytearray(),
        "digests": bytearray(),
    }
    if change.get("fetch", 0) is None:
        given |= {"low": 50, "window": b"\n" * 150}
    with pytest.raises((TypeError, ValueError)):
        native.survey(*{**given, **change}.values())
