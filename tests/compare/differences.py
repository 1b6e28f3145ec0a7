"""Where we and the real popa3d, GNU mailutils or Cyrus differ, each by name, with a mailbox or a script that shows it.

``theirs`` and ``ours`` are (octets, uid) of each message, or None where the mailbox is refused.  An uid that ends in *
is known by its beginning only.
"""

from hashlib import md5

FROM = b"From a@example.org Wed Dec  2 05:53:22 1992\n"
NONE = "d98c1dd404b2008f"  # popa3d's uid of a message without any field that it looks at


class Difference:
    def __init__(
        self,
        name: str,
        opponent: str,
        why: str,
        box: bytes,
        theirs: list[tuple[int, str]] | None,
        ours: list[tuple[int, str]] | None,
    ) -> None:
        self.name = name
        self.opponent = opponent
        self.why = why
        self.box = box
        self.theirs = theirs
        self.ours = ours


LOGIN = b"USER opponent\r\nPASS any\r\n"
LOGGED_IN = b"+OK\r\n+OK\r\n"


class Manner:
    """A ``script`` of a client, on a mailbox of one message, that we do not answer as the opponent does."""

    def __init__(self, name: str, why: str, script: bytes, theirs: bytes, ours: bytes) -> None:
        self.name = name
        self.why = why
        self.script = script
        self.theirs = theirs
        self.ours = ours


ONE = FROM + b"A: b\n\n1\n\n"
MANNERS = [
    Manner(
        "a sign",
        "strtol takes it; RFC 1939 has digits",
        LOGIN + b"LIST +1\r\n",
        LOGGED_IN + b"+OK 1 11\r\n",
        LOGGED_IN + b"-ERR\r\n",
    ),
    Manner(
        "a tab before a number",
        "strtol takes it; RFC 1939 has digits",
        LOGIN + b"LIST \t1\r\n",
        LOGGED_IN + b"+OK 1 11\r\n",
        LOGGED_IN + b"-ERR\r\n",
    ),
    Manner(
        "more lines than an int holds",
        "to it that is no number; who asks for all of a message gets it here",
        LOGIN + b"TOP 1 4294967296\r\n",
        LOGGED_IN + b"-ERR\r\n",
        LOGGED_IN + b"+OK\r\nA: b\r\n\r\n1\r\n.\r\n",
    ),
    Manner(
        "a line that is too long",
        "it obeys the beginning, here with half a password; nothing is guessed here",
        b"USER opponent\r\nPASS " + b"x" * 200 + b"\r\nSTAT\r\n",
        LOGGED_IN + b"+OK 1 11\r\n",
        b"+OK\r\n-ERR\r\n-ERR\r\n",
    ),
]

