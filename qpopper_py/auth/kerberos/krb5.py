"""MIT's libkrb5 by ctypes: as little of it as a service needs."""

import functools

from qpopper_py.auth.kerberos.child import Declined
from qpopper_py.errors import CredentialStoreError, MissingLibrary

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

LIBRARY = "libkrb5.so.3"  # MIT's; Heimdal's has another name and other structures
TABLE = -1765328384  # ERROR_TABLE_BASE_krb5; to it are added the codes of RFC 4120 section 7.5.9
PRINCIPAL_UNKNOWN, PREAUTH_FAILED, BAD_INTEGRITY = TABLE + 6, TABLE + 24, TABLE + 31
# The KDC's last word whatever the password: NAME_EXP, POLICY, CLIENT_REVOKED, CLIENT_NOTYET, KEY_EXP
LOCKED = frozenset(TABLE + code for code in (1, 12, 18, 21, 23))
REPLAY_CACHE = frozenset(range(TABLE + 159, TABLE + 173)) - {TABLE + 163}  # KRB5_RC_*, less KRB5_RC_REPLAY
ERRNO = 4096  # codes below are the system's
WRONG = "wrong password"
LIFE = 300  # seconds that the ticket is for that shows the password right
MUTUAL = 0x20000000  # AP_OPTS_MUTUAL_REQUIRED
NAME_MOST = 1024  # octets of a local name
GENERIC = 60  # KRB_ERR_GENERIC, RFC 4120 section 7.5.9


def is_ours(code: int) -> bool:
    """Whether an error is of this host's files, not of what the client sent."""
    return 0 < code < ERRNO or code in REPLAY_CACHE


class Library:
    """libkrb5 with the types that it takes.  Raises MissingLibrary."""

    def __init__(self) -> None:
        import ctypes

        try:
            self.call = ctypes.CDLL(LIBRARY)
        except OSError:
            raise MissingLibrary(
                f"Kerberos needs {LIBRARY} (MIT's), which is not here: install libkrb5-3, or take kerberos out of"
                " auth.sources"
            ) from None
        self.call.krb5_get_error_message.restype = ctypes.c_void_p

        class Data(ctypes.Structure):
            _fields_ = [("magic", ctypes.c_int32), ("length", ctypes.c_uint), ("data", ctypes.c_void_p)]

        class Entry(ctypes.Structure):  # krb5_keytab_entry; the key is not looked into
            _fields_ = [("magic", ctypes.c_int32), ("principal", ctypes.c_void_p), ("rest", ctypes.c_byte * 64)]

        class Authenticator(ctypes.Structure):  # its beginning
            _fields_ = [("magic", ctypes.c_int32), ("client", ctypes.c_void_p)]

        class Error(ctypes.Structure):
            _fields_ = [
                *((name, ctypes.c_int32) for name in ("magic", "ctime", "cusec", "susec", "stime", "error")),
                *((name, ctypes.c_void_p) for name in ("client", "server")),
                *((name, Data) for name in ("text", "e_data")),
            ]

        self.Data, self.Entry, self.Authenticator, self.Error = Data, Entry, Authenticator, Error


@functools.cache
def library() -> Library:
    """libkrb5, loaded once.  Raises MissingLibrary."""
    return Library()


