"""What brought other POP3 servers down, thrown at this one: a test for each entry, named by its CVE or its cause.

Entries are Qpopper's and UCB popper's, then Cyrus', Dovecot's, Courier's, mailutils' and popa3d's.  Most cannot exist
here as they were (there is no buffer of fixed size): then what was sent there is sent here, each line must be answered
by one line, and the server must go on, for that client and for the next.
"""

from __future__ import annotations

import base64
import contextlib
import os
import re
import socket
import stat
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from qpopper_py.auth import crypt
from qpopper_py.auth.policy import listed
from qpopper_py.errors import ConfigurationError, MissingLibrary
from qpopper_py.settings import Settings
from tests.harness import APOP_SECRET, PASSWORD, Server, awkward, children, mail, open_folder

if TYPE_CHECKING:
    from collections.abc import Iterator

MB = 1 << 20
STACK = 64 * MB  # what a process may grow by on any of these; the largest input is 20 MB
HERE = Path(__file__).resolve().parent

MAIL = [
    mail("plain", b"text\n"),
    # CVE-2000-0320: a line that fills the buffer, and the next that looks like a separator
    *(
        mail(f"spoof {n}", b"x" * n + b"\nFrom mallory@example.com Fri Nov 20 08:55:46 2026\nSubject: spoofed\n\nx\n")
        for n in (1022, 1023, 1024, 1025, 4096, 5000, 65536)
    ),
    # CVE-2000-0442: the text of From: and of X-UIDL as a format string
    mail("format", b"text\n", b"X-From: %n%n%s%s\nX-UIDL: %n%s%d\n"),
    # unique-ids of any length and any octets (RFC 1939 section 7: 1 to 70 characters from 0x21 to 0x7e)
    mail("long uid", b"text\n", b"X-UIDL: " + b"u" * 5000 + b"\n"),
    mail("odd uid", b"text\n", b"X-UIDL: a\x01b c\xff\n"),
    mail("empty uid", b"text\n", b"X-UIDL:\n"),
]


class Here:
    """A server for the whole file, as alice's and bob's, who has an APOP entry alone."""

    def __init__(self, server: Server) -> None:
        self.server = server

    def said(self, *lines: bytes) -> list[bytes]:
        """The first line of the answer to each line; for all of them the connection holds."""
        with self.server.dialogue() as line:
            assert line.line().startswith(b"+OK")
            return [line.ask(one) for one in lines]

    def mail_said(self, *lines: bytes) -> list[bytes]:
        """The same after a login."""
        with self.server.dialogue() as line:
            assert line.login().startswith(b"+OK")
            return [line.ask(one) for one in lines]

    def goes_on(self) -> None:
        """The next client is served, from the same mailbox."""
        with self.server.dialogue() as line:
            assert line.login().startswith(b"+OK")
            assert line.ask("STAT").split()[1] == b"%d" % len(MAIL)
            assert line.ask("QUIT").startswith(b"+OK")


@pytest.fixture(scope="module")
def served() -> Iterator[Server]:
    settings = {"auth.refusal_delay": 0, "auth.max_failures": 0, "trace.file": ""}
    with open_folder() as folder:
        server = Server(folder, users={"alice": PASSWORD}, apop={"bob": APOP_SECRET}, settings=settings, options=["-d"])
        server.fill("alice", MAIL)
        with server:
            yield server


@pytest.fixture
def here(served: Server) -> Iterator[Here]:
    here = Here(served)
    yield here
    here.goes_on()
    assert "unexpected" not in served.log.text
    assert "Traceback" not in served.log.text


def refused(said: list[bytes]) -> bool:
    """Each answer is a -ERR of a sane length (RFC 2449 section 4: 512 octets)."""
    assert all(one.startswith(b"-ERR ") and len(one) < 512 for one in said), said
    return True


