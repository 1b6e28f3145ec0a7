"""System users: real accounts made by useradd, their shadow entries changed by chpasswd, chage and usermod."""

from __future__ import annotations

import ctypes
import errno
import os
import pwd
from typing import TYPE_CHECKING

import pytest

from qpopper_py.auth import crypt, nss, shadow
from qpopper_py.auth.account import Account
from qpopper_py.auth.credentials import Password
from qpopper_py.auth.gate import Denied, Gate
from qpopper_py.auth.sources.unix import Unix
from qpopper_py.events import Event, Trouble
from qpopper_py.facts import Facts

if TYPE_CHECKING:
    from collections.abc import Callable

    from qpopper_py.settings import Settings
    from tests.auth.conftest import SystemUser

SECRET = b"correct horse"
HASH = "$6$4nuf5rFYWbRtWzhG$q5mH5vBodPZ2fXXa52vDuvNqyLdlS9DwP8AhS1JUF/zZw6sB5OZTDfSwEYz2UYDt8QX5tuSSjTnHns8qGbqhK1"
YESCRYPT = "$y$j9T$iUg6V5HLWnhk3CcfXZGQe.$4R62TTwcPI.nUhj.QMLhczgHYRliB9T9jM2D8eiXwRC"
TRU64 = "LAJq/7IH8u4rUzuwqOzr8T8."  # bigcrypt
DAY = 86400


@pytest.fixture
def gate(configure: Callable[..., Settings], heard: list[Event]) -> Gate:
    return Gate(configure(), heard.append)


def why(verdict: Account | Denied) -> str:
    assert isinstance(verdict, Denied)
    assert not verdict.temporary
    return verdict.why


@pytest.mark.root
class TestRealUsers:
    @pytest.mark.parametrize("stored", [HASH, YESCRYPT, TRU64])
    def test_the_login_password_passes(
        self, gate: Gate, facts: Facts, heard: list[Event], system_user: SystemUser, stored: str
    ) -> None:
        system_user.password(stored)
        account = gate.check(system_user.name.encode(), SECRET, facts)
        row = pwd.getpwnam(system_user.name)
        assert isinstance(account, Account)
        assert (account.user, account.uid, account.gid) == (system_user.name, row.pw_uid, row.pw_gid)
        assert (account.home, account.shell, account.login) == (row.pw_dir, "/bin/sh", system_user.name)
        assert (account.system, account.source, account.maildrop) == (True, "unix", "")
        assert why(gate.check(system_user.name.encode(), b"wrong", facts)) == "wrong password"
        assert heard == []

    def test_a_new_user_has_no_password_and_cannot_log_in(
        self, gate: Gate, facts: Facts, system_user: SystemUser
    ) -> None:
        """useradd(8): the default is to disable the password."""
        assert why(gate.check(system_user.name.encode(), b"!", facts)) == "password locked"

    def test_an_empty_password_never_passes(self, gate: Gate, facts: Facts, system_user: SystemUser) -> None:
        system_user.change("passwd", "-d")
        assert "no password is set" in why(gate.check(system_user.name.encode(), SECRET, facts))
        assert why(gate.check(system_user.name.encode(), b"", facts)) == "empty password"

    @pytest.mark.parametrize("stored", ["*", "!", "!!", "!" + HASH, "*LK*" + HASH, "x", "NP"])
    def test_what_is_no_hash_locks(self, gate: Gate, facts: Facts, system_user: SystemUser, stored: str) -> None:
        system_user.password(stored)
        for secret in (SECRET, stored.encode(), b"x"):
            assert why(gate.check(system_user.name.encode(), secret, facts)) in ("password locked", "wrong password")

    def test_a_user_locked_by_usermod_is_locked(self, gate: Gate, facts: Facts, system_user: SystemUser) -> None:
        system_user.password(HASH)
        system_user.change("usermod", "-L")
        assert why(gate.check(system_user.name.encode(), SECRET, facts)) == "password locked"

    def test_an_expired_account_is_refused_by_every_secret(
        self, gate: Gate, facts: Facts, system_user: SystemUser, mailauth: Callable[..., None]
    ) -> None:
        system_user.password(HASH)
        system_user.change("usermod", "-e", "2020-01-01")
        assert why(gate.check(system_user.name.encode(), SECRET, facts)) == "account expired"
        mailauth(system_user.name, "POP", b"mail password")
        assert why(gate.check(system_user.name.encode(), b"mail password", facts)) == "account expired"
        assert why(gate.check(system_user.name.encode(), b"wrong", facts)) == "wrong mail password"

    def test_an_account_that_expires_later_is_open(self, gate: Gate, facts: Facts, system_user: SystemUser) -> None:
        system_user.password(HASH)
        system_user.change("usermod", "-e", "2099-01-01")
        assert isinstance(gate.check(system_user.name.encode(), SECRET, facts), Account)

    @pytest.mark.parametrize(
        ("words", "reason"),
        [
            (("-d", "2020-01-01", "-M", "30"), "password expired"),
            (("-d", "2020-01-01", "-M", "30", "-I", "9999"), "password expired"),
            (("-d", "0"), "password must be changed first"),
        ],
    )
    def test_an_expired_password_is_refused_and_a_mail_password_is_not(
        self,
        gate: Gate,
        facts: Facts,
        system_user: SystemUser,
        mailauth: Callable[..., None],
        words: tuple[str, ...],
        reason: str,
    ) -> None:
        system_user.password(HASH)
        system_user.change("chage", *words)
        assert why(gate.check(system_user.name.encode(), SECRET, facts)) == reason
        mailauth(system_user.name, "POP", b"mail password")
        assert isinstance(gate.check(system_user.name.encode(), b"mail password", facts), Account)

    def test_an_apop_entry_alone_locks_the_login_password_out(
        self, gate: Gate, facts: Facts, system_user: SystemUser, mailauth: Callable[..., None]
    ) -> None:
        system_user.password(HASH)
        mailauth(system_user.name, "APOP", b"tanstaaf")
        assert "APOP entry alone" in why(gate.check(system_user.name.encode(), SECRET, facts))
        name = system_user.name.encode()
        account = gate.begin("APOP", facts).step(name + b" c4c9334bac560ecc979e58001b3e22fb")
        assert isinstance(account, Account)
        assert (account.source, account.system) == ("mailauth", True)

    def test_a_hash_that_nothing_here_knows_is_trouble(
        self, gate: Gate, facts: Facts, heard: list[Event], system_user: SystemUser
    ) -> None:
        system_user.password("$99$salt$hash")
        denied = gate.check(system_user.name.encode(), SECRET, facts)
        assert isinstance(denied, Denied)
        assert denied.temporary
        assert len(heard) == 1
        assert isinstance(heard[0], Trouble)
        assert "$99$" in heard[0].what

    def test_without_root_nobody_is_told_who_exists(self, system_user: SystemUser) -> None:
        """The same verdict and the same trouble, which says what to do, for a user and for none."""
        system_user.password(HASH)
        verdicts = [without_root(name) for name in (system_user.name, "nobody-is-called-so")]
        assert verdicts[0] == verdicts[1]
        assert verdicts[0].startswith("True")
        assert "start as root" in verdicts[0]

    def test_root_is_refused_whatever_the_password(self, gate: Gate, facts: Facts) -> None:
        assert why(gate.check(b"root", SECRET, facts)) == "uid 0"


