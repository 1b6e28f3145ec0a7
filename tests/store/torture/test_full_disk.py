"""Mailboxes on disks without room: real file systems of a few megabytes, full to the last block."""

from __future__ import annotations

import contextlib
import errno
import os
import subprocess

import pytest

from tests.conftest import require_program
from tests.store.boxes import FROM, message, store

LONG = bool(os.environ.get("ROUNDS"))
pytestmark = pytest.mark.root
MEGA = 1 << 20


def ext4(folder, size, options=()):
    """A file system of ``size`` octets in a file, on a loop device."""
    image = folder / "image"
    with image.open("wb") as file:
        file.truncate(size)
    subprocess.run([require_program("mkfs.ext4"), "-q", "-m", "0", *options, image], check=True)
    return [require_program("mount"), "-o", "loop", image]


def tmpfs(folder, size):
    return [require_program("mount"), "-t", "tmpfs", "-o", f"size={size}", "none"]


@contextlib.contextmanager
def disk(kind, folder, size):
    where = folder / "disk"
    where.mkdir()
    done = subprocess.run([*kind(folder, size), where], capture_output=True, text=True)
    if done.returncode:
        pytest.skip(f"no mount here: {done.stderr.strip()}")
    try:
        yield where
    finally:
        subprocess.run(["umount", where], check=True)


def fill(folder, free=0):
    """Leave ``free`` octets, or not a single block."""
    with open(folder / "filler", "wb", buffering=0) as file:
        for size in (MEGA, 4096, 1):
            with contextlib.suppress(OSError):
                while file.write(b"x" * size) == size:
                    pass
        os.fsync(file.fileno())
        if free:
            file.truncate(max(0, os.fstat(file.fileno()).st_size - free))
            os.fsync(file.fileno())
    found = os.statvfs(folder)
    assert found.f_bavail * found.f_frsize <= free + 65536


