"""The command lines of GNU mailutils' pop3d: 0.6, as the 2004 manual has it, and 3.x; and what they amount to."""

from qpopper_py.errors import ConfigurationError
from qpopper_py.personality.mailutils import values
from qpopper_py.personality.options import Option

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from qpopper_py.personality.commandline import Layer, Line

SITE = "/etc/mailutils.conf"
NO_SQL = values.refused(values.NEVER["sql"])
# Options that mean nothing here, and why; --check-config says so.
IDLE = {
    "debug-level": "it traced mailutils' own library; -x logs the dialogue",
    "debug-line-info": "it belongs to --debug-level",
    "no-debug-line-info": "it belongs to --debug-level",
    "no-user-config": "no user's own file is ever read",
    "stat-file": "our own records are in state_dir; qpopper-py login-delays --import takes the old ones over",
}
# What 3.x has not on its command line: whoever writes one of these comes from 0.6, whose mailboxes they are.
OLDER = frozenset(
    (
        *("mail-spool", "port", "timeout", "transcript", "pidfile", "undelete", "login-delay", "stat-file", "expire"),
        *("delete-expired", "tls-required", "ssl-cert", "ssl-key", "ssl-cafile", "authentication", "authorization"),
        *("pam-service", "lock-flags", "lock-retry-count", "lock-retry-timeout", "lock-expire-timeout"),
    )
)

OF_0_6 = {"mbox.separator": "mailutils0", "uidl": "mailutils0", "log.style": "mailutils0", "log.ident": "gnu-pop3d"}


def later(_value: "str | None") -> "Mapping[str, object]":
    """``configured`` sees to it."""
    return {}


def children(value: "str | None") -> "Mapping[str, object]":
    """-d's number; without one as many as limits.sessions says."""
    return {} if value is None else {"limits.sessions": values.whole(value)}


def background(on: bool) -> "Callable[[str | None], Mapping[str, object]]":
    return lambda _value: {"serve.background": on}


def lock_flags(value: "str | None") -> "Mapping[str, object]":
    """R: try again; T: take away what is too old.  P, the look at the owner, is always on."""
    letters = value or ""
    for letter in letters:
        if letter == "E":
            raise ValueError(f"names E, the external locker, which is refused: {values.NO_LOCKER}")
        if letter not in "RTP":
            raise ValueError(f"holds {letter!r}; the letters are E, R, T and P")
    return ({} if "R" in letters else {"locks.timeout": 0}) | ({} if "T" in letters else {"locks.stale": 0})


def listed(value: "str | None") -> "Mapping[str, object]":
    return {"auth.sources": values.sources(values.modules(value or ""))}


def known(value: "str | None") -> "Mapping[str, object]":
    """--authorization says who knows users; here each source does."""
    values.modules(value or "")
    return {}


OPTIONS: "tuple[Option, ...]" = (
    Option("d daemon", "[N]", "listen, and serve N clients at once", sets=children),
    Option("i inetd", "", "serve the connection on descriptor 0, which is the default"),
    Option("foreground", "", "with -d: stay in the foreground", sets=background(False)),
    Option("no-foreground", "", "with -d: go to the background, which is the default", sets=background(True)),
    Option("no-inetd", "", "what the configuration says", sets=later),
    Option("m mail-spool", "URL", "the folder of the mailboxes", sets=lambda url: values.spool(url or "")),
    Option("p port", "N", "with -d: the port to listen on", sets=later),
    Option("t timeout", "SECONDS", "end a session that has sent no command for so long", setting="timeout"),
    Option("x transcript", "", "log each command and reply", setting="debug"),
    Option("P pidfile", "FILE", "with -d: write the process's id there", setting="serve.pid_file", read=values.path),
    Option("u undelete", "", "take no notice of mail readers' deletion marks", sets=lambda _: undelete(True)),
    Option("login-delay", "SECONDS", "how soon a user may log in again", setting="login_delay"),
    Option("stat-file", "FILE", "the old database of login delays", setting="login_delay_import", read=values.path),
    Option("expire", "DAYS", "how long read mail is kept; announced", sets=lambda days: values.expire(days or "")),
    Option("delete-expired", "", "delete expired mail at QUIT", setting="delete_expired"),
    Option("tls-required", "", "passwords under TLS only", sets=lambda _: {"auth.cleartext": "tls"}),
    Option("ssl-cert", "FILE", "the server's certificate", setting="tls.certificate", read=values.path),
    Option("ssl-key", "FILE", "its private key", setting="tls.key", read=values.path),
    Option("ssl-cafile", "FILE", "authorities of clients' certificates", setting="tls.ca", read=values.path),
    Option("authentication", "LIST", "who checks passwords: pam, system, virtdomain", sets=listed),
    Option("authorization", "LIST", "who knows users: each of those does", sets=known),
    Option("pam-service", "NAME", "the service that PAM is asked for", setting="pam.service"),
    *(
        Option(f"sql-{name}", "VALUE", "refused: no SQL database is asked", sets=NO_SQL)
        for name in ["interface", "getpwnam", "getpwuid", "getpass", "host", "user", "passwd", "db", "port"]
    ),
    Option("lock-flags", "LETTERS", "R: try again, T: take away what is too old; P is always on", sets=lock_flags),
    Option("lock-retry-count", "N", "how often a lock is tried", sets=later),
    Option("lock-retry-timeout", "SECONDS", "and how long after each try", sets=later),
    Option("lock-expire-timeout", "SECONDS", "when a lock is too old", setting="locks.stale", read=values.whole),
    Option(
        "external-locker",
        "PROGRAM",
        "refused: locks are the server's own",
        sets=values.refused(values.NO_LOCKER),
    ),
    Option("log-facility", "NAME", "the syslog facility", setting="log.facility", read=values.facility),
    Option("debug-level", "LEVEL", "no effect", sets=later),
    Option("debug-line-info", "", "no effect", sets=later),
    Option("no-debug-line-info", "", "no effect", sets=later),
    Option("config-file", "FILE", f"read FILE and not {SITE}", sets=later),
    Option("config-lint", "", "look at the configuration, and end", action="check-config"),
    Option("config-verbose", "", "with --config-lint: tell what each statement became", sets=later),
    Option("no-config", "", f"do not read {SITE}", sets=later),
    Option("no-site-config", "", "the same", sets=later),
    Option("no-user-config", "", "no effect", sets=later),
    Option("set", "PATH=VALUE", "a statement of the configuration: --set .timeout=60", sets=later),
    Option("config-help", "", "print the statements of the configuration", action="config-help"),
    Option("show-config-options", "", "print what this program was built with", action="show-config-options"),
    Option("license", "", "print the license", action="license"),
    Option("usage", "", "print the options", action="help"),
    Option("? help", "", "print the options", action="help"),
    Option("h", "", "the same", action="help"),
    Option("V version", "", "print the version", action="version"),
    Option("v", "", "the same", action="version"),
)


