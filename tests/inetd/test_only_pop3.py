"""Nothing but POP3 ever reaches the socket, whatever breaks; the log has the reason."""

from __future__ import annotations

import re
import shutil
from typing import TYPE_CHECKING

import pytest

from tests.harness import PASSWORD, Dialogue, mail
from tests.inetd.starting import SUPERSERVERS, House, Serving

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = [pytest.mark.root, pytest.mark.client]

every_superserver = pytest.mark.parametrize("superserver", SUPERSERVERS)
NOISE = b"planted noise"
THREE = [mail(f"message {n}", b"text %d\n" % n) for n in (1, 2, 3)]

# What a session does between greeting and end, so that each planted exception is met.
SCRIPT = (
    "CAPA",
    "USER {user}",
    "PASS {password}",
    "STAT",
    "LIST",
    "UIDL",
    "TOP 1 1",
    "RETR 1",
    "XTND XLST Subject",
    "LAST",
    "RETR 99",
    "DELE 1",
    "RSET",
    "DELE 2",
    "QUIT",
)

# Each makes one function of the program shout on every descriptor that it knows and then fail.
PLANTS = {
    "in the configuration": ("qpopper_py.personality.commandline", "read"),
    "in the log": ("qpopper_py.logs.syslog", "open_log"),
    "before the greeting": ("qpopper_py.arrival", "learn"),
    "at the greeting": ("qpopper_py.protocol.reply", "greeting"),
    "behind the greeting": ("qpopper_py.session.session", "Session.greeted"),
    "at a line": ("qpopper_py.session.wire", "Wire.line"),
    "in the parser": ("qpopper_py.protocol.request", "plain"),
    "in the gate": ("qpopper_py.auth.gate", "Gate.begin"),
    "at the handing over": ("qpopper_py.serve.roles", "state_folder"),
    "in the keeper": ("qpopper_py.serve.roles", "DotlockKeeper.go_on"),
    "at the hand-over": ("qpopper_py.serve.keeper", "Keeper._go_on"),
    "in the front": ("qpopper_py.serve.fronts", "serve"),
    "at the change of user": ("qpopper_py.serve.roles", "become"),
    "at the opening": ("qpopper_py.store.opening", "open_store"),
    "in the scan": ("qpopper_py.session.maildrop", "Maildrop.__init__"),
    "in a reply": ("qpopper_py.session.session", "Session._ok"),
    "in an error": ("qpopper_py.session.session", "Session._err"),
    "at the end": ("qpopper_py.session.session", "Session.close"),
    "in the bus": ("qpopper_py.doorstep", "Bus.__call__"),
}
ROWS = ("capa", "user", "pass", "stat", "list", "uidl", "top", "retr", "xtnd xlst", "last", "dele", "rset", "quit")

LAUNCHER = """#!/usr/bin/python3 -IS
import sys
sys.path.insert(0, {package!r})

def shout(*_, **__):
    import os, sys, warnings
    warnings.simplefilter("always")
    warnings.warn({noise!r})
    for descriptor in (1, 2):
        try:
            os.write(descriptor, {noise!r}.encode())
        except OSError:
            pass
    for stream in (sys.stdout, sys.stderr):
        if stream is not None:
            print({noise!r}, file=stream, flush=True)
    raise RuntimeError({noise!r})

def plant(module, name):
    __import__(module)
    place = sys.modules[module]
    *classes, last = name.split(".")
    for one in classes:
        place = getattr(place, one)
    getattr(place, last)  # it must be there, else nothing is tested
    setattr(place, last, shout)

from qpopper_py.__main__ import main
{plants}
sys.exit(main())
"""


def planted(house: House, plants: str) -> Path:
    """A launcher of the installed package with something broken in it."""
    package = house.pop3d.parent.parent / "lib/qpopper_py/current"
    path = house.folder / "broken-pop3d"
    path.write_text(LAUNCHER.format(package=str(package), noise=NOISE.decode(), plants=plants))
    path.chmod(0o755)
    return path


