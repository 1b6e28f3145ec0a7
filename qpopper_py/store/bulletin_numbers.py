"""Which bulletins a user has, by the files of old servers, which are read and never written.

``bulletins.database`` is Qpopper's bulldb, whose key is the name and a NUL and whose value is a C long, or GNU
mailutils' bulletin-db: the name, decimal digits; or, where it is a folder, USER.popbull in it, as a Qpopper of
--enable-popbulldir has it.  ``.popbull`` in the home is both servers', and like that file a line of digits.
"""

import os

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from qpopper_py.settings import Settings


class Reader:
    """Who reads: ``user``, whose ``home`` may hold the old server's number; ``address`` goes into To."""

    def __init__(self, user: str, home: str, address: str) -> None:
        self.user = user
        self.home = home
        self.address = address


def known_before(reader: Reader, settings: "Settings", report: "Callable[[str], None]") -> "int | None":
    """The number that the old server has of this user; None if it has none that we may read."""
    database = settings.bulletins_database
    number = None
    if database:
        if os.path.isdir(database):
            number = _in_file(f"{database}/{reader.user}.popbull")
        else:
            number = _in_database(database, reader.user, report)
    if number is None and reader.home.startswith("/"):
        number = _in_file(f"{reader.home}/.popbull")
    return number


def _in_file(path: str) -> "int | None":
    """The number that a .popbull tells; None if it tells none that we may read."""
    try:
        fd = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
        try:
            words = os.read(fd, 128).split()
        finally:
            os.close(fd)
    except OSError:
        return None
    return int(words[0]) if words and words[0].isdigit() else None


def _in_database(path: str, user: str, report: "Callable[[str], None]") -> "int | None":
    """The number that database ``path`` has of ``user``; None if there is none, or it cannot be read."""
    from qpopper_py.legacy_dbm import NotReadable, sniff

    try:
        _, pairs = sniff.read(sniff.find(path))
    except NotReadable as why:
        report(f"{str(why).partition(chr(10))[0]}; going on without that database of bulletins")
        return None
    except OSError as why:
        report(f"{path}: {why.strerror}; going on without that database of bulletins")
        return None
    name = user.encode()
    for key, value in pairs:
        if key in (name, name + b"\0"):
            digits = value.rstrip(b"\0")
            return int(digits) if digits.isdigit() else number_in(value)
    return None


def number_in(value: bytes) -> "int | None":
    """A C long of four or eight octets; the byte order is the one that makes the smaller number."""
    if len(value) not in (4, 8):
        return None
    return min(int.from_bytes(value, "little"), int.from_bytes(value, "big"))
