"""How Cyrus' pop3d takes a line apart (imap/pop3d.c, cmdloop and parse_num): a verb, and what stands behind it.

A verb ends at the first blank or tab; behind that there must be something, but for AUTH.  USER and PASS have the rest
of the line, PASS with the blanks before it; a number ends where its digits do.
"""

from qpopper_py.protocol.request import Request, plain

SYNTAX = " "  # in the place of a verb that has a blank and nothing behind it: no command is called so
BLANKS = b" \t"
DIGITS = b"0123456789"
NUMBERED = frozenset(("dele", "list", "retr", "top", "uidl"))


def parse(line: bytes) -> Request:
    """``line`` without its line end."""
    word = line.replace(b"\t", b" ").partition(b" ")[0]
    verb = plain(word, 40).lower()
    if word == line:
        return Request(verb, [], b"")
    rest = line[len(word) + 1 :]
    behind = rest if verb == "pass" else rest.lstrip(BLANKS)
    if not behind and verb != "auth":
        return Request(SYNTAX, [], b"")
    if verb in NUMBERED:
        return Request(verb, numbers(behind), behind)
    return Request(verb, [behind] if verb == "user" else behind.split(), behind)


def numbers(text: bytes) -> "list[bytes]":
    """Numbers as long as there are some, then the rest of the text, which is empty where a blank is the last."""
    words = []
    while text:
        rest = text.lstrip(DIGITS)
        words.append(text[: len(text) - len(rest)] or text)
        if words[-1] == text:
            break
        text = rest.lstrip(BLANKS)
        if text == rest or not text:
            return [*words, text]
    return words
