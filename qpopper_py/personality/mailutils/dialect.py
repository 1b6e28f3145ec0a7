"""How GNU mailutils' pop3d 3.15 speaks: short words, and AUTHORIZATION in which PASS is known after USER alone."""

from qpopper_py.personality.ucb import TEXTS as UCB
from qpopper_py.protocol.dialect import Dialect

INVALID = "Invalid command"
STATE = "Incorrect state"
ARGUMENTS = "Invalid arguments"

TEXTS = {
    **UCB,
    **dict.fromkeys(("greeting", "greeting_min", "greeting_off"), "POP3 Ready"),
    "signing_off": "",
    "user": "",
    "logged_in": "opened mailbox for {user}",
    "list": "",
    "retr": "",
    "top": "",
    "dele": "Message {number} marked",
    "rset": "",
    "uidl": "",
    "unknown": INVALID,
    "wrong_state": STATE,
    "too_few": ARGUMENTS,
    "too_many": ARGUMENTS,
    "too_long": "Argument too long",
    **dict.fromkeys(("no_message", "not_a_number", "uidl_number", "uidl_range"), "No such message"),
    **dict.fromkeys(("is_deleted", "uidl_deleted"), "Message has been deleted"),
    "already_deleted": "Message has been deleted",
    "bad_lines": ARGUMENTS,
    "refused": "Bad login",
    "refused_sasl": "Bad login",
    "no_login_now": "Cannot authenticate",
    "busy": "Mailbox in use",
    "unusable": "File error",
    "trouble": "File error",
    "changed": "Mailbox updated by other party or corrupted",
    "update_failed": "Some deleted messages not removed",
    "timeout": "Session timed out",
    "login_delay": "Attempt to log in within the minimum login delay interval",
}
DIALECT = Dialect(
    TEXTS,
    withheld=frozenset(("last", "auth", "utf8", "lang", "xtnd xmit", "xtnd xlst", "xtnd xlist")),
    states=dict.fromkeys(("user", "apop", "stls"), ("authorization",))
    | dict.fromkeys(("capa", "auth"), ("authorization", "transaction")),
    capa=(
        "TOP",
        "UIDL",
        "RESP-CODES",
        "PIPELINING",
        "AUTH-RESP-CODE",
        "XLINES",
        "LOGIN-DELAY",
        "EXPIRE",
        "USER",
        "XTLSREQUIRED",
        "STLS",
        "IMPLEMENTATION",
    ),
    gap=" ",
    refusals={
        "authorization": {"pass": INVALID, "auth": "Not implemented"},
        "user given": {"*": INVALID},
        "transaction": {"pass": INVALID, "auth": STATE},
    },
    forgets_user=True,
    dele_again=True,
    arguments_first=frozenset(("stat", "noop", "rset", "retr")),
    needs_tls="XTLSREQUIRED",
)
