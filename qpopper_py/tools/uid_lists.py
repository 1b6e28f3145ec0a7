"""The uids that another server gave, from what it left behind: its own lists, its headers, or what a client was told.

Each reader takes the octets of a file and makes a :class:`UidList`; KINDS names them.  QpopperError: it is none of that
kind, or of a version that is not known; the text says what to do instead.
"""

import re
from collections.abc import Callable, Sequence

from qpopper_py.errors import QpopperError
from qpopper_py.store.cyrus.index import Damaged, Index
from qpopper_py.store.numbering import imap_base, imap_number
from qpopper_py.store.overrides import identity
from qpopper_py.store.uid_schemes import SCHEMES


class Given:
    """A message of the old server: its uid, and what it may be known again by.

    ``octets``: size in CRLF form, -1 if unknown.  ``name``: base name of its Maildir file.  ``digest``: SHA-1 of the
    message in CRLF form, or its :func:`~qpopper_py.store.overrides.identity`, in hex.
    """

    __slots__ = ("digest", "name", "octets", "uid")

    def __init__(self, uid: str, octets: int = -1, name: str = "", digest: str = "") -> None:
        self.uid = uid
        self.octets = octets
        self.name = name
        self.digest = digest


class UidList:
    """``given`` in the order of the old server.  ``validity`` and ``next``: of its numbers, 0 if it had none.

    ``by``: what matches: ``name``, ``sha1``, ``identity`` or, in their order, ``octets``.
    """

    def __init__(self, given: list[Given], by: str, validity: int = 0, next_number: int = 0) -> None:
        self.given = given
        self.by = by
        self.validity = validity
        self.next = next_number


Reader = Callable[[bytes, str], UidList]


def rendered(form: str, default: str, number: int, validity: int) -> str:
    """The uid that a number makes in ``form``, or if that is empty in the form that the server used."""
    make = SCHEMES[form or default].numbered
    assert make is not None
    return make(number, validity)


def is_number(word: str) -> bool:
    """Digits that int() takes: those of other scripts it takes in part, and no more than 4300."""
    return word.isascii() and word.isdigit() and len(word) < 20


def text_lines(data: bytes) -> list[str]:
    return [line.removesuffix("\r") for line in data.decode("utf-8", "surrogateescape").split("\n")]


def dovecot(data: bytes, form: str) -> UidList:
    """dovecot-uidlist, version 3 (``3 V<validity> N<next> ...``, ``<uid> [P<uidl>] [W<octets>] ... :<file>``) or 1."""
    head, *lines = text_lines(data)
    words = head.split()
    fields = {word[:1]: word[1:] for word in words[1:]}
    if words[:1] == ["3"] and is_number(fields.get("V", "")) and is_number(fields.get("N", "")):
        validity, after = int(fields["V"]), int(fields["N"])
    elif words[:1] == ["1"] and len(words) == 3 and all(map(is_number, words)):
        validity, after = int(words[1]), int(words[2])
    else:
        raise QpopperError(f"no dovecot-uidlist that is known: it begins with {head[:60]!r}")
    given = []
    for line in lines:
        number, _, rest = line.partition(" ")
        if not is_number(number):
            continue
        extra, colon, name = rest.partition(":") if words[0] == "3" else ("", ":", rest)
        if not colon:
            raise QpopperError(f"dovecot-uidlist: damaged at the line {line[:60]!r}")
        known = {word[:1]: word[1:] for word in extra.split()}
        uid = known.get("P") or rendered(form, "dovecot", int(number), validity)
        given.append(Given(uid, size_of(known.get("W", ""), name), base_name(name)))
    return UidList(given, "name", validity, after)


def base_name(name: str) -> str:
    return name.rpartition("/")[2].partition(":")[0]


def size_of(known: str, name: str) -> int:
    """The size in CRLF form that a list or a Maildir file's name tells; -1 if neither does."""
    found = re.search(r"(?a),W=(\d+)", name)
    text = known or (found[1] if found else "")
    return int(text) if is_number(text) else -1


