"""Qpopper's configuration language and its options (reference sections 5.2 and 5.3)."""

from __future__ import annotations

import contextlib
import os
import re
import time
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from qpopper_py.errors import ConfigurationError
from qpopper_py.personality import commandline, report
from qpopper_py.personality.commandline import Invocation
from qpopper_py.personality.qpopper import directives, language

HERE = Path(__file__).resolve().parent

# The option table of the reference: name, type, restriction.
OPTIONS = """
announce-expire int -
announce-login-delay int -
auth-file str I
auto-delete bool U
bulldb-max-tries int -
bulldb-nonfatal bool -
bulldir str -
cache-dir str U
cache-name str U
check-hash-dir bool -
check-old-spool-loc bool -
check-password-expired bool I
chunky-writes mnem -
clear-text-password mnem U
config-file str -
debug bool -
downcase-user bool U
drac-host str -
fast-update bool -
group-bulletins bool U
group-server-mode str U
group-no-server-mode str U
hash-spool int U
home-dir-mail str U
keep-temp-drop bool U
kerberos bool U
kerberos-service str U
log-facility mnem -
log-login str -
mail-command str U
mail-lock-check int -
max-bulletins int -
no-atomic-open bool U
nonauth-file str I
old-style-uid bool -
reverse-lookup bool U
server-mode bool -
shy bool I
spool-dir str U
spool-options bool U
statistics bool -
temp-dir str U
temp-name str U
timeout int -
timing bool -
tls-cipher-list str I
tls-identity-file str I
tls-passphrase str I
tls-private-key-file str I
tls-server-cert-file str I
tls-options int U
tls-support mnem I
tls-version mnem I
tls-workarounds bool U
tracefile str -
trim-domain bool U
update-on-abort bool -
update-status-headers bool -
user-options bool U
UW-kluge bool -
UW-kludge bool -
"""
TYPES = {"int": "Integer", "str": "String", "bool": "Boolean", "mnem": "Mnemonic"}


def said(text: str, path: str = "/c") -> list[tuple[str, object]]:
    found = language.statements(path, lambda _: text.encode(), directives.KINDS)
    return [(one.name, one.value) for one in found]


def error(text: str) -> str:
    with pytest.raises(ConfigurationError) as why:
        said(text)
    return str(why.value)


def invoked(tmp_path: Path, text: str, *argv: str) -> Invocation:
    path = tmp_path / "qpopper.config"
    path.write_text(text)
    path.chmod(0o600)
    line = ["--personality", "qpopper", "-f", str(path), *argv, "--config", "none"]
    return commandline.read(line, {}, euid=os.geteuid())


def test_the_options_are_the_originals() -> None:
    wanted = [line.split() for line in OPTIONS.strip().splitlines()]
    ours = [[row.name, row.kind, row.restriction or "-"] for row in directives.TABLE]
    assert sorted(ours) == sorted([name, TYPES[kind], limit] for name, kind, limit in wanted)


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("set timeout = 300\n", 300),
        ("SET Timeout=300", 300),
        ("\tset  timeout\t=\t300  # five minutes\n", 300),
        ("set timeout = 0x12c", 300),
        ("set timeout = 0454", 300),
        ("set announce-expire = -1", -1),
        ("set statistics", True),
        ("set statistics = true", True),
        ("set statistics = 1", True),
        ("set statistics = FALSE", False),
        ("set statistics = 0", False),
        ("reset statistics", False),
        ("reset statistics # no\r\n", False),
        ('set bulldir = "/var/spool/my bulls" # here', "/var/spool/my bulls"),
        ("set bulldir = '/var/#1'", "/var/#1"),
        ("set bulldir = `/var/\"x\"`", '/var/"x"'),
        ("set bulldir = /var/bulls#there # here", "/var/bulls#there"),  # pop_config.c: a text ends at a blank
        ("set timeout = 300# five minutes", 300),
        (r'set log-login = "by \"%1\" at %3" # "', r'by \"%1\" at %3'),  # and a quote behind \ does not end it
        ("set bulldir = ''", ""),
        ("set tls-support = STLS", "STLS"),
    ],
)  # fmt: skip
def test_forms_of_statements(text: str, value: object) -> None:
    ((_, found),) = said(text)
    assert found == value
    assert type(found) is type(value)


