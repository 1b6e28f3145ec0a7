"""README, changelog and the table of requirements say what is so."""

from __future__ import annotations

import ast
import re

from qpopper_py import __version__
from qpopper_py.libraries import LIBRARIES
from tests.packaging.making import TREE, call


def test_the_top_of_the_changelog_is_this_version() -> None:
    top = re.search(r"^## (\S+)", (TREE / "CHANGELOG.md").read_text("utf-8"), re.M)
    assert top
    assert top[1] == __version__


def test_setup_py_asks_for_the_libraries_that_the_program_asks_for() -> None:
    wanted: list[str] = []
    for node in ast.walk(ast.parse((TREE / "setup.py").read_text("utf-8"))):
        if isinstance(node, ast.keyword) and node.arg == "install_requires":
            wanted += ast.literal_eval(node.value)
        if isinstance(node, ast.keyword) and node.arg == "extras_require":
            wanted += [
                pip
                for extra, pips in ast.literal_eval(node.value).items()
                if extra not in ("test", "fuzz")
                for pip in pips
            ]
    assert sorted(wanted) == sorted(pip for pip, _, _ in LIBRARIES.values())


def test_the_readme_names_each_library_with_its_debian_package() -> None:
    readme = (TREE / "README.md").read_text("utf-8")
    for pip, debian, _ in LIBRARIES.values():
        assert re.search(rf"^\| {re.escape(pip.partition('>=')[0])}\b.*\| {debian} \|", readme, re.M)


def test_every_make_target_of_the_readme_is_in_make_help() -> None:
    told = call("make", "help", cwd=TREE)
    asked = set(re.findall(r"\bmake (run|test|install|rollback|uninstall|help|[a-z]+-[a-z]+)\b", readme_code()))
    assert asked >= {"run", "test", "install", "rollback", "uninstall"}
    for target in asked:
        assert re.search(rf"^  make {target} ", told, re.M), target


def readme_code() -> str:
    """What stands in the README as code."""
    readme = (TREE / "README.md").read_text("utf-8")
    return "\n".join(re.findall(r"^    .*$|`[^`]+`", readme, re.M))
