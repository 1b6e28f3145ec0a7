"""``qpopper-py convert``: there and back with every octet, unique-id and flag, and what a crash leaves."""

import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import qpopper_py
from qpopper_py.errors import ConfigurationError, MaildropBusy, MaildropTrouble, MaildropUnusable
from qpopper_py.settings import Settings
from qpopper_py.store.dotlock import Dotlocks
from qpopper_py.store.opening import open_store
from qpopper_py.tools import convert
from qpopper_py.tools.convert_maildir import MaildirTarget
from qpopper_py.tools.convert_mbox import MboxTarget
from tests import harness
from tests.harness import servant
from tests.store.spools import EXPUNGED, SEEN, spool

USER = "nobody-of-this-name"
FROM = b"From MAILER-DAEMON Wed Dec  2 05:%02d:22 1992\n"


def message(number, head=b"", body=b"hello\n"):
    return FROM % number + b"Message-Id: <%d@x>\n" % number + head + b"\n" + body + b"\n"


MAIL = [
    message(1),
    message(2, b"Status: RO\n"),
    message(3, b"Status: O\nX-Status: AF\n", b"\xff\0>From x\n\nFrom the hills\n\n\n"),
    message(4, b"Status: RO\nTo: x\n"),
    message(5, b"X-UIDL: its own\nX-UIDL: abc\n", b"a\r\nb\n"),
    message(5, b"X-UIDL: its own\nX-UIDL: abc\n", b"a\r\nb\n"),
    message(4, b"Status: RO\nTo: x\n", b"another body\n"),
    message(7, b"", b""),
]


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "state").mkdir()
    return tmp_path


@pytest.fixture
def filled(folder):
    (folder / "box").write_bytes(b"".join(MAIL))
    return folder


def job(folder, *words, **values):
    """Convert in this process, as this user."""
    asked = convert.words().parse_args([str(word) for word in words])
    wanted = Settings([("test", {name.replace("__", "."): value for name, value in values.items()})])
    state = str(folder / "state") if values.get("state_dir") != "" else ""
    source, target = convert.places(asked)
    return convert.Job(asked, wanted, USER, source, target, state, None)


def run(folder, *words, **values):
    job(folder, *words, **values).run()


def seen(folder, name, state=True, gone=()):
    """What a session sees: [(uid, text, seen)]; it removes ``gone``."""
    store = open_store(str(folder / name), USER, str(folder / "state") if state else "", Settings(), pytest.fail)
    try:
        entries = store.scan()
        found = [
            (uid, b"".join(store.read(index)), entries[index].seen) for index, uid in enumerate(list(store.uids()))
        ]
        store.expunge(gone)
        store.remember(())
        return found
    finally:
        store.close()


def without_status(rows):
    return [(uid, re.sub(rb"(?m)^(X-)?Status:.*\n", b"", text), was) for uid, text, was in rows]


def test_an_mbox_there_and_back_is_the_same_file(filled):
    before = (filled / "box").read_bytes()
    run(filled, filled / "box", filled / "dir")
    run(filled, filled / "dir", filled / "again")
    assert (filled / "box").read_bytes() == before
    assert (filled / "again").read_bytes() == before


def test_uids_flags_texts_and_order_are_kept(filled):
    before = seen(filled, "box")
    assert len({uid for uid, _, _ in before}) == len(MAIL)
    run(filled, filled / "box", filled / "dir")
    there = seen(filled, "dir")
    assert without_status(there) == without_status(before)
    run(filled, filled / "dir", filled / "again")
    assert seen(filled, "again") == before


def test_mail_that_is_hard_to_carry_is_the_same_there_and_back(folder):
    """All of it but for the quote that the one line gets in an mbox, which it has already."""
    letters = harness.awkward_mailbox(folder / "box")
    before = seen(folder, "box")
    assert [text for _, text, _ in before] == [letter.wire for letter in letters]
    run(folder, folder / "box", folder / "dir")
    assert seen(folder, "dir") == before
    run(folder, folder / "dir", folder / "again")
    assert seen(folder, "again") == before


