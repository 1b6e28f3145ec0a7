"""The old programs, a row each: what their parts are called, and what becomes of them.  Data; migrate.py does the work.

What an old option or directive means is not written here: the personality of that name reads them.
"""


class Program:
    """An old program.

    ``personality``: whose manners take its place; empty: none, only its unique-ids are taken over.  ``link``: the name
    of the installed link.  ``names``: base names of the program.  ``config``: its file, if it is there (the first is
    read without being named), which the program is told of by ``option``.  ``apop``: its password databases;
    ``apop_form``: as which kind of text it gets ours back.  ``delays``: its databases of login delays.  ``lists``:
    lists of unique-ids, below a user's home, and the mailbox that each is of, there or (with a leading ``/`` and %u)
    elsewhere.  ``uids``: the scheme by which it reads X-UIDL, or computes (``computed``), if it does either.
    ``users`` and ``lost``: sentences for the report.  ``restore``: a line that starts it, if none is known.
    ``sets``: settings of a program that is no personality.
    """

    def __init__(
        self,
        personality: str,
        link: str,
        names: "tuple[str, ...]",
        *,
        config: "tuple[str, ...]" = (),
        option: str = "",
        apop: "tuple[str, ...]" = (),
        apop_form: str = "",
        delays: "tuple[str, ...]" = (),
        lists: "tuple[tuple[str, str], ...]" = (),
        uids: str = "",
        computed: bool = False,
        users: "tuple[str, ...]" = (),
        lost: "tuple[str, ...]" = (),
        restore: str = "",
        sets: "dict[str, str] | None" = None,
    ) -> None:
        self.personality = personality
        self.link = link
        self.names = names
        self.config = config
        self.option = option
        self.apop = apop
        self.apop_form = apop_form
        self.delays = delays
        self.lists = lists
        self.uids = uids
        self.computed = computed
        self.users = users
        self.lost = lost
        self.restore = restore
        self.sets = sets or {}


UIDS_BY_FILE = (
    "unique-ids that the old server's lists hold are taken over; mail that is in none of them is fetched once more"
)

PROGRAMS = {
    "tru64": Program(
        "tru64",
        "tru64-pop3d",
        ("pop3d", "in.pop3d"),
        apop=("/etc/pop.auth", "/var/adm/pop.auth"),
        apop_form="popauth",
        uids="qpopper2",
        users=("unique-ids and what LAST answers stay as they are",),
        restore="pop3 stream tcp nowait root /usr/sbin/pop3d pop3d",
    ),
    "popa3d": Program(
        "popa3d",
        "popa3d",
        ("popa3d", "in.popa3d"),
        uids="popa3d",
        computed=True,
        users=("unique-ids are computed from the headers as before, so nothing is fetched again",),
        lost=("what was compiled in (params.h) is in no file: compare spool, limits and virtual domains by hand",),
        restore="pop3 stream tcp nowait root /usr/sbin/tcpd /usr/sbin/popa3d",
    ),
    "mailutils": Program(
        "mailutils",
        "mailutils-pop3d",
        ("mailutils-pop3d", "gnu-pop3d", "pop3d"),
        config=("/etc/mailutils.conf", "/usr/local/etc/mailutils.conf", "/etc/mailutils.rc"),
        option="--config-file",
        apop=("/etc/apop.db", "/etc/apop", "/usr/local/etc/apop.db"),
        apop_form="mailutils",
        delays=("/var/run/pop3-login", "/var/run/pop3-login.db", "/var/run/pop3-login.pag"),
        uids="mailutils3",
        users=("unique-ids stand in the mail (X-UIDL) and stay; mail that was never listed by UIDL has none yet",),
        restore="pop3 stream tcp nowait root /usr/sbin/pop3d pop3d -i",
    ),
    "cyrus": Program(
        "cyrus",
        "cyrus-pop3d",
        ("pop3d", "cyrus-pop3d"),
        config=("/etc/imapd.conf",),
        option="-C",
        users=(
            "mail in a Cyrus spool is read where it lies, with its sizes and unique-ids; DELE is refused there",
            "qpopper-py convert --from cyrus makes a Maildir of a mailbox, unique-ids kept, in which DELE works",
        ),
        lost=("ACLs, quotas and flags that IMAP keeps belong to the other programs of Cyrus and stay there",),
        restore='pop3 cmd="pop3d -U 30" listen="pop3" prefork=0 maxchild=50   (cyrus.conf, SERVICES)',
    ),
    "qpopper": Program(
        "qpopper",
        "popper",
        ("popper", "in.popper", "qpopper", "in.qpopper"),
        option="-f",
        apop=("/etc/pop.auth", "/etc/qpopper/pop.auth", "/usr/local/etc/qpopper/pop.auth"),
        apop_form="popauth",
        uids="qpopper4",
        users=("unique-ids stand in the mail (X-UIDL) and stay; temp drops that were left over are taken in front",),
        lost=("a tls-passphrase stays in Qpopper's file; keep that, or name one of mode 0600 (tls.passphrase_file)",),
        restore="pop3 stream tcp nowait root /usr/sbin/popper popper -s",
    ),
    "dovecot": Program(
        "",
        "",
        (),
        lists=(
            ("Maildir/dovecot-uidlist", "Maildir"),
            ("mail/.imap/INBOX/dovecot-uidlist", "/var/mail/%u"),
            ("Mail/.imap/INBOX/dovecot-uidlist", "/var/mail/%u"),
        ),
        sets={"uidl": "dovecot"},
        users=(UIDS_BY_FILE, "new mail gets the numbers that follow"),
        lost=("dovecot.conf: nothing of it is read; passwd-files are read by accounts.file",),
    ),
    "courier": Program(
        "",
        "",
        (),
        lists=(("Maildir/courierpop3dsizelist", "Maildir"),),
        sets={"uidl": "courier", "maildrop": "maildir:%h/Maildir"},
        users=(UIDS_BY_FILE, "new mail gets the numbers that follow"),
        lost=("/etc/courier: nothing of it is read; userdb and authdaemon have no counterpart, passwd and PAM do",),
    ),
}
