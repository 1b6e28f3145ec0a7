"""The setting access: who may connect to a service, by address (GNU mailutils' acl)."""

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Sequence


class Access:
    """Rules ``allow``, ``deny`` and ``log`` with a network; the first of the former two that fits decides."""

    __slots__ = ("_rules",)

    def __init__(self, rules: "Sequence[str]") -> None:
        from qpopper_py.serve.proxy import Senders

        self._rules = []
        for rule in rules:
            verb, _, network = rule.partition(" ")
            self._rules.append((verb, None if network == "any" else Senders([network])))

    def admits(self, address: str, log: "Callable[[str], None]") -> bool:
        """Whether whoever comes from ``address`` may; ``log`` hears of a rule that asks for it.

        A client of no address fits ``any`` alone.
        """
        for verb, network in self._rules:
            if network is not None and not network.hold(address):
                continue
            if verb != "log":
                return verb == "allow"
            log(f"connect from {address or 'unknown'} (access)")
        return True
