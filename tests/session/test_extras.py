"""EUIDL, MDEF and MANGLE, which Qpopper alone had (reference sections 4.4, 4.10 and 6)."""

import time

import pytest

from qpopper_py.errors import MaildropTrouble
from qpopper_py.personality import qpopper, ucb
from qpopper_py.protocol import plain_text
from qpopper_py.session import extras
from tests.session.talking import LOGIN, FakeStore, Talk

MIXED = (
    b"From: =?utf-8?q?J=C3=B6rg?= <j@x>\r\nSubject: two parts\r\nMIME-Version: 1.0\r\n"
    b'Content-Type: multipart/mixed;\r\n boundary="b"\r\n\r\npreamble\r\n--b\r\nContent-Type: text/plain\r\n'
    b"Content-Transfer-Encoding: quoted-printable\r\n\r\n=2Edot\r\nsecond\r\n--b\r\n"
    b'Content-Type: image/png\r\nContent-Transfer-Encoding: base64\r\nContent-Disposition: attachment; filename="a.png"'
    b"\r\n\r\nAAAA\r\n--b--\r\n"
)
PLAIN = (
    b"From: =?utf-8?q?J=C3=B6rg?= <j@x>\r\nSubject: two parts\r\nMIME-Version: 1.0\r\n"
    b"Content-Type: text/plain; charset=us-ascii\r\nContent-Transfer-Encoding: 7bit\r\n\r\n"
    b".dot\r\nsecond\r\n[image/png: a.png, 3 octets]\r\n"
)


def talk(script, messages=(MIXED,), **keywords):
    keywords.setdefault("store", FakeStore(messages=list(messages)))
    values = {"no_mime_suffix": True, **keywords.pop("settings", {})}
    return Talk(LOGIN + script, dialect=qpopper.DIALECT, settings=values, **keywords)


def said(script, **keywords):
    return talk(script, **keywords).lines[3:]


# ---------------------------------------------------------------------------------------------------------------
# EUIDL


@pytest.mark.parametrize(
    ("header", "shown"),
    [
        (b"From: Carol <carol@x>\r\n", b"Carol <carol@x>"),
        (b"FROM:\t  carol\r\n", b"carol"),
        (b"From: a folded\r\n name\r\n", b"a folded"),
        (b"From: %n%s%x {0} {uid}\r\n", b"%n%s%x {0} {uid}"),  # CVE-2000-0442
        (b"From: " + b"x" * 500 + b"\r\n", b"x" * 128),
        (b"From: J\xf6rg\x07\r\n", b"J?rg?"),
        (b"To: nobody\r\n", b""),
        (b"From:\r\n", b""),
    ],
)
def test_euidl_tells_uid_size_and_sender_as_they_are(header, shown):
    message = header + b"\r\nbody\r\n"
    line = (b"1 uid-0 %d " % len(message) + shown).rstrip()
    assert said(b"EUIDL\r\n", messages=[message]) == [b"+OK uidl command accepted.", line, b"."]
    assert said(b"EUIDL 1\r\n", messages=[message]) == [b"+OK " + line]


def test_a_single_answer_has_no_line_behind_it():
    """Qpopper 2 and early 3 sent an empty one."""
    assert said(b"EUIDL 1\r\nNOOP\r\n")[1:] == [b"+OK no big woop"]


@pytest.mark.parametrize("number", [b"0", b"-1", b"99999999999999999999999", b"1x", b"%n", b"2"])
def test_numbers_that_are_none_are_refused_in_euidl_as_in_uidl(number):
    for verb in (b"EUIDL", b"UIDL"):
        (line,) = said(verb + b" " + number + b"\r\n")
        assert line.startswith((b"-ERR Parameter must be a number between 1 and 1", b"-ERR Message "))


# ---------------------------------------------------------------------------------------------------------------
# MDEF


def test_at_most_ten_macros_and_one_may_be_made_anew():
    made = b"".join(b"MDEF m%d(%d)\r\n" % (n, n) for n in range(10))
    lines = said(made + b"MDEF m10(1)\r\nMDEF m9(1)\r\nLIST m9\r\n")
    assert lines[:10] == [b'+OK Macro "m%d" accepted' % n for n in range(10)]
    assert lines[10] == b"-ERR Server only takes a maximum of 10 MDEFs"
    assert lines[11:] == [b'+OK Macro "m9" accepted', b"+OK 1 %d" % len(MIXED)]


@pytest.mark.parametrize(
    ("length", "answer"),
    [
        (100, b'+OK Macro "%s" accepted' % (b"n" * 100)),
        (101, b"-ERR MDEF name too long"),
        (900, b"-ERR MDEF name too long"),
    ],
)
def test_a_name_has_100_characters_at_most(length, answer):
    """CVE-2003-0143: a long name was a way in."""
    assert said(b"MDEF " + b"n" * length + b"(1)\r\n") == [answer]


