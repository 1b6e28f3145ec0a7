"""Passwords against a real KDC (MIT's, from Debian), a false one, and none."""

from __future__ import annotations

import os
import pwd
import signal
import socket
from typing import TYPE_CHECKING

import pytest

from qpopper_py.auth.account import Account, Denied
from qpopper_py.auth.credentials import Password, Ticket
from qpopper_py.auth.gate import Gate
from qpopper_py.auth.kerberos import child, krb5
from qpopper_py.auth.kerberos.child import Channel, Child, Declined
from qpopper_py.auth.kerberos.keytab import refuse_untrusted
from qpopper_py.auth.sources.accounts import Accounts
from qpopper_py.auth.sources.kerberos import Kerberos
from qpopper_py.auth.sources.unix import Unix
from qpopper_py.errors import CredentialStoreError
from qpopper_py.events import Event, Trouble
from qpopper_py.facts import Facts
from tests import kdc
from tests.harness import children, open_folder

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from qpopper_py.settings import Settings
    from tests.auth.conftest import SystemUser

pytestmark = kdc.forks
needs_kdc = pytest.mark.client(*kdc.PROGRAMS)
PASSWORD = "of three words"


STRANGERS: set[int] = set()  # children of this process that tests before these have left


@pytest.fixture(scope="module", autouse=True)
def strangers() -> None:
    STRANGERS.update(children(os.getpid()))


def own_children() -> list[int]:
    return [pid for pid in children(os.getpid()) if pid not in STRANGERS]


@pytest.fixture
def folder() -> Iterator[Path]:
    with open_folder() as path:
        yield path


@pytest.fixture
def realm(folder: Path) -> Iterator[kdc.Realm]:
    with kdc.realm(folder) as made:
        made.user("alice", PASSWORD)
        yield made


@pytest.fixture
def settings(folder: Path, configure: Callable[..., Settings]) -> Settings:
    return kdc.configured(folder, configure)


@pytest.fixture
def gate(settings: Settings, heard: list[Event]) -> Gate:
    return Gate(settings, heard.append)


def troubles(heard: list[Event]) -> str:
    return "\n".join(event.what for event in heard if isinstance(event, Trouble))


@needs_kdc
def test_the_kdc_knows_who_has_the_password(realm: kdc.Realm, gate: Gate, facts: Facts, heard: list[Event]) -> None:
    account = gate.check(b"alice", PASSWORD.encode(), facts)
    assert isinstance(account, Account)
    assert (account.user, account.uid, account.source) == ("alice", 1234, "kerberos")
    denied = gate.check(b"alice", b"something else", facts)
    assert isinstance(denied, Denied)
    assert not denied.temporary
    assert heard == []
    assert own_children() == [realm.pid]


@needs_kdc
@pytest.mark.parametrize("user", [b"alice@elsewhere.example", b"mallory", b"alice\\", b"alice@POP.TEST"])
def test_a_name_stands_for_a_principal_of_one_part_as_it_is(
    realm: kdc.Realm, gate: Gate, facts: Facts, user: bytes
) -> None:
    """A realm or an instance cannot be smuggled in: the KDC of this realm has no such principal."""
    denied = gate.check(user, PASSWORD.encode(), facts)
    assert isinstance(denied, Denied)
    assert denied.why == "unknown user"


@needs_kdc
def test_whom_the_kdc_does_not_know_the_next_source_is_asked(
    realm: kdc.Realm, folder: Path, configure: Callable[..., Settings], facts: Facts
) -> None:
    settings = kdc.configured(folder, configure, auth_sources="kerberos,accounts")
    gate = Gate(settings, lambda event: None)
    assert isinstance(gate.check(b"carol", b"in the file", facts), Account)
    assert isinstance(gate.check(b"alice", b"in the file", facts), Denied)  # the KDC's no is final


