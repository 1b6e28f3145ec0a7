"""The same random script to the real Cyrus pop3d and to us in its place, on mail that its lmtpd delivered.

Ours reads Cyrus' own spool where it lies; where something is deleted, the Maildir that ``qpopper-py convert`` makes of
it.  All is equal but for what names the program, and for the short list CYRUS of differences.py.
QPOPPER_COMPARE_EXAMPLES says how many are tried; ``make compare`` tries many.
"""

from __future__ import annotations

import base64
import re
import socket
import subprocess
from contextlib import contextmanager
from itertools import zip_longest
from typing import TYPE_CHECKING

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from tests.harness import PATIENCE, environment, open_folder, servant

from .differences import CYRUS, Manner
from .opponents import USER, everything
from .servers import SECRET, Cyrus
from .test_compare import EXAMPLES, MANY
from .test_dialogue import COMMANDS, ENDS, STRANGE

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

pytestmark = [pytest.mark.root, pytest.mark.client("saslpasswd2")]
NAME, PASSWORD = USER.encode(), SECRET.encode()
LOGIN = b"USER %s\r\nPASS %s\r\n" % (NAME, PASSWORD)
SETTINGS = (
    "guess.delay=0",
    "log.to=stderr",
    "commands=original",  # of UTF8 and LANG Cyrus knows nothing
)
FIELDS = st.sampled_from(
    [b"Date: Sat, 21 Nov 2026 20:54:57 +0000\r\n", b"Subject: one\r\n two\r\n", b"To: user\r\n", b"Status: RO\r\n"]
)
LINES = st.sampled_from(
    [b"a line", b".", b"..", b".dot", b"", b"From x", b"\xe4\xf6", b"x" * 900, b" ", b"in\rside", b"\t", b"end "]
).map(lambda line: line + b"\r\n")
LETTERS = st.tuples(
    st.just(b"From: carol@example.com\r\n"),
    st.lists(FIELDS, max_size=3).map(b"".join),
    st.just(b"\r\n"),
    st.lists(LINES, max_size=6).map(b"".join),
).map(b"".join)
BOXES = st.lists(LETTERS, max_size=4)
LOGINS = st.sampled_from(
    [
        [b"USER " + NAME, b"PASS " + PASSWORD],
        [b"user   " + NAME, b"pass " + PASSWORD],
        [b"USER " + NAME.upper(), b"PASS " + PASSWORD],
        [b"USER " + NAME, b"PASS wrong", b"PASS " + PASSWORD],
        [b"USER " + NAME, b"USER nobody", b"PASS " + PASSWORD],
        [b"USER " + NAME, b"PASS", b"PASS ", b"CAPA", b"PASS " + PASSWORD],
        [b"USER nobody-of-this-name", b"PASS any"],
        [b"AUTH PLAIN " + base64.b64encode(b"\0%s\0wrong" % NAME)],
        [b"AUTH PLAIN", b"*"],
        [b"AUTH NOSUCH"],
        [],
    ]
)


def alike(line: bytes) -> bool:
    """Whether the two may be asked that: it is in none of the cases of CYRUS."""
    words = line.split()
    verb = words[0].upper() if words else b""
    if b"\0" in line or verb in (b"CAPA", b"APOP") or line == b"AUTH PLAIN":
        return False
    if verb == b"TOP" and (line.endswith(b" ") or not all(word.isdigit() for word in words[1:])):
        return False
    return len(line) < 126 and all(len(word) < 10 for word in words if word.isdigit())


EARLY = st.lists(
    st.one_of(STRANGE, st.sampled_from([b"PASS any", b"STAT", b"RETR 1"])).filter(alike)
    | st.sampled_from([b"CAPA", b"capa "]),
    max_size=4,
)
LATE = st.lists(st.one_of(COMMANDS, COMMANDS, COMMANDS, STRANGE, st.just(LOGIN[:-2])).filter(alike), max_size=20)
MASKS = (
    (rb"(?m)^(\+OK .*\bCyrus POP3) \S+ (server ready)", rb"\1 \2"),
    (rb"(?m)^(\+OK .*\bserver ready) <[^>]*>\r$", rb"\1\r"),
    (rb"(?m)^(\+OK Mailbox locked and ready SESSIONID)=<[^>]*>\r$", rb"\1\r"),
    (rb"(?m)^(IMPLEMENTATION) .*\r$", rb"\1\r"),
)


@st.composite
def scripts(draw: st.DrawFn) -> list[bytes]:
    early, login = draw(EARLY), draw(LOGINS)
    if any(line.startswith(b"AUTH") for line in login):
        early = [line for line in early if not line.startswith(b"USER ")]  # CYRUS has it
    return [*early, *login, *draw(LATE), *draw(ENDS)]


def lines_of(script: list[bytes]) -> bytes:
    return b"".join(line + b"\r\n" for line in script)


