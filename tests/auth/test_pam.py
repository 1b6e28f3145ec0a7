"""System users by real PAM: service files of the test's own, pam_unix, pam_faillock, pam_time, pam_exec (pam(8))."""

from __future__ import annotations

import ctypes
import os
import pwd
import re
import secrets
import subprocess
import time
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from qpopper_py.auth import nss, order, pam
from qpopper_py.auth.account import Account
from qpopper_py.auth.credentials import Digest, Password
from qpopper_py.auth.gate import Denied, Gate
from qpopper_py.auth.sources.pam import PamSource
from qpopper_py.errors import CredentialStoreError, MissingLibrary
from qpopper_py.events import Event, Trouble
from qpopper_py.facts import Facts
from tests.harness import open_folder

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from qpopper_py.settings import Settings
    from tests.auth.conftest import SystemUser

SECRET = b"correct horse"
HASH = "$6$4nuf5rFYWbRtWzhG$q5mH5vBodPZ2fXXa52vDuvNqyLdlS9DwP8AhS1JUF/zZw6sB5OZTDfSwEYz2UYDt8QX5tuSSjTnHns8qGbqhK1"
COMMON = "auth required pam_unix.so\naccount required pam_unix.so\n"


class Service:
    """A service of PAM's that exists for one test."""

    def __init__(self) -> None:
        self.name = "qptest-" + secrets.token_hex(6)
        self.path = Path("/etc/pam.d") / self.name
        self.write(COMMON)

    def write(self, text: str) -> None:
        self.path.write_text(text)


@pytest.fixture
def service() -> Iterator[Service]:
    """Asking for this is asking for root: mark the test so."""
    made = Service()
    try:
        yield made
    finally:
        made.path.unlink()


@pytest.fixture
def gate(service: Service, configure: Callable[..., Settings], heard: list[Event]) -> Gate:
    return Gate(configure(pam_service=service.name), heard.append)


@pytest.fixture
def user(system_user: SystemUser) -> SystemUser:
    system_user.password(HASH)
    return system_user


def why(verdict: Account | Denied, temporary: bool = False) -> str:
    assert isinstance(verdict, Denied)
    assert verdict.temporary is temporary
    return verdict.why


def check(gate: Gate, user: SystemUser, facts: Facts, secret: bytes = SECRET) -> Account | Denied:
    return gate.check(user.name.encode(), secret, facts)