@pytest.mark.parametrize("text", ["", "\n\n", "# set timeout = 3\n", "   # indented\n\t\n"])
def test_what_says_nothing(text: str) -> None:
    assert said(text) == []


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("\nuse timeout = 3", 'Expected "set" or "reset", found "use" at line 2 of config file /c'),
        ("set tmeout = 3", 'Unrecognized option "tmeout"; scanning line 1 of config file /c; did you mean timeout?'),
        ("set", "Unrecognized option"),
        ("set timeout 300", '"=" expected behind timeout; scanning line 1 of config file /c'),
        ("set timeout", '"=" expected'),
        ("set timeout =", "Integer value expected for the timeout option; scanning line 1"),
        ("set timeout = # none", "Integer value expected"),
        ("set timeout = soon", 'Integer value expected for the timeout option, found "soon"'),
        ("set timeout = 1_0", "Integer value expected"),
        ("set timeout = 09", "Integer value expected"),
        ("set timeout = --3", "Integer value expected"),
        ("set timeout = " + "9" * 400, "Integer value expected"),
        ("set statistics = maybe", 'Boolean value expected for the statistics option, found "maybe"'),
        ("set bulldir =", "String value expected for the bulldir option"),
        ('set bulldir = "/var', "Bad value for the bulldir option: its quote is not closed"),
        (r'set bulldir = "/var\"', "Bad value for the bulldir option: its quote is not closed"),
        ("set timeout = 3 4", 'Expected comment or end of line, found "4"; scanning line 1 of config file /c'),
        ("set statistics on", 'Expected comment or end of line, found "on"'),
        ("reset timeout", "Boolean option expected behind reset, found timeout"),
        ("reset statistics = true", 'Expected comment or end of line, found "= true"'),
        ("# " + "x" * 1100, "Config file /c line 1 too long"),
        ("set bulldir = /a\x01b", "holds a control character"),
    ],
)
def test_errors_name_file_and_line(text: str, words: str) -> None:
    assert words in error(text)


def test_the_first_error_stops_the_file_and_what_stands_before_it_was_said() -> None:
    found = language.statements("/c", lambda _: b"set timeout = 3\nwrong\nset debug\n", directives.KINDS)
    assert next(found).value == 3
    with pytest.raises(ConfigurationError, match="line 2"):
        next(found)


def test_a_file_may_name_another_which_is_read_there() -> None:
    files = {"/a": b"set timeout = 1\nset config-file = /b\nset timeout = 3\n", "/b": b"set timeout = 2\nset debug\n"}
    found = [(one.value, one.origin) for one in language.statements("/a", files.__getitem__, directives.KINDS)]
    assert found == [(1, "/a line 1"), (2, "/b line 1"), (True, "/b line 2"), (3, "/a line 3")]


def test_files_that_name_each_other_end_at_100_levels() -> None:
    read = []

    def load(path: str) -> bytes:
        read.append(path)
        return b"set config-file = /c\n"

    with pytest.raises(ConfigurationError, match="more than 100 files deep"):
        list(language.statements("/c", load, directives.KINDS))
    assert len(read) == 100


@given(st.binary(max_size=200))
def test_no_octets_crash_the_reader(text: bytes) -> None:
    with contextlib.suppress(ConfigurationError):
        list(language.statements("/c", lambda _: text, NO_FILE))


NO_FILE = {name: kind for name, kind in directives.KINDS.items() if name != "config-file"}


