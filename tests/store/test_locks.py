"""The mailbox's locks and the session's place, against other processes and what they leave behind."""

import fcntl
import os
import select
import stat
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import pytest

import qpopper_py
from qpopper_py.errors import MaildropBusy, MaildropTrouble
from qpopper_py.settings import Settings
from qpopper_py.store import dotlock
from qpopper_py.store.dotlock import Dotlocks
from qpopper_py.store.lock import MaildropLock
from qpopper_py.store.lock import lock_of as maildrop_lock

from .boxes import message, refuse, store

DEAD = 999_999_9  # above any pid_max that these tests run under, but a pid in form


@pytest.fixture
def box(tmp_path):
    path = tmp_path / "box"
    path.write_bytes(message(1) + message(2))
    return path


@pytest.fixture
def fd(box):
    opened = os.open(box, os.O_RDWR)
    yield opened
    os.close(opened)


def lock_of(box, *kinds, timeout=0, required=True, report=refuse, helper=None):
    return MaildropLock(str(box), kinds or ("dotlock", "fcntl", "flock"), required, timeout, report, helper)


class Other:
    """Another process, which runs ``code`` with the mailbox's path in ``path``, says a word, and waits for the end."""

    def __init__(self, code, path):
        code = (
            f"import fcntl, os, struct, sys\npath = sys.argv[1]\n{code}\nprint('ready', flush=True)\nsys.stdin.read()"
        )
        line = [sys.executable, "-c", code, path]
        self.process = subprocess.Popen(line, stdin=subprocess.PIPE, stdout=subprocess.PIPE)

    def __enter__(self):
        assert self.process.stdout.readline() == b"ready\n"
        return self

    def __exit__(self, *_):
        self.process.communicate()


HOLDERS = {
    "dotlock": "os.close(os.open(path + '.lock', os.O_CREAT | os.O_EXCL)); os.utime(path + '.lock')",
    "fcntl": "file = open(path, 'r+b'); fcntl.lockf(file, fcntl.LOCK_EX)",
    "flock": "file = open(path, 'r+b'); fcntl.flock(file, fcntl.LOCK_EX)",
}


@pytest.mark.parametrize("kind", HOLDERS)
def test_what_another_process_holds_is_busy_and_nothing_is_kept_of_the_rest(box, fd, kind):
    lock = lock_of(box)
    with Other(HOLDERS[kind], box):
        with pytest.raises(MaildropBusy, match=f"the {kind} lock is still held"):
            lock.take(fd, exclusive=True)
        assert lock.taken == []
        assert kind == "dotlock" or os.listdir(box.parent) == ["box"]
        others = [other for other in HOLDERS if other != kind]
        with lock_of(box, *others).held(fd, exclusive=True):
            pass


@pytest.mark.parametrize("kind", HOLDERS)
def test_what_we_hold_excludes_another_process_until_it_is_given_back(box, fd, kind):
    tries = {
        "dotlock": "os.path.exists(path + '.lock')",
        "fcntl": "fcntl.fcntl(os.open(path, os.O_RDWR), fcntl.F_GETLK, struct.pack('hhqqi0q', 1, 0, 0, 0, 0))[:2] "
        "!= struct.pack('h', fcntl.F_UNLCK)",
        "flock": "os.system('flock -n \"' + path + '\" true') != 0",
    }
    code = f"import fcntl, os, struct, sys; path = sys.argv[1]; print({tries[kind]})"

    def held():
        return subprocess.check_output([sys.executable, "-c", code, box]) == b"True\n"

    assert not held()
    with lock_of(box, kind).held(fd, exclusive=True):
        assert held()
    assert not held()


@pytest.mark.parametrize("kind", HOLDERS)
def test_two_sessions_of_one_process_exclude_each_other(box, fd, kind):
    other = os.open(box, os.O_RDWR)
    with lock_of(box, kind).held(fd, exclusive=True), pytest.raises(MaildropBusy):
        lock_of(box, kind).take(other, exclusive=True)
    with lock_of(box, kind).held(other, exclusive=True):
        pass
    os.close(other)


