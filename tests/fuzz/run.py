"""The targets before atheris, each for its share: ``python -P tests/fuzz/run.py [--seconds N] [TARGET ...]``.

Each runs in a process of its own, which atheris ends.  What it learnt to reach code with stays in ``.fuzz/TARGET`` for
the next time; an input that broke something goes to ``tests/fuzz/found/TARGET``, where pytest finds it.
"""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

HERE = Path(__file__).resolve().parent
TREE = HERE.parent.parent
LEARNT = TREE / ".fuzz"
PATIENCE = 20  # seconds that one input may take
MEMORY = 2048  # MB
LONGEST = 4096  # octets of an input
BREAKS = ("crash-", "timeout-", "oom-", "leak-")


def within(name: str, flags: list[str]) -> None:
    """Be the process that atheris ends."""
    import atheris

    sys.path.append(str(TREE))  # at the end: the installed package is tried where there is one
    with atheris.instrument_imports(include=["qpopper_py"]):
        from tests.fuzz.targets import TARGETS
    atheris.Setup([sys.argv[0], *flags], TARGETS[name])
    atheris.Fuzz()


def attempt(name: str, seconds: int) -> list[Path]:
    """Run one target; the inputs that broke it, where they are kept."""
    folders = [LEARNT / name, HERE / "seeds" / name, HERE / "found" / name]
    for folder in (folders[0], folders[2]):
        folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as artifacts:
        flags = [f"-max_total_time={seconds}", f"-timeout={PATIENCE}", f"-rss_limit_mb={MEMORY}", f"-max_len={LONGEST}"]
        flags += [f"-artifact_prefix={artifacts}/", "-verbosity=0", "-print_final_stats=1", *map(str, folders)]
        line = [sys.executable, "-P", str(Path(__file__).resolve()), "--within", name, *flags]
        done = subprocess.run(line, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, errors="replace")
        kept = []
        for path in Path(artifacts).iterdir():
            if path.name.startswith(BREAKS):
                kept.append(folders[2] / path.name[:24])
                shutil.copyfile(path, kept[-1])
    runs = [line.split()[-1] for line in done.stdout.splitlines() if "number_of_executed_units" in line]
    print(f"{name:16} {runs[0] if runs else '?':>9} inputs  {'broken' if kept else 'fine'}", flush=True)
    if done.returncode or kept:
        print(done.stdout[done.stdout.find("=== Uncaught") :][:6000])
        if not kept:
            raise SystemExit(f"{name}: atheris ended with {done.returncode}")
    if not any(folders[2].iterdir()):
        folders[2].rmdir()
    return kept


def main() -> int:
    parser = argparse.ArgumentParser(description="look for inputs that break something")
    parser.add_argument("--seconds", type=int, default=60, help="for all targets together")
    parser.add_argument("--within", default="", help=argparse.SUPPRESS)
    parser.add_argument("targets", nargs="*")
    options, flags = parser.parse_known_args()
    if options.within:
        within(options.within, [*flags, *options.targets])
        return 0
    if subprocess.run([sys.executable, "-c", "import atheris"], capture_output=True).returncode:
        print("atheris is not here; pip install atheris, or make fuzz", file=sys.stderr)
        return 69
    sys.path.append(str(TREE))
    from tests.fuzz.targets import TARGETS

    names = options.targets or list(TARGETS)
    if unknown := set(names) - set(TARGETS):
        print(f"no target: {', '.join(sorted(unknown))}; there are {', '.join(TARGETS)}", file=sys.stderr)
        return 64
    kept = [path for name in names for path in attempt(name, max(1, options.seconds // len(names)))]
    for path in kept:
        where = os.path.relpath(path)
        print(f"{where}: pytest tests/fuzz -k {path.name} shows it again; it stays there, as a test")
    return int(bool(kept))


if __name__ == "__main__":
    sys.exit(main())
