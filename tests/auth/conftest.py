"""What the tests of the gate share: settings, a mailauth database, and a real system user that goes away again."""

from __future__ import annotations

import os
import secrets
from typing import TYPE_CHECKING

import pytest

from qpopper_py.auth import crypt
from qpopper_py.events import Event
from qpopper_py.facts import Facts
from qpopper_py.settings import Settings
from tests import accounts

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

THREE_USERS = """\
alice:{PLAIN}secret:1234:1234::/home/alice::
dave:{SSHA256}x7E5nXGH4Vb+r6CDxM1SYvZfpuQn0cY1bPVgLRMsTxZzYWx0:1234:1234::/home/dave::
bob::1235:1235::/home/bob::
"""
STAMP = "<1896.697170952@dbc.mtview.ca.us>"  # RFC 1939 section 7


def three_users(folder: Path, more: str = "") -> str:
    """An accounts file of alice with a clear password, dave with a hash, and bob without one."""
    path = folder / "accounts"
    path.write_text(THREE_USERS + more)
    path.chmod(0o600)
    return str(path)


@pytest.fixture
def facts() -> Facts:
    return Facts("s1", peer="192.0.2.7", stamp=STAMP)


@pytest.fixture
def heard() -> list[Event]:
    """What the gate emitted."""
    return []


@pytest.fixture
def configure(tmp_path: Path) -> Callable[..., Settings]:
    """Settings whose files lie in ``tmp_path``; keywords have _ for the dot: accounts_file=..."""

    def make(**values: object) -> Settings:
        raw: dict[str, object] = {
            "state_dir": f"{tmp_path}/state",
            "mailauth.database": f"{tmp_path}/mailauth.db",
            "mailauth.key": f"{tmp_path}/keys/mailauth.key",
        }
        raw.update({name.replace("_", ".", 1): value for name, value in values.items()})
        return Settings([("the test", raw)])

    return make


@pytest.fixture
def mailauth(configure: Callable[..., Settings]) -> Callable[[str, str, bytes], None]:
    """Puts an entry (user, type, secret) in a real database of the real format."""
    from qpopper_py.auth import authdb_edit

    settings = configure()
    where = (settings.mailauth_database, settings.mailauth_key, "")

    def put(user: str, type_: str, secret: bytes) -> None:
        if not os.path.exists(settings.mailauth_database):
            authdb_edit.create(*where)
        authdb_edit.Editor(*where).put(user, type_, secret)

    return put


class SystemUser:
    """A real account of this machine, made by useradd."""

    def __init__(self, name: str) -> None:
        self.name = name

    def password(self, stored: str) -> None:
        """Set the shadow field as it stands here (usermod's own check would refuse some)."""
        accounts.change("chpasswd", "-e", given=f"{self.name}:{stored}\n")

    def change(self, program: str, *words: str) -> None:
        accounts.change(program, *words, self.name)


@pytest.fixture
def system_user(require_program: Callable[[str], str]) -> Iterator[SystemUser]:
    """A user with no password yet.  Asking for this is asking for root: mark the test so."""
    require_program("useradd")
    user = SystemUser("qp" + secrets.token_hex(5))
    accounts.change("useradd", "-M", "-s", "/bin/sh", user.name)
    try:
        yield user
    finally:
        accounts.forget(user.name)


@pytest.fixture(autouse=True)
def no_hash_was_seen_yet(monkeypatch: pytest.MonkeyPatch) -> None:
    """What a process wastes for nobody's password is as its last real one; each test begins afresh."""
    monkeypatch.setattr(crypt, "_like", [])
