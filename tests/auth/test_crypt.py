"""Password hashes: made by mkpasswd, openssl and passlib, never by the code under test."""

from __future__ import annotations

import subprocess
import sys
from typing import TYPE_CHECKING

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from qpopper_py import libraries
from qpopper_py.auth import crypt, libcrypt
from qpopper_py.errors import MissingLibrary

if TYPE_CHECKING:
    from collections.abc import Callable

SECRET = b"correct horse"

BY_MKPASSWD = {
    "yescrypt": "$y$j9T$iUg6V5HLWnhk3CcfXZGQe.$4R62TTwcPI.nUhj.QMLhczgHYRliB9T9jM2D8eiXwRC",
    "gost-yescrypt": "$gy$j9T$q2wdylZvh8x6ca.3dDiLp1$TmYxgfhjLdaEBRPet9c7waCyWJEj0uPrmv0CDxwyVr9",
    "scrypt": "$7$BU..../....w4nHthZzj4frV7ojUF6MH.$auhY3uApOd14Sgcqj/8WIM0lnP0WTD2OsV/4iJLfTC3",
    "bcrypt": "$2b$05$AHqlujVrwuviyI2sn.sADuGoAm5v0bJoE/wlXy.zfJ0d4XfPF.SJ.",
    "bcrypt-a": "$2a$05$qDDfnDQl9duvlj365Pn/KuvowakL7.PhCUlkMbbJMapi4f3YE.PGa",
    "sha512crypt": (
        "$6$4nuf5rFYWbRtWzhG$q5mH5vBodPZ2fXXa52vDuvNqyLdlS9DwP8AhS1JUF/zZw6sB5OZTDfSwEYz2UYDt8QX5tuSSjTnHns8qGbqhK1"
    ),
    "sha256crypt": "$5$AO6msjCDrRjL9U.Q$qdVx6dr7J/N6BtLNLlDH/Z8B5PAOKQ4ifwal0HHxl27",
    "sunmd5": "$md5,rounds=38522$G0PJsL7i$$j7T2I5guL/zyl/MW3hDSY.",
    "md5crypt": "$1$WQqAIbpa$r9DLewHqSud092OPC02wB1",
    "bsdicrypt": "_J9..ji.3V8FGuTSpNok",
    "descrypt": "EgBdfz8LfScUE",
    "nt": "$3$$cfc43211ba8dc470832267827cac1407",
}
BY_OPENSSL = {
    "apr1": "$apr1$bsjtTJzH$z9D4vCckRdvqNppO.E1sW/",
    "{SHA}": "{SHA}L55TUjtiq8FBorTWAZ0jy6g129A=",
    "{SHA256}": "{SHA256}QQTTb42iwlQ0n4WDZ5Pr4CngyVcGOjTJHC6SAxh7VjE=",
    "{SHA256.HEX}": "{SHA256.HEX}4104d36f8da2c254349f85836793ebe029e0c957063a34c91c2e9203187b5631",
    "{SHA256} in hex": "{SHA256}4104d36f8da2c254349f85836793ebe029e0c957063a34c91c2e9203187b5631",
    "{SHA512}": "{SHA512}VraY3v7bWkNbY0r+MyC7rz/c2SC2xQOkRvx7endrKY1HnRumqLYXgI6wv1ec6aldZoNHvKtxSQhayTyyeZUZew==",
    "{SSHA}": "{SSHA}LhKrkM9Fy+zlstjdD7Kv2s6QvhBzYWx0",
    "{SSHA256}": "{SSHA256}n+NyCAC8BTzorAU7AQEsEfh4qDAh0HpRtPLX0dsQdApzYWx0",
    "{SSHA512}": (
        "{SSHA512}MObRFvUHqU5pLIXjc0HkeJH+PKVdEQk34oSyXkDftCxTU6Fk9rWjilWA553MtCFyazGhAOPiDyO1Rv1hndA96XNhbHQ="
    ),
    "{SMD5}": "{SMD5}D4rOOyuX/Dgg3vClp5z5OnNhbHQ=",
    "{PLAIN-MD5}": "{PLAIN-MD5}3cb4e732631f47e6eb961f34554b7cde",
    "{LDAP-MD5}": "{LDAP-MD5}PLTnMmMfR+brlh80VUt83g==",
    "{PBKDF2}": "{PBKDF2}$1$GlKaZ0dS$1000$cf69c75c154f73e8df59157cb9cc471a708a703b",
}
BY_PASSLIB = {
    "bigcrypt": "LAJq/7IH8u4rUzuwqOzr8T8.",
    "crypt16": "B6S1cvV.ueOQ.4VaOzyGGETU",
    "phpass": "$P$HtdeI4ee3G6V6AIjoi1CijGrYdDjp..",
    "pbkdf2": "$pbkdf2-sha256$1000$R6iVck7Jee99L6V0jhECYA$8vZPy1CXwmAgl3ZxEh9NRqpPaGh/L1x8B/RsIgYbHFc",
    "{PBKDF2-SHA256}": "{PBKDF2-SHA256}1000$rVWKMaa0NobwHoOwNoawtg$JWKnn32PUTHRINKmn8LopEd4j755W6mVz/MsVTbRSqc",
}
IN_SCHEMES = {
    "{PLAIN}": "{PLAIN}correct horse",
    "{plain}": "{plain}correct horse",
    "{PLAIN.b64}": "{PLAIN.b64}Y29ycmVjdCBob3JzZQ==",
    "{CLEARTEXT}": "{CLEARTEXT}correct horse",
    **{f"{{{scheme}}}": f"{{{scheme}}}{BY_MKPASSWD[of]}" for scheme, of in [
        ("CRYPT", "yescrypt"), ("SHA512-CRYPT", "sha512crypt"), ("SHA256-CRYPT", "sha256crypt"),
        ("MD5-CRYPT", "md5crypt"), ("MD5", "md5crypt"), ("BLF-CRYPT", "bcrypt"), ("DES-CRYPT", "descrypt"),
    ]},
}  # fmt: skip
ALL = {**BY_MKPASSWD, **BY_OPENSSL, **BY_PASSLIB, **IN_SCHEMES}
# passlib would do these too; without crypt(3) it has to.
ALSO_PASSLIB = ("sha512crypt", "sha256crypt", "md5crypt", "bsdicrypt", "descrypt", "nt", "sunmd5")


