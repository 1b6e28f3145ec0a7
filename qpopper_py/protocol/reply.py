"""What the server answers (RFC 1939 section 3, response codes of RFC 2449 section 8 and RFC 3206)."""

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable

    from qpopper_py.facts import Facts
    from qpopper_py.protocol.dialect import Dialect

END = b".\r\n"


class Reply:
    """A positive reply: ``text`` behind +OK, and for a multi-line one the ``body``.

    ``body``: pieces as they go over the wire (CRLF, dots stuffed) without the ending dot line, which the
    session loop adds once every piece was sent.  It may be lazy: a message is never held whole.
    ``mail``: the body is a message (logs count it) and no listing (logs may show it).
    """

    __slots__ = ("body", "mail", "text")

    def __init__(self, text: str = "", body: "Iterable[bytes] | None" = None, mail: bool = False) -> None:
        self.text = text
        self.body = body
        self.mail = mail


SILENCE = Reply()  # said by a login that was granted: the answer comes when the maildrop is open


def status(ok: bool, text: str, code: str = "") -> bytes:
    """The status line, at most 512 octets with its CRLF (RFC 2449 section 4)."""
    words = [word for word in ("+OK" if ok else "-ERR", f"[{code}]" if code else "", text) if word]
    return " ".join(words).encode("ascii", "replace")[:510] + b"\r\n"


def challenge(data: bytes) -> bytes:
    """What asks the client for its next message by AUTH, ``data`` already in base64 (RFC 5034 section 4)."""
    return b"+ " + data + b"\r\n"


def greeting(dialect: "Dialect", facts: "Facts", told: str = "on") -> bytes:
    """The greeting, with the APOP stamp behind it if there is one (RFC 1939 section 7; popper has two blanks there).

    ``told``: the setting server_info.
    """
    text = dialect.say("greeting" if told == "on" else f"greeting_{told}", host=facts.host)
    return status(True, f"{text}{dialect.gap}{facts.stamp}" if facts.stamp else text)


def listing(lines: "Iterable[str]") -> "tuple[bytes, ...]":
    """The body of a scan or unique-id listing, whole: such lines never begin with a dot."""
    return ("\r\n".join([*lines, ""]).encode("ascii"),)
