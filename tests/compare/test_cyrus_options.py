"""Options of imapd.conf in the real Cyrus and in ours, which reads the same file: what each changes is the same."""

from __future__ import annotations

import base64
import os
import re
import smtplib
import ssl
from typing import TYPE_CHECKING

import pytest

from tests.certificates import Authority
from tests.harness import digest, open_folder, servant

from .opponents import USER
from .servers import MAIL, OWNER, SECRET
from .test_cyrus import LOGIN, Pair, masked

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path
    from socket import socket

pytestmark = [pytest.mark.root, pytest.mark.client("saslpasswd2")]
PASS = b"PASS " + SECRET.encode() + b"\r\n"
ALL = b"CAPA\r\n" + LOGIN + b"STAT\r\nLIST\r\nUIDL\r\nUIDL 2\r\nRETR 1\r\nQUIT\r\n"


TLS = "{certificate}"


def certificate(folder: Path) -> str:
    """What stands in the place of TLS among options: those of a certificate of the server's."""
    made = Authority(folder).sign("server")
    for path in (made.certificate, made.key):
        os.chown(path, OWNER, MAIL)
    return f"tls_server_cert: {made.certificate}\ntls_server_key: {made.key}"


@pytest.fixture
def pair(request: pytest.FixtureRequest) -> Iterator[Pair]:
    if servant() is None:
        pytest.skip("other users cannot read this Python, and root's server refuses to start from it")
    with open_folder() as folder:
        more = request.param
        made = Pair(folder, more.replace(TLS, certificate(folder)) if TLS in more else more)
        try:
            made.cyrus.deliver([b"Subject: %d\r\n\r\ntext\r\n" % number for number in range(3)])
            yield made
        finally:
            made.cyrus.close()


@pytest.mark.parametrize(
    "pair",
    [
        "uidl_format: uidonly",
        "uidl_format: dovecot",
        "uidl_format: courier",
        "serverinfo: min",
        "serverinfo: off",
        "popexpiretime: 30",
        "popexpiretime: 0",
        "popexpiretime: 36h",
        "popminpoll: 2",
        "pop3_popexpiretime: 3\nimap_popexpiretime: 4\npopexpiretime: 5",
        "allowplaintext: no",
        "popuseacl: yes",
        "popuseimapflags: yes",
        "altnamespace: yes",
        "unixhierarchysep: yes",
        "virtdomains: userid",
        "hashimapspool: no",
        "fulldirhash: yes",
        "statuscache: yes",
        "maxlogins_per_user: 5",
        "disconnect_on_vanished_mailbox: yes",
        "poptimeout: 15",
        "sasl_mech_list: LOGIN",
    ],
    indirect=True,
)
def test_all_that_is_said_is_the_same(pair: Pair) -> None:
    assert pair.ours(ALL) == pair.theirs(ALL)


@pytest.mark.parametrize(
    ("pair", "script"),
    [
        ("username_tolower: no", b"USER " + USER.upper().encode() + b"\r\n" + PASS + b"QUIT\r\n"),
        ("username_tolower: yes", b"USER " + USER.upper().encode() + b"\r\n" + PASS + b"QUIT\r\n"),
        ("popsubfolders: no", b"USER " + USER.encode() + b"+folder\r\n" + PASS + b"QUIT\r\n"),
        ("readonly: yes", LOGIN + b"DELE 1\r\nSTAT\r\nQUIT\r\n"),
    ],
    indirect=["pair"],
)
def test_what_one_script_shows_is_the_same(pair: Pair, script: bytes) -> None:
    assert pair.ours(script) == pair.theirs(script)


@pytest.mark.parametrize("pair", ["popminpoll: 1", "popminpoll: 5\npoppollpadding: 1"], indirect=True)
def test_who_comes_too_early_hears_the_same(pair: Pair) -> None:
    """There another name may follow; here that ends the connection, as does all that keeps a maildrop shut."""
    first = LOGIN + b"QUIT\r\n"
    assert pair.ours(first) == pair.theirs(first)
    refused = pair.ours(LOGIN)
    assert b"-ERR [LOGIN-DELAY] Logins must be at least " in refused
    assert refused == pair.theirs(LOGIN)


@pytest.mark.parametrize("pair", ["failedloginpause: 0"], indirect=True)
def test_the_file_that_shuts_the_server_is_told_alike_but_without_a_greeting_before(pair: Pair) -> None:
    """It greets, and tells whoever says something; whom nobody serves is not greeted here."""
    folder = pair.cyrus.folder / "config/msg"
    folder.mkdir()
    (folder / "shutdown").write_text("[closed] until ten\nand more\n")
    told = b"-ERR [SYS/TEMP] closed] until ten\r\n"
    assert pair.theirs(LOGIN).partition(b"\n")[2] == pair.ours(LOGIN) == told


