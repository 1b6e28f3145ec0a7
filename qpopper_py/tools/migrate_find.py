"""How an old program is started: its lines in inetd.conf, xinetd.d, systemd's units, cyrus.conf, /etc/default.

Every file is read below ``root`` and never written.  A line that cannot be made sense of, and that would start one of
the programs asked for, is a ConfigurationError with file and line; others' lines are none of our business.
"""

import os
import shlex
from collections.abc import Callable, Collection, Iterator

from qpopper_py.errors import ConfigurationError

LARGEST = 1 << 20  # octets of such a file
UNITS = (
    "etc/systemd/system",
    "run/systemd/system",
    "usr/local/lib/systemd/system",
    "usr/lib/systemd/system",
    "lib/systemd/system",
)


class Start:
    """One way in which the old program is started.

    ``words``: its arguments.  ``program``: its path.  ``line``: the line as it stands, ``new(path)`` the same for
    another program.  ``active``: it is in use, not commented out or switched off.  ``service``: master(8)'s name of it.
    """

    def __init__(
        self,
        path: str,
        number: int,
        how: str,
        program: str,
        words: "list[str]",
        line: str,
        active: bool = True,
        service: str = "",
    ) -> None:
        self.path = path
        self.number = number
        self.how = how
        self.program = program
        self.words = words
        self.line = line
        self.active = active
        self.service = service

    @property
    def where(self) -> str:
        return f"{self.path} line {self.number}"

    def new(self, program: str) -> str:
        return self.line.replace(self.program, program, 1)


def starts(root: str, names: "Collection[str]") -> "list[Start]":
    """All of them, those in use first, for programs whose base name is one of ``names``."""
    found = [start for reader in READERS for start in reader(root, names)]
    return sorted(found, key=lambda start: not start.active)


def below(root: str, path: str) -> str:
    """``path`` of the old installation, as it is found now."""
    return os.path.join(root, path.lstrip("/"))


def text_of(path: str) -> "list[str]":
    """The lines of a file, which may be missing; bytes that are no UTF-8 stay as they are."""
    try:
        with open(path, encoding="utf-8", errors="surrogateescape") as file:
            text = file.read(LARGEST + 1)
    except (FileNotFoundError, NotADirectoryError, IsADirectoryError):
        return []
    except OSError as why:
        raise ConfigurationError(f"{path}: cannot be read: {why.strerror}") from None
    if len(text) > LARGEST:
        raise ConfigurationError(f"{path}: is larger than {LARGEST} octets, so it is no configuration file")
    return text.split("\n")


def files_in(folder: str) -> "list[str]":
    try:
        return sorted(path for name in os.listdir(folder) if os.path.isfile(path := os.path.join(folder, name)))
    except OSError:
        return []


def split(line: str, path: str, number: int) -> "list[str]":
    """The words of a line as a shell has them; ConfigurationError."""
    try:
        return shlex.split(line)
    except ValueError as why:
        raise ConfigurationError(f"{path} line {number}: cannot be made sense of ({why})") from None


def named(words: "list[str]", names: "Collection[str]") -> int:
    """Where among ``words`` the program stands, behind tcpd if that is before it; -1: nowhere."""
    for at, word in enumerate(words[:2]):
        if os.path.basename(word) in names:
            return at
        if os.path.basename(word) != "tcpd":
            break
    return -1


def inetd(root: str, names: "Collection[str]") -> "Iterator[Start]":
    """``service type protocol wait user server arguments``; with tcpd as server the first argument is the program."""
    for path in [below(root, "etc/inetd.conf"), *files_in(below(root, "etc/inetd.d"))]:
        for number, line in enumerate(text_of(path), 1):
            active = not line.lstrip().startswith("#")
            words = [word for word in line.lstrip().lstrip("#").split() if word != "<off>#"]  # Debian's update-inetd
            mine = [word for word in words if os.path.basename(word) in names and "/" in word]
            if not mine or (not active and len(words) < 7):
                continue
            if len(words) < 6:
                raise ConfigurationError(
                    f"{path} line {number}: has {len(words)} fields, not service, type, protocol, wait, user and server"
                )
            at = named(words[5:], names)
            if at >= 0:
                # Behind the program's path inetd has its argv[0]; tcpd has none of its own.
                rest = words[5 + at + 1 :]
                yield Start(path, number, "inetd", words[5 + at], rest if at else rest[1:], line, active)


