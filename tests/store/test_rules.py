"""The separator rules of old servers, each against a plain parser that goes line by line; MMDF; Content-Length."""

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from qpopper_py.errors import MaildropUnusable
from qpopper_py.store.mbox.from_line import FUZZ, LONGEST, MMDF, RULES, rule

from .boxes import FROM, found, is_from, lines_of, message, scan_bytes, store, wire

SHAPED = b"From x Xyz Foo 99 99:99 0000\n"  # the shape of a date
BARE = b"From x\n"
LINE = b"\1\1\1\1\n"


def is_shaped(line):
    """c-client's VALID by its positions, counted from the line's end."""
    text = line.rstrip(b"\n").removesuffix(b"\r")
    if not text.startswith(b"From ") or len(line) > LONGEST:
        return False
    words = text.split(b" ")
    if len(words) > 4 and words[-3:-1] == [b"remote", b"from"] and words[-1].split() == words[-1:]:
        text = b" ".join(words[:-3])
    if len(text) < 27:
        return False

    def at(place):
        return text[len(text) + place : len(text) + place + 1] if len(text) + place >= 0 else b""

    for zone in (
        at(-5) == b" " and at(-8) == b":" and -5,
        at(-5) == b" " and at(-9) == b" " and -9,
        at(-5) == b" " and at(-11) == b" " and at(-10) in (b"+", b"-") and -11,
        at(-4) == b" " and at(-9) == b" " and -9,
        at(-6) == b" " and at(-11) == b" " and at(-5) in (b"+", b"-") and -11,
    ):
        if zone and at(zone - 3) == b":":
            clock = zone - (9 if at(zone - 6) == b":" else 6)
            if at(clock) == at(clock - 3) == at(clock - 7) == at(clock - 11) == b" ":
                return True
    return False


def any_from(line):
    return line.startswith(b"From ") and len(line) <= LONGEST


# judge of the line, what an empty line is, whether it must stand before, what is skipped, who has the empty line
HABITS = {
    "strict": (is_from, (b"\n", b"\r\n"), True, True, "nobody's"),
    "popa3d": (any_from, (b"\n",), True, False, "nobody's"),
    "mailutils0": (is_shaped, (b"\n", b"\r\n"), False, True, "nobody's"),
    "mailutils3": (is_shaped, (b"\n", b"\r\n"), True, False, "nobody's"),
    "ucb": (any_from, (b"\n", b"\r\n"), False, True, "the message's"),
}


def parse(data, name):
    """[(separator, content, header length)], or None for what is refused."""
    judge, empty, after_empty, skips, whose = HABITS[name]
    kept = data.lstrip(b"\0\r\n") if skips else data
    if not kept:
        return []
    lines = lines_of(kept)
    if not judge(lines[0]) or data[: len(data) - len(kept)].endswith(b"\r"):
        return None
    messages = []
    before = b"\n"
    for number, line in enumerate(lines):
        if judge(line) and (number == 0 or before in empty or not after_empty):
            if name == "popa3d" and (number + 1 == len(lines) or lines[number + 1].startswith(b"From ")):
                return None
            messages.append((line, []))
        else:
            messages[-1][1].append(line)
        before = line
    result = []
    for separator, content in messages:
        ends = [number for number, line in enumerate(content) if line in empty]
        header = ends[0] + 1 if ends else len(content)
        if len(content) > header and content[-1] in empty and whose == "nobody's":
            content = content[:-1]
        result.append((separator, b"".join(content), len(b"".join(content[:header]))))
    return result


PIECES = [
    FROM,
    FROM[:-1] + b"\r\n",
    FROM[:-1],
    SHAPED,
    b"From b Thu Jan  1 00:00 1970\n",
    b"From c Thu Jan  1 00:00:00 1970 +0100 remote from host\n",
    BARE,
    b">" + FROM,
    b"From ",
    b"\n",
    b"\n",
    b"\r\n",
    b"\r",
    b"\0",
    b"Subject: x\n",
    b"Content-Length: 20\n",
    b"word",
    b"a line\n",
]
BOXES = st.tuples(
    st.sampled_from([FROM, SHAPED, BARE, b"\n" + FROM, b""]),
    st.lists(st.sampled_from(PIECES), max_size=20).map(b"".join),
).map(b"".join)
NAMES = st.sampled_from(sorted(RULES))
WAITING = settings(suppress_health_check=[HealthCheck.function_scoped_fixture])


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("rules")


@WAITING
@given(data=BOXES, name=NAMES)
@example(FROM + FROM, "mailutils0")
@example(FROM + b"A: b\n" + FROM + b"\n", "mailutils0")
@example(BARE + b"\n\n" + BARE + b"\n", "ucb")
@example(BARE + b"A: b\n\r\n" + BARE + b"x\n", "popa3d")
@example(b"\n" + BARE, "popa3d")
@example(b"\0\0\n" + SHAPED, "mailutils3")
def test_a_rule_finds_what_a_line_by_line_parser_finds(folder, data, name):
    expected = parse(data, name)
    if expected is None:
        with pytest.raises(MaildropUnusable):
            scan_bytes(folder, data, rule(name))
        return
    layout = scan_bytes(folder, data, rule(name))
    assert found(layout, data) == expected
    assert list(layout.octets) == [len(wire(content)) for _, content, _ in expected]


