"""How one old program speaks, as data.

Data (numbers, sizes, unique-ids, message octets) is right by the RFC in every dialect; the texts behind +OK and
-ERR are the dialect's.  Nothing asks which personality it is: it asks the dialect for a text or a rule.
"""

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from qpopper_py.protocol.request import Request

# Every text that a session can say, with the fields it may hold.
TEXTS = {
    "greeting": "host",
    "greeting_min": "host",
    "greeting_off": "host",
    "shutdown": "text",
    "signing_off": "host",
    "user": "user",
    "logged_in": "user count octets s hidden session",
    "stat": "count octets",
    "list": "count octets",
    "list_one": "number octets",
    "retr": "octets",
    "top": "octets",
    "dele": "number",
    "noop": "",
    "rset": "count octets",
    "last": "number",
    "uidl": "",
    "uidl_one": "number uid",
    "uidl_number": "number count",
    "uidl_range": "number count",
    "uidl_deleted": "number",
    "euidl": "",
    "euidl_one": "number uid octets sender",
    "mdef": "name",
    "mdef_syntax": "",
    "mdef_too_long": "",
    "mdef_too_many": "limit",
    "mangle_unknown": "verb word",
    "mangle_syntax": "",
    "capa": "",
    "implementation": "version",
    "xlst": "",
    "xmit": "",
    "xmit_sent": "",
    "unknown": "verb",
    "wrong_state": "verb",
    "too_few": "verb",
    "too_many": "verb",
    "too_long": "limit",
    "not_a_number": "number",
    "no_message": "number",
    "is_deleted": "number",
    "already_deleted": "number",
    "read_only": "",
    "bad_lines": "",
    "refused": "user",
    "refused_sasl": "user",
    "no_login_now": "",
    "mechanisms": "",
    "no_mechanism": "",
    "cancelled": "",
    "bad_response": "",
    "utf8": "",
    "not_utf8": "",
    "languages": "",
    "language": "language",
    "no_language": "language",
    "busy": "",
    "unusable": "",
    "missing": "",
    "forbidden": "",
    "trouble": "",
    "changed": "",
    "update_failed": "",
    "timeout": "host",
    "stls": "",
    "under_tls": "",
    "no_tls": "",
    "needs_tls": "verb",
    "needs_stronger": "verb",
    "xmit_too_large": "limit",
    "login_delay": "minutes s",
}


class Dialect:
    """What the old program said, and when it listened.

    ``texts``: a template (str.format) for each name of TEXTS.  ``withheld``: verbs that the original had not, refused
    unless ``commands = all``.  ``states``: verbs that it took in some of their states only (those of
    :mod:`~qpopper_py.session.table`).  ``codes``: whether it had the response codes of RFC 2449.  ``parse``: how it
    took lines apart, if not as popper does (:func:`~qpopper_py.protocol.request.parse`); None of it: nothing to answer.
    ``extras``: which of the commands that no RFC has and no other program it served, by their names in that table.
    ``local_time``: CAPA tells the time here (X-LOCALTIME).  ``gap``: what stands between the greeting and its stamp.
    ``capa``: first words of CAPA's lines, in its order; others follow.  ``announced``: lines of CAPA that it had, where
    nothing here says otherwise by a line that begins alike.  ``refusals``: by state, what it answered to a
    verb that it did not take there, in the place of ``wrong_state`` and ``unknown``; ``*`` stands for the others.
    ``forgets_user``: such a verb between USER and PASS takes USER back.  ``dele_again``: DELE of a message that is
    marked already is granted.  ``arguments_first``: verbs of which, before login, too few or too many are told rather
    than the state.  ``needs_tls``: CAPA's line in the place of USER until there is TLS, where USER is refused
    without.
    """

    __slots__ = (
        "announced",
        "arguments_first",
        "capa",
        "codes",
        "dele_again",
        "extras",
        "forgets_user",
        "gap",
        "local_time",
        "needs_tls",
        "parse",
        "refusals",
        "states",
        "texts",
        "withheld",
    )

    def __init__(
        self,
        texts: "Mapping[str, str]",
        withheld: "frozenset[str]" = frozenset(),
        states: "Mapping[str, tuple[str, ...]] | None" = None,
        codes: bool = True,
        parse: "Callable[[bytes], Request | None] | None" = None,
        extras: "tuple[str, ...]" = (),
        local_time: bool = False,
        capa: "tuple[str, ...]" = (),
        announced: "tuple[str, ...]" = (),
        gap: str = "  ",
        refusals: "Mapping[str, Mapping[str, str]] | None" = None,
        forgets_user: bool = False,
        dele_again: bool = False,
        arguments_first: frozenset[str] = frozenset(),
        needs_tls: str = "",
    ) -> None:
        self.texts = texts
        self.withheld = withheld
        self.states = states or {}
        self.codes = codes
        self.parse = parse
        self.extras = extras
        self.local_time = local_time
        self.capa = capa
        self.announced = announced
        self.gap = gap
        self.refusals = refusals or {}
        self.forgets_user = forgets_user
        self.dele_again = dele_again
        self.arguments_first = arguments_first
        self.needs_tls = needs_tls

    def say(self, what: str, **fields: "str | int") -> str:
        """The text ``what`` with its fields filled in; fields are never read as templates."""
        return self.texts[what].format(**fields)
