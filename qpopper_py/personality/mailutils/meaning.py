"""What the statements of a configuration amount to: layers of settings, where to listen, notes for --check-config."""

from qpopper_py.errors import ConfigurationError
from qpopper_py.personality.mailutils import values
from qpopper_py.personality.mailutils.statements import TABLE

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from qpopper_py.personality.commandline import Layer, Line
    from qpopper_py.personality.mailutils.language import Statement, Value
    from qpopper_py.personality.mailutils.statements import Row


class Meaning:
    """Takes statements, in their order; the later wins.  ``daemon``: it is to listen, on ``servers``."""

    def __init__(self, line: "Line", verbose: bool) -> None:
        self.line = line
        self.verbose = verbose
        self.from_line = False
        self.layers: list[Layer] = []
        self.daemon = False
        self.foreground = False
        self.wrappers = True
        self.port = "110"
        self.servers: list[dict[str, object]] = []
        self.rules: list[str] = []  # of acl blocks
        self.modules: list[str] = []
        self.prefix: set[str] = set()  # what records begin with
        self.tries = 10
        self.sleep = 1
        self.spool = "/var/mail"
        self.pattern = ""
        self.kind = ""

    def note(self, one: "Statement", what: str) -> None:
        self.line.notes.append(f"{one.where}: {one.keyword}: {what}")

    def set(self, one: "Statement", layer: "Mapping[str, object]") -> None:
        """Settings that the statement stands for."""
        place = one.where if one.where.endswith(one.keyword) else f"{one.where}, {one.keyword}"
        (self.line.layers if self.from_line else self.layers).append((place, layer))
        if self.verbose:
            said = ", ".join(f"{name} = {value!r}" for name, value in layer.items())
            self.note(one, f"is {said}")

    def take(self, statements: "Iterable[Statement]", above: str = "") -> None:
        """Obey them; ``above``: the block that they stand in.  Raises ConfigurationError."""
        for one in statements:
            path = above + one.keyword
            row = TABLE.get(path)
            if row is None:
                raise one.wrong(unknown(path))
            self.obey(one, row, path)

    def obey(self, one: "Statement", row: "Row", path: str) -> None:
        if (one.block is not None) != row.block:
            raise one.wrong("is a block: write it with { }" if row.block else "is no block: write a value and a ;")
        try:
            if row.kind == "refused":
                raise ValueError(f"is refused: {row.why}")
            if row.kind == "no effect":
                self.note(one, f"has no effect: {row.why}")
            if row.does is not None:
                row.does(self, one)
            elif row.setting:
                self.set(one, {row.setting: row.read(text_of(one))})
            elif one.block is not None:
                self.take(one.block, path + ".")
        except ValueError as why:
            shown = f"{text_of(one)!r} " if one.block is None else ""
            raise one.wrong(f"{shown}{why}") from None

    def finish(self) -> None:
        """All was taken: what several statements say together."""
        if self.rules:
            self.layers.append(("acl", {"access": self.rules}))
        if self.modules:
            try:
                self.layers.append(("auth", {"auth.sources": values.sources(self.modules)}))
            except ValueError as why:
                raise ConfigurationError(f"auth: {why}") from None
        if (self.tries, self.sleep) != (10, 1):
            self.layers.append(("locking", {"locks.timeout": self.tries * self.sleep}))
        if not self.servers:
            self.servers = [{"address": f":{self.port}"}]
        for server in self.servers:
            address = str(server["address"])
            server["address"] = address if address.rpartition("]")[2].count(":") else f"{address}:{self.port}"


def text_of(one: "Statement") -> str:
    """The statement's values as one text, with blanks between them: ``timeout 5 minutes``."""
    return " ".join(map(as_text, one.values))


def as_text(value: "Value") -> str:
    """A list is its items with commas between them."""
    return value if isinstance(value, str) else ",".join(map(as_text, value))


def unknown(path: str) -> str:
    """The words for a statement that there is not."""
    import difflib  # on the way out only

    near = difflib.get_close_matches(path, TABLE, 1)
    hint = f"did you mean {near[0]}? " if near else ""
    return f"there is no such statement; {hint}pop3d --config-help lists them"
