"""TLS over a socket pair, Python's own ssl as the client: facts, bindings, deadlines, nothing blocks."""

from __future__ import annotations

import contextlib
import socket
import ssl
import threading
from typing import TYPE_CHECKING

import pytest

from qpopper_py.errors import ConfigurationError, PeerGone
from qpopper_py.settings import Settings
from qpopper_py.stream import SocketStream
from qpopper_py.tls.certificate import end_point, first_of
from qpopper_py.tls.context import Server
from qpopper_py.tls.stream import TlsStream, user_of
from tests.certificates import Authority, openssl, settings_of
from tests.harness import PATIENCE

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from qpopper_py.facts import Tls

pytestmark = pytest.mark.client("openssl")


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    made = Authority(tmp_path_factory.mktemp("tls"))
    made.pair_of_server = made.sign("server")  # type: ignore[attr-defined]
    return made


def server(authority: Authority, minimum: str = "1.2", **more: object) -> Server:
    named = {name.replace("__", "."): str(value) for name, value in more.items()}
    pair = {name: str(path) for name, path in settings_of(authority.pair_of_server).items()}  # type: ignore[attr-defined]
    return Server(Settings([("test", {**pair, **named})]), minimum)


class Meeting:
    """Both ends after the handshake."""

    def __init__(self, made: Server, context: ssl.SSLContext) -> None:
        ours, theirs = socket.socketpair()
        theirs.settimeout(PATIENCE)
        self.stream = TlsStream(SocketStream(ours), made)
        self.client: ssl.SSLSocket | Exception | None = None

        def meet() -> None:
            try:
                self.client = context.wrap_socket(theirs, server_hostname="localhost")
            except OSError as why:
                self.client = why
                theirs.close()

        thread = threading.Thread(target=meet)
        thread.start()
        try:
            self.facts: Tls = self.stream.shake(PATIENCE)
        except PeerGone:
            self.stream.below.close()
            thread.join()
            if isinstance(self.client, ssl.SSLSocket):
                self.client.close()  # in TLS 1.3 a client is done before its certificate was looked at
            raise
        thread.join()

    def close(self) -> None:
        self.stream.close()
        assert isinstance(self.client, ssl.SSLSocket)
        self.client.close()


@pytest.fixture
def meet(authority: Authority) -> Iterator[Callable[..., Meeting]]:
    with contextlib.ExitStack() as ends:

        def begin(
            version: ssl.TLSVersion = ssl.TLSVersion.TLSv1_3, client: Path | None = None, **more: object
        ) -> Meeting:
            context = ssl.create_default_context(cafile=str(authority.file))
            context.maximum_version = version
            if client:
                context.load_cert_chain(client, client.with_suffix(".key"))
            meeting = Meeting(server(authority, **more), context)  # type: ignore[arg-type]
            ends.callback(meeting.close)
            return meeting

        yield begin


def test_the_facts_say_what_the_client_sees(meet: Callable[..., Meeting], authority: Authority) -> None:
    meeting = meet()
    assert (meeting.facts.version, meeting.facts.server_name) == ("TLSv1.3", "localhost")
    assert (meeting.facts.cipher, meeting.facts.bits) == meeting.client.cipher()[::2]
    assert meeting.facts.end_point == end_point(first_of(authority.pair_of_server.certificate.read_text()))  # type: ignore[attr-defined]
    assert meeting.facts.certificate == ""


def test_tls_unique_is_the_same_at_both_ends_and_there_is_none_in_version_1_3(meet: Callable[..., Meeting]) -> None:
    """RFC 5929 section 3; RFC 9266 section 1: it is not defined for 1.3."""
    old = meet(ssl.TLSVersion.TLSv1_2)
    assert old.facts.unique == old.client.get_channel_binding("tls-unique") != b""
    assert meet().facts.unique == b""


