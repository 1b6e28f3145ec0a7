"""Whether the greeting has an APOP stamp.  On the path to the greeting, which the gate itself is not."""

from qpopper_py.errors import CredentialStoreError
from qpopper_py.events import Trouble

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from qpopper_py.events import Event
    from qpopper_py.settings import Settings


def wanted(settings: "Settings", emit: "Callable[[Event], None]", mode: str = "") -> bool:
    """By ``mode``, else apop.stamp: ``auto`` reads 100 octets of the database: only entries can answer to a stamp."""
    mode = mode or settings.apop_stamp
    if mode != "auto":
        return mode == "always"
    if "mailauth" not in settings.auth_sources or not settings.mailauth_database:
        return False
    from qpopper_py.auth.authdb import has_apop_entries

    try:
        return has_apop_entries(settings.mailauth_database)
    except CredentialStoreError as why:
        emit(Trouble(None, str(why)))
        return False
