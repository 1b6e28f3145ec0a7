"""Seven mail programs that people fetch mail with, each behind one function: log in, fetch, perhaps delete.

Each delivers into a folder of numbered files, so that what it made of a message can be compared byte for byte.
What a program changes by its own documentation is said in its ``expected`` and switched off where it can be.
"""

from __future__ import annotations

import os
import poplib
import pty
import re
import select
import signal
import subprocess
import time
from typing import TYPE_CHECKING

from tests.conftest import require_program
from tests.harness import PATIENCE, environment

if TYPE_CHECKING:
    from pathlib import Path

    from tests.harness import Message, Server

DELIVER = """#!/bin/sh
n=$(ls "$1" | wc -l)
exec cat > "$1/$(printf %04d "$n")"
"""


class Client:
    """One program.  Each can do APOP.  ``remembers``: it knows by itself which messages it has already fetched."""

    remembers = False

    needs: tuple[str, ...] = ()

    def __init__(self, home: Path) -> None:
        for name in self.needs:
            require_program(name)
        self.home = home
        self.inbox = home / "inbox"
        self.inbox.mkdir(parents=True)  # in an open_folder(): getmail comes as nobody
        self.deliver = home / "deliver"
        self.deliver.write_text(DELIVER)
        self.deliver.chmod(0o755)

    def fetch(self, server: Server, user: str, secret: str, *, apop: bool = False, delete: bool = False) -> list[bytes]:
        """Fetch what the program takes for new, delete it if asked, log out; the messages in order."""
        for old in self.inbox.iterdir():
            old.unlink()
        self.run(server, user, secret, apop, delete)
        return [path.read_bytes() for path in sorted(self.inbox.iterdir())]

    def run(self, server: Server, user: str, secret: str, apop: bool, delete: bool) -> None:
        raise NotImplementedError

    def expected(self, message: Message) -> bytes:
        """Programs that deliver on Unix write LF; nothing else may differ, if the class says nothing else."""
        return message.unix

    def mended(self, delivered: bytes) -> bytes:
        """``delivered`` without damage that the program is known to do and that cannot be foretold."""
        return delivered

    def file(self, name: str, text: str) -> str:
        """A configuration file that only its owner reads, as these programs demand."""
        path = self.home / name
        path.write_text(text)
        path.chmod(0o600)
        return str(path)

    def call(self, *line: str, allowed: tuple[int, ...] = (0,)) -> str:
        """Run a command line to its end; what it printed.  Another status than an allowed one is a failure."""
        done = subprocess.run(
            line,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=2 * PATIENCE,
            cwd=self.home,
            env=environment(HOME=str(self.home), FETCHMAILHOME=str(self.home)),
        )
        told = (done.stdout + done.stderr).decode("utf-8", "backslashreplace")
        assert done.returncode in allowed, f"{line[0]} ended with {done.returncode}:\n{told}"
        return told


class Poplib(Client):
    """Python's library.  Allowance: its limit of 2,048 octets a line is lifted."""

    def run(self, server: Server, user: str, secret: str, apop: bool, delete: bool) -> None:
        limit, poplib._MAXLINE = poplib._MAXLINE, 2 << 20  # type: ignore[attr-defined]
        try:
            pop = poplib.POP3(server.host, server.port, timeout=PATIENCE)
            if apop:
                pop.apop(user, secret)
            else:
                pop.user(user)
                pop.pass_(secret)
            for number in range(1, pop.stat()[0] + 1):
                _, lines, octets = pop.retr(number)
                wire = b"".join(line + b"\r\n" for line in lines)
                assert octets == len(wire), f"{octets} octets counted, {len(wire)} delivered"
                assert pop.list(number).split()[2] == b"%d" % len(wire)  # type: ignore[attr-defined]
                (self.inbox / f"{number:04d}").write_bytes(wire)
                if delete:
                    pop.dele(number)
            pop.quit()
        finally:
            poplib._MAXLINE = limit  # type: ignore[attr-defined]

    def expected(self, message: Message) -> bytes:
        return message.wire


