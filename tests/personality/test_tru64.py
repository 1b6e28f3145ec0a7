"""Tru64's pop3d(8): its synopsis, a row at a time, and the letters that other programs use."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from qpopper_py.errors import ConfigurationError
from qpopper_py.personality import commandline, tru64
from qpopper_py.personality.ucb import DIALECT
from qpopper_py.settings import Settings


def settings(*argv: str) -> Settings:
    return commandline.read(["--config", "none", *argv], {}, euid=os.geteuid()).settings


def refusal(*argv: str) -> str:
    with pytest.raises(ConfigurationError) as error:
        settings(*argv)
    return str(error.value)


def test_the_letters_are_those_of_the_manual() -> None:
    """``/usr/sbin/pop3d [-d] [-s] [-t trace-file] [-T timeout]``"""
    assert [(row.letter, bool(row.value)) for row in tru64.OPTIONS] == [
        ("d", False),
        ("s", False),
        ("t", True),
        ("T", True),
    ]


def test_no_letter_is_ours() -> None:
    assert not [row for row in commandline.OURS if row.letter]


def test_without_options_nothing_is_traced_or_counted() -> None:
    plain = settings()
    assert (plain.debug, plain.statistics, plain.trace_file, plain.timeout) == (False, False, "", 600)


@pytest.mark.parametrize(
    ("argv", "name", "value"),
    [
        (["-d"], "debug", True),
        (["-s"], "statistics", True),
        (["-t", "/var/log/pop.trace"], "trace_file", "/var/log/pop.trace"),
        (["-t/var/log/pop.trace"], "trace_file", "/var/log/pop.trace"),
        (["-T", "300"], "timeout", 300),
        (["-T300"], "timeout", 300),
        (["-dsT15"], "timeout", 15),
        (["-T", "15", "-T", "30"], "timeout", 30),
    ],
)
def test_an_option_does_what_the_manual_says(argv: list[str], name: str, value: object) -> None:
    assert getattr(settings(*argv), name) == value


def test_a_relative_trace_file_is_below_the_working_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert settings("-t", "trace").trace_file == f"{tmp_path}/trace"


def test_a_relative_trace_file_in_a_folder_that_is_gone_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    gone = tmp_path / "gone"
    gone.mkdir()
    monkeypatch.chdir(gone)
    gone.rmdir()
    assert "-t 'trace'" in refusal("-t", "trace")


@pytest.mark.parametrize("argv", [["-t", "600"], ["-t600"], ["-dst600"]])
def test_digits_alone_are_no_trace_file_but_the_timeout_of_mailutils(argv: list[str]) -> None:
    words = refusal(*argv)
    assert "GNU mailutils" in words
    assert "-T 600" in words
    assert "--personality mailutils as the first word" in words


def test_a_file_named_by_digits_can_still_be_traced_to(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert Path(settings("-t", "./600").trace_file) == tmp_path / "600"


def test_an_empty_trace_file_is_refused() -> None:
    assert "names no file" in refusal("-t", "")


@pytest.mark.parametrize("value", ["abc", "0", "-5", "", "1.5"])
def test_a_timeout_that_is_none_is_refused_by_option_and_setting(value: str) -> None:
    words = refusal("-T", value)
    assert "command line, -T" in words
    assert f"timeout = {value!r}" in words


# Letters of the programs' manuals, with what the refusal must name.
FOREIGN = [
    ("-p", "GNU mailutils"), ("-p", "Cyrus"), ("-p", "Qpopper"), ("-m", "GNU mailutils"), ("-i", "GNU mailutils"),
    ("-x", "GNU mailutils"), ("-P", "GNU mailutils"), ("-u", "GNU mailutils"), ("-v", "GNU mailutils"),
    ("-V", "GNU mailutils"), ("-h", "GNU mailutils"), ("-?", "GNU mailutils"), ("-C", "Cyrus"), ("-U", "Cyrus"),
    ("-D", "Cyrus"), ("-X", "Cyrus"), ("-k", "Cyrus"), ("-H", "Cyrus"), ("-D", "popa3d"), ("-V", "popa3d"),
    ("-4", "popa3d"), ("-6", "popa3d"), ("-b", "Qpopper"), ("-B", "Qpopper"), ("-c", "Qpopper"), ("-C", "Qpopper"),
    ("-D", "Qpopper"), ("-e", "Qpopper"), ("-f", "Qpopper"), ("-F", "Qpopper"), ("-k", "Qpopper"), ("-K", "Qpopper"),
    ("-l", "Qpopper"), ("-L", "Qpopper"), ("-R", "Qpopper"), ("-S", "Qpopper"), ("-u", "Qpopper"), ("-U", "Qpopper"),
    ("-v", "Qpopper"), ("-y", "Qpopper"),
    ("--port", "GNU mailutils"), ("--daemon=5", "GNU mailutils"), ("--mail-spool=/x", "GNU mailutils"),
    ("--pam-service=x", "GNU mailutils"), ("--tls-required", "GNU mailutils"), ("-d10", "GNU mailutils"),
]  # fmt: skip


@pytest.mark.parametrize(("option", "program"), FOREIGN)
def test_an_option_of_another_program_is_refused_in_the_name_of_that_program(option: str, program: str) -> None:
    words = refusal(option, "value")
    assert f"in {program} " in words
    assert "--personality" in words
    assert "as the first word" in words


@pytest.mark.parametrize("option", ["-z", "-E", "-é", "--frobnicate"])
def test_an_option_that_no_program_has_is_refused_plainly(option: str) -> None:
    assert refusal(option).startswith(f"there is no option {option}; ")


def test_a_misspelt_long_option_is_told_the_right_one() -> None:
    assert "did you mean --listen?" in refusal("--lisen", ":110")


def test_the_cluster_that_holds_an_unknown_letter_is_named() -> None:
    assert refusal("-dsp110").startswith("there is no option -p (in -dsp110); ")


def test_the_dialect_is_ucb_poppers() -> None:
    assert tru64.DIALECT is DIALECT