@pytest.mark.parametrize(("rule", "user"), [("email", "alice@example.org"), ("cn", "Alice A"), ("uid", "alice")])
@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
def test_a_clients_certificate_names_a_user(
    meet: Callable[..., Meeting], authority: Authority, rule: str, user: str, version: ssl.TLSVersion
) -> None:
    names = ("DNS:laptop", "email:alice@example.org", "email:other@example.org")
    pair = authority.sign("alice", *names, subject="/CN=Alice A/UID=alice")
    asked = {"tls__client_certificates": "ask", "tls__ca": authority.file, "tls__certificate_user": rule}
    assert meet(version, pair.certificate, **asked).facts.certificate == user
    assert meet(version, **asked).facts.certificate == ""
    assert meet(version, pair.certificate).facts.certificate == ""


def test_a_certificate_of_another_authority_ends_the_handshake(
    meet: Callable[..., Meeting], authority: Authority, tmp_path: Path
) -> None:
    pair = Authority(tmp_path, "other").sign("mallory", "email:alice@example.org")
    for mode in ("ask", "require"):
        with pytest.raises(PeerGone, match="CERTIFICATE_VERIFY_FAILED"):
            meet(client=pair.certificate, tls__client_certificates=mode, tls__ca=authority.file)


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
def test_where_a_certificate_is_required_a_handshake_without_one_ends(
    meet: Callable[..., Meeting], authority: Authority, version: ssl.TLSVersion
) -> None:
    pair = authority.sign("alice", "email:alice@example.org")
    asked = {"tls__client_certificates": "require", "tls__ca": authority.file}
    assert meet(version, pair.certificate, **asked).facts.certificate == "alice@example.org"
    with pytest.raises(PeerGone, match="has shown no certificate"):
        meet(version, **asked)


def rehashed(folder: Path, *authorities: Path) -> Path:
    """A folder of authorities as openssl-rehash(1) leaves it."""
    folder.mkdir()
    for number, path in enumerate(authorities):
        (folder / f"ca{number}.pem").write_bytes(path.read_bytes().rstrip())
    openssl("rehash", folder)
    return folder


def test_a_folder_of_authorities_counts_as_a_file_of_them_does(
    meet: Callable[..., Meeting], authority: Authority, tmp_path: Path
) -> None:
    other = Authority(tmp_path, "other")
    place = rehashed(tmp_path / "both", other.file, authority.file)
    for signer in (authority, other):
        pair = signer.sign("alice", "email:alice@example.org")
        asked = {"tls__client_certificates": "require", "tls__ca": place}
        assert meet(client=pair.certificate, **asked).facts.certificate == "alice@example.org"
    place = rehashed(tmp_path / "one", authority.file)
    with pytest.raises(PeerGone, match="CERTIFICATE_VERIFY_FAILED"):
        meet(client=pair.certificate, tls__client_certificates="ask", tls__ca=place)


def test_a_certificate_that_was_revoked_is_none(
    meet: Callable[..., Meeting], authority: Authority, tmp_path: Path
) -> None:
    good, bad = authority.sign("alice", "email:alice@example.org"), authority.sign("bob", "email:bob@example.org")
    lists = tmp_path / "crl.pem"
    asked = {"tls__client_certificates": "ask", "tls__ca": authority.file, "tls__crl": lists}
    authority.revoke(lists)
    assert meet(client=bad.certificate, **asked).facts.certificate == "bob@example.org"
    authority.revoke(lists, bad)
    assert meet(client=good.certificate, **asked).facts.certificate == "alice@example.org"
    with pytest.raises(PeerGone, match="CERTIFICATE_VERIFY_FAILED"):
        meet(client=bad.certificate, **asked)
    assert meet(**asked).facts.certificate == ""


