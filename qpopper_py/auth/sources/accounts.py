"""Accounts that are not system users: accounts.file (:mod:`qpopper_py.auth.passwdfile`).

Of user@domain the line ``user`` of the file accounts.domains/domain comes first, if there is one.  A user without a
domain, of whom there is a line in accounts.domains/ADDRESS, is user@ADDRESS: that which the client called
(getpwnam_ip_virtual() in libauth/virtual.c of GNU mailutils).

The password field holds a hash, with ``{SCHEME}`` or in crypt(3)'s form; an empty one leaves the user the entries
of the mailauth database.

Extra fields, with blanks between them: ``userdb_mail=mbox:FILE`` (or ``mbox:FOLDER:INBOX=FILE``) or
``maildir:FOLDER`` (or ``maildir:FOLDER:INBOX=FOLDER``), ``allow_nets=NETWORK,...``, ``nologin``.  Fields of Dovecot's
that decide who gets in, where and as whom, and that we do not have, refuse the login; any other is reported as
ignored, once.

Whose the maildrops are: accounts.owner's, else the line's uid and gid; without root always our own.
The file is read at each login: a change counts at once.
"""

import os
import pwd

from qpopper_py.auth import crypt, passwdfile
from qpopper_py.auth.account import Account, Denied
from qpopper_py.auth.credentials import Credential, Md5Proof, Password, Proof, Response, Sha1Proof, Sha256Proof, Shared
from qpopper_py.auth.maildrops import expand
from qpopper_py.auth.sources import Directory
from qpopper_py.errors import CredentialStoreError, MissingLibrary

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from qpopper_py.auth.scram import Salting
    from qpopper_py.facts import Facts
    from qpopper_py.settings import Settings

KNOWN = frozenset({"userdb_mail", "allow_nets", "nologin"})
# To ignore one of these would be to let somebody in, or to the wrong mail.
REFUSED = frozenset(
    {
        "allow_real_nets",
        "host",
        "master",
        "noauthenticate",
        "nopassword",
        "original_user",
        "pass",
        "user",
        "userdb_gid",
        "userdb_home",
        "userdb_uid",
        "userdb_user",
        "username",
    }
)


# What a password field of a scheme can answer beside the password itself.
ANSWERS: "dict[str, tuple[type[Credential], ...]]" = {
    **dict.fromkeys(("PLAIN", "CLEAR", "CLEARTEXT"), (Response, Md5Proof, Sha1Proof, Sha256Proof)),
    "SCRAM-SHA-1": (Sha1Proof,),
    "SCRAM-SHA-256": (Sha256Proof,),
}


