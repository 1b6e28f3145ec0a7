"""In CI nothing that matters is skipped: what tests/conftest.py does with a test that cannot run."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from tests.packaging.making import TREE, without

if TYPE_CHECKING:
    from pathlib import Path

CASES = {
    "program": "@pytest.mark.client('no-such-program')\ndef test_it(): pass\n",
    "helper": "@pytest.mark.client\ndef test_it(require_program): require_program('no-such-program')\n",
    "skipif": "@pytest.mark.root\n@pytest.mark.skipif(True, reason='no-such-program')\ndef test_it(): pass\n",
    "body": "@pytest.mark.root\ndef test_it(): pytest.skip('no-such-program')\n",
    "unmarked": "def test_it(): pytest.skip('no-such-program')\n",
}


def outcome(folder: Path, case: str, ci: str) -> str:
    (folder / "tests").mkdir()
    shutil.copy(TREE / "tests/conftest.py", folder / "tests/conftest.py")
    (folder / "tests/test_case.py").write_text("import os\nimport pytest\nos.geteuid = lambda: 0\n" + CASES[case])
    (folder / "pytest.ini").write_text("[pytest]\naddopts = -ra\nmarkers =\n    root: r\n    client: c\n")
    line = [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", "-p", "no:xdist", "tests"]
    environment = {**without(os.environ, "CI", "QPOPPER_TEST_INSTALLED", "PYTEST_ADDOPTS"), "CI": ci}
    environment["PYTHONPATH"] = os.pathsep.join(sys.path)
    done = subprocess.run(line, cwd=folder, capture_output=True, text=True, env=environment)
    assert "no-such-program" in done.stdout, done.stdout
    return done.stdout.strip().splitlines()[-1]


@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("ci", ["", "false"])
def test_elsewhere_it_is_skipped_and_says_why(tmp_path: Path, case: str, ci: str) -> None:
    assert "1 skipped" in outcome(tmp_path, case, ci)


@pytest.mark.parametrize("case", ["program", "helper", "skipif", "body"])
def test_in_ci_it_fails_and_says_why(tmp_path: Path, case: str) -> None:
    told = outcome(tmp_path, case, "true")
    assert "1 failed" in told or "1 error" in told  # an error is what pytest calls a failure before the test itself


def test_in_ci_a_test_without_these_markers_may_be_skipped(tmp_path: Path) -> None:
    assert "1 skipped" in outcome(tmp_path, "unmarked", "true")
