"""The real Dovecot and Courier, each on a Maildir of USER, whose password is ``any``."""

from __future__ import annotations

from typing import TYPE_CHECKING

from .opponents import PERMIT, UID
from .servers import ETC, Running, port

if TYPE_CHECKING:
    from pathlib import Path

DOVECOT_CONF = """\
protocols = pop3
listen = 127.0.0.1
log_path = /dev/stderr
ssl = no
disable_plaintext_auth = no
mail_location = maildir:{mailbox}
passdb {{
  driver = static
  args = password=any
}}
userdb {{
  driver = static
  args = uid={uid} gid={uid} home={mailbox}
}}
service pop3-login {{
  inet_listener pop3 {{
    port = {port}
  }}
  inet_listener pop3s {{
    port = 0
  }}
}}
"""


class Dovecot(Running):
    """By its own values, but for where it listens, where mail is, and the password."""

    uids = "dovecot-uidlist"  # in the Maildir, after the first session

    def __init__(self, folder: Path, mailbox: Path) -> None:
        self.port = port()
        nobodies = "".join(
            f"{name}:x:{uid}:{uid}::/:/bin/false\n" for name, uid in (("dovecot", 64006), ("dovenull", 64007))
        )
        groups = "dovecot:x:64006:\ndovenull:x:64007:\n"
        files = {
            "passwd": ETC["passwd"] + nobodies,
            "group": ETC["group"] + groups,
            "dovecot/dovecot.conf": DOVECOT_CONF.format(mailbox=mailbox, uid=UID, port=self.port),
        }
        prepare = "mount -t tmpfs tmpfs /run\nmkdir /run/dovecot"
        super().__init__(folder, "dovecot", files, ["/usr/sbin/dovecot", "-F"], prepare)


AUTHDAEMONRC = """\
authmodulelist="authpam"
authmodulelistorig="authpam"
daemons=1
authdaemonvar=/run/courier/authdaemon
DEFAULTOPTIONS=""
"""


class Courier(Running):
    """couriertcpd, the login program, authdaemond with PAM, which permits everything, and pop3d on a Maildir."""

    uids = "courierpop3dsizelist"

    def __init__(self, folder: Path, mailbox: Path) -> None:
        self.port = port()
        files = {
            "passwd": ETC["passwd"].replace("/nonexistent:/bin/sh", f"{mailbox.parent}:/bin/sh")
            + "courier:x:64006:64006::/:/bin/false\n",
            "group": ETC["group"] + "courier:x:64006:\n",
            "pam.d/pop3": PERMIT,
            "courier/authdaemonrc": AUTHDAEMONRC,
        }
        prepare = "mount -t tmpfs tmpfs /run\nmkdir -p /run/courier/authdaemon\n"
        prepare += "env $(cat /etc/courier/authdaemonrc | tr -d '\"') /usr/lib/courier/courier-authlib/authdaemond &\n"
        prepare += "for _ in $(seq 3000); do test -S /run/courier/authdaemon/socket && break; sleep 0.01; done"
        programs = "/usr/lib/courier/courier"
        line = ["/usr/sbin/couriertcpd", "-address=127.0.0.1", "-nodnslookup", "-noidentlookup", str(self.port)]
        line += [f"{programs}/courierpop3login", f"{programs}/courierpop3d", mailbox.name]
        super().__init__(folder, "courier", files, line, prepare)
