"""Linux-PAM by ctypes: one user, one service, from pam_start(3) to pam_end(3).

The conversation answers questions for a password (PAM_PROMPT_ECHO_OFF) with the one that the client gave, takes
note of messages, and refuses every other question.  Delays that modules ask for are not slept: a refusal has its
moment in the session.  What modules print goes to descriptors 1 and 2, which are not the client's.

PAM_RHOST is the client's address and PAM_TTY the service's name, which rules of pam_time and pam_access ask for.
PAM_RUSER is not set: POP3 tells nothing about it, and pam_rhosts would take it for proven.
"""

from qpopper_py.errors import CredentialStoreError, MissingLibrary

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

LIBRARY = "libpam.so.0"  # Linux-PAM's; OpenPAM's has other numbers and another name
SUCCESS, BUF_ERR, USER_UNKNOWN, CONV_ERR = 0, 5, 10, 19
PROMPT_ECHO_OFF, ERROR_MSG, TEXT_INFO = 1, 3, 4
USER, TTY, RHOST, FAIL_DELAY = 2, 3, 4, 10  # items
SILENT, DISALLOW_NULL_AUTHTOK = 0x8000, 1
# The password may be right, and is no longer good: it must be changed, which POP3 cannot do.
NEW_AUTHTOK_REQD, AUTHTOK_EXPIRED = 12, 27
# Errors of libraries, files and servers behind the modules, not of the user: PAM_OPEN_ERR, SYMBOL_ERR, SERVICE_ERR,
# SYSTEM_ERR, BUF_ERR, AUTHINFO_UNAVAIL, NO_MODULE_DATA, CONV_ERR, AUTHTOK_LOCK_BUSY, ABORT, MODULE_UNKNOWN, BAD_ITEM,
# CONV_AGAIN, INCOMPLETE
OURS = frozenset((1, 2, 3, 4, 5, 9, 18, 19, 22, 26, 28, 29, 30, 31))


class Library:
    """libpam and the C library, with the types that they exchange.  Raises MissingLibrary."""

    def __init__(self) -> None:
        import ctypes

        try:
            self.pam = ctypes.CDLL(LIBRARY)
        except OSError:
            raise MissingLibrary(
                f"PAM needs {LIBRARY} (Linux-PAM), which is not here: install libpam0g, or name unix in auth.sources"
            ) from None
        self.libc = ctypes.CDLL(None)
        self.libc.calloc.restype = self.libc.strdup.restype = ctypes.c_void_p
        self.libc.calloc.argtypes = [ctypes.c_size_t, ctypes.c_size_t]
        self.libc.strdup.argtypes = [ctypes.c_char_p]
        self.libc.free.argtypes = [ctypes.c_void_p]

        class Message(ctypes.Structure):
            _fields_ = [("style", ctypes.c_int), ("text", ctypes.c_char_p)]

        class Response(ctypes.Structure):
            _fields_ = [("text", ctypes.c_void_p), ("code", ctypes.c_int)]

        self.Response = Response
        self.Converse: Any = ctypes.CFUNCTYPE(
            ctypes.c_int,
            ctypes.c_int,
            ctypes.POINTER(ctypes.POINTER(Message)),
            ctypes.POINTER(ctypes.c_void_p),
            ctypes.c_void_p,
        )
        self.Delay: Any = ctypes.CFUNCTYPE(None, ctypes.c_int, ctypes.c_uint, ctypes.c_void_p)

        class Conversation(ctypes.Structure):
            _fields_ = [("call", self.Converse), ("data", ctypes.c_void_p)]

        self.Conversation = Conversation
        for name in ("pam_authenticate", "pam_acct_mgmt", "pam_open_session", "pam_close_session", "pam_end"):
            getattr(self.pam, name).argtypes = [ctypes.c_void_p, ctypes.c_int]
        self.pam.pam_set_item.argtypes = [ctypes.c_void_p, ctypes.c_int, ctypes.c_void_p]
        self.pam.pam_get_item.argtypes = [ctypes.c_void_p, ctypes.c_int, ctypes.POINTER(ctypes.c_void_p)]
        self.pam.pam_strerror.argtypes = [ctypes.c_void_p, ctypes.c_int]
        self.pam.pam_strerror.restype = ctypes.c_char_p


