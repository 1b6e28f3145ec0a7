"""Configuration as distributions and administrators have it: the old programs' lines, found in public.

Facts, not prose: which option stands there with which value.  All of it is read, and means what it meant.

- Gentoo, net-mail/qpopper: /etc/qpopper.conf (Qpopper 4.0's own sample, with its defaults), xinetd.d, init.d
- FreeBSD, mail/qpopper: rc.d script and the line for inetd.conf; pld-linux/qpopper: sysconfig files
- Linux From Scratch's qpopper.conf; lines of inetd.conf and configurations from forums and courses
- Owl's and OpenBSD's lines for popa3d; Cyrus' imapd.conf and cyrus.conf from forums, roles and its documentation
"""

from __future__ import annotations

import os
import re
import ssl
from typing import TYPE_CHECKING

import pytest

from qpopper_py.errors import ConfigurationError
from qpopper_py.personality import check, commandline
from qpopper_py.personality.cyrus import cyrus_conf, directives
from qpopper_py.settings import rows
from qpopper_py.tools.migrate_find import starts
from qpopper_py.tools.migrate_programs import PROGRAMS

from .test_cyrus import DEBIAN

if TYPE_CHECKING:
    from pathlib import Path

    from qpopper_py.personality.commandline import Invocation


def put(path: Path, text: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    path.chmod(0o600)
    return path


def qpopper(*argv: object) -> Invocation:
    return commandline.read(["--personality", "qpopper", *map(str, argv), "--config", "none"], {}, euid=os.geteuid())


# --------------------------------------------------------------------------------------------------------------
# Qpopper

# The sample's options with the defaults that it tells.
SAMPLE = """
set bulldb-nonfatal          = false
set bulldb-max-tries         = 75
set clear-text-password      = default
set debug                    = false
set downcase-user            = false
set drac-host                = localhost
set kerberos                 = false
set reverse-lookup           = true
set server-mode              = false
set statistics               = false
set timeout                  = 120
set user-options             = false
set spool-options            = false
set fast-update              = false
set trim-domain              = false
set tls-support              = default
set tls-version              = default
set timing                   = false
set check-old-spool-loc      = true
set check-hash-dir           = true
set check-password-expired   = true
set update-status-headers    = true
set update-on-abort          = true
set auto-delete              = false
set group-bulletins          = false
set hash-spool               = 0
set old-style-uid            = false
set UW-kluge                 = false
set keep-temp-drop           = false
set shy                      = false
set temp-name                = ".%s.pop"
set cache-name               = ".%s.cache"
set max-bulletins            = 1
set no-atomic-open           = false
set chunky-writes            = default
"""
# Those that are otherwise here, on purpose: popper(8), DIFFERENCES.
OTHERWISE = {"update-on-abort": {"update_on_abort"}, "UW-kluge": {"mbox.internal"}, "tls-support": {"tls.mode"}}


def values(found: Invocation) -> dict[str, object]:
    return {name: setting.value(found.settings) for name, setting in rows().items()}


@pytest.mark.parametrize("line", SAMPLE.strip().splitlines(), ids=lambda line: line.split()[1])
def test_a_default_that_the_sample_tells_is_the_default_here(tmp_path: Path, line: str) -> None:
    unset, said = values(qpopper()), values(qpopper("-f", put(tmp_path / "qpopper.conf", line + "\n")))
    assert {name for name in said if said[name] != unset[name]} == OTHERWISE.get(line.split()[1], set())


CONFIGURATIONS = {
    "Gentoo, USE=ssl": (
        "set tls-server-cert-file = /etc/mail/certs/cert.pem\nset tls-support = stls\n",
        {"tls_certificate": "/etc/mail/certs/cert.pem", "tls_mode": "starttls"},
    ),
    "pld-linux": (
        (
            'set statistics               = true\nset log-facility             = mail\nset home-dir-mail = "Mailbox"\n'
            "set tls-private-key-file     = /etc/qpopper/server.key\nset UW-kluge                 = true\n"
        ),
        {
            "statistics": True,
            "log_facility": "mail",
            "maildrop": "mbox:%h/Mailbox",
            "tls_key": "/etc/qpopper/server.key",
            "mbox_internal": "hidden",
        },
    ),
    "Linux From Scratch": (
        (
            "# Qpopper configuration file\nset debug = false\nset spool-dir = /var/spool/mail/\n"
            "set temp-dir  = /var/spool/mail/\nset downcase-user = true\nset trim-domain = true\n"
            "set statistics = true\n# End /etc/shells\n"
        ),
        {
            "debug": False,
            "spool": "/var/spool/mail/",
            "tempdrop_folder": "/var/spool/mail/",
            "auth_lowercase_user": True,
            "auth_strip_domain": True,
            "statistics": True,
        },
    ),
    "FreeBSD with xinetd": (
        (
            "  set clear-text-password = tls\n  set tls-support = alternate-port\n"
            "  set tls-server-cert-file = /usr/local/etc/qpopper/certs/cert.pem\n"
        ),
        {
            "auth_cleartext": "tls",
            "tls_mode": "implicit",
            "tls_certificate": "/usr/local/etc/qpopper/certs/cert.pem",
            "tls_key": "",
        },
    ),
}


@pytest.mark.parametrize("name", CONFIGURATIONS)
def test_a_configuration_of_qpopper_means_what_it_says(tmp_path: Path, name: str) -> None:
    text, wanted = CONFIGURATIONS[name]
    found = qpopper("-f", put(tmp_path / "qpopper.conf", text), "--check-config")
    assert {key: getattr(found.settings, key) for key in wanted} == wanted
    assert found.notes == []


# Arguments, and what they stand for; CONFIG is a file that is there.
LINES = {
    "FreeBSD, rc.d": ("110 -S -f CONFIG", {"serve_background": True}, [":110"], ["-S"]),
    "FreeBSD, inetd.conf": ("-s", {"statistics": True}, [], []),
    "FreeBSD, xinetd": ("-s -p 1", {"statistics": True, "auth_cleartext": "never"}, [], []),
    "pld-linux": ("-f CONFIG", {"timeout": 300}, [], []),
    "pld-linux, TLS": (
        "995 -l 2 -p 4 -f CONFIG",
        {"tls_mode": "implicit", "auth_cleartext": "tls", "timeout": 300},
        [":995"],
        [],
    ),
    "Debian, a busy host": (
        "-F -S -s -R -T 600",
        {"statistics": True, "log_reverse_lookup": False, "timeout": 600},
        [],
        ["-F", "-S"],
    ),
}


@pytest.mark.parametrize("name", LINES)
def test_a_command_line_of_qpopper_means_what_it_says(tmp_path: Path, name: str) -> None:
    words, wanted, places, idle = LINES[name]
    config = put(tmp_path / "qpopper.config", "set timeout = 300\n")
    found = qpopper(*words.replace("CONFIG", str(config)).split(), "--check-config")
    assert {key: getattr(found.settings, key) for key in wanted} == wanted
    assert [one.address for one in found.settings.listen] == places
    assert [note.partition(":")[0] for note in found.notes] == idle


# --------------------------------------------------------------------------------------------------------------
# What starts them: found by qpopper-py migrate

STARTS = {
    "FreeBSD, qpopper": (
        "qpopper",
        "etc/inetd.conf",
        "pop3 stream tcp nowait root /usr/local/libexec/qpopper qpopper -s\n",
        [("/usr/local/libexec/qpopper", ["-s"], True)],
    ),
    "Debian, qpopper": (
        "qpopper",
        "etc/inetd.conf",
        (
            "##pop-3\tstream\ttcp\tnowait\troot\t/usr/sbin/tcpd\t/usr/sbin/in.qpopper -f /etc/qpopper.conf\n"
            "pop-3\tstream\ttcp\tnowait.512\troot\t/usr/sbin/tcpd\t/usr/sbin/in.qpopper -F -S -s -R -T 600\n"
        ),
        [
            ("/usr/sbin/in.qpopper", ["-F", "-S", "-s", "-R", "-T", "600"], True),
            ("/usr/sbin/in.qpopper", ["-f", "/etc/qpopper.conf"], False),
        ],
    ),
    "popper called qpopper": (
        "qpopper",
        "etc/inetd.conf",
        "pop3 stream tcp nowait root /usr/local/lib/popper qpopper -s\n",
        [("/usr/local/lib/popper", ["-s"], True)],
    ),
    "Gentoo, qpopper": (
        "qpopper",
        "etc/xinetd.d/pop-3",
        """\
# default: off
# description: The POP3 service allows remote users to access their mail \\
#\t       or fetchmail.
service pop-3
{
\tsocket_type\t\t= stream
\twait\t\t\t= no
\tuser\t\t\t= root
\tport\t\t\t= 110
\tserver\t\t\t= /usr/sbin/popper
\tserver_args\t\t= -f /etc/qpopper.conf
\tlog_on_success\t\t+= USERID
\tlog_on_failure\t\t+= USERID
\tdisable\t\t\t= yes
}
""",
        [("/usr/sbin/popper", ["-f", "/etc/qpopper.conf"], False)],
    ),
    "FreeBSD, two services of xinetd": (
        "qpopper",
        "etc/xinetd.d/qpopper",
        """\
  service pop3
  {
          disable         = no
          server          = /usr/local/libexec/qpopper
          server_args     = -s -p 1
  }

  service pop3s
  {
          disable         = no
          server          = /usr/local/libexec/qpopper
          server_args     = -s -f /usr/local/etc/qpopper/config
  }
""",
        [
            ("/usr/local/libexec/qpopper", ["-s", "-p", "1"], True),
            ("/usr/local/libexec/qpopper", ["-s", "-f", "/usr/local/etc/qpopper/config"], True),
        ],
    ),
    "Owl, popa3d": (
        "popa3d",
        "etc/xinetd.d/popa3d",
        """\
# default: off
# description: A POP3 server

service pop3
{
\tsocket_type\t= stream
\tprotocol\t= tcp
\tuser\t\t= root
\twait\t\t= no
\tserver\t\t= /usr/sbin/popa3d
\tdisable\t\t= yes
}
""",
        [("/usr/sbin/popa3d", [], False)],
    ),
    "OpenBSD, popa3d": (
        "popa3d",
        "etc/inetd.conf",
        (
            "#pop3\t\tstream\ttcp\tnowait\troot\t/usr/sbin/popa3d\tpopa3d\n"
            "#pop3\t\tstream\ttcp6\tnowait\troot\t/usr/sbin/popa3d\tpopa3d\n"
        ),
        [("/usr/sbin/popa3d", [], False), ("/usr/sbin/popa3d", [], False)],
    ),
    "popa3d on the loopback": (
        "popa3d",
        "etc/inetd.conf",
        "127.0.0.1:pop3  stream  tcp     nowait  root    /usr/sbin/popa3d popa3d\n",
        [("/usr/sbin/popa3d", [], True)],
    ),
}


@pytest.mark.parametrize("name", STARTS)
def test_what_starts_an_old_program_is_found(tmp_path: Path, name: str) -> None:
    program, path, text, wanted = STARTS[name]
    put(tmp_path / path, text)
    found = starts(str(tmp_path), PROGRAMS[program].names)
    assert [(start.program, start.words, start.active) for start in found] == wanted


# --------------------------------------------------------------------------------------------------------------
# Cyrus

IMAPD = {
    "Ubuntu, passwords in MySQL": (
        DEBIAN
        + "admins: cyrus\nsasl_minimum_layer: 0\nsasl_mech_list: CRAM-MD5\nsasl_sql_engine: mysql\nidlemethod: poll\n",
        {"login_delay": 60, "auth_cleartext": "always", "auth_mechanisms": ("CRAM-MD5",)},
    ),
    "Debian, CalDAV beside it": (
        """\
configdirectory: /var/lib/cyrus
proc_path: /run/cyrus/proc
mboxname_lockpath: /run/cyrus/lock
defaultpartition: default
partition-default: /var/spool/cyrus/mail
altnamespace: yes
unixhierarchysep: no
hashimapspool: 0
admins: cyrus
allowanonymouslogin: no
popminpoll: 1
autocreate_quota: 0
allowplaintext: yes
virtdomains: yes
sasl_pwcheck_method: saslauthd
sasl_mech_list: PLAIN
sasl_auto_transition: no
tls_server_cert: /etc/ssl/certs/example.invalid.pem
tls_server_key: /etc/ssl/private/example.invalid.key
tls_client_ca_dir: /etc/ssl/certs
tls_session_timeout: 1440
tls_ciphers: TLSv1.2:+TLSv1:+HIGH:!aNULL:@STRENGTH
lmtpsocket: /run/cyrus/socket/lmtp
syslog_prefix: cyrus
httpmodules: caldav carddav
""",
        {
            "tls_certificate": "/etc/ssl/certs/example.invalid.pem",
            "tls_key": "/etc/ssl/private/example.invalid.key",
            "auth_mechanisms": ("PLAIN",),
        },
    ),
    "sasldb, no password in the clear": (
        """\
configdirectory: /var/lib/imap
partition-default: /var/spool/imap
popminpoll: 1
allowplaintext: no
tls_required: yes
tls_cert_file: /etc/ssl/cyrus/cert.pem
tls_key_file: /etc/ssl/cyrus/key.pem
sieveusehomedir: false
quotawarn: 90
username_tolower: 1
sasl_mech_list: PLAIN LOGIN
sasl_pwcheck_method: auxprop
""",
        {
            "auth_cleartext": "tls",
            "tls_required": True,
            "tls_certificate": "/etc/ssl/cyrus/cert.pem",
            "auth_lowercase_user": True,
        },
    ),
}


@pytest.mark.parametrize("name", IMAPD)
def test_an_imapd_conf_is_read_and_each_line_works_or_is_told(tmp_path: Path, name: str) -> None:
    text, wanted = IMAPD[name]
    path = put(tmp_path / "imapd.conf", text)
    line = ["--personality", "cyrus", "--config", "none", "-C", str(path), "--check-config"]
    invocation = commandline.read(line, {}, euid=os.geteuid())
    assert {key: getattr(invocation.settings, key) for key in wanted} == wanted
    if invocation.settings.tls_ciphers:
        ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER).set_ciphers(invocation.settings.tls_ciphers)
    told = [str(finding) for finding in check.findings(invocation, os.geteuid())]
    works = directives.WORKS.keys() | directives.TOGETHER.keys() | {name for name, _, _ in directives.REFUSED}
    for number, row in enumerate(text.splitlines(), 1):
        option = row.partition(":")[0]
        option = directives.OLD_NAMES.get(option, option)
        silent = option in works or option.startswith("partition-")
        said = [one for one in told if re.search(rf"imapd\.conf line {number}: {option} ", one)]
        assert len(said) == (0 if silent else 1), (row, said)