def test_a_descriptor_closed_elsewhere_in_the_process_does_not_drop_the_fcntl_lock(box, fd):
    """As it would with a classic lock."""
    with lock_of(box, "fcntl").held(fd, exclusive=True):
        os.close(os.open(box, os.O_RDWR))
        code = f"import fcntl; fcntl.lockf(open({str(box)!r}, 'r+b'), fcntl.LOCK_EX | fcntl.LOCK_NB)"
        assert subprocess.run([sys.executable, "-c", code], stderr=subprocess.DEVNULL).returncode != 0


def test_readers_share_fcntl_and_flock(box, fd):
    other = os.open(box, os.O_RDONLY)
    with lock_of(box, "fcntl", "flock").held(fd, exclusive=False):
        with lock_of(box, "fcntl", "flock").held(other, exclusive=False):
            pass
        with pytest.raises(MaildropBusy):
            lock_of(box, "flock").take(other, exclusive=True)
    os.close(other)


def test_a_lock_that_is_given_back_in_time_is_had(box, fd):
    # The other process ends when a pipe of ours closes; we close it once the first try was refused.
    lock = lock_of(box, timeout=60)
    with Other(HOLDERS["fcntl"], box) as other:
        real = lock._try

        def first_try(exclusive):
            busy = real(exclusive)
            if busy and other.process.stdin and not other.process.stdin.closed:
                other.process.communicate()
            return busy

        lock._try = first_try
        with lock.held(fd, exclusive=True):
            assert lock.taken == ["dotlock", "fcntl", "flock"]


def test_nothing_is_held_while_we_wait(box, fd, monkeypatch):
    """Else an agent that takes the kinds in another order would wait for us as we for it."""
    naps = []

    def sleep(seconds):
        naps.append((list(lock.taken), os.listdir(box.parent)))
        if len(naps) == 3:
            fcntl.flock(other, fcntl.LOCK_UN)

    lock = lock_of(box, "dotlock", "fcntl", "flock", timeout=60)
    other = os.open(box, os.O_RDWR)
    fcntl.flock(other, fcntl.LOCK_EX)
    monkeypatch.setattr("qpopper_py.store.lock.time.sleep", sleep)
    with lock.held(fd, exclusive=True):
        pass
    os.close(other)
    assert naps == [([], ["box"])] * 3


def test_the_dotlock_holds_our_pid_and_goes_away(box, fd):
    with lock_of(box, "dotlock").held(fd, exclusive=True):
        assert (box.parent / "box.lock").read_text().split() == [str(os.getpid()), os.uname().nodename]
        assert sorted(os.listdir(box.parent)) == ["box", "box.lock"]
    assert os.listdir(box.parent) == ["box"]


NOW = time.time()
HOST = os.uname().nodename
LOCAL, REMOTE = os.makedev(8, 1), os.makedev(0, 50)


def state(age=1, uid=None, device=LOCAL):
    uid = os.geteuid() if uid is None else uid
    return os.stat_result((stat.S_IFREG | 0o644, 1, device, 1, uid, 0, 0, NOW, NOW - age, NOW - age))


@pytest.mark.parametrize(
    ("contents", "lock_state", "stale"),
    [
        (f"{DEAD}\n", state(), True),
        (f"{DEAD}", state(), True),
        (f"{DEAD}\n{HOST}\n", state(device=REMOTE), True),
        (f"{DEAD}:{HOST}", state(), True),
        (f"{DEAD}\n", state(device=REMOTE), False),
        (f"{DEAD}\n", state(301, device=REMOTE), True),
        (f"{DEAD}\nelsewhere\n", state(), False),
        (f"{DEAD}\nelsewhere\n", state(301), True),
        ("OURS\n", state(), False),
        ("OURS\n", state(301), False),
        ("OURS\n", state(301, uid=12345), True),
        ("OURS\n", state(299, uid=12345), False),
        ("", state(299), False),
        ("", state(301), True),
        ("0", state(299), False),
        ("-1", state(299), False),
        ("1", state(299), False),
        ("\0" * 200, state(299), False),
        ("9" * 40, state(299), False),
        ("\N{SUPERSCRIPT TWO}", state(299), False),
        ("", state(-1000), False),
    ],
)
def test_a_lock_is_stale_when_its_holder_is_known_dead_or_it_is_old(contents, lock_state, stale):
    contents = contents.replace("OURS", str(os.getpid()))
    assert dotlock.is_stale(contents.encode(), lock_state, NOW, 300) is stale


