"""Changing the system's accounts, one change at a time: useradd and its kin refuse while another one is at work."""

import fcntl
import grp
import os
import pwd
import subprocess
import tempfile
import time

LOCK = os.path.join(tempfile.gettempdir(), "qpopper_py-tests-accounts.lock")
USER_IS_BUSY = 8  # userdel(8), EXIT VALUES
PATIENCE = 60.0  # seconds


def change(*words: str, given: str = "") -> "subprocess.CompletedProcess[str]":
    """Run useradd, userdel, chpasswd, ... when no other test does; CalledProcessError if it fails."""
    with open(os.open(LOCK, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW, 0o600), "r+") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        return subprocess.run(words, input=given, text=True, check=True, capture_output=True)


def forget(name: str) -> None:
    """Remove a test's user, and the user's group, that a run that was killed left behind."""
    for database, program in ((pwd.getpwnam, "userdel"), (grp.getgrnam, "groupdel")):
        try:
            database(name)
        except KeyError:
            continue
        remove(program, name)


def remove(program: str, name: str) -> None:
    """Delete a user or a group; userdel refuses (8) while a process of the user's is there or is not yet reaped.

    The servers that a test started end by themselves when their client is gone, which is a moment after the test.
    """
    deadline = time.monotonic() + PATIENCE
    while True:
        try:
            change(program, name)
        except subprocess.CalledProcessError as error:
            if error.returncode != USER_IS_BUSY or time.monotonic() > deadline:
                raise
            time.sleep(0.05)
        else:
            return
