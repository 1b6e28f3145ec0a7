"""What statements do that are more than one setting.  Each raises ValueError, whose words follow the value."""

from qpopper_py.personality.mailutils import values

TYPE_CHECKING = False
if TYPE_CHECKING:
    from qpopper_py.personality.mailutils.language import Statement
    from qpopper_py.personality.mailutils.meaning import Meaning

C_ESCAPES = "abfnrtvx01234567"  # behind a backslash in the words of an acl's program


def text_of(one: "Statement") -> str:
    from qpopper_py.personality.mailutils.meaning import text_of

    return text_of(one)


def nothing(_meaning: "Meaning", _one: "Statement") -> None:
    """It has no effect, which was noted."""


def mode(meaning: "Meaning", one: "Statement") -> None:
    text = text_of(one)
    if text not in ("inetd", "interactive", "daemon"):
        raise ValueError("is none of inetd, interactive and daemon")
    meaning.daemon = text == "daemon"


def foreground(meaning: "Meaning", one: "Statement") -> None:
    meaning.foreground = values.boolean(text_of(one))


def port(meaning: "Meaning", one: "Statement") -> None:
    meaning.port = numbered(text_of(one))


def numbered(text: str) -> str:
    """A port, as a number or as the name of a service."""
    if text.isascii() and text.isdigit():
        if len(text) > 5 or int(text) > 65535:
            raise ValueError("is not a number up to 65535")
        return text
    import _socket

    try:
        return str(_socket.getservbyname(text, "tcp"))
    except (OSError, ValueError):
        raise ValueError("is neither a port's number nor the name of a service") from None


def server(meaning: "Meaning", one: "Statement") -> None:
    """An address to listen on; without one, the port on every address."""
    text = text_of(one)
    host, colon, number = text.rpartition(":")
    if not colon or text.endswith("]") or (host.count(":") and not host.endswith("]")):
        host, number = text, ""
    if ":" in host and not host.startswith("["):
        host = f"[{host}]"
    address = f"{host}:{numbered(number)}" if number else host
    if not meaning.from_line or not meaning.servers:
        meaning.servers.append({"address": address})
    meaning.take(one.block or (), "server.")


def of_a_server(meaning: "Meaning", one: "Statement") -> None:
    """What we have for all listeners alone."""
    from qpopper_py.personality.mailutils.statements import TABLE

    row = TABLE[one.keyword]
    meaning.set(one, {row.setting: row.read(text_of(one))})
    if len(meaning.servers) > 1:
        meaning.note(one, "holds for all servers, not for this one alone")


def server_tls(meaning: "Meaning", one: "Statement") -> None:
    tls, cleartext = values.tls_mode(text_of(one))
    meaning.servers[-1]["tls"] = tls
    if cleartext:
        meaning.servers[-1]["cleartext"] = cleartext


def server_tls_files(meaning: "Meaning", one: "Statement") -> None:
    meaning.take(one.block or (), "tls.")
    if len(meaning.servers) > 1:
        meaning.note(one, "holds for all servers, not for this one alone; tls.sni has certificates by name")


def acl(meaning: "Meaning", one: "Statement") -> None:
    meaning.rules += map(access_rule, one.block or ())


def access_rule(one: "Statement") -> str:
    """``allow [from] ADDRESS[/MASK] [TEXT]`` as a rule of the setting access."""
    from qpopper_py.listeners import ACCESS_VERBS, check_access_text
    from qpopper_py.personality.mailutils.meaning import as_text

    if one.keyword not in ACCESS_VERBS or one.block is not None:
        raise one.wrong(f"is none of {', '.join(ACCESS_VERBS)}, which an acl is made of")
    words = [as_text(value) for value in one.values]
    if words[0] == "from":
        del words[0]
    if not words:
        raise one.wrong("names no address")
    import ipaddress

    network, text = words[0], " ".join(words[1:])
    if network in ("any", "all"):
        network = "any"
    else:
        try:
            network = str(ipaddress.ip_network(network.strip("[]"), strict=False))
        except ValueError:
            raise one.wrong(f"{network!r} is neither an address nor a network, as 10.0.0.0/8") from None
    if any(f"\\{c}" in text for c in C_ESCAPES):
        raise one.wrong(f"{text!r} holds an escape of C, which is not carried out here; write the character")
    try:
        check_access_text(one.keyword, text)
    except ValueError as why:
        raise one.wrong(f"{text!r}: {why}") from None
    return f"{one.keyword} {network} {text}".rstrip()


