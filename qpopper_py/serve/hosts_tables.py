"""The tables of TCP wrappers as hosts_access(5) says, where there is no libwrap to read them.

A line is ``daemons : clients [: option [: option ...]]``; the first line that matches decides, hosts.allow first.
Of the options of hosts_options(5) ``allow`` and ``deny`` are obeyed; ``twist``, which ends the connection, ``aclexec``,
which asks a program, and what is no option at all refuse; the others are not carried out.  All that is said in the log.

Other than libwrap we read a last line without line end, and take ``0.0.0.0/0`` for every IPv4 address.
"""

import errno
import os

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from qpopper_py.facts import Facts

PASSED_OVER = frozenset(
    ("banners", "group", "keepalive", "linger", "nice", "rfc931", "setenv", "severity", "spawn", "umask", "user")
)
UNKNOWN, PARANOID = "unknown", "paranoid"
DEEPEST = 8  # files of patterns that name one another
NEEDS = "there is no libwrap.so.0 here: install libwrap0, or take it out"


class Client:
    """One end to be matched.  ``warn`` hears what an administrator should mend."""

    __slots__ = ("_name", "address", "daemon", "port", "server", "warn")

    def __init__(self, facts: "Facts", daemon: str, warn: "Callable[[str], None]") -> None:
        self.address = facts.peer.partition("%")[0] or UNKNOWN
        self.server = facts.local.partition("%")[0] or UNKNOWN
        self.port = str(facts.local_port)
        self.daemon = daemon
        self.warn = warn
        self._name = "" if facts.peer else UNKNOWN

    @property
    def name(self) -> str:
        """By look-up, once: ``unknown`` without a name, ``paranoid`` where the name has not that address."""
        if not self._name:
            self._name = look_up(self.address)
        return self._name


def look_up(address: str) -> str:
    import _socket

    try:
        name = _socket.gethostbyaddr(address)[0]
        found = {entry[4][0] for entry in _socket.getaddrinfo(name, None)}
    except OSError:
        return UNKNOWN
    return name if address in found else PARANOID


def granted(client: Client, allow: str, deny: str) -> bool:
    """Whether the tables let the client in.  A table that is not there is empty."""
    for path, verdict in ((allow, True), (deny, False)):
        options = first_match(path, client) if path else None
        if options is not None:
            return obey(options, verdict, client)
    return True


def first_match(path: str, client: Client) -> "list[str] | None":
    """The options of the first line that matches; None: none does."""
    for text in lines(path):
        fields = parted(text)
        if len(fields) < 2:
            client.warn(f"{path}: a line without a colon is ignored: {text}")
            continue
        daemons, clients = (field.replace(",", " ").split() for field in fields[:2])
        if matches(daemons, client, _daemon) and matches(clients, client, _client):
            return [field.strip() for field in fields[2:] if field.strip()]
    return None


def lines(path: str) -> "Iterator[str]":
    """The lines that say something; a line end behind a backslash is none."""
    try:
        with open(path, encoding="utf-8", errors="surrogateescape") as file:
            text = file.read().replace("\\\n", "")
    except FileNotFoundError:
        return
    for line in text.split("\n"):
        if line.strip() and not line.startswith("#"):
            yield line


def parted(line: str) -> "list[str]":
    """The fields of a line: colons in brackets (IPv6) and behind a backslash do not part."""
    fields, depth, before = [""], 0, ""
    for c in line:
        depth = depth + 1 if c == "[" else 0 if c == "]" else depth
        if c == ":" and before == "\\":
            fields[-1] = fields[-1][:-1] + c
        elif c == ":" and not depth:
            fields.append("")
        else:
            fields[-1] += c
        before = c
    return fields


def obey(options: "list[str]", verdict: bool, client: Client) -> bool:
    for option in options:
        word = option.partition("=")[0].lower()
        word = word.split()[0] if word else ""
        if word in ("allow", "deny"):
            return word == "allow"
        client.warn(f"hosts_access: option {word} is not carried out, because {NEEDS}")
        if word not in PASSED_OVER:
            return False
    return verdict


def matches(words: "list[str]", client: Client, one: "Callable[[str, Client], bool]") -> bool:
    """``a b EXCEPT c EXCEPT d`` is (a or b) and not (c and not d)."""
    groups: list[list[str]] = [[]]
    for word in words:
        if word.upper() == "EXCEPT":
            groups.append([])
        else:
            groups[-1].append(word)
    matched = 0  # groups from the left, each an exception to the one before
    while matched < len(groups) and any(one(word, client) for word in groups[matched]):
        matched += 1
    return matched % 2 == 1


def _daemon(word: str, client: Client) -> bool:
    daemon, at, host = word[1:].partition("@")
    if not at:
        return is_text(word, client.daemon) or word == client.port
    daemon = word[0] + daemon
    return (is_text(daemon, client.daemon) or daemon == client.port) and is_host(host, client.server, lambda: UNKNOWN)


def _client(word: str, client: Client) -> bool:
    user, at, host = word[1:].partition("@")
    if not at:
        return is_host(word, client.address, lambda: client.name)
    return is_text(word[0] + user, UNKNOWN) and is_host(host, client.address, lambda: client.name)


def is_host(word: str, address: str, name: "Callable[[], str]", depth: int = 0) -> bool:
    """A pattern for hosts; ``name`` is called only where the pattern needs it.

    ``depth``: of files of patterns, in the last of which it stands.  Raises OSError.
    """
    upper = word.upper()
    if word.startswith("@"):
        return _in_netgroup(word[1:], name())
    if word.startswith("/"):
        if depth == DEEPEST:
            raise OSError(errno.ELOOP, "files of patterns name one another", word)
        return any(is_host(each, address, name, depth + 1) for line in lines_of(word) for each in line.split())
    if upper == "KNOWN":
        return address != UNKNOWN and name() not in (UNKNOWN, PARANOID)
    if upper == "LOCAL":
        return "." not in name() and name() not in (UNKNOWN, PARANOID)
    if "/" in word or word.startswith("["):
        return _in_network(word, address)
    if is_text(word, address):
        return True
    return not set(word) <= set("0123456789./") and is_text(word, name())


def lines_of(path: str) -> "list[str]":
    """The lines of a file of patterns; one that is not there is empty."""
    if "\0" in path:
        raise OSError(errno.EINVAL, "the name holds a NUL", path)
    try:
        with open(path, encoding="utf-8", errors="surrogateescape") as file:
            return file.read().split("\n")
    except FileNotFoundError:
        return []


def is_text(word: str, text: str) -> bool:
    """A pattern for words: ALL, KNOWN, .end, beginning., with * and ?, or the word itself."""
    import fnmatch

    word, text = word.lower(), text.lower()
    if "*" in word or "?" in word:
        return fnmatch.fnmatchcase(text, word.replace("[", "[[]"))
    if word.startswith("."):
        return len(text) > len(word) and text.endswith(word)
    if word == "all":
        return True
    if word == "known":
        return text != UNKNOWN
    return text.startswith(word) if word.endswith(".") else text == word


def _in_network(word: str, address: str) -> bool:
    import ipaddress

    net, slash, mask = word.partition("/")
    if net.startswith("[") != (":" in address):
        return False
    try:
        network = ipaddress.ip_network(net.strip("[]") + slash + mask, strict=False)
        return ipaddress.ip_address(address) in network
    except ValueError:
        return False


def _in_netgroup(group: str, name: str) -> bool:
    import ctypes

    innetgr = getattr(ctypes.CDLL(None), "innetgr", None)
    return innetgr is not None and name != UNKNOWN and innetgr(os.fsencode(group), os.fsencode(name), None, None) == 1