class NetPop3(Client):
    """Perl's library."""

    needs = ("perl",)
    script = """
use strict; use Net::POP3;
my ($host, $port, $login, $delete, $inbox) = @ARGV;
my ($user, $secret) = split /\\n/, $ENV{LOGIN};
my $pop = Net::POP3->new($host, Port => $port, Timeout => 60) or die "no connection: $@";
my $count = $pop->$login($user, $secret);
defined $count or die "no login: " . $pop->message;
for my $number (1 .. $count) {
    open(my $file, '>:raw', sprintf('%s/%04d', $inbox, $number)) or die $!;
    $pop->get($number, $file) or die "no message $number: " . $pop->message;
    close $file or die $!;
    $pop->delete($number) or die $pop->message if $delete;
}
$pop->quit or die "no quit: " . $pop->message;
"""

    def run(self, server: Server, user: str, secret: str, apop: bool, delete: bool) -> None:
        script = self.file("fetch.pl", self.script)
        words = [server.host, str(server.port), "apop" if apop else "login", str(int(delete)), str(self.inbox)]
        self.call("env", f"LOGIN={user}\n{secret}", "perl", script, *words)


class Curl(Client):
    """curl: a URL for each message, all in one connection.  It writes what comes over the wire.

    ``auth``: its word for how to log in; empty: its own choice.  ``bearer``: the secret is a token.
    """

    needs = ("curl",)
    auth = ""
    bearer = False

    def run(self, server: Server, user: str, secret: str, apop: bool, delete: bool) -> None:
        url = f"pop3://{server.host}:{server.port}/"
        login = f'user = "{user}:{secret}"\nsilent\nshow-error\nfail\nmax-time = {PATIENCE}\n'
        if self.bearer:
            login = login.replace(f":{secret}", "") + f'oauth2-bearer = "{secret}"\n'
        if apop or self.auth:
            login += f'login-options = "AUTH={"+APOP" if apop else self.auth}"\n'
        base = self.file("base", login)
        scan = self.call("curl", "--config", base, url)
        numbers = [line.split()[0] for line in scan.splitlines() if line]
        pages = [f'url = "{url}{n}"\noutput = "{self.inbox}/{int(n):04d}"\n' for n in numbers]
        if pages:
            self.call("curl", "--config", self.file("retr", login + "".join(pages)))
        if delete:
            deletions = [f'url = "{url}{n}"\n' for n in numbers]
            self.call("curl", "--config", self.file("dele", login + 'request = "DELE"\nhead\n' + "".join(deletions)))

    def expected(self, message: Message) -> bytes:
        return message.wire


class Mpop(Client):
    """mpop.  Allowance: ``received_header off`` keeps its own header away.  ``auth``: its word for how to log in."""

    needs = ("mpop",)
    remembers = True
    auth = "user"

    def run(self, server: Server, user: str, secret: str, apop: bool, delete: bool) -> None:
        lines = [
            "account test",
            f"host {server.host}",
            f"port {server.port}",
            "tls off",
            f"user {user}",
            f'password "{secret}"',
            f"auth {'apop' if apop else self.auth}",
            f"keep {'off' if delete else 'on'}",
            "received_header off",
            f"uidls_file {self.home}/uidls",
            f'delivery mda "{self.deliver} {self.inbox}"',
        ]
        self.call("mpop", "-C", self.file("mpoprc", "\n".join(lines) + "\n"), "-q", "test")


class Getmail(Client):
    """getmail6, as user nobody when we are root, because it refuses to deliver as root.

    It takes a message apart and writes it anew (Python's email package).  Allowances: a bare CR becomes a line
    end; a header that is too long for a line moves whole to a line of its own.  ``delivered_to`` and ``received``
    off keep its own headers away; it adds a Return-Path where there is none.
    """

    needs = ("getmail",)
    remembers = True

    def run(self, server: Server, user: str, secret: str, apop: bool, delete: bool) -> None:
        self.file(
            "getmailrc",
            f"""[retriever]
type = SimplePOP3Retriever
server = {server.host}
port = {server.port}
username = {user}
password = {secret}
use_apop = {apop}
[destination]
type = MDA_external
path = {self.deliver}
arguments = ("{self.inbox}",)
[options]
read_all = false
delete = {delete}
delivered_to = false
received = false
verbose = 1
""",
        )
        line = ["getmail", "--getmaildir", str(self.home), "--rcfile", "getmailrc"]
        if os.geteuid() == 0:
            for path in (self.home, *self.home.rglob("*")):
                os.chown(path, 65534, 65534)
            line = ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", *line]
        self.call(*line)

    def expected(self, message: Message) -> bytes:
        return message.unix.replace(b"\r", b"\n").replace(b"X-Long: ", b"X-Long: \n ")