@WAITING
@given(data=BOXES, name=NAMES, believed=st.booleans(), step=st.integers(1, 40), longest=st.integers(60, 120))
def test_window_sizes_make_no_difference_to_a_rule(folder, data, name, believed, step, longest):
    by = rule(name, believed)
    try:
        whole = scan_bytes(folder, data, by, longest=longest)
    except MaildropUnusable:
        with pytest.raises(MaildropUnusable):
            scan_bytes(folder, data, by, step=step, longest=longest)
        return
    assert scan_bytes(folder, data, by, step=step, longest=longest).same_from(0, whole)


@WAITING
@given(data=BOXES, name=NAMES, believed=st.booleans(), gone=st.sets(st.integers(0, 5)))
def test_what_an_expunge_leaves_is_the_other_messages_by_the_same_rule(tmp_path, data, name, believed, gone):
    asked = {"mbox__separator": name, "mbox__content_length": believed, "mbox__internal": "shown"}
    try:
        before, _ = session(tmp_path, data, **asked, gone=gone)
    except MaildropUnusable:
        assert (tmp_path / "box").read_bytes() == data
        return
    after, _ = session(tmp_path, **asked)
    assert after == [text for index, text in enumerate(before) if index not in gone]


def session(folder, data=None, gone=(), **values):
    """The messages and uids of a session that expunges ``gone``, as far as there are that many."""
    opened = store(folder, data, **values)
    try:
        texts = [b"".join(opened.read(index)) for index in range(len(opened.scan()))]
        uids = list(opened.uids())
        opened.expunge({index for index in gone if index < len(texts)})
        opened.remember(())
    finally:
        opened.close()
    return texts, uids


@pytest.mark.parametrize(
    ("name", "counts"),
    [("strict", 2), ("popa3d", 4), ("mailutils0", 4), ("mailutils3", 3), ("ucb", 6)],
)
def test_the_rules_part_one_mailbox_differently(folder, name, counts):
    """Dated, shaped and bare From_ lines after an empty line, dated and bare ones in text."""
    data = message(1) + SHAPED + b"\nbody\n\n" + BARE + b"\nbody\n" + FROM + BARE + b"\n" + FROM + b"\nend\n"
    assert len(scan_bytes(folder, data, rule(name))) == counts


@pytest.mark.parametrize(
    ("data", "offset"),
    [(FROM, 0), (FROM + FROM + b"\n", 0), (message(1) + FROM, len(message(1))), (b"\n" + message(1), 0)],
    ids=["nothing follows", "another follows", "nothing follows the last", "an empty line first"],
)
def test_popa3d_refuses_a_mailbox_with_an_empty_message_whole(tmp_path, data, offset):
    opened = store(tmp_path, data, mbox__separator="popa3d")
    with pytest.raises(MaildropUnusable, match=f"at offset {offset} .*tail -c \\+{offset + 1} {tmp_path}/box"):
        opened.scan()
    assert (tmp_path / "box").read_bytes() == data


def test_a_rule_has_a_name_that_tells_all_of_it():
    assert len({rule(name, believed).name for name in RULES for believed in (True, False)}) == 2 * len(RULES)
    assert MMDF.name not in RULES


# Content-Length

HIDDEN = b"begin\n\n" + FROM + b"A: b\n\n" + b"not near to any end\n" * 5


def claiming(length, body=HIDDEN):
    return FROM + b"Content-Length: %d\n\n" % length + body + b"\n"


@pytest.mark.parametrize("off", [0, 1, FUZZ, -FUZZ])
def test_a_content_length_that_leads_to_a_separator_is_believed_on_request(folder, off):
    """Counted without the empty line behind the body."""
    data = claiming(len(HIDDEN) + 1 + off) + message(2)
    assert len(scan_bytes(folder, data, rule("strict"))) == 3
    assert len(scan_bytes(folder, data, rule("strict", content_length=True))) == 2


@pytest.mark.parametrize("off", [0, FUZZ, -FUZZ])
def test_so_is_one_that_leads_to_the_end(folder, off):
    assert len(scan_bytes(folder, claiming(len(HIDDEN) + 1 + off), rule("strict", content_length=True))) == 1


@pytest.mark.parametrize("length", [0, 7, len(HIDDEN) + 2 + FUZZ, 10**6, 10**14])
def test_one_that_leads_elsewhere_is_not(folder, length):
    data = claiming(length, HIDDEN + b"more\n" * 20) + message(2, b"x\n" * 100)
    assert len(scan_bytes(folder, data, rule("strict", content_length=True))) == 3