@needs_kdc
@pytest.mark.parametrize(
    ("change", "why"),
    [
        ("modprinc -pwexpire yesterday", "Password has expired"),
        ("modprinc -expire yesterday", "has expired"),
        ("modprinc -allow_tix", "revoked"),
        ("modprinc +needchange", "Password has expired"),
    ],
)
def test_what_the_kdc_says_of_the_principal_holds(
    realm: kdc.Realm, gate: Gate, facts: Facts, change: str, why: str
) -> None:
    realm.admin(f"{change} alice")
    denied = gate.check(b"alice", PASSWORD.encode(), facts)
    assert isinstance(denied, Denied)
    assert why in denied.why
    assert not denied.temporary


@needs_kdc
@pytest.mark.parametrize("options", ["+requires_preauth", "-requires_preauth"])
def test_a_wrong_password_is_wrong_with_and_without_preauthentication(
    realm: kdc.Realm, gate: Gate, facts: Facts, options: str
) -> None:
    realm.admin(f"modprinc {options} alice")
    denied = gate.check(b"alice", b"something else", facts)
    assert isinstance(denied, Denied)
    assert denied.why == krb5.WRONG
    assert isinstance(gate.check(b"alice", PASSWORD.encode(), facts), Account)


@needs_kdc
def test_a_kdc_that_does_not_know_our_key_lets_nobody_in(
    realm: kdc.Realm, gate: Gate, facts: Facts, heard: list[Event], tmp_path: Path
) -> None:
    """KDC spoofing: whoever answers in the KDC's place knows any password that it likes."""
    (tmp_path / "false").mkdir()
    false = kdc.Realm(tmp_path / "false")
    false.user("alice", "the attacker's")
    with false.running():
        realm.configure(false.port)
        denied = gate.check(b"alice", b"the attacker's", facts)
    assert isinstance(denied, Denied)
    assert denied.temporary
    assert f"by a ticket for {kdc.SERVICE}@{kdc.REALM}" in troubles(heard)


@needs_kdc
def test_a_kdc_that_knows_no_service_of_ours_lets_nobody_in(
    realm: kdc.Realm, gate: Gate, facts: Facts, heard: list[Event]
) -> None:
    realm.admin(f"delprinc -force {kdc.SERVICE}")
    denied = gate.check(b"alice", PASSWORD.encode(), facts)
    assert isinstance(denied, Denied)
    assert denied.temporary
    assert "cannot show that it is one" in troubles(heard)


@needs_kdc
def test_a_kdc_that_is_down_is_our_fault(realm: kdc.Realm, gate: Gate, facts: Facts, heard: list[Event]) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))  # nobody listens
        realm.configure(taken.getsockname()[1])
        denied = gate.check(b"alice", PASSWORD.encode(), facts)
    assert isinstance(denied, Denied)
    assert denied.temporary
    assert "Cannot contact any KDC" in troubles(heard)


@needs_kdc
def test_a_kdc_that_says_nothing_is_waited_for_so_long_and_no_longer(
    realm: kdc.Realm, folder: Path, configure: Callable[..., Settings], facts: Facts, heard: list[Event]
) -> None:
    gate = Gate(kdc.configured(folder, configure, kerberos_timeout=1), heard.append)
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        silent.listen()
        realm.configure(silent.getsockname()[1])
        denied = gate.check(b"alice", PASSWORD.encode(), facts)
    assert isinstance(denied, Denied)
    assert denied.temporary
    assert "no answer in 1 s (kerberos.timeout)" in troubles(heard)
    assert own_children() == [realm.pid]


@needs_kdc
def test_passwords_can_be_left_to_the_others(
    realm: kdc.Realm, folder: Path, configure: Callable[..., Settings], facts: Facts
) -> None:
    settings = kdc.configured(folder, configure, auth_sources="kerberos,accounts", kerberos_passwords=False)
    gate = Gate(settings, lambda event: None)
    assert isinstance(gate.check(b"alice", PASSWORD.encode(), facts), Denied)
    assert isinstance(gate.check(b"carol", b"in the file", facts), Account)


