"""debug_command: Cyrus' -D, which runs it as ``snprintf(command, program, pid, service)`` has it."""

import os

import pytest

from qpopper_py.serve.debugging import filled, run
from qpopper_py.settings import Settings


@pytest.mark.parametrize(
    ("command", "expected"),
    [
        ("gdb %s %d", "gdb /x/pop3d 42"),
        ("gdb %s %d >/t.%1$s.%2$d 2>&1 &", "gdb /x/pop3d 42 >/t./x/pop3d.42 2>&1 &"),
        ("strace -o /tmp/s.%s.%d -p %2$d", "strace -o /tmp/s./x/pop3d.42 -p 42"),
        ("echo %3$s", "echo pop3"),
        ("echo %s %d %s", "echo /x/pop3d 42 pop3"),
        ("echo 100%%", "echo 100%"),
        ("echo %% %s", "echo % /x/pop3d"),
        ("echo %q %", "echo %q %"),
        ("true", "true"),
    ],
)
def test_the_commands_fields_are_printfs(command, expected):
    assert filled(command, "/x/pop3d", 42, "pop3") == expected


def test_it_is_run_and_waited_for(tmp_path):
    warnings = []
    settings = Settings([("test", {"debug_command": f"echo %2$d > {tmp_path}/out"})])
    run(settings, "/x/pop3d", warnings.append)
    assert (tmp_path / "out").read_text() == f"{os.getpid()}\n"
    assert warnings == []


def test_one_that_fails_is_told_of_and_nothing_else(tmp_path):
    warnings = []
    run(Settings([("test", {"debug_command": "exit 3"})]), "/x/pop3d", warnings.append)
    assert warnings == ["debug_command ended with status 3: exit 3"]
