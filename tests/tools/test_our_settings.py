"""A tool's --config and --set mean the same whatever personality the file chooses."""

import pytest

from qpopper_py.errors import ConfigurationError
from qpopper_py.personality import commandline
from qpopper_py.tools import our_settings


@pytest.mark.parametrize("name", commandline.SERVED)
def test_the_file_chooses_the_personality_and_the_words_stay_ours(name, tmp_path):
    file = tmp_path / "pop3d.toml"
    file.write_text(f'personality = "{name}"\ntimeout = 777\n')
    invocation = our_settings.read(["--config", str(file), "--set", "hostname=pop.example.org", "--set=spool=/mail"])
    settings = invocation.settings
    assert (settings.personality, settings.timeout, settings.hostname, settings.spool) == (
        name,
        777,
        "pop.example.org",
        "/mail",
    )


@pytest.mark.parametrize("name", commandline.SERVED)
def test_a_personality_before_them_is_stronger_than_the_file(name, tmp_path):
    file = tmp_path / "pop3d.toml"
    file.write_text('personality = "tru64"\ntimeout = 777\n')
    settings = our_settings.read(["--personality", name, "--config", str(file), "--set", "spool=/mail"]).settings
    assert (settings.personality, settings.timeout, settings.spool) == (name, 777, "/mail")


def test_cyrus_master_chooses_nothing_for_a_tool(monkeypatch):
    monkeypatch.setenv("CYRUS_SERVICE", "pop3")
    assert our_settings.read(["--config", "none"]).settings.personality == "tru64"


def test_a_file_that_is_named_and_missing_is_said_to_be(tmp_path):
    with pytest.raises(ConfigurationError, match="there is no such file"):
        our_settings.read(["--config", str(tmp_path / "none")])