def converse(line: Dialogue, user: str) -> bytes:
    """The script, as far as the server goes along; all that came, in order."""
    heard = b""
    for words in SCRIPT:
        try:
            line.sock.sendall(words.format(user=user, password=PASSWORD).encode() + b"\r\n")
        except OSError:
            break
    try:
        while piece := line.sock.recv(65536):
            heard += piece
    except ConnectionResetError:
        pass  # it ended with our lines unread
    return heard


# The status lines of this script that a multi-line reply follows.
LISTS = re.compile(rb"\+OK (Capability|xlst|uidl command|\d+ messages \(|\d+ octets)")


def is_pop3(heard: bytes) -> bool:
    """Whether every line is a status line or stands in a multi-line reply, and nothing is without its CRLF."""
    if heard and not heard.endswith(b"\r\n"):
        return False
    multi = False
    for line in heard.split(b"\r\n")[:-1]:
        if multi:
            multi = line != b"."
        elif LISTS.match(line):
            multi = True
        elif not line.startswith((b"+OK", b"-ERR ")):
            return False
    return True


def run_script(serving: Serving, house: House) -> bytes:
    with serving.dialogue() as line:
        heard = converse(line, house.user.name)
    serving.idle()
    return heard


def test_the_script_itself_runs_from_greeting_to_sign_off(house: House) -> None:
    """Else the tests below would prove nothing."""
    house.user.fill(THREE)
    with house.serving(program=planted(house, "")) as serving:
        heard = run_script(serving, house)
    assert heard.startswith(b"+OK UCB Pop server")
    assert heard.endswith(b"+OK Pop server at pop.example.org signing off.\r\n")
    assert heard.count(b"-ERR ") == 1  # RETR 99
    assert is_pop3(heard)
    assert b"text 2" not in house.user.mailbox.read_bytes()


@pytest.mark.parametrize("place", PLANTS)
def test_an_exception_anywhere_puts_nothing_strange_on_the_socket(place: str, house: House) -> None:
    house.user.fill(THREE)
    whole = house.user.mailbox.read_bytes()
    with house.serving(program=planted(house, f"plant{PLANTS[place]!r}")) as serving:
        heard = run_script(serving, house)
    assert NOISE not in heard
    assert b"Traceback" not in heard
    assert is_pop3(heard), heard
    if place != "in the keeper":  # that one hangs up while the mail process goes on to QUIT
        assert (house.user.mailbox.read_bytes() == whole) or heard.endswith(b"signing off.\r\n"), heard
    assert NOISE.decode() not in house.log.text
    if place not in ("in the log", "in the bus"):  # there it is the log itself that fails
        house.log.wait_for("RuntimeError")


@pytest.mark.parametrize("verb", ROWS)
def test_an_exception_in_a_command_leaves_the_mailbox_whole_and_the_reason_in_the_log(verb: str, house: House) -> None:
    house.user.fill(THREE)
    whole = house.user.mailbox.read_bytes()
    plants = (
        f"import qpopper_py.session.table as t\nfor row in t.TABLE:\n    if row.verb == {verb!r}: row.handler = shout"
    )
    with house.serving(program=planted(house, plants)) as serving:
        heard = run_script(serving, house)
    assert NOISE not in heard
    assert is_pop3(heard), heard
    assert heard.startswith(b"+OK UCB Pop server")
    assert house.user.mailbox.read_bytes() == whole
    house.log.wait_for("RuntimeError")


@pytest.mark.parametrize("method", ["scan", "uids", "read", "expunge", "remember"])
def test_an_exception_in_the_store_leaves_the_mailbox_whole(method: str, house: House) -> None:
    house.user.fill(THREE)
    whole = house.user.mailbox.read_bytes()
    plants = (
        "import qpopper_py.store.opening as o\nreal = o.open_store\n"
        f"def broken(*a, **k):\n    store = real(*a, **k)\n    type(store).{method} = shout\n    return store\n"
        "o.open_store = broken"
    )
    with house.serving(program=planted(house, plants)) as serving:
        heard = run_script(serving, house)
    assert NOISE not in heard
    # A body may be cut off in mid-message, but then the connection ends without the final dot.
    assert is_pop3(heard) or not heard.endswith(b"\r\n.\r\n"), heard
    if method != "remember":  # it is called when the update is done
        assert house.user.mailbox.read_bytes() == whole
        assert not heard.endswith(b"signing off.\r\n"), heard
    house.log.wait_for("RuntimeError")


