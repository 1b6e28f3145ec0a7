"""The mail process, and who makes its dotlock.

Started as root, the *mail process* becomes the user for good before it touches mail.  Its parent, which is root and
never held a secret, makes and removes exactly one lock file while the mail process, which may not write the spool, asks
for it.  Not root: one process does all, as itself.

They share a sequenced-packet socket pair.  A request is one octet (C create, R refresh, U remove), and so is the
answer: K done, B held by somebody else, E failed (the parent logs why).  In a service the locker
(:mod:`qpopper_py.serve.locker`) stands in the parent's place.
"""

import os

from qpopper_py.errors import MaildropTrouble, QpopperError
from qpopper_py.events import Trouble
from qpopper_py.privilege import PrivilegeError, become, private_folder

TYPE_CHECKING = False
if TYPE_CHECKING:
    import _socket
    from collections.abc import Callable

    from qpopper_py.auth.account import Account
    from qpopper_py.events import Event
    from qpopper_py.facts import Facts
    from qpopper_py.settings import Settings
    from qpopper_py.store.dotlock import Dotlocks

    Work = Callable[[str, "KeptDotlock | None"], None]

CREATE, REFRESH, REMOVE = b"C", b"R", b"U"


class KeptDotlock:
    """The mail process's end: a dotlock that root makes, for the one mailbox that is the user's."""

    def __init__(self, channel: "_socket.socket") -> None:
        self.channel = channel

    def create(self, path: str) -> bool:
        """True when made, False when somebody holds it.  Raises MaildropTrouble."""
        return self._ask(CREATE, path)

    def refresh(self, path: str) -> None:
        self._ask(REFRESH, path)

    def remove(self, path: str) -> None:
        self._ask(REMOVE, path)

    def _ask(self, what: bytes, path: str) -> bool:
        try:
            self.channel.send(what)
            answer = self.channel.recv(2)
        except OSError as why:
            raise MaildropTrouble(f"{path}.lock: who makes it does not answer: {why.strerror}") from None
        if answer not in (b"K", b"B"):
            raise MaildropTrouble(f"{path}.lock: it could not be done; another record says why")
        return answer == b"K"


class DotlockKeeper:
    """The root process's end.  The lock of ``mailbox`` is the only file it will ever touch for the mail process.

    ``mailbox`` lies where only root can replace a folder (:func:`~qpopper_py.store.paths.beyond_reach`); empty: no
    lock at all.
    """

    def __init__(
        self, channel: "_socket.socket", mailbox: str, locks: "Dotlocks", warn: "Callable[[str], None]"
    ) -> None:
        self.channel = channel
        self.mailbox = mailbox
        self.locks = locks
        self.warn = warn
        self.held = False

    def run(self) -> None:
        """Answer until the mail process is gone; a lock that it left behind goes too."""
        while self.go_on():
            pass

    def go_on(self) -> bool:
        """Answer one request; False: the mail process is gone, and so is the lock."""
        import _socket

        try:
            if request := self.channel.recv(2):
                self.channel.send(self.answer(request), _socket.MSG_DONTWAIT)
                return True
        except OSError:
            pass  # gone in mid-sentence
        if self.held:
            self.answer(REMOVE)
        return False

    def answer(self, request: bytes) -> bytes:
        try:
            if request == CREATE and self.mailbox and not self.held:
                self.held = self.locks.create(self.mailbox)
                return b"K" if self.held else b"B"
            if request == REFRESH and self.held:
                self.locks.refresh(self.mailbox)
                return b"K"
            if request == REMOVE and self.held:
                self.held = False
                self.locks.remove(self.mailbox)
                return b"K"
        except MaildropTrouble as why:
            self.warn(str(why))
        return b"E"