def mails(count, size=70 * 1024):
    return [message(number, (b"%08d " % number * 8 + b"\n") * (size // 73)) for number in range(count)]


def expunge(folder, gone, reports=None):
    opened = store(folder, reports=[] if reports is None else reports)
    try:
        opened.scan()
        opened.expunge(gone)
        opened.remember(())
    finally:
        opened.close()


@pytest.mark.parametrize("free", [0, MEGA], ids=["full", "1 MB free"])
@pytest.mark.parametrize("kind", [ext4, tmpfs])
def test_any_message_can_be_deleted_and_all_of_them(tmp_path, kind, free):
    mail = mails(200)
    with disk(kind, tmp_path, 40 * MEGA) as where:
        (where / "box").write_bytes(b"".join(mail))
        expunge(where, ())  # the first session makes the state folder's files
        fill(where, free)
        for gone in ({0}, {5, 50, 198}, {number for number in range(196) if number % 2}, {2}):
            expunge(where, gone)
            mail = [one for number, one in enumerate(mail) if number not in gone]
            assert (where / "box").read_bytes() == b"".join(mail)
            fill(where, free)
        expunge(where, set(range(len(mail))))
        assert (where / "box").read_bytes() == b""


def test_a_first_session_on_a_full_disk_can_delete_all(tmp_path):
    """Nothing had been kept free for it; the end of a mailbox can be cut off all the same."""
    with disk(ext4, tmp_path, 40 * MEGA) as where:
        (where / "box").write_bytes(b"".join(mails(100)))
        (where / "state").mkdir()
        fill(where)
        expunge(where, set(range(100)))
        assert (where / "box").read_bytes() == b""


def test_mail_delivered_before_the_expunge_moves_on_a_full_disk_too(tmp_path):
    mail = mails(100)
    late = message(999, b"late\n")
    with disk(ext4, tmp_path, 40 * MEGA) as where:
        (where / "box").write_bytes(b"".join(mail))
        expunge(where, ())
        fill(where, 65536)
        opened = store(where, reports=[])
        opened.scan()
        with open(where / "box", "ab") as file:
            file.write(late)
        opened.expunge(set(range(100)))
        opened.close()
        assert (where / "box").read_bytes() == late


def sparse_mailbox(path, size):
    """Three messages; the second holds ``size`` octets of nothing.  Its own size on the disk is a few blocks."""
    with open(path, "wb") as file:
        file.write(message(1, b"first\n"))
        file.write(FROM + b"Message-Id: <2@example.org>\nSubject: number 2\n\nbegin\n")
        file.seek(size, os.SEEK_CUR)
        file.write(b"\nend\n\n" + message(3, b"last\n" * 20000))
    assert os.stat(path).st_blocks * 512 < MEGA


@pytest.mark.parametrize("kind", [ext4, tmpfs])
def test_5_gigabytes_and_1_megabyte_free_the_first_message_deleted(tmp_path, kind):
    """Sparse: what lies in holes is not written, and only what must be is allocated, before anything moves."""
    first = len(message(1, b"first\n"))
    size = 5 << 30
    with disk(kind, tmp_path, 40 * MEGA) as where:
        sparse_mailbox(where / "box", size)
        before = os.stat(where / "box")
        (where / "state").mkdir()
        fill(where, MEGA)
        expunge(where, {0})
        after = os.stat(where / "box")
        assert (after.st_ino, after.st_size) == (before.st_ino, before.st_size - first)
        head = FROM + b"Message-Id: <2@example.org>\nSubject: number 2\n\nbegin\n"
        tail = b"\nend\n\n" + message(3, b"last\n" * 20000)
        with open(where / "box", "rb") as file:
            assert file.read(len(head) + 10) == head + bytes(10)
            file.seek(-len(tail) - 10, os.SEEK_END)
            assert file.read() == bytes(10) + tail
            assert os.lseek(file.fileno(), 1 << 20, os.SEEK_DATA) > size - (1 << 20)


def test_a_sparse_mailbox_that_cannot_get_the_blocks_it_needs_is_left_as_it_was(tmp_path):
    with disk(ext4, tmp_path, 40 * MEGA) as where:
        first = message(1, b"x" * 5000 * 1024 + b"\n")
        rest = [message(2, b"y" * (300 << 10) + b"\n"), message(3, b"z" * (300 << 10) + b"\n")]
        with open(where / "box", "wb") as file:
            file.write(FROM + b"Subject: 1\n\n")
            file.seek(10 * MEGA)  # what is to be deleted is a hole, what moves into it is not
            file.write(b"\n\n" + b"".join(rest))
        del first
        expunge(where, ())
        fill(where)
        before = os.stat(where / "box").st_size
        reports = []
        with pytest.raises(Exception, match=os.strerror(errno.ENOSPC)):
            expunge(where, {0}, reports)
        assert os.stat(where / "box").st_size == before
        (where / "filler").unlink()
        expunge(where, {0})
        assert (where / "box").read_bytes() == b"".join(rest)


@pytest.mark.slow
def test_gigabytes_that_are_all_there_and_1_megabyte_free(tmp_path):
    """5 of them; a quarter of one in the short form."""
    kept = 5 << 30 if LONG else 256 * MEGA
    with disk(ext4, tmp_path, kept + 300 * MEGA) as where:
        one = message(1, b"first\n")
        block = b"%063d\n" % 7 * (MEGA // 64)
        with open(where / "box", "wb") as file:
            file.write(one + FROM + b"Subject: 2\n\n")
            for _ in range(kept // MEGA):
                file.write(block)
            file.write(b"end\n\n")
        (where / "state").mkdir()
        fill(where, MEGA)
        size = os.stat(where / "box").st_size
        expunge(where, {0})
        assert os.stat(where / "box").st_size == size - len(one)
        with open(where / "box", "rb") as file:
            assert file.read(len(FROM)) == FROM
            file.readline()
            file.readline()
            for _ in range(kept // MEGA):
                assert file.read(MEGA) == block
            assert file.read() == b"end\n\n"
