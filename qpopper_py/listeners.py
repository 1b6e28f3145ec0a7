"""Where to listen, who may connect there, and the certificates of names: settings whose values are tables."""

from qpopper_py.facts import OPTIONS, Listener
from qpopper_py.kinds import Names, Networks, Setting, Switch

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

NETWORKS = Networks("", (), "")
ACCESS_PROGRAMS = ("exec", "ifexec")
ACCESS_VERBS = ("allow", "deny", "log", *ACCESS_PROGRAMS)
ACCESS_VARIABLES = ("aclno", "address", "family", "port")


class AccessRules(Names):
    """A list of rules as :func:`access_words` takes apart; ``any`` is every address."""

    form = "a list of rules (allow 10.0.0.0/8, log 192.0.2.1, ifexec ::/0 /PROGRAM ${address}, deny any)"

    def parse(self, raw: object) -> "tuple[str, ...]":
        words = super().parse(raw)
        for word in words:
            verb, network, rest = access_words(word)
            if verb not in ACCESS_VERBS or not network:
                raise ValueError(f"holds {word!r}, which is none of {', '.join(ACCESS_VERBS)} with a network behind it")
            if network != "any":
                Networks.parse(NETWORKS, [network])
            try:
                check_access_text(verb, rest)
            except ValueError as why:
                raise ValueError(f"holds {word!r}: {why}") from None
        return words


def access_words(rule: str) -> "tuple[str, str, str]":
    """``VERB NETWORK [TEXT]``: log has a text for the log, exec and ifexec a program with its arguments."""
    verb, _, rest = rule.partition(" ")
    network, _, rest = rest.strip().partition(" ")
    return verb, network, rest.strip()


def check_access_text(verb: str, text: str) -> None:
    """Raises ValueError, whose words tell what is wrong with what follows the network."""
    if text and verb in ("allow", "deny"):
        raise ValueError(f"nothing follows the network of {verb}")
    if not text.isprintable():
        raise ValueError("it has characters that cannot be printed")
    if "$" in text:
        import re

        for name in re.findall(r"\$(\{\w*\}|\w*)", text):
            if name.strip("{}") not in ACCESS_VARIABLES:
                raise ValueError(f"there is no variable ${name}, only {', '.join(ACCESS_VARIABLES)}")
    if verb in ACCESS_PROGRAMS:
        import shlex

        if not text.startswith("/"):
            raise ValueError("a program is named by its absolute path")
        shlex.split(text)


def access_waits(rules: "Sequence[str]") -> bool:
    """Whether there may be a rule among them that only a porter carries out; cheap, asked for each connection."""
    return any(rule.startswith(ACCESS_PROGRAMS) or "port" in rule for rule in rules)


CHOICES = {
    "tls": ("no", "starttls", "implicit"),
    "cleartext": ("always", "local", "tls", "never"),
    "stamp": ("auto", "always", "never"),
    "minimum": ("1.0", "1.1", "1.2", "1.3"),
}
SWITCHES = ("proxy", "kpop")
RULES = AccessRules("access", (), "")


class Listeners(Setting):
    """Addresses to listen on: texts HOST:PORT[,OPTION=VALUE...], or tables with ``address`` and the options."""

    form = "a list of HOST:PORT, or tables [[listen]] with address, tls, cleartext, stamp, minimum, proxy, kpop, access"

    def __get__(self, settings: object, owner: type) -> "tuple[Listener, ...]":
        return self.value(settings)  # type: ignore[arg-type, return-value]  # parse() made it a tuple

    def parse(self, raw: object) -> "tuple[Listener, ...]":
        if isinstance(raw, str):
            raw = split(raw)
        if not isinstance(raw, (list, tuple)) or not all(isinstance(one, (str, dict, Listener)) and one for one in raw):
            raise ValueError("is not " + self.form)
        return tuple(one if isinstance(one, Listener) else listener(one) for one in raw)

    def written(self, value: object) -> object:
        assert isinstance(value, tuple)
        return tuple({"address": one.address, **one.options} if one.options else one.address for one in value)


