"""Old servers that run by themselves, the real Cyrus first: each as root in namespaces of its own, where what
tests/compare/fetch has unpacked lies over /usr, so that every program is where it was built to be, and /etc is ours.
"""

from __future__ import annotations

import os
import shutil
import smtplib
import socket
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.conftest import require_program
from tests.guard import GUARD
from tests.harness import command, environment, wait_until

from .opponents import PATIENCE, UID, USER, everything, have_mount_namespaces, programs

if TYPE_CHECKING:
    from collections.abc import Iterable

OWNER = 64004  # cyrus' uid
MAIL = 8  # its group
SECRET = "a secret of an opponent"
GUARD.secret(SECRET)
ETC = {
    "passwd": "root:x:0:0::/:/bin/sh\n"
    f"cyrus:x:{OWNER}:{MAIL}::/nonexistent:/bin/false\n"
    f"{USER}:x:{UID}:{UID}::/nonexistent:/bin/sh\n",
    "group": f"root:x:0:\nmail:x:{MAIL}:\n{USER}:x:{UID}:\n",
    "nsswitch.conf": "passwd: files\ngroup: files\nhosts: files\n",
}


class Running:
    """``name``: its folder of tests/compare/fetch; ``files``: of /etc; ``line`` stays in the foreground.

    ``prepare``: shell commands before it, on the stage.  ``more``: of its environment.
    """

    def __init__(
        self, folder: Path, name: str, files: dict[str, str], line: list[str], prepare: str = "", **more: str
    ) -> None:
        have_mount_namespaces()
        usr = of(name) / "usr"
        self.folder = folder
        for file, text in {**ETC, **files}.items():
            path = folder / "etc" / file
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)
        self.mounts = f"mount -t overlay overlay -o 'lowerdir={usr}:/usr' /usr\nmount --bind '{folder}/etc' /etc\n"
        self.env = environment(LD_LIBRARY_PATH=libraries(usr.parent), **more)
        alone = ["unshare", "--mount", "--pid", "--fork", "--kill-child", "--mount-proc", "--propagation", "private"]
        with (folder / "output").open("wb") as output:
            self.process = subprocess.Popen(
                [*alone, "sh", "-ec", f'{self.mounts}{prepare}\n"$@"\nexit', "sh", *line],
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                env=self.env,
                cwd="/",
            )

    def aside(self, *line: str) -> str:
        """What a program says that is run as root where all is as it is for the server."""
        stage = ["unshare", "--mount", "--propagation", "private", "sh", "-ec", f'{self.mounts}exec "$@"', "sh"]
        done = subprocess.run([*stage, *line], env=self.env, capture_output=True, text=True, cwd="/")
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    def close(self) -> None:
        """unshare takes the shell with it, and that, as the first process of its namespace, all the others."""
        self.process.kill()
        self.process.wait(PATIENCE)

    def connect(self, where: Path | int) -> socket.socket:
        """A connection to a socket of the server, or to a port of the loopback, as soon as there is one."""
        made: list[socket.socket] = []

        def ready() -> bool:
            assert self.process.poll() is None, (self.folder / "output").read_text()
            sock = socket.socket(socket.AF_INET if isinstance(where, int) else socket.AF_UNIX)
            sock.settimeout(PATIENCE)
            try:
                sock.connect(("127.0.0.1", where) if isinstance(where, int) else str(where))
            except OSError:
                sock.close()
                return False
            made.append(sock)
            return True

        wait_until(ready, f"a connection to {where}")
        return made[0]


def of(name: str) -> Path:
    """The folder that has what was unpacked of a server."""
    folder = programs() / name
    if not folder.exists():
        pytest.skip(f"{folder} is not there: what tests/compare/fetch has unpacked is of an older one")
    return folder


def port() -> int:
    """One that nobody has, yet."""
    with socket.create_server(("127.0.0.1", 0)) as sock:
        return int(sock.getsockname()[1])


def libraries(folder: Path) -> str:
    return ":".join(str(path) for path in folder.glob("**/lib/*-linux-gnu"))


# --------------------------------------------------------------------------------------------------------------

IMAPD_CONF = """\
configdirectory: {0}/config
proc_path: {0}/run/proc
mboxname_lockpath: {0}/run/lock
defaultpartition: default
partition-default: {0}/spool
hashimapspool: true
servername: mail.example.org
allowplaintext: yes
failedloginpause: 0
autocreate_quota: 0
autocreate_post: yes
duplicatesuppression: no
sasl_pwcheck_method: auxprop
sasl_auxprop_plugin: sasldb
sasl_sasldb_path: {0}/config/sasldb2
sasl_mech_list: PLAIN LOGIN
"""
CYRUS_CONF = """\
START {{
  recover cmd="/usr/sbin/cyrus ctl_cyrusdb -C {0}/etc/imapd.conf -r"
}}
SERVICES {{
  pop3 cmd="{1}" listen="{0}/run/pop3" prefork=0 maxchild=50
  lmtpunix cmd="lmtpd" listen="{0}/run/lmtp" prefork=0 maxchild=20
}}
"""


