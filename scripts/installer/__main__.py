"""What ``make install``, ``make rollback`` and ``make uninstall`` do.  layout.py says where everything lies."""

from __future__ import annotations

import argparse
import os
import shutil
import stat
import subprocess
import sys
import tempfile
from pathlib import Path

sys.dont_write_bytecode = True
sys.path.insert(1, str(Path(__file__).resolve().parent.parent.parent))  # the tree that is installed

from checks import check_interpreter, check_open_to_all  # noqa: E402
from layout import NAME, Installation, Refusal, check_ours, contents, link_to, make_folder, mark, write  # noqa: E402
from release import check_starts, compile_all, fill  # noqa: E402

from qpopper_py import __version__  # noqa: E402
from qpopper_py.libraries import LIBRARIES  # noqa: E402


def place_files(place: Installation, version: str) -> None:
    """Commands, manual pages and samples of a version below PREFIX; those of another version that it lacks go."""
    ours = place.installed()
    wanted = {path: source for path, source in contents(place.library / version).items() if free(place, path, source)}
    during = {path: set(digests) for path, digests in ours.items()}
    for path, source in wanted.items():
        during.setdefault(path, set()).add(mark(source))
        for folder in list(Path(path).parents)[:-1]:
            if not (place.root / folder).exists():
                during.setdefault(str(folder), set())
    place.write_list(during)  # before the first file, so that an interrupted installation knows its own
    for path, source in wanted.items():
        make_folder((place.root / path).parent)
        if source.is_symlink():
            link_to(os.readlink(source), place.root / path)
        else:
            write(place.root / path, source.read_bytes(), stat.S_IMODE(source.stat().st_mode))
    gone = [path for path, digests in ours.items() if digests and path not in wanted]
    kept = remove(place, {path: ours[path] for path in gone})
    after = {path: {mark(source)} for path, source in wanted.items()}
    place.write_list({**{path: set() for path, digests in during.items() if not digests}, **kept, **after})


def free(place: Installation, path: str, source: Path) -> bool:
    """Whether this may be placed: a link gives way to the old program whose name it bears.

    Files that are in the way of ours were refused before anything was changed.
    """
    there = place.root / path
    if not source.is_symlink() or not os.path.lexists(there) or mark(there) in place.installed().get(path, ()):
        return True
    print(f"note: {there} was not installed by us: left alone; pop3d --personality chooses that program's manners")
    return False


def remove(place: Installation, ours: dict[str, set[str]]) -> dict[str, set[str]]:
    """Remove files that are as we left them; what was kept because somebody changed it."""
    kept = {}
    for path, digests in ours.items():
        there = place.root / path
        if mark(there) in digests:
            there.unlink()
        elif os.path.lexists(there):
            print(f"note: {there} was changed since we installed it: left alone")
            kept[path] = digests
    return kept


def install(place: Installation, python: str, offline: bool) -> None:
    check_interpreter(python)
    if os.geteuid() == 0 and not place.staged:
        check_open_to_all(place.prefix, "install where every user can read, as /usr/local is")
    place.lock()
    stage = Path(tempfile.mkdtemp(prefix=".stage-", dir=place.library))
    try:
        fill(stage, place, python, offline)
        check_ours(place, contents(stage))
        version = free_name(place)
        compile_all(stage, f"{place.prefix}/lib/{NAME}/{version}", python)
        check_starts(stage, python)
        os.sync()  # all of it on disk before the one rename that counts
        stage.rename(place.library / version)
    except BaseException:
        shutil.rmtree(stage, ignore_errors=True)
        raise
    before = place.link("current")
    if before:
        place.switch("previous", before)
    place.switch("current", version)
    place_files(place, version)
    for old in place.versions():
        if old not in (version, before):
            shutil.rmtree(place.library / old)
    say_installed(place, version, before, python)


