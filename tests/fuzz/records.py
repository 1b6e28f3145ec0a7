"""A target of the records that a user's state folder holds: each vouches for itself, whatever stands in it."""

from __future__ import annotations

import functools
import hashlib
import os
from typing import TYPE_CHECKING

from qpopper_py.errors import MaildropError
from qpopper_py.settings import Settings
from qpopper_py.store.opening import open_store
from tests.store import boxes

from . import scratch

if TYPE_CHECKING:
    from pathlib import Path

RECORDS = (b"uids", b"last", b"sizes")
SCHEMES = ("qpopper2", "cyrus", "dovecot", "courier", "uw", "mailutils3", "popa3d")
SAME = boxes.message(1)
MAIL = SAME + SAME + boxes.message(2) + boxes.message(3)


@functools.cache
def places() -> tuple[Path, Path, Path]:
    """A folder for records, an mbox and a Maildir."""
    root = scratch.folder("records")
    for name in ("state", "dir/cur", "dir/new", "dir/tmp"):
        (root / name).mkdir(parents=True)
    for number in range(3):
        (root / f"dir/cur/{number + 1}.M1P1.host:2,S").write_bytes(b"Subject: %d\n\ntext\n" % (number // 2))
    return root / "state", root / "box", root / "dir"


def records(data: bytes) -> None:
    """Two sessions by some scheme on some maildrop (two octets) after somebody wrote records, parted by form feeds."""
    if len(data) < 2:
        return
    state, box, maildir = places()
    for left in state.iterdir():
        left.unlink()
    scratch.put(box, MAIL)
    for name, body in zip(RECORDS, data[2:].split(b"\f"), strict=False):
        check = hashlib.md5(body).hexdigest().encode()
        scratch.put(state / name.decode(), b"pop3d %s 1 %s\n%s" % (name, check, body))
    place = f"maildir:{maildir}" if data[0] & 1 else f"mbox:{box}"
    values = {"uidl": SCHEMES[data[1] % len(SCHEMES)], "second_session": "allowed" if data[0] & 2 else "refused"}
    session(place, state, values)
    session(place, state, values)


def session(place: str, state: Path, values: dict[str, object]) -> None:
    """All that a session does but to delete."""
    settings = Settings([("fuzz", values)])
    store = open_store(place, "nobody-of-this-name", os.fspath(state), settings, lambda line: None)
    try:
        entries = store.scan()
        uids = list(store.uids())
        # Who forges records of his own may lie to himself; but all of it can be sent.
        "\n".join(uids).encode("ascii")
        assert len(uids) == len(entries)
        for number in range(len(entries)):
            assert sum(map(len, store.read(number))) == entries[number].octets
        assert store.retrieved() <= set(range(len(entries)))
        store.remember({0})
    except MaildropError:
        pass
    finally:
        store.close()


TARGETS = (records,)
