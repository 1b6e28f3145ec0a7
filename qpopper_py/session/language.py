"""UTF8 and LANG (RFC 6856).

A maildrop here is not UTF-8 by nature: its messages are octets that a delivery agent put there, 8-bit headers of any
character set among them, long before anybody thought of UTF8.  They are sent as they are stored, with UTF8 and
without.  That is not what sections 2.1 and 4 have: to a client that did not say UTF8 nothing outside ASCII must go, but
a surrogate, or ``-ERR [UTF8]`` (section 5); and to one that did, other character sets should go converted.  But the
first would keep mail from every client that fetched it from the old server, and each would break signatures, sizes and
unique-ids.

Names and passwords that are not UTF-8 are refused (section 2.2) after UTF8 only; without it they are compared octet by
octet, as ever, because old passwords are in old character sets.  They are not prepared by SASLprep, as section 2.2
would have it for USER and PASS, and demands for APOP: what was stored was not either.

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
    """Section 2.1.  Before login only; after it a client must not say STLS, which would forget it (RFC 2595)."""
    session.utf8 = True
    return Reply(session.dialect.say("utf8"))


def lang(session: "Session", words: "list[bytes]") -> Reply:
    """Section 3.2: without an argument the languages there are; else the best one for a range.

    The range is a basic one; of RFC 4647's ways to match it, section 3.4 gives one language.
    """
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
