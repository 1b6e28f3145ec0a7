"""Dates as people write them, and as old programs wrote them on From_ lines: for tools, never for a separator test."""

from datetime import datetime

from qpopper_py.errors import ConfigurationError
from qpopper_py.libraries import need

# What a person leaves out is 0 o'clock today; a weekday alone would be a guess that nobody can check.
GUESSES = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")


def moment(text: str, now: datetime) -> float:
    """``text`` (20 Nov, 2026-11-20 08:55, Fri Nov 20 08:55:46 2026) in seconds since the epoch, local unless a zone
    is named by number; ``now`` (with its zone) lends what is left out.

    Raises ConfigurationError for what is no date, MissingLibrary without python-dateutil.
    """
    parser = need("dateutil.parser")
    start = now.replace(hour=0, minute=0, second=0, microsecond=0)
    try:
        if text.strip().isdigit() or (text.strip().lower()[:3] in GUESSES and len(text.split()) == 1):
            raise ValueError(text)
        found: datetime = parser.parse(text, default=start, tzinfos={})
    except (ValueError, OverflowError):
        raise ConfigurationError(f"{text!r} is no date; write 2026-11-20, '20 Nov 08:55' or 08:55") from None
    return found.timestamp()
