"""TCP wrappers: hosts_access(5) by libwrap and by our own reading, each the other's judge."""

from __future__ import annotations

import contextlib
import socket
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from qpopper_py.events import Event, Trouble
from qpopper_py.facts import Facts
from qpopper_py.serve import hosts_access, hosts_tables
from qpopper_py.settings import Settings
from qpopper_py.stream import SocketStream, Stream
from tests.harness import Server, open_folder

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

libwrap = pytest.mark.skipif(hosts_access.load() is None, reason="libwrap0 is not installed")
V4 = Facts("s1", peer="192.0.2.7", peer_port=1234, local="127.0.0.1", local_port=110)
V6 = Facts("s2", peer="2001:db8::7", peer_port=1234, local="::1", local_port=110)
NOBODY = Facts("s3")
NAMES = {"192.0.2.7": "pc7.example.org", "2001:db8::7": "pc6.example.org"}


class Asking:
    """Tables of a test's own; each question goes to libwrap, if it is here, and to ourselves, and they agree."""

    def __init__(self, folder: Path) -> None:
        self.allow, self.deny = folder / "hosts.allow", folder / "hosts.deny"
        self.warned: list[str] = []

    def __call__(self, allow: str, deny: str, facts: Facts = V4, name: str = "") -> bool:
        self.allow.write_text(allow)
        self.deny.write_text(deny)
        ours = self.by_ourselves(facts, name)
        if not name and hosts_access.load() is not None:
            assert ours == self.by_libwrap(facts), (allow, deny)
        return ours

    def by_ourselves(self, facts: Facts, name: str = "") -> bool:
        client = hosts_tables.Client(facts, "pop3d", self.warned.append)
        if name:
            client._name = name
        return hosts_tables.granted(client, str(self.allow), str(self.deny))

    def by_libwrap(self, facts: Facts) -> bool:
        ours, theirs = socket.socketpair()
        with theirs:
            stream = SocketStream(ours)
            with contextlib.closing(stream):
                library = hosts_access.load()
                return hosts_access.by_libwrap(library, stream, facts, "pop3d", str(self.allow), str(self.deny))


@pytest.fixture
def ask(tmp_path: Path) -> Asking:
    return Asking(tmp_path)


ALL = "ALL: ALL\n"


