"""A copy of the source tree to build and install from, and places to install into that every user can read."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.packaging.making import TREE, Maker

if TYPE_CHECKING:
    from collections.abc import Iterator

NOT_COPIED = shutil.ignore_patterns(".git", ".venv*", ".*_cache", ".hypothesis", "__pycache__", "build", "*.egg-info")
SYSTEM_PYTHON = "/usr/bin/python3"


@pytest.fixture
def open_folder() -> Iterator[Path]:
    """A temporary folder that others may read, as tmp_path is not when we are root."""
    folder = Path(tempfile.mkdtemp(prefix="qpopper_py-test-"))
    folder.chmod(0o755)
    yield folder
    shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """A copy of the source tree that a test may change."""
    return Path(shutil.copytree(TREE, tmp_path / "tree", ignore=NOT_COPIED))


@pytest.fixture(scope="session")
def system_python() -> str:
    """An interpreter that every user can run, as the installer demands."""
    ask = "import sys; sys.exit(sys.version_info < (3, 11))"
    if not os.path.exists(SYSTEM_PYTHON) or subprocess.run([SYSTEM_PYTHON, "-IS", "-c", ask]).returncode:
        pytest.skip(f"{SYSTEM_PYTHON} is not there or older than 3.11")
    return SYSTEM_PYTHON


@pytest.fixture
def make(open_folder: Path, system_python: str) -> Maker:
    return Maker(open_folder / "prefix", system_python)
