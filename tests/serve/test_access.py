"""The setting access: who may connect to a listening server (GNU mailutils' acl: the first rule that fits)."""

from __future__ import annotations

import contextlib
import os
import socket
from typing import TYPE_CHECKING

import pytest

from qpopper_py.errors import ConfigurationError
from qpopper_py.events import Event, Note, Trouble
from qpopper_py.facts import Listener
from qpopper_py.serve import access
from qpopper_py.serve.access import Access
from qpopper_py.serve.limits import Limits
from qpopper_py.settings import Settings
from tests.harness import PATIENCE, Dialogue, Server, open_folder, wait_until
from tests.serve.rooted import Rooted

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@pytest.mark.parametrize(
    ("rules", "address", "admitted"),
    [
        ([], "192.0.2.1", True),
        (["deny 192.0.2.0/24"], "192.0.2.1", False),
        (["deny 192.0.2.0/24"], "198.51.100.1", True),
        (["allow 192.0.2.1", "deny any"], "192.0.2.1", True),
        (["allow 192.0.2.1", "deny any"], "192.0.2.2", False),
        (["deny any", "allow 192.0.2.1"], "192.0.2.1", False),
        (["allow 2001:db8::/32", "deny any"], "2001:db8::1", True),
        (["allow 192.0.2.0/24", "deny any"], "2001:db8::1", False),
        (["log any"], "192.0.2.1", True),
        (["deny any"], "", False),
        (["deny 192.0.2.0/24"], "", True),
    ],
)
def test_the_first_rule_that_fits_decides(rules: list[str], address: str, admitted: bool) -> None:
    assert Access(rules).admits(address, lambda _: None) == admitted


def test_log_tells_and_goes_on() -> None:
    told: list[str] = []
    assert not Access(["log 192.0.2.0/24", "deny any", "log any"]).admits("192.0.2.1", told.append)
    assert told == ["connect from 192.0.2.1 (access)"]


def limits(told: list[Event], **more: object) -> Limits:
    return Limits(Settings([("test", {"access": "log any, deny 192.0.2.0/24", **more})]), told.append)


def test_who_is_refused_is_in_the_log_and_has_no_session() -> None:
    told: list[Event] = []
    table = limits(told)
    assert not table.admit("192.0.2.1")
    assert table.admit("198.51.100.1")
    assert [type(one) for one in told] == [Note, Trouble, Note]
    assert isinstance(told[1], Trouble)
    assert told[1].what == "refused connect from 192.0.2.1 by access"


def test_behind_a_proxy_it_is_the_client_that_is_asked_for() -> None:
    table = limits([], **{"proxy.networks": "192.0.2.7"})
    assert table.admit("192.0.2.7")
    table.began(1, "192.0.2.7")
    assert table.hear(1, b"C192.0.2.1") != table.hear(1, b"C198.51.100.1")


RULES = ("deny 192.0.2.0/24",)
LISTENERS = [Listener("*:110", access=RULES), Listener("*:995")]


def test_a_listener_has_rules_beside_those_of_all() -> None:
    """Manual of GNU mailutils 3.15, "The server Statement": allowed only if both acls allow it."""
    table = limits([], access="deny 198.51.100.0/24, allow any")
    for address, by_the_one, by_the_other in [
        ("192.0.2.1", False, True),
        ("198.51.100.1", False, False),
        ("203.0.113.1", True, True),
    ]:
        assert (table.admit(address, RULES), table.admit(address)) == (by_the_one, by_the_other)


def test_behind_a_proxy_the_rules_of_its_listener_count() -> None:
    table = limits([], **{"access": "", "proxy.networks": "203.0.113.7"})
    table.began(1, "203.0.113.7", RULES)
    table.began(2, "203.0.113.7", ())
    assert table.hear(1, b"C192.0.2.1") != table.hear(2, b"C192.0.2.1")


def test_new_settings_bring_new_rules() -> None:
    table = limits([])
    assert not table.admit("192.0.2.1")
    table.adopt(Settings([("test", {})]))
    assert table.admit("192.0.2.1")


@pytest.mark.parametrize(
    "listen",
    [
        [{"address": "*:110", "access": list(RULES)}, "*:995"],
        [{"address": "*:110", "access": RULES[0]}, {"address": "*:995", "access": []}],
        "*:110,access=deny 192.0.2.0/24,*:995",
        LISTENERS,
    ],
)
def test_a_listener_has_rules_of_its_own(listen: object) -> None:
    settings = Settings([("test", {"listen": listen})])
    assert list(settings.listen) == LISTENERS
    written = Settings.__dict__["listen"].written(settings.listen)
    assert Settings([("test", {"listen": written})]).listen == settings.listen


