"""pop3d.toml as raw values, read with the care that a file deserves which tells root what to do.

tomllib costs 7 ms, more than all else on inetd's way to the greeting, so what was read is remembered in a cache.
It is believed for the reason for which Python believes its own ``.pyc`` files: nobody but us and root could have
written it.  It holds raw values: each is checked again like any other.
On the path to the greeting, so posix: see stream.py.
"""

import marshal
import posix
import stat
import sys
import time

from qpopper_py import __version__
from qpopper_py.errors import ConfigurationError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping

    # setting's dotted name -> (raw value, line of the file; 0 if it cannot be told)
    Values = dict[str, tuple[object, int]]

LARGEST = 1 << 20  # octets; what is larger is no configuration file
LINKS = 40  # symbolic links on the way, as many as Linux follows
SETTLED = 2_000_000_000  # ns: a file changed later than this before it was read may change again with the same times
OTHERS = stat.S_IWGRP | stat.S_IWOTH
READING = posix.O_RDONLY | posix.O_NONBLOCK | posix.O_CLOEXEC  # NONBLOCK: a fifo must not hold us
MAKING = posix.O_WRONLY | posix.O_CREAT | posix.O_EXCL | posix.O_NOFOLLOW | posix.O_CLOEXEC
CACHE_FORMAT = (1, __version__, sys.hexversion, marshal.version)


def read(path: str, *, euid: int, folder: str = "") -> "Values":
    """The settings that the file ``path`` makes, each checked.

    ``folder`` is where they are remembered, empty for nowhere.  Raises FileNotFoundError if there is no ``path``,
    ConfigurationError for anything else that is wrong: with the file, with whom it trusts, with what it says.
    """
    descriptor = opened(path, euid)
    cache = folder and f"{folder}/config-{path.strip('/').replace('/', '-')}.cache"
    try:
        facts = posix.fstat(descriptor)
        key = (path, facts.st_dev, facts.st_ino, facts.st_size, facts.st_mtime_ns, facts.st_ctime_ns)
        found = remembered(cache, key, euid) if cache else None
        if found is not None:
            return found
        text = contents(descriptor, path)
        settled = same(facts, posix.fstat(descriptor)) and time.time_ns() - max(key[-2:]) > SETTLED
    finally:
        posix.close(descriptor)
    from qpopper_py.personality import config_text

    values = config_text.parse(text, path)
    if cache and settled:
        remember(cache, key, values, euid)
    return values


def cache_folder(environ: "Mapping[str, str]", euid: int) -> str:
    """Where caches lie: a fixed place for root, systemd's folder (systemd.exec(5)) for others; "" for none.

    Not ``state_dir``: the file that would be read says where that is.
    """
    if euid == 0:
        return "/var/lib/pop3d"
    folder = environ.get("CACHE_DIRECTORY", "").partition(":")[0]
    return folder if folder.startswith("/") else ""


def opened(path: str, euid: int) -> int:
    """A descriptor of the file ``path``.  For root, only if root alone rules file, folders and links on the way."""
    try:
        place = trusted(path, euid) if euid == 0 else path
        descriptor = posix.open(
            place, posix.O_RDONLY | posix.O_NONBLOCK | posix.O_CLOEXEC | (posix.O_NOFOLLOW if euid == 0 else 0)
        )
    except FileNotFoundError:
        raise
    except OSError as why:
        raise ConfigurationError(
            f"{path}: cannot be read: {why.strerror}; make it readable for uid {euid}, or say --config none"
        ) from None
    try:
        facts = posix.fstat(descriptor)
        if not stat.S_ISREG(facts.st_mode):
            raise ConfigurationError(f"{path}: is not a file; name another with --config FILE, or --config none")
        if euid == 0:
            check(facts, place, path, euid)
    except BaseException:
        posix.close(descriptor)
        raise
    return descriptor


def contents(descriptor: int, path: str) -> bytes:
    """All of the file, of bounded size."""
    pieces, size = [], 0
    try:
        while piece := posix.read(descriptor, 65536):
            pieces.append(piece)
            size += len(piece)
            if size > LARGEST:
                raise ConfigurationError(f"{path}: is larger than {LARGEST} octets, so it is no configuration file")
    except OSError as why:
        raise ConfigurationError(f"{path}: cannot be read: {why.strerror}") from None
    return b"".join(pieces)


def same(one: posix.stat_result, other: posix.stat_result) -> bool:
    """Whether a file stayed as it was between two looks."""
    return (one.st_size, one.st_mtime_ns, one.st_ctime_ns) == (other.st_size, other.st_mtime_ns, other.st_ctime_ns)


