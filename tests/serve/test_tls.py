"""TLS as clients meet it: STLS and pop3s, in the session's process and, as root, in one of its own."""

from __future__ import annotations

import contextlib
import os
import poplib
import re
import signal
import socket
import ssl
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.certificates import Authority, openssl, reachable, settings_of
from tests.guard import GUARD
from tests.harness import (
    PASSWORD,
    PATIENCE,
    Dialogue,
    Server,
    big,
    children,
    command,
    identity,
    mail,
    open_folder,
    wait_until,
)

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.certificates import Pair

HELLO = [mail("one", b"hello\n.dot\n"), mail("two", b"again\n")]


CHECKERS = 2  # prefork.checkers


class House:
    """A server with TLS, its folder and its authority.  ``root``: it stays root, and TLS has a process of its own."""

    def __init__(self, folder: Path, root: bool, *options: str, **more: object) -> None:
        place = folder / "tls"
        place.mkdir()
        self.root = root
        self.authority = Authority(place)
        self.pair = self.authority.sign("server")
        named = {name.replace("__", "."): value for name, value in more.items()}
        words = [word for one in ("127.0.0.1:0,tls=implicit", *options) for word in ("--listen", one)]
        self.server = Server(folder, settings={**settings_of(self.pair), **named}, options=words)
        if root:
            self.server.user = None
            self.server.settings["accounts.owner"] = "nobody"
            for name, mode in (("mail", 0o1777), ("state", 0o755)):
                (folder / name).chmod(mode)
        else:
            reachable(place, self.server.user)

    def __enter__(self) -> House:
        self.server.__enter__()
        self.pop3s = int(self.server.log.wait_for(r"127\.0\.0\.1:(\d+) \(TLS from the first octet\)")[1])
        self.fill(HELLO)
        return self

    def is_idle(self) -> bool:
        """No process serves anybody: there are but those that check passwords."""
        return len(children(self.server.process.pid)) == (CHECKERS if self.root else 0)

    def __exit__(self, *_: object) -> None:
        self.server.__exit__()

    def fill(self, messages: list[object]) -> None:
        path = self.server.fill("alice", messages)  # type: ignore[arg-type]
        if self.root:
            os.chown(path, 65534, 65534)

    def context(self) -> ssl.SSLContext:
        return ssl.create_default_context(cafile=str(self.authority.file))

    def starttls(self) -> poplib.POP3:
        pop = poplib.POP3("localhost", self.server.port, timeout=PATIENCE)
        pop.stls(self.context())
        return pop

    def implicit(self) -> poplib.POP3_SSL:
        return poplib.POP3_SSL("localhost", self.pop3s, timeout=PATIENCE, context=self.context())

    def reload(self, *, words: str) -> None:
        """SIGHUP; returns when the log has ``words`` of it."""
        self.server.process.send_signal(signal.SIGHUP)
        self.server.log.wait_for(words)

    def install(self, pair: Pair) -> None:
        """Renew the server's files, as a certificate client does."""
        for fresh, old in ((pair.certificate, self.pair.certificate), (pair.key, self.pair.key)):
            reachable(fresh.parent, self.server.user)
            fresh.replace(old)


BOTH = [pytest.param(False, id="here"), pytest.param(True, id="apart", marks=pytest.mark.root)]


@pytest.fixture(params=BOTH)
def house(request: pytest.FixtureRequest) -> Iterator[House]:
    with open_folder() as folder, House(folder, request.param, auth__refusal_delay=0) as running:
        yield running


def ports(house: House) -> list[int]:
    """Of the listeners without TLS from the first octet, in the order of the command line."""

    def found() -> list[int]:
        rows = [re.search(r"listening on 127\.0\.0\.1:(\d+)$", row) for row in house.server.log.text.splitlines()]
        return [int(row[1]) for row in rows if row]

    wait_until(lambda: len(found()) == 2, "the listeners")
    return found()


def fetch_all(pop: poplib.POP3) -> list[bytes]:
    pop.user("alice")
    pop.pass_(PASSWORD)
    found = [b"\r\n".join([*pop.retr(number)[1], b""]) for number in range(1, pop.stat()[0] + 1)]
    pop.quit()
    return found