@pytest.mark.parametrize(("age", "stale", "verdict"), [(61, 60, True), (59, 60, False), (10**6, 0, False)])
def test_the_age_is_a_setting_and_0_is_none(age, stale, verdict):
    assert dotlock.is_stale(b"", state(age), NOW, stale) is verdict
    assert dotlock.is_stale(f"{DEAD}\n".encode(), state(age), NOW, stale)


@pytest.mark.parametrize(("stale", "had"), [(60, True), (600, False), (0, False)])
def test_the_setting_reaches_the_lock(box, fd, stale, had):
    """A lock without a number in it, as the tool lockfile(1) makes it."""
    left = box.parent / "box.lock"
    left.write_text("")
    os.utime(left, (time.time() - 300, time.time() - 300))
    settings = Settings([("test", {"locks.stale": stale, "locks.timeout": 0})])
    try:
        with maildrop_lock(str(box), settings, print).held(fd, exclusive=True):
            assert had
    except MaildropBusy:
        assert not had


def test_a_stale_dotlock_is_broken_once(box, fd):
    (box.parent / "box.lock").write_text(f"{DEAD}\n{HOST}\n")
    with lock_of(box, "dotlock").held(fd, exclusive=True), pytest.raises(MaildropBusy):
        lock_of(box, "dotlock").take(fd, exclusive=True)
    assert os.listdir(box.parent) == ["box"]


def test_a_lock_that_was_replaced_while_it_was_judged_is_not_broken(box, monkeypatch):
    lock = box.parent / "box.lock"
    lock.write_text(f"{DEAD}\n{HOST}\n")
    real = dotlock.is_stale

    def is_stale(*rest):
        lock.unlink()
        lock.write_text("fresh")
        return real(*rest)

    monkeypatch.setattr(dotlock, "is_stale", is_stale)
    dotlock.break_stale(str(lock), NOW, os.geteuid(), 300)
    assert lock.read_text() == "fresh"


@pytest.mark.parametrize("kind", ["symlink", "dangling symlink", "folder", "fifo"])
def test_what_is_no_plain_file_is_respected_and_not_followed(box, fd, kind):
    lock, target = box.parent / "box.lock", box.parent / "target"
    target.write_text(f"{DEAD}\n{HOST}\n")
    os.utime(target, (1, 1))
    {
        "symlink": lambda: lock.symlink_to(target),
        "dangling symlink": lambda: lock.symlink_to("/nonexistent"),
        "folder": lock.mkdir,
        "fifo": lambda: os.mkfifo(lock),
    }[kind]()
    with pytest.raises(MaildropBusy, match="no regular file"):
        lock_of(box).take(fd, exclusive=True)
    assert os.path.lexists(lock)
    assert target.exists()


@pytest.mark.root
def test_somebody_elses_lock_is_respected_however_old(box, fd):
    """CVE-2000-1198: in a spool that all may write anybody can do this; the log names the uid."""
    lock = box.parent / "box.lock"
    lock.write_text(f"{DEAD}\n{HOST}\n")
    os.utime(lock, (1, 1))
    os.chown(lock, 12345, -1)
    with pytest.raises(MaildropBusy, match="uid 12345"):
        lock_of(box).take(fd, exclusive=True)
    assert lock.exists()