@pytest.mark.parametrize("listen", [[{"address": "*:110", "access": ["deny x"]}], "*:110,access=frob any"])
def test_a_wrong_rule_of_a_listener_is_told_with_its_address(listen: object) -> None:
    with pytest.raises(ConfigurationError, match=r"holds '\*:110', whose access"):
        Settings([("test", {"listen": listen})])


def test_who_is_refused_at_one_door_comes_in_by_the_other(tmp_path: Path) -> None:
    with Server(tmp_path, options=["--listen", "127.0.0.2:0,access=deny 127.0.0.0/8"]) as server:
        other = int(server.log.wait_for(r"listening on 127\.0\.0\.2:(\d+)")[1])
        with socket.create_connection(("127.0.0.2", other), PATIENCE) as refused:
            assert refused.recv(100) == b""
        server.log.wait_for(r"refused connect from 127\.0\.0\.\d by access")
        with server.dialogue() as dialogue:
            assert dialogue.line().startswith(b"+OK")


@pytest.mark.parametrize(
    "rule",
    [
        *("allow", "permit any", "deny x", "deny 10.0.0.0/99", "allow any 10.0.0.1", "exec any", "ifexec any true"),
        *("exec any /bin/x 'a", "exec any /bin/x ${user}", "log any $", "log any ${address", "log any a\tb"),
    ],
)
def test_what_is_no_rule_is_refused(rule: str) -> None:
    with pytest.raises(ConfigurationError):
        Settings([("test", {"access": rule})])


# Programs: manual of GNU mailutils 3.15, "The acl Statement"


def test_what_a_program_decides_and_what_needs_the_port_is_left_to_the_porter() -> None:
    door = Access(["allow 192.0.2.1", "ifexec 192.0.2.0/24 /bin/x", "log 198.51.100.1 ${port}", "deny any"])
    asked = {address: door.asks(address) for address in ("192.0.2.1", "192.0.2.2", "198.51.100.1", "203.0.113.1")}
    assert asked == {"192.0.2.1": False, "192.0.2.2": True, "198.51.100.1": True, "203.0.113.1": False}
    table = limits([], access="ifexec 192.0.2.0/24 /bin/x, deny any")
    assert table.admit("192.0.2.1")
    assert not table.admit("198.51.100.1")


@pytest.mark.parametrize(
    ("address", "family"), [("192.0.2.1", "AF_INET"), ("2001:db8::1", "AF_INET6"), ("fe80::1%eth0", "AF_INET6")]
)
def test_a_text_and_a_program_have_the_variables_of_the_manual(address: str, family: str) -> None:
    heard: list[object] = []

    def run(verb: str, line: str) -> None:
        heard.append((verb, line))

    rules = ["deny 203.0.113.1", "log any ${aclno}: from $address", "exec any /bin/x $port ${family} a${aclno}b"]
    assert Access(rules).admits(address, heard.append, run, 4711)
    plain = address.partition("%")[0]
    assert heard == [f"2: from {plain}", ("exec", f"/bin/x 4711 {family} a3b")]


def program(folder: Path, text: str, mode: int = 0o755) -> Path:
    path = folder / "program"
    path.write_text(f"#!/bin/sh\n{text}\n")
    path.chmod(mode)
    return path


@pytest.mark.parametrize(("status", "verdict"), [(0, True), (1, False), (2, False), (127, False)])
def test_ifexec_lets_in_by_status_0_and_by_no_other(tmp_path: Path, status: int, verdict: bool) -> None:
    """As the manual has it; the program goes on to the next rule where the status is 2 or more."""
    warned: list[str] = []
    assert access.answer("ifexec", f"{program(tmp_path, f'exit {status}')}", warned.append) is verdict
    assert warned == []


def test_its_words_are_split_and_no_shell_reads_them(tmp_path: Path) -> None:
    line = f"""{program(tmp_path, f'printf "<%s>" "$@" > {tmp_path}/out')} 'a b' c\\ d "e f" $(id) x;y"""
    assert access.answer("ifexec", line, print)
    assert (tmp_path / "out").read_text() == "<a b><c d><e f><$(id)><x;y>"


def test_exec_decides_nothing_and_is_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "gate")
    line = str(program(tmp_path, f"read word < {tmp_path}/gate\ntouch {tmp_path}/out\nexit 1"))
    assert access.answer("exec", line, print) is None
    (tmp_path / "gate").write_text("go\n")
    wait_until((tmp_path / "out").exists, "the program's end")