class Pair:
    """The real one, and ours, whose state lasts; ``more``: of imapd.conf."""

    def __init__(self, folder: Path, more: str = "") -> None:
        self.folder = folder
        (folder / "cyrus").mkdir()
        (folder / "state").mkdir()
        self.cyrus = Cyrus(folder / "cyrus", more=more)

    def put(self, messages: list[bytes]) -> None:
        """The user's mailbox has these, and no other."""
        count = self.cyrus.answers(LOGIN + b"STAT\r\nQUIT\r\n").split(b"\r\n")[3].split()[1]
        if int(count):
            marks = b"".join(b"DELE %d\r\n" % number for number in range(1, int(count) + 1))
            assert self.cyrus.answers(LOGIN + marks + b"QUIT\r\n").endswith(b"+OK\r\n")
        self.cyrus.deliver(messages)

    def theirs(self, script: bytes) -> bytes:
        return masked(self.cyrus.answers(script))

    @contextmanager
    def started(self, *more: str) -> Iterator[socket.socket]:
        """Ours, as inetd starts it: the client's end of its connection."""
        line = self.cyrus.ours(self.folder / "state", *SETTINGS, *more)
        near, far = socket.socketpair()
        near.settimeout(PATIENCE)
        with far:
            server = subprocess.Popen(
                line, stdin=far, stdout=far, stderr=subprocess.DEVNULL, env=environment(), cwd="/"
            )
        with near:
            yield near
        server.wait(PATIENCE)

    def ours(self, script: bytes, *more: str) -> bytes:
        with self.started(*more) as near:
            return masked(everything(near, script))


@pytest.fixture(scope="module")
def pair() -> Iterator[Pair]:
    if servant() is None:
        pytest.skip("other users cannot read this Python, and root's server refuses to start from it")
    with open_folder() as folder:
        made = Pair(folder)
        try:
            made.cyrus.deliver([b"Subject: the first, with which the mailbox comes\r\n\r\n"])
            yield made
        finally:
            made.cyrus.close()


def masked(said: bytes) -> bytes:
    for pattern, text in MASKS:
        said = re.sub(pattern, text, said)
    return said


@MANY
@given(script=scripts(), box=BOXES)
@example(script=[*LOGIN.split(b"\r\n")[:2], b"STAT", b"LIST", b"UIDL", b"RETR 1", b"TOP 1 0", b"QUIT"], box=[])
def test_in_its_spool_all_that_is_said_is_what_cyrus_says(pair: Pair, script: list[bytes], box: list[bytes]) -> None:
    pair.put(box)
    said = lines_of([line for line in script if not line.upper().startswith(b"DELE")])
    assert pair.ours(said) == pair.theirs(said)


ALL = LOGIN + b"STAT\r\nLIST\r\nUIDL\r\n" + b"".join(b"RETR %d\r\n" % number for number in range(1, 5)) + b"QUIT\r\n"


@settings(MANY, max_examples=max(5, EXAMPLES // 5))
@given(script=scripts(), box=BOXES)
def test_converted_it_is_all_the_same_and_deletions_leave_the_same_mail(
    pair: Pair, script: list[bytes], box: list[bytes]
) -> None:
    pair.put(box)
    moved = pair.cyrus.converted(pair.folder / "state", pair.folder / "maildirs")
    said = lines_of(script)
    assert pair.ours(said, *moved) == pair.theirs(said)
    assert pair.ours(ALL, *moved) == pair.theirs(ALL)


@pytest.mark.parametrize(
    "script",
    [
        [b"AUTH PLAIN " + base64.b64encode(b"\0%s\0%s" % (NAME, PASSWORD))],
        [b"AUTH PLAIN", base64.b64encode(b"\0%s\0%s" % (NAME, PASSWORD))],
        [b"AUTH LOGIN", base64.b64encode(NAME), base64.b64encode(PASSWORD)],
        [b"USER " + NAME, b"AUTH LOGIN", base64.b64encode(NAME), base64.b64encode(PASSWORD)],
        [b"AUTH LOGIN", base64.b64encode(NAME), b"*"],
    ],
)
def test_sasl_says_what_it_says_there(pair: Pair, script: list[bytes]) -> None:
    assert pair.ours(lines_of(script)) == pair.theirs(lines_of(script))


@pytest.mark.parametrize("case", CYRUS, ids=lambda case: case.name)
def test_a_manner_of_cyrus_is_as_it_is_written_down(pair: Pair, case: Manner) -> None:
    """The first line that differs."""
    pair.put([b"From: carol@example.com\r\n\r\ntext\r\n"])
    script = case.script.replace(b"LOGIN\r\n", LOGIN)
    said = zip_longest(pair.theirs(script).split(b"\r\n"), pair.ours(script).split(b"\r\n"), fillvalue=b"")
    assert next(((one, other) for one, other in said if one != other), None) == (case.theirs, case.ours)
