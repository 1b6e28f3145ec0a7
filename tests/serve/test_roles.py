"""Started as root: what each of the four roles has, and what a front that is taken over cannot do."""

from __future__ import annotations

import contextlib
import os
import re
import stat
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.conftest import require_program
from tests.harness import APOP_SECRET, PASSWORD, belonging, digest, identity, mail, open_folder, wait_until
from tests.inetd.starting import User
from tests.serve.rooted import UIDS, USERS, Rooted, command_of, take_over

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = pytest.mark.root

ONE = [mail("first", b"text 1\n")]
MODES = ("standalone", "prefork")


@pytest.fixture(params=MODES)
def server(request: pytest.FixtureRequest) -> Iterator[Rooted]:
    with open_folder() as folder:
        rooted = Rooted(folder, {"serve.mode": request.param})
        for user in USERS:
            rooted.fill(user, ONE)
        with rooted:
            yield rooted


def status(pid: int, key: str) -> str:
    found = re.search(rf"^{key}:\s*(.*)$", Path(f"/proc/{pid}/status").read_text(), re.M)
    assert found
    return found[1]


def core_limit(pid: int) -> list[str]:
    row = next(row for row in Path(f"/proc/{pid}/limits").read_text().splitlines() if "core file" in row)
    return row.split()[4:6]


def descriptors(pid: int) -> dict[int, str]:
    """What each is of; not of those that are closed while we look."""
    found = {}
    for name in os.listdir(f"/proc/{pid}/fd"):
        with contextlib.suppress(FileNotFoundError):
            found[int(name)] = os.readlink(f"/proc/{pid}/fd/{name}")
    return found


# --------------------------------------------------------------------------------------------------------------
# What /proc tells of each role


def test_a_front_is_a_user_of_its_own_in_an_empty_folder_and_cannot_get_privileges(server: Rooted) -> None:
    with server.dialogue() as line:
        assert line.line().startswith(b"+OK")
        pid = server.front_of(line)
        who = identity(pid)
        assert 0 not in who["Uid"] + who["Gid"] + who["Groups"]
        assert len(set(who["Uid"])) == len(set(who["Gid"])) == 1
        assert who["Groups"] == []
        assert who["Uid"][0] not in UIDS.values()
        assert status(pid, "NoNewPrivs") == "1"
        assert int(status(pid, "CapEff"), 16) == int(status(pid, "CapPrm"), 16) == 0
        assert status(pid, "Umask") == "0077"
        assert core_limit(pid) == ["0", "0"]
        root = os.readlink(f"/proc/{pid}/root")
        assert root != "/"
        assert os.listdir(f"/proc/{pid}/root/") == []
        assert os.stat(f"/proc/{pid}/status").st_uid == 0  # root's: the process is not dumpable, proc(5)


def test_a_front_has_no_descriptor_but_its_client_its_keeper_its_checker_and_the_log(server: Rooted) -> None:
    with server.dialogue() as other, server.dialogue() as line:
        assert other.line().startswith(b"+OK")
        assert line.line().startswith(b"+OK")
        found = descriptors(server.front_of(line))
        assert found.pop(0) == "/dev/null"
        for n in (1, 2):  # the log, in this test
            assert found.pop(n).startswith("pipe:")
        assert len(found) == 3
        assert all(what.startswith("socket:") for what in found.values())


def test_a_mail_process_is_its_user_and_nobody_else(server: Rooted) -> None:
    with server.dialogue() as other, server.dialogue() as line:
        assert other.line().startswith(b"+OK")
        assert line.login("alice", USERS["alice"]).startswith(b"+OK")
        pid = server.mail_process("alice")
        who = identity(pid)
        assert who["Uid"] == who["Gid"] == [UIDS["alice"]] * 4
        assert set(who["Groups"]) <= {UIDS["alice"]}
        assert status(pid, "Umask") == "0077"
        assert core_limit(pid) == ["0", "0"]
        assert status(pid, "NoNewPrivs") == "0"  # the mailer behind XTND XMIT may be setgid
        assert os.stat(f"/proc/{pid}/status").st_uid == 0
        sockets = [what for what in descriptors(pid).values() if what.startswith("socket:")]
        assert len(sockets) == 3  # the client, the keeper, and who makes the dotlock


def test_checkers_and_keeper_write_no_core_and_have_no_client(server: Rooted) -> None:
    with server.dialogue() as line:
        assert line.login("alice", USERS["alice"]).startswith(b"+OK")
        client = next(what for what in descriptors(server.mail_process("alice")).values() if what.startswith("socket:"))
        assert server.checkers()
        for pid in [server.process.pid, *server.checkers()]:
            assert core_limit(pid) == ["0", "0"]
            assert client not in descriptors(pid).values()


def test_the_keeper_has_loaded_neither_tls_nor_a_database_nor_the_gate(server: Rooted) -> None:
    with server.dialogue() as line:
        assert line.login("alice", USERS["alice"]).startswith(b"+OK")
    maps = Path(f"/proc/{server.process.pid}/maps").read_text()
    for library in ("libssl", "libsqlite3", "libpam", "_ssl.", "libkrb5"):
        assert library not in maps


