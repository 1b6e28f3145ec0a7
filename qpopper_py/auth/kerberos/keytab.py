"""The file of the service's keys.  Whoever can read it can forge anybody's ticket; whoever can write it, too."""

import os
import stat

from qpopper_py.errors import CredentialStoreError


def refuse_untrusted(path: str) -> None:
    """Raises CredentialStoreError: it is not there, cannot be read, or is within reach of others."""
    if not path:
        raise CredentialStoreError("kerberos.keytab: it is empty; name the file of the service's keys")
    try:
        status = os.stat(path)
    except OSError as why:
        raise CredentialStoreError(
            f"kerberos.keytab: {path}: {why.strerror}; make it with kadmin's ktadd, or name another"
        ) from None
    if not stat.S_ISREG(status.st_mode):
        raise CredentialStoreError(f"kerberos.keytab: {path} is not a file; name the file of the service's keys")
    if status.st_uid not in (0, os.geteuid()):
        raise CredentialStoreError(f"kerberos.keytab: {path} belongs to uid {status.st_uid}; run: chown root {path}")
    if status.st_mode & (stat.S_IRWXO | stat.S_IWGRP):
        raise CredentialStoreError(
            f"kerberos.keytab: others can read or write {path}, and forge tickets; run: chmod 600 {path},"
            " and change the keys (kadmin's ktadd does)"
        )
    if not os.access(path, os.R_OK):
        raise CredentialStoreError(f"kerberos.keytab: uid {os.geteuid()} cannot read {path}; start as root")