class TestRules:
    """The sentences of hosts_access(5)."""

    def test_no_rules_let_everybody_in(self, ask: Asking) -> None:
        assert ask("", "")
        assert ask("# ALL: ALL\n\n", "# ALL: ALL\n   \n")

    def test_allow_is_asked_before_deny(self, ask: Asking) -> None:
        assert not ask("", ALL)
        assert ask(ALL, ALL)

    def test_other_daemons_rules_are_not_ours(self, ask: Asking) -> None:
        assert not ask("sshd: ALL\n", ALL)
        assert ask("", "sshd, in.ftpd: ALL\n")

    @pytest.mark.parametrize("daemon", ["pop3d", "POP3D", "sshd pop3d", "sshd,pop3d", "110", "ALL", "ALL EXCEPT sshd"])
    def test_daemons_are_names_or_ports(self, ask: Asking, daemon: str) -> None:
        assert ask(f"{daemon}: ALL\n", ALL)

    @pytest.mark.parametrize(
        ("clients", "in_"),
        [
            ("192.0.2.7", True), ("192.0.2.", True), ("192.0.", True), ("192.0.3.", False), ("192.0.2", False),
            ("192.0.2.0/24", True), ("192.0.2.0/255.255.255.0", True), ("192.0.3.0/24", False), ("192.0.2.*", True),
            ("192.0.2.?", True), ("192.0.2.??", False), ("ALL EXCEPT 192.0.2.7", False), ("ALL EXCEPT 192.0.3.", True),
            ("ALL EXCEPT 192. EXCEPT 192.0.2.", True), ("[2001:db8::]/32", False), ("198.51.100.1 192.0.2.7", True),
            ("198.51.100.1,192.0.2.7", True), ("ALL@192.0.2.7", True), ("KNOWN@192.0.2.7", False),
            ("@192.0.2.7", False),
        ],
    )  # fmt: skip
    def test_clients_by_address(self, ask: Asking, clients: str, in_: bool) -> None:
        assert ask(f"pop3d: {clients}\n", ALL) is in_

    @pytest.mark.parametrize(
        ("clients", "in_"),
        [
            ("[2001:db8::7]", True), ("[2001:db8::]/32", True), ("[2001:db9::]/32", False), ("[2001:DB8:0::7]", True),
            ("192.0.2.0/24", False), ("ALL EXCEPT [2001:db8::]/32", False), ("ALL", True),
        ],
    )  # fmt: skip
    def test_clients_by_ipv6_address(self, ask: Asking, clients: str, in_: bool) -> None:
        assert ask(f"pop3d: {clients}\n", ALL, V6) is in_

    @pytest.mark.parametrize(
        ("clients", "name", "in_"),
        [
            (".example.org", "pc7.example.org", True), (".example.org", "example.org", False),
            ("pc7.example.org", "PC7.example.org", True), ("*.example.*", "pc7.example.org", True),
            ("KNOWN", "pc7.example.org", True), ("KNOWN", "unknown", False), ("KNOWN", "paranoid", False),
            ("UNKNOWN", "unknown", True), ("PARANOID", "paranoid", True), ("PARANOID", "pc7.example.org", False),
            ("LOCAL", "pc7", True), ("LOCAL", "pc7.example.org", False), ("LOCAL", "unknown", False),
        ],
    )  # fmt: skip
    def test_clients_by_name(self, ask: Asking, clients: str, name: str, in_: bool) -> None:
        assert ask(f"pop3d: {clients}\n", ALL, name=name) is in_

    def test_no_name_is_looked_up_for_rules_of_addresses(self, ask: Asking, monkeypatch: pytest.MonkeyPatch) -> None:
        def look_up(address: str) -> str:
            raise AssertionError("a name was looked up")

        monkeypatch.setattr(hosts_tables, "look_up", look_up)
        ask.allow.write_text("pop3d: 192.0.2.0/24, 198.51.100. ALL\n")
        ask.deny.write_text(ALL)
        assert ask.by_ourselves(V4)

    @pytest.mark.parametrize(
        ("daemon", "in_"), [("pop3d@127.0.0.1", True), ("pop3d@127.0.0.2", False), ("ALL@127.", True)]
    )
    def test_a_daemon_may_be_meant_at_one_of_our_addresses(self, ask: Asking, daemon: str, in_: bool) -> None:
        assert ask(f"{daemon}: ALL\n", ALL) is in_

    def test_a_line_end_behind_a_backslash_is_none(self, ask: Asking) -> None:
        assert ask("pop3d: 198.51.100.1 \\\n 192.0.2.7\n", ALL)

    def test_a_client_without_an_address_is_unknown(self, ask: Asking) -> None:
        assert not ask("", ALL, NOBODY)
        assert ask("pop3d: UNKNOWN\n", ALL, NOBODY)
        assert not ask("pop3d: KNOWN 192.0.2.7\n", ALL, NOBODY)

    def test_patterns_may_stand_in_a_file(self, ask: Asking, tmp_path: Path) -> None:
        (tmp_path / "friends").write_text("198.51.100.1\n192.0.2.0/24 10.\n")
        assert ask(f"pop3d: {tmp_path}/friends\n", ALL)
        assert not ask(f"pop3d: {tmp_path}/nobody\n", ALL)

    def test_options_allow_and_deny_decide_in_either_table(self, ask: Asking) -> None:
        """hosts_options(5)."""
        assert not ask("pop3d: 192.0.2.7: DENY\nALL: ALL: ALLOW\n", "")
        assert ask("", "pop3d: 192.0.2.7 : allow\nALL: ALL\n")
        assert ask.warned == []

    def test_a_line_without_a_colon_is_passed_over(self, ask: Asking) -> None:
        assert ask("", "ALL ALL\n")
        assert "without a colon" in ask.warned[0]


def test_a_last_line_without_line_end_counts(ask: Asking) -> None:
    """libwrap passes it over."""
    ask.allow.write_text("")
    ask.deny.write_text("ALL: ALL")
    assert not ask.by_ourselves(V4)


def test_a_net_of_no_bits_is_every_ipv4_address(ask: Asking) -> None:
    """The manual's "number of consecutive 1 bits"; libwrap does not take 0 for one."""
    ask.allow.write_text("pop3d: 0.0.0.0/0\n")
    ask.deny.write_text(ALL)
    assert ask.by_ourselves(V4)
    assert not ask.by_ourselves(V6)


