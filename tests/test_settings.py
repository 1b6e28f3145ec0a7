"""What each kind of setting takes, and what is said of what it does not take (pop3d.toml(5), Values)."""

from __future__ import annotations

import ast
import inspect
import textwrap

import pytest
from hypothesis import given
from hypothesis import strategies as st

from qpopper_py import kinds, listeners
from qpopper_py.errors import ConfigurationError
from qpopper_py.facts import Listener
from qpopper_py.settings import AGREEABLE, Settings, parse, rows, table


def told(name: str, raw: object, origin: str = "somewhere") -> str:
    """The words of the error that ``raw`` is."""
    with pytest.raises(ConfigurationError) as error:
        parse(name, raw, origin)
    return str(error.value)


@pytest.mark.parametrize("row", list(table()), ids=lambda row: row.name)
def test_every_default_is_a_value_that_the_setting_takes(row: kinds.Setting) -> None:
    assert row.parse(row.written(row.default)) == row.default


@pytest.mark.parametrize("row", list(table()), ids=lambda row: row.name)
def test_every_setting_says_why_it_is_there_and_what_it_takes(row: kinds.Setting) -> None:
    assert row.why
    assert row.form
    assert "\n" not in row.why


@pytest.mark.parametrize("row", list(table()), ids=lambda row: row.name)
def test_the_attribute_is_the_dotted_name(row: kinds.Setting) -> None:
    assert getattr(Settings(), row.name.replace(".", "_")) == row.default


def test_no_setting_is_a_table_of_others() -> None:
    assert not [name for name in rows() for other in rows() if other.startswith(name + ".")]


def test_what_may_be_set_without_a_look_at_the_others_contradicts_none() -> None:
    """Where only such were set, Settings does not ask whether they agree, for which it would load the tunables."""
    asked = set()
    for rule in (Settings._agree, Settings._agree_on_logins, Settings.virtual_users.fget):  # type: ignore[attr-defined]
        tree = ast.parse(textwrap.dedent(inspect.getsource(rule)))
        asked |= {node.attr for node in ast.walk(tree) if isinstance(node, ast.Attribute)}
    names = {row.name.replace(".", "_"): row.name for row in table()}
    assert len(asked & names.keys()) > 10
    assert not {names[name] for name in asked & names.keys()} & AGREEABLE


def test_the_later_layer_wins_and_is_named_as_the_origin() -> None:
    settings = Settings([("weak", {"timeout": 1, "debug": True}), ("strong", {"timeout": "2m"})])
    assert (settings.timeout, settings.debug) == (120, True)
    assert settings.origins == {"timeout": "strong", "debug": "weak"}


@pytest.mark.parametrize(
    ("name", "raw", "value"),
    [
        ("timeout", 90, 90),
        ("timeout", "90", 90),
        ("timeout", "90s", 90),
        ("timeout", "10m", 600),
        ("timeout", "2h", 7200),
        ("timeout", "1d", 86400),
        ("auth.refusal_delay", "50ms", 0.05),
        ("auth.refusal_delay", "0.05", 0.05),
        ("auth.refusal_delay", 0.5, 0.5),
        ("auth.refusal_delay", "1.5s", 1.5),
        ("auth.refusal_delay", "1m", 60),
        ("auth.refusal_delay", 0, 0),
        ("limits.xmit_size", "64K", 65536),
        ("limits.xmit_size", "25M", 26214400),
        ("limits.xmit_size", "1G", 1 << 30),
        ("statistics", "yes", True),
        ("statistics", "Off", False),
        ("statistics", "1", True),
        ("statistics", False, False),
        ("trace.users", "alice, bob", ("alice", "bob")),
        ("trace.users", "", ()),
        ("trace.users", ["alice"], ("alice",)),
        ("spool", "/srv/mail", "/srv/mail"),
        ("trace.file", "", ""),
        ("hostname", "pop.example.org", "pop.example.org"),
        ("hostname", "[2001:db8::1]", "[2001:db8::1]"),
        ("xmit_sender", "%u@example.org", "%u@example.org"),
        ("listen", "*:110,[::1]:1110", (Listener("*:110"), Listener("[::1]:1110"))),
        (
            "listen",
            "*:110, *:995,tls=implicit,proxy=yes",
            (Listener("*:110"), Listener("*:995", "implicit", proxy=True)),
        ),
        ("listen", ["*:110", {"address": ":995", "tls": "no"}], (Listener("*:110"), Listener(":995", "no"))),
        (
            "listen",
            [{"address": ":110", "minimum": "1.0", "cleartext": "local", "stamp": "never", "kpop": True}],
            (Listener(":110", "", "local", False, "never", "1.0", True),),
        ),
        ("tls.sni", {"Pop.example.org": "/a"}, (("pop.example.org", "/a", ""),)),
        ("tls.sni", {"*.example.org": {"certificate": "/a", "key": "/b"}}, (("*.example.org", "/a", "/b"),)),
        ("tls.sni", "a.example=/a:/b, b.example=/c", (("a.example", "/a", "/b"), ("b.example", "/c", ""))),
        ("last", "off", "off"),
    ],
)
def test_forms_of_values(name: str, raw: object, value: object) -> None:
    assert parse(name, raw, "here") == value


