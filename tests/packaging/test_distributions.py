"""sdist, wheel and ``pip install``: each carries commands, manual pages and samples."""

from __future__ import annotations

import os
import subprocess
import sys
import zipfile
from email.parser import Parser
from pathlib import Path

import pytest

from qpopper_py import __version__
from qpopper_py.tools.popauth_line import MODES
from tests.packaging.making import call, without

pytestmark = pytest.mark.slow

BUILD = "import sys; from setuptools import build_meta as b; print(getattr(b, 'build_' + sys.argv[1])(sys.argv[2]))"
OLDEST = "66.1.1"  # Debian 12


@pytest.fixture(scope="module", params=[OLDEST, "newest"])
def setuptools(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with this setuptools and wheel in it."""
    if request.param == OLDEST and sys.version_info >= (3, 12):
        pytest.skip(f"setuptools {OLDEST} does not run on Python 3.12")
    folder = tmp_path_factory.mktemp("setuptools")
    wanted = f"setuptools=={OLDEST}" if request.param == OLDEST else "setuptools>=75"
    pip = [sys.executable, "-I", "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
    call(*pip, "--no-compile", "--target", folder, wanted, "wheel")
    return folder


def build(kind: str, tree: Path, out: Path, setuptools: Path) -> Path:
    """An sdist or a wheel of the tree by the given setuptools."""
    out.mkdir(exist_ok=True)
    environment = {**without(os.environ, "PYTHONHOME"), "PYTHONPATH": str(setuptools), "PYTHONWARNINGS": "ignore"}
    call(sys.executable, "-c", BUILD, kind, out, cwd=tree, env=environment)
    (made,) = out.glob("*.tar.gz" if kind == "sdist" else "*.whl")
    return made


def names_in(wheel: Path) -> set[str]:
    with zipfile.ZipFile(wheel) as file:
        return set(file.namelist())


def test_the_wheel_holds_every_module_command_page_and_sample(tree: Path, tmp_path: Path, setuptools: Path) -> None:
    names = names_in(build("wheel", tree, tmp_path / "out", setuptools))
    data = f"qpopper_py-{__version__}.data"
    wanted = {str(path.relative_to(tree)) for path in (tree / "qpopper_py").rglob("*.py")}
    commands = ("pop3d", "mailauth", "qpopper-py", "mailutils-popauth", *MODES)
    wanted |= {f"{data}/scripts/{name}" for name in commands}
    for page in (tree / "man").glob("*.[1578]"):
        wanted.add(f"{data}/data/share/man/man{page.suffix[1:]}/{page.name}")
    for sample in (tree / "etc").rglob("*"):
        if sample.is_file():
            wanted.add(f"{data}/data/share/qpopper_py/{sample.relative_to(tree).as_posix()}")
    assert wanted <= names
    packages = {name.split("/")[0] for name in names}
    assert packages == {"qpopper_py", data, f"qpopper_py-{__version__}.dist-info"}


def test_the_wheel_asks_for_three_packages_and_names_its_licence(tree: Path, tmp_path: Path, setuptools: Path) -> None:
    wheel = build("wheel", tree, tmp_path / "out", setuptools)
    with zipfile.ZipFile(wheel) as file:
        told = Parser().parsestr(file.read(f"qpopper_py-{__version__}.dist-info/METADATA").decode())
    needs = {need for need in told.get_all("Requires-Dist", []) if "extra" not in need}
    assert {need.partition(">=")[0].strip(" (") for need in needs} == {"libpass", "python-dateutil", "sh"}
    assert told["License"] == "MIT" or told["License-Expression"] == "MIT"
    assert (told["Version"], told["Requires-Python"]) == (__version__, ">=3.11")


def test_the_sdist_is_enough_to_build_install_and_test_from(tree: Path, tmp_path: Path, setuptools: Path) -> None:
    straight = names_in(build("wheel", tree, tmp_path / "one", setuptools))
    sdist = build("sdist", tree, tmp_path / "two", setuptools)
    (tmp_path / "unpacked").mkdir()
    call("tar", "-xf", sdist, "-C", tmp_path / "unpacked")
    (unpacked,) = (tmp_path / "unpacked").iterdir()
    for name in ("Makefile", "LICENSE", ".ci/run", "scripts/installer/__main__.py", "tests/conftest.py"):
        assert (unpacked / name).is_file(), name
    assert names_in(build("wheel", unpacked, tmp_path / "three", setuptools)) == straight


def test_pip_install_makes_commands_that_run(tree: Path, tmp_path: Path) -> None:
    environment = tmp_path / "environment"
    call(sys.executable, "-m", "venv", environment)
    call(environment / "bin/pip", "install", "--quiet", "--disable-pip-version-check", tree)
    assert __version__ in call(environment / "bin/pop3d", "--version")
    assert "mailauth" in call(environment / "bin/mailauth", "--help")
    assert (environment / "share/man/man8/pop3d.8").is_file()
    assert (environment / "share/qpopper_py/etc/inetd.conf").is_file()
    call(environment / "bin/python", "-I", "-c", "import passlib.hash, dateutil.parser, sh")


def test_a_command_made_by_pip_is_silent_to_the_client_when_it_cannot_start(tree: Path, tmp_path: Path) -> None:
    """pip writes its own first line and drops the flags there: the rest of the launcher has to do."""
    launcher = tmp_path / "pop3d"
    rest = (tree / "scripts/pop3d").read_text().split("\n", 1)[1]
    launcher.write_text(f"#!{sys.executable}\n{rest}")
    launcher.chmod(0o755)
    (tmp_path / "qpopper_py.py").write_text("raise RuntimeError('planted')\n")
    done = subprocess.run([launcher], stdin=subprocess.DEVNULL, capture_output=True, text=True)
    assert (done.returncode, done.stdout) == (os.EX_OSERR, "")
    together = subprocess.run([launcher], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    assert (together.returncode, together.stdout) == (os.EX_OSERR, b"")
