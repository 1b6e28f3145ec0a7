"""Qpopper's popauth(8) under its three names, over the database of mailauth(8).

An entry of type APOP is what Qpopper's had: the secret itself, which APOP, CRAM-MD5 and SCRAM all go by.  So the three
names do the same here, and nothing is ever cleared by one that another set: popauth and apopauth speak of APOP,
scramauth of SCRAM.  Qpopper's own mechanism SCRAM-MD5, a draft that no RFC became of, goes by the same entry.
"""

import os
import sys
from collections.abc import Sequence

from qpopper_py import __version__
from qpopper_py.auth import crypt
from qpopper_py.auth.account import Account
from qpopper_py.auth.authdb_edit import Editor, create
from qpopper_py.auth.secretbox import owner_uid
from qpopper_py.errors import ConfigurationError, CredentialStoreError, QpopperError
from qpopper_py.settings import Settings
from qpopper_py.stamp import header
from qpopper_py.tools import popauth_line
from qpopper_py.tools.mailauth import settings_of
from qpopper_py.tools.mailauth_options import Request
from qpopper_py.tools.mailauth_rights import Caller, find_account, owns, record, stored_name
from qpopper_py.tools.mailauth_secret import Unchanged, prompt
from qpopper_py.tools.popauth_line import MODES, USAGE, Line

DONE, FAILED = 0, 1
CLEARED = "*"  # in place of a password: the user has none any more
APOP = "APOP"


def main(argv: "Sequence[str] | None" = None, called: str = "") -> int:
    """Do what the line asks for; the exit status: 0 done, 1 anything else.  ``called``: the path of the command."""
    os.umask(0o022)
    name = os.path.basename(called or sys.argv[0])
    if name not in MODES:
        print(f"Unknown mode: {name}", file=sys.stderr)
        return FAILED
    try:
        line = popauth_line.parse(sys.argv[1:] if argv is None else argv)
    except ConfigurationError as why:
        print(f"{name}: {why}\n{USAGE.format(name=name)}", file=sys.stderr)
        return FAILED
    if line.action in ("help", "version"):
        print(USAGE.format(name=name) if line.action == "help" else f"{name} (qpopper_py) {__version__}")
        return DONE
    try:
        request = Request()
        request.settings = line.settings
        return Command(name, line, settings_of(request)).run()
    except (Unchanged, QpopperError) as why:
        print(str(why) if isinstance(why, Unchanged) else f"{name}: {why}", file=sys.stderr)
    except KeyboardInterrupt:
        print(f"\n{name}: interrupted; nothing was changed", file=sys.stderr)
    except OSError as why:
        print(f"{name}: {why.filename or 'standard input or output'}: {why.strerror}", file=sys.stderr)
    return FAILED


