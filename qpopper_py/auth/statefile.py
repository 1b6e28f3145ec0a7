"""Files in which the gate remembers, in state_dir: only root (or whoever we are) may write there."""

import fcntl
import os
import stat
import time

from qpopper_py.errors import CredentialStoreError

PATIENCE = 5  # seconds for a lock, which is held for milliseconds


def locked(folder: str, name: str, purpose: str, patience: float = PATIENCE) -> int:
    """The descriptor of ``folder/name``, made 0600 if it is not there; its lock is held until it is closed.

    The lock is of the opened file (flock), so it holds among threads too.  Raises CredentialStoreError; ``purpose``
    ends its text.
    """
    path = f"{folder}/{name}"
    try:
        if not os.path.isdir(folder):
            try:
                os.mkdir(folder, 0o755)
            except FileExistsError:
                pass  # another was quicker; or it is no folder, as open() tells
        found = os.stat(folder)
        if found.st_uid not in (0, os.geteuid()) or found.st_mode & (stat.S_IWGRP | stat.S_IWOTH):
            raise CredentialStoreError(f"{folder} must be a folder that nobody else may write; run: chmod 755 {folder}")
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC, 0o600)
    except OSError as why:
        raise CredentialStoreError(f"{path}: {why.strerror}; {purpose}") from None
    end = time.monotonic() + patience
    while True:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return descriptor
        except OSError as why:
            if time.monotonic() > end:
                os.close(descriptor)
                raise CredentialStoreError(f"{path}: cannot be locked: {why.strerror}; {purpose}") from None
        time.sleep(0.002)