@pytest.mark.parametrize(
    "pair",
    [
        f"virtdomains: userid\ndefaultdomain: {domain}\npopsubfolders: {folders}"
        for domain in ("mail.example.org", "Mail.Example.Org")
        for folders in ("no", "yes")
    ]
    + ["virtdomains: off\ndefaultdomain: mail.example.org", "virtdomains: off"],
    indirect=True,
)
def test_a_name_at_the_default_domain_is_the_name_without_it(pair: Pair) -> None:
    for name in ("", "@mail.example.org", "@MAIL.example.org", "@other.example.org", "@", "+@mail.example.org"):
        script = b"USER " + (USER + name).encode() + b"\r\n" + PASS + b"STAT\r\nQUIT\r\n"
        assert pair.ours(script) == pair.theirs(script), name


@pytest.mark.parametrize(
    "pair",
    [
        f"virtdomains: userid\n{more}"
        for more in (
            "servername: mail.example.org",
            "loginrealms: other.example.org Mail.Example.ORG",
            "loginrealms: mail.example.organisation other.example.org",
            "loginrealms: other.example.org\ndefaultdomain: mail.example.org",
        )
    ],
    indirect=True,
)
def test_names_at_a_domain_that_loginrealms_does_not_list_are_refused(pair: Pair) -> None:
    with smtplib.LMTP(str(pair.cyrus.folder / "run/lmtp"), local_hostname="client.example.org") as lmtp:
        to = [f"{USER}@mail.example.org"]  # it has a mailbox, whoever may log in
        assert lmtp.sendmail("carol@example.com", to, b"Subject: x\r\n\r\ntext\r\n") == {}
    for name in ("", "@mail.example.org", "@MAIL.example.org"):
        script = b"USER " + (USER + name).encode() + b"\r\n" + PASS + b"STAT\r\nQUIT\r\n"
        assert pair.ours(script) == pair.theirs(script), name


@pytest.mark.parametrize(
    "pair", ["popminpoll: 5\npoppollpadding: 3", "popminpoll: 1\npoppollpadding: 2"], indirect=True
)
def test_as_many_logins_at_once_are_let_in(pair: Pair) -> None:
    answers = [
        b"-ERR [LOGIN-DELAY]" in speak(LOGIN + b"QUIT\r\n") for speak in (pair.theirs, pair.ours) for _ in range(5)
    ]
    assert answers[:5] == answers[5:]
    assert answers[0] is False
    assert answers[4] is True


def said_with_tls(connection: socket, before: list[bytes], after: list[bytes]) -> bytes:
    """The answers to what is said before the handshake, and after it."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    said = b""

    def ask(lines: list[bytes]) -> None:
        nonlocal said
        file = connection.makefile("rb")
        said += b"" if said else file.readline()
        for line in lines:
            connection.sendall(line + b"\r\n")
            said += (answer := file.readline())
            while line in (b"CAPA", b"UIDL") and answer not in (b".\r\n", b""):
                said += (answer := file.readline())

    with connection:
        ask(before)
        with context.wrap_socket(connection) as connection:
            ask(after)
    return re.sub(rb"(?m) \r$", b"\r", masked(said))  # where there is no stamp


@pytest.mark.client("openssl")
@pytest.mark.parametrize(
    "pair",
    [f"allowplaintext: no\n{TLS}", f"tls_required: yes\n{TLS}", f"allowplaintext: no\ntls_required: yes\n{TLS}"],
    indirect=True,
)
def test_stls_and_what_it_allows_are_the_same(pair: Pair) -> None:
    before = [b"CAPA", b"USER " + USER.encode(), b"STLS"]
    after = [b"CAPA", b"STLS", b"PASS x", *LOGIN.split(b"\r\n")[:2], b"STLS", b"UIDL", b"QUIT"]
    theirs = said_with_tls(pair.cyrus.connect(pair.cyrus.folder / "run/pop3"), before, after)
    assert b"Begin TLS negotiation now" in theirs
    with pair.started() as near:
        assert said_with_tls(near, before, after) == theirs


@pytest.mark.parametrize("pair", ["failedloginpause: 0"], indirect=True)
def test_telemetry_files_are_called_alike_and_have_the_same_form(pair: Pair) -> None:
    """imap/telemetry.c: SERVICE-PID.  Ours has no secrets, and its words begin with the login's answer."""
    folder = pair.cyrus.folder / "config/log" / USER
    folder.mkdir(parents=True)
    for path in (folder.parent, folder):
        os.chown(path, OWNER, MAIL)
    forms = []
    for speak in (pair.theirs, pair.ours):
        speak(LOGIN + b"QUIT\r\n")
        (path,) = folder.iterdir()
        first, empty, text = path.read_text().split("\n", 2)
        forms.append((path.name.partition("-")[0], re.sub(r"\d+", "0", first), empty, re.sub(r"\d+", "0", text)[:6]))
        path.unlink()
    assert forms[0] == forms[1]
    assert forms[1][0] == "pop3"