def split(text: str) -> "list[str]":
    """A list on one line: an OPTION=VALUE belongs to the address before it."""
    words: list[str] = []
    for word in text.split(",") if text.strip() else []:
        if words and "=" in word:
            words[-1] += "," + word.strip()
        else:
            words.append(word.strip())
    return words


def listener(raw: "str | dict[str, object]") -> Listener:
    """One listener.  Raises ValueError; the words tell which."""
    if isinstance(raw, str):
        where, *words = raw.split(",")
        given: dict[str, object] = {"address": where}
        for word in words:
            name, _, value = word.partition("=")
            given[name.strip()] = value.strip()
    else:
        given = dict(raw)
    where = given.pop("address", "")  # type: ignore[assignment]  # checked in the next line
    if not isinstance(where, str) or not where:
        raise ValueError(f'holds {raw!r}, which has no address; write address = "HOST:PORT"')
    host_and_port(where)
    return Listener(where, **{name: option(where, name, value) for name, value in given.items()})  # type: ignore[arg-type]


def option(where: str, name: str, value: object) -> object:
    """The checked value of one option of the listener at ``where``."""
    kind = Switch(name, False, "") if name in SWITCHES else RULES if name == RULES.name else None
    if kind is not None:
        try:
            return kind.parse(value)
        except ValueError as why:
            raise ValueError(f"holds {where!r}, whose {name} = {value!r} {why}") from None
    if name not in CHOICES:
        raise ValueError(f"holds {where!r} with {name!r}, which a listener has not; there is {', '.join(OPTIONS)}")
    if value not in CHOICES[name]:
        raise ValueError(f"holds {where!r}, whose {name} = {value!r} is not one of {', '.join(CHOICES[name])}")
    return str(value)


class ServerNames(Setting):
    """Certificates by the name that a client asks for: (name, certificate, key); an empty key is in the certificate.

    A table of names, each with a file or with a table of ``certificate`` and ``key``; in --set
    NAME=CERTIFICATE[:KEY] with commas between them.  A name may begin with ``*.``.
    """

    form = 'a table "NAME" = { certificate = "FILE", key = "FILE" }, or "NAME" = "FILE" with both in it'

    def __get__(self, settings: object, owner: type) -> "tuple[tuple[str, str, str], ...]":
        return self.value(settings)  # type: ignore[arg-type, return-value]  # parse() made it a tuple

    def parse(self, raw: object) -> "tuple[tuple[str, str, str], ...]":
        if isinstance(raw, str):
            words = [word.strip().partition("=") for word in raw.split(",")] if raw.strip() else []
            raw = [(name.strip(), *files.strip().partition(":")[::2]) for name, _, files in words]
        if isinstance(raw, dict):
            raw = [self._row(name, files) for name, files in raw.items()]
        if not isinstance(raw, (list, tuple)):
            raise ValueError("is not " + self.form)
        return tuple(self._checked(row) for row in raw)

    def _row(self, name: object, files: object) -> "tuple[object, object, object]":
        if isinstance(files, dict):
            if not files.keys() <= {"certificate", "key"}:
                raise ValueError(f"holds {name!r} with something else than certificate and key")
            return name, files.get("certificate"), files.get("key", "")
        return name, files, ""

    def _checked(self, row: object) -> "tuple[str, str, str]":
        if not isinstance(row, (list, tuple)) or len(row) != 3 or not all(isinstance(word, str) for word in row):
            raise ValueError("is not " + self.form)
        name, certificate, key = row
        name = name.lower()
        labels = name.removeprefix("*.")
        if not labels or not all(c.isascii() and (c.isalnum() or c in "-_.") for c in labels):
            raise ValueError(f"holds {name!r}, which is no host's name")
        for path in (certificate, key or certificate):
            if not path.startswith("/") or any(c < " " or c == "\x7f" or "\ud800" <= c <= "\udfff" for c in path):
                raise ValueError(f"holds {name!r} with {path!r}, which is not an absolute path")
        return name, certificate, key

    def written(self, value: object) -> object:
        assert isinstance(value, tuple)
        return {name: {"certificate": certificate, "key": key} for name, certificate, key in value}


def host_and_port(text: str) -> tuple[str, int]:
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
