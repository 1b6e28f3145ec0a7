"""Third-party packages, none of which mail needs: found when a feature asks, and named when they are not there.

The launchers start Python with ``-S`` (site costs 2 ms), so the ordinary ``site-packages`` and Debian's
``dist-packages`` are not on the path until :func:`need` finds a reason to look there.
"""

import sys

from qpopper_py.errors import MissingLibrary

TYPE_CHECKING = False
if TYPE_CHECKING:
    from types import ModuleType

# top-level module: (what pip calls it, the Debian package, what it is needed for)
LIBRARIES = {
    "passlib": ("libpass>=1.9.3", "python3-passlib", "passwords in formats that crypt(3) does not know"),
    "dateutil": ("python-dateutil>=2.8.2", "python3-dateutil", "dates in words, --since and --until of the tools"),
    "jwt": ("PyJWT>=2.6", "python3-jwt", "OAuth tokens that are checked with oauth.keys"),
    "cryptography": ("cryptography>=38", "python3-cryptography", "signatures of such tokens"),
    "sh": ("sh>=1.14.2", "python3-sh", "XTND XMIT"),
}


def need(module: str) -> "ModuleType":
    """Import ``module`` (``sh``, ``passlib.hash``): from the path as it is, else from the system's site folders.

    Raises MissingLibrary, which says what it is needed for and what to install.
    """
    try:
        return load(module)
    except Exception as first:  # noqa: BLE001  # a package too old for this Python may fail in any way
        why = first
    here = [folder for folder in site_folders() if folder not in sys.path]
    if here:
        sys.path += here  # at the end: nothing in them can stand in for a module of ours or of Python's
        try:
            return load(module)
        except Exception as second:  # noqa: BLE001  # as above
            why = second
    raise MissingLibrary(explain(module, why)) from None


def load(module: str) -> "ModuleType":
    __import__(module)
    return sys.modules[module]


def site_folders() -> list[str]:
    """Where the system's own packages lie for the Python that runs; never a user's folder."""
    import site  # does nothing by itself under -S

    return site.getsitepackages()


def explain(module: str, why: Exception) -> str:
    """One line: what it is needed for, why it could not be imported, for which Python, and what to install."""
    top = module.partition(".")[0]
    pip, debian, feature = LIBRARIES.get(top, (top, f"python3-{top}", ""))
    absent = isinstance(why, ModuleNotFoundError) and why.name == top
    found = "is not installed" if absent else f"is here but cannot be imported ({type(why).__name__}: {why})"
    wanted = f", needed for {feature}," if feature else ""
    python = sys.executable or "this Python"
    return f"the Python library {top}{wanted} {found} (by {python}): install {debian} or '{pip}'"