def server_acl(meaning: "Meaning", one: "Statement") -> None:
    """Beside the rules of the global acl: who connects there must be allowed by both."""
    server = meaning.servers[-1]
    server["access"] = (*server.get("access", ()), *map(access_rule, one.block or ()))  # type: ignore[misc]


def wrappers(meaning: "Meaning", one: "Statement") -> None:
    meaning.wrappers = values.boolean(text_of(one))
    if not meaning.wrappers:
        meaning.set(one, {"hosts_access": "off"})


def expire(meaning: "Meaning", one: "Statement") -> None:
    meaning.set(one, values.expire(text_of(one)))


def tls_mode(meaning: "Meaning", one: "Statement") -> None:
    tls, cleartext = values.tls_mode(text_of(one))
    meaning.set(one, {"tls.mode": tls} | ({"auth.cleartext": cleartext} if cleartext else {}))


def authentication(meaning: "Meaning", one: "Statement") -> None:
    meaning.modules += values.modules(text_of(one))


def authorization(_meaning: "Meaning", one: "Statement") -> None:
    """Who knows users: here each source does."""
    values.modules(text_of(one))


def virtual(meaning: "Meaning", one: "Statement") -> None:
    meaning.set(one, values.virtual(text_of(one)))


def spool(meaning: "Meaning", one: "Statement") -> None:
    layer = values.spool(text_of(one))
    meaning.set(one, layer)
    meaning.spool = str(layer["spool"])
    placed(meaning, one)


def pattern(meaning: "Meaning", one: "Statement") -> None:
    meaning.pattern = str(values.pattern(text_of(one))["maildrop"])
    placed(meaning, one)


def mailbox_type(meaning: "Meaning", one: "Statement") -> None:
    """The kind of the mailboxes, where neither spool nor pattern says one."""
    text = text_of(one)
    if text not in ("mbox", "file", "maildir"):
        raise ValueError("is a kind of mailbox that is not read here; there are mbox and maildir")
    meaning.kind = text.replace("file", "mbox")
    placed(meaning, one)


def placed(meaning: "Meaning", one: "Statement") -> None:
    """Where mailboxes lie by all three statements, in whatever order they came."""
    place = meaning.pattern or (f"{meaning.spool.replace('%', '%%')}/%u" if meaning.kind == "maildir" else "")
    if place and meaning.kind and not place.startswith(("mbox:", "maildir:")):
        place = f"{meaning.kind}:{place}"
    if place:
        meaning.set(one, {"maildrop": place})


def shown(meaning: "Meaning", one: "Statement", what: str) -> None:
    """print-severity and session-id: whether records begin with it."""
    if values.boolean(text_of(one)):
        meaning.prefix.add(what)
    else:
        meaning.prefix.discard(what)
    meaning.set(one, {"log.prefix": [word for word in ("session", "severity") if word in meaning.prefix]})


def lock_type(meaning: "Meaning", one: "Statement") -> None:
    text = text_of(one)
    if text == "external":
        raise ValueError(f"is refused: {values.NO_LOCKER}")
    if text == "null":
        raise ValueError("is refused: without a lock a delivery could damage the mailbox")
    if text not in ("default", "dotlock", "kernel"):
        raise ValueError("is none of default, dotlock and kernel")
    meaning.set(one, {"locks.kinds": ["fcntl"] if text == "kernel" else ["dotlock", "fcntl"]})


def tries(meaning: "Meaning", one: "Statement") -> None:
    meaning.tries = values.whole(text_of(one))


def sleep(meaning: "Meaning", one: "Statement") -> None:
    meaning.sleep = values.seconds(text_of(one))
