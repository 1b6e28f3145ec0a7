"""What a system user meets beyond fetching mail: APOP and mail passwords, a full disk, a hostile spool."""

from __future__ import annotations

import os
import poplib
import re
import stat
import subprocess
import time
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.conftest import require_program
from tests.harness import APOP_SECRET, FROM_LINE, PASSWORD, PATIENCE, big, environment, mail

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.inetd.starting import House

pytestmark = [pytest.mark.root, pytest.mark.client("socat")]

THREE = [mail(f"message {n}", b"text %d\n" % n) for n in (1, 2, 3)]


def mailauth(house: House, *words: str, given: str = "") -> None:
    settings = [f"mailauth.database={house.folder}/auth/mailauth.db", f"mailauth.key={house.folder}/keys/mailauth.key"]
    line = [str(house.pop3d.parent.parent / "bin/mailauth"), *(w for s in settings for w in ("--set", s)), *words]
    done = subprocess.run(line, input=f"{given}\n", text=True, capture_output=True, env=environment(), cwd="/")
    assert done.returncode == 0, done.stdout + done.stderr


def test_a_system_user_with_an_apop_entry_logs_in_by_apop_and_not_by_pass(house: House) -> None:
    house.user.fill(THREE)
    mailauth(house, "add", house.user.name, "--type", "APOP", "--stdin", given=APOP_SECRET)
    with house.serving() as serving:
        pop = poplib.POP3("127.0.0.1", serving.port, timeout=PATIENCE)
        pop.apop(house.user.name, APOP_SECRET)
        assert pop.stat()[0] == 3
        pop.quit()
        with serving.dialogue() as line:
            assert line.login(house.user.name).startswith(b"-ERR [AUTH]")
    assert APOP_SECRET not in house.log.text


def test_a_mail_password_takes_the_place_of_the_login_password(house: House) -> None:
    house.user.fill(THREE)
    mailauth(house, "add", house.user.name, "--type", "POP", "--stdin", given="of its own")
    with house.serving(options=("--set", "auth.refusal_delay=0")) as serving:
        with serving.dialogue() as line:
            assert line.login(house.user.name, "of its own").startswith(b"+OK")
            assert line.ask("QUIT").startswith(b"+OK")
        with serving.dialogue() as line:
            assert line.login(house.user.name, PASSWORD).startswith(b"-ERR [AUTH]")


def test_the_other_half_of_a_socket_may_close_after_quit_was_sent(house: House) -> None:
    """All commands in one packet and the sending side shut: every answer still comes, and the update is done."""
    house.user.fill(THREE)
    with house.serving() as serving:
        with serving.dialogue() as line:
            line.sock.sendall(f"USER {house.user.name}\r\nPASS {PASSWORD}\r\nSTAT\r\nDELE 1\r\nQUIT\r\n".encode())
            line.sock.shutdown(1)
            heard = line.rest().splitlines()
        serving.idle()
    assert [reply[:3] for reply in heard] == [b"+OK"] * 6
    assert b"text 1" not in house.user.mailbox.read_bytes()


@pytest.fixture
def small_spool(house: House) -> Iterator[House]:
    """The same house, its spool on a file system of 1 MB."""
    spool = str(house.user.spool)
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=1m,mode=1777", "tmpfs", spool], check=True)
    try:
        yield house
    finally:
        subprocess.run(["umount", spool], check=True)


def fill_up(path: Path) -> None:
    """Write until there is no room; raises OSError then."""
    with path.open("wb", buffering=0) as ballast:
        while True:
            ballast.write(bytes(4096))


def test_the_statistics_record_is_true_on_a_full_disk_too(small_spool: House) -> None:
    """Whether or not the update finds room: record, reply and mailbox tell the same."""
    house = small_spool
    messages = [*THREE, big(200_000)]
    house.user.fill(messages)
    with pytest.raises(OSError, match="No space"):
        fill_up(house.user.spool / "ballast")
    with house.serving(options=("-s",)) as serving:
        with serving.dialogue() as line:
            assert line.login(house.user.name).startswith(b"+OK")
            assert line.ask("DELE 1").startswith(b"+OK")
            assert line.ask("DELE 3").startswith(b"+OK")
            done = line.ask("QUIT").startswith(b"+OK")
        serving.idle()
    gone = [0, 2] if done else []
    left = [message for number, message in enumerate(messages) if number not in gone]
    lost = [message for number, message in enumerate(messages) if number in gone]
    record = house.log.wait_for("Stats:")
    numbers = [len(lost), sum(len(m.wire) for m in lost), len(left), sum(len(m.wire) for m in left)]
    assert f"Stats: {house.user.name} {' '.join(map(str, numbers))}" in record
    kept = house.user.mailbox.read_bytes()
    assert kept.count(FROM_LINE) == len(left)
    assert all(message.stored in kept for message in left)


