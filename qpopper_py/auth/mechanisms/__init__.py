"""How a credential is asked for: one file and one row of TABLE for each mechanism.

A mechanism is made of the facts of the connection and the settings, and of nothing else.  It has ``step``, which
takes the client's next message and returns a Challenge, or the credential that the sources are to judge; Malformed
is raised for a message that is not of the mechanism's form.  The first message is empty where the client sent no
initial response (RFC 5034 section 4).
"""

import sys

from qpopper_py.auth.credentials import Challenge, Digest, Password

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from types import ModuleType

    from qpopper_py.auth.credentials import Credential
    from qpopper_py.events import Facts
    from qpopper_py.settings import Settings


class Mechanism:
    """The interface."""

    __slots__ = ()

    def __init__(self, facts: "Facts", settings: "Settings") -> None:
        """Kept by whoever needs them."""

    def step(self, data: bytes) -> "Challenge | Credential":
        """Raises Malformed."""
        raise NotImplementedError


def _anywhere(facts: "Facts") -> bool:  # noqa: ARG001  # rows share one signature
    return True


def load(name: str) -> "ModuleType":
    """The module of that name here."""
    path = f"{__name__}.{name}"
    __import__(path)
    return sys.modules[path]


class Row:
    """``name``; ``made`` by which class of which module here; ``kind`` of credential that it ends in.

    ``fits``: whether the connection has what it needs.  ``sasl``: it may be asked for by AUTH.
    """

    __slots__ = ("fits", "kind", "made", "name", "sasl")

    def __init__(
        self,
        name: str,
        made: str,
        kind: "type[Credential]",
        fits: "Callable[[Facts], bool]" = _anywhere,
        sasl: bool = True,
    ) -> None:
        self.name = name
        self.made = made
        self.kind = kind
        self.fits = fits
        self.sasl = sasl

    def make(self, facts: "Facts", settings: "Settings") -> Mechanism:
        """The mechanism at its beginning.  Its module is imported when it is first asked for."""
        module, name = self.made.split(".")
        mechanism: Mechanism = getattr(load(module), name)(facts, settings)
        return mechanism


# In the order in which they are announced: the strongest first.
TABLE = (
    Row("PLAIN", "plain.Plain", Password),
    Row("LOGIN", "login.Login", Password),
    Row("APOP", "apop.Apop", Digest, sasl=False),
)