# ---------------------------------------------------------------------------------------------------------------
# STLS, RFC 2595


def test_mail_is_fetched_after_stls(house: House) -> None:
    assert fetch_all(house.starttls()) == [message.wire for message in HELLO]


def test_mail_is_fetched_under_tls_from_the_first_octet(house: House) -> None:
    assert fetch_all(house.implicit()) == [message.wire for message in HELLO]


def test_stls_is_announced_before_tls_and_before_login_alone(house: House) -> None:
    with house.server.dialogue() as line:
        line.line()
        line.ask("CAPA")
        assert b"STLS\r\n" in line.body()
        line.ask("USER alice")
        assert line.ask(f"PASS {PASSWORD}").startswith(b"+OK")
        line.ask("CAPA")
        assert b"STLS" not in line.body()
        assert line.ask("STLS").startswith(b"-ERR")
    for pop in (house.starttls(), house.implicit()):
        assert "STLS" not in pop.capa()
        with pytest.raises(poplib.error_proto, match="-ERR TLS in progress"):
            pop._shortcmd("STLS")
        pop.quit()


def test_what_is_sent_behind_stls_is_never_obeyed(house: House) -> None:
    """CVE-2011-0411, CVE-2011-1926, CVE-2021-38084: a line that somebody on the way added to ours."""
    with socket.create_connection(("localhost", house.server.port), PATIENCE) as sock:
        assert sock.recv(512).startswith(b"+OK")
        sock.sendall(b"STLS\r\nCAPA\r\nUSER mallory\r\n")
        assert sock.recv(512) == b"+OK Begin TLS negotiation\r\n"
        with house.context().wrap_socket(sock, server_hostname="localhost") as tls:
            tls.sendall(b"NOOP\r\n")
            assert tls.recv(4096) == b'-ERR Unknown command: "noop".\r\n'
            tls.sendall(b"PASS x\r\nQUIT\r\n")
            answer = b""
            while piece := tls.recv(4096):
                answer += piece
    assert answer.startswith(b'-ERR Unknown command: "pass".\r\n+OK')


def test_the_name_that_was_given_in_the_clear_is_forgotten(house: House) -> None:
    """RFC 2595 section 4: the server discards what it knows of the client from before."""
    pop = poplib.POP3("localhost", house.server.port, timeout=PATIENCE)
    pop.user("alice")
    pop.stls(house.context())
    with pytest.raises(poplib.error_proto, match="Unknown command"):
        pop.pass_(PASSWORD)
    pop.quit()


def test_refused_logins_are_counted_on_over_stls(house: House) -> None:
    pop = poplib.POP3("localhost", house.server.port, timeout=PATIENCE)
    for _ in range(2):
        pop.user("alice")
        with pytest.raises(poplib.error_proto):
            pop.pass_("wrong")
    pop.stls(house.context())
    pop.user("alice")
    with pytest.raises(poplib.error_proto):
        pop.pass_("wrong")
    with pytest.raises((poplib.error_proto, OSError)):
        pop._shortcmd("QUIT")
    pop.close()


def test_without_a_certificate_stls_is_an_unknown_command() -> None:
    with open_folder() as folder, Server(folder) as server, server.dialogue() as line:
        line.line()
        assert line.ask("STLS") == b'-ERR Unknown command: "stls".'
        line.ask("CAPA")
        assert b"STLS" not in line.body()


def test_a_client_that_hangs_up_instead_of_shaking_hands_leaves_nothing_behind(house: House) -> None:
    with house.server.dialogue() as line:
        line.line()
        line.ask("STLS")
    socket.create_connection(("localhost", house.pop3s), PATIENCE).close()
    wait_until(house.is_idle, "the end of all sessions")


def test_rubbish_instead_of_a_handshake_ends_the_connection_in_tls_words_only(house: House) -> None:
    with house.server.dialogue() as line:
        line.line()
        line.ask("STLS")
        line.sock.sendall(b"USER alice\r\n" * 10)
        assert b"+OK" not in line.rest()


# ---------------------------------------------------------------------------------------------------------------
# What is carried