@pytest.mark.parametrize("argument", [b"x", b"(1)", b"x(", b"x(1", b"x 1", b"x y(1)", b"x)1("])
def test_a_macro_that_is_none_is_a_syntax_error(argument):
    assert said(b"MDEF " + argument + b"\r\n") == [b"-ERR Syntax error"]


def test_a_macro_stands_for_whole_arguments_only_and_never_for_the_command():
    script = b"MDEF one(1)\r\nMDEF stat(quit)\r\nLIST one\r\nLIST xone\r\nSTAT\r\n"
    assert said(script)[2:] == [
        b"+OK 1 %d" % len(MIXED),
        b"-ERR Message xone does not exist.",
        b"+OK 1 %d" % len(MIXED),
    ]


def test_a_macro_is_not_expanded_again():
    assert said(b"MDEF a(b)\r\nMDEF b(1)\r\nLIST a\r\n")[2] == b"-ERR Message b does not exist."


def test_the_longest_line_holds_for_macros_too():
    (line,) = said(b"MDEF a(" + b"x" * 100_000 + b")\r\n")
    assert line == b"-ERR Command line too long: 1024 octets at most."


# ---------------------------------------------------------------------------------------------------------------
# MANGLE


def body_of(lines):
    end = lines.index(b".")
    return b"".join(line + b"\r\n" for line in lines[1:end])


@pytest.mark.parametrize("word", [b"MANGLE", b"mangle", b"x-mangle", b"X-MANGLE(TEXT=PLAIN)", b"x-mangle(text=plain)"])
def test_retr_sends_one_text_with_its_size_and_its_dots_stuffed(word):
    lines = said(b"RETR 1 " + word + b"\r\n")
    assert lines[0] == b"+OK %d octets" % len(PLAIN)
    assert body_of(lines) == PLAIN.replace(b"\r\n.dot", b"\r\n..dot")


def test_list_tells_the_size_that_retr_sends():
    assert said(b"LIST 1 MANGLE\r\n") == [b"+OK 1 %d" % len(PLAIN)]
    assert said(b"LIST 1 else\r\n") == [b"-ERR Unknown LIST argument: else"]


def test_top_cuts_the_text():
    lines = said(b"TOP 1 1 MANGLE\r\n")
    assert body_of(lines).endswith(b"\r\n\r\n..dot\r\n")
    assert lines[0] == b"+OK %d octets" % len(PLAIN)


def test_without_the_word_mail_is_as_it_is():
    assert body_of(said(b"RETR 1\r\n")) == MIXED


def test_a_name_that_ends_in_no_mime_asks_for_it_throughout():
    script = LOGIN.replace(b"mrose", b"mrose-no-mime") + b"LIST 1\r\nRETR 1\r\nTOP 1 0\r\n"
    found = Talk(
        script, dialect=qpopper.DIALECT, settings={"no_mime_suffix": True}, store=FakeStore(messages=[MIXED])
    ).lines[3:]
    assert found[:2] == [b"+OK 1 %d" % len(MIXED), b"+OK %d octets" % len(PLAIN)]
    assert body_of(found[1:]) == PLAIN.replace(b"\r\n.dot", b"\r\n..dot")


def test_apop_drops_the_suffix_too():
    """Qpopper 4.0.5 forgot."""
    script = b"APOP mrose-no-mime c4c9334bac560ecc979e58001b3e22fb\r\nRETR 1\r\n"
    found = Talk(
        script, dialect=qpopper.DIALECT, settings={"no_mime_suffix": True}, store=FakeStore(messages=[MIXED])
    ).lines
    assert found[2] == b"+OK %d octets" % len(PLAIN)


def test_the_suffix_is_part_of_the_name_where_it_is_not_asked_for():
    found = Talk(LOGIN.replace(b"mrose", b"mrose-no-mime"), dialect=qpopper.DIALECT)
    assert b"-ERR [AUTH]" in found.lines[2]


def test_the_suffix_alone_is_a_name():
    found = Talk(b"USER -no-mime\r\n", dialect=qpopper.DIALECT, settings={"no_mime_suffix": True})
    assert found.lines[1] == b"+OK Password required for -no-mime."


def test_a_reduced_message_counts_as_retrieved():
    assert said(b"RETR 1 MANGLE\r\nLAST\r\n")[-1] == b"+OK 1 is the last read message."


def test_a_message_that_cannot_be_read_is_an_error_before_ok():
    store = FakeStore(messages=[MIXED], fail="mid-read", error=MaildropTrouble("x"))
    assert said(b"RETR 1 MANGLE\r\n", store=store)[0].startswith(b"-ERR [SYS/TEMP]")


