"""facts.Tls as octets, for another process; who reads them believes nothing of them."""

from qpopper_py.facts import Tls

MOST = 4096  # octets of a report
LONGEST = 512  # characters of a field
FIELDS = 7


def packed(facts: Tls) -> bytes:
    """A line for each field; binary ones, and the names that come from outside, in hexadecimal."""
    rows = (
        facts.version,
        facts.cipher,
        str(facts.bits),
        facts.server_name.encode().hex(),
        facts.unique.hex(),
        facts.end_point.hex(),
        facts.certificate.encode().hex(),
    )
    return "\n".join(rows).encode("ascii")


def unpacked(data: bytes) -> Tls:
    """Raises ValueError for anything that ``packed`` cannot have made."""
    rows = data.decode("ascii").split("\n")
    if len(data) > MOST or len(rows) != FIELDS or any(len(row) > 2 * LONGEST for row in rows):
        raise ValueError("not a report of TLS")
    version, cipher, bits, *encoded = rows
    if not version.startswith("TLSv1") or not all(c.isalnum() or c in "._-" for c in version + cipher):
        raise ValueError("not a version and a cipher of TLS")
    if not bits.isdigit() or len(bits) > 4:
        raise ValueError("not a number of bits")
    name, unique, end_point, certificate = map(bytes.fromhex, encoded)
    return Tls(version, cipher, int(bits), name.decode("ascii"), unique, end_point, certificate.decode())
