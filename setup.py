"""Packaging: all of it is here; pyproject.toml holds the tools' tables only.

What lies in ``man/``, ``etc/`` and ``scripts/`` is installed because it lies there; nothing is listed twice.
"""

import ast
from pathlib import Path

from setuptools import Extension, find_packages, setup

HERE = Path(__file__).resolve().parent
NAME = "qpopper_py"


def version() -> str:
    """``__version__`` of the package, read and not imported."""
    for node in ast.parse((HERE / NAME / "__init__.py").read_text("utf-8")).body:
        if isinstance(node, ast.Assign) and getattr(node.targets[0], "id", "") == "__version__":
            return str(ast.literal_eval(node.value))
    raise SystemExit(f"{NAME}/__init__.py sets no __version__")


def files(pattern: str) -> list[str]:
    return sorted(str(path.relative_to(HERE)) for path in HERE.glob(pattern) if path.is_file())


def data_files() -> list[tuple[str, list[str]]]:
    """Manual pages, the samples in their folders, and the texts, below ``share``."""
    rows = {f"share/man/man{section}": files(f"man/*.{section}") for section in "1578"}
    rows[f"share/doc/{NAME}"] = files("*.md") + files("LICENSE")
    for sample in files("etc/**/*"):
        rows.setdefault(f"share/{NAME}/{Path(sample).parent.as_posix()}", []).append(sample)
    return [row for row in rows.items() if row[1]]


setup(
    name=NAME,
    version=version(),
    description="A POP3 server that takes the place of the old Unix ones",
    long_description=(HERE / "README.md").read_text("utf-8"),
    long_description_content_type="text/markdown",
    license="MIT",  # here and not in pyproject.toml: setuptools 66 and 84 disagree on its form there
    python_requires=">=3.11",
    packages=find_packages(include=[NAME, f"{NAME}.*"]),
    # Optional: without a compiler all is served as well.  The stable ABI: one build serves every later Python.
    ext_modules=[
        Extension(
            f"{NAME}._kernel",
            [f"{NAME}/_kernel.c"],
            extra_compile_args=["-pthread"],
            extra_link_args=["-pthread"],
            py_limited_api=True,
            optional=True,
        )
    ],
    options={"bdist_wheel": {"py_limited_api": "cp311"}},
    # The launchers themselves, not entry points: a console script may import much before main() is reached.
    scripts=[
        f"scripts/{name}"
        for name in ("pop3d", "mailauth", "qpopper-py", "popauth", "apopauth", "scramauth", "mailutils-popauth")
    ],
    data_files=data_files(),
    # None is imported before a feature asks for it, and mail is served without any of them.
    install_requires=[
        "libpass>=1.9.3",  # imported as passlib: hashes that crypt(3) does not know; passlib 1.7.4 breaks with bcrypt 5
        "python-dateutil>=2.8.2",  # dates in words and of old From_ lines, in tools; what Debian 12 has
        "sh>=1.14.2",  # runs the mailer for XTND XMIT; what Debian 12 has
    ],
    extras_require={
        "oauth": [
            "PyJWT>=2.6",  # signed tokens, oauth.keys; what Debian 12 has
            "cryptography>=38",  # their signatures
        ],
        # Pinned where another version judges the same code otherwise.
        "test": [
            "pytest>=8.2",
            "pytest-xdist>=3.6",
            "hypothesis>=6.100",
            "coverage>=7.6",
            "PyJWT>=2.6",  # makes the tokens that the tests log in with
            "cryptography>=38",
            "scramp>=1.4.5",  # another's SCRAM client, to log in with
            "mypy==2.4.1",
            "ruff==0.17.5",
        ],
        "fuzz": ["atheris>=3.0"],  # make fuzz; make test runs the same targets with hypothesis
    },
    classifiers=[
        "Development Status :: 3 - Alpha",
        "Environment :: No Input/Output (Daemon)",
        "Intended Audience :: System Administrators",
        "Operating System :: POSIX",
        "Programming Language :: Python :: 3 :: Only",
        "Topic :: Communications :: Email :: Post-Office :: POP3",
    ],
)
