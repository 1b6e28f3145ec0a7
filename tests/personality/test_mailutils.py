"""GNU mailutils' pop3d(8): each option of its two command lines, and each statement of its configuration.

Sources: the 2004 manual (0.6), --help and --config-help of 3.15, and what 3.15's --config-lint takes.
"""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from qpopper_py.errors import ConfigurationError
from qpopper_py.facts import Listener
from qpopper_py.personality import check, commandline, mailutils, report
from qpopper_py.personality.mailutils import files, line, rc, statements

if TYPE_CHECKING:
    from collections.abc import Callable

    from qpopper_py.personality.commandline import Invocation
    from qpopper_py.settings import Settings

PAGE = Path(__file__).resolve().parents[2] / "man/mailutils-pop3d.8"


@pytest.fixture(autouse=True)
def no_site_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The site-wide file is one of the test's own, which is not there."""
    site = tmp_path / "mailutils.conf"
    monkeypatch.setattr(files, "SITE", str(site))
    monkeypatch.setattr(rc, "RC", str(tmp_path / "mailutils.rc"))
    monkeypatch.chdir(tmp_path)
    return site


def read(*argv: str) -> Invocation:
    return commandline.read(["--personality", "mailutils", "--qp-config", "none", *argv], {}, euid=1000)


def settings(*argv: str) -> Settings:
    return read(*argv).settings


def refusal(*argv: str) -> str:
    with pytest.raises(ConfigurationError) as error:
        read(*argv)
    return str(error.value)


@pytest.fixture
def conf(tmp_path: Path) -> Callable[..., Invocation]:
    """What a configuration of that text makes."""

    def make(text: str, *argv: str) -> Invocation:
        (tmp_path / "pop3d.conf").write_text(text)
        return read(f"--config-file={tmp_path}/pop3d.conf", *argv)

    return make


def test_without_options_it_serves_the_one_connection_as_mailutils_did() -> None:
    plain = read()
    made = plain.settings
    assert plain.inetd
    assert (made.pam_service, made.timeout, made.mbox_separator, made.uidl) == (
        "gnu-pop3d",
        600,
        "mailutils3",
        "mailutils3",
    )
    assert (made.mbox_internal, made.deletion_marks, made.commands) == ("shown", "deleted", "original")


@pytest.mark.parametrize(
    ("argv", "name", "value"),
    [
        (["-t", "60"], "timeout", 60),
        (["-t60"], "timeout", 60),
        (["--timeout=60"], "timeout", 60),
        (["--time", "60"], "timeout", 60),
        (["-m", "/var/spool/mail"], "spool", "/var/spool/mail"),
        (["--mail-spool=mbox:///var/spool/mail/"], "spool", "/var/spool/mail"),
        (["-m", "maildir:/var/spool/mail"], "maildrop", "maildir:/var/spool/mail/%u"),
        (["-x"], "debug", True),
        (["--transcript"], "debug", True),
        (["-P", "/run/pop3d.pid"], "serve_pid_file", "/run/pop3d.pid"),
        (["-u"], "deletion_marks", "ignored"),
        (["--undelete"], "deletion_marks", "ignored"),
        (["--login-delay=300"], "login_delay", 300),
        (["--stat-file=/var/run/pop3-login"], "login_delay_import", "/var/run/pop3-login"),
        (["--expire=7"], "expire", "7"),
        (["--expire=7", "--delete-expired"], "delete_expired", True),
        (["--expire=0"], "delete_expired", True),
        (["--tls-required"], "auth_cleartext", "tls"),
        (["--ssl-cert=/etc/x.pem"], "tls_certificate", "/etc/x.pem"),
        (["--ssl-key=/etc/x.key"], "tls_key", "/etc/x.key"),
        (["--ssl-cafile=/etc/ca.pem"], "tls_ca", "/etc/ca.pem"),
        (["--authentication=pam:system"], "auth_sources", ("mailauth", "pam", "unix")),
        (["--pam-service=x"], "pam_service", "x"),
        (["--lock-retry-count=5", "--lock-retry-timeout=3"], "locks_timeout", 15),
        (["--lock-retry-count=5"], "locks_timeout", 5),
        (["--lock-expire-timeout=90"], "locks_stale", 90),
        ([], "locks_stale", 600),
        (["--lock-flags=RTP"], "locks_stale", 600),
        (["--lock-flags=RTP"], "locks_timeout", 10),
        (["--lock-flags=TP"], "locks_timeout", 0),
        (["--lock-flags=RP"], "locks_stale", 0),
        (["--lock-flags=T", "--lock-retry-count=5"], "locks_timeout", 5),
        (["--log-facility=LOCAL3"], "log_facility", "local3"),
        (["-d5"], "limits_sessions", 5),
        (["--daemon=5"], "limits_sessions", 5),
        (["-d"], "listen", (Listener(":110"),)),
        (["-d", "-p", "1110"], "listen", (Listener(":1110"),)),
        (["-d"], "serve_background", True),
        (["-d", "--foreground"], "serve_background", False),
        (["-d"], "hosts_access", "on"),
        (["--set", ".timeout=77"], "timeout", 77),
        (["--set", "mailbox.mail-spool=/x"], "spool", "/x"),
        (["-m", "/x"], "uidl", "mailutils0"),
        (["-m", "/x"], "mbox_separator", "mailutils0"),
        (["-d"], "uidl", "mailutils3"),
    ],
)
def test_an_option_does_what_the_manual_says(argv: list[str], name: str, value: object) -> None:
    assert getattr(settings(*argv), name) == value


