"""Whether the greeting has an APOP stamp, which the head of the mailauth database tells.

On the path to the greeting, which the rest of the database is not.
"""

from qpopper_py.errors import CredentialStoreError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from qpopper_py.events import Event
    from qpopper_py.settings import Settings


FORMAT = 1
APPLICATION_ID = 0x71704D61  # "qpMa"
MAGIC = b"SQLite format 3\0"


def wanted(settings: "Settings", emit: "Callable[[Event], None]", mode: str = "") -> bool:
    """By ``mode``, else apop.stamp: ``auto`` reads 100 octets of the database: only entries can answer to a stamp."""
    mode = mode or settings.apop_stamp
    if mode != "auto":
        return mode == "always"
    if "sasldb" in settings.auth_sources and exists(settings.sasldb_file):
        return True
    if "mailauth" not in settings.auth_sources or not settings.mailauth_database:
        return False
    try:
        return has_apop_entries(settings.mailauth_database)
    except CredentialStoreError as why:
        from qpopper_py.events import Trouble

        emit(Trouble(None, str(why)))
        return False


def exists(path: str) -> bool:
    """Whether there is such a database, under the names that libraries give it.  Every secret in it answers to APOP."""
    import os

    return any(os.path.exists(path + suffix) for suffix in ("", ".db", ".pag"))


def header(path: str) -> "tuple[int, bool] | None":
    """(format, whether there are APOP entries) from the file's first 100 octets; None if there is no file.

    CredentialStoreError: it cannot be read, is not a mailauth database, or one of a newer format.
    """
    try:
        with open(path, "rb") as file:
            head = file.read(100)
    except FileNotFoundError:
        return None
    except OSError as why:
        raise CredentialStoreError(f"{path} cannot be read: {why.strerror}") from None
    if len(head) < 100 or head[:16] != MAGIC or int.from_bytes(head[68:72], "big") != APPLICATION_ID:
        raise CredentialStoreError(f"{path} is not a mailauth database; an old one is taken over by mailauth convert")
    version = int.from_bytes(head[60:64], "big")
    if not 1 <= version >> 1 <= FORMAT:
        raise CredentialStoreError(
            f"{path} has format {version >> 1}; this version reads formats up to {FORMAT}: use the newer program"
        )
    return version >> 1, bool(version & 1)


def has_apop_entries(path: str) -> bool:
    """Whether the database holds APOP entries: one small read.  CredentialStoreError as :func:`header`."""
    found = header(path)
    return found is not None and found[1]