def test_an_imapd_conf_whose_passwords_are_in_mysql_says_what_to_do(tmp_path: Path) -> None:
    text = IMAPD["Ubuntu, passwords in MySQL"][0] + "sasl_auxprop_plugin: sql\nsasl_sql_passwd: of a database\n"
    path = put(tmp_path / "imapd.conf", text)
    with pytest.raises(ConfigurationError, match=r"sasl_auxprop_plugin: sql: .*saslauthd -a pam") as told:
        commandline.read(["--personality", "cyrus", "--config", "none", "-C", str(path)], {}, euid=os.geteuid())
    assert "of a database" not in str(told.value)


@pytest.mark.parametrize(
    ("text", "secure", "name"),
    [
        # Cyrus' own documentation of pop3d
        (
            (
                'SERVICES {\n    imap        cmd="imapd -U 30" listen="imap" prefork=0\n'
                '    pop3        cmd="pop3d -U 30" listen="pop3" prefork=0\n'
                '    pop3s       cmd="pop3d -s -U 30" listen="pop3s" prefork=0 maxchild=100\n'
                '    sieve       cmd="timsieved" listen="sieve" prefork=0\n}\n'
            ),
            True,
            "pop3s",
        ),
        # its tests: an imapd.conf of their own, a unix socket
        (
            (
                'START {\n  recover       cmd="ctl_cyrusdb -C /b/etc/imapd.conf -r"\n}\n\nSERVICES {\n'
                '  imap          cmd="imapd -C /b/etc/imapd.conf -t 600" listen="/b/run/imap.sock" maxfds=2048\n'
                '  pop3          cmd="pop3d -C /b/etc/imapd.conf" listen="/b/run/pop3.sock" provide_uuid=1\n}\n\n'
                'EVENTS {\n  checkpoint    cmd="ctl_cyrusdb -C /b/etc/imapd.conf -c" period=30\n}\n'
            ),
            False,
            "pop3",
        ),
        # TLS alone
        (
            (
                'START {\n  recover  cmd="ctl_cyrusdb -r"\n  mboxlist cmd="ctl_mboxlist -m"\n}\n\nSERVICES {\n'
                '  imap     cmd="imapd"    listen="imap"     prefork=5\n'
                '  pop3s    cmd="pop3d -s" listen="pop3s"    prefork=1\n'
                '  lmtpunix cmd="lmtpd"   listen="/var/run/cyrus/socket/lmtp" prefork=1\n}\n'
            ),
            True,
            "pop3s",
        ),
    ],
)
def test_a_cyrus_conf_names_the_service(tmp_path: Path, text: str, secure: bool, name: str) -> None:
    assert cyrus_conf.service(secure, False, str(put(tmp_path / "cyrus.conf", text))) == name