@pytest.mark.parametrize(
    ("option", "in_"),
    [("spawn /bin/true", True), ("twist /bin/echo no", False), ("aclexec /bin/true", False), ("nice 5: deny", False)],
)
def test_an_option_that_we_do_not_carry_out_is_said(ask: Asking, option: str, in_: bool) -> None:
    ask.allow.write_text(f"pop3d: ALL: {option}\n")
    ask.deny.write_text("")
    assert ask.by_ourselves(V4) is in_
    assert option.split()[0] in ask.warned[0]
    assert "libwrap0" in ask.warned[0]


@pytest.mark.parametrize("option", ["=", "denny", "= allow"])
def test_what_is_no_option_lets_nobody_in(ask: Asking, option: str) -> None:
    """As libwrap, which refuses where a table is wrong."""
    assert not ask(f"pop3d: ALL: {option}\n", "")
    assert ask.warned


def test_files_of_patterns_that_name_one_another_let_nobody_in(tmp_path: Path) -> None:
    """libwrap reads them until its stack is full."""
    files = [tmp_path / "one", tmp_path / "other"]
    for file, other in zip(files, files[::-1], strict=True):
        file.write_text(f"{other}\n")
    allow = tmp_path / "hosts.allow"
    allow.write_text(f"pop3d: {files[0]}\n")
    events: list[Event] = []
    assert not hosts_access.by_ourselves(V4, "pop3d", str(allow), "", events.append)
    (event,) = events
    assert isinstance(event, Trouble)
    assert str(tmp_path) in event.what


def words(*texts: str) -> st.SearchStrategy[str]:
    return st.lists(st.sampled_from(texts), min_size=1, max_size=5).map(" ".join)


DAEMONS = words(
    "pop3d", "sshd", "ALL", "EXCEPT", "110", "pop*", "KNOWN", "UNKNOWN", "pop3d@127.0.0.1", "x@ALL", ".d", "p."
)
CLIENTS = words(
    "ALL", "EXCEPT", "192.0.2.7", "192.0.2.", "192.", "192.0.2.0/24", "192.0.2.0/255.255.255.0", "192.0.3.0/24", "10.",
    "[2001:db8::7]", "[2001:db8::]/32", "[::]/0", "*.7", "192.0.2.?", "ALL@ALL", "UNKNOWN@192.",
    "KNOWN@ALL", "all", "except",
)  # fmt: skip
LINES = st.lists(
    st.tuples(DAEMONS, CLIENTS, st.sampled_from(["", ": ALLOW", ":deny"])).map(
        lambda row: f"{row[0]}: {row[1]} {row[2]}\n"
    ),
    max_size=4,
).map("".join)


@libwrap
@hypothesis_settings(max_examples=300)
@given(allow=LINES, deny=LINES, facts=st.sampled_from([V4, V6]))
def test_we_read_as_libwrap_reads(
    tmp_path_factory: pytest.TempPathFactory, allow: str, deny: str, facts: Facts
) -> None:
    Asking(tmp_path_factory.getbasetemp())(allow, deny, facts)


@given(table=st.text(alphabet="ALpop3d:[]@/\\*? .,\n#192EXCEPT\x00\xe9", max_size=60))
@hypothesis_settings(max_examples=300)
def test_no_table_is_more_than_an_answer(tmp_path_factory: pytest.TempPathFactory, table: str) -> None:
    folder = tmp_path_factory.getbasetemp()
    (folder / "table").write_text(table, "utf-8")
    client = hosts_tables.Client(NOBODY, "pop3d", lambda what: None)
    assert hosts_tables.granted(client, str(folder / "table"), "") in (True, False)


# ---------------------------------------------------------------------------------------------------------------
# Asked by the server


def settings_of(folder: Path) -> Settings:
    raw = {"hosts_access": "on", "hosts_access_allow": f"{folder}/allow", "hosts_access_deny": f"{folder}/deny"}
    return Settings([("the test", raw)])


