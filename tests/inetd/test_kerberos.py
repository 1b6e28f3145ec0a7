"""The installed server, started by root, a system user, a real KDC: by ticket, by password, by KPOP."""

from __future__ import annotations

import os
import re
import shutil
import socket
from typing import TYPE_CHECKING

import pytest

from tests import kdc
from tests.gss import sendauth
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


def ticketed(serving: Serving, cache: str) -> Dialogue:
    sock = socket.create_connection(("127.0.0.1", serving.port), PATIENCE)
    assert sendauth(sock, cache, "pop", kdc.HOST) == ""
    sock.settimeout(PATIENCE)
    return Dialogue(sock)
