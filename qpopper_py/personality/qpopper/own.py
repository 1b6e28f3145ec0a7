"""The users' own options: ~/.qpopper-options, and .USER.qpopper-options in the spool (setting user_options).

Read by the mail process, which is the user by then, so that no link and no file leads further than the user's own
rights do (CVE-2005-1151).  The file at home comes first, so that the administrator's wins.  A file counts that belongs
to root or to the user, and that nobody else may write; in the spool, what is not root's is the user's own and may say
no more than the file at home.  What may stand there is what ``directives`` lists as harmless; anything else is one
line in the log and changes nothing.  No file, however wrong, keeps anybody from the mail.
"""

import os
import stat

from qpopper_py.errors import ConfigurationError
from qpopper_py.personality.qpopper import directives, language
from qpopper_py.settings import Settings

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from qpopper_py.personality.commandline import Layer
    from qpopper_py.qpopper_line import Said

LARGEST = 64 << 10
OTHERS = stat.S_IWGRP | stat.S_IWOTH


def settled(settings: Settings, user: str, home: str, warn: "Callable[[str], None]") -> Settings:
    """``settings`` with what the files of ``user`` change in them.

    ``home``: the account's, empty if it has none.  The other file lies in the spool itself, wherever the mailbox does
    (check_config_files of Qpopper 4.0's pop_config.c).
    """
    places = []
    if settings.user_options in ("home", "both") and home.startswith("/"):
        places.append((directives.HOME, f"{home}/.qpopper-options"))
    if settings.user_options in ("spool", "both") and "/" not in user:
        places.append((directives.SPOOL, f"{settings.spool}/.{user}.qpopper-options"))
    for whose, path in places:
        layers = read(path, whose, settings, warn)
        if layers:
            try:
                settings = settings.with_layers(layers)
            except ConfigurationError as why:
                warn(f"{path}: {why}; it is not heeded")
    return settings


def read(path: str, whose: str, settings: Settings, warn: "Callable[[str], None]") -> "list[Layer]":
    """What the file says and may say; what it may not, and the first error, is told to ``warn``."""
    try:
        text, owner = contents(path)
    except FileNotFoundError:
        return []
    except (OSError, ConfigurationError) as why:
        warn(f"{path}: {getattr(why, 'strerror', None) or why}; it is not heeded")
        return []
    if owner:
        whose = directives.HOME
    layers: list[Layer] = []
    kinds = {name: kind for name, kind in directives.KINDS.items() if name != "config-file"}
    try:
        for said in language.statements(path, lambda _: text, kinds):
            if not allowed(said, whose, settings):
                warn(f"Attempt to use restricted option {said.name}; scanning line {said.number} of {path}")
                continue
            row = directives.BY_NAME[said.name]
            if row.verdict == directives.WORKS:
                layers.append(checked(said.origin, directives.settings(row, said)))
    except ConfigurationError as why:
        warn(f"{why}; what follows is not heeded")
    return layers


def checked(origin: str, values: "object") -> "Layer":
    """A layer whose every value is one that its setting takes.  Raises ConfigurationError."""
    layer: Layer = (origin, values)  # type: ignore[assignment]  # what Directive.sets makes
    Settings([layer])
    return layer


def allowed(said: "Said", whose: str, settings: Settings) -> bool:
    """Whether a file of ``whose`` may hold that."""
    row = directives.BY_NAME[said.name]
    if row.restriction == "I" or (row.restriction == "U" and whose == directives.HOME):
        return False
    if row.verdict == directives.NO_EFFECT:
        return True
    if row.name == "announce-expire" and settings.delete_expired:
        return False  # it would undo the administrator's rule, not only what is announced of it
    return row.own == directives.HOME or (row.own == directives.SPOOL and whose == directives.SPOOL)


def contents(path: str) -> "tuple[bytes, int]":
    """(text, owner's uid).  Raises OSError, ConfigurationError: it is not to be trusted."""
    descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    try:
        facts = os.fstat(descriptor)
        if not stat.S_ISREG(facts.st_mode) or facts.st_nlink != 1:
            raise ConfigurationError("is not a file of its own")
        if facts.st_uid not in (0, os.geteuid()):
            raise ConfigurationError(f"belongs to uid {facts.st_uid}, neither to root nor to the user")
        if facts.st_mode & OTHERS:
            raise ConfigurationError("can be changed by others; run: chmod go-w on it")
        if facts.st_size > LARGEST:
            raise ConfigurationError(f"is larger than {LARGEST} octets")
        return os.read(descriptor, LARGEST), facts.st_uid
    finally:
        os.close(descriptor)