def test_a_large_message_arrives_whole_and_pipelined_commands_are_answered_in_order(house: House) -> None:
    large = big(8 << 20)
    house.fill([large, *HELLO])
    with house.context().wrap_socket(
        socket.create_connection(("localhost", house.pop3s), PATIENCE), server_hostname="localhost"
    ) as sock:
        line = Dialogue(sock)
        assert line.login().startswith(b"+OK")
        sock.sendall(b"RETR 1\r\nRETR 2\r\nNOOP\r\nDELE 1\r\nQUIT\r\n")
        assert line.line().startswith(b"+OK")
        assert line.body() == large.wire
        assert line.line().startswith(b"+OK")
        assert line.body() == HELLO[0].wire
        assert [line.line()[:3] for _ in range(3)] == [b"+OK"] * 3
        assert line.rest() == b""
    assert len(fetch_all(house.implicit())) == 2


@pytest.mark.parametrize("size", [1, 7, 100])
def test_a_dialogue_in_records_of_any_size_is_the_same(house: House, size: int) -> None:
    script = f"USER alice\r\nPASS {PASSWORD}\r\nRETR 1\r\nQUIT\r\n".encode()
    with house.context().wrap_socket(
        socket.create_connection(("localhost", house.pop3s), PATIENCE), server_hostname="localhost"
    ) as sock:
        for at in range(0, len(script), size):
            sock.sendall(script[at : at + size])
        said = Dialogue(sock).rest()
    assert said.count(b"+OK") == 5
    assert b"hello\r\n..dot\r\n.\r\n" in said


def test_ciphertext_in_single_octets_is_understood(house: House) -> None:
    """Records come in pieces; none of them may be taken for the end."""
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    tls = house.context().wrap_bio(incoming, outgoing, server_hostname="localhost")
    with socket.create_connection(("localhost", house.pop3s), PATIENCE) as sock:
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

        def until(done: object) -> object:
            while True:
                try:
                    return done()  # type: ignore[operator]
                except ssl.SSLWantReadError:
                    for octet in outgoing.read():
                        sock.sendall(bytes([octet]))
                    incoming.write(sock.recv(4096))

        until(tls.do_handshake)
        assert str(until(lambda: tls.read(512)), "ascii").startswith("+OK")  # type: ignore[arg-type]
        tls.write(b"QUIT\r\n")
        assert str(until(lambda: tls.read(512)), "ascii").startswith("+OK")  # type: ignore[arg-type]


def test_the_end_is_told_by_close_notify(house: House) -> None:
    """RFC 8446 section 6.1: without it a client cannot tell the end from a cut."""
    context = house.context()
    with (
        socket.create_connection(("localhost", house.pop3s), PATIENCE) as sock,
        context.wrap_socket(sock, server_hostname="localhost", suppress_ragged_eofs=False) as tls,
    ):
        tls.sendall(b"QUIT\r\n")
        while tls.recv(4096):
            pass


def test_a_client_that_hangs_up_without_quit_ends_its_session(house: House) -> None:
    pop = house.implicit()
    pop.user("alice")
    pop.pass_(PASSWORD)
    pop.dele(1)
    pop.close()
    house.server.log.wait_for("hangup")
    assert len(fetch_all(house.starttls())) == 2
    wait_until(house.is_idle, "the end of all sessions")


# ---------------------------------------------------------------------------------------------------------------
# Versions, names, protocols


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1, ssl.TLSVersion.TLSv1_1])
@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_old_versions_are_refused_unless_a_listener_has_them(version: ssl.TLSVersion) -> None:
    with open_folder() as folder, House(folder, False, "127.0.0.1:0,minimum=1.0") as house:
        low = ports(house)[1]
        house.server.log.wait_for(r"tls\.minimum: 127\.0\.0\.1:0 speaks TLS 1\.0, which is no longer safe")
        context = house.context()
        context.minimum_version = context.maximum_version = version
        context.set_ciphers("DEFAULT:@SECLEVEL=0")
        pop = poplib.POP3("localhost", house.server.port, timeout=PATIENCE)
        with pytest.raises(OSError):
            pop.stls(context)
        with contextlib.suppress(OSError):
            pop.close()  # poplib closed the socket, and does not know
        pop = poplib.POP3("localhost", low, timeout=PATIENCE)
        pop.stls(context)
        assert pop.sock.version() == {"TLSv1": "TLSv1", "TLSv1_1": "TLSv1.1"}[version.name]
        assert len(fetch_all(pop)) == 2


