"""Cyrus' pop3d(8) and imapd.conf(5): each option and directive, what it does here or why it does nothing."""

from __future__ import annotations

import os
import re
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given
from hypothesis import settings as settings_of_hypothesis
from hypothesis import strategies as st

from qpopper_py import settings as table
from qpopper_py.errors import ConfigurationError
from qpopper_py.personality import check, commandline, cyrus
from qpopper_py.personality.cyrus import cyrus_conf, directives, lines
from qpopper_py.settings import Settings

PAGE = Path(__file__).resolve().parents[2] / "man/cyrus-pop3d.8"
# What Debian's cyrus-common installs as /etc/imapd.conf (2.4), comments left out.
DEBIAN = """\
configdirectory: /var/lib/cyrus
defaultpartition: default
partition-default: /var/spool/cyrus/mail
partition-news: /var/spool/cyrus/news
newsspool: /var/spool/news
altnamespace: no
unixhierarchysep: no
lmtp_downcase_rcpt: yes
allowanonymouslogin: no
popminpoll: 1
autocreatequota: 0
umask: 077
sieveusehomedir: false
sievedir: /var/spool/sieve
hashimapspool: true
allowplaintext: yes
sasl_pwcheck_method: auxprop
sasl_auto_transition: no
tls_ca_path: /etc/ssl/certs
tls_session_timeout: 1440
tls_cipher_list: TLSv1+HIGH:!aNULL:@STRENGTH
lmtpsocket: /var/run/cyrus/socket/lmtp
idlesocket: /var/run/cyrus/socket/idle
notifysocket: /var/run/cyrus/socket/notify
syslog_prefix: cyrus
"""


def read(*argv: str, environ: dict[str, str] | None = None) -> commandline.Invocation:
    line = ["--personality", "cyrus", "--config", "none", *argv]
    return commandline.read(line, environ or {}, euid=os.geteuid())


def conf(folder: Path, text: str, *argv: str, environ: dict[str, str] | None = None) -> commandline.Invocation:
    path = folder / "imapd.conf"
    path.write_text(text)
    return read("-C", str(path), *argv, environ=environ)


def refusal(folder: Path, text: str, *argv: str) -> str:
    with pytest.raises(ConfigurationError) as error:
        conf(folder, text, *argv)
    return str(error.value)