@needs_kdc
def test_a_principal_has_the_account_of_its_local_name(
    realm: kdc.Realm, gate: Gate, facts: Facts, heard: list[Event]
) -> None:
    """krb5.conf's auth_to_local_names; bob's principal is alice's second one."""
    realm.user("bob", PASSWORD)
    realm.configure(realm_lines="  auth_to_local_names = {\n   bob = alice\n  }\n")
    account = gate.check(b"bob", PASSWORD.encode(), facts)
    assert isinstance(account, Account)
    assert account.user == "alice"
    realm.configure(realm_lines="  auth_to_local_names = {\n   bob = ../etc\n  }\n")
    assert isinstance(gate.check(b"bob", PASSWORD.encode(), facts), Denied)


@needs_kdc
def test_the_realm_may_be_another_than_the_default(
    realm: kdc.Realm, folder: Path, configure: Callable[..., Settings], facts: Facts
) -> None:
    realm.configure(default="ELSEWHERE.TEST")
    gate = Gate(kdc.configured(folder, configure, kerberos_realm=kdc.REALM), lambda event: None)
    assert isinstance(gate.check(b"alice", PASSWORD.encode(), facts), Account)


@needs_kdc
def test_only_keys_of_our_service_are_taken(
    realm: kdc.Realm, folder: Path, configure: Callable[..., Settings], facts: Facts, heard: list[Event]
) -> None:
    gate = Gate(kdc.configured(folder, configure, kerberos_service="imap"), heard.append)
    denied = gate.check(b"alice", PASSWORD.encode(), facts)
    assert isinstance(denied, Denied)
    assert denied.temporary
    assert "holds no key of imap/HOST (kerberos.service)" in troubles(heard)


