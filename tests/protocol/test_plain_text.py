"""A MIME message reduced to one text: what RFC 2045 to 2049 make of it, and that nothing breaks."""

import email
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from qpopper_py.protocol.plain_text import DEEPEST, reduced

HEAD = b"From: a@x\r\nSubject: s\r\nMIME-Version: 1.0\r\n"


def part(kind, body, more=b""):
    return b"--b\r\nContent-Type: " + kind + b"\r\n" + more + b"\r\n" + body + b"\r\n"


def multi(kind, *parts):
    return HEAD + b"Content-Type: multipart/" + kind + b'; boundary="b"\r\n\r\n' + b"".join(parts) + b"--b--\r\n"


def text_of(message, kind="plain"):
    found = reduced(message, kind)
    head, _, body = found.partition(b"\r\n\r\n")
    assert b"Content-Type: text/%s; charset=" % kind.encode() in head
    assert head.startswith(b"From: a@x\r\nSubject: s\r\nMIME-Version: 1.0\r\n")
    assert email.message_from_bytes(found).get_content_type() == f"text/{kind}"
    assert found.endswith(b"\r\n")
    assert found.replace(b"\r\n", b"").find(b"\n") < 0
    return body.decode()


@pytest.mark.parametrize(
    "message",
    [
        b"",
        b"\r\n",
        b"Subject: x\r\n\r\nno MIME\r\n",
        b"no header at all\r\n",
        HEAD + b"Content-Type: text/plain\r\n\r\nplain already\r\n",
        HEAD + b"Content-Type: text/plain; charset=iso-8859-1\r\nContent-Transfer-Encoding: 8bit\r\n\r\nJ\xf6rg\r\n",
    ],
)
def test_what_is_one_text_stays_as_it_is(message):
    assert reduced(message) == message


@pytest.mark.parametrize(
    ("message", "body"),
    [
        (HEAD + b"Content-Type: text/plain\r\nContent-Transfer-Encoding: base64\r\n\r\naGVsbG8=\r\n", "hello\r\n"),
        (
            HEAD + b"Content-Type: text/plain; charset=iso-8859-1\r\nContent-Transfer-Encoding: quoted-printable\r\n"
            b"\r\nJ=F6rg\r\n",
            "Jörg\r\n",
        ),
        (multi(b"alternative", part(b"text/plain", b"words"), part(b"text/html", b"<p>words</p>")), "words\r\n"),
        (multi(b"alternative", part(b"text/html", b"<p>only &amp; this</p>")), "only & this\r\n"),
        (multi(b"mixed", part(b"text/plain", b"one"), part(b"text/plain", b"two")), "one\r\ntwo\r\n"),
        (multi(b"mixed", part(b"text/html", b"<style>x{}</style><b>bo</b>ld<br>next")), "bold\r\nnext\r\n"),
        (
            multi(b"mixed", part(b"message/rfc822", b"Subject: inner\r\nFrom: b@x\r\n\r\nforwarded")),
            "From: b@x\r\nSubject: inner\r\n\r\nforwarded\r\n",
        ),
        (
            multi(b"mixed", part(b'application/pdf; name="x.pdf"', b"AAAA", b"Content-Transfer-Encoding: base64\r\n")),
            "[application/pdf: x.pdf, 3 octets]\r\n",
        ),
        (multi(b"mixed", part(b"text/plain; charset=no-such", b"text")), "text\r\n"),
    ],
)
def test_what_a_reader_sees(message, body):
    assert text_of(message) == body


@pytest.mark.parametrize(
    ("html", "words"),
    [
        ("a < b and <i>c</i>", "a < b and c"),
        ("<!-- <b>not</b> this -->that<!---->!", "that!"),
        ("<script>if (a<b) x('</p>')</script>seen", "seen"),
        ("<STYLE type=x>p{}</STYLE><p class='a'>one<p>two", "one\r\n\r\ntwo"),
        ("<title>not</title><ul><li>a<li>b</ul>", "a\r\nb"),
        ("&lt;p&gt; &amp;amp; &nbsp; &#8364; &bogus;", "<p> &amp; € &bogus;"),
        ("<script/>still", "still"),
        ("<>empty</>", "<>empty</>"),
    ],
)
def test_the_words_of_html(html, words):
    message = multi(b"mixed", part(b"text/html; charset=utf-8", html.encode()))
    assert " ".join(text_of(message).split()) == " ".join((words + "\r\n").split())


@pytest.mark.parametrize("piece", ["<", "<!--", "<!", "<a ", "&", "<a href='", "<script>", "</", "<![CDATA["])
def test_html_is_read_in_time_that_grows_as_it_does(piece):
    message = multi(b"mixed", part(b"text/html", piece.encode() * (1_000_000 // len(piece))))
    began = time.process_time()
    reduced(message)
    assert time.process_time() - began < 5


def test_html_is_had_where_it_is_asked_for():
    message = multi(b"alternative", part(b"text/plain", b"a<b"), part(b"text/html", b"<p>words</p>"))
    assert text_of(message, "html") == "<p>words</p>\r\n"
    assert text_of(multi(b"mixed", part(b"text/plain", b"a<b")), "html") == "<pre>a&lt;b</pre>\r\n"


def test_folded_mime_fields_go_and_folded_others_stay():
    message = b"X-Long: a\r\n b\r\nContent-Type: multipart/mixed;\r\n boundary=b\r\n\r\n" + part(b"text/plain", b"x")
    head = reduced(message + b"--b--\r\n").partition(b"\r\n\r\n")[0]
    assert head.startswith(b"X-Long: a\r\n b\r\nMIME-Version: 1.0\r\n")
    assert b"boundary" not in head


def test_parts_within_parts_end_somewhere():
    inner = b"deep\r\n"
    for _ in range(DEEPEST * 40):
        inner = b"Content-Type: message/rfc822\r\n\r\n" + inner
    message = HEAD + inner
    began = time.process_time()
    assert reduced(message)
    assert time.process_time() - began < 20


@given(st.binary(max_size=600))
def test_no_octets_break_it(octets):
    for message in (octets, HEAD + octets, multi(b"mixed", part(b"text/html", octets), octets)):
        assert isinstance(reduced(message), bytes)
        assert isinstance(reduced(message, "html"), bytes)