@pytest.mark.root
def test_a_stale_lock_that_the_maildrops_owner_left_is_broken_by_root_too(box, fd):
    lock = box.parent / "box.lock"
    lock.write_text(f"{DEAD}\n{HOST}\n")
    for path in (box, lock):
        os.chown(path, 12345, -1)
    with lock_of(box).held(fd, exclusive=True):
        assert lock.stat().st_uid == 0


def test_a_lock_that_others_took_from_us_stays_theirs_and_is_reported(box, fd):
    reports = []
    lock = box.parent / "box.lock"
    with lock_of(box, "dotlock", report=reports.append).held(fd, exclusive=True):
        lock.unlink()
        lock.write_text("theirs")
    assert lock.read_text() == "theirs"
    assert len(reports) == 1
    assert "box.lock" in reports[0]


def test_a_held_dotlock_is_refreshed_once_a_minute(box, fd, monkeypatch):
    path = box.parent / "box.lock"
    with lock_of(box, "dotlock").held(fd, exclusive=True) as lock:
        os.utime(path, (1, 1))
        lock.refresh()
        assert path.stat().st_mtime == 1
        lock.refreshed -= 61
        lock.refresh()
        assert path.stat().st_mtime > NOW - 60


def as_nobody(function):
    """What ``function`` returns or raises, in words, when uid 65534 runs it."""
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            os.setgroups([])
            os.setgid(65534)
            os.setuid(65534)
            try:
                words = f"{function()}"
            except Exception as why:  # noqa: BLE001  # the parent asks what went wrong
                words = f"{type(why).__name__}: {why}"
            os.write(writing, words.encode())
        finally:
            os._exit(0)
    os.close(writing)
    with open(reading) as file:
        words = file.read()
    os.waitpid(child, 0)
    return words


