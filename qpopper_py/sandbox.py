"""What a front gives up: an empty root folder, its user, new privileges, most limits, files and networks by Landlock.

By raw system calls through ctypes.  What the kernel has not is left out, without a word: the user and the folder hold
by themselves.  Whoever calls :func:`confine` has imported all that it will ever need.
"""

import os

from qpopper_py.errors import QpopperError
from qpopper_py.privilege import become

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

FALLBACK = "nobody"
NO_NEW_PRIVS, DUMPABLE = 38, 4  # prctl(2)
CREATE_RULESET, RESTRICT_SELF = 444, 446  # the same numbers on every architecture
VERSION = 1  # flag of landlock_create_ruleset(2)
# Rights over files that each version of Landlock's interface added, as the number of bits known from it on.
FILES = {1: 13, 2: 14, 3: 15, 5: 16}
NETWORK = (4, 0b11)  # bind and connect TCP
SCOPES = (6, 0b11)  # signals to others, and their abstract sockets
OPEN_FILES = 64
MEMORY = 512 << 20  # octets of data


def unprivileged(name: str, warn: "Callable[[str], None]") -> tuple[int, int]:
    """uid and gid of the user whom fronts run as: ``name``, or nobody, with a warning."""
    import pwd

    for user in (name, FALLBACK):
        try:
            entry = pwd.getpwnam(user)
        except KeyError:
            continue
        if entry.pw_uid and entry.pw_gid:
            if user != name:
                warn(f"there is no user {name} (privilege.user), so {user} talks to strangers; run: useradd -r {name}")
            return entry.pw_uid, entry.pw_gid
    warn(f"there is neither a user {name} (privilege.user) nor {FALLBACK}; uid 65534 talks to strangers")
    return 65534, 65534


def empty_folder(path: str, warn: "Callable[[str], None]") -> str:
    """``path``, made if need be: root's, writable by nobody else, empty; or nothing, and a warning."""
    import stat

    try:
        os.makedirs(path, 0o755, exist_ok=True)
        found = os.lstat(path)
        if not stat.S_ISDIR(found.st_mode) or found.st_uid != os.geteuid() or found.st_mode & 0o022:
            why = "it is not a folder of root's that nobody else may write"
        elif os.listdir(path):
            why = "it is not empty"
        else:
            return path
    except OSError as wrong:
        why = str(wrong.strerror)
    warn(f"privilege.chroot: {path}: {why}; fronts go on without a root folder of their own")
    return ""


def confine(uid: int, gid: int, root: str, warn: "Callable[[str], None]", files: bool = False) -> None:
    """Be that user for good, in the folder ``root`` (empty: where we are), and let go of all that can be let go of.

    Where whoever started us left no right to change the root folder, that is a warning.  ``files``: but for those
    that this user may read, where we are.  Raises PrivilegeError, QpopperError: the process must end.
    """
    import ctypes

    libc = ctypes.CDLL(None)
    if root and not files:
        try:
            os.chroot(root)
        except PermissionError:
            warn(
                f"privilege.chroot: {root} cannot be made the root folder; whoever starts us must leave CAP_SYS_CHROOT"
            )
        except OSError as why:
            raise QpopperError(f"cannot make {root} the root folder: {why.strerror}") from None
    os.chdir("/")
    become(uid, gid, ())
    limits()
    libc.prctl(NO_NEW_PRIVS, 1, 0, 0, 0)
    undumpable(libc)
    if not files:
        landlock(libc)


def undumpable(libc: "object | None" = None) -> None:
    """No core file, and nobody of the same user looks into our memory or takes our descriptors (ptrace(2))."""
    import ctypes

    library = libc or ctypes.CDLL(None)
    library.prctl(DUMPABLE, 0, 0, 0, 0)  # type: ignore[attr-defined]  # any function of a CDLL


def limits() -> None:
    """No child, no core file, few descriptors, bounded memory."""
    import resource

    for what, most in (
        (resource.RLIMIT_NPROC, 0),
        (resource.RLIMIT_CORE, 0),
        (resource.RLIMIT_NOFILE, OPEN_FILES),
        (resource.RLIMIT_DATA, MEMORY),
    ):
        _, hard = resource.getrlimit(what)
        least = most if hard == resource.RLIM_INFINITY else min(most, hard)
        resource.setrlimit(what, (least, least))


def landlock(libc: "object") -> int:
    """No file, no network, no signal to others from here on; the version of the interface, 0 if there is none."""
    import ctypes

    syscall = libc.syscall  # type: ignore[attr-defined]  # any function of a CDLL
    version: int = syscall(CREATE_RULESET, None, ctypes.c_size_t(0), VERSION)
    if version < 1:
        return 0
    bits = max(count for since, count in FILES.items() if since <= version)
    words = [(1 << bits) - 1]
    words += [handled if version >= since else 0 for since, handled in (NETWORK, SCOPES)]
    size = 8 * (3 if version >= SCOPES[0] else 2 if version >= NETWORK[0] else 1)
    attributes = (ctypes.c_uint64 * 3)(*words)
    ruleset = syscall(CREATE_RULESET, attributes, ctypes.c_size_t(size), 0)
    if ruleset < 0:
        return 0
    try:
        return version if syscall(RESTRICT_SELF, ruleset, 0) == 0 else 0
    finally:
        os.close(ruleset)
