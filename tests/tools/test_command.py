"""The command qpopper-py(8) itself: its tasks, its help, and how it fails."""

from importlib import import_module
from pathlib import Path

import pytest

import qpopper_py
from qpopper_py.errors import ConfigurationError, MaildropTrouble
from qpopper_py.tools import command

PAGE = Path(__file__).resolve().parents[2] / "man/qpopper-py.8"


@pytest.mark.parametrize(("word", "module", "what"), command.TASKS)
def test_every_task_has_its_module_its_help_and_its_place_in_the_manual(word, module, what, capsys):
    assert callable(import_module(f"qpopper_py.tools.{module}").main)
    assert what
    with pytest.raises(SystemExit) as ended:
        command.main([word, "--help"])
    assert ended.value.code == 0
    assert f"usage: qpopper-py {word} " in capsys.readouterr().out
    assert f".Nm Cm {word}" in PAGE.read_text() or f".Cm {word}" in PAGE.read_text()


@pytest.mark.parametrize("words", [["--help"], ["-h"], ["help"]])
def test_help_lists_the_tasks(words, capsys):
    assert command.main(words) == 0
    told = capsys.readouterr().out
    assert all(name in told and what in told for name, _, what in command.TASKS)


def test_version_is_the_packages(capsys):
    assert command.main(["--version"]) == 0
    assert capsys.readouterr().out == f"qpopper-py (qpopper_py) {qpopper_py.__version__}\n"


@pytest.mark.parametrize(("words", "told"), [([], "name a task"), (["nonsense"], "no task 'nonsense'")])
def test_wrong_usage_is_told_on_stderr_with_the_tasks(words, told, capsys):
    assert command.main(words) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert told in err
    assert "usage: qpopper-py TASK" in err


@pytest.mark.parametrize(
    ("why", "status", "told"),
    [
        (ConfigurationError("x = 1 is wrong"), 2, "qpopper-py: x = 1 is wrong\n"),
        (MaildropTrouble("/a: no"), 1, "qpopper-py: /a: no\n"),
        (OSError(13, "Permission denied", "/a"), 1, "qpopper-py: /a: Permission denied\n"),
        (KeyboardInterrupt(), 1, "qpopper-py: interrupted\n"),
    ],
)
def test_what_a_task_raises_is_one_line_and_a_status(why, status, told, capsys, monkeypatch):
    def fail(words):
        raise why

    monkeypatch.setattr("qpopper_py.tools.convert.main", fail)
    assert command.main(["convert"]) == status
    assert capsys.readouterr().err == told


def test_a_wrong_setting_names_itself(capsys):
    assert command.main(["convert", "--config", "none", "--set", "no.such=1", "a", "b"]) == 2
    assert "no.such" in capsys.readouterr().err
