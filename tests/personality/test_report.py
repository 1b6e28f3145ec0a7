"""--help, --version, --dump-config and --check-config, and that manual and sample say what the table says."""

from __future__ import annotations

import os
import shutil
import subprocess
import tomllib
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

import qpopper_py
from qpopper_py import settings
from qpopper_py.errors import ConfigurationError
from qpopper_py.personality import check, commandline, config_text, report, tru64
from qpopper_py.personality.commandline import Invocation
from qpopper_py.tools.sample import sample

TREE = Path(__file__).resolve().parents[2]


def invoke(*argv: str) -> Invocation:
    return commandline.read(["--config", "none", *argv], {}, euid=os.geteuid())


def printed(invocation: Invocation, capsys: pytest.CaptureFixture[str], status: int = 0) -> str:
    assert report.answer(invocation) == status
    return capsys.readouterr().out


# ---------------------------------------------------------------------------------------------------------------
# Help and version


def test_version(capsys: pytest.CaptureFixture[str]) -> None:
    assert printed(invoke("--version"), capsys) == f"pop3d (qpopper_py) {qpopper_py.__version__}\n"


@pytest.mark.parametrize("row", [*tru64.OPTIONS, *commandline.OURS], ids=lambda row: row.spelt)
def test_help_has_a_line_for_each_option(row: object, capsys: pytest.CaptureFixture[str]) -> None:
    lines = printed(invoke("--help"), capsys).splitlines()
    assert [line for line in lines if line.startswith(f"  {report.usage(row)}  ") and line.endswith(row.why)]  # type: ignore[arg-type, attr-defined]


def test_help_fits_a_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    assert max(map(len, printed(invoke("--help"), capsys).splitlines())) <= 100


def test_a_complaint_names_the_error_and_the_usage() -> None:
    with pytest.raises(ConfigurationError) as error:
        invoke("-z")
    words = report.complaint(error.value, ["-x"], "/usr/sbin/pop3d")
    assert words.startswith("pop3d: there is no option -z")
    assert "\nusage: pop3d [-d] [-s] [-t FILE] [-T SECONDS]" in words


# ---------------------------------------------------------------------------------------------------------------
# --dump-config


def test_dump_config_shows_what_differs_and_where_it_came_from(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "pop3d.toml"
    path.write_text("[trace]\nusers = ['alice']\n")
    invocation = commandline.read(
        ["--config", str(path), "--dump-config", "-sT30", "--set", "spool=/var/mail"], {}, euid=os.geteuid()
    )
    assert printed(invocation, capsys).splitlines()[1:] == [
        "timeout = 30  # command line, -T",
        "statistics = true  # command line, -s",
        'status_headers = "write"  # personality tru64',
        f'trace.users = ["alice"]  # {path} line 2',
    ]


def test_dump_config_all_shows_every_setting(capsys: pytest.CaptureFixture[str]) -> None:
    text = printed(invoke("--dump-config=all"), capsys)
    assert set(config_text.parse(text.encode(), "dump")) == set(settings.rows())
    assert 'spool = "/var/mail"  # built-in\n' in text
    assert 'last = "stored"  # personality tru64\n' in text


def test_what_is_dumped_may_be_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tru64, "SETTINGS", {})
    text = report.dump(Invocation("dump-config", settings.Settings(), tru64), everything=False)
    assert config_text.parse(text.encode(), "dump") == {}


TEXTS = st.text(st.characters(exclude_categories=["Cs", "Cc"]), max_size=12)


def test_tables_are_dumped_as_tables_and_read_as_the_same() -> None:
    layer = {"listen": ["*:110", {"address": "*:995", "tls": "implicit", "proxy": True}], "tls.sni": "a.example=/a:/b"}
    before = settings.Settings([("test", layer)])
    text = report.dump(Invocation("dump-config", before, tru64), everything=False)
    assert 'listen = ["*:110", {address = "*:995", tls = "implicit", proxy = true}]  # test\n' in text
    assert 'tls.sni = {"a.example" = {certificate = "/a", key = "/b"}}  # test\n' in text
    after = config_text.parse(text.encode(), "dump")
    again = settings.Settings([("dump", {name: raw for name, (raw, _) in after.items()})])
    assert (again.listen, again.tls_sni) == (before.listen, before.tls_sni)


@given(TEXTS, TEXTS, st.lists(TEXTS.filter(bool), max_size=3), st.booleans(), st.integers(1, 86400))
def test_what_is_dumped_is_read_as_the_same_settings(
    path: str, owner: str, users: list[str], flag: bool, seconds: int
) -> None:
    layer = {
        "spool": "/" + path,
        "mailauth.owner": owner,
        "trace.users": users,
        "debug": flag,
        "timeout": seconds,
    }
    before = settings.Settings([("first\nsecond", layer)])
    text = report.dump(Invocation("dump-config", before, tru64), everything=False)
    after = config_text.parse(text.encode(), "dump")
    again = settings.Settings([("dump", {name: raw for name, (raw, _) in after.items()})])
    assert [row.value(again) for row in settings.table()] == [row.value(before) for row in settings.table()]


