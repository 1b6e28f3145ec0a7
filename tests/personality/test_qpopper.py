"""Qpopper 4's popper(8): each flag of its manual's synopsis, and what it does."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from qpopper_py import listeners
from qpopper_py.errors import ConfigurationError
from qpopper_py.personality import commandline, qpopper, report
from qpopper_py.personality.commandline import Invocation
from tests.harness import environment

# popper [ [address][:][port] ] and these (manual of 4.0 and 4.1, and its source): flag, whether it takes a value
SYNOPSIS = {
    "b": True, "B": False, "c": False, "C": False, "d": False, "D": True, "e": True, "f": True, "F": False, "k": False,
    "K": True, "l": True, "L": True, "p": True, "R": False, "s": False, "S": False, "t": True, "T": True, "u": False,
    "U": False, "v": False, "V": False, "x": False, "y": True,
}  # fmt: skip


def invoked(*argv: str) -> Invocation:
    first = 0 if not argv or argv[0].startswith("-") else 1
    line = ["--personality", "qpopper", *argv[:first], "--config", "none", *argv[first:]]
    return commandline.read(line, {}, euid=os.geteuid())


def refusal(*argv: str) -> str:
    with pytest.raises(ConfigurationError) as error:
        invoked(*argv)
    return str(error.value)


def test_the_flags_are_those_of_the_manual() -> None:
    assert {row.letter: bool(row.value) for row in qpopper.OPTIONS} == SYNOPSIS
    assert not [row for row in qpopper.OPTIONS if row.long]


@pytest.mark.parametrize("name", ["popper", "in.popper", "qpopper", "in.qpopper"])
def test_it_is_chosen_by_its_name(name: str) -> None:
    found = commandline.read(["-S", "--config", "none"], {}, euid=os.geteuid(), called=f"/usr/sbin/{name}")
    assert found.personality is qpopper


@pytest.mark.parametrize(
    ("argv", "name", "value"),
    [
        ([], "timeout", 120),
        ([], "pam_service", "pop3"),
        ([], "auth_minimum_uid", 11),
        ([], "auth_max_failures", 1),
        ([], "mbox_separator", "strict"),
        ([], "mbox_internal", "hidden"),
        ([], "uidl", "qpopper4"),
        ([], "status_headers", "write"),
        ([], "update_on_abort", False),  # not Qpopper's: see the manual
        ([], "log_reverse_lookup", True),
        ([], "user_options", "off"),
        ([], "log_ident", "popper"),
        (["-b", "/var/spool/bulls"], "bulletins_source", "/var/spool/bulls"),
        (["-c"], "auth_lowercase_user", True),
        (["-C"], "auth_strip_domain", True),
        (["-d"], "debug", True),
        (["-e", "login_delay=300,expire=30"], "login_delay_announced", 300),
        (["-e", "login_delay=300,expire=30"], "expire", "30"),
        (["-e", "expire=-1"], "expire", "never"),
        (["-e", "login_delay=-1"], "login_delay_announced", 0),
        (["-k"], "kpop", True),
        (["-k"], "auth_sources", ("kerberos",)),
        (["-K", "rcmd"], "kerberos_service", "rcmd"),
        (["-l0"], "tls_mode", "no"),
        (["-l1"], "tls_mode", "starttls"),
        (["-l", "2"], "tls_mode", "implicit"),
        (["-p0"], "auth_cleartext", "always"),
        (["-p0"], "mailauth_exclusive", True),
        (["-p1"], "auth_cleartext", "never"),
        (["-p2"], "auth_cleartext", "always"),
        (["-p2"], "mailauth_exclusive", False),
        (["-p3"], "auth_cleartext", "local"),
        (["-p4"], "auth_cleartext", "tls"),
        (["-R"], "log_reverse_lookup", False),
        (["-s"], "statistics", True),
        (["-s"], "log_statistics_client", True),
        (["-t", "/var/log/pop"], "trace_file", "/var/log/pop"),
        (["-t", "/var/log/pop"], "debug", True),
        (["-T600"], "timeout", 600),
        (["-u"], "user_options", "home"),
        (["-U"], "user_options", "spool"),
        (["-uU"], "user_options", "both"),
        (["-y", "local3"], "log_facility", "local3"),
        (["-y", "LOCAL3"], "log_facility", "local3"),
        (["199.46.50.7:8110", "-S", "-T600"], "timeout", 600),
        (["8110", "-S", "-T600"], "timeout", 600),
    ],
)
def test_a_flag_does_what_the_manual_says(argv: list[str], name: str, value: object) -> None:
    assert getattr(invoked(*argv).settings, name) == value


@pytest.mark.parametrize(
    ("operand", "where"),
    [
        ("199.46.50.7:8110", ("199.46.50.7", 8110)),
        ("199.46.50.7", ("199.46.50.7", 110)),
        ("199.46.50.7:", ("199.46.50.7", 110)),
        ("8110", ("", 8110)),
        (":8110", ("", 8110)),
        (":", ("", 110)),
        ("[::1]:8110", ("::1", 8110)),
        ("[::1]", ("::1", 110)),
    ],
)
def test_the_first_operand_is_where_to_listen_in_the_background(operand: str, where: tuple[str, int]) -> None:
    found = invoked(operand)
    assert [listeners.host_and_port(one.address) for one in found.settings.listen] == [where]
    assert found.settings.serve_background
    assert not found.inetd


def test_without_an_operand_it_serves_the_connection_of_inetd() -> None:
    assert invoked("-S").inetd


@pytest.mark.parametrize(
    ("argv", "words"),
    [
        (["1.2.3.4", "5.6.7.8"], "'5.6.7.8' is no option"),
        (["-S", "-T", "600", "110", "-R"], "'-R' is no option"),
        (["1.2.3.4:x"], "port"),
        (["-p", "5"], "-p '5' is none of 0 default"),
        (["-l", "3"], "-l '3' is none of 0"),
        (["-e", "expire"], "is not login_delay=SECONDS,expire=DAYS"),
        (["-e", "days=3"], "neither login_delay nor expire"),
        (["-y", "uucp"], "log.facility"),
        (["-x"], "command line: -x is of Qpopper 4.1"),
        (["-b", "bulls"], "is not an absolute path"),
        (["-f", "/nonexistent/config"], "Unable to process config file /nonexistent/config"),
        (["-i"], "there is no option -i"),
    ],
)
def test_what_is_wrong_is_said(argv: list[str], words: str) -> None:
    assert words in refusal(*argv)


@pytest.mark.parametrize("flag", ["-B", "-D localhost", "-F", "-L 100", "-S"])
def test_a_flag_without_effect_is_told_by_check_config_with_the_reason(
    flag: str, capsys: pytest.CaptureFixture[str]
) -> None:
    found = invoked(*flag.split(), "--check-config")
    letter = flag.split()[0]
    assert [note for note in found.notes if note.startswith(f"{letter}: no effect: ")]
    report.answer(found)
    assert f"hint: {letter}: no effect: " in capsys.readouterr().out
    assert not invoked("--check-config").notes


@pytest.mark.parametrize("flag", ["-v", "-V"])
def test_the_version_is_printed_where_the_standard_output_is(flag: str) -> None:
    line = [sys.executable, "-m", "qpopper_py", "--personality", "qpopper", flag]
    done = subprocess.run(line, capture_output=True, text=True, env=environment(), stdin=subprocess.DEVNULL)
    assert (done.returncode, done.stdout) == (0, report.VERSION)


def test_the_usage_has_the_operand_and_every_flag() -> None:
    usage = report.synopsis(qpopper)  # type: ignore[arg-type]  # a module is a Personality
    assert usage.startswith("usage: pop3d [[ADDRESS][:][PORT]] [-b DIR] [-B] [-c] ")
    assert "[-y FACILITY]" in usage


def test_flags_are_stronger_than_the_file(tmp_path: Path) -> None:
    path = tmp_path / "config"
    path.write_text("set timeout = 60\nset user-options = true\n")
    path.chmod(0o600)
    found = invoked("-T", "90", "-U", "-f", str(path)).settings
    assert (found.timeout, found.user_options) == (90, "both")


def test_pop3d_toml_is_stronger_than_qpoppers_file(tmp_path: Path) -> None:
    theirs, ours = tmp_path / "config", tmp_path / "pop3d.toml"
    theirs.write_text("set timeout = 60\nset statistics\n")
    ours.write_text("timeout = 77\n")
    line = ["--personality", "qpopper", "-f", str(theirs), "--config", str(ours)]
    found = commandline.read(line, {}, euid=os.geteuid()).settings
    assert (found.timeout, found.statistics) == (77, True)