def undelete(on: bool) -> "dict[str, object]":
    return {"deletion_marks": "ignored" if on else "deleted"}


def config_help() -> str:
    from qpopper_py.personality.mailutils import statements

    return statements.summary()


def built() -> str:
    """As pop3d --show-config-options: what is there."""
    return "VERSION=qpopper_py\nUSE_LIBPAM - PAM support\nWITH_TLS - STLS\nENABLE_VIRTUAL_DOMAINS - virtual domains\n"


def license_text() -> str:
    return "qpopper_py is free software under the MIT license; there is no warranty.\n"


PRINTS = {"config-help": config_help, "show-config-options": built, "license": license_text}


def configured(line: "Line") -> "list[Layer]":
    """The configuration files, -d and -p, and what several options say together."""
    from qpopper_py.personality.mailutils import files

    if line.operands:
        raise ConfigurationError(f"{line.operands[0]!r} is no option, and GNU mailutils' pop3d takes nothing else")
    layers: list[Layer] = []
    older = files.of_0_6(line)
    if older:
        from qpopper_py.personality.mailutils import rc

        layers += rc.layers(line, older)
    names = {one.option.long for one in line.given}
    line.notes += [f"--{name} has no effect: {IDLE[name]}" for name in sorted(names & IDLE.keys())]
    if names & OLDER:
        said = "an option of GNU mailutils 0.6"
        layers.append((said, OF_0_6))
    port = line.value("--port")
    conf = files.read(line, older)
    if conf is not None:
        layers += conf.layers
    if ("daemon" in names or (conf is not None and conf.daemon)) and not line.inetd:
        layers.append(("listening", {"serve.background": not (conf is not None and conf.foreground)}))
        layers += listening(conf.servers if conf is not None else [], port)
        if conf is None or conf.wrappers:
            layers.append(("listening, as GNU mailutils did", {"hosts_access": "on"}))
    if {"lock-retry-count", "lock-retry-timeout"} & names:
        line.layers.append(("command line, --lock-retry-count", {"locks.timeout": patience(line)}))
    return layers


def listening(servers: "list[dict[str, object]]", port: "str | None") -> "list[Layer]":
    """Where to listen: -p's port, or what the configuration says."""
    if port is not None:
        if not (port.isascii() and port.isdigit()) or int(port) > 65535:
            raise ConfigurationError(f"command line: --port {port!r} is not a number up to 65535")
        rules = [server.get("access", ()) for server in servers] or [()]
        if any(one != rules[0] for one in rules):
            raise ConfigurationError("command line: --port is one server in the place of several whose acl differ")
        return [("command line, --port", {"listen": [{"address": f":{port}", "access": rules[0]}]})]
    return [("command line, --daemon" if not servers else "server", {"listen": servers or [":110"]})]


def patience(line: "Line") -> int:
    """Seconds to try for a lock: so many times, so long after each."""
    words = (line.value("--lock-retry-count") or "10", line.value("--lock-retry-timeout") or "1")
    try:
        return values.whole(words[0]) * values.whole(words[1])
    except ValueError as why:
        raise ConfigurationError(
            f"command line: --lock-retry-count and --lock-retry-timeout: {words!r} {why}"
        ) from None
