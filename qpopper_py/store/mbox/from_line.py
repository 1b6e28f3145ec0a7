"""The separator rules of an mbox, as data: where a message begins, and whom the empty line before it belongs to.

==========  ===========================  ===============  =======================  =========================
rule        a separator line             stands           before the first one     the empty line before it
==========  ===========================  ===============  =======================  =========================
strict      From_ with a calendar date   after an empty   NULs and empty lines     nobody's
            (c-client's VALID, Qpopper)  line
popa3d      ``From ``, no date; refused  after an empty   nothing                  nobody's
            if nothing follows it        line, LF alone
mailutils0  From_ in the shape of a      anywhere, even   NULs and empty lines     nobody's
            date (VALID as it was)       in a header
mailutils3  the same                     after an empty   nothing                  nobody's
                                         line
ucb         ``From ``, no date           anywhere, even   NULs and empty lines     the message's
                                         in a header
mmdf        four ^A; they stand in       anywhere         nothing                  the message's
            pairs, around a message
==========  ===========================  ===============  =======================  =========================

The file must begin with a separator in every rule.  ``nobody's``: it stays in the file and is neither sent nor
counted, unless it is the line that ends the header.  ``mmdf`` takes strict's place where the file begins with ^A,
as in Qpopper.  A Content-Length is believed on request only, and only if a separator or the file's end stands
where it says (:data:`FUZZ`): till there no other line separates.

A date is ``Wed Dec  2 05:53[:22] [ZONE|+hhmm] 1992 [ZONE|+hhmm][ remote from host]``; a calendar date has English
names, as ctime(3) writes them everywhere, and numbers in their ranges.
"""

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    Judge = Callable[[bytes], object]

LONGEST = 4096  # octets of a From_ line; a longer line is never one, so a look ahead of this size decides
FUZZ = 25  # octets that a Content-Length may be wrong by, as in Qpopper

_ZONE = rb"(?:[A-Za-z]{3,5}|[+-]\d{4})"
_END = rb"(?: remote from \S+)?\r?\n?\Z"
CALENDAR = (
    rb" (?:Mon|Tue|Wed|Thu|Fri|Sat|Sun) (?:Jan|Feb|Mar|Apr|May|Jun|Jul|Aug|Sep|Oct|Nov|Dec)"
    rb" (?: [1-9]|0[1-9]|[12]\d|3[01]) (?:[01]\d|2[0-3]):[0-5]\d(?::(?:[0-5]\d|60))?"
    rb"(?: " + _ZONE + rb")? \d{4}(?: " + _ZONE + rb")?" + _END
)
_LAST = rb"(?!\r\n?\Z)."  # any octet but the CR that ends the line
_SHORTEST = rb"(?!From ... ... .. ..:.. ..." + _LAST + _END + rb")"  # VALID asks for an octet more than that
SHAPE = (
    _SHORTEST
    + rb"From(?: .*)? ... ... .. ..:..(?::..)?(?: ...| ... ...| [+-].... ...| .... ..| .... [+-]...)"
    + _LAST
    + _END
)
ANYTHING = rb""
ONLY = rb"\A\x01{4}\r?\n?\Z"


class Rule:
    """A row of the table above, and whether Content-Length counts.

    ``name`` identifies all of it, for whoever keeps what a scan found.  ``line``: what is searched for in a line
    that begins with ``begins``; ``empty``: the line end and the empty line that may have to stand before one.
    """

    __slots__ = (
        "after_empty",
        "begins",
        "content_length",
        "empty",
        "keeps_empty",
        "line",
        "mmdf",
        "name",
        "needs_more",
        "skips",
    )

    def __init__(
        self,
        name: str,
        line: bytes,
        begins: bytes = b"From ",
        after_empty: bool = True,
        empty: bytes = rb"\n\r?\n",
        skips: bool = True,
        keeps_empty: bool = False,
        needs_more: bool = False,
        mmdf: bool = False,
        content_length: bool = False,
    ) -> None:
        self.name = name
        self.line = line
        self.begins = begins
        self.after_empty = after_empty
        self.empty = empty
        self.skips = skips
        self.keeps_empty = keeps_empty
        self.needs_more = needs_more
        self.mmdf = mmdf
        self.content_length = content_length

    def judge(self) -> "Judge":
        """A function of a line that begins as it must, with or without its line end: is it a separator?"""
        import re

        return re.compile(self.line).search


RULES = {
    rule.name: rule
    for rule in (
        Rule("strict", CALENDAR, mmdf=True),
        Rule("popa3d", ANYTHING, empty=rb"\n\n", skips=False, needs_more=True),
        Rule("mailutils0", SHAPE, after_empty=False),
        Rule("mailutils3", SHAPE, skips=False),
        Rule("ucb", ANYTHING, after_empty=False, keeps_empty=True),
    )
}
MMDF = Rule("mmdf", ONLY, begins=b"\1\1\1\1", after_empty=False, skips=False, keeps_empty=True)
STRICT = RULES["strict"]


def strict() -> "Judge":
    """The judge of strict's From_ lines."""
    return STRICT.judge()


def rule(name: str, content_length: bool = False) -> Rule:
    """The rule of that name, with or without belief in Content-Length."""
    made = RULES[name]
    if not content_length:
        return made
    values = {slot: getattr(made, slot) for slot in Rule.__slots__}
    return Rule(**{**values, "name": f"{name}+length", "content_length": True})
