"""What an option that we have not means in another old program, so that a refusal can say so.

Options of another program are never taken for ours in silence: whoever moves a command line here from GNU
mailutils, Cyrus, popa3d or Qpopper is told what the letter meant there and what to write here.
Loaded only to refuse.  Sources: pop3d(8) of GNU mailutils 0.6 and 3.x, of Cyrus 2.3 and later, popa3d(8) of
Openwall and OpenBSD, popper(8) of Qpopper 4.
"""

from qpopper_py.personality import options

PROGRAMS = {"mailutils": "GNU mailutils", "cyrus": "Cyrus", "popa3d": "popa3d", "qpopper": "Qpopper"}

# spelling: ({personality: its meaning there}, what to write here)
LETTERS: "dict[str, tuple[dict[str, str], str]]" = {
    "4": ({"popa3d": "IPv4 only"}, "--listen 0.0.0.0:110"),
    "6": ({"popa3d": "IPv6 only"}, "--listen [::]:110"),
    "b": ({"qpopper": "the folder of bulletins"}, ""),
    "B": ({"qpopper": "to go on without bulletins"}, ""),
    "c": ({"qpopper": "user names in lower case"}, "--set auth.lowercase_user=true"),
    "C": (
        {"cyrus": "the configuration file", "qpopper": "to cut the domain off a user name"},
        "--config FILE, or --set auth.strip_domain=true",
    ),
    "D": ({"popa3d": "to run standalone", "cyrus": "a debugger", "qpopper": "the DRAC host"}, "--listen :110"),
    "e": ({"qpopper": "the login delay and expiry to announce"}, ""),
    "f": ({"qpopper": "the configuration file"}, "--config FILE"),
    "F": ({"qpopper": "fast update"}, ""),
    "h": ({"mailutils": "help"}, "--help"),
    "?": ({"mailutils": "help"}, "--help"),
    "H": ({"cyrus": "a PROXY header first"}, ""),
    "i": ({"mailutils": "to run from inetd"}, "--inetd"),
    "k": ({"cyrus": "KPOP", "qpopper": "Kerberos"}, ""),
    "K": ({"qpopper": "the Kerberos service"}, ""),
    "l": ({"qpopper": "TLS"}, ""),
    "L": ({"qpopper": "how often the lock is refreshed"}, ""),
    "m": ({"mailutils": "the spool folder"}, "--set spool=FOLDER"),
    "p": (
        {
            "mailutils": "the port",
            "cyrus": "the strength of an outer layer",
            "qpopper": "how passwords in clear text are treated",
        },
        "--listen :PORT",
    ),
    "P": ({"mailutils": "the pid file"}, "--set serve.pid_file=FILE"),
    "R": ({"qpopper": "no reverse look-ups"}, "nothing, there are none unless log.reverse_lookup asks for them"),
    "S": ({"qpopper": "server mode"}, "nothing, a mailbox is never copied"),
    "u": ({"mailutils": "to undelete all messages", "qpopper": "to obey the user's own options"}, ""),
    "U": ({"cyrus": "how many connections a process serves", "qpopper": "to obey options in the spool"}, ""),
    "v": ({"mailutils": "the version", "qpopper": "the version"}, "--version"),
    "V": ({"mailutils": "the version", "popa3d": "the version"}, "--version"),
    "x": ({"mailutils": "a transcript to syslog"}, "-d"),
    "X": ({"cyrus": "debugging on standard output"}, ""),
    "y": ({"qpopper": "the syslog facility"}, "--set log.facility=FACILITY"),
}
# Long options: GNU mailutils alone has them.
LONG = {
    "authentication": "--set auth.sources=...",
    "authorization": "--set auth.sources=...",
    "config-file": "--config FILE",
    "config-help": "man pop3d.toml",
    "config-lint": "--check-config",
    "config-verbose": "--dump-config",
    "daemon": "--listen :110",
    "debug-level": "-d",
    "debug-line-info": "",
    "delete-expired": "--set delete_expired=true",
    "expire": "--set expire=DAYS",
    "expire-timeout": "",
    "external-locker": "",
    "foreground": "nothing, with --listen it stays in the foreground",
    "license": "",
    "lock-expire-timeout": "",
    "lock-flags": "--set locks.kinds=...",
    "lock-retry-count": "--set locks.timeout=SECONDS",
    "lock-retry-timeout": "--set locks.timeout=SECONDS",
    "log-facility": "--set log.facility=FACILITY",
    "login-delay": "--set login_delay=SECONDS",
    "mail-spool": "--set spool=FOLDER",
    "no-config": "--config none",
    "no-site-config": "--config none",
    "no-user-config": "nothing, no user's own file is read",
    "pam-service": "--set pam.service=NAME",
    "pidfile": "--set serve.pid_file=FILE",
    "port": "--listen :PORT",
    "show-config-options": "--dump-config=all",
    "ssl-cafile": "--set tls.ca=FILE",
    "ssl-cert": "--set tls.certificate=FILE",
    "ssl-key": "--set tls.key=FILE",
    "stat-file": "--set login_delay_import=FILE",
    "timeout": "-T SECONDS",
    "tls-required": "--set auth.cleartext=tls",
    "transcript": "-d",
    "undelete": "nothing, deletion_marks = ignored is the default",
    "usage": "--help",
}


def words(spelt: str, argument: str, ours: "tuple[options.Option, ...]", personality: str) -> str:
    """The refusal of option ``spelt``, which stands in ``argument`` and is not among ``ours``, by ``personality``."""
    refusal = f"there is no option {spelt}" + (f" (in {argument})" if argument != spelt else "")
    meanings: dict[str, str] = {}
    instead = ""
    if argument.startswith("-d") and argument[2:].isdigit():
        meanings, instead = {"mailutils": f"{argument} is a daemon with {argument[2:]} children"}, "--listen :110"
    elif spelt[1:] in LETTERS:
        meanings, instead = LETTERS[spelt[1:]]
        meanings = {program: f"it is {meaning}" for program, meaning in meanings.items()}
    elif spelt[2:] in LONG:
        meanings, instead = {"mailutils": "there is"}, LONG[spelt[2:]]
    letter = instead.partition(" ")[0]
    if letter[:2] != "--" and letter[:1] == "-" and letter not in [one for row in ours for one in row.spellings]:
        instead = ""  # it is Tru64's
    meanings = {program: meaning for program, meaning in meanings.items() if program != personality}
    if not meanings:
        return f"{refusal}; {near(spelt, ours)}pop3d --help lists them"
    told = ", ".join(f"in {PROGRAMS[program]} {meaning}" for program, meaning in meanings.items())
    return f"{refusal}; {told}{f'; here write {instead}' if instead else ''}. {elsewhere(list(meanings))}"


def elsewhere(programs: "list[str]") -> str:
    """How the command lines of ``programs`` would be asked for."""
    names = " or ".join(", ".join(programs).rsplit(", ", 1))
    return f"Options of another program need --personality {names} as the first word"


def near(spelt: str, ours: "tuple[options.Option, ...]") -> str:
    """The long option that may have been meant."""
    import difflib  # on the way out only

    found = difflib.get_close_matches(spelt, [row.spelt for row in ours if row.long], 1)
    return f"did you mean {found[0]}? " if found else ""