def xinetd(root: str, names: "Collection[str]") -> "Iterator[Start]":
    """``service NAME { attribute = values }``, in xinetd.conf and xinetd.d."""
    for path in [below(root, "etc/xinetd.conf"), *files_in(below(root, "etc/xinetd.d"))]:
        inside: dict[str, list[str]] | None = None
        begun = at = 0
        for number, line in enumerate(text_of(path), 1):
            words = line.split("#")[0].split()
            if inside is None:
                if words[:1] == ["{"] or words[-1:] == ["{"]:
                    inside, begun, at = {}, number, 0
            elif words[:1] == ["}"]:
                yield from _xinetd(path, at or begun, inside, names)
                inside = None
            elif len(words) >= 2 and words[1] in ("=", "+="):
                values = inside.setdefault(words[0], [])
                inside[words[0]] = (values if words[1] == "+=" else []) + words[2:]
                at = number if words[0] == "server" else at
        if inside is not None and named(inside.get("server", []) + inside.get("server_args", []), names) >= 0:
            raise ConfigurationError(f"{path} line {begun}: this {{ has no }}")


def _xinetd(path: str, number: int, row: "dict[str, list[str]]", names: "Collection[str]") -> "Iterator[Start]":
    server, args = row.get("server", []), row.get("server_args", [])
    at = named(server + args, names)
    if at < 0:
        return
    words = args[at:]
    if at == 0 and "NAMEINARGS" in row.get("flags", []):
        words = args[1:]
    active = row.get("disable", [])[:1] != ["yes"]
    line = f"server = {' '.join(server)}" + (f"; server_args = {' '.join(args)}" if args else "")
    yield Start(path, number, "xinetd", (server + args)[at], words, line, active)


def systemd(root: str, names: "Collection[str]") -> "Iterator[Start]":
    """``ExecStart=`` of units; of two units of one name the first folder's counts (systemd.unit(5))."""
    seen: set[str] = set()
    for folder in UNITS:
        for path in files_in(below(root, folder)):
            if not path.endswith(".service") or os.path.basename(path) in seen:
                continue
            seen.add(os.path.basename(path))
            lines = text_of(path)
            for number, line in enumerate(lines, 1):
                key, equals, value = line.partition("=")
                if not equals or key.strip() != "ExecStart":
                    continue
                end = number
                while value.endswith("\\") and end < len(lines):
                    value, end = value[:-1] + " " + lines[end], end + 1
                bare = value.strip().lstrip("@-:+!|")
                if os.path.basename(bare.split(" ")[0]) not in (*names, "tcpd"):
                    continue
                words = split(bare, path, number)
                if "@" in value.split("/")[0]:
                    del words[1:2]
                at = named(words, names)
                if at >= 0:
                    yield Start(path, number, "systemd", words[at], words[at + 1 :], line.strip())


def cyrus(root: str, names: "Collection[str]") -> "Iterator[Start]":
    """``name cmd="pop3d ..." listen="pop3"`` in the SERVICES of master(8)."""
    path = below(root, "etc/cyrus.conf")
    for number, line in enumerate(text_of(path), 1):
        words = split(line, path, number) if "cmd=" in line and "pop3d" in line else []
        active = not line.lstrip().startswith("#")
        command = next((word.removeprefix("cmd=") for word in words if word.startswith("cmd=")), "").split()
        if command and os.path.basename(command[0]) in names:
            yield Start(path, number, "cyrus.conf", command[0], command[1:], line.strip(), active, words[0].lstrip("#"))


def default(root: str, names: "Collection[str]") -> "Iterator[Start]":
    """Debian's /etc/default/popa3d: RUN_STANDALONE, and else inetd has it."""
    path = below(root, "etc/default/popa3d")
    for number, line in enumerate(text_of(path) if "popa3d" in names else [], 1):
        key, equals, value = line.strip().partition("=")
        if equals and key == "RUN_STANDALONE" and value.strip("\"'").lower() in ("yes", "true", "1"):
            yield Start(path, number, "init", "/usr/sbin/popa3d", ["-D"], "/usr/sbin/popa3d -D")


READERS: "tuple[Callable[[str, Collection[str]], Iterator[Start]], ...]" = (inetd, xinetd, systemd, cyrus, default)
