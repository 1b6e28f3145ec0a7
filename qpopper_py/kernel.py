"""What is done to every octet of a message: by the C kernel where that was built, else in Python, the same.

The kernel (``_kernel.c``) is optional: without a compiler, or with another machine's build, mail is served as well,
and a large mailbox takes four times as long to open for the first time.
"""

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from types import ModuleType


def plain_to_crlf(data: bytes) -> bytes:
    """LF not preceded by CR becomes CR LF."""
    if b"\r" in data:
        data = data.replace(b"\r\n", b"\n")
    return data.replace(b"\n", b"\r\n")


def plain_stuffed(data: bytes) -> bytes:
    """A dot right behind an LF becomes two (RFC 1939 section 3)."""
    return data.replace(b"\n.", b"\n..") if b"\n." in data else data


native: "ModuleType | None" = None
to_crlf: "Callable[[bytes], bytes]" = plain_to_crlf
stuffed: "Callable[[bytes], bytes]" = plain_stuffed
try:
    from qpopper_py import _kernel
except ImportError:
    pass
else:
    native, to_crlf, stuffed = _kernel, _kernel.to_crlf, _kernel.stuffed