# The first line that differs; LOGIN stands for a user's name and password.
CYRUS = [
    Manner(
        "CAPA after the login",
        "RFC 2449 sections 6.2 and 6.3: what CAPA says of SASL and of USER is the same in both states",
        b"LOGIN\r\nCAPA\r\nQUIT\r\n",
        b"IMPLEMENTATION",
        b"USER",
    ),
    Manner(
        "a message is not deleted in its spool",
        "its quota, conversations and replicas would not hear of it; converted mail is",
        b"LOGIN\r\nDELE 1\r\nQUIT\r\n",
        b"+OK message deleted",
        b"-ERR [SYS/PERM] This connection is configured for read-only access",
    ),
    Manner(
        "a name that can be nobody's",
        "USER tells nobody who has an account: such a name is refused with its password",
        b"USER op*onent\r\nQUIT\r\n",
        b"-ERR [AUTH] Invalid user",
        b"+OK Name is a valid mailbox",
    ),
    Manner(
        "APOP without a digest",
        "it hands the argument to SASL, whatever it is; here one is missing",
        b"APOP opponent\r\nQUIT\r\n",
        b"-ERR [AUTH] authenticating: bad protocol / cancel",
        b"-ERR Missing argument",
    ),
    Manner(
        "a digest that is none",
        "a refusal never tells why",
        b"APOP opponent zz\r\nQUIT\r\n",
        b"-ERR [AUTH] authenticating: bad protocol / cancel",
        b"-ERR [AUTH] authenticating: authentication failure",
    ),
    Manner(
        "a response that names nobody",
        "a refusal never tells why",
        b"AUTH PLAIN =\r\nQUIT\r\n",
        b"-ERR [AUTH] authenticating: bad protocol / cancel",
        b"-ERR [AUTH] authenticating: authentication failure",
    ),
    Manner(
        "an initial response that is no base64",
        "it asks for another; RFC 5034 section 4 has it refused",
        b"AUTH PLAIN x\r\nQUIT\r\n",
        b"+ ",
        b"-ERR [AUTH] authenticating: bad protocol / cancel",
    ),
    Manner(
        "what was sent before AUTH was answered",
        "a part of it is lost; nothing that is sent is overlooked here",
        b"AUTH PLAIN AG9wcG9uZW50AGEgc2VjcmV0IG9mIGFuIG9wcG9uZW50\r\nQUIT\r\n",
        b"-ERR Unrecognized command",
        b"+OK",
    ),
    Manner(
        "a name before AUTH",
        "it is kept there if AUTH fails; here AUTH takes it back, for that names somebody itself",
        b"USER opponent\r\nAUTH NOSUCH\r\nUSER opponent\r\nQUIT\r\n",
        b"-ERR [AUTH] Must give PASS command",
        b"+OK Name is a valid mailbox",
    ),
    Manner(
        "STLS with an argument where there is no TLS",
        "it looks for its certificate first",
        b"STLS x\r\nQUIT\r\n",
        b"-ERR Unrecognized command",
        b"-ERR Unexpected extra argument",
    ),
    Manner(
        "a NUL",
        "its lines end there; nothing that is sent is overlooked here",
        b"LOGIN\r\nNOOP\0\r\nQUIT\r\n",
        b"+OK",
        b"-ERR Unrecognized command",
    ),
    Manner(
        "a number that no unsigned int holds",
        "RFC 1939 section 3: a number is of digits; no message has that one",
        b"LOGIN\r\nRETR 4294967296\r\nQUIT\r\n",
        b"-ERR Not a number",
        b"-ERR No such message",
    ),
    Manner(
        "more lines than an unsigned int holds",
        "who asks for all of a message gets it here",
        b"LOGIN\r\nTOP 1 4294967296\r\nQUIT\r\n",
        b"-ERR Invalid number of lines",
        b"+OK Message follows",
    ),
    Manner(
        "two faults in TOP",
        "the message is looked for first",
        b"LOGIN\r\nTOP 9 x\r\nQUIT\r\n",
        b"-ERR Invalid number of lines",
        b"-ERR No such message",
    ),
    Manner(
        "a line without end",
        "it obeys that; what a client left unfinished when it went is no line here",
        b"LOGIN\r\nNOOP",
        b"+OK",
        b"",
    ),
    Manner(
        "a line that is too long",
        "the rest of it becomes the next command there; here it is thrown away",
        b"NOOP " + b"x" * 8190 + b"\r\nQUIT\r\n",
        b"-ERR Unrecognized command",
        b"-ERR Command line too long: 8192 octets at most.",
    ),
]

DIFFERENCES = [
    Difference(
        "equal uids",
        "popa3d",
        "two messages can get one uid; RFC 1939 says that uids differ",
        FROM + b"A: b\n\n1\n\n" + FROM + b"A: b\n\n2\n\n",
        [(11, NONE), (11, NONE)],
        [(11, NONE), (11, NONE + "-*")],
    ),
    Difference(
        "last line without end",
        "popa3d",
        "one octet fewer is announced than is sent; RFC 1939 says that sizes are right",
        FROM + b"A: b\n\nend",
        [(12, NONE)],
        [(13, NONE)],
    ),
    Difference(
        "CR LF in the file",
        "popa3d",
        "it counts three octets and is sent as CR CR LF; lines end in CR LF on the wire",
        FROM + b"A: b\n\nbody\r\n\n",
        [(15, NONE)],
        [(14, NONE)],
    ),
    Difference(
        "equal stored uids",
        "mailutils",
        "two messages with one X-UIDL get one uid; RFC 1939 says that uids differ",
        FROM + b"X-UIDL: abc\n\n1\n\n" + FROM + b"X-UIDL: abc\n\n2\n\n",
        [(18, "abc"), (18, "abc")],
        [(18, "abc"), (18, "abc-*")],
    ),
    Difference(
        "a stored uid with blanks",
        "mailutils",
        "it is given as it is; RFC 1939 knows no blanks in uids",
        FROM + b"X-UIDL: a b\n\n1\n\n",
        [(18, "a b")],
        [(18, md5(b"X-UIDL: a b\n\n1\n").hexdigest() + ".*")],
    ),
    Difference(
        "quoted From_ lines",
        "mailutils",
        "a > is taken off, which changes signed text, and sizes; nothing is unquoted here",
        FROM + b"A: b\n\n>From here\n\n",
        [(19, "*")],
        [(20, "*")],
    ),
    Difference(
        "a message without body",
        "mailutils",
        "it becomes one with the message that follows it; two are two",
        FROM + b"A: b\n\n" + FROM + b"A: c\n\nbody\n\n",
        [(67, "*")],
        [(8, "*"), (14, "*")],
    ),
    Difference(
        "a header line that is no field",
        "mailutils",
        "a : is put into it, or the header ends there; what lies in the file is what is sent",
        FROM + b"A: b\nFrom here on\nC: d\n\nbody\n\n",
        [(36, "*")],
        [(34, "*")],
    ),
]
