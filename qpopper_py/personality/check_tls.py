"""--check-config on TLS and on passwords in the clear; see :mod:`qpopper_py.personality.check`."""

import os
import shlex
import stat

from qpopper_py.errors import ConfigurationError
from qpopper_py.personality.check import Finding, hint
from qpopper_py.personality.exposure import dangers
from qpopper_py.tls import certificate, files

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    from qpopper_py.settings import Settings

SOON = 14 * 86400  # seconds before its end that a certificate is warned of


def tls(settings: "Settings", _euid: int) -> "Iterator[Finding]":
    """The files are good, the key is nobody else's, and settings that need a certificate have one."""
    if not settings.tls_certificate:
        yield from without(settings)
        return
    try:
        files.Files().read(settings)
    except ConfigurationError as why:
        yield Finding(str(why))
    keys = [settings.tls_key or settings.tls_certificate]
    keys += [key or chain for _, chain, key in settings.tls_sni]
    secrets = [*(("tls.key", path) for path in keys), ("tls.passphrase_file", settings.tls_passphrase_file)]
    for setting, path in dict.fromkeys(secrets):
        if os.path.exists(path) and os.stat(path).st_mode & (stat.S_IRWXO | stat.S_IWGRP):
            yield Finding(f"{setting}: others can read or change {path}; run: chmod o=,g-w {shlex.quote(path)}")
    for path in dict.fromkeys([settings.tls_certificate, *(row[1] for row in settings.tls_sni)]):
        yield from age(path)


def without(settings: "Settings") -> "Iterator[Finding]":
    """No certificate: what would need one."""
    if any(settings.listener(one).tls == "implicit" for one in settings.listen) or settings.tls_mode == "implicit":
        yield Finding("tls.certificate: it is empty, but TLS is to begin with the first octet; name the file")
    modes = {settings.listener(one).cleartext for one in settings.listen} | {settings.auth_cleartext}
    if "tls" in modes:
        yield hint("auth.cleartext: tls, but tls.certificate is empty, so only APOP is left; name the file")
    if settings.tls_key or settings.tls_sni or settings.tls_client_certificates != "no":
        yield Finding("tls.certificate: it is empty, so the other settings of tls do nothing; name the file")


def age(path: str) -> "Iterator[Finding]":
    """The certificate is not over, nor soon will be."""
    import time

    try:
        with open(path, encoding="ascii", errors="replace") as file:
            left = certificate.end(certificate.first_of(file.read())) - time.time()
    except (OSError, ValueError):
        return  # said already
    if left < 0:
        yield Finding(f"tls.certificate: {path} ran out {int(-left // 86400)} days ago; renew it")
    elif left < SOON:
        yield hint(f"tls.certificate: {path} runs out in {int(left // 86400)} days; renew it")


def exposed(settings: "Settings", _euid: int) -> "Iterator[Finding]":
    """What is open to the world that should not be."""
    yield from map(hint, dangers(settings))
