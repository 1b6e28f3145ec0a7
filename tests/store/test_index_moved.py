"""The layout behind an expunge, worked out and not scanned: the same as a scan of the whole file finds."""

import os

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from qpopper_py.errors import MaildropUnusable
from qpopper_py.store.mbox.from_line import RULES
from qpopper_py.store.mbox.layout import Layout
from qpopper_py.store.mbox.moved import Change
from qpopper_py.store.mbox.plan import make
from qpopper_py.store.mbox.scan import scan

from .boxes import FROM

BODIES = st.lists(
    st.sampled_from([b"x\n", b"\n", b"\n", b"\r\n", b"Subject: y\n", b"From x\n", FROM, b"z" * 90 + b"\n", b"\r"]),
    max_size=6,
).map(b"".join)
RULE = st.sampled_from(list(RULES.values()))
HEADERS = st.sampled_from([b"A: b\n", b"A: b\n", b"From: Mail System Internal Data\nX-IMAP: 1 2\n"])
STATUS = b"Status: RO\n"


def columns(layout):
    return {name: getattr(layout, name) for name in Layout.__slots__}


def written(path, data):
    with open(path, "wb") as file:
        file.write(data)
    return os.open(path, os.O_RDONLY)


def result(plan, data):
    """What the plan makes of the file."""
    parts = [part if isinstance(part, bytes) else data[part[0] : part[1]] for part in plan.parts]
    return data[: plan.first] + b"".join(parts) + data[plan.stop :]


@pytest.fixture(scope="module")
def path(tmp_path_factory):
    return os.path.join(tmp_path_factory.mktemp("moved"), "box")


@settings(max_examples=300)
@given(
    mails=st.lists(st.tuples(HEADERS, BODIES), min_size=1, max_size=7),
    leading=st.sampled_from([b"", b"\n", b"\0\0\r\n"]),
    rule=RULE,
    doomed=st.sets(st.integers(0, 6), min_size=1),
    marked=st.sets(st.integers(0, 6)),
    late=st.sampled_from([b"", FROM + b"A: late\n\ntext\n\n"]),
)
def test_it_is_what_a_scan_finds(path, mails, leading, rule, doomed, marked, late):
    data = (leading if rule.skips else b"") + b"".join(FROM + head + b"\n" + body + b"\n" for head, body in mails)
    fd = written(path, data + late)
    try:
        old = scan(fd, path, 0, len(data), rule=rule)
    except MaildropUnusable:
        os.close(fd)
        return
    os.close(fd)
    gone = sorted(row for row in doomed if row < len(old))
    if not gone:
        return
    cuts = [(old.starts[row], old.stop(row)) for row in gone]
    rows = [row for row in sorted(marked) if row < len(old) and row not in gone and old.bodies[row] > old.texts[row]]
    edits = [(old.texts[row], old.texts[row], STATUS) for row in rows]
    plan = make(joined(cuts), edits, len(data))
    after = result(plan, data)
    fd = written(path, after + late)
    try:
        words = [str(row) for row in range(len(old))]
        found, said = Change(plan).applied(fd, path, old, words)
        assert found.size == len(after)
        if after.strip(b"\0\r\n") or not rule.skips:
            truth = scan(fd, path, 0, len(after), rule=rule)
        else:
            truth = Layout(0, len(after), rule)
    finally:
        os.close(fd)
    assert columns(found) == columns(truth)
    kept = [str(row) for row in range(len(old)) if row not in gone]
    assert len(said) == len(kept)
    assert all(word in (known, " ") for word, known in zip(said, kept, strict=True))


def joined(cuts):
    """Cuts that touch, made one, as an expunge does."""
    made = []
    for start, stop in cuts:
        if made and made[-1][1] == start:
            start = made.pop()[0]
        made.append((start, stop))
    return made
