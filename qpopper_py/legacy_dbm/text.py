"""Texts that hold a password database: mailutils' ``user:secret`` lines, and what dump programs print."""

from binascii import Error as NotBase64
from binascii import a2b_base64

from qpopper_py.legacy_dbm import NotReadable


def is_db_dump(data: bytes) -> bool:
    return data.startswith(b"VERSION=") and b"\nHEADER=END\n" in data


def is_gdbm_dump(data: bytes) -> bool:
    return data.startswith(b"# GDBM dump file")


def read_lines(data: bytes) -> "list[tuple[bytes, bytes]]":
    """``user:secret``, one a line, blanks around the secret not counted, as popauth -c has it; ``#``: a comment."""
    pairs = []
    for number, line in enumerate(data.splitlines(), 1):
        user, colon, secret = line.partition(b":")
        if not line.strip() or line.lstrip().startswith(b"#"):
            continue
        if not (colon and user):
            raise NotReadable(f"line {number} is not user:secret")
        pairs.append((user, secret.strip(b" \t")))
    return pairs


def read_db_dump(data: bytes) -> "list[tuple[bytes, bytes]]":
    """db_dump(1), either format: a header, then lines that begin with a blank, key and value by turns."""
    head, _, body = data.partition(b"\nHEADER=END\n")
    body, end, _ = body.partition(b"DATA=END")
    if not end:
        raise NotReadable("the dump is cut off: it has no DATA=END")
    printed = b"\nformat=print" in head
    items = []
    for line in body.splitlines():
        if not line.startswith(b" "):
            raise NotReadable("the dump has a line of data that does not begin with a blank")
        try:
            items.append(unprint(line[1:]) if printed else bytes.fromhex(line[1:].decode("ascii")))
        except ValueError:
            raise NotReadable("the dump has a line of data that cannot be decoded") from None
    if len(items) % 2:
        raise NotReadable("the dump has a key without a value")
    return list(zip(items[::2], items[1::2], strict=True))


def unprint(line: bytes) -> bytes:
    """The octets of a line of ``db_dump -p``: ``\\\\`` is a backslash, ``\\xx`` an octet in hex."""
    head, *rest = line.split(b"\\")
    octets = bytearray(head)
    pieces = iter(rest)
    for piece in pieces:
        if piece:
            octets += bytes.fromhex(piece[:2].decode("ascii")) + piece[2:]
        else:
            octets += b"\\" + next(pieces, b"")
    return bytes(octets)


def read_gdbm_dump(data: bytes) -> "list[tuple[bytes, bytes]]":
    """gdbm_dump(1) in its ASCII format: ``#:len=N`` before each item, the item in base64."""
    items: list[bytes] = []
    for block in data.split(b"\n#:len=")[1:]:
        length, _, text = block.partition(b"\n")
        lines = [line for line in text.split(b"\n") if not line.startswith(b"#")]
        try:
            items.append(a2b_base64(b"".join(lines), strict_mode=True))
        except NotBase64:
            raise NotReadable("the dump has an item that is not base64") from None
        if not length.isdigit() or len(length) > 10 or len(items[-1]) != int(length):
            raise NotReadable("the dump has an item of another length than it says")
    if len(items) % 2 or b"\n# End of data" not in data:
        raise NotReadable("the dump is cut off")
    return list(zip(items[::2], items[1::2], strict=True))
