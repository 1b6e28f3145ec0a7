"""How Qpopper 4 speaks: its words over UCB popper's, and the commands and CAPA lines that it alone has.

Data is right by the RFC here as everywhere; what Eudora looks for in errors is UCB's, which see.
"""

from qpopper_py.personality import ucb
from qpopper_py.protocol.dialect import Dialect

VERSION = "4.0.5"  # the release whose place this takes; clients and log watchers look for it

TEXTS = {
    **ucb.TEXTS,
    "greeting": f"Qpopper (version {VERSION}) at {{host}} starting.",
    "greeting_min": "Qpopper at {host} starting.",
    "greeting_off": "ready",
    "logged_in": "{user} has {count} visible message{s} ({hidden} hidden) in {octets} octets.",
    "noop": "no big woop",
    "last": "{number} is the last read message.",
    "timeout": "POP timeout from {host}",
    "uidl_number": "Parameter must be a number between 1 and {count}",
    "uidl_range": "Message {number} out of range.",
    "uidl_deleted": "Message {number} has been marked for deletion.",
    "stls": "STLS",
    "no_tls": "Command not enabled",
    "implementation": f"Qpopper-version-{VERSION}",
}
LATER = frozenset(("utf8", "lang"))  # RFC 6856, younger than the last Qpopper
DIALECT = Dialect(TEXTS, LATER, extras=("euidl", "mdef", "x-mangle"), local_time=True)