def free_name(place: Installation) -> str:
    """``0.1.0``, then ``0.1.0-2`` and so on: above all that are there: a removed one may still run."""
    numbers = [0]
    for name in place.versions():
        base, _, number = name.partition("-")
        if base == __version__:
            numbers.append(int(number or 1))
    return __version__ if numbers == [0] else f"{__version__}-{max(numbers) + 1}"


def say_installed(place: Installation, version: str, before: str, python: str) -> None:
    print(f"installed {NAME} {version} in {place.prefix}" + (f"; make rollback returns to {before}" if before else ""))
    for module, (requirement, debian, feature) in LIBRARIES.items():
        vendored = place.library / version / "vendor" / module
        if not vendored.is_dir() and not vendored.with_suffix(".py").is_file() and not in_system(module, python):
            print(f"note: {module} is missing, which is needed for {feature}: apt install {debian}, or let pip have")
            print(f"      '{requirement}' and run make install again.  USER, PASS and APOP work without it.")
    print(f"inetd.conf:  pop3 stream tcp nowait.1000 root {place.prefix}/sbin/pop3d pop3d")
    print(f"samples for inetd, xinetd, systemd, sudo and the configuration: {place.prefix}/share/{NAME}/etc")


def in_system(module: str, python: str) -> bool:
    """Whether the interpreter has it among its own packages, where the program looks last."""
    line = [python, "-I", "-c", f"import {module}"]
    return subprocess.run(line, stdin=subprocess.DEVNULL, capture_output=True).returncode == 0


def rollback(place: Installation) -> None:
    if not place.list.exists():
        raise Refusal(f"nothing of ours is installed in {place.root}")
    place.lock()
    current, previous = place.link("current"), place.link("previous")
    if not previous or previous == current:
        raise Refusal(f"there is no previous version in {place.library}")
    check_ours(place, contents(place.library / previous))
    place.switch("current", previous)
    place.switch("previous", current)
    place_files(place, previous)
    print(f"{NAME} {previous} runs from the next session on; {current} is now the previous one")


def uninstall(place: Installation) -> None:
    """What we placed, and the folder of versions.  Configuration, mail, databases and state are not ours to remove."""
    if not place.list.exists():
        raise Refusal(f"nothing of ours is installed in {place.root}")
    place.lock()
    ours = place.installed()
    remove(place, {path: digests for path, digests in ours.items() if digests})
    for name in ("current", "previous"):
        (place.library / name).unlink(missing_ok=True)
    for version in place.versions():
        shutil.rmtree(place.library / version)
    place.list.unlink()
    made = [place.root / path for path, digests in ours.items() if not digests]
    for folder in sorted({place.library, *made}, reverse=True):  # a folder comes behind what is in it
        try:
            folder.rmdir()
        except FileNotFoundError:
            pass
        except OSError as why:
            print(f"note: {folder} was left: {why.strerror}")
    print(f"removed {NAME} from {place.prefix}; left as they are: /etc/pop3d*, /var/lib/pop3d, all mail")


def main() -> int:
    parser = argparse.ArgumentParser(prog="installer", description="Install, roll back or remove qpopper_py.")
    parser.add_argument("verb", choices=["install", "rollback", "uninstall"])
    parser.add_argument("--prefix", default="/usr/local")
    parser.add_argument("--destdir", default="", help="put it all below this folder, to make a package")
    parser.add_argument("--python", default="/usr/bin/python3", help="the interpreter that the commands name")
    parser.add_argument("--offline", action="store_true", help="ask no package index (PIP_FIND_LINKS still counts)")
    told = parser.parse_args()
    try:
        place = Installation(told.prefix, told.destdir)
        if told.verb == "install":
            install(place, told.python, told.offline)
        else:
            {"rollback": rollback, "uninstall": uninstall}[told.verb](place)
    except Refusal as why:
        print(f"make {told.verb}: {why}", file=sys.stderr)
        return 1
    except OSError as why:
        print(f"make {told.verb}: {why}" + (" (are you root?)" if os.geteuid() else ""), file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