@pytest.mark.parametrize("secret", [b"pass\0word", b"x" * 1025])
def test_passwords_that_c_could_misread_are_never_sent(
    settings: Settings, facts: Facts, secret: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("qpopper_py.auth.kerberos.labour.begin_password", lambda settings: pytest.fail("asked"))
    assert isinstance(Gate(settings, lambda event: None).check(b"alice", secret, facts), Denied)


# --------------------------------------------------------------------------------------------------------------
# The keytab


def test_a_keytab_must_be_ours_alone(tmp_path: Path) -> None:
    path = tmp_path / "keytab"
    with pytest.raises(CredentialStoreError, match=r"No such file.*ktadd"):
        refuse_untrusted(str(path))
    path.touch(0o600)
    refuse_untrusted(str(path))
    path.chmod(0o640)
    refuse_untrusted(str(path))
    for mode in (0o644, 0o660, 0o602, 0o601):
        path.chmod(mode)
        with pytest.raises(CredentialStoreError, match=r"chmod 600.*change the keys"):
            refuse_untrusted(str(path))
    with pytest.raises(CredentialStoreError, match="is not a file"):
        refuse_untrusted(str(tmp_path))
    with pytest.raises(CredentialStoreError, match="it is empty"):
        refuse_untrusted("")


@pytest.mark.root
def test_a_keytab_of_somebody_else_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "keytab"
    path.touch(0o600)
    os.chown(path, 65534, 65534)
    with pytest.raises(CredentialStoreError, match="belongs to uid 65534; run: chown root"):
        refuse_untrusted(str(path))


def test_without_a_keytab_logins_are_refused_for_now_and_the_log_says_why(
    gate: Gate, facts: Facts, heard: list[Event]
) -> None:
    denied = gate.check(b"alice", PASSWORD.encode(), facts)
    assert isinstance(denied, Denied)
    assert denied.temporary
    assert "keytab: No such file or directory; make it with kadmin's ktadd" in troubles(heard)
    assert "GSSAPI" not in gate.mechanisms(facts)


def test_without_the_library_the_log_says_what_to_install(
    gate: Gate, folder: Path, facts: Facts, heard: list[Event], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(krb5, "LIBRARY", "libkrb5-is-not-here.so")
    krb5.library.cache_clear()
    (folder / "keytab").touch(0o600)
    denied = gate.check(b"alice", PASSWORD.encode(), facts)
    assert isinstance(denied, Denied)
    assert denied.temporary
    assert "install libkrb5-3" in troubles(heard)
    assert "GSSAPI" not in gate.mechanisms(facts)


# --------------------------------------------------------------------------------------------------------------
# The process that is asked: what it may say, and how it ends


def asked(work: Callable[[Channel], None], message: bytes = b"", patience: float = 10) -> tuple[bytes, bytes]:
    process = Child(work, patience, 20)
    try:
        return process.ask(message)
    finally:
        process.close()


def test_what_is_declined_is_an_answer_and_what_fails_is_trouble() -> None:
    def declining(channel: Channel) -> None:
        channel.receive()
        raise Declined("no\nticket")

    def failing(channel: Channel) -> None:
        channel.receive()
        raise ZeroDivisionError("with a secret in it")

    kind, content = asked(declining)
    assert (kind, child.reason(content)) == (child.REFUSED, "no?ticket")
    with pytest.raises(CredentialStoreError, match=r"^Kerberos: unexpected ZeroDivisionError in the child"):
        asked(failing)


@pytest.mark.parametrize(
    ("answer", "why"),
    [
        (b"", "it ended"),
        (b"\0\0", "it ended"),
        (b"\0\0\0\5Nab", "it ended"),
        (b"\0\0\0\0", "no length"),
        (b"\xff\xff\xff\xff", "no length"),
        (b"\0\0\0\2Xx", "may not say"),
    ],
)
def test_a_child_that_is_taken_over_gains_nothing_by_other_words(answer: bytes, why: str) -> None:
    def work(channel: Channel) -> None:
        channel.receive()
        channel._sock.sendall(answer)

    with pytest.raises(CredentialStoreError, match=why):
        asked(work)


@pytest.mark.parametrize("content", [b"", b"a", b"a\0b", b"a\0b\0c\0d", b"\0b\0", b"a\0\xff\0", b"x" * 1025 + b"\0\0"])
def test_names_are_three_and_utf8(content: bytes) -> None:
    with pytest.raises(CredentialStoreError, match="named nobody"):
        child.names(content)


def test_a_child_that_hangs_or_dies_is_ended_and_reaped() -> None:
    with pytest.raises(CredentialStoreError, match=r"no answer in 0\.1 s"):
        asked(lambda channel: signal.pause(), patience=0.1)
    with pytest.raises(CredentialStoreError, match="broke off"):
        asked(lambda channel: os.kill(os.getpid(), signal.SIGKILL))
    assert own_children() == []


def test_a_child_that_is_forgotten_ends() -> None:
    Child(lambda channel: signal.pause(), 10, 20)
    assert own_children() == []


def test_a_message_that_is_too_long_is_not_taken() -> None:
    with pytest.raises(CredentialStoreError, match="too long"):
        asked(lambda channel: channel.send(child.UNKNOWN), b"x" * (child.LONGEST + 1))


def test_a_child_holds_no_descriptor_of_its_parent() -> None:
    def work(channel: Channel) -> None:
        channel.receive()
        held = [
            os.readlink(f"/proc/self/fd/{n}")
            for n in os.listdir("/proc/self/fd")
            if os.path.exists(f"/proc/self/fd/{n}")
        ]
        channel.send(child.REFUSED, "\n".join(held).encode())

    with open("/etc/passwd", "rb") as file, socket.socket():
        _, content = asked(work)
        assert file
    held = [path for path in content.decode().split("\n") if not path.startswith("/proc/")]
    assert sorted(held)[:3] == ["/dev/null"] * 3
    assert len(held) == 4
    assert held[-1].startswith("socket:")


@needs_kdc
@pytest.mark.root
def test_the_child_is_nobody_when_it_hears_of_strangers(realm: kdc.Realm, settings: Settings) -> None:
    from qpopper_py.auth.kerberos.labour import _prepared

    def work(channel: Channel) -> None:
        _prepared(settings)
        channel.receive()
        try:
            os.stat(realm.keytab)
            open(realm.keytab, "rb").close()
        except PermissionError:
            # proc(5): root's, and not nobody's, because others must not look into the process
            owner = os.stat("/proc/self/mem").st_uid
            channel.send(child.REFUSED, repr((os.getresuid(), os.getresgid(), os.getgroups(), owner)).encode())

    _, content = asked(work)
    assert content.decode() == repr(((65534,) * 3, (65534,) * 3, [], 0))


# --------------------------------------------------------------------------------------------------------------
# Tickets


@pytest.mark.parametrize(
    ("ticket", "passes"),
    [
        (Ticket("alice", "alice", "alice@POP.TEST"), True),
        (Ticket("alice", "Alice", "Alice@POP.TEST"), False),
        (Ticket("alice", "alice@evil", "alice\\@evil@POP.TEST"), False),
        (Ticket("alice", "", "alice/admin@POP.TEST"), False),
        (Ticket("", "", "alice/admin@POP.TEST"), False),
        (Ticket("mallory", "mallory", "mallory@POP.TEST"), False),
    ],
)
def test_a_ticket_is_for_its_own_local_name_whatever_names_are_turned_into(
    settings: Settings, facts: Facts, ticket: Ticket, passes: bool
) -> None:
    """Here as the gate hands it over, when auth.lowercase_user and auth.strip_domain have been at the name."""
    source = Kerberos(settings, [Accounts(settings, lambda what: None)])
    assert isinstance(source.vouch(ticket, facts), Account) is passes


# --------------------------------------------------------------------------------------------------------------
# Who may be a system user: k5login(5), which says of the file that the user or root must own it, that a line is a
# principal, that it replaces the rule by local names, and that krb5.conf's plugins section can switch it off.


class Home:
    """That of a real user, whose own principal is NAME@POP.TEST."""

    def __init__(self, user: SystemUser, folder: Path) -> None:
        self.name = user.name
        self.path = folder / "home"
        self.path.mkdir(mode=0o700)
        self.uid = pwd.getpwnam(user.name).pw_uid
        os.chown(self.path, self.uid, -1)
        user.change("usermod", "-d", str(self.path))
        folder.chmod(0o755)
        self.file = self.path / ".k5login"

    def lists(self, *principals: str, owner: int | None = None) -> None:
        self.file.write_text("".join(f"{name}\n" for name in principals))
        self.file.chmod(0o600)
        os.chown(self.file, self.uid if owner is None else owner, -1)


@pytest.fixture
def home(system_user: SystemUser, folder: Path) -> Home:
    return Home(system_user, folder)


@pytest.fixture
def source(realm: kdc.Realm, settings: Settings) -> Kerberos:
    return Kerberos(settings, [Accounts(settings, lambda what: None), Unix()])


def shown(source: Kerberos, facts: Facts, home: Home, owner: str) -> bool:
    """Whether the ticket of a principal of one name, or of a name and more, lets it be the user."""
    local = owner if "/" not in owner else ""
    said = source.vouch(Ticket(home.name, local, f"{owner}@{kdc.REALM}"), facts)
    if isinstance(said, Account):
        assert (said.user, said.uid, said.source) == (home.name, home.uid, "kerberos")
    else:
        assert isinstance(said, Denied)
        assert not said.temporary
        assert f"asked to be {home.name}: the local name of {owner}@POP.TEST is " in said.why
    return isinstance(said, Account)


@needs_kdc
@pytest.mark.root
class TestK5login:
    def test_without_one_the_local_name_counts(self, source: Kerberos, facts: Facts, home: Home) -> None:
        assert shown(source, facts, home, home.name)
        assert not shown(source, facts, home, "guest")
        assert not shown(source, facts, home, f"{home.name}/admin")

    def test_with_one_those_that_it_lists(self, source: Kerberos, facts: Facts, home: Home) -> None:
        home.lists("guest@POP.TEST", f"{home.name}/admin@POP.TEST")
        assert shown(source, facts, home, "guest")
        assert shown(source, facts, home, f"{home.name}/admin")
        assert not shown(source, facts, home, home.name)
        assert not shown(source, facts, home, "gues")
        home.lists()
        assert not shown(source, facts, home, home.name)

    def test_root_may_own_it_and_nobody_else(self, source: Kerberos, facts: Facts, home: Home) -> None:
        for owner, passes in ((0, True), (65534, False)):
            home.lists("guest@POP.TEST", owner=owner)
            home.file.chmod(0o644)
            assert shown(source, facts, home, "guest") is passes

    def test_root_does_not_read_it(self, source: Kerberos, facts: Facts, home: Home, folder: Path) -> None:
        """A link of the user's leads where the user may go, and nowhere else."""
        secret = folder / "secret"
        secret.write_text("guest@POP.TEST\n")
        secret.chmod(0o600)
        home.file.symlink_to(secret)
        assert not shown(source, facts, home, "guest")
        secret.chmod(0o644)
        assert shown(source, facts, home, "guest")

    def test_one_that_nobody_writes_to_holds_up_its_user_and_not_for_long(
        self, realm: kdc.Realm, folder: Path, configure: Callable[..., Settings], facts: Facts, home: Home
    ) -> None:
        os.mkfifo(home.file)
        os.chown(home.file, home.uid, -1)
        source = Kerberos(kdc.configured(folder, configure, kerberos_timeout=1), [Unix()])
        with pytest.raises(CredentialStoreError, match="no answer in 1 s"):
            shown(source, facts, home, home.name)
        assert own_children() == [realm.pid]

    def test_the_password_of_a_principal_that_it_does_not_list(
        self, realm: kdc.Realm, source: Kerberos, facts: Facts, home: Home
    ) -> None:
        realm.user(home.name, PASSWORD)
        password = Password(home.name, PASSWORD.encode())
        assert isinstance(source.vouch(password, facts), Account)
        home.lists("guest@POP.TEST")
        assert isinstance(source.vouch(password, facts), Denied)

    def test_the_administrator_can_do_without(
        self, realm: kdc.Realm, source: Kerberos, facts: Facts, home: Home
    ) -> None:
        home.lists("guest@POP.TEST")
        with realm.conf.open("a") as file:
            file.write("[plugins]\n localauth = {\n  disable = k5login\n }\n")
        assert not shown(source, facts, home, "guest")
        assert shown(source, facts, home, home.name)

    def test_who_reads_it_is_the_user_and_holds_no_secret_that_they_could_see(
        self, realm: kdc.Realm, settings: Settings, home: Home
    ) -> None:
        from qpopper_py.auth.kerberos import labour

        row = pwd.getpwnam(home.name)
        account = Account(home.name, row.pw_uid, row.pw_gid, system=True, login=home.name)

        def told(self: krb5.Krb5, principal: object, user: bytes) -> bool:
            owner = os.stat("/proc/self/mem").st_uid  # proc(5): root's where nobody of the same uid may look
            raise Declined(repr((os.getresuid(), os.getresgid(), sorted(os.getgroups()), owner)))

        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(krb5.Krb5, "may_be", told)
            asked = labour.begin_permission(settings, account)
            try:
                _, content = asked.ask(b"guest@POP.TEST\0" + home.name.encode())
            finally:
                asked.close()
        groups = sorted(os.getgrouplist(home.name, row.pw_gid))
        assert content.decode() == repr(((row.pw_uid,) * 3, (row.pw_gid,) * 3, groups, 0))
