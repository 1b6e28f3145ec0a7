"""The command mailauth(8): the database of POP, APOP and IMAP secrets, as Tru64's administrators know it.

root and the account ``mailauth.owner`` administer it; everybody else has their own entry, by sudo's leave.
Each change is one line in the log, naming who did it, and never a secret.
"""

import os
import sys
from collections.abc import Sequence
from pathlib import Path

from qpopper_py import __version__
from qpopper_py.auth import crypt
from qpopper_py.auth.account import Account, Denied
from qpopper_py.auth.authdb_edit import Editor, create, upgrade_file
from qpopper_py.errors import ConfigurationError, CredentialStoreError, QpopperError
from qpopper_py.settings import Settings
from qpopper_py.stamp import FORMAT, header
from qpopper_py.tools import mailauth_options, mailauth_text, our_settings
from qpopper_py.tools.mailauth_convert import convert, some
from qpopper_py.tools.mailauth_effect import what_works
from qpopper_py.tools.mailauth_options import Request
from qpopper_py.tools.mailauth_rights import Caller, find_account, record, stored_name
from qpopper_py.tools.mailauth_secret import Asker, Unchanged, crypt_hash, dovecot_hash

DONE, FAILED, USAGE = 0, 1, 2


def main(argv: "Sequence[str] | None" = None) -> int:
    """Do what the command line asks for; the exit status: 0 done, 1 not done, 2 wrong usage."""
    os.umask(0o022)  # folders for all to pass, whatever the caller's; files have modes of their own
    try:
        request = mailauth_options.parse(sys.argv[1:] if argv is None else argv)
        if request.action in ("help", "version"):
            print(mailauth_options.USAGE if request.action == "help" else f"mailauth (qpopper_py) {__version__}")
            return DONE
        if request.action == "hash":
            print(crypt_hash(Asker("stdin" in request.flags).new("an accounts file")))
            return DONE
        return Command(request, settings_of(request)).run()
    except ConfigurationError as why:
        return complain(why, USAGE)
    except QpopperError as why:
        return complain(why, FAILED)
    except KeyboardInterrupt:
        print(file=sys.stderr)
        return complain("interrupted; nothing was changed", FAILED)
    except BrokenPipeError:  # list | head
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return FAILED
    except OSError as why:
        return complain(f"{why.filename or 'standard input or output'}: {why.strerror}", FAILED)


def settings_of(request: Request) -> Settings:
    """The server's settings, as the server reads them."""
    try:
        return our_settings.read(request.settings).settings
    except ConfigurationError as why:
        if os.geteuid() == 0:
            raise
        raise ConfigurationError(f"{why}\n  (or run: sudo mailauth)") from None


def complain(why: object, status: int) -> int:
    print(f"mailauth: {why}", file=sys.stderr)
    if status == USAGE:
        print("mailauth: see mailauth --help", file=sys.stderr)
    return status