class Krb5:
    """A context, for the life of the process.  ``realm``: empty, krb5.conf's own."""

    def __init__(self, realm: str) -> None:
        import ctypes

        self._c = ctypes
        self._library = library()
        self._call = self._library.call
        self._context = ctypes.c_void_p()
        if code := self._call.krb5_init_context(ctypes.byref(self._context)):
            raise CredentialStoreError(f"libkrb5 cannot begin (error {code}): can krb5.conf be read?")
        if realm:
            self.must("krb5_set_default_realm", realm.encode())

    def words(self, code: int) -> str:
        """What libkrb5 says of a code."""
        place = self._call.krb5_get_error_message(self._context, self._c.c_int32(code))
        text = self._c.string_at(place).decode("utf-8", "replace")
        self._call.krb5_free_error_message(self._context, self._c.c_void_p(place))
        return text

    def code(self, name: str, *arguments: object) -> int:
        """The error code of a call; 0: none."""
        result: int = getattr(self._call, name)(self._context, *arguments)
        return result

    def must(self, name: str, *arguments: object) -> None:
        """Raises CredentialStoreError unless the call succeeds."""
        if code := self.code(name, *arguments):
            raise CredentialStoreError(f"{name}: {self.words(code)}")

    def pointer(self, name: str, *arguments: object) -> "Any":
        """What a call puts where its last argument points to."""
        made = self._c.c_void_p()
        self.must(name, *arguments, self._c.byref(made))
        return made

    def principal(self, user: str) -> "Any":
        """The principal of one part whose name is ``user``, every character of it, in the default realm."""
        quoted = "".join("\\" + c if c in "\\/@" else c for c in user)
        return self.pointer("krb5_parse_name", quoted.encode("utf-8"))

    def name(self, principal: "Any") -> bytes:
        """NAME@REALM, with its quotes."""
        text = self.pointer("krb5_unparse_name", principal)
        name: bytes = self._c.string_at(text)
        self._call.krb5_free_unparsed_name(self._context, text)
        return name

    def local_name(self, principal: "Any") -> bytes:
        """The local user's name by krb5.conf's auth_to_local; empty: there is none."""
        space = self._c.create_string_buffer(NAME_MOST)
        if self.code("krb5_aname_to_localname", principal, NAME_MOST - 1, space):
            return b""
        return space.value

    def may_be(self, principal: "Any", user: bytes) -> bool:
        """krb5_kuserok: whether the principal may be that user, by the user's .k5login; without one, by local name.

        For a process that is the user: the file is read with the rights that this one has.
        """
        return bool(self.code("krb5_kuserok", principal, user))

    def parsed(self, name: bytes) -> "Any":
        """The principal of this name with its quotes.  Raises Declined."""
        made = self._c.c_void_p()
        if code := self.code("krb5_parse_name", name, self._c.byref(made)):
            raise Declined(f"its name is none: {self.words(code)}")
        return made

    def keys(self, path: str, service: str, where: str) -> "Keys":
        """The keys of SERVICE/anything in the file ``path``, in memory; ``where``: a name for that place.

        Raises CredentialStoreError: it cannot be read, or has none.
        """
        c = self._c
        file = self.pointer("krb5_kt_resolve", f"FILE:{path}".encode())
        memory = self.pointer("krb5_kt_resolve", where.encode())
        cursor, entry, first = c.c_void_p(), self._library.Entry(), b""
        if code := self.code("krb5_kt_start_seq_get", file, c.byref(cursor)):
            raise CredentialStoreError(f"kerberos.keytab: {path}: {self.words(code)}")
        while not self.code("krb5_kt_next_entry", file, c.byref(entry), c.byref(cursor)):
            name = self.name(c.c_void_p(entry.principal))
            if name.startswith(service.encode() + b"/"):
                self.must("krb5_kt_add_entry", memory, c.byref(entry))
                first = first or name
            self.code("krb5_free_keytab_entry_contents", c.byref(entry))
        self.code("krb5_kt_end_seq_get", file, c.byref(cursor))
        self.code("krb5_kt_close", file)
        if not first:
            raise CredentialStoreError(
                f"kerberos.keytab: {path} holds no key of {service}/HOST (kerberos.service);"
                f" run: kadmin -q 'ktadd -k {path} {service}/HOST'"
            )
        return Keys(memory, self.parsed(first))

    def password(self, principal: "Any", secret: bytes, keys: "Keys") -> bool:
        """Whether the KDC knows the principal; returns if the password is its.

        The KDC must show by a ticket to ourselves that it knows our key, or anybody who answers in its place could
        let anybody in.  Raises Declined (a wrong password, a locked principal) or CredentialStoreError.
        """
        c = self._c
        creds, options = c.create_string_buffer(512), self.pointer("krb5_get_init_creds_opt_alloc")
        self._call.krb5_get_init_creds_opt_set_tkt_life(options, LIFE)
        for flag in ("forwardable", "proxiable"):
            getattr(self._call, f"krb5_get_init_creds_opt_set_{flag}")(options, 0)
        code = self.code(
            "krb5_get_init_creds_password", creds, principal, secret, None, None, c.c_int32(0), None, options
        )
        if code == PRINCIPAL_UNKNOWN:
            return False
        if code in (PREAUTH_FAILED, BAD_INTEGRITY):
            raise Declined(WRONG)
        if code in LOCKED:
            raise Declined(f"the KDC says: {self.words(code)}")
        if code:
            raise CredentialStoreError(f"the password could not be checked: {self.words(code)}")
        strict = (c.c_int32 * 2)()
        self._call.krb5_verify_init_creds_opt_init(strict)
        self._call.krb5_verify_init_creds_opt_set_ap_req_nofail(strict, 1)
        if code := self.code("krb5_verify_init_creds", creds, keys.server, keys.table, None, strict):
            server = self.name(keys.server).decode("utf-8", "replace")
            raise CredentialStoreError(
                f"the KDC cannot show that it is one, by a ticket for {server}: {self.words(code)};"
                " if kerberos.keytab is not out of date, somebody answers in its place"
            )
        return True

    def request(self, data: bytes, keys: "Keys") -> "tuple[Any, bytes | None]":
        """Whom an AP-REQ (RFC 4120 section 5.5.1) proves, and the AP-REP if the client wants one.

        Raises Declined with the error code behind the words, or CredentialStoreError.
        """
        c = self._c
        conversation, options, found = c.c_void_p(), c.c_int32(), c.c_void_p()
        code = self.code(
            "krb5_rd_req", c.byref(conversation), c.byref(self._data(data)), None, keys.table, c.byref(options), None
        )
        if is_ours(code):
            raise CredentialStoreError(f"a ticket could not be checked: {self.words(code)}")
        if code:
            raise Declined(self.words(code), code)
        self.must("krb5_auth_con_getauthenticator", conversation, c.byref(found))
        client = c.c_void_p(c.cast(found, c.POINTER(self._library.Authenticator)).contents.client)
        if not options.value & MUTUAL:
            return client, None
        reply = self._library.Data()
        self.must("krb5_mk_rep", conversation, c.byref(reply))
        return client, c.string_at(reply.data, reply.length)

    def error(self, code: int, keys: "Keys") -> bytes:
        """KRB-ERROR (RFC 4120 section 5.9.1) as krb5_recvauth makes it."""
        c = self._c
        number = code - TABLE
        text = self.words(code).encode("utf-8", "replace") + b"\0"
        said = self._library.Error(error=number if 0 <= number < 128 else GENERIC, server=keys.server.value)
        said.text = kept = self._data(text)
        now, micro, out = c.c_int32(), c.c_int32(), self._library.Data()
        self.must("krb5_us_timeofday", c.byref(now), c.byref(micro))
        said.stime, said.susec = now.value, micro.value
        self.must("krb5_mk_error", c.byref(said), c.byref(out))
        del kept  # until here libkrb5 read it
        made: bytes = c.string_at(out.data, out.length)
        return made

    def _data(self, octets: bytes) -> "Any":
        """krb5_data; it holds on to the octets."""
        made = self._library.Data(length=len(octets))
        made.kept = self._c.create_string_buffer(octets, max(len(octets), 1))
        made.data = self._c.addressof(made.kept)
        return made


class Keys:
    """``table``: a krb5_keytab in memory.  ``server``: the first principal in it."""

    __slots__ = ("server", "table")

    def __init__(self, table: "Any", server: "Any") -> None:
        self.table = table
        self.server = server
