"""What came from the network, fit for a record: escaped, cut, one word where a word is meant."""

from qpopper_py import events

WORD = 160  # a name or an address as it is shown; RFC 1939 arguments have 40, popper's names 64
WHAT = 600  # free text


def clip(text: "str | bytes", most: int) -> str:
    """``text`` escaped, and cut at ``most`` characters."""
    return _cut(events.printable(text[:most]), most, len(text) > most)


def word(text: str) -> str:
    """``text`` as one word, which nothing that came from the network can turn into two."""
    shown = events.printable(text[:WORD]).replace(" ", "\\x20").replace('"', "\\x22")
    return _cut(shown, WORD, len(text) > WORD) or "-"


def _cut(shown: str, most: int, longer: bool) -> str:
    return shown[: most - 3] + "..." if longer or len(shown) > most else shown