def test_a_mailbox_that_is_a_link_is_not_followed(house: House) -> None:
    secret = house.folder / "secret"
    secret.write_bytes(FROM_LINE + THREE[0].stored)
    secret.chmod(0o644)
    house.user.mailbox.symlink_to(secret)
    with house.serving() as serving, serving.dialogue() as line:
        assert line.login(house.user.name).startswith(b"-ERR [SYS/")
    assert secret.read_bytes() == FROM_LINE + THREE[0].stored


def test_another_users_mailbox_under_ones_name_is_refused(house: House) -> None:
    house.user.fill(THREE)
    os.chown(house.user.mailbox, 65534, 65534)
    house.user.mailbox.chmod(0o666)
    whole = house.user.mailbox.read_bytes()
    with house.serving() as serving, serving.dialogue() as line:
        assert line.login(house.user.name).startswith(b"-ERR [SYS/")
    assert house.user.mailbox.read_bytes() == whole


def test_root_never_gets_in(house: House) -> None:
    with house.serving(options=("--set", "auth.refusal_delay=0")) as serving, serving.dialogue() as line:
        assert line.login("root", "whatever").startswith(b"-ERR [AUTH]")


def test_dotlock_and_mailbox_of_a_spool_that_only_group_mail_may_write(house: House) -> None:
    """Debian's /var/mail: 2775 root:mail.  The user cannot make the lock; it is made for him, and removed."""
    house.user.spool.chmod(0o2775)
    os.chown(house.user.spool, 0, 8)
    house.user.fill(THREE)
    with house.serving() as serving:
        with serving.dialogue() as line:
            assert line.login(house.user.name).startswith(b"+OK")
            assert line.ask("DELE 1").startswith(b"+OK")
            assert line.ask("QUIT").startswith(b"+OK")
        serving.idle()
    assert b"text 1" not in house.user.mailbox.read_bytes()
    assert os.listdir(house.user.spool) == [house.user.name]


def test_fetchmail_as_the_user_himself_fetches_through_inetd(house: House) -> None:
    """Run as the system user, with mail delivered to a file of his."""
    house.user.fill(THREE)
    home = house.folder / "home"
    home.mkdir()
    with house.serving() as serving:
        rc = home / "rc"
        rc.write_text(
            f'poll 127.0.0.1 service {serving.port} protocol POP3 no dns user "{house.user.name}" password "{PASSWORD}"'
            f' fetchall no keep no rewrite no stripcr sslproto "" mda "cat >> {home}/got"\n'
        )
        rc.chmod(0o600)
        for path in (home, rc):
            os.chown(path, house.user.uid, house.user.gid)
        who = [f"--reuid={house.user.uid}", f"--regid={house.user.gid}", "--clear-groups"]
        fetchmail = [require_program("fetchmail"), "--invisible", "-f", str(rc), "--pidfile", str(home / "pid")]
        line = [require_program("setpriv"), *who, *fetchmail]
        env = environment(HOME=str(home), FETCHMAILHOME=str(home))
        done = subprocess.run(line, capture_output=True, text=True, env=env, cwd=home)
        assert done.returncode == 0, done.stdout + done.stderr
        serving.idle()
    assert (home / "got").read_bytes() == b"".join(message.wire for message in THREE)
    assert house.user.mailbox.read_bytes() == b""


def test_no_secret_reaches_the_command_line_of_any_process(house: House) -> None:
    house.user.fill(THREE)
    with house.serving() as serving, serving.dialogue() as line:
        assert line.login(house.user.name).startswith(b"+OK")
        known = b"".join(
            Path(f"/proc/{pid}/{file}").read_bytes() for pid in serving.processes() for file in ("cmdline", "environ")
        )
        assert line.ask("QUIT").startswith(b"+OK")
    assert b"pop3d" in known
    assert PASSWORD.encode() not in known


def test_under_inetd_refused_logins_are_counted_together_in_a_file_of_roots(house: House) -> None:
    """Each connection is a program of its own there; the second waits for what the first did."""
    house.user.fill(THREE)
    house.configure('guess.trusted = []\nguess.delay = 1\nauth.refusal_delay = 0\nauth.sources = ["mailauth", "unix"]')
    with house.serving() as serving:
        with serving.dialogue() as line:
            assert line.login("nobody-of-that-name", "a wrong password").startswith(b"-ERR [AUTH]")
        with serving.dialogue() as line:
            assert line.line().startswith(b"+OK")
            line.ask(f"USER {house.user.name}")
            began = time.monotonic()
            assert line.ask(f"PASS {PASSWORD}").startswith(b"+OK")
            assert time.monotonic() - began >= 1
            assert line.ask("QUIT").startswith(b"+OK")
    found = (house.state / "guesses").stat()
    assert (found.st_uid, stat.S_IMODE(found.st_mode)) == (0, 0o600)
    assert "nobody-of-that-name" not in house.log.text
    assert re.search(r"Failed attempted login to \(unknown:[0-9a-f]{8}\) from", house.log.text)