def test_alpn_says_pop3(house: House) -> None:
    context = house.context()
    context.set_alpn_protocols(["imap", "pop3"])
    with context.wrap_socket(
        socket.create_connection(("localhost", house.pop3s), PATIENCE), server_hostname="localhost"
    ) as sock:
        assert sock.selected_alpn_protocol() == "pop3"


@pytest.mark.parametrize(
    ("asked", "shown"),
    [
        ("pop.example.org", "one"),
        ("POP.EXAMPLE.ORG", "one"),
        ("a.example.net", "wild"),
        ("a.b.example.net", "server"),
        ("localhost", "server"),
    ],
)
@pytest.mark.parametrize("root", BOTH)
def test_the_certificate_is_the_one_of_the_name_that_is_asked_for(root: bool, asked: str, shown: str) -> None:
    with open_folder() as folder:
        place = folder / "tls"
        names = f"pop.example.org={place}/one.pem:{place}/one.key,*.example.net={place}/wild.pem"
        house = House(folder, root, tls__sni=names)
        house.authority.sign("one", "DNS:pop.example.org")
        wild = house.authority.sign("wild", "DNS:*.example.net", kind="rsa")
        wild.certificate.write_bytes(wild.certificate.read_bytes() + wild.key.read_bytes())
        reachable(place, house.server.user)
        with house:
            context = house.context()
            context.check_hostname = False
            with context.wrap_socket(
                socket.create_connection(("localhost", house.pop3s), PATIENCE), server_hostname=asked
            ) as sock:
                subject = dict(pair for part in sock.getpeercert()["subject"] for pair in part)  # type: ignore[index]
    assert subject["commonName"] == shown


@pytest.mark.client("openssl")
@pytest.mark.parametrize("name", ["x" * 64 + ".org", "\xe9.org", "a..b"])
def test_a_name_that_is_none_leaves_no_words_in_the_log(house: House, name: str) -> None:
    line = ["openssl", "s_client", "-connect", f"localhost:{house.pop3s}", "-servername", name, "-quiet"]
    subprocess.run(line, input=b"QUIT\r\n", capture_output=True, timeout=PATIENCE)
    assert len(fetch_all(house.implicit())) == 2
    assert "Traceback" not in house.server.log.text
    assert "Exception" not in house.server.log.text


# ---------------------------------------------------------------------------------------------------------------
# Deadlines and limits


def test_a_handshake_has_a_deadline_however_many_octets_are_sent() -> None:
    with open_folder() as folder, House(folder, False, tls__handshake_timeout=1) as house:
        for port in (house.pop3s, house.server.port):
            with socket.create_connection(("localhost", port), PATIENCE) as sock:
                if port == house.server.port:
                    sock.recv(512)
                    sock.sendall(b"STLS\r\n")
                    sock.recv(512)
                sock.sendall(b"\x16\x03\x01\x02\x00\x01")  # the beginning of a ClientHello
                assert sock.recv(512) == b""
        wait_until(house.is_idle, "the end of all sessions")


@pytest.mark.parametrize("root", BOTH)
def test_no_more_handshakes_than_allowed_are_under_way(root: bool) -> None:
    """Unfinished handshakes (Dovecot, 2014) cost their slot only; whoever is under TLS costs none."""
    with open_folder() as folder, House(folder, root, tls__handshakes=2) as house:
        under = house.implicit()
        held = [house.server.dialogue() for _ in range(2)]
        for line in held:
            line.line()
            assert line.ask("STLS").startswith(b"+OK")
        with house.server.dialogue() as other:
            other.line()
            assert other.ask("STLS").startswith(b"-ERR [SYS/TEMP] TLS is not possible now")
            assert other.ask("USER alice").startswith(b"+OK")
        house.server.log.wait_for(r"2 TLS handshakes are under way \(tls\.handshakes\)")
        with socket.create_connection(("localhost", house.pop3s), PATIENCE) as sock:
            assert sock.recv(512) == b""
        assert under.capa()
        for line in held:
            line.__exit__()
        wait_until(
            lambda: len(children(house.server.process.pid)) == (2 + CHECKERS if root else 1),
            "the end of both handshakes",
        )
        assert len(fetch_all(house.starttls())) == 2
        under.quit()


