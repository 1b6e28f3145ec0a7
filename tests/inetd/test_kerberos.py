"""The installed server, started by root, a system user, a real KDC: by ticket, by password, by KPOP."""

from __future__ import annotations

import os
import re
import shutil
import socket
from base64 import b64decode, b64encode
from typing import TYPE_CHECKING

import pytest

from tests import accounts, kdc
from tests.gss import Initiator, sendauth
from tests.harness import PASSWORD, PATIENCE, Dialogue, mail, open_folder

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.inetd.starting import House, Serving

pytestmark = [pytest.mark.root, pytest.mark.client("socat", "curl", *kdc.PROGRAMS)]

ONE = [mail("the only message", b"text\n")]


@pytest.fixture
def realm(house: House, monkeypatch: pytest.MonkeyPatch) -> Iterator[kdc.Realm]:
    """The user's realm; the user has another password there than in the shadow file."""
    with open_folder() as folder, kdc.realm(folder) as made:
        made.user(house.user.name, "known to the KDC")
        shutil.copy(made.keytab, house.folder / "keytab")
        (house.folder / "keytab").chmod(0o600)
        # the superserver starts in a clean environment
        house.pop3d = wrapped(house, made)
        yield made


def wrapped(house: House, realm: kdc.Realm) -> object:
    """pop3d with KRB5_CONFIG, as an administrator of several realms would start it."""
    script = house.folder / "pop3d"
    script.write_text(f'#!/bin/sh\nKRB5_CONFIG={realm.conf} exec {house.pop3d} "$@"\n')
    script.chmod(0o755)
    return script


def options(house: House, *more: str) -> tuple[str, ...]:
    names = ("auth.sources=kerberos", f"kerberos.keytab={house.folder}/keytab", "auth.refusal_delay=0", *more)
    return tuple(word for name in names for word in ("--set", name))


def test_the_kdcs_password_is_the_one_that_counts(house: House, realm: kdc.Realm) -> None:
    house.user.fill(ONE)
    with house.serving(options=options(house)) as serving:
        with serving.dialogue() as line:
            assert line.login(house.user.name, PASSWORD).startswith(b"-ERR [AUTH]")
        with serving.dialogue() as line:
            assert line.login(house.user.name, "known to the KDC").startswith(b"+OK")
            assert line.ask("STAT").startswith(b"+OK 1 ")
            assert line.ask("QUIT").startswith(b"+OK")
        serving.idle()
    assert ", kerberos, 1 messages" in house.log.wait_for("POP login by user")
    assert "known to the KDC" not in house.log.text
    seen = os.stat(house.state / "kerberos")
    assert (seen.st_uid, seen.st_mode & 0o777) == (65534, 0o700)


def test_root_has_no_mail_whatever_the_kdc_says(house: House, realm: kdc.Realm) -> None:
    realm.user("root", "known to the KDC")
    with house.serving(options=options(house)) as serving, serving.dialogue() as line:
        assert line.login("root", "known to the KDC").startswith(b"-ERR [AUTH]")


def test_a_system_user_fetches_by_ticket(house: House, realm: kdc.Realm) -> None:
    house.user.fill(ONE)
    cache = realm.ticket(house.user.name, "known to the KDC")
    with house.serving(options=options(house)) as serving:
        url = f"pop3://{kdc.HOST}:{serving.port}/1"
        name = f"{house.user.name}@{kdc.REALM}:"
        told = realm.call("curl", "-sS", "-u", name, "--login-options", "AUTH=GSSAPI", url, KRB5CCNAME=cache)
        serving.idle()
    assert "Subject: the only message" in told
    assert re.search(r"GSSAPI, kerberos, 1 messages", house.log.wait_for("POP login by user"))


def test_a_system_user_fetches_by_kpop(house: House, realm: kdc.Realm) -> None:
    house.user.fill(ONE)
    cache = realm.ticket(house.user.name, "known to the KDC")
    with house.serving(options=options(house, "kpop=true")) as serving:
        with ticketed(serving, cache) as line:
            assert line.login(house.user.name, "x").startswith(b"+OK")
            assert line.ask("STAT").startswith(b"+OK 1 ")
            assert line.ask("QUIT").startswith(b"+OK")
        with serving.dialogue() as line:
            line.sock.sendall(b"USER x\r\n")
            assert line.file.read() == b""
        serving.idle()


