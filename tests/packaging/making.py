"""Running make and what it installed."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

TREE = Path(__file__).resolve().parent.parent.parent


class Maker:
    """``make`` in a tree, for one PREFIX."""

    def __init__(self, prefix: Path, python: str) -> None:
        self.prefix = prefix
        self.python = python

    def __call__(
        self, tree: Path, *words: str, fails: bool = False, umask: int = 0o022, **variables: str
    ) -> subprocess.CompletedProcess[str]:
        """Run it; the packages of others are not fetched unless OFFLINE is given empty."""
        given = {"PREFIX": str(self.prefix), "PYTHON": self.python, "OFFLINE": "1", **variables}
        line = ["make", "-s", *words, *(f"{key}={value}" for key, value in given.items())]
        environment = without(os.environ, "PIP_FIND_LINKS", "MAKEFLAGS", "MAKELEVEL", "MFLAGS")
        if not given["OFFLINE"]:
            environment = dict(os.environ)
        done = subprocess.run(
            line, cwd=tree, stdin=subprocess.DEVNULL, capture_output=True, text=True, env=environment, umask=umask
        )
        assert (done.returncode != 0) is fails, done.stdout + done.stderr
        return done

    @property
    def library(self) -> Path:
        return self.prefix / "lib/qpopper_py"

    @property
    def current(self) -> Path:
        return (self.library / "current").resolve()

    @property
    def pop3d(self) -> str:
        return str(self.prefix / "sbin/pop3d")


def without(environment: Mapping[str, str], *names: str) -> dict[str, str]:
    return {name: value for name, value in environment.items() if name not in names}


def call(*line: str | Path, **options: object) -> str:
    """Run a program that must succeed, away from the tree; what it printed."""
    options.setdefault("cwd", "/")
    done = subprocess.run(
        [str(word) for word in line],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        **options,  # type: ignore[call-overload]
    )
    assert done.returncode == 0, done.stdout
    return str(done.stdout)


def other_pythons() -> list[str]:
    """Every Python that .ci/pythons finds, and the one that runs."""
    return [sys.executable, *call(TREE / ".ci/pythons", cwd=TREE).split()]
