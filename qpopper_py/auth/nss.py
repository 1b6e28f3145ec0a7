"""A row of NSS's passwd map; a map that cannot be read is told from a user that does not exist."""

import os
import pwd

from qpopper_py.auth.account import Account
from qpopper_py.auth.names import check
from qpopper_py.errors import CredentialStoreError


def row(user: str) -> pwd.struct_passwd | None:
    """The user's row, or None: there is no such user.  Raises CredentialStoreError: NSS could not tell."""
    try:
        return pwd.getpwnam(user)
    except KeyError:  # for every failure; only the C function says which
        code = _failure(user)
    if code:
        raise CredentialStoreError(
            f"an account could not be looked up: {os.strerror(code)};"  # unnamed: what was given may be a password
            " the passwd line of /etc/nsswitch.conf says who was asked"
        )
    return None


def bar(row: pwd.struct_passwd) -> str:
    """Why nobody logs in as this user by POP3; empty: nothing against it."""
    if row.pw_uid == 0:
        return "uid 0"
    try:
        check(row.pw_name)
    except ValueError as why:
        return f"NSS has another name for it, and that: {why}"
    return ""


def account(row: pwd.struct_passwd, source: str) -> Account:
    """``user`` is NSS's spelling: names may be matched in any case there, and one user has one maildrop."""
    return Account(
        user=row.pw_name,
        uid=row.pw_uid,
        gid=row.pw_gid,
        home=row.pw_dir,
        system=True,
        source=source,
        shell=row.pw_shell,
        login=row.pw_name,
    )


def _failure(user: str) -> int:
    """The errno of getpwnam_r(3) if it is one of a look-up that failed; 0: there is no such user.

    Its manual page lists what NSS modules say for "not found"; these are the others.
    """
    import ctypes
    import errno

    failures = ("EINTR", "EIO", "EMFILE", "ENFILE", "ENOMEM", "EAGAIN", "ETIMEDOUT", "ECONNREFUSED")
    getpwnam_r = getattr(ctypes.CDLL(None), "getpwnam_r", None)
    if getpwnam_r is None:
        return 0
    space = ctypes.create_string_buffer(65536)
    found = ctypes.create_string_buffer(1024)  # struct passwd, which is smaller everywhere; not looked at
    pointer = ctypes.c_void_p()
    code = getpwnam_r(os.fsencode(user), found, space, ctypes.c_size_t(len(space)), ctypes.byref(pointer))
    return int(code) if code in [getattr(errno, name) for name in failures] else 0