class Command:
    """One line, and what it is done with."""

    def __init__(self, name: str, line: Line, settings: Settings) -> None:
        if not settings.mailauth_database:
            raise QpopperError("mailauth.database is empty: no database is configured")
        self.name = name
        self.field = "SCRAM" if name == "scramauth" else APOP
        self.line = line
        self.settings = settings
        self.caller = Caller(settings, os.environ)
        self.where = (settings.mailauth_database, settings.mailauth_key, settings.mailauth_owner)
        self.path = self.where[0]
        self.editor = Editor(*self.where)
        self.traced = trace_file(line.trace, self.caller) if line.trace else -1

    def run(self) -> int:
        self.note(f"{self.line.action} by {self.caller.actor}, database {self.path}")
        actions = {"init": self.init, "list": self.list, "user": self.user, "delete": self.delete, "own": self.own}
        status = actions[self.line.action]()
        self.note(f"exit status {status}")
        return status

    def note(self, what: str) -> None:
        """A line for -debug or -trace; never a secret."""
        if self.line.debug:
            print(f"[{self.name}] {what}", file=sys.stderr)
        if self.traced >= 0:
            os.write(self.traced, f"[{self.name} {os.getpid()}] {what}\n".encode("utf-8", "backslashreplace"))

    def init(self) -> int:
        if self.caller.euid != 0:
            raise QpopperError("Only superuser can perform the requested function")
        if os.path.lexists(self.path):
            if self.line.safe:
                print(f"POP authentication DB not initialized (exists): {self.path}")
                return DONE
            print("Really initialize POP authentication DB? ", end="", flush=True)
            if not sys.stdin.readline().lower().startswith("y"):
                return FAILED
        create(*self.where)
        self.record(f'db "{self.path}" initialized by "{self.caller.actor}"')
        return DONE

    def list(self) -> int:
        asked = self.line.user
        if not asked or asked == self.caller.name:
            self.may_change_itself()
            return self.show(self.caller.name)
        self.administer()
        if asked != "ALL":
            return self.show(stored_name(self.settings, asked))
        self.there()
        for user, _ in self.editor.entries(APOP):
            print(row(user))
        return DONE

    def show(self, user: str) -> int:
        self.there()
        if APOP not in self.editor.types(user):
            raise QpopperError(f'no entry for "{user}" in POP authentication DB')
        print(row(user))
        return DONE

    def delete(self) -> int:
        self.administer()
        self.there()
        user = stored_name(self.settings, self.line.user)
        if APOP not in self.editor.types(user):
            raise QpopperError(f'no entry for "{user}" in POP authentication DB')
        print(f'Warning: deleting user "{user}"', file=sys.stderr)
        self.editor.remove(user, APOP)
        self.record(f'user "{user}" deleted by "{self.caller.actor}" from db "{self.path}"')
        return DONE

    def user(self) -> int:
        self.administer()
        user = self.known(self.line.user)
        had = self.announce(user)
        if self.line.password is None:
            return self.put(user, popauth_line.asked(self.secret_of(user) if had else None))
        print(f"{self.name}: warning: who is on this host can read a password in a command line", file=sys.stderr)
        if self.line.password == CLEARED:
            return self.clear(user, had)
        if not self.line.password:
            raise Unchanged("Password unchanged.")
        return self.put(user, popauth_line.usable(os.fsencode(self.line.password)))

    def own(self) -> int:
        user = self.known(self.may_change_itself())
        had = self.announce(user)
        old = self.secret_of(user) if had else None
        privileged = self.caller.uid in (0, owner_uid(self.settings.mailauth_owner))
        if old is not None and not privileged and not crypt.same(old, prompt("Old password:")):
            self.record(f'user "{user}" not changed: wrong old password')
            raise Unchanged("Sorry, password entered incorrectly")
        return self.put(user, popauth_line.asked(old))

    # ------------------------------------------------------------------------------------------------------------

    def administer(self) -> None:
        """QpopperError unless we have the rights of root or of the database's owner (sudo lets users pass no words)."""
        owner = owner_uid(self.settings.mailauth_owner)
        if self.caller.euid not in (0, owner) and not owns(self.path, self.caller.euid):
            raise QpopperError(
                f'Only superuser or user "{self.settings.mailauth_owner}" can perform the requested function'
            )

    def may_change_itself(self) -> str:
        """The caller's own name; NotAllowed if our rights do not reach the database."""
        return self.caller.refuse_unless_own()

    def there(self) -> None:
        if header(self.path) is None:
            raise CredentialStoreError(
                f"there is no POP authentication DB {self.path}; root makes it: {self.name} -init"
            )

    def known(self, typed: str) -> str:
        """The name by which an account's entry is kept; QpopperError if there is no such account."""
        self.there()
        account = find_account(self.settings, stored_name(self.settings, typed))
        if not isinstance(account, Account):
            raise QpopperError(f"Sorry, don't know who user {typed} is.")
        return account.user

    def announce(self, user: str) -> bool:
        """Say what is about to happen; whether there is an entry."""
        had = APOP in self.editor.types(user)
        print(f"{'Changing' if had else 'Adding'} only {self.field} password for {user}.", file=sys.stderr)
        return had

    def secret_of(self, user: str) -> bytes | None:
        return self.editor.apop_secret(user)

    def put(self, user: str, secret: bytes) -> int:
        had = self.editor.put(user, APOP, secret)
        done = "changed" if had else "added"
        self.record(f'user "{user}" {done} by "{self.caller.actor}" in db "{self.path}"')
        return DONE

    def clear(self, user: str, had: bool) -> int:
        """A password * : the user has none any more, so PASS is open again."""
        if had:
            self.editor.remove(user, APOP)
            self.record(f'user "{user}" cleared by "{self.caller.actor}" in db "{self.path}"')
        return DONE

    def record(self, what: str) -> None:
        self.note(what)
        record(self.settings, f"{self.name}: {what}")


def row(user: str) -> str:
    """A line of -list: the name in 16 columns, and what the entry serves."""
    return f"{user:<16}: {APOP} SCRAM"


def trace_file(path: str, caller: Caller) -> int:
    """The file of -trace, opened with the rights of the person who calls, no link followed (CVE-2001-1487)."""
    if caller.uid != caller.euid:
        raise QpopperError("-trace is not for who runs this by sudo: the file would be written with another's rights")
    return os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC, 0o600)


if __name__ == "__main__":
    raise SystemExit(main())
