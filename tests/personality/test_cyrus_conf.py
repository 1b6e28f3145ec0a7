"""cyrus.conf(5): which service a command line is, where master(8) does not say."""

import pytest

from qpopper_py.personality.cyrus.cyrus_conf import service, services

# The SERVICES of Debian's /etc/cyrus.conf (cyrus-common 2.4), those of pop3d not commented out.
DEBIAN = """\
# Debian defaults for Cyrus IMAP server/cluster implementation
START {
\trecover\t\tcmd="/usr/sbin/cyrus ctl_cyrusdb -r"
\tpop3start\tcmd="pop3d"
}
SERVICES {
\t# --- Normal cyrus spool, or Murder backends ---
\timap\t\tcmd="imapd -U 30" listen="imap" prefork=0 maxchild=100
\t#imaps\t\tcmd="imapd -s -U 30" listen="imaps" prefork=0 maxchild=100
\tpop3\t\tcmd="pop3d -U 30" listen="pop3" prefork=0 maxchild=50
\tpop3s\t\tcmd="pop3d -s -U 30" listen="pop3s" prefork=0 maxchild=50
\tnotify\t\tcmd="notifyd" listen="/var/run/cyrus/socket/notify" proto="udp" prefork=1
}
EVENTS {
\tcheckpoint\tcmd="/usr/sbin/cyrus ctl_cyrusdb -c" period=30
}
"""


def test_debians_services_are_read():
    assert dict(services(DEBIAN)) == {
        "imap": "imapd -U 30",
        "pop3": "pop3d -U 30",
        "pop3s": "pop3d -s -U 30",
        "notify": "notifyd",
    }


@pytest.mark.parametrize(
    ("text", "secure", "ticket", "name"),
    [
        (DEBIAN, False, False, "pop3"),
        (DEBIAN, True, False, "pop3s"),
        (DEBIAN, False, True, ""),
        ('SERVICES {\n own cmd="/usr/lib/cyrus/bin/pop3d -k" listen="kpop"\n}', False, True, "own"),
        ("SERVICES {\n own listen=pop3 cmd=cyrus-pop3d\n}", False, False, "own"),
        ('SERVICES {\n imap cmd="imapd"\n}', False, False, ""),
        ("SERVICES {", False, False, ""),
        ("", False, False, ""),
    ],
)
def test_a_command_line_is_the_first_service_with_the_same_options(tmp_path, text, secure, ticket, name):
    (tmp_path / "cyrus.conf").write_text(text)
    assert service(secure, ticket, str(tmp_path / "cyrus.conf")) == name


def test_where_there_is_no_file_there_is_no_name(tmp_path):
    assert service(False, False, str(tmp_path / "none")) == ""
