"""Unique-ids written into the mail as X-UIDL: every message once, whatever cuts it off, and the same uids as before."""

import contextlib
import errno
import os
import re

import pytest

from qpopper_py.errors import MaildropError, MaildropTrouble

from .boxes import message, store
from .torture.crash import Watch, killable

MAIL = b"".join(message(number, b"line %d\n" % number * 50) for number in range(4))
X_UIDL = re.compile(rb"X-UIDL: .*\n")


def seen(folder, **values):
    """(uid, text without X-UIDL) of each message in a session of its own."""
    opened = store(folder, reports=[], **values)
    try:
        count = len(opened.scan())
        texts = [X_UIDL.sub(b"", b"".join(opened.stored(index))) for index in range(count)]
        return list(zip(list(opened.uids()), texts, strict=True))
    finally:
        opened.close()


def inscribed(folder, scheme, data=None, **values):
    opened = store(folder, data, [], **values)
    try:
        opened.scan()
        return opened.inscribe(scheme)
    finally:
        opened.close()


def test_the_old_server_reads_what_we_gave_out(tmp_path):
    """Dovecot's uids here, GNU mailutils' X-UIDL there."""
    assert inscribed(tmp_path, "mailutils3", MAIL, uidl="dovecot") == (4, 0)
    ours = seen(tmp_path, uidl="dovecot")
    state = tmp_path / "another"
    state.mkdir()
    assert seen(tmp_path, uidl="mailutils3", state=state) == ours
    assert [uid[:8] for uid, _ in ours] == ["00000001", "00000002", "00000003", "00000004"]


def test_a_second_run_and_fields_that_are_right_change_nothing(tmp_path):
    inscribed(tmp_path, "qpopper4", MAIL)
    before = (tmp_path / "box").stat(), (tmp_path / "box").read_bytes()
    assert inscribed(tmp_path, "qpopper4") == (0, 0)
    assert ((tmp_path / "box").stat().st_mtime_ns, (tmp_path / "box").read_bytes()) == (
        before[0].st_mtime_ns,
        before[1],
    )


def test_the_file_stays_the_same_file(tmp_path):
    (tmp_path / "box").write_bytes(MAIL)
    os.chmod(tmp_path / "box", 0o640)
    before = os.stat(tmp_path / "box")
    assert inscribed(tmp_path, "qpopper2") == (4, 0)
    after = os.stat(tmp_path / "box")
    assert (before.st_ino, before.st_mode, before.st_uid) == (after.st_ino, after.st_mode, after.st_uid)
    assert not (tmp_path / "state/inscribed").exists()


def test_a_message_without_a_body_is_left_out_and_counted(tmp_path):
    cut_off = b"From a@example.org Wed Dec  2 05:53:22 1992\nSubject: the header goes on\n"
    assert inscribed(tmp_path, "qpopper2", MAIL + cut_off) == (4, 1)


def test_without_a_state_folder_nothing_is_written(tmp_path):
    with pytest.raises(MaildropTrouble, match="state folder"):
        inscribed(tmp_path, "qpopper2", MAIL, state="")
    assert (tmp_path / "box").read_bytes() == MAIL


def test_cut_off_anywhere_no_message_is_lost_doubled_or_given_another_uid(tmp_path):
    """kill -9 before each call that changes the disk; then mail arrives; then somebody logs in."""
    kill = 0
    while True:
        folder = tmp_path / str(kill)
        folder.mkdir()
        (folder / "box").write_bytes(MAIL)
        before = seen(folder, uidl="dovecot")
        done = False
        with killable(), Watch(kill).standing():
            inscribed(folder, "mailutils3", uidl="dovecot")
            done = True
        with (folder / "box").open("ab") as file:
            file.write(message(9))
        after = seen(folder, uidl="dovecot")
        assert after[:4] == before
        assert len(after) == 5
        assert seen(folder, uidl="dovecot") == after
        if done:
            assert kill > 10
            return
        kill += 1


@pytest.mark.parametrize("times", [1, 1000], ids=["once", "from then on"])
@pytest.mark.parametrize("code", [errno.ENOSPC, errno.EIO], ids=["ENOSPC", "EIO"])
def test_a_disk_that_fails_at_any_call_costs_no_message_and_no_uid(tmp_path, code, times):
    """It is told, unless the call was one that can be done without; the next login finds all of the mail."""
    number = 0
    while True:
        folder = tmp_path / str(number)
        folder.mkdir()
        (folder / "box").write_bytes(MAIL)
        before = seen(folder, uidl="dovecot")
        with Watch(fail=(number, code, times)).standing() as watch, contextlib.suppress(MaildropError):
            inscribed(folder, "mailutils3", uidl="dovecot")
        assert seen(folder, uidl="dovecot") == before
        if watch.count <= number:
            assert number > 10
            return
        number += 1
