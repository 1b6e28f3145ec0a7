"""The system's crypt(3) by ctypes: every hash that this host's shadow file may hold (crypt(5)).

``crypt_rn`` (libxcrypt, OpenBSD-style) where it is, else ``crypt_r`` (glibc before libxcrypt, musl).  Octets in,
octets out: the ``crypt`` module is gone in Python 3.13 and took only UTF-8.  Calls release the interpreter's lock.
"""

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

# find_library() would run a compiler and cost 10 ms.  None: the program itself, for a C library with crypt inside.
LIBRARIES = ("libcrypt.so.1", "libcrypt.so.2", "libcrypt.so", None)
# Octets of working space: sizeof(struct crypt_data) of libxcrypt; more than glibc's own.
FUNCTIONS = (("crypt_rn", 32768), ("crypt_r", 262144))


class LibCrypt:
    """crypt(3) of a loaded library."""

    def __init__(self, hash_: "Callable[[bytes, bytes], bytes | None]", knows: "Callable[[bytes], bool]") -> None:
        self._hash = hash_
        self._knows = knows

    def hash(self, secret: bytes, setting: bytes) -> bytes | None:
        """The hash of ``secret`` by the method and salt of ``setting``; None: it cannot.

        Neither may hold a NUL: C would end there, and ``pw NUL anything`` pass for ``pw``.
        """
        assert b"\0" not in secret and b"\0" not in setting  # noqa: PT018  # crypt.verify() refused them
        answer = self._hash(secret, setting)
        return None if answer is None or answer.startswith(b"*") else answer  # crypt_r says "*0" for NULL

    def knows(self, prefix: bytes) -> bool:
        """Whether it has the method of this prefix (``$y$``)."""
        return self._knows(prefix)


_found: "list[LibCrypt | None]" = []


def system() -> LibCrypt | None:
    """This host's crypt(3), loaded once; None: there is none to be found."""
    if not _found:
        _found.append(load(LIBRARIES))
    return _found[0]


def load(names: "tuple[str | None, ...]") -> LibCrypt | None:
    """The first of these libraries that is here and has one of the functions."""
    import ctypes

    for name in names:
        try:
            library = ctypes.CDLL(name)
        except OSError:
            continue
        for symbol, size in FUNCTIONS:
            if hasattr(library, symbol):
                return _bind(library, symbol, size)
    return None


def _bind(library: object, symbol: str, size: int) -> LibCrypt:
    import ctypes

    call = getattr(library, symbol)
    call.argtypes = [ctypes.c_char_p, ctypes.c_char_p, ctypes.c_void_p]
    call.restype = ctypes.c_char_p
    if symbol == "crypt_rn":
        call.argtypes += [ctypes.c_int]
    more = (size,) if symbol == "crypt_rn" else ()
    gensalt = getattr(library, "crypt_gensalt_rn", None)
    if gensalt is not None:
        gensalt.argtypes = [
            ctypes.c_char_p,
            ctypes.c_ulong,
            ctypes.c_char_p,
            ctypes.c_int,
            ctypes.c_char_p,
            ctypes.c_int,
        ]
        gensalt.restype = ctypes.c_char_p

    def hash_(secret: bytes, setting: bytes) -> bytes | None:
        space = ctypes.create_string_buffer(size)  # zeroed, as crypt_r asks for
        answer: bytes | None = call(secret, setting, space, *more)
        return answer

    def knows(prefix: bytes) -> bool:
        if gensalt is None:  # it cannot be asked; what it cannot hash is then tried elsewhere
            return False
        salt = ctypes.create_string_buffer(192)  # CRYPT_GENSALT_OUTPUT_SIZE
        return gensalt(prefix, 0, bytes(64), 64, salt, len(salt)) is not None

    return LibCrypt(hash_, knows)
