"""The settings that the greeting does without; the others, and what a setting is, are in :mod:`~qpopper_py.settings`.

They are read when one of them is first asked for or set, which is most often while the client reads its greeting.
"""

from qpopper_py.kinds import WEEK, Choice, Host, Names, Networks, Path, Seconds, Switch, Text, Whole
from qpopper_py.listeners import AccessRules, Listeners, ServerNames
from qpopper_py.special_kinds import (
    Days,
    FileName,
    LoginTimes,
    Moment,
    NeededPath,
    Octets,
    Place,
    Sender,
    Url,
    Word,
)


class Tunables:
    """Rows, as those of :class:`~qpopper_py.settings.Settings`, which they join there."""

    commands = Choice(
        "commands",
        "all",
        ["all", "original"],
        "commands that the old program had not (CAPA, STLS, AUTH, ...): served as well; or refused, as it refused them",
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
    login_timeout = Seconds("login_timeout", 60, "how long a client may take to log in", 1)
    login_delay = Seconds(
        "login_delay", 0, "how long after the end of a session its user may not log in again; 0: not at all"
    )
    login_delay_padding = Whole(
        "login_delay_padding",
        1,
        "so many sessions may follow each other at once, after as many delays without",
        1,
        1000,
    )
    login_delay_announced = Seconds(
        "login_delay_announced", 0, "what CAPA says of it (LOGIN-DELAY), enforced or not; 0: what login_delay is"
    )
    login_delay_import = Path(
        "login_delay_import", "", "the old server's database of when sessions ended, for qpopper-py login-delays"
    )
    transfer_timeout = Seconds("transfer_timeout", 120, "how long a client may accept nothing of a transfer", 1)
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
    trace_bodies = Switch("trace.bodies", False, "write message bodies to the trace, not only their size")
    trace_users = Names("trace.users", (), "trace these users only")
    trace_addresses = Networks("trace.addresses", (), "trace these client addresses or networks (10.1.0.0/16) only")
    auth_mechanisms = Names(
        "auth.mechanisms",
        (),
        "the SASL mechanisms that AUTH offers, of those that can succeed; empty: all but SCRAM-MD5",
        [
            "SCRAM-SHA-256-PLUS",
            "SCRAM-SHA-1-PLUS",
            "GSSAPI",
            "SCRAM-SHA-256",
            "SCRAM-SHA-1",
            "SCRAM-MD5",
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
    auth_minimum_layer = Whole(
        "auth.minimum_layer", 0, "strength (SSF, bits of TLS) without which AUTH has no mechanism; 0: none", 0, 100_000
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
    subfolders = Choice(
        "subfolders",
        "no",
        ["no", ".", "/"],
        "USER+FOLDER opens a folder of the user's, levels parted so",
    )
    auth_lowercase_user = Switch(
        "auth.lowercase_user", False, "turn user names to lower case before they are looked up"
    )
    auth_strip_domain = Switch("auth.strip_domain", False, "cut a user name at its @ before it is looked up")
    auth_default_domain = Host("auth.default_domain", "", "a user name at this domain is the name without it")
    auth_domains = Names("auth.domains", (), "user names at other domains than these are refused; empty: none is")
    auth_auth_file = Path("auth.auth_file", "", "only users whose name is a line of this file may log in")
    auth_nonauth_file = Path("auth.nonauth_file", "", "users whose name is a line of this file may not log in")
    auth_deny_db = Path("auth.deny_db", "", "Cyrus' user_deny.db, flat: who may not log in, and what they are told")
    auth_deny_service = Word("auth.deny_service", "pop3", "the service that we are in auth.deny_db")
    auth_password_age = Switch(
        "auth.password_age", True, "a login password that its owner should have changed by now is refused"
    )
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
    access = AccessRules(
        "access", (), "listening: who may connect, by the first rule that fits; none: whoever no rule denies"
    )
    hosts_access_daemon = Word("hosts_access_daemon", "pop3d", "the name by which these tables know the server")
    hosts_access_allow = Path("hosts_access_allow", "/etc/hosts.allow", "who is let in, hosts_access(5)")
    hosts_access_deny = Path("hosts_access_deny", "/etc/hosts.deny", "of the others, who is not")
    tls_certificate = Path(
        "tls.certificate", "", "the server's certificate and those above it, PEM; none: there is no TLS"
    )
    tls_key = Path("tls.key", "", "its private key, PEM; empty: in the file of the certificate")
    tls_passphrase_file = Path(
        "tls.passphrase_file", "", "the file whose first line is the passphrase of the keys that have one, mode 0600"
    )
    tls_sni = ServerNames("tls.sni", (), "certificates for clients that ask for another name")
    tls_ciphers = Text("tls.ciphers", "", "OpenSSL's list of ciphers for TLS up to 1.2; empty: good ones")
    tls_client_certificates = Choice(
        "tls.client_certificates",
        "no",
        ["no", "ask", "require"],
        "ask clients for a certificate, which tls.ca must have signed; or end a handshake without one",
    )
    tls_ca = Path(
        "tls.ca", "", "the authorities whose signature counts on clients' certificates, PEM: a file or a folder"
    )
    tls_crl = Path("tls.crl", "", "certificates of clients that were revoked, PEM: a list (CRL) of each authority")
    tls_certificate_user = Choice(
        "tls.certificate_user",
        "email",
        ["email", "cn", "uid"],
        "what of a client's certificate is the user: the first mail address (subjectAltName), common name, or user id",
    )
    tls_required = Switch("tls.required", False, "without TLS nobody logs in, whatever the mechanism")
    tls_handshake_timeout = Seconds("tls.handshake_timeout", 30, "how long a client may take to begin TLS", 1, 600)
    tls_handshakes = Whole("tls.handshakes", 100, "handshakes under way at once, standalone", 1, 10000)
    proxy_timeout = Seconds("proxy.timeout", 5, "how long a proxy may take for its header", 1, 60)
    proxy_tls = Switch(
        "proxy.tls", False, "believe a proxy that says that the client came by TLS: passwords are not in the clear then"
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
    accounts_mailbox_acl = Choice(
        "accounts.mailbox_acl",
        "no",
        ["no", "users", "groups"],
        "only whom the ACL in accounts.mailboxes_db lets read a mailbox may open it; users: its groups do not count",
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
