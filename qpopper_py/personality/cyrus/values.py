"""Values of imapd.conf as raw values of our settings.  Readers raise ValueError, a phrase that follows the value."""

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping

UNITS: "Mapping[str, int]" = {"s": 1, "m": 60, "h": 3600, "d": 86400}
UIDL = {"cyrus": "cyrus", "uidonly": "uidonly", "dovecot": "dovecot", "courier": "cyrus-courier"}
TLS = {"tls1_0": "1.0", "tls1_1": "1.1", "tls1_2": "1.2", "tls1_3": "1.3"}
OLD_TLS = ("ssl2", "ssl3")
SOURCES = {"saslauthd": "saslauthd", "auxprop": "sasldb", "pam": "pam"}
MECHANISMS = (
    "SCRAM-SHA-256-PLUS", "SCRAM-SHA-1-PLUS", "GSSAPI", "SCRAM-SHA-256", "SCRAM-SHA-1", "CRAM-MD5", "OAUTHBEARER",
    "XOAUTH2", "EXTERNAL", "PLAIN", "LOGIN",
)  # fmt: skip


def switch(value: str) -> bool:
    """By the first letters, as Cyrus reads it."""
    low = value.lower()
    if low in ("yes", "on", "t", "true", "1", "y"):
        return True
    if low in ("no", "off", "f", "false", "0", "n"):
        return False
    raise ValueError("is neither yes nor no")


def duration(value: str, unit: int) -> int:
    """Seconds: digits alone count in ``unit`` seconds, and Cyrus 3 has 1h30m too."""
    total, digits = 0, ""
    for letter in value.lower():
        if letter in "0123456789":
            digits += letter
        elif letter in UNITS and digits:
            total, digits = total + int(digits) * UNITS[letter], ""
        else:
            raise ValueError("is not a time (10, 10m, 1h30m)")
    if len(value) > 12 or not value:
        raise ValueError("is not a time (10, 10m, 1h30m)")
    return total + (int(digits) * unit if digits else 0)


def minutes(value: str) -> int:
    return duration(value, 60)


def seconds(value: str) -> int:
    return duration(value, 1)


def days(value: str) -> str:
    """popexpiretime: -1 is never."""
    return "never" if value.startswith("-") else str(duration(value, 86400) // 86400)


def uidl(value: str) -> str:
    if value.lower() not in UIDL:
        raise ValueError(f"is not one of {', '.join(UIDL)}")
    return UIDL[value.lower()]


def oldest_tls(value: str) -> str:
    """The oldest version of those that are named."""
    words = value.replace(",", " ").lower().split()
    known = [TLS[word] for word in words if word in TLS]
    if not known or any(word not in TLS and word not in OLD_TLS for word in words):
        raise ValueError(f"is not a list of {', '.join(TLS)}")
    return min(known)


def client_certificates(value: str) -> str:
    words = {"off": "no", "optional": "ask", "require": "require"}
    if value.lower() not in words:
        raise ValueError(f"is not one of {', '.join(words)}")
    return words[value.lower()]


def sources(value: str) -> "list[str]":
    """sasl_pwcheck_method: who is asked for passwords, one after the other; and whose mailboxes there are."""
    words = value.lower().split()
    for word in words:
        if word not in SOURCES:
            raise ValueError(
                f"names {word}, which cannot vouch here (alwaystrue lets everybody in, pwcheck is gone);"
                f" there is {', '.join(SOURCES)}"
            )
    return [SOURCES[word] for word in words]


def mechanisms(value: str) -> "list[str]":
    """Those that are served; of the others CAPA says nothing, as where Cyrus' plug-in was not installed."""
    known = [word for word in value.upper().replace(",", " ").split() if word in MECHANISMS]
    if not known:
        raise ValueError(f"names no mechanism that there is here: {', '.join(MECHANISMS)}")
    return known


def socket(value: str) -> str:
    """sasl_saslauthd_path names the socket, or the folder of one that is called mux."""
    return value if value.rpartition("/")[2] == "mux" else value.rstrip("/") + "/mux"


def facility(value: str) -> str:
    return value.lower().removeprefix("log_")
