"""What the server must know of its own certificate, without ssl: its end, and its channel binding.

tls-server-end-point (RFC 5929 section 4) is a digest of the certificate.  Which one is told by its signature: the same,
but SHA-256 for MD5 and SHA-1; a signature that has none of its own (Ed25519) has no binding.
"""

# The last octets of object identifiers of signature algorithms -> the digest of the binding
DIGESTS = {
    "2a864886f70d010104": "sha256",  # md5WithRSAEncryption
    "2a864886f70d010105": "sha256",  # sha1WithRSAEncryption
    "2a864886f70d01010b": "sha256",  # sha256WithRSAEncryption
    "2a864886f70d01010c": "sha384",
    "2a864886f70d01010d": "sha512",
    "2a864886f70d01010e": "sha224",
    "2a8648ce3d0401": "sha256",  # ecdsa-with-SHA1
    "2a8648ce3d040301": "sha224",
    "2a8648ce3d040302": "sha256",
    "2a8648ce3d040303": "sha384",
    "2a8648ce3d040304": "sha512",
    "2a8648ce380403": "sha256",  # dsa-with-sha1
    "608648016503040302": "sha256",  # dsa-with-sha256
}
PSS = "2a864886f70d01010a"  # RSASSA-PSS, whose digest is in its parameters (RFC 4055 section 3.1)
HASHES = {
    "2b0e03021a": "sha256",  # SHA-1
    "608648016503040201": "sha256",
    "608648016503040202": "sha384",
    "608648016503040203": "sha512",
    "608648016503040204": "sha224",
}


def first_of(text: str) -> bytes:
    """The first certificate of a PEM file, in DER: the server's own.  Raises ValueError."""
    _, _, rest = text.partition("-----BEGIN CERTIFICATE-----")
    body, end, _ = rest.partition("-----END CERTIFICATE-----")
    if not end:
        raise ValueError("holds no certificate in PEM")
    import binascii

    try:
        return binascii.a2b_base64("".join(body.split()))
    except binascii.Error:
        raise ValueError("holds a certificate that is no PEM") from None


def end(certificate: bytes) -> float:
    """When a ``certificate`` (DER) runs out, since the epoch: notAfter (RFC 5280 section 4.1.2.5).  Or ValueError."""
    import calendar
    import time

    try:
        whole, _ = inside(certificate, 0)
        fields, _ = inside(whole, 0)
        at = inside(fields, 0)[1] if fields[:1] == b"\xa0" else 0  # the version
        for _ in range(3):  # serial number, signature, issuer
            _, at = inside(fields, at)
        validity, _ = inside(fields, at)
        _, behind = inside(validity, 0)
        moment = inside(validity, behind)[0].decode("ascii")
    except IndexError:
        raise ValueError("holds a certificate that is none (its DER is cut off)") from None
    if len(moment) == len("YYMMDDHHMMSSZ"):
        moment = ("19" if moment >= "50" else "20") + moment
    return calendar.timegm(time.strptime(moment, "%Y%m%d%H%M%SZ"))


def end_point(certificate: bytes) -> bytes:
    """The binding of a ``certificate`` (DER); empty where RFC 5929 defines none.  Raises ValueError: no certificate."""
    name = digest_of(certificate)
    if not name:
        return b""
    import hashlib

    return hashlib.new(name, certificate).digest()


def digest_of(certificate: bytes) -> str:
    """The digest that belongs to the signature of a ``certificate``, or empty."""
    try:
        whole, _ = inside(certificate, 0)  # Certificate ::= SEQUENCE { tbsCertificate, signatureAlgorithm, ... }
        _, behind = inside(whole, 0)
        algorithm, _ = inside(whole, behind)
        identifier, behind = inside(algorithm, 0)
        if identifier.hex() != PSS:
            return DIGESTS.get(identifier.hex(), "")
        parameters, _ = inside(algorithm, behind)
        if parameters[:1] != b"\xa0":  # [0] hashAlgorithm DEFAULT sha1
            return "sha256"
        explicit, _ = inside(parameters, 0)
        sequence, _ = inside(explicit, 0)
        return HASHES.get(inside(sequence, 0)[0].hex(), "")
    except IndexError:
        raise ValueError("holds a certificate that is none (its DER is cut off)") from None


def inside(data: bytes, at: int) -> "tuple[bytes, int]":
    """What the DER value at ``at`` holds, and where the next begins.  Raises IndexError where it is cut off."""
    length, start = data[at + 1], at + 2
    if length & 0x80:
        octets = length & 0x7F
        length = int.from_bytes(data[start : start + octets], "big")
        start += octets
    if start + length > len(data):
        raise IndexError
    return data[start : start + length], start + length