BEFORE_LOGIN = {
    "CVE-1999-0006 PASS of 1 MB": [b"PASS " + b"A" * MB, b"USER alice", b"PASS " + b"A" * MB, b"PASS " + b"A" * 900],
    "CVE-1999-0822 AUTH overflow": [
        b"AUTH " + b"A" * 100_000,
        b"AUTH PLAIN " + base64.b64encode(b"A" * 700),
        b"AUTH PLAIN " + base64.b64encode(b"A" * MB),
    ],
    "CVE-2001-1046 long and odd names": [
        word
        for n in (65, 900, 1000, 100_000)
        for word in (b"USER " + b"n" * n, b"PASS x", b"APOP " + b"n" * n + b" " + b"0" * 32)
    ],
    "CVE-2001-1046 names that become paths": [
        word
        for name in (b"../alice", b"/etc/passwd", b".", b"..", b"a\0b", b"\1\2\x7f", b"-froot", b"alice/", b"~alice")
        for word in (b"USER " + name, b"PASS x", b"APOP " + name + b" " + b"0" * 32)
    ],
    "CVE-2003-0143 MDEF with a long name": [b"MDEF " + b"m" * n + b"(x)" for n in (32, 33, 900, 100_000)],
    "CVE-2006-2502 popsubfolders": [
        word
        for name in (
            b"a" * 1000,
            b"a" * 10_000,
            b"a" * MB,
            b"alice+folder",
            b"alice+" + b"f" * 900,
            b"+",
            b"alice+../x",
        )
        for word in (b"USER " + name, b"PASS x")
    ],
    "Cyrus 8f7378d9ae names at the limit": [
        word
        for name in (*(b"a" * n for n in (63, 64, 65)), *(b"a@" + b"d" * n for n in (251, 252, 253, 254)))
        for word in (b"USER " + name, b"PASS x")
    ],
    "CVE-2017-2669 CVE-2004-0777 a percent sign in names": [
        word
        for name in (b"%", b"%n", b"%s%s%s%n", b"%h", b"%u", b"%%", b"%1000000d", b"${user}", b"{0}", b"\\", b"$(id)")
        for word in (b"USER " + name, b"PASS " + name, b"APOP " + name + b" " + b"0" * 32)
    ],
    "CVE-2019-3814 CVE-2026-24031 CVE-2005-1824 names that are syntax elsewhere": [
        word
        for name in (b"'", b'"', b"*", b"alice)(uid=*", b"alice'--", b"\\", b"';drop", b"alice\\", b"a|b", b"a`b`")
        for word in (b"USER " + name, b"PASS x")
    ],
    "CVE-2019-10691 names that are not UTF-8": [
        word
        for name in (b"\xff\xfe", b"\xc3\x28", b"\xed\xa0\x80", b"a\x80", b"\xf8\x88\x80\x80\x80")
        for word in (b"USER " + name, b"PASS " + name, b"APOP " + name + b" " + b"0" * 32)
    ],
    "CVE-2017-15132 CVE-2025-59028 AUTH aborted, bad base64": [
        word for bad in (b"*", b"=", b"====", b"!!!!", b"\0\0", b"\xff", b"QQ") for word in (b"AUTH PLAIN " + bad, b"*")
    ]
    * 20,
    "iDEFENSE 2005 huge literals": [b"USER {2147483647}", b"PASS x", b"LIST {99999999999}", b"XTND " + b"9" * 5000],
    "Dovecot 2.3.20 a colon in a command": [b"US:ER alice", b":", b"USER: alice", b"APOP:alice x"],
    "Snort sid 1938 XTND overflow": [b"XTND " + b"x" * 900, b"XTND", b"XTND XLST " + b"x" * 900, b"xtnd\txmit"],
}


