"""The client's half of Kerberos by ctypes on MIT's libraries: what real clients do, and what none of them would."""

from __future__ import annotations

import ctypes
import os
import socket
import time
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

KERBEROS = bytes.fromhex("2a864886f712010202")  # RFC 4121
HOSTBASED = bytes.fromhex("2a864886f71201020104")  # GSS_C_NT_HOSTBASED_SERVICE, RFC 2744
MUTUAL, REPLAY, SEQUENCE, INTEGRITY = 2, 4, 8, 32  # RFC 2744 section 5.19
MUTUAL_REQUIRED = 0x20000000  # AP_OPTS_MUTUAL_REQUIRED


class Buffer(ctypes.Structure):
    _fields_ = (("length", ctypes.c_size_t), ("value", ctypes.c_void_p))

    @classmethod
    def of(cls, octets: bytes) -> Buffer:
        made = cls(len(octets))
        made.kept = ctypes.create_string_buffer(octets, max(len(octets), 1))  # type: ignore[attr-defined]
        made.value = ctypes.addressof(made.kept)  # type: ignore[attr-defined]
        return made

    @property
    def octets(self) -> bytes:
        return ctypes.string_at(self.value, self.length) if self.length else b""


class Bindings(ctypes.Structure):
    _fields_ = (
        ("initiator_type", ctypes.c_uint32),
        ("initiator", Buffer),
        ("acceptor_type", ctypes.c_uint32),
        ("acceptor", Buffer),
        ("application", Buffer),
    )


class Initiator:
    """RFC 4752 section 3.1.  ``cache``: of credentials, its name; ``flags``: 0, no AP-REP is asked for."""

    def __init__(self, cache: str, host: str, service: str = "pop", flags: int = MUTUAL, binding: bytes = b"") -> None:
        self.library = ctypes.CDLL("libgssapi_krb5.so.2")
        self.cache, self.flags = cache, flags
        self.context, self.name = ctypes.c_void_p(), ctypes.c_void_p()
        self.oid = Buffer32.of(KERBEROS)
        self.binding = Buffer.of(binding)
        # RFC 5801 section 5.1: the addresses are empty and of type 0
        self.bindings = Bindings(0, Buffer(), 0, Buffer(), self.binding) if binding else None
        self.call(
            "gss_import_name",
            ctypes.byref(Buffer.of(f"{service}@{host}".encode())),
            ctypes.byref(Buffer32.of(HOSTBASED)),
            ctypes.byref(self.name),
        )

    def call(self, name: str, *arguments: object) -> int:
        minor = ctypes.c_uint32()
        major = getattr(self.library, name)(ctypes.byref(minor), *arguments) & 0xFFFFFFFF
        assert major >> 16 == 0, f"{name}: {major:x} {ctypes.c_int32(minor.value).value}"
        return major

    def step(self, token: bytes = b"") -> bytes:
        """The next token for the server."""
        out = Buffer()
        os.environ["KRB5CCNAME"] = self.cache
        try:
            self.call(
                "gss_init_sec_context",
                None,
                ctypes.byref(self.context),
                self.name,
                ctypes.byref(self.oid),
                self.flags | REPLAY | SEQUENCE | INTEGRITY,
                0,
                self.bindings and ctypes.byref(self.bindings),
                ctypes.byref(Buffer.of(token)) if token else None,
                None,
                ctypes.byref(out),
                None,
                None,
            )
        finally:
            del os.environ["KRB5CCNAME"]
        return out.octets

    def unwrap(self, data: bytes) -> bytes:
        out = Buffer()
        self.call("gss_unwrap", self.context, ctypes.byref(Buffer.of(data)), ctypes.byref(out), None, None)
        return out.octets

    def wrap(self, data: bytes) -> bytes:
        out = Buffer()
        self.call("gss_wrap", self.context, 0, 0, ctypes.byref(Buffer.of(data)), None, ctypes.byref(out))
        return out.octets


class Buffer32(ctypes.Structure):
    """gss_OID_desc."""

    _fields_ = (("length", ctypes.c_uint32), ("value", ctypes.c_void_p))

    of = classmethod(Buffer.of.__func__)  # type: ignore[attr-defined]


def sendauth(
    sock: socket.socket, cache: str, service: str, host: str, version: bytes = b"KPOPV1.0", ahead: int = 0
) -> str:
    """krb5_sendauth(3), mutual, on a connected socket; empty, or what libkrb5 says went wrong.

    ``ahead``: seconds that the client's clock is ahead, once it has its tickets.
    """
    library = ctypes.CDLL("libkrb5.so.3")
    library.krb5_get_error_message.restype = ctypes.c_char_p
    context, store = ctypes.c_void_p(), ctypes.c_void_p()
    client, server, conversation = ctypes.c_void_p(), ctypes.c_void_p(), ctypes.c_void_p()
    sock.settimeout(None)  # libkrb5 reads it
    steps: Sequence[tuple[str, tuple[object, ...]]] = (
        ("krb5_cc_resolve", (cache.encode(), ctypes.byref(store))),
        ("krb5_cc_get_principal", (store, ctypes.byref(client))),
        ("krb5_sname_to_principal", (host.encode(), service.encode(), 3, ctypes.byref(server))),
        (
            "krb5_sendauth",
            (
                ctypes.byref(conversation),
                ctypes.byref(ctypes.c_int(sock.fileno())),
                version,
                client,
                server,
                MUTUAL_REQUIRED,
                None,
                None,
                store,
                None,
                ctypes.byref(ctypes.c_void_p()),
                None,
            ),
        ),
    )
    assert library.krb5_init_context(ctypes.byref(context)) == 0
    try:
        if ahead:
            library.krb5_set_real_time(context, ctypes.c_int32(int(time.time()) + ahead), 0)
        for name, arguments in steps:
            if code := getattr(library, name)(context, *arguments):
                return f"{name}: {library.krb5_get_error_message(context, ctypes.c_int32(code)).decode()}"
    finally:
        library.krb5_free_context(context)
    return ""
