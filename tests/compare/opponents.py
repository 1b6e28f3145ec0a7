"""The real popa3d and GNU mailutils pop3d, and we beside them, run on a stage: as root, in a mount namespace where
/etc, /var/mail and /var/lib are folders of ours.  Every password is right there.

Whole folders: a mount on a file goes when somebody outside replaces that file, as useradd does.
"""

import os
import shutil
import socket
import subprocess
from pathlib import Path

import pytest

USER = "opponent"
UID = 64002
PERMIT = "".join(f"{kind} required pam_permit.so\n" for kind in ("auth", "account", "password", "session"))
PROPS = {
    "etc/passwd": "root:x:0:0::/:/bin/sh\npopa3d:x:64001:64001::/:/bin/false\n"
    "pop3d:x:64003:64003::/:/bin/false\n"
    f"{USER}:x:{UID}:{UID}::/nonexistent:/bin/sh\n",
    "etc/group": f"root:x:0:\nmail:x:8:\npopa3d:x:64001:\npop3d:x:64003:\n{USER}:x:{UID}:\n",
    "etc/nsswitch.conf": "passwd: files\ngroup: files\nhosts: files\n",
    "etc/pam.d/popa3d": PERMIT,
    "etc/pam.d/pop3d": PERMIT,
    "pop3d.conf": 'mailbox { mail-spool "/var/mail"; };\nauth { authentication pam; authorization system; };\n'
    "pam { service pop3d; };\nmandatory-locking { enable no; };\n",
}
BINDS = (("etc", "/etc"), ("mail", "/var/mail"), ("lib", "/var/lib"))
PATIENCE = 20.0  # seconds
Meanwhile = tuple[bytes, int, bytes] | None


def programs() -> Path:
    """Where tests/compare/fetch has unpacked the opponents; skips the test if it has not."""
    folder = os.environ.get("QPOPPER_TEST_OPPONENTS", "")
    if not folder:
        pytest.skip("QPOPPER_TEST_OPPONENTS does not name the folder of tests/compare/fetch; make compare does")
    assert Path(folder, "complete").exists(), f"{folder}: tests/compare/fetch has not run there, or has failed"
    return Path(folder)


class Stage:
    """A mount namespace, kept by a process that waits for its standard input to end."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.programs = programs()
        for name in ("etc/pam.d", "mail", "lib/popa3d"):
            (folder / name).mkdir(parents=True)
        (folder / "mail").chmod(0o1777)  # mailutils writes its new mailbox beside the old one
        for name, text in PROPS.items():
            (folder / name).write_text(text)
        binds = "".join(f"mount --bind '{folder}/{ours}' {theirs}\n" for ours, theirs in BINDS)
        line = ["unshare", "--mount", "--propagation", "private", "sh", "-ec", f"{binds}echo ready\nexec cat"]
        self.keeper = subprocess.Popen(line, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        assert self.keeper.stdout is not None
        assert self.keeper.stdout.readline() == b"ready\n"
        self.libraries = ":".join(str(path) for path in self.programs.glob("**/lib/*-linux-gnu"))

    def close(self) -> None:
        self.keeper.communicate()

    def put(self, data: bytes) -> Path:
        """The user's mailbox, changed long ago: popa3d waits a second for a recent change to be over."""
        path = self.folder / "mail" / USER
        for left in path.parent.iterdir():  # a lock, too
            left.unlink()
        path.write_bytes(data)
        os.chown(path, UID, UID)
        path.chmod(0o600)
        os.utime(path, (10**9, 10**9))
        return path

    def start(self, name: str, *arguments: str) -> "Dialogue":
        return Dialogue(*self.run([str(self.programs / "usr/sbin" / name), *arguments], self.theirs))

    @property
    def theirs(self) -> dict[str, str]:
        """The environment of an opponent."""
        return {"PATH": os.defpath, "LD_LIBRARY_PATH": self.libraries}

    def run(self, line: list[str], environment: dict[str, str]) -> "tuple[socket.socket, subprocess.Popen[bytes]]":
        """A server on the stage, as inetd starts it, and the client's end of its connection."""
        inside = ["nsenter", f"--mount=/proc/{self.keeper.pid}/ns/mnt", "--wd=/"]
        ours, theirs = socket.socketpair()
        ours.settimeout(PATIENCE)
        with theirs:
            server = subprocess.Popen(
                [*inside, *line], stdin=theirs, stdout=theirs, stderr=subprocess.DEVNULL, env=environment
            )
        return ours, server

    def answers(
        self, line: list[str], environment: dict[str, str], script: bytes, box: bytes, meanwhile: "Meanwhile" = None
    ) -> "tuple[bytes, bytes]":
        """All that the server says to a client that says ``script`` and nothing more, and the mailbox it leaves.

        ``meanwhile``: a script before it, how many lines answer that, and the mailbox that others then leave there.
        popa3d resets the connection if it ends before all was read; we do not.
        """
        path = self.put(box)
        connection, server = self.run(line, environment)
        with connection:
            if meanwhile:
                first, lines, changed = meanwhile
                connection.sendall(first)
                heard = b""
                while heard.count(b"\n") < lines:
                    piece = connection.recv(65536)
                    assert piece, heard
                    heard += piece
                path.write_bytes(changed)
            said = everything(connection, script, patient=environment == self.theirs)
        server.wait(PATIENCE)
        return said, path.read_bytes()


