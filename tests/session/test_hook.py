"""login_hook: what it hears, what it has, and that no session waits for it."""

import os
import time
from pathlib import Path

import pytest

from qpopper_py.session.hook import run_hook
from tests.harness import children, wait_until
from tests.session.talking import LOGIN, Talk


def script(tmp_path, text):
    path = tmp_path / "hook"
    path.write_text("#!/bin/sh\n" + text)
    path.chmod(0o755)
    return str(path)


def appears(path):
    wait_until(path.exists, f"{path}")
    return path.read_text()


def test_it_hears_of_the_login_in_a_clean_environment(tmp_path, monkeypatch):
    monkeypatch.setenv("LD_PRELOAD_X", "x")
    monkeypatch.setenv("PASSWORD", "x")
    hook = script(tmp_path, f"env > {tmp_path}/new; pwd >> {tmp_path}/new; mv {tmp_path}/new {tmp_path}/out\n")
    talked = Talk(LOGIN + b"QUIT\r\n", settings={"login_hook": hook})
    assert talked.lines[-1].startswith(b"+OK")
    lines = appears(tmp_path / "out").splitlines()
    heard = dict(line.split("=", 1) for line in lines[:-1])
    assert {name: heard[name] for name in ("USER", "IP", "LOGNAME")} == {
        "USER": "mrose",
        "IP": "192.0.2.1",
        "LOGNAME": "mrose",
    }
    assert set(heard) <= {"USER", "IP", "LOGNAME", "PATH", "LC_ALL", "PWD", "SHLVL", "_", "OLDPWD"}
    assert lines[-1] == "/"


def test_it_has_none_of_our_descriptors(tmp_path):
    hook = script(tmp_path, f"ls -l /proc/$$/fd > {tmp_path}/new; mv {tmp_path}/new {tmp_path}/out\n")
    with open(tmp_path / "held", "w") as held:
        os.set_inheritable(held.fileno(), True)
        run_hook(hook, "mrose", "192.0.2.1", print)
        links = [line.split(" -> ")[1] for line in appears(tmp_path / "out").splitlines() if " -> " in line]
    # /bin/sh itself opens the script
    assert set(links) <= {"/dev/null", hook, f"{tmp_path}/new"}


def test_the_session_does_not_wait_for_it(tmp_path):
    hook = script(tmp_path, f"echo $$ > {tmp_path}/pid; exec sleep 20\n")
    began = time.monotonic()
    Talk(LOGIN + b"QUIT\r\n", settings={"login_hook": hook})
    assert time.monotonic() - began < 10
    wait_for_end(tmp_path, kill=True)


def wait_for_end(tmp_path, kill=False):
    appears(tmp_path / "pid")
    wait_until(lambda: (tmp_path / "pid").read_text().strip(), "the program's number")
    word = (tmp_path / "pid").read_text().strip()
    if kill:
        os.kill(int(word), 9)
    stat = Path(f"/proc/{word}/stat")
    wait_until(lambda: not stat.exists() or " Z " in stat.read_text(), "the end of the program")


def test_it_is_ended_with_what_it_started_when_its_time_is_over(tmp_path):
    hook = script(tmp_path, f"sleep 600 & echo $! > {tmp_path}/pid; wait\n")
    run_hook(hook, "mrose", "", print, seconds=1)
    wait_for_end(tmp_path)


@pytest.mark.parametrize("mode", [0o644, None])
def test_what_cannot_be_run_is_one_warning(tmp_path, mode):
    hook = tmp_path / "hook"
    if mode:
        hook.write_text("#!/bin/sh\n")
        hook.chmod(mode)
    said = []
    run_hook(str(hook), "mrose", "", said.append)
    assert said == [f"login_hook: {hook} is not a program that mrose may run"]


def test_nobody_who_is_refused_runs_it(tmp_path):
    hook = script(tmp_path, f"touch {tmp_path}/out\n")
    Talk(b"USER mrose\r\nPASS wrong\r\n", settings={"login_hook": hook})
    assert not (tmp_path / "out").exists()


def test_no_child_is_left_behind(tmp_path):
    others = children(os.getpid())
    run_hook(script(tmp_path, "exit 3\n"), "mrose", "", print)
    assert set(children(os.getpid())) <= set(others)