# ---------------------------------------------------------------------------------------------------------------
# --check-config


@pytest.fixture
def house(tmp_path: Path) -> dict[str, object]:
    """Settings with which nothing is wrong for whoever runs this."""
    for name in ("mail", "state", "auth"):
        (tmp_path / name).mkdir(mode=0o755)
    accounts = tmp_path / "auth" / "accounts"
    accounts.write_text("alice:{PLAIN}secret::::::\n")
    accounts.chmod(0o600)
    mailer = tmp_path / "sendmail"
    mailer.write_text("#!/bin/sh\n")
    mailer.chmod(0o755)
    return {
        "spool": tmp_path / "mail",
        "state_dir": tmp_path / "state",
        "sendmail": mailer,
        "mailauth.database": tmp_path / "auth" / "mailauth.db",
        "accounts.file": accounts,
        "auth.sources": "mailauth,accounts",
    }


def found(house: dict[str, object], **changes: object) -> list[check.Finding]:
    """What is said of the house with some settings changed (``spool``, ``trace__file`` for ``trace.file``)."""
    house = {**house, **{name.replace("__", "."): value for name, value in changes.items()}}
    argv = [word for name, value in house.items() for word in ("--set", f"{name}={value}")]
    return list(check.findings(invoke("--check-config", *argv), os.geteuid()))


def errors(house: dict[str, object], **changes: object) -> list[str]:
    return [finding.text for finding in found(house, **changes) if finding.wrong]


def hints(house: dict[str, object], **changes: object) -> list[str]:
    return [finding.text for finding in found(house, **changes) if not finding.wrong]


def test_nothing_is_said_to_be_wrong_with_a_good_house(house: dict[str, object]) -> None:
    assert errors(house) == []


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"spool": "/nonexistent"}, "spool: /nonexistent: No such file or directory; set spool"),
        ({"bulletins__source": "/nonexistent"}, "bulletins.source: /nonexistent: No such file or directory; name"),
        ({"bulletins__source": "/tmp", "state_dir": ""}, "bulletins.source: without state_dir"),
        ({"bulletins__source": "/tmp", "bulletins__database": "/nonexistent"}, "bulletins.database: /nonexistent"),
        ({"delete_expired": True, "expire": 1, "state_dir": ""}, "delete_expired: without state_dir"),
        ({"spool": "/dev/null"}, "spool: /dev/null is not a folder"),
        ({"state_dir": "/dev/null"}, "state_dir: /dev/null is not a folder"),
        ({"state_dir": "/nonexistent/state"}, "state_dir: /nonexistent/state: No such file"),
        ({"sendmail": "/dev/null"}, "sendmail: /dev/null is not a program"),
        ({"trace__file": "/nonexistent/trace"}, "trace.file: /nonexistent: No such file"),
        ({"trace__file": "/dev/null"}, "trace.file: /dev/null is not a file"),
        ({"listen": "a..b:110"}, "listen: a..b:110: "),
        ({"auth__refusal_delay": 60, "login_timeout": 30}, "auth.refusal_delay: 60 s is not less than login_timeout"),
        ({"auth__sources": ""}, "auth.sources: it is empty"),
        ({"auth__sources": "unix", "apop__stamp": "always"}, "apop.stamp: always"),
        ({"mailauth__database": ""}, "mailauth.database: it is empty"),
        ({"mailauth__database": "/dev/null"}, "mailauth.database: "),
        ({"accounts__file": "/nonexistent"}, "/nonexistent: No such file"),
        ({"accounts__maildrop": "%q"}, "accounts.maildrop"),
        ({"accounts__owner": "no such user"}, "accounts.owner: there is no user 'no such user'"),
        ({"locks__kinds": ""}, "locks.kinds: it is empty"),
    ],
)
def test_an_error_names_the_setting_and_what_is_wrong(
    changes: dict[str, object], words: str, house: dict[str, object]
) -> None:
    assert [text for text in errors(house, **changes) if words in text]


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"timeout": 30}, "timeout: 30 s is less than the 600 s that RFC 1939 asks for"),
        ({"sendmail": "/nonexistent"}, "XTND XMIT is refused: install a mailer, or say xmit = off"),
        ({"state_dir": ""}, "state_dir: it is empty"),
        ({"state_dir": ""}, "guess: refused logins are counted in state_dir"),
        ({"login_timeout": 30}, "guess.largest: 30 s is not less than login_timeout, 30 s"),
        ({"trace__users": "alice"}, "trace: there is no trace.file"),
        ({"uidl": "popa3d"}, "uidl: popa3d, but where messages begin is not popa3d's rule"),
        ({"uidl": "cyrus", "state_dir": ""}, "uidl: cyrus needs a state_dir"),
    ],
)
def test_a_hint_is_no_error(changes: dict[str, object], words: str, house: dict[str, object]) -> None:
    assert [text for text in hints(house, **changes) if words in text]
    assert errors(house, **changes) == []


