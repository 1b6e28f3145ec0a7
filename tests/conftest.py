"""Which package is tested, what must not be skipped in CI, and how a test asks for root or for a program.

Tests run against the package that is installed; where none is (``python -m pytest`` in a tree), against the tree.
``make test`` sets QPOPPER_TEST_INSTALLED, and then the tree is an error.

``@pytest.mark.root`` and ``@pytest.mark.client("fetchmail", ...)`` are enough: where root or the program is missing
the test is skipped, saying so.  Where CI is set (to anything but "" and "false") such a skip, whoever asked for it,
is a failure: .ci/run installs what these tests need.
"""

from __future__ import annotations

import os
import shutil
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import hypothesis
import pytest

if TYPE_CHECKING:
    from collections.abc import Callable, Generator

HERE = Path(__file__).resolve().parent
# Helpers that rooms share are imported as ``tests.harness``.  At the end of the path: at its start the tree's
# package would hide the installed one.
if str(HERE.parent) not in sys.path:
    sys.path.append(str(HERE.parent))
pytest.register_assert_rewrite("tests.harness")

from tests.guard import nothing_leaked, nothing_leaks  # noqa: E402, F401  # fixtures for every test

# A machine that is busy fails no test; what else holds (in CI, Hypothesis' own "ci") goes on holding.
hypothesis.settings.register_profile("unhurried", parent=hypothesis.settings(), deadline=None)
hypothesis.settings.load_profile("unhurried")

SYSTEM_FOLDERS = "/usr/local/sbin:/usr/sbin:/sbin"
MARKERS = ("root", "client")
# A file's tests run one after the other: those that take minutes begin first, lest everybody wait for them at the end.
LONGEST = ("packaging/test_make_install.py", "store/torture/")


def in_ci() -> bool:
    return os.environ.get("CI", "").lower() not in ("", "false", "0")


def require_program(name: str) -> str:
    """The path of a program; skips the test if it is not here."""
    found = shutil.which(name, path=os.environ.get("PATH", os.defpath) + ":" + SYSTEM_FOLDERS)
    if found is None:
        pytest.skip(f"{name} is not installed")
    return found


def require_root() -> None:
    """Skips the test if we are not root."""
    if os.geteuid() != 0:
        pytest.skip("needs root")


def pytest_report_header() -> str:
    import qpopper_py

    package = Path(qpopper_py.__file__).resolve().parent
    if os.environ.get("QPOPPER_TEST_INSTALLED") and package.is_relative_to(HERE.parent / "qpopper_py"):
        raise pytest.UsageError(f"the package under test is the tree's, {package}, not an installed one")
    return f"package under test: {package}"


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    items.sort(key=lambda item: not item.path.relative_to(HERE).as_posix().startswith(LONGEST))


@pytest.fixture(name="require_program")
def require_program_fixture() -> Callable[[str], str]:
    return require_program


def pytest_runtest_setup(item: pytest.Item) -> None:
    os.umask(0o022)  # commands that a test before this one called in this process set another
    if item.get_closest_marker("root"):
        require_root()
    for marker in item.iter_markers("client"):
        for name in marker.args:
            require_program(name)


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport(item: pytest.Item, call: pytest.CallInfo[None]) -> Generator[None, object, None]:
    outcome = yield
    report = outcome.get_result()  # type: ignore[attr-defined]
    if report.skipped and in_ci() and any(item.get_closest_marker(name) for name in MARKERS):
        reason = report.longrepr[2] if isinstance(report.longrepr, tuple) else report.longrepr
        report.outcome = "failed"
        report.longrepr = f"{item.nodeid}: in CI nothing that matters may be skipped: {reason}"