# --------------------------------------------------------------------------------------------------------------
# A front that is taken over


def test_a_taken_over_front_opens_no_file_and_becomes_nobody(server: Rooted) -> None:
    spool = server.maildrop("alice")
    program = f"""
    import os, _socket
    def tried(call, *arguments):
        try:
            call(*arguments)
        except OSError as why:
            return why.errno
        return "DONE"
    said = [
        [tried(os.open, path, flags) for flags in (os.O_RDONLY, os.O_WRONLY)
         for path in ("/", ".", "..", "/etc/passwd", "/etc/shadow", "/proc/self/mem", {str(spool)!r})],
        [tried(os.open, name, os.O_CREAT | os.O_WRONLY) for name in ("/x", "x", "/tmp/x")],
        [tried(call, 0) for call in (os.setuid, os.setgid)] + [tried(os.setgroups, [0]), tried(os.chroot, "/")],
        [tried(os.setuid, uid) for uid in {list(UIDS.values())}],
        [tried(os.fork), tried(os.execv, "/bin/sh", ["sh"])],
        [tried(_socket.socket(_socket.AF_INET, _socket.SOCK_STREAM).connect, ("127.0.0.1", {server.port}))],
    ]
    """
    with server.dialogue() as line:
        assert line.line().startswith(b"+OK")
        said = take_over(line, program)
    assert isinstance(said, list)
    *most, network = said
    assert all(isinstance(one, int) for group in most for one in group), said
    assert landlock() < 4 or isinstance(network[0], int)


def landlock() -> int:
    """The version of Landlock that this kernel has; 0: none."""
    import ctypes

    return max(0, ctypes.CDLL(None).syscall(444, None, ctypes.c_size_t(0), 1))


def test_a_taken_over_front_cannot_touch_another_front_or_its_connection(server: Rooted) -> None:
    with server.dialogue() as victim, server.dialogue() as line:
        assert victim.line().startswith(b"+OK")
        assert line.line().startswith(b"+OK")
        pid = server.front_of(victim)
        said = take_over(
            line,
            f"""
            import ctypes
            libc = ctypes.CDLL(None, use_errno=True)
            pidfd = libc.syscall(434, {pid}, 0)
            said = [
                libc.ptrace(16, {pid}, 0, 0),
                libc.syscall(438, pidfd, 3, 0),
                libc.kill({pid}, 15),
            ]
            """,
        )
        assert isinstance(said, list)
        if landlock() < 6:
            said.pop()  # older kernels let a user's processes signal each other
        assert set(said) == {-1}
        assert victim.ask(f"USER {next(iter(USERS))}").startswith(b"+OK")


def test_a_taken_over_front_is_let_in_by_a_right_secret_only(server: Rooted) -> None:
    program = """
    facts = session.facts
    ask = lambda user, secret: type(session.gate.check(user, secret, facts)).__name__
    said = [ask(b"bob", b""), ask(b"bob", b"wrong"), ask(b"root", b"")]
    said += [ask(b"alice", b"a secret of hers"), ask(b"bob", b"another of his")]
    """
    with server.dialogue() as line:
        assert line.line().startswith(b"+OK")
        said = take_over(line, program)
    assert said == ["Denied", "Denied", "Denied", "Account", "Denied"]  # a connection is granted once


FORGED = {
    "without a grant": "hand_over(client)",
    "of a connection of another front": "hand_over(client, number=number - 1)",
    "of a connection that never was": "hand_over(client, number=2**40)",
    "truncated": "grant(); keeper.send(handover.pack(handover.HANDOVER, fields())[:-3])",
    "oversized": (
        "grant(); keeper.setsockopt(1, 7, 1 << 20);"
        " keeper.send(handover.pack(handover.HANDOVER, fields()) + bytes(handover.LARGEST))"
    ),
    "of another version": "grant(); keeper.send(b'\\x63' + handover.pack(handover.HANDOVER, fields())[1:])",
    "of another kind": (
        "handover.send(keeper, handover.GRANT, {'number': number, 'groups': [0], 'user': 'bob', 'uid': 61002,"
        " 'gid': 61002, 'home': '', 'maildrop': '', 'system': 0, 'source': '', 'shell': '', 'login': '', 'folder': ''})"
    ),
    "granted, with another descriptor": "grant(); hand_over(keeper.fileno())",
    "granted, with a TCP socket that is not the client's": (
        "grant(); mine = _socket.socket(_socket.AF_INET, _socket.SOCK_STREAM); hand_over(mine.fileno())"
    ),
    "granted, with two descriptors": "grant(); hand_over(client, client)",
    "granted, with none": "grant(); hand_over()",
    "granted, with many": "grant(); hand_over(*[client] * 9)",
    "a wish for TLS with another descriptor": (
        "handover.send(keeper, handover.STARTTLS, {'number': number}, [keeper.fileno()])"
    ),
    "a wish for TLS without one": "handover.send(keeper, handover.STARTTLS, {'number': number})",
}


