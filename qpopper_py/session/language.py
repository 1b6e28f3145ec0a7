"""UTF8 and LANG (RFC 6856).

A maildrop here is not UTF-8 by nature: its messages are octets that a delivery agent put there, 8-bit headers of any
character set among them, long before anybody thought of UTF8.  They are sent as they are stored, with UTF8 and
without: a surrogate (RFC 6857) would break signatures, sizes and unique-ids, and ``-ERR [UTF8]`` (section 5) would keep
mail from every client that fetched it from the old server.  What UTF8 changes is what the client may expect of itself:
its names and passwords must then be UTF-8 (section 2.2); without it they are compared octet by octet, as ever, because
old passwords are in old character sets.  They are not prepared by SASLprep, as section 2.2 would have it: what was
stored was not either.

The texts are the dialect's, and English; LANG says so.
"""

from qpopper_py.errors import Refused
from qpopper_py.protocol.reply import Reply, listing
from qpopper_py.protocol.request import plain

TYPE_CHECKING = False
if TYPE_CHECKING:
    from qpopper_py.session.session import Session

LANGUAGES = {"en": "English"}  # tag, and its name for people; the first is what LANG * selects


def utf8(session: "Session", words: "list[bytes]") -> Reply:
    """Section 2.1.  Before login only, and whoever wants TLS begins it first."""
    session.utf8 = True
    return Reply(session.dialect.say("utf8"))


def lang(session: "Session", words: "list[bytes]") -> Reply:
    """Section 3: without an argument the languages there are; else the best one for a range (RFC 4647 section 3.4)."""
    if not words:
        return Reply(session.dialect.say("languages"), listing(f"{tag} {name}" for tag, name in LANGUAGES.items()))
    tag = lookup(plain(words[0]))
    if not tag:
        raise Refused(session.dialect.say("no_language", language=plain(words[0])))
    return Reply(session.dialect.say("language", language=tag))


def lookup(wanted: str) -> str:
    """RFC 4647 section 3.4: the range, cut shorter at its hyphens until a tag is it; empty if none ever is."""
    if wanted == "*":
        return next(iter(LANGUAGES))
    subtags = wanted.lower().split("-")
    if not all(one.isascii() and one.isalnum() and len(one) <= 8 for one in subtags):
        return ""
    while subtags:
        if (tag := "-".join(subtags)) in LANGUAGES:
            return tag
        subtags.pop()
        if subtags and len(subtags[-1]) == 1:
            subtags.pop()
    return ""


def must_be_utf8(session: "Session", given: bytes) -> None:
    """Section 2.2: after UTF8, a name or password that is not UTF-8 is refused, whatever else would come of it."""
    if session.utf8:
        try:
            given.decode("utf-8")
        except UnicodeDecodeError:
            raise Refused(session.dialect.say("not_utf8"), "AUTH") from None
