"""A command on a database of its own, run in this process: mailauth, and popauth under its names."""

from __future__ import annotations

import io
import os
import sys
import syslog
from typing import TYPE_CHECKING

from qpopper_py.auth.authdb import AuthDb

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    import pytest


class Done:
    def __init__(self, status: int, out: str, err: str) -> None:
        self.status, self.out, self.err = status, out, err


class Desk:
    """``alice`` and ``bob`` are in its accounts file, nobody is in NSS; ``settings`` are changed by those who differ.

    ``log``: what went to syslog, (level, line).
    """

    prefix = "--"  # of our own options

    def __init__(self, folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
        self.folder = folder
        self.monkeypatch = monkeypatch
        self.capsys = capsys
        self.log: list[tuple[int, str]] = []
        self.accounts = folder / "accounts"
        self.accounts.write_text("alice::8:8::/home/alice::\nbob::8:8::/home/bob::\n")
        self.accounts.chmod(0o600)
        self.database, self.key = folder / "db/mailauth.db", folder / "keys/key"
        self.settings: dict[str, object] = {
            "mailauth.database": self.database,
            "mailauth.key": self.key,
            "mailauth.owner": "",
            "accounts.file": self.accounts,
            "state_dir": folder,
            "log.to": "syslog",
        }
        monkeypatch.setattr(syslog, "syslog", lambda level, line: self.log.append((level, line)))
        for name in ("SUDO_UID", "SUDO_USER"):
            monkeypatch.delenv(name, raising=False)

    def run(self, main: Callable[[list[str]], int], words: tuple[str, ...], given: str, **more: object) -> Done:
        """``main`` of ``words``, with ``given`` on the standard input; ``more`` are settings (dots as __)."""
        line = [f"{self.prefix}config", "none"]
        for name, value in {
            **self.settings,
            **{name.replace("__", "."): value for name, value in more.items()},
        }.items():
            line += [f"{self.prefix}set", f"{name}={value}"]
        self.monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(given.encode())))
        before = os.umask(0o022)
        try:
            status = main([*line, *words])
        finally:
            os.umask(before)
        seen = self.capsys.readouterr()
        return Done(status, seen.out, seen.err)

    @property
    def db(self) -> AuthDb:
        return AuthDb(str(self.database), str(self.key), str(self.settings["mailauth.owner"]))
