"""The programs that people fetch mail with, by STLS and by TLS from the first octet, certificate checked."""

from __future__ import annotations

import os
import subprocess
from typing import TYPE_CHECKING

import pytest

from tests.certificates import Authority, reachable, settings_of
from tests.clients.programs import Client, Curl, Fetchmail, Getmail, Mpop
from tests.clients.test_fetch import same
from tests.conftest import require_program
from tests.harness import PASSWORD, PATIENCE, Server, awkward, open_folder

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

pytestmark = pytest.mark.client


class House:
    def __init__(self, folder: Path) -> None:
        place = folder / "tls"
        place.mkdir()
        self.authority = Authority(place)
        settings = {**settings_of(self.authority.sign("server")), "auth.cleartext": "tls"}
        self.server = Server(folder, settings=settings, options=["--listen", "127.0.0.1:0,tls=implicit"])
        reachable(place, self.server.user)


@pytest.fixture
def house() -> Iterator[House]:
    with open_folder() as folder:
        made = House(folder)
        with made.server:
            yield made


def pop3s(house: House) -> int:
    return int(house.server.log.wait_for(r":(\d+) \(TLS from the first octet\)")[1])


class SecureCurl(Curl):
    """curl asks for TLS by its scheme, or by --ssl-reqd."""

    def call(self, *line: str, allowed: tuple[int, ...] = (0,)) -> str:
        more = ["--cacert", str(self.authority), "--ssl-reqd"]
        words = [word.replace("pop3://", f"{self.scheme}://") for word in line]
        if words[0] == "curl":
            path = self.home / words[2].rpartition("/")[2]
            path.write_text(path.read_text().replace("pop3://", f"{self.scheme}://"))
        return super().call(words[0], *more, *words[1:], allowed=allowed)


class SecureFetchmail(Fetchmail):
    """``sslproto auto`` asks for STLS, ``ssl`` for TLS from the first octet."""

    def file(self, name: str, text: str) -> str:
        way = "ssl" if self.scheme == "pop3s" else 'sslproto "auto"'
        return super().file(name, text.replace('sslproto ""', f'{way} sslcertck sslcertfile "{self.authority}"'))


class SecureMpop(Mpop):
    def file(self, name: str, text: str) -> str:
        starttls = "off" if self.scheme == "pop3s" else "on"
        return super().file(
            name, text.replace("tls off", f"tls on\ntls_starttls {starttls}\ntls_trust_file {self.authority}")
        )


class SecureGetmail(Getmail):
    """getmail knows TLS from the first octet alone."""

    def file(self, name: str, text: str) -> str:
        secure = text.replace("SimplePOP3Retriever", "SimplePOP3SSLRetriever").replace("use_apop = False\n", "")
        return super().file(name, secure)


@pytest.mark.parametrize(
    ("kind", "scheme"),
    [
        (SecureCurl, "pop3"),
        (SecureCurl, "pop3s"),
        (SecureFetchmail, "pop3"),
        (SecureFetchmail, "pop3s"),
        (SecureMpop, "pop3"),
        (SecureMpop, "pop3s"),
        (SecureGetmail, "pop3s"),
    ],
    ids=lambda one: getattr(one, "__name__", one),
)
def test_every_octet_arrives_under_tls_and_is_deleted_at_quit(kind: type[Client], scheme: str, house: House) -> None:
    home = house.server.folder / "client"
    home.mkdir()
    reader = kind(home)
    reader.scheme, reader.authority = scheme, house.authority.file  # type: ignore[attr-defined]
    os.chmod(house.authority.file.parent, 0o755)
    os.chmod(house.authority.file, 0o644)
    server = house.server
    path = server.fill("alice", awkward())
    plain = server.port
    server.host = "localhost"
    server.port = pop3s(house) if scheme == "pop3s" else plain
    same(reader, reader.fetch(server, "alice", PASSWORD, delete=True), awkward())
    assert path.read_bytes() == b""


@pytest.mark.client("openssl")
@pytest.mark.parametrize("way", [["-starttls", "pop3"], []], ids=["stls", "pop3s"])
def test_openssl_s_client_meets_the_chain_and_the_protocol(way: list[str], house: House) -> None:
    port = house.server.port if way else pop3s(house)
    line = ["openssl", "s_client", "-connect", f"localhost:{port}", *way, "-CAfile", house.authority.file]
    line += ["-verify_return_error", "-alpn", "pop3", "-servername", "localhost", "-ign_eof"]
    done = subprocess.run(line, input=b"CAPA\r\nQUIT\r\n", capture_output=True, timeout=PATIENCE)
    assert b"Verify return code: 0 (ok)" in done.stdout
    assert b"ALPN protocol: pop3" in done.stdout
    assert b"IMPLEMENTATION qpopper_py" in done.stdout


def test_a_client_that_does_not_trust_the_authority_sends_no_password(house: House) -> None:
    require_program("curl")
    url = f"pop3://localhost:{house.server.port}/"
    line = ["curl", "-sS", "--ssl-reqd", "-u", f"alice:{PASSWORD}", url]
    done = subprocess.run(line, capture_output=True, timeout=PATIENCE)
    assert done.returncode == 60  # peer certificate cannot be authenticated
    assert "login" not in house.server.log.text