@pytest.mark.parametrize("lines", BEFORE_LOGIN.values(), ids=BEFORE_LOGIN.keys())
def test_before_login(lines: list[bytes], here: Here) -> None:
    """Nobody gets in, each line is answered once, and the same connection still serves a login."""
    with here.server.dialogue() as line:
        assert line.line().startswith(b"+OK")
        for one in lines:
            said = line.ask(one)
            while said.startswith(b"+ "):  # a server that has SASL asks on
                said = line.ask("*")
            assert said.startswith((b"-ERR", b"+OK Password required for ")), (one[:40], said)
            assert len(said) < 512
        assert line.ask("USER alice").startswith(b"+OK")
        assert line.ask(f"PASS {PASSWORD}").startswith(b"+OK")


NUMBERS = [
    b"0", b"-1", b"+1", b"00", b"1.0", b"1e1", b"0x1", b"1,2", b"1-2", b"*", b"%d", b"%n", b"9" * 900, b"2147483647",
    b"2147483648", b"4294967297", b"18446744073709551617", b"-9223372036854775808", "\u0661".encode(), b"1\0", b"\xff",
    b"A" * 900,
]  # fmt: skip


@pytest.mark.parametrize("command", ["LIST %s", "RETR %s", "DELE %s", "UIDL %s", "TOP %s 1", "XTND XLST Subject %s"])
def test_cve_2000_0096_and_list_0_what_is_no_message_number(command: str, here: Here) -> None:
    """Also message 0 as message 1 (stalwart's test)."""
    before, behind = command.encode().split(b"%s")
    assert refused(here.mail_said(*(before + number + behind for number in NUMBERS)))


@pytest.mark.parametrize("number", [b"-1", b"x", b"1.5", b"9" * 900, b"%n", b"0x10"])
def test_cve_2000_0096_what_is_no_number_of_lines(number: bytes, here: Here) -> None:
    assert refused(here.mail_said(b"TOP 1 " + number))


def test_cve_2000_0320_what_looks_like_a_separator_behind_a_long_line_is_text(here: Here) -> None:
    with here.server.dialogue() as line:
        assert line.login().startswith(b"+OK")
        for number, message in enumerate(MAIL, 1):
            assert line.ask(f"RETR {number}").startswith(b"+OK")
            assert line.body() == message.wire


def test_cve_2000_0442_header_text_is_never_a_format(here: Here) -> None:
    number = next(n for n, message in enumerate(MAIL, 1) if message.name == "format")
    with here.server.dialogue() as line:
        assert line.login().startswith(b"+OK")
        assert line.ask(f"XTND XLST X-From {number}").startswith(b"+OK")
        assert line.body() == b"%d X-From: %%n%%n%%s%%s\r\n" % number
        assert line.ask(f"EUIDL {number}").startswith(b"-ERR")
        assert re.fullmatch(rb"\+OK \d+ [!-~]{1,70}", line.ask(f"UIDL {number}"))


def test_unique_ids_have_a_length_and_octets_that_clients_can_hold(here: Here) -> None:
    """RFC 1939 section 7, UIDL: one to 70 characters in the range 0x21 to 0x7E; each message another."""
    with here.server.dialogue() as line:
        assert line.login().startswith(b"+OK")
        assert line.ask("UIDL").startswith(b"+OK")
        rows = line.body().splitlines()
    assert len(rows) == len({row.split(b" ", 1)[1] for row in rows}) == len(MAIL)
    assert all(re.fullmatch(rb"\d+ [!-~]{1,70}", row) for row in rows), rows


@pytest.mark.root
def test_cve_2000_1198_somebody_elses_lock_is_told_and_respected() -> None:
    """Anybody can make one in a spool that all may write; it is not broken, and the log says whose it is."""
    with open_folder() as folder:
        server = Server(folder, settings={"locks.timeout": 0})
        server.fill("alice", MAIL)
        lock = Path(f"{server.maildrop()}.lock")
        lock.write_text("1\n")
        os.utime(lock, (0, 0))
        os.chown(lock, 12345, -1)
        with server:
            with server.dialogue() as line:
                assert line.login().startswith(b"-ERR [IN-USE]")
                assert line.rest() == b""
            server.log.wait_for(r"Warning: maildrop of alice: .*uid 12345")
            assert lock.exists()
            lock.unlink()
            Here(server).goes_on()


