"""Which files of GNU mailutils are read: /etc/mailutils.conf, or that of --config-file; what they include; --set."""

import os

from qpopper_py.errors import ConfigurationError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from qpopper_py.personality.commandline import Line
    from qpopper_py.personality.mailutils.language import Statement
    from qpopper_py.personality.mailutils.meaning import Meaning

SITE = "/etc/mailutils.conf"
PROGRAM = "pop3d"
DEEPEST = 10  # files that include each other


def read(line: "Line", older: str) -> "Meaning | None":
    """What the files and --set say; None if there is nothing to read.  Raises ConfigurationError.

    ``older``: a file that was read as one of 0.6.
    """
    asked = line.value("--config-file")
    skip = any(one.option.long in ("no-config", "no-site-config") for one in line.given)
    path, site = (asked, False) if asked is not None else ("" if skip else site_wide(line.euid), True)
    sets = [one.value or "" for one in line.given if one.option.spelt == "--set"]
    path = "" if older else path
    if not path and not sets:
        return None
    from qpopper_py.personality.mailutils.meaning import Meaning

    verbose = any(one.option.long == "config-verbose" for one in line.given)
    meaning = Meaning(line, verbose)
    if path:
        meaning.take(Reader(line.euid, meaning).statements(os.path.join(os.getcwd(), path), site))
    meaning.from_line = True
    for text in sets:
        meaning.take([assignment(text)])
    meaning.finish()
    return meaning


def of_0_6(line: "Line") -> str:
    """The file that counts and is one of 0.6, that of --config-file or the site-wide one; empty if there is none."""
    from qpopper_py.personality.commandline import absent
    from qpopper_py.personality.mailutils import rc

    asked = line.value("--config-file")
    if asked is None:
        skip = any(one.option.long in ("no-config", "no-site-config") for one in line.given)
        if skip or absent(rc.RC):
            return ""
        if not absent(SITE):
            line.notes.append(f"{rc.RC} has no effect: there is {SITE}, and then 3.x ignores it")
            return ""
    path = rc.RC if asked is None else os.path.join(os.getcwd(), asked)
    return path if not absent(path) and rc.holds_options(path, line.euid) else ""


def site_wide(euid: int) -> str:
    """The site-wide file, or that which versions up to 3 called otherwise (manual of 3.15, "Mailutils Configuration
    File"); empty if there is none."""
    from qpopper_py.personality.commandline import absent
    from qpopper_py.personality.mailutils import rc

    if not absent(SITE):
        return SITE
    return "" if absent(rc.RC) or rc.holds_options(rc.RC, euid) else rc.RC


class Reader:
    """Reads a file and what it includes."""

    def __init__(self, euid: int, meaning: "Meaning") -> None:
        self.euid = euid
        self.meaning = meaning

    def statements(self, path: str, site: bool, depth: int = 0) -> "list[Statement]":
        """What counts of ``path``, in its order; ``site``: ``program`` blocks and folders are obeyed."""
        found = []
        for one in parsed(path, self.euid):
            if one.keyword == "include":
                found += self.included(one, site, depth)
            elif one.keyword != "program":
                found.append(one)
            elif not site:
                self.meaning.note(one, "has no effect: it counts in the site-wide file alone, as there")
            elif one.block is not None and PROGRAM in one.values:
                for inner in one.block:
                    found += self.included(inner, site, depth) if inner.keyword == "include" else [inner]
        return found

    def included(self, one: "Statement", site: bool, depth: int) -> "list[Statement]":
        """A file, or of a folder the file pop3d in it, which need not be there."""
        from qpopper_py.personality.mailutils.meaning import text_of

        path = text_of(one)
        if depth >= DEEPEST:
            raise one.wrong("files include each other too deeply")
        path = os.path.join(os.path.dirname(one.path), path)
        if os.path.isdir(path):
            path = f"{path}/{PROGRAM}"
            if not os.path.lexists(path):
                self.meaning.note(one, f"has no effect: there is no {path}")
                return []
        elif not os.path.lexists(path):
            raise one.wrong(f"there is no file or folder {path}")
        return self.statements(path, site, depth + 1)


def parsed(path: str, euid: int) -> "list[Statement]":
    """The statements of one file, read with the care that a file deserves which tells root what to do."""
    from qpopper_py.personality.config import contents, opened
    from qpopper_py.personality.mailutils import language

    try:
        descriptor = opened(path, euid)
    except FileNotFoundError:
        raise ConfigurationError(f"{path}: there is no such file; --no-config reads none") from None
    try:
        data = contents(descriptor, path)
    finally:
        os.close(descriptor)
    try:
        return language.parse(data.decode("utf-8"), path)
    except UnicodeDecodeError as why:
        number = data.count(b"\n", 0, why.start) + 1
        raise ConfigurationError(f"{path} line {number}: is not UTF-8") from None


def assignment(text: str) -> "Statement":
    """--set's ``.a.b=VALUE`` (or ``a.b=VALUE``) as the statement that it stands for."""
    from qpopper_py.personality.mailutils.language import Statement

    path, equals, value = text.partition("=")
    mark = path[:1] if path[:1] in (".", "/", ":") else "."
    words = [word for word in path.split(mark) if word]
    if not equals or not words:
        raise ConfigurationError(f"--set {text}: write --set PATH=VALUE, as in --set .mailbox.mail-spool=/var/mail")
    place = f"command line, --set {path}"
    made = Statement(words[-1], [value], None, place, 0)
    for word in reversed(words[:-1]):
        made = Statement(word, [], [made], place, 0)
    return made
