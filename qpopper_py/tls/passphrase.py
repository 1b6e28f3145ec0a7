"""The passphrase of a key (tls.passphrase_file), said to OpenSSL when it asks, so that it never asks a terminal.

It is read where keys are read and nowhere else.  The file has it as its first line; or it is Qpopper's configuration
file, and then what ``tls-passphrase`` says there, last.
"""

from qpopper_py.errors import ConfigurationError
from qpopper_py.qpopper_line import HUSHED, STRING, decoded, statement

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

LONGEST = 1024  # octets, as OpenSSL takes them


class Passphrase:
    """What OpenSSL calls.  ``place`` says where the octets of ``path`` are; ``path`` may be empty.

    ``asked``: the key has one.
    """

    def __init__(self, path: str, place: "Callable[[str], str]") -> None:
        self.path = path
        self.place = place
        self.asked = False

    def __call__(self) -> bytes:
        """Raises ConfigurationError for a file that does not tell it; ValueError if none is named."""
        if not self.path:
            raise ValueError(
                "its key has a passphrase; write it to a file of mode 0600 that tls.passphrase_file names,"
                " or take it off with: openssl pkey"
            )
        self.asked = True
        try:
            with open(self.place(self.path), "rb") as file:
                said = told(file.read())
        except OSError as why:
            raise ConfigurationError(f"tls.passphrase_file: {self.path}: {why.strerror}") from None
        if not 0 < len(said) <= LONGEST:
            raise ConfigurationError(
                f"tls.passphrase_file: {self.path}: has no passphrase of 1 to {LONGEST} octets on its first line"
            )
        return said

    def trouble(self) -> str:
        """Why OpenSSL could not read the key with it; empty if it did not ask."""
        words = "does not open it: it is another key's, or the key's cipher is one that OpenSSL has put away (DES)"
        return f"the passphrase in {self.path} {words}; write the right one there" if self.asked else ""


def told(text: bytes) -> bytes:
    """The passphrase that the contents of a file tell; empty if none."""
    lines = text.split(b"\n")
    said = [value for line in lines if (value := in_qpoppers(line))]
    return said[-1] if said else lines[0].removesuffix(b"\r")


def in_qpoppers(line: bytes) -> bytes:
    """What a line of Qpopper's says of the passphrase; empty: nothing."""
    try:
        said = statement(decoded(line, "", 0), "", 0, {HUSHED: STRING})
    except ConfigurationError:  # another option, or no line of Qpopper's
        return b""
    return str(said.value).encode() if said else b""
