"""A front cannot import: its root folder is empty.  So whatever AUTHORIZATION may need, it loaded beforehand."""

from __future__ import annotations

import base64
import hashlib
import hmac
import re

import pytest

from tests.harness import APOP_SECRET, Dialogue, digest, mail, open_folder
from tests.serve.rooted import USERS, Rooted, take_over

pytestmark = pytest.mark.root

ODD = (
    "CAPA", "AUTH", "AUTH NONSENSE", "AUTH PLAIN !", "AUTH PLAIN =", "*", "USER", "USER a b c", "PASS x", "APOP x",
    "STAT", "USER \xff", "APOP alice 0123456789abcdef0123456789abcdef", "XTND XMIT", "RPOP x", "x" * 70000, "",
    "USER nobody", "PASS wrong", "STLS", "UTF8", "LANG", "LANG *",
)  # fmt: skip


def base64_of(data: bytes) -> str:
    return base64.b64encode(data).decode()


def cram_md5(line: Dialogue) -> bytes:
    challenge = base64.b64decode(line.ask("AUTH CRAM-MD5").removeprefix(b"+ "))
    proof = hmac.new(APOP_SECRET.encode(), challenge, "md5").hexdigest()
    return line.ask(base64_of(f"bob {proof}".encode()))


def scram(line: Dialogue) -> bytes:
    """RFC 5802 section 3, with SHA-256."""
    mine = "n=alice,r=fyko+d2lbbFgONRv9qkxdawL"
    first = base64.b64decode(line.ask("AUTH SCRAM-SHA-256 " + base64_of(f"n,,{mine}".encode())).removeprefix(b"+ "))
    parts = dict(part.split(b"=", 1) for part in first.split(b","))
    salted = hashlib.pbkdf2_hmac("sha256", USERS["alice"].encode(), base64.b64decode(parts[b"s"]), int(parts[b"i"]))
    key = hmac.digest(salted, b"Client Key", "sha256")
    last = b"c=biws,r=" + parts[b"r"]
    signed = hmac.digest(hashlib.sha256(key).digest(), mine.encode() + b"," + first + b"," + last, "sha256")
    proof = bytes(a ^ b for a, b in zip(key, signed, strict=True))
    assert line.ask(base64_of(last + b",p=" + base64.b64encode(proof))).startswith(b"+ ")
    return line.ask("")


def scram_md5(line: Dialogue) -> bytes:
    """draft-newman-auth-scram-03, as FLIM does it: no initial response, a blank for the server's proof."""
    assert line.ask("AUTH SCRAM-MD5").rstrip() == b"+"
    mine, layer = b"\0bob\0<1896.697170952@client>", b"\1\0\0\0"
    first = base64.b64decode(line.ask(base64_of(mine)).removeprefix(b"+ "))
    salted = hmac.digest(APOP_SECRET.encode(), first[:8], "md5")
    key = hashlib.md5(salted).digest()
    shared = hmac.digest(hashlib.md5(key).digest(), first + mine + layer, "md5")
    proof = bytes(a ^ b for a, b in zip(key, shared, strict=True))
    last = base64.b64decode(line.ask(base64_of(layer + proof)).removeprefix(b"+ "))
    assert last == hmac.digest(hmac.digest(salted, first[:8], "md5"), mine + first + layer, "md5")
    return line.ask(base64_of(b" "))


WAYS = {
    "PASS": lambda line: line.ask("USER alice") and line.ask(f"PASS {USERS['alice']}"),
    "PLAIN": lambda line: line.ask("AUTH PLAIN " + base64_of(b"\0alice\0" + USERS["alice"].encode())),
    "LOGIN": lambda line: [
        line.ask(word) for word in ("AUTH LOGIN", base64_of(b"alice"), base64_of(USERS["alice"].encode()))
    ][-1],
    "CRAM-MD5": cram_md5,
    "SCRAM": scram,
    "SCRAM-MD5": scram_md5,
}


MECHANISMS = "SCRAM-SHA-256,SCRAM-MD5,CRAM-MD5,PLAIN,LOGIN"  # SCRAM-MD5 is there for those only who name it


@pytest.mark.parametrize("traced", [False, True])
def test_a_front_that_can_import_nothing_misses_nothing(traced: bool) -> None:
    with open_folder() as folder:
        settings: dict[str, object] = {"auth.max_failures": 0, "auth.mechanisms": MECHANISMS}
        if traced:
            settings |= {"trace.file": folder / "trace", "debug": True, "trace.addresses": "127.0.0.0/8"}
        server = Rooted(folder, settings, apop={"bob": APOP_SECRET})
        for user in USERS:
            server.fill(user, [mail("first", b"text\n")])
        with server:
            for way in WAYS.values():
                with server.dialogue() as line:
                    assert line.line().startswith(b"+OK")
                    assert way(line).startswith(b"+OK"), server.log.text
                    assert line.ask("STAT").startswith(b"+OK 1 ")
            with server.dialogue() as line:
                stamp = re.search(rb"<.*>", line.line())
                assert stamp
                assert line.ask(f"APOP bob {digest(stamp[0].decode(), APOP_SECRET)}").startswith(b"+OK")
            with server.dialogue() as line:
                assert line.line().startswith(b"+OK")
                for words in ODD:
                    line.sock.sendall(words.encode("latin-1") + b"\r\n")
                line.sock.sendall(b"QUIT\r\n")
                assert line.rest().splitlines()[-1].startswith(b"+OK Pop server")
            with server.dialogue() as line:
                assert line.line().startswith(b"+OK")
                program = "said = None\ntry:\n    import shelve\nexcept ImportError:\n    said = 'nothing'"
                assert take_over(line, program, "") == "nothing"
        assert "unexpected" not in server.log.text
        assert "SHELVE" not in server.log.text.upper()
