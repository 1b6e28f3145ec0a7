"""A real installation, a real system user, and the programs that start a server for each connection.

All of it needs root.  Users, folders and processes are this test run's own and are removed after it.
"""

from __future__ import annotations

import contextlib
import grp
import os
import pwd
import re
import secrets
import shutil
import socket
import subprocess
import threading
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.accounts import change, forget
from tests.conftest import require_program
from tests.guard import GUARD
from tests.harness import (
    PASSWORD,
    PATIENCE,
    Dialogue,
    belonging,
    children,
    environment,
    mbox,
    open_folder,
    started,
    wait_until,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from tests.harness import Message

TREE = Path(__file__).resolve().parents[2]
# The system's, or what tests/compare/fetch has unpacked.
TCPDS = ("/usr/sbin/tcpd", os.environ.get("QPOPPER_TEST_OPPONENTS", "/nonexistent") + "/usr/sbin/tcpd")


class User:
    """A system user who exists for one test, and the mailbox in the test's own spool."""

    def __init__(self, spool: Path) -> None:
        self.name = f"pt{os.getpid()}_{secrets.token_hex(4)}"
        self.other = f"pg{os.getpid()}_{secrets.token_hex(4)}"  # a second group
        self.spool = spool
        self.mailbox = spool / self.name

    def __enter__(self) -> User:
        change("groupadd", self.other)
        try:
            change("useradd", "--no-create-home", "--user-group", "--groups", self.other, self.name)
            change("chpasswd", given=f"{self.name}:{PASSWORD}\n")
        except BaseException:
            self.__exit__()
            raise
        entry = pwd.getpwnam(self.name)
        self.uid, self.gid = entry.pw_uid, entry.pw_gid
        return self

    def __exit__(self, *_: object) -> None:
        forget(self.name)
        forget(self.other)

    def fill(self, messages: Iterable[Message]) -> None:
        self.mailbox.write_bytes(mbox(messages))
        os.chown(self.mailbox, self.uid, 8)  # group mail, as MDAs leave it
        self.mailbox.chmod(0o660)

    def groups(self) -> set[int]:
        return set(os.getgrouplist(self.name, self.gid))


def forget_the_dead() -> None:
    """Remove users and groups of test runs that were killed: those whose process, named in them, is gone."""
    for name in [entry.pw_name for entry in pwd.getpwall()] + [entry.gr_name for entry in grp.getgrall()]:
        made = re.fullmatch(r"p[tg](\d+)_[0-9a-f]{8}", name)
        if made and not os.path.exists(f"/proc/{made[1]}"):
            forget(name)


class Syslog:
    """What programs send to /dev/log, when started with ``prefix``: in a mount namespace whose /dev is ours.

    The host's own /dev/log, there or not, is neither touched nor heard.
    """

    def __init__(self, folder: Path) -> None:
        self.lines: list[str] = []
        self.news = threading.Condition()
        dev = folder / "dev"
        dev.mkdir()
        for name, place in (("fd", ""), ("stdin", "/0"), ("stdout", "/1"), ("stderr", "/2")):
            (dev / name).symlink_to("/proc/self/fd" + place)
        devices = ("null", "zero", "full", "random", "urandom", "tty")
        for name in devices:
            (dev / name).touch()
        self.path = dev / "log"
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.sock.bind(str(self.path))
        self.path.chmod(0o666)
        binds = "".join(f"mount --bind /dev/{name} {dev}/{name} && " for name in devices)
        self.prefix = [require_program("unshare"), "--mount", "sh", "-c"]
        self.prefix += [f'{binds} mount --rbind {dev} /dev && exec "$@"', "sh"]
        self.thread = threading.Thread(target=self.collect, daemon=True)
        self.thread.start()

    def collect(self) -> None:
        while data := self.sock.recv(65536):
            GUARD.saw("the system's log", data)
            with self.news:
                self.lines.append(data.decode("utf-8", "backslashreplace"))
                self.news.notify_all()

    @property
    def text(self) -> str:
        with self.news:
            return "\n".join(self.lines)

    def wait_for(self, words: str) -> str:
        """The first line that holds ``words``."""
        with self.news:
            self.news.wait_for(lambda: any(words in line for line in self.lines), PATIENCE)
            found = [line for line in self.lines if words in line]
        assert found, f"no log line holds {words!r}: {self.lines}"
        return found[0]

    def close(self) -> None:
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as last:
            last.sendto(b"", str(self.path))
        self.thread.join(PATIENCE)
        self.sock.close()


# --------------------------------------------------------------------------------------------------------------
# The programs that accept connections.  Each row makes the command line that serves ``line`` on ``port``.


def openbsd_inetd(port: int, line: list[str], folder: Path) -> list[str]:
    table = folder / "inetd.conf"
    table.write_text(f"127.0.0.1:{port} stream tcp nowait.1000 root {line[0]} pop3d {' '.join(line[1:])}\n")
    named = os.environ.get("QPOPPER_TEST_INETD")
    return [named or require_program("inetd"), "-i", str(table)]


def tcpd(port: int, line: list[str], folder: Path) -> list[str]:
    """inetd with the TCP wrappers before the server, as Debian's popa3d was started: the path is argv[0] to them."""
    found = next(filter(os.path.exists, TCPDS), "")
    if not found:
        pytest.skip(f"{' or '.join(TCPDS)} is not installed")
    words = openbsd_inetd(port, line, folder)
    (folder / "inetd.conf").write_text(f"127.0.0.1:{port} stream tcp nowait.1000 root {found} {' '.join(line)}\n")
    return words


def xinetd(port: int, line: list[str], folder: Path) -> list[str]:
    table = folder / "xinetd.conf"
    table.write_text(f"""service pop3-under-test
{{
    type        = UNLISTED
    protocol    = tcp
    socket_type = stream
    bind        = 127.0.0.1
    port        = {port}
    wait        = no
    user        = root
    server      = {line[0]}
    server_args = {" ".join(line[1:])}
}}
""")
    words = [require_program("xinetd"), "-dontfork", "-f", str(table), "-filelog", str(folder / "xinetd.log")]
    return [*words, "-pidfile", str(folder / "xinetd.pid")]


def socat_by(options: str) -> Callable[[int, list[str], Path], list[str]]:
    def socat(port: int, line: list[str], folder: Path) -> list[str]:
        where = f"TCP-LISTEN:{port},bind=127.0.0.1,reuseaddr,fork"
        return [require_program("socat"), where, f"EXEC:{' '.join(line)}{options}"]

    return socat


def systemd(port: int, line: list[str], folder: Path) -> list[str]:
    words = [require_program("systemd-socket-activate"), "--accept", "--inetd", "--listen", f"127.0.0.1:{port}"]
    return [*words, *line]


SUPERSERVERS = {
    "openbsd-inetd": openbsd_inetd,
    "tcpd": tcpd,
    "xinetd": xinetd,
    "socat": socat_by(""),
    "socat-nofork": socat_by(",nofork"),
    "socat-pipes": socat_by(",pipes"),
    "systemd": systemd,
}


def systemd_once(port: int, line: list[str], folder: Path) -> list[str]:
    """Accept=no: one service gets the listening socket, on descriptor 3, and keeps it."""
    return [require_program("systemd-socket-activate"), "--listen", f"127.0.0.1:{port}", *line]


LASTING = {"systemd-once": systemd_once}  # their service does not end with the session


class House:
    """An installation, a user, a spool, a configuration file and a log; ``serving`` puts a superserver before them."""

    def __init__(self, prefix: Path, folder: Path, user: User, log: Syslog) -> None:
        self.pop3d = prefix / "sbin/pop3d"
        self.folder = folder
        self.user = user
        self.log = log
        self.config = folder / "pop3d.toml"
        self.state = folder / "state"
        self.state.mkdir(mode=0o755)
        self.configure()

    def configure(self, more: str = "") -> None:
        """Write the configuration file; ``more`` goes before all tables."""
        self.config.write_text(
            f'hostname = "pop.example.org"\nspool = "{self.user.spool}"\nstate_dir = "{self.state}"\n{more}\n'
            f'[mailauth]\ndatabase = "{self.folder}/auth/mailauth.db"\nkey = "{self.folder}/keys/mailauth.key"\n'
            '[log]\nto = "syslog"\n'
        )
        self.config.chmod(0o644)

    @contextlib.contextmanager
    def serving(
        self,
        superserver: str = "socat-nofork",
        options: tuple[str, ...] = (),
        program: Path | None = None,
        config: str = "--config",
    ) -> Iterator[Serving]:
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            port = probe.getsockname()[1]
        line = [str(program or self.pop3d), config, str(self.config), *options]
        words = {**SUPERSERVERS, **LASTING}[superserver](port, line, self.folder)
        # No PYTHONPATH: what is tested is the installation.
        clean = {key: value for key, value in environment().items() if key != "PYTHONPATH"}
        with started(*self.log.prefix, *words, env=clean, cwd="/") as process:
            wait_until(lambda: listens(port) or process.poll() is not None, f"{superserver} listening on {port}")
            assert process.poll() is None, f"{superserver} ended: {process.output.text}"
            yield Serving(port, process, self.user)


@contextlib.contextmanager
def new_house(prefix: Path) -> Iterator[House]:
    """A user, a spool and a log, for as long as the with statement lasts."""
    with open_folder() as folder:
        spool = folder / "spool"
        spool.mkdir()
        spool.chmod(0o1777)
        log = Syslog(folder)
        try:
            with User(spool) as user:
                yield House(prefix, folder, user, log)
        finally:
            log.close()
            GUARD.look_into(folder, but=("spool", "dev", "auth", "keys", "home"))


class Serving:
    """A superserver that listens on ``port``."""

    def __init__(self, port: int, process: subprocess.Popen[bytes], user: User) -> None:
        self.port = port
        self.process = process
        self.user = user

    def dialogue(self) -> Dialogue:
        return Dialogue(socket.create_connection(("127.0.0.1", self.port), PATIENCE))

    def mail_processes(self) -> list[int]:
        """The processes of ours that are the user's."""
        return belonging(self.process.pid, self.user.uid)

    def processes(self) -> list[int]:
        return [pid for pid in children(self.process.pid) if os.path.exists(f"/proc/{pid}/exe")]

    def idle(self) -> None:
        """Wait until every session is over, its lock given back."""
        wait_until(lambda: not self.sessions(), "the end of all sessions")

    def sessions(self) -> list[int]:
        found = []
        for pid in children(self.process.pid):
            with contextlib.suppress(OSError):
                if b"pop3d" in Path(f"/proc/{pid}/cmdline").read_bytes():
                    found.append(pid)
        GUARD.processes(found)
        return found


def listens(port: int) -> bool:
    """Whether somebody listens on the port of the loopback, seen without connecting: that would start a session."""
    wanted = f"0100007F:{port:04X}"
    rows = (line.split() for line in Path("/proc/net/tcp").read_text().splitlines()[1:])
    return any(row[1] == wanted and row[3] == "0A" for row in rows)


def install(prefix: Path) -> None:
    """``make install`` of the tree, with the library that XTND XMIT needs if the tests have it."""
    if os.geteuid() != 0:
        pytest.skip("needs root")
    make = [require_program("make"), "-C", str(TREE), "install", f"PREFIX={prefix}", "OFFLINE=1"]
    done = subprocess.run(make, capture_output=True, text=True, umask=0o022)
    assert done.returncode == 0, done.stdout + done.stderr
    vendor = prefix / "lib/qpopper_py/current/vendor"
    with contextlib.suppress(ImportError):
        import sh

        if not (vendor / "sh.py").exists():
            shutil.copy(sh.__file__, vendor / "sh.py")
