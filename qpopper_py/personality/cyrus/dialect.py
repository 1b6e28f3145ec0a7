"""How Cyrus' pop3d speaks (imap/pop3d.c of 2.4 to 3.6), with our version in the place of its own.

States are those of ``qpopper_py.session.table``: a second USER, and PASS without one, have answers of their own.
"""

from qpopper_py import __version__
from qpopper_py.personality.cyrus.lines import SYNTAX, parse
from qpopper_py.personality.ucb import TEXTS as COMMON
from qpopper_py.protocol.dialect import Dialect

TEXTS = {
    **COMMON,
    "greeting": f"{{host}} Cyrus POP3 {__version__}-qpopper_py server ready",
    "greeting_min": "{host} server ready",
    "greeting_off": "server ready",
    "signing_off": "",
    "user": "Name is a valid mailbox",
    "logged_in": "Mailbox locked and ready SESSIONID=<{session}>",
    "list": "scan listing follows",
    "retr": "Message follows",
    "top": "Message follows",
    "dele": "message deleted",
    "rset": "",
    "uidl": "unique-id listing follows",
    "uidl_number": "Not a number",
    "uidl_range": "No such message",
    "uidl_deleted": "No such message",
    "capa": "List of capabilities follows",
    "unknown": "Unrecognized command",
    "wrong_state": "Unrecognized command",
    "too_few": "Missing argument",
    "too_many": "Unexpected extra argument",
    "not_a_number": "Not a number",
    "no_message": "No such message",
    "is_deleted": "No such message",
    "already_deleted": "No such message",
    "read_only": "This connection is configured for read-only access",
    "bad_lines": "Invalid number of lines",
    "refused": "Invalid login",
    "refused_sasl": "authenticating: authentication failure",
    "mechanisms": "List of supported mechanisms follows",
    "no_mechanism": "[AUTH] authenticating: no mechanism available",
    "cancelled": "[AUTH] Client canceled authentication",
    "bad_response": "[AUTH] authenticating: bad protocol / cancel",
    "busy": "Unable to lock maildrop: Mailbox is locked by POP server",
    "unusable": "Unable to open maildrop: Mailbox has an invalid format",
    "missing": "Unable to open maildrop: Mailbox does not exist",
    "forbidden": "Unable to open maildrop: Permission denied",
    "trouble": "Unable to open maildrop: System I/O error",
    "changed": "Maildrop has been (re)moved",
    "login_delay": "Logins must be at least {minutes} minute{s} apart",
    "timeout": "",
    "stls": "Begin TLS negotiation now",
    "under_tls": "Already successfully executed STLS",
    "needs_tls": "{verb} command only available under a layer",
    "needs_stronger": "{verb} command only available under a layer",
}
CAPA = (
    "SASL", "STLS", "EXPIRE", "LOGIN-DELAY", "TOP", "UIDL", "PIPELINING", "RESP-CODES", "AUTH-RESP-CODE", "USER",
    "UTF8", "LANG", "IMPLEMENTATION",
)  # fmt: skip
SPOILT = {SYNTAX: "Syntax error"}
DIALECT = Dialect(
    TEXTS,
    withheld=frozenset(("utf8", "lang", "last", "xtnd", "xtnd xmit", "xtnd xlst", "xtnd xlist")),
    parse=parse,
    states={"user": ("authorization",), "apop": ("authorization",)},
    refusals={
        "authorization": {"pass": "[AUTH] Must give USER command", **SPOILT},
        "user given": {**dict.fromkeys(("user", "apop"), "[AUTH] Must give PASS command"), **SPOILT},
        "transaction": SPOILT,
    },
    arguments_first=frozenset(("apop", "pass", "user")),
    capa=CAPA,
    announced=("LOGIN-DELAY 0",),
    gap=" ",
)