@pytest.mark.parametrize(
    ("name", "raw", "because"),
    [
        ("timeout", "0", "is less than 1"),
        ("timeout", "-1", "is not a time"),
        ("timeout", "1.5", "is not a time"),
        ("timeout", 1.5, "is not a time"),
        ("timeout", True, "is not a time"),
        ("timeout", "9" * 30, "is not a time"),
        ("timeout", "25d", "is more than"),
        ("timeout", "10M", "is not a time"),
        ("timeout", "m", "is not a time"),
        ("timeout", "٣", "is not a time"),
        ("auth.refusal_delay", "0.0001", "is less than a millisecond"),
        ("auth.refusal_delay", 1e-300, "is less than a millisecond"),
        ("auth.refusal_delay", float("nan"), "is less than a millisecond"),
        ("auth.refusal_delay", -1, "is less than a millisecond"),
        ("auth.refusal_delay", float("inf"), "is more than 60"),
        ("auth.refusal_delay", 61, "is more than 60"),
        ("auth.refusal_delay", "1.2.3", "is not a time"),
        ("auth.refusal_delay", "1sm", "is not a time"),
        ("auth.refusal_delay", ".", "is not a time"),
        ("auth.refusal_delay", "٣", "is not a time"),
        ("auth.refusal_delay", True, "is not a time"),
        ("timeout", "", "is not a time"),
        ("limits.line", "127", "is less than 128"),
        ("limits.line", "1KK", "is not a size"),
        ("statistics", "maybe", "neither true nor false"),
        ("statistics", 1, "neither true nor false"),
        ("spool", "", "is empty"),
        ("spool", "var/mail", "is not an absolute path"),
        ("spool", 7, "is not a text"),
        ("spool", "/var\nmail", "holds a control character"),
        ("spool", "/var/mail\udcff", "is not UTF-8"),
        ("hostname", "two words", "no host's name has"),
        ("hostname", "<a@b>", "no host's name has"),
        ("xmit_sender", "-oQ/tmp", "begins with -"),
        ("xmit_sender", "%h@x", "a % of something else"),
        ("last", "never", "is not one of stored, zero, touched, ucb, off"),
        ("auth.sources", "unix,ldap", "'ldap'"),
        ("auth.sources", ["unix", 3], "is not a list"),
        ("trace.users", ["alice", ""], "is not a list"),
        ("trace.addresses", "10.0.0.0/33", "neither an address nor a network"),
        ("listen", "::1:110", "[::1]:110"),
        ("listen", "110", "write :110"),
        ("listen", "localhost", "write localhost:110"),
        ("listen", ":pop3", "is not a number"),
        ("listen", ":65536", "up to 65535"),
        ("listen", "a b:1", "neither a name nor an address"),
        ("listen", "[host]:1", "no IPv6 address"),
        ("listen", ":110,tls=maybe", "':110', whose tls = 'maybe' is not one of no, starttls, implicit"),
        ("listen", ":110,tsl=no", "':110' with 'tsl', which a listener has not; there is tls, cleartext"),
        ("listen", [{"tls": "no"}], "has no address"),
        ("listen", [{"address": ":110", "proxy": "often"}], "whose proxy = 'often' is neither true nor false"),
        ("listen", [{"address": ":110", "minimum": 1.2}], "whose minimum = 1.2 is not one of 1.0, 1.1, 1.2, 1.3"),
        ("tls.sni", {"a b": "/a"}, "'a b', which is no host's name"),
        ("tls.sni", {"a": "a.pem"}, "'a.pem', which is not an absolute path"),
        ("tls.sni", {"a": {"certificat": "/a"}}, "something else than certificate and key"),
        ("tls.sni", {"a": {"key": "/a"}}, "is not a table"),
        ("tls.sni", ["a"], "is not a table"),
    ],
)
def test_a_refusal_names_setting_value_origin_and_reason(name: str, raw: object, because: str) -> None:
    words = told(name, raw, "/etc/pop3d.toml line 7")
    assert words.startswith(f"/etc/pop3d.toml line 7: {name} = {raw!r} ")
    assert because in words


@pytest.mark.parametrize(
    ("written", "meant"),
    [("tiemout", "timeout"), ("log.facilty", "log.facility"), ("Log.To", "log.to"), ("facility", "log.facility")],
)
def test_an_unknown_setting_is_told_the_closest_known_name(written: str, meant: str) -> None:
    assert f"did you mean {meant}?" in told(written, 1)


def test_a_setting_written_under_a_table_that_it_is_not_of_is_recognised() -> None:
    assert "did you mean statistics?" in told("log.statistics", True)


def test_a_name_like_no_other_is_refused_without_a_guess() -> None:
    words = told("qqqqqq", 1)
    assert "did you mean" not in words
    assert "--dump-config=all" in words


@pytest.mark.parametrize(
    ("text", "host", "port"),
    [
        ("*:110", "", 110),
        (":110", "", 110),
        ("[::1]:110", "::1", 110),
        ("[fe80::1%eth0]:110", "fe80::1%eth0", 110),
        ("192.0.2.1:0", "192.0.2.1", 0),
        ("pop.example.org:65535", "pop.example.org", 65535),
    ],
)
def test_addresses_come_apart(text: str, host: str, port: int) -> None:
    assert listeners.host_and_port(text) == (host, port)


@given(st.sampled_from(sorted(rows())), st.text(max_size=20) | st.integers() | st.booleans() | st.lists(st.text()))
def test_any_raw_value_is_taken_or_refused_by_name(name: str, raw: object) -> None:
    try:
        value = rows()[name].parse(raw)
    except ValueError:
        assert told(name, raw, "origin").startswith(f"origin: {name} = ")
    else:
        assert parse(name, rows()[name].written(value), "origin") == value


def test_the_accounts_file_as_a_source_must_be_named():
    with pytest.raises(ConfigurationError, match=r"test: auth\.sources names accounts, but accounts\.file is empty"):
        Settings([("test", {"auth.sources": "accounts"})])
