"""``pop3d --demo``: a maildrop of real-looking mail to try the server with, gone when it ends."""

import os
import shutil
import sys
import tempfile
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from email.message import EmailMessage
from email.utils import format_datetime

from qpopper_py.auth.authdb_edit import Editor, create
from qpopper_py.personality.commandline import Invocation
from qpopper_py.settings import Settings

USER = "demo"
SECRET = "demo"  # noqa: S105  # printed on the terminal, gone with it
LETTERS = (
    (
        "Ada Winter <ada@example.org>",
        "Minutes of Monday's meeting",
        "Hello,\n\nthe minutes are below.\n\n1. Budget\n2. The roof\n",
    ),
    (
        "Build Robot <builds@example.org>",
        "nightly build: 412 passed",
        "All green.\n.\n..\n...and lines of dots, as TOP and RETR meet them.\n",
    ),
    (
        "Bjørn Åse <bjorn@example.no>",
        "Grüße aus Tromsø",
        "Hei!\n\nÆ, ø og å kommer frem som de skal.\n\nHilsen\nBjørn\n",
    ),
    (
        "Carla Ruiz <carla@example.com>",
        "Re: the old pop3d",
        "> when does it go?\n\nOn Friday. Nobody will notice.\n\nFrom what I hear, at least.\n",
    ),
    (
        "List <announce@lists.example.org>",
        "[announce] maintenance window",
        "Saturday 02:00 to 04:00 UTC.\n\n-- \nyour operators\n",
    ),
    ("Dieter Vogel <dieter@example.de>", "Bild vom Hafen", "Das Bild ist im Anhang.\n"),
)


def demo(invocation: Invocation, serve: Callable[[Invocation], int]) -> int:
    """Make the maildrop, say how to try it, serve until the terminal's end or ^C, and leave nothing behind."""
    folder = tempfile.mkdtemp(prefix="pop3d-demo-")
    try:
        invocation.settings = furnished(folder, invocation.settings)
        announce(invocation.settings)
        return serve(invocation)
    finally:
        shutil.rmtree(folder)


def furnished(folder: str, asked: Settings) -> Settings:
    """Settings for a demonstration in ``folder``; what the command line asked for goes before them."""
    owner, group = (os.getuid(), os.getgid()) if os.getuid() else (65534, 65534)
    os.makedirs(f"{folder}/keys", 0o700)
    values = {
        "listen": ["127.0.0.1:1110"],
        "accounts.file": f"{folder}/accounts",
        "auth.sources": ["mailauth", "accounts"],
        "mailauth.database": f"{folder}/mailauth.db",
        "mailauth.key": f"{folder}/keys/mailauth.key",
        "state_dir": f"{folder}/state",
        "log.to": "stderr",
        "locks.dotlock": "try",
        "xmit": "off",
    }
    set_values = [(asked.origins[name], {name: value}) for name, value in asked.values.items()]
    here = {"serve.background": False, "serve.pid_file": ""}  # it ends with the terminal, and cleans up
    settings = Settings([("demo", values), *set_values, ("demo", here)])
    mailbox = f"{folder}/{USER}.mbox"
    with open(mailbox, "wb") as file:
        for number, letter in enumerate(LETTERS):
            file.write(posted(*letter, datetime.now(UTC) - timedelta(hours=7 * (len(LETTERS) - number))))
    os.chown(mailbox, owner, group)
    os.chmod(folder, 0o755)  # noqa: S103  # the mail process is another user when we are root
    with open(settings.accounts_file, "w", encoding="utf-8") as file:
        file.write(f"{USER}::{owner}:{group}::{folder}::userdb_mail=mbox:{mailbox}\n")
    os.chmod(settings.accounts_file, 0o600)
    create(settings.mailauth_database, settings.mailauth_key, settings.mailauth_owner)
    editor = Editor(settings.mailauth_database, settings.mailauth_key, settings.mailauth_owner)
    for kind in ("POP", "APOP"):
        editor.put(USER, kind, SECRET.encode())
    return settings


def posted(sender: str, subject: str, text: str, when: datetime) -> bytes:
    """One message as a delivery agent writes it into an mbox."""
    message = EmailMessage()
    message["From"] = sender
    message["To"] = "Demo <demo@example.org>"
    message["Date"] = format_datetime(when)
    message["Subject"] = subject
    message["Message-ID"] = f"<{when:%Y%m%d%H%M%S}.{len(text)}@example.org>"
    message.set_content(text, cte="8bit" if text.isascii() else "quoted-printable")
    if "Anhang" in text:
        message.add_attachment(bytes(range(256)) * 16, "image", "x-portable-graymap", filename="hafen.pgm")
    body = message.as_bytes().replace(b"\nFrom ", b"\n>From ")
    return (
        f"From {sender.rpartition('<')[2][:-1]} {when:%a %b %e %H:%M:%S %Y}\n".encode() + body.rstrip(b"\n") + b"\n\n"
    )


def announce(settings: Settings) -> None:
    """The lines to try it with."""
    where = settings.listen[0].address
    host, _, port = where.rpartition(":")
    print(
        f"""pop3d --demo: {len(LETTERS)} messages for user {USER}, password and APOP secret {SECRET!r}, on {where}.

  curl -u {USER}:{SECRET} pop3://{where}/           the scan listing (curl sees the stamp and uses APOP)
  curl -u {USER}:{SECRET} pop3://{where}/3          the third message
  telnet {host} {port}                      then: USER {USER}, PASS {SECRET}, STAT, LIST, UIDL, TOP 1 5, LAST, QUIT

The log goes to this terminal.  ^C ends it and removes the mail.
""",
        flush=True,
        file=sys.stdout,
    )
