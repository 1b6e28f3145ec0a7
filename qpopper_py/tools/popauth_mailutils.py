"""The command mailutils-popauth(8): GNU mailutils' popauth, letter by letter, over the database of mailauth(8).

What it does is mailauth's; this reads another command line.  A file of the old program (-f apop.db, or text) is
listed and taken over (-c), and never written.
"""

import os
import sys
from collections.abc import Sequence
from pathlib import Path

from qpopper_py import __version__
from qpopper_py.auth.authdb import AuthDb
from qpopper_py.errors import ConfigurationError, QpopperError
from qpopper_py.legacy_dbm import NotReadable, records, sniff
from qpopper_py.personality.options import GNU, Given, Option, parse
from qpopper_py.stamp import header
from qpopper_py.tools.mailauth import DONE, FAILED, USAGE, Command, settings_of
from qpopper_py.tools.mailauth_options import Request
from qpopper_py.tools.mailauth_rights import stored_name
from qpopper_py.tools.mailauth_secret import Asker, checked

ACTIONS = ("add", "create", "delete", "list", "modify")
OPTIONS = (
    Option("a add", "", "add a user"),
    Option("c create", "", "take over user:password lines, or an old database, of -f"),
    Option("d delete", "", "delete a user's entry"),
    Option("l list", "", "list the users; with -o the secrets, too"),
    Option("m modify", "", "change a user's secret"),
    Option("f file", "FILE", "the database; with -c what is taken over (default: the standard input)"),
    Option("o output", "FILE", "with -l: write to FILE, readable for its owner; with -c: the database"),
    Option("u user", "USER", "whose entry"),
    Option("p password", "STRING", "the secret; everybody on this host can see it there"),
    Option("P permissions", "PERM", "no effect: the database is its owner's alone, always"),
    Option("compatibility", "", "no effect: there is one form of database"),
    Option("qp-config", "FILE", "the server's configuration"),
    Option("qp-set", "KEY=VALUE", "change a setting"),
    Option("? help", "", "print this"),
    Option("usage", "", "print this"),
    Option("V version", "", "print the version"),
)


class Typed(Asker):
    """The secret that stood on the command line."""

    def __init__(self, secret: bytes) -> None:
        super().__init__(stdin=True)
        self.secret = secret

    def new(self, what: str) -> bytes:  # noqa: ARG002  # there is one
        return checked(self.secret)


def usage() -> str:
    rows = [f"  {', '.join(row.spellings)}{' ' + row.value if row.value else ''}" for row in OPTIONS]
    width = max(map(len, rows))
    lines = [f"{row:<{width}}  {option.why}" for row, option in zip(rows, OPTIONS, strict=True)]
    tail = "Without an action root lists, and everybody else changes their own entry.  See mailauth(8)."
    return "\n".join(["usage: mailutils-popauth [OPTION...]", *lines, tail])


def main(argv: "Sequence[str] | None" = None) -> int:
    """Do what the command line asks for; the exit status: 0 done, 1 not done, 2 wrong usage."""
    os.umask(0o022)
    try:
        given, operands = parse(sys.argv[1:] if argv is None else argv, OPTIONS, unknown, GNU)
        names = {one.option.long for one in given}
        if names & {"help", "usage", "version"}:
            print(f"mailutils-popauth (qpopper_py) {__version__}" if "version" in names else usage())
            return DONE
        if operands:
            raise ConfigurationError(f"{operands[0]!r} is no option; a user is named by -u")
        return Popauth(given).run()
    except ConfigurationError as why:
        return complain(why, USAGE)
    except QpopperError as why:
        return complain(why, FAILED)
    except OSError as why:
        return complain(f"{why.filename or 'standard input or output'}: {why.strerror}", FAILED)


def unknown(spelt: str, _argument: str) -> str:
    return f"there is no option {spelt}; mailutils-popauth --help lists them"


def complain(why: object, status: int) -> int:
    print(f"mailutils-popauth: {why}", file=sys.stderr)
    return status