# ---------------------------------------------------------------------------------------------------------------
# Certificates renewed


def number(house: House) -> str:
    pop = house.implicit()
    number = pop.sock.getpeercert()["serialNumber"]
    pop.quit()
    return str(number)


def test_sighup_takes_the_new_certificate_and_keeps_sessions(house: House) -> None:
    before = number(house)
    pop = house.starttls()
    pop.user("alice")
    pop.pass_(PASSWORD)
    house.install(house.authority.sign("fresh"))
    assert number(house) == before
    house.server.process.send_signal(signal.SIGHUP)
    wait_until(lambda: number(house) != before, "the new certificate")
    assert pop.stat()[0] == 2
    pop.quit()


def test_a_bad_new_file_is_named_and_the_old_one_stays(house: House) -> None:
    before = number(house)
    key = house.pair.key.read_bytes()
    house.pair.key.write_text("no key\n")
    house.reload(words=rf"tls\.certificate: {house.pair.certificate} with {house.pair.key}: .* stay as they were")
    assert number(house) == before
    other = house.authority.sign("other", kind="rsa")
    house.pair.key.write_bytes(other.key.read_bytes())
    house.reload(words="the key is not this certificate's; certificates and keys stay as they were")
    assert number(house) == before
    house.pair.certificate.unlink()
    house.reload(words=rf"{house.pair.certificate}: No such file or directory; certificates")
    assert number(house) == before
    assert len(fetch_all(house.starttls())) == 2
    assert key not in house.server.log.text.encode()


def test_a_server_whose_key_is_not_good_does_not_start() -> None:
    with open_folder() as folder:
        house = House(folder, False)
        house.pair.key.write_text("no key\n")
        with pytest.raises(AssertionError, match="OpenSSL cannot read the key"):
            house.server.__enter__()


def test_a_key_with_a_passphrase_is_refused_without_asking_anybody() -> None:
    with open_folder() as folder:
        house = House(folder, False)
        openssl("pkey", "-in", house.pair.key, "-aes128", "-passout", "pass:secret", "-out", f"{house.pair.key}.new")
        os.replace(f"{house.pair.key}.new", house.pair.key)
        reachable(house.pair.key.parent, house.server.user)
        with pytest.raises(AssertionError, match="has a passphrase"):
            house.server.__enter__()


WORDS = "horse, battery, staple"


def lock(house: House) -> Path:
    """Put a passphrase on the key of a server that is not started yet, and into a file that the server knows of."""
    GUARD.secret(WORDS.encode())
    folder = house.pair.key.parent
    openssl("pkey", "-in", house.pair.key, "-aes128", "-passout", f"pass:{WORDS}", "-out", folder / "locked")
    os.replace(folder / "locked", house.pair.key)
    house.pair.key.chmod(0o600)
    words = house.server.folder / "auth" / "words"
    words.write_text(WORDS + "\n")
    words.chmod(0o600)
    house.server.settings["tls.passphrase_file"] = words
    reachable(folder, house.server.user)
    reachable(words.parent, house.server.user)
    return words


@pytest.mark.parametrize("root", BOTH)
def test_a_key_is_opened_with_its_passphrase_and_stays_open_when_that_becomes_wrong(root: bool) -> None:
    with open_folder() as folder:
        house = House(folder, root)
        words = lock(house)
        with house:
            assert len(fetch_all(house.starttls())) == 2
            before = number(house)
            words.write_text("other words\n")
            house.reload(words=rf"{house.pair.key}: the passphrase in {words} does not open it.* stay as they were")
            assert number(house) == before
            assert len(fetch_all(house.implicit())) == 2
            fresh = house.authority.sign("fresh")
            words.unlink()
            house.reload(words=rf"tls\.passphrase_file: {words}: No such file or directory; certificates")
            words.write_text("asked for by no key\n")
            reachable(words.parent, house.server.user)
            house.install(fresh)
            house.server.process.send_signal(signal.SIGHUP)
            wait_until(lambda: number(house) != before, "the new certificate")


