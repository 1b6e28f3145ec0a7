"""The database as text: ``user:type:time:secret``, one entry a line, for a backup or a move.

The secret is ``$scrypt$...`` for POP, ``{SHA512-CRYPT}...`` for IMAP, ``{PLAIN.b64}...`` for APOP; import takes
``{PLAIN}`` and ``{PLAIN.b64}`` for all three, and the time may be empty.
"""

import os
import stat
import sys
import time
from binascii import a2b_base64, b2a_base64
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import BinaryIO

from qpopper_py.auth import names, secrethash
from qpopper_py.auth.authdb import TYPES
from qpopper_py.auth.authdb_edit import Editor, Entry
from qpopper_py.errors import ConfigurationError, QpopperError
from qpopper_py.tools.mailauth_options import Request
from qpopper_py.tools.mailauth_secret import dovecot_hash

HEAD = b"# mailauth export, format 1: user:type:time:secret\n"


def export(editor: Editor, request: Request) -> bool:
    """Write what is asked for to where it is asked for; whether there are secrets in it."""
    hashes = "passwd-file" in request.flags
    if hashes and request.type not in ("", "IMAP"):
        raise ConfigurationError("--passwd-file is of IMAP entries; leave --type out")
    secrets = hashes or "secrets" in request.flags
    # All of them first: what cannot be decrypted must not leave half a backup.
    entries = list(editor.export("IMAP" if hashes else request.type, secrets))
    with output(request.operand, secrets) as file:
        file.writelines(passwd_file(entries) if hashes else lines(entries))
    return secrets


def lines(entries: "Iterable[Entry]") -> "Iterator[bytes]":
    yield HEAD
    for entry in entries:
        secret = entry.secret
        if entry.type == "APOP" and secret:
            secret = b"{PLAIN.b64}" + b2a_base64(secret, newline=False)
        yield b":".join((entry.user.encode(), entry.type.encode(), str(entry.changed).encode(), secret)) + b"\n"


def passwd_file(entries: "Iterable[Entry]") -> "Iterator[bytes]":
    """IMAP entries as lines of Dovecot's passwd-file."""
    for entry in entries:
        yield entry.user.encode() + b":" + entry.secret + b"::::::\n"


@contextmanager
def output(path: str, private: bool) -> "Iterator[BinaryIO]":
    """Where an export goes: a new file of mode 0600, or the standard output, which must not show secrets around."""
    if path:
        try:
            descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o600)
        except OSError as why:
            raise QpopperError(f"{path}: {why.strerror}; export writes a new file") from None
        with open(descriptor, "wb") as file:
            os.fchmod(descriptor, 0o600)
            yield file
            file.flush()
            os.fsync(descriptor)
        return
    if private:
        refuse_public(sys.stdout.fileno())
    yield sys.stdout.buffer
    sys.stdout.buffer.flush()


def refuse_public(descriptor: int) -> None:
    """QpopperError if others can see what is written there."""
    if os.isatty(descriptor):
        raise QpopperError("secrets are not shown on a terminal; name a file, or send them down a pipe")
    status = os.fstat(descriptor)
    if stat.S_ISREG(status.st_mode) and status.st_mode & 0o077:
        raise QpopperError("others can read the file that the secrets would go to; name it: mailauth export FILE")


def read(data: bytes, where: str) -> "list[Entry]":
    """The entries of an exported text; QpopperError names the line that is wrong, and never shows it."""
    found: dict[tuple[str, str], Entry] = {}
    for number, line in enumerate(data.split(b"\n"), 1):
        line = line.removesuffix(b"\r")
        if not line or line.startswith(b"#"):
            continue
        try:
            entry = entry_of(line)
        except ValueError as why:
            raise QpopperError(f"{where} line {number}: {why}; nothing was imported") from None
        if found.setdefault((entry.user, entry.type), entry) is not entry:
            raise QpopperError(
                f"{where} line {number}: a second {entry.type} entry of {entry.user}; nothing was imported"
            )
    return list(found.values())


def entry_of(line: bytes) -> Entry:
    """ValueError, without any secret in it, says what is wrong."""
    parts = line.split(b":", 3)
    if len(parts) < 4:
        raise ValueError("is not user:type:time:secret")
    try:
        user, type_, changed = (part.decode("utf-8") for part in parts[:3])
    except UnicodeDecodeError:
        raise ValueError("is not UTF-8") from None
    names.check(user)
    if type_ not in TYPES:
        raise ValueError("the type is none of POP, APOP and IMAP")
    if changed and not (changed.isascii() and changed.isdecimal() and len(changed) < 18):
        raise ValueError("the time is not a number of seconds")
    if not parts[3]:
        raise ValueError("there is no secret; it was exported without --secrets")
    return Entry(user, type_, int(changed or time.time()), stored(type_, parts[3]))


def stored(type_: str, given: bytes) -> bytes:
    """What an entry of that type holds (APOP: the clear secret).  ValueError without the secret in it."""
    clear = plain(given)
    if type_ == "APOP":
        if clear is None:
            raise ValueError("an APOP secret is {PLAIN} or {PLAIN.b64}")
        return clear
    if clear is not None:
        return dovecot_hash(clear) if type_ == "IMAP" else secrethash.scrypt_hash(clear).encode()
    if type_ == "IMAP":
        if not given.startswith((b"{", b"$")) or b":" in given:
            raise ValueError("an IMAP secret is a hash, {PLAIN} or {PLAIN.b64}")
        return given
    try:
        secrethash.parse(given.decode("ascii"))
    except ValueError:
        raise ValueError("a POP secret is $scrypt$..., {PLAIN} or {PLAIN.b64}") from None
    return given


def plain(given: bytes) -> bytes | None:
    """The clear secret, if it is one."""
    clear = given.removeprefix(b"{PLAIN}")
    if given.startswith(b"{PLAIN.b64}"):
        try:
            clear = a2b_base64(given.removeprefix(b"{PLAIN.b64}"), strict_mode=True)
        except ValueError:
            raise ValueError("the secret is not base64") from None
    elif clear == given:
        return None
    if not clear or any(octet < 0x20 or octet == 0x7F for octet in clear):
        raise ValueError("the secret is empty or holds control characters")
    return clear