def test_a_message_beyond_the_limit_is_sent_as_it_is(monkeypatch):
    monkeypatch.setattr(extras, "LARGEST", len(MIXED) - 1)
    assert said(b"LIST 1 MANGLE\r\n") == [b"+OK 1 %d" % len(MIXED)]


def test_a_message_that_takes_too_long_is_sent_as_it_is(monkeypatch):
    """Boundaries within boundaries: the library's parser looks at each line for each of them."""
    deep = b"".join(b"Content-Type: multipart/mixed; boundary=%d\r\n\r\n--%d\r\n" % (n, n) for n in range(150))
    message = deep + b"Content-Type: text/plain\r\n\r\n" + b"--\r\n" * 200_000
    monkeypatch.setattr(extras, "SECONDS", 0.2)
    began = time.monotonic()
    talked = talk(b"LIST 1 MANGLE\r\nNOOP\r\n", messages=[message])
    assert talked.lines[3:] == [b"+OK 1 %d" % len(message), b"+OK no big woop"]
    assert time.monotonic() - began < 10
    assert [event for event in talked.events if "was not reduced to text" in getattr(event, "what", "")]


def test_a_parser_that_fails_breaks_no_session(monkeypatch):
    def broken(*_, **__):
        raise RuntimeError

    monkeypatch.setattr(plain_text.email, "message_from_bytes", broken)
    assert said(b"LIST 1 MANGLE\r\nNOOP\r\n") == [b"+OK 1 %d" % len(MIXED), b"+OK no big woop"]


# ---------------------------------------------------------------------------------------------------------------
# Nobody else has them


def test_other_dialects_neither_serve_nor_announce_them():
    script = b"CAPA\r\nEUIDL\r\nMDEF a(1)\r\nRETR 1 MANGLE\r\nTOP 1 0 MANGLE\r\nLIST 1 MANGLE\r\n"
    lines = Talk(LOGIN + script, dialect=ucb.DIALECT).lines[3:]
    assert not [line for line in lines if line.startswith(b"X-")]
    assert lines[-5:] == [
        b'-ERR Unknown command: "euidl".',
        b'-ERR Unknown command: "mdef".',
        b"-ERR Too many arguments for the retr command.",
        b"-ERR Too many arguments for the top command.",
        b"-ERR Too many arguments for the list command.",
    ]


@pytest.mark.parametrize("commands", ["all", "original"])
def test_qpoppers_dialect_has_them_whatever_commands_says(commands):
    lines = talk(b"CAPA\r\n", settings={"commands": commands}).lines
    assert {b"X-MANGLE", b"X-MACRO"} <= set(lines)
    assert [line for line in lines if line.startswith(b"X-LOCALTIME ")]


def test_with_the_original_commands_alone_younger_ones_are_unknown():
    talked = Talk(b"UTF8\r\nLANG\r\nCAPA\r\n", dialect=qpopper.DIALECT, settings={"commands": "original"}).lines
    assert talked[1:3] == [b'-ERR Unknown command: "utf8".', b'-ERR Unknown command: "lang".']
    assert not {b"UTF8 USER", b"LANG"} & set(talked)


# ---------------------------------------------------------------------------------------------------------------
# What else the dialect says


def test_shy_tells_neither_program_nor_host_before_the_login():
    talked = Talk(
        b"CAPA\r\n" + LOGIN + b"CAPA\r\n", dialect=qpopper.DIALECT, settings={"server_info": "off"}, stamp="<1@x>"
    )
    assert talked.lines[0] == b"+OK ready  <1@x>"
    before, after = talked.lines[1:].index(b"."), len(talked.lines) - 1
    shown = [at for at, line in enumerate(talked.lines) if line.startswith(b"IMPLEMENTATION ")]
    assert len(shown) == 1
    assert before < shown[0] < after


def test_the_login_delay_is_announced_where_it_is_set():
    assert b"LOGIN-DELAY 300" in talk(b"CAPA\r\n", settings={"login_delay_announced": 300}).lines
    assert not [line for line in talk(b"CAPA\r\n").lines if b"DELAY" in line]


@pytest.mark.parametrize(
    ("messages", "hidden", "answer"),
    [
        ([], 0, b"+OK mrose has 0 visible messages (0 hidden) in 0 octets."),
        ([b"x\r\n"], 1, b"+OK mrose has 1 visible message (1 hidden) in 3 octets."),
        ([b"x\r\n"] * 2, 0, b"+OK mrose has 2 visible messages (0 hidden) in 6 octets."),
    ],
)
def test_the_login_tells_of_visible_and_hidden_messages(messages, hidden, answer):
    store = FakeStore(messages=messages)
    store.hidden = hidden
    assert talk(b"", store=store).lines[2] == answer
