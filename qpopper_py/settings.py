"""Every tunable, once, with a line of why.

A setting is a descriptor on :class:`Settings`; its dotted name is the same on the command line (``--set``),
in ``pop3d.toml``, in ``--dump-config`` and in pop3d.toml(5).  Values come in layers, the later wins:
built-in default, personality, file, command line.  Whatever a value's origin, ``parse`` of its kind checks it,
and :class:`~qpopper_py.errors.ConfigurationError` names the setting, the value and the origin.

This module is on the path to the greeting: it imports nothing but errors and the kinds of values.
"""

from qpopper_py.errors import ConfigurationError
from qpopper_py.kinds import (
    WEEK,
    Choice,
    Days,
    FileName,
    Host,
    LoginTimes,
    Moment,
    Names,
    NeededPath,
    Networks,
    Octets,
    Path,
    Place,
    Seconds,
    Sender,
    Setting,
    Switch,
    Text,
    Url,
    Whole,
    Word,
)
from qpopper_py.listeners import AccessRules, Listener, Listeners, ServerNames

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence


class Settings:
    """What the program runs with.  Read-only once built; attributes are the settings below."""

    personality = Choice(
        "personality",
        "tru64",
        ["tru64", "mailutils", "cyrus", "popa3d", "qpopper"],
        "the old program whose place this server takes: its options, its manners, what is built in",
    )
    commands = Choice(
        "commands",
        "all",
        ["all", "original"],
        "commands that the old program had not (CAPA, STLS, AUTH, ...): served as well; or refused, as it refused them",
    )
    hostname = Host("hostname", "", "the host's name in greeting and APOP stamp; empty: the system's")
    server_info = Choice(
        "server_info", "on", ["on", "min", "off"], "what greeting and CAPA tell: all; not the version; nothing"
    )
    spool = NeededPath("spool", "/var/mail", "the folder that holds a mailbox file for each user, named after the user")
    maildrop = Place(
        "maildrop",
        "",
        "where the mail of system users lies, if not in the spool: maildir:%h/Maildir, mbox:%h/mbox, ...",
    )
    state_dir = Path(
        "state_dir", "/var/lib/pop3d", "what must outlast a session: unique-ids, LAST, counters; a folder for each user"
    )
    sendmail = Path("sendmail", "/usr/sbin/sendmail", "the mailer that XTND XMIT gives messages to")
    listen = Listeners("listen", (), "HOST:PORT to listen on, standalone; none: serve the connection on descriptor 0")
    serve_mode = Choice(
        "serve.mode",
        "standalone",
        ["standalone", "prefork"],
        "listening as root: a new process for each connection; or some kept waiting, which serve one after the other",
    )
    serve_idle = Seconds(
        "serve.idle", 60, "started by inetd with wait: how long to stay without a session; 0: for good", 0
    )
    serve_background = Switch("serve.background", False, "listening: go on in the background once all sockets are open")
    serve_pid_file = Path("serve.pid_file", "", "listening: the file that has the process's id as long as it runs")
    prefork_fronts = Whole(
        "prefork.fronts", 8, "with serve.mode = prefork: processes kept waiting for clients", 1, 10_000
    )
    prefork_reuse = Whole(
        "prefork.reuse", 250, "with serve.mode = prefork: connections that one of them serves before it ends", 1, 10**9
    )
    prefork_mail = Whole(
        "prefork.mail", 64, "with serve.mode = prefork: mail processes that wait for another session of their owner", 0
    )
    prefork_linger = Seconds(
        "prefork.linger", 30, "how long such a mail process waits, and a front that a rush left over"
    )
    prefork_checkers = Whole("prefork.checkers", 2, "listening as root: processes that check passwords", 1, 256)
    privilege_user = Word(
        "privilege.user", "pop3d", "started as root: the user that talks to clients before the login; else nobody"
    )
    privilege_chroot = Path(
        "privilege.chroot", "/run/pop3d/empty", "the empty folder that is all this user sees; made if need be"
    )
    timeout = Seconds(
        "timeout", 600, "how long to wait for a command (RFC 1939 asks for ten minutes at least)", 1, 86400
    )
    login_timeout = Seconds("login_timeout", 60, "how long a client may take to log in", 1)
    login_delay = Seconds(
        "login_delay", 0, "how long after the end of a session its user may not log in again; 0: not at all"
    )
    login_delay_announced = Seconds(
        "login_delay_announced", 0, "what CAPA says of it (LOGIN-DELAY), enforced or not; 0: what login_delay is"
    )
    login_delay_import = Path(
        "login_delay_import", "", "the old server's database of when sessions ended, for qpopper-py login-delays"
    )
    transfer_timeout = Seconds("transfer_timeout", 120, "how long a client may accept nothing of a transfer", 1)
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

    update_on_abort = Switch(
        "update_on_abort",
        False,
        "what DELE marked is also deleted when the client hangs up or falls silent without QUIT",
    )
    auto_delete = Switch("auto_delete", False, "every message that was retrieved whole is deleted at QUIT")
    expire = Days(
        "expire", "never", "days after its first retrieval that a message expires; CAPA announces it (EXPIRE)"
    )
    delete_expired = Switch("delete_expired", False, "expired messages are deleted at QUIT, not only said to be")
    deletion_marks = Choice(
        "deletion_marks",
        "ignored",
        ["ignored", "deleted", "hidden"],
        "what a mail reader's deletion mark (Status D, flag T) does: nothing; what DELE does; or hide the message",
    )
    scan_lines = Switch(
        "scan_lines", False, "LIST tells the number of lines behind the size, and CAPA says XLINES; reads all the mail"
    )
    read_only = Switch(
        "read_only", False, "nothing is deleted or written, in no maildrop and no record; DELE is refused"
    )
    second_session = Choice(
        "second_session",
        "refused",
        ["refused", "allowed"],
        "whether a user may have two sessions at once; deletions then find their messages wherever they lie by now",
    )
    status_headers = Choice(
        "status_headers",
        "keep",
        ["keep", "write"],
        "whether Status: RO is written into retrieved mail, when deletions rewrite the mailbox anyway",
    )
    x_uidl_headers = Choice(
        "x_uidl_headers",
        "keep",
        ["keep", "write"],
        "whether the unique-id is written into the mail as X-UIDL, when deletions rewrite the mailbox anyway",
    )
    tempdrop_folder = Path(
        "tempdrop.folder", "", "where an old server's left-over temp drops lie; empty: beside the mailbox"
    )
    tempdrop_name = FileName(
        "tempdrop.name", ".%s.pop", "the name of one: its mail goes in front of the mailbox; empty: none is looked for"
    )
    hash_spool = Whole(
        "hash_spool", 0, "folders between spool and mailbox, as Qpopper's: 0 none, 1 a letter, 2 two letters", 0, 2
    )
    bulletins_source = Path(
        "bulletins.source", "", "bulletins that everybody gets a copy of: a folder of files NUMBER.NAME, or an mbox"
    )
    bulletins_database = Path(
        "bulletins.database", "", "the old server's database of who has which bulletin; read once a user, never written"
    )
    bulletins_new_users = Whole(
        "bulletins.new_users", 1, "how many of the latest bulletins a user gets of whom nothing is known", 0, 1_000_000
    )

    bulletins_groups = Switch(
        "bulletins.groups", False, "a bulletin NUMBER.GROUP.NAME is for the members of that group; GROUP all: everybody"
    )

    log_to = Choice(
        "log.to", "auto", ["auto", "syslog", "stderr"], "where the log goes; auto: syslog if it is there, else stderr"
    )
    log_facility = Choice(
        "log.facility",
        "mail",
        ["mail", "daemon", "auth", "user", *(f"local{n}" for n in range(8))],
        "the syslog facility",
    )
    log_ident = Text("log.ident", "pop3d", "the program's name in the log")
    log_reverse_lookup = Switch(
        "log.reverse_lookup", False, "log the client's name beside its address; costs a look-up a session"
    )

    log_style = Choice(
        "log.style",
        "own",
        ["own", "popa3d", "cyrus", "mailutils", "mailutils0"],
        "the form of records of sessions and logins: ours, with address and session; or an old program's, for watchers",
    )
    log_login = Text(
        "log.login", "", "the record of a login: %0 version, %1 user, %2 client's name, %3 its address; empty: ours"
    )
    log_severity = Choice(
        "log.severity",
        "debug",
        ["debug", "info", "notice", "warning", "error", "crit", "alert", "emerg"],
        "the least severity that is written to the log",
    )
    log_prefix = Names(
        "log.prefix", (), "what each record begins with: the session, then the severity", ["session", "severity"]
    )
    log_timing = Switch("log.timing", False, "one record for each session: how long login, opening and update took")
    log_statistics_client = Switch(
        "log.statistics_client", False, "the Stats: record ends in the client's name and address"
    )

    log_unknown_names = Choice(
        "log.unknown_names",
        "hidden",
        ["hidden", "shown"],
        "names that are no account's in the log: a tag in their place, for they may be passwords; or as they came",
    )

    telemetry_folder = Path(
        "telemetry.folder",
        "",
        "the dialogue of each user for whom there is a folder FOLDER/USER, from the login on, to a file there",
    )
    telemetry_name = Choice(
        "telemetry.name", "pid", ["pid", "session"], "what such a file is called: process id, or id of the session"
    )
    telemetry_prefix = Text("telemetry.prefix", "", "what stands before the process id in such a name")
    shutdown_files = Names(
        "shutdown_files", (), "paths; while one is there its first line is all that clients hear, as -ERR [SYS/TEMP]"
    )
    debug_command = Text(
        "debug_command", "", "a shell command run as the service starts; %s, %d, %s: program, process id, service"
    )

    trace_file = Path("trace.file", "", "write every line of the dialogue to this file (-t)")
    trace_bodies = Switch("trace.bodies", False, "write message bodies to the trace, not only their size")
    trace_users = Names("trace.users", (), "trace these users only")
    trace_addresses = Networks("trace.addresses", (), "trace these client addresses or networks (10.1.0.0/16) only")

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
    auth_mechanisms = Names(
        "auth.mechanisms",
        (),
        "the SASL mechanisms that AUTH offers, of those that can succeed; empty: all of them",
        [
            "SCRAM-SHA-256-PLUS",
            "SCRAM-SHA-1-PLUS",
            "GSSAPI",
            "SCRAM-SHA-256",
            "SCRAM-SHA-1",
            "CRAM-MD5",
            "OAUTHBEARER",
            "XOAUTH2",
            "EXTERNAL",
            "PLAIN",
            "LOGIN",
        ],
    )
    auth_scram_iterations = Whole(
        "auth.scram_iterations", 4096, "how often SCRAM hashes a secret, on both sides (RFC 7677)", 4096, 1_000_000
    )
    auth_cleartext = Choice(
        "auth.cleartext",
        "always",
        ["always", "local", "tls", "never"],
        "from where a password may come in the clear: anywhere; this host, and under TLS; under TLS; nowhere",
    )
    auth_cleartext_networks = Networks(
        "auth.cleartext_networks", (), "clients here may send passwords in the clear, whatever auth.cleartext says"
    )
    auth_cleartext_users = Names(
        "auth.cleartext_users", (), "these users may send passwords in the clear, whatever auth.cleartext says"
    )
    auth_refusal_delay = Moment(
        "auth.refusal_delay", 2, "a refused login is answered this long after it was asked, whatever the reason", 60
    )
    auth_login_pause = Moment(
        "auth.login_pause", 0, "a login by a password in the clear is answered no sooner than this after it came", 60
    )
    auth_max_failures = Whole(
        "auth.max_failures", 3, "refused logins after which the connection ends; 0: no end", 0, 1000
    )
    no_mime_suffix = Switch(
        "no_mime_suffix", False, "-no-mime behind a user's name asks for mail reduced to text, where X-MANGLE is served"
    )
    auth_lowercase_user = Switch(
        "auth.lowercase_user", False, "turn user names to lower case before they are looked up"
    )
    auth_strip_domain = Switch("auth.strip_domain", False, "cut a user name at its @ before it is looked up")
    auth_auth_file = Path("auth.auth_file", "", "only users whose name is a line of this file may log in")
    auth_nonauth_file = Path("auth.nonauth_file", "", "users whose name is a line of this file may not log in")
    auth_minimum_uid = Whole(
        "auth.minimum_uid", 1, "system users with a smaller uid may not log in; root never may", 1, 2**32 - 2
    )
    auth_check_shells = Switch(
        "auth.check_shells", False, "system users whose shell is not in /etc/shells may not log in"
    )
    auth_c2 = Switch(
        "auth.c2", False, "enhanced security: locks of accounts, login times, failures counted, decisions audited"
    )
    c2_failures = Whole("c2.failures", 5, "with auth.c2: wrong passwords in a row that lock a user out", 1, 1000)
    c2_lockout = Seconds(
        "c2.lockout", 600, "with auth.c2: how long; 0: until root takes the user out of state_dir/c2-failures"
    )
    c2_times = LoginTimes("c2.times", (), "with auth.c2: when users may log in, as in time.conf(5)")

    guess_delay = Seconds(
        "guess.delay", 1, "after a refused login, how long the next answer to its address waits; 0: no longer", 0, 60
    )
    guess_factor = Whole("guess.factor", 2, "how many times as long after each further one", 1, 10)
    guess_largest = Seconds(
        "guess.largest", 30, "the longest of these delays; of more tries at once the rest are refused", 1, 600
    )
    guess_forget = Seconds("guess.forget", 3600, "after so long without a refused login an address begins anew", 60)
    guess_remember = Seconds(
        "guess.remember",
        WEEK,
        "so long after a login the same account is let in from the same address without delay or lockout",
    )
    guess_trusted = Networks(
        "guess.trusted", ("127.0.0.0/8", "::1"), "addresses and networks that are neither delayed nor counted"
    )
    guess_lockout = Whole(
        "guess.lockout",
        0,
        "refused logins in a row, from anywhere, that lock an account out; 0: none, for strangers could do it",
        0,
        1000,
    )
    guess_lockout_time = Seconds("guess.lockout_time", 900, "how long, from the last of them", 1)

    pam_service = Word("pam.service", "pop3", "the service that PAM is asked for: the name of a file in /etc/pam.d")
    pam_session = Switch("pam.session", False, "open and close a PAM session at login, for modules that make homes")

    saslauthd_socket = NeededPath("saslauthd.socket", "/run/saslauthd/mux", "the socket at which saslauthd listens")
    saslauthd_service = Word("saslauthd.service", "pop3", "the service that saslauthd is asked for")
    saslauthd_timeout = Seconds("saslauthd.timeout", 30, "how long saslauthd may take for an answer", 1, 600)

    sasldb_file = NeededPath("sasldb.file", "/etc/sasldb2", "the database of secrets of Cyrus SASL")

    oauth_keys = Path("oauth.keys", "", "the issuer's public keys (JWK set), to check signed tokens (JWT) with")
    oauth_introspection = Url(
        "oauth.introspection", "", "where the issuer is asked about a token (RFC 7662), instead of oauth.keys"
    )
    oauth_credentials = Path(
        "oauth.credentials", "", "a file, ours alone, with the ID:SECRET that we are asked for there"
    )
    oauth_timeout = Seconds("oauth.timeout", 10, "how long the issuer may take for an answer", 1, 600)
    oauth_algorithms = Names(
        "oauth.algorithms",
        ("RS256", "PS256", "ES256", "EdDSA"),
        "how tokens may be signed; by public keys only",
        ["RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "EdDSA"],
    )
    oauth_issuer = Text("oauth.issuer", "", "the issuer (iss) that tokens must name; empty: any, with introspection")
    oauth_audience = Names("oauth.audience", (), "tokens must name one of these as audience (aud)")
    oauth_scope = Text("oauth.scope", "", "the scopes that tokens must have, with blanks between them")
    oauth_user_claim = Text("oauth.user_claim", "sub", "the claim of a token that holds the user's name here")
    kerberos_keytab = Path("kerberos.keytab", "/etc/krb5.keytab", "the file of the keys of pop/HOST")
    kerberos_service = Word("kerberos.service", "pop", "the first part of our principal's name")
    kerberos_realm = Host("kerberos.realm", "", "the realm of users who log in by password; empty: krb5.conf's default")
    kerberos_passwords = Switch(
        "kerberos.passwords", True, "source kerberos asks the KDC for passwords too, not only for tickets"
    )
    kerberos_timeout = Seconds("kerberos.timeout", 15, "how long the KDCs may take for an answer", 1, 120)
    kpop = Switch("kpop", False, "KPOP: clients show a Kerberos ticket before the greeting, as on port 1109")

    access = AccessRules(
        "access", (), "listening: who may connect, by the first rule that fits; none: whoever no rule denies"
    )
    hosts_access = Choice("hosts_access", "off", ["off", "on"], "ask the tables of TCP wrappers before the greeting")
    hosts_access_daemon = Word("hosts_access_daemon", "pop3d", "the name by which these tables know the server")
    hosts_access_allow = Path("hosts_access_allow", "/etc/hosts.allow", "who is let in, hosts_access(5)")
    hosts_access_deny = Path("hosts_access_deny", "/etc/hosts.deny", "of the others, who is not")

    tls_certificate = Path(
        "tls.certificate", "", "the server's certificate and those above it, PEM; none: there is no TLS"
    )
    tls_key = Path("tls.key", "", "its private key, PEM, without a passphrase; empty: in the file of the certificate")
    tls_sni = ServerNames("tls.sni", (), "certificates for clients that ask for another name")
    tls_mode = Choice(
        "tls.mode",
        "starttls",
        ["no", "starttls", "implicit"],
        "TLS on connections of inetd, and where a listener says nothing: none; when asked (STLS); from the first octet",
    )
    tls_minimum = Choice("tls.minimum", "1.2", ["1.0", "1.1", "1.2", "1.3"], "the oldest version of TLS that is spoken")
    tls_ciphers = Text("tls.ciphers", "", "OpenSSL's list of ciphers for TLS up to 1.2; empty: good ones")
    tls_client_certificates = Choice(
        "tls.client_certificates", "no", ["no", "ask"], "ask clients for a certificate, which tls.ca must have signed"
    )
    tls_ca = Path("tls.ca", "", "the authorities whose signature counts on clients' certificates, PEM")
    tls_certificate_user = Choice(
        "tls.certificate_user",
        "email",
        ["email", "cn", "uid"],
        "what of a client's certificate is the user: the first mail address (subjectAltName), common name, or user id",
    )
    tls_required = Switch("tls.required", False, "without TLS nobody logs in, whatever the mechanism")
    outer_layer = Whole(
        "outer_layer",
        0,
        "strength (SSF) of a layer that others put around every connection (stunnel): 0 none, 1 integrity, 2 and more"
        " privacy",
        0,
        100_000,
    )
    tls_handshake_timeout = Seconds("tls.handshake_timeout", 30, "how long a client may take to begin TLS", 1, 600)
    tls_handshakes = Whole("tls.handshakes", 100, "handshakes under way at once, standalone", 1, 10000)

    proxy_networks = Networks(
        "proxy.networks", (), "from here come proxies (haproxy, nginx): each connection must begin with a PROXY header"
    )
    proxy_timeout = Seconds("proxy.timeout", 5, "how long a proxy may take for its header", 1, 60)
    proxy_tls = Switch(
        "proxy.tls", False, "believe a proxy that says that the client came by TLS: passwords are not in the clear then"
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
    mailauth_key = Path(
        "mailauth.key",
        "/etc/pop3d/keys/mailauth.key",
        "the key that APOP secrets are encrypted with; in a folder of its own",
    )
    mailauth_owner = Text(
        "mailauth.owner", "pop", "the user, beside root, who administers the database; need not exist"
    )
    mailauth_exclusive = Switch("mailauth.exclusive", True, "a user with an APOP entry alone cannot log in with PASS")

    accounts_file = Path(
        "accounts.file", "", "accounts that are not system users, in the form of Dovecot's passwd-file"
    )
    accounts_domains = Path(
        "accounts.domains", "", "a folder of such files, each named after a domain: user@domain is looked up there"
    )
    accounts_maildrop = Text(
        "accounts.maildrop", "", "maildrop of such an account: as maildrop, with %u user, %n name, %d domain, %h home"
    )
    accounts_mailboxes_db = Path(
        "accounts.mailboxes_db", "", "Cyrus' mailboxes.db: where mailboxes lie that Cyrus 3.6 and later keep below uuid"
    )
    accounts_owner = Text(
        "accounts.owner", "", "the system user who owns all these maildrops; empty: whom the file names, else ourselves"
    )

    virtual_home = Path(
        "virtual.home",
        "",
        "popa3d's virtual homes: the folder of folders ADDRESS/auth and ADDRESS/mail, by the address that was called",
    )
    virtual_only = Switch("virtual.only", False, "whoever calls an address without such a folder cannot log in")

    mbox_separator = Choice(
        "mbox.separator",
        "strict",
        ["strict", "popa3d", "mailutils0", "mailutils3", "ucb"],
        "where a message begins in an mbox: a From_ line with a date after an empty line (strict), or by an old rule",
    )
    mbox_content_length = Switch(
        "mbox.content_length",
        False,
        "believe a Content-Length field that leads to a From_ line or the end; whoever sends mail writes them",
    )
    mbox_internal = Choice(
        "mbox.internal",
        "hidden",
        ["hidden", "shown"],
        "whether the message in which IMAP servers keep their own data (DON'T DELETE THIS MESSAGE) is shown",
    )

    locks_kinds = Names(
        "locks.kinds",
        ("dotlock", "fcntl"),
        "the locks a mailbox file is held by, taken in this order",
        ["dotlock", "fcntl", "flock"],
    )
    locks_dotlock = Choice(
        "locks.dotlock",
        "required",
        ["required", "try"],
        "where no dotlock can be made: refuse, or go on with the other kinds and say so in the log",
    )
    locks_timeout = Seconds("locks.timeout", 10, "how long to try for a lock that somebody holds", 0, 3600)
    locks_stale = Seconds(
        "locks.stale", 300, "when a dotlock whose holder cannot be looked for is too old to be held; 0: never"
    )

    user_options = Choice(
        "user_options",
        "off",
        ["off", "home", "spool", "both"],
        "whether a user's own options count: ~/.qpopper-options; .USER.qpopper-options beside the mailbox; both",
    )
    login_hook = Path(
        "login_hook", "", "a program that is run as the mail user at each login, with USER and IP in its environment"
    )

    xmit = Choice("xmit", "system-users", ["system-users", "all", "off"], "who may send mail by XTND XMIT")
    xmit_sender = Sender(
        "xmit_sender",
        "",
        "envelope sender of XTND XMIT, with %u user; empty: the mailer's own choice, the user who runs it",
    )
    limits_line = Octets("limits.line", 1024, "the longest command line, in octets", 128, 65536)
    limits_argument = Octets(
        "limits.argument", 0, "the longest argument but of PASS and AUTH, in octets; RFC 1939 has 40; 0: no other limit"
    )
    limits_sasl = Octets("limits.sasl", 16 << 10, "the longest line of an AUTH exchange, in octets", 1024, 1 << 20)
    limits_sessions = Whole("limits.sessions", 500, "sessions at once, standalone", 1, 1_000_000)
    limits_sessions_address = Whole(
        "limits.sessions_address", 100, "of these from one IPv4 address, or one IPv6 network of 64 bits; 0: no limit"
    )
    limits_sessions_proxy = Whole("limits.sessions_proxy", 0, "of these through one proxy; 0: no limit")
    limits_sessions_user = Whole(
        "limits.sessions_user", 10, "sessions of one user at once, with second_session = allowed; 0: no limit", 0, 1000
    )
    limits_unauthenticated = Whole(
        "limits.unauthenticated", 250, "sessions at once that have not logged in, standalone; 0: no limit"
    )
    limits_min_delay = Seconds(
        "limits.min_delay", 0, "how long a session counts at least, standalone: what comes and goes counts too", 0, 3600
    )
    limits_xmit_size = Octets("limits.xmit_size", 25 << 20, "the largest message by XTND XMIT")
    limits_xmit_seconds = Seconds("limits.xmit_seconds", 120, "how long the mailer may take for a message", 1)
    limits_xmit_messages = Whole("limits.xmit_messages", 50, "messages by XTND XMIT in a session")
    limits_xmit_recipients = Whole("limits.xmit_recipients", 200, "recipients by XTND XMIT in a session")
    limits_xmit_messages_hour = Whole("limits.xmit_messages_hour", 200, "messages by XTND XMIT of a user in an hour")
    limits_xmit_recipients_hour = Whole(
        "limits.xmit_recipients_hour", 500, "recipients by XTND XMIT of a user in an hour"
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

    def _agree(self) -> None:
        """Raises ConfigurationError for settings that are right one by one and wrong together."""
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


def table() -> "Iterator[Setting]":
    """Every setting, in the order of this page."""
    for row in vars(Settings).values():
        if isinstance(row, Setting):
            yield row


BY_NAME = {row.name: row for row in table()}


def parse(name: str, raw: object, origin: str) -> object:
    """The checked value of setting ``name``; raises ConfigurationError naming it and ``origin``."""
    row = BY_NAME.get(name)
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
    near = [row for row in BY_NAME if row.rpartition(".")[2] == last]  # as under a [table] that it is not of
    near = near or difflib.get_close_matches(wanted, BY_NAME, 1) or difflib.get_close_matches(last, BY_NAME, 1)
    words = f"did you mean {' or '.join(near)}? " if near else ""
    return words + "pop3d --dump-config=all lists them"