def test_what_lies_beside_the_hashed_names_of_a_folder_does_not_count(
    meet: Callable[..., Meeting], authority: Authority, tmp_path: Path
) -> None:
    """openssl-verification-options(1): in a folder OpenSSL knows a certificate by the hash of its subject alone."""
    other = Authority(tmp_path, "other")
    pair = other.sign("alice", "email:alice@example.org")
    place = rehashed(tmp_path / "folder", authority.file)
    (place / "more.pem").write_bytes(other.file.read_bytes())
    asked = {"tls__client_certificates": "ask", "tls__ca": place}
    with pytest.raises(PeerGone, match="CERTIFICATE_VERIFY_FAILED"):
        meet(client=pair.certificate, **asked)
    for path in place.iterdir():
        if path.is_symlink():
            path.unlink()
    assert meet(client=pair.certificate, **asked).facts.certificate == "alice@example.org"


def test_a_certificate_without_the_name_that_is_asked_for_names_nobody() -> None:
    assert [user_of({}, rule) for rule in ("email", "cn", "uid")] == ["", "", ""]


def test_a_client_that_reads_nothing_does_not_block_and_gets_all_in_the_end(meet: Callable[..., Meeting]) -> None:
    meeting = meet()
    data = memoryview(bytes(range(256)) * 20_000)
    left = data
    while done := meeting.stream.send(left):
        left = left[done:]
    assert left, "the buffers of a socket pair hold less than this"
    got = bytearray()

    def read() -> None:
        while len(got) < len(data):
            got.extend(meeting.client.recv(65536))

    reader = threading.Thread(target=read)
    reader.start()
    while left:
        left = left[meeting.stream.send(left) :]
    reader.join()
    assert got == data


def test_what_comes_with_the_handshake_is_not_waited_for(authority: Authority) -> None:
    """A client may send its first line together with its Finished; poll sees nothing of it any more."""
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    tls = ssl.create_default_context(cafile=str(authority.file)).wrap_bio(
        incoming, outgoing, server_hostname="localhost"
    )
    ours, theirs = socket.socketpair()
    stream = TlsStream(SocketStream(ours), server(authority))
    thread = threading.Thread(target=stream.shake, args=[PATIENCE])
    thread.start()
    while True:
        try:
            tls.do_handshake()
            break
        except ssl.SSLWantReadError:
            theirs.sendall(outgoing.read())
            incoming.write(theirs.recv(65536))
    tls.write(b"CAPA\r\n")
    theirs.sendall(outgoing.read())
    thread.join()
    if not stream.pending():
        pytest.skip("it came later this time")
    assert stream.receive(65536) == b"CAPA\r\n"
    stream.close()
    theirs.close()


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"tls__certificate": "/nonexistent"}, "tls.certificate: /nonexistent or its key cannot be read: No such file"),
        ({"tls__key": "/nonexistent"}, "or its key cannot be read: No such file"),
        ({"tls__key": "/dev/null"}, "with /dev/null: OpenSSL cannot read the key"),
        ({"tls__certificate": "/dev/null"}, "tls.certificate: /dev/null: holds no certificate in PEM"),
        ({"tls__ciphers": "NONSENSE"}, "tls.ciphers: OpenSSL makes nothing of 'NONSENSE'"),
        ({"tls__client_certificates": "ask"}, "tls.client_certificates: ask, but tls.ca is empty"),
        (
            {
                "tls__client_certificates": "ask",
                "tls__ca": "/etc/ssl/certs",
                "tls__crl": "/dev/null",
            },
            "tls.crl: /dev/null: holds nothing of the kind in PEM",
        ),
        ({"tls__client_certificates": "require"}, "tls.client_certificates: require, but tls.ca is empty"),
        ({"tls__client_certificates": "ask", "tls__ca": "/dev/null"}, "tls.ca: /dev/null: "),
        ({"tls__client_certificates": "ask", "tls__ca": "/proc/self/fdinfo"}, "the folder holds no certificate"),
    ],
)
def test_what_is_wrong_is_named_with_its_setting_and_file(
    authority: Authority, changes: dict[str, object], words: str
) -> None:
    with pytest.raises(ConfigurationError) as error:
        server(authority, **changes)  # type: ignore[arg-type]
    assert words in str(error.value)