@pytest.mark.root
class TestRealPam:
    def test_the_login_password_passes_and_the_account_is_nss_s(
        self, gate: Gate, user: SystemUser, facts: Facts, heard: list[Event]
    ) -> None:
        account = check(gate, user, facts)
        row = pwd.getpwnam(user.name)
        assert isinstance(account, Account)
        assert (account.user, account.uid, account.gid, account.home) == (
            user.name,
            row.pw_uid,
            row.pw_gid,
            row.pw_dir,
        )
        assert (account.source, account.system, account.login, account.shell) == ("pam", True, user.name, "/bin/sh")
        assert heard == []

    def test_a_wrong_password_is_refused(self, gate: Gate, user: SystemUser, facts: Facts, heard: list[Event]) -> None:
        assert why(check(gate, user, facts, b"wrong")) == "PAM auth: Authentication failure"
        assert why(gate.check(b"nobody-is-called-so", SECRET, facts)) == "unknown user"
        assert heard == []

    def test_no_delay_of_a_module_is_slept(self, gate: Gate, service: Service, user: SystemUser, facts: Facts) -> None:
        """pam_faildelay(8) asks for an hour; the test is over long before."""
        service.write("auth optional pam_faildelay.so delay=3600000000\n" + COMMON)
        assert why(check(gate, user, facts, b"wrong")) == "PAM auth: Authentication failure"

    @pytest.mark.parametrize("secret", [b"", b"correct horse\0x", b"x" * 512, b"\xff\xfe"])
    def test_what_cannot_be_the_password_is_refused(
        self, gate: Gate, user: SystemUser, facts: Facts, heard: list[Event], secret: bytes
    ) -> None:
        check_ = PamSource(settings_of(gate)).vouch
        assert why(check(gate, user, facts, secret))
        if secret:
            assert isinstance(check_(Password(user.name, secret), facts), Denied)
        assert heard == []

    def test_an_empty_password_never_passes(self, gate: Gate, service: Service, user: SystemUser, facts: Facts) -> None:
        """Even where pam_unix has nullok: PAM_DISALLOW_NULL_AUTHTOK."""
        service.write("auth required pam_unix.so nullok\naccount required pam_unix.so\n")
        user.change("passwd", "-d")
        for secret in (b"x", b""):
            assert why(check(gate, user, facts, secret))

    def test_root_never_gets_in_and_pam_is_not_asked(
        self, gate: Gate, service: Service, facts: Facts, tmp_path: Path
    ) -> None:
        service.write(f"auth required pam_exec.so /usr/bin/touch {tmp_path}/asked\nauth required pam_permit.so\n")
        assert why(gate.check(b"root", SECRET, facts)) == "uid 0"
        assert not (tmp_path / "asked").exists()

    @pytest.mark.parametrize(
        ("program", "words"),
        [("usermod", ("-e", "2020-01-01")), ("chage", ("-d", "0")), ("chage", ("-d", "2020-01-01", "-M", "30"))],
    )
    def test_an_expired_account_or_password_is_refused(
        self, gate: Gate, user: SystemUser, facts: Facts, program: str, words: tuple[str, ...]
    ) -> None:
        user.change(program, *words)
        assert why(check(gate, user, facts)).startswith("PAM account: ")

    @pytest.mark.parametrize(
        "words", [("-d", "0"), ("-d", "2020-01-01", "-M", "30"), ("-d", "2020-01-01", "-M30", "-I2")]
    )
    def test_where_the_age_of_passwords_does_not_matter_only_the_account_s_does(
        self,
        service: Service,
        configure: Callable[..., Settings],
        heard: list[Event],
        user: SystemUser,
        facts: Facts,
        words: tuple[str, ...],
    ) -> None:
        """auth.password_age = false; the last is past its inactive days too (PAM_AUTHTOK_EXPIRED)."""
        gate = Gate(configure(pam_service=service.name, auth_password_age=False), heard.append)
        user.change("chage", *words)
        assert isinstance(check(gate, user, facts), Account)
        assert why(check(gate, user, facts, b"wrong")).startswith("PAM auth: ")
        user.change("usermod", "-e", "2020-01-01")
        assert why(check(gate, user, facts)).startswith("PAM account: ")

    def test_a_locked_password_is_refused(self, gate: Gate, user: SystemUser, facts: Facts) -> None:
        user.change("usermod", "-L")
        assert why(check(gate, user, facts)).startswith("PAM auth: ")

    def test_a_name_that_pam_lets_in_and_nss_does_not_know_is_nobody(
        self, gate: Gate, service: Service, facts: Facts
    ) -> None:
        service.write("auth required pam_permit.so\naccount required pam_permit.so\n")
        assert "no user of NSS" in why(gate.check(b"nobody-is-called-so", SECRET, facts))

    @pytest.mark.parametrize(
        "text",
        ["auth required pam_no_such_module.so\n", "auth required pam_debug.so auth=authinfo_unavail\n"],
    )
    def test_a_module_that_does_not_work_is_our_fault_and_the_same_for_everybody(
        self, gate: Gate, service: Service, user: SystemUser, facts: Facts, heard: list[Event], text: str
    ) -> None:
        service.write(text)
        for name in (user.name, "nobody-is-called-so"):
            assert why(gate.check(name.encode(), SECRET, facts), temporary=True) == "could not be checked"
        assert len(heard) == 2
        for event in heard:
            assert isinstance(event, Trouble)
            assert f"/etc/pam.d/{service.name}" in event.what
            assert "correct horse" not in event.what

    def test_modules_learn_client_service_and_password_and_no_remote_user(
        self, gate: Gate, service: Service, user: SystemUser, facts: Facts
    ) -> None:
        with open_folder() as folder:
            script = folder / "tell"
            script.write_text(f'#!/bin/sh\n(env | grep ^PAM_ | sort; cat) > {folder}/told\necho "to the client"\n')
            script.chmod(0o755)
            service.write(f"auth required pam_exec.so expose_authtok {script}\n" + COMMON)
            assert isinstance(check(gate, user, facts), Account)
            told = (folder / "told").read_text().rstrip("\0").splitlines()
        assert f"PAM_SERVICE={service.name}" in told
        assert f"PAM_TTY={service.name}" in told
        assert "PAM_RHOST=192.0.2.7" in told
        assert f"PAM_USER={user.name}" in told
        assert not [line for line in told if line.startswith("PAM_RUSER")]
        assert told[-1] == SECRET.decode()

    def test_a_session_is_opened_and_closed_only_if_asked_for(
        self, service: Service, user: SystemUser, facts: Facts, configure: Callable[..., Settings], heard: list[Event]
    ) -> None:
        with open_folder() as folder:
            script = folder / "tell"
            script.write_text(f"#!/bin/sh\necho $PAM_TYPE >> {folder}/told\n")
            script.chmod(0o755)
            service.write(COMMON + f"session required pam_exec.so {script}\n")
            told = folder / "told"
            for session, types in ((False, []), (True, ["open_session", "close_session"])):
                gate = Gate(configure(pam_service=service.name, pam_session=session), heard.append)
                assert isinstance(check(gate, user, facts), Account)
                assert (told.read_text().split() if told.exists() else []) == types
            service.write(COMMON + "session required pam_deny.so\n")
            assert why(check(gate, user, facts), temporary=True)

    def test_faillock_locks_out_and_forgives_after_a_login(
        self, gate: Gate, service: Service, user: SystemUser, facts: Facts, tmp_path: Path
    ) -> None:
        """As in the sample etc/pam.d/pop3; faillock(8) shows and resets."""
        options = f"deny=2 unlock_time=600 dir={tmp_path}/faillock"
        service.write(
            f"auth required pam_faillock.so preauth {options}\n"
            "auth [success=1 default=ignore] pam_unix.so\n"
            f"auth [default=die] pam_faillock.so authfail {options}\n"
            f"auth sufficient pam_faillock.so authsucc {options}\n"
            f"account required pam_faillock.so {options}\naccount required pam_unix.so\n"
        )
        assert why(check(gate, user, facts, b"wrong"))
        assert isinstance(check(gate, user, facts), Account)
        for _ in range(2):
            assert why(check(gate, user, facts, b"wrong"))
        assert why(check(gate, user, facts)).startswith("PAM ")
        subprocess.run(["faillock", "--dir", f"{tmp_path}/faillock", "--user", user.name, "--reset"], check=True)
        assert isinstance(check(gate, user, facts), Account)

    @pytest.mark.parametrize("c2", [False, True])
    def test_the_sample_does_what_it_says(
        self, gate: Gate, service: Service, user: SystemUser, facts: Facts, tmp_path: Path, c2: bool
    ) -> None:
        """etc/pam.d/pop3 includes Debian's common files; its C2 lines lock out after five wrong passwords."""
        text = (Path(__file__).resolve().parents[2] / "etc/pam.d/pop3").read_text()
        if not Path("/etc/pam.d/common-auth").exists():
            pytest.skip("no /etc/pam.d/common-auth: not Debian's PAM")
        if c2:
            lines = [
                line.removeprefix("#") if re.match(r"#(auth|account) ", line) else line for line in text.split("\n")
            ]
            text = "\n".join(lines).replace("@include common-auth", "#")
            text = re.sub(r"(pam_faillock\.so.*)", rf"\1 dir={tmp_path}/faillock", text)
            assert text.count("dir=") == 4
        service.write(text)
        assert isinstance(check(gate, user, facts), Account)
        for _ in range(5):
            assert why(check(gate, user, facts, b"wrong"))
        assert isinstance(check(gate, user, facts), Denied if c2 else Account)

    def test_a_login_by_apop_obeys_the_account_rules_and_no_failed_one_touches_them(
        self,
        gate: Gate,
        service: Service,
        user: SystemUser,
        facts: Facts,
        mailauth: Callable[..., None],
    ) -> None:
        """RFC 1939 section 7's secret; faillock's account part resets its count, so it must not be asked too early."""
        from tests.harness import digest

        mailauth(user.name, "APOP", b"tanstaaf")
        right = f"{user.name} {digest(facts.stamp, 'tanstaaf')}".encode()
        wrong = f"{user.name} {digest(facts.stamp, 'wrong')}".encode()
        account = gate.begin("APOP", facts).step(right)
        assert isinstance(account, Account)
        assert account.source == "mailauth"
        with open_folder() as folder:
            service.write(f"auth required pam_deny.so\naccount required pam_exec.so /usr/bin/touch {folder}/asked\n")
            assert isinstance(gate.begin("APOP", facts).step(wrong), Denied)
            assert not (folder / "asked").exists()
            assert isinstance(gate.begin("APOP", facts).step(right), Account)
            assert (folder / "asked").exists()
        service.write("account required pam_deny.so\n")
        assert why(gate.begin("APOP", facts).step(right)).startswith("PAM account: ")  # type: ignore[arg-type]

    def test_the_age_of_the_login_password_does_not_matter_to_a_mail_password(
        self, gate: Gate, user: SystemUser, facts: Facts, mailauth: Callable[..., None]
    ) -> None:
        mailauth(user.name, "POP", b"mail password")
        user.change("chage", "-d", "2020-01-01", "-M", "30", "-I", "1")
        assert isinstance(check(gate, user, facts, b"mail password"), Account)
        user.change("usermod", "-e", "2020-01-01")
        assert why(check(gate, user, facts, b"mail password")).startswith("PAM account: ")

    @pytest.mark.parametrize(("times", "open_"), [("Al0000-2400", True), ("!Al0000-2400", False)])
    def test_pam_time_is_obeyed(
        self,
        gate: Gate,
        service: Service,
        user: SystemUser,
        facts: Facts,
        tmp_path: Path,
        times: str,
        open_: bool,
    ) -> None:
        conf = tmp_path / "time.conf"
        conf.write_text(f"{service.name};{service.name};{user.name};{times}\n")
        service.write(f"{COMMON}account required pam_time.so conffile={conf}\n")
        assert isinstance(check(gate, user, facts), Account if open_ else Denied)

    @pytest.mark.parametrize(("origin", "open_"), [("192.0.2.", True), ("198.51.100.", False)])
    def test_pam_access_sees_the_client_s_address(
        self,
        gate: Gate,
        service: Service,
        user: SystemUser,
        facts: Facts,
        tmp_path: Path,
        origin: str,
        open_: bool,
    ) -> None:
        conf = tmp_path / "access.conf"
        conf.write_text(f"+:{user.name}:{origin}\n-:ALL:ALL\n")
        service.write(f"{COMMON}account required pam_access.so accessfile={conf}\n")
        assert isinstance(check(gate, user, facts), Account if open_ else Denied)

    def test_many_transactions_leave_no_descriptor_open(self, gate: Gate, user: SystemUser, facts: Facts) -> None:
        check(gate, user, facts)
        before = os.listdir("/proc/self/fd")
        for _ in range(10):
            check(gate, user, facts, b"wrong")
        assert len(os.listdir("/proc/self/fd")) == len(before)

    def test_refusals_cost_alike(
        self, service: Service, user: SystemUser, facts: Facts, configure: Callable[..., Settings]
    ) -> None:
        """Unknown and locked users cost processor time as a wrong password does, within a factor of three."""
        user.password("$y$j9T$iUg6V5HLWnhk3CcfXZGQe.$4R62TTwcPI.nUhj.QMLhczgHYRliB9T9jM2D8eiXwRC")
        gate = Gate(configure(pam_service=service.name, mailauth_database=""), lambda event: None)

        def cost(name: str) -> float:
            spent = []
            for _ in range(5):
                began = time.process_time()
                assert isinstance(gate.check(name.encode(), b"wrong", facts), Denied)
                spent.append(time.process_time() - began)
            return min(spent)

        costs = [cost(user.name), cost("nobody-is-called-so"), cost("root")]
        user.change("usermod", "-L")
        costs.append(cost(user.name))
        assert max(costs) < 3 * min(costs), costs