@pytest.mark.parametrize("argv", [["-di"], ["-d10x"], ["-d", "10"]])
def test_the_number_of_children_is_attached(argv: list[str]) -> None:
    refusal(*argv)


def test_i_wins_over_a_daemon() -> None:
    assert read("-d", "-i").inetd
    assert read("-i", "--set", ".mode=daemon").inetd


@pytest.mark.parametrize(
    ("argv", "action"),
    [
        (["-h"], "help"),
        (["-?"], "help"),
        (["--help"], "help"),
        (["--usage"], "help"),
        (["-v"], "version"),
        (["-V"], "version"),
        (["--version"], "version"),
        (["--license"], "license"),
        (["--config-help"], "config-help"),
        (["--show-config-options"], "show-config-options"),
        (["--config-lint"], "check-config"),
    ],
)
def test_an_option_that_prints_is_an_action(argv: list[str], action: str, capsys: pytest.CaptureFixture[str]) -> None:
    asked = read(*argv)
    assert asked.action == action
    report.answer(asked)
    assert capsys.readouterr().out


@pytest.mark.parametrize(
    "name", ["interface", "getpwnam", "getpwuid", "getpass", "host", "user", "passwd", "db", "port"]
)
def test_sql_is_refused_and_why_is_said(name: str) -> None:
    told = refusal(f"--sql-{name}=x")
    assert "is refused: no SQL database is asked here; write a query's rows into accounts.file" in told
    assert "pam_mysql.so in /etc/pam.d/gnu-pop3d" in told


@pytest.mark.parametrize("module", ["sql", "ldap", "radius"])
def test_modules_that_we_have_not_are_refused_by_name(module: str) -> None:
    assert f"names {module}, which is refused" in refusal(f"--authentication=pam:{module}")


@pytest.mark.parametrize("argv", [["--external-locker=/x"], ["--lock-flags=RE"]])
def test_an_external_locker_is_refused(argv: list[str]) -> None:
    assert "refused" in refusal(*argv)


@pytest.mark.parametrize("name", sorted(line.IDLE))
def test_an_option_without_effect_is_told_by_check_config(name: str) -> None:
    row = next(row for row in mailutils.OPTIONS if row.long == name)
    value = {"stat-file": "/x"}.get(name, "1") if row.value else ""
    asked = read(f"--{name}={value}" if value else f"--{name}", "--config-lint")
    told = [str(one) for one in check.findings(asked, os.geteuid())]
    assert f"hint: --{name} has no effect: {line.IDLE[name]}" in told


def test_an_operand_is_refused() -> None:
    assert "'10' is no option" in refusal("-d", "10")


# Statements


