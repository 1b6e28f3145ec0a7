"""KPOP by MIT's own krb5_sendauth, and by hand; on the wire as krb5_recvauth answers."""

from __future__ import annotations

import socket
from typing import TYPE_CHECKING

import pytest

from qpopper_py.errors import ConfigurationError
from qpopper_py.settings import Settings
from tests import kdc
from tests.gss import sendauth
from tests.harness import PATIENCE, Dialogue, mail, open_folder

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

pytestmark = pytest.mark.client(*kdc.PROGRAMS)

PASSWORD = "of three words"
SENDAUTH = b"\0\0\0\x13KRB5_SENDAUTH_V1.0\0"  # what MIT's clients send first: the length counts the NUL
KPOP = b"\0\0\0\x09KPOPV1.0\0"


@pytest.fixture(scope="module")
def realm() -> Iterator[kdc.Realm]:
    with open_folder() as folder, kdc.realm(folder) as made:
        made.user("alice", PASSWORD)
        made.user("alice/admin", PASSWORD)
        made.user("mallory", PASSWORD)
        yield made


@pytest.fixture
def folder() -> Iterator[Path]:
    with open_folder() as path:
        yield path


@pytest.fixture
def server(realm: kdc.Realm, folder: Path) -> Iterator[kdc.Server]:
    with kdc.Server(realm, folder, {"kpop": True}) as running:
        running.fill("alice", [mail("one", b"text\n")])
        yield running


def connected(server: kdc.Server) -> socket.socket:
    return socket.create_connection((server.host, server.port), PATIENCE)


def ticketed(server: kdc.Server, user: str = "alice") -> Dialogue:
    """A connection on which ``user`` has shown a ticket."""
    sock = connected(server)
    assert sendauth(sock, server.realm.ticket(user, PASSWORD), "pop", kdc.HOST) == ""
    sock.settimeout(PATIENCE)
    return Dialogue(sock)


def test_the_tickets_user_logs_in_with_any_password(server: kdc.Server) -> None:
    with ticketed(server) as line:
        assert line.login("alice", "whatever").startswith(b"+OK")
        assert line.ask("STAT").startswith(b"+OK 1 ")
        assert line.ask("QUIT").startswith(b"+OK")
    server.log.wait_for("alice")


@pytest.mark.parametrize("user", ["mallory", "alice/admin"])
def test_nobody_logs_in_by_the_ticket_of_another(server: kdc.Server, user: str) -> None:
    """And not with the right password either: the ticket is the one way in, and it is good for one try."""
    with ticketed(server, user) as line:
        assert line.login("alice", PASSWORD).startswith(b"-ERR [AUTH]")
        assert line.ask("USER alice").startswith(b"+OK")
        assert line.ask("PASS x").startswith(b"-ERR [AUTH]")
    server.log.wait_for("ticket")


def test_there_is_no_other_way_in(server: kdc.Server) -> None:
    with ticketed(server) as line:
        assert b"<" not in line.line()  # no stamp
        assert line.ask("CAPA").startswith(b"+OK")
        assert b"SASL" not in line.body()
        assert line.ask("AUTH PLAIN AGFsaWNlAG9mIHRocmVlIHdvcmRz").startswith(b"-ERR")
        assert line.ask("APOP alice 0123456789abcdef0123456789abcdef").startswith(b"-ERR")


def test_commands_may_follow_the_ticket_at_once(server: kdc.Server) -> None:
    """What stands behind the AP-REQ in the same packet is POP3, and not lost."""
    ours, theirs = socket.socketpair()
    with ours, theirs, connected(server) as sock:
        heard = relayed(server, ours, theirs, sock, b"USER alice\r\nPASS x\r\nQUIT\r\n")
    assert [line[:3] for line in heard.split(b"\r\n")[:-1]] == [b"+OK"] * 4


def relayed(
    server: kdc.Server, ours: socket.socket, theirs: socket.socket, sock: socket.socket, behind: bytes
) -> bytes:
    """Pass what krb5_sendauth says on, ``behind`` it in the packet of the AP-REQ; what came after its answer."""
    import threading

    cache = server.realm.ticket("alice", PASSWORD)
    thread = threading.Thread(target=sendauth, args=(theirs, cache, "pop", kdc.HOST))
    thread.start()
    ours.settimeout(PATIENCE)
    versions = ours.recv(len(SENDAUTH + KPOP), socket.MSG_WAITALL)
    assert versions == SENDAUTH + KPOP
    sock.sendall(versions)
    assert sock.recv(1) == b"\0"
    ours.sendall(b"\0")
    length = ours.recv(4, socket.MSG_WAITALL)
    request = length + ours.recv(int.from_bytes(length, "big"), socket.MSG_WAITALL)
    sock.sendall(request + behind)
    answer = sock.recv(8, socket.MSG_WAITALL)
    assert answer[:4] == bytes(4)
    answer += sock.recv(int.from_bytes(answer[4:], "big"), socket.MSG_WAITALL)
    ours.sendall(answer)
    thread.join(PATIENCE)
    with sock.makefile("rb") as file:
        return file.read()


