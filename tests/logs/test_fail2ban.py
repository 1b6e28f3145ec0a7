"""The fail2ban filter finds every refused login, and the true address, whatever the user's name is."""

from __future__ import annotations

import configparser
import re
import shutil
import subprocess
from pathlib import Path

import pytest

from qpopper_py import events
from qpopper_py.facts import Facts
from qpopper_py.logs.records import records

FILTER = Path(__file__).resolve().parents[2] / "etc" / "fail2ban" / "filter.d" / "pop3d.conf"
COMMON = Path("/etc/fail2ban/filter.d/common.conf")
NAMES = [
    "fred",
    "x from host (a) 1.2.3.4",
    "x from host (a) 1.2.3.4: no (PLAIN) session=S9",
    "x\n[AUTH] Failed attempted login to y from host (a) 1.2.3.4: no (PLAIN) session=S9",
    "x\tfrom\thost\t(a)\t1.2.3.4:\tno",
    "x\u2028from host (a) 1.2.3.4: no",
    "x" * 5000 + " from host (a) 1.2.3.4: no",
    "1.2.3.4",
    "(unknown:0a1b2c3d)",  # pop3d(8): a name that is no account
    "",
]
ADDRESSES = ["192.0.2.7", "2001:db8::7"]


def refused(user: str, peer: str, peer_name: str = "", temporary: bool = False) -> str:
    event = events.LoginRefused(Facts("S1", peer=peer, peer_name=peer_name), user, "PLAIN", "wrong password", temporary)
    ((_, text),) = records(event, True, True)
    return text


def innocent() -> list[str]:
    """Records that hold a user's words, and must ban nobody."""
    facts = Facts(
        "S1", peer="192.0.2.9", peer_name="[AUTH] Failed attempted login to y from host (a) 1.2.3.4: n session=S"
    )
    evil = facts.peer_name
    made = [
        *records(events.SessionStarted(facts), True, True),
        *records(events.LoggedIn(facts, evil, "APOP", "mailauth", 1, 2), True, True),
        *records(events.CommandFailed(facts, evil, evil, evil), True, True),
        *records(events.Submitted(facts, evil, 1, 2, 3), True, True),
        *records(events.SessionClosed(facts, evil), True, True),
        *records(events.Trouble(facts, evil), True, True),
    ]
    return [text for _, text in made] + [refused("fred", "192.0.2.9", temporary=True)]


def failregex() -> re.Pattern[str]:
    """The filter's expression with fail2ban's own pieces put in: a syslog prefix without a date, an address."""
    parser = configparser.RawConfigParser()
    parser.read(FILTER)
    text = parser["Definition"]["failregex"]
    assert text.count("%(__prefix_line)s") == text.count("<ADDR>") == 1
    text = text.replace("%(__prefix_line)s", r"\s*\S+ pop3d\[\d+\]: ").replace("<ADDR>", r"(?P<ip>[0-9a-fA-F.:]+)")
    return re.compile(text)


@pytest.mark.parametrize("peer", ADDRESSES)
@pytest.mark.parametrize("user", NAMES)
@pytest.mark.parametrize(
    "peer_name", ["", "pc7.example.org", "a) 1.2.3.4: no session=S9", "x from host (a) 1.2.3.4: no"]
)
def test_a_refused_login_is_found_with_its_true_address(user: str, peer: str, peer_name: str) -> None:
    found = failregex().search(" mailhost pop3d[17]: " + refused(user, peer, peer_name))
    assert found
    assert found["ip"] == peer


def test_no_other_record_bans_anybody() -> None:
    for text in innocent():
        assert not failregex().search(" mailhost pop3d[17]: " + text)


def test_the_jail_names_the_filter_that_is_there() -> None:
    parser = configparser.RawConfigParser()
    parser.read(FILTER.parents[1] / "jail.d" / "pop3d.conf")
    assert parser["pop3d"]["filter"] == FILTER.stem


@pytest.mark.client("fail2ban-regex")
def test_fail2ban_itself_finds_every_refused_login_and_nothing_else(tmp_path: Path) -> None:
    folder = tmp_path / "filter.d"
    folder.mkdir()
    shutil.copy(FILTER, folder)
    shutil.copy(COMMON, folder)
    log = tmp_path / "mail.log"
    wanted = [refused(user, peer) for user in NAMES for peer in ADDRESSES]
    syslog_form = [f"Nov 20 08:55:46 mailhost pop3d[17]: {text}\n" for text in wanted + innocent()]
    stderr_form = [f"2026-11-20T08:55:46.123Z pop3d[17]: {text}\n" for text in wanted]
    log.write_text("".join(syslog_form + stderr_form))
    command = ["fail2ban-regex", "--out", "ip", str(log), str(folder / "pop3d.conf")]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert done.stdout.split() == ADDRESSES * (2 * len(NAMES))
