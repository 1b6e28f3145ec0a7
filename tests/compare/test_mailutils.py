"""Random commands before the real GNU mailutils pop3d and before us in its place: the same words, state by state.

The mailboxes have an X-UIDL header in each message: what mailutils adds of its own changes its sizes in mid-session.
Where we answer otherwise is in DIFFERENCES, each with its reason.  QPOPPER_COMPARE_EXAMPLES says how many are tried.
"""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from qpopper_py.auth.account import Account, Denied
from qpopper_py.facts import Facts, Listener
from qpopper_py.logs.records import records, style
from qpopper_py.personality import mailutils
from qpopper_py.personality.mailutils import blocks, language
from qpopper_py.serve import access
from qpopper_py.serve.limits import Limits
from qpopper_py.settings import Settings
from qpopper_py.store.opening import open_store
from tests.harness import stop, wait_until
from tests.session.talking import FakeGate, Talk

from .differences import FROM
from .opponents import PATIENCE, PROPS, UID, USER, Stage, have_mount_namespaces
from .servers import port as free_port

pytestmark = [pytest.mark.root, pytest.mark.client]
MANY = settings(
    max_examples=int(os.environ.get("QPOPPER_COMPARE_EXAMPLES", "25")),
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture],
)
BOX = b"".join(
    FROM + b"Subject: %d\nX-UIDL: uid.%d\n\n" % (number, number) + b"line\n.dot\n" * number + b"\n"
    for number in range(1, 5)
)
MULTI = {"capa": 0, "list": 1, "uidl": 1, "retr": 2, "top": 3}  # the words behind which an answer is a listing
NUMBERS = st.sampled_from(["0", "1", "2", "3", "4", "5", "9", "abc", "1 2"])
BEFORE = st.one_of(
    st.sampled_from(
        ["FROB", "NOOP", "STAT", "CAPA", "capa x", "USER", "USER a b", "USER nobody", "AUTH", "AUTH PLAIN"]
    ),
    st.sampled_from(
        ["LAST", "XTND XMIT", "HELP", "PASS x", "RSET", "UIDL", "LIST", "LIST 1", "APOP", "APOP a b", "STLS"]
    ),
    st.sampled_from([f"USER {USER}\nSTAT", "USER nobody\nPASS x", f"USER {USER}\nUSER {USER}", "USER x\nCAPA"]),
)
AFTER = st.one_of(
    st.sampled_from(
        ["FROB", "NOOP", "NOOP x", "STAT", "STAT x", "CAPA", "RSET", "RSET x", "LIST", "UIDL", "RETR", "TOP 1"]
    ),
    st.sampled_from(
        ["USER x", "PASS x", "APOP a b", "AUTH", "LAST", "UTF8", "LANG", "HELP", "TOP", "TOP 9 x y", "QUIT x"]
    ),
    st.sampled_from(["LIST", "RETR", "DELE", "UIDL"]).flatmap(lambda verb: NUMBERS.map(f"{verb} {{}}".format)),
    NUMBERS.filter(str.isdigit).map("TOP {} 0".format),
)


class Permissive(FakeGate):
    """As the stage: the one user is let in by any password."""

    account = Account(USER, UID, UID, "/nonexistent", "", True, "pam")

    def check(self, user: bytes, password: bytes, facts: Facts | None) -> Account | Denied:
        del password, facts
        return self.account if user == USER.encode() else Denied(user.decode(), "unknown")

    def begin(self, mechanism: str, facts: Facts) -> Exchange:
        del mechanism, facts
        return Exchange()


class Exchange:
    """There are no APOP entries."""

    def step(self, data: bytes) -> Denied:
        return Denied(data.decode(), "no entry")


