"""The language of /etc/mailutils.conf: text -> statements (manual of GNU mailutils, "Configuration").

A statement is a keyword, values, and ``;`` or a block in braces (a ``;`` behind it may be left out).  A value is a
word, a text in double quotes (neighbours are one text), a here-document, or a list in parentheses with commas.
Comments are ``#`` and ``//`` to the end of the line and ``/* */``, which do not nest.  Looked at beside 3.15.
"""

from qpopper_py.errors import ConfigurationError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    Value = str | list["Value"]
    Token = tuple[str, str, int]  # kind, text, line

WORD, TEXT, MARK, END = "word", "text", "mark", "end"
MARKS = ";{}(),"
STRAY = "'`=%&<>|!?^~\\"  # no word has them
ESCAPES = {"a": "\a", "b": "\b", "f": "\f", "n": "\n", "r": "\r", "t": "\t", "v": "\v", "\\": "\\", '"': '"'}
DEEPEST = 20


class Statement:
    """One statement; ``block`` is None where it ends in a semicolon."""

    __slots__ = ("block", "keyword", "line", "path", "values")

    def __init__(
        self, keyword: str, values: "list[Value]", block: "list[Statement] | None", path: str, line: int
    ) -> None:
        self.keyword = keyword
        self.values = values
        self.block = block
        self.path = path
        self.line = line

    @property
    def where(self) -> str:
        return f"{self.path} line {self.line}" if self.line else self.path

    def wrong(self, what: str) -> ConfigurationError:
        return ConfigurationError(f"{self.where}: {self.keyword}: {what}")


def parse(text: str, path: str) -> "list[Statement]":
    """The statements of ``text``.  Raises ConfigurationError, which names ``path`` and the line."""
    return Parser(text, path).statements(0)


class Parser:
    """Reads one file."""

    def __init__(self, text: str, path: str) -> None:
        self.path = path
        self.tokens = list(tokens(text, path))
        self.at = 0

    def next(self) -> "Token":
        token = self.tokens[self.at]
        self.at += token[0] != END
        return token

    def peek(self) -> str:
        """What kind of token follows; a mark is itself."""
        kind, text, _ = self.tokens[self.at]
        return text if kind == MARK else kind

    def error(self, what: str, line: int) -> ConfigurationError:
        return ConfigurationError(f"{self.path} line {line}: {what}")

    def statements(self, depth: int) -> "list[Statement]":
        """Up to the end of the file, or of the block that we are in."""
        found: list[Statement] = []
        if depth > DEEPEST:
            raise self.error("blocks are nested too deeply", self.tokens[self.at][2])
        while True:
            kind, text, line = self.next()
            if kind == END and not depth:
                return found
            if kind == END:
                raise self.error("the file ends within a block; there is a } too few", line)
            if kind == MARK and text == "}" and depth:
                if self.peek() == ";":
                    self.next()
                return found
            if kind == MARK and text == ";":
                continue
            if kind != WORD:
                raise self.error(f"{text!r} where a statement begins", line)
            found.append(self.statement(text, line, depth))

    def statement(self, keyword: str, line: int, depth: int) -> Statement:
        """What follows the keyword."""
        values: list[Value] = []
        while True:
            what = self.peek()
            if what in (WORD, TEXT, "("):
                values.append(self.value())
            elif what == "{":
                self.next()
                return Statement(keyword, values, self.statements(depth + 1), self.path, line)
            elif what == ";" and values:
                self.next()
                return Statement(keyword, values, None, self.path, line)
            else:
                _, text, there = self.tokens[self.at]
                missing = "a value" if not values else "a ; behind it"
                before = repr(text) if text else "the end of the file"
                raise self.error(f"{keyword}: {missing} is missing before {before}", there)

    def value(self) -> "Value":
        """A word, a text, or a list."""
        kind, text, line = self.next()
        if kind == TEXT:
            while self.peek() == TEXT:
                text += self.next()[1]
        if kind != MARK:
            return text
        items: list[Value] = []
        while self.peek() != ")":
            if self.peek() not in (WORD, TEXT, "("):
                raise self.error("a list does not end; there is a ) too few", line)
            items.append(self.value())
            if self.peek() == ",":
                self.next()
        self.next()
        return items


def tokens(text: str, path: str) -> "Iterator[Token]":
    """Words, texts and marks, and last an END."""
    at, line, size = 0, 1, len(text)
    while (start := at) < size:
        where = f"{path} line {line}"
        at = passed(text, at, where)
        if at == start:
            c = text[at]
            if c == '"' or text.startswith("<<", at):
                found, at = (quoted if c == '"' else here_document)(text, at, where)
                yield TEXT, found, line
            elif c in MARKS:
                at += 1
                yield MARK, c, line
            else:
                at = word_end(text, at, where)
                yield WORD, text[start:at], line
        line += text.count("\n", start, at)
    yield END, "", line


def passed(text: str, at: int, where: str) -> int:
    """Behind the blank or the comment at ``at``, if there is one."""
    if text[at].isspace():
        return at + 1
    if text[at] == "#" or text.startswith("//", at):
        return ended(text, at, "\n")
    if text.startswith("/*", at):
        end = text.find("*/", at + 2)
        if end < 0:
            raise ConfigurationError(f"{where}: the comment that begins there does not end")
        return end + 2
    return at


def word_end(text: str, at: int, where: str) -> int:
    """Behind the word that begins at ``at``."""
    start = at
    while at < len(text) and text[at].isprintable() and text[at] not in STRAY + MARKS + ' "':
        at += 1
    if at == start:
        raise ConfigurationError(f"{where}: stray character {text[at]!r}; a text stands in double quotes")
    return at


def ended(text: str, at: int, end: str) -> int:
    """Where ``end`` is from ``at`` on, or the end of the text."""
    found = text.find(end, at)
    return len(text) if found < 0 else found


def quoted(text: str, at: int, where: str) -> "tuple[str, int]":
    """The text in double quotes that begins at ``at``, and where it ends."""
    pieces: list[str] = []
    at += 1
    while at < len(text):
        c = text[at]
        if c == '"':
            return "".join(pieces), at + 1
        if c == "\\" and at + 1 < len(text):
            following = text[at + 1]
            pieces.append("" if following == "\n" else ESCAPES.get(following, following))
            at += 2
        else:
            pieces.append(c)
            at += 1
    raise ConfigurationError(f'{where}: the text that begins there does not end; there is a " too few')


def here_document(text: str, at: int, where: str) -> "tuple[str, int]":
    """``<<WORD``, ``<<-WORD`` (tabs at the beginning of lines go), ``<<\\WORD`` or ``<<"WORD"`` up to a line WORD.

    What stands behind the closing WORD goes on as usual.
    """
    end = ended(text, at, "\n")
    word = text[at + 2 : end].strip()
    dash = word.startswith("-")
    word = word.lstrip("- ").lstrip("\\").strip('"')
    if not word:
        raise ConfigurationError(f"{where}: << is followed by no word")
    lines: list[str] = []
    at = end + 1
    while at < len(text):
        end = ended(text, at, "\n")
        line = text[at:end].lstrip("\t") if dash else text[at:end]
        if line.rstrip(" \t;") == word:
            return "".join(lines).removesuffix("\n"), at + text[at:end].index(word) + len(word)
        lines.append(line + "\n")
        at = end + 1
    raise ConfigurationError(f"{where}: the here-document has no line {word!r} at its end")
