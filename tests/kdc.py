"""A Kerberos realm of the test's own: MIT's KDC (Debian's krb5-kdc) on a loopback port, its files in a folder."""

from __future__ import annotations

import contextlib
import os
import secrets
import shutil
import socket
import subprocess
import time
from typing import TYPE_CHECKING

import pytest

from tests import harness
from tests.conftest import require_program
from tests.harness import PATIENCE, environment, started, wait_until

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from pathlib import Path

    from qpopper_py.settings import Settings

REALM = "POP.TEST"
HOST = "localhost"
SERVICE = f"pop/{HOST}"
PROGRAMS = ("krb5kdc", "kdb5_util", "kadmin.local", "kinit", "kvno")

# The gate forks for each ticket; beside a test's threads Python 3.12 and later warn of that
forks = pytest.mark.filterwarnings("ignore:.*multi-threaded, use of fork:DeprecationWarning")


class Realm:
    """Its administrator's view: principals, keys, tickets."""

    def __init__(self, folder: Path) -> None:
        for name in PROGRAMS:
            require_program(name)
        self.folder = folder
        self.conf = folder / "krb5.conf"
        self.keytab = folder / "keytab"
        self.port = free_port()
        self.configure()
        (folder / "kdc.conf").write_text(
            f"[realms]\n{REALM} = {{\n database_name = {folder}/db\n key_stash_file = {folder}/stash\n"
            f" kdc_listen = 127.0.0.1:{self.port}\n kdc_tcp_listen = 127.0.0.1:{self.port}\n max_life = 1d\n}}\n"
        )
        self.call("kdb5_util", "create", "-s", "-W", "-P", secrets.token_hex())
        self.admin(f"addprinc -randkey {SERVICE}")
        self.admin(f"ktadd -k {self.keytab} {SERVICE}")
        self.keytab.chmod(0o600)

    def configure(self, port: int = 0, default: str = REALM, realm_lines: str = "", libdefaults: str = "") -> None:
        """Write krb5.conf; ``port``: another than the KDC's.  Plain names: no DNS is asked for anything."""
        self.conf.write_text(
            f"[libdefaults]\n default_realm = {default}\n dns_lookup_kdc = false\n dns_canonicalize_hostname = false\n"
            f" rdns = false\n udp_preference_limit = 1\n{libdefaults}"
            f"[realms]\n {REALM} = {{\n  kdc = 127.0.0.1:{port or self.port}\n{realm_lines} }}\n"
            f"[domain_realm]\n {HOST} = {REALM}\n"
        )
        self.conf.chmod(0o644)

    @property
    def environment(self) -> dict[str, str]:
        return {"KRB5_CONFIG": str(self.conf), "KRB5_KDC_PROFILE": f"{self.folder}/kdc.conf"}

    def call(self, *line: str, given: str = "", **more: str) -> str:
        done = subprocess.run(
            line,
            input=given,
            text=True,
            capture_output=True,
            timeout=PATIENCE,
            cwd=self.folder,
            env=environment(**self.environment, **more),
        )
        assert done.returncode == 0, f"{line}: {done.stdout}{done.stderr}"
        return done.stdout

    def admin(self, what: str) -> str:
        """A command of kadmin(8)."""
        return self.call("kadmin.local", "-q", what)

    def user(self, name: str, password: str, options: str = "") -> None:
        self.admin(f'addprinc {options} -pw "{password}" {name}')

    def ticket(self, name: str, password: str, *options: str) -> str:
        """Log ``name`` in; the name of its credential cache."""
        cache = f"FILE:{self.folder}/cc-{secrets.token_hex(4)}"
        self.call("kinit", "-c", cache, *options, name, given=f"{password}\n")
        return cache

    @contextlib.contextmanager
    def running(self) -> Iterator[Realm]:
        """With its KDC."""
        line = (require_program("krb5kdc"), "-n", "-P", f"{self.folder}/pid")
        env = environment(**self.environment)
        with started(*line, env=env) as process:
            self.pid = process.pid

            def listens() -> bool:
                assert process.poll() is None, process.output.text  # type: ignore[attr-defined]
                with socket.socket() as sock:
                    return sock.connect_ex(("127.0.0.1", self.port)) == 0

            wait_until(listens, "the KDC's port")
            yield self


@contextlib.contextmanager
def realm(folder: Path) -> Iterator[Realm]:
    """A realm with its KDC, and this process's libkrb5 turned to it."""
    made = Realm(folder)
    old = {name: os.environ.get(name) for name in made.environment}
    os.environ.update(made.environment)
    try:
        with made.running():
            yield made
    finally:
        for name, value in old.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value


def free_port() -> int:
    """A port that is free for TCP and UDP, below those that the system gives out by itself (ip(7)) meanwhile."""
    while True:
        port = 20000 + secrets.randbelow(12000)
        with socket.socket() as stream, socket.socket(type=socket.SOCK_DGRAM) as datagram:
            try:
                stream.bind(("127.0.0.1", port))
                datagram.bind(("127.0.0.1", port))
            except OSError:
                continue
        return port


def wait_for_the_clock(seconds: int) -> None:
    """Until this host's clock, which tickets are held against, has moved on that far."""
    end = time.time() + seconds
    wait_until(lambda: time.time() > end, "the time")


def configured(folder: Path, configure: Callable[..., Settings], **more: object) -> Settings:
    """Settings for this realm; alice is in an accounts file, and carol with a password there."""
    accounts = folder / "accounts"
    if not accounts.exists():
        accounts.write_text("alice::1234:1234::/home/alice::\ncarol:{PLAIN}in the file:1235:1235::/home/carol::\n")
        accounts.chmod(0o600)
    values: dict[str, object] = {
        "auth_sources": "kerberos",
        "accounts_file": str(accounts),
        "kerberos_keytab": f"{folder}/keytab",
        **more,
    }
    made = configure(**values)
    made.values["state_dir"] = f"{folder}/state"
    return made


class Server(harness.Server):
    """A server that asks this realm; alice's ticket or password lets in, and there is an empty maildrop."""

    def __init__(self, realm: Realm, folder: Path, settings: Mapping[str, object] | None = None) -> None:
        keytab = folder / "keytab"
        shutil.copy(realm.keytab, keytab)
        keytab.chmod(0o600)
        kerberos = {"auth.sources": "kerberos", "kerberos.keytab": keytab, "auth.refusal_delay": 0}
        super().__init__(folder, {"alice": "another"}, settings={**kerberos, **(settings or {})})
        self.give(keytab)
        self.realm = realm

    def process_options(self) -> dict[str, object]:
        options = super().process_options()
        return {**options, "env": environment(HOME=str(self.folder), **self.realm.environment)}
