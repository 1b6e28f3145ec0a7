"""XTND XMIT's delivery: reference 4.5, sendmail(8) for -i -t -oem -f, and the limits of pop3d.toml(5)."""

from __future__ import annotations

import logging
import os
import signal
import stat
import subprocess
import sys
import threading
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

import qpopper_py
from qpopper_py import events, libraries
from qpopper_py.errors import MissingLibrary, Refused, TryLater
from qpopper_py.facts import Facts
from qpopper_py.session.mailer import Mailer
from qpopper_py.session.recipients import HEADER, count_recipients
from qpopper_py.settings import Settings

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

MESSAGE = b"To: joe@example.org\nSubject: hello\n\nbody\n.\n..\nlast\n"
FAKE = """#!/bin/sh
cd {folder} || exit 99
cat /proc/$$/environ > environ
ls -l /proc/$$/fd > descriptors
cut -d' ' -f1,6,7 /proc/$$/stat > session
readlink /proc/self/cwd > /dev/null
printf '%s\\n' "$OLDPWD" > cwd
id -u > uid
stat -L -c '%F %a %h' /proc/self/fd/0 > stdin.stat
for word; do printf '%s\\0' "$word"; done > argv
cat > stdin
{then}
"""


class Fake:
    """A sendmail that writes down how it was called."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.path = folder / "sendmail"
        self.then("exit 0")

    def then(self, script: str) -> None:
        self.path.write_text(FAKE.format(folder=self.folder, then=script))
        self.path.chmod(0o755)

    def saw(self, what: str) -> bytes:
        return (self.folder / what).read_bytes()

    @property
    def ran(self) -> bool:
        return (self.folder / "stdin").exists()

    @property
    def argv(self) -> list[str]:
        return self.saw("argv").decode().split("\0")[:-1]


class Post:
    """Mailers of one user, with what they emitted."""

    def __init__(self, fake: Fake, state: Path) -> None:
        self.fake = fake
        self.state = state
        self.said: list[events.Event] = []
        self.now = 1_800_000_000.0

    def mailer(
        self, user: str = "fred", system_user: bool = True, state: str | None = None, **values: object
    ) -> Mailer:
        values = {"sendmail": str(self.fake.path), **{name.replace("__", "."): value for name, value in values.items()}}
        settings = Settings([("test", values)])
        state = str(self.state) if state is None else state
        return Mailer(settings, self.said.append, Facts("s1"), user, system_user, state, lambda: self.now)

    def submitted(self) -> list[tuple[str, int, int, int]]:
        found = [event for event in self.said if isinstance(event, events.Submitted)]
        return [(event.user, event.octets, event.recipients, event.status) for event in found]

    def troubles(self) -> list[str]:
        return [event.what for event in self.said if isinstance(event, events.Trouble)]


@pytest.fixture
def fake(tmp_path: Path) -> Fake:
    folder = tmp_path / "mta"
    folder.mkdir()
    return Fake(folder)


@pytest.fixture
def post(fake: Fake, tmp_path: Path) -> Post:
    state = tmp_path / "state"
    state.mkdir(mode=0o700)
    return Post(fake, state)


def submit(mailer: Mailer, message: bytes = MESSAGE) -> None:
    draft = mailer.begin()
    draft.write(message)
    draft.send()


def to(count: int) -> bytes:
    return b"To: " + b", ".join(b"u%d@example.org" % n for n in range(count)) + b"\n\n.\n"


# How the mailer is called


def test_the_mailer_is_called_with_i_t_oem_and_nothing_else(post: Post, fake: Fake) -> None:
    submit(post.mailer())
    assert fake.argv == ["-i", "-t", "-oem"]


def test_the_mailer_gets_the_message_octet_for_octet(post: Post, fake: Fake) -> None:
    message = MESSAGE + bytes(range(256)) * 3000
    draft = post.mailer().begin()
    for start in range(0, len(message), 1000):
        draft.write(message[start : start + 1000])
    draft.send()
    assert fake.saw("stdin") == message


def test_the_mailer_reads_a_plain_file_without_a_name_that_only_the_user_can_read(post: Post, fake: Fake) -> None:
    submit(post.mailer())
    assert fake.saw("stdin.stat") == b"regular file 600 0\n"


def test_the_mailer_has_a_clean_environment(post: Post, fake: Fake, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LD_PRELOAD_NOT", "x")
    monkeypatch.setenv("MAIL_CONFIG", "/tmp/evil")
    submit(post.mailer(user="someone-else"))
    names = {pair.partition(b"=")[0] for pair in fake.saw("environ").split(b"\0") if pair}
    assert names == {b"PATH", b"LC_ALL", b"LOGNAME", b"USER"}
    assert b"someone-else" not in fake.saw("environ")


def test_the_mailer_runs_in_the_root_folder_without_a_terminal_in_a_session_of_its_own(post: Post, fake: Fake) -> None:
    submit(post.mailer())
    pid, session, terminal = fake.saw("session").split()
    assert (fake.saw("cwd"), session, terminal) == (b"/\n", pid, b"0")


def test_the_mailer_runs_as_whoever_the_session_is(post: Post, fake: Fake) -> None:
    submit(post.mailer())
    assert int(fake.saw("uid")) == os.geteuid()


def test_the_mailer_inherits_no_descriptor_but_the_three(post: Post, fake: Fake, tmp_path: Path) -> None:
    leak = os.open(tmp_path / "connection", os.O_CREAT | os.O_RDWR)
    os.set_inheritable(leak, True)
    try:
        submit(post.mailer())
    finally:
        os.close(leak)
    assert b"connection" not in fake.saw("descriptors")


def test_words_for_a_shell_are_only_words(post: Post, fake: Fake) -> None:
    submit(post.mailer(user="$USER`id`", xmit_sender="%u"))
    assert fake.argv[-1] == "$USER`id`"


# The envelope sender


def test_the_sender_is_the_template_with_the_user_in_it(post: Post, fake: Fake) -> None:
    submit(post.mailer(xmit_sender="%u+100%%@example.org"))
    assert fake.argv == ["-i", "-t", "-oem", "-f", "fred+100%@example.org"]


@pytest.mark.parametrize("user", ["-oQ/tmp", "-", "a b", "a\nb", "a>b", 'a"b', "caf\u00e9", "\udce9", "a\0b", "a,b"])
def test_a_user_who_could_be_an_option_or_a_syntax_is_no_sender(post: Post, fake: Fake, user: str) -> None:
    for template in ("%u", "%u@example.org", "x%u@example.org"):
        with pytest.raises(Refused) as refused:
            post.mailer(user=user, xmit_sender=template).begin()
        assert refused.value.code == "SYS/PERM"
    assert not fake.ran


def test_without_a_configured_sender_no_name_reaches_the_command_line(post: Post, fake: Fake) -> None:
    submit(post.mailer(user="-oQ/tmp"))
    assert fake.argv == ["-i", "-t", "-oem"]


# Who may


@pytest.mark.parametrize(
    ("xmit", "system_user", "may"),
    [
        ("off", True, False),
        ("off", False, False),
        ("system-users", True, True),
        ("system-users", False, False),
        ("all", True, True),
        ("all", False, True),
    ],
)
def test_who_may_send(post: Post, fake: Fake, xmit: str, system_user: bool, may: bool) -> None:
    mailer = post.mailer(system_user=system_user, xmit=xmit)
    if may:
        submit(mailer)
    else:
        with pytest.raises(Refused):
            mailer.begin()
    assert fake.ran is may


@pytest.mark.parametrize("how", ["missing", "a folder", "not executable"])
def test_a_mailer_that_cannot_be_run_is_refused_before_the_message_and_named_in_the_log(
    post: Post, fake: Fake, how: str
) -> None:
    fake.path.unlink()
    if how == "a folder":
        fake.path.mkdir()
    elif how == "not executable":
        fake.path.write_text("#!/bin/sh\n")
        fake.path.chmod(0o644)
    with pytest.raises(Refused, match=r"^Unable to send message$") as refused:
        post.mailer().begin()
    assert refused.value.code == "SYS/PERM"
    assert str(fake.path) in post.troubles()[0]


def test_a_mailer_that_is_no_program_is_a_failure(post: Post, fake: Fake) -> None:
    fake.path.write_bytes(b"\x7fELF nothing of the kind")
    draft = post.mailer().begin()
    draft.write(MESSAGE)
    with pytest.raises(Refused, match=r"^Unable to send message$"):
        draft.send()
    assert str(fake.path) in post.troubles()[0]


def test_without_the_library_sending_is_refused_and_the_log_says_what_to_install(
    post: Post, fake: Fake, monkeypatch: pytest.MonkeyPatch
) -> None:
    def need(module: str) -> None:
        raise MissingLibrary(f"install python3-{module}")

    monkeypatch.setattr(libraries, "need", need)
    with pytest.raises(Refused, match=r"^Unable to send message$") as refused:
        post.mailer().begin()
    assert refused.value.code == "SYS/PERM"
    assert post.troubles() == ["install python3-sh"]


# What becomes of it


def test_a_message_that_was_sent_is_one_event(post: Post) -> None:
    submit(post.mailer())
    assert post.submitted() == [("fred", len(MESSAGE), 1, 0)]
    assert post.troubles() == []


@pytest.mark.parametrize(
    ("then", "status"),
    [("exit 75", 75), ("exit 77", 77), ("exit 255", 255), ("kill -TERM $$", -15), ("kill -9 $$", -9)],
)
def test_a_failure_of_the_mailer_is_refused_without_its_output(post: Post, fake: Fake, then: str, status: int) -> None:
    fake.then(f"echo secret out; echo secret err >&2; {then}")
    with pytest.raises(Refused) as refused:
        submit(post.mailer())
    assert (refused.value.text, refused.value.code) == ("Unable to send message", "")
    assert post.submitted() == [("fred", len(MESSAGE), 1, status)]
    assert "secret out" in post.troubles()[0]
    assert "secret err" in post.troubles()[0]


def test_output_of_the_mailer_is_bounded_in_the_log(post: Post, fake: Fake) -> None:
    fake.then("head -c 3000000 /dev/zero | tr '\\0' x; exit 1")
    with pytest.raises(Refused):
        submit(post.mailer())
    assert len(post.troubles()[0]) < 1000


def test_output_of_a_mailer_that_succeeds_goes_nowhere(
    post: Post, fake: Fake, capfd: pytest.CaptureFixture[str]
) -> None:
    fake.then("echo noise; echo noise >&2; exit 0")
    submit(post.mailer())
    assert capfd.readouterr() == ("", "")
    assert post.troubles() == []


def test_a_mailer_that_takes_too_long_is_ended_with_all_that_it_started(post: Post, fake: Fake) -> None:
    os.mkfifo(fake.folder / "alive")
    reader = os.open(fake.folder / "alive", os.O_RDONLY | os.O_NONBLOCK)
    fake.then("exec 3>alive; (sleep 1000; echo sent >&3) & wait")
    with pytest.raises(Refused, match=r"^Unable to send message$"):
        submit(post.mailer(limits__xmit_seconds=1))
    os.set_blocking(reader, True)
    assert os.read(reader, 10) == b""  # end of file: nobody is left who could write
    os.close(reader)
    assert post.submitted() == [("fred", len(MESSAGE), 1, -9)]


def test_a_process_that_the_mailer_leaves_behind_is_not_waited_for(post: Post, fake: Fake) -> None:
    fake.then("sleep 1000 & echo $! > left; exit 0")
    submit(post.mailer(limits__xmit_seconds=30))
    os.kill(int(fake.saw("left")), signal.SIGKILL)
    assert post.submitted()[0][3] == 0


@pytest.mark.parametrize("handler", [signal.SIG_IGN, lambda *_: os.waitpid(-1, os.WNOHANG)])
def test_a_failure_is_seen_whatever_the_process_does_with_its_children(
    post: Post, fake: Fake, handler: Callable[..., object]
) -> None:
    fake.then("exit 75")
    before = signal.signal(signal.SIGCHLD, handler)  # type: ignore[arg-type]
    try:
        with pytest.raises(Refused):
            submit(post.mailer())
        assert signal.getsignal(signal.SIGCHLD) is handler
    finally:
        signal.signal(signal.SIGCHLD, before)
    assert post.submitted()[0][3] == 75


def test_where_nobody_could_tell_how_the_mailer_ended_it_is_not_run(post: Post, fake: Fake) -> None:
    refused: list[Exception] = []

    def send() -> None:
        try:
            submit(post.mailer())
        except Refused as why:
            refused.append(why)

    before = signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # only the main thread could change that
    try:
        thread = threading.Thread(target=send)
        thread.start()
        thread.join()
    finally:
        signal.signal(signal.SIGCHLD, before)
    assert [str(why) for why in refused] == ["Unable to send message"]
    assert not fake.ran
    assert str(fake.path) in post.troubles()[0]


def test_a_mailer_that_goes_away_while_the_message_comes_is_a_failure(post: Post, fake: Fake) -> None:
    draft = post.mailer().begin()
    draft.write(MESSAGE)
    fake.path.unlink()
    with pytest.raises(Refused, match=r"^Unable to send message$"):
        draft.send()
    assert str(fake.path) in post.troubles()[0]


def test_a_session_in_a_thread_can_send(post: Post, fake: Fake) -> None:
    thread = threading.Thread(target=lambda: submit(post.mailer()))
    thread.start()
    thread.join()
    assert fake.saw("stdin") == MESSAGE


def test_a_discarded_draft_sends_nothing_and_leaves_no_file(post: Post, fake: Fake) -> None:
    draft = post.mailer().begin()
    draft.write(MESSAGE)
    draft.discard()
    draft.discard()
    assert not fake.ran
    assert post.submitted() == []
    assert all(name == "xmit" for name in os.listdir(post.state))


@pytest.mark.parametrize("then", ["exit 0", "exit 1"])
def test_no_file_and_no_descriptor_is_left_behind(post: Post, fake: Fake, then: str) -> None:
    fake.then(then)
    mailer = post.mailer()
    try:
        submit(mailer)  # libraries open what they like the first time
    except Refused:
        pass
    before = sorted(os.listdir("/proc/self/fd"))
    for _ in range(3):
        try:
            submit(mailer)
        except Refused:
            assert then == "exit 1"
    assert sorted(os.listdir("/proc/self/fd")) == before
    assert os.listdir(post.state) == ["xmit"]


def test_the_message_is_never_in_the_log_of_the_library(post: Post, caplog: pytest.LogCaptureFixture) -> None:
    logging.getLogger().setLevel(logging.DEBUG)
    with caplog.at_level(logging.DEBUG):
        submit(post.mailer())
    assert [record for record in caplog.records if record.name.startswith("sh")] == []


def test_a_full_disk_is_our_trouble_and_sends_nothing(post: Post, fake: Fake) -> None:
    draft = post.mailer().begin()
    draft.file.close()
    draft.file = open("/dev/full", "r+b")  # noqa: SIM115  # closed by send()
    for _ in range(100):
        draft.write(b"x" * 10_000)
    with pytest.raises(TryLater, match=r"^Unable to send message$"):
        draft.send()
    assert not fake.ran
    assert "No space left" in post.troubles()[0]


# Limits


def test_a_message_over_the_size_is_refused_and_not_kept(post: Post, fake: Fake) -> None:
    draft = post.mailer(limits__xmit_size=1000).begin()
    draft.write(b"x" * 1000)
    assert not draft.too_large
    draft.write(b"x")
    assert draft.too_large
    for _ in range(100):
        draft.write(b"y" * 1000)
    assert draft.file.tell() == 1000
    with pytest.raises(Refused, match="too large"):
        draft.send()
    assert not fake.ran


def test_messages_of_a_session_are_limited_before_the_message_is_read(post: Post) -> None:
    mailer = post.mailer(limits__xmit_messages=2)
    submit(mailer)
    submit(mailer)
    with pytest.raises(Refused, match="2 in a session"):
        mailer.begin()
    submit(post.mailer(limits__xmit_messages=2))  # another session


def test_recipients_of_a_session_are_limited(post: Post, fake: Fake) -> None:
    mailer = post.mailer(limits__xmit_recipients=5)
    submit(mailer, to(3))
    with pytest.raises(Refused, match="5 in a session"):
        submit(mailer, to(3))
    submit(mailer, to(2))
    with pytest.raises(Refused, match="5 in a session"):
        mailer.begin()
    assert [event[2] for event in post.submitted()] == [3, 2]


def test_messages_of_an_hour_are_limited_over_all_sessions(post: Post) -> None:
    for _ in range(3):
        submit(post.mailer(limits__xmit_messages_hour=3))
    with pytest.raises(Refused, match="3 in an hour"):
        post.mailer(limits__xmit_messages_hour=3).begin()
    post.now += 3600
    submit(post.mailer(limits__xmit_messages_hour=3))


def test_recipients_of_an_hour_are_limited_over_all_sessions(post: Post) -> None:
    limits: dict[str, object] = {"limits__xmit_recipients_hour": 4}
    submit(post.mailer(**limits), to(3))  # type: ignore[arg-type]
    post.now += 1800
    with pytest.raises(Refused, match="4 in an hour"):
        submit(post.mailer(**limits), to(2))  # type: ignore[arg-type]
    submit(post.mailer(**limits), to(1))  # type: ignore[arg-type]
    with pytest.raises(Refused, match="4 in an hour"):
        post.mailer(**limits).begin()  # type: ignore[arg-type]
    post.now += 1801
    submit(post.mailer(**limits), to(3))  # type: ignore[arg-type]


def test_a_failed_delivery_counts_too(post: Post, fake: Fake) -> None:
    fake.then("exit 75")
    mailer = post.mailer(limits__xmit_messages_hour=1)
    with pytest.raises(Refused, match="Unable"):
        submit(mailer)
    with pytest.raises(Refused, match="in an hour"):
        mailer.begin()


def test_a_discarded_draft_does_not_count(post: Post) -> None:
    mailer = post.mailer(limits__xmit_messages=1, limits__xmit_messages_hour=1)
    mailer.begin().discard()
    submit(mailer)


def test_without_a_state_folder_the_hour_holds_for_the_session_and_that_is_reported_once(post: Post) -> None:
    mailer = post.mailer(state="", limits__xmit_messages_hour=2)
    submit(mailer)
    submit(mailer)
    with pytest.raises(Refused, match="2 in an hour"):
        mailer.begin()
    assert len(post.troubles()) == 1
    assert "this session only" in post.troubles()[0]


# The account of an hour


def test_the_account_is_a_private_file_with_a_format_version(post: Post) -> None:
    submit(post.mailer(), to(3))
    account = post.state / "xmit"
    assert account.read_bytes() == b"qpopper_py xmit 1\n%d 1 3\n" % (post.now // 60)
    assert stat.S_IMODE(account.stat().st_mode) == 0o600


def test_the_account_stays_small_however_much_is_sent(post: Post) -> None:
    limits: dict[str, object] = {"limits__xmit_messages_hour": 10**6, "limits__xmit_recipients_hour": 10**6}
    for _ in range(200):
        account = post.mailer(**limits).account()  # type: ignore[arg-type]
        assert account.take(1) == ""
        assert account.take(7) == ""
        post.now += 45
    assert len((post.state / "xmit").read_bytes().splitlines()) <= 61


def test_a_clock_that_was_set_back_locks_nobody_out(post: Post) -> None:
    submit(post.mailer(limits__xmit_messages_hour=1))
    post.now -= 86400
    submit(post.mailer(limits__xmit_messages_hour=1))


@pytest.mark.parametrize(
    "text",
    [b"\0" * 100, b"qpopper_py xmit 1\n1 2", b"qpopper_py xmit 1\n1 -2 3\n", b"something\n", b"qpopper_py xmit \n"],
)
def test_a_damaged_account_is_begun_anew_and_reported(post: Post, text: bytes) -> None:
    (post.state / "xmit").write_bytes(text)
    submit(post.mailer())
    assert "was damaged" in post.troubles()[0]
    assert (post.state / "xmit").read_bytes() == b"qpopper_py xmit 1\n%d 1 1\n" % (post.now // 60)


def test_an_account_of_a_newer_version_is_left_alone(post: Post) -> None:
    (post.state / "xmit").write_bytes(b"qpopper_py xmit 2\nwhatever\n")
    mailer = post.mailer(limits__xmit_messages_hour=1)
    submit(mailer)
    with pytest.raises(Refused, match="1 in an hour"):
        mailer.begin()
    assert (post.state / "xmit").read_bytes() == b"qpopper_py xmit 2\nwhatever\n"
    assert "newer than ours" in post.troubles()[0]


@pytest.mark.parametrize("what", ["link", "pipe", "folder"])
def test_an_account_that_is_no_plain_file_is_not_used(post: Post, tmp_path: Path, what: str) -> None:
    account = post.state / "xmit"
    if what == "link":
        (tmp_path / "victim").write_bytes(b"precious")
        account.symlink_to(tmp_path / "victim")
    elif what == "pipe":
        os.mkfifo(account)
    else:
        account.mkdir()
    submit(post.mailer())
    assert "this session only" in post.troubles()[0]
    if what == "link":
        assert (tmp_path / "victim").read_bytes() == b"precious"


def test_sessions_at_once_together_stay_within_the_hour(post: Post) -> None:
    accounts = [post.mailer(limits__xmit_messages_hour=25).account() for _ in range(4)]
    taken: list[str] = []
    threads = [
        threading.Thread(target=lambda account=account: taken.extend(account.take(1) for _ in range(10)))
        for account in accounts
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(taken) == [""] * 25 + ["messages"] * 15


# Recipients


@pytest.mark.parametrize(
    ("header", "count"),
    [
        (b"To: fred@example.org", 1),
        (b"to : fred", 1),
        (b"TO: a@x, b@x\nCC: c@x\nBcc: d@x,\n e@x\n\tf@x", 6),
        (b'To: Fred Smith <fred@x>, "Joe, at home" <joe@x> (joe@y, that is)', 2),
        (b"To: the boys: a@x, b@x;, c@x", 3),
        (b"Resent-To: a@x\nTo: b@x", 2),
        (b"Subject: to: a@x\nReply-To: a@x\nFrom: a@x", 0),
        (b"To:", 0),
        (b"", 0),
        (b"To: a@x b@x c@x", 3),
        (b'To: "unterminated a@x, b@x, c@x', 3),
        (b"To: a@x\n\nTo: b@x, c@x", 1),
        (b"To: a@x\nTo: b@x\nTo: c@x", 3),
    ],
)
def test_recipients_are_counted(header: bytes, count: int) -> None:
    assert count_recipients(header + b"\n\nTo: nobody@x\n") == count


def test_a_header_too_large_to_be_counted_is_refused() -> None:
    with pytest.raises(Refused, match="header too large"):
        count_recipients(b"To: a@x\nX: " + b"x" * HEADER)


def test_comments_in_comments_are_refused() -> None:
    with pytest.raises(Refused, match="recipients"):
        count_recipients(b"To: " + b"(" * 100_000 + b"\n\n")


@given(
    st.lists(st.from_regex(r"[a-z]{1,8}@[a-z]{1,8}\.org", fullmatch=True), max_size=20),
    st.sampled_from([",", ", ", ",\n "]),
)
def test_a_list_of_plain_addresses_has_as_many_recipients_as_addresses(addresses: list[str], comma: str) -> None:
    assert count_recipients(f"To: {comma.join(addresses)}\n\n".encode()) == len(addresses)


@given(st.binary(max_size=300))
def test_no_header_breaks_the_count(junk: bytes) -> None:
    assert count_recipients(b"To: " + junk + b"\n\n") >= 0


def test_nothing_of_the_library_is_loaded_before_it_is_needed() -> None:
    heavy = ("sh", "email", "tempfile", "re", "logging", "signal", "threading")
    script = f"import qpopper_py.session.mailer, sys; print([name for name in {heavy} if name in sys.modules])"
    root = os.path.dirname(os.path.dirname(qpopper_py.__file__))
    command = [sys.executable, "-S", "-c", script]
    done = subprocess.run(command, capture_output=True, text=True, check=True, env={"PYTHONPATH": root})
    assert done.stdout == "[]\n"