def memory(pid: int) -> int:
    found = re.search(r"^VmHWM:\s*(\d+) kB", Path(f"/proc/{pid}/status").read_text(), re.M)
    return int(found[1]) * 1024 if found else 0


def test_cve_2002_0454_endless_data_without_a_line_end_takes_no_memory_and_ends(here: Here) -> None:
    with here.server.dialogue() as line:
        assert line.line().startswith(b"+OK")
        for _ in range(64):
            line.sock.sendall(b"A" * MB)
        sessions = children(here.server.process.pid)
        assert sessions
        assert max(memory(pid) for pid in sessions) < STACK
        line.sock.shutdown(socket.SHUT_WR)
        assert line.rest() == b""  # an unfinished line is none


@pytest.mark.parametrize("name", [".qpopper-options", ".alice.qpopper-options", ".popbull", ".cyruscache", ".cache"])
def test_cve_2002_0889_cve_2005_1151_no_file_of_a_users_changes_what_the_server_does(name: str, here: Here) -> None:
    """Qpopper read options, trace files and caches from where users write, as root; nothing is read there."""
    mailbox = here.server.maildrop()
    trace = here.server.folder / "mail/traced"
    words = f"set tracefile = '{trace}'\nset bulldir = '{'b' * 5000}'\nset debug\n"
    for path in (mailbox.parent / name, here.server.folder / name):
        path.write_text(words)
        here.server.give(path)
    try:
        here.goes_on()
        assert not trace.exists()
        assert (mailbox.parent / name).read_text() == words
    finally:
        for path in (mailbox.parent / name, here.server.folder / name):
            path.unlink()


@pytest.mark.parametrize("obstacle", ["a link", "a link to nothing", "a fifo"])
def test_cve_2001_1487_a_trace_file_that_is_a_link_is_not_followed(obstacle: str) -> None:
    with open_folder() as folder:
        for name in ("traces", "precious"):
            (folder / name).mkdir()
        victim, trace = folder / "precious/file", folder / "traces/trace"
        if obstacle == "a fifo":
            os.mkfifo(trace)
        else:
            trace.symlink_to(victim)
        if obstacle == "a link":
            victim.write_text("precious")
        server = Server(folder, settings={"trace.file": trace})
        server.give(folder / "traces")
        server.give(folder / "precious")
        server.fill("alice", MAIL)
        with server:
            Here(server).goes_on()
            server.log.wait_for("trace")
        assert victim.read_text() == "precious" if obstacle == "a link" else not victim.exists()


def test_cve_2005_1152_what_the_server_makes_is_its_own_alone_whatever_the_umask() -> None:
    with open_folder() as folder:
        (folder / "traces").mkdir()
        server = Server(folder, settings={"trace.file": folder / "traces/trace"})
        server.give(folder / "traces")
        server.fill("alice", MAIL)
        old = os.umask(0)
        try:
            with server:
                Here(server).goes_on()
        finally:
            os.umask(old)
        made = [folder / "traces/trace", *(path for path in (folder / "state").rglob("*") if path.is_file())]
        assert len(made) > 1
        assert {stat.S_IMODE(path.stat().st_mode) & 0o077 for path in made} == {0}


@pytest.mark.parametrize("path", ["sendmail", "./sendmail", "../sbin/sendmail"])
def test_cve_2003_1452_programs_have_absolute_paths(path: str) -> None:
    """Their environment: tests/session/test_mailer.py."""
    with pytest.raises(ConfigurationError, match="sendmail"):
        Settings([("the test", {"sendmail": path})])


