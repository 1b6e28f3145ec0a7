"""One line from the client as a value (RFC 1939 section 3, RFC 2449 section 4), split as UCB popper splits it."""

MASK = "xxxxxxxxx"  # what popper's log shows of a secret, whatever its length


class Request:
    """A command line: ``verb`` in lower case, ``words`` behind it, ``rest`` as it came behind the first blank.

    ``verb`` is text for replies: bytes outside printable ASCII stand as ``?``; it is cut at 40 characters.
    """

    __slots__ = ("rest", "verb", "words")

    def __init__(self, verb: str, words: "list[bytes]", rest: bytes) -> None:
        self.verb = verb
        self.words = words
        self.rest = rest


def parse(line: bytes) -> Request | None:
    """``line`` without its line end as a Request; None for a line of nothing but blanks.

    Words are parted by runs of blanks and tabs, as popper does; ``rest`` is for PASS, whose argument may hold
    blanks (RFC 1939 section 7) and keeps those at its ends.
    """
    words = line.replace(b"\t", b" ").split(b" ")
    words = [word for word in words if word]
    if not words:
        return None
    behind = line.lstrip(b" \t")[len(words[0]) :]
    return Request(plain(words[0], 40).lower(), words[1:], behind[1:])


def parse_strictly(line: bytes) -> Request:
    """``line`` without its line end, as popa3d splits it: at single blanks, of which one may stand at the end.

    A tab is no blank, two blanks have an empty word between them, a line with a NUL or without a word is a command
    that nobody has.
    """
    verb, _, rest = (b"" if b"\0" in line else line).partition(b" ")
    words = rest.removesuffix(b" ").split(b" ") if rest else []
    return Request(plain(verb, 40).lower(), words, rest)


def plain(data: bytes, most: int = 64) -> str:
    """``data`` fit for a reply's text: printable ASCII, anything else as ``?``, cut at ``most`` characters."""
    return "".join(chr(c) if 32 <= c < 127 else "?" for c in data[:most])


def number(word: bytes, most: int = 10**18) -> int | None:
    """The decimal that ``word`` is; None for anything else: signs, blanks, letters, more than 18 digits."""
    if not word or len(word) > 18 or word.strip(b"0123456789"):
        return None
    value = int(word)
    return value if value <= most else None


def safe(request: Request, secret: int | None, known: bool = True) -> str:
    """The only form of a request that a log may see.

    ``secret``: how many words stay readable before the first secret one (PASS 0, APOP 1), None: all do.
    Of a line that is no command (``known`` false) nothing but a verb made of letters is shown: it may be a
    password that was typed in the wrong place.
    """
    if not known:
        verb = request.verb if request.verb.isalpha() and len(request.verb) <= 8 else MASK
        return f"{verb} {MASK}" if request.words else verb
    words = request.words if secret is None else request.words[:secret]
    shown = [request.verb, *(printed(word) for word in words)]
    if secret is not None and len(request.words) > secret:
        shown.append(MASK)
    return " ".join(shown)


def bare(shown: str) -> str:
    """The safe form of a request with all that stands behind its verb masked."""
    verb, blank, _ = shown.partition(" ")
    return f"{verb} {MASK}" if blank else verb


def printed(word: bytes) -> str:
    """``word`` with what is not printable ASCII escaped, so that nothing is lost and nothing can be forged."""
    return "".join(chr(c) if 32 <= c < 127 and c != 92 else f"\\x{c:02x}" for c in word)
