"""Targets of what lies in a maildrop and beside it: mbox files, the index, redo records, uid tables, Maildir names."""

from __future__ import annotations

import functools
import os
from binascii import crc32
from hashlib import blake2b
from typing import TYPE_CHECKING
from unittest import mock

from qpopper_py import kernel
from qpopper_py.errors import MaildropError, MaildropUnusable
from qpopper_py.protocol import plain_text as mime
from qpopper_py.protocol import text
from qpopper_py.store import overrides as uid_table
from qpopper_py.store.lock import MaildropLock
from qpopper_py.store.maildir import names
from qpopper_py.store.mbox import fast, index_file, recover, redo, scan
from qpopper_py.store.mbox.from_line import LONGEST, MMDF, RULES, STRICT, rule
from qpopper_py.store.mbox.layout import DIGEST, LOOK, Layout
from tests import kernels
from tests.store import boxes
from tests.store.test_rules import HABITS

from . import scratch

if TYPE_CHECKING:
    from types import ModuleType

    from qpopper_py.store.mbox.from_line import Rule

RULE_NAMES = sorted(RULES)
TWO = boxes.message(1) + boxes.message(2, b"another\n\nof more lines\n")


@functools.cache
def compiled() -> ModuleType | None:
    made = kernels.native(scratch.folder("kernel"))
    return None if isinstance(made, str) else made


def scanned(kind: type[scan.Scanner], data: bytes, by: Rule, step: int, longest: int = LONGEST) -> object:
    """Every column that this scanner makes of a mailbox, or why it refuses it."""
    path = scratch.put(scratch.folder("mbox") / "box", data)
    fd = os.open(path, os.O_RDONLY)
    try:
        made = kind(fd, path, Layout(0, len(data), by), step, longest).run()
    except MaildropUnusable as why:
        return str(why)
    finally:
        os.close(fd)
    return {name: getattr(made, name) for name in Layout.__slots__}


def mbox(data: bytes) -> None:
    """A scan by a rule (first octet), in windows of some size (second), in Python and by the C kernel."""
    if len(data) < 2:
        return
    by, step, data = rule(RULE_NAMES[data[0] % 5], content_length=data[0] >= 128), data[1] + 1, data[2:]
    whole = scanned(scan.Scanner, data, by, scan.STEP)
    assert scanned(scan.Scanner, data, by, step) == whole, "the size of a window counts"
    native = compiled()
    if native is not None:
        with mock.patch.object(fast, "native", native):
            if fast.can(by):
                assert scanned(fast.FastScanner, data, by, step) == whole, "the kernel finds something else"
    if not isinstance(whole, str):
        check_layout(data, whole)
    if by is STRICT and not data.startswith(b"\1"):
        parsed = boxes.parse(data)
        assert (parsed is None) == isinstance(whole, str)
        if parsed is not None and not isinstance(whole, str):
            assert [len(boxes.wire(content)) for _, content, _ in parsed] == list(whole["octets"])


def mmdf(data: bytes) -> None:
    """A scan as MMDF: whatever it finds, the windows do not count."""
    from qpopper_py.store.mbox.mmdf import MmdfScanner

    if not data:
        return
    whole = scanned(MmdfScanner, data[1:], MMDF, scan.STEP)
    assert scanned(MmdfScanner, data[1:], MMDF, data[0] + 1) == whole
    if not isinstance(whole, str):
        check_layout(data[1:], whole)


def check_layout(data: bytes, layout: dict) -> None:
    """What RFC 1939 and :class:`Layout` promise of each row."""
    before = 0
    for row, start in enumerate(layout["starts"]):
        body, end = layout["bodies"][row], layout["ends"][row]
        assert before <= start < layout["texts"][row] <= body <= len(data)
        assert layout["texts"][row] <= end <= len(data)
        assert layout["octets"][row] == len(boxes.wire(data[layout["texts"][row] : end]))
        head = blake2b(data[start:body][:LOOK], digest_size=DIGEST).digest()
        assert layout["digests"][row * DIGEST : (row + 1) * DIGEST] == head
        before = end


def from_line(data: bytes) -> None:
    """One line before the judges of all rules, each beside another hand's reading of the same rule."""
    line = b"From " + data.partition(b"\n")[0] + b"\n"
    for name, habits in HABITS.items():
        found = scan.line_at(line, 0, LONGEST, RULES[name].judge())
        assert bool(found) == bool(habits[0](line)), name


def line_ends(data: bytes) -> None:
    """The texts of messages, in pieces of any size (first octet), and by the C kernel."""
    size, data = (data[0], data[1:]) if data else (0, b"")
    native = compiled()
    if native is not None:
        assert native.to_crlf(data) == kernel.plain_to_crlf(data)
        assert native.stuffed(data) == kernel.plain_stuffed(data)
    wire = kernel.plain_to_crlf(data)
    whole = b"".join(text.stuffed([wire]))
    assert b"".join(text.stuffed(scratch.pieces(wire, size))) == whole
    assert b"\n.\r" not in b"\n" + whole, "a dot line in the middle of a message"
    assert b"\n".join(text.unstuffed(line) for line in whole.split(b"\n")) == wire
    for lines in (0, 1, 7):
        cut = b"".join(text.top(scratch.pieces(wire, size), lines))
        assert wire.startswith(cut)
        assert cut == b"".join(text.top([wire], lines))
    text.field(text.header([wire]), data[:9])


@functools.cache
def real_index() -> tuple[bytes, bytes]:
    """The index that a session leaves of a mailbox: its lines, and its columns."""
    folder = scratch.folder("index")
    store = boxes.store(folder, TWO)
    store.scan()
    store.uids()
    store.close()
    numbers, rest = (folder / "state/index").read_bytes().split(b"\n", 3)[2:]
    return numbers, rest