@pytest.fixture(autouse=True)
def no_cyrus_here(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever is installed on this host."""
    monkeypatch.setattr(cyrus, "IMAPD_CONF", "/nonexistent/imapd.conf")
    monkeypatch.setattr(cyrus_conf, "PATH", "/nonexistent/cyrus.conf")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    tmp_path.chmod(0o700)
    return tmp_path


def value(settings: Settings, name: str) -> object:
    return table.rows()[name].value(settings)


# ---------------------------------------------------------------------------------------------------------------
# The command line


def test_the_letters_are_those_of_the_manual() -> None:
    letters = "".join(row.letter + (":" if row.value else "") for row in cyrus.OPTIONS)
    assert sorted(re.findall(r".:?", letters)) == sorted(re.findall(r".:?", "C:U:T:DXskp:H"))


@pytest.mark.parametrize(
    ("argv", "name", "expected"),
    [
        (["-U", "5"], "prefork.reuse", 5),
        (["-U", "0"], "prefork.reuse", 1),
        (["-T", "0"], "serve.idle", 0),
        (["-T", "30"], "serve.idle", 30),
        (["-s"], "tls.mode", "implicit"),
        (["-p", "2"], "outer_layer", 2),
        (["-k"], "kpop", True),
        (["-k"], "auth.sources", ("kerberos",)),
        (["-H"], "proxy.networks", ("0.0.0.0/0", "::/0")),
        ([], "prefork.reuse", 250),
        ([], "serve.idle", 60),
        ([], "outer_layer", 0),
        ([], "uidl", "cyrus"),
        ([], "timeout", 600),
    ],
)
def test_an_option_does_what_the_manual_says(argv: list[str], name: str, expected: object) -> None:
    assert value(read(*argv).settings, name) == expected


def test_x_serves_descriptor_0_whoever_started_it() -> None:
    assert read("-X").attached
    assert not read().attached


@pytest.mark.parametrize("argv", [["-U", "many"], ["-T", "-5"], ["-p", "strong"], ["-C", ""], ["-z"], ["word"]])
def test_what_is_no_value_is_refused(argv: list[str]) -> None:
    with pytest.raises(ConfigurationError) as error:
        read(*argv)
    assert argv[-1] in str(error.value) or argv[0] in str(error.value)


def test_the_debugger_needs_its_command(folder: Path) -> None:
    assert "debug_command" in refusal(folder, "servername: x\n", "-D")
    text = "debug_command: /usr/bin/strace -p %2$d\n"
    assert conf(folder, text, "-D").settings.debug_command == "/usr/bin/strace -p %2$d"
    assert conf(folder, text).settings.debug_command == ""


def test_master_of_cyrus_chooses_this_personality() -> None:
    invocation = commandline.read(["--config", "none"], {"CYRUS_SERVICE": "pop3"}, euid=os.geteuid())
    assert invocation.personality.name == "cyrus"


# ---------------------------------------------------------------------------------------------------------------
# imapd.conf


WORKS = [
    ("allowplaintext: yes", "auth.cleartext", "always"),
    ("allowplaintext: 0", "auth.cleartext", "tls"),
    ("allowapop: no", "apop.stamp", "never"),
    ("allowapop: yes", "apop.stamp", "auto"),
    ("allowstarttls: no", "tls.mode", "no"),
    ("chatty: yes", "debug", True),
    ("configdirectory: /var/lib/cyrus/", "telemetry.folder", "/var/lib/cyrus/log"),
    ("configdirectory: /var/lib/cyrus/", "telemetry.prefix", "pop3-"),
    ("failedloginpause: 5", "auth.refusal_delay", 5),
    ("failedloginpause: 5s", "auth.refusal_delay", 5),
    ("loginrealms: a.b C.D", "auth.domains", ("a.b", "C.D")),
    ("maxlogins_per_host: 7", "limits.sessions_address", 7),
    ("maxlogins_per_user: 3", "limits.sessions_user", 3),
    ("plaintextloginpause: 2", "auth.login_pause", 2),
    ("popexpiretime: 60", "expire", "60"),
    ("popexpiretime: -1", "expire", "never"),
    ("popexpiretime: 2d", "expire", "2"),
    ("popuseimapflags: yes", "deletion_marks", "hidden"),
    ("poppollpadding: 4", "login_delay_padding", 4),
    ("poppollpadding: 0", "login_delay_padding", 1),
    ("poptimeout: 20", "timeout", 1200),
    ("poptimeout: 5", "timeout", 600),
    ("poptimeout: 30m", "timeout", 1800),
    ("poptimeout: 1h30m", "timeout", 5400),
    ("readonly: on", "read_only", True),
    ("sasl_mech_list: PLAIN SCRAM-SHA-1 DIGEST-MD5", "auth.mechanisms", ("PLAIN", "SCRAM-SHA-1")),
    ("sasl_pwcheck_method: saslauthd", "auth.sources", ("saslauthd",)),
    ("sasl_pwcheck_method: auxprop saslauthd", "auth.sources", ("sasldb", "saslauthd")),
    ("sasl_pwcheck_method: pam", "auth.sources", ("pam",)),
    ("sasl_saslauthd_path: /run/s/mux", "saslauthd.socket", "/run/s/mux"),
    ("sasl_saslauthd_path: /run/s", "saslauthd.socket", "/run/s/mux"),
    ("sasl_sasldb_path: /etc/cyrus.db", "sasldb.file", "/etc/cyrus.db"),
    ("serverinfo: min", "server_info", "min"),
    ("servername: mail.example.org", "hostname", "mail.example.org"),
    ("syslog_facility: LOCAL6", "log.facility", "local6"),
    ("telemetry_bysessionid: 1", "telemetry.name", "session"),
    ("tls_server_cert: /c", "tls.certificate", "/c"),
    ("tls_cert_file: /c", "tls.certificate", "/c"),
    ("tls_cert_file: disabled", "tls.mode", "no"),
    ("tls_server_key: /k", "tls.key", "/k"),
    ("tls_pop3_cert_file: /p\ntls_cert_file: /c", "tls.certificate", "/p"),
    ("tls_cert_file: /c\ntls_pop3_cert_file: disabled", "tls.mode", "no"),
    ("tls_pop3_key_file: /p\ntls_key_file: /k", "tls.key", "/p"),
    ("tls_key_file: /k\ntls_pop3_key_file: disabled", "tls.mode", "no"),
    ("tls_key_file: /k", "tls.key", "/k"),
    ("tls_client_ca_file: /a", "tls.ca", "/a"),
    ("tls_ca_file: /a", "tls.ca", "/a"),
    ("tls_ca_path: /d", "tls.ca", "/d"),
    ("tls_client_ca_dir: /d", "tls.ca", "/d"),
    ("tls_client_ca_file: /a\ntls_client_ca_dir: /d", "tls.ca", "/a"),
    ("tls_client_certs: optional", "tls.client_certificates", "ask"),
    ("tls_client_certs: require", "tls.client_certificates", "require"),
    ("tls_client_certs: off", "tls.client_certificates", "no"),
    ("tls_require_cert: yes", "tls.client_certificates", "require"),
    ("tls_require_cert: no", "tls.client_certificates", "no"),
    ("tls_versions: tls1_0 tls1_2 tls1_3", "tls.minimum", "1.0"),
    ("tls_versions: ssl3 tls1_3", "tls.minimum", "1.3"),
    ("tls_ciphers: HIGH", "tls.ciphers", "HIGH"),
    ("tls_cipher_list: HIGH", "tls.ciphers", "HIGH"),
    ("tls_required: yes", "tls.required", True),
    ("uidl_format: dovecot", "uidl", "dovecot"),
    ("uidl_format: courier", "uidl", "cyrus-courier"),
    ("uidl_format: uidonly", "uidl", "uidonly"),
    ("username_tolower: no", "auth.lowercase_user", False),
    ("syslog_prefix: cyrus", "log.ident", "cyrus/pop3"),
    ("tls_crl_file: /crl", "tls.crl", "/crl"),
    ("virtdomains: userid\ndefaultdomain: a.b", "auth.default_domain", "a.b"),
    ("virtdomains: yes\ndefaultdomain: a.b", "auth.default_domain", "a.b"),
    ("virtdomains: off\ndefaultdomain: a.b", "auth.default_domain", ""),
    ("defaultdomain: a.b", "auth.default_domain", ""),
    ("sasl_minimum_layer: 0", "auth.minimum_layer", 0),
    ("sasl_minimum_layer: 128", "auth.minimum_layer", 128),
    ("configdirectory: /c", "auth.deny_db", "/c/user_deny.db"),
    ("configdirectory: /c/\nuserdeny_db: flat", "auth.deny_db", "/c/user_deny.db"),
    ("configdirectory: /c\nuserdeny_db_path: /d/deny", "auth.deny_db", "/d/deny"),
    ("userdeny_db_path: /d/deny", "auth.deny_service", "pop3"),
    ("configdirectory: /c\npopuseacl: yes", "accounts.mailbox_acl", "groups"),
    ("mboxlist_db_path: /c/m.db\npopuseacl: yes\nunix_group_enable: no", "accounts.mailbox_acl", "users"),
    ("configdirectory: /c\npopuseacl: no", "accounts.mailbox_acl", "no"),
    ("configdirectory: /c", "accounts.mailbox_acl", "no"),
    ("popsubfolders: yes", "subfolders", "/"),
    ("popsubfolders: yes\nunixhierarchysep: yes", "subfolders", "/"),
    ("popsubfolders: yes\nunixhierarchysep: no", "subfolders", "."),
    ("popsubfolders: no\nunixhierarchysep: no", "subfolders", "no"),
    ("configdirectory: /c", "shutdown_files", ("/c/msg/shutdown", "/c/msg/shutdown.pop3")),
    ("partition-default: /s/", "maildrop", "cyrus:/s/%N"),
    ("partition-default: /s", "accounts.maildrop", "cyrus:/s/%N"),
    ("partition-default: /s", "auth.sources", ("sasldb", "maildrops")),
    ("partition-default: /s", "read_only", True),
    ("partition-default: /s\nhashimapspool: yes", "maildrop", "cyrus:/s/%M"),
    ("partition-default: /s\nhashimapspool: yes\nfulldirhash: yes", "maildrop", "cyrus:/s/%F"),
    ("defaultpartition: b\npartition-a: /a\npartition-b: /b", "maildrop", "cyrus:/b/%N"),
    ("partition-a: /50%", "maildrop", "cyrus:/50%%/%N"),
    ("sasl_pwcheck_method: saslauthd\npartition-a: /a", "auth.sources", ("saslauthd", "maildrops")),
    ("# x\n\n  ServerName :  a.b  ", "hostname", "a.b"),
    ("servername: a.\\\nb", "hostname", "a.b"),
    ("servername: all\npop3_servername: ours\nimap_servername: theirs", "hostname", "ours"),
]


@pytest.mark.parametrize(("text", "name", "expected"), WORKS)
def test_a_directive_means_what_imapd_conf_5_says(folder: Path, text: str, name: str, expected: object) -> None:
    assert value(conf(folder, text + "\n").settings, name) == expected


def test_every_directive_that_works_has_been_tried() -> None:
    tried = {line.partition(":")[0].strip().lower() for text, _, _ in WORKS for line in text.splitlines()}
    assert directives.WORKS.keys() - tried == {"popminpoll"}  # below


def test_minutes_between_logins_are_a_login_delay(folder: Path) -> None:
    invocation = conf(folder, "popminpoll: 2\n")
    assert value(invocation.settings, "login_delay") == 120


def test_without_a_word_of_it_passwords_need_tls() -> None:
    """allowplaintext is off by default since Cyrus 2.5."""
    assert read().settings.auth_cleartext == "tls"


@pytest.mark.parametrize(
    ("service", "argv", "expected"),
    [
        ("", [], "plain"),
        ("", ["-s"], "secure"),
        ("", ["-k"], "ticket"),
        ("pop3alt", [], "other"),
        ("pop3", ["-s"], "plain"),
    ],
)
def test_the_service_of_cyrus_conf_chooses_the_prefix(
    folder: Path, service: str, argv: list[str], expected: str
) -> None:
    text = "pop3_servername: plain\npop3s_servername: secure\nkpop_servername: ticket\npop3alt_servername: other\n"
    environ = {"CYRUS_SERVICE": service} if service else {}
    assert conf(folder, text, *argv, environ=environ).settings.hostname == expected


def test_included_files_are_read_from_beside_the_file(folder: Path) -> None:
    (folder / "more.conf").write_text("servername: more\n")
    assert conf(folder, "@include: more.conf\n").settings.hostname == "more"
    assert conf(folder, f"@include: {folder}/more.conf\n").settings.hostname == "more"


def test_pop3d_toml_and_the_command_line_are_stronger(folder: Path) -> None:
    assert conf(folder, "poptimeout: 20\n", "--set", "timeout=700").settings.timeout == 700


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("servername\n", "line 1: 'servername' is no option"),
        ("a: b\n\nservername:\n", "line 3: servername has no value"),
        ("servername: a\nservername: b\n", "line 2: servername stands in"),
        ("@include: none\n", "there is no such file"),
        ("@include: imapd.conf\n", "is included by itself"),
        ("@exclude: x\n", "is no directive"),
        ("poptimeout: soon\n", "line 1: poptimeout: 'soon' is not a time"),
        ("allowplaintext: perhaps\n", "is neither yes nor no"),
        ("uidl_format: own\n", "is not one of cyrus"),
        ("sasl_pwcheck_method: alwaystrue\n", "alwaystrue"),
        ("tls_versions: tls9\n", "tls1_2"),
        ("allowanonymouslogin: yes\n", "allowanonymouslogin: yes"),
        ("sasl_auxprop_plugin: sql\n", "saslauthd -a pam"),
        ("sasl_auxprop_plugin: sasldb SQL\n", "saslauthd -a pam"),
        ("sasl_sql_select: SELECT password FROM users\n", "saslauthd -a pam"),
        ("sasl_minimum_layer: much\n", "auth.minimum_layer"),
        ("tls_client_certs: perhaps\n", "is not one of off"),
        ("virtdomains: perhaps\n", "neither yes nor no"),
        ("popuseacl: yes\n", "configdirectory"),
        ("configdirectory: /c\nauth_mech: pts\npopuseacl: yes\n", "auth_mech: pts"),
        ("userdeny_db: sql\n", "cvt_cyrusdb"),
        ("userdeny_db: twoskip\n", "cvt_cyrusdb"),
        ("defaultpartition: x\npartition-y: /y\n", "there is no partition-x"),
        ("servername: a b\n", "hostname"),
    ],
)
def test_what_is_wrong_is_told_with_file_and_line(folder: Path, text: str, words: str) -> None:
    told = refusal(folder, text)
    assert words in told
    assert str(folder) in told


def test_a_file_that_is_named_must_be_there() -> None:
    with pytest.raises(ConfigurationError, match="no such file"):
        read("-C", "/nonexistent/imapd.conf")


@pytest.mark.skipif(os.geteuid() != 0, reason="only root trusts so few")
def test_root_does_not_believe_a_file_that_others_can_change(folder: Path) -> None:
    (folder / "imapd.conf").write_text("servername: x\n")
    (folder / "imapd.conf").chmod(0o666)
    with pytest.raises(ConfigurationError, match="chmod go-w"):
        read("-C", str(folder / "imapd.conf"))


def test_debians_file_is_read_and_each_directive_without_effect_is_told(folder: Path) -> None:
    invocation = conf(folder, DEBIAN)
    settings = invocation.settings
    assert settings.maildrop == "cyrus:/var/spool/cyrus/mail/%M"
    assert settings.auth_sources == ("sasldb", "maildrops")
    assert settings.auth_cleartext == "always"
    assert settings.log_ident == "cyrus/pop3"
    told = {re.split(r"[: ]", note.split(" line ")[1].partition(": ")[2])[0] for note in invocation.notes}
    names = [line.partition(":")[0] for line in DEBIAN.splitlines()]
    without = (
        {directives.OLD_NAMES.get(name, name) for name in names}
        - directives.WORKS.keys()
        - set(directives.TOGETHER)
        - {"partition-default", "partition-news", "allowanonymouslogin"}
    )
    assert told == without
    assert all(" line " in note for note in invocation.notes)
    findings = [str(finding) for finding in check.findings(invocation, os.geteuid())]
    assert any("altnamespace has no effect" in finding for finding in findings)


@pytest.mark.parametrize(("value", "told"), [("off", False), ("userid", False), ("UserID", False), ("on", True)])
def test_what_virtdomains_on_lacks_is_told(folder: Path, value: str, told: bool) -> None:
    notes = conf(folder, f"virtdomains: {value}\n").notes
    assert any("virtdomains: on" in note for note in notes) == told


def test_every_setting_that_a_directive_makes_exists() -> None:
    samples = {
        "maxlogins_per_host": "1", "maxlogins_per_user": "1", "sasl_mech_list": "PLAIN", "serverinfo": "on",
        "tls_versions": "tls1_2", "uidl_format": "cyrus", "tls_client_certs": "optional",
    }  # fmt: skip
    for name, sets in directives.WORKS.items():
        try:
            made = sets(samples.get(name, "1"))
        except ValueError:
            made = sets("/x")
        assert set(made) <= table.rows().keys(), name


# ---------------------------------------------------------------------------------------------------------------
# The manual page


def rows() -> dict[str, str]:
    """The page's tables: {option or directive: verdict}."""
    row = r"^\.It (?:Fl|Ic) (\S+)[^\n]*\n\.Em (works|no effect|refused)"
    return dict(re.findall(row, PAGE.read_text(), re.MULTILINE))


def test_the_page_has_every_option_and_directive_with_its_verdict() -> None:
    expected = {row.letter: "works" for row in cyrus.OPTIONS}
    expected |= dict.fromkeys([*directives.WORKS, *directives.TOGETHER], "works")
    expected |= dict.fromkeys(directives.NO_EFFECT, "no effect")
    expected |= {old: expected[new] for old, new in directives.OLD_NAMES.items()}
    expected |= {name: "refused" for name, _, _ in directives.REFUSED if name not in directives.WORKS}
    assert rows() == expected


# ---------------------------------------------------------------------------------------------------------------
# Whatever the file holds


@settings_of_hypothesis(max_examples=300, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.one_of(st.text(max_size=40), st.sampled_from([text for text, _, _ in WORKS])), max_size=6))
def test_no_text_does_anything_but_configure_or_be_refused(folder: Path, lines: list[str]) -> None:
    text = "\n".join(line.replace("\ud800", "?") for line in lines)
    (folder / "imapd.conf").write_bytes(text.encode("utf-8", "surrogatepass"))
    try:
        read("-C", str(folder / "imapd.conf"))
    except ConfigurationError as why:
        told = str(why)
    else:
        told = str(folder)
    assert str(folder) in told or "auth" in told


