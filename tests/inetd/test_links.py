"""The name by which inetd starts us, at whatever remove, is the old program that we are."""

from __future__ import annotations

import re
import socket
import subprocess
from typing import TYPE_CHECKING

import pytest

from qpopper_py.personality import commandline
from tests.harness import PATIENCE, Dialogue, environment
from tests.inetd.starting import LASTING

if TYPE_CHECKING:
    from pathlib import Path

    from tests.inetd.starting import House

pytestmark = [pytest.mark.root, pytest.mark.client]

every_personality = pytest.mark.parametrize("personality", commandline.SERVED)
LINES = ("NOOP", "NOSUCH", "LAST", "USER", "RETR 1 2 3", "QUIT")


def link_of(personality: str, prefix: Path) -> Path:
    """The link that make install makes for it."""
    names = [name for name, chosen in commandline.NAMES.items() if chosen == personality]
    return next(prefix / "sbin" / name for name in names if (prefix / "sbin" / name).is_symlink())


def manners(line: Dialogue) -> list[str]:
    """What a personality says before a login, without what is another each time."""
    said = [line.line(), *(line.ask(words) for words in LINES)]
    return [re.sub(r"<[^<>]*>", "<stamp>", text.decode()) for text in said]


def by_name(personality: str, house: House, options: list[str]) -> list[str]:
    """The manners of a session that was started with the personality spelt out."""
    ours, theirs = socket.socketpair()
    ours.settimeout(PATIENCE)
    words = [str(house.pop3d), "--personality", personality, *options]
    clean = {key: value for key, value in environment().items() if key != "PYTHONPATH"}
    with theirs:
        process = subprocess.Popen([*house.log.prefix, *words], stdin=theirs, stdout=theirs, stderr=theirs, env=clean)
    try:
        with Dialogue(ours) as line:
            return manners(line)
    finally:
        process.wait(PATIENCE)


@pytest.mark.parametrize("superserver", ["openbsd-inetd", "tcpd", "xinetd", "systemd", *LASTING])
@every_personality
def test_a_link_to_a_link_to_pop3d_is_that_old_program(personality: str, superserver: str, house: House) -> None:
    """As in /usr/sbin/X -> mailutils-pop3d -> pop3d; inetd's own argv[0] says pop3d and never reaches a script."""
    link = house.folder / "in.pop3d"
    link.symlink_to(link_of(personality, house.pop3d.parent.parent))
    config = commandline.ours(commandline.named(personality, ""))[0].spelt
    with house.serving(superserver, program=link, config=config) as serving:
        with serving.dialogue() as line:
            heard = manners(line)
        if superserver not in LASTING:
            serving.idle()
    assert heard == by_name(personality, house, [config, str(house.config)])