def without_root(name: str) -> str:
    """(temporary, trouble) of a login by a gate in a child that is nobody."""
    reader, writer = os.pipe()
    child = os.fork()
    if child == 0:
        heard: list[Event] = []
        try:
            os.setgroups([])
            os.setresgid(65534, 65534, 65534)
            os.setresuid(65534, 65534, 65534)
            verdict = Gate(settings_of_nobody(), heard.append).check(name.encode(), SECRET, Facts("s"))
            said = f"{getattr(verdict, 'temporary', '')} {[getattr(event, 'what', '') for event in heard]}"
            os.write(writer, said.encode())
        finally:
            os._exit(0)
    os.close(writer)
    with open(reader, "rb") as file:
        said = file.read().decode()
    os.waitpid(child, 0)
    return said


def settings_of_nobody() -> Settings:
    from qpopper_py.settings import Settings

    return Settings([("the test", {"auth.sources": "unix"})])


class Row:
    """What NSS might say: a row of the passwd map of the test's own."""

    def __init__(self, passwd: str = "x", uid: int = 1000, name: str = "alice") -> None:
        self.fields = (name, passwd, uid, 1000, "", "/home/alice", "/bin/sh")

    @property
    def row(self) -> pwd.struct_passwd:
        return pwd.struct_passwd(self.fields)


@pytest.fixture
def say(monkeypatch: pytest.MonkeyPatch, facts: Facts) -> Callable[..., Account | Denied | None]:
    """The verdict of the source about ``SECRET`` on day 20000, when NSS says this."""

    def ask(
        row: Row | None, hidden: shadow.Shadow | None, secret: bytes = SECRET, age: bool = True
    ) -> Account | Denied | None:
        monkeypatch.setattr(nss, "row", lambda user: row.row if row else None)
        monkeypatch.setattr(shadow, "entry", lambda user: hidden)
        monkeypatch.setattr(shadow, "readable", lambda: True)
        return Unix(age, clock=lambda: 20000.5 * DAY).vouch(Password("alice", secret), facts)

    return ask