_found: "list[Library]" = []


def library() -> Library:
    """libpam, loaded once.  Raises MissingLibrary."""
    if not _found:
        _found.append(Library())
    return _found[0]


class Pam:
    """A transaction, to be used in a with statement.  The methods return a PAM code, 0 for success.

    ``secret``: the password, without NUL.  Raises MissingLibrary, or CredentialStoreError when it cannot begin.
    """

    def __init__(self, service: str, user: str, rhost: str, secret: bytes = b"") -> None:
        import ctypes

        assert b"\0" not in secret  # C would end there; the caller refused it
        self._library = library()
        self._secret = secret
        self.asked_for_more = False  # a module asked something else than a password
        # libpam calls these for as long as the transaction lasts
        self._converse = self._library.Converse(self._answer)
        self._no_delay = self._library.Delay(lambda *_: None)
        self._conversation = self._library.Conversation(self._converse, None)
        self._handle = ctypes.c_void_p()
        self._status = self._library.pam.pam_start(
            service.encode(), user.encode("utf-8"), ctypes.byref(self._conversation), ctypes.byref(self._handle)
        )
        if self._status != SUCCESS:
            raise CredentialStoreError(
                f"PAM service {service}: {self.words(self._status)}; is there /etc/pam.d/{service} or /etc/pam.d/other?"
            )
        items = {TTY: service.encode(), RHOST: rhost.encode("utf-8", "surrogateescape")}
        for item, value in items.items():
            if value:
                self._library.pam.pam_set_item(self._handle, item, value)
        self._library.pam.pam_set_item(self._handle, FAIL_DELAY, ctypes.cast(self._no_delay, ctypes.c_void_p))

    def __enter__(self) -> "Pam":
        return self

    def __exit__(self, *_: object) -> None:
        self._library.pam.pam_end(self._handle, self._status)
        self._secret = b""

    def authenticate(self) -> int:
        return self._call("pam_authenticate", SILENT | DISALLOW_NULL_AUTHTOK)

    def account(self) -> int:
        """Whether the user may log in now, here: locks, expiry, times, addresses, as the modules say."""
        return self._call("pam_acct_mgmt", SILENT | DISALLOW_NULL_AUTHTOK)

    def session(self) -> int:
        """Open a session and close it: for modules that make what a session needs (pam_mkhomedir)."""
        code = self._call("pam_open_session", SILENT)
        return self._call("pam_close_session", SILENT) if code == SUCCESS else code

    def user(self) -> str:
        """The user's name, which modules may have changed."""
        import ctypes

        found = ctypes.c_void_p()
        self._library.pam.pam_get_item(self._handle, USER, ctypes.byref(found))
        name = ctypes.cast(found, ctypes.c_char_p).value or b""
        return name.decode("utf-8", "surrogateescape")

    def words(self, code: int) -> str:
        """What libpam says of a code."""
        text: bytes = self._library.pam.pam_strerror(self._handle, code) or b"unknown error"
        return text.decode("utf-8", "replace")

    def _call(self, name: str, flags: int) -> int:
        code: int = getattr(self._library.pam, name)(self._handle, flags)
        self._status = code
        return code

    def _answer(self, count: int, messages: "Any", responses: "Any", _data: object) -> int:
        """pam_conv(3).  Of an exception here libpam would hear nothing, and go on."""
        try:
            return self._answered(count, messages, responses)
        except Exception:  # noqa: BLE001  # as above
            return CONV_ERR

    def _answered(self, count: int, messages: "Any", responses: "Any") -> int:
        """The array and the answers in it are malloc's; libpam frees them."""
        libc = self._library.libc
        styles = [messages[number].contents.style for number in range(count)]
        if not {PROMPT_ECHO_OFF, ERROR_MSG, TEXT_INFO}.issuperset(styles):
            self.asked_for_more = True
            return CONV_ERR
        import ctypes

        place = libc.calloc(max(count, 1), ctypes.sizeof(self._library.Response))
        if not place:
            return BUF_ERR
        array = ctypes.cast(place, ctypes.POINTER(self._library.Response))
        for number, style in enumerate(styles):
            if style == PROMPT_ECHO_OFF:
                array[number].text = libc.strdup(self._secret)
        responses[0] = place
        return SUCCESS
