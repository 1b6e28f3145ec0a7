"""The house stands as DESIGN.md draws it: imports go down only, functions are short, the greeting is quick to reach."""

from __future__ import annotations

import ast
import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest

import qpopper_py
from qpopper_py.doorstep import closed_to_others

PACKAGE = Path(qpopper_py.__file__).resolve().parent
LONGEST_FUNCTION = 55

# A room may import from rooms on lower floors, and from itself; rooms of one floor are strangers.
FLOORS = {
    "": 0,  # qpopper_py/__init__.py: the version
    "errors": 0,
    "kinds": 0,
    "_kernel": 0,
    "facts": 0,
    "kernel": 1,
    "libraries": 1,
    "listeners": 1,
    "special_kinds": 1,
    "stream": 1,
    "tunables": 2,
    "settings": 3,
    "events": 3,
    "legacy_dbm": 3,
    "qpopper_line": 3,
    "privilege": 3,
    "programs": 3,
    "protocol": 3,
    "arrival": 4,
    "stamp": 4,
    "auth": 5,
    "sandbox": 5,
    "store": 5,
    "tls": 5,
    "logs": 6,
    "personality": 6,
    "serve": 6,
    "session": 6,
    "doorstep": 7,
    "tools": 7,
    "sessions": 8,
    "house": 9,
    "__main__": 10,
}

# What the greeting needs, and what none of it may load: each of these costs a millisecond or more in each session.
GREETING = ["qpopper_py.__main__"]
HEAVY = """
argparse ast base64 bz2 collections configparser contextlib copy ctypes dataclasses datetime dateutil decimal email enum
functools gettext glob hashlib hmac http importlib.metadata inspect ipaddress json logging lzma mailbox operator os
passlib pathlib pickle random re secrets selectors sh shutil signal socket sqlite3 ssl string subprocess tempfile
textwrap threading tomllib traceback typing unicodedata urllib uuid warnings
"""


def modules() -> list[Path]:
    return sorted(PACKAGE.rglob("*.py"))


def name_of(path: Path) -> str:
    """The dotted name within the package: ``store.mbox.scan``; empty for the package itself."""
    parts = path.relative_to(PACKAGE).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def room_of(name: str) -> str:
    return name.partition(".")[0]


def imports_of(path: Path) -> list[tuple[int, str]]:
    """(line, dotted name within the package) of every import of ours, wherever in the module it stands."""
    found = []
    for node in ast.walk(ast.parse(path.read_text("utf-8"))):
        if isinstance(node, ast.Import):
            found += [(node.lineno, alias.name) for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}:{node.lineno}: imports name the whole way, from qpopper_py on"
            if node.module == "qpopper_py":
                found += [(node.lineno, f"qpopper_py.{alias.name}") for alias in node.names]
            else:
                found.append((node.lineno, node.module or ""))
    ours = [(line, name.removeprefix("qpopper_py").lstrip(".")) for line, name in found if is_ours(name)]
    return [(line, "" if name.startswith("__version__") else name) for line, name in ours]


def is_ours(name: str) -> bool:
    return name == "qpopper_py" or name.startswith("qpopper_py.")


@pytest.mark.parametrize("path", modules(), ids=name_of)
def test_imports_go_down_only(path: Path) -> None:
    room = room_of(name_of(path))
    assert room in FLOORS, f"{room} has no floor: see DESIGN.md"
    for line, name in imports_of(path):
        other = room_of(name)
        assert other in FLOORS, f"{path}:{line} imports {name}, which has no floor"
        assert other == room or FLOORS[other] < FLOORS[room], f"{path}:{line}: {room} may not know of {other}"


def test_the_protocol_knows_no_system() -> None:
    for path in (PACKAGE / "protocol").glob("*.py"):
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            names = [a.name for a in node.names] if isinstance(node, ast.Import) else []
            names += [node.module or ""] if isinstance(node, ast.ImportFrom) else []
            assert not {"os", "socket", "_socket", "time", "datetime", "sys"} & set(names), f"{path}: {names}"


@pytest.mark.parametrize("path", modules(), ids=name_of)
def test_functions_are_short(path: Path) -> None:
    for node in ast.walk(ast.parse(path.read_text("utf-8"))):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            length = (node.end_lineno or node.lineno) - node.lineno + 1
            assert length <= LONGEST_FUNCTION, f"{path}:{node.lineno}: {node.name} has {length} lines"


@pytest.mark.parametrize("folder", [path for path in [PACKAGE, *PACKAGE.rglob("*")] if path.is_dir()], ids=str)
def test_every_folder_of_modules_is_a_package(folder: Path) -> None:
    assert not list(folder.glob("*.py")) or (folder / "__init__.py").exists()


@pytest.mark.parametrize("module", GREETING)
def test_importing_the_command_loads_nothing_heavy(module: str) -> None:
    ask = "import sys; sys.path.insert(0, sys.argv[1]); __import__(sys.argv[2]); print(*sorted(sys.modules))"
    line = [sys.executable, "-I", "-S", "-c", ask, str(PACKAGE.parent), module]
    done = subprocess.run(line, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    loaded = set(done.stdout.split())
    assert module in loaded
    assert not loaded.intersection(HEAVY.split())


# Tells what is loaded when the greeting is about to be sent: right behind it, all the rest follows.
STARTS = """
import sys
package, told = sys.argv[1:3]
del sys.argv[1:3]
sys.path.insert(0, package)
from qpopper_py.stream import SocketStream
send = SocketStream.send
def first(self, data):
    SocketStream.send = send
    loaded = list(sys.modules)
    with open(told, "w") as file:
        print(*loaded, file=file)
    return send(self, data)
SocketStream.send = first
from qpopper_py.__main__ import main
sys.exit(main())
"""


def at_greeting(told: Path, *options: str) -> set[str]:
    """What a real session on a socket, as inetd starts it, has loaded when it greets."""
    if os.geteuid() == 0 and closed_to_others(os.__file__, str(PACKAGE / "__init__.py")):
        pytest.skip("other users cannot read this Python, and root's server refuses to start from it")
    line = [sys.executable, "-I", "-S", "-c", STARTS, str(PACKAGE.parent), str(told), "--config", "none", *options]
    ours, theirs = socket.socketpair()
    with ours, theirs, subprocess.Popen(line, stdin=theirs, stderr=subprocess.DEVNULL) as server:
        theirs.close()
        greeting = ours.recv(512)
        ours.close()
        server.wait()
    assert greeting.startswith(b"+OK"), greeting
    loaded = set(told.read_text().split())
    assert "qpopper_py.protocol.reply" in loaded
    return loaded


def test_the_way_from_exec_to_the_greeting_loads_nothing_heavy(tmp_path: Path) -> None:
    set_aside = [f"--set=state_dir={tmp_path}", f"--set=mailauth.database={tmp_path}/none"]
    assert not at_greeting(tmp_path / "loaded", *set_aside).intersection(HEAVY.split())


def test_what_a_plain_line_of_inetd_conf_sets_does_not_load_the_other_settings(tmp_path: Path) -> None:
    loaded = at_greeting(tmp_path / "loaded", "-s", "-T", "300", "-t", f"{tmp_path}/trace", "-d")
    assert "qpopper_py.settings" in loaded
    assert "qpopper_py.tunables" not in loaded