@pytest.mark.parametrize("what", FORGED)
def test_a_forged_handover_opens_nobodys_session_and_ends_the_front(what: str, server: Rooted) -> None:
    with server.dialogue() as first, server.dialogue() as line:
        assert first.line().startswith(b"+OK")
        assert line.line().startswith(b"+OK")
        pid = server.front_of(line)
        line.sock.sendall(command_of(FORGED[what]).encode() + b"\r\n")
        server.log.wait_for("a front was killed")
        wait_until(lambda: not os.path.exists(f"/proc/{pid}"), "the front's end")
        # Nobody's session was opened, and the other connection is served as if nothing had been.
        assert not belonging(server.process.pid, *UIDS.values())
        assert first.ask("USER bob").startswith(b"+OK")
        assert first.ask(f"PASS {USERS['bob']}").startswith(b"+OK bob has 1 ")
    assert 'POP login by user "alice"' not in server.log.text


def test_a_handover_that_is_sent_twice_opens_one_session(server: Rooted) -> None:
    """Replayed by the front, whose connection it no longer is."""
    with server.dialogue() as line:
        assert line.line().startswith(b"+OK")
        line.sock.sendall(
            command_of(
                "grant()\ntry:\n    hand_over(client); hand_over(client); keeper.recv(1)\nfinally:\n    os._exit(0)"
            ).encode()
            + b"\r\n"
        )
        assert line.line().startswith(b"+OK alice has 1 ")
        assert line.ask("STAT").startswith(b"+OK 1 ")
        assert len(belonging(server.process.pid, *UIDS.values())) == 1


# --------------------------------------------------------------------------------------------------------------
# Secrets


def memory(pid: int) -> bytes:
    """All that a process has written to, or has of its own."""
    whole = []
    with open(f"/proc/{pid}/mem", "rb", buffering=0) as mem:
        for row in Path(f"/proc/{pid}/maps").read_text().splitlines():
            span, rights, *_ = row.split()
            if rights[:2] == "rw":
                start, end = (int(word, 16) for word in span.split("-"))
                mem.seek(start)
                whole.append(mem.read(end - start))
    return b"\n".join(whole)


@pytest.mark.parametrize("mode", MODES)
def test_no_process_of_mail_nor_its_parent_ever_holds_a_secret(mode: str) -> None:
    with open_folder() as folder:
        spool = folder / "spool"
        spool.mkdir()
        spool.chmod(0o1777)
        with User(spool) as user:
            server = Rooted(
                folder,
                {"serve.mode": mode, "auth.sources": "mailauth,accounts,unix", "spool": spool, "prefork.checkers": 1},
                apop={"bob": APOP_SECRET},
            )
            server.fill("alice", ONE)
            server.fill("bob", ONE)
            user.fill(ONE)
            with server, server.dialogue() as one, server.dialogue() as two, server.dialogue() as three:
                assert one.login(user.name, PASSWORD).startswith(b"+OK")
                assert two.login("alice", USERS["alice"]).startswith(b"+OK")
                stamp = re.search(rb"<.*>", three.line())
                assert stamp
                said = three.ask(f"APOP bob {digest(stamp[0].decode(), APOP_SECRET)}")
                assert said.startswith(b"+OK"), said
                shadow = Path("/etc/shadow").read_text().splitlines()
                secrets = {
                    "the login password": PASSWORD.encode(),
                    "its hash": next(row.split(":")[1] for row in shadow if row.startswith(f"{user.name}:")).encode(),
                    "an accounts file's password": USERS["alice"].encode(),
                    "an APOP secret": APOP_SECRET.encode(),
                    "the key of the APOP secrets": (folder / "keys/mailauth.key").read_bytes()[:32],
                    "root's shadow entry": next(row for row in shadow if row.startswith("root:")).encode(),
                }
                mails = belonging(server.process.pid, *UIDS.values(), user.uid)
                assert len(mails) == 3
                for pid in [server.process.pid, *mails]:
                    seen = memory(pid)
                    assert str(folder).encode() in seen  # a setting: what is looked at is the process's own
                    assert not [what for what, secret in secrets.items() if secret in seen]


def test_the_chroot_is_made_root_owned_and_empty(server: Rooted) -> None:
    place = Path("/run/pop3d/empty")
    found = place.stat()
    assert (found.st_uid, stat.S_IMODE(found.st_mode) & 0o022) == (0, 0)
    assert list(place.iterdir()) == []


def test_without_the_right_to_chroot_fronts_go_on_and_the_log_warns() -> None:
    """As under a systemd unit whose CapabilityBoundingSet leaves CAP_SYS_CHROOT out."""

    class Bounded(Rooted):
        def command(self) -> list[str]:
            return [require_program("setpriv"), "--bounding-set", "-sys_chroot", *super().command()]

    with open_folder() as folder:
        server = Bounded(folder)
        server.fill("alice", ONE)
        with server, server.dialogue() as line:
            assert line.login("alice", USERS["alice"]).startswith(b"+OK")
            server.log.wait_for("privilege.chroot: .* cannot be made the root folder")