BROKEN = {
    "an unknown letter": (("-Z",), "", "-Z"),
    "an unknown option": (("--frobnicate",), "", "--frobnicate"),
    "an unknown setting": (("--set", "frobnicate=1"), "", "frobnicate"),
    "a bad value": (("-T", "soon"), "", "soon"),
    "an operand": (("110",), "", "110"),
    "another program's option": (("-t", "600"), "", "mailutils"),
    "a file that is not TOML": ((), "this is not TOML", "pop3d.toml"),
    "an unknown setting in the file": ((), "frobnicate = 1", "frobnicate"),
}


@every_superserver
@pytest.mark.parametrize("what", ["an unknown letter", "a file that is not TOML"])
def test_a_configuration_error_is_one_clean_err_and_the_reason_in_the_log(
    what: str, superserver: str, house: House
) -> None:
    check_refusal(house, superserver, *BROKEN[what])


@pytest.mark.parametrize("what", BROKEN)
def test_every_kind_of_configuration_error_is_one_clean_err(what: str, house: House) -> None:
    check_refusal(house, "socat-nofork", *BROKEN[what])


def check_refusal(house: House, superserver: str, options: tuple[str, ...], text: str, reason: str) -> None:
    house.configure(text)
    with house.serving(superserver, options) as serving, serving.dialogue() as line:
        heard = line.rest()
    assert reason.encode() not in heard
    if superserver == "socat-pipes":
        assert heard == b""  # pipes may be a person's shell: there the reason goes to stderr, and no POP3 out
        return
    house.log.wait_for(reason)
    # socat itself now and then throws away the last words of a program that ends with a status other than 0.
    assert re.fullmatch(rb"-ERR [^\r\n]+\r\n", heard) or (superserver == "socat" and heard == b"")


def test_a_configuration_file_that_others_may_write_is_refused(house: House) -> None:
    house.config.chmod(0o666)
    with house.serving() as serving, serving.dialogue() as line:
        heard = line.rest()
    assert heard.startswith(b"-ERR ")
    assert heard.count(b"\r\n") == 1
    house.log.wait_for(str(house.config))


@every_superserver
def test_a_package_that_cannot_be_imported_says_nothing_on_the_socket(superserver: str, house: House) -> None:
    """As after an upgrade of the host that took the installation's Python, or half of its files, away."""
    broken = house.folder / "broken"
    shutil.copytree(house.pop3d.parent.parent, broken, symlinks=True)
    launcher = broken / "sbin/pop3d"
    launcher.write_text(launcher.read_text().replace(str(house.pop3d.parent.parent), str(broken)))
    next(broken.glob("lib/qpopper_py/0*/qpopper_py/stream.py")).write_text("this is not Python\n")
    with house.serving(superserver, program=launcher) as serving, serving.dialogue() as line:
        heard = line.rest()
    assert heard == b""
    house.log.wait_for("cannot start")


def test_no_secret_is_in_the_log(house: House) -> None:
    house.user.fill(THREE)
    with house.serving(options=("-d", "-s")) as serving:
        run_script(serving, house)
    house.log.wait_for("Stats:")
    assert PASSWORD not in house.log.text


def test_the_statistics_record_tells_what_was_done(house: House) -> None:
    """pop3d(8), -s: user, messages deleted, octets deleted, messages left, octets left."""
    house.user.fill(THREE)
    with house.serving(options=("-s",)) as serving:
        run_script(serving, house)
    one, two, three = (len(message.wire) for message in THREE)
    house.log.wait_for(f"Stats: {house.user.name} 1 {two} 2 {one + three}")


def test_the_trace_file_shows_the_session_without_its_secrets(house: House) -> None:
    house.user.fill(THREE)
    trace = house.folder / "trace"
    with house.serving(options=("-t", str(trace))) as serving:
        run_script(serving, house)
    text = trace.read_text().lower()
    assert all(words in text for words in ("user " + house.user.name, "retr 1", "dele 2", "signing off"))
    assert PASSWORD not in text
    assert "text 1" not in text  # bodies are counted, not written
    assert trace.stat().st_mode & 0o777 == 0o600
