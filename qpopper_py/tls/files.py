"""Certificates and keys as they were when they were found good.

A server that goes on for months must not stumble over a renewal that went wrong, and must not hold keys in a memory
that every session's process inherits.  So it keeps copies of the files in memory files: the kernel copies them, a
child that ends at once judges them, and who speaks TLS reads them by their descriptors.  Who will not, closes these.
"""

import os

from qpopper_py.errors import ConfigurationError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    from qpopper_py.settings import Settings

LARGEST = 1 << 20  # octets of a file of certificates, or of a folder of them
ENDS = (".pem", ".crt", ".cer")  # of names of certificates
WORDS = 4096


class Files:
    """The copies, by path.  Without one (under inetd) a file is read where it lies."""

    def __init__(self) -> None:
        self.copies: dict[str, int] = {}

    def place(self, path: str) -> str:
        """Where to read what ``path`` held."""
        return f"/proc/self/fd/{self.copies[path]}" if path in self.copies else path

    def read(self, settings: "Settings") -> None:
        """Copy all files anew.  Raises ConfigurationError, naming file and reason; what was in force stays."""
        fresh = Files()
        try:
            fresh.copy(settings)
            judge(settings, fresh)
        except BaseException:
            fresh.close()
            raise
        self.close()
        self.copies = fresh.copies

    def copy(self, settings: "Settings") -> None:
        """Copy all files, good or not.  Raises ConfigurationError."""
        for setting, path in named(settings):
            if path not in self.copies:
                self.copies[path] = copied(setting, path)

    def close(self) -> None:
        for descriptor in self.copies.values():
            os.close(descriptor)
        self.copies = {}


def named(settings: "Settings") -> "Iterator[tuple[str, str]]":
    """(setting, path) of each file that TLS needs."""
    rows = [("tls.certificate", settings.tls_certificate), ("tls.key", settings.tls_key)]
    if settings.tls_client_certificates != "no":
        rows += [("tls.ca", settings.tls_ca), ("tls.crl", settings.tls_crl)]
    rows += [("tls.passphrase_file", settings.tls_passphrase_file)]
    rows += [("tls.sni", path) for _, *paths in settings.tls_sni for path in paths]
    yield from ((setting, path) for setting, path in rows if path)


def authorities(path: str) -> "list[str]":
    """The files of ``path``: itself, or of a folder those that OpenSSL would look for in one (``5ed36f99.0``).

    In a folder without such names they are all that end as certificates do.  Raises OSError.
    """
    if not os.path.isdir(path):
        return [path]
    names = sorted(name for name in os.listdir(path) if os.path.isfile(f"{path}/{name}"))
    chosen = [name for name in names if hashed(name)] or [name for name in names if name.endswith(ENDS)]
    if not chosen:
        raise OSError(0, f"the folder holds no certificate: no HASH.0, no *{', no *'.join(ENDS)}")
    return [f"{path}/{name}" for name in chosen]


def hashed(name: str) -> bool:
    """Whether openssl-rehash(1) calls a certificate so: the hash of its subject, and a number."""
    hash_, _, number = name.partition(".")
    return len(hash_) == 8 and number.isdigit() and all(c in "0123456789abcdef" for c in hash_)


def copied(setting: str, path: str) -> int:
    """A descriptor of a memory file with the octets of ``path``, which never pass through our own memory.

    Of a folder it has all the files.
    """
    copy = os.memfd_create("tls")
    try:
        for one in authorities(path):
            append(one, copy)
        if os.fstat(copy).st_size > LARGEST:
            raise OSError(0, f"is larger than {LARGEST} octets, so it is no certificate")
    except OSError as why:
        os.close(copy)
        raise ConfigurationError(f"{setting}: {path}: {why.strerror}") from None
    return copy


def append(path: str, copy: int) -> None:
    """Copy the file behind what ``copy`` has, as far as LARGEST goes, and end its last line.  Raises OSError."""
    source = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    try:
        done = 0
        while done <= LARGEST and (octets := os.sendfile(copy, source, done, LARGEST)):
            done += octets
    finally:
        os.close(source)
    os.write(copy, b"\n")


def judge(settings: "Settings", files: Files) -> None:
    """Raises ConfigurationError if TLS cannot be had from ``files``.  A child looks, and takes the keys with it."""
    reader, writer = os.pipe()
    child = os.fork()
    if child == 0:
        words = "cannot be judged"
        try:
            words = trial(settings, files)
        finally:
            os.write(writer, words.encode("utf-8", "replace")[:WORDS])
            os._exit(0)
    os.close(writer)
    said = os.read(reader, WORDS).decode("utf-8", "replace")
    os.close(reader)
    os.waitpid(child, 0)
    if said != "good":
        raise ConfigurationError(said or "tls: the process that looks at certificates failed")


def trial(settings: "Settings", files: Files) -> str:
    """``good``, or what is wrong."""
    from qpopper_py.tls.context import Server

    try:
        for minimum in sorted({settings.listener(one).minimum for one in settings.listen} or {settings.tls_minimum}):
            server = Server(settings, minimum, files.place)
            for _, certificate, key in settings.tls_sni:
                server.made("tls.sni", certificate, key)
    except ConfigurationError as why:
        return str(why)
    return "good"