def as_mail_user(
    account: "Account",
    mailbox: str,
    settings: "Settings",
    facts: "Facts",
    emit: "Callable[[Event], None]",
    work: "Work",
) -> None:
    """Call ``work(state folder, dotlock helper)`` as the mail user; returns when it is done.

    The state folder is empty where none can be had, which never refuses a login.  ``mailbox`` is the path that may
    need a dotlock, empty if none does.  There is a helper only where the user cannot lead root astray: in a home, or
    below anything that the user may replace, the mail process makes its own lock.
    """
    if os.geteuid() != 0:
        work(state_folder(settings.state_dir, account, facts, emit), None)
        return
    import _socket

    groups = groups_of(account)
    mailbox = lockable(mailbox, groups)
    ours, theirs = _socket.socketpair(_socket.AF_UNIX, _socket.SOCK_SEQPACKET)
    child = os.fork()
    if child == 0:
        ours.close()
        dotlock = KeptDotlock(theirs) if mailbox else None

        def helped(state: str) -> None:
            work(state, dotlock)

        place = settings.state_dir
        _mail_process(account, facts, emit, lambda: be_mail_user(account, groups, place, facts, emit, helped))
    theirs.close()
    _keep(child, ours, mailbox, settings.locks_stale, facts, emit)


def lockable(mailbox: str, groups: "list[int]") -> str:
    """``mailbox`` if root may make its lock: where a user of these groups cannot lead root astray; else empty."""
    from qpopper_py.store.paths import beyond_reach

    return mailbox if beyond_reach(mailbox, lambda: groups) else ""


def be_mail_user(
    account: "Account",
    groups: "list[int]",
    state_dir: str,
    facts: "Facts",
    emit: "Callable[[Event], None]",
    work: "Callable[[str], None]",
) -> None:
    """In a process of its own, which is root until here: make the state folder, become the user, and ``work``."""
    state = state_folder(state_dir, account, facts, emit)
    become(account.uid, account.gid, groups)
    os.chdir("/")
    work(reached(state, facts, emit))


def groups_of(account: "Account") -> "list[int]":
    """The groups that the mail process will have."""
    return os.getgrouplist(account.login, account.gid) if account.login else [account.gid]


def state_folder(state_dir: str, account: "Account", facts: "Facts", emit: "Callable[[Event], None]") -> str:
    if not state_dir:
        return ""
    try:
        return private_folder(state_dir, account.user, account.uid, account.gid)
    except (OSError, PrivilegeError) as why:
        what = f"no state is kept for {account.user} (LAST, unique-ids of equal messages): {why}"
        emit(Trouble(facts, what, "warning"))
        return ""


def reached(folder: str, facts: "Facts", emit: "Callable[[Event], None]") -> str:
    """``folder``; or nothing, and a warning, where the mail user cannot come to it."""
    if not folder or os.access(folder, os.X_OK):
        return folder
    what = f"{folder} is not in use: its user cannot come there; run: chmod a+x on the folders that lead to it"
    emit(Trouble(facts, what, "warning"))
    return ""


def _mail_process(
    account: "Account", facts: "Facts", emit: "Callable[[Event], None]", work: "Callable[[], None]"
) -> None:
    """Never returns."""
    status = 70
    try:
        work()
        status = 0
    except QpopperError as why:
        emit(Trouble(facts, f"mail process of {account.user}: {why}"))
    except Exception as why:  # noqa: BLE001  # nothing may climb into the keeper's half of the program
        emit(Trouble(facts, f"mail process of {account.user}: {where(why)}"))
    finally:
        os._exit(status)


def _keep(
    child: int, channel: "_socket.socket", mailbox: str, stale: int, facts: "Facts", emit: "Callable[[Event], None]"
) -> None:
    try:
        from qpopper_py.store.dotlock import Dotlocks

        locks = Dotlocks(child, stale)
        DotlockKeeper(channel, mailbox, locks, lambda what: emit(Trouble(facts, what, "warning"))).run()
    except Exception as why:  # noqa: BLE001  # the mail process is waited for, come what may: the client is its
        emit(Trouble(facts, f"keeper: {where(why)}"))
    finally:
        channel.close()  # whatever the mail process still asks for, it hears that nobody is there
    _, status = os.waitpid(child, 0)
    if os.WIFSIGNALED(status):
        emit(Trouble(facts, f"the mail process ended by signal {os.WTERMSIG(status)}"))


def where(why: BaseException) -> str:
    """An unexpected exception for the log: its kind and where it came from, none of the values it may hold."""
    frame = why.__traceback__
    while frame is not None and frame.tb_next is not None:
        frame = frame.tb_next
    place = f" at {frame.tb_frame.f_code.co_filename}:{frame.tb_lineno}" if frame else ""
    text = f": {why.strerror}" if isinstance(why, OSError) and why.strerror else ""
    return f"unexpected {type(why).__name__}{text}{place}; please report it"