def by_digest(connection: socket) -> list[bytes]:
    """The answers to APOP with the right digest of the greeting's stamp, and to what follows."""
    with connection, connection.makefile("rb") as file:
        stamp = file.readline().decode().split()[-1]
        assert re.fullmatch(r"<[^<>@]+@mail\.example\.org>", stamp)
        said = []
        for line in (f"APOP {USER} {digest(stamp, SECRET)}", "STAT", "QUIT"):
            connection.sendall(line.encode() + b"\r\n")
            said.append(masked(file.readline()))
    return said


@pytest.mark.parametrize("pair", ["allowapop: yes", "allowplaintext: no", "sasl_mech_list: CRAM-MD5"], indirect=True)
def test_a_digest_of_the_stamp_lets_in_as_there(pair: Pair) -> None:
    theirs = by_digest(pair.cyrus.connect(pair.cyrus.folder / "run/pop3"))
    assert theirs[0].startswith(b"+OK")
    with pair.started() as near:
        assert by_digest(near) == theirs


@pytest.mark.client("openssl")
@pytest.mark.parametrize(
    "pair",
    [f"sasl_minimum_layer: {strength}\n{TLS}" for strength in (1, 128, 256, 1000)],
    indirect=True,
)
def test_the_strength_that_sasl_needs_is_that_of_tls(pair: Pair) -> None:
    """USER, PASS and APOP do not depend on it."""
    response = base64.b64encode(f"\0{USER}\0{SECRET}".encode())
    before = [b"CAPA", b"AUTH PLAIN " + response, b"STLS"]
    after = [b"CAPA", b"AUTH PLAIN " + response, b"QUIT"]
    theirs = said_with_tls(pair.cyrus.connect(pair.cyrus.folder / "run/pop3"), before, after)
    with pair.started() as near:
        ours = said_with_tls(near, before, after)
    why = b"-ERR [AUTH] authenticating: mechanism too weak for this user\r\n"  # ours: there is none
    assert why in theirs
    assert ours == theirs.replace(why, b"-ERR [AUTH] authenticating: no mechanism available\r\n")
    assert pair.ours(LOGIN + b"STAT\r\nQUIT\r\n") == pair.theirs(LOGIN + b"STAT\r\nQUIT\r\n")


ENTRIES = [
    "2\tpop3\tYou are [locked] out",
    "2\tpop3\t[[x] y",
    "1\t*",
    "2\tpop3",
    "2\timap,!pop3,*\tno",
    "2\t*,!pop3\tno",
    "2\timap, pop3\tno",
    "2\tPOP3\tno",
    "2\tpop[3-5]\tno",
    "02\tp?p3\tno\tmore",
    "2\timap,pop\tno",
    "2\t\tno",
]


@pytest.mark.parametrize("pair", ["userdeny_db: flat", "serverinfo: on"], indirect=True)
def test_whom_user_deny_db_keeps_out_hears_the_same(pair: Pair) -> None:
    """There it is said to whoever gives the name, as the answer to PASS; here to whoever has the password, too."""
    path = pair.cyrus.folder / "config/user_deny.db"
    for entry in ENTRIES:
        path.write_text(f"aaa\t2\t*\tno\n{USER}\t{entry}\nzzz\t2\t*\tno\n")
        os.chown(path, OWNER, MAIL)
        assert pair.ours(LOGIN + b"QUIT\r\n") == pair.theirs(LOGIN + b"QUIT\r\n"), entry
    path.write_text(f"{USER}\t2\tpop3\tno\n")
    wrong = b"USER " + USER.encode() + b"\r\nPASS wrong\r\nQUIT\r\n"
    assert b"[SYS/TEMP]" in pair.theirs(wrong)
    assert b"[SYS/TEMP]" not in pair.ours(wrong)
