"""Every tunable, once, with a line of why.

A setting is a descriptor on :class:`Settings`; its dotted name is the same on the command line (``--set``),
in ``pop3d.toml``, in ``--dump-config`` and in pop3d.toml(5).  Values come in layers, the later wins:
built-in default, personality, file, command line.  Whatever a value's origin, ``parse`` of its kind checks it,
and :class:`~qpopper_py.errors.ConfigurationError` names the setting, the value and the origin.

This module is on the path to the greeting, so it has the settings that are asked for there, or that most command lines
set.  The others, :mod:`~qpopper_py.tunables`, join them as soon as one of those is asked for or set.
"""

from qpopper_py.errors import ConfigurationError
from qpopper_py.facts import Listener
from qpopper_py.kinds import Choice, Host, Names, Networks, Path, Seconds, Setting, Switch, Text, Whole

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from qpopper_py.tunables import Tunables
else:
    Tunables = object


class Settings(Tunables):
    """What the program runs with.  Read-only once built; attributes are the settings below and the tunables."""

    personality = Choice(
        "personality",
        "tru64",
        ["tru64", "mailutils", "cyrus", "popa3d", "qpopper"],
        "the old program whose place this server takes: its options, its manners, what is built in",
    )
    hostname = Host("hostname", "", "the host's name in greeting and APOP stamp; empty: the system's")
    server_info = Choice(
        "server_info", "on", ["on", "min", "off"], "what greeting and CAPA tell: all; not the version; nothing"
    )
    serve_idle = Seconds(
        "serve.idle", 60, "started by inetd with wait: how long to stay without a session; 0: for good", 0
    )
    timeout = Seconds(
        "timeout", 600, "how long to wait for a command (RFC 1939 asks for ten minutes at least)", 1, 86400
    )
    statistics = Switch("statistics", False, "one Stats: record to the log for each session (-s)")
    debug = Switch("debug", False, "SO_DEBUG on the socket, and each command and reply to the log (-d)")
    last = Choice(
        "last",
        "stored",
        ["stored", "zero", "touched", "ucb", "off"],
        "what LAST answers: highest message retrieved ever; in this session; retrieved or marked in this session (as"
        " popa3d's); as UCB's, raised by DELE only; refused",
    )
    uidl = Choice(
        "uidl",
        "qpopper2",
        [
            "qpopper2",
            "qpopper4",
            "popa3d",
            "popa3d-old",
            "mailutils0",
            "mailutils3",
            "cyrus",
            "uidonly",
            "dovecot",
            "courier",
            "cyrus-courier",
            "uw",
        ],
        "how unique-ids are made: as that server made them, so that clients do not fetch all mail once more",
    )
    status_headers = Choice(
        "status_headers",
        "keep",
        ["keep", "write"],
        "whether Status: RO is written into retrieved mail, when deletions rewrite the mailbox anyway",
    )
    log_reverse_lookup = Switch(
        "log.reverse_lookup", False, "log the client's name beside its address; costs a look-up a session"
    )
    shutdown_files = Names(
        "shutdown_files", (), "paths; while one is there its first line is all that clients hear, as -ERR [SYS/TEMP]"
    )
    debug_command = Text(
        "debug_command", "", "a shell command run as the service starts; %s, %d, %s: program, process id, service"
    )
    trace_file = Path("trace.file", "", "write every line of the dialogue to this file (-t)")
    auth_sources = Names(
        "auth.sources",
        ("mailauth", "system"),
        "who vouches for passwords, asked in this order; system is pam where the service has a file, else unix",
        [
            "mailauth",
            "system",
            "pam",
            "unix",
            "accounts",
            "saslauthd",
            "oauth",
            "certificate",
            "kerberos",
            "sasldb",
            "maildrops",
        ],
    )
    auth_cleartext = Choice(
        "auth.cleartext",
        "always",
        ["always", "local", "tls", "never"],
        "from where a password may come in the clear: anywhere; this host, and under TLS; under TLS; nowhere",
    )
    kpop = Switch("kpop", False, "KPOP: clients show a Kerberos ticket before the greeting, as on port 1109")
    hosts_access = Choice("hosts_access", "off", ["off", "on"], "ask the tables of TCP wrappers before the greeting")
    tls_mode = Choice(
        "tls.mode",
        "starttls",
        ["no", "starttls", "implicit"],
        "TLS on connections of inetd, and where a listener says nothing: none; when asked (STLS); from the first octet",
    )
    tls_minimum = Choice("tls.minimum", "1.2", ["1.0", "1.1", "1.2", "1.3"], "the oldest version of TLS that is spoken")
    outer_layer = Whole(
        "outer_layer",
        0,
        "strength (SSF) of a layer that others put around every connection (stunnel): 0 none, 1 integrity, 2 and more"
        " privacy",
        0,
        100_000,
    )
    proxy_networks = Networks(
        "proxy.networks", (), "from here come proxies (haproxy, nginx): each connection must begin with a PROXY header"
    )
    apop_stamp = Choice(
        "apop.stamp",
        "auto",
        ["auto", "always", "never"],
        "the APOP stamp in the greeting; auto: only when there are APOP entries",
    )
    mailauth_database = Path(
        "mailauth.database", "/var/lib/pop3d/mailauth.db", "the database of POP, APOP and IMAP secrets"
    )

    def __init__(self, layers: "Sequence[tuple[str, Mapping[str, object]]]" = ()) -> None:
        """``layers``: (origin, {dotted name: raw value}) from the weakest to the strongest."""
        self.values: dict[str, object] = {}
        self.origins: dict[str, str] = {}
        for origin, raw_values in layers:
            for name, raw in raw_values.items():
                self.values[name] = parse(name, raw, origin)
                self.origins[name] = origin
        self._agree()

    if not TYPE_CHECKING:

        def __getattr__(self, name: str) -> object:
            """Of a tunable that has not joined yet."""
            if len(ROWS) > len(AT_FIRST):
                raise AttributeError(f"there is no setting {name}")
            rows()
            return getattr(self, name)

    def _agree(self) -> None:
        """Raises ConfigurationError for settings that are right one by one and wrong together."""
        if self.values.keys() <= AGREEABLE:
            return
        self._agree_on_logins()
        if self.auto_delete and self.update_on_abort:
            self._at_odds(
                "auto_delete",
                "auto_delete and update_on_abort cannot both be true: a connection that breaks off would delete mail "
                "that never arrived; take one back",
            )
        if self.auto_delete and self.expire not in ("never", "0"):
            self._at_odds(
                "auto_delete", f"auto_delete keeps no mail, but expire = {self.expire} promises to; unset one"
            )
        if self.delete_expired and self.expire == "never":
            self._at_odds(
                "delete_expired", "delete_expired is true, but nothing expires; set expire to a number of days"
            )

    def _agree_on_logins(self) -> None:
        """The same of who may log in."""
        if "accounts" in self.auth_sources and not self.virtual_users:
            self._at_odds("auth.sources", "auth.sources names accounts, but accounts.file is empty; set it to the file")
        if (self.kpop or any(one.kpop for one in self.listen)) and "kerberos" not in self.auth_sources:
            self._at_odds("kpop", "kpop is true, but auth.sources does not name kerberos, which judges tickets; add it")
        if self.auth_c2 and not self.state_dir:
            self._at_odds("auth.c2", "auth.c2 counts failures in state_dir, which is empty; set it")
        if self.guess_largest < self.guess_delay:
            self._at_odds(
                "guess.largest",
                f"guess.largest = {self.guess_largest} is less than guess.delay = {self.guess_delay}; change one",
            )
        if self.guess_lockout and not self.state_dir:
            self._at_odds("guess.lockout", "guess.lockout counts failures in state_dir, which is empty; set it")
        if self.c2_times and not self.auth_c2:
            self._at_odds("c2.times", "c2.times holds for nobody while auth.c2 is false; set that, or unset this")
        if self.virtual_only and not self.virtual_home:
            self._at_odds("virtual.only", "virtual.only is true, but virtual.home is empty: nobody can log in; set it")

    def with_layers(self, layers: "Sequence[tuple[str, Mapping[str, object]]]") -> "Settings":
        """These settings with ``layers`` over them.  Raises ConfigurationError."""
        made = Settings(layers)
        made.values, made.origins = {**self.values, **made.values}, {**self.origins, **made.origins}
        made._agree()
        return made

    @property
    def virtual_users(self) -> bool:
        """Whether there are accounts that are not the system's."""
        return bool(self.accounts_file or self.accounts_domains)

    def listener(self, given: Listener) -> Listener:
        """``given`` with what holds for all where it says nothing."""
        return Listener(
            given.address,
            given.tls or self.tls_mode,
            given.cleartext or self.auth_cleartext,
            given.proxy,
            given.stamp or self.apop_stamp,
            given.minimum or self.tls_minimum,
            given.kpop or self.kpop,
            given.access,
        )

    def _at_odds(self, name: str, what: str) -> None:
        raise ConfigurationError(f"{self.origins.get(name, name)}: {what}")


