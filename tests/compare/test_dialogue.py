"""The same random script, on the same random mailbox, to the real popa3d and to us in its place: the same octets.

Replies, listings, messages, and the mailbox that is left; but for the short list of differences.py.
QPOPPER_COMPARE_EXAMPLES says how many are tried; ``make compare`` tries many.
"""

from __future__ import annotations

import re
import shutil
from collections.abc import Iterator

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from tests.harness import command, environment, servant

from .differences import FROM, LOGIN, MANNERS, ONE, Manner
from .opponents import USER, Meanwhile, Stage, have_mount_namespaces
from .test_compare import EXAMPLES, FIELDS, LINES, MANY, SEPARATORS, WILD

pytestmark = [pytest.mark.root, pytest.mark.client]
SETTINGS = (
    "auth.refusal_delay=0",  # we answer a wrong password later, on purpose
    "guess.delay=0",
    "log.to=syslog",
)


# Each with a Received of its own: two messages alike have one uid there, and two here.
def letter(number: int) -> st.SearchStrategy[bytes]:
    own = b"Received: by host; %d\n" % number
    return st.tuples(
        SEPARATORS,
        st.just(own),
        st.lists(FIELDS, max_size=4).map(b"".join),
        st.just(b"\n"),
        st.lists(LINES.filter(lambda line: not line.startswith(b"From ")), max_size=6).map(b"".join),
        st.just(b"the end\n\n"),
    ).map(b"".join)


BOXES = st.integers(0, 4).flatmap(lambda count: st.tuples(*map(letter, range(count))).map(b"".join))

OTHERS = st.integers(0, 3).flatmap(lambda count: st.tuples(*map(letter, range(5, 5 + count))).map(b"".join))
TWICE = BOXES.map(lambda box: box + box)
WHOLE = WILD.filter(lambda box: not box or box.endswith(b"\n"))  # anything at all, but for sizes that it has wrong

NUMBERS = st.sampled_from([b"1", b"2", b"3", b"4", b"5", b"01"])
ODD = st.sampled_from([b"0", b"-1", b"1x", b"", b" 1", b"1 ", b"1 1", b"9" * 20, b"1" * 41, b"x", b"1\0", b"\xff"])
VERBS = [b"STAT", b"LIST", b"UIDL", b"NOOP", b"RSET", b"LAST", b"RETR", b"DELE", b"TOP", b"stat", b"Dele", b"rETR"]
WORDS = st.one_of(NUMBERS, NUMBERS, ODD)
COMMANDS = st.one_of(
    st.sampled_from(VERBS),
    st.sampled_from([b"LIST", b"UIDL", b"STAT", b"LAST"]),
    st.tuples(st.sampled_from([b"RETR", b"DELE", b"LIST", b"UIDL"]), NUMBERS).map(b" ".join),
    st.tuples(st.just(b"TOP"), NUMBERS, st.sampled_from([b"0", b"1", b"2", b"100"])).map(b" ".join),
    st.tuples(st.sampled_from(VERBS), WORDS).map(b" ".join),
    st.tuples(st.just(b"TOP"), WORDS, WORDS).map(b" ".join),
)
# Nobody's commands, or commands of the other state, or of other servers.
STRANGE = st.sampled_from(
    [
        b"",
        b" ",
        b"  STAT",
        b"STAT ",
        b"STAT  ",
        b"STAT\0",
        b"\0",
        b"STAT\t",
        b"XTND XLST Subject",
        b"XTND",
        b"CAPA",
        b"AUTH",
        b"AUTH PLAIN",
        b"APOP " + USER.encode() + b" " + b"0" * 32,
        b"STLS",
        b"UTF8",
        b"LANG",
        b"QUIT x",
        b"USER",
        b"USER " + b"x" * 41,
        b"USER a b",
        b"PASS",
        b"PASS ",
        b"\xff\xfe",
        b"x" * 126,
        b"x" * 300,
    ]
)
EARLY = st.lists(st.one_of(STRANGE, st.sampled_from([b"PASS any", b"STAT", b"RETR 1"])), max_size=4)
LATE = st.lists(st.one_of(COMMANDS, COMMANDS, COMMANDS, STRANGE, st.just(LOGIN[:-2])), max_size=20)
ENDS = st.sampled_from([[b"QUIT"], [b"QUIT"], [b"quit "], [b"QUIT", b"STAT"], []])
LOGINS = st.sampled_from(
    [
        [b"USER " + USER.encode(), b"PASS any"],
        [b"user " + USER.encode() + b" ", b"pass  with blanks "],
        [b"USER " + USER.encode(), b"PASS", b"PASS ", b"PASS any"],
        [b"USER " + USER.encode(), b"USER nobody", b"PASS any"],
        [b"USER nobody-of-this-name", b"PASS any"],
        [b"USER root", b"PASS any"],
        [b"USER", b"USER " + USER.encode(), b"CAPA", b"PASS any"],
        [],
    ]
)
LINE_ENDS = st.sampled_from([b"\r\n", b"\n"])