@pytest.mark.parametrize("form", ALL)
def test_the_right_password_passes_and_another_does_not(form: str) -> None:
    assert crypt.verify(SECRET, ALL[form])
    assert crypt.verify(SECRET, ALL[form].encode())
    assert not crypt.verify(b"Correct horse", ALL[form])
    assert not crypt.verify(b"", ALL[form])


@pytest.mark.parametrize("form", ALL)
def test_a_nul_and_what_follows_is_never_cut_off_the_password(form: str) -> None:
    assert not crypt.verify(SECRET + b"\0anything", ALL[form])
    assert not crypt.verify(b"\0" + SECRET, ALL[form])


@pytest.mark.parametrize("form", [form for form in ALL if form not in ("{PLAIN}", "{plain}", "{CLEARTEXT}")])
def test_a_cut_off_hash_matches_nothing(form: str) -> None:
    """But for bigcrypt's first 13 characters, which are DES of the first 8 octets; base64 may lack its padding."""
    stored = ALL[form].rstrip("=")
    for length in {3, 4, 12, len(stored) // 2, len(stored) - 1}:
        try:
            matched = crypt.verify(SECRET, stored[:length])
        except MissingLibrary:  # what is left may look like another form
            matched = False
        assert not matched, stored[:length]


@pytest.mark.client("mkpasswd")
@pytest.mark.parametrize("method", BY_MKPASSWD)
def test_hashes_that_mkpasswd_makes_now_are_verified(method: str, require_program: Callable[[str], str]) -> None:
    secret = "p\u00e4ss w\u00f6rd"
    if method == "nt":
        secret = "pass word"
    line = [require_program("mkpasswd"), "-m", method, "-s"]
    made = subprocess.run(line, input=secret, capture_output=True, text=True, check=True).stdout.strip()
    assert crypt.verify(secret.encode(), made)
    assert not crypt.verify(secret.swapcase().encode(), made)


@pytest.mark.parametrize(
    "stored", ["", "*", "!", "!!", "x", "*0", "*1", "*NP*", "NP", "*LK*", "!" + BY_MKPASSWD["yescrypt"]]
)
@pytest.mark.parametrize("secret", [SECRET, b"", b"x", b"*", b"!", b"*0", b"NP"])
def test_a_field_that_holds_no_hash_matches_nothing(stored: str, secret: bytes) -> None:
    assert not crypt.verify(secret, stored)


@pytest.mark.parametrize(
    "stored", ["{PLAIN}", "{CRYPT}", "{CRYPT}*", "{CRYPT}!", "{SSHA}", "{SHA}====", "{PBKDF2}$1$$$"]
)
def test_a_scheme_without_a_hash_matches_nothing(stored: str) -> None:
    assert not crypt.verify(b"", stored)
    assert not crypt.verify(SECRET, stored)


def test_a_password_may_have_511_octets_and_no_more() -> None:
    """crypt(5): CRYPT_MAX_PASSPHRASE_SIZE is 512 with its NUL."""
    assert crypt.verify(b"p" * 511, "{PLAIN}" + "p" * 511)
    assert not crypt.verify(b"p" * 512, "{PLAIN}" + "p" * 512)


def test_a_password_need_not_be_utf_8() -> None:
    """Made by: printf '\\344\\377' | openssl passwd -6 -salt saltsalt -stdin"""
    stored = "$6$saltsalt$jjsqeyh6MmCTLASqHL/p9xuHXPp6YIrn5oiGGLBu8aHDaLQpoY2Kz0eEKjGcfT25hLDpz7Ii5maXo/lttbF57."
    assert crypt.verify(b"\xe4\xff", stored)
    assert not crypt.verify(b"\xe4\xfe", stored)
    assert crypt.verify(b"\xe4\xff", "{PLAIN.HEX}e4ff")


def test_des_looks_at_eight_octets_bigcrypt_at_all() -> None:
    assert crypt.verify(b"correct donkey", BY_MKPASSWD["descrypt"])
    assert not crypt.verify(b"correct donkey", BY_PASSLIB["bigcrypt"])


@pytest.mark.parametrize(
    ("secret", "stored"),
    [(b"short", "TFEkRLkCePXNI"), (b"a password that is quite long", "OiTI.WITFlvsg.QZbWUSLaPgQb6LjFfXv.kNsVD8UAJSV.")],
)
def test_bigcrypt_of_any_length_passes(secret: bytes, stored: str) -> None:
    """Made by passlib.hash.bigcrypt; up to 8 octets it is DES."""
    assert crypt.verify(secret, stored)
    assert not crypt.verify(secret[:-1] + b"?", stored)


@pytest.mark.parametrize(
    "stored", ["$99$salt$hash", "{FOO}bar", "{SCRAM-SHA-512}4096,x,y,z", "{SHA.OCTAL}777", "{NOEND"]
)
def test_an_unknown_form_is_named_without_the_hash(stored: str) -> None:
    with pytest.raises(MissingLibrary) as caught:
        crypt.verify(SECRET, stored)
    assert stored.partition("}")[0].lstrip("{")[:3] in str(caught.value)
    assert "hash" not in str(caught.value).replace("password hash", "")
    assert "bar" not in str(caught.value)


class TestWithoutCrypt3:
    """A host whose C library has no crypt(3), or one that knows little."""

    @pytest.fixture(autouse=True)
    def no_libcrypt(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(libcrypt, "_found", [None])

    @pytest.mark.parametrize("form", [*ALSO_PASSLIB, *BY_PASSLIB])
    def test_passlib_verifies_what_it_knows(self, form: str) -> None:
        assert crypt.verify(SECRET, ALL[form])
        assert not crypt.verify(b"Correct horse", ALL[form])

    @pytest.mark.parametrize("form", ["yescrypt", "gost-yescrypt", "scrypt"])
    def test_what_nobody_knows_is_an_error_that_says_so(self, form: str) -> None:
        with pytest.raises(MissingLibrary, match=r"libxcrypt"):
            crypt.verify(SECRET, ALL[form])

    def test_wasted_work_is_no_error(self) -> None:
        crypt.waste(SECRET)


class TestWithoutPasslib:
    @pytest.fixture(autouse=True)
    def no_passlib(self, monkeypatch: pytest.MonkeyPatch) -> None:
        for name in [name for name in sys.modules if name.partition(".")[0] == "passlib"]:
            monkeypatch.delitem(sys.modules, name)
        monkeypatch.setitem(sys.modules, "passlib", None)
        monkeypatch.setattr(libraries, "site_folders", list)

    @pytest.mark.parametrize("form", [*BY_MKPASSWD, "{SSHA}", "{SHA512-CRYPT}", "bigcrypt"])
    def test_what_the_system_and_python_know_still_passes(self, form: str) -> None:
        assert crypt.verify(SECRET, ALL[form])

    @pytest.mark.parametrize("form", ["apr1", "phpass", "crypt16"])
    def test_the_error_names_the_package(self, form: str) -> None:
        with pytest.raises(MissingLibrary, match=r"libpass"):
            crypt.verify(SECRET, ALL[form])


@pytest.mark.parametrize(
    ("failure", "what"), [("MissingBackendError", "is not here"), ("ValueError", "does not work with this passlib")]
)
def test_a_missing_or_unfit_backend_is_named(monkeypatch: pytest.MonkeyPatch, failure: str, what: str) -> None:
    """passlib 1.7.4 with bcrypt 5 raises ValueError for every hash; without bcrypt, MissingBackendError."""
    import passlib.exc
    import passlib.hash

    error = getattr(passlib.exc, failure, ValueError)("in the way")

    def verify(secret: bytes, stored: str) -> bool:
        raise error

    monkeypatch.setattr(libcrypt, "_found", [None])
    monkeypatch.setattr(passlib.hash.bcrypt, "verify", verify)
    with pytest.raises(MissingLibrary, match=rf"bcrypt, which {what}.*python3-bcrypt"):
        crypt.verify(SECRET, BY_MKPASSWD["bcrypt"])


def test_crypt_r_serves_where_crypt_rn_is_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(libcrypt, "FUNCTIONS", libcrypt.FUNCTIONS[1:])
    monkeypatch.setattr(libcrypt, "_found", [libcrypt.load(libcrypt.LIBRARIES)])
    for stored in BY_MKPASSWD.values():
        assert crypt.verify(SECRET, stored)
        assert not crypt.verify(b"wrong", stored)
    assert not crypt.verify(SECRET, "$y$j9T$")


def test_a_library_that_is_not_there_is_passed_over() -> None:
    assert libcrypt.load(("libno-such-library.so.9",)) is None
    assert libcrypt.load(("libno-such-library.so.9", "libcrypt.so.1", "libcrypt.so.2")) is not None


def test_wasted_work_is_a_real_hash(monkeypatch: pytest.MonkeyPatch) -> None:
    system = libcrypt.system()
    assert system is not None
    for setting in crypt.DUMMIES:
        answer = system.hash(SECRET, setting)
        assert answer is not None
        assert answer.startswith(setting)


@pytest.mark.parametrize("form", ["descrypt", "md5crypt", "sha256crypt", "sha512crypt", "bcrypt", "yescrypt"])
def test_wasted_work_is_that_of_the_hash_before(form: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Who has no hash is to cost what those cost who have one: its method and cost, whatever the secret."""
    system = libcrypt.system()
    assert system is not None
    made: list[bytes | None] = []
    hash_ = system.hash
    monkeypatch.setattr(type(system), "hash", lambda self, *words: made.append(hash_(*words)) or made[-1])
    stored = ALL[form].encode()
    crypt.verify(SECRET, stored)
    crypt.waste(b"of nobody")
    assert made[-1] is not None
    assert crypt._setting(made[-1]) == crypt._setting(stored)
    assert len(made[-1]) == len(stored)


@settings(max_examples=150)
@given(stored=st.one_of(
    st.binary(max_size=40),
    st.text(alphabet="./$_{}ABCyz019!*-,=", max_size=40).map(str.encode),
), secret=st.binary(max_size=20))  # fmt: skip
def test_no_stored_field_crashes(stored: bytes, secret: bytes) -> None:
    try:
        matched = crypt.verify(secret, stored)
    except MissingLibrary:
        return
    assert not matched or stored.upper().startswith((b"{PLAIN", b"{CLEAR"))


def test_an_example_of_the_hosts_hashes_sets_what_is_wasted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(crypt, "_like", [])
    crypt.imitate(b"")
    assert not crypt._like
    crypt.imitate(ALL["sha512crypt"].encode())
    assert ALL["sha512crypt"].encode().startswith(crypt._like[0])
