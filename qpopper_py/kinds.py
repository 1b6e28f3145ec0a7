"""What kinds of values a setting takes: each a descriptor that reads, checks and describes its own.

``parse`` takes a TOML value or the text behind the = of --set, and raises ValueError with words that go behind
"NAME = VALUE"; the caller adds name and origin.  On the path to the greeting: nothing is imported.
"""

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from typing import Protocol

    class Holder(Protocol):
        """What a setting is a descriptor of: it has the values that were set, checked, by dotted name."""

        values: dict[str, object]


UNITS = {"": 1, "s": 1, "m": 60, "h": 3600, "d": 86400, "w": 604800}
SIZES = {"": 1, "K": 1 << 10, "M": 1 << 20, "G": 1 << 30}
WEEK = 604800  # poll(2) takes milliseconds in 31 bits, which is 24 days


class Setting:
    """One tunable: dotted ``name``, built-in ``default``, ``why`` it exists, and what values it takes."""

    form = "a value"

    def __init__(self, name: str, default: object, why: str) -> None:
        self.name = name
        self.default = default
        self.why = why

    def parse(self, raw: object) -> object:
        """The value that ``raw`` (a TOML value, or the text after ``=`` of --set) stands for.

        Raises ValueError; the caller adds name and origin.
        """
        raise NotImplementedError  # every kind below has its own

    def value(self, settings: "Holder") -> object:
        return settings.values.get(self.name, self.default)

    def written(self, value: object) -> object:
        """The checked ``value`` as a file would have it: texts, numbers, lists and tables of them."""
        return value


class Text(Setting):
    """Any text."""

    form = "a text"

    def __get__(self, settings: "Holder", owner: type) -> str:
        return self.value(settings)  # type: ignore[return-value]  # parse() made it a str

    def parse(self, raw: object) -> str:
        if not isinstance(raw, str):
            raise ValueError("is not a text")
        if any(c < " " or c == "\x7f" for c in raw):
            raise ValueError("holds a control character")
        if any("\ud800" <= c <= "\udfff" for c in raw):
            raise ValueError("is not UTF-8")
        return raw


class Path(Text):
    """An absolute path, or empty for none."""

    form = "an absolute path, or empty for none"

    def parse(self, raw: object) -> str:
        text = super().parse(raw)
        if text and not text.startswith("/"):
            raise ValueError("is not an absolute path")
        return text


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


class Host(Text):
    """A host's name or address, as it may stand in a greeting and a stamp (RFC 822 domain), or empty."""

    form = "a host's name, or empty"

    def parse(self, raw: object) -> str:
        text = super().parse(raw)
        if not all(c.isascii() and (c.isalnum() or c in ".-_:[]") for c in text):
            raise ValueError("holds a character that no host's name has")
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


class Choice(Text):
    """One of a few words."""

    def __init__(self, name: str, default: str, choices: "Sequence[str]", why: str) -> None:
        super().__init__(name, default, why)
        self.choices = tuple(choices)
        self.form = " | ".join(self.choices)

    def parse(self, raw: object) -> str:
        if raw not in self.choices:
            raise ValueError("is not one of " + ", ".join(self.choices))
        return str(raw)


class Switch(Setting):
    """true or false."""

    form = "true | false"
    words = {"true": True, "yes": True, "on": True, "1": True, "false": False, "no": False, "off": False, "0": False}

    def __get__(self, settings: "Holder", owner: type) -> bool:
        return self.value(settings)  # type: ignore[return-value]  # parse() made it a bool

    def parse(self, raw: object) -> bool:
        if isinstance(raw, bool):
            return raw
        if isinstance(raw, str) and raw.lower() in self.words:
            return self.words[raw.lower()]
        raise ValueError("is neither true nor false")


