"""Hashed spools as Qpopper's (hash-spool), and where root may make a lock file by name."""

import os

import pytest
from hypothesis import given
from hypothesis import strategies as st

from qpopper_py.store.paths import beyond_reach, in_spool

NOBODY = 65534


@pytest.mark.parametrize(
    ("user", "method", "path"),
    [
        ("alice", 0, "/var/mail/alice"),
        # a 97, l 108, i 105, c 99, e 101: 510, 16 above a multiple of 26
        ("alice", 1, "/var/mail/q/alice"),
        ("alicexyz", 1, "/var/mail/q/alicexyz"),
        ("z", 1, "/var/mail/s/z"),  # 122 = 4 * 26 + 18
        ("ab", 1, "/var/mail/n/ab"),  # 195 = 7 * 26 + 13
        ("alice", 2, "/var/mail/a/l/alice"),
        ("x", 2, "/var/mail/x/x/x"),
        ("a1", 2, "/var/mail/a/1/a1"),
    ],
)
def test_the_path_of_a_mailbox(user, method, path):
    assert in_spool("/var/mail", user, method) == path


@given(st.text("abcdefghijklmnopqrstuvwxyz0123456789-_", min_size=1, max_size=12), st.sampled_from([0, 1, 2]))
def test_a_mailbox_lies_below_the_spool_under_its_own_name(user, method):
    spool, *folders, name = in_spool("/s", user, method)[1:].split("/")
    assert (spool, name, len(folders)) == ("s", user, method)
    assert all(len(folder) == 1 for folder in folders)


@pytest.fixture
def spool(tmp_path_factory):
    """A folder of root's on a way that is root's: pytest's own lies behind one of the tester's."""
    place = tmp_path_factory.mktemp("spool")
    place.chmod(0o755)
    return place


def reach(path, groups=(NOBODY,)):
    return not beyond_reach(str(path), lambda: groups)


@pytest.mark.root
@pytest.mark.parametrize(
    ("mode", "group", "reachable"),
    [
        (0o755, 0, False),
        (0o1777, 0, False),
        (0o2775, 8, False),
        (0o777, 0, True),
        (0o2775, NOBODY, True),
        (0o3775, NOBODY, False),
    ],
)
def test_a_folder_that_the_user_may_write_and_is_not_sticky_is_within_reach(spool, mode, group, reachable):
    os.chown(spool, 0, group)
    spool.chmod(mode)
    assert reach(spool / "alice") == reachable
    (spool / "a").mkdir(mode=0o755)
    assert reach(spool / "a/alice") == reachable


@pytest.mark.root
def test_a_folder_of_the_user_s_own_is_within_reach_wherever_it_lies_on_the_way(spool):
    below = spool / "home/mail"
    below.mkdir(parents=True)
    assert not reach(below / "alice")
    os.chown(spool / "home", NOBODY, NOBODY)
    assert reach(below / "alice")
    assert reach(spool / "home/alice")


@pytest.mark.root
def test_links_count_by_who_may_lay_them(spool):
    (spool / "real").mkdir()
    (spool / "link").symlink_to("real")
    (spool / "absolute").symlink_to(spool / "./link/../link")
    assert not reach(spool / "link/alice")
    assert not reach(spool / "absolute/alice")
    os.lchown(spool / "link", NOBODY, NOBODY)
    assert reach(spool / "link/alice")
    assert reach(spool / "absolute/alice")
    (spool / "round").symlink_to("round")
    assert reach(spool / "round/alice")


@pytest.mark.root
def test_where_there_is_no_folder_root_makes_nothing(spool):
    assert reach(spool / "missing/alice")
    (spool / "file").write_bytes(b"")
    assert reach(spool / "file/alice")
