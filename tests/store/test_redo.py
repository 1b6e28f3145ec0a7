"""The redo record and the plan that it holds."""

import os
import stat

import pytest
from hypothesis import given
from hypothesis import strategies as st

from qpopper_py.store import disk
from qpopper_py.store.mbox.plan import SLACK, Cursor, Plan, make
from qpopper_py.store.mbox.redo import MOST, SPARE, NoRoom, Redo, records

from .boxes import message, store


@st.composite
def changes(draw):
    """A file, cuts and edits in it that do not touch."""
    data = bytes(draw(st.lists(st.integers(0, 255), min_size=1, max_size=600)))
    points = sorted(draw(st.lists(st.integers(0, len(data)), max_size=20, unique=True)))
    pairs = list(zip(points[::2], points[1::2], strict=False))
    cuts = [pair for number, pair in enumerate(pairs) if number % 2 == 0]
    edits = [(*pair, draw(st.binary(min_size=1, max_size=30))) for number, pair in enumerate(pairs) if number % 2]
    return data, cuts, edits


def result(data, plan):
    parts = [part if isinstance(part, bytes) else data[part[0] : part[1]] for part in plan.parts]
    return data[: plan.first] + b"".join(parts) + data[plan.stop :]


def replaced(data, changes):
    at, pieces = 0, []
    for start, stop, text in sorted(changes):
        pieces += [data[at:start], text]
        at = stop
    return b"".join([*pieces, data[at:]])


@given(changes())
def test_a_plan_removes_the_cuts_and_makes_the_edits_there_is_room_for(case):
    data, cuts, edits = case
    if not cuts:
        return
    plan = make(cuts, edits, len(data))
    made, room = [], 0
    for start, stop, text in sorted([*((a, b, b"") for a, b in cuts), *edits]):
        if text and (start < cuts[0][0] or room + stop - start - len(text) < SLACK):
            continue
        room += stop - start - len(text)
        made.append((start, stop, text))
    assert result(data, plan) == replaced(data, made)


@given(changes())
def test_what_is_kept_never_moves_towards_the_end(case):
    data, cuts, edits = case
    if not cuts:
        return
    plan = make(cuts, edits, len(data))
    at = plan.first
    for part in plan.parts:
        assert isinstance(part, bytes) or at <= part[0]
        at += len(part) if isinstance(part, bytes) else part[1] - part[0]


@given(changes())
def test_a_plan_is_read_back_as_it_was_written(case):
    data, cuts, edits = case
    if not cuts:
        return
    plan = make(cuts, edits, len(data))
    again = Plan.decode(plan.encode())
    assert (again.first, again.parts, again.stop) == (plan.first, plan.parts, plan.stop)


@pytest.mark.parametrize("data", [b"", b"\x80", b"\1", b"\5\3\3", b"\0\5\x20\1", b"\xff" * 20])
def test_what_is_no_plan_is_refused(data):
    with pytest.raises(ValueError):
        Plan.decode(data)


@given(changes(), st.integers(1, 200), st.integers(0, 600))
def test_the_result_can_be_read_from_anywhere_in_any_pieces(tmp_path_factory, case, piece, begin):
    data, cuts, edits = case
    if not cuts:
        return
    plan = make(cuts, edits, len(data))
    data += b"new mail"
    path = tmp_path_factory.mktemp("cursor") / "file"
    path.write_bytes(data)
    wanted = result(data, plan)
    at = min(plan.first + begin, len(wanted))
    with path.open("rb") as file:
        cursor = Cursor(plan, file.fileno(), at, len(data))
        read = b""
        while not cursor.done:
            read += cursor.read(piece)
    assert read == wanted[at:]


@pytest.fixture
def redo(tmp_path):
    made = Redo(str(tmp_path))
    made.make_spare()
    return made


def begun(redo, plan=b"the plan", octets=5000):
    redo.begin(plan, octets)
    redo.note({"phase": "one", "at": 1}, b"first")
    redo.note({"phase": "two", "at": 2}, b"second")
    return redo


def reread(redo):
    again = Redo(redo.folder)
    assert again.load()
    again.close()
    return again.fields, again.data, again.plan