def test_an_authenticator_is_good_once(server: kdc.Server) -> None:
    """What somebody read on the wire opens nothing: the replay cache, across processes."""
    ours, theirs = socket.socketpair()
    seen = bytearray()
    with ours, theirs, connected(server) as sock:
        cache_behind = b"QUIT\r\n"
        real = sock.sendall

        class Recorder:
            def sendall(self, data: bytes) -> None:
                seen.extend(data)
                real(data)

            def __getattr__(self, name: str) -> object:
                return getattr(sock, name)

        relayed(server, ours, theirs, Recorder(), cache_behind)  # type: ignore[arg-type]
    with connected(server) as sock:
        sock.sendall(bytes(seen[: -len(cache_behind)]))
        with sock.makefile("rb") as file:
            answer = file.read()
    assert answer[0] == 0
    assert int.from_bytes(answer[1:5], "big") == len(answer) - 5 > 0  # a KRB-ERROR, and no greeting behind it
    assert answer[5] == 0x7E  # [APPLICATION 30], RFC 4120 section 5.9.1
    server.log.wait_for("replay")


@pytest.mark.parametrize(
    ("said", "answer"),
    [
        (b"\0\0\0\x13KRB5_SENDAUTH_V9.9\0" + KPOP, b"\1"),
        (SENDAUTH + b"\0\0\0\x09KPOPV0.1\0", b"\2"),
        (b"USER alice\r\nPASS x\r\n", b""),
        (b"\0\0\0\0", b""),
        (SENDAUTH + KPOP + b"\xff\xff\xff\xff", b"\0"),
        (SENDAUTH + KPOP + b"\0\0\0\0", b"\0"),
    ],
    ids=["another sendauth", "another KPOP", "POP3", "nothing", "too long", "empty"],
)
def test_what_is_no_kpop_hears_its_code_and_no_greeting(server: kdc.Server, said: bytes, answer: bytes) -> None:
    with connected(server) as sock:
        sock.sendall(said)
        with sock.makefile("rb") as file:
            assert file.read() == answer
    server.log.wait_for("KPOP")


def test_junk_for_a_ticket_is_answered_by_a_krb_error(server: kdc.Server) -> None:
    with connected(server) as sock:
        sock.sendall(SENDAUTH + KPOP + b"\0\0\0\x04junk")
        with sock.makefile("rb") as file:
            answer = file.read()
    assert answer[0] == 0
    assert int.from_bytes(answer[1:5], "big") == len(answer) - 5
    assert answer[5] == 0x7E


def test_sendauth_says_what_the_server_said(server: kdc.Server, realm: kdc.Realm) -> None:
    """A ticket for another service, whose key is not ours: the client's library understands the KRB-ERROR."""
    realm.admin(f"addprinc -randkey imap/{kdc.HOST}")
    with connected(server) as sock:
        said = sendauth(sock, realm.ticket("alice", PASSWORD), "imap", kdc.HOST)
    assert said.startswith("krb5_sendauth: ")
    with connected(server) as sock:
        assert (
            "bad application version"
            in sendauth(sock, realm.ticket("alice", PASSWORD), "pop", kdc.HOST, b"POP3").lower()
        )


def test_a_client_whose_clock_is_wrong_is_told_so(server: kdc.Server, realm: kdc.Realm) -> None:
    """RFC 4120 section 3.2.3: beyond clockskew, five minutes, an authenticator is not believed."""
    cache = realm.ticket("alice", PASSWORD)
    realm.call("kvno", "-c", cache, kdc.SERVICE)
    with connected(server) as sock:
        assert sendauth(sock, cache, "pop", kdc.HOST, ahead=3600).startswith("krb5_sendauth: ")
    server.log.wait_for("skew")


def test_whoever_says_nothing_is_not_waited_for_longer_than_for_a_login(realm: kdc.Realm, folder: Path) -> None:
    with kdc.Server(realm, folder, {"kpop": True, "login_timeout": 1}) as server, connected(server) as sock:
        sock.sendall(SENDAUTH)
        assert sock.recv(1) == b""
        server.log.wait_for("silent for too long")


def test_kpop_without_a_judge_of_tickets_is_refused() -> None:
    with pytest.raises(ConfigurationError, match=r"auth\.sources does not name kerberos"):
        Settings([("the test", {"kpop": True})])
