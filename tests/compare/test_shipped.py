"""Configuration as Debian's packages of the old servers bring it, and as the real pop3d of mailutils explains its own.

Every directive does something, or is told by --check-config as doing nothing, or is refused with a reason.
"""

from __future__ import annotations

import os
import re
import subprocess
from pathlib import Path

import pytest

from qpopper_py.errors import ConfigurationError
from qpopper_py.personality import check, commandline
from qpopper_py.personality.cyrus import cyrus_conf, directives
from qpopper_py.personality.mailutils import files, statements

from .opponents import programs
from .servers import libraries, of

pytestmark = pytest.mark.client
OPTION = re.compile(r"([a-z][a-z0-9_-]*):\s*(\S.*)")
DOES = directives.WORKS.keys() | directives.TOGETHER.keys() | {name for name, _, _ in directives.REFUSED}


def told(conf: Path) -> list[str]:
    """What --check-config says of an imapd.conf, in Cyrus' place.  Raises ConfigurationError."""
    line = ["--personality", "cyrus", "--config", "none", "-C", str(conf), "--check-config"]
    invocation = commandline.read(line, {}, euid=os.geteuid())
    return [str(finding) for finding in check.findings(invocation, os.geteuid())]


def test_cyrus_imapd_conf_each_directive_works_or_is_told_to_have_no_effect(tmp_path: Path) -> None:
    text = (of("cyrus") / "etc/imapd.conf").read_text()
    (tmp_path / "imapd.conf").write_text(text)
    found = told(tmp_path / "imapd.conf")
    numbered = [(number, OPTION.match(line)) for number, line in enumerate(text.split("\n"), 1)]
    names = {number: match[1] for number, match in numbered if match}
    assert len(names) > 20
    for number, name in names.items():
        silent = name in DOES or name.startswith("partition-")
        said = [line for line in found if f"imapd.conf line {number}: {name} " in line]
        assert len(said) == (0 if silent else 1), (name, said)


def test_what_is_commented_out_there_is_known_too(tmp_path: Path) -> None:
    """One at a time; a reason is told for all that cannot be."""
    commented = [line[1:] for line in (of("cyrus") / "etc/imapd.conf").read_text().split("\n") if line.startswith("#")]
    samples = [match for line in commented if (match := OPTION.fullmatch(line))]
    assert {"admins", "sasl_mech_list", "tls_server_cert", "virtdomains"} <= {match[1] for match in samples}
    for sample in samples:
        (tmp_path / "imapd.conf").write_text(f"{sample[0]}\n")
        said = [line for line in told(tmp_path / "imapd.conf") if "imapd.conf line 1: " in line]
        assert len(said) == (0 if sample[1].removeprefix("pop3_") in DOES else 1), (sample[0], said)


def test_cyrus_conf_names_our_services(tmp_path: Path) -> None:
    """pop3s is commented out there."""
    text = (of("cyrus") / "etc/cyrus.conf").read_text()
    path = tmp_path / "cyrus.conf"
    path.write_text(text)
    assert cyrus_conf.service(False, False, str(path)) == "pop3"
    assert cyrus_conf.service(True, False, str(path)) == ""
    path.write_text(re.sub(r"(?m)^(\s*)#(pop3s\s)", r"\1\2", text))
    assert cyrus_conf.service(True, False, str(path)) == "pop3s"


def theirs(*words: str) -> "subprocess.CompletedProcess[str]":
    """The real pop3d of mailutils."""
    program = programs() / "usr/sbin/pop3d"
    environ = {"PATH": os.defpath, "LD_LIBRARY_PATH": libraries(programs())}
    return subprocess.run([program, *words], env=environ, capture_output=True, text=True, stdin=subprocess.DEVNULL)


def stated(text: str) -> list[str]:
    """The dotted names of the statements that --config-help explains."""
    found, inside = [], list[str]()
    for line in text.split("\n"):
        line = line.strip()
        if match := re.fullmatch(r"([a-z0-9-]+)( [^;]*)?( \{|;)", line):
            if match[3] == ";":
                found.append(".".join([*inside, match[1]]))
            else:
                inside.append(match[1])
        elif line == "};":
            inside.pop()
    assert not inside
    return found


def test_every_statement_of_mailutils_is_in_our_table() -> None:
    """Those within a block of which nothing has an effect are in it by the block."""
    names = stated(theirs("--config-help").stdout)
    assert len(names) > 80
    idle = {name for name, row in statements.TABLE.items() if row.block and row.kind == "no effect"}

    def known(name: str) -> bool:
        plain = name.removeprefix("server.") if name.startswith(("server.acl.", "server.tls.")) else name
        return plain in statements.TABLE or plain.partition(".")[0] in idle or plain == "include"

    assert [name for name in names if not known(name)] == []


# A configuration with all of it, but for what names other files and hosts.
MAILUTILS = """\
mode inetd;
max-children 10;
timeout 300;
transcript no;
undelete no;
expire 10;
delete-expired no;
scan-lines no;
login-delay 0;
output-buffer-size 1024;
mandatory-locking { enable no; };
tcp-wrappers { enable yes; daemon pop3d; };
acl { allow 127.0.0.1; deny any; };
mailbox { mail-spool "/var/mail"; autodetect-accuracy 2; };
locking { type dotlock; retry-count 5; retry-sleep 2; pid-check yes; };
logging { syslog yes; facility mail; print-severity yes; severity debug; session-id yes; };
debug { level "<error"; line-info no; };
auth { authentication pam; authorization system; };
pam { service pop3d; };
"""
WITHOUT = ["autodetect-accuracy", "debug", "mandatory-locking", "output-buffer-size", "pid-check"]


def test_what_mailutils_takes_is_taken_here_and_what_has_no_effect_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(files, "SITE", str(tmp_path / "none"))
    path = tmp_path / "pop3d.conf"
    path.write_text(MAILUTILS)
    done = theirs("--no-config", f"--config-file={path}", "--config-lint")
    assert done.returncode == 0, done.stderr
    line = ["--personality", "mailutils", "--qp-config", "none", "--no-config", f"--config-file={path}"]
    invocation = commandline.read([*line, "--config-lint"], {}, euid=os.geteuid())
    found = "\n".join(str(finding) for finding in check.findings(invocation, os.geteuid()))
    assert sorted(re.findall(r"pop3d\.conf line \d+: (\S+): has no effect", found)) == WITHOUT


def test_what_mailutils_does_not_take_is_not_taken_here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(files, "SITE", str(tmp_path / "none"))
    path = tmp_path / "pop3d.conf"
    path.write_text("no-such-statement 1;\n")
    assert theirs("--no-config", f"--config-file={path}", "--config-lint").returncode != 0
    line = ["--personality", "mailutils", "--qp-config", "none", "--no-config", f"--config-file={path}"]
    with pytest.raises(ConfigurationError, match="no-such-statement"):
        commandline.read(line, {}, euid=os.geteuid())