def test_cve_2011_1926_cve_2021_38084_nothing_sent_behind_stls_is_obeyed(here: Here) -> None:
    with here.server.dialogue() as line:
        assert line.line().startswith(b"+OK")
        line.sock.sendall(b"STLS\r\nCAPA\r\nUSER alice\r\n")
        if line.line().startswith(b"+OK"):
            line.sock.shutdown(socket.SHUT_WR)
            assert b"+OK" not in line.rest()
        else:
            assert line.line().startswith(b"+OK")
            assert b"STLS" not in line.body().split()


def test_no_refusal_comes_sooner_than_others_by_whatever_way() -> None:
    """UCB and Qpopper told unknown users by their time, and had no delay after APOP."""
    with open_folder() as folder:
        server = Server(folder, apop={"bob": APOP_SECRET}, settings={"auth.refusal_delay": 1, "auth.max_failures": 0})
        names = ("alice", "bob", "nobody-here", "../x")
        tries = [f"{verb} {name}" for verb in ("PASS", "APOP", "AUTH") for name in names]

        def moment(what: str) -> tuple[bytes, float]:
            verb, name = what.split()
            with server.dialogue() as line:
                assert line.line().startswith(b"+OK")
                if verb == "PASS":
                    line.ask(f"USER {name}")
                began = time.monotonic()
                response = base64.b64encode(f"\0{name}\0wrong".encode()).decode()
                lines = {"PASS": "PASS wrong", "APOP": f"APOP {name} {'0' * 32}", "AUTH": f"AUTH PLAIN {response}"}
                said = line.ask(lines[verb])
                return said.replace(name.encode(), b"NAME"), time.monotonic() - began

        with server, ThreadPoolExecutor(len(tries)) as pool:
            found = list(pool.map(moment, tries))
    assert len({said for said, _ in found}) == 1
    assert min(seconds for _, seconds in found) >= 1


def test_user_does_not_tell_who_has_an_apop_entry(here: Here) -> None:
    said = [here.said(b"USER " + name)[0].replace(name, b"NAME") for name in (b"alice", b"bob", b"nobody-here")]
    assert len(set(said)) == 1


@pytest.mark.parametrize("text", [b"alice\nbob\ncarol", b"alice\r\nbob\r\ncarol\r\n", b"carol"])
def test_the_last_line_of_an_auth_file_counts_and_no_beginning_of_one(text: bytes, tmp_path: Path) -> None:
    """Qpopper cut the last character of each line."""
    path = tmp_path / "auth"
    path.write_bytes(text)
    path.chmod(0o600)
    assert listed("carol", str(path))
    assert not listed("caro", str(path))


def test_no_file_in_a_folder_of_everybodys() -> None:
    """UCB used mktemp and fopen in /tmp.  The server has a TMPDIR of its own here, which stays empty."""

    class Elsewhere(Server):
        def process_options(self) -> dict[str, object]:
            options = super().process_options()
            return {**options, "env": {**options["env"], "TMPDIR": str(self.folder / "tmp")}}  # type: ignore[dict-item]

    with open_folder() as folder:
        server = Elsewhere(folder)
        (folder / "tmp").mkdir()
        server.give(folder / "tmp")
        changed = (folder / "tmp").stat().st_mtime_ns
        server.fill("alice", awkward())
        with server, server.dialogue() as line:
            assert line.login().startswith(b"+OK")
            assert line.ask("DELE 1").startswith(b"+OK")
            assert line.ask("QUIT").startswith(b"+OK")
        assert (folder / "tmp").stat().st_mtime_ns == changed


COMMANDS = [
    "STAT",
    "LIST",
    "RETR",
    "DELE",
    "NOOP",
    "RSET",
    "TOP",
    "UIDL",
    "LAST",
    "CAPA",
    "USER",
    "PASS",
    "APOP",
    "XTND",
]


