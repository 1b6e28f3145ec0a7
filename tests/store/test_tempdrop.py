"""The temp drop that an old server left behind goes in front of the mailbox, once."""

import fcntl
import os

import pytest

from qpopper_py.errors import ConfigurationError, MaildropBusy, MaildropTrouble, MaildropUnusable
from qpopper_py.settings import Settings
from qpopper_py.store import disk
from qpopper_py.store.mbox.upkeep import temp_drop

from .boxes import message, store

USER = "nobody-of-this-name"
OLD = message(1) + message(2)
NEW = message(3)


@pytest.fixture
def temp(tmp_path):
    path = tmp_path / f".{USER}.pop"
    path.write_bytes(OLD)
    return path


def session(folder, data=None, **values):
    """What the messages say, and what was reported."""
    reports = []
    opened = store(folder, data, reports, **values)
    texts = [b"".join(opened.read(index)) for index in range(len(opened.scan()))]
    opened.close()
    return [text.split(b"number ")[1][:1] for text in texts], reports


def test_its_mail_comes_first_and_is_there_once(tmp_path, temp):
    numbers, reports = session(tmp_path, NEW)
    assert numbers == [b"1", b"2", b"3"]
    assert any(str(temp) in line for line in reports)
    assert (tmp_path / "box").read_bytes() == OLD + NEW
    assert temp.read_bytes() == b""
    assert session(tmp_path) == ([b"1", b"2", b"3"], [])


def test_the_mailbox_keeps_its_inode_owner_and_mode(tmp_path, temp):
    (tmp_path / "box").write_bytes(NEW)
    os.chmod(tmp_path / "box", 0o640)
    before = os.stat(tmp_path / "box")
    session(tmp_path)
    after = os.stat(tmp_path / "box")
    assert (before.st_ino, before.st_mode, before.st_uid) == (after.st_ino, after.st_mode, after.st_uid)


def test_a_mailbox_that_the_old_server_emptied_or_that_is_missing_gets_it_all(tmp_path, temp):
    assert session(tmp_path, b"")[0] == [b"1", b"2"]
    temp.write_bytes(OLD)
    os.unlink(tmp_path / "box")
    assert session(tmp_path)[0] == [b"1", b"2"]


@pytest.mark.parametrize("end", [b"", b"\n"], ids=["in mid-line", "without an empty line"])
def test_one_that_was_cut_off_does_not_swallow_the_mail_behind_it(tmp_path, temp, end):
    temp.write_bytes(OLD[:-2] + end)
    assert session(tmp_path, NEW)[0] == [b"1", b"2", b"3"]


def test_an_empty_one_is_nothing(tmp_path, temp):
    temp.write_bytes(b"")
    assert session(tmp_path, NEW) == ([b"3"], [])


def test_one_that_an_old_server_holds_keeps_the_session_out(tmp_path, temp):
    with temp.open("rb") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        with pytest.raises(MaildropBusy, match="another server"):
            session(tmp_path, NEW)
    assert temp.read_bytes() == OLD
    assert (tmp_path / "box").read_bytes() == NEW
    assert session(tmp_path)[0] == [b"1", b"2", b"3"]


def symlink(path):
    path.rename(path.parent / "elsewhere")
    path.symlink_to(path.parent / "elsewhere")


def hard_link(path):
    os.link(path, path.parent / "elsewhere")


def folder(path):
    path.unlink()
    path.mkdir()


def no_mail(path):
    path.write_bytes(b"something else\n")


def another_kind(path):
    path.write_bytes(b"\1\1\1\1\nSubject: x\n\nx\n\1\1\1\1\n")


@pytest.mark.parametrize("make", [symlink, hard_link, folder, no_mail, another_kind])
def test_what_is_no_temp_drop_of_the_user_is_refused_in_words_and_left_alone(tmp_path, temp, make):
    make(temp)
    with pytest.raises(MaildropUnusable, match=f"{temp}.*tempdrop.name"):
        session(tmp_path, NEW)
    assert (tmp_path / "box").read_bytes() == NEW


@pytest.mark.root
def test_one_of_another_user_is_refused(tmp_path, temp):
    os.chown(temp, 65534, 65534)
    with pytest.raises(MaildropUnusable, match="belongs to uid 65534"):
        session(tmp_path, NEW)
    assert temp.read_bytes() == OLD


@pytest.mark.parametrize("name", ["posix_fallocate", "pwrite"])
def test_without_room_nothing_changes_and_the_session_is_told(tmp_path, temp, monkeypatch, name):
    (tmp_path / "box").write_bytes(NEW)
    real = getattr(disk, name)

    def full(fd, *rest):
        if os.readlink(f"/proc/self/fd/{fd}") in (str(temp), str(tmp_path / "box")):
            raise OSError(28, os.strerror(28))
        return real(fd, *rest)

    monkeypatch.setattr(disk, name, full)
    with pytest.raises(MaildropTrouble, match="nothing was changed"):
        session(tmp_path)
    assert (temp.read_bytes(), (tmp_path / "box").read_bytes()) == (OLD, NEW)
    assert not (tmp_path / "state/redo").exists()