@pytest.mark.parametrize(
    ("text", "name", "value"),
    [
        ("timeout 60;", "timeout", 60),
        ('timeout "5 minutes";', "timeout", 300),
        ("timeout 1 hour 5 min;", "timeout", 3900),
        ("max-children 7;", "limits_sessions", 7),
        ("pidfile /run/x.pid;", "serve_pid_file", "/run/x.pid"),
        ("transcript yes;", "debug", True),
        ("undelete yes;", "deletion_marks", "ignored"),
        ("undelete no;", "deletion_marks", "deleted"),
        ("expire 5;", "expire", "5"),
        ("expire 0;", "delete_expired", True),
        ("expire 5; delete-expired on;", "delete_expired", True),
        ("scan-lines t;", "scan_lines", True),
        ("login-delay 300;", "login_delay", 300),
        ("stat-file /x;", "login_delay_import", "/x"),
        ('bulletin-source "mbox:///var/bulletins";', "bulletins_source", "/var/bulletins"),
        ("bulletin-db /x;", "bulletins_database", "/x"),
        ("tls-mode no;", "tls_mode", "no"),
        ("tls-mode ondemand;", "tls_mode", "starttls"),
        ("tls-mode stls;", "tls_mode", "starttls"),
        ("tls-mode yes;", "tls_mode", "starttls"),
        ("tls-mode required;", "auth_cleartext", "tls"),
        ("tls-mode connection;", "tls_mode", "implicit"),
        ("tls { ssl-certificate-file /c; };", "tls_certificate", "/c"),
        ("tls { ssl-key-file /k; };", "tls_key", "/k"),
        ("tls { ssl-ca-file /a; };", "tls_ca", "/a"),
        ("tls { handshake-timeout 20; };", "tls_handshake_timeout", 20),
        ("pam { service x; };", "pam_service", "x"),
        ("auth { authentication pam:system; authorization system; }", "auth_sources", ("mailauth", "pam", "unix")),
        (
            "auth { authentication pam; authentication clear; authentication system; }",
            "auth_sources",
            ("mailauth", "unix"),
        ),
        ("virtdomain { passwd-dir /etc/domains; };", "accounts_domains", "/etc/domains"),
        ("virtdomain { passwd-dir /etc/domains; };", "accounts_maildrop", "mbox:%h/INBOX"),
        ("mailbox { mail-spool /x; };", "spool", "/x"),
        ('mailbox { mailbox-pattern "maildir:/x/${user}"; };', "maildrop", "maildir:/x/%u"),
        ('mailbox { mailbox-pattern "/x;user=${user}"; };', "maildrop", "/x/%u"),
        ('mailbox { mailbox-pattern "maildir:${home}/Maildir"; };', "maildrop", "maildir:%h/Maildir"),
        ("mailbox { mail-spool /x; mailbox-type maildir; };", "maildrop", "maildir:/x/%u"),
        (
            'mailbox { mailbox-type maildir; mailbox-pattern "/h/${user}/.maildir"; };',
            "maildrop",
            "maildir:/h/%u/.maildir",
        ),
        (
            'mailbox { mailbox-pattern "/h/${user}/.maildir"; mailbox-type maildir; };',
            "maildrop",
            "maildir:/h/%u/.maildir",
        ),
        ('mailbox { mailbox-pattern "/h/${user}"; mailbox-type mbox; };', "maildrop", "mbox:/h/%u"),
        ("mode daemon; server 0.0.0.0:1110 { };", "listen", (Listener("0.0.0.0:1110"),)),
        ("locking { type kernel; };", "locks_kinds", ("fcntl",)),
        ("locking { type dotlock; };", "locks_kinds", ("dotlock", "fcntl")),
        ("locking { retry-count 4; retry-sleep 2; };", "locks_timeout", 8),
        ("locking { retry-count 4; retry-timeout 3; };", "locks_timeout", 12),
        ("locking { expire-timeout 90; };", "locks_stale", 90),
        ("locking { expire-timeout 5 minutes; };", "locks_stale", 300),
        ("logging { facility local3; };", "log_facility", "local3"),
        ("logging { syslog no; };", "log_to", "stderr"),
        ("logging { tag foo; };", "log_ident", "foo"),
        ("logging { severity WARNING; };", "log_severity", "warning"),
        ("logging { print-severity yes; };", "log_prefix", ("severity",)),
        ("logging { print-severity yes; session-id yes; };", "log_prefix", ("session", "severity")),
        ("logging { session-id yes; session-id no; };", "log_prefix", ()),
        ("tcp-wrappers { daemon x; };", "hosts_access_daemon", "x"),
        ("tcp-wrappers { allow-table /a; };", "hosts_access_allow", "/a"),
        ("tcp-wrappers { deny-table /d; };", "hosts_access_deny", "/d"),
        ("mode daemon;", "hosts_access", "on"),
        ("mode daemon; tcp-wrappers { enable no; };", "hosts_access", "off"),
        ("mode daemon; port 1110;", "listen", (Listener(":1110"),)),
        ("mode daemon; port pop3s;", "listen", (Listener(":995"),)),
        ("mode daemon; foreground yes;", "serve_background", False),
        ("mode daemon; server 127.0.0.1:1110 { }", "listen", (Listener("127.0.0.1:1110"),)),
        ("mode daemon; server 127.0.0.1 { } port 1110;", "listen", (Listener("127.0.0.1:1110"),)),
        ('mode daemon; server "[::1]:1110" { };', "listen", (Listener("[::1]:1110"),)),
        ("mode daemon; server { };", "listen", (Listener(":110"),)),
        ("mode daemon; server :995 { tls-mode connection; };", "listen", (Listener(":995", tls="implicit"),)),
        (
            "mode daemon; server :110 { tls-mode required; }; server :995 { tls-mode connection; };",
            "listen",
            (Listener(":110", tls="starttls", cleartext="tls"), Listener(":995", tls="implicit")),
        ),
        ("server :110 { timeout 30; };", "timeout", 30),
        ("server :110 { transcript yes; };", "debug", True),
        ("acl { allow from 10.0.0.0/8; deny any; };", "access", ("allow 10.0.0.0/8", "deny any")),
        ("acl { log 10.0.0.0/255.0.0.0; };", "access", ("log 10.0.0.0/8",)),
        ('acl { log from any "Connect from ${address}"; };', "access", ("log any Connect from ${address}",)),
        ("acl { exec from ::1 /bin/x a b; };", "access", ("exec ::1/128 /bin/x a b",)),
        (
            "acl { ifexec any \"/bin/x 'a b' ${port}\" c; };",
            "access",
            ("ifexec any /bin/x 'a b' ${port} c",),
        ),
        (
            "mode daemon; server :110 { acl { deny 192.0.2.1; }; };",
            "listen",
            (Listener(":110", access=("deny 192.0.2.1/32",)),),
        ),
        (
            "mode daemon; server :1 { acl { deny any; }; }; acl { log any; }; server :2 { acl { allow ::1; }; };",
            "listen",
            (Listener(":1", access=("deny any",)), Listener(":2", access=("allow ::1/128",))),
        ),
    ],
)
def test_a_statement_does_what_the_manual_says(
    conf: Callable[..., Invocation], text: str, name: str, value: object
) -> None:
    assert getattr(conf(text).settings, name) == value


