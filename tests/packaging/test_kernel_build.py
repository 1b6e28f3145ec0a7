"""The C kernel is built where it can be, and nothing fails where it cannot."""

from __future__ import annotations

import os
import shutil
import sys
import zipfile
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.packaging.making import call

if TYPE_CHECKING:
    from tests.packaging.making import Maker

pytestmark = pytest.mark.slow
ASK = "import sys; sys.path.insert(0, sys.argv[1]); from qpopper_py.kernel import native; print(native is not None)"


def has_kernel(python: str | Path, folder: Path) -> bool:
    return call(python, "-IS", "-c", ASK, folder) == "True\n"


@pytest.mark.client("cc")
def test_make_install_builds_it(make: Maker, tree: Path, system_python: str) -> None:
    done = make(tree, "install")
    assert "C kernel" not in done.stdout
    assert has_kernel(system_python, make.current)
    assert not list((tree / "qpopper_py").glob("_kernel*.so"))


def test_make_install_does_without_a_compiler(
    make: Maker, tree: Path, system_python: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CC", "false")
    done = make(tree, "install")
    assert "note: without the C kernel, which only makes large mailboxes open faster: false ended with 1" in done.stdout
    assert not has_kernel(system_python, make.current)


def test_a_kernel_that_does_not_load_is_not_kept(
    make: Maker, tree: Path, system_python: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """As one that was compiled for another machine."""
    compiler = tmp_path / "compiler"
    compiler.write_text('#!/bin/sh\nfor last; do :; done\necho no library > "$last"\n')
    compiler.chmod(0o755)
    monkeypatch.setenv("CC", str(compiler))
    assert "note: without the C kernel" in make(tree, "install").stdout
    assert not list(make.current.rglob("_kernel*.so"))
    assert not has_kernel(system_python, make.current)


@pytest.mark.parametrize("cc", [None, "false"], ids=["compiler", "none"])
def test_pip_builds_it_or_does_without(tree: Path, tmp_path: Path, cc: str | None) -> None:
    if cc is None and shutil.which("cc") is None:
        pytest.skip("cc is not installed")
    environment = {**os.environ, **({"CC": cc} if cc else {})}
    pip = [sys.executable, "-I", "-m", "pip", "wheel", "--quiet", "--disable-pip-version-check", "--no-deps"]
    call(*pip, "--wheel-dir", tmp_path / "out", tree, env=environment)
    (wheel,) = (tmp_path / "out").glob("*.whl")
    with zipfile.ZipFile(wheel) as file:
        file.extractall(tmp_path / "package")
    assert has_kernel(sys.executable, tmp_path / "package") is (cc is None)
    assert "-abi3-" in wheel.name
