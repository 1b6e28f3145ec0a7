"""What the next session, or qpopper-py recover, makes of an expunge that was cut off."""

import os
import stat

import pytest

from qpopper_py.errors import MaildropBusy, MaildropError, MaildropTrouble
from qpopper_py.store import disk
from qpopper_py.store.mbox.redo import Redo

from .boxes import message, store
from .torture.crash import Killed, Watch

MAIL = [message(number, b"line of text\n" * 100) for number in range(6)]
NEW = message(9, b"new\n")


def cut_off(folder, at, **values):
    """A mailbox of MAIL, killed before call ``at`` of the expunge of the messages 0 and 2."""
    opened = store(folder, b"".join(MAIL), **values)
    opened.scan()
    try:
        with Watch(at).standing():
            opened.expunge({0, 2})
    except Killed:
        pass
    opened.close()


def calls(folder):
    """How many calls an expunge makes, and which of them publishes the record."""
    opened = store(folder, b"".join(MAIL))
    opened.scan()
    with Watch().standing() as watch:
        opened.expunge({0, 2})
    opened.close()
    names = [call[0] for call in watch.calls]
    return len(names), names.index("rename")


LEFT = b"".join(one for number, one in enumerate(MAIL) if number not in (0, 2))


@pytest.mark.parametrize("mail", [b"", NEW], ids=["nothing new", "mail delivered since"])
def test_the_next_session_sees_all_or_none_of_it(tmp_path, mail):
    count, published = calls(tmp_path)
    for at in range(count):
        reports = []
        cut_off(tmp_path, at)
        pending = os.path.exists(tmp_path / "state/redo")
        with open(tmp_path / "box", "ab") as file:
            file.write(mail)
        opened = store(tmp_path, reports=reports)
        entries = opened.scan()
        texts = [b"".join(opened.read(index)) for index in range(len(entries))]
        opened.close()
        assert len(texts) == (4 if at > published else 6) + bool(mail)
        assert (tmp_path / "box").read_bytes() == (LEFT if at > published else b"".join(MAIL)) + mail
        assert pending == any("it has been finished" in line for line in reports)
        assert not os.path.exists(tmp_path / "state/redo")


def test_inode_owner_and_mode_stay(tmp_path):
    _, published = calls(tmp_path)
    os.chmod(tmp_path / "box", 0o640)
    before = os.stat(tmp_path / "box")
    cut_off(tmp_path, published + 3)
    opened = store(tmp_path, reports=[])
    opened.scan()
    opened.close()
    after = os.stat(tmp_path / "box")
    assert (before.st_ino, before.st_uid, before.st_gid) == (after.st_ino, after.st_uid, after.st_gid)
    assert stat.S_IMODE(after.st_mode) == 0o640


def test_a_record_beside_the_mailbox_is_found_once_there_is_a_state_folder(tmp_path):
    _, published = calls(tmp_path)
    cut_off(tmp_path, published + 3, state="")
    assert (tmp_path / ".box.redo").exists()
    opened = store(tmp_path, reports=[])
    assert len(opened.scan()) == 4
    opened.close()
    assert not (tmp_path / ".box.redo").exists()


@pytest.mark.root
def test_what_others_put_beside_the_mailbox_under_that_name_is_nothing_to_us(tmp_path):
    (tmp_path / ".box.redo").write_bytes(b"rubbish")
    os.chown(tmp_path / ".box.redo", 65534, 65534)
    opened = store(tmp_path, b"".join(MAIL))
    assert len(opened.scan()) == 6
    opened.close()
    assert (tmp_path / ".box.redo").read_bytes() == b"rubbish"


def test_uids_are_the_same_after_a_crash_and_its_recovery(tmp_path):
    """Of messages with equal headers too, the first of which is deleted."""
    mail = [
        MAIL[0],
        *(MAIL[1].replace(b"text", text) for text in (b"one", b"two", b"six")),
        MAIL[2],
        MAIL[2] + b"\nx\n",
    ]
    opened = store(tmp_path, b"".join(mail))
    opened.scan()
    before = list(opened.uids())
    try:
        with Watch(16).standing() as watch:
            opened.expunge({0, 1, 4})
    except Killed:
        pass
    opened.close()
    assert watch.count == 16
    opened = store(tmp_path, reports=[])
    assert len(opened.scan()) == 3
    assert list(opened.uids()) == [before[2], before[3], before[5]]
    opened.close()


def half_moved(folder):
    cut_off(folder, calls(folder)[1] + 3)
    return (folder / "box").read_bytes(), (folder / "state/redo").read_bytes()


def restore(path):
    """By a program that makes a new file."""
    path.unlink()
    path.write_bytes(b"".join(MAIL[1:]) + MAIL[0])


def rewrite(path):
    """By one that writes into the old one."""
    path.write_bytes(b"".join(MAIL[::-1]))


def shorten(path):
    path.write_bytes(MAIL[1])


@pytest.mark.parametrize("change", [restore, rewrite, shorten])
def test_a_record_that_does_not_fit_is_set_beside_the_mailbox_and_the_log_says_so(tmp_path, change):
    _, record = half_moved(tmp_path)
    change(tmp_path / "box")
    left = (tmp_path / "box").read_bytes()
    reports = []
    opened = store(tmp_path, reports=reports)
    opened.scan()
    opened.close()
    assert (tmp_path / "box").read_bytes() == left
    (aside,) = tmp_path.glob("box.redo-*")
    assert aside.read_bytes() == record
    assert stat.S_IMODE(aside.stat().st_mode) == 0o600
    assert any(str(aside) in line for line in reports)
    assert not (tmp_path / "state/redo").exists()