def test_what_takes_too_long_lets_nobody_in(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(access, "SECONDS", 1)
    warned: list[str] = []
    assert access.answer("ifexec", str(program(tmp_path, "exec sleep 600")), warned.append) is False
    assert warned == [f"{tmp_path}/program was ended by signal 9; it has 1 seconds"]


@pytest.mark.parametrize(("verb", "verdict"), [("ifexec", False), ("exec", None)])
def test_what_is_not_run_is_in_the_log_and_lets_nobody_in(tmp_path: Path, verb: str, verdict: bool | None) -> None:
    warned: list[str] = []
    assert access.answer(verb, str(program(tmp_path, "exit 0", 0o644)), warned.append) is verdict
    assert warned == [f"{tmp_path}/program is not run: it is no program that may be run"]


@contextlib.contextmanager
def serving(as_root: bool, text: str, owner: int = 0, **settings: object) -> Iterator[tuple[Server, Path]]:
    """A server that listens on 127.0.0.1 without rules and on 127.0.0.2 where a program of that text decides."""
    with open_folder() as folder:
        folder.chmod(0o711)
        (folder / "told").mkdir()
        (folder / "told").chmod(0o1777)
        path = program(folder, text.replace("TOLD", f"{folder}/told"))
        os.chown(path, owner, owner)
        os.mkfifo(folder / "told/gate")
        (folder / "told/gate").chmod(0o666)
        listen = f"127.0.0.2:0,access=ifexec any {path} ${{address}} ${{port}} ${{family}} ${{aclno}}"
        kind = Rooted if as_root else Server
        spoken = {key.replace("__", "."): value for key, value in settings.items()}
        with kind(folder, settings=spoken, options=["--listen", listen]) as server:
            yield server, folder / "told"


def other_door(server: Server) -> Dialogue:
    port = int(server.log.wait_for(r"listening on 127\.0\.0\.2:(\d+)")[1])
    return Dialogue(socket.create_connection(("127.0.0.2", port), PATIENCE))


AS = [
    pytest.param(False, {}, id="one process"),
    pytest.param(True, {}, marks=pytest.mark.root, id="standalone"),
    pytest.param(True, {"serve__mode": "prefork"}, marks=pytest.mark.root, id="prefork"),
]


@pytest.mark.parametrize(("as_root", "settings"), AS)
def test_a_program_hears_who_is_there_and_lets_in(as_root: bool, settings: dict[str, object]) -> None:
    text = 'echo "$@" > TOLD/new; id -u >> TOLD/new; ls -l /proc/$$/fd >> TOLD/new; mv TOLD/new TOLD/out; exit 0'
    with serving(as_root, text, **settings) as (server, told):
        with other_door(server) as line:
            port = line.sock.getsockname()[1]
            assert line.line().startswith(b"+OK")
            assert line.ask("QUIT").startswith(b"+OK")
        heard = (told / "out").read_text().splitlines()
        assert heard[0] == f"127.0.0.1 {port} AF_INET 1"
        assert heard[1] == str(0 if as_root else server.user if server.user is not None else os.getuid())
        assert not [one for one in heard if "socket:" in one or "pipe:" in one]


@pytest.mark.parametrize(("as_root", "settings"), AS)
def test_a_program_turns_away_and_who_waits_for_it_holds_up_nobody(as_root: bool, settings: dict[str, object]) -> None:
    text = "read word < TOLD/gate; exit $word"
    with serving(as_root, text, **settings) as (server, told), other_door(server) as waiting:
        with server.dialogue() as line:
            assert line.line().startswith(b"+OK")
        (told / "gate").write_text("1\n")
        assert waiting.rest() == b""
        server.log.wait_for(r"Warning: refused connect from 127\.0\.0\.1 by access")
        with other_door(server) as again:
            (told / "gate").write_text("0\n")
            assert again.line().startswith(b"+OK")


@pytest.mark.root
def test_behind_a_proxy_the_program_hears_of_the_client() -> None:
    with open_folder() as folder:
        folder.chmod(0o711)
        path = program(folder, f'echo "$@" >> {folder}/heard; test "$1" = 192.0.2.1')
        settings = {"access": f"ifexec any {path} ${{address}} ${{port}}", "proxy.networks": "127.0.0.1"}
        with Rooted(folder, settings=settings) as server:
            said = {}
            for client in ("192.0.2.1", "192.0.2.2"):
                with server.dialogue() as line:
                    line.sock.sendall(f"PROXY TCP4 {client} 198.51.100.1 4711 110\r\n".encode())
                    said[client] = line.line()[:3]
            assert said == {"192.0.2.1": b"+OK", "192.0.2.2": b""}
        assert (folder / "heard").read_text().splitlines() == ["192.0.2.1 4711", "192.0.2.2 4711"]


@pytest.mark.root
def test_root_runs_no_program_of_others() -> None:
    with serving(True, "exit 0", owner=64009) as (server, _), other_door(server) as line:
        assert line.rest() == b""
        server.log.wait_for(r"access: .*/program is not run: others than root can change .*/program")
