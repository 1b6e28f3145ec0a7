"""From an old inetd line to a session of ours: migrate, then what it told to write, in a real inetd."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from qpopper_py.personality import commandline
from qpopper_py.tools.migrate_programs import PROGRAMS
from tests.harness import mail
from tests.packaging.making import call

if TYPE_CHECKING:
    from tests.inetd.starting import House

pytestmark = [pytest.mark.root, pytest.mark.client]

# Server program and arguments, as they stood in inetd.conf.  Cyrus has its own master and its own spool.
LINES = {
    "tru64": "/usr/sbin/pop3d pop3d -s -T 300",
    "popa3d": "/usr/sbin/popa3d popa3d",
    "mailutils": "/usr/sbin/pop3d pop3d -i",
    "qpopper": "/usr/sbin/popper popper -s",
}
THREE = [mail(f"message {n}", b"text %d\n" % n) for n in (1, 2, 3)]


@pytest.mark.parametrize("name", [name for name in LINES if name in commandline.SERVED])
def test_the_line_that_migrate_tells_serves_the_user_s_mail(name: str, house: House) -> None:
    old = house.folder / "old/etc/inetd.conf"
    old.parent.mkdir(parents=True)
    old.write_text(f"pop3 stream tcp nowait.1000 root {LINES[name]}\n")
    house.config.unlink()
    sbin = house.pop3d.parent
    values = {"state_dir": house.state, "spool": house.user.spool, "hostname": "pop.example.org", "log.to": "syslog"}
    values |= {"mailauth.database": house.folder / "auth/db", "mailauth.key": house.folder / "keys/key"}
    words = [word for key, value in values.items() for word in ("--set", f"{key}={value}")]
    moved = [sbin / "qpopper-py", "migrate", "--from", name, "--root", house.folder / "old", "--output", house.config]
    told = call(*moved, *words)

    path, _argv0, *arguments = LINES[name].split()
    link = sbin / PROGRAMS[name].link
    assert f"pop3 stream tcp nowait.1000 root {LINES[name].replace(path, str(link), 1)}\n" in told

    config = commandline.ours(commandline.named(name, ""))[0].spelt
    house.user.fill(THREE)
    with house.serving("openbsd-inetd", tuple(arguments), link, config) as serving:
        with serving.dialogue() as line:
            assert line.login(house.user.name).startswith(b"+OK")
            assert line.ask("STAT").startswith(b"+OK 3 ")
            assert line.ask("DELE 2").startswith(b"+OK")
            assert line.ask("QUIT").startswith(b"+OK")
        serving.idle()
    left = house.user.mailbox.read_bytes()
    assert [message.name for message in THREE if message.stored in left] == ["message 1", "message 3"]
