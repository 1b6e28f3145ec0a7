"""Making the folder of a version: the package, launchers, manual pages, samples, third-party packages, byte code."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import kernel
from layout import NAME, Installation, Refusal, own

from qpopper_py.libraries import LIBRARIES

TREE = Path(__file__).resolve().parent.parent.parent
POPAUTH = {"popauth": "bin", "apopauth": "bin", "scramauth": "bin"}  # one command: it goes by its name
PLACES = {"pop3d": "sbin", "mailauth": "bin", "qpopper-py": "sbin", **POPAUTH, "mailutils-popauth": "bin"}
PREAMBLE = """\
import posix, sys  # not os, which takes a millisecond
here = {library!r} + "/"
try:
    here += posix.readlink(here + "current")  # once: a switch must not mix versions in a running session
except OSError:
    here += "current"  # the import tells, where no client hears it
sys.path.insert(0, here)
sys.path.append(here + "/vendor")
"""
# Beside pop3d, each a link to it: names that choose a personality (personality/commandline.py, NAMES).
LINKS = ("cyrus-pop3d", "mailutils-pop3d", "popa3d", "popper", "tru64-pop3d")


def launcher(script: Path, place: Installation, python: str) -> bytes:
    """The command as it lies in ``scripts``, started lean and told where the current version is."""
    _, rest = script.read_text("utf-8").split("\n", 1)
    library = f"{place.prefix}/lib/{NAME}"
    return f"#!{python} -IS\n{PREAMBLE.format(library=library)}{rest}".encode()


def fill(stage: Path, place: Installation, python: str, offline: bool) -> None:
    """Everything of this version into the folder ``stage``."""
    shutil.copytree(TREE / NAME, stage / NAME, ignore=shutil.ignore_patterns("__pycache__", "*.py[co]", "_kernel*"))
    why = kernel.build(TREE / NAME / "_kernel.c", stage / NAME, python)
    if why:
        print(f"note: without the C kernel, which only makes large mailboxes open faster: {why}")
    files = stage / "files"
    for command, folder in PLACES.items():
        target = files / folder / command
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(launcher(TREE / "scripts" / command, place, python))
        target.chmod(0o755)
    for name in LINKS:
        (files / PLACES["pop3d"] / name).symlink_to("pop3d")
    for page in sorted((TREE / "man").glob("*.[1578]")):
        copy(page, files / f"share/man/man{page.suffix[1:]}" / page.name)
    for sample in sorted(path for path in (TREE / "etc").rglob("*") if path.is_file()):
        target = copy(sample, files / f"share/{NAME}" / sample.relative_to(TREE))
        target.write_bytes(target.read_bytes().replace(b"/usr/local/", place.prefix.encode() + b"/"))
    for text in (*(path.name for path in sorted(TREE.glob("*.md"))), "LICENSE"):
        copy(TREE / text, files / f"share/doc/{NAME}" / text)
    vendor(stage / "vendor", python, offline)
    for folder, _, names in os.walk(stage):
        own(Path(folder), 0o755)
        for name in names:
            path = Path(folder, name)
            own(path, 0o755 if path.parent.parent == files else 0o644)


def copy(source: Path, target: Path) -> Path:
    target.parent.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(source, target)
    return target


def vendor(folder: Path, python: str, offline: bool) -> None:
    """Third-party packages, pure Python only, so that they outlive a change of the host's Python.

    A package that cannot be had is left out: the features that need it say so when they are asked for.
    """
    folder.mkdir()
    pip = [python, "-I", "-m", "pip", "--disable-pip-version-check", "install", "--quiet", "--no-input", "--no-compile"]
    pip += ["--target", str(folder), "--only-binary=:all:", "--platform=any", "--implementation=py", "--abi=none"]
    pip += ["--retries=0", "--timeout=15", *(["--no-index"] if offline else [])]
    wanted = [requirement for requirement, _, _ in LIBRARIES.values()]
    if run_pip([*pip, *wanted]):
        for requirement in wanted:
            why = run_pip([*pip, "--upgrade", requirement])
            if why:
                print(f"note: {requirement} could not be had: {why}")
    shutil.rmtree(folder / "bin", ignore_errors=True)


def run_pip(line: list[str]) -> str:
    """Run it; the reason if it failed, in a line."""
    environment = {**os.environ, "PIP_ROOT_USER_ACTION": "ignore"}
    done = subprocess.run(line, stdin=subprocess.DEVNULL, capture_output=True, text=True, env=environment)
    told = done.stderr.strip().splitlines() or [f"pip ended with {done.returncode}"]
    return told[-1] if done.returncode else ""


def compile_all(stage: Path, final: str, python: str) -> None:
    """Byte code beside the sources, so that no session compiles.  A vendor package may hold what does not compile."""
    line = [python, "-IS", "-m", "compileall", "-q", "--invalidation-mode=timestamp", "-s", str(stage), "-p", final]
    if subprocess.run([*line, str(stage / NAME)]).returncode:
        raise Refusal("the package does not compile with this Python")
    subprocess.run([*line, str(stage / "vendor")], stdout=subprocess.DEVNULL)
    for pyc in stage.rglob("*.pyc"):
        own(pyc, 0o644)
    for folder in stage.rglob("__pycache__"):
        own(folder, 0o755)


def check_starts(version: Path, python: str) -> None:
    """The last question before the switch: does the new version import at all?"""
    line = [python, "-IS", "-c", f"import sys; sys.path.insert(0, {str(version)!r}); import {NAME}.__main__"]
    done = subprocess.run(line, stdin=subprocess.DEVNULL, capture_output=True, text=True)
    if done.returncode:
        raise Refusal(f"{version.name} does not start, so nothing was switched:\n{done.stderr}")
