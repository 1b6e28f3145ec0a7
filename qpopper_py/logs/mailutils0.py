"""Records in the words of GNU mailutils' pop3d 0.6 (log.style = mailutils0), from its source; see ``mailutils``.

Beside what is there it tells of each connection, ``Incoming connection opened`` and ``connect from IP``, both info.
"""

from qpopper_py.logs.mailutils import WORDS, forms

FORMS = forms(
    {
        "opened": "Incoming connection opened",
        "connect": "connect from {peer}",
        "logged_in": "User `{user}' logged in with mailbox `{mailbox}' ({messages} message{s})",
        "failed": "User `{user}': authentication failed",
        "unknown": "User `{user}': nonexistent",
        "trouble": WORDS["trouble"],
        "too_soon": "User `{user}' tried to log in within the minimum allowed delay",
        "ended": "Session ended for {whom}",
        "timeout": "Session timed out for {whom}",
        "hangup": "No socket to send to",
    }
)
