"""qpopper-py recover, and what a server does when it starts: as the user, whose mailbox it is."""

import os
import shutil
from types import SimpleNamespace

import pytest

from qpopper_py.errors import ConfigurationError
from qpopper_py.events import Trouble
from qpopper_py.settings import Settings
from qpopper_py.store.mbox.upkeep import unfinished
from qpopper_py.tools import command, recover
from tests.harness import Server, open_folder
from tests.inetd.starting import User
from tests.store.boxes import message
from tests.store.torture.crash import Killed, Watch

MAIL = [message(number, b"line of text\n" * 100) for number in range(4)]
LEFT = MAIL[1] + MAIL[3]


def cut_off(spool, state, user, kill=16):
    """A mailbox whose expunge died; in this process, as the user that it is run as."""
    from qpopper_py.store.opening import open_store

    settings = Settings([("test", {"locks.kinds": ["fcntl"]})])
    opened = open_store(f"{spool}/{user}", user, f"{state}/users/{user}", settings, lambda _: None)
    opened.scan()
    try:
        with Watch(kill).standing():
            opened.expunge({0, 2})
    except Killed:
        pass
    opened.close()


@pytest.fixture
def place():
    """A spool, a state folder, the options that name them, and two users with a mailbox each."""
    with open_folder() as folder:
        spool, state = folder / "spool", folder / "state"
        spool.mkdir()
        os.chmod(spool, 0o775)
        (state / "users").mkdir(parents=True)
        for path in (state, state / "users"):
            path.chmod(0o755)  # whatever the umask by now
        with User(spool) as one, User(spool) as other:
            for user in (one, other):
                user.mailbox.write_bytes(b"".join(MAIL))
                os.chown(user.mailbox, user.uid, user.gid)
                (state / "users" / user.name).mkdir(mode=0o700)
                os.chown(state / "users" / user.name, user.uid, user.gid)
            words = ["--config", "none", "--set", f"spool={spool}", "--set", f"state_dir={state}"]
            settings = Settings([("test", {"spool": str(spool), "state_dir": str(state)})])
            yield SimpleNamespace(spool=spool, state=state, users=(one, other), words=words, settings=settings)


def crashed(uid, gid, *arguments):
    """A crash in a process that is that user."""
    child = os.fork()
    if child == 0:
        status = 1
        try:
            if (uid, gid) != (os.geteuid(), os.getegid()):
                os.setgroups([])
                os.setresgid(gid, gid, gid)
                os.setresuid(uid, uid, uid)
            cut_off(*arguments)
            status = 0
        finally:
            os._exit(status)
    assert os.waitpid(child, 0)[1] == 0


def crash(place, *users):
    for user in users:
        crashed(user.uid, user.gid, place.spool, place.state, user.name)
    assert unfinished(str(place.state)) == sorted(user.name for user in users)


@pytest.mark.root
def test_all_that_is_unfinished_is_finished_as_its_user(place, capfd):
    crash(place, *place.users)
    assert command.main(["recover", *place.words, "--all"]) == 0
    told = capfd.readouterr().out
    for user in place.users:
        assert user.mailbox.read_bytes() == LEFT
        assert os.stat(user.mailbox).st_uid == user.uid
        assert f"{user.name}: 1 finished" in told
    assert unfinished(str(place.state)) == []
    assert list(place.spool.glob("*.lock")) == []
    assert command.main(["recover", *place.words, "--all"]) == 0


@pytest.mark.root
def test_one_user_is_left_alone_when_another_is_named(place, capfd):
    one, other = place.users
    crash(place, one, other)
    assert command.main(["recover", *place.words, one.name]) == 0
    assert one.mailbox.read_bytes() == LEFT
    assert unfinished(str(place.state)) == [other.name]
    assert command.main(["recover", *place.words, one.name]) == 0
    assert f"{one.name}: nothing to finish" in capfd.readouterr().out


@pytest.mark.root
def test_what_cannot_be_finished_is_named_and_the_others_are(place, capfd):
    one, other = place.users
    crash(place, one, other)
    os.chown(one.mailbox, 0, 0)
    assert command.main(["recover", *place.words, "--all"]) == 1
    assert f"{one.mailbox}: cannot be opened: Permission denied" in capfd.readouterr().err
    assert other.mailbox.read_bytes() == LEFT


@pytest.mark.root
def test_a_record_of_somebody_who_is_gone_is_named(place, capfd):
    shutil.copytree(place.state / "users" / place.users[0].name, place.state / "users/nobody-of-this-name")
    (place.state / "users/nobody-of-this-name/redo").write_bytes(b"")
    assert command.main(["recover", *place.words, "--all"]) == 1
    assert "nobody-of-this-name" in capfd.readouterr().err


@pytest.mark.root
def test_a_server_that_starts_finishes_it_and_says_so_in_the_log(place):
    crash(place, *place.users)
    log = place.state / "log"

    def emit(event):
        with log.open("a") as file:  # each user's is another process
            file.write(event.what + "\n")

    log.touch()
    log.chmod(0o666)
    recover.at_start(place.settings, emit)
    assert [user.mailbox.read_bytes() for user in place.users] == [LEFT, LEFT]
    assert log.read_text().count("it has been finished") == 2


def test_a_server_that_listens_has_it_finished_before_anybody_logs_in(tmp_path):
    with open_folder() as folder:
        server = Server(folder)
        mailbox = server.fill("alice", [])
        mailbox.write_bytes(b"".join(MAIL))
        state = folder / "state/users/alice"
        state.mkdir(parents=True, mode=0o700)
        for path in (state.parent, state, mailbox):
            server.give(path)
        owner = server.user if server.user is not None else os.geteuid()
        crashed(owner, owner, folder / "mail", folder / "state", "alice")
        with server:
            server.log.wait_for(r"mail/alice: an expunge was cut off; it has been finished")
        assert mailbox.read_bytes() == LEFT


def test_a_trouble_at_start_is_an_event_and_no_end(tmp_path):
    (tmp_path / "users/nobody-of-this-name").mkdir(parents=True)
    (tmp_path / "users/nobody-of-this-name/redo").touch()
    events = []
    recover.at_start(Settings([("test", {"state_dir": str(tmp_path)})]), events.append)
    (event,) = events
    assert isinstance(event, Trouble)
    assert "nobody-of-this-name" in event.what


@pytest.mark.parametrize("words", [[], ["--all", "alice"]])
def test_users_are_named_or_all_are_meant(words):
    with pytest.raises(ConfigurationError, match="--all"):
        recover.main(["--config", "none", *words])


def test_nothing_unfinished_is_said(tmp_path, capsys):
    assert recover.main(["--config", "none", "--set", f"state_dir={tmp_path}", "--all"]) == 0
    assert "nothing is unfinished" in capsys.readouterr().out