@pytest.mark.parametrize("way", ["KPOP", "GSSAPI"])
def test_whom_the_user_lists_in_k5login_may_have_the_mail(house: House, realm: kdc.Realm, way: str) -> None:
    """k5login(5); by GSSAPI the client names the user beside its ticket (RFC 4752 section 3.1)."""
    house.user.fill(ONE)
    realm.user("guest", "of another")
    cache = realm.ticket("guest", "of another")
    home = house.folder / "home"
    home.mkdir(mode=0o700)
    with house.serving(options=options(house, *(["kpop=true"] if way == "KPOP" else []))) as serving:
        assert not fetched(serving, realm, house.user.name, cache, way)
        accounts.change("usermod", "-d", str(home), house.user.name)
        (home / ".k5login").write_text(f"guest@{kdc.REALM}\n")
        for path in (home, home / ".k5login"):
            os.chown(path, house.user.uid, house.user.gid)
        assert fetched(serving, realm, house.user.name, cache, way)
        serving.idle()
    assert f"asked to be {house.user.name}: the local name of guest@{kdc.REALM} is guest;" in house.log.text
    assert f'POP login by user "{house.user.name}"' in house.log.text


def fetched(serving: Serving, realm: kdc.Realm, user: str, cache: str, way: str) -> bool:
    """Whether the ticket in ``cache`` lets in as ``user``."""
    if way == "GSSAPI":
        with serving.dialogue() as line:
            line.line()
            return by_gssapi(line, Initiator(cache, kdc.HOST), user).startswith(b"+OK")
    with ticketed(serving, cache) as line:
        if not line.login(user, "x").startswith(b"+OK"):
            return False
        return line.ask("QUIT").startswith(b"+OK")


def by_gssapi(line: Dialogue, client: Initiator, user: str) -> bytes:
    """AUTH GSSAPI with an authorization identity (RFC 4752 section 3.1); the answer to its last message."""

    def answered(message: bytes) -> bytes:
        said = line.ask(b64encode(message).decode())
        assert said.startswith(b"+ "), said
        return b64decode(said[2:])

    assert line.ask("AUTH GSSAPI") == b"+ "
    assert client.step(answered(client.step())) == b""  # and mutual: the server has shown who it is
    assert client.unwrap(answered(b"")) == bytes((1, 0, 0, 0))
    return line.ask(b64encode(client.wrap(bytes((1, 0, 0, 0)) + user.encode())).decode())


def ticketed(serving: Serving, cache: str) -> Dialogue:
    sock = socket.create_connection(("127.0.0.1", serving.port), PATIENCE)
    assert sendauth(sock, cache, "pop", kdc.HOST) == ""
    sock.settimeout(PATIENCE)
    return Dialogue(sock)


def test_no_process_of_a_session_holds_a_key_of_the_service(house: House, realm: kdc.Realm) -> None:
    """Nor the password that the KDC was asked about, in the mail process: only the child that is gone had the keys."""
    house.user.fill(ONE)
    keys = kdc.keys(realm.keytab)
    with house.serving(options=options(house)) as serving, serving.dialogue() as line:
        assert line.login(house.user.name, "known to the KDC").startswith(b"+OK")
        held = {pid: memory(pid) for pid in serving.processes()}
        assert set(serving.mail_processes()) < set(held)
        assert all(b"POP3" in octets or b"qpopper" in octets for octets in held.values())  # it was read at all
        assert not [key for key in keys if any(key in octets for octets in held.values())]
        assert line.ask("QUIT").startswith(b"+OK")


def memory(pid: int) -> bytes:
    """All that a process can write to and read."""
    parts = []
    with open(f"/proc/{pid}/maps") as maps, open(f"/proc/{pid}/mem", "rb", 0) as file:
        for row in maps:
            where, rights = row.split()[:2]
            if rights.startswith("rw"):
                start, end = (int(word, 16) for word in where.split("-"))
                file.seek(start)
                parts.append(file.read(end - start))
    return b"".join(parts)
