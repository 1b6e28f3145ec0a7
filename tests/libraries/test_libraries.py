"""Third-party packages are found where they are, and named where they are not."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest

import qpopper_py
from qpopper_py import libraries
from qpopper_py.errors import MissingLibrary

ROOT = Path(qpopper_py.__file__).resolve().parent.parent


@pytest.fixture
def elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A site folder of the system's that is not on the path, as under -S."""
    monkeypatch.setattr(libraries, "site_folders", lambda: [str(tmp_path)])
    monkeypatch.setattr(sys, "path", list(sys.path))
    return tmp_path


def test_what_is_on_the_path_is_imported_and_the_path_left_alone(elsewhere: Path) -> None:
    before = list(sys.path)
    assert libraries.need("email.utils").__name__ == "email.utils"
    assert sys.path == before


def test_what_is_only_in_a_site_folder_is_found_there(elsewhere: Path) -> None:
    (elsewhere / "qpopper_test_elsewhere.py").write_text("FOUND = 42\n")
    try:
        assert libraries.need("qpopper_test_elsewhere").FOUND == 42
    finally:
        sys.modules.pop("qpopper_test_elsewhere", None)


def test_a_site_folder_can_replace_nothing_that_is_on_the_path(elsewhere: Path) -> None:
    (elsewhere / "qpopper_test_other.py").write_text("")
    try:
        libraries.need("qpopper_test_other")
    finally:
        sys.modules.pop("qpopper_test_other", None)
    assert sys.path[-1] == str(elsewhere)


@pytest.mark.parametrize("module", ["passlib.hash", "dateutil.parser", "sh"])
def test_a_missing_library_is_named_with_its_use_and_what_to_install(module: str) -> None:
    """-I -S and no site folders: as on a host where none of them was ever installed."""
    ask = (
        "import sys; sys.path.insert(0, sys.argv[1])\n"
        "from qpopper_py import libraries, errors\n"
        "libraries.site_folders = lambda: []\n"
        "sys.path[1:] = [p for p in sys.path[1:] if not p.endswith('-packages')]\n"
        "class Nothing:\n"
        "    def find_spec(self, name, path=None, target=None):\n"
        "        if name.partition('.')[0] in libraries.LIBRARIES:\n"
        "            raise ModuleNotFoundError(f'No module named {name!r}', name=name.partition('.')[0])\n"
        "sys.meta_path.insert(0, Nothing())\n"
        "try: libraries.need(sys.argv[2])\n"
        "except errors.MissingLibrary as why: print(why)\n"
    )
    line = [sys.executable, "-I", "-S", "-c", ask, str(ROOT), module]
    told = subprocess.run(line, capture_output=True, text=True, check=True).stdout
    pip, debian, feature = libraries.LIBRARIES[module.partition(".")[0]]
    assert "is not installed" in told
    assert all(word in told for word in (pip, debian, feature, sys.executable))
    assert told.count("\n") == 1


def test_a_library_that_this_python_cannot_run_is_a_missing_one_and_says_why(elsewhere: Path) -> None:
    (elsewhere / "qpopper_test_broken.py").write_text("import sys\nsys.this_attribute_left_python\n")
    with pytest.raises(MissingLibrary, match=r"cannot be imported .AttributeError: .*this_attribute_left_python"):
        libraries.need("qpopper_test_broken")


def test_a_library_without_what_it_needs_itself_is_not_called_absent(elsewhere: Path) -> None:
    (elsewhere / "qpopper_test_needy.py").write_text("import qpopper_test_nowhere\n")
    with pytest.raises(MissingLibrary, match=r"cannot be imported .*qpopper_test_nowhere"):
        libraries.need("qpopper_test_needy")


def test_debian_s_own_packages_are_found_under_the_launchers_flags() -> None:
    """-I -S leave site-packages out; whatever site would have added is found again."""
    with_site = "import site; print(site.getsitepackages())"
    ask = "import sys; sys.path.insert(0, sys.argv[1]); from qpopper_py.libraries import site_folders as f; print(f())"
    base = getattr(sys, "_base_executable", sys.executable)
    usual = subprocess.run([base, "-I", "-c", with_site], capture_output=True, text=True, check=True).stdout
    lean = subprocess.run([base, "-I", "-S", "-c", ask, str(ROOT)], capture_output=True, text=True, check=True).stdout
    assert ast.literal_eval(lean) == ast.literal_eval(usual)