@pytest.mark.parametrize(
    ("text", "name", "value"),
    [
        ("set announce-expire = 30", "expire", "30"),
        ("set announce-expire = -1", "expire", "never"),
        ("set announce-login-delay = 60", "login_delay_announced", 60),
        ("set announce-login-delay = -1", "login_delay_announced", 0),
        ("set auth-file = /etc/pop.allow", "auth_auth_file", "/etc/pop.allow"),
        ("set nonauth-file = /etc/nopop", "auth_nonauth_file", "/etc/nopop"),
        ("set auto-delete\nset announce-expire = 0", "auto_delete", True),
        ("set bulldir = /var/spool/bulls", "bulletins_source", "/var/spool/bulls"),
        ("set max-bulletins = 5", "bulletins_new_users", 5),
        ("set group-bulletins = true", "bulletins_groups", True),
        ("set check-password-expired = false", "auth_password_age", False),
        ("set check-password-expired", "auth_password_age", True),
        ("set clear-text-password = default", "auth_cleartext", "always"),
        ("set clear-text-password = never", "auth_cleartext", "never"),
        ("set clear-text-password = TLS/SSL", "auth_cleartext", "tls"),
        ("set clear-text-password = tls", "auth_cleartext", "tls"),
        ("set clear-text-password = always", "mailauth_exclusive", False),
        ("set clear-text-password = local", "auth_cleartext", "local"),
        ("set debug", "debug", True),
        ("set downcase-user", "auth_lowercase_user", True),
        ("set trim-domain", "auth_strip_domain", True),
        ("set hash-spool = 2", "hash_spool", 2),
        ("set home-dir-mail = Mailbox", "maildrop", "mbox:%h/Mailbox"),
        ("set home-dir-mail = mail/.inbox", "maildrop", "mbox:%h/mail/.inbox"),
        ("set kerberos", "kpop", True),
        ("set kerberos = false", "kpop", False),
        ("set kerberos-service = rcmd", "kerberos_service", "rcmd"),
        ("set log-facility = local5", "log_facility", "local5"),
        ("set log-facility = LOG_MAIL", "log_facility", "mail"),
        ('set log-login = "%1 from %3"', "log_login", "%1 from %3"),
        ("set mail-command = /usr/lib/sendmail", "sendmail", "/usr/lib/sendmail"),
        ("set old-style-uid", "uidl", "qpopper2"),
        ("reset old-style-uid", "uidl", "qpopper4"),
        ("set reverse-lookup = false", "log_reverse_lookup", False),
        ("set shy", "server_info", "off"),
        ("set spool-dir = /var/spool/mail", "spool", "/var/spool/mail"),
        ("set spool-options\nset user-options", "user_options", "both"),
        ("set spool-options\nset user-options\nreset user-options", "user_options", "spool"),
        ("set user-options", "user_options", "home"),
        ("set statistics", "statistics", True),
        ("set temp-dir = /var/tmp/pop", "tempdrop_folder", "/var/tmp/pop"),
        ('set temp-name = ".%s.pop"', "tempdrop_name", ".%s.pop"),
        ("set timeout = 300", "timeout", 300),
        ("set timing", "log_timing", True),
        ("set tls-cipher-list = HIGH", "tls_ciphers", "HIGH"),
        ("set tls-private-key-file = /etc/k.pem", "tls_key", "/etc/k.pem"),
        ("set tls-server-cert-file = /etc/c.pem", "tls_certificate", "/etc/c.pem"),
        ("set tls-support = stls", "tls_mode", "starttls"),
        ("set tls-support = alternate-port", "tls_mode", "implicit"),
        ("set tls-support = none", "tls_mode", "no"),
        ("set tls-version = TLSv1", "tls_minimum", "1.0"),
        ("set tls-version = all", "tls_minimum", "1.2"),
        ("set tracefile = /var/log/pop", "trace_file", "/var/log/pop"),
        ("set tracefile = /var/log/pop", "debug", True),
        ("set update-on-abort", "update_on_abort", True),
        ("reset update-status-headers", "status_headers", "keep"),
        ("reset UW-kluge", "mbox_internal", "shown"),
        ("set uw-kludge = true", "mbox_internal", "hidden"),
    ],
)
def test_an_option_does_what_it_says(tmp_path: Path, text: str, name: str, value: object) -> None:
    assert getattr(invoked(tmp_path, text).settings, name) == value


def test_every_option_that_works_was_tried() -> None:
    source = Path(__file__).read_text("utf-8").lower()
    for row in directives.TABLE:
        if row.verdict == directives.WORKS and row.name != "config-file":
            assert re.search(rf"set {row.name.lower()}\b", source), row.name


EXAMPLES = {"Boolean": "true", "Integer": "1", "String": "/x", "Mnemonic": "always"}