def index(data: bytes) -> None:
    """A file that is no index, and a session on an index that was changed (XOR) but vouches for itself."""
    folder = scratch.folder("raw-index")
    scratch.put(folder / "index", data)
    found = index_file.IndexFile(str(folder), "qpopper2")
    assert found.read(STRICT) is None, "what cannot have been written by us is believed"
    found.close()
    numbers, rest = real_index()
    box = scratch.folder("index") / "box"
    status = box.stat()
    known = [status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns, status.st_ctime_ns, 1 << 62]
    words = [str(number).encode() for number in known] + numbers.split()[6:]
    changed = bytes(a ^ b for a, b in zip(rest, data.ljust(len(rest), b"\0"), strict=False))
    columns = len(rest) - int(words[10])
    head = index_file.written_by(STRICT) + b" ".join(words) + b"\n"
    crcs = crc32(head + changed[:columns]), crc32(changed[columns:])
    scratch.put(scratch.folder("index") / "state/index", index_file.first_line(*crcs) + head + changed)
    serve(box)
    assert box.read_bytes() == TWO, "the mailbox was changed"


def serve(box: os.PathLike[str]) -> None:
    """All that a session can ask of the mailbox."""
    store = boxes.store(os.path.dirname(box), None, reports=[])
    try:
        entries = store.scan()
        # An index that vouches for itself may lie to its own user, to nobody else; but all can be sent.
        "\n".join(store.uids()).encode("ascii")
        for number in range(len(entries)):
            b"".join(store.read(number))
    except MaildropError:
        pass
    finally:
        store.close()


def redo_record(data: bytes) -> None:
    """Recovery by a record that was never written, and by one (first octet odd) that vouches for itself."""
    folder = scratch.folder("redo")
    box = scratch.put(folder / "box", TWO)
    (folder / "state").mkdir(exist_ok=True)
    for left in (folder / "state").iterdir():
        left.unlink()
    for left in folder.glob("box.redo-*"):
        left.unlink()
    record = data[1:]
    if data and data[0] & 1:
        fields, _, rest = record.partition(b"\n")
        plan, data_of_step = rest[: data[0] >> 1], rest[data[0] >> 1 :]
        vouched = b"1 %s plan=%d octets=%d room=%d plan_digest=%s data=%s" % (
            fields.replace(b"INODE", b"%d" % os.stat(box).st_ino),
            len(plan),
            len(data_of_step),
            redo.LEAST,
            redo.digest(plan).encode(),
            redo.digest(data_of_step).encode(),
        )
        slot = b"pop3d redo %s %s %s\n" % (redo.FORMAT, redo.digest(vouched).encode(), vouched)
        at = redo.data_at(len(plan)) + redo.LEAST
        record = (b"\0" * redo.BLOCK + slot).ljust(2 * redo.BLOCK, b"\0") + plan
        record = record.ljust(at, b"\0") + data_of_step
    scratch.put(folder / "state/redo", record)
    reports: list[str] = []
    lock = MaildropLock(box, ("fcntl",), "try", 0, reports.append)
    try:
        recover.recover(box, os.geteuid(), [redo.Redo(str(folder / "state"))], lock, reports.append)
    except MaildropError:
        pass
    if not data or not data[0] & 1:
        assert (folder / "box").read_bytes() == TWO, "the mailbox was changed by a record that nobody wrote"


def overrides(data: bytes) -> None:
    """The table of uids; its lines are vouched for if the first octet is odd."""
    folder = scratch.folder("overrides")
    lines = data[1:].split(b"\n")
    if data and data[0] & 1:
        lines = [b"%s %08x" % (line, crc32(line)) for line in lines]
    scratch.put(folder / uid_table.NAME, b"\n".join([uid_table.HEAD.encode(), *lines]))
    table = uid_table.Overrides(str(folder), lambda line: None).load()
    assert not table.foreign
    uids = [*table.names.values(), *(uid for rows in table.headers.values() for _, uid in rows)]
    assert all(uid_table.is_uid(uid) for uid in uids)
    keys = [*table.headers, "other", ""]
    bases, _ = table.over([f"b{n}" for n in range(len(keys))], [], keys.__getitem__, lambda n: "-", str)
    assert len(bases) == len(keys)
    table.save()
    again = uid_table.Overrides(str(folder), boxes.refuse).load()
    assert (again.names, again.headers) == (table.names, table.headers)
    assert len(uid_table.identity(data)) == 32
    assert len(uid_table.contents(scratch.pieces(data, 3))) == 16
    assert uid_table.contents(scratch.pieces(data, 3)) == uid_table.contents([data])


def maildir_names(data: bytes) -> None:
    """The name of a file in a Maildir."""
    name = os.fsdecode(data.replace(b"/", b"").replace(b"\0", b""))
    base = names.base_of(name)
    assert ":" not in base
    assert name.startswith(base)
    assert names.order(base) == names.order(names.base_of(base + ":2,S"))
    assert min(names.order(base)[:2]) >= 0
    assert min(names.stated(base)) >= -1
    assert names.flags_of(name) in name
    assert not base or uid_table.is_uid(names.plain(base))


def plain_text(data: bytes) -> None:
    """MANGLE: a message that any stranger wrote comes as one text with whole lines, or as it is."""
    message = data.replace(b"\r", b"").replace(b"\n", b"\r\n")
    for kind in ("plain", "html"):
        made = mime.reduced(message, kind)
        if made != message:
            assert made.endswith(b"\r\n")
            assert made.count(b"\n") == made.count(b"\r\n") == made.count(b"\r")
            assert b"\r\nContent-Type: text/" + kind.encode() in b"\r\n" + made


TARGETS = (mbox, mmdf, from_line, line_ends, index, redo_record, overrides, maildir_names, plain_text)
