"""Message text on its way to and from the wire (RFC 1939 sections 3 and 7).

Everything here takes pieces of any size and works on whole pieces: a line, or a message, may be of any length.
"""

from qpopper_py import kernel

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator


def stuffed(pieces: "Iterable[bytes]") -> "Iterator[bytes]":
    """CRLF text with a dot put before every line that begins with one."""
    at_line_start = True
    for piece in pieces:
        if not piece:
            continue
        out = kernel.stuffed(piece)
        if at_line_start and piece.startswith(b"."):
            out = b"." + out
        at_line_start = piece.endswith(b"\n")
        yield out


def header(pieces: "Iterable[bytes]", most: int = 1 << 20) -> bytes:
    """The header of CRLF text with the empty line that ends it, if one does; at most ``most`` octets."""
    seen = bytearray()
    for piece in pieces:
        seen += piece
        end = header_end(seen)
        if end >= 0:
            return bytes(seen[:end])
        if len(seen) >= most:
            return bytes(seen[:most])
    return bytes(seen)


def header_end(text: "bytes | bytearray") -> int:
    """Where the body of CRLF text begins; -1 if no empty line was seen."""
    if text.startswith(b"\r\n"):
        return 2
    at = text.find(b"\r\n\r\n")
    return at + 4 if at >= 0 else -1


def top(pieces: "Iterable[bytes]", lines: int) -> "Iterator[bytes]":
    """TOP's cut: the header, the empty line, and ``lines`` lines of the body (RFC 1939 section 7)."""
    tail = b"\r\n"  # as if an empty header line stood before the text: its own first line may be the empty one
    in_header = True
    for piece in pieces:
        start = 0
        if in_header:
            joined = tail + piece
            at = joined.find(b"\r\n\r\n")
            if at < 0:
                tail = joined[-3:]
                yield piece
                continue
            in_header = False
            start = at + 4 - len(tail)
        end, lines = skip_lines(piece, start, lines)
        yield piece[:end]
        if lines == 0:
            return


def skip_lines(piece: bytes, start: int, lines: int) -> "tuple[int, int]":
    """(where ``lines`` lines from ``start`` on end, or the piece does; how many of them are still to come)."""
    here = piece.count(b"\n", start)
    if lines > here:
        return len(piece), lines - here
    while lines:
        start = piece.find(b"\n", start) + 1
        lines -= 1
    return start, 0


def unstuffed(line: bytes) -> bytes:
    """A line of a dot-ended text as it was meant; the ending dot itself is the caller's to see."""
    return line[1:] if line.startswith(b"..") else line


def field(head: bytes, prefix: bytes) -> bytes:
    """The first line of header ``head`` (CRLF) that begins with ``prefix`` in any case, with its continuation lines.

    popper's XTND XLST: a prefix of the whole line, so ``Sub`` finds ``Subject:``.  Empty if there is none.
    """
    prefix = prefix.lower()
    found = b""
    for line in head.split(b"\r\n"):
        if found:
            if line[:1] not in (b" ", b"\t"):
                break
            found += line + b"\r\n"
        elif line[: len(prefix)].lower() == prefix and line:
            found = line + b"\r\n"
    return found
