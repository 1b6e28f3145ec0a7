"""Kinds of values that few settings take; those of :mod:`~qpopper_py.kinds` and this page are one family."""

from qpopper_py.kinds import Names, Path, Setting, Text, Whole

TYPE_CHECKING = False
if TYPE_CHECKING:
    from qpopper_py.kinds import Holder

SIZES = {"": 1, "K": 1 << 10, "M": 1 << 20, "G": 1 << 30}


class NeededPath(Path):
    """An absolute path that cannot be left out."""

    form = "an absolute path"

    def parse(self, raw: object) -> str:
        text = super().parse(raw)
        if not text:
            raise ValueError("is empty")
        return text


class Place(Text):
    """Where maildrops lie: a path with %u, %n, %d and %h, behind ``mbox:`` or ``maildir:`` if need be; or empty.

    Behind ``cyrus:`` there are %N, %M and %F as well (:mod:`qpopper_py.auth.maildrops`).
    """

    form = "a path with %u user, %n name, %d domain, %h home, which may begin with mbox:, maildir: or cyrus:; or empty"

    def parse(self, raw: object) -> str:
        text = super().parse(raw)
        path = text.removeprefix("mbox:").removeprefix("maildir:").removeprefix("cyrus:")
        if text and not path.startswith(("/", "~/", "%h/")):
            raise ValueError("is not an absolute path")
        pieces = path.replace("%%", "").split("%")[1:]
        letters = "undhNMF" if text.startswith("cyrus:") else "undh"
        if not all(piece[:1] in tuple(letters) for piece in pieces):
            raise ValueError("holds a % of something else")
        return text


class FileName(Text):
    """A file's name, in which %s stands for the user; or empty."""

    form = "a file's name with %s for the user, or empty"

    def parse(self, raw: object) -> str:
        text = super().parse(raw)
        if text and (text.count("%s") != 1 or text.count("%") != 1):
            raise ValueError("does not hold %s once, and no other %")
        if "/" in text:
            raise ValueError("holds a slash; the folder has a setting of its own")
        return text


class Sender(Text):
    """An envelope sender with %u for the user, or empty.  The mailer takes what begins with - for an option."""

    form = "an address, in which %u stands for the user"

    def parse(self, raw: object) -> str:
        text = super().parse(raw)
        if text.startswith("-"):
            raise ValueError("begins with -")
        if " " in text or "%" in text.replace("%%", "").replace("%u", ""):
            raise ValueError("holds a blank, or a % of something else")
        return text


class Url(Text):
    """An https: address, or an http: one of this very host; or empty."""

    form = "an https address, or an http address of localhost, or empty"
    near = ("http://localhost", "http://127.0.0.1", "http://[::1]")

    def parse(self, raw: object) -> str:
        text = super().parse(raw)
        host = next((host for host in ("https://", *self.near) if text.startswith(host)), "")
        ours = host == "https://" or text[len(host) : len(host) + 1] in ("", ":", "/")
        if text and not (host and ours and text.isascii() and " " not in text and "@" not in text):
            raise ValueError("is not " + self.form)
        return text


class Word(Text):
    """The name of a service or a daemon: a file may be named after it."""

    form = "a word of letters, digits, - _ and ."

    def parse(self, raw: object) -> str:
        text = super().parse(raw)
        if not text or text[0] == "." or not all(c.isascii() and (c.isalnum() or c in "-_.") for c in text):
            raise ValueError("is not " + self.form)
        return text


class Moment(Setting):
    """A short time in seconds, none or at least a millisecond: 2, 0.05, 50ms, 2s."""

    units = {"ms": 0.001, "s": 1, "m": 60}
    form = "a time (2, 0.05, 50ms, 2s, 1m)"

    def __init__(self, name: str, default: float, why: str, most: int) -> None:
        super().__init__(name, default, why)
        self.most = most

    def __get__(self, settings: "Holder", owner: type) -> float:
        return self.value(settings)  # type: ignore[return-value]  # parse() made it a number

    def parse(self, raw: object) -> float:
        if isinstance(raw, str):
            digits = raw.rstrip("ms")
            if not digits.isascii() or not digits.replace(".", "", 1).isdigit() or len(digits) > 18:
                raise ValueError("is not " + self.form)
            unit = raw[len(digits) :] or "s"
            if unit not in self.units:
                raise ValueError("is not " + self.form)
            number = float(digits) if "." in digits else int(digits)
            raw = number if self.units[unit] == 1 else number * self.units[unit]
        if isinstance(raw, bool) or not isinstance(raw, (int, float)):
            raise ValueError("is not " + self.form)
        if not (raw == 0 or raw >= 0.001):  # what is no number at all is neither
            raise ValueError("is less than a millisecond")
        if raw > self.most:
            raise ValueError(f"is more than {self.most}")
        return raw


class Days(Text):
    """A number of days, as digits, or never."""

    form = "a number of days, or never"

    def parse(self, raw: object) -> str:
        if isinstance(raw, int) and not isinstance(raw, bool):
            raw = str(raw)
        if raw != "never" and not (isinstance(raw, str) and raw.isascii() and raw.isdigit() and len(raw) <= 6):
            raise ValueError("is not " + self.form)
        return raw if raw == "never" else str(int(raw))


class Octets(Whole):
    """A size in octets, or with a unit: 2000, 64K, 25M, 1G."""

    units = SIZES
    form = "a size (2000, 64K, 25M, 1G)"


class LoginTimes(Names):
    """Rules of who may log in when; see :func:`login_times`."""

    form = "a list of USERS;TIMES (*;Wk0700-1900, alice|bob;Al0800-2000)"

    def parse(self, raw: object) -> "tuple[str, ...]":
        words = super().parse(raw)
        for word in words:
            login_times(word)
        return words


DAYS = {"Mo": 1, "Tu": 2, "We": 4, "Th": 8, "Fr": 16, "Sa": 32, "Su": 64, "Wk": 31, "Wd": 96, "Al": 127}


def login_times(rule: str) -> "tuple[list[str], list[tuple[bool, int, int, int]]]":
    """``USERS;TIMES``, the last two fields of a line of time.conf(5): (users, times).

    Users are words between ``|``: a name, ``*`` in it for anything, ``!`` before it for everybody else.  Times are
    (``!`` before it, days, from, to): bits from Monday on, minutes since midnight; to is the first minute outside.
    A day that is named twice is not meant (``AlSu``: all but Sunday).  Raises ValueError.
    """
    users, semicolon, times = rule.replace(" ", "").partition(";")
    names = users.split("|")
    if not semicolon or not all(name.lstrip("!") for name in names):
        raise ValueError(f"holds {rule!r}, which is not USERS;TIMES, as in *;Wk0700-1900")
    spans = []
    for word in times.split("|"):
        days, clock = 0, word.lstrip("!")
        while clock[:2] in DAYS:
            days, clock = days ^ DAYS[clock[:2]], clock[2:]
        start, dash, end = clock[:4], clock[4:5], clock[5:]
        if not days or dash != "-" or not (_is_time(start) and _is_time(end)):
            raise ValueError(f"holds {rule!r}, whose time {word!r} is not as Wk0700-1900 is")
        spans.append((word[0] == "!", days, int(start[:2]) * 60 + int(start[2:]), int(end[:2]) * 60 + int(end[2:])))
    return names, spans


def _is_time(text: str) -> bool:
    """HHMM, from 0000 to 2400."""
    return len(text) == 4 and text.isascii() and text.isdigit() and int(text[2:]) < 60 and int(text) <= 2400