def settings_of(gate: Gate) -> Settings:
    return gate._settings


class TestConversation:
    """pam_conv(3)."""

    def answer(self, transaction: pam.Pam, *styles: int) -> tuple[int, list[bytes | None]]:
        class Message(ctypes.Structure):
            _fields_ = [("style", ctypes.c_int), ("text", ctypes.c_char_p)]

        class Response(ctypes.Structure):
            _fields_ = [("text", ctypes.c_char_p), ("code", ctypes.c_int)]

        messages = [Message(style, b"?") for style in styles]
        array = (ctypes.POINTER(Message) * len(messages))(*map(ctypes.pointer, messages))
        out = ctypes.c_void_p()
        code = transaction._answer(len(messages), array, ctypes.pointer(out), None)
        if not out:
            return code, []
        answers = ctypes.cast(out, ctypes.POINTER(Response))
        return code, [answers[number].text for number in range(len(messages))]

    @pytest.fixture
    def transaction(self) -> Iterator[pam.Pam]:
        try:
            pam.library()
        except MissingLibrary as missing:
            pytest.skip(str(missing))
        with pam.Pam("other", "nobody-is-called-so", "192.0.2.7", SECRET) as transaction:
            yield transaction

    def test_questions_for_a_password_get_it_and_messages_get_nothing(self, transaction: pam.Pam) -> None:
        asked = (pam.TEXT_INFO, pam.PROMPT_ECHO_OFF, pam.ERROR_MSG)
        assert self.answer(transaction, *asked) == (pam.SUCCESS, [None, SECRET, None])
        assert not transaction.asked_for_more

    @pytest.mark.parametrize("style", [2, 5, 7, 99])
    def test_any_other_question_is_refused_whole(self, transaction: pam.Pam, style: int) -> None:
        assert self.answer(transaction, pam.PROMPT_ECHO_OFF, style) == (pam.CONV_ERR, [])
        assert transaction.asked_for_more

    def test_what_libpam_must_not_see_is_an_error_to_it(self, transaction: pam.Pam) -> None:
        assert transaction._answer(1, None, None, None) == pam.CONV_ERR

    def test_no_repr_holds_the_secret(self, transaction: pam.Pam) -> None:
        assert "horse" not in repr(transaction)


