"""One installation for all tests of this room; a new user, spool and log for each."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.conftest import require_root
from tests.harness import open_folder
from tests.inetd.starting import House, forget_the_dead, install, new_house

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@pytest.fixture(scope="session")
def prefix() -> Iterator[Path]:
    """Where the program is installed, in a place that every user may read."""
    require_root()
    forget_the_dead()
    with open_folder() as folder:
        install(folder / "prefix")
        yield folder / "prefix"


@pytest.fixture
def house(prefix: Path) -> Iterator[House]:
    with new_house(prefix) as built:
        yield built
