"""The shadow entry of a user, through NSS: getspnam_r(3) by ctypes, because ``spwd`` is gone in Python 3.13."""

import os

from qpopper_py.errors import CredentialStoreError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

NOT_FOUND = (0, 2, 3)  # also ENOENT and ESRCH: what NSS modules say for "no such entry" (getspnam(3))
LARGEST = 1 << 20  # octets of an entry


class Shadow:
    """The fields of shadow(5) that decide; days since 1970; -1: not set.  The repr hides the hash."""

    __slots__ = ("changed", "expires", "longest", "stored")

    def __init__(self, stored: bytes, changed: int, longest: int, expires: int) -> None:
        self.stored = stored
        self.changed = changed  # sp_lstchg; 0: the password must be changed at the next login
        self.longest = longest  # sp_max
        self.expires = expires  # sp_expire


def entry(user: str) -> Shadow | None:
    """The entry, or None: NSS has none, or shows it only to root (:func:`readable`).

    Raises CredentialStoreError if NSS failed for a reason other than our rights.
    """
    import ctypes
    import errno

    getspnam_r = getattr(ctypes.CDLL(None), "getspnam_r", None)
    if getspnam_r is None:  # BSD: root finds the hash in the passwd entry
        return None
    found = _structure()()
    pointer = ctypes.c_void_p()  # NULL: no such entry, whatever else was filled in
    size = 1024
    while True:
        space = ctypes.create_string_buffer(size)
        code = getspnam_r(os.fsencode(user), ctypes.byref(found), space, ctypes.c_size_t(size), ctypes.byref(pointer))
        if code != errno.ERANGE or size >= LARGEST:
            break
        size *= 4
    if code not in (*NOT_FOUND, errno.EACCES, errno.EPERM):
        raise CredentialStoreError(
            f"a shadow entry could not be read: {os.strerror(code)};"  # unnamed: what was given may be a password
            " the shadow line of /etc/nsswitch.conf says who was asked"
        )
    if not pointer.value:
        return None
    return Shadow(found.sp_pwdp or b"", found.sp_lstchg, found.sp_max, found.sp_expire)


def a_hash() -> bytes:
    """Somebody's hash, as an example of this host's; empty if there is none to be seen."""
    try:
        with open("/etc/shadow", "rb") as file:
            fields = (line.split(b":")[1:2] for line in file)
            return next((field for (field,) in filter(None, fields) if field.startswith(b"$")), b"")
    except OSError:
        return b""


def readable() -> bool:
    """Whether this process may see shadow entries: root, or who may read the file (group shadow)."""
    return os.geteuid() == 0 or os.access("/etc/shadow", os.R_OK, effective_ids=True)


def _structure() -> "type[Any]":
    """struct spwd of <shadow.h>."""
    import ctypes

    days = ("sp_lstchg", "sp_min", "sp_max", "sp_warn", "sp_inact", "sp_expire")

    class Spwd(ctypes.Structure):
        _fields_ = [
            ("sp_namp", ctypes.c_char_p),
            ("sp_pwdp", ctypes.c_char_p),
            *((name, ctypes.c_long) for name in days),
            ("sp_flag", ctypes.c_ulong),
        ]

    return Spwd