class Whole(Setting):
    """A whole number between two bounds."""

    units: "Mapping[str, int]" = {"": 1}
    form = "a whole number"

    def __init__(self, name: str, default: int, why: str, least: int = 0, most: int = 2**62) -> None:
        super().__init__(name, default, why)
        self.least = least
        self.most = most

    def __get__(self, settings: "Holder", owner: type) -> int:
        return self.value(settings)  # type: ignore[return-value]  # parse() made it an int

    def parse(self, raw: object) -> int:
        if isinstance(raw, bool) or not isinstance(raw, (int, str)):
            raise ValueError("is not " + self.form)
        if isinstance(raw, str):
            digits = raw.rstrip("".join(self.units))
            unit = raw[len(digits) :]
            if not (digits.isascii() and digits.isdigit()) or len(digits) > 18 or unit not in self.units:
                raise ValueError("is not " + self.form)
            raw = int(digits) * self.units[unit]
        if raw < self.least:
            raise ValueError(f"is less than {self.least}")
        if raw > self.most:
            raise ValueError(f"is more than {self.most}")
        return raw


class Seconds(Whole):
    """A time in seconds, or with a unit: 90, 90s, 10m, 2h, 1d, 1w."""

    units = UNITS
    form = "a time (90, 90s, 10m, 2h, 1d)"

    def __init__(self, name: str, default: int, why: str, least: int = 0, most: int = WEEK) -> None:
        super().__init__(name, default, why, least, most)


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


class Names(Setting):
    """A list of words; in --set with commas between them."""

    form = "a list of words"

    def __init__(self, name: str, default: "Sequence[str]", why: str, choices: "Sequence[str]" = ()) -> None:
        super().__init__(name, tuple(default), why)
        self.choices = tuple(choices)
        if choices:
            self.form = "a list of " + ", ".join(choices)

    def __get__(self, settings: "Holder", owner: type) -> "tuple[str, ...]":
        return self.value(settings)  # type: ignore[return-value]  # parse() made it a tuple

    def parse(self, raw: object) -> "tuple[str, ...]":
        if isinstance(raw, str):
            raw = [word.strip() for word in raw.split(",")] if raw.strip() else []
        if not isinstance(raw, (list, tuple)) or not all(isinstance(word, str) and word for word in raw):
            raise ValueError("is not " + self.form)
        for word in raw:
            if self.choices and word not in self.choices:
                raise ValueError(f"holds {word!r}, which is not one of " + ", ".join(self.choices))
        return tuple(raw)


class LoginTimes(Names):
    """Rules of who may log in when; see :func:`login_times`."""

    form = "a list of USERS;TIMES (*;Wk0700-1900, alice|bob;Al0800-2000)"

    def parse(self, raw: object) -> "tuple[str, ...]":
        words = super().parse(raw)
        for word in words:
            login_times(word)
        return words


class Networks(Names):
    """A list of IP addresses and networks."""

    form = "a list of addresses and networks (192.0.2.1, 10.1.0.0/16, 2001:db8::/32)"

    def parse(self, raw: object) -> "tuple[str, ...]":
        words = super().parse(raw)
        if words:
            import ipaddress  # 3 ms, for those who ask

            for word in words:
                try:
                    ipaddress.ip_network(word, strict=False)
                except ValueError:
                    raise ValueError(f"holds {word!r}, which is neither an address nor a network") from None
        return words


def address(text: str) -> tuple[str, int]:
    """HOST:PORT taken apart: ``[::1]:110`` is ("::1", 110); ``*:110`` and ``:110`` are ("", 110), every address.

    Port 0 lets the system choose one.  Raises ValueError; the caller adds where ``text`` came from.
    """
    host, colon, port = text.rpartition(":")
    if not colon:
        raise ValueError(
            f"holds {text!r}, which names no port; write {':' + text if text.isdigit() else text + ':110'}"
        )
    if not (port.isascii() and port.isdigit()) or len(port) > 5 or int(port) > 65535:
        raise ValueError(f"holds {text!r}, whose port is not a number up to 65535")
    if host.startswith("[") and host.endswith("]"):
        host = host[1:-1]
        if ":" not in host:
            raise ValueError(f"holds {text!r}, which has no IPv6 address between its brackets")
    elif ":" in host:
        raise ValueError(f"holds {text!r}; an IPv6 address goes in brackets: [{host}]:{port}")
    host = "" if host == "*" else host
    if not all(c.isascii() and (c.isalnum() or c in ".-_:%") for c in host):
        raise ValueError(f"holds {text!r}, whose host is neither a name nor an address")
    return host, int(port)


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
