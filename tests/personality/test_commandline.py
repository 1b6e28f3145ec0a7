"""What a command line asks for, and which of several values wins (pop3d(8))."""

from __future__ import annotations

import os
from pathlib import Path
from types import SimpleNamespace

import pytest

from qpopper_py.errors import ConfigurationError
from qpopper_py.facts import Listener
from qpopper_py.personality import commandline, config, tru64
from qpopper_py.personality.commandline import Invocation
from qpopper_py.personality.options import Option


@pytest.fixture(autouse=True)
def no_file_of_the_host(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """These tests know which files there are."""
    monkeypatch.setattr(commandline, "DEFAULT", str(tmp_path / "none.toml"))


def read(*argv: str) -> Invocation:
    return commandline.read(argv, {}, euid=os.geteuid())


def refusal(*argv: str) -> str:
    with pytest.raises(ConfigurationError) as error:
        read(*argv)
    assert "\n" not in str(error.value)
    return str(error.value)


def toml(folder: Path, text: str, name: str = "pop3d.toml") -> str:
    path = folder / name
    path.write_text(text)
    path.chmod(0o644)
    return str(path)


def test_without_options_it_serves_the_connection_of_inetd() -> None:
    invocation = read()
    assert (invocation.action, invocation.inetd, invocation.config) == ("serve", True, "")
    assert invocation.personality is tru64


def test_the_default_file_is_read_if_it_is_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = toml(tmp_path, "timeout = 77\n")
    monkeypatch.setattr(commandline, "DEFAULT", path)
    monkeypatch.setattr(config, "cache_folder", lambda environ, euid: "")
    assert (read().settings.timeout, read().config) == (77, path)
    assert read("--config", "none").settings.timeout == 600


def test_a_demonstration_reads_no_file_but_one_that_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = toml(tmp_path, "timeout = 77\n")
    monkeypatch.setattr(commandline, "DEFAULT", path)
    assert read("--demo").settings.timeout == 600
    assert read("--demo", "--config", path).settings.timeout == 77


def test_builtin_then_personality_then_file_then_command_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tru64, "SETTINGS", {"timeout": 2, "login_timeout": 2, "transfer_timeout": 2})
    path = toml(tmp_path, "login_timeout = 3\ntransfer_timeout = 3\n")
    invocation = read("--config", path, "--set", "transfer_timeout=4")
    settings = invocation.settings
    assert settings.locks_timeout == 10
    assert (settings.timeout, settings.login_timeout, settings.transfer_timeout) == (2, 3, 4)
    assert invocation.origins == {
        "timeout": "personality tru64",
        "login_timeout": f"{path} line 1",
        "transfer_timeout": "command line, --set",
    }


def test_on_the_command_line_the_last_word_counts() -> None:
    assert read("-T300", "--set", "timeout=40", "--set", "timeout=50").settings.timeout == 50
    assert read("--set", "timeout=40", "-T300").settings.timeout == 300


def test_set_takes_texts_with_equals_signs_and_lists_with_commas() -> None:
    settings = read("--set", "trace.file=/a=b", "--set=trace.users=alice,bob").settings
    assert (settings.trace_file, settings.trace_users) == ("/a=b", ("alice", "bob"))


@pytest.mark.parametrize(
    ("argv", "words"),
    [
        (["--set", "timeout"], "no = in it"),
        (["--set", "timeout=x"], "command line, --set: timeout = 'x'"),
        (["--set", "tiemout=3"], "command line, --set: there is no setting 'tiemout'; did you mean timeout?"),
        (["--set"], "--set KEY=VALUE"),
        (["--listen", "110"], "command line, --listen: listen = ['110']"),
        (["--inetd", "--listen", ":110"], "exclude each other"),
        (["--demo", "--check-config"], "exclude each other"),
        (["--dump-config", "--dump-config=all"], "exclude each other"),
        (["--dump-config=some"], "--dump-config=all"),
        (["--check-config=all"], "--check-config takes no value"),
        (["--config", ""], "--config none"),
        (["--config", "/nonexistent/pop3d.toml"], "there is no such file"),
        (["word"], "'word' is no option"),
        (["192.0.2.1:110"], "--listen"),
        (["--", "-d"], "'-d' is no option"),
    ],
)
def test_what_is_wrong_is_named_with_what_to_do(argv: list[str], words: str) -> None:
    assert words in refusal(*argv)


