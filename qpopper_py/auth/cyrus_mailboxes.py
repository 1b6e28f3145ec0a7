"""Where Cyrus 3.6 and later keep a mailbox: below ``uuid``, by the id that mailboxes.db has for its name."""

from qpopper_py.errors import CredentialStoreError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from qpopper_py.settings import Settings

LARGEST = 256 << 20  # octets of mailboxes.db


def place_of(user: str, folder: str, settings: "Settings") -> str:
    """The path of the mailbox, or empty; ``folder`` as :func:`~.names.folder_of` spells it.

    A database of another form than twoskip has no such mailboxes.  Raises CredentialStoreError.
    """
    from qpopper_py.legacy_dbm import NotReadable, twoskip

    path = settings.accounts_mailboxes_db
    try:
        with open(path, "rb") as file:
            if not twoskip.is_twoskip(file.read(64)):
                return ""
            file.seek(0)
            rows = twoskip.read(file.read(LARGEST))
    except FileNotFoundError:
        return ""
    except (OSError, NotReadable) as why:
        raise CredentialStoreError(f"{path} cannot be read: {why}") from None
    keys = keys_of(user, folder)
    ids = [id_of(value) for key, value in rows if key in keys]
    root = settings.accounts_maildrop.removeprefix("cyrus:").rpartition("/%")[0].replace("%%", "%")
    return f"cyrus:{root}/uuid/{ids[0][0]}/{ids[0][1]}/{ids[0]}" if ids and ids[0] else ""


def keys_of(user: str, folder: str) -> "frozenset[bytes]":
    """The keys under which mailboxes.db may have the mailbox (imap/mboxname.c: a dot in a name as it is, or as ^)."""
    local, _, domain = user.partition("@")
    before = f"{domain}\x1d" if domain else ""
    levels = "".join(f"\x1f{level}" for level in folder.split(".") if level)
    users, boxes = (local, local.replace(".", "^")), (levels, levels.replace("^", "."))
    return frozenset(f"N{before}user\x1f{name}{rest}".encode() for name in users for rest in boxes)


def id_of(value: bytes) -> str:
    """The unique id in a record of mailboxes.db, ``%(P default I 0a1b... V 1280000000 ...)``; or empty."""
    words = value.decode("ascii", "replace").removeprefix("%(").split(" ")
    found = words[words.index("I") + 1].rstrip(")") if "I" in words[:-1] else ""
    return found if len(found) > 1 and all(c.isascii() and (c.isalnum() or c in "-_") for c in found) else ""