def everything(connection: socket.socket, script: bytes, patient: bool = False) -> bytes:
    """All that is said on it to a client that says ``script`` and nothing more.

    ``patient``: with a server that resets the connection at its end.
    """
    connection.sendall(script)
    connection.shutdown(socket.SHUT_WR)
    said = b""
    try:
        while piece := connection.recv(65536):
            said += piece
    except ConnectionResetError:
        if not patient:
            raise
    return said


class Dialogue:
    """A POP3 session, by the simplest client there is."""

    def __init__(self, connection: socket.socket, server: "subprocess.Popen[bytes]") -> None:
        connection.settimeout(PATIENCE)
        self.connection = connection
        self.server = server
        self.file = connection.makefile("rb")
        assert self.file.readline().startswith(b"+OK")

    def ask(self, line: str) -> str:
        """The words behind +OK, or empty."""
        self.connection.sendall(line.encode() + b"\r\n")
        answer = self.file.readline()
        return answer[3:].decode().strip() or "+" if answer.startswith(b"+OK") else ""

    def lines(self, line: str) -> list[bytes]:
        """The lines of an answer that has several, unstuffed, with their ends."""
        assert self.ask(line), line
        found = []
        while (got := self.file.readline()) != b".\r\n":
            assert got, "the opponent hung up"
            found.append(got[1:] if got.startswith(b".") else got)
        return found

    def close(self) -> None:
        self.file.close()
        self.connection.close()
        self.server.wait(PATIENCE)


class Seen:
    """What a server makes of a mailbox: ``refused``, or (octets, uid, text) of each message; ``left``: the file"""

    def __init__(
        self, refused: bool, messages: "list[tuple[int, str, bytes]] | None" = None, left: bytes = b""
    ) -> None:
        self.refused = refused
        self.messages = messages or []
        self.left = left


def look(stage: Stage, opponent: str, data: bytes) -> Seen:
    """What the opponent makes of a mailbox that holds ``data``."""
    path = stage.put(data)
    if opponent == "popa3d":
        dialogue = stage.start("popa3d")
    else:
        dialogue = stage.start("pop3d", "-i", "--no-config", f"--config-file={stage.folder}/pop3d.conf")
    try:
        assert dialogue.ask(f"USER {USER}")
        if not dialogue.ask("PASS any"):
            return Seen(refused=True)
        count, total = dialogue.ask("STAT").split()[:2]
        sizes = [int(line.split()[1]) for line in dialogue.lines("LIST")]
        assert (len(sizes), sum(sizes)) == (int(count), int(total))
        texts = [b"".join(dialogue.lines(f"RETR {number + 1}")) for number in range(len(sizes))]
        uids = [line.rstrip(b"\r\n").split(b" ", 1)[1].decode() for line in dialogue.lines("UIDL")]
        assert dialogue.ask("QUIT")
    finally:
        dialogue.close()
    return Seen(False, list(zip(sizes, uids, texts, strict=True)), path.read_bytes())


def have_mount_namespaces() -> None:
    """Skips the test where none can be made, as in most containers."""
    for name in ("unshare", "nsenter", "mount"):
        if shutil.which(name) is None:
            pytest.skip(f"{name} is not installed")
    done = subprocess.run(["unshare", "--mount", "true"], capture_output=True, text=True)
    if done.returncode:
        pytest.skip(f"no mount namespace can be made here: {done.stderr.strip()}")