def test_a_server_whose_passphrase_is_wrong_does_not_start() -> None:
    with open_folder() as folder:
        house = House(folder, False)
        lock(house).write_text("other words\n")
        with pytest.raises(AssertionError, match=r"the passphrase in .* does not open it"):
            house.server.__enter__()


# ---------------------------------------------------------------------------------------------------------------
# Who holds the key


def memory(pid: int) -> bytes:
    """All that a process has in memory and may be written: stack, heap, data."""
    whole = b""
    with open(f"/proc/{pid}/mem", "rb", 0) as file:
        for row in Path(f"/proc/{pid}/maps").read_text().splitlines():
            span, rights = row.split()[:2]
            if not rights.startswith("rw"):
                continue
            start, end = (int(word, 16) for word in span.split("-"))
            file.seek(start)
            with contextlib.suppress(OSError):
                whole += file.read(end - start)
    return whole


def secrets_of(key: Path) -> list[bytes]:
    """The private number of an EC key, as OpenSSL may hold it: in both orders of octets, and lines of the PEM."""
    text = openssl("pkey", "-in", key, "-noout", "-text").decode()
    number = bytes.fromhex("".join(text.split("priv:")[1].split("pub:")[0].split()).replace(":", ""))[-32:]
    return [number, number[::-1], *key.read_bytes().splitlines()[1:2]]


@pytest.mark.root
@pytest.mark.parametrize("locked", [False, True])
@pytest.mark.parametrize("implicit", [False, True])
def test_the_key_is_in_the_tls_process_alone_which_has_no_rights(implicit: bool, locked: bool) -> None:
    with open_folder() as folder, contextlib.ExitStack() as stack:
        house = House(folder, True)
        secrets = secrets_of(house.pair.key)
        if locked:
            secrets += lock(house).read_bytes().splitlines()
        stack.enter_context(house)
        pop = house.implicit() if implicit else house.starttls()
        pop.user("alice")
        pop.pass_(PASSWORD)
        wait_until(lambda: len(children(house.server.process.pid)) == CHECKERS + 2, "the end of the front")
        below = children(house.server.process.pid)
        holders = [pid for pid in (house.server.process.pid, *below) if any(s in memory(pid) for s in secrets)]
        assert len(holders) == 1, "the process that speaks TLS must be found, and no other"
        assert holders[0] in below
        ids = identity(holders[0])
        assert set(ids["Uid"]) == {65534}
        assert ids["Groups"] == []
        for pid in below:
            files = [os.readlink(path) for path in Path(f"/proc/{pid}/fd").iterdir()]
            assert not [name for name in files if "memfd:tls" in name], "a copy of the key is within reach"
        pop.quit()


@pytest.mark.root
def test_the_session_goes_by_the_name_of_the_client_and_not_of_the_relay() -> None:
    with open_folder() as folder, House(folder, True) as house:
        assert len(fetch_all(house.implicit())) == 2
        house.server.log.wait_for(r'POP login by user "alice" at \(127\.0\.0\.1\) 127\.0\.0\.1: PASS')


# ---------------------------------------------------------------------------------------------------------------
# Passwords in the clear


def test_where_tls_is_wanted_a_password_in_the_clear_is_refused_before_it_is_sent() -> None:
    with open_folder() as folder, House(folder, False, auth__cleartext="tls") as house:
        with house.server.dialogue() as line:
            line.line()
            line.ask("CAPA")
            announced = line.body().split(b"\r\n")
            assert b"STLS" in announced
            assert b"USER" not in announced
            assert b"PLAIN" not in b" ".join(announced)
            said = [line.ask(f"USER {name}") for name in ("alice", "nobody-at-all")]
            assert said[0].startswith(b"-ERR [AUTH] You must use TLS")
            assert said[0] == said[1]
            assert line.ask(f"PASS {PASSWORD}").startswith(b"-ERR")
        pop = house.starttls()
        assert "USER" in pop.capa()
        assert "PLAIN" in pop.capa()["SASL"]
        assert len(fetch_all(pop)) == 2