# ---------------------------------------------------------------------------------------------------------------
# Trust


def trusted(path: str, euid: int) -> str:
    """``path`` with all symbolic links resolved, each folder and link on the way being root's or ours.

    Nobody else can then put another file there, neither before nor after this look.  A folder with the sticky bit
    (/tmp) may stand on the way, but not hold the file.  Raises ConfigurationError, or OSError if a folder is missing.
    """
    absolute = path if path.startswith("/") else f"{posix.getcwd()}/{path}"
    rest = [part for part in reversed(absolute.split("/")) if part not in ("", ".")]
    here, links = "/", 0
    check(posix.lstat(here), here, path, euid, len(rest) > 1)
    while rest:
        part = rest.pop()
        if part == "..":
            here = here.rpartition("/")[0] or "/"
            continue
        step = f"{here.rstrip('/')}/{part}"
        try:
            facts = posix.lstat(step)
        except FileNotFoundError:
            if rest:
                raise
            return step  # it may be made there
        if stat.S_ISLNK(facts.st_mode):
            links += 1
            if links > LINKS:
                raise ConfigurationError(f"{path}: there are too many symbolic links on the way")
            check(facts, step, path, euid)
            target = posix.readlink(step)
            here = "/" if target.startswith("/") else here
            rest += [part for part in reversed(target.split("/")) if part not in ("", ".")]
            continue
        if rest:
            check(facts, step, path, euid, len(rest) > 1)
        here = step
    return here


def check(facts: posix.stat_result, place: str, path: str, euid: int, sticky: bool = False) -> None:
    """ConfigurationError unless ``place``, on the way to ``path``, is root's or ours and nobody else can change it.

    ``sticky``: it is a folder in which others may make files, if they cannot replace ours.
    """
    way = "" if place == path else f" on its way, {place},"
    if facts.st_uid not in (0, euid):
        raise ConfigurationError(
            f"{path}:{way} belongs to uid {facts.st_uid}, who could make root do anything; "
            f"run: chown {'-h ' if stat.S_ISLNK(facts.st_mode) else ''}root {quoted(place)}"
        )
    if stat.S_ISLNK(facts.st_mode) or not facts.st_mode & OTHERS or (sticky and facts.st_mode & stat.S_ISVTX):
        return
    raise ConfigurationError(
        f"{path}:{way} can be changed by its group or by others, who could make root do anything; "
        f"run: chmod go-w {quoted(place)}"
    )


def quoted(place: str) -> str:
    """``place`` as a shell takes it."""
    import shlex  # on the way out only

    return shlex.quote(place)


# ---------------------------------------------------------------------------------------------------------------
# The cache


def remembered(cache: str, key: tuple[object, ...], euid: int) -> "Values | None":
    """What ``cache`` holds for exactly this state of the file, if it is to be believed.

    Owner, mode and folders are checked as the file's own are.  A damaged one is nothing worse than none.
    """
    try:
        descriptor = posix.open(
            trusted(cache, euid), posix.O_RDONLY | posix.O_NONBLOCK | posix.O_NOFOLLOW | posix.O_CLOEXEC
        )
    except (OSError, ConfigurationError):
        return None
    try:
        facts = posix.fstat(descriptor)
        if not stat.S_ISREG(facts.st_mode):
            return None
        check(facts, cache, cache, euid)
        made_for, values = marshal.loads(contents(descriptor, cache))  # noqa: S302  # see this module's head
    except (OSError, ConfigurationError, ValueError, EOFError, TypeError):
        return None
    finally:
        posix.close(descriptor)
    return values if made_for == (CACHE_FORMAT, key) else None


def remember(cache: str, key: tuple[object, ...], values: "Values", euid: int) -> None:
    """Write ``cache``, whole or not at all; where that cannot be done, starting takes its 7 ms longer."""
    draft = f"{cache}.{posix.getpid()}"
    whole = marshal.dumps(((CACHE_FORMAT, key), values))  # type: ignore[arg-type]  # what passed the check does
    try:
        descriptor = posix.open(
            trusted(draft, euid),
            posix.O_WRONLY | posix.O_CREAT | posix.O_EXCL | posix.O_NOFOLLOW | posix.O_CLOEXEC,
            0o600,
        )
    except (OSError, ConfigurationError):
        return
    try:
        if posix.write(descriptor, whole) == len(whole):
            posix.fsync(descriptor)  # before the rename: after a power cut it must not hold half
            posix.rename(draft, cache)
        else:
            posix.unlink(draft)
    except OSError:
        posix.unlink(draft)
    finally:
        posix.close(descriptor)
