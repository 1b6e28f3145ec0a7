"""saslauthd's protocol and its failures by a daemon of the test's own, and the real daemon (Debian's sasl2-bin)."""

from __future__ import annotations

import contextlib
import os
import socket
import threading
from typing import TYPE_CHECKING

import pytest

from qpopper_py.auth.account import Account
from qpopper_py.auth.credentials import Digest, Password
from qpopper_py.auth.gate import Denied, Gate
from qpopper_py.auth.sources.saslauthd import Saslauthd, refuse_untrusted
from qpopper_py.errors import CredentialStoreError
from qpopper_py.events import Event, Trouble
from qpopper_py.facts import Facts
from tests.conftest import require_program
from tests.harness import PATIENCE, open_folder, started, wait_until

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from qpopper_py.settings import Settings
    from tests.auth.conftest import SystemUser

SECRET = b"correct horse"


class Fake:
    """A daemon that notes the strings of each request and answers with ``pieces``, one send each; then hangs up."""

    def __init__(self, folder: Path) -> None:
        self.path = folder / "mux"
        self.pieces: list[bytes] = [b"\0\2OK"]
        self.silent = False
        self.heard: list[list[bytes]] = []
        self.over = threading.Event()
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.bind(str(self.path))
        self.sock.listen()
        self.thread = threading.Thread(target=self.serve, daemon=True)
        self.thread.start()

    def serve(self) -> None:
        while True:
            connection, _ = self.sock.accept()
            with connection, connection.makefile("rb") as file:
                words = [file.read(int.from_bytes(file.read(2), "big")) for _ in range(4)]
                if self.over.is_set():
                    return
                self.heard.append(words)
                if self.silent:
                    self.over.wait(PATIENCE)
                    return
                with contextlib.suppress(OSError):
                    for piece in self.pieces:
                        connection.sendall(piece)

    def stop(self) -> None:
        self.over.set()
        with contextlib.suppress(OSError), socket.socket(socket.AF_UNIX) as last:
            last.connect(str(self.path))
            last.sendall(bytes(8))
        self.thread.join(PATIENCE)
        self.sock.close()


@pytest.fixture
def fake() -> Iterator[Fake]:
    with open_folder() as folder:
        daemon = Fake(folder)
        try:
            yield daemon
        finally:
            daemon.stop()


@pytest.fixture
def settings(fake: Fake, configure: Callable[..., Settings], tmp_path: Path) -> Settings:
    """Asks saslauthd alone; alice and bob@example.org are in an accounts file."""
    accounts = tmp_path / "accounts"
    accounts.write_text("alice::1234:1234::/home/alice::\nbob@example.org::1235:1235::/home/bob::\n")
    accounts.chmod(0o600)
    return configure(
        auth_sources="saslauthd",
        accounts_file=str(accounts),
        saslauthd_socket=str(fake.path),
        saslauthd_service="pop",
        saslauthd_timeout=1,
    )


@pytest.fixture
def gate(settings: Settings, heard: list[Event]) -> Gate:
    return Gate(settings, heard.append)


def test_ok_lets_in_as_whom_the_directory_knows(gate: Gate, fake: Fake, facts: Facts, heard: list[Event]) -> None:
    account = gate.check(b"alice", SECRET, facts)
    assert isinstance(account, Account)
    assert (account.user, account.source, account.home) == ("alice", "saslauthd", "/home/alice")
    assert fake.heard == [[b"alice", SECRET, b"pop", b""]]
    assert heard == []


def test_a_domain_is_sent_as_the_realm(gate: Gate, fake: Fake, facts: Facts) -> None:
    assert isinstance(gate.check(b"bob@example.org", SECRET, facts), Account)
    assert fake.heard == [[b"bob", SECRET, b"pop", b"example.org"]]


@pytest.mark.parametrize(
    "pieces", [[b"\0\2NO"], [b"\0\x18NO authentication failed\0"], [b"\0", b"\3N", b"O "]], ids=["no", "words", "bits"]
)
def test_no_refuses(gate: Gate, fake: Fake, facts: Facts, heard: list[Event], pieces: list[bytes]) -> None:
    fake.pieces = pieces
    denied = gate.check(b"alice", SECRET, facts)
    assert isinstance(denied, Denied)
    assert (denied.why, denied.temporary) == ("saslauthd says no", False)
    assert heard == []


def test_an_answer_may_come_octet_by_octet(gate: Gate, fake: Fake, facts: Facts) -> None:
    fake.pieces = [bytes([octet]) for octet in b"\0\7OK good"]
    assert isinstance(gate.check(b"alice", SECRET, facts), Account)


def test_who_is_let_in_and_known_nowhere_is_nobody(gate: Gate, fake: Fake, facts: Facts) -> None:
    denied = gate.check(b"nobody-is-called-so", SECRET, facts)
    assert isinstance(denied, Denied)
    assert "no user of NSS" in denied.why
    assert len(fake.heard) == 1