class Command:
    """One request, and what it is done with."""

    def __init__(self, request: Request, settings: Settings) -> None:
        if not settings.mailauth_database:
            raise QpopperError("mailauth.database is empty: no database is configured")
        self.request = request
        self.settings = settings
        self.caller = Caller(settings, os.environ)
        self.asker = Asker("stdin" in request.flags)
        self.where = (settings.mailauth_database, settings.mailauth_key, settings.mailauth_owner)
        self.path = self.where[0]
        self.editor = Editor(*self.where)

    def run(self) -> int:
        action = self.request.action
        if action != "own":
            self.caller.refuse_unless_administrator(f"{action} {self.request.operand}".strip())
        actions = {
            "init": self.init,
            "convert": self.convert,
            "list": self.list,
            "delete": self.delete,
            "add": self.add,
            "passwd": self.passwd,
            "own": self.own,
            "export": self.export,
            "import": self.import_,
        }
        return actions[action]()

    def init(self) -> int:
        older = None if "force" in self.request.flags else self.upgraded()
        if older is not None:
            print(f"{self.path} had format {older} and now has format {FORMAT}; its entries are as they were")
            return DONE
        if os.path.lexists(self.path) and "force" not in self.request.flags:
            print(f"Really initialize the mail authorization database {self.path}? ", end="", flush=True)
            if not sys.stdin.readline().strip().lower().startswith("y"):
                raise Unchanged(f"{self.path} was not initialized; it is as it was")
        self.create()
        return DONE

    def upgraded(self) -> int | None:
        """The older format that the database had until now; None: it had none, or is no database of ours."""
        try:
            return upgrade_file(*self.where)
        except CredentialStoreError as why:
            print(f"mailauth: {why}", file=sys.stderr)
            return None

    def create(self) -> None:
        create(*self.where)
        print(f"initialized {self.path}; the key of APOP secrets is {self.where[1]}")
        self.record(f"{self.path} initialized")

    def create_if_missing(self) -> None:
        if header(self.path) is None:
            self.caller.refuse_unless_administrator("init")
            self.create()

    def convert(self) -> int:
        if not self.request.operand:
            older = self.upgraded()
            print(f"{self.path}: " + ("in the present format" if older is None else f"brought from format {older}"))
            print("to take over an older program's database name it: mailauth convert FILE")
            return DONE
        self.create_if_missing()
        overwrite = "overwrite" in self.request.flags
        result = convert(self.editor, self.request.operand, overwrite)
        for line in result.summary(overwrite):
            print(line)
        strangers = [user for user in result.new + result.there if find_account(self.settings, user) is None]
        if strangers:
            print(f"no users here, so they cannot log in: {some(strangers)}")
        self.record(f"{len(result.new)} APOP entries converted from {result.path}")
        if overwrite and result.there:
            self.record(f"{len(result.there)} APOP entries replaced from {result.path}: {some(result.there)}")
        return FAILED if result.damaged else DONE

    def list(self) -> int:
        for user, type_ in self.editor.entries(self.request.type):
            print(f"{user:<16} {type_}")
        return self.exists()

    def exists(self) -> int:
        if header(self.path) is None:
            raise CredentialStoreError(f"there is no database {self.path}; root makes it: mailauth init")
        return DONE

    def delete(self) -> int:
        user = self.request.operand
        gone = self.editor.remove(user, self.request.type)
        if not gone:
            kind = self.request.type + " " if self.request.type else ""
            raise QpopperError(f"no {kind}entry for {user!r} in {self.path}")
        self.record(f"{user}: {' and '.join(gone)} entry deleted")
        print(f"{user}: {' and '.join(gone)} entry deleted")
        self.tell(user, self.account(user, None))
        return DONE

    def add(self) -> int:
        user = stored_name(self.settings, self.request.operand)
        account = self.account(user, "use --force to add it all the same")
        user = account.user if isinstance(account, Account) else user
        if user != self.request.operand:
            print(f"{self.request.operand} is kept as {user}, the name that the server looks for")
        self.create_if_missing()
        self.change(user, self.type_for(user), account)
        return DONE

    def passwd(self) -> int:
        user = stored_name(self.settings, self.request.operand)
        type_ = self.type_for(user)
        if type_ not in self.editor.types(user):
            raise QpopperError(f"{user} has no {type_} entry; to make one: mailauth add {user} --type {type_}")
        self.change(user, type_, self.account(user, None))
        return DONE

    def own(self) -> int:
        user = self.caller.refuse_unless_own()
        self.exists()
        account = self.account(stored_name(self.settings, user), "ask the administrator")
        user = account.user if isinstance(account, Account) else user
        type_ = self.type_for(user)
        if self.editor.types(user):
            self.refuse_unless_old(user, type_)
        self.change(user, type_, account)
        return DONE

    def refuse_unless_old(self, user: str, type_: str) -> None:
        """Ask for the present secret: of the entry that will be changed, else of any that the user has."""
        types = self.editor.types(user)
        old = self.asker.old()
        for one in [type_] if type_ in types else sorted(types):
            stored = self.editor.stored(user, one) or b""
            if one == "APOP" and crypt.same(self.editor.opened(user, stored), old):
                return
            if one == "POP" and self.editor.check_pop(user, old):
                return
            if one == "IMAP" and crypt.verify(old, stored):
                return
        self.record(f"{user}: wrong old password, {type_} entry not changed")
        raise Unchanged("Sorry, password entered incorrectly; nothing was changed")

    def type_for(self, user: str) -> str:
        """The type asked for; else the one there is; else APOP."""
        types = sorted(self.editor.types(user))
        if self.request.type or not types:
            return self.request.type or "APOP"
        if len(types) > 1 and self.request.action == "own":
            return self.asker.which(types)  # sudo's rule lets no --type pass
        if len(types) > 1:
            raise QpopperError(f"{user} has {' and '.join(types)} entries; say which with --type")
        return types[0]

    def change(self, user: str, type_: str, account: "Account | Denied | None") -> None:
        secret = self.asker.new(f"{user}, type {type_}")
        was_there = self.editor.put(user, type_, dovecot_hash(secret) if type_ == "IMAP" else secret)
        done = "changed" if was_there else "added"
        self.record(f"{user}: {type_} entry {done}")
        print(f"{user}: {type_} entry {done}")
        self.tell(user, account)

    def account(self, user: str, otherwise: str | None) -> Account | Denied | None:
        """The user's account.  QpopperError if there is none, unless ``otherwise`` is None, or with --force."""
        try:
            account = find_account(self.settings, user)
        except CredentialStoreError:
            if otherwise is not None:
                raise
            return None
        if account is not None or otherwise is None or "force" in self.request.flags:
            return account
        places = "NSS" + (f" and {self.settings.accounts_file}" if self.settings.accounts_file else "")
        raise QpopperError(f"Sorry, {user} is not in {places}; {otherwise}")

    def tell(self, user: str, account: "Account | Denied | None") -> None:
        print(what_works(self.settings, user, self.editor.types(user), account))

    def export(self) -> int:
        self.exists()
        secrets = mailauth_text.export(self.editor, self.request)
        self.record(f"{self.path} exported {'with' if secrets else 'without'} secrets")
        return DONE

    def import_(self) -> int:
        path = self.request.operand
        entries = mailauth_text.read(sys.stdin.buffer.read() if path == "-" else Path(path).read_bytes(), path)
        self.create_if_missing()
        overwrite = "overwrite" in self.request.flags
        new, there = self.editor.put_all(entries, overwrite)
        print(f"imported {len(new) + (len(there) if overwrite else 0)} entries from {path}")
        if there:
            fate = "were replaced" if overwrite else "are here already and were kept (--overwrite replaces them)"
            print(f"{len(there)} {fate}: {some([f'{entry.user} {entry.type}' for entry in there])}")
        self.record(f"{len(new)} entries imported from {path}, {len(there)} {'replaced' if overwrite else 'kept'}")
        return DONE

    def record(self, what: str) -> None:
        record(self.settings, f"{what} by {self.caller.actor}")


if __name__ == "__main__":
    raise SystemExit(main())