@pytest.mark.parametrize("path", [path for path, row in statements.TABLE.items() if row.kind == "no effect"])
def test_a_statement_without_effect_is_told_by_check_config(conf: Callable[..., Invocation], path: str) -> None:
    block, _, word = path.rpartition(".")
    if statements.TABLE.get(block, statements.BLOCK).kind == "no effect":
        path, word, block = block, block, ""
    row = statements.TABLE[path]
    one = f"{word} {{ }};" if row.block else f"{word} /x;"
    told = [str(finding) for finding in check.findings(conf(f"{block} {{ {one} }}" if block else one), os.geteuid())]
    assert [one for one in told if f"line 1: {word}: has no effect: {row.why}" in one]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("\n\nfrob 3;", "line 3: frob: there is no such statement"),
        ("pam { frob 3; };", "line 1: frob: there is no such statement"),
        ("timout 3;", "did you mean timeout?"),
        ("timeout 3", "line 1: timeout: a ; behind it is missing before the end of the file"),
        ("undelete;", "a value is missing"),
        ("pam { service x;\n", "line 2: the file ends within a block"),
        ("timeout 3; }", "'}' where a statement begins"),
        ("timeout 5m;", "timeout: '5m' is not a whole number"),
        ("undelete maybe;", "undelete: 'maybe' is neither yes nor no"),
        ("pam service;", "pam: is a block"),
        ("timeout { };", "timeout: is no block"),
        ("mode frob;", "mode: 'frob' is none of"),
        ("port 99999;", "port: '99999' is not a number up to 65535"),
        ("pidfile '/x';", "stray character"),
        ('pidfile "/x;', "does not end"),
        ("/* x", "the comment that begins there does not end"),
        ("locking { type null; };", "without a lock a delivery could damage the mailbox"),
        ("locking { external-locker /x; };", "external-locker: '/x' is refused"),
        ("acl { exec any x; };", "exec: 'x': a program is named by its absolute path"),
        ('acl { ifexec any "/bin/x ${user}"; };', "there is no variable ${user}, only aclno, address, family, port"),
        ("acl { ifexec any; };", "ifexec: '': a program is named by its absolute path"),
        ('acl { exec any "/bin/x \'a"; };', "No closing quotation"),
        (r'acl { exec any "/bin/x \\n"; };', "holds an escape of C"),
        ("acl { allow any 10.0.0.1; };", "nothing follows the network of allow"),
        ("acl { deny unix; };", "'unix' is neither an address nor a network"),
        ("auth { authentication ldap; };", "names ldap, which is refused: no LDAP server is asked here; name pam"),
        ("auth { authentication ldap; };", "pam_ldap.so in /etc/pam.d/gnu-pop3d (pam.service) and ldap in nsswitch"),
        ("auth { authentication sql:pam; };", "pam_mysql.so in /etc/pam.d/gnu-pop3d (pam.service)"),
        ("auth { authorization radius; };", "pam_radius_auth.so in /etc/pam.d/gnu-pop3d (pam.service)"),
        ("mailbox { mailbox-type mh; };", "'mh' is a kind of mailbox that is not read here"),
        ('mailbox { mailbox-pattern "/x;type=index;param=2;user=${user}"; };', "hash_spool"),
        ("logging { facility frob; };", "log.facility = 'frob'"),
        ('include "/nonexistent";', "there is no file or folder /nonexistent"),
    ],
)
def test_what_is_wrong_is_told_with_its_line(conf: Callable[..., Invocation], text: str, words: str) -> None:
    with pytest.raises(ConfigurationError) as error:
        conf(text)
    assert words in str(error.value)