def test_listen_may_be_given_often_and_takes_the_place_of_the_files(tmp_path: Path) -> None:
    path = toml(tmp_path, 'listen = [":1"]\n')
    assert read("--config", path).settings.listen == (Listener(":1"),)
    invocation = read("--config", path, "--listen", "[::1]:110", "--listen=*:110")
    assert invocation.settings.listen == (Listener("[::1]:110"), Listener("*:110"))
    assert not invocation.inetd


def test_options_of_a_listener_stand_behind_its_address() -> None:
    given = read("--listen", ":110,cleartext=tls,minimum=1.0", "--listen", ":995,tls=implicit").settings.listen
    assert given == (Listener(":110", cleartext="tls", minimum="1.0"), Listener(":995", tls="implicit"))


def test_inetd_is_stronger_than_listen_in_the_file(tmp_path: Path) -> None:
    path = toml(tmp_path, 'listen = [":1"]\n')
    assert not read("--config", path).inetd
    assert read("--config", path, "--inetd").inetd


@pytest.mark.parametrize(
    ("option", "action"),
    [
        ("--check-config", "check-config"),
        ("--dump-config", "dump-config"),
        ("--dump-config=all", "dump-config-all"),
        ("--demo", "demo"),
        ("--version", "version"),
        ("--help", "help"),
    ],
)
def test_actions(option: str, action: str) -> None:
    assert read(option).action == action
    assert read(option, option).action == action


@pytest.mark.parametrize("option", ["--help", "--version"])
def test_help_and_version_answer_whatever_the_file_says(option: str, tmp_path: Path) -> None:
    broken = toml(tmp_path, "no TOML at all")
    assert read("--config", broken, option, "--demo").action == option[2:]


@pytest.mark.parametrize("argv", [["--personality=pop4"], ["--personality", "pop4"]])
def test_an_unknown_personality_is_refused(argv: list[str]) -> None:
    assert "command line, --personality: personality 'pop4': no program of that name is known" in refusal(*argv)


def test_a_personality_is_named_first_or_not_at_all() -> None:
    assert "as the first word" in refusal("--set", "personality=tru64")
    assert "there is no option --personality" in refusal("-d", "--personality", "tru64")
    assert "needs a value" in refusal("--personality")


def test_the_settings_know_every_personality() -> None:
    from qpopper_py.settings import rows

    assert set(commandline.SERVED) | set(commandline.NAMES.values()) == set(rows()["personality"].choices)  # type: ignore[attr-defined]


