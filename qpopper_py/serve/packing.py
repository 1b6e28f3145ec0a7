"""Values as one packet and back: bounded, versioned, and checked as if a stranger had written it.

A packet: version and kind in an octet each; then, each in the order of the form, the numbers in 8 octets, the lengths
of texts and octets in 4, the counts of lists in 2; then the texts and octets, then the entries of the lists: numbers in
8 octets, texts behind their length in 4.  Nothing behind them.  All big-endian.
"""

import struct

from qpopper_py.errors import QpopperError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Any

    Fields = dict[str, Any]
    Rows = Sequence[tuple[str, int, int]]

VERSION = 1
NUMBER, TEXT, OCTETS, NUMBERS, TEXTS = range(5)
LISTED = 65535  # entries of a list
ENTRY = 2**32 - 1  # the largest number in a list


class Forged(QpopperError):
    """A message is not of the form, or not from whom it should be.  The text holds nothing of it."""


class Form:
    """The fields of one kind of packet: rows of name, kind of value, and the largest number or the most octets."""

    __slots__ = ("head", "lists", "longs", "numbers")

    def __init__(self, rows: "Rows") -> None:
        self.numbers = [(name, most) for name, form, most in rows if form == NUMBER]
        self.longs = [(name, form, most) for name, form, most in rows if form in (TEXT, OCTETS)]
        self.lists = [(name, form, most) for name, form, most in rows if form in (NUMBERS, TEXTS)]
        self.head = struct.Struct(">BB" + "Q" * len(self.numbers) + "I" * len(self.longs) + "H" * len(self.lists))

    def pack(self, kind: int, fields: "Fields") -> bytes:
        """Raises ValueError for a field that is too large for it, KeyError for one that is missing."""
        numbers = []
        for name, most in self.numbers:
            value = fields[name]
            if not 0 <= value <= most:
                raise ValueError(f"{name}: not between 0 and {most}")
            numbers.append(value)
        parts = [_octets(name, fields[name], most) for name, _, most in self.longs]
        sizes = [len(part) for part in parts]
        for name, form, most in self.lists:
            entries = fields[name]
            if len(entries) > LISTED:
                raise ValueError(f"{name}: more than {LISTED}")
            sizes.append(len(entries))
            for entry in entries:
                data = _octets(name, entry, most) if form == TEXTS else entry.to_bytes(8, "big")
                parts.append(len(data).to_bytes(4, "big") + data if form == TEXTS else data)
        return self.head.pack(VERSION, kind, *numbers, *sizes) + b"".join(parts)

    def unpack(self, data: bytes) -> "Fields":
        """Raises Forged."""
        try:
            _, _, *values = self.head.unpack_from(data)
        except struct.error:
            raise Forged("a message that was cut off") from None
        fields: Fields = {}
        sizes = iter(values)
        for name, most in self.numbers:
            fields[name] = _at_most(next(sizes), most)
        at = self.head.size
        for name, form, most in self.longs:
            size = _at_most(next(sizes), most)
            piece = data[at : at + size]
            at += size
            if len(piece) != size:
                raise Forged("a message that was cut off")
            fields[name] = _text(piece) if form == TEXT else piece
        for name, form, most in self.lists:
            fields[name], at = _entries(data, at, next(sizes), form, most)
        if at != len(data):
            raise Forged("a message with something behind its end")
        return fields


def _octets(name: str, value: "str | bytes", most: int) -> bytes:
    data = value.encode("utf-8", "surrogateescape") if isinstance(value, str) else value
    if len(data) > most:
        raise ValueError(f"{name}: more than {most} octets")
    return data


def _at_most(value: int, most: int) -> int:
    if value > most:
        raise Forged("a message with a number that is too large")
    return value


def _entries(data: bytes, at: int, count: int, form: int, most: int) -> "tuple[list[Any], int]":
    """The entries of a list that begins there, and where it ends."""
    entries: list[Any] = []
    width = 4 if form == TEXTS else 8
    for _ in range(count):
        head = data[at : at + width]
        size = _at_most(int.from_bytes(head, "big"), most if form == TEXTS else ENTRY)
        at += width
        piece = data[at : at + size] if form == TEXTS else b""
        if len(head) != width or (form == TEXTS and len(piece) != size):
            raise Forged("a message that was cut off")
        at += len(piece)
        entries.append(_text(piece) if form == TEXTS else size)
    return entries, at


def _text(octets: bytes) -> str:
    if b"\0" in octets:
        raise Forged("a message with a NUL in a text")
    return octets.decode("utf-8", "surrogateescape")