def test_the_settings_say_where_it_is_and_how_it_is_called(tmp_path, temp):
    (tmp_path / "drops").mkdir()
    temp.rename(tmp_path / f"drops/{USER}.tmp")
    values = {"tempdrop__folder": str(tmp_path / "drops"), "tempdrop__name": "%s.tmp"}
    assert session(tmp_path, NEW, **values)[0] == [b"1", b"2", b"3"]


def test_with_no_name_none_is_looked_for(tmp_path, temp):
    assert session(tmp_path, NEW, tempdrop__name="") == ([b"3"], [])
    assert temp.read_bytes() == OLD


def test_for_reading_only_it_is_left_and_named(tmp_path, temp):
    numbers, reports = session(tmp_path, NEW, read_only=True)
    assert numbers == [b"3"]
    assert any(str(temp) in line for line in reports)
    assert temp.read_bytes() == OLD


def place(box, user, spool="/nowhere", **more):
    values = {f"tempdrop.{name}": value for name, value in more.items() if name != "hash_spool"}
    values |= {"spool": str(spool), "hash_spool": more.get("hash_spool", 0)}
    return temp_drop(str(box), user, os.geteuid(), Settings([("test", values)]))


@pytest.mark.parametrize(
    ("user", "more", "path"),
    [
        ("alice", {}, "/var/mail/.alice.pop"),
        ("alice", {"folder": "/tmp/drops", "name": "%s.temp"}, "/tmp/drops/alice.temp"),
        ("alice", {"folder": "/tmp/drops", "hash_spool": 2}, "/tmp/drops/a/l/.alice.pop"),
        ("a%sb", {}, "/var/mail/.a%sb.pop"),
        ("../etc/x", {}, ""),
        ("alice", {"name": ""}, ""),
    ],
)
def test_a_name_cannot_lead_out_of_its_folder(user, more, path):
    assert place("/var/mail/alice", user, **more) == path


@pytest.mark.parametrize(("method", "between"), [(0, ""), (1, "q/"), (2, "a/l/")])
def test_for_a_mailbox_at_home_it_is_taken_from_the_spool_where_qpopper_put_it(tmp_path, method, between):
    """genpath.c of Qpopper 4.0: spool-dir, the folders of hash-spool, temp-name, whatever home-dir-mail says."""
    home, spool = tmp_path / "home/Mailbox", tmp_path / "spool"
    (spool / between).mkdir(parents=True)
    home.parent.mkdir()
    beside, spooled = home.parent / ".alice.pop", spool / f"{between}.alice.pop"
    assert place(home, "alice", spool, hash_spool=method) == str(beside)
    spooled.write_bytes(OLD)
    assert place(home, "alice", spool, hash_spool=method) == str(spooled)
    assert place(home, "alice", spool, hash_spool=method, folder=str(tmp_path)) == str(spooled)
    beside.write_bytes(OLD)
    assert place(home, "alice", spool, hash_spool=method) == str(beside)


@pytest.mark.root
def test_one_of_another_s_in_the_spool_is_none_of_a_mailbox_that_lies_elsewhere(tmp_path):
    """Virtual users may be called as system users are: theirs must not be in their way."""
    (tmp_path / ".alice.pop").write_bytes(OLD)
    os.chown(tmp_path / ".alice.pop", 65534, 65534)
    assert place(tmp_path / "home/Mailbox", "alice", tmp_path) == f"{tmp_path}/home/.alice.pop"


def test_a_link_in_the_spool_is_none(tmp_path):
    (tmp_path / "mail").write_bytes(OLD)
    (tmp_path / ".alice.pop").symlink_to("mail")
    assert place(tmp_path / "home/Mailbox", "alice", tmp_path) == f"{tmp_path}/home/.alice.pop"


def test_what_lies_in_the_spool_is_taken_once(tmp_path):
    (tmp_path / "spool").mkdir()
    temp = tmp_path / f"spool/.{USER}.pop"
    temp.write_bytes(OLD)
    assert session(tmp_path, NEW, spool=str(tmp_path / "spool"))[0] == [b"1", b"2", b"3"]
    assert temp.read_bytes() == b""
    assert session(tmp_path, spool=str(tmp_path / "spool"))[0] == [b"1", b"2", b"3"]


@pytest.mark.parametrize("name", [".pop", "%s/pop", "%s.%s", "%d.pop"])
def test_a_pattern_that_names_nobody_is_refused(name):
    with pytest.raises(ConfigurationError, match=r"tempdrop\.name"):
        Settings([("test", {"tempdrop.name": name})])
