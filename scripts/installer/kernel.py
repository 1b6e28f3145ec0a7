"""Compiling the optional C kernel: what ``make install`` and the benchmarks do; setup.py has setuptools do it."""

from __future__ import annotations

import os
import shlex
import subprocess
from pathlib import Path

NAME = "_kernel.abi3.so"  # the stable ABI: one build serves every later Python
ASK = "import sysconfig as s; print(s.get_path('include'), s.get_config_var('CC') or '', sep='\\n')"


def build(source: Path, folder: Path, python: str) -> str:
    """Compile ``source`` for ``python`` into ``folder``/NAME; where that cannot be, the reason, in a line.

    The compiler is $CC, else the one that made ``python``, else cc.
    """
    target = folder / NAME
    told = subprocess.run([python, "-IS", "-c", ASK], stdin=subprocess.DEVNULL, capture_output=True, text=True)
    include, made_by = [*told.stdout.split("\n"), "", ""][:2]
    named = os.environ.get("CC")
    why = ""
    for compiler in [named] if named else [made_by, "cc"]:
        if compiler:
            line = [*shlex.split(compiler), "-O2", "-shared", "-fPIC", f"-I{include}", str(source), "-o", str(target)]
            why = run(line) or run([python, "-IS", "-c", f"import sys; sys.path[:] = {[str(folder)]}; import _kernel"])
            if not why:
                return ""
            target.unlink(missing_ok=True)
    return why


def run(line: list[str]) -> str:
    """Run it; the reason if it failed, in a line."""
    try:
        done = subprocess.run(line, stdin=subprocess.DEVNULL, capture_output=True, text=True)
    except OSError as why:
        return f"{line[0]}: {why.strerror}"
    told = [text for text in done.stderr.splitlines() if "error" in text.lower()] or done.stderr.splitlines()
    return (told or [f"{line[0]} ended with {done.returncode}"])[0] if done.returncode else ""
