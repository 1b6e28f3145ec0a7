"""Cyrus' user_deny.db in its flat form: who may not use which service, and what they are told.

A line for each user, tabs between: ``USER VERSION SERVICES MESSAGE``.  SERVICES are patterns of wildmat(3) with commas
between; the first that fits the service decides, and with ! before it says that the user may (imap/userdeny_db.c of
3.x).  Version 1 has no message, 2 may have one.  An entry that is not of this form refuses its user, for now.
"""

import re

from qpopper_py.errors import CredentialStoreError

OF_CYRUS = b"\xa1\x02\x8b\x0d"  # how twoskip and skiplist files begin
LARGEST = 16 << 20  # octets
MESSAGE = "Access to this service has been blocked"
VERSIONS = (1, 2)


def message_to(user: str, service: str, path: str) -> "str | None":
    """What ``user`` is told who may not use ``service``; None: may.  A missing file keeps nobody out.

    Raises CredentialStoreError.
    """
    entry = _entry(user.encode("utf-8"), path)
    if entry is None:
        return None
    try:
        version, services = entry.split("\t", 1)
        if int(version) not in VERSIONS:
            raise ValueError
        told = MESSAGE
        if int(version) > 1 and "\t" in services:
            services, told = services.split("\t", 1)
        for pattern in filter(None, services.split(",")):
            if re.fullmatch(of_wildmat(pattern.removeprefix("!")), service, re.DOTALL):
                return None if pattern[0] == "!" else _shown(told)
    except ValueError:
        raise CredentialStoreError(f"{path}: the entry of {user} is not VERSION, tab, SERVICES, tab, MESSAGE") from None
    return None


def _entry(user: bytes, path: str) -> "str | None":
    try:
        with open(path, "rb") as file:
            data = file.read(LARGEST + 1)
    except FileNotFoundError:
        return None
    except OSError as why:
        raise CredentialStoreError(f"{path}: {why.strerror}, and it says who may not log in") from None
    if data.startswith(OF_CYRUS):
        raise CredentialStoreError(f"{path}: is not flat; run: cvt_cyrusdb {path} twoskip {path}.flat flat")
    if len(data) > LARGEST:
        raise CredentialStoreError(f"{path}: is larger than {LARGEST >> 20} MiB")
    found = next((line for line in data.split(b"\n") if line.startswith(user + b"\t")), None)
    return None if found is None else found[len(user) + 1 :].decode("utf-8", "replace")


def _shown(text: str) -> str:
    """As pop3d says it: no bracket first, for that would begin a response code; and in one line."""
    return "".join(c if c.isprintable() or c == "\t" else "?" for c in text.lstrip("["))


def _of_class(inside: str, negated: bool) -> str:
    """What stands in brackets; a range whose end is before its beginning holds nothing."""
    made, at = "", 0
    while at < len(inside):
        first = last = inside[at]
        if inside[at + 1 : at + 2] == "-" and at + 2 < len(inside):
            last, at = inside[at + 2], at + 2
        made, at = f"{made}\\U{ord(first):08x}-\\U{ord(last):08x}" if first <= last else made, at + 1
    if not made:
        return "." if negated else "(?!)"
    return f"[{'^' * negated}{made}]"


def of_wildmat(pattern: str) -> str:
    """The same as a regular expression.  Raises ValueError: a bracket without end."""
    made, at = "", 0
    while at < len(pattern):
        letter, at = pattern[at], at + 1
        if letter == "\\" and at < len(pattern):
            made, at = made + re.escape(pattern[at]), at + 1
        elif letter == "[":
            negated = pattern[at : at + 1] == "^"
            end = pattern.index("]", at + negated + 1)  # one that comes first is itself
            made, at = made + _of_class(pattern[at + negated : end], negated), end + 1
        else:
            made += {"*": ".*", "?": "."}.get(letter) or re.escape(letter)
    return made
