"""Targets of what administrators and old servers wrote: options, settings, accounts, hosts, passwords, uids."""

from __future__ import annotations

from typing import TYPE_CHECKING
from unittest import mock

from qpopper_py.auth import crypt
from qpopper_py.auth.account import Account, Denied
from qpopper_py.auth.credentials import Password
from qpopper_py.auth.sources.accounts import Accounts
from qpopper_py.errors import ConfigurationError, CredentialStoreError, MissingLibrary, QpopperError
from qpopper_py.facts import Facts
from qpopper_py.legacy_dbm import NotReadable, records, sniff
from qpopper_py.personality import commandline, config_text
from qpopper_py.personality.qpopper import directives, language, own
from qpopper_py.serve import hosts_tables
from qpopper_py.settings import Settings
from qpopper_py.tools import uid_lists

from . import scratch

if TYPE_CHECKING:
    from collections.abc import Callable

FACTS = Facts("s-1", "192.0.2.7", 1025, "192.0.2.1", 110)
PARTS = b"\f"  # between two files of a target


def tell(why: Exception) -> None:
    """A refusal must say something."""
    assert str(why)


def said(what: Callable[[], object]) -> object:
    """What comes of a configuration; an error is words for a person."""
    try:
        return what()
    except ConfigurationError as why:
        tell(why)
        return None


def toml(data: bytes) -> None:
    """pop3d.toml."""
    values = said(lambda: config_text.parse(data, "pop3d.toml"))
    if isinstance(values, dict):
        said(lambda: Settings([("pop3d.toml", {name: raw for name, (raw, _) in values.items()})]))


def command_line(data: bytes) -> None:
    """Options, each ended by a NUL as in /proc/PID/cmdline."""
    words = [word.decode("utf-8", "surrogateescape") for word in data.split(b"\0")]
    said(lambda: commandline.read(["--config=none", *words], {}, euid=65534))


def passwd_file(data: bytes) -> None:
    """accounts.file: alice's line, whatever the file.  No line may let her in whose password is another."""
    path = scratch.put(scratch.folder("accounts") / "accounts", data)
    values = {"auth.sources": "accounts", "accounts.file": path, "accounts.maildrop": "/mail/%n"}
    source = Accounts(Settings([("fuzz", values)]), lambda what: None)
    # What it takes to compute a hash is told by the hash itself, and no business of this target.
    plain = [b"{PLAIN}secret", b"secret"]
    with (
        mock.patch.object(crypt, "verify", lambda secret, stored: stored.encode("utf-8", "surrogateescape") in plain),
        mock.patch.object(crypt, "waste", return_value=None),
    ):
        try:
            verdict = source.vouch(Password("alice", b"secret"), FACTS)
        except (CredentialStoreError, MissingLibrary) as why:
            tell(why)
            return
    assert verdict is None or isinstance(verdict, Account | Denied)
    if isinstance(verdict, Account):
        assert verdict.user == "alice"
        assert verdict.uid > 0
        assert any(line.startswith(b"alice:") and b"secret" in line for line in data.split(b"\n"))


def password_hashes(data: bytes) -> None:
    """The password field of such a line: a hash of some scheme; those that say how much work they are not."""
    stored = data.decode("utf-8", "surrogateescape")
    if "$" in stored or "rounds" in stored or "_" in stored:
        return
    try:
        right = crypt.verify(b"a secret of nobody", stored)
    except MissingLibrary:
        return
    if right:
        assert stored.startswith("{")
        assert b"a secret of nobody" in data or len(data) > 12


def hosts_access(data: bytes) -> None:
    """hosts.allow and hosts.deny, FF between them; every file of patterns is the second one."""
    allow, _, deny = data.partition(PARTS)
    folder = scratch.folder("hosts")
    paths = [scratch.put(folder / name, text) for name, text in (("allow", allow), ("deny", deny))]
    patterns = deny.decode("utf-8", "surrogateescape").split("\n")
    client = hosts_tables.Client(FACTS, "pop3d", lambda what: None)
    client._name = "pc7.example.org"
    real = hosts_tables.lines_of
    with mock.patch.object(hosts_tables, "lines_of", lambda path: real(path) if "\0" in path else patterns):
        try:
            answer = hosts_tables.granted(client, *paths)
        except OSError:
            return  # nobody is let in, as hosts_access says
    assert isinstance(answer, bool)
    options = any(line.count(b":") > 1 for line in allow.replace(b"\\\n", b"").split(b"\n"))
    if not deny.strip() and not options:
        assert answer, "refused by tables that refuse nobody"


def legacy_dbm(data: bytes) -> None:
    """An old database by each reader, and by the one that its first octets ask for."""
    readers: list[Callable[[bytes], list[tuple[bytes, bytes]]]] = [*sniff.READERS.values()]
    try:
        readers.append(sniff.READERS[sniff.sniff("/etc/pop.auth", data)])
    except NotReadable as why:
        tell(why)
    for read in readers:
        try:
            pairs = read(data)
        except NotReadable as why:
            tell(why)
            continue
        for key, value in pairs:
            try:
                entry = records.decode(key, value)
            except ValueError:
                continue
            assert entry.user
            assert b"\0" not in entry.secret
    name, _, value = data.partition(PARTS)
    try:
        records.decode(name, value)
    except ValueError:
        pass


def uid_files(data: bytes) -> None:
    """What import-uids reads, by each of its readers."""
    for read, _, _ in uid_lists.KINDS.values():
        try:
            found = read(data, "")
        except QpopperError as why:
            tell(why)
            continue
        assert all(one.octets >= -1 for one in found.given)
    assert uid_lists.kind_of("", data) in (*uid_lists.KINDS, uid_lists.HEADERS)


def qpopper_config(data: bytes) -> None:
    """Qpopper's configuration file, and a second that it may name: ``/other``."""
    first, _, other = data.partition(PARTS)
    files = {"/config": first, "/other": other}
    read = lambda path: files.get(path, b"")  # noqa: E731  # a file that is not there is empty here
    found = said(lambda: directives.layers(language.statements("/config", read, directives.KINDS), []))
    if isinstance(found, directives.Found):
        said(lambda: Settings(found.layers))


HARMLESS = {"expire", "login_delay_announced", "bulletins.new_users", "uidl", "timeout", "update_on_abort"}
HARMLESS |= {"status_headers", "mbox.internal"}


def qpopper_own(data: bytes) -> None:
    """A user's own options: whatever stands there, nothing but what is harmless changes, and nobody is kept out."""
    home = scratch.folder("home")
    scratch.put(home / ".qpopper-options", data)
    before = Settings([("fuzz", {"user_options": "home"})])
    warnings: list[str] = []
    after = own.settled(before, "alice", str(home), warnings.append)
    assert after.values.keys() - before.values.keys() <= HARMLESS
    assert all(after.values[name] == value for name, value in before.values.items())
    assert all(warnings)


TARGETS = (
    toml,
    command_line,
    passwd_file,
    password_hashes,
    hosts_access,
    legacy_dbm,
    uid_files,
    qpopper_config,
    qpopper_own,
)
