"""UTF8 and LANG by RFC 6856, mail with 8-bit headers with and without them."""

import pytest

from qpopper_py.auth.account import Account
from qpopper_py.auth.gate import Denied
from qpopper_py.session.language import lookup
from tests.session.talking import LOGIN, TWO, FakeGate, FakeStore, Talk, talk

UTF_8 = "Subject: Grüße aus 日本\r\nFrom: Jörg <jörg@例え.jp>\r\n\r\nNaïve déjà vu\r\n".encode()
LATIN_1 = "Subject: Grüße\r\n\r\nKöln\r\n".encode("latin-1")


class OctetGate(FakeGate):
    """Lets anybody in whose password is ``secret``, octet by octet."""

    def __init__(self, secret):
        super().__init__()
        self.secret = secret

    def check(self, user, password, facts):
        self.passwords.append((user, password))
        granted = password == self.secret
        return Account("jörg", 1000, 1000, "/", "", True, "unix") if granted else Denied("jörg", "wrong password")


@pytest.mark.parametrize("before", [b"", b"USER mrose\r\n", LOGIN])
def test_both_capabilities_are_announced(before):
    """Section 2: ``UTF8 USER``; section 3.1: ``LANG``; both in both states."""
    said = talk(before + b"CAPA\r\n")
    assert {b"UTF8 USER", b"LANG"} <= set(said)


@pytest.mark.parametrize("before", [b"", b"USER mrose\r\n"])
def test_utf8_is_granted_before_login(before):
    assert talk(before + b"UTF8\r\n")[-1].startswith(b"+OK")


def test_utf8_is_refused_after_login_and_with_an_argument():
    """Section 2: AUTHORIZATION state; section 2.1: no arguments."""
    assert talk(LOGIN + b"UTF8\r\n")[-1].startswith(b"-ERR")
    assert talk(b"UTF8 USER\r\n")[-1].startswith(b"-ERR")


def test_user_and_utf8_and_pass_are_one_login():
    assert talk(b"USER mrose\r\nUTF8\r\nPASS secret\r\n")[-1].startswith(b"+OK")


@pytest.mark.parametrize("before", [b"", b"UTF8\r\n"])
@pytest.mark.parametrize("message", [UTF_8, LATIN_1, TWO[0]])
@pytest.mark.parametrize("command", [b"RETR 1\r\n", b"TOP 1 99\r\n"])
def test_mail_is_sent_as_it_is_stored_with_utf8_and_without(before, message, command):
    """Section 2.1 has UTF-8 sent as it is in UTF-8 mode, and LIST tell the octets that RETR sends.

    Without it nothing outside ASCII should be sent; but then old clients would not get all their mail, as ever.
    """
    done = Talk(before + LOGIN + b"LIST 1\r\n" + command, store=FakeStore([message]))
    stuffed = message.replace(b"\r\n.", b"\r\n..")
    assert done.data.endswith(b" octets\r\n" + stuffed + b".\r\n")
    assert b"+OK 1 %d\r\n" % len(message) in done.data


@pytest.mark.parametrize("before", [b"", b"UTF8\r\n"])
def test_names_and_passwords_in_utf_8_reach_the_gate_octet_for_octet(before):
    """Section 2.2: the client does not need UTF8 for that."""
    gate = OctetGate("pässwörd 日本".encode())
    done = Talk(before + "USER jörg\r\nPASS pässwörd 日本\r\n".encode(), gate=gate)
    assert gate.passwords == [("jörg".encode(), "pässwörd 日本".encode())]
    assert done.lines[-1].startswith(b"+OK")


def test_a_password_in_an_old_character_set_still_opens_its_account_for_an_old_client():
    gate = OctetGate(b"p\xe4ssword")
    assert Talk(b"USER jorg\r\nPASS p\xe4ssword\r\n", gate=gate).lines[-1].startswith(b"+OK")


@pytest.mark.parametrize(
    "bad",
    [
        b"p\xe4ssword",
        b"\xc0\xaf",  # RFC 3629 section 10: a slash, too long by one octet
        b"\xed\xa0\x80",  # section 3: a surrogate
        b"\xf4\x90\x80\x80",  # section 3: beyond U+10FFFF
        b"\xe2\x82",
    ],
)
def test_after_utf8_what_is_not_utf_8_is_refused_and_never_reaches_the_gate(bad):
    """Section 2.2: the server MUST reject names and passwords that fail to comply with RFC 3629."""
    gate = OctetGate(bad)
    done = Talk(b"UTF8\r\nUSER jorg\r\nPASS " + bad + b"\r\nUSER " + bad + b"\r\nAPOP " + bad + b" x\r\n", gate=gate)
    assert [line[:11] for line in done.lines[-3:]] == [b"-ERR [AUTH]"] * 3
    assert gate.passwords == []


def test_lang_lists_what_there_is():
    """Section 3.2: a line for each: the tag, a blank, the language's name in that language."""
    for before in (b"", b"USER mrose\r\n", LOGIN):
        said = Talk(before + b"LANG\r\n").data.rpartition(b"+OK Language")[2].split(b"\r\n")
        assert said[1:] == [b"en English", b".", b""]


@pytest.mark.parametrize("wanted", [b"en", b"EN", b"en-GB", b"en-Latn-US-x-old", b"*"])
def test_lang_grants_english_and_names_the_tag_first(wanted):
    """Section 3.2: a single blank, the exact tag selected, and another blank."""
    for before in (b"", LOGIN):
        assert talk(before + b"LANG " + wanted + b"\r\n")[-1].startswith(b"+OK en ")


@pytest.mark.parametrize("wanted", [b"uga", b"eng", b"de-en", b"i-default", b"en_GB", b"-", b"en--x", b"\xc3\xa9"])
def test_lang_refuses_what_there_is_not_and_nothing_changes(wanted):
    said = talk(b"LANG " + wanted + b"\r\nUSER mrose\r\n")
    assert said[0].startswith(b"-ERR ")
    assert said[1] == b"+OK Password required for mrose."


def test_lang_takes_one_range():
    assert talk(b"LANG en de\r\n")[0].startswith(b"-ERR")


@pytest.mark.parametrize(("wanted", "tag"), [("en-x-y-z", "en"), ("en-a", "en"), ("zh-Hant-CN-x-private1", "")])
def test_a_range_is_cut_at_its_hyphens(wanted, tag):
    """RFC 4647 section 3.4, whose example is the third."""
    assert lookup(wanted) == tag