@pytest.mark.parametrize("logged_in", [False, True])
def test_cyrus_3641_every_command_with_none_to_four_arguments_is_answered_once(logged_in: bool, here: Here) -> None:
    """TOP without arguments was a null pointer there.  Nothing is left over for the line behind them."""
    with here.server.dialogue() as line:
        if logged_in:
            assert line.login().startswith(b"+OK")
        else:
            assert line.line().startswith(b"+OK")
        for verb in COMMANDS:
            for count in range(5):
                said = line.ask(" ".join([verb, *["1", "0", "1", "0"][:count]]))
                assert said.startswith((b"+OK", b"-ERR")), said
                if said.startswith(b"+OK") and (
                    verb in ("RETR", "TOP", "CAPA") or (verb in ("LIST", "UIDL") and not count)
                ):
                    line.body()
        assert line.ask("HELLO?").startswith(b"-ERR")
        line.ask("RSET")


def test_cve_2019_7524_damaged_state_files_change_nothing() -> None:
    """Also a header of unique-ids that lies about its length."""
    with open_folder() as folder:
        server = Server(folder)
        server.fill("alice", MAIL)

        def listing() -> tuple[bytes, bytes]:
            with server.dialogue() as line:
                assert line.login().startswith(b"+OK")
                assert line.ask("LIST").startswith(b"+OK")
                sizes = line.body()
                assert line.ask("UIDL").startswith(b"+OK")
                uids = line.body()
                assert line.ask("QUIT").startswith(b"+OK")
                return sizes, uids

        with server:
            first = listing()
            files = [path for path in (folder / "state").rglob("*") if path.is_file()]
            assert files
            for change in (
                lambda d: d[: len(d) // 2],
                lambda d: b"\xff" * len(d),
                lambda d: d[:40] + b"\xff" * 64 + d[104:],
            ):
                for path in files:
                    path.write_bytes(change(path.read_bytes()))
                assert listing()[0] == first[0]
            assert "unexpected" not in server.log.text


def test_cve_2024_23184_very_many_and_very_long_headers() -> None:
    many = mail("many", b"text\n", b"".join(b"To: user%d@example.org\n" % n for n in range(200_000)))
    long = mail("long", b"text\n", b"To: " + b"x" * (20 * MB) + b"\n")
    folded = mail("folded", b"text\n", b"To: a,\n" + b" b@example.org,\n" * 200_000 + b" c\n")
    with open_folder() as folder:
        server = Server(folder)
        server.fill("alice", [many, long, folded])
        with server, server.dialogue() as line:
            assert line.login().startswith(b"+OK")
            for number, message in enumerate((many, long, folded), 1):
                assert line.ask(f"TOP {number} 0").startswith(b"+OK")
                assert line.body() == message.wire.removesuffix(b"text\r\n")
                assert line.ask(f"UIDL {number}").startswith(b"+OK")
            assert line.ask("XTND XLST To").startswith(b"+OK")
            line.body()
            assert max(memory(pid) for pid in children(server.process.pid)) < 4 * STACK


def test_cve_2017_15130_connections_that_say_nothing_keep_nobody_out(here: Here) -> None:
    """Half-open ones filled Dovecot's table, of unfinished handshakes too."""
    with contextlib.ExitStack() as stack:
        for _ in range(90):
            assert stack.enter_context(here.server.dialogue()).line().startswith(b"+OK")
        here.goes_on()


def test_dovecot_2_3_19_empty_lines_are_not_answered(here: Here) -> None:
    with here.server.dialogue() as line:
        assert line.line().startswith(b"+OK")
        line.sock.sendall(b"\r\n\n \r\n\t\r\n")
        assert line.ask("USER alice").startswith(b"+OK Password required")


def test_dovecot_2_3_11_3_a_command_may_come_octet_by_octet(here: Here) -> None:
    with here.server.dialogue() as line:
        assert line.line().startswith(b"+OK")
        for said in (b"USER alice\r\n", f"PASS {PASSWORD}\r\n".encode(), b"STAT\r\n"):
            for octet in said:
                line.sock.sendall(bytes([octet]))
            assert line.line().startswith(b"+OK")


def test_dovecot_2_3_4_nothing_is_deleted_without_quit(here: Here) -> None:
    assert here.mail_said(b"DELE 1", b"DELE 2")[0].startswith(b"+OK")  # and the connection ends


def test_dovecot_2_2_5_a_client_that_goes_away_inside_a_listing(here: Here) -> None:
    for command in (b"LIST", b"UIDL", b"RETR 8", b"XTND XLST Subject"):
        line = here.server.dialogue()
        assert line.login().startswith(b"+OK")
        line.sock.sendall(command + b"\r\n")
        line.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")  # reset, not closed
        line.__exit__()


def test_dovecot_2_1_9_uidl_of_an_empty_maildrop() -> None:
    with open_folder() as folder, Server(folder) as server, server.dialogue() as line:
        assert line.login().startswith(b"+OK")
        for command in ("UIDL", "LIST"):
            assert line.ask(command).startswith(b"+OK")
            assert line.body() == b""
        assert refused([line.ask("UIDL 1"), line.ask("LIST 1"), line.ask("TOP 1 0")])
        assert line.ask("STAT").split()[:3] == [b"+OK", b"0", b"0"]


def test_courier_2003_the_order_stays_whatever_was_read_or_deleted() -> None:
    with open_folder() as folder:
        server = Server(folder)
        server.fill("alice", awkward())

        def uids(*commands: str) -> list[bytes]:
            with server.dialogue() as line:
                assert line.login().startswith(b"+OK")
                assert line.ask("UIDL").startswith(b"+OK")
                rows = line.body().splitlines()
                for command in commands:
                    assert line.ask(command).startswith(b"+OK")
                    if command.startswith("RETR"):
                        line.body()
                assert line.ask("QUIT").startswith(b"+OK")
                return [row.split()[1] for row in rows]

        with server:
            first = uids("RETR 3", "RETR 7", "RETR 1")
            assert uids("DELE 2", "RETR 5") == first
            assert uids() == [first[0], *first[2:]]


def test_can_2004_0984_no_program_of_ours_has_rights_that_its_user_has_not() -> None:
    """mailutils' dotlock was setgid, and took others' locks."""
    root = HERE.parent
    programs = [
        path for name in ("scripts", "qpopper_py", "etc") for path in (root / name).rglob("*") if path.is_file()
    ]
    assert programs
    assert not [path for path in programs if path.stat().st_mode & (stat.S_ISUID | stat.S_ISGID)]
    assert not re.search(r"chmod[^\n]*(\+s|[2467][0-7]{3})", (root / "Makefile").read_text())


@pytest.mark.parametrize("obstacle", ["a link", "a fifo", "a folder", "a socket"])
def test_popa3d_what_is_no_mailbox_is_refused_and_not_waited_for(obstacle: str) -> None:
    with open_folder() as folder:
        server = Server(folder)
        mailbox = server.maildrop()
        victim = server.fill("victim", MAIL)
        with socket.socket(socket.AF_UNIX) as sock:
            if obstacle == "a link":
                mailbox.symlink_to(victim)
            elif obstacle == "a fifo":
                os.mkfifo(mailbox)
            elif obstacle == "a folder":
                mailbox.mkdir()
            else:
                sock.bind(str(mailbox))
            with server, server.dialogue() as line:
                assert line.login().startswith(b"-ERR [SYS/")
                assert line.rest() == b""
        assert victim.read_bytes().count(b"Subject: plain") == 1


@pytest.mark.parametrize("stored", ["$9$unknown$hash", "$6$", "$", "x", "*0", "*1", "$y$j9T$", "!", "", "0" * 5000])
def test_popa3d_1_0_3_a_hash_that_crypt_cannot_do_matches_nothing(stored: str) -> None:
    """crypt() answered NULL, or "*0" for it, which would be equal to a field of "*0"."""
    for secret in (b"", b"*0", b"x", b"secret"):
        with contextlib.suppress(MissingLibrary):  # says what to install; that is no match either
            assert not crypt.verify(secret, stored)


def test_cve_2007_1558_the_apop_stamp_is_a_message_id_and_never_the_same() -> None:
    """RFC 1939 section 7: msg-id of RFC 822, different each time; nobody can guess the next one, or make it."""
    with open_folder() as folder:
        server = Server(folder, apop={"bob": APOP_SECRET})
        stamps = []
        with server:
            for _ in range(30):
                with server.dialogue() as line:
                    stamps.append(line.line().split()[-1])
    assert len(set(stamps)) == 30
    forms = [re.fullmatch(rb"<([0-9A-Za-z]+)\.(\d+)\.([0-9a-f]{12,})@[A-Za-z0-9.-]+>", stamp) for stamp in stamps]
    assert all(forms), stamps[:3]
    assert len({form[3] for form in forms if form}) == 30  # chance, not only time and process


@pytest.mark.parametrize("name", [b"n" * 65, b"n" * 100_000, b"../x", b"a b", b"%n%n", b"a\tb", b""])
def test_popauth_takes_no_name_that_overflows_or_means_something(name: bytes) -> None:
    with open_folder() as folder:
        server = Server(folder)
        server.write_accounts()
        server.mailauth("init")
        line = ["-m", "qpopper_py.tools.mailauth", *server.arguments(), "add", os.fsdecode(name), "--stdin"]
        done = subprocess.run(
            [sys.executable, *line], input=b"s" * 100_000 + b"\n", capture_output=True, **server.process_options()
        )
        assert done.returncode != 0
        assert b"Traceback" not in done.stderr
        assert server.mailauth("list").count("n" * 65) == 0


SHOWN = {
    "UCB: a client that vanishes in XTND XMIT sends nothing": "inetd/test_xmit.py::"
    "test_a_client_that_vanishes_in_mid_message_sends_nothing",
    "UCB: setuid before setgid": "inetd/test_superservers.py::"
    "test_mail_is_opened_only_by_a_process_that_is_the_user_for_good",
    "popa3d: a mailbox that is a link": "inetd/test_system_user.py::test_a_mailbox_that_is_a_link_is_not_followed",
    "Qpopper: a symlinked temp drop": "store/test_tempdrop.py::"
    "test_what_is_no_temp_drop_of_the_user_is_refused_in_words_and_left_alone",
    "Qpopper: a temp drop of another user": "store/test_tempdrop.py::test_one_of_another_user_is_refused",
    "Qpopper: bulletins of two logins at once": "store/test_bulletins.py::test_of_two_logins_at_once_one_posts",
    "PAM: a module that fails": "auth/test_pam.py::"
    "test_a_module_that_does_not_work_is_our_fault_and_the_same_for_everybody",
    "PAM: a service that cannot begin": "auth/test_pam.py::test_a_service_that_cannot_begin_names_its_file",
    "CVE-2003-1452: the mailer's environment": "session/test_mailer.py::test_the_mailer_has_a_clean_environment",
    "CVE-2005-1152: popauth's umask": "tools/test_mailauth.py::test_init_makes_a_private_database_and_key",
    "Dovecot 1.2.1: AUTH PLAIN without initial response": "session/test_sasl.py::"
    "test_without_one_an_empty_challenge_asks_for_it",
    "Dovecot 1.0rc24: locks in two orders": "store/test_locks.py::test_nothing_is_held_while_we_wait",
    "CVE-2025-30189: users mixed by a cache": "auth/test_lockout.py::test_it_is_of_that_account_and_that_address_only",
}


@pytest.mark.parametrize("where", SHOWN.values(), ids=SHOWN.keys())
def test_what_is_shown_elsewhere_is_there(where: str) -> None:
    path, name = where.split("::")
    assert re.search(rf"^\s*def {name}\(", (HERE / path).read_text(), re.M)
