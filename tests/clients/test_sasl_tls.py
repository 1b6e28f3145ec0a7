"""AUTH under TLS: bound to the channel (SCRAM-...-PLUS), and by the client's certificate (EXTERNAL)."""

from __future__ import annotations

import hashlib
import socket
import ssl
from base64 import b64decode, b64encode
from typing import TYPE_CHECKING

import pytest
import scramp

from tests.certificates import reachable
from tests.clients.programs import Mpop
from tests.harness import PASSWORD, PATIENCE, Dialogue, open_folder
from tests.serve.test_tls import HELLO, House

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.harness import Server

pytestmark = pytest.mark.client


class MpopTls(Mpop):
    """mpop by pop3s, its certificate shown if it has one."""

    certificate: tuple[str, ...] = ()

    def file(self, name: str, text: str) -> str:
        lines = ["tls on", "tls_starttls off", f"tls_trust_file {self.trust}"]
        if self.certificate:
            lines += [f"tls_cert_file {self.certificate[0]}", f"tls_key_file {self.certificate[1]}"]
        for old, new in ((f"host {self.host}\n", "host localhost\n"), (f"port {self.plain}\n", f"port {self.port}\n")):
            text = text.replace(old, new)
        return super().file(name, text.replace("tls off", "\n".join(lines)))

    def at(self, house: House) -> MpopTls:
        self.trust, self.port = house.authority.file, house.pop3s
        self.host, self.plain = house.server.host, house.server.port
        return self


@pytest.fixture
def house() -> Iterator[House]:
    with open_folder() as folder:
        more = {
            "tls__client_certificates": "ask",
            "tls__ca": folder / "tls/ca.pem",
            "auth__sources": "mailauth,accounts,certificate",
            "auth__refusal_delay": 0,
        }
        with House(folder, False, **more) as running:
            yield running


def let_in_by(server: Server) -> str:
    return server.log.wait_for(r"POP login by user .*: (\S+), ")[1]


def connect(house: House, version: ssl.TLSVersion) -> tuple[Dialogue, ssl.SSLSocket]:
    context = house.context()
    context.minimum_version = context.maximum_version = version
    plain = socket.create_connection(("localhost", house.pop3s), PATIENCE)
    secured = context.wrap_socket(plain, server_hostname="localhost")
    return Dialogue(secured), secured


def scram(dialogue: Dialogue, name: str, binding: tuple[str, bytes]) -> bytes:
    """Log alice in; the last answer.  The client checks the server's signature, over the binding too."""
    client = scramp.ScramClient([name], "alice", PASSWORD, channel_binding=binding)
    answer = dialogue.ask(f"AUTH {name} {b64encode(client.get_client_first().encode()).decode()}")
    if answer.startswith(b"-ERR"):
        return answer
    client.set_server_first(b64decode(answer[2:]).decode())
    answer = dialogue.ask(b64encode(client.get_client_final().encode()))
    if answer.startswith(b"-ERR"):
        return answer
    client.set_server_final(b64decode(answer[2:]).decode())
    return dialogue.ask("")


@pytest.mark.parametrize("name", ["SCRAM-SHA-256-PLUS", "SCRAM-SHA-1-PLUS"])
@pytest.mark.parametrize(
    ("version", "type_"),
    [
        (ssl.TLSVersion.TLSv1_2, "tls-unique"),
        (ssl.TLSVersion.TLSv1_2, "tls-server-end-point"),
        (ssl.TLSVersion.TLSv1_3, "tls-server-end-point"),
    ],
)
def test_scram_is_bound_to_the_channel(house: House, name: str, version: ssl.TLSVersion, type_: str) -> None:
    dialogue, secured = connect(house, version)
    with dialogue:
        dialogue.line()
        certificate = secured.getpeercert(binary_form=True) or b""
        unique = secured.get_channel_binding("tls-unique") or b""
        data = unique if type_ == "tls-unique" else hashlib.sha256(certificate).digest()
        assert scram(dialogue, name, (type_, data)).startswith(b"+OK alice has 2 ")
        dialogue.ask("QUIT")
    assert let_in_by(house.server) == name


def test_somebody_in_between_with_another_certificate_gets_nobody_in(house: House) -> None:
    dialogue, _ = connect(house, ssl.TLSVersion.TLSv1_3)
    with dialogue:
        dialogue.line()
        other = hashlib.sha256(b"another certificate").digest()
        assert scram(dialogue, "SCRAM-SHA-256-PLUS", ("tls-server-end-point", other)).startswith(b"-ERR [AUTH]")
        dialogue.ask("QUIT")
    house.server.log.wait_for("bound to another channel")


@pytest.mark.parametrize("auth", ["scram-sha-256", "scram-sha-1", "cram-md5", "plain"])
def test_what_works_without_tls_works_under_it(house: House, tmp_path: Path, auth: str) -> None:
    """Clients that cannot bind must not look like victims of a downgrade."""
    with open_folder() as folder:
        reader = MpopTls(folder / "client").at(house)
        reader.auth = auth
        assert reader.fetch(house.server, "alice", PASSWORD) == [reader.expected(message) for message in HELLO]
    assert let_in_by(house.server) == auth.upper()


def test_a_certificate_lets_in_without_a_password(house: House) -> None:
    pair = house.authority.sign("alice", "email:alice")
    reachable(pair.key.parent, house.server.user)
    with open_folder() as folder:
        reader = MpopTls(folder / "client").at(house)
        reader.auth, reader.certificate = "external", (str(pair.certificate), str(pair.key))
        assert reader.fetch(house.server, "alice", "not asked for") == [reader.expected(message) for message in HELLO]
    assert house.server.log.wait_for(r"POP login by user .*: (\S+, \S+), ")[1] == "EXTERNAL, certificate"


def test_without_a_certificate_it_is_not_offered(house: House) -> None:
    dialogue, _ = connect(house, ssl.TLSVersion.TLSv1_3)
    with dialogue:
        dialogue.line()
        dialogue.ask("CAPA")
        assert b"EXTERNAL" not in dialogue.body()
        assert dialogue.ask("AUTH EXTERNAL YWxpY2U=") == b"-ERR No such authentication mechanism here."
        dialogue.ask("QUIT")
