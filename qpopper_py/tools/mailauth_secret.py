"""How a secret gets in: asked at the terminal without echo, or a line of the standard input; and crypt(3) hashes."""

import getpass
import locale
import secrets
import string
import sys
import warnings

from qpopper_py.auth import libcrypt
from qpopper_py.errors import QpopperError
from qpopper_py.libraries import need

LONGEST = 255  # octets: with its command it has to fit a line
SHORT = 8
ROUNDS = 100_000  # of SHA-512; some 20 ms
SALT_ALPHABET = "./" + string.digits + string.ascii_letters


class Unchanged(QpopperError):
    """Nothing was changed; the text says why."""


class Asker:
    """Asks for secrets: ``stdin`` takes them from the standard input, a line each, without asking twice."""

    def __init__(self, stdin: bool) -> None:
        self.stdin = stdin

    def which(self, types: "list[str]") -> str:
        """The one of these types that is meant; Unchanged if the answer is none of them."""
        if self.stdin:
            answer = self.line().decode("ascii", "replace")
        else:
            print(f"Which entry, {' or '.join(types)}? ", end="", file=sys.stderr, flush=True)
            try:
                with open("/dev/tty", encoding="ascii", errors="replace") as terminal:
                    answer = terminal.readline()
            except OSError:
                raise Unchanged("there is no terminal to ask at; --type says which entry is meant") from None
        if answer.strip().upper() not in types:
            raise Unchanged("Password unchanged: that is none of them.")
        return answer.strip().upper()

    def old(self) -> bytes:
        return self.line() if self.stdin else prompt("Old password: ")

    def new(self, what: str) -> bytes:
        """A new secret, checked.  Unchanged: it is no good, or was not typed twice alike."""
        if self.stdin:
            return checked(self.line())
        print(f"New secret for {what}.", file=sys.stderr)
        secret = checked(prompt("New password: "))
        if prompt("Retype new password: ") != secret:
            raise Unchanged("Mismatch -- password unchanged.")
        return secret

    def line(self) -> bytes:
        line = sys.stdin.buffer.readline()
        if not line:
            raise Unchanged("the standard input holds no secret")
        return line.removesuffix(b"\n").removesuffix(b"\r")


def prompt(text: str) -> bytes:
    """What is typed at the terminal, as it is typed there."""
    try:
        with open("/dev/tty", "rb"), warnings.catch_warnings():
            warnings.simplefilter("error", getpass.GetPassWarning)  # it would go on with echo
            return getpass.getpass(text).encode(locale.getencoding(), "surrogateescape")
    except (OSError, EOFError, UnicodeError, getpass.GetPassWarning):
        raise Unchanged("there is no terminal to ask at; --stdin reads the secret from the standard input") from None


def checked(secret: bytes) -> bytes:
    """The secret, if it can be one; says so if it is short."""
    if not secret:
        raise Unchanged("Password unchanged: it is empty.")
    if any(octet < 0x20 or octet == 0x7F for octet in secret):
        raise Unchanged("Password unchanged: it holds a control character, which no client can send.")
    if len(secret) > LONGEST:
        raise Unchanged(f"Password unchanged: it is longer than {LONGEST} octets.")
    if len(secret) < SHORT:
        print(f"mailauth: warning: a secret of less than {SHORT} characters is soon guessed", file=sys.stderr)
    return secret


def crypt_hash(secret: bytes) -> str:
    """SHA-512 crypt (``$6$``): what the accounts file, Dovecot and every crypt(3) of today's systems take."""
    salt = "".join(secrets.choice(SALT_ALPHABET) for _ in range(16))
    system = libcrypt.system()
    setting = f"$6$rounds={ROUNDS}${salt}"
    made = system.hash(secret, setting.encode()) if system else None
    if made is not None and made.startswith(setting.encode()):
        return made.decode("ascii")
    hashed: str = need("passlib.hash").sha512_crypt.using(rounds=ROUNDS, salt=salt).hash(secret)
    return hashed


def dovecot_hash(secret: bytes) -> bytes:
    """The same with its scheme in front, as IMAP entries are kept."""
    return b"{SHA512-CRYPT}" + crypt_hash(secret).encode()