def test_it_is_pending_from_the_first_note_to_the_end(redo):
    redo.begin(b"plan", 100)
    assert not redo.pending()
    redo.note({"phase": "one"})
    assert redo.pending()
    redo.finish()
    assert not redo.pending()


def test_the_newest_slot_counts(redo):
    begun(redo).close()
    assert reread(redo) == ({"phase": "two", "at": "2"}, b"second", b"the plan")


@pytest.mark.parametrize("what", [0, 100, 4096 + 40, 8704])
def test_whatever_is_damaged_of_the_newest_slot_the_one_before_it_counts(redo, what):
    """Slot 2 is in the first block, slot 1 in the second, and each has its half for data behind the plan."""
    begun(redo).close()
    with open(redo.path, "r+b") as file:
        file.seek(what)
        found = file.read(1)
        file.seek(what)
        file.write(bytes([found[0] ^ 1]))
    newest_is_whole = 4096 <= what < 8192
    assert reread(redo)[1] == (b"second" if newest_is_whole else b"first")


def test_a_damaged_plan_makes_it_unreadable(redo):
    begun(redo).close()
    with open(redo.path, "r+b") as file:
        file.seek(8192)
        file.write(b"X")
    again = Redo(redo.folder)
    assert not again.load()
    again.close()


def test_the_spare_is_private_and_all_there_on_the_disk(redo):
    found = os.stat(redo.spare_path)
    assert stat.S_IMODE(found.st_mode) == 0o600
    assert found.st_size == SPARE <= found.st_blocks * 512


def test_the_record_is_bounded(redo):
    redo.begin(b"x" * 1000, 1 << 40)
    assert os.fstat(redo.fd).st_size <= 2 * MOST + (64 << 10)
    redo.retract()


def test_the_spare_is_as_small_as_before_when_all_is_done(redo):
    begun(redo, octets=3 << 20)
    assert os.stat(redo.path).st_size > SPARE
    redo.finish()
    assert os.stat(redo.spare_path).st_size == SPARE


def test_with_no_room_the_spare_must_do(redo, monkeypatch):
    real = disk.posix_fallocate

    def full(fd, start, size):
        if start + size > SPARE:
            raise OSError(28, os.strerror(28))
        real(fd, start, size)

    monkeypatch.setattr(disk, "posix_fallocate", full)
    begun(redo, octets=3 << 20)
    assert 16 << 10 <= redo.room <= SPARE // 2
    redo.close()
    assert reread(redo)[1] == b"second"


def test_a_plan_that_has_no_room_is_refused_and_leaves_nothing(redo, monkeypatch):
    def full(fd, start, size):
        raise OSError(28, os.strerror(28))

    monkeypatch.setattr(disk, "posix_fallocate", full)
    with pytest.raises(NoRoom, match="No space left"):
        redo.begin(b"x" * SPARE, 100)
    assert not redo.pending()
    assert os.listdir(redo.folder) == ["redo.spare"]


def test_a_record_that_is_not_ours_is_neither_read_nor_written(tmp_path):
    other = tmp_path / "other"
    other.write_bytes(b"somebody's")
    (tmp_path / "redo.spare").symlink_to(other)
    with pytest.raises(OSError):
        Redo(str(tmp_path)).begin(b"plan", 100)
    assert other.read_bytes() == b"somebody's"


def test_without_a_state_folder_it_lies_beside_the_mailbox_and_leaves_no_spare(tmp_path):
    (redo,) = records(str(tmp_path / "box"), "")
    redo.make_spare()
    redo.begin(b"plan", 100)
    redo.note({"phase": "one"})
    assert os.listdir(tmp_path) == [".box.redo"]
    redo.finish()
    assert os.listdir(tmp_path) == []


def test_without_a_state_folder_an_expunge_leaves_nothing_behind(tmp_path):
    opened = store(tmp_path, message(1) + message(2) + message(3), state="")
    opened.scan()
    opened.expunge({1})
    opened.close()
    assert os.listdir(tmp_path) == ["box"]
    assert (tmp_path / "box").read_bytes() == message(1) + message(3)
