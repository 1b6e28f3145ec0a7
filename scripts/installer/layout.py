"""Where things lie below PREFIX, and by what list we tell our files from anybody else's.

Below PREFIX/lib/qpopper_py lies a folder for each version: the package, third-party packages in ``vendor``, and in
``files`` what is placed below PREFIX.  ``current`` names the one that runs and is switched by one rename, ``previous``
the one before.  A folder is never written again once it has been ``current``, so running sessions keep their files.
``installed`` lists what was placed, with its SHA-256, or where a link leads (``link=pop3d``).
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import shutil
from pathlib import Path

NAME = "qpopper_py"
FORMAT = f"# {NAME}: installed files, format 1"


class Refusal(Exception):
    """Nothing was changed; the text says why and what to do."""


class Installation:
    """The places of one installation.  ``root`` is where PREFIX is now: below DESTDIR while a package is made."""

    def __init__(self, prefix: str, destdir: str) -> None:
        if not prefix.startswith("/") or set(prefix) & set(" \t\n'\"\\"):
            raise Refusal(f"PREFIX={prefix} must be an absolute path without blanks or quotes")
        self.prefix = os.path.normpath(prefix)
        self.root = Path(destdir + self.prefix) if destdir else Path(self.prefix)
        self.library = self.root / "lib" / NAME
        self.list = self.library / "installed"
        self.staged = bool(destdir)

    def lock(self) -> None:
        """One installer at a time, until this process ends; refuses a folder that is not ours."""
        if self.library.is_dir() and any(self.library.iterdir()) and not self.list.exists():
            raise Refusal(f"{self.library} is there but was not made by us ({self.list.name} is missing): move it away")
        missing = [folder for folder in (self.library, self.library.parent) if not folder.exists()]
        make_folder(self.library)
        try:
            fcntl.flock(os.open(self.library, os.O_RDONLY), fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise Refusal(f"another installation into {self.root} is under way") from None
        made = {str(folder.relative_to(self.root)): set[str]() for folder in missing}
        self.write_list(made | self.installed())  # from here on the folder is known as ours
        for leftover in self.library.glob(".stage-*"):
            shutil.rmtree(leftover)

    def installed(self) -> dict[str, set[str]]:
        """Path below PREFIX -> the hashes that it may have and be ours; a folder that we made has none."""
        if not self.list.exists():
            return {}
        first, *lines = self.list.read_text("utf-8").splitlines()
        if first != FORMAT:
            raise Refusal(f"{self.list} has another format ({first!r}): use the release that wrote it")
        ours: dict[str, set[str]] = {}
        for line in lines:
            digest, _, path = line.partition(" ")
            if not path or path.startswith("/") or ".." in path.split("/"):
                raise Refusal(f"{self.list}: cannot make sense of the line {line!r}")
            ours.setdefault(path, set()).update({digest} - {"folder"})
        return ours

    def write_list(self, ours: dict[str, set[str]]) -> None:
        lines = [FORMAT]
        for path, digests in sorted(ours.items()):
            lines += [f"{digest} {path}" for digest in sorted(digests) or ["folder"]]
        write(self.list, ("\n".join(lines) + "\n").encode(), 0o644)

    def link(self, name: str) -> str:
        """The version folder that ``current`` or ``previous`` names, or empty."""
        try:
            version = os.readlink(self.library / name)
        except FileNotFoundError:
            return ""
        return version if (self.library / version / NAME).is_dir() else ""

    def switch(self, name: str, version: str) -> None:
        new = self.library / f".{name}"
        new.unlink(missing_ok=True)
        new.symlink_to(version)
        new.rename(self.library / name)

    def versions(self) -> list[str]:
        return sorted(p.name for p in self.library.iterdir() if not p.is_symlink() and (p / NAME).is_dir())


def contents(version: Path) -> dict[str, Path]:
    """What a version places: path below PREFIX -> where it lies."""
    files = version / "files"
    return {str(path.relative_to(files)): path for path in files.rglob("*") if path.is_file()}


def check_ours(place: Installation, wanted: dict[str, Path]) -> None:
    """Refuse before anything is changed if a file is in the way that is not as we left it.

    Not for a link's sake: the programs whose names they bear may be installed there, and all works without them.
    """
    ours = place.installed()
    for path, source in wanted.items():
        there = place.root / path
        if not source.is_symlink() and os.path.lexists(there) and mark(there) not in ours.get(path, ()):
            whose = "was changed since we installed it" if path in ours else "was not installed by us"
            raise Refusal(f"{there} {whose}: move it away and run this again")


def make_folder(folder: Path) -> None:
    """The folder and those above it that are missing, 0755 whatever the umask."""
    if not folder.is_dir():
        make_folder(folder.parent)
        folder.mkdir()
        own(folder, 0o755)


def own(path: Path, mode: int) -> None:
    if os.geteuid() == 0:
        os.chown(path, 0, 0)  # a set-group-id bit above would have given another group
    path.chmod(mode)


def write(path: Path, content: bytes, mode: int) -> None:
    """The file, whole or not at all."""
    new = path.with_name(f".{path.name}.new")
    new.unlink(missing_ok=True)
    new.write_bytes(content)
    own(new, mode)
    new.rename(path)


def link_to(target: str, path: Path) -> None:
    """The link, in one step whatever was there."""
    new = path.with_name(f".{path.name}.new")
    new.unlink(missing_ok=True)
    new.symlink_to(target)
    new.rename(path)


def mark(path: Path) -> str:
    """By what a file or a link is known again; empty for what is neither."""
    if path.is_symlink():
        return f"link={os.readlink(path)}"
    return digest(path) if path.is_file() else ""


def digest(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()