def sleepless(folder: Path) -> str:
    """A library without sleep(3), of which Cyrus' pop3d does three seconds before it refuses a maildrop."""
    made = folder / "sleepless.so"
    text = b"unsigned sleep(unsigned seconds) { (void)seconds; return 0; }\n"
    line = [require_program("gcc"), "-shared", "-fPIC", "-x", "c", "-", "-o", str(made)]
    subprocess.run(line, input=text, check=True)
    return str(made)


class Cyrus(Running):
    """Its master with pop3d and lmtpd; USER has a secret in sasldb and, with the first mail, a mailbox.

    ``pop3``: what master starts for POP3; ``more``: lines of imapd.conf, in the place of those of the same options.
    """

    def __init__(self, folder: Path, pop3: str = "pop3d -U 30", more: str = "") -> None:
        saslpasswd2 = require_program("saslpasswd2")
        for name in ("config", "spool", "run"):
            (folder / name).mkdir()
            os.chown(folder / name, OWNER, MAIL)
        sasldb = folder / "config/sasldb2"
        line = [saslpasswd2, "-p", "-c", "-f", str(sasldb), "-u", "mail.example.org", USER]
        subprocess.run(line, input=SECRET.encode(), check=True)
        sasldb.chmod(0o600)
        os.chown(sasldb, OWNER, MAIL)
        self.conf = folder / "etc/imapd.conf"
        names = {row.partition(":")[0] for row in more.splitlines()}
        rows = [row for row in IMAPD_CONF.format(folder).splitlines() if row.partition(":")[0] not in names]
        files = {"imapd.conf": "\n".join([*rows, more, ""]), "cyrus.conf": CYRUS_CONF.format(folder, pop3)}
        line = ["/usr/lib/cyrus/bin/master", "-p", f"{folder}/run/pid", "-C", str(self.conf)]
        super().__init__(
            folder, "cyrus", files, [*line, "-M", f"{folder}/etc/cyrus.conf"], LD_PRELOAD=sleepless(folder)
        )

    def deliver(self, messages: Iterable[bytes]) -> None:
        """By its lmtpd; lines end in CRLF."""
        self.connect(self.folder / "run/lmtp").close()
        with smtplib.LMTP(str(self.folder / "run/lmtp"), local_hostname="client.example.org") as lmtp:
            for message in messages:
                assert lmtp.sendmail("carol@example.com", [USER], message) == {}

    def answers(self, script: bytes) -> bytes:
        """All that its pop3d says to a client that says ``script`` and nothing more."""
        with self.connect(self.folder / "run/pop3") as connection:
            return everything(connection, script)

    def ours(self, state: Path, *settings: str) -> list[str]:
        """The command line by which we are in its place, as root."""
        sets = [word for one in (f"state_dir={state}", *settings) for word in ("--set", one)]
        return [*command(), "--personality", "cyrus", "-C", str(self.conf), "--config", "none", *sets]

    def converted(self, state: Path, place: Path) -> tuple[str, ...]:
        """The settings by which ours has a Maildir made of the mailbox, below ``place``, as cyrus-pop3d(8) tells."""
        shutil.rmtree(place, ignore_errors=True)
        place.mkdir()
        os.chown(place, OWNER, MAIL)
        known = (
            "auth.sources=sasldb,maildrops",
            f"accounts.maildrop=cyrus:{self.folder}/spool/%M",
            f"accounts.mailboxes_db={self.folder}/config/mailboxes.db",
            "read_only=true",
            f"state_dir={state}",
        )
        line = [sys.executable, "-m", "qpopper_py.tools.command", "convert", "--config", "none", "--from", "cyrus"]
        line += [word for one in known for word in ("--set", one)]
        line += ["--user", USER, str(self.mailbox), str(place / USER)]
        done = subprocess.run(line, env=environment(), cwd="/", capture_output=True, text=True)
        assert done.returncode == 0, done.stdout + done.stderr
        return (f"accounts.maildrop=maildir:{place}/%u", "read_only=false")

    @property
    def mailbox(self) -> Path:
        """Where the user's mail is: there is no other mailbox."""
        return next(self.folder.glob("spool/uuid/*/*/*"))