def test_in_the_site_wide_file_a_program_block_counts_for_its_program(no_site_file: Path) -> None:
    no_site_file.write_text(
        "pam { service all; };\nprogram imap4d { frob 1; };\nprogram pop3d {\n timeout 60; };\n"
        "program pop3d imap4d { transcript yes; }\n"
    )
    made = settings()
    assert (made.pam_service, made.timeout, made.debug) == ("all", 60, True)
    assert made.origins["timeout"] == f"{no_site_file} line 4, timeout"


@pytest.mark.parametrize("option", ["--no-config", "--no-site-config", "--no-site"])
def test_the_site_wide_file_can_be_left_out(no_site_file: Path, option: str) -> None:
    no_site_file.write_text("timeout 60;")
    assert settings(option).timeout == 600


def test_a_file_that_is_named_is_read_instead(no_site_file: Path, conf: Callable[..., Invocation]) -> None:
    no_site_file.write_text("timeout 60;")
    assert conf("debug { level x; };").settings.timeout == 600


def test_a_program_block_in_another_file_has_no_effect_as_there(conf: Callable[..., Invocation]) -> None:
    made = conf("program pop3d { timeout 60; };")
    assert made.settings.timeout == 600
    assert "it counts in the site-wide file alone" in made.notes[0]


def test_files_and_folders_are_included(no_site_file: Path, tmp_path: Path) -> None:
    (tmp_path / "more").mkdir()
    (tmp_path / "more/pop3d").write_text("timeout 60;")
    (tmp_path / "other.conf").write_text("transcript yes;")
    no_site_file.write_text(f'include "{tmp_path}/more";\ninclude "{tmp_path}/other.conf";\n')
    made = settings()
    assert (made.timeout, made.debug) == (60, True)


