"""Postfix's local(8) delivers in a loop, in fcntl, dotlock order, while messages are deleted; nobody loses any."""

from __future__ import annotations

import contextlib
import json
import os
import random
import re
import shutil
import time
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from qpopper_py.settings import Settings
from qpopper_py.store.opening import open_store
from tests.harness import environment, open_folder, started, wait_until
from tests.inetd.starting import User
from tests.inetd.test_xmit import MASTER_CF, end_master

from .delivery import letter, number_of

if TYPE_CHECKING:
    from collections.abc import Iterator

EXPUNGES = 1000 if os.environ.get("ROUNDS") else 40
AHEAD = 20  # messages that wait for Postfix; it delivers them one after the other, lest it wait for itself
pytestmark = [pytest.mark.root, pytest.mark.client("postfix", "unshare")]

MAIN_CF = """\
compatibility_level = 3.6
myhostname = torture.example.org
mydestination = torture.example.org
mail_spool_directory = {spool}
mailbox_delivery_lock = fcntl, dotlock
mailbox_size_limit = 0
inet_interfaces =
inet_protocols = ipv4
alias_maps =
alias_database =
local_recipient_maps =
in_flow_delay = 0
local_destination_concurrency_limit = 1
maillog_file = /dev/stdout
queue_directory = /var/spool/postfix
data_directory = /var/lib/postfix
"""

SCRIPT = """
mount --bind {folder}/etc /etc/postfix &&
mount --bind {folder}/queue /var/spool/postfix &&
mount --bind {folder}/data /var/lib/postfix || exit 1
postfix start-fg &
while read -r letter; do sendmail -i -f torture@example.org {user}@torture.example.org < "$letter"; done < {folder}/feed
wait
"""


@contextlib.contextmanager
def postfix(folder: Path, spool: Path, user: str) -> Iterator[object]:
    """A Postfix of its own that sends what is named in the fifo ``feed``; its log."""
    for name in ("etc", "queue", "data"):
        (folder / name).mkdir(parents=True)
        (folder / name).chmod(0o755)
    shutil.copytree("/etc/postfix", folder / "etc", dirs_exist_ok=True)
    shutil.chown(folder / "data", "postfix")
    (folder / "etc/main.cf").write_text(MAIN_CF.format(spool=spool))
    master = "".join(line + "\n" for line in MASTER_CF.splitlines() if not line.startswith("sink"))
    (folder / "etc/master.cf").write_text(master + "local     unix  -  n  n  -   -  local\n")
    os.mkfifo(folder / "feed")
    clean = {key: value for key, value in environment().items() if key != "PYTHONPATH"}
    script = SCRIPT.format(folder=folder, user=user)
    with started("unshare", "--mount", "sh", "-c", script, env=clean, cwd="/") as process:
        try:
            process.output.wait_for("daemon started")
            yield process.output
        finally:
            end_master(folder)


def sessions(user: User, state: Path, tell: int) -> None:
    """As the user: delete about half of what is there, EXPUNGES times, and tell what; then tell what is left."""
    chance = random.Random(11)
    settings = Settings([("test", {"locks.timeout": "60"})])

    def opened():
        return open_store(str(user.mailbox), user.name, str(state), settings, lambda _: None)

    for _ in range(EXPUNGES):
        while not user.mailbox.stat().st_size:
            time.sleep(0.002)
        with closing(opened()) as store:
            count = len(store.scan())
            doomed = {index for index in range(count) if chance.random() < 0.5}
            numbers = [number_of(b"".join(store.read(index))) for index in doomed]
            store.expunge(doomed)
        os.write(tell, json.dumps(numbers).encode() + b"\n")


def test_local_deliveries_during_expunges(capsys):
    chance = random.Random(13)
    with open_folder() as folder:
        spool = folder / "spool"
        spool.mkdir()
        spool.chmod(0o1777)
        with User(spool) as user, postfix(folder / "postfix", spool, user.name) as log:
            state = folder / "state"
            state.mkdir(mode=0o700)
            os.chown(state, user.uid, user.gid)
            user.fill([])
            heard, tell = os.pipe()
            child = os.fork()
            if child == 0:
                try:
                    os.setresgid(user.gid, user.gid, user.gid)
                    os.setresuid(user.uid, user.uid, user.uid)
                    sessions(user, state, tell)
                finally:
                    os._exit(0)
            os.close(tell)
            sent = 0
            os.set_blocking(heard, False)
            told = b""
            with (folder / "postfix/feed").open("w") as feed:
                while (done := os.waitpid(child, os.WNOHANG)[0]) == 0:
                    with contextlib.suppress(BlockingIOError):
                        told += os.read(heard, 1 << 20)
                    if sent - log.text.count("status=sent") > AHEAD:
                        time.sleep(0.005)
                        continue
                    sent += 1
                    path = folder / f"letter{sent}"
                    path.write_bytes(letter(sent, chance))
                    feed.write(f"{path}\n")
                    feed.flush()
                assert done == child
            with open(heard, "rb") as rest:
                os.set_blocking(rest.fileno(), True)
                told += rest.read()
            delays = []

            def all_came() -> bool:
                found = re.findall(r"delays=[\d.]+/[\d.]+/[\d.]+/([\d.]+), dsn=2\.0\.0, status=sent", log.text)
                delays[:] = [float(delay) for delay in found]
                return len(delays) == sent

            for _ in range(10):
                with contextlib.suppress(AssertionError):
                    wait_until(all_came, "all deliveries")
            assert all_came(), f"{sent} sent, {len(delays)} delivered; Postfix said: {log.text[-2000:]}"
            deleted = [number for line in told.splitlines() for number in json.loads(line)]
            with closing(open_store(str(user.mailbox), user.name, "", Settings(), lambda _: None)) as store:
                left = [number_of(b"".join(store.read(index))) for index in range(len(store.scan()))]
            assert sorted(deleted + left) == list(range(1, sent + 1))
    with capsys.disabled():
        print(
            f"\n{EXPUNGES} expunges, {sent} deliveries by Postfix, {len(deleted)} deleted: a delivery took "
            f"{max(delays):.2f} s at most (Postfix tries a lock once a second), {sum(delays) / sent:.3f} s on average, "
            f"{sum(delay >= 0.5 for delay in delays)} had to wait"
        )