class Popauth:
    """One command line."""

    def __init__(self, given: "list[Given]") -> None:
        self.values = {one.option.long: one.value for one in given}
        asked = [name for name in ACTIONS if name in self.values]
        if len(asked) > 1:
            raise ConfigurationError(f"--{asked[0]} and --{asked[1]} exclude each other; leave one out")
        self.action = asked[0] if asked else "list" if os.geteuid() == 0 else "modify"
        self.settings: list[str] = []
        for one in given:
            if one.option.long in ("qp-config", "qp-set"):
                self.settings += ["--" + one.option.long.removeprefix("qp-"), one.value or ""]
        place = self.values.get("output" if self.action == "create" else "file")
        self.old = place if place and self.action != "create" and not ours(place) else ""
        if place and not self.old:
            self.settings += ["--set", f"mailauth.database={os.path.abspath(place)}"]

    def run(self) -> int:
        if self.action == "list":
            return self.listed()
        if self.old:
            raise QpopperError(f"{self.old} is the old program's; take it over first: mailauth convert {self.old}")
        if self.action == "create":
            return self.create()
        user = self.values.get("user") or ""
        if not user and (self.action != "modify" or os.geteuid() == 0):
            raise ConfigurationError(f"--{self.action} needs --user USER")
        request = self.request({"add": "add", "delete": "delete", "modify": "passwd" if user else "own"}[self.action])
        request.operand = user
        command = Command(request, settings_of(request))
        if self.action == "add" and self.there(command, user):
            raise QpopperError(f"{user} has an APOP entry already; --modify changes it")
        if (secret := self.values.get("password")) is not None:
            print("mailutils-popauth: warning: everybody on this host can see the secret of -p", file=sys.stderr)
            command.asker = Typed(os.fsencode(secret))
        return command.run()

    def request(self, action: str) -> Request:
        """What mailauth is asked for: entries of APOP are all that popauth knows."""
        made = Request()
        made.action = action
        made.type = "APOP"
        made.settings = self.settings
        return made

    def there(self, command: Command, user: str) -> bool:
        return header(command.path) is not None and "APOP" in AuthDb(*command.where).types(
            stored_name(command.settings, user)
        )

    def create(self) -> int:
        """Take over lines or a database; the standard input goes through a file of our own."""
        path = self.values.get("file") or ""
        if path:
            return self.converted(path)
        import tempfile

        with tempfile.NamedTemporaryFile(prefix="popauth-") as file:  # mode 0600
            file.write(sys.stdin.buffer.read())
            file.flush()
            return self.converted(file.name)

    def converted(self, path: str) -> int:
        request = self.request("convert")
        request.operand = path
        request.flags.add("overwrite")
        return Command(request, settings_of(request)).run()

    def listed(self) -> int:
        """``user: secret`` lines to -o; the screen has no secrets."""
        output = self.values.get("output")
        wanted = self.values.get("user")
        rows = [(user, secret) for user, secret in self.entries(bool(output)) if wanted in (None, user)]
        if wanted and not rows:
            raise QpopperError(f"{wanted} has no APOP entry")
        if not output:
            print("".join(f"{user}\n" for user, _ in rows), end="")
            return DONE
        descriptor = os.open(output, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW, 0o600)
        os.fchmod(descriptor, 0o600)
        with open(descriptor, "wb") as file:
            file.writelines(user.encode() + b": " + secret + b"\n" for user, secret in rows)
        return DONE

    def entries(self, secrets: bool) -> "list[tuple[str, bytes]]":
        if self.old:
            return old_entries(self.old)
        request = self.request("list")
        command = Command(request, settings_of(request))
        command.caller.refuse_unless_administrator("list")
        return [(entry.user, entry.secret) for entry in command.editor.export("APOP", secrets)]


def ours(path: str) -> bool:
    """Whether ``path`` is, or would be, a database of mailauth's."""
    try:
        with Path(path).open("rb") as file:
            return file.read(16) == b"SQLite format 3\0"
    except FileNotFoundError:
        return not os.path.lexists(path + ".pag")


def old_entries(path: str) -> "list[tuple[str, bytes]]":
    """The users of the old program's database."""
    try:
        found = [records.decode(key, value) for key, value in sniff.read(sniff.find(path))[1]]
    except (NotReadable, ValueError) as why:
        raise QpopperError(f"{path}: {why}") from None
    return sorted((entry.user, entry.secret) for entry in found)


if __name__ == "__main__":
    raise SystemExit(main())
