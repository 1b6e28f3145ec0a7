"""How many people a message would go to when the mailer takes its recipients from the header (``sendmail -t``)."""

from qpopper_py.errors import Refused

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

HEADER = 256 << 10  # octets of a header that are looked at; one that is larger is refused
ADDRESSED = ("to", "cc", "bcc", "resent-to", "resent-cc", "resent-bcc", "apparently-to")


def count_recipients(head: bytes) -> int:
    """How many recipients the header at the beginning of ``head`` names.  Raises Refused if it cannot be told."""
    header, gap, _ = head.partition(b"\n\n")
    if len(header) > HEADER or (not gap and len(head) > HEADER):
        raise Refused(f"Message header too large: {HEADER} octets at most")
    try:
        return sum(map(_addresses, _addressed_fields(header)))
    except RecursionError:  # comments in comments in comments
        raise Refused("Unable to read the recipients of the message") from None


def _addressed_fields(header: bytes) -> "Iterator[str]":
    """The values of the fields that name recipients, unfolded."""
    value: list[str] | None = None
    for line in header.decode("latin-1").split("\n"):
        if line[:1] in (" ", "\t"):
            if value is not None:
                value.append(line)
            continue
        if value is not None:
            yield "".join(value)
        name, colon, rest = line.partition(":")
        value = [rest] if colon and name.strip().lower() in ADDRESSED else None
    if value is not None:
        yield "".join(value)


def _addresses(value: str) -> int:
    """How many addresses ``value`` holds: by the library's reading, but no fewer than @ outside quotes and comments."""
    import email.utils
    import re

    try:
        listed = email.utils.getaddresses([value], strict=False)
    except TypeError:  # a Python from before that argument
        listed = email.utils.getaddresses([value])
    # Each match takes all it can, ended or not, so that no input is read twice.
    quoted = re.compile(r'"(?:[^"\\]|\\.)*("?)|\((?:[^()\\]|\\.)*(\)?)', re.DOTALL)
    bare = quoted.sub(lambda found: "" if found[1] or found[2] else found[0], value)
    return max(sum(1 for _, address in listed if address), bare.count("@"))
