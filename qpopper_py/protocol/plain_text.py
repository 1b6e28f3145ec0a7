"""A MIME message (RFC 2045) reduced to a message of one text, for clients that know no MIME.

Of alternatives the one that is asked for, else the other, is taken; what is no text leaves a line that names it.
Header fields stay as they are, but for those of MIME itself.  A message without MIME, or of one text in US-ASCII or
of 8 bits, stays as it is; and so does one that cannot be parsed: nothing is lost by asking.

Loaded only when asked for: the parser is the standard library's, and large.
"""

import email
import html
from email import policy

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator
    from email.message import Message as Parsed
    from typing import Any

    Message = Parsed[str, str]

DEEPEST = 50  # parts within parts
PARTS = 1000
MIME = (b"content-", b"mime-version:")
COMMENT = "-->"
SKIPPED = ("script", "style", "title")
BREAKS = (
    "br",
    "p",
    "div",
    "tr",
    "li",
    "table",
    "h1",
    "h2",
    "h3",
    "h4",
    "h5",
    "h6",
    "hr",
    "blockquote",
    "pre",
    "ul",
    "ol",
)
SHOWN = ("From", "To", "Cc", "Subject", "Date")  # of a message within


def reduced(message: bytes, kind: str = "plain") -> bytes:
    """``message`` (CRLF) as one of one text, ``plain`` or ``html``, CRLF too; itself where that cannot be."""
    try:
        parsed = email.message_from_bytes(message, policy=policy.compat32)
        if simple(parsed, kind):
            return message
        text = "\n".join(texts(parsed, kind, 0, [0]))
        return fields(message) + body(text, kind)
    except Exception:  # noqa: BLE001  # mail is written by strangers, and parsers have bugs: the message itself is right
        return message


def simple(parsed: "Message", kind: str) -> bool:
    """Whether there is nothing to reduce."""
    if parsed.get("Content-Type") is None and parsed.get("Content-Transfer-Encoding") is None:
        return True
    encoding = str(parsed.get("Content-Transfer-Encoding", "7bit")).strip().lower()
    return parsed.get_content_type() == f"text/{kind}" and encoding in ("7bit", "8bit", "binary")


def fields(message: bytes) -> bytes:
    """The header without MIME's own fields, and without the empty line."""
    end = message.find(b"\r\n\r\n")
    kept, dropped = [], False
    for line in message[: end if end >= 0 else len(message)].split(b"\r\n"):
        if line[:1] not in (b" ", b"\t"):
            dropped = line.lower().startswith(MIME)
        if line and not dropped:
            kept.append(line + b"\r\n")
    return b"".join(kept)


def body(text: str, kind: str) -> bytes:
    """MIME's fields for ``text``, the empty line, and the text."""
    text = text.replace("\r\n", "\n").replace("\r", "\n").rstrip("\n") + "\n"
    ascii_ = text.isascii()
    charset, encoding = ("us-ascii", "7bit") if ascii_ else ("utf-8", "8bit")
    head = f"MIME-Version: 1.0\nContent-Type: text/{kind}; charset={charset}\nContent-Transfer-Encoding: {encoding}\n\n"
    return (head + text).replace("\n", "\r\n").encode("utf-8", "replace")


def texts(part: "Message", kind: str, depth: int, count: "list[int]") -> "Iterator[str]":
    """The texts of ``part``, in order.  ``count``: the parts seen so far, in a list of one."""
    count[0] += 1
    if depth > DEEPEST or count[0] > PARTS:
        return
    inner: Any = part.get_payload()
    type_ = part.get_content_type()
    if type_ == "message/rfc822" and isinstance(inner, list) and inner:
        named = [f"{name}: {' '.join(str(inner[0][name]).split())}" for name in SHOWN if inner[0][name]]
        yield marked_up("\n".join(named) + "\n", kind)
        yield from texts(inner[0], kind, depth + 1, count)
    elif isinstance(inner, list):
        for one in [chosen(inner, kind)] if type_ == "multipart/alternative" and inner else inner:
            yield from texts(one, kind, depth + 1, count)
    elif type_ == "text/html":
        yield decoded(part) if kind == "html" else bare(decoded(part))
    elif part.get_content_maintype() == "text" and not attached(part):
        yield marked_up(decoded(part), kind)
    else:
        data = part.get_payload(decode=True) or b""
        name = " ".join(str(part.get_filename() or "without a name").split())
        yield marked_up(f"[{type_}: {name}, {len(data)} octets]\n", kind)


def attached(part: "Message") -> bool:
    return str(part.get("Content-Disposition", "")).strip().lower().startswith("attachment")


def chosen(parts: "list[Message]", kind: str) -> "Message":
    """Of alternatives the best: the text asked for, another text, what holds one, the last."""
    for wanted in (f"text/{kind}", "text/plain", "text/html"):
        for part in parts:
            if part.get_content_type() == wanted:
                return part
    return next((part for part in parts if part.is_multipart()), parts[-1])


def decoded(part: "Message") -> str:
    """The part's text, whatever charset it says."""
    data = part.get_payload(decode=True)
    if not isinstance(data, bytes):
        return ""
    try:
        return data.decode(str(part.get_content_charset("utf-8")))
    except (LookupError, UnicodeError, ValueError):
        try:
            return data.decode("utf-8")
        except UnicodeDecodeError:
            return data.decode("latin-1")


def marked_up(text: str, kind: str) -> str:
    return f"<pre>{html.escape(text, quote=False)}</pre>" if kind == "html" else text


def bare(text: str) -> str:
    """The words of HTML, in time that grows as the text does (the library's parser takes its square)."""
    lines = (" ".join(line.split()) for line in html.unescape("".join(words(text))).split("\n"))
    kept: list[str] = []
    for line in lines:
        if line or (kept and kept[-1]):
            kept.append(line)
    return "\n".join(kept).strip("\n") + "\n"


def words(text: str) -> "Iterator[str]":
    """What stands between tags, and an end of line for those that begin one; entities as they are."""
    first, *chunks = text.replace("\n", " ").split("<")
    yield first
    hidden = ""  # what ends the text that is not to be seen: a closing tag, or a comment's end
    for chunk in chunks:
        if hidden == COMMENT or (not hidden and chunk.startswith("!--")):
            _, closed, shown = chunk.partition(COMMENT)
            hidden = "" if closed else COMMENT
            yield shown
            continue
        tag, closed, shown = chunk.partition(">")
        name = tag.strip("/").split(" ", 1)[0].lower()
        if hidden:
            if tag.startswith("/") and name == hidden:
                hidden = ""
                yield shown
        elif not closed or not (name[:1].isalpha() or name[:1] in ("!", "?")):
            yield "<" + chunk
        elif name in SKIPPED and not tag.startswith("/") and not tag.endswith("/"):
            hidden = name
        else:
            yield ("\n" if name in BREAKS else "") + shown