def hidden(stored: str = HASH, changed: int = 19990, longest: int = 99999, expires: int = -1) -> shadow.Shadow:
    return shadow.Shadow(stored.encode(), changed, longest, expires)


class TestWhatNssSays:
    @pytest.mark.parametrize("passwd", ["x", "##alice", "*NP*"])
    def test_marks_that_mean_the_shadow_entry(self, say: Callable[..., object], passwd: str) -> None:
        assert isinstance(say(Row(passwd), hidden()), Account)

    @pytest.mark.parametrize("passwd", ["*", "!", "!" + HASH, ""])
    def test_a_lock_in_the_passwd_field_counts_whatever_the_shadow_entry_says(
        self, say: Callable[..., object], passwd: str
    ) -> None:
        assert isinstance(say(Row(passwd), hidden()), Denied)

    def test_a_hash_in_the_passwd_field_is_used(self, say: Callable[..., object]) -> None:
        """As NIS has it."""
        assert isinstance(say(Row(HASH), None), Account)
        assert isinstance(say(Row(HASH), None, b"wrong"), Denied)

    def test_a_mark_without_a_shadow_entry_is_refused(self, say: Callable[..., object]) -> None:
        assert isinstance(say(Row(), None), Denied)

    @pytest.mark.parametrize(
        ("entry", "passes"),
        [
            (hidden(expires=20001), True),
            (hidden(expires=20000), False),  # pam_unix: the day itself is too late
            (hidden(expires=19999), False),
            (hidden(expires=0), False),
            (hidden(changed=19990, longest=10), True),
            (hidden(changed=19989, longest=10), False),
            (hidden(changed=19990, longest=-1), True),
            (hidden(changed=-1, longest=10), True),
            (hidden(changed=0, longest=99999), False),
            (hidden(changed=20005, longest=10), True),  # the clock was put back
        ],
    )
    def test_days(self, say: Callable[..., object], entry: shadow.Shadow, passes: bool) -> None:
        assert isinstance(say(Row(), entry), Account if passes else Denied)

    @pytest.mark.parametrize(
        ("entry", "passes"),
        [
            (hidden(changed=19989, longest=10), True),
            (hidden(changed=0, longest=99999), True),
            (hidden(changed=19989, longest=10, expires=20000), False),
        ],
    )
    def test_days_where_the_age_of_passwords_does_not_matter(
        self, say: Callable[..., object], entry: shadow.Shadow, passes: bool
    ) -> None:
        """Qpopper's check-password-expired = false (pop_pass.c): sp_max is not looked at, sp_expire is."""
        assert isinstance(say(Row(), entry, age=False), Account if passes else Denied)
        assert isinstance(say(Row(), entry, b"wrong", age=False), Denied)

    @pytest.mark.parametrize("name", ["../etc", ".x", "a/b"])
    def test_a_name_that_nss_makes_of_it_is_checked_too(self, say: Callable[..., object], name: str) -> None:
        assert isinstance(say(Row(name=name), hidden()), Denied)

    def test_the_account_has_the_name_that_nss_has(self, say: Callable[..., object]) -> None:
        account = say(Row(name="Alice"), hidden())
        assert isinstance(account, Account)
        assert (account.user, account.login) == ("Alice", "Alice")

    @pytest.mark.parametrize(
        ("row", "entry"),
        [
            (Row(), hidden("!")),
            (Row(), hidden("")),
            (Row("*"), hidden()),
            (Row(), None),
            (Row(), hidden(expires=1)),
            (Row(uid=0), hidden()),
            (Row(uid=0), hidden("*")),
            (Row(), hidden(YESCRYPT[:-1] + "x")),
        ],
    )
    def test_every_refusal_costs_one_hash(
        self, say: Callable[..., object], monkeypatch: pytest.MonkeyPatch, row: Row, entry: shadow.Shadow | None
    ) -> None:
        hashed: list[str] = []
        real = crypt.verify
        monkeypatch.setattr(crypt, "waste", lambda secret: hashed.append("wasted"))
        monkeypatch.setattr(crypt, "verify", lambda secret, stored: hashed.append("verified") or real(secret, stored))
        assert isinstance(say(row, entry), Denied)
        assert len(hashed) == 1


