"""The setting access: who may connect to a service, by address (GNU mailutils' acl).

What a rule's program says is a porter's to find out, for it may take its time; all else the accepting process decides.
"""

from qpopper_py import programs
from qpopper_py.events import Note, Trouble
from qpopper_py.listeners import ACCESS_PROGRAMS, access_words

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from qpopper_py.events import Event
    from qpopper_py.facts import Facts
    from qpopper_py.settings import Settings

SECONDS = 10  # how long an ifexec may take: its client waits for the greeting
EXEC_SECONDS = 30  # and an exec, for which nobody waits


class Access:
    """Rules; of those that fit, the first allow, deny or ifexec decides."""

    __slots__ = ("_rules",)

    def __init__(self, rules: "Sequence[str]") -> None:
        from qpopper_py.serve.proxy import Senders

        self._rules = []
        for rule in rules:
            verb, network, rest = access_words(rule)
            self._rules.append((verb, None if network == "any" else Senders([network]), rest))

    def fitting(self, address: str) -> "Iterator[tuple[int, str, str]]":
        """(ordinal number, verb, what follows the network) of the rules about ``address``, up to allow or deny.

        A client of no address fits ``any`` alone.
        """
        for number, (verb, network, rest) in enumerate(self._rules, 1):
            if network is None or network.hold(address):
                yield number, verb, rest
                if verb in ("allow", "deny"):
                    return

    def asks(self, address: str) -> bool:
        """Whether the answer is a porter's: a program is run, or a text has the port, which is not known before."""
        return any(verb in ACCESS_PROGRAMS or "port" in rest for _, verb, rest in self.fitting(address))

    def admits(
        self,
        address: str,
        log: "Callable[[str], None]",
        run: "Callable[[str, str], bool | None] | None" = None,
        port: int = 0,
    ) -> bool:
        """Whether whoever comes from ``address`` may; ``log`` hears of a rule that asks for it.

        ``run`` is given the verb and the words of a program, and says whether that lets the client in; None: go on.
        """
        for number, verb, rest in self.fitting(address):
            said = None
            filled = expanded(rest, number, address, port)
            if verb == "log":
                log(filled or f"connect from {address or 'unknown'} (access)")
            elif verb in ACCESS_PROGRAMS:
                said = run(verb, filled) if run else False
            else:
                said = verb == "allow"
            if said is not None:
                return said
        return True


def expanded(text: str, number: int, address: str, port: int) -> str:
    """``text`` with its variables, all of them numbers or addresses: they can make no new word."""
    if "$" not in text:
        return text
    values = {
        "aclno": str(number),
        "family": "AF_INET6" if ":" in address else "AF_INET",
        "address": address.partition("%")[0],
        "port": str(port),
    }
    for name, value in values.items():
        text = text.replace(f"${{{name}}}", value).replace(f"${name}", value)
    return text


def admitted(facts: "Facts", settings: "Settings", emit: "Callable[[Event], None]") -> bool:
    """A porter's: whether access lets the client in, if it was left to us; in the log if not."""
    doors = [Access(settings.access), Access(facts.listener.access)]
    if not any(door.asks(facts.peer) for door in doors):
        return True

    def log(what: str) -> None:
        emit(Note(facts, what))

    def run(verb: str, line: str) -> "bool | None":
        return answer(verb, line, lambda what: emit(Trouble(facts, f"access: {what}")))

    if all(door.admits(facts.peer, log, run, facts.peer_port) for door in doors):
        return True
    emit(Trouble(facts, f"refused connect from {facts.peer} by access", "warning"))
    return False


def answer(verb: str, line: str, warn: "Callable[[str], None]") -> "bool | None":
    """What a program has to say: exec nothing, ifexec yes by its exit status 0, else no."""
    import shlex

    words = shlex.split(line)
    verdict = None if verb == "exec" else False
    try:
        if why := programs.objection(words[0]):
            warn(f"{words[0]} is not run: {why}")
        elif verb == "exec":
            programs.leave(words, {}, EXEC_SECONDS)
        else:
            status = programs.run(words, {}, SECONDS)
            verdict = status == 0
            if status < 0:
                warn(f"{words[0]} was ended by signal {-status}; it has {SECONDS} seconds")
    except OSError as why:
        warn(f"{words[0]}: {why.strerror}")
    return verdict