class TestChosen:
    """Who says whose place is taken, the stronger first: the first word, master(8) of Cyrus, the program's names."""

    def chosen(self, called: str, *argv: str, **environ: str) -> str:
        return commandline.chosen(argv, environ, called)[1]

    def test_the_first_word_is_the_strongest(self, tmp_path: Path) -> None:
        assert self.chosen("/usr/sbin/popa3d", "--personality", "tru64", CYRUS_SERVICE="pop3") == "tru64"
        assert self.chosen("/usr/sbin/popa3d", "--personality=tru64", "-d", CYRUS_SERVICE="pop3") == "tru64"

    def test_masters_environment_is_stronger_than_a_name(self) -> None:
        assert self.chosen("/usr/sbin/popa3d", "-s", CYRUS_SERVICE="pop3s") == "cyrus"

    @pytest.mark.parametrize("name", ["pop3d", "in.pop3d", "python3", "", "spop3d"])
    def test_other_names_say_nothing(self, name: str, tmp_path: Path) -> None:
        assert self.chosen(str(tmp_path / name) if name else "") == ""

    @pytest.mark.parametrize(("name", "personality"), commandline.NAMES.items())
    def test_the_name_of_the_program(self, name: str, personality: str, tmp_path: Path) -> None:
        assert self.chosen(str(tmp_path / name)) == personality

    def test_every_link_on_the_way_is_looked_at(self, tmp_path: Path) -> None:
        (tmp_path / "lib").mkdir()
        (tmp_path / "sbin").mkdir()
        (tmp_path / "lib/real").write_text("")
        (tmp_path / "lib/mailutils-pop3d").symlink_to("real")
        (tmp_path / "sbin/pop3d").symlink_to("../lib/mailutils-pop3d")
        assert self.chosen(str(tmp_path / "sbin/pop3d")) == "mailutils"
        (tmp_path / "sbin/popper").symlink_to("pop3d")
        assert self.chosen(str(tmp_path / "sbin/popper")) == "qpopper"  # the first name that says something

    def test_links_in_a_ring_end(self, tmp_path: Path) -> None:
        (tmp_path / "pop3d").symlink_to("in.pop3d")
        (tmp_path / "in.pop3d").symlink_to("pop3d")
        assert self.chosen(str(tmp_path / "pop3d")) == ""


def test_the_personality_may_come_from_the_file(tmp_path: Path) -> None:
    invocation = read("--config", toml(tmp_path, 'statistics = true\npersonality = "tru64"\n'))
    assert invocation.personality.name == invocation.settings.personality == "tru64"
    assert invocation.origins["personality"].endswith("pop3d.toml line 2")


def made_up(name: str, *options: Option, rules: str = "POSIX") -> SimpleNamespace:
    more = {"OPTIONS": options, "RULES": rules, "SETTINGS": {}, "DIALECT": tru64.DIALECT}
    return SimpleNamespace(name=name, title=name, configured=tru64.configured, **more)


@pytest.mark.parametrize("place", ["on the line", "in the file"])
def test_letters_are_read_by_the_personality_wherever_it_is_named(
    place: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from qpopper_py.settings import rows

    other = made_up("other", Option("d", "N", "children", setting="limits.sessions"))
    monkeypatch.setattr(commandline, "named", lambda name, origin: {"tru64": tru64, "other": other}[name])
    monkeypatch.setattr(rows()["personality"], "choices", ("tru64", "other"))
    path = toml(tmp_path, 'personality = "other"\n')
    argv = {
        "on the line": ["--personality", "other", "-d", "7"],
        "in the file": ["-d", "7", "--config", path],
    }[place]
    invocation = read(*argv)
    assert (invocation.personality, invocation.settings.limits_sessions) == (other, 7)
    assert invocation.settings.personality == "other"
    assert not invocation.settings.debug


def test_among_long_options_ours_have_a_prefix(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from qpopper_py.settings import rows

    other = made_up(
        "other", Option("t timeout", "N", "", setting="timeout"), Option("config-file", "F", ""), rules="GNU"
    )
    monkeypatch.setattr(commandline, "named", lambda name, origin: {"tru64": tru64, "other": other}[name])
    monkeypatch.setattr(rows()["personality"], "choices", ("tru64", "other"))
    path = toml(tmp_path, "login_timeout = 7\n")
    argv = ["--personality", "other", "--qp-config", path, "--qp-set", "statistics=yes", "--time=9"]
    settings = read(*argv).settings
    assert (settings.login_timeout, settings.statistics, settings.timeout) == (7, True, 9)
    with pytest.raises(ConfigurationError, match="no option --set"):
        read("--personality", "other", "--set", "statistics=yes")


def test_our_own_options_are_no_values_of_others(tmp_path: Path) -> None:
    path = toml(tmp_path, "timeout = 5\n")
    assert "--config cannot be the value" in refusal("-t", f"--config={path}")
    assert read("-t", "--help").action == "serve"
    assert read("-t", "--help", "-T5").settings.timeout == 5