def test_a_listener_may_have_another_rule_than_the_rest() -> None:
    with open_folder() as folder, House(folder, False, "127.0.0.1:0,cleartext=never") as house:
        for port, begin in zip(ports(house), (b"+OK", b"-ERR [AUTH] You must use stronger"), strict=True):
            with Dialogue(socket.create_connection(("127.0.0.1", port), PATIENCE)) as line:
                line.line()
                assert line.ask("USER alice").startswith(begin)


# ---------------------------------------------------------------------------------------------------------------
# Under inetd


@pytest.mark.parametrize("root", BOTH)
@pytest.mark.parametrize("mode", ["starttls", "implicit"])
@pytest.mark.parametrize("more", ["name", "name and passphrase", "passphrase"])
def test_a_connection_that_inetd_passes_has_tls_by_tls_mode(root: bool, mode: str, more: str) -> None:
    with open_folder() as folder:
        names = f"pop.example.org={folder}/tls/server.pem:{folder}/tls/server.key" if "name" in more else ""
        house = House(folder, root, tls__mode=mode, tls__sni=names)
        if "passphrase" in more:
            lock(house)
        house.server.write_accounts()
        house.fill(HELLO)
        ours, theirs = socket.socketpair()
        line = [*command(), "--config", "none", "--inetd", *house.server.arguments()]
        with ours, theirs, subprocess.Popen(line, stdin=theirs, **house.server.process_options()) as process:
            theirs.close()
            if mode == "starttls":
                assert ours.recv(512).startswith(b"+OK")
                ours.sendall(b"STLS\r\n")
                assert ours.recv(512).startswith(b"+OK Begin")
            context = house.context()
            context.check_hostname = False
            with context.wrap_socket(ours, server_hostname="pop.example.org") as tls, Dialogue(tls) as talk:
                if mode == "implicit":
                    assert talk.line().startswith(b"+OK")
                assert talk.ask("USER alice").startswith(b"+OK")
                assert talk.ask(f"PASS {PASSWORD}").startswith(b"+OK")
                assert talk.ask("STAT").split()[1] == b"2"
                assert talk.ask("QUIT").startswith(b"+OK")
                assert talk.rest() == b""
            assert process.wait(PATIENCE) == 0


def test_a_listener_for_proxies_meets_nobody_else() -> None:
    with open_folder() as folder, House(folder, False, "127.0.0.1:0,proxy=yes") as house:
        asked_by_all, proxies = ports(house)
        with socket.create_connection(("127.0.0.1", proxies), PATIENCE) as sock:
            assert sock.recv(512) == b""
        house.server.log.wait_for("it is no proxy, and this listener is for proxies")
        with Dialogue(socket.create_connection(("127.0.0.1", asked_by_all), PATIENCE)) as line:
            assert line.login().startswith(b"+OK")


@pytest.mark.root
def test_who_comes_by_a_proxy_and_by_tls_is_counted_as_long_as_the_session_lasts() -> None:
    """The limits hold for whom the PROXY header names (two of one address are one too many)."""
    more = {"proxy__networks": "127.0.0.0/8", "limits__sessions_address": 1}
    with open_folder() as folder, House(folder, True, **more) as house:

        def connect() -> socket.socket:
            sock = socket.create_connection(("localhost", house.pop3s), PATIENCE)
            sock.sendall(b"PROXY TCP4 192.0.2.1 192.0.2.2 4000 995\r\n")
            return sock

        with house.context().wrap_socket(connect(), server_hostname="localhost") as first:
            assert first.recv(3) == b"+OK"
            with connect() as second, pytest.raises(OSError):  # EOF or a reset, before any handshake
                house.context().wrap_socket(second, server_hostname="localhost")
        wait_until(house.is_idle, "the end of the first session")
        with house.context().wrap_socket(connect(), server_hostname="localhost") as third:
            assert third.recv(3) == b"+OK"