def test_a_spool_in_which_everybody_can_replace_files_is_an_error(house: dict[str, object], tmp_path: Path) -> None:
    (tmp_path / "mail").chmod(0o777)
    assert errors(house) == [
        f"spool: everybody can replace mailboxes in {tmp_path}/mail; run: chmod +t {tmp_path}/mail"
    ]
    (tmp_path / "mail").chmod(0o1777)
    assert errors(house) == []


def test_a_trace_file_that_is_a_link_is_an_error(house: dict[str, object], tmp_path: Path) -> None:
    (tmp_path / "trace").symlink_to("elsewhere")
    assert [text for text in errors(house, trace__file=tmp_path / "trace") if "symbolic link" in text]


def test_a_mailer_that_others_can_change_is_an_error(house: dict[str, object], tmp_path: Path) -> None:
    (tmp_path / "sendmail").chmod(0o777)
    assert [text for text in errors(house) if f"run: chmod go-w {tmp_path}/sendmail" in text]


@pytest.mark.root
def test_a_state_folder_of_another_user_is_an_error_for_root(house: dict[str, object], tmp_path: Path) -> None:
    os.chown(tmp_path / "state", 65534, 0)
    assert [text for text in errors(house) if f"run: chown root {tmp_path}/state" in text]


def test_a_low_port_is_an_error_for_who_is_not_root() -> None:
    invocation = invoke("--listen", "127.0.0.1:1", "--check-config")
    assert [finding for finding in check.listening(invocation.settings, 4321) if "ports below" in finding.text]
    assert not list(check.listening(invocation.settings, 0))


def test_the_status_tells_whether_something_is_wrong(
    house: dict[str, object], capsys: pytest.CaptureFixture[str]
) -> None:
    argv = [word for name, value in house.items() for word in ("--set", f"{name}={value}")]
    good = printed(invoke("--check-config", *argv), capsys)
    assert good.endswith("good to serve\n")
    bad = printed(invoke("--check-config", *argv, "--set", "spool=/nonexistent"), capsys, status=1)
    assert "error: spool: /nonexistent" in bad
    assert bad.endswith("mend what is marked error\n")


# ---------------------------------------------------------------------------------------------------------------
# Manual and sample


def manual() -> str:
    return (TREE / "man" / "pop3d.toml.5").read_text()


@pytest.mark.parametrize("row", list(settings.table()), ids=lambda row: row.name)
def test_the_manual_has_every_setting_with_its_default(row: settings.Setting) -> None:
    default = report.toml(row.written(row.default)).replace('"', "\\(dq")
    assert f".It Va {row.name} = {default}\n" in manual()


@pytest.mark.parametrize("row", [row for row in settings.table() if hasattr(row, "choices")], ids=lambda row: row.name)
def test_the_manual_has_every_word_that_a_setting_takes(row: settings.Setting) -> None:
    entry = manual().split(f".It Va {row.name} = ")[1].split(".It Va ")[0]
    for word in row.choices:  # type: ignore[attr-defined]
        assert word in entry or (row.name == "log.facility" and word.startswith("local"))


def test_the_manual_has_no_setting_that_there_is_not() -> None:
    named = [line.split()[2] for line in manual().splitlines() if line.startswith(".It Va ")]
    assert sorted(named) == sorted(settings.rows())


@pytest.mark.client("groff")
def test_groff_is_silent_about_the_manual() -> None:
    groff = shutil.which("groff")
    assert groff
    done = subprocess.run(
        [groff, "-mdoc", "-ww", "-z", TREE / "man" / "pop3d.toml.5"], capture_output=True, text=True, check=True
    )
    assert (done.stdout, done.stderr) == ("", "")


def test_the_example_of_the_manual_is_good() -> None:
    text = manual().split(".Bd -literal -offset indent\n")[1].split(".Ed")[0]
    assert config_text.parse(text.encode(), "example")["trace.users"] == (["alice"], 7)


def test_the_sample_is_in_step_with_the_table() -> None:
    """python3 -m qpopper_py.tools.sample > etc/pop3d.toml"""
    assert (TREE / "etc" / "pop3d.toml").read_text() == sample()


def test_the_sample_as_it_is_sets_nothing() -> None:
    assert tomllib.loads((TREE / "etc" / "pop3d.toml").read_text()) == {}


def test_the_sample_with_its_lines_uncommented_is_the_defaults() -> None:
    lines = (TREE / "etc" / "pop3d.toml").read_text().splitlines()
    text = "\n".join(line[1:] if line.startswith("#") and line[1:2].isalpha() else line for line in lines)
    values = config_text.parse(text.encode(), "sample")
    assert set(values) == set(settings.rows())
    for name, (raw, _) in values.items():
        assert settings.parse(name, raw, "sample") == settings.rows()[name].default


def test_what_was_set_back_from_the_personalitys_value_to_the_built_in_one_is_shown(
    capsys: pytest.CaptureFixture[str],
) -> None:
    """A file made of --dump-config is to have the same effect."""
    argv = ["--personality", "qpopper", "--set", "uidl=qpopper2", "--dump-config"]
    text = printed(commandline.read(argv, {}, euid=1000), capsys)
    assert 'uidl = "qpopper2"  # command line, --set\n' in text