def test_a_distributions_file_is_read(no_site_file: Path, tmp_path: Path) -> None:
    """Gentoo's: Maildirs at home, and a folder of the programs' own files, which has none of ours."""
    (tmp_path / "mailutils.d").mkdir()
    no_site_file.write_text(
        "# Sample mailutils config file.  Read by all mailutils programs.\n"
        'mailbox {\n  mailbox-type maildir;\n  mailbox-pattern "/home/${user}/.maildir";\n'
        '  # mailbox-pattern "/var/mail/${user}";\n};\n\n'
        f"# Place individual config files here\ninclude {tmp_path}/mailutils.d/;\n"
    )
    made = read()
    assert made.settings.maildrop == "maildir:/home/%u/.maildir"
    assert "has no effect: there is no" in made.notes[0]


def test_what_other_programs_of_mailutils_need_may_stand_in_the_site_wide_file(no_site_file: Path) -> None:
    no_site_file.write_text('address { email-domain x.org; };\nmailer { url "sendmail:///usr/sbin/sendmail"; };\n')
    assert len(read().notes) == 2


def test_a_file_that_includes_itself_is_refused(no_site_file: Path) -> None:
    no_site_file.write_text(f'include "{no_site_file}";')
    assert "files include each other too deeply" in refusal()


def test_the_command_line_wins_over_the_file(conf: Callable[..., Invocation]) -> None:
    assert conf("timeout 60;", "-t", "90").settings.timeout == 90
    assert conf("timeout 60;", "--set", ".timeout=90").settings.timeout == 90


def test_pop3d_toml_wins_over_mailutils_conf(conf: Callable[..., Invocation], tmp_path: Path) -> None:
    (tmp_path / "ours.toml").write_text("timeout = 120\n")
    (tmp_path / "pop3d.conf").write_text("timeout 60;")
    line = [
        "--personality",
        "mailutils",
        "--qp-config",
        f"{tmp_path}/ours.toml",
        f"--config-file={tmp_path}/pop3d.conf",
    ]
    assert commandline.read(line, {}, euid=1000).settings.timeout == 120


def test_a_port_on_the_command_line_keeps_the_rules_of_the_one_server(conf: Callable[..., Invocation]) -> None:
    made = conf("server :995 { acl { deny any; }; };", "-d", "-p", "1110").settings
    assert made.listen == (Listener(":1110", access=("deny any",)),)
    with pytest.raises(ConfigurationError, match="in the place of several whose acl differ"):
        conf("server :1 { acl { deny any; }; }; server :2 { };", "-d", "-p", "1110")


def test_the_log_has_the_words_of_the_version_that_is_replaced() -> None:
    assert (settings().log_style, settings().log_ident) == ("mailutils", "pop3d")
    older = settings("-t", "60")
    assert (older.log_style, older.log_ident) == ("mailutils0", "gnu-pop3d")


def test_config_verbose_tells_what_each_statement_became(conf: Callable[..., Invocation]) -> None:
    assert "line 1: timeout: is timeout = 60" in conf("timeout 60;", "--config-verbose").notes[0]


# /etc/mailutils.rc of 0.6


def test_options_may_stand_in_a_file(tmp_path: Path) -> None:
    (tmp_path / "mailutils.rc").write_text(
        "# pop3d --frob\n:mailbox --mail-spool=/x --folder=/y\n:mailbox --mail-spool /var/spool/mail\n"
        "imap4d --frob\n  pop3d --daemon=5 \\\n  --timeo\\\n# between\n\n  ut=60 -p 1110\n"
    )
    made = read()
    assert (made.settings.spool, made.settings.timeout, made.settings.limits_sessions) == ("/var/spool/mail", 60, 5)
    assert made.settings.listen == (Listener(":1110"),)
    assert made.settings.uidl == "mailutils0"
    assert made.settings.origins["timeout"] == f"{tmp_path}/mailutils.rc line 5"
    assert any("line 2 has no effect" in note for note in made.notes)
    assert settings("-t", "90").timeout == 90
    assert settings("--no-config").timeout == 600


@pytest.mark.parametrize(
    ("key", "counts"),
    [
        *(("pop3d", True), ("pop3", True), ("pop3d-x", False), ("mailutils", False), ("imap4d", False)),
        *(
            (":mailbox", True),
            (":daemon", True),
            (":logging", True),
            (":da", True),
            (":mailer", False),
            (":sieve", False),
        ),
    ],
)
def test_a_line_is_for_programs_of_that_name_or_group(tmp_path: Path, key: str, counts: bool) -> None:
    """read_rc() of mu_argp.c: the key is the beginning of the program's name, or of that of a group that it has."""
    (tmp_path / "mailutils.rc").write_text(f"{key} --timeout=60\n")
    assert settings().timeout == (60 if counts else 600)