def test_without_libpam_a_login_is_refused_for_now_and_says_what_to_install(
    configure: Callable[..., Settings], facts: Facts, heard: list[Event], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pam, "LIBRARY", "libpam-is-not-here.so.0")
    monkeypatch.setattr(pam, "_found", [])
    gate = Gate(configure(auth_sources="pam"), heard.append)
    assert why(gate.check(b"nobody-is-called-so", SECRET, facts), temporary=True)
    assert isinstance(heard[0], Trouble)
    assert "install libpam0g" in heard[0].what


def test_pam_says_nothing_about_digests(configure: Callable[..., Settings], facts: Facts) -> None:
    assert PamSource(configure()).vouch(Digest("alice", "<1@x>", b"0" * 32), facts) is None


def test_a_service_that_cannot_begin_names_its_file(facts: Facts, monkeypatch: pytest.MonkeyPatch) -> None:
    class Refusing:
        def __getattr__(self, name: str) -> Callable[..., object]:
            return lambda *arguments: 26 if name == "pam_start" else b"Critical error"

    library = pam.library()
    monkeypatch.setattr(library, "pam", Refusing())
    with pytest.raises(CredentialStoreError, match=r"PAM service pop3: Critical error; is there /etc/pam\.d/pop3"):
        pam.Pam("pop3", "alice", "192.0.2.7")


