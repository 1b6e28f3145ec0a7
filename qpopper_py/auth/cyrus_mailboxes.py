"""Cyrus' mailboxes.db: where 3.6 and later keep a mailbox (below ``uuid``, by an id), and who may do what with it."""

from qpopper_py.errors import CredentialStoreError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from qpopper_py.settings import Settings

LARGEST = 256 << 20  # octets of mailboxes.db


class Mailbox:
    """``id``: below ``uuid``, or empty; ``acl``: (identifier, the rights that it gives, or takes with - before it)."""

    __slots__ = ("acl", "id")

    def __init__(self, unique_id: str, acl: "list[tuple[str, str]]") -> None:
        self.id = unique_id
        self.acl = acl


def look_up(user: str, folder: str, settings: "Settings") -> Mailbox | None:
    """The mailbox, or None: there is none; ``folder`` as :func:`~.names.folder_of` spells it.

    A missing database has none, and one of another form than twoskip neither.  Raises CredentialStoreError.
    """
    from qpopper_py.legacy_dbm import NotReadable, twoskip

    path = settings.accounts_mailboxes_db
    try:
        with open(path, "rb") as file:
            if not twoskip.is_twoskip(file.read(64)):
                return None
            file.seek(0)
            rows = twoskip.read(file.read(LARGEST))
    except FileNotFoundError:
        return None
    except (OSError, NotReadable) as why:
        raise CredentialStoreError(f"{path} cannot be read: {why}") from None
    keys = keys_of(user, folder)
    try:
        return next((record(value) for key, value in rows if key in keys), None)
    except ValueError as why:
        raise CredentialStoreError(f"{path}: the record of {user} is damaged: {why}") from None


def place_of(user: str, folder: str, settings: "Settings") -> str:
    """The path of the mailbox, or empty.  Raises CredentialStoreError."""
    found = look_up(user, folder, settings)
    root = settings.accounts_maildrop.removeprefix("cyrus:").rpartition("/%")[0].replace("%%", "%")
    return f"cyrus:{root}/uuid/{found.id[0]}/{found.id[1]}/{found.id}" if found and found.id else ""


def keys_of(user: str, folder: str) -> "frozenset[bytes]":
    """The keys under which mailboxes.db may have the mailbox (imap/mboxname.c: a dot in a name as it is, or as ^)."""
    local, _, domain = user.partition("@")
    before = f"{domain}\x1d" if domain else ""
    levels = "".join(f"\x1f{level}" for level in folder.split(".") if level)
    users, boxes = (local, local.replace(".", "^")), (levels, levels.replace("^", "."))
    now = [f"N{before}user\x1f{name}{rest}" for name in users for rest in boxes]
    old = f"{domain and domain + '!'}user.{users[1]}{levels.replace(chr(0x1F), '.')}"  # up to 3.0
    return frozenset(key.encode() for key in (*now, old))


def record(value: bytes) -> Mailbox:
    """What a record says: ``%(P default I 0a1b A %(bovik lrs -anyone r))``, a dlist.  Raises ValueError.

    Up to 2.4 it was ``0 default bovik<tab>lrs<tab>-anyone<tab>r<tab>``.
    """
    from qpopper_py.legacy_dbm import dlist

    text = value.decode("utf-8", "replace")
    if not text.startswith("%("):
        words = text.partition(" ")[2].partition(" ")[2].split("\t")
        return Mailbox("", list(zip(words[::2], words[1::2], strict=False)))
    fields = dlist.read(text)
    made = {} if isinstance(fields, str) else dict(fields)
    unique_id, acl = made.get("I", ""), made.get("A", [])
    if not isinstance(unique_id, str) or isinstance(acl, str):
        raise ValueError("its id or its ACL is of another kind")
    fits = len(unique_id) > 1 and all(c.isascii() and (c.isalnum() or c in "-_") for c in unique_id)
    return Mailbox(unique_id if fits else "", [(who, rights) for who, rights in acl if isinstance(rights, str)])
