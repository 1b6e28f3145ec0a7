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


class Host(Text):
    """A host's name or address, as it may stand in a greeting and a stamp (RFC 822 domain), or empty."""

    form = "a host's name, or empty"

    def parse(self, raw: object) -> str:
        text = super().parse(raw)
        if not all(c.isascii() and (c.isalnum() or c in ".-_:[]") for c in text):
            raise ValueError("holds a character that no host's name has")
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