def test_where_the_folder_of_the_mailbox_is_closed_it_is_set_aside_in_the_state_folder(tmp_path, monkeypatch):
    half_moved(tmp_path)
    restore(tmp_path / "box")
    real = disk.create

    def closed(path, *rest):
        if os.path.dirname(path) == str(tmp_path):
            raise PermissionError(13, "Permission denied")
        return real(path, *rest)

    monkeypatch.setattr(disk, "create", closed)
    reports = []
    opened = store(tmp_path, reports=reports)
    opened.scan()
    opened.close()
    (aside,) = (tmp_path / "state").glob("redo.redo-*")
    assert any(str(aside) in line for line in reports)


def test_a_record_that_cannot_be_read_is_set_aside_too(tmp_path):
    left, _ = half_moved(tmp_path)
    (tmp_path / "state/redo").write_bytes(b"rubbish")
    opened = store(tmp_path, reports=[])
    opened.scan()
    opened.close()
    assert (tmp_path / "box").read_bytes() == left
    assert len(list(tmp_path.glob("box.redo-*"))) == 1


def forged(folder, fields, plan):
    """A record that vouches for itself, as one of another version would."""
    made = Redo(str(folder))
    made.begin(plan, 0)
    made.note(fields)
    made.close()


STEP = {"phase": "step", "inode": 1, "at": 10, "end": 20, "source": 15, "length": 5, "witness": "x"}
FRONT = {"phase": "front", "inode": 1, "temp_inode": 1, "had": 1, "held": 1, "whole": 2, "temp": "2f78"}


@pytest.mark.parametrize(
    ("fields", "plan"),
    [
        ({**STEP, "phase": "later"}, b"\x0a\x14"),
        ({**STEP, "source": "-1"}, b"\x0a\x14"),
        ({**STEP, "at": "9" * 20}, b"\x0a\x14"),
        ({key: value for key, value in STEP.items() if key != "witness"}, b"\x0a\x14"),
        (STEP, b"\x80"),
        ({key: value for key, value in FRONT.items() if key != "temp"}, b""),
        ({**FRONT, "temp": "2f7"}, b""),
        ({**FRONT, "temp": "2f00"}, b""),
        ({"": "1"}, b""),
    ],
    ids=str,
)
def test_a_record_that_tells_too_little_is_set_aside_too(tmp_path, fields, plan):
    left = message(1) + message(2)
    (tmp_path / "state").mkdir()
    forged(tmp_path / "state", fields, plan)
    reports = []
    opened = store(tmp_path, left, reports=reports)
    assert len(opened.scan()) == 2
    opened.close()
    assert (tmp_path / "box").read_bytes() == left
    assert len(list(tmp_path.glob("box.redo-*"))) == 1
    assert any("cannot be read" in line for line in reports)


def test_while_the_mailbox_is_missing_its_record_waits(tmp_path):
    """Its disk may not be mounted."""
    _, record = half_moved(tmp_path)
    os.rename(tmp_path / "box", tmp_path / "elsewhere")
    reports = []
    opened = store(tmp_path, reports=reports)
    assert len(opened.scan()) == 0
    opened.close()
    assert (tmp_path / "state/redo").read_bytes() == record
    assert any("is not there" in line for line in reports)
    os.rename(tmp_path / "elsewhere", tmp_path / "box")
    opened = store(tmp_path, reports=[])
    assert len(opened.scan()) == 4
    opened.close()


def test_a_mailbox_that_cannot_be_made_whole_is_not_served(tmp_path, monkeypatch):
    half_moved(tmp_path)

    def refuse(*_):
        raise OSError(5, "Input/output error")

    monkeypatch.setattr(disk, "pwrite", refuse)
    opened = store(tmp_path, reports=[])
    with pytest.raises(MaildropTrouble, match="qpopper-py recover"):
        opened.scan()
    monkeypatch.undo()
    assert (tmp_path / "state/redo").exists()
    opened = store(tmp_path, reports=[])
    assert len(opened.scan()) == 4
    opened.close()


def test_recovery_waits_for_the_lock_of_a_delivery(tmp_path):
    half_moved(tmp_path)
    (tmp_path / "box.lock").write_bytes(b"%d\n" % os.getpid())
    opened = store(tmp_path, reports=[], locks__timeout=0)
    with pytest.raises(MaildropBusy):
        opened.scan()
    (tmp_path / "box.lock").unlink()
    opened = store(tmp_path, reports=[])
    assert len(opened.scan()) == 4
    opened.close()


def test_after_an_error_in_mid_move_the_change_is_finished_from_the_record(tmp_path):
    """One write fails, the second try works: the client hears +OK and it is true."""
    count, published = calls(tmp_path)
    for at in range(published + 2, count - 2):
        opened = store(tmp_path, b"".join(MAIL))
        opened.scan()
        with Watch(fail=(at, 5, 1)).standing() as watch:
            opened.expunge({0, 2})
        opened.close()
        assert watch.calls[at][0].startswith("failed")
        assert (tmp_path / "box").read_bytes() == LEFT


def test_after_an_expunge_that_is_left_to_recovery_nothing_more_is_removed(tmp_path):
    _, published = calls(tmp_path)
    opened = store(tmp_path, b"".join(MAIL))
    opened.scan()
    with Watch(fail=(published + 3, 5, 10**6)).standing(), pytest.raises(MaildropTrouble, match="finish"):
        opened.expunge({0, 2})
    with pytest.raises(MaildropError):
        opened.expunge({1})
    opened.close()
    opened = store(tmp_path, reports=[])
    assert len(opened.scan()) == 4
    opened.close()
    assert not Redo(str(tmp_path / "state")).pending()
