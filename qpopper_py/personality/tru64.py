"""Tru64's pop3d(8): ``pop3d [-d] [-s] [-t trace-file] [-T timeout]``.

Like every personality, a module with ``name``, ``title``, its OPTIONS and the RULES they are read by, the SETTINGS it
begins with, what else is ``configured`` (all weaker than pop3d.toml) and the DIALECT it speaks.
"""

from qpopper_py.personality.options import POSIX, Option
from qpopper_py.personality.options import no_operands as configured
from qpopper_py.personality.ucb import DIALECT

__all__ = ["DIALECT", "OPTIONS", "RULES", "SETTINGS", "configured", "name", "title"]

name = "tru64"
title = "Tru64's pop3d"
RULES = POSIX

SETTINGS: "dict[str, object]" = {"last": "stored", "uidl": "qpopper2", "status_headers": "write"}


def trace_file(value: str) -> str:
    """-t's file: the original opened it from where it stood, so a relative name is below the working folder.

    Digits alone are GNU mailutils' time-out: a trace would go to a file of that name, and nobody would know.
    """
    if not value:
        raise ValueError("names no file")
    if value.isascii() and value.isdigit():
        from qpopper_py.personality import foreign

        raise ValueError(
            f"is a number, and -t names the trace file; in GNU mailutils it is the time-out; here write -T {value},"
            f" or -t ./{value} for a file of that name. {foreign.elsewhere(['mailutils'])}"
        )
    import os

    try:
        return os.path.join("/" if value.startswith("/") else os.getcwd(), value)
    except OSError as why:
        raise ValueError(f"is below the working folder, which is not there: {why.strerror}") from None


OPTIONS: "tuple[Option, ...]" = (
    Option("d", "", "set SO_DEBUG on the socket and log each command and reply", setting="debug"),
    Option("s", "", "log one record of statistics at the end of each session", setting="statistics"),
    Option("t", "FILE", "append a trace of the dialogue to FILE", setting="trace.file", read=trace_file),
    Option("T", "SECONDS", "end a session that has sent no command for SECONDS", setting="timeout"),
)
