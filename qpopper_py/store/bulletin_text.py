"""The copy of a bulletin that goes to one user: To names the user, and nothing of another mailbox comes along."""

# Fields that speak of a mailbox, or of octets that change: Status and unique-ids are each maildrop's own.
LEFT_OUT = (b"status", b"x-status", b"x-uidl", b"x-uid", b"x-imap", b"x-imapbase", b"content-length", b"lines")


def copy_of(bulletin: bytes, address: str) -> bytes:
    """From_ line, header, body, an empty line behind it; empty if ``bulletin`` does not begin with a From_ line.

    Line ends are LF.  Of the To fields, if there are any, the first becomes ``To: address``, the others go.  What
    would begin another message is quoted with >.
    """
    import re

    from qpopper_py.store.mbox.from_line import CALENDAR

    text = bulletin.replace(b"\r\n", b"\n")
    from_line, _, rest = text.partition(b"\n")
    if not from_line.startswith(b"From ") or not re.search(CALENDAR, from_line):
        return b""
    head, empty, body = rest.partition(b"\n\n") if not rest.startswith(b"\n") else (b"", b"\n", rest[1:])
    body = re.sub(rb"(?m)^(?=From |\x01\x01\x01\x01$)", b">", body).rstrip(b"\n")
    made = from_line + b"\n" + b"".join(_fields(head, address)) + b"\n"
    return made + (body + b"\n\n" if empty and body else b"\n")


def _fields(head: bytes, address: str) -> "list[bytes]":
    """The fields of the copy, each with its continuation lines and line end."""
    fields: list[bytes] = []
    for line in head.rstrip(b"\n").split(b"\n"):
        if line[:1] in (b" ", b"\t") and fields:
            fields[-1] += line + b"\n"
        else:
            fields.append(line + b"\n")
    kept = []
    addressed = False
    for field in fields:
        name, colon, _ = field.partition(b":")
        if not colon or name.lower() in LEFT_OUT:
            continue
        if name.lower() != b"to":
            kept.append(field)
        elif not addressed:
            addressed = True
            kept.append(f"To: {address}\n".encode())
    return kept
