"""Where a user's mailbox lies in the spool, and whether root may make a lock file there.

Hashed spools are Qpopper's (hash-spool), and local delivery must hash alike.  Method 1: the octets of the first five
characters added up, modulo 26, as a letter from a on: ``spool/q/alice``.  Method 2: the first two characters:
``spool/a/l/alice``; of a name that has only one it stands for both.
"""

import os
import stat

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Collection

LINKS = 40  # symbolic links on the way to a file, as Linux counts


def in_spool(spool: str, user: str, method: int) -> str:
    """The path of the mailbox of ``user`` by hash ``method``: 0, 1 or 2."""
    return f"{spool}/{hashed(user, method)}{user}"


def hashed(user: str, method: int) -> str:
    """The folders between the spool and the mailbox of ``user``, each with a slash behind it."""
    if method == 1:
        return chr(sum(os.fsencode(user)[:5]) % 26 + ord("a")) + "/"
    if method == 2:
        return f"{user[0]}/{user[1:2] or user[0]}/"
    return ""


def beyond_reach(path: str, groups: "Callable[[], Collection[int]]") -> bool:
    """Can nobody but root put another folder where the one of ``path`` lies?

    Then root may make and remove a file there by name: no link can lead it elsewhere.  On the whole way everything
    must be root's, and no folder writable by all, or by one of the user's ``groups``, unless it is sticky.
    """
    place, links = "/", 0
    left = os.path.dirname(path).split("/")[::-1]
    try:
        while True:
            facts = os.lstat(place)
            if facts.st_uid != 0:
                return False
            if stat.S_ISLNK(facts.st_mode):
                links += 1
                left += os.readlink(place).split("/")[::-1]
                place = "/" if left[-1] == "" else os.path.dirname(place)
                if links > LINKS:
                    return False
            elif not stat.S_ISDIR(facts.st_mode) or _open_to(facts, groups):
                return False
            while left and left[-1] in ("", "."):
                left.pop()
            if not left:
                return True
            name = left.pop()
            place = os.path.dirname(place) if name == ".." else os.path.join(place, name)
    except OSError:
        return False


def _open_to(folder: os.stat_result, groups: "Callable[[], Collection[int]]") -> bool:
    mode = folder.st_mode
    if mode & stat.S_ISVTX:
        return False
    return bool(mode & stat.S_IWOTH) or bool(mode & stat.S_IWGRP and folder.st_gid in groups())
