"""MIT's libgssapi_krb5 by ctypes: the accepting side of RFC 4752, without a security layer."""

import functools

from qpopper_py.auth.kerberos.child import Declined
from qpopper_py.auth.kerberos.krb5 import is_ours
from qpopper_py.errors import CredentialStoreError, MissingLibrary

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

LIBRARY = "libgssapi_krb5.so.2"
KERBEROS = bytes.fromhex("2a864886f712010202")  # 1.2.840.113554.1.2.2, RFC 4121 section 1
ACCEPT, FOREVER, CONTINUE = 2, 0xFFFFFFFF, 1
FAILURE, NO_CREDENTIALS = 13, 7  # routine errors, RFC 2744 section 3.9.1
NO_ADDRESS = 0  # GSS_C_AF_UNSPEC, RFC 5801 section 5.1


class Library:
    """libgssapi_krb5 with the types that it takes.  Raises MissingLibrary."""

    def __init__(self) -> None:
        import ctypes

        try:
            self.call = ctypes.CDLL(LIBRARY)
        except OSError:
            raise MissingLibrary(
                f"GSSAPI needs {LIBRARY} (MIT's), which is not here: install libgssapi-krb5-2"
            ) from None

        class Buffer(ctypes.Structure):
            _fields_ = [("length", ctypes.c_size_t), ("value", ctypes.c_void_p)]

        class Oid(ctypes.Structure):
            _fields_ = [("length", ctypes.c_uint32), ("elements", ctypes.c_void_p)]

        class OidSet(ctypes.Structure):
            _fields_ = [("count", ctypes.c_size_t), ("elements", ctypes.POINTER(Oid))]

        class Bindings(ctypes.Structure):
            _fields_ = [
                ("initiator_type", ctypes.c_uint32),
                ("initiator", Buffer),
                ("acceptor_type", ctypes.c_uint32),
                ("acceptor", Buffer),
                ("application", Buffer),
            ]

        self.Buffer, self.Oid, self.OidSet, self.Bindings = Buffer, Oid, OidSet, Bindings


@functools.cache
def library() -> Library:
    """libgssapi_krb5, loaded once.  Raises MissingLibrary."""
    return Library()


class Acceptor:
    """One security context.  ``keys``: the name of a krb5_keytab; ``binding``: of the TLS layer (RFC 5929), or empty.

    A client that binds to another TLS layer is refused, for somebody sits in between; one that binds to none passes,
    as RFC 4752 has it (MIT 1.19 and later).
    """

    def __init__(self, keys: str, binding: bytes) -> None:
        import ctypes

        self._c = ctypes
        self._library = library()
        self._context, self._credential, self.source = ctypes.c_void_p(), ctypes.c_void_p(), ctypes.c_void_p()
        self._bindings = self._bound(binding)
        self._register(keys)

    def accept(self, token: bytes) -> "tuple[bool, bytes]":
        """(whether the context is established, the token for the client).  Raises Declined, CredentialStoreError."""
        c = self._c
        mechanism, out = c.POINTER(self._library.Oid)(), self._library.Buffer()
        major = self._said(
            "gss_accept_sec_context",
            c.byref(self._context),
            self._credential,
            c.byref(self._buffer(token)),
            self._bindings and c.byref(self._bindings),
            c.byref(self.source),
            c.byref(mechanism),
            c.byref(out),
            None,
            None,
            None,
        )
        if not major & CONTINUE:
            oid = mechanism.contents
            if c.string_at(oid.elements, oid.length) != KERBEROS:
                raise Declined("another mechanism than Kerberos V5")
        return not major & CONTINUE, self._taken(out)

    def client(self) -> bytes:
        """The principal, as libkrb5 writes it."""
        out = self._library.Buffer()
        self._said("gss_display_name", self.source, self._c.byref(out), None)
        return self._taken(out)

    def wrap(self, data: bytes) -> bytes:
        """For the client's eyes to believe: with a checksum, not encrypted (RFC 4752 section 3.2)."""
        out = self._library.Buffer()
        plain = self._c.byref(self._buffer(data))
        self._said("gss_wrap", self._context, 0, 0, plain, None, self._c.byref(out))
        return self._taken(out)

    def unwrap(self, data: bytes) -> bytes:
        """Raises Declined."""
        out = self._library.Buffer()
        wrapped = self._c.byref(self._buffer(data))
        self._said("gss_unwrap", self._context, wrapped, self._c.byref(out), None, None)
        return self._taken(out)

    def _register(self, keys: str) -> None:
        """Take the keys for our own.  No name is asked for, so any of them will do, and there are no others."""
        c = self._c
        self._library.call.krb5_gss_register_acceptor_identity(keys.encode())
        elements = c.create_string_buffer(KERBEROS)
        oid = self._library.Oid(len(KERBEROS), c.addressof(elements))
        wanted = self._library.OidSet(1, c.pointer(oid))
        self._said(
            "gss_acquire_cred",
            None,
            c.c_uint32(FOREVER),
            c.byref(wanted),
            ACCEPT,
            c.byref(self._credential),
            None,
            None,
        )

    def _said(self, name: str, *arguments: object) -> int:
        """The major status of a call.  Raises Declined, or CredentialStoreError where the cause is on our side."""
        minor = self._c.c_uint32()
        major: int = getattr(self._library.call, name)(self._c.byref(minor), *arguments) & 0xFFFFFFFF
        routine = major >> 16 & 0xFF
        if not major >> 16:
            return major
        code = self._c.c_int32(minor.value).value
        words = self._words(minor.value, 2) if routine == FAILURE else self._words(major, 1)
        if routine == NO_CREDENTIALS or (routine == FAILURE and is_ours(code)):
            raise CredentialStoreError(f"a ticket could not be checked: {words}")
        raise Declined(words)

    def _words(self, status: int, kind: int) -> str:
        """What the library says of a status; ``kind``: 1 its own, 2 Kerberos'."""
        c = self._c
        minor, more, out = c.c_uint32(), c.c_uint32(), self._library.Buffer()
        mechanism = self._library.Oid(len(KERBEROS), c.addressof(kept := c.create_string_buffer(KERBEROS)))
        self._library.call.gss_display_status(
            c.byref(minor), c.c_uint32(status), kind, c.byref(mechanism), c.byref(more), c.byref(out)
        )
        del kept
        return self._taken(out).decode("utf-8", "replace")

    def _bound(self, binding: bytes) -> "Any":
        if not binding:
            return None
        buffer, nobody = self._buffer(binding), self._library.Buffer()
        bindings = self._library.Bindings(NO_ADDRESS, nobody, NO_ADDRESS, nobody, buffer)
        self._kept = buffer
        return bindings

    def _buffer(self, octets: bytes) -> "Any":
        """gss_buffer_desc; it holds on to the octets."""
        made = self._library.Buffer(length=len(octets))
        made.kept = self._c.create_string_buffer(octets, max(len(octets), 1))
        made.value = self._c.addressof(made.kept)
        return made

    def _taken(self, buffer: "Any") -> bytes:
        """The octets of a buffer of the library's, which is given back."""
        octets: bytes = self._c.string_at(buffer.value, buffer.length) if buffer.length else b""
        minor = self._c.c_uint32()
        self._library.call.gss_release_buffer(self._c.byref(minor), self._c.byref(buffer))
        return octets
