"""Mailboxes of a Cyrus spool for tests, by the layout of imap/mailbox.h: versions 9 (2.3), 12 (2.4), 13, 17 (3.6)."""

import os
import struct
from hashlib import sha1
from pathlib import Path

SIZES = {9: (80, 80), 12: (128, 96), 13: (128, 104), 17: (160, 112)}  # header, record
EXPUNGED, DELETED, SEEN = 1 << 31, 1 << 2, 1 << 4


def spool(folder: Path, messages, *, minor=17, validity=1280000000, new=True, flags=(), numbers=(), show_after=0):
    """``folder`` as a mailbox of Cyrus: message n is the file ``number.``, its lines ended by CRLF."""
    folder.mkdir(parents=True, exist_ok=True)
    start, width = SIZES[minor]
    numbers = list(numbers) or list(range(1, len(messages) + 1))
    flags = [*flags, *[0] * (len(messages) - len(flags))]
    head = bytearray(start)
    struct.pack_into(">6I", head, 0, 1, 0, minor, start, width, len(messages))
    struct.pack_into(">I", head, 28, max(numbers, default=0))
    struct.pack_into(">I", head, 44, validity)
    struct.pack_into(">I", head, 60, int(new))
    if minor >= 12:
        struct.pack_into(">I", head, 112, show_after)
    records = b""
    for place, (number, text, flag) in enumerate(zip(numbers, messages, flags, strict=True)):
        record = bytearray(width)
        struct.pack_into(">4I", record, 0, number, 1600000000 + place, 1500000000, len(text))
        struct.pack_into(">I", record, 32, flag)
        if minor >= 10:
            record[60:80] = sha1(text).digest()
        records += record
        (folder / f"{number}.").write_bytes(text)
    (folder / "cyrus.index").write_bytes(bytes(head) + records)
    (folder / "cyrus.header").write_bytes(b"\241\002\213\015Cyrus mailbox header\n")
    os.chmod(folder, 0o700)
    return folder