@pytest.mark.parametrize("secret", [b"", b"x" * 257, b"correct horse\0x"])
def test_what_it_cannot_take_is_not_sent(
    gate: Gate, settings: Settings, fake: Fake, facts: Facts, secret: bytes
) -> None:
    """MAX_REQ_LEN of saslauthd is 256."""
    assert isinstance(gate.check(b"alice", secret, facts), Denied)
    if secret:
        assert isinstance(Saslauthd(settings, []).vouch(Password("alice", secret), facts), Denied)
    assert fake.heard == []


def test_256_octets_are_sent(gate: Gate, fake: Fake, facts: Facts) -> None:
    assert isinstance(gate.check(b"alice", b"\xff" * 256, facts), Account)
    assert fake.heard[0][1] == b"\xff" * 256


@pytest.mark.root
def test_root_s_password_is_not_asked_for(gate: Gate, fake: Fake, facts: Facts) -> None:
    assert isinstance(gate.check(b"root", SECRET, facts), Denied)
    assert fake.heard == []


def test_digests_are_not_its_business(settings: Settings, facts: Facts) -> None:
    assert Saslauthd(settings, []).vouch(Digest("alice", "<1@x>", b"0" * 32), facts) is None


@pytest.mark.parametrize(
    ("pieces", "words"),
    [
        ([], "hung up"),
        ([b"\0"], "hung up"),
        ([b"\0\7OK"], "hung up"),
        ([b"\0\0"], "neither OK nor NO"),
        ([b"\0\5HELLO"], "neither OK nor NO"),
        ([b"\xff\xff" + b"x" * 2000], "neither OK nor NO"),
    ],
)
def test_what_is_no_answer_refuses_for_now(
    gate: Gate, fake: Fake, facts: Facts, heard: list[Event], pieces: list[bytes], words: str
) -> None:
    fake.pieces = pieces
    denied = gate.check(b"alice", SECRET, facts)
    assert isinstance(denied, Denied)
    assert denied.temporary
    (event,) = heard
    assert isinstance(event, Trouble)
    assert words in event.what
    assert str(fake.path) in event.what
    assert "horse" not in event.what


def test_silence_ends_after_saslauthd_timeout(gate: Gate, fake: Fake, facts: Facts, heard: list[Event]) -> None:
    fake.silent = True
    denied = gate.check(b"alice", SECRET, facts)
    assert isinstance(denied, Denied)
    assert denied.temporary
    assert isinstance(heard[0], Trouble)
    assert "did not answer in 1 s (saslauthd.timeout)" in heard[0].what


@pytest.mark.parametrize("made", ["nothing", "file", "folder"])
def test_no_daemon_there_refuses_for_now_and_says_what_to_do(
    configure: Callable[..., Settings], facts: Facts, heard: list[Event], tmp_path: Path, made: str
) -> None:
    path = tmp_path / ("none/mux" if made == "folder" else "mux")
    if made == "file":
        path.touch()
    gate = Gate(configure(auth_sources="saslauthd", saslauthd_socket=str(path)), heard.append)
    denied = gate.check(b"nobody-is-called-so", SECRET, facts)
    assert isinstance(denied, Denied)
    assert denied.temporary
    assert isinstance(heard[0], Trouble)
    assert "start saslauthd, or set saslauthd.socket" in heard[0].what


@pytest.mark.root
def test_a_socket_that_anybody_could_have_put_there_is_told_nothing(
    gate: Gate, fake: Fake, facts: Facts, heard: list[Event]
) -> None:
    fake.path.parent.chmod(0o1777)
    with pytest.raises(CredentialStoreError, match="chmod o-w"):
        refuse_untrusted(str(fake.path))
    denied = gate.check(b"alice", SECRET, facts)
    assert isinstance(denied, Denied)
    assert denied.temporary
    assert fake.heard == []


@pytest.mark.root
@pytest.mark.client("saslauthd")
def test_the_real_saslauthd_agrees_about_a_system_user(
    system_user: SystemUser, configure: Callable[..., Settings], facts: Facts, heard: list[Event]
) -> None:
    """saslauthd -a shadow, on a socket of its own."""
    from tests import accounts

    accounts.change("chpasswd", given=f"{system_user.name}:{SECRET.decode()}\n")
    with open_folder() as folder:
        line = [require_program("saslauthd"), "-a", "shadow", "-m", str(folder), "-n", "1", "-d"]
        # It ends its whole process group with itself.
        with started(*line, start_new_session=True) as process:
            mux = folder / "mux"
            wait_until(lambda: mux.exists() or process.poll() is not None, "saslauthd's socket")
            gate = Gate(configure(auth_sources="saslauthd", saslauthd_socket=str(mux)), heard.append)
            name = system_user.name.encode()
            account = gate.check(name, SECRET, facts)
            assert isinstance(account, Account), (heard, process.output.text)  # type: ignore[attr-defined]
            assert (account.source, account.system, account.login) == ("saslauthd", True, system_user.name)
            for user, secret in [(name, b"wrong"), (b"nobody-is-called-so", SECRET), (name, b"x" * 256)]:
                denied = gate.check(user, secret, facts)
                assert isinstance(denied, Denied)
                assert denied.why == "saslauthd says no"
            assert heard == []
    assert not os.path.exists(mux)
