"""Files for targets whose subject reads files: in memory if the machine has such a folder, gone with the process."""

from __future__ import annotations

import functools
import os
import tempfile
from pathlib import Path

IN_MEMORY = "/dev/shm"


class Folder:
    """A folder; ``root`` is its path."""

    def __init__(self) -> None:
        self.kept = tempfile.TemporaryDirectory(
            prefix="pop3d-fuzz-", dir=IN_MEMORY if os.access(IN_MEMORY, os.W_OK) else None
        )
        self.root = Path(self.kept.name)


@functools.cache
def folder(name: str) -> Path:
    """A folder of a target's own, the same in each call."""
    made = everything().root / name
    made.mkdir()
    return made


@functools.cache
def everything() -> Folder:
    return Folder()


def put(path: Path, data: bytes) -> str:
    """Make ``path`` a file of ours that holds ``data``; its path as text."""
    path.unlink(missing_ok=True)
    path.write_bytes(data)
    path.chmod(0o600)
    return str(path)


def pieces(data: bytes, size: int) -> list[bytes]:
    """``data`` in pieces of ``size`` octets; 0: in one."""
    return [data[at : at + size] for at in range(0, len(data), size)] if size else [data]