class TestWhichSource:
    def test_system_is_pam_where_the_service_has_a_file(
        self, tmp_path: Path, configure: Callable[..., Settings], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(order, "FOLDERS", (f"{tmp_path}/etc", f"{tmp_path}/usr"))
        settings = configure(pam_service="POP3-x")
        assert order.order(settings) == ["mailauth", "unix"]
        assert order.explained(settings) == f"system is unix: there is no {tmp_path}/etc/pop3-x (pam.service)"
        (tmp_path / "usr").mkdir()
        (tmp_path / "usr/pop3-x").touch()
        assert order.order(settings) == ["mailauth", "pam"]
        assert order.explained(settings) == f"system is pam, by {tmp_path}/usr/pop3-x"

    @pytest.mark.parametrize("root", [True, False])
    @pytest.mark.parametrize(
        ("sources", "asked", "without_root"),
        [
            ("mailauth,pam", ["mailauth", "accounts", "pam"], ["mailauth", "accounts"]),
            ("pam,unix", ["accounts", "pam", "unix"], ["accounts"]),
            ("mailauth", ["mailauth", "accounts"], ["mailauth", "accounts"]),
            ("unix,accounts", ["unix", "accounts"], ["unix", "accounts"]),
            ("mailauth,saslauthd", ["mailauth", "saslauthd"], ["mailauth", "saslauthd"]),
            ("saslauthd,unix", ["saslauthd", "accounts", "unix"], ["saslauthd", "accounts"]),
        ],
    )
    def test_where_the_accounts_file_is_asked(
        self,
        configure: Callable[..., Settings],
        monkeypatch: pytest.MonkeyPatch,
        sources: str,
        asked: list[str],
        without_root: list[str],
        root: bool,
    ) -> None:
        monkeypatch.setattr(os, "geteuid", lambda: 0 if root else 1000)
        settings = configure(auth_sources=sources, accounts_file="/somewhere")
        assert order.order(settings) == (asked if root else without_root)

    def test_the_account_of_a_mailauth_user_is_found_without_asking_pam(
        self, configure: Callable[..., Settings], facts: Facts
    ) -> None:
        """Only the secret is mailauth's; a look-up must not count as anything to PAM's modules."""
        account = PamSource(configure(pam_service="no-such-service")).find("nobody", facts)
        assert isinstance(account, Account)
        assert account.uid == pwd.getpwnam("nobody").pw_uid
        assert PamSource(configure()).find("nobody-is-called-so", facts) is None
        assert nss.row("nobody-is-called-so") is None
