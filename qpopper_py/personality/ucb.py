"""The wording of UCB popper, which Tru64's pop3d and Qpopper speak too.

Eudora looks for phrases in errors before it throws a saved password away; those it knows (``lock busy``,
``few minute``, ``recognition mode``, ...) are kept, and no error but a refused login says ``password``.
"""

from qpopper_py.protocol.dialect import Dialect

DIALECT = Dialect(
    {
        "greeting": "UCB Pop server (version 1.6) at {host} starting.",
        "signing_off": "Pop server at {host} signing off.",
        "user": "Password required for {user}.",
        "logged_in": "{user} has {count} message(s) ({octets} octets).",
        "stat": "{count} {octets}",
        "list": "{count} messages ({octets} octets)",
        "list_one": "{number} {octets}",
        "retr": "{octets} octets",
        "top": "{octets} octets",
        "dele": "Message {number} has been deleted.",
        "noop": "",
        "rset": "Maildrop has {count} messages ({octets} octets)",
        "last": "{number} is the last message seen.",
        "uidl": "uidl command accepted.",
        "uidl_one": "{number} {uid}",
        "capa": "Capability list follows",
        "xlst": "xlst command accepted; headers coming.",
        "xmit": "Start sending message.",
        "xmit_sent": "Message sent successfully",
        "unknown": 'Unknown command: "{verb}".',
        "too_few": "Too few arguments for the {verb} command.",
        "too_many": "Too many arguments for the {verb} command.",
        "too_long": "Command line too long: {limit} octets at most.",
        "no_message": "Message {number} does not exist.",
        "is_deleted": "Message {number} has been deleted.",
        "already_deleted": "Message {number} has already been deleted.",
        "read_only": "Mail cannot be deleted now: the mail drop is read-only.",
        "bad_lines": "The number of lines must be a decimal number.",
        "refused": 'Password supplied for "{user}" is incorrect.',
        "no_login_now": "Login is not possible now; try again in a few minutes.",
        "mechanisms": "Authentication mechanisms follow",
        "no_mechanism": "No such authentication mechanism here.",
        "cancelled": "Authentication cancelled.",
        "bad_response": "That is not what the authentication mechanism asks for.",
        "utf8": "UTF-8 from here on.",
        "not_utf8": "After UTF8 names and secrets must be UTF-8.",
        "languages": "Language listing follows:",
        "language": "{language} Replies are in this language.",
        "no_language": "There are no replies in language {language}; LANG lists what there is.",
        "busy": "Maildrop lock busy!  Is another session active?",
        "unusable": "Unable to process From lines (envelopes), change recognition modes"
        " or check for corrupted mail drop.",
        "trouble": "Unable to read the mail drop; try again in a few minutes.",
        "changed": "The mail drop was changed by another program; nothing was deleted.",
        "update_failed": "POP mailbox update failed!  Nothing was deleted.",
        "timeout": "POP timeout",
        "stls": "Begin TLS negotiation",
        "under_tls": "TLS in progress",
        "no_tls": "TLS is not possible now; try again in a few minutes.",
        "needs_tls": "You must use TLS/SSL or stronger authentication such as APOP to connect to this server",
        "needs_stronger": "You must use stronger authentication such as APOP to connect to this server",
        "xmit_too_large": "Message too large: {limit} octets at most.",
    }
)
