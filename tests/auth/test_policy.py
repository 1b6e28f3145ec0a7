"""auth-file, nonauth-file, smallest uid and shells: Qpopper's rules (reference 4.3), less its last-line bug."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from qpopper_py.auth import policy
from qpopper_py.auth.account import Account, Denied
from qpopper_py.auth.gate import Gate
from qpopper_py.auth.policy import Policy, listed, shells, unfit
from qpopper_py.errors import CredentialStoreError
from qpopper_py.events import Event, Trouble
from qpopper_py.facts import Facts

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from qpopper_py.settings import Settings
    from tests.auth.conftest import SystemUser


def account(user: str = "alice", uid: int = 1000, system: bool = True, shell: str = "/bin/sh") -> Account:
    return Account(user, uid, uid, system=system, source="unix", shell=shell)


def judged(settings: Settings, facts: Facts, verdict: Account) -> str:
    """Why the policy refuses; empty: it does not."""
    said = Policy(settings, []).judge(verdict, facts)
    assert said is verdict or isinstance(said, Denied)
    return said.why if isinstance(said, Denied) else ""


def test_by_default_nothing_stands_against_an_account(configure: Callable[..., Settings], facts: Facts) -> None:
    for each in (account(), account(uid=1, shell="/bin/false"), account(system=False, uid=8, shell="")):
        assert judged(configure(), facts, each) == ""


@pytest.mark.parametrize(
    ("user", "domains", "refused"),
    [
        ("alice@b.org", ["a.org", "B.org"], False),
        ("alice@B.ORG", ["a.org", "b.org"], False),
        ("alice", ["a.org"], False),
        ("alice@b.org", [], False),
        ("alice@b.org", ["a.org"], True),
        ("alice@b.org", ["b.organisation", "b", "org"], True),
    ],
)
def test_a_name_at_a_domain_that_is_not_listed_is_refused(
    configure: Callable[..., Settings], facts: Facts, user: str, domains: list[str], refused: bool
) -> None:
    settings = configure(**{"auth.domains": domains})
    assert judged(settings, facts, account(user, system=False)) == (
        "is at a domain that is none of auth.domains" if refused else ""
    )


class TestLists:
    @pytest.mark.parametrize(
        "text",
        ["alice\n", "alice", "bob\nalice", "alice \nbob\n", "alice\t\n", "alice\r\n", "\n\nalice\n\n"],
    )
    def test_a_line_that_is_the_name_lists_it(self, tmp_path: Path, text: str) -> None:
        """Qpopper cut the last character of each line, so a last line without line end never matched."""
        (tmp_path / "list").write_text(text)
        assert listed("alice", f"{tmp_path}/list")

    @pytest.mark.parametrize("text", ["", "\n", "Alice\n", "alices\n", "alic\n", " alice\n", "#alice\n", "alice bob\n"])
    def test_any_other_line_does_not(self, tmp_path: Path, text: str) -> None:
        (tmp_path / "list").write_text(text)
        assert not listed("alice", f"{tmp_path}/list")

    def test_a_missing_auth_file_keeps_everybody_out_and_a_missing_nonauth_file_nobody(
        self, tmp_path: Path, configure: Callable[..., Settings], facts: Facts
    ) -> None:
        missing = f"{tmp_path}/missing"
        assert "auth.auth_file" in judged(configure(auth_auth_file=missing), facts, account())
        assert judged(configure(auth_nonauth_file=missing), facts, account()) == ""

    def test_who_is_in_both_is_kept_out(self, tmp_path: Path, configure: Callable[..., Settings], facts: Facts) -> None:
        (tmp_path / "auth").write_text("alice\nbob\n")
        (tmp_path / "nonauth").write_text("bob\n")
        settings = configure(auth_auth_file=f"{tmp_path}/auth", auth_nonauth_file=f"{tmp_path}/nonauth")
        assert judged(settings, facts, account("alice")) == ""
        assert "auth.nonauth_file" in judged(settings, facts, account("bob"))
        assert "auth.auth_file" in judged(settings, facts, account("carol", system=False))

    def test_a_link_to_nothing_is_no_missing_file(self, tmp_path: Path) -> None:
        (tmp_path / "list").symlink_to(tmp_path / "volume-that-is-not-mounted")
        with pytest.raises(CredentialStoreError, match="No such file"):
            listed("alice", f"{tmp_path}/list")

    @pytest.mark.parametrize("mode", [0o602, 0o606])
    def test_a_file_that_others_can_write_is_not_believed(self, tmp_path: Path, mode: int) -> None:
        path = tmp_path / "list"
        path.write_text("alice\n")
        path.chmod(mode)
        with pytest.raises(CredentialStoreError, match="chmod go-w"):
            listed("alice", str(path))

    @pytest.mark.root
    def test_a_file_of_another_user_is_not_believed(self, tmp_path: Path) -> None:
        path = tmp_path / "list"
        path.write_text("alice\n")
        os.chown(path, 65534, 65534)
        with pytest.raises(CredentialStoreError, match="chown root"):
            listed("alice", str(path))

    def test_what_is_no_file_cannot_be_read(self, tmp_path: Path) -> None:
        os.mkfifo(tmp_path / "fifo")
        for path in (f"{tmp_path}/fifo", str(tmp_path), "/dev/null"):
            with pytest.raises(CredentialStoreError):
                listed("alice", path)

    def test_a_list_that_cannot_be_read_refuses_for_now(
        self, tmp_path: Path, configure: Callable[..., Settings], facts: Facts, heard: list[Event]
    ) -> None:
        accounts = tmp_path / "accounts"
        accounts.write_text("alice:{PLAIN}secret:1234:1234::/home/alice::\n")
        accounts.chmod(0o600)
        settings = configure(
            accounts_file=str(accounts), auth_sources="accounts", auth_nonauth_file=f"{tmp_path}/folder"
        )
        (tmp_path / "folder").mkdir()
        denied = Gate(settings, heard.append).check(b"alice", b"secret", facts)
        assert isinstance(denied, Denied)
        assert denied.temporary
        assert [type(event) for event in heard] == [Trouble]

    @hypothesis_settings(max_examples=200)
    @given(names=st.lists(st.from_regex(r"[a-z][a-z0-9]{0,3}", fullmatch=True)), end=st.sampled_from(["", "\n", " \n"]))
    def test_exactly_those_who_stand_in_it_are_listed(
        self, tmp_path_factory: pytest.TempPathFactory, names: list[str], end: str
    ) -> None:
        path = tmp_path_factory.getbasetemp() / "names"
        path.write_text("\n".join(names) + end)
        for name in ["a", "b", "zz", *names]:
            assert listed(name, str(path)) == (name in names)


class TestUid:
    @pytest.mark.parametrize(("least", "uid", "open_"), [(11, 10, False), (11, 11, True), (1, 1, True)])
    def test_system_users_below_it_are_kept_out(
        self, configure: Callable[..., Settings], facts: Facts, least: int, uid: int, open_: bool
    ) -> None:
        why = judged(configure(auth_minimum_uid=least), facts, account(uid=uid))
        assert (why == "") == open_

    def test_other_accounts_have_the_uid_of_whoever_owns_the_mail(
        self, configure: Callable[..., Settings], facts: Facts
    ) -> None:
        assert judged(configure(auth_minimum_uid=1000), facts, account(uid=8, system=False)) == ""


class TestShells:
    @pytest.mark.parametrize(
        ("text", "known"),
        [
            ("/bin/sh\n/bin/ksh\n", ["/bin/sh", "/bin/ksh"]),
            ("# comment\n\n/bin/sh # the shell\n  /bin/ksh\nksh\n", ["/bin/sh", "/bin/ksh"]),
            ("/bin/sh", ["/bin/sh"]),
            ("#/bin/sh\n", []),
        ],
    )
    def test_the_file_is_read_as_getusershell_does(self, tmp_path: Path, text: str, known: list[str]) -> None:
        (tmp_path / "shells").write_text(text)
        assert list(shells(f"{tmp_path}/shells")) == known

    def test_without_the_file_there_are_sh_and_csh(self, tmp_path: Path) -> None:
        """getusershell(3)."""
        assert list(shells(f"{tmp_path}/none")) == ["/bin/sh", "/bin/csh"]

    def test_the_shell_must_be_one_of_them(self, tmp_path: Path) -> None:
        path = tmp_path / "shells"
        path.write_text("/bin/sh\n")
        assert unfit("/bin/sh", str(path)) == ""
        assert "is not in" in unfit("/bin/false", str(path))
        assert "no shell" in unfit("", str(path))

    def test_qpoppers_wildcard_makes_every_shell_good(self, tmp_path: Path) -> None:
        path = tmp_path / "shells"
        path.write_text("/bin/sh\n/POPPER/ANY/SHELL/\n")
        assert unfit("/bin/false", str(path)) == unfit("", str(path)) == ""

    def test_only_system_users_have_one_to_look_at(
        self, configure: Callable[..., Settings], facts: Facts, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(policy, "shells", lambda path: iter(["/bin/sh"]))
        settings = configure(auth_check_shells=True)
        assert "shell" in judged(settings, facts, account(shell="/bin/false"))
        assert judged(settings, facts, account(shell="/bin/sh")) == ""
        assert judged(settings, facts, account(shell="/bin/false", system=False)) == ""


@pytest.mark.root
def test_the_policy_holds_for_a_login_by_apop_too(
    system_user: SystemUser,
    configure: Callable[..., Settings],
    mailauth: Callable[..., None],
    facts: Facts,
    heard: list[Event],
    tmp_path: Path,
) -> None:
    from tests.harness import digest

    mailauth(system_user.name, "APOP", b"tanstaaf")
    login = f"{system_user.name} {digest(facts.stamp, 'tanstaaf')}".encode()
    assert isinstance(Gate(configure(auth_sources="mailauth"), heard.append).begin("APOP", facts).step(login), Account)
    (tmp_path / "no").write_text(system_user.name)
    gate = Gate(configure(auth_sources="mailauth", auth_nonauth_file=f"{tmp_path}/no"), heard.append)
    denied = gate.begin("APOP", facts).step(login)
    assert isinstance(denied, Denied)
    assert "auth.nonauth_file" in denied.why
    assert heard == []
