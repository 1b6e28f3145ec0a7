"""Which message is which after another session expunged: second_session = allowed (pop3d.toml(5))."""

import os

from hypothesis import given
from hypothesis import settings as profile
from hypothesis import strategies as st

from qpopper_py.store.mbox.match import found_again
from qpopper_py.store.mbox.scan import scan

from . import boxes

# A name is a letter; messages of one name are alike in header and length.
NAMES = st.lists(st.sampled_from("abcdefgh"), max_size=8)
UNIQUE = st.lists(st.sampled_from("abcdefgh"), max_size=8, unique=True)
NEW = st.lists(st.sampled_from("tuvwxyz"), max_size=3)


def layout(names):
    return scanned(b"".join(boxes.message(ord(name)) for name in names))


def scanned(data):
    fd = os.memfd_create("box")
    try:
        os.write(fd, data)
        return scan(fd, "box", 0, len(data))
    finally:
        os.close(fd)


def find(old, new, wanted):
    return found_again(layout(old), layout(new), wanted)


@profile(max_examples=150)
@given(old=UNIQUE, delivered=NEW, data=st.data())
def test_messages_are_found_wherever_expunges_and_deliveries_left_them(old, delivered, data):
    gone = data.draw(st.sets(st.integers(0, 7)))
    wanted = data.draw(st.sets(st.sampled_from(range(len(old))))) if old else set()
    left = [row for row in range(len(old)) if row not in gone]
    found = find(old, [old[row] for row in left] + delivered, wanted)
    assert found == [place for place, row in enumerate(left) if row in wanted]


@profile(max_examples=150)
@given(old=NAMES, delivered=NEW, data=st.data())
def test_of_messages_that_are_alike_none_goes_that_nobody_wanted_to_go(old, delivered, data):
    gone = data.draw(st.sets(st.integers(0, 7)))
    wanted = data.draw(st.sets(st.sampled_from(range(len(old))))) if old else set()
    left = [row for row in range(len(old)) if row not in gone]
    found = find(old, [old[row] for row in left] + delivered, wanted)
    true = [place for place, row in enumerate(left) if row in wanted]
    if found is None:  # only where it cannot be told
        doubtful = {old[row] for row in gone if row < len(old)} & {old[row] for row in wanted}
        assert any(old.count(name) > 1 for name in doubtful)
    else:
        assert found == true


@profile(max_examples=100)
@given(old=st.lists(st.sampled_from("abcdefgh"), min_size=2, max_size=8, unique=True), data=st.data())
def test_an_edited_or_inserted_message_before_a_known_one_is_a_change(old, data):
    place = data.draw(st.integers(0, len(old) - 2))
    new = list(old)
    if data.draw(st.booleans()):
        new[place] = "z"
    else:
        new.insert(place, "z")
    assert find(old, new, range(len(old))) is None


@profile(max_examples=100)
@given(old=st.lists(st.sampled_from("abcdefgh"), min_size=2, max_size=8, unique=True), data=st.data())
def test_another_order_is_a_change(old, data):
    new = data.draw(st.permutations(old).filter(lambda order: order != old))
    assert find(old, new, [0]) is None


def test_what_takes_the_place_of_the_last_message_stays():
    """It may be the last one edited, or a new one after the last was expunged: the wanted one is not there."""
    assert find("abc", "abz", [2]) == []
    assert find("abc", "abz", [0, 2]) == [0]


def test_all_of_those_that_are_alike_can_go_though_some_are_gone():
    assert find("aab", "ab", [0, 1]) == [0]
    assert find("aab", "ab", [0]) is None
    assert find("aab", "b", [0]) == []
    assert find("aab", "aab", [1]) == [1]


def test_c_client_s_own_message_is_left_out_of_it():
    own = (
        b"From MAILER-DAEMON Wed Dec  2 05:53:22 1992\nFrom: Mail System Internal Data <MAILER-DAEMON@x>\n"
        b"Subject: DON'T DELETE THIS MESSAGE -- FOLDER INTERNAL DATA\nX-IMAP: 1 %d\n\ntext\n\n"
    )
    before = scanned(own % 1 + b"".join(boxes.message(ord(name)) for name in "abc"))
    after = scanned(own % 2 + b"".join(boxes.message(ord(name)) for name in "bc"))
    assert found_again(before, after, [1, 3]) == [2]
