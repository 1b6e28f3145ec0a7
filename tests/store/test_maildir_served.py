"""Maildirs over the wire: by the accounts file and by the setting maildrop."""

import os

import pytest

from qpopper_py.auth.account import Account
from qpopper_py.errors import ConfigurationError
from qpopper_py.serve.maildrops import maildrop_of
from qpopper_py.settings import Settings
from tests.harness import Server, awkward, open_folder


@pytest.fixture
def server():
    with open_folder() as folder:
        made = Server(folder, settings={"accounts.maildrop": f"maildir:{folder}/mail/%n/Maildir"})
        home = made.maildrop()
        for path in (home, home / "Maildir", *(home / "Maildir" / name for name in ("new", "cur", "tmp"))):
            path.mkdir(mode=0o700)
            made.give(path)
        for number, message in enumerate(awkward()):
            path = home / "Maildir" / (f"new/{number}.x" if number % 2 else f"cur/{number}.x:2,S")
            path.write_bytes(message.stored)
            made.give(path)
        with made:
            yield made


def test_a_maildir_is_served_from_login_to_quit(server):
    messages = awkward()
    folder = server.maildrop() / "Maildir"
    with server.dialogue() as talk:
        assert talk.login().startswith(b"+OK")
        assert talk.ask("STAT") == b"+OK %d %d" % (len(messages), sum(len(message.wire) for message in messages))
        assert talk.ask("UIDL").startswith(b"+OK")
        assert talk.body() == b"".join(b"%d %d.x\r\n" % (number + 1, number) for number in range(len(messages)))
        for name in os.listdir(folder / "new"):
            os.rename(folder / "new" / name, folder / "cur" / f"{name}:2,S")
        for number, message in enumerate(messages):
            assert talk.ask(f"RETR {number + 1}").startswith(b"+OK")
            assert talk.body() == message.wire, message
        assert talk.ask("DELE 1").startswith(b"+OK")
        assert talk.ask("DELE 2").startswith(b"+OK")
        assert talk.ask("QUIT").startswith(b"+OK")
        assert talk.rest() == b""
    assert len(os.listdir(folder / "cur")) == len(messages) - 2
    assert not {"0.x:2,S", "1.x:2,S"} & set(os.listdir(folder / "cur"))
    with server.dialogue() as talk:
        talk.login()
        assert talk.ask("LAST").split()[:2] == [b"+OK", b"%d" % (len(messages) - 2)]
        assert talk.ask("QUIT").startswith(b"+OK")


def test_a_message_that_vanished_ends_the_session_without_an_update(server):
    folder = server.maildrop() / "Maildir"
    with server.dialogue() as talk:
        talk.login()
        assert talk.ask("DELE 3").startswith(b"+OK")
        os.unlink(folder / "cur/0.x:2,S")
        assert talk.ask("RETR 1").startswith(b"-ERR")
        assert talk.rest() == b""
    assert (folder / "cur/2.x:2,S").exists()


def place(template, user="alice", home="/home/alice", maildrop=""):
    account = Account(user, 1000, 1000, home, maildrop, True, "unix")
    return maildrop_of(account, Settings([("test", {"maildrop": template})]))


@pytest.mark.parametrize(
    ("template", "name"),
    [
        ("", "/var/mail/alice"),
        ("maildir:%h/Maildir/", "maildir:/home/alice/Maildir"),
        ("~/mbox", "/home/alice/mbox"),
        ("mbox:/srv/%u/100%%", "mbox:/srv/alice/100%"),
    ],
)
def test_the_setting_says_where_the_mail_of_a_system_user_lies(template, name):
    assert place(template) == (name, "")


def test_an_account_that_says_it_itself_is_believed():
    assert place("maildir:%h/Maildir", maildrop="/srv/alice") == ("/srv/alice", "")


def test_a_user_without_a_home_is_told_so_in_the_log():
    name, why = place("maildir:%h/Maildir", home="")
    assert name == ""
    assert "home" in why
    assert "maildrop" in why


@pytest.mark.parametrize("template", ["Maildir", "maildir:Maildir", "mh:/x", "/mail/%x", "/mail/%", "~alice/x"])
def test_a_template_that_cannot_be_is_a_configuration_error(template):
    with pytest.raises(ConfigurationError, match="maildrop"):
        Settings([("test", {"maildrop": template})])