def test_new_mail_lies_in_new_and_old_in_cur_with_its_flags(filled):
    run(filled, filled / "box", filled / "dir")
    assert len(os.listdir(filled / "dir/new")) == 4
    assert sorted(name.partition(":")[2] for name in os.listdir(filled / "dir/cur")) == ["2,FR", "2,S", "2,S", "2,S"]
    assert os.listdir(filled / "dir/tmp") == []
    assert (filled / "dir").stat().st_mode & 0o777 == 0o700


@pytest.mark.parametrize("gone", [{0}, {4}, {5}, {4, 5}, {3}, {6}, {0, 3, 4}])
def test_uids_outlive_deletions_there(filled, gone):
    before = seen(filled, "box")
    run(filled, filled / "box", filled / "dir")
    seen(filled, "dir", gone=gone)
    run(filled, filled / "dir", filled / "again")
    assert seen(filled, "again") == [row for index, row in enumerate(before) if index not in gone]


@pytest.mark.parametrize("gone", [{0}, {4}, {5}, {3}, {6}])
def test_uids_outlive_deletions_after_the_way_back(filled, gone):
    before = seen(filled, "box")
    run(filled, filled / "box", filled / "dir")
    run(filled, filled / "dir", filled / "again")
    os.unlink(filled / "box")
    seen(filled, "again", gone=gone)
    assert seen(filled, "again") == [row for index, row in enumerate(before) if index not in gone]


def test_names_tell_the_sizes_and_ascend_and_mtimes_are_the_dates(filled):
    run(filled, filled / "box", filled / "dir")
    rows = []
    for where in ("new", "cur"):
        for name in os.listdir(filled / "dir" / where):
            state = (filled / "dir" / where / name).stat()
            assert f",S={state.st_size}," in name
            rows.append((name, state.st_mtime))
    rows.sort()
    assert [mtime for _, mtime in rows[:4]] == sorted(mtime for _, mtime in rows[:4])
    seconds = [int(name.partition(".")[0]) for name, _ in rows]
    assert seconds == sorted(seconds)


LINE = st.sampled_from(
    [b"a", b"", b"From ", b".", b"\xff\0", b"a\r", FROM[:-1] % 3, b">" + FROM[:-1] % 3, b"Status: RO"]
)
CONTENT = st.lists(LINE, min_size=1, max_size=8).map(lambda lines: b"\n".join(lines) + b"\n")
FLAGS = st.sampled_from(["", ":2,", ":2,S", ":2,DFRST"])