ROWS = {row.name: row for row in vars(Settings).values() if isinstance(row, Setting)}
AT_FIRST = frozenset(ROWS)
AGREEABLE = AT_FIRST - {"auth.sources", "kpop"}  # whatever they are, they contradict no other setting


def rows() -> "dict[str, Setting]":
    """Every setting by its dotted name; from here on all are attributes of Settings."""
    if len(ROWS) == len(AT_FIRST):
        from qpopper_py.tunables import Tunables

        for attribute, row in vars(Tunables).items():
            if isinstance(row, Setting):
                setattr(Settings, attribute, row)
                ROWS[row.name] = row
    return ROWS


def table() -> "Iterator[Setting]":
    """Every setting: those of one table of pop3d.toml together, the tables in the order of the tunables."""
    tables: dict[str, list[Setting]] = {"": []}
    for row in sorted(rows().values(), key=lambda row: row.name in AT_FIRST):
        tables.setdefault(row.name.rpartition(".")[0], [])
    for row in rows().values():
        tables[row.name.rpartition(".")[0]].append(row)
    for together in tables.values():
        yield from together


def parse(name: str, raw: object, origin: str) -> object:
    """The checked value of setting ``name``; raises ConfigurationError naming it and ``origin``."""
    row = ROWS.get(name) or rows().get(name)
    if row is None:
        raise ConfigurationError(f"{origin}: there is no setting {name!r}; {advice(name)}")
    try:
        return row.parse(raw)
    except ValueError as why:
        takes = "" if row.form in str(why) else f"; it takes {row.form}"
        raise ConfigurationError(f"{origin}: {name} = {shown(raw)} {why}{takes}") from None


def shown(raw: object) -> str:
    """A raw value for an error.  Python writes out no number of more than 4300 digits."""
    try:
        return repr(raw)
    except ValueError:
        return "a number too long to be shown"


def advice(name: str) -> str:
    """What somebody who wrote the setting ``name``, which there is not, may have meant."""
    import difflib  # 6 ms, on the way out only

    wanted = name.lower().replace("-", "_")
    last = wanted.rpartition(".")[2]
    near = [row for row in rows() if row.rpartition(".")[2] == last]  # as under a [table] that it is not of
    near = near or difflib.get_close_matches(wanted, rows(), 1) or difflib.get_close_matches(last, rows(), 1)
    words = f"did you mean {' or '.join(near)}? " if near else ""
    return words + "pop3d --dump-config=all lists them"
