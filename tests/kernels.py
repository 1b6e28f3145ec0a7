"""The C kernel for tests: the installed one; where none is (in a tree), one that is compiled for the occasion."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from qpopper_py import kernel

if TYPE_CHECKING:
    from types import ModuleType

TREE = Path(__file__).resolve().parent.parent


def native(folder: Path) -> ModuleType | str:
    """The kernel, compiled into ``folder`` if need be; a text: why there is none."""
    if kernel.native is not None:
        return kernel.native
    sys.path.insert(0, str(TREE / "scripts/installer"))
    try:
        build = importlib.import_module("kernel")
    finally:
        sys.path.pop(0)
    why = build.build(TREE / "qpopper_py/_kernel.c", folder, sys.executable)
    if why:
        return str(why)
    spec = importlib.util.spec_from_file_location("_kernel", folder / build.NAME)
    assert spec is not None
    assert spec.loader is not None
    made = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(made)
    return made