@pytest.fixture(scope="module")
def stage(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    have_mount_namespaces()
    made = Stage(tmp_path_factory.mktemp("stage"))
    yield made
    made.close()


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("ours")


def has_listing(line: str) -> bool:
    words = line.lower().split()
    if not words or words[0] not in MULTI:
        return False
    return len(words) == MULTI[words[0]] or (words[0] in ("list", "uidl", "capa") and len(words) == 1)


def theirs(stage: Stage, script: list[str], box: bytes = BOX, conf: str = "") -> tuple[list[str], bytes]:
    """The answers' lines, and the mailbox afterwards.  ``conf``: more statements of its configuration."""
    path = stage.put(box)
    (stage.folder / "more.conf").write_text(PROPS["pop3d.conf"] + conf)
    dialogue = stage.start("pop3d", "-i", "--no-config", f"--config-file={stage.folder}/more.conf")
    found = []
    try:
        for line in script:
            dialogue.connection.sendall(line.encode() + b"\r\n")
            answer = dialogue.file.readline().decode().strip()
            found.append(answer)
            while answer.startswith("+OK") and has_listing(line) and found[-1] != ".":
                found.append(dialogue.file.readline().decode().rstrip("\r\n"))
    finally:
        dialogue.close()
    return alike(found), path.read_bytes()


def ours(folder: Path, script: list[str], box: bytes = BOX, **more: object) -> tuple[list[str], bytes]:
    (folder / "box").write_bytes(box)
    state = folder / "state"
    state.mkdir(exist_ok=True)
    for record in state.iterdir():
        record.unlink()
    values = {**mailutils.SETTINGS, "mbox.separator": "mailutils3", "locks.dotlock": "try", "locks.kinds": "fcntl"}
    store = open_store(str(folder / "box"), "nobody-of-this-name", str(state), Settings([("test", values)]), print)
    spoken = {**mailutils.SETTINGS, "auth.max_failures": 0, **more}  # it has no end to guessing; ours is of three
    lines = "".join(f"{line}\r\n" for line in script).encode()
    talk = Talk(lines, store=store, gate=Permissive(), settings=spoken, stamp="", dialect=mailutils.DIALECT)
    return alike([line.decode().rstrip("\r\n") for line in talk.lines[1:]]), (folder / "box").read_bytes()


def alike(lines: list[str]) -> list[str]:
    """Without what names the program, and CAPA's line in the one form and the other."""
    kept = [line.strip() for line in lines if not line.startswith("IMPLEMENTATION")]
    return [line.replace("EXPIRENEVER", "EXPIRE NEVER") for line in kept]


def subjects(box: bytes) -> list[bytes]:
    return [line for line in box.split(b"\n") if line.startswith(b"Subject:")]


@MANY
@given(before=st.lists(BEFORE, max_size=8), after=st.lists(AFTER, max_size=14), quits=st.booleans())
def test_the_words_are_mailutils(stage: Stage, folder: Path, before: list[str], after: list[str], quits: bool) -> None:
    script = [line for entry in before for line in entry.split("\n")]
    script += ["NOOP", f"USER {USER}", "PASS any", *after, *(["QUIT"] if quits else [])]
    said, left = theirs(stage, script)
    spoken, kept = ours(folder, script)
    assert spoken == said
    assert subjects(kept) == subjects(left)


class Difference:
    def __init__(self, name: str, why: str, script: list[str], theirs: str, ours: str) -> None:
        self.name = name
        self.why = why
        self.script = script
        self.theirs = theirs
        self.ours = ours


LOGIN = [f"USER {USER}", "PASS any"]
DIFFERENCES = [
    Difference(
        "APOP without a digest",
        "it refuses the login; an argument is missing",
        ["APOP a"],
        "-ERR [AUTH] Bad login",
        "-ERR Invalid arguments",
    ),
    Difference(
        "number and letters",
        "it reads the digits and throws the rest away; RFC 1939 section 3: a number is decimal",
        [*LOGIN, "LIST 1x"],
        "+OK 1 41",
        "-ERR No such message",
    ),
    Difference(
        "TOP of a word",
        "here alone it looks whether that is a number; a message that is no number is none, as for RETR",
        [*LOGIN, "TOP abc 0"],
        "-ERR Invalid arguments",
        "-ERR No such message",
    ),
    Difference(
        "DELE of nothing",
        "it looks for message 0; an argument is missing",
        [*LOGIN, "DELE"],
        "-ERR No such message",
        "-ERR Invalid arguments",
    ),
    Difference(
        "an empty password",
        "PAM is asked, where everybody is let in by none; an empty password is never taken",
        [f"USER {USER}", "PASS"],
        f"+OK opened mailbox for {USER}",
        "-ERR Invalid arguments",
    ),
]


@pytest.mark.parametrize("case", DIFFERENCES, ids=lambda case: case.name)
def test_a_difference_is_as_it_is_written_down(stage: Stage, folder: Path, case: Difference) -> None:
    assert theirs(stage, case.script)[0][-1] == case.theirs
    assert ours(folder, case.script)[0][-1] == case.ours


def test_an_empty_line_is_refused_there_and_passed_over_here(stage: Stage, folder: Path) -> None:
    """UCB popper ignores it, and so do we in every place: clients that send one wait for no answer."""
    assert theirs(stage, ["", "QUIT"])[0] == ["-ERR Invalid command", "+OK"]
    assert ours(folder, ["", "QUIT"])[0] == ["+OK"]


def test_top_sends_one_empty_line_too_many_there(stage: Stage, folder: Path) -> None:
    """RFC 1939 section 7: the headers, the blank line, and the number of lines."""
    script = [*LOGIN, "TOP 1 1"]
    head = ["+OK", "Subject: 1", "X-UIDL: uid.1", ""]
    assert theirs(stage, script)[0][2:] == [*head, "", "line", "."]
    assert ours(folder, script)[0][2:] == [*head, "line", "."]


def test_scan_lines_tells_the_same_numbers(stage: Stage, folder: Path) -> None:
    script = [*LOGIN, "LIST", "LIST 2", "CAPA"]
    assert ours(folder, script, scan_lines=True)[0] == theirs(stage, script, conf="scan-lines yes;")[0]


def test_undelete_shows_what_a_mail_reader_marked(stage: Stage, folder: Path) -> None:
    box = BOX.replace(b"Subject: 2\n", b"Subject: 2\nStatus: D\n")
    script = [*LOGIN, "STAT", "LIST"]
    assert ours(folder, script, box, deletion_marks="ignored")[0] == theirs(stage, script, box, "undelete yes;")[0]


def test_what_is_no_mailbox_is_told_as_such_here_and_ends_the_session(stage: Stage, folder: Path) -> None:
    """It says that the mailbox is in use, and goes on before the login; whoever tries again has no better luck."""
    script = [*LOGIN, "QUIT"]
    assert theirs(stage, script, b"garbage\n")[0] == ["+OK", "-ERR [IN-USE] Mailbox in use", "+OK"]
    assert ours(folder, script, b"garbage\n")[0] == ["+OK", "-ERR [SYS/PERM] File error"]


def test_what_a_mail_reader_marked_is_taken_back_by_rset_here_alone(stage: Stage, folder: Path) -> None:
    """RFC 1939 section 5: RSET unmarks all that is marked as deleted."""
    box = BOX.replace(b"Subject: 2\n", b"Subject: 2\nStatus: D\n")
    script = [*LOGIN, "STAT", "RSET", "STAT"]
    there, here = theirs(stage, script, box)[0], ours(folder, script, box)[0]
    assert [line.split()[1] for line in (there[2], there[4], here[2], here[4])] == ["3", "3", "3", "4"]


# acl: the real daemon at a port, beside the setting that our personality makes of the same words


@pytest.fixture
def script(stage: Stage) -> Callable[[str], str]:
    def make(text: str) -> str:
        path = stage.folder / "program"
        path.write_text(f"#!/bin/sh\n{text}\n")
        path.chmod(0o755)
        return str(path)

    return make


def let_in_there(stage: Stage, acl: str, server: str = "") -> bool:
    """Whether the real daemon with these rules, for all and for its server, greets a client from 127.0.0.1."""
    port = free_port()
    conf = stage.folder / "daemon.conf"
    more = f"mode daemon; foreground yes; logging {{ syslog no; }}; acl {{ {acl} }};\n"
    conf.write_text(PROPS["pop3d.conf"] + more + f"server 127.0.0.1:{port} {{ acl {{ {server} }}; }};\n")
    inside = ["nsenter", f"--mount=/proc/{stage.keeper.pid}/ns/mnt", "--wd=/"]
    line = [*inside, str(stage.programs / "usr/sbin/pop3d"), "--no-config", f"--config-file={conf}"]
    daemon = subprocess.Popen(line, stderr=subprocess.DEVNULL, env=stage.theirs, start_new_session=True)
    try:
        wait_until(lambda: listens(port) or daemon.poll() is not None, "the real daemon's port")
        with socket.create_connection(("127.0.0.1", port), PATIENCE) as connection:
            return connection.recv(100).startswith(b"+OK")
    finally:
        stop(daemon)
        with contextlib.suppress(ProcessLookupError):  # its child now and then waits for a lock of its own for ever
            os.killpg(daemon.pid, signal.SIGKILL)


def listens(port: int) -> bool:
    """Whether somebody listens there; asked without a connection, which would be one for the rules."""
    rows = Path("/proc/net/tcp").read_text().splitlines()[1:]
    return any(row.split()[1].endswith(f":{port:04X}") and row.split()[3] == "0A" for row in rows)


def let_in_here(acl: str, server: str = "") -> bool:
    def rules(text: str) -> list[str]:
        return [blocks.access_rule(one) for one in language.parse(text, "acl")]

    facts = Facts("s", peer="127.0.0.1", peer_port=4711, listener=Listener(access=tuple(rules(server))))
    settings = Settings([("test", {"access": rules(acl)})])
    table = Limits(settings, lambda _event: None)
    return table.admit(facts.peer, facts.listener.access) and access.admitted(facts, settings, lambda _event: None)


@pytest.mark.parametrize(
    ("acl", "server"),
    [
        ("deny 127.0.0.1;", ""),
        ("allow 127.0.0.0/8; deny any;", ""),
        ("deny 192.0.2.0/24;", ""),
        ('log any; log any "from ${address}"; deny any;', ""),
        ("allow any;", "deny any;"),
        ("deny any;", "allow any;"),
        ("allow any;", "allow 127.0.0.1; deny any;"),
    ],
)
def test_an_acl_lets_in_whom_it_let_in_there(stage: Stage, acl: str, server: str) -> None:
    assert let_in_here(acl, server) == let_in_there(stage, acl, server)


@pytest.mark.parametrize(
    ("text", "acl", "let_in"),
    [
        ("exit 0", "ifexec any {}; deny any;", True),
        ("exit 1", "ifexec any {}; allow any;", False),
        ("exit 0", "exec any {}; deny any;", False),
        ("exit 1", "exec any {}; allow any;", True),
        ("exit 1", "allow 127.0.0.1; ifexec any {};", True),
        ('test "$1" = 127.0.0.1', 'ifexec any "{} ${{address}}"; deny any;', True),
        (
            'test "$*" = "a b 1 AF_INET c d" -a $# = 4',
            "ifexec any \"{} 'a b' ${{aclno}} $family c\\\\ d\"; deny any;",
            True,
        ),
    ],
)
def test_a_program_of_an_acl_says_what_it_said_there(
    stage: Stage, script: Callable[[str], str], text: str, acl: str, let_in: bool
) -> None:
    acl = acl.format(script(text))
    assert (let_in_there(stage, acl), let_in_here(acl)) == (let_in, let_in)


@pytest.mark.parametrize("text", ["exit 2", "exit 127", "kill -9 $$"])
def test_a_program_that_fails_lets_nobody_in_here(stage: Stage, script: Callable[[str], str], text: str) -> None:
    """The manual: "otherwise, deny it".  The program goes on to the next rule, which here lets everybody in."""
    acl = f"ifexec any {script(text)}; allow any;"
    assert let_in_there(stage, acl)
    assert not let_in_here(acl)


# The log


def logged_there(stage: Stage, script: list[str], pam: str, hang_up: bool) -> list[str]:
    """What the real program writes of a session, without its own errors."""
    stage.put(BOX)
    (stage.folder / "etc/pam.d/denying").write_text("auth required pam_deny.so\naccount required pam_deny.so\n")
    conf = stage.folder / "log.conf"
    said = PROPS["pop3d.conf"].replace("service pop3d", f"service {pam}")
    conf.write_text(said + "logging { syslog no; print-severity yes; };\n")
    inside = ["nsenter", f"--mount=/proc/{stage.keeper.pid}/ns/mnt", "--wd=/"]
    line = [*inside, str(stage.programs / "usr/sbin/pop3d"), "-i", "--no-config", f"--config-file={conf}"]
    ours, theirs = socket.socketpair()
    ours.settimeout(PATIENCE)
    with theirs:
        server = subprocess.Popen(line, stdin=theirs, stdout=theirs, stderr=subprocess.PIPE, env=stage.theirs)
    with ours, ours.makefile("rb") as file:
        file.readline()
        for words in script:
            ours.sendall(words.encode() + b"\r\n")
            file.readline()
        if not hang_up:
            assert file.read() == b""
    errors = server.communicate(timeout=PATIENCE)[1].decode()
    return [text.removeprefix("pop3d: info: ") for text in errors.splitlines() if ": info: " in text]


def logged_here(folder: Path, script: list[str], let_in: bool) -> list[str]:
    (folder / "box").write_bytes(BOX)
    values = {**mailutils.SETTINGS, "locks.dotlock": "try", "locks.kinds": "fcntl"}
    store = open_store(str(folder / "box"), "nobody-of-this-name", "", Settings([("test", values)]), print)
    store.place = f"/var/mail/{USER}"
    gate = Permissive() if let_in else Denying()
    lines = "".join(f"{line}\r\n" for line in script).encode()
    talk = Talk(lines, store=store, gate=gate, settings=mailutils.SETTINGS, dialect=mailutils.DIALECT)
    forms = style("mailutils")
    return [text for event in talk.events for level, text in records(event, False, False, forms=forms) if level == 6]


class Denying(Permissive):
    """Nobody's password is right; of names that are no account's it says a tag."""

    def check(self, user: bytes, password: bytes, facts: Facts | None) -> Account | Denied:
        del password, facts
        denied = Denied(user.decode(), "wrong password")
        denied.alias = user.decode() if user == USER.encode() else "(unknown:0)"
        return denied


@pytest.mark.parametrize(
    ("script", "pam", "hang_up"),
    [
        ([*LOGIN, "QUIT"], "pop3d", False),
        ([*LOGIN, "STAT", "FROB", "QUIT"], "pop3d", False),
        (["QUIT"], "pop3d", False),
        ([*LOGIN, "QUIT"], "denying", False),
        (["USER nobodyhere", "PASS x", "QUIT"], "denying", False),
        (LOGIN, "pop3d", True),
        ([], "pop3d", True),
    ],
)
def test_a_session_is_logged_as_there(stage: Stage, folder: Path, script: list[str], pam: str, hang_up: bool) -> None:
    there = [text.replace("nobodyhere", "(unknown:0)") for text in logged_there(stage, script, pam, hang_up)]
    assert logged_here(folder, script, pam == "pop3d") == there
