"""debug_command: what an administrator wants run as the service starts, Cyrus' -D."""

import os

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from qpopper_py.settings import Settings


def run(settings: "Settings", program: str, warn: "Callable[[str], None]") -> None:
    """Run it by sh and wait for its end, as Cyrus does; what it prints goes nowhere."""
    command = filled(settings.debug_command, program, os.getpid(), os.environ.get("CYRUS_SERVICE", "pop3"))
    null = os.open("/dev/null", os.O_RDWR | os.O_CLOEXEC)
    actions = [(os.POSIX_SPAWN_DUP2, null, descriptor) for descriptor in (0, 1, 2)]
    environment = {"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "LC_ALL": "C"}
    try:
        child = os.posix_spawn("/bin/sh", ["sh", "-c", command], environment, file_actions=actions)
        status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
        if status:
            warn(f"debug_command ended with status {status}: {command}")
    except OSError as why:
        warn(f"debug_command cannot be run: {why.strerror}: {command}")
    finally:
        os.close(null)


def filled(command: str, program: str, process: int, service: str) -> str:
    """``command`` with printf's %s %d %s (or %1$s %2$d %3$s) for the three, and %% for a percent sign."""
    fields = [program, str(process), service]
    rest, *pieces = command.split("%")
    made, following, skip = rest, iter(fields), False
    for piece in pieces:
        if skip:
            made, skip = made + piece, False
        elif not piece:
            made, skip = made + "%", True
        elif piece[0] in "sd":
            made += next(following, "") + piece[1:]
        elif piece[0] in "123" and piece[1:2] == "$" and piece[2:3] in ("s", "d"):
            made += fields[int(piece[0]) - 1] + piece[3:]
        else:
            made += "%" + piece
    return made