class Fetchmail(Client):
    """fetchmail.  ``invisible`` and ``no rewrite`` keep its own header and changes away, ``no stripcr`` leaves CRLF.

    Allowance: it cuts a line longer than its buffer of 8 KB and sets a NUL, a stray octet and CRLF in between.
    """

    needs = ("fetchmail",)
    fresh = "fetchall"
    auth = "any"  # its word for how to log in

    def run(self, server: Server, user: str, secret: str, apop: bool, delete: bool) -> None:
        text = f"""set invisible
set no bouncemail
poll {server.host} service {server.port} protocol {"APOP" if apop else "POP3"} timeout {PATIENCE} no dns no uidl
  auth {self.auth} bad-header accept
  user "{user}" password "{secret}" {"no keep" if delete else "keep"} {self.fresh}
  no rewrite no mimedecode pass8bits no stripcr sslproto ""
  mda "{self.deliver} {self.inbox}"
"""
        # fetchmail ends with 1 when there was no mail
        self.call("fetchmail", "-f", self.file("fetchmailrc", text), "--pidfile", "pid", allowed=(0, 1))

    def expected(self, message: Message) -> bytes:
        return message.wire

    def mended(self, delivered: bytes) -> bytes:
        return re.sub(rb"(?s)(?<=[0-9a-f]{8000})\0.\r\n", b"", delivered)


class FetchmailNew(Fetchmail):
    """fetchmail as its manual has it by default: new messages only, which it asks LAST for."""

    fresh = "no fetchall"
    remembers = True


class Mutt(Client):
    """mutt, which needs a terminal: it opens the maildrop as a folder and pipes each message, raw.

    Allowance: it keeps lines as C strings, so the rest of a line behind a NUL is lost.
    """

    needs = ("mutt",)
    auth = "user"  # its word for how to log in

    def run(self, server: Server, user: str, secret: str, apop: bool, delete: bool) -> None:
        keys = f"<tag-pattern>~A<enter><tag-prefix><pipe-message>{self.deliver} {self.inbox}<enter>"
        if delete:
            keys += "<delete-pattern>~A<enter>"
        lines = [
            f'set pop_user="{user}" pop_pass="{secret}" pop_authenticators="{"apop" if apop else self.auth}"',
            'set pipe_decode=no pipe_split=yes pipe_sep="" wait_key=no delete=yes quit=yes move=no confirmappend=no',
            f'set ssl_starttls=no ssl_force_tls=no pop_reconnect=no folder="{self.home}" record="" header_cache=""',
            "set charset=utf-8 auto_tag=no timeout=1 sleep_time=0",
            f'push "{keys}<quit>"',
        ]
        self.terminal("mutt", "-F", self.file("muttrc", "\n".join(lines) + "\n"), "-f", self.url(server))

    def expected(self, message: Message) -> bytes:
        return re.sub(rb"\0[^\n]*", b"", message.unix)

    def url(self, server: Server) -> str:
        return f"pop://{server.host}:{server.port}/"

    def terminal(self, *line: str) -> None:
        """Run mutt on a terminal of its own until it ends.  An empty folder makes it forget the keys: q once more."""
        pid, terminal = pty.fork()
        if pid == 0:
            os.chdir(self.home)
            os.execvpe(line[0], line, environment(HOME=str(self.home), TERM="xterm"))
        screen, end, told = b"", time.monotonic() + PATIENCE, False
        try:
            while select.select([terminal], [], [], max(0, end - time.monotonic()))[0]:
                screen += os.read(terminal, 65536)
                if b"There are no messages" in screen and not told:
                    told = os.write(terminal, b"q") > 0
            os.kill(pid, signal.SIGKILL)
        except OSError:
            pass  # EIO: the program has closed its terminal
        finally:
            os.close(terminal)
        status = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
        assert status == 0, f"{line[0]} ended with {status}; its screen: {screen[-4000:]!r}"


CLIENTS = [Poplib, NetPop3, Curl, Mpop, Getmail, Fetchmail, Mutt]
