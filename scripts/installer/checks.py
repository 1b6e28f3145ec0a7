"""What is asked of the interpreter that the commands name, and of the folders above ours."""

from __future__ import annotations

import os
import stat
import subprocess
from pathlib import Path

from layout import Refusal


def check_interpreter(python: str) -> None:
    """Refuse an interpreter that is too old, a wrapper, or not for everybody to run."""
    ask = "import sys, os; print(*sys.version_info[:2], sys.executable, os.path.dirname(os.__file__), sep='\\n')"
    if not python.startswith("/") or " " in python or len(python) > 100:
        raise Refusal(f"PYTHON={python} must be a short absolute path without blanks")
    try:
        told = subprocess.run([python, "-IS", "-c", ask], capture_output=True, text=True, check=True).stdout
    except (OSError, subprocess.CalledProcessError) as why:
        raise Refusal(f"PYTHON={python} does not run: {why}") from None
    major, minor, itself, library = told.split("\n")[:4]
    if (int(major), int(minor)) < (3, 11):
        raise Refusal(f"PYTHON={python} is Python {major}.{minor}; 3.11 or later is needed")
    if os.path.realpath(itself) != os.path.realpath(python):
        raise Refusal(f"PYTHON={python} is a wrapper that would cost each session time; use PYTHON={itself}")
    for path in (python, os.path.realpath(python), library):
        check_open_to_all(path, "the interpreter must be one that every user can run, as /usr/bin/python3 is")


def check_open_to_all(path: str, why: str) -> None:
    """Mail is opened by processes that are the mail user: refuse what it cannot read, or others can write."""
    for place in (Path(path), *Path(path).parents):
        if not place.exists():
            continue
        mode = place.stat().st_mode
        if not mode & (stat.S_IXOTH if place.is_dir() else stat.S_IROTH):
            raise Refusal(f"{place} cannot be read by other users ({stat.filemode(mode)}): {why}")
        if mode & stat.S_IWOTH and not mode & stat.S_ISVTX:
            raise Refusal(f"{place} can be written by anybody ({stat.filemode(mode)}): chmod o-w {place}")
