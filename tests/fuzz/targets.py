"""All targets by name."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from . import files, mail, talk, tickets

if TYPE_CHECKING:
    from collections.abc import Callable

    Target = Callable[[bytes], None]

HERE = Path(__file__).resolve().parent
MODULES = (talk, mail, files, tickets)
TARGETS: dict[str, Target] = {target.__name__: target for module in MODULES for target in module.TARGETS}


def seeds(name: str) -> list[Path]:
    return sorted((HERE / "seeds" / name).glob("*"))


def found(name: str) -> list[Path]:
    """Inputs that broke something once."""
    return sorted((HERE / "found" / name).glob("*"))