def courier(data: bytes, _form: str) -> UidList:
    """courierpop3dsizelist: ``/3 <next> <validity>``, ``<file> <octets> <number>:<validity>[:<utf8>]``; 2 is alike."""
    head, *lines = text_lines(data)
    words = head.removeprefix("/").split()
    if not head.startswith("/") or words[:1] not in (["2"], ["3"]) or len(words) < 2 or not all(map(is_number, words)):
        raise QpopperError(f"no courierpop3dsizelist of version 2 or 3: it begins with {head[:60]!r}")
    given = []
    for line in filter(None, lines):
        found = re.fullmatch(r"(?a)(.+) (\d{1,19}) (\d{1,19}):(\d{1,19})(?::\d+)?", line)
        if found is None:
            raise QpopperError(f"courierpop3dsizelist: damaged at the line {line[:60]!r}")
        name, octets, number, validity = base_name(found[1]), int(found[2]), int(found[3]), int(found[4])
        uid = f"UID{number}-{validity}" if validity else f"UID{number}"
        given.append(Given(uid if number else courier_name(name), octets, name))
    return UidList(given, "name", int(words[2]) if len(words) > 2 else 0, int(words[1]))


def courier_name(name: str) -> str:
    """What Courier made of a file's name before it numbered."""
    octets = name.encode("utf-8", "surrogateescape")
    return "".join(f"+{o:02X}" if not 0x21 <= o <= 0x7E or chr(o) in "'\"+" else chr(o) for o in octets)


def cyrus(data: bytes, form: str) -> UidList:
    """cyrus.index up to Cyrus 3.6; where a record has one, the message's SHA-1 tells which it is."""
    try:
        index = Index(data)
    except Damaged as why:
        raise QpopperError(
            f"cyrus.index: {why}; let the old server tell: save the answer to UIDL, and import that with --from list"
        ) from None
    default = "cyrus" if index.new_uids else "uidonly"
    given = [
        Given(rendered(form, default, record.number, index.validity), record.octets, "", record.guid)
        for record in index.records
    ]
    by = "sha1" if given and all(entry.digest for entry in given) else "octets"
    return UidList(given, by, index.validity, index.last + 1)


def listing(data: bytes, _form: str) -> UidList:
    """What a server answered to UIDL: ``<number> <uid>`` a line; what it answered to LIST may stand in the same file.

    Lines of another form are passed over: commands, +OK, a client's own words.
    """
    parts: list[dict[int, str]] = [{}]
    for line in text_lines(data):
        words = line.split()
        if line.strip() == "." or (len(words) == 2 and is_number(words[0]) and int(words[0]) in parts[-1]):
            parts.append({})
        if len(words) == 2 and is_number(words[0]):
            parts[-1][int(words[0])] = words[1]
    parts = [part for part in parts if part]
    sizes = [part for part in parts if all(map(is_number, part.values()))]
    uids = [part for part in parts if part not in sizes]
    if not uids and len(sizes) == 1:
        uids, sizes = sizes, []
    if len(uids) != 1 or len(sizes) > 1:
        raise QpopperError(
            f"not one answer to UIDL, with or without one to LIST, but {len(parts)} lists; leave one of each"
        )
    known = {number: int(word) for number, word in sizes[0].items()} if sizes else {}
    return UidList([Given(uid, known.get(number, -1)) for number, uid in sorted(uids[0].items())], "octets")


def headers(heads: Sequence[bytes], form: str) -> UidList:
    """The numbers that UW imapd, Dovecot and mailutils put into an mbox; ``heads``: fields of all rows, in order."""
    validity, last = imap_base(heads[0]) if heads else (0, 0)
    given = []
    before = 0
    for head in heads:
        number = imap_number(head)
        if before < number <= last:
            given.append(Given(rendered(form, "uw", number, validity), -1, "", identity(head)))
            before = number
    if not given:
        raise QpopperError(
            "the headers hold no numbers of an IMAP server (X-IMAPbase or X-IMAP in the first, X-UID in each)"
        )
    return UidList(given, "identity", validity, last + 1)


# kind -> (reader, how its file is called, how it begins)
KINDS: dict[str, tuple[Reader, str, bytes]] = {
    "dovecot": (dovecot, "dovecot-uidlist", rb"3 V\d+ N\d+|1 \d+ \d+\n"),
    "courier": (courier, "courierpop3dsizelist", rb"/[23] \d+"),
    "cyrus": (cyrus, "cyrus.index", rb".{4}\0{7}[\x01-\x40]"),
    "list": (listing, "", rb""),
}
HEADERS = "headers"


def kind_of(name: str, data: bytes) -> str:
    """The kind of a file, by its name, else by how it begins."""
    if data.startswith(b"From "):
        return HEADERS
    named = [kind for kind, (_, called, _) in KINDS.items() if called == name]
    return named[0] if named else next(k for k, (_, _, begins) in KINDS.items() if re.match(begins, data, re.DOTALL))
