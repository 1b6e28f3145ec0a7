"""What the name of a Maildir file tells: ``<seconds>.<unique>[,S=octets][,W=octets][:2,<flags>]``.

The base name is what stands before the colon.  Other programs change the flags behind it at any time; the base stays.
"""


def base_of(name: str) -> str:
    return name.partition(":")[0]


def flags_of(name: str) -> str:
    """The letters of the flags, as they stand there."""
    info = name.partition(":")[2]
    return info[2:] if info.startswith("2,") else ""


def order(base: str) -> "tuple[int, int, str]":
    """The key of the order of delivery: seconds, microseconds if they are told (``M123P45``), name.

    It is made of the base alone: an order that changes with the flags lets clients fetch mail twice.
    """
    seconds, _, rest = base.partition(".")
    micro = rest[1:].partition("P")[0] if rest.startswith("M") else ""
    # Digits of whatever script: it need only be the same each time.
    return (
        int(seconds) if seconds.isdecimal() and len(seconds) < 19 else 0,
        int(micro) if micro.isdecimal() and len(micro) < 19 else 0,
        base,
    )


def stated(base: str) -> "tuple[int, int]":
    """S (octets of the file) and W (octets with CRLF line ends) that the name states; -1 for what it does not."""
    size = wire = -1
    for field in base.split(",")[1:]:
        kind, digits = field[:2], field[2:]
        if digits.isdecimal() and len(digits) < 19:
            if kind == "S=":
                size = int(digits)
            elif kind == "W=":
                wire = int(digits)
    return size, wire


def plain(base: str) -> str:
    """The base as a word of 1 to 70 printable characters: itself, or its MD5 in hex (what tpop3d answered)."""
    if len(base) <= 70 and base.isascii() and base.isprintable() and " " not in base:
        return base
    import os
    from hashlib import md5

    return md5(os.fsencode(base), usedforsecurity=False).hexdigest()