class Accounts(Directory):
    """``warn`` hears what an administrator should mend though it works, each thing once."""

    name = "accounts"
    kinds = (Password, Shared)

    def __init__(self, settings: "Settings", warn: "Callable[[str], None]") -> None:
        self._settings = settings
        self._warn = warn
        self._warned: set[str] = set()

    def find(self, user: str, facts: "Facts") -> Account | Denied | None:
        user = self._full(user, facts)
        line = self._line(user)
        return None if line is None else self._judge(user, line, facts)

    def vouch(self, credential: Credential, facts: "Facts") -> Account | Denied | None:
        credential = credential.named(self._full(credential.user, facts))
        line = self._line(credential.user)
        if line is None:
            return None
        verdict = self._judge(credential.user, line, facts)
        if isinstance(credential, Shared):
            return _shown(credential, line, verdict)
        assert isinstance(credential, Password)  # by kinds
        if not line.password or line.password[0] in "*!":
            crypt.waste(credential.secret)
            why = "password locked" if line.password else "no password in accounts.file and no POP entry"
            return Denied(credential.user, why)
        try:
            matched = crypt.verify(credential.secret, line.password)
        except MissingLibrary as why:
            raise MissingLibrary(f"{line.where}: {why}") from None
        if matched or isinstance(verdict, Denied):
            return verdict
        return Denied(credential.user, "wrong password")

    def ready(self) -> "tuple[type[Credential], ...]":
        """CRAM-MD5 takes a clear password in the file, SCRAM that or its own keys."""
        kinds: set[type[Credential]] = {Password}
        if self._settings.accounts_file:
            for scheme in passwdfile.schemes(self._settings.accounts_file, self._trusted(), ANSWERS):
                kinds.update(ANSWERS[scheme])
        return tuple(kinds)

    def salting(self, user: str, method: str) -> "Salting | None":
        from qpopper_py.auth import schemes

        line = self._line(user)
        kept = schemes.scram(line.password.encode("utf-8", "surrogateescape"), method) if line else None
        return kept[0] if kept else None

    def _trusted(self) -> int:
        """The uid that, beside root, may own the file."""
        owner = self._settings.accounts_owner
        return _owner(owner).pw_uid if owner and os.geteuid() == 0 else 0

    def _full(self, user: str, facts: "Facts") -> str:
        """The name with the domain that the called address stands for, if it does."""
        folder, called = self._settings.accounts_domains, facts.local.partition("%")[0]
        if folder and called and "@" not in user and self._found(f"{folder}/{called}", user, absent=True):
            return f"{user}@{called}"
        return user

    def _line(self, user: str) -> passwdfile.Line | None:
        name, _, domain = user.partition("@")
        folder = self._settings.accounts_domains
        if folder and domain and (line := self._found(f"{folder}/{domain.lower()}", name, absent=True)):
            return line
        return self._found(self._settings.accounts_file, user) if self._settings.accounts_file else None

    def _found(self, path: str, user: str, absent: bool = False) -> passwdfile.Line | None:
        """The user's line in that file, which may be ``absent``."""
        if absent:
            try:
                os.lstat(path)
            except FileNotFoundError:
                return None
            except OSError as why:
                raise CredentialStoreError(f"{path}: {why.strerror}; accounts.domains names its folder") from None
        line, exposed = passwdfile.find(path, user, self._trusted())
        if exposed and line is not None and line.password:
            self._warn_once(f"{path} holds password hashes and everybody may read it; run: chmod o-r {path}")
        return line

    def _judge(self, user: str, line: passwdfile.Line, facts: "Facts") -> Account | Denied:
        """The account of a line, or why it may not log in.  Raises CredentialStoreError for a damaged line."""
        self._look_at_extra(line)
        if "nologin" in line.extra:
            return Denied(user, f"{line.where}: nologin")
        if "allow_nets" in line.extra and not _within(facts.peer, line):
            return Denied(user, f"{line.where}: allow_nets does not hold this address")
        uid, gid, login = self._ids(line)
        if uid == 0 and os.geteuid() == 0:
            return Denied(user, f"{line.where}: uid 0")
        maildrop = self._maildrop(user, line)
        return Account(user, uid, gid, line.home, maildrop, source=self.name, shell=line.fields[6], login=login)

    def _look_at_extra(self, line: passwdfile.Line) -> None:
        for name in line.extra:
            if name in REFUSED or name.startswith(("proxy", "forward_")):
                raise CredentialStoreError(
                    f"{line.where}: extra field {name} is not supported, and to ignore it would not be safe; remove it"
                )
            if name not in KNOWN:
                self._warn_once(f"{line.where}: extra field {name} is ignored")

    def _ids(self, line: passwdfile.Line) -> tuple[int, int, str]:
        """(uid, gid, system user whose groups go with them)."""
        if os.geteuid() != 0:
            return os.geteuid(), os.getegid(), ""
        if self._settings.accounts_owner:
            owner = _owner(self._settings.accounts_owner)
            return owner.pw_uid, owner.pw_gid, owner.pw_name
        if not line.fields[2]:
            raise CredentialStoreError(f"{line.where}: no uid; give one (field 3), or set accounts.owner")
        return *line.ids(), ""

    def _maildrop(self, user: str, line: passwdfile.Line) -> str:
        name = "userdb_mail" if "userdb_mail" in line.extra else "accounts.maildrop"
        template = _place(line) if "userdb_mail" in line.extra else self._settings.accounts_maildrop
        try:
            return expand(template, user, line.home) if template else ""
        except ValueError as why:
            raise CredentialStoreError(f"{line.where}: {name} = {template!r} {why}") from None

    def _warn_once(self, what: str) -> None:
        if what not in self._warned:
            self._warned.add(what)
            self._warn(what)


def _shown(credential: Shared, line: passwdfile.Line, verdict: Account | Denied) -> Account | Denied | None:
    """What the line says of a secret that was not told; None: its field cannot answer."""
    from qpopper_py.auth import schemes

    stored = line.password.encode("utf-8", "surrogateescape")
    kept = schemes.scram(stored, credential.method) if isinstance(credential, Proof) else None
    if kept is not None and isinstance(credential, Proof):
        proved = credential.fits(kept[1])
    else:
        secret = schemes.clear(stored)
        if secret is None:
            return None
        proved = credential.proves(secret)
    return verdict if proved or isinstance(verdict, Denied) else Denied(credential.user, "wrong response")


def _owner(name: str) -> pwd.struct_passwd:
    try:
        return pwd.getpwnam(name)
    except KeyError:
        raise CredentialStoreError(f"accounts.owner = {name!r}: there is no such system user") from None


def _place(line: passwdfile.Line) -> str:
    """What ``userdb_mail`` names: the file of ``mbox:FILE`` or ``mbox:FOLDER:INBOX=FILE``, or ``maildir:FOLDER``."""
    form, _, rest = line.extra["userdb_mail"].partition(":")
    path, *options = rest.split(":")
    if form not in ("mbox", "maildir") or not path:
        raise CredentialStoreError(
            f"{line.where}: userdb_mail takes mbox:FILE or maildir:FOLDER; other kinds of mailbox are not served"
        )
    for option in options:
        if option.startswith("INBOX="):
            path = option[len("INBOX=") :]
    return path if form == "mbox" else f"maildir:{path}"


def _within(peer: str, line: passwdfile.Line) -> bool:
    """Whether ``peer`` is in allow_nets; ``local`` there: a client that has no address."""
    import ipaddress

    words = [word for word in line.extra["allow_nets"].split(",") if word]
    try:
        networks = [ipaddress.ip_network(word, strict=False) for word in words if word != "local"]
    except ValueError as why:
        raise CredentialStoreError(f"{line.where}: allow_nets: {why}") from None
    try:
        address = ipaddress.ip_address(peer.partition("%")[0])
    except ValueError:  # none, or that of a local socket
        return "local" in words
    if isinstance(address, ipaddress.IPv6Address) and address.ipv4_mapped:
        address = address.ipv4_mapped
    return any(address in network for network in networks)
