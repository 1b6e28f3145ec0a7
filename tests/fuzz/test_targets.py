"""The targets under plain pytest: seeds, what broke something once, and what hypothesis makes of them."""

from __future__ import annotations

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from .targets import HERE, TARGETS, found, seeds

KNOWN = [pytest.param(name, path, id=f"{name}/{path.name}") for name in TARGETS for path in seeds(name) + found(name)]
PIECES = st.one_of(
    st.binary(max_size=20), st.sampled_from([b"\n", b"\0", b"\r\n", b" ", b":", b".", b"\xff", b"9" * 30])
)
CHANGES = st.lists(st.tuples(st.floats(0, 1), st.integers(0, 40), PIECES), max_size=6)


def changed(data: bytes, changes: list[tuple[float, int, bytes]]) -> bytes:
    """``data`` with pieces (where, as a share of all; how many octets go; what comes) put in the place of others."""
    for share, gone, piece in changes:
        at = int(share * len(data))
        data = data[:at] + piece + data[at + gone :]
    return data


@pytest.mark.parametrize(("name", "path"), KNOWN)
def test_what_is_known(name, path):
    TARGETS[name](path.read_bytes())


@pytest.mark.parametrize("name", TARGETS)
def test_what_nobody_thought_of(name):
    known = [path.read_bytes() for path in seeds(name)]

    @settings(database=None, suppress_health_check=[HealthCheck.too_slow])
    @given(st.one_of(st.builds(changed, st.sampled_from(known), CHANGES), st.binary(max_size=1000)))
    def hold(data: bytes) -> None:
        TARGETS[name](data)

    TARGETS[name](b"")
    hold()


def test_every_target_has_a_seed_and_every_seed_a_target():
    assert all(seeds(name) for name in TARGETS)
    folders = {path.name for kind in ("seeds", "found") for path in (HERE / kind).iterdir() if path.is_dir()}
    assert folders <= TARGETS.keys()