@pytest.mark.parametrize(
    "row", [row for row in directives.TABLE if row.verdict == directives.NO_EFFECT], ids=lambda row: row.name
)
def test_an_option_without_effect_is_told_with_the_reason(tmp_path: Path, row: directives.Directive) -> None:
    found = invoked(tmp_path, f"\nset {row.name} = {EXAMPLES[row.kind]}\n", "--check-config")
    assert found.notes == [f"{tmp_path}/qpopper.config line 2: {row.name}: no effect: {row.why}"]
    assert row.why


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("set tls-identity-file = /x", "tls-server-cert-file"),
        ("set tls-version = SSLv3", "is broken"),
        ("set tls-version = TLSv9", "is not one of default"),
        ("set clear-text-password = perhaps", "is not one of default, never"),
        ("set home-dir-mail = /etc/passwd", "is not a file's name below the home folder"),
        ("set home-dir-mail = ../x", "is not a file's name below the home folder"),
        ("set hash-spool = 3", "hash_spool = 3"),
        ("set timeout = 0", "timeout = 0"),
        ("set spool-dir = mail", "is not an absolute path"),
        ("set temp-name = pop", "%s"),
        ("set auto-delete\nset update-on-abort", "auto_delete and update_on_abort"),
    ],
)
def test_an_option_that_cannot_be_is_refused_by_line(tmp_path: Path, text: str, words: str) -> None:
    with pytest.raises(ConfigurationError) as why:
        invoked(tmp_path, text)
    assert words in str(why.value)
    assert f"{tmp_path}/qpopper.config line " in str(why.value)
    assert "secret" not in str(why.value).replace("secrets", "")


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("set tls-passphrase = hush hush", "found more (are quotes missing?); scanning line 1 of config file /c"),
        ("set TLS-Passphrase = 'hush' hush", "found more"),
        ("set tls-passphrase = 'hush hush", "its quote is not closed"),
        ("set tls-passphrase hush", '"=" expected behind tls-passphrase'),
        ("reset tls-passphrase = hush", "Boolean option expected"),
    ],
)
def test_an_error_in_the_line_of_the_passphrase_does_not_tell_it(text: str, words: str) -> None:
    assert words in error(text)
    assert "hush" not in error(text)


def test_of_the_passphrase_only_where_it_stands_is_known(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The words are for whoever reads the key, and for nobody who asks for the configuration."""
    text = "set tls-passphrase = 'hush hush' # of the key\nset tls-server-cert-file = /c.pem\n"
    found = invoked(tmp_path, text, "--dump-config=all")
    assert found.settings.tls_passphrase_file == f"{tmp_path}/qpopper.config"
    shown = report.dump(found, everything=True)
    assert f'tls.passphrase_file = "{tmp_path}/qpopper.config"' in shown
    assert "hush" not in shown
    assert invoked(tmp_path, text + "set tls-passphrase = ''\n").settings.tls_passphrase_file == ""
    monkeypatch.chdir(tmp_path)
    line = ["--personality", "qpopper", "-f", "qpopper.config", "--config", "none"]
    (tmp_path / "qpopper.config").write_text(text)
    again = commandline.read(line, {}, euid=os.geteuid()).settings
    assert again.tls_passphrase_file == f"{tmp_path}/qpopper.config"


@pytest.mark.skipif(os.geteuid() != 0, reason="only for root a file of others is a danger")
def test_a_file_that_others_may_write_tells_root_nothing(tmp_path: Path) -> None:
    path = tmp_path / "config"
    path.write_text("set debug\n")
    path.chmod(0o666)
    with pytest.raises(ConfigurationError, match="chmod go-w"):
        commandline.read(["--personality", "qpopper", "-f", str(path)], {}, euid=0)


def test_a_sample_with_every_option_parses(tmp_path: Path) -> None:
    """As Qpopper's samples/qpopper.config has them, every option commented in; those refused stay out."""
    found = invoked(tmp_path, (HERE / "qpopper.config").read_text(), "--check-config")
    assert len(found.notes) == len([row for row in directives.TABLE if row.verdict == directives.NO_EFFECT])
    assert found.settings.spool == "/var/mail"


def test_a_file_is_read_in_less_than_two_milliseconds_once_the_reader_is_there(tmp_path: Path) -> None:
    text = (HERE / "qpopper.config").read_bytes()
    best = min(spent(text) for _ in range(5))
    assert best < 0.002


def spent(text: bytes) -> float:
    began = time.process_time()
    directives.layers(language.statements("/c", lambda _: text, directives.KINDS), [])
    return time.process_time() - began