@st.composite
def scripts(draw: st.DrawFn) -> bytes:
    lines = [*draw(EARLY), *draw(LOGINS), *draw(LATE), *draw(ENDS)]
    return b"".join(line + draw(LINE_ENDS) for line in lines)


@pytest.fixture(scope="module")
def stage(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    have_mount_namespaces()
    if servant() is None:
        pytest.skip("other users cannot read this Python, and root's server refuses to start from it")
    made = Stage(tmp_path_factory.mktemp("stage"))
    yield made
    made.close()


def theirs(stage: Stage, script: bytes, box: bytes, meanwhile: Meanwhile = None) -> tuple[bytes, bytes]:
    return stage.answers([str(stage.programs / "usr/sbin/popa3d")], stage.theirs, script, box, meanwhile)


def ours(stage: Stage, script: bytes, box: bytes, meanwhile: Meanwhile = None) -> tuple[bytes, bytes]:
    """As at the first login."""
    shutil.rmtree(stage.folder / "lib/pop3d", ignore_errors=True)
    options = [word for one in SETTINGS for word in ("--set", one)]
    line = [*command(), "--personality", "popa3d", "--config", "none", *options]
    return stage.answers(line, environment(), script, box, meanwhile)


@MANY
@given(script=scripts(), box=BOXES)
@example(script=LOGIN + b"LIST\r\nUIDL\r\nQUIT\r\n", box=b"")
@example(script=LOGIN + b"STAT\r\nQUIT\r\n", box=b"no mailbox at all\n")
@example(script=LOGIN + b"DELE 1\r\nQUIT\r\n", box=FROM + b"Received: x\n\nonly\n\n")
@example(script=LOGIN + b"DELE 1\r\n", box=FROM + b"Received: x\n\nonly\n\n")
def test_every_reply_and_the_mailbox_left_are_those_of_popa3d(stage: Stage, script: bytes, box: bytes) -> None:
    assert ours(stage, script, box) == theirs(stage, script, box)


@MANY
@given(box=TWICE | WHOLE, script=scripts())
def test_of_two_messages_alike_the_second_has_a_suffix_and_nothing_else_differs(
    stage: Stage, box: bytes, script: bytes
) -> None:
    said, left = ours(stage, script, box)
    said = re.sub(rb"(?m)^((?:\+OK )?[1-9][0-9]* [0-9a-f]{16})-\S+(?=\r$)", rb"\1", said)
    assert (said, left) == theirs(stage, script, box)


@settings(MANY, max_examples=max(5, EXAMPLES // 10))  # popa3d waits for a second to be over
@given(box=BOXES, late=letter(9), script=LATE.map(lambda lines: b"".join(line + b"\r\n" for line in [*lines, b"QUIT"])))
def test_mail_that_comes_meanwhile_is_left_and_changes_no_reply(
    stage: Stage, box: bytes, late: bytes, script: bytes
) -> None:
    meanwhile = (LOGIN, 3, box + late)
    mine = ours(stage, script, box, meanwhile)
    assert mine == theirs(stage, script, box, meanwhile)
    assert mine[1].endswith(late)


@settings(MANY, max_examples=max(5, EXAMPLES // 10))
@given(box=BOXES.filter(bool), other=OTHERS, line=st.sampled_from([b"", b"RETR 1\r\n", b"TOP 1 1\r\n"]))
def test_a_mailbox_that_another_program_changed_keeps_what_that_left(
    stage: Stage, box: bytes, other: bytes, line: bytes
) -> None:
    meanwhile = (LOGIN + b"DELE 2\r\n", 4, b"".join((other, FROM, b"Received: by other\n\nnew\n\n")))
    mine, opponent = (ask(stage, line + b"DELE 1\r\nQUIT\r\n", box, meanwhile) for ask in (ours, theirs))
    assert mine[1] == opponent[1] == meanwhile[2]


def test_of_a_changed_mailbox_they_delete_nothing_and_we_what_was_marked_and_is_found_again(stage: Stage) -> None:
    """Two sessions at once must not undo each other's deletions; only what the client marked is ever deleted."""
    one, two, three = (FROM + b"Received: by host; %d\n\ntext\n\n" % number for number in range(3))
    changed = one + three
    meanwhile = (LOGIN + b"DELE 1\r\nDELE 2\r\n", 5, changed)
    assert theirs(stage, b"QUIT\r\n", one + two, meanwhile)[1] == changed
    assert ours(stage, b"QUIT\r\n", one + two, meanwhile)[1] == three


@pytest.mark.parametrize("case", MANNERS, ids=lambda case: case.name)
def test_a_manner_of_theirs_is_as_it_is_written_down(stage: Stage, case: Manner) -> None:
    assert theirs(stage, case.script, ONE)[0] == b"+OK\r\n" + case.theirs
    assert ours(stage, case.script, ONE)[0] == b"+OK\r\n" + case.ours