def test_a_hash_within_a_line_is_no_comment(tmp_path: Path) -> None:
    (tmp_path / "mailutils.rc").write_text("pop3d --mail-spool=/var/mail#1 -x\n")
    assert settings().spool == "/var/mail#1"
    assert settings().debug is True


@pytest.mark.parametrize("text", ["timeout 60;", "# ours\n\nprogram pop3d {\n  timeout 60;\n};\n", "timeout\n60\n;"])
def test_a_file_of_that_name_may_be_in_the_language_of_later_versions(tmp_path: Path, text: str) -> None:
    """Manual of 3.15, "Mailutils Configuration File": without mailutils.conf mailutils.rc is used in its place."""
    (tmp_path / "mailutils.rc").write_text(text)
    made = settings()
    assert (made.timeout, made.uidl) == (60, "mailutils3")
    assert settings("--no-config").timeout == 600


def test_a_file_that_the_command_line_names_may_be_of_0_6(tmp_path: Path) -> None:
    (tmp_path / "old.rc").write_text("# ours\npop3d --timeout=60\n")
    made = settings(f"--config-file={tmp_path}/old.rc", "--set", ".undelete=yes")
    assert (made.timeout, made.uidl, made.deletion_marks) == (60, "mailutils0", "ignored")
    assert "there is no such file" in refusal("--config-file=nowhere")


@pytest.mark.parametrize("text", ["timeout 60;", "pop3d -t 60"])
def test_beside_mailutils_conf_it_is_ignored(no_site_file: Path, tmp_path: Path, text: str) -> None:
    """The same: "legacy configuration file ... ignored"."""
    (tmp_path / "mailutils.rc").write_text(text)
    no_site_file.write_text("undelete yes;")
    made = read()
    assert made.settings.timeout == 600
    assert any("mailutils.rc has no effect" in note for note in made.notes)


@pytest.mark.parametrize("text", ["pop3d --frob", "pop3d --sql-host=x", "pop3d -x word", 'pop3d -x "'])
def test_what_is_wrong_in_that_file_is_told_with_its_line(tmp_path: Path, text: str) -> None:
    (tmp_path / "mailutils.rc").write_text(f"\n{text}\n")
    assert refusal().startswith(f"{tmp_path}/mailutils.rc line 2: ")


# The manual


def rows(page: str, macro: str) -> dict[str, str]:
    """What stands behind each ``.It MACRO ...`` of the page, up to the next."""
    found = re.findall(rf"^\.It {macro} (.*)\n((?:(?!\.It|\.El).*\n)*)", page, re.M)
    return {name.split(" ")[0].replace("\\&", ""): " ".join(text.split()) for name, text in found}


def test_the_manual_has_every_option() -> None:
    told = PAGE.read_text()
    for row in mailutils.OPTIONS:
        for spelt in row.spellings:
            assert re.search(rf"^\.It.* Fl {re.escape(spelt[1:])}( |$)", told, re.M), spelt


@pytest.mark.parametrize("name", sorted(line.IDLE))
def test_the_manual_says_why_an_option_has_no_effect(name: str) -> None:
    text = re.search(rf"^\.It.* Fl -{name}( .*)?\n((?:(?!\.It).*\n)*)", PAGE.read_text(), re.M)
    assert text
    assert f"Accepted, no effect: {line.IDLE[name]}." in " ".join(text[2].split())


@pytest.mark.parametrize(("path", "row"), statements.TABLE.items(), ids=list(statements.TABLE))
def test_the_manual_has_every_statement_and_what_it_is(path: str, row: statements.Row) -> None:
    told = rows(PAGE.read_text(), "Ic")[path]
    if row.kind == "works":
        assert told.startswith("Works")
        assert not row.setting or f".Va {row.setting}" in told
    else:
        kind = {"no effect": "Accepted, no effect", "refused": "Refused"}[row.kind]
        assert told.startswith(f"{kind}: {row.why}")


def test_the_manual_has_no_statement_that_there_is_not() -> None:
    assert set(rows(PAGE.read_text(), "Ic")) == {*statements.TABLE, "include", "program"}
