"""Real clients with a ticket and no password: fetchmail, mpop and curl by GSSAPI, fetchmail by KPOP."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests import kdc
from tests.clients.programs import Client, Curl, Fetchmail, Mpop
from tests.harness import PATIENCE, mail, open_folder

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from tests.harness import Server

pytestmark = pytest.mark.client(*kdc.PROGRAMS)

PASSWORD = "of three words"


class Ticketed(Client):
    """A client in whose environment a ticket is.  It must say the host's name, for which the key is."""

    ticket: str
    realm: kdc.Realm
    statuses: Sequence[int] = (0,)  # that it may end with

    def with_ticket(self, *line: str) -> str:
        names = {**self.realm.environment, "KRB5CCNAME": self.ticket}
        return self.call(
            "env", *(f"{key}={value}" for key, value in names.items()), *line, allowed=tuple(self.statuses)
        )


class FetchmailGssapi(Ticketed, Fetchmail):
    protocol = "POP3 auth gssapi"

    def service(self, server: Server) -> str:
        return f"service {server.port}"

    def run(self, server: Server, user: str, secret: str, apop: bool, delete: bool) -> None:
        text = f"""set invisible
set no bouncemail
poll {kdc.HOST} protocol {self.protocol} {self.service(server)}
  timeout {PATIENCE} no dns no uidl
  bad-header accept
  user "{user}" {"no keep" if delete else "keep"} fetchall
  no rewrite no mimedecode pass8bits no stripcr sslproto ""
  mda "{self.deliver} {self.inbox}"
"""
        line = ("fetchmail", "-v", "-f", self.file("fetchmailrc", text), "--pidfile", "pid")
        self.told = self.with_ticket(*line)


class FetchmailKpop(FetchmailGssapi):
    """``protocol KPOP`` means Kerberos 4, which is gone; ``auth kerberos_v5`` makes it what KPOP is today.

    Its PASS without a password goes to a service of the name kpop only, so socat finds the port.
    """

    needs = ("fetchmail", "socat")
    protocol = "KPOP auth kerberos_v5"

    def service(self, server: Server) -> str:
        return f'service "kpop" plugin "socat STDIO TCP4:{server.host}:{server.port}"'


class MpopGssapi(Ticketed, Mpop):
    def run(self, server: Server, user: str, secret: str, apop: bool, delete: bool) -> None:
        lines = [
            "account test",
            f"host {kdc.HOST}",
            f"port {server.port}",
            "tls off",
            f"user {user}",
            "auth gssapi",
            f"keep {'off' if delete else 'on'}",
            "received_header off",
            f"uidls_file {self.home}/uidls",
            f'delivery mda "{self.deliver} {self.inbox}"',
        ]
        self.with_ticket("mpop", "-C", self.file("mpoprc", "\n".join(lines) + "\n"), "-q", "test")


class CurlGssapi(Ticketed, Curl):
    """curl uses a ticket only for a name with a realm, which it then does not send."""

    def run(self, server: Server, user: str, secret: str, apop: bool, delete: bool) -> None:
        url = f"pop3://{kdc.HOST}:{server.port}/"
        line = ["curl", "-sS", "-m", str(PATIENCE), "-u", f"{user}@{kdc.REALM}:", "--login-options", "AUTH=GSSAPI"]
        for scanned in self.with_ticket(*line, url).splitlines():
            number = int(scanned.split()[0])
            self.with_ticket(*line, f"{url}{number}", "-o", f"{self.inbox}/{number:04d}")
            if delete:
                self.with_ticket(*line, f"{url}{number}", "-X", "DELE", "-I")


@pytest.fixture(scope="module")
def realm() -> Iterator[kdc.Realm]:
    with open_folder() as folder, kdc.realm(folder) as made:
        made.user("alice", PASSWORD)
        made.user("mallory", PASSWORD)
        yield made


@pytest.fixture
def folder() -> Iterator[Path]:
    with open_folder() as path:
        yield path


def client(kind: type[Ticketed], realm: kdc.Realm, folder: Path, user: str = "alice") -> Ticketed:
    home = folder / "client"
    home.mkdir()
    made = kind(home)
    made.realm, made.ticket = realm, realm.ticket(user, PASSWORD)
    return made


CLIENTS = [(FetchmailGssapi, False), (MpopGssapi, False), (FetchmailKpop, True)]
every_client = pytest.mark.parametrize(("kind", "kpop"), CLIENTS, ids=lambda it: getattr(it, "__name__", ""))


@every_client
def test_a_ticket_fetches_the_mail_and_deletes_it(
    kind: type[Ticketed], kpop: bool, realm: kdc.Realm, folder: Path
) -> None:
    with kdc.Server(realm, folder, {"kpop": kpop}) as server:
        sent = [mail(f"message {n}", b"text %d\n" % n) for n in (1, 2, 3)]
        path = server.fill("alice", sent)
        reader = client(kind, realm, folder)
        got = reader.fetch(server, "alice", "", delete=True)
        assert got == [reader.expected(message) for message in sent]
        assert path.read_bytes() == b""


@every_client
def test_the_ticket_of_another_fetches_nothing(
    kind: type[Ticketed], kpop: bool, realm: kdc.Realm, folder: Path
) -> None:
    with kdc.Server(realm, folder, {"kpop": kpop}) as server:
        path = server.fill("alice", [mail("one", b"text\n")])
        before = path.read_bytes()
        reader = client(kind, realm, folder, "mallory")
        reader.statuses = range(1, 256)
        assert reader.fetch(server, "alice", "", delete=True) == []
        assert path.read_bytes() == before
        server.log.wait_for("another user|mallory")


def test_curl_with_a_ticket(realm: kdc.Realm, folder: Path) -> None:
    """It logs in anew for each message, so a short maildrop."""
    with kdc.Server(realm, folder) as server:
        sent = [mail(f"message {n}", b"text %d\n" % n) for n in (1, 2)]
        server.fill("alice", sent)
        reader = client(CurlGssapi, realm, folder)
        assert reader.fetch(server, "alice", "") == [message.wire for message in sent]