class Asking:
    """A House that requires certificates of clients, signed by an authority in the folder ``authorities``."""

    def __init__(self, folder: Path, root: bool) -> None:
        self.place = folder / "authorities"
        self.place.mkdir()
        more = {"tls__client_certificates": "require", "tls__ca": self.place}
        self.house = House(folder, root, auth__refusal_delay=0, **more)
        self.trust(self.house.authority)

    def trust(self, authority: Authority) -> None:
        """This one, and no other."""
        for path in self.place.iterdir():
            path.unlink()
        (self.place / "ca.pem").write_bytes(authority.file.read_bytes())
        openssl("rehash", self.place)
        reachable(self.place, self.house.server.user)

    def curl(self, pair: Pair | None, implicit: bool) -> int:
        """The exit status of curl, which lists the mail: 0, or it could not."""
        server = self.house.server
        where = f"pop3s://localhost:{self.house.pop3s}/" if implicit else f"pop3://localhost:{server.port}/"
        line = ["curl", "-sS", "--ssl-reqd", "--cacert", str(self.house.authority.file), "-K", "-", where]
        line += ["--cert", str(pair.certificate), "--key", str(pair.key)] if pair else []
        config = f'user = "alice:{PASSWORD}"\n'.encode()  # not in the arguments, which all can see
        return subprocess.run(line, input=config, capture_output=True, timeout=PATIENCE).returncode

    def openssl(self, pair: Pair | None, implicit: bool) -> bytes:
        """What openssl hears of the server under TLS."""
        port = self.house.pop3s if implicit else self.house.server.port
        line = ["openssl", "s_client", "-quiet", "-connect", f"127.0.0.1:{port}"]
        line += [] if implicit else ["-starttls", "pop3"]
        line += ["-cert", str(pair.certificate), "-key", str(pair.key)] if pair else []
        return subprocess.run(line, input=b"NOOP\r\nQUIT\r\n", capture_output=True, timeout=PATIENCE).stdout


@pytest.fixture(params=BOTH)
def asking(request: pytest.FixtureRequest) -> Iterator[Asking]:
    with open_folder() as folder:
        made = Asking(folder, request.param)
        with made.house:
            yield made


NO_CERTIFICATE = r"TLS handshake: the client has shown no certificate"


@pytest.mark.parametrize("implicit", [True, False], ids=["pop3s", "stls"])
@pytest.mark.client("curl")
def test_curl_comes_in_with_a_certificate_only_where_one_is_required(asking: Asking, implicit: bool) -> None:
    assert asking.curl(asking.house.authority.sign("alice", "email:alice@example.org"), implicit) == 0
    assert asking.curl(None, implicit) != 0
    asking.house.server.log.wait_for(NO_CERTIFICATE)


@pytest.mark.parametrize("implicit", [True, False], ids=["pop3s", "stls"])
@pytest.mark.client("openssl")
def test_openssl_hears_nothing_without_a_good_certificate(asking: Asking, implicit: bool, tmp_path: Path) -> None:
    good = asking.house.authority.sign("alice", "email:alice@example.org")
    assert b"+OK" in asking.openssl(good, implicit)
    assert b"+OK" not in asking.openssl(None, implicit)
    asking.house.server.log.wait_for(NO_CERTIFICATE)
    assert b"+OK" not in asking.openssl(Authority(tmp_path, "other").sign("mallory"), implicit)
    asking.house.server.log.wait_for("TLS handshake: CERTIFICATE_VERIFY_FAILED")


@pytest.mark.client("curl")
def test_sighup_reads_the_folder_of_authorities_again(asking: Asking, tmp_path: Path) -> None:
    other = Authority(tmp_path, "other")
    old, new = asking.house.authority.sign("alice"), other.sign("alice")
    assert (asking.curl(old, True), asking.curl(new, True) != 0) == (0, True)
    asking.trust(other)
    assert asking.curl(old, True) == 0, "what is in force is not the folder, but what was read of it"
    asking.house.reload(words="the configuration was read again")
    assert (asking.curl(new, True), asking.curl(old, True) != 0) == (0, True)
    for path in asking.place.iterdir():
        path.unlink()
    asking.house.reload(words="holds no certificate.*stay as they were")
    assert asking.curl(new, True) == 0