@pytest.fixture
def spool():
    """A folder that uid 65534 may not write, with that user's mailbox; pytest's own is closed to that user."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        folder.chmod(0o755)
        (folder / "box").write_bytes(message(1))
        os.chown(folder / "box", 65534, 65534)
        yield folder


def take_and_tell(box, **rest):
    reports = []
    descriptor = os.open(box, os.O_RDWR)
    lock = lock_of(box, report=reports.append, **rest)
    with lock.held(descriptor, exclusive=True):
        taken = list(lock.taken)
    with lock.held(descriptor, exclusive=True):
        pass
    return taken, reports


@pytest.mark.root
def test_where_no_dotlock_can_be_made_required_refuses_and_says_what_to_do(spool):
    words = as_nobody(lambda: take_and_tell(spool / "box"))
    assert words.startswith("MaildropTrouble: ")
    assert f"uid 65534 may not write {spool}" in words
    assert "locks.dotlock = try" in words


@pytest.mark.root
def test_where_no_dotlock_can_be_made_try_goes_on_and_reports_it_once(spool):
    taken, reports = eval(as_nobody(lambda: take_and_tell(spool / "box", required=False)))
    assert taken == ["dotlock", "fcntl", "flock"]
    assert len(reports) == 1
    assert str(spool) in reports[0]


class Helper:
    """Makes no lock but says what it was asked for."""

    def __init__(self, *answers):
        self.answers = list(answers)
        self.asked = []

    def create(self, path):
        self.asked.append("create")
        return self.answers.pop(0)

    def refresh(self, path):
        self.asked.append("refresh")

    def remove(self, path):
        self.asked.append("remove")


@pytest.mark.root
def test_a_helper_makes_the_dotlock_where_we_may_not(spool):
    def ask():
        helper = Helper(False, True)
        with lock_of(spool / "box", "dotlock", helper=helper, timeout=10).held(-1, exclusive=True) as lock:
            lock.refreshed -= 61
            lock.refresh()
        return helper.asked

    assert as_nobody(ask) == "['create', 'create', 'refresh', 'remove']"


def test_a_helper_is_not_asked_where_we_may(box, fd):
    helper = Helper()
    with lock_of(box, helper=helper).held(fd, exclusive=True):
        pass
    assert helper.asked == []


def test_dotlocks_for_another_process_hold_its_pid(box):
    locks = Dotlocks(os.getppid())
    assert locks.create(str(box))
    assert (box.parent / "box.lock").read_text().split()[0] == str(os.getppid())
    assert not locks.create(str(box))
    locks.remove(str(box))
    locks.remove(str(box))


def test_a_file_system_without_the_lock_is_trouble_that_names_the_setting(box, fd, monkeypatch):
    def flock(*_):
        raise OSError(95, "Operation not supported")

    monkeypatch.setattr("qpopper_py.store.lock.fcntl.flock", flock)
    with pytest.raises(MaildropTrouble, match=r"flock.*locks.kinds"):
        lock_of(box).take(fd, exclusive=True)
    monkeypatch.undo()
    with lock_of(box).held(fd, exclusive=True):
        pass


def test_a_session_waits_for_a_delivery_under_way_and_then_refuses(box):
    with Other(HOLDERS["fcntl"], box), pytest.raises(MaildropBusy):
        store(box.parent, locks__timeout=0).scan()


def test_a_dotlock_that_the_system_refuses_is_trouble_and_leaves_nothing(box, fd):
    with pytest.raises(MaildropTrouble, match=r"nowhere/box.lock: cannot be made"):
        lock_of(box.parent / "nowhere/box").take(fd, exclusive=True)
    with pytest.raises(MaildropTrouble, match="cannot be made"):
        lock_of(box.parent / ("x" * 253)).take(fd, exclusive=True)
    assert os.listdir(box.parent) == ["box"]


def test_no_lock_is_held_between_calls(box):
    opened = store(box.parent)
    opened.scan()
    pieces = opened.read(0)
    next(pieces)
    with lock_of(box).held(os.open(box, os.O_RDWR), exclusive=True):
        pass
    opened.close()


# The session's place


@pytest.mark.parametrize("with_state", [True, False])
def test_the_place_of_a_session_falls_free_when_its_process_is_killed(tmp_path, with_state):
    (tmp_path / "state").mkdir()
    folder = str(tmp_path / "state") if with_state else ""
    path = str(tmp_path / "box")
    code = "sys.path[:0] = sys.argv[2:]; from qpopper_py.store.place import take_place; place = take_place"
    code += f"(path, {folder!r}, print)"
    other = subprocess.Popen(
        [
            sys.executable,
            "-c",
            f"import sys; path = sys.argv[1]; {code}; print('ready', flush=True); sys.stdin.read()",
            path,
            os.path.dirname(os.path.dirname(qpopper_py.__file__)),
        ],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )
    with other:
        assert other.stdout.readline() == b"ready\n"
        with pytest.raises(MaildropBusy, match="another session"):
            store(tmp_path, state=folder).scan()
        other.kill()
        assert select.select([other.stdout], [], [], 60)[0]
        other.wait()
    opened = store(tmp_path, state=folder)
    assert list(opened.scan()) == []
    opened.close()


def test_two_names_of_one_folder_are_one_place(tmp_path):
    (tmp_path / "real").mkdir()
    (tmp_path / "link").symlink_to("real")
    first = store(tmp_path / "real", state="")
    first.scan()
    with pytest.raises(MaildropBusy):
        store(tmp_path / "link", state="").scan()
    first.close()


def test_a_state_folder_that_is_gone_refuses_nobody(tmp_path):
    reports = []
    opened = store(tmp_path, message(1), reports, state=tmp_path / "nowhere")
    assert len(opened.scan()) == 1
    opened.expunge({0})
    opened.close()
    assert len(reports) == 1
    assert "session.lock" in reports[0]


def test_a_refused_scan_gives_the_place_back(tmp_path):
    (tmp_path / "box").mkdir()
    with pytest.raises(Exception, match="folder"):
        store(tmp_path).scan()
    os.rmdir(tmp_path / "box")
    opened = store(tmp_path)
    assert list(opened.scan()) == []
    opened.close()
