"""Who is root, and the one place where that ends.

All that ever runs as root, when the server was started as root:

The *keeper* (serve/keeper.py, or under inetd the process that inetd started):
- reading the command line and the configuration file, at the start and at SIGHUP; opening the log and the trace file;
- listening and accepting, the addresses of the connection, the greeting's stamp (octets 60 to 63 of the mailauth
  database say whether there is one), and under inetd the greeting itself;
- messages of bounded length from its own children, strictly parsed (serve/handover.py).

The *locker* (serve/locker.py; under inetd the keeper itself): making and removing exactly ``<spool>/<that user>.lock``
while the mail process asks for it, by single octets, where nobody but root can replace a folder on the way.

The *porter* (serve/porter.py; a child for a connection, under inetd the keeper itself), only with hosts_access or a
program in access: the tables of TCP wrappers: libwrap, and the commands that they say (spawn, twist); programs that
nobody but root can change (programs.py), with numbers and addresses for arguments.  It also reads the PROXY header of
a listed address and looks up the client's name; without either it is the fronts' user for that.

The *checker* (serve/checker.py): the gate with its databases, keys and the modules of PAM, and the records of failures
(guess.delay, auth.c2) and of how long refusals take, on messages from fronts; where a source may wait, a child of its
own for a connection; with kerberos, reading the keytab, in a child that is nobody before it takes a ticket or a KDC's
answer apart, and another that is the user before it looks for .k5login.

The *TLS* process (serve/securing.py; a child for a connection): reading certificate and key; then it gives up what a
front gives up, and only then hears the client.

Each *mail* process until it calls :func:`become`: making the user's private state folder, the connection to the log.
For one that waits for another session of its owner, the keeper makes that folder.
Each *front* until it calls :func:`qpopper_py.sandbox.confine`: importing, the connection to the log.

At the start, for mailboxes that a crash left half changed: a process that lists them, and one for each, which
becomes its user.

Nothing that a client sends is parsed by root but a credential, and that by the checker alone.  Mail is opened, and
XTND XMIT's mailer run, only by a process that called :func:`become`; none of its ancestors ever held a secret.
"""

import os
import stat

from qpopper_py.errors import QpopperError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Collection


class PrivilegeError(QpopperError):
    """Privileges could not be given up; the process must end."""


def become(uid: int, gid: int, groups: "Collection[int]") -> None:
    """Be that user for good: all four uids and gids, and these ``groups``.

    Raises PrivilegeError if any of it fails or could be undone.
    """
    if uid <= 0 or gid < 0:
        raise PrivilegeError(f"refusing to run as uid {uid}, gid {gid}")
    try:
        os.setgroups(list(groups))
        os.setresgid(gid, gid, gid)
        os.setresuid(uid, uid, uid)
    except OSError as why:
        raise PrivilegeError(f"cannot become uid {uid}, gid {gid}: {why.strerror}") from None
    if os.getresuid() != (uid, uid, uid) or os.getresgid() != (gid, gid, gid):
        raise PrivilegeError(f"became somebody else than uid {uid}, gid {gid}")
    try:
        os.setuid(0)
    except OSError:
        os.umask(0o077)
        return
    raise PrivilegeError("root could be had back")


def no_core_dumps() -> None:
    """No core file may hold a secret."""
    import resource

    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))


def private_folder(state_dir: str, user: str, uid: int, gid: int) -> str:
    """``<state_dir>/users/<user>``, made 0700 and the user's own; raises OSError or PrivilegeError.

    Made from the top without following links, before privileges go: afterwards nobody could.
    """
    if not user or "/" in user or user.startswith("."):
        raise PrivilegeError(f"no folder can be named {user!r}")
    root = os.geteuid() == 0
    folder = f"{state_dir}/users/{user}"
    for path in (state_dir, f"{state_dir}/users"):
        try:
            os.mkdir(path, 0o755)
            os.chmod(path, 0o755)  # whatever the umask: others must be able to pass through  # noqa: S103
        except FileExistsError:
            pass
        found = os.lstat(path)
        if root and (not stat.S_ISDIR(found.st_mode) or found.st_uid != 0 or found.st_mode & 0o022):
            raise PrivilegeError(f"{path} must be a folder of root's that nobody else may write; run: chmod 755 {path}")
    try:
        os.mkdir(folder, 0o700)
    except FileExistsError:
        pass
    found = os.lstat(folder)
    if not stat.S_ISDIR(found.st_mode):
        raise PrivilegeError(f"{folder} is not a folder; move it away")
    if root and (found.st_uid, found.st_gid) != (uid, gid):
        os.lchown(folder, uid, gid)
    elif found.st_uid != uid:
        raise PrivilegeError(f"{folder} belongs to uid {found.st_uid}, not to {user}")
    return folder