@settings(max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.tuples(CONTENT, FLAGS), max_size=5))
def test_any_maildir_there_and_back_has_the_same_messages(folder, letters):
    """But for the quote before a line that would separate, and Status lines that contradict the name."""
    for name in ("dir", "back", "box", "state"):
        shutil.rmtree(folder / name, ignore_errors=True)
    (folder / "box").unlink(missing_ok=True)
    for name in ("dir/new", "dir/cur", "dir/tmp", "state"):
        (folder / name).mkdir(parents=True)
    for number, (content, flags) in enumerate(letters):
        content = b"Message-Id: <%d@x>\n\n" % (number // 2) + content
        (folder / "dir" / ("cur" if flags else "new") / f"{number}.x{flags}").write_bytes(content)
    before = seen(folder, "dir")
    run(folder, f"maildir:{folder}/dir", folder / "box")
    assert [row[0] for row in seen(folder, "box")] == [row[0] for row in before]
    run(folder, folder / "box", folder / "back")
    unquoted = [(uid, re.sub(rb"(?m)^>+From MAILER", b"From MAILER", text), was) for uid, text, was in before]
    after = [
        (uid, re.sub(rb"(?m)^>+From MAILER", b"From MAILER", text), was) for uid, text, was in seen(folder, "back")
    ]
    assert after == unquoted
    flags_before = sorted(name.partition(".")[2][1:] for name in os.listdir(folder / "dir/cur"))
    assert sorted(name.partition(":")[2] for name in os.listdir(folder / "back/cur")) == [
        name.partition(":")[2] for name in flags_before
    ]


@settings(max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(CONTENT, max_size=5))
def test_any_mbox_there_and_back_is_the_same_file(folder, bodies):
    """It ends in an empty line, as delivery agents leave it."""
    for name in ("dir", "state"):
        shutil.rmtree(folder / name, ignore_errors=True)
    (folder / "again").unlink(missing_ok=True)
    (folder / "state").mkdir()
    texts = [body.replace(b"\n\n" + FROM[:5], b"\n\n>From ") for body in bodies]
    data = b"".join(FROM % 1 + b"To: x\n\nx" + text + b"\n" for text in texts)
    (folder / "box").write_bytes(data)
    before = seen(folder, "box")
    run(folder, folder / "box", folder / "dir")
    run(folder, folder / "dir", folder / "again")
    assert (folder / "again").read_bytes() == data
    assert seen(folder, "again") == before


# -- what is refused ----------------------------------------------------------------------------------------------


def test_a_target_that_holds_mail_is_refused_unless_it_is_added_to(filled):
    run(filled, filled / "box", filled / "dir")
    with pytest.raises(MaildropUnusable, match="holds 8 messages; --append"):
        run(filled, filled / "box", filled / "dir")
    (filled / "other").write_bytes(message(9))
    before = seen(filled, "dir")
    with pytest.raises(MaildropUnusable, match="holds mail; --append"):
        run(filled, filled / "dir", filled / "other")
    run(filled, "--append", filled / "dir", filled / "other")
    assert (filled / "other").read_bytes() == message(9) + b"".join(MAIL)
    assert [uid for uid, _, _ in seen(filled, "other")][1:] == [uid for uid, _, _ in before]


@pytest.mark.parametrize("end", [b"", b"\n", b"\n\n", b"\r\n\r\n"])
def test_what_is_added_begins_after_an_empty_line(filled, end):
    run(filled, filled / "box", filled / "dir")
    (filled / "other").write_bytes(FROM % 9 + b"To: x\n\nbody" + end)
    run(filled, "--append", filled / "dir", filled / "other")
    rows = seen(filled, "other")
    assert len(rows) == 1 + len(MAIL)
    assert rows[0][1].rstrip() == b"To: x\r\n\r\nbody"


def test_what_was_put_there_once_is_not_put_there_twice(filled, capsys):
    """So a source can be converted again for what came later."""
    run(filled, filled / "box", filled / "dir")
    before = seen(filled, "dir")
    with open(filled / "box", "ab") as file:
        file.write(message(10))
    run(filled, "--append", filled / "box", filled / "dir")
    assert "8 of them were there already" in capsys.readouterr().out
    after = seen(filled, "dir")
    assert after[:-1] == before
    assert b"<10@x>" in after[-1][1]


@pytest.mark.parametrize(
    ("words", "error", "what"),
    [
        (("none", "dir"), MaildropUnusable, "no such mailbox"),
        (("box", "mbox:other"), ConfigurationError, "nothing to convert"),
        (("folder", "dir"), MaildropUnusable, "no Maildir"),
        (("box", "folder"), MaildropUnusable, "no Maildir"),
        (("maildir:box", "other"), MaildropTrouble, "Not a directory|no Maildir"),
        (("text", "dir"), MaildropUnusable, "not an mbox"),
    ],
)
def test_what_cannot_be_converted_is_named(filled, monkeypatch, words, error, what):
    (filled / "folder").mkdir()
    (filled / "text").write_bytes(b"no mail\n")
    monkeypatch.chdir(filled)
    before = sorted(os.listdir(filled))
    with pytest.raises((error, MaildropUnusable), match=what):
        run(filled, *words)
    assert sorted(os.listdir(filled)) == before


def test_a_dry_run_converts_nothing(filled, capsys):
    before = sorted(filled.rglob("*"))
    run(filled, "--dry-run", filled / "box", filled / "dir")
    assert "would convert 8 messages" in capsys.readouterr().out
    assert [path for path in sorted(filled.rglob("*")) if path.parent.name != "state"] == before


def test_the_source_is_held_by_its_locks(filled):
    locks = Dotlocks()
    assert locks.create(str(filled / "box"))
    with pytest.raises(MaildropBusy):
        run(filled, filled / "box", filled / "dir", locks__timeout=0)
    locks.remove(str(filled / "box"))
    assert not (filled / "dir").exists()


def test_a_session_that_is_there_is_not_disturbed(filled):
    store = open_store(str(filled / "box"), USER, str(filled / "state"), Settings(), pytest.fail)
    store.scan()
    with pytest.raises(MaildropBusy):
        run(filled, filled / "box", filled / "dir")
    store.close()


def test_without_a_state_folder_it_is_refused_but_not_where_none_is_wanted(filled):
    made = job(filled, filled / "box", filled / "dir")
    with pytest.raises(MaildropTrouble, match="unique-ids cannot be kept"):
        convert.Job(made.asked, made.settings, USER, made.source, made.target, "", None)
    run(filled, filled / "box", filled / "dir", state_dir="")
    assert len(seen(filled, "dir", state=False)) == 8


def test_a_table_of_overrides_that_is_not_ours_to_write_stops_it(filled):
    (filled / "state/overrides").write_bytes(b"pop3d overrides 2\nx\n")
    with pytest.raises(MaildropTrouble, match="left alone"):
        run(filled, filled / "box", filled / "dir")
    assert (filled / "state/overrides").read_bytes() == b"pop3d overrides 2\nx\n"
    assert sorted(os.listdir(filled)) == ["box", "state"]


def test_an_mmdf_mailbox_is_no_target(filled):
    run(filled, filled / "box", filled / "dir")
    data = b"\1\1\1\1\nA: b\n\nc\n\1\1\1\1\n"
    (filled / "other").write_bytes(data)
    with pytest.raises(MaildropUnusable, match="MMDF"):
        run(filled, "--append", filled / "dir", filled / "other")
    assert (filled / "other").read_bytes() == data


def test_an_mmdf_mailbox_can_be_a_source(filled):
    text = b"Date: Wed, 2 Dec 1992 05:43:22 GMT\n\nc\n"
    (filled / "other").write_bytes(b"\1\1\1\1\n" + text + b"\1\1\1\1\n")
    before = seen(filled, "other")
    run(filled, filled / "other", filled / "dir")
    assert seen(filled, "dir") == before
    (name,) = os.listdir(filled / "dir/new")
    assert name.startswith("723275002.")


# -- the source afterwards ----------------------------------------------------------------------------------------


def test_the_source_is_emptied_on_request_only_and_uids_stay(filled):
    before = seen(filled, "box")
    run(filled, "--remove", filled / "box", filled / "dir")
    assert (filled / "box").read_bytes() == b""
    assert without_status(seen(filled, "dir")) == without_status(before)
    run(filled, "--remove", filled / "dir", filled / "box")
    assert sum(len(os.listdir(filled / "dir" / name)) for name in ("new", "cur", "tmp")) == 0
    assert seen(filled, "box") == before


def test_the_table_holds_what_is_needed_and_no_more(filled):
    run(filled, "--remove", filled / "box", filled / "dir")
    lines = (filled / "state/overrides").read_text().splitlines()[1:]
    assert [line[:2] for line in lines] == ["N "] * 8
    run(filled, "--remove", filled / "dir", filled / "box")
    lines = (filled / "state/overrides").read_text().splitlines()[1:]
    assert [line[:2] for line in lines] == ["H "] * 8


# -- errors and crashes -------------------------------------------------------------------------------------------


class Crash(BaseException):
    pass


@pytest.mark.parametrize("number", range(9))
@pytest.mark.parametrize("target", ["dir", "box2"])
def test_an_error_in_the_middle_leaves_no_target_and_the_source_whole(filled, monkeypatch, number, target):
    source = filled / "box"
    if target == "box2":
        run(filled, filled / "box", filled / "dir0")
        source = filled / "dir0"
    before = seen(filled, source.name)
    left = sorted(os.listdir(filled))
    stop_at(monkeypatch, number, OSError(28, "No space left on device"))
    with pytest.raises(OSError, match="No space"):
        run(filled, source, filled / target)
    monkeypatch.undo()
    assert sorted(os.listdir(filled)) == left
    assert seen(filled, source.name) == before


def stop_at(monkeypatch, number, why):
    """``why`` is raised at the message of that number; at the ninth, before the commit."""
    for kind in (MaildirTarget, MboxTarget):

        def put(self, letter, real=kind.put):
            self.number = getattr(self, "number", -1) + 1
            if self.number == number:
                raise why
            real(self, letter)

        def commit(self):
            raise why

        monkeypatch.setattr(kind, "put", put)
        monkeypatch.setattr(kind, "commit", commit)


def test_an_error_in_the_middle_of_adding_leaves_the_target_as_it_was(filled, monkeypatch):
    run(filled, filled / "box", filled / "dir")
    (filled / "other").write_bytes(message(9))
    stop_at(monkeypatch, 5, OSError(28, "No space left on device"))
    with pytest.raises(OSError, match="No space"):
        run(filled, "--append", filled / "dir", filled / "other")
    assert (filled / "other").read_bytes() == message(9)
    before = sorted((filled / "dir").rglob("*"))
    (filled / "box").write_bytes(message(11))
    with pytest.raises(OSError, match="No space"):
        run(filled, "--append", filled / "box", filled / "dir")
    assert sorted((filled / "dir").rglob("*")) == before


def killed(monkeypatch, number, *jobs):
    """Convert in a process of its own that is killed at that message."""
    child = os.fork()
    if child == 0:
        try:
            for kind in (MaildirTarget, MboxTarget):

                def put(self, letter, real=kind.put):
                    self.number = getattr(self, "number", -1) + 1
                    if self.number == number:
                        os.kill(os.getpid(), signal.SIGKILL)
                    real(self, letter)

                kind.put = put
            for one in jobs:
                one.run()
        finally:
            os._exit(1)
    assert os.WIFSIGNALED(os.waitpid(child, 0)[1])


@pytest.mark.parametrize("number", [0, 1, 7])
def test_after_a_crash_the_next_run_builds_the_maildir_anew(filled, monkeypatch, capsys, number):
    before = seen(filled, "box")
    killed(monkeypatch, number, job(filled, filled / "box", filled / "dir"))
    assert not (filled / "dir").exists()
    assert (filled / "dir.converting").exists()
    run(filled, filled / "box", filled / "dir")
    assert "broke off" in capsys.readouterr().err
    assert without_status(seen(filled, "dir")) == without_status(before)
    assert not (filled / "dir.converting").exists()


@pytest.mark.parametrize("number", [0, 1, 7])
@pytest.mark.parametrize("there", [None, b"", message(9)])
def test_after_a_crash_the_next_run_writes_the_mbox_anew(filled, monkeypatch, capsys, number, there):
    run(filled, filled / "box", filled / "dir")
    if there is not None:
        (filled / "other").write_bytes(there)
    words = ["--append"] * bool(there) + [filled / "dir", filled / "other"]
    killed(monkeypatch, number, job(filled, *words))
    run(filled, *words)
    assert "broke off" in capsys.readouterr().err
    assert (filled / "other").read_bytes() == (there or b"") + b"".join(MAIL)
    assert not (filled / ".other.converting").exists()
    assert not (filled / "other.lock").exists()


def test_what_a_crash_left_is_not_touched_once_other_mail_lies_behind_it(filled, monkeypatch):
    run(filled, filled / "box", filled / "dir")
    (filled / "other").write_bytes(message(9))
    killed(monkeypatch, 3, job(filled, "--append", filled / "dir", filled / "other"))
    with open(filled / "other", "ab") as file:
        file.write(message(12))
    data = (filled / "other").read_bytes()
    with pytest.raises(MaildropUnusable, match="other mail has come behind it"):
        run(filled, "--append", filled / "dir", filled / "other")
    assert (filled / "other").read_bytes() == data


# -- the command, as root for a user, and as that user -------------------------------------------------------------


@pytest.fixture
def open_folder():
    """A folder that every user can come to."""
    folder = Path(tempfile.mkdtemp(prefix="convert-"))
    folder.chmod(0o755)
    yield folder
    shutil.rmtree(folder)


def command(*words, **keywords):
    start = (
        "import sys; sys.path.insert(0, sys.argv.pop(1)); from qpopper_py.tools.command import main; sys.exit(main())"
    )
    line = [sys.executable, "-c", start, str(Path(qpopper_py.__file__).parent.parent), "convert", "--config", "none"]
    return subprocess.run([*line, *map(str, words)], capture_output=True, text=True, timeout=60, **keywords)


@pytest.mark.root
def test_root_converts_as_the_user_even_in_a_spool_that_the_user_may_not_write(open_folder):
    user, uid = "games", 5
    spool, home, state = open_folder / "spool", open_folder / "home", open_folder / "state"
    for path in (spool, home):
        path.mkdir(mode=0o755)
    os.chown(home, uid, 60)
    (spool / user).write_bytes(b"".join(MAIL))
    os.chown(spool / user, uid, 60)
    (spool / user).chmod(0o600)
    options = ["--set", f"state_dir={state}", "--set", f"spool={spool}", "--user", user]
    done = command(*options, "--remove", spool / user, home / "Maildir")
    assert (done.returncode, done.stderr) == (0, "")
    assert (home / "Maildir/cur").stat().st_uid == uid
    assert (spool / user).read_bytes() == b""
    os.unlink(spool / user)
    done = command(*options, home / "Maildir", spool / user)
    assert (done.returncode, done.stderr) == (0, "")
    assert (spool / user).read_bytes() == b"".join(MAIL)
    assert (spool / user).stat().st_uid == uid
    assert os.listdir(spool) == [user]


@pytest.mark.root
def test_root_does_nothing_as_root(tmp_path):
    (tmp_path / "box").write_bytes(b"".join(MAIL))
    done = command("--set", f"state_dir={tmp_path}/state", tmp_path / "box", tmp_path / "dir")
    assert done.returncode == 1
    assert "--user" in done.stderr
    assert sorted(os.listdir(tmp_path)) == ["box"]


def test_a_user_converts_their_own(open_folder):
    if os.geteuid() == 0 and servant() is None:
        pytest.skip("other users cannot run this Python, or read this package")
    (open_folder / "box").write_bytes(b"".join(MAIL))
    keywords = {}
    if os.geteuid() == 0:
        keywords = {"user": 65534, "group": 65534, "extra_groups": []}
        for path in (open_folder, open_folder / "box"):
            os.chown(path, 65534, 65534)
    done = command("--set", f"state_dir={open_folder}/state", open_folder / "box", open_folder / "dir", **keywords)
    assert (done.returncode, done.stderr) == (0, "")
    assert "converted 8 messages" in done.stdout
    assert len(os.listdir(open_folder / "dir/new")) == 4


def test_a_failure_is_one_line_and_exit_status_1(tmp_path):
    done = command(tmp_path / "none", tmp_path / "dir")
    assert done.returncode == 1
    assert done.stderr == f"qpopper-py: {tmp_path}/none: there is no such mailbox\n"


@pytest.mark.parametrize("words", [["--from", "cyrus", "{}/box"], ["cyrus:{}/box"], ["{}/box"]])
def test_a_mailbox_of_cyrus_becomes_a_maildir_with_the_same_sizes_texts_and_uids(folder, words):
    mail = [b"Subject: 1\r\n\r\none\r\n", b"Subject: 2\r\nStatus: RO\r\n\r\n.two\r\n", b"Subject: 3\r\n\r\n\xff\r\n"]
    spool(folder / "box", mail, flags=[0, EXPUNGED, SEEN], numbers=[5, 6, 9])
    before = {path.name: path.read_bytes() for path in (folder / "box").iterdir()}
    assert run(folder, *[word.format(folder) for word in words], f"{folder}/md") is None
    assert seen(folder, "md") == [("1280000000.5", mail[0], False), ("1280000000.9", mail[2], True)]
    assert {path.name: path.read_bytes() for path in (folder / "box").iterdir()} == before


@pytest.mark.parametrize("words", [["--remove", "cyrus:{}/box", "{}/md"], ["{}/box", "cyrus:{}/md"]])
def test_a_spool_of_cyrus_is_never_written(folder, words):
    spool(folder / "box", [b"Subject: 1\r\n\r\n"])
    with pytest.raises(ConfigurationError):
        run(folder, *[word.format(folder) for word in words])
