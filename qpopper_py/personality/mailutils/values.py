"""Values as GNU mailutils writes them, on its command line and in its configuration -> raw values of settings.

Each raises ValueError; the words follow the value in an error.
"""

import os

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    Layer = dict[str, object]

YES = ("yes", "on", "t", "true", "1")
NO = ("no", "off", "nil", "false", "0")
UNITS = (("second", 1), ("minute", 60), ("hour", 3600), ("day", 86400), ("week", 604800))
# Modules of its lists -> what vouches here; empty: nothing to ask, for the others know the user.
MODULES = {"pam": "pam", "generic": "unix", "system": "unix", "virtdomain": "accounts"}
# What is not asked here, and who asks in its place.
NEVER = {
    "sql": "no SQL database is asked here; write a query's rows into accounts.file, one user:hash:uid:gid::home: a"
    " line, or, if nsswitch.conf knows its users, name pam, with pam_mysql.so in /etc/pam.d/gnu-pop3d (pam.service)",
    "ldap": "no LDAP server is asked here; name pam, with pam_ldap.so in /etc/pam.d/gnu-pop3d (pam.service) and ldap in"
    " nsswitch.conf, or have saslauthd ask it (auth.sources)",
    "radius": "no RADIUS server is asked here; name pam, with pam_radius_auth.so in /etc/pam.d/gnu-pop3d (pam.service)",
}
NO_LOCKER = (
    "what such a program is for, a lock file where users may not write the spool, the server makes itself"
    " (locks.kinds, locks.dotlock); leave it out"
)
TLS = {
    "no": ("no", ""),
    "ondemand": ("starttls", ""),
    "stls": ("starttls", ""),
    "required": ("starttls", "tls"),
    "connection": ("implicit", ""),
}


def refused(why: str) -> "Callable[[str | None], Layer]":
    """The reader of an option that cannot mean anything here."""

    def refuse(_value: "str | None") -> "Layer":
        raise ValueError(f"is refused: {why}")

    return refuse


def boolean(text: str) -> bool:
    if text.lower() in YES:
        return True
    if text.lower() in NO:
        return False
    raise ValueError("is neither yes nor no")


def whole(text: str) -> int:
    if not (text.isascii() and text.isdigit()) or len(text) > 9:
        raise ValueError("is not a whole number")
    return int(text)


def seconds(text: str) -> int:
    """``600``, or ``10 minutes``, ``1 hour 5 minutes``; of a unit three letters are enough."""
    words = text.split()
    if len(words) == 1:
        return whole(words[0])
    if not words or len(words) % 2:
        raise ValueError("is not a time, as 600 or 10 minutes is")
    total = 0
    for number, unit in zip(words[::2], words[1::2], strict=True):
        known = [one for name, one in UNITS if len(unit) > 2 and f"{name}s".startswith(unit.lower())]
        if not known:
            raise ValueError(f"holds {unit!r}, which is no unit of time; it is seconds, minutes, hours, days or weeks")
        total += whole(number) * known[0]
    return total


def path(text: str) -> str:
    """A file's name; a relative one is below the folder from which the program was started, as it was there."""
    if not text:
        raise ValueError("names no file")
    try:
        return os.path.join("/" if text.startswith("/") else os.getcwd(), text)
    except OSError as why:
        raise ValueError(f"is below the working folder, which is not there: {why.strerror}") from None


def bare(url: str) -> "tuple[str, str]":
    """(scheme or empty, path) of a mailbox URL: ``mbox:///var/mail``, ``maildir:/x``, ``/var/mail``."""
    scheme, colon, place = url.partition(":")
    if not colon or "/" in scheme:
        return "", url
    if scheme not in ("mbox", "maildir", "file"):
        raise ValueError(f"is of the kind {scheme!r}; there are mbox and maildir")
    if place.startswith("//"):
        place = "/" + place.lstrip("/")
    return scheme.replace("file", ""), place


def spool(url: str) -> "Layer":
    """The folder of the mailboxes; one of Maildirs is a pattern."""
    scheme, place = bare(url)
    place = place.rstrip("/") or place
    if not place.startswith("/"):
        raise ValueError("is not an absolute path")
    if scheme == "maildir":
        return {"spool": place, "maildrop": f"maildir:{place.replace('%', '%%')}/%u"}
    return {"spool": place}


def pattern(text: str) -> "Layer":
    """mailbox-pattern: an URL in which ${user} and ${home} stand, or ``;user=${user}`` at its end."""
    url, *parameters = text.split(";")
    scheme, place = bare(url)
    for parameter in parameters:
        key, _, value = parameter.partition("=")
        if key == "type" and value not in ("", "flat"):
            raise ValueError(f"is spread over folders by {parameter!r}; here write hash_spool, or maildrop with %h")
        if key == "user":
            place = f"{place.rstrip('/')}/{value}"
        elif key not in ("type", "param"):
            raise ValueError(f"holds {parameter!r}, which is not known")
    place = place.replace("%", "%%")
    for word, ours in (("user", "%u"), ("home", "%h")):
        place = place.replace("${" + word + "}", ours).replace("$" + word, ours)
    if "$" in place:
        raise ValueError("holds a $ of something else than ${user} and ${home}")
    return {"maildrop": f"{scheme}:{place}" if scheme else place}


def virtual(folder: str) -> "Layer":
    """virtdomain: a folder of passwd files, one a domain, named after it; the mail is in HOME/INBOX.

    Source: libauth/virtual.c, and the manual of 3.15, "The virtdomain Statement", whose example is at odds with it.
    """
    return {"accounts.domains": path(folder).rstrip("/") or "/", "accounts.maildrop": "mbox:%h/INBOX"}


def expire(text: str) -> "Layer":
    """Days; 0 is what delete-expired is for, as the manual of 3.x has it."""
    days = whole(text)
    return {"expire": str(days)} | ({"delete_expired": True} if days == 0 else {})


def facility(text: str) -> str:
    """The syslog facility, in any case, with or without LOG_."""
    return text.lower().removeprefix("log_").replace("authpriv", "auth")


def modules(text: str) -> "list[str]":
    """A list of authentication modules, with colons or commas between them."""
    names = [name.strip() for name in text.replace(",", ":").split(":") if name.strip()]
    for name in names:
        if name in NEVER:
            raise ValueError(f"names {name}, which is refused: {NEVER[name]}")
        if name not in MODULES and name != "clear":
            raise ValueError(f"names {name!r}, which is no module; there is {', '.join(MODULES)}")
    return names


def sources(names: "list[str]") -> "list[str]":
    """auth.sources for these modules, with the APOP secrets in front, as there."""
    for at in range(len(names), 0, -1):
        if names[at - 1] == "clear":
            names = names[at:]
            break
    return list(dict.fromkeys(["mailauth", *(MODULES[name] for name in names)]))


def tls_mode(text: str) -> "tuple[str, str]":
    """(tls, cleartext) of a listener."""
    word = text.lower()
    if word in YES:
        word = "ondemand"
    if word in NO:
        word = "no"
    if word not in TLS:
        raise ValueError(f"is none of {', '.join(TLS)}")
    return TLS[word]
