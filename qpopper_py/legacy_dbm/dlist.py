"""Cyrus' dlists (imap/dlist.c), the values of mailboxes.db: ``%(P default A %(bovik lrs "a b" l) H (x y))``.

A list in ``%()`` has a name before each of its values; a word with other than plain characters stands in quotes.
Those with line ends stand otherwise, as literals, and are not read: no name of a mailbox or of a user has them.
"""

import re

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    Value = str | list[tuple[str, "Value"]]

TOKEN = re.compile(r' *(?:(%?\(|\))|"((?:[^"\\\r\n]|\\[^\r\n])*)"|([^ ()"\r\n]+))')
DEEPEST = 20  # lists in lists


def read(text: str) -> "Value":
    """A word, or a list of (name, value), the names empty where there are none.  Raises ValueError."""
    tokens = tokens_of(text)
    found = value(tokens, *next(tokens), 0)
    if next(tokens, None):
        raise ValueError("there is more behind the list")
    return found


def tokens_of(text: str) -> "Iterator[tuple[str, str]]":
    """(bracket or empty, word); a bracket that is empty follows the last.  Raises ValueError."""
    at = 0
    while at < len(text):
        found = TOKEN.match(text, at)
        if found is None:
            raise ValueError(f"what stands at {at} is neither a word nor a bracket")
        at = found.end()
        bracket, quoted, plain = found.groups()
        yield bracket or "", plain or re.sub(r"\\(.)", r"\1", quoted or "")


def value(tokens: "Iterator[tuple[str, str]]", bracket: str, word: str, depth: int) -> "Value":
    if not bracket:
        return word
    if bracket == ")" or depth > DEEPEST:
        raise ValueError("a bracket where none can be")
    pairs: list[tuple[str, Value]] = []
    for kind, text in tokens:
        if kind == ")":
            return pairs
        name = ""
        if bracket == "%(":
            if kind:
                raise ValueError("a name that is none")
            name, (kind, text) = text, next(tokens, (")", ""))
        pairs.append((name, value(tokens, kind, text, depth + 1)))
    raise ValueError("a list without end")