@pytest.fixture(params=["libwrap", "ourselves"])
def way(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    if request.param == "ourselves":
        monkeypatch.setattr(hosts_access, "LIBRARY", "libwrap-is-not-here.so")
    elif hosts_access.load() is None:
        pytest.skip("libwrap0 is not installed")
    return str(request.param)


@pytest.fixture
def stream() -> Iterator[Stream]:
    ours, theirs = socket.socketpair()
    with ours, theirs:
        yield SocketStream(ours)


def test_who_is_refused_is_in_the_log(way: str, stream: Stream, tmp_path: Path) -> None:
    heard: list[Event] = []
    (tmp_path / "deny").write_text(ALL)
    assert not hosts_access.admitted(stream, V4, settings_of(tmp_path), heard.append)
    (event,) = heard
    assert isinstance(event, Trouble)
    assert event.what == "refused connect from 192.0.2.7 (192.0.2.7) by hosts_access"
    (tmp_path / "allow").write_text("pop3d: 192.0.2.7\n")
    assert hosts_access.admitted(stream, V4, settings_of(tmp_path), heard.append)
    assert len(heard) == 1


def test_tables_that_are_not_there_are_empty(way: str, stream: Stream, tmp_path: Path) -> None:
    assert hosts_access.admitted(stream, V4, settings_of(tmp_path), lambda event: None)


def test_a_table_that_cannot_be_read_lets_nobody_in(way: str, stream: Stream, tmp_path: Path) -> None:
    heard: list[Event] = []
    (tmp_path / "deny").symlink_to(tmp_path / "volume-that-is-not-mounted")
    assert not hosts_access.admitted(stream, V4, settings_of(tmp_path), heard.append)
    assert isinstance(heard[0], Trouble)
    assert "cannot be read" in heard[0].what


def test_a_file_of_patterns_that_cannot_be_read_lets_nobody_in_by_our_own_reading(
    stream: Stream, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(hosts_access, "LIBRARY", "libwrap-is-not-here.so")
    heard: list[Event] = []
    (tmp_path / "allow").write_text(f"pop3d: {tmp_path}\n")
    assert not hosts_access.admitted(stream, V4, settings_of(tmp_path), heard.append)
    assert isinstance(heard[0], Trouble)
    assert str(tmp_path) in heard[0].what


def tables(folder: Path, allow: str, deny: str) -> dict[str, object]:
    (folder / "hosts.allow").write_text(allow)
    (folder / "hosts.deny").write_text(deny)
    for path in (folder / "hosts.allow", folder / "hosts.deny"):
        path.chmod(0o644)
    return {
        "hosts_access": "on",
        "hosts_access_allow": folder / "hosts.allow",
        "hosts_access_deny": folder / "hosts.deny",
        "hosts_access_daemon": "popper",
    }


def test_the_server_asks_before_it_greets() -> None:
    with open_folder() as folder:
        with Server(folder, settings=tables(folder, "", "popper: 127.0.0.1\n")) as server:
            with server.dialogue() as line:
                assert line.rest() == b""
            server.log.wait_for(r"Warning: refused connect from 127\.0\.0\.1 \(127\.0\.0\.1\) by hosts_access")
        with Server(folder, settings=tables(folder, "popper: localhost\n", ALL)) as server, server.dialogue() as line:
            assert line.login().startswith(b"+OK")


@libwrap
def test_twist_speaks_to_the_client_in_our_place() -> None:
    """hosts_options(5): replaces the process by the command, with the client on its descriptors 0 to 2."""
    with open_folder() as folder:
        deny = "popper: ALL: twist printf -- '-ERR go away\\r\\n'\n"
        with Server(folder, settings=tables(folder, "", deny)) as server, server.dialogue() as line:
            assert line.line() == b"-ERR go away"
            assert line.rest() == b""


def test_off_asks_no_table() -> None:
    with open_folder() as folder:
        settings = {**tables(folder, "", ALL), "hosts_access": "off"}
        with Server(folder, settings=settings) as server, server.dialogue() as line:
            assert line.login().startswith(b"+OK")


def test_names_are_looked_up_once_and_checked(monkeypatch: pytest.MonkeyPatch) -> None:
    """A name whose addresses are others is paranoid (hosts_access(5))."""
    import _socket

    asked: list[str] = []
    addresses: dict[str, list[tuple[object, ...]]] = {"pc7.example.org": [(2, 1, 6, "", ("192.0.2.7", 0))]}

    def by_address(address: str) -> tuple[str, list[str], list[str]]:
        asked.append(address)
        if address not in NAMES:
            raise OSError("no name")
        return NAMES[address], [], []

    monkeypatch.setattr(_socket, "gethostbyaddr", by_address)
    monkeypatch.setattr(_socket, "getaddrinfo", lambda name, port: addresses.get(name, []))
    client = hosts_tables.Client(V4, "pop3d", lambda what: None)
    assert (client.name, client.name, asked) == ("pc7.example.org", "pc7.example.org", ["192.0.2.7"])
    assert hosts_tables.Client(V6, "pop3d", lambda what: None).name == "paranoid"
    assert hosts_tables.Client(Facts("s", peer="10.0.0.1"), "pop3d", lambda what: None).name == "unknown"
