"""Who may write sasldb: its secrets are as they are, so whoever reads them can be anybody already."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from qpopper_py.auth.sources.sasldb import SaslDb
from qpopper_py.errors import CredentialStoreError
from qpopper_py.settings import Settings
from tests.conftest import require_program


@pytest.fixture
def database(tmp_path: Path) -> Path:
    path = tmp_path / "sasldb2"
    line = [require_program("saslpasswd2"), "-p", "-c", "-f", str(path), "-u", "example.org", "bovik"]
    subprocess.run(line, input=b"a secret of sasldb", check=True)
    return path


@pytest.mark.client("saslpasswd2")
@pytest.mark.parametrize("mode", [0o600, 0o640, 0o660])
def test_the_group_that_reads_it_may_write_it(database: Path, mode: int) -> None:
    """Debian's sasl2-bin makes /etc/sasldb2 root's, of group sasl, with mode 0660."""
    database.chmod(mode)
    assert SaslDb(Settings([("test", {"sasldb.file": str(database)})]), []).ready() == SaslDb.kinds


@pytest.mark.client("saslpasswd2")
@pytest.mark.parametrize("mode", [0o620, 0o602, 0o662, 0o666])
def test_what_others_write_is_not_believed(database: Path, mode: int) -> None:
    database.chmod(mode)
    source = SaslDb(Settings([("test", {"sasldb.file": str(database)})]), [])
    with pytest.raises(CredentialStoreError, match="can be written by others; run: chmod go-w"):
        source.ready()
