"""What every store must do, whatever it keeps mail in."""

from contextlib import closing

import pytest

from qpopper_py.errors import MaildropBusy
from qpopper_py.store.hiding import Hiding

from . import boxes
from .memory import Mailbox, Memory

TEXTS = [
    b"Subject: 1\r\n\r\none\r\n",
    b"Subject: 2\r\n\r\n.two\r\n.\r\n",
    b"Subject: 3\r\n\r\n",
    b"Subject: 4\r\n\r\n\xff\0" + b"x" * 300000 + b"\r\n",
]
LATE = b"Subject: 5\r\n\r\nlate\r\n"


class MemoryBox:
    def __init__(self, folder):
        self.mailbox = Mailbox()

    def deliver(self, text):
        self.mailbox.deliver(text)

    def open(self):
        return Memory(self.mailbox)


class MboxBox:
    def __init__(self, folder):
        self.folder = folder

    def deliver(self, text):
        with open(self.folder / "box", "ab") as file:
            file.write(boxes.FROM + text.replace(b"\r\n", b"\n") + b"\n")

    def open(self):
        return boxes.store(self.folder)


class MboxWithoutState(MboxBox):
    """Nowhere to record anything: the contract holds but for what has to be remembered."""

    def open(self):
        return boxes.store(self.folder, state="")


class MaildirBox:
    """Every second message was looked at by another program: it lies in cur, with flags."""

    state = None

    def __init__(self, folder):
        self.folder = folder
        self.count = 0

    def deliver(self, text):
        for name in ("new", "cur", "tmp"):
            (self.folder / "box" / name).mkdir(parents=True, exist_ok=True)
        self.count += 1
        where = "cur/{}:2,RF" if self.count % 2 else "new/{}"
        name = f"{1600000000 + self.count}.M5P{self.count}.host"
        (self.folder / "box" / where.format(name)).write_bytes(text.replace(b"\r\n", b"\n"))

    def open(self):
        return boxes.store(self.folder, state=self.state)


class MaildirWithoutState(MaildirBox):
    state = ""


class HidingBox(MaildirBox):
    """Among the messages lies one that a mail reader has marked as deleted."""

    def deliver(self, text):
        super().deliver(text)
        (self.folder / "box/cur/1600000001.M6P0.host:2,ST").write_bytes(b"Subject: hidden\n\n")

    def open(self):
        return Hiding(super().open())


BOXES = [MemoryBox, MboxBox, MboxWithoutState, MaildirBox, MaildirWithoutState, HidingBox]


@pytest.fixture(params=BOXES)
def box(request, tmp_path):
    return request.param(tmp_path)


@pytest.fixture
def filled(box):
    for text in TEXTS:
        box.deliver(text)
    return box


@pytest.fixture
def store(filled):
    with closing(filled.open()) as opened:
        yield opened


def texts(store):
    return [b"".join(store.read(index)) for index in range(len(store.scan()))]


def session(box, indexes=()):
    """One whole session: what it saw as {uid: text}; expunges."""
    store = box.open()
    try:
        seen = texts(store)
        uids = list(store.uids())
        store.expunge(indexes)
        store.remember(())
    finally:
        store.close()
    return dict(zip(uids, seen, strict=True))


def test_a_missing_maildrop_is_empty(box):
    assert session(box) == {}


def test_messages_come_in_order_and_whole(store):
    assert texts(store) == TEXTS


def test_octets_are_what_read_gives(store):
    assert [entry.octets for entry in store.scan()] == [len(text) for text in TEXTS]


def test_pieces_are_bounded(store):
    store.scan()
    assert all(0 < len(piece) <= 256 << 10 for piece in store.read(3))


def test_uids_are_different_printable_short_and_the_same_tomorrow(filled):
    uids = list(session(filled))
    assert len(uids) == len(TEXTS)
    assert all(1 <= len(uid) <= 70 and all("!" <= c <= "~" for c in uid) for uid in uids)
    assert list(session(filled)) == uids


@pytest.mark.parametrize("gone", [(), (0,), (1,), (3,), (0, 1), (0, 3), (1, 2), (2, 3), (0, 1, 2, 3)])
def test_an_expunge_removes_these_and_no_others(filled, gone):
    before = session(filled, gone)
    kept = [pair for index, pair in enumerate(before.items()) if index not in gone]
    assert list(session(filled).items()) == kept


@pytest.mark.parametrize("gone", [{0}, {0, 1, 2, 3}])
def test_what_was_retrieved_can_be_asked_after_an_expunge(filled, gone):
    for _ in range(2):
        store = filled.open()
        store.scan()
        store.remember({2, 3})
        store.close()
    store = filled.open()
    store.scan()
    store.expunge(gone)
    store.remember((store.retrieved() | {1}) - gone)
    store.close()
    store = filled.open()
    left = len(store.scan())
    assert left == 4 - len(gone)
    if not isinstance(filled, (MboxWithoutState, MaildirWithoutState)):
        assert store.retrieved() == set(range(left))
    store.close()


def test_nothing_is_removed_without_an_expunge(filled):
    store = filled.open()
    store.scan()
    store.close()
    assert len(session(filled)) == len(TEXTS)


def test_mail_that_arrives_during_the_session_is_not_in_it_and_not_lost(filled, store):
    assert len(store.scan()) == 4
    filled.deliver(LATE)
    assert b"".join(store.read(0)) == TEXTS[0]
    assert len(store.uids()) == 4
    store.expunge({0, 3})
    store.close()
    assert list(session(filled).values()) == [TEXTS[1], TEXTS[2], LATE]


def test_a_second_session_is_refused_while_the_first_lasts(filled):
    first, second = filled.open(), filled.open()
    first.scan()
    with pytest.raises(MaildropBusy):
        second.scan()
    second.close()
    first.close()
    first.close()
    third = filled.open()
    assert len(third.scan()) == 4
    third.close()


@pytest.mark.parametrize("box", [MemoryBox, MboxBox, MaildirBox], indirect=True)
def test_what_was_retrieved_is_remembered_by_message(filled):
    store = filled.open()
    store.scan()
    assert store.retrieved() == set()
    store.expunge({0})
    store.remember({0, 1, 3})
    store.close()
    filled.deliver(TEXTS[0])
    store = filled.open()
    store.scan()
    assert store.retrieved() == {0, 2}
    store.remember({1})
    store.close()
    store = filled.open()
    store.scan()
    assert store.retrieved() == {0, 1, 2}
    store.close()