def test_spelling_does_not_get_around_an_entry(
    configure: Callable[..., Settings],
    mailauth: Callable[..., None],
    monkeypatch: pytest.MonkeyPatch,
    facts: Facts,
) -> None:
    """NSS of some directories matches names in any case; alice's APOP entry counts for ALICE."""
    monkeypatch.setattr(nss, "row", lambda user: Row().row if user.lower() == "alice" else None)
    monkeypatch.setattr(shadow, "entry", lambda user: hidden())
    mailauth("alice", "APOP", b"tanstaaf")
    gate = Gate(configure(), lambda event: None)
    assert "APOP entry alone" in why(gate.check(b"ALICE", SECRET, facts))
    account = gate.begin("APOP", facts).step(b"ALICE c4c9334bac560ecc979e58001b3e22fb")
    assert isinstance(account, Account)
    assert account.user == "alice"


@pytest.mark.parametrize("credential", ["PLAIN", "APOP"])
def test_an_unknown_user_costs_what_a_known_one_does(
    credential: str, configure: Callable[..., Settings], facts: Facts, monkeypatch: pytest.MonkeyPatch
) -> None:
    wasted: list[bytes] = []
    monkeypatch.setattr(crypt, "waste", wasted.append)
    monkeypatch.setattr(shadow, "readable", lambda: True)
    gate = Gate(configure(), lambda event: None)
    said = b"\0nobody-is-called-so\0" + SECRET if credential == "PLAIN" else b"nobody-is-called-so " + b"0" * 32
    assert isinstance(gate.begin(credential, facts).step(said), Denied)
    assert wasted == ([SECRET] if credential == "PLAIN" else [])


def test_a_user_that_does_not_exist_is_none() -> None:
    assert nss.row("nobody-is-called-so") is None


@pytest.mark.parametrize(
    ("code", "fails"),
    [(0, False), ("ENOENT", False), ("ESRCH", False), ("EIO", True), ("ETIMEDOUT", True), ("ECONNREFUSED", True)],
)
def test_a_look_up_that_fails_is_not_a_user_that_does_not_exist(
    code: int | str, fails: bool, gate: Gate, facts: Facts, heard: list[Event], monkeypatch: pytest.MonkeyPatch
) -> None:
    """getpwnam_r(3): which errors mean "not found"; pwd says KeyError for all of them."""

    class Library:
        def __init__(self, name: str | None) -> None:
            pass

        def getpwnam_r(self, *arguments: object) -> int:
            return getattr(errno, code) if isinstance(code, str) else code

    with monkeypatch.context() as patch:
        patch.setattr(ctypes, "CDLL", Library)
        patch.setattr(shadow, "entry", lambda user: None)
        patch.setattr(shadow, "readable", lambda: True)
        patch.setattr(crypt, "waste", lambda secret: None)
        denied = gate.check(b"nobody-is-called-so", SECRET, facts)
    assert isinstance(denied, Denied)
    assert denied.temporary is fails
    assert len(heard) == fails


def test_a_shadow_map_that_cannot_be_read_refuses_for_now(
    gate: Gate, facts: Facts, heard: list[Event], monkeypatch: pytest.MonkeyPatch
) -> None:
    class Library:
        def __init__(self, name: str | None) -> None:
            pass

        def getspnam_r(self, *arguments: object) -> int:
            return errno.EIO

    monkeypatch.setattr(nss, "row", lambda user: Row().row)
    with monkeypatch.context() as patch:
        patch.setattr(ctypes, "CDLL", Library)
        denied = gate.check(b"alice", SECRET, facts)
    assert isinstance(denied, Denied)
    assert denied.temporary
    assert len(heard) == 1


def test_where_the_c_library_has_no_shadow_map_the_passwd_map_has_the_hash(
    facts: Facts, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As on the BSDs, for root."""
    crypt.verify(SECRET, HASH)  # libcrypt is loaded
    monkeypatch.setattr(nss, "row", lambda user: Row(HASH).row)
    monkeypatch.setattr(ctypes, "CDLL", lambda name: object())
    assert isinstance(Unix().vouch(Password("alice", SECRET), facts), Account)


@pytest.mark.root
def test_a_long_shadow_entry_is_read_whole(system_user: SystemUser) -> None:
    """getspnam_r(3) says ERANGE when the buffer is too small for the line."""
    system_user.password("!" + "x" * 5000)
    entry = shadow.entry(system_user.name)
    assert entry is not None
    assert entry.stored == b"!" + b"x" * 5000


@pytest.mark.root
def test_the_fields_of_a_shadow_entry(system_user: SystemUser) -> None:
    system_user.password(HASH)
    system_user.change("chage", "-d", "2020-01-01", "-M", "30", "-E", "2021-01-01")
    entry = shadow.entry(system_user.name)
    assert entry is not None
    assert (entry.stored.decode(), entry.changed, entry.longest, entry.expires) == (HASH, 18262, 30, 18628)
    assert shadow.entry("nobody-is-called-so") is None
    assert HASH not in repr(entry)
