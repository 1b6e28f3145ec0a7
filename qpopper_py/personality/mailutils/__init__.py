"""GNU mailutils' pop3d(8): the command line of its 2004 manual (0.6) and that of 3.x, in one table.

Its configuration language is read by :mod:`.files`, only where there is such a file or --set.
"""

from qpopper_py.personality.mailutils.dialect import DIALECT
from qpopper_py.personality.mailutils.line import OPTIONS, PRINTS, configured
from qpopper_py.personality.options import GNU

__all__ = ["DIALECT", "OPTIONS", "PRINTS", "RULES", "SETTINGS", "configured", "name", "title"]

name = "mailutils"
title = "GNU mailutils' pop3d"
RULES = GNU

SETTINGS: "dict[str, object]" = {
    "commands": "original",
    "pam.service": "gnu-pop3d",
    "mbox.separator": "mailutils3",
    "mbox.internal": "shown",
    "uidl": "mailutils3",
    "status_headers": "write",
    "deletion_marks": "deleted",
    "log.style": "mailutils",
    "locks.stale": 600,
}