@pytest.mark.parametrize(
    ("line", "verb", "words"),
    [
        (b"STAT", "stat", []),
        (b"Stat x y", "stat", [b"x", b"y"]),
        (b"", "", []),
        (b" STAT", "", [b"STAT"]),
        (b" ", lines.SYNTAX, []),
        (b"STAT ", lines.SYNTAX, []),
        (b"LIST\t", lines.SYNTAX, []),
        (b"AUTH ", "auth", []),  # Outlook says it
        (b"AUTH PLAIN  x", "auth", [b"PLAIN", b"x"]),
        (b"USER  a b ", "user", [b"a b "]),
        (b"LIST  1", "list", [b"1"]),
        (b"LIST 1 ", "list", [b"1", b""]),
        (b"LIST 1x", "list", [b"1", b"x"]),
        (b"LIST x 1", "list", [b"x 1"]),
        (b"TOP 1 2 3", "top", [b"1", b"2", b"3"]),
        (b"TOP 1 -2", "top", [b"1", b"-2"]),
        (b"XTND XLST Subject 1", "xtnd", [b"XLST", b"Subject", b"1"]),
    ],
)
def test_a_line_is_taken_apart_as_cyrus_does(line: bytes, verb: str, words: list[bytes]) -> None:
    request = lines.parse(line)
    assert (request.verb, request.words) == (verb, words)


def test_a_password_keeps_its_blanks() -> None:
    assert lines.parse(b"PASS  a b ").rest == b" a b "
    assert lines.parse(b"PASS ").verb == lines.SYNTAX


@given(st.binary(max_size=30))
def test_words_are_pieces_of_the_line(line: bytes) -> None:
    request = lines.parse(line)
    assert all(word in line for word in request.words)
    assert request.rest in line
