"""What the gate answers: the account of who logged in, or why nobody did."""


class Account:
    """Whoever logged in: as whom the process goes on, and which maildrop is theirs.

    ``user`` is the name as the system or the accounts file spells it, checked by :func:`~.names.check`.
    ``maildrop`` is the absolute path of the maildrop, or ``mbox:PATH`` or ``maildir:PATH``; empty: the settings say.
    ``system``: the account is NSS's, so the uid's groups are the user's own.  ``login`` is the system user
    whose supplementary groups the process may have; empty: none but ``gid``, for a name in the accounts file
    may happen to be the name of a system user with groups of its own.  ``source`` is who vouched:
    ``unix``, ``pam``, ``saslauthd``, ``kerberos``, ``mailauth`` or ``accounts``.  ``folder``: which of the user's
    folders is asked for, as :func:`~.names.folder_of` spells it; empty: the inbox.  ``wait``: seconds, counted from the
    try, before which the client may not hear of it.
    """

    __slots__ = ("folder", "gid", "home", "login", "maildrop", "shell", "source", "system", "uid", "user", "wait")

    def __init__(
        self,
        user: str,
        uid: int,
        gid: int,
        home: str = "",
        maildrop: str = "",
        system: bool = False,
        source: str = "",
        shell: str = "",
        login: str = "",
        folder: str = "",
    ) -> None:
        self.user = user
        self.uid = uid
        self.gid = gid
        self.home = home
        self.maildrop = maildrop
        self.system = system
        self.source = source
        self.shell = shell
        self.login = login
        self.folder = folder
        self.wait = 0.0

    @property
    def called(self) -> str:
        """The user, and the folder if it is not the inbox: a name for each maildrop, which can be a file's."""
        return f"{self.user}+{self.folder}" if self.folder else self.user

    def __repr__(self) -> str:
        return f"Account({self.user!r}, {self.uid}, {self.gid}, maildrop={self.maildrop!r}, source={self.source!r})"


class Denied:
    """Nobody logged in.  ``why`` is for the log alone; ``user`` is the name as the client gave it.

    ``temporary``: the cause is on our side and the same password may pass later (RFC 3206: [SYS/TEMP]).
    ``told``: what the client hears in the place of the usual refusal, before the connection ends.
    ``wait`` as an account's.  ``known``: there is such an account.  ``alias``: what the log calls the client instead of
    ``user``; empty: that.
    """

    __slots__ = ("alias", "known", "temporary", "told", "user", "wait", "why")

    def __init__(self, user: str, why: str, temporary: bool = False, wait: float = 0.0, told: str = "") -> None:
        self.user = user
        self.why = why
        self.temporary = temporary
        self.wait = wait
        self.told = told
        self.known = False
        self.alias = ""

    def __repr__(self) -> str:
        return f"Denied({self.user!r}, {self.why!r}, temporary={self.temporary})"