@pytest.mark.parametrize("field", [b"Content-Length: x\n", b"Content-Length: -5\n", b"Content-Length:\n", b"X: 1\n"])
def test_a_content_length_that_is_no_number_says_nothing(folder, field):
    data = FROM + field + b"\n" + HIDDEN + b"\n"
    assert len(scan_bytes(folder, data, rule("strict", content_length=True))) == 2


def test_a_content_length_in_the_body_says_nothing(folder):
    data = FROM + b"\nContent-Length: %d\n\n" % len(HIDDEN) + HIDDEN
    assert len(scan_bytes(folder, data, rule("strict", content_length=True))) == 2


# MMDF

MAIL = [b"Subject: 1\n\none\n", b"Subject: 2\n\n\n", b"Subject: 3\n\n>From x\n" + FROM + b"three\n\n"]


def mmdf(*contents):
    return b"".join(LINE + content + LINE for content in contents)


def test_an_mmdf_mailbox_is_read_pair_by_pair(tmp_path):
    assert session(tmp_path, mmdf(*MAIL))[0] == [wire(content) for content in MAIL]


@pytest.mark.parametrize("gone", [{0}, {1}, {2}, {0, 1}, {0, 2}, {1, 2}, {0, 1, 2}])
def test_an_expunge_takes_both_lines_of_a_pair(tmp_path, gone):
    _, uids = session(tmp_path, mmdf(*MAIL), gone)
    assert (tmp_path / "box").read_bytes() == mmdf(
        *(content for index, content in enumerate(MAIL) if index not in gone)
    )
    assert session(tmp_path)[1] == [uid for index, uid in enumerate(uids) if index not in gone]


def test_a_from_line_behind_the_first_line_of_a_pair_is_not_sent(tmp_path):
    assert session(tmp_path, mmdf(FROM + MAIL[0], MAIL[1]))[0] == [wire(MAIL[0]), wire(MAIL[1])]


def test_mail_that_is_added_to_an_mmdf_mailbox_is_kept(tmp_path):
    opened = store(tmp_path, mmdf(*MAIL))
    opened.scan()
    with open(tmp_path / "box", "ab") as file:
        file.write(mmdf(b"new\n"))
    assert b"".join(opened.read(0)) == wire(MAIL[0])
    opened.expunge({0, 2})
    opened.close()
    assert (tmp_path / "box").read_bytes() == mmdf(MAIL[1], b"new\n")


@pytest.mark.parametrize("gone", [set(), {0}, {1}, {2}])
def test_a_pair_whose_second_line_is_missing_ends_where_the_next_begins(tmp_path, gone):
    data = LINE + MAIL[0] + LINE + MAIL[1] + LINE + LINE + MAIL[2]
    texts, uids = session(tmp_path, data, gone)
    assert texts == [wire(content) for content in MAIL]
    left = [index for index in range(3) if index not in gone]
    assert session(tmp_path) == ([texts[index] for index in left], [uids[index] for index in left])


@WAITING
@given(
    contents=st.lists(
        st.lists(st.sampled_from([b"A: b\n", b"\n", b"\r\n", FROM, b"\1\1\1\n", b"\1\1\1\1\1\n", b"text\n"])).map(
            b"".join
        ),
        max_size=5,
    ),
    step=st.integers(1, 40),
)
def test_mmdf_messages_are_what_stands_between_the_pairs(folder, contents, step):
    contents = [b"X: y\n" + content for content in contents]
    data = mmdf(*contents)
    layout = scan_bytes(folder, data, RULES["strict"], step=step, longest=80)
    assert [data[a:b] for a, b in zip(layout.texts, layout.ends, strict=True)] == contents
    assert list(layout.octets) == [len(wire(content)) for content in contents]


@pytest.mark.parametrize("data", [b"\1\n" + FROM, b"\1\1\1\1x\n", b"\1\1\1\1\1\nA: b\n", b"\1"])
def test_another_beginning_with_control_a_is_refused(tmp_path, data):
    with pytest.raises(MaildropUnusable):
        store(tmp_path, data).scan()


@pytest.mark.parametrize("name", sorted(set(RULES) - {"strict"}))
def test_mmdf_is_qpoppers_and_no_other_rules(tmp_path, name):
    with pytest.raises(MaildropUnusable):
        store(tmp_path, mmdf(*MAIL), mbox__separator=name).scan()


INTERNAL = (
    FROM + b"From: Mail System Internal Data <MAILER-DAEMON@h>\nSubject: DON'T DELETE THIS MESSAGE -- FOLDER INTERNAL "
    b"DATA\nX-IMAP: 0123456789 0000000002\nStatus: RO\n\nThis text is part of the internal format.\n\n"
)


@pytest.mark.parametrize(("how", "count"), [("hidden", 1), ("shown", 2)])
def test_the_internal_message_is_hidden_or_shown_by_the_setting(tmp_path, how, count):
    assert len(session(tmp_path, INTERNAL + message(1), mbox__internal=how)[0]) == count
