"""STLS in the session alone: another stream in the wire, and nothing of what came before (RFC 2595 section 4)."""

import socket

from qpopper_py.errors import PeerGone, TlsUnavailable
from qpopper_py.events import SessionClosed, Trouble
from qpopper_py.facts import Tls
from qpopper_py.session.session import Session
from qpopper_py.stream import SocketStream
from tests.session.talking import Talk

SECOND = b"CAPA\r\nPASS secret\r\nUSER mrose\r\nPASS secret\r\nSTLS\r\nQUIT\r\n"


class Secret:
    """Instead of TLS: a second connection, on which ``script`` waits."""

    def __init__(self, script=SECOND, fails=None, breaks=None):
        self.script = script
        self.fails = fails
        self.breaks = breaks

    def ready(self, stream, facts):
        if self.fails:
            raise self.fails

        def begin():
            if self.breaks:
                raise self.breaks
            facts.tls = Tls("TLSv1.3", "NONE")
            self.ours, theirs = socket.socketpair()
            self.ours.sendall(self.script)
            self.ours.shutdown(socket.SHUT_WR)
            self.stream = SocketStream(theirs)
            return self.stream

        return begin

    def heard(self):
        self.stream.close()
        data = self.ours.recv(65536)
        self.ours.close()
        return data.split(b"\r\n")


def talk(monkeypatch, script, secret):
    monkeypatch.setattr(Session, "starttls", staticmethod(secret.ready), raising=False)
    return Talk(script)


def test_lines_and_name_from_before_are_gone_and_the_session_begins_again(monkeypatch):
    secret = Secret()
    before = talk(monkeypatch, b"USER mrose\r\nSTLS\r\nPASS secret\r\nDELE 1\r\n", secret)
    assert before.lines[1:] == [b"+OK Password required for mrose.", b"+OK Begin TLS negotiation"]
    lines = secret.heard()
    assert lines[0] == b"+OK Capability list follows"
    assert b"STLS" not in lines
    after = lines[lines.index(b".") + 1 :]
    assert after[0] == b'-ERR Unknown command: "pass".'
    assert after[2].startswith(b"+OK mrose has 2 message(s)")
    assert after[3].startswith(b"-ERR Unknown command")
    assert before.store.expunged is None


def test_where_tls_cannot_begin_the_session_goes_on_in_the_clear_and_the_log_knows_why(monkeypatch):
    done = talk(monkeypatch, b"STLS\r\nUSER mrose\r\n", Secret(fails=TlsUnavailable("/etc/key: Permission denied")))
    assert done.lines[1].startswith(b"-ERR [SYS/TEMP] TLS is not possible now")
    assert b"key" not in done.data
    assert done.lines[2].startswith(b"+OK")
    assert [event.what for event in done.events_of(Trouble)] == ["/etc/key: Permission denied"]


def test_a_handshake_that_fails_ends_the_connection_without_another_word(monkeypatch):
    done = talk(monkeypatch, b"STLS\r\nUSER mrose\r\n", Secret(breaks=PeerGone("TLS handshake: no")))
    assert done.lines[1:] == [b"+OK Begin TLS negotiation"]
    assert done.events_of(SessionClosed)[0].how == "hangup"


def test_stls_takes_no_argument(monkeypatch):
    assert talk(monkeypatch, b"STLS now\r\n", Secret()).lines[1].startswith(b"-ERR Too many arguments")
