"""Certificates for tests, made by openssl: an authority, servers with keys of several kinds, clients."""

from __future__ import annotations

import subprocess
from pathlib import Path

from tests.guard import GUARD

KEYS = {
    "ec": ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256"],
    "rsa": ["-newkey", "rsa:2048"],
    "ed25519": ["-newkey", "ed25519"],
    "pss": ["-newkey", "rsa-pss", "-pkeyopt", "rsa_keygen_bits:2048"],
}


class Pair:
    """A certificate and its key, files in PEM."""

    def __init__(self, folder: Path, name: str) -> None:
        self.certificate = folder / f"{name}.pem"
        self.key = folder / f"{name}.key"


def openssl(*words: object) -> bytes:
    done = subprocess.run(["openssl", *map(str, words)], capture_output=True, stdin=subprocess.DEVNULL)
    assert done.returncode == 0, done.stderr.decode()
    return done.stdout


class Authority:
    """Signs for servers and clients, all below ``folder``."""

    def __init__(self, folder: Path, name: str = "ca") -> None:
        self.folder = folder
        self.pair = Pair(folder, name)
        self._request(self.pair, "ec", f"/CN={name}", "-x509", "-days", "30")

    @property
    def file(self) -> Path:
        return self.pair.certificate

    def _request(self, pair: Pair, kind: str, subject: str, *more: str) -> None:
        words = ["req", *KEYS[kind], "-nodes", "-keyout", pair.key, "-subj", subject, *more, "-out", pair.certificate]
        openssl(*words)
        pair.key.chmod(0o600)
        GUARD.tls_key(pair.key)

    def sign(
        self, name: str, *names: str, kind: str = "ec", subject: str = "", digest: str = "sha256", days: int = 30
    ) -> Pair:
        """A certificate for ``names`` (DNS:..., email:..., IP:...; default the loopback's)."""
        pair = Pair(self.folder, name)
        request = self.folder / f"{name}.csr"
        self._request(Pair(self.folder, name), kind, subject or f"/CN={name}")
        pair.certificate.rename(request)
        extensions = self.folder / f"{name}.ext"
        extensions.write_text("subjectAltName=" + ",".join(names or ("DNS:localhost", "IP:127.0.0.1")) + "\n")
        openssl(
            *("x509", "-req", "-in", request, "-CA", self.pair.certificate, "-CAkey", self.pair.key, "-CAcreateserial"),
            *("-days", days, f"-{digest}", "-extfile", extensions, "-out", pair.certificate),
        )
        return pair

    def revoke(self, lists: Path, *pairs: Pair) -> None:
        """Write to ``lists`` which certificates were revoked: these."""
        index = self.folder / "index.txt"
        index.write_text("")
        config = self.folder / "ca.cnf"
        config.write_text(f"[ca]\ndefault_ca=us\n[us]\ndatabase={index}\ndefault_md=sha256\ndefault_crl_days=30\n")
        ours = ("-config", config, "-cert", self.pair.certificate, "-keyfile", self.pair.key)
        for pair in pairs:
            openssl("ca", *ours, "-revoke", pair.certificate)
        openssl("ca", *ours, "-gencrl", "-out", lists)

    def self_signed(self, name: str, kind: str = "ec", *more: str) -> Pair:
        """A certificate signed by its own key, whose kind decides the signature's."""
        pair = Pair(self.folder, name)
        self._request(pair, kind, f"/CN={name}", "-x509", "-days", "30", *more)
        return pair


def settings_of(pair: Pair) -> dict[str, object]:
    return {"tls.certificate": pair.certificate, "tls.key": pair.key}


def reachable(folder: Path, user: int | None) -> None:
    """Give what lies there to the user whom a server runs as."""
    import os

    for path in [folder, *folder.iterdir()]:
        if user is not None:
            os.chown(path, user, user)
